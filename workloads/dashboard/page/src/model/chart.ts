// Numbers over event time, by series, bounded.

import type { ChartView, StreamRecord } from "../api/types";
import { compareNames } from "./board";
import { asName, asNumber, lookup } from "./path";

/** More series than that cannot be told apart; those that come later are left out. */
export const MAX_SERIES = 24;
/** Points of each series; the oldest go first. */
export const MAX_POINTS = 2000;

interface Line {
  /** Event times in seconds, ascending. */
  times: number[];
  values: number[];
}

/** Times, and for each series a value or none at each time. */
export interface Plotted {
  names: string[];
  times: number[];
  values: (number | null)[][];
}

export class ChartData {
  readonly stream: string;
  readonly #each: ((value: unknown) => unknown) | null;
  readonly #series: ((value: unknown) => unknown) | null;
  readonly #value: (value: unknown) => unknown;
  readonly #title: string;
  readonly #lines = new Map<string, Line>();
  /** Series that found no place any more. */
  readonly #left = new Set<string>();
  version = 0;

  constructor(view: ChartView) {
    this.stream = view.from;
    this.#each = view.each ? lookup(view.each) : null;
    this.#series = view.series ? lookup(view.series) : null;
    this.#value = lookup(view.value);
    this.#title = view.title;
  }

  /** How many series are left out. */
  get leftOut(): number {
    return this.#left.size;
  }

  take({ eventTime, value }: StreamRecord): void {
    const items = this.#each ? this.#each(value) : [value];
    if (!Array.isArray(items)) return;
    for (const item of items as unknown[]) {
      const number = asNumber(this.#value(item));
      const name = this.#series ? asName(this.#series(item)) : this.#title;
      if (number !== null && name !== null) this.#add(name, eventTime / 1000, number);
    }
  }

  /** The last value of a series. */
  last(name: string): number | undefined {
    return this.#lines.get(name)?.values.at(-1);
  }

  plotted(): Plotted {
    const names = [...this.#lines.keys()].sort(compareNames);
    const times = [...new Set([...this.#lines.values()].flatMap((line) => line.times))].sort((a, b) => a - b);
    const index = new Map(times.map((time, at) => [time, at]));
    const values = names.map((name) => {
      const row = Array<number | null>(times.length).fill(null);
      const line = this.#lines.get(name);
      line?.times.forEach((time, at) => { row[index.get(time) ?? 0] = line.values[at] ?? null; });
      return row;
    });
    return { names, times, values };
  }

  #add(name: string, time: number, value: number): void {
    let line = this.#lines.get(name);
    if (!line) {
      if (this.#lines.size >= MAX_SERIES) {
        if (this.#left.size < MAX_POINTS) this.#left.add(name);
        return;
      }
      this.#lines.set(name, (line = { times: [], values: [] }));
    }
    this.version += 1;
    // Almost always it is the newest; of one time the last value counts.
    let at = line.times.length;
    while (at > 0 && (line.times[at - 1] ?? 0) > time) at -= 1;
    if (at > 0 && line.times[at - 1] === time) {
      line.values[at - 1] = value;
      return;
    }
    line.times.splice(at, 0, time);
    line.values.splice(at, 0, value);
    if (line.times.length > MAX_POINTS) {
      line.times.shift();
      line.values.shift();
    }
  }
}
