import { describe, expect, it } from "vitest";

import { Feed, kindOf, MAX_ITEMS, mentions } from "../../page/src/model/feed";
import { bytes, count, duration, entityTitle, rate, stopwatch } from "../../page/src/model/format";

describe("the feed", () => {
  it("has the newest event first, and of equal times the later arrival", () => {
    const feed = new Feed();
    feed.add(10, "a", "other");
    feed.add(30, "b", "other");
    feed.add(20, "c", "other");
    feed.add(30, "d", "other");
    expect(feed.items.map(({ text }) => text)).toEqual(["d", "b", "c", "a"]);
  });

  it("is bounded", () => {
    const feed = new Feed();
    for (let i = 0; i < 1000; i += 1) feed.add(i, String(i), "other");
    expect(feed.items).toHaveLength(MAX_ITEMS);
    expect(feed.items[0]?.text).toBe("999");
  });

  it("tells overtakes, laps and records apart, by the kind or by the text", () => {
    expect(kindOf("overtake", "x")).toBe("overtake");
    expect(kindOf("fastestLap", "x")).toBe("best");
    expect(kindOf("lap", "x")).toBe("lap");
    expect(kindOf(undefined, "Car 2 races ahead of Car 4 in a dramatic overtake.")).toBe("overtake");
    expect(kindOf(undefined, "Car 1 completed lap 02 in 1:34.120 with an average speed of 121.90 MPH")).toBe("lap");
    expect(kindOf(undefined, "Car 1 has set the new fastest lap time at 1:34.120")).toBe("best");
    expect(kindOf(undefined, "The door is open.")).toBe("other");
  });

  it("finds the entities that a text names, and loses no letter", () => {
    const parts = mentions("Car 2 races ahead of Car 4, not of Car 9.", (entity) => entity === "2" || entity === "4");
    expect(parts).toEqual([
      { text: "Car 2", entity: "2" },
      { text: " races ahead of ", entity: null },
      { text: "Car 4", entity: "4" },
      { text: ", not of Car 9.", entity: null },
    ]);
  });
});

describe("the entities' title", () => {
  it("comes from the path that names them", () => {
    expect([".carIndex", ".device_id", ".entity", '."hover board"', ".id", "."].map(entityTitle))
      .toEqual(["Car", "Device", "Entity", "Hover board", "Entity", "Entity"]);
  });
});

describe("figures", () => {
  it("read like a stopwatch from a minute on", () => {
    expect([stopwatch(234, 0), stopwatch(1.25, 1), stopwatch(60_000, 0), stopwatch(94_120, 0)])
      .toEqual(["234 ms", "1.3 ms", "1:00.000", "1:34.120"]);
  });

  it("are short", () => {
    expect([rate(0), rate(0.25), rate(30.4), rate(12_345), rate(150_000)]).toEqual(["0", "0.3", "30", "12.3k", "150k"]);
    expect([count(72), count(4206), count(123_456), count(45_600_000)]).toEqual(["72", "4\u202f206", "123k", "45.6M"]);
    expect([bytes(0), bytes(1536), bytes(48_318_382)]).toEqual(["0 B", "1.5 KiB", "46 MiB"]);
    expect([duration(234), duration(1500), duration(42_000), duration(3_700_000), duration(4 * 86_400_000)])
      .toEqual(["230 ms", "1.5 s", "42 s", "1 h 1 min", "4 d"]);
  });
});
