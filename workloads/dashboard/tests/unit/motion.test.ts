import { describe, expect, it } from "vitest";

import { interpolate, Motion, Playhead } from "../../page/src/model/motion";

describe("interpolation", () => {
  const samples = [
    { time: 1000, lat: 10, lon: 20 },
    { time: 1200, lat: 12, lon: 20 },
    { time: 1400, lat: 12, lon: 24 },
  ];

  it("is linear in event time between two samples", () => {
    expect(interpolate(samples, 1100)).toEqual({ time: 1100, lat: 11, lon: 20 });
    expect(interpolate(samples, 1350)).toEqual({ time: 1350, lat: 12, lon: 23 });
  });

  it("rests at the first sample before it and at the last after it", () => {
    expect(interpolate(samples, 0)?.lat).toBe(10);
    expect(interpolate(samples, 9999)?.lon).toBe(24);
    expect(interpolate([], 0)).toBeNull();
  });
});

describe("motion", () => {
  it("ignores what is not newer than the last sample of an entity", () => {
    const motion = new Motion();
    motion.add("0", { time: 1000, lat: 1, lon: 1 });
    motion.add("0", { time: 1000, lat: 2, lon: 2 });
    motion.add("0", { time: 900, lat: 3, lon: 3 });
    expect(motion.samples("0")).toEqual([{ time: 1000, lat: 1, lon: 1 }]);
  });

  it("keeps a bounded number of samples and entities", () => {
    const motion = new Motion();
    for (let i = 0; i < 1000; i += 1) motion.add("0", { time: i, lat: 0, lon: 0 });
    for (let i = 0; i < 1000; i += 1) motion.add(`car ${i}`, { time: 1000 + i, lat: 0, lon: 0 });
    expect(motion.samples("car 999")).toHaveLength(1);
    expect(motion.has("0")).toBe(false);
    expect(motion.size).toBe(500);
  });
});

describe("the playhead", () => {
  it("runs evenly, a little behind events that come in steps", () => {
    const playhead = new Playhead();
    let shown = 0;
    for (let now = 0; now <= 10_000; now += 20) {
      const latest = 1_000_000 + Math.floor(now / 200) * 200;
      if (now % 200 === 0) playhead.observe(latest, now);
      const time = playhead.advance(now, latest);
      if (now > 5000) {
        expect(time - shown).toBeGreaterThan(15);
        expect(time - shown).toBeLessThan(25);
      }
      shown = time;
    }
    expect(1_010_000 - shown).toBeGreaterThan(200);
    expect(1_010_000 - shown).toBeLessThan(500);
  });

  it("never shows a time that has not arrived, and stands still without news", () => {
    const playhead = new Playhead();
    playhead.observe(1000, 0);
    for (let now = 0; now < 5000; now += 16) expect(playhead.advance(now, 1000)).toBeLessThanOrEqual(1000);
    expect(playhead.time).toBe(1000);
  });

  it("jumps when event time leaps, instead of hurrying after it", () => {
    const playhead = new Playhead();
    playhead.observe(1000, 0);
    playhead.advance(0, 1000);
    playhead.observe(60_000, 16);
    expect(playhead.advance(16, 60_000)).toBeGreaterThan(59_000);
  });
});
