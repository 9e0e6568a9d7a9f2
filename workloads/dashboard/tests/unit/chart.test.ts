import { describe, expect, it } from "vitest";

import { ChartData, MAX_POINTS, MAX_SERIES } from "../../page/src/model/chart";

const record = (eventTime: number, value: unknown) => ({ partition: 0, offset: 0, key: null, eventTime, value });
const reports = () => new ChartData({ title: "p95", from: "report", each: ".counters", series: ".clientVersion", value: ".p95", unit: "%" });

describe("a chart", () => {
  it("plots the items of an array, a line for each series", () => {
    const chart = reports();
    chart.take(record(20_000, { counters: [{ clientVersion: "v1.10", p95: 3 }, { clientVersion: "v1.2", p95: 4 }] }));
    chart.take(record(10_000, { counters: [{ clientVersion: "v1.2", p95: 1.5 }] }));
    expect(chart.plotted()).toEqual({ names: ["v1.2", "v1.10"], times: [10, 20], values: [[1.5, 4], [null, 3]] });
    expect(chart.last("v1.2")).toBe(4);
  });

  it("plots the event itself as one line where nothing else is said", () => {
    const chart = new ChartData({ title: "Speed", from: "motion", value: ".speed" });
    chart.take(record(1000, { speed: 10 }));
    chart.take(record(1000, { speed: 11 }));
    chart.take(record(2000, { speed: "fast" }));
    expect(chart.plotted()).toEqual({ names: ["Speed"], times: [1], values: [[11]] });
  });

  it("passes over what has not the declared form", () => {
    const chart = reports();
    for (const value of [null, { counters: {} }, { counters: [null, 1, { p95: 1 }, { clientVersion: "v1" }] }]) chart.take(record(0, value));
    expect(chart.version).toBe(0);
  });

  it("keeps a bounded number of points and series", () => {
    const chart = reports();
    const counters = Array.from({ length: MAX_SERIES + 2 }, (_, i) => ({ clientVersion: `v${i}`, p95: i }));
    for (let i = 0; i <= MAX_POINTS; i += 1) chart.take(record(i * 1000, { counters }));
    const { names, times } = chart.plotted();
    expect([names.length, times.length, times[0], chart.leftOut]).toEqual([MAX_SERIES, MAX_POINTS, 1, 2]);
  });
});
