import { describe, expect, it } from "vitest";

import type { Pipeline, Status } from "../../page/src/api/types";
import { graphOf, place } from "../../page/src/model/graph";
import { Groups } from "../../page/src/model/groups";
import { gather, hasStartedOver } from "../../page/src/model/status";

const race: Pipeline = {
  name: "race",
  version: "0",
  mqtt: null,
  streams: [{ name: "coordinates", kind: "ingested", partitions: 1 }, { name: "motion", kind: "derived", partitions: 1 }],
  ingest: [{ name: "cars", to: "coordinates", protocol: "mqtt" }],
  processors: [
    { name: "motion", kind: "motion", from: ["coordinates"], output: "motion" },
    { name: "positions", kind: "rank", from: ["motion"], output: "positions" },
    { name: "status", kind: "map", from: ["motion", "positions"], output: "status" },
  ],
  sinks: [{ name: "carStatus", kind: "mqtt", from: ["status"] }, { name: "standings", kind: "table", from: ["positions"] }],
  tables: [],
  dashboard: null,
} as Pipeline;

describe("the pipeline's picture", () => {
  const graph = graphOf(race);

  it("puts everything after all that it reads, and the sinks last", () => {
    const layers = Object.fromEntries(graph.nodes.map(({ id, layer }) => [id, layer]));
    expect(layers).toEqual({
      "ingest/cars": 0, "stream/coordinates": 1, "processor/motion": 2, "processor/positions": 3,
      "processor/status": 4, "sink/carStatus": 5, "sink/standings": 5,
    });
    expect(graph.edges).toContainEqual({ from: "processor/motion", to: "processor/status" });
    expect(graph.edges).toHaveLength(7);
  });

  it("fits every width without boxes on top of each other", () => {
    for (const width of [320, 700, 1200]) {
      const { boxes, height } = place(graph, width);
      const all = [...boxes.values()];
      expect(all).toHaveLength(7);
      for (const a of all) {
        expect(a.x).toBeGreaterThanOrEqual(0);
        expect(a.x + a.width).toBeLessThanOrEqual(width + 0.01);
        expect(a.y + a.height).toBeLessThanOrEqual(height + 0.01);
        for (const b of all) {
          if (a.id === b.id) continue;
          const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
          expect(apart, `${a.id} and ${b.id} at ${width}`).toBe(true);
        }
      }
    }
  });

  it("is drawn for a resource that goes round in circles, too", () => {
    const loop = { ...race, processors: [{ name: "a", kind: "map", from: ["b"], output: "a" }, { name: "b", kind: "map", from: ["a"], output: "b" }], sinks: [] };
    expect(graphOf(loop).nodes).toHaveLength(4);
  });
});

describe("the status", () => {
  it("gathers partitions: lag adds up, the worst state and the lowest watermark count", () => {
    const task = { kind: "task", name: "s", lag: 2, watermark: 500 };
    expect(gather([
      { ...task, partition: 0, state: "running" },
      { ...task, partition: 1, state: "waiting", reason: "no disk", watermark: 400 },
      { ...task, partition: 2, state: "running", watermark: null },
    ])).toEqual([{ kind: "task", name: "s", state: "waiting", reason: "no disk", pieces: 3, lag: 6, watermark: 400 }]);
  });

  it("notices a log that is not the one from before", () => {
    const status = (end: number): Status => ({
      ready: true, reasons: [], uptimeSeconds: 1, components: [], log: null,
      streams: [{ name: "s", records: end, recordsPerSecond: 0, partitions: [{ partition: 0, start: 0, end, highestEventTime: null }] }],
    });
    expect(hasStartedOver(status(10), status(10))).toBe(false);
    expect(hasStartedOver(status(10), status(3))).toBe(true);
  });
});

describe("groups", () => {
  const dashboard = {
    map: { from: "motion", entity: ".carIndex", latitude: ".location.lat", longitude: ".location.long", group: ".race" },
    board: { group: ".race", columns: [{ title: "Position", from: "positions", entity: ".entity", value: ".position" }] },
    feed: { from: "commentary", text: ".text" },
  };
  const record = (key: string, value: unknown) => ({ partition: 0, offset: 0, key, eventTime: 1000, value });

  it("are told by their field, or by the key where an event does not carry it", () => {
    const groups = new Groups(dashboard, () => undefined);
    groups.take("motion", record("a", { race: "a", carIndex: 0, location: { lat: 52, long: -1 } }));
    groups.take("positions", record("b", { group: "b", entity: 0, position: 1 }));
    groups.take("commentary", record("b", { text: "Car 0 goes." }));
    expect(groups.names).toEqual(["a", "b"]);
    expect(groups.get("a")?.motion.has("0")).toBe(true);
    expect(groups.get("b")?.board.size).toBe(1);
    expect(groups.get("b")?.feed.items[0]?.text).toBe("Car 0 goes.");
  });

  it("pass over events without an entity, a value or a place on Earth", () => {
    const groups = new Groups(dashboard, () => undefined);
    groups.take("motion", record("a", { carIndex: 0, location: { lat: 91, long: 0 } }));
    groups.take("motion", record("a", { carIndex: 0 }));
    groups.take("positions", record("a", { position: 1 }));
    groups.take("positions", record("a", { entity: 1, position: null }));
    groups.take("commentary", record("a", null));
    expect(groups.names).toEqual([]);
  });

  it("are bounded", () => {
    const groups = new Groups(dashboard, () => undefined);
    for (let i = 0; i < 200; i += 1) groups.take("commentary", { ...record(`g${i}`, { text: "x" }), eventTime: i });
    expect(groups.names).toHaveLength(50);
    expect(groups.names[0]).toBe("g150");
  });
});
