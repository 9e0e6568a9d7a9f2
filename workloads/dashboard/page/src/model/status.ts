// What the status says, gathered per part, and the recent history of rates.

import type { ComponentStatus, Status } from "../api/types";

/** From best to worst; a part is as well as its worst piece. */
const STATES = ["finished", "running", "starting", "waiting", "failed"] as const;

export interface Part {
  kind: string;
  name: string;
  state: string;
  reason: string | null;
  pieces: number;
  /** Records behind the end of what it reads, over all its pieces. */
  lag: number;
  watermark: number | null;
}

/** One part per kind and name, however many partitions it works on. */
export function gather(components: readonly ComponentStatus[]): Part[] {
  const parts = new Map<string, Part>();
  for (const { kind, name, state, reason, lag, watermark } of components) {
    const id = `${kind}/${name}`;
    const part = parts.get(id);
    if (!part) {
      parts.set(id, { kind, name, state, reason: reason ?? null, pieces: 1, lag, watermark });
      continue;
    }
    part.pieces += 1;
    part.lag += lag;
    if (badness(state) > badness(part.state)) {
      part.state = state;
      part.reason = reason ?? null;
    }
    if (watermark !== null) part.watermark = Math.min(part.watermark ?? watermark, watermark);
  }
  return [...parts.values()];
}

function badness(state: string): number {
  return STATES.findIndex((known) => known === state);
}

/** The highest event time in any stream: what watermarks are measured against. */
export function newestEventTime(status: Status): number | null {
  let newest: number | null = null;
  for (const { partitions } of status.streams) {
    for (const { highestEventTime } of partitions) {
      if (highestEventTime !== null) newest = Math.max(newest ?? highestEventTime, highestEventTime);
    }
  }
  return newest;
}

const HISTORY = 120;

/** Rates of one stream, one a second, the last two minutes. */
export class RateHistory {
  readonly times: number[] = [];
  readonly rates: number[] = [];

  push(seconds: number, rate: number): void {
    this.times.push(seconds);
    this.rates.push(rate);
    if (this.times.length > HISTORY) {
      this.times.shift();
      this.rates.shift();
    }
  }
}

/** Whether the server runs another log than before: offsets went back. */
export function hasStartedOver(before: Status, after: Status): boolean {
  const ends = new Map(after.streams.map((stream) => [stream.name, stream]));
  return before.streams.some(({ name, partitions }) => {
    const now = ends.get(name);
    return partitions.some(({ partition, end }) => {
      const at = now?.partitions.find((other) => other.partition === partition);
      return at !== undefined && at.end < end;
    });
  });
}
