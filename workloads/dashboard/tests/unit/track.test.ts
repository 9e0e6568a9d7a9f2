import { describe, expect, it } from "vitest";

import { fit, project } from "../../page/src/model/projection";
import { Track } from "../../page/src/model/track";

/** Goes round a circle of about 1 km radius. */
function lap(track: Track, entity: string, from: number, points = 450): void {
  for (let i = 0; i <= points; i += 1) {
    const angle = (i / points) * 2 * Math.PI;
    track.add(entity, { lat: 52 + 0.009 * Math.cos(angle), lon: -1 + 0.0146 * Math.sin(angle) }, from + i * 200);
  }
}

describe("a track", () => {
  it("grows with the first lap and hardly with the next ones", () => {
    const track = new Track();
    lap(track, "0", 0);
    const once = track.segments.length;
    expect(once).toBeGreaterThan(100);
    for (let n = 1; n < 10; n += 1) lap(track, "0", n * 100_000);
    expect(track.segments.length).toBeLessThan(once * 1.5);
  });

  it("is the same ground for all who go over it", () => {
    const track = new Track();
    lap(track, "0", 0);
    const once = track.segments.length;
    lap(track, "1", 0, 431);
    expect(track.segments.length).toBeLessThan(once * 1.5);
  });

  it("stays bounded however far one goes", () => {
    const track = new Track();
    for (let i = 0; i < 40_000; i += 1) {
      const radius = 0.0001 * Math.sqrt(i);
      track.add("0", { lat: radius * Math.cos(i / 9), lon: radius * Math.sin(i / 9) }, i * 200);
    }
    expect(track.segments.length).toBeLessThanOrEqual(6000);
  });

  it("does not join places across a long silence", () => {
    const track = new Track();
    track.add("0", { lat: 52, lon: -1 }, 0);
    track.add("0", { lat: 52.1, lon: -1 }, 60_000);
    expect(track.segments).toHaveLength(0);
  });

  it("does not join places of different entities", () => {
    const track = new Track();
    track.add("0", { lat: 52, lon: -1 }, 0);
    track.add("1", { lat: 52.1, lon: -1 }, 200);
    expect(track.segments).toHaveLength(0);
    expect(track.bounds).toEqual({ south: 52, north: 52.1, west: -1, east: -1 });
  });
});

describe("the projection", () => {
  it("shows a degree of longitude at 60 degrees north half as wide as one of latitude", () => {
    const view = fit({ south: 59, north: 61, west: 9, east: 11 }, 600, 600, 0);
    expect(view.perLat).toBeCloseTo(300, 9);
    expect(view.perLon).toBeCloseTo(150, 9);
  });

  it("lays a tall shape down in a wide box, with north to the right, and keeps it in doubt", () => {
    const tall = { south: 0, north: 2, west: 0, east: 1 };
    const view = fit(tall, 400, 200, 0);
    expect(view.perLat).toBeCloseTo(200, 0);
    expect(project(view, { lat: 2, lon: 0.5 }).x).toBeCloseTo(400, 0);
    expect(project(view, { lat: 1, lon: 1 }).y).toBeCloseTo(200, 0);
    expect(fit(tall, 110, 100, 0).turn).toBe(0);
    expect(fit(tall, 110, 100, 0, true).turn).toBeCloseTo(1.57, 2);
  });

  it("puts north up, east right and the middle in the middle", () => {
    const view = fit({ south: 0, north: 1, west: 0, east: 1 }, 100, 100, 10);
    expect(project(view, { lat: 0.5, lon: 0.5 })).toEqual({ x: 50, y: 50 });
    expect(project(view, { lat: 1, lon: 0.5 }).y).toBeCloseTo(10, 6);
    expect(project(view, { lat: 0.5, lon: 1 }).x).toBeGreaterThan(50);
  });
});
