// What is shown, per group (one race among several), and how records reach it.

import type { Dashboard, StreamRecord } from "../api/types";
import { Board } from "./board";
import { Feed, kindOf } from "./feed";
import { Motion } from "./motion";
import { asName, asNumber, lookup } from "./path";
import { Track } from "./track";

export interface Group {
  name: string;
  motion: Motion;
  track: Track;
  board: Board;
  feed: Feed;
  /** The highest event time seen in the group. */
  latest: number;
}

const MAX_GROUPS = 50;
/** The name of the only group where the resource separates none. */
export const ALL = "";

type Take = (record: StreamRecord) => void;

/** Models of all groups, fed by records of the streams that the dashboard names. */
export class Groups {
  readonly #groups = new Map<string, Group>();
  readonly #takers = new Map<string, Take[]>();
  readonly #columns: number;
  readonly #onPosition: (group: Group, time: number) => void;
  /** Raised when a group comes or goes. */
  version = 0;

  constructor(dashboard: Dashboard, onPosition: (group: Group, time: number) => void) {
    this.#columns = dashboard.board?.columns.length ?? 0;
    this.#onPosition = onPosition;
    const { map, board, feed } = dashboard;
    if (map) this.#follow(map.from, this.#mapTaker(map));
    for (const [index, column] of board?.columns.entries() ?? []) {
      this.#follow(column.from, this.#columnTaker(index, column, board?.group ?? null));
    }
    if (feed) this.#follow(feed.from, this.#feedTaker(feed, map?.group ?? board?.group ?? null));
  }

  /** The streams to follow, those of the map and the feed first. */
  get streams(): string[] {
    return [...this.#takers.keys()];
  }

  get names(): string[] {
    return [...this.#groups.keys()];
  }

  get(name: string): Group | undefined {
    return this.#groups.get(name);
  }

  take(stream: string, record: StreamRecord): void {
    for (const take of this.#takers.get(stream) ?? []) take(record);
  }

  #follow(stream: string, take: Take): void {
    this.#takers.set(stream, [...(this.#takers.get(stream) ?? []), take]);
  }

  #mapTaker(map: NonNullable<Dashboard["map"]>): Take {
    const [entityOf, latOf, lonOf] = [lookup(map.entity), lookup(map.latitude), lookup(map.longitude)];
    const groupOf = grouping(map.group ?? null);
    return (record) => {
      const entity = asName(entityOf(record.value));
      const [lat, lon] = [asNumber(latOf(record.value)), asNumber(lonOf(record.value))];
      if (entity === null || lat === null || lon === null || Math.abs(lat) > 90 || Math.abs(lon) > 180) return;
      const group = this.#open(groupOf(record) ?? ALL, record.eventTime);
      group.motion.add(entity, { lat, lon, time: record.eventTime });
      group.track.add(entity, { lat, lon }, record.eventTime);
      this.#onPosition(group, record.eventTime);
    };
  }

  #columnTaker(index: number, column: { entity: string; value: string }, path: string | null): Take {
    const [entityOf, valueOf] = [lookup(column.entity), lookup(column.value)];
    const groupOf = grouping(path);
    return (record) => {
      const entity = asName(entityOf(record.value));
      const value = valueOf(record.value);
      if (entity === null) return;
      const cell = asNumber(value) ?? asName(value);
      if (cell === null) return;
      this.#open(groupOf(record) ?? ALL, record.eventTime).board.set(entity, index, cell, record.eventTime);
    };
  }

  #feedTaker(feed: NonNullable<Dashboard["feed"]>, path: string | null): Take {
    const [textOf, hintOf] = [lookup(feed.text), lookup(".kind")];
    const groupOf = grouping(path);
    return (record) => {
      const text = asName(textOf(record.value)) === null ? null : String(textOf(record.value));
      if (text === null) return;
      const group = this.#open(groupOf(record) ?? ALL, record.eventTime);
      group.feed.add(record.eventTime, text, kindOf(hintOf(record.value), text));
    };
  }

  #open(name: string, time: number): Group {
    let group = this.#groups.get(name);
    if (!group) {
      if (this.#groups.size >= MAX_GROUPS) this.#forgetStalest();
      group = {
        name,
        motion: new Motion(),
        track: new Track(),
        board: new Board(this.#columns),
        feed: new Feed(),
        latest: time,
      };
      this.#groups.set(name, group);
      this.version += 1;
    }
    if (time > group.latest) group.latest = time;
    return group;
  }

  #forgetStalest(): void {
    let stalest: Group | null = null;
    for (const group of this.#groups.values()) if (!stalest || group.latest < stalest.latest) stalest = group;
    if (stalest) this.#groups.delete(stalest.name);
    this.version += 1;
  }
}

/** The group of a record: its field, or its key where a derived event does not carry the field. */
function grouping(path: string | null): (record: StreamRecord) => string | null {
  if (path === null) return () => ALL;
  const find = lookup(path);
  return (record) => asName(find(record.value)) ?? record.key;
}
