// Where entities were at a moment of event time, and which moment to show now.

import type { Point } from "./track";

export interface Sample extends Point {
  time: number;
}

const MAX_SAMPLES = 32;
const MAX_ENTITIES = 500;

/** The last positions of each entity, in ascending time. */
export class Motion {
  readonly #samples = new Map<string, Sample[]>();
  latest: number | null = null;

  add(entity: string, sample: Sample): void {
    let samples = this.#samples.get(entity);
    if (!samples) {
      if (this.#samples.size >= MAX_ENTITIES) this.#forgetStalest();
      samples = [];
      this.#samples.set(entity, samples);
    }
    const last = samples.at(-1);
    if (last && sample.time <= last.time) return;
    samples.push(sample);
    if (samples.length > MAX_SAMPLES) samples.shift();
    this.latest = Math.max(this.latest ?? sample.time, sample.time);
  }

  get size(): number {
    return this.#samples.size;
  }

  has(entity: string): boolean {
    return this.#samples.has(entity);
  }

  entities(): Iterable<string> {
    return this.#samples.keys();
  }

  samples(entity: string): readonly Sample[] {
    return this.#samples.get(entity) ?? [];
  }

  /** Where an entity was at a time; before its first and after its last sample it rests there. */
  at(entity: string, time: number): Sample | null {
    return interpolate(this.samples(entity), time);
  }

  #forgetStalest(): void {
    let stalest: string | null = null;
    let oldest = Infinity;
    for (const [entity, samples] of this.#samples) {
      const time = samples.at(-1)?.time ?? -Infinity;
      if (time < oldest) [stalest, oldest] = [entity, time];
    }
    if (stalest !== null) this.#samples.delete(stalest);
  }
}

export function interpolate(samples: readonly Sample[], time: number): Sample | null {
  const last = samples.at(-1);
  const first = samples[0];
  if (!last || !first) return null;
  if (time >= last.time) return last;
  if (time <= first.time) return first;
  let index = samples.length - 1;
  while (index > 0 && (samples[index]?.time ?? 0) > time) index -= 1;
  const a = samples[index] ?? first;
  const b = samples[index + 1] ?? last;
  const part = (time - a.time) / (b.time - a.time);
  return { time, lat: a.lat + (b.lat - a.lat) * part, lon: a.lon + (b.lon - a.lon) * part };
}

/** How far behind the newest event the picture runs, so that there is a next one to move to. */
const DELAY_MS = 350;
/** Beyond this difference the picture jumps instead of hurrying: a replay, or a pause. */
const SNAP_MS = 3000;

/**
 * The moment of event time that is shown. It runs at the speed of the wall clock, a little behind
 * the newest event, and bends its speed rather than jumping when events come early or late.
 */
export class Playhead {
  #time: number | null = null;
  #now = 0;
  #offset: number | null = null;

  get time(): number | null {
    return this.#time;
  }

  /** Notes that an event of a time has arrived. */
  observe(eventTime: number, now: number): void {
    const offset = eventTime - now;
    // The earliest arrivals say how far event time is ahead; a slow decay follows drift.
    this.#offset = this.#offset === null ? offset : Math.max(offset, this.#offset - 1.5);
  }

  /** Moves to a moment of the wall clock; never shows what has not arrived. */
  advance(now: number, latest: number): number {
    const target = Math.min(latest, now + (this.#offset ?? latest - now) - DELAY_MS);
    const passed = Math.min(1000, Math.max(0, now - this.#now));
    this.#now = now;
    if (this.#time === null || Math.abs(target - this.#time) > SNAP_MS) {
      this.#time = target;
      return this.#time;
    }
    const ahead = target - (this.#time + passed);
    const speed = Math.min(2, Math.max(0, 1 + ahead / 600));
    this.#time = Math.min(latest, this.#time + passed * speed);
    return this.#time;
  }
}
