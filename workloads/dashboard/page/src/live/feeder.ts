// Brings the streams that the dashboard names to its models: first their tails, then live.

import type { Pipeline, StreamRecord } from "../api/types";
import { Batch } from "./batch";
import { openChannel } from "./channel";
import { Cursor } from "./cursor";
import { Follower } from "./follower";
import { Poller } from "./poller";
import { readTail } from "./tail";

/** Records that wait for the screen; beyond it the oldest are passed over. */
const QUEUE = 20_000;
/** Time in a frame for reading records; the rest is for drawing. */
const BUDGET_MS = 6;
/** Streams that share one connection by which they arrive at once: browsers allow six to a server,
    over all windows. Further streams are asked for. */
const MAX_SHARED = 16;
/** About the last lap of six entities at five records a second. */
const TAIL = 3000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10_000;

interface Arrival {
  /** The stream; unknown where it is named within the text. */
  stream: string | null;
  /** A record, or its text: reading it can wait until there is time. */
  data: string | StreamRecord;
}

interface Source {
  name: string;
  partitions: number;
}

export class Feeder {
  readonly #queue = new Batch<Arrival>(QUEUE);
  readonly #followers = new Set<Follower | Poller>();
  readonly #take: (stream: string, record: StreamRecord) => void;
  readonly #changed: () => void;
  /** What each stream has handed on: no record is taken twice, however it comes. */
  readonly #taken = new Map<string, Cursor>();
  #paused = false;
  #generation = 0;

  constructor(take: (stream: string, record: StreamRecord) => void, changed: () => void) {
    this.#take = take;
    this.#changed = changed;
  }

  start(pipeline: Pipeline, streams: readonly string[]): void {
    const partitions = (stream: string): number => pipeline.streams.find(({ name }) => name === stream)?.partitions ?? 1;
    const known = (names: readonly string[]): Source[] => names.map((name) => ({ name, partitions: partitions(name) }));
    const shared = known(streams.slice(0, MAX_SHARED));
    if (shared.length > 0) void this.#begin(shared, true, FIRST_RETRY_MS, this.#generation);
    for (const source of known(streams.slice(MAX_SHARED))) void this.#begin([source], false, FIRST_RETRY_MS, this.#generation);
  }

  /** After a long absence: begins anew with the tails, instead of going through all between. */
  restart(pipeline: Pipeline, streams: readonly string[]): void {
    this.#generation += 1;
    this.#paused = false;
    for (const follower of this.#followers) follower.pause();
    this.#followers.clear();
    this.start(pipeline, streams);
  }

  /** How many streams do not arrive at present. */
  get lost(): number {
    return [...this.#followers].filter(({ state }) => state === "lost").length;
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Hands on what has arrived, for as long as a frame can spare. */
  drain(): number {
    return this.#queue.drain(({ stream, data }) => {
      const record = typeof data === "string" ? parse(data) : data;
      const from = stream ?? record?.stream;
      if (record && from !== undefined) this.#hand(from, record);
    }, BUDGET_MS, () => performance.now());
  }

  pause(): void {
    this.#paused = true;
    for (const follower of this.#followers) follower.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const follower of this.#followers) follower.start();
  }

  /** The server answers again: those that wait need not. */
  hurry(): void {
    for (const follower of this.#followers) follower.hurry();
  }

  async #begin(sources: readonly Source[], live: boolean, wait: number, generation: number): Promise<void> {
    try {
      const tails = await Promise.all(sources.map(({ name, partitions }) => readTail(name, partitions, TAIL)));
      if (generation !== this.#generation) return;
      const cursors = sources.map(({ name, partitions }, index) => {
        const tail = tails[index] ?? { records: [], cursor: "now" };
        for (const record of tail.records) this.#hand(name, record);
        return { name, partitions, cursor: tail.cursor };
      });
      const followers = live
        ? [this.#follower(cursors.map(({ name }) => name), cursors.map(({ name, cursor }) => `${name}:${cursor}`).join(";"))]
        : cursors.map(({ name, partitions, cursor }) => this.#poller(name, partitions, cursor));
      for (const follower of followers) {
        this.#followers.add(follower);
        if (!this.#paused) follower.start();
      }
    } catch {
      if (generation !== this.#generation) return;
      // The banner tells of a server that cannot be reached; the tails are asked for again.
      setTimeout(() => void this.#begin(sources, live, Math.min(LONGEST_RETRY_MS, wait * 2), generation), wait);
    }
  }

  #hand(stream: string, record: StreamRecord): void {
    let taken = this.#taken.get(stream);
    if (!taken) this.#taken.set(stream, (taken = new Cursor()));
    if (record.offset < (taken.get(record.partition) ?? 0)) return;
    taken.set(record.partition, record.offset + 1);
    this.#take(stream, record);
  }

  #poller(stream: string, partitions: number, cursor: string): Poller {
    return new Poller(stream, partitions, cursor, (data) => { this.#queue.push({ stream, data }); }, this.#changed);
  }

  #follower(streams: readonly string[], cursor: string): Follower {
    return new Follower(
      cursor,
      {
        connect: (from) => openChannel(streams, from),
        later: (run, ms) => {
          const timer = setTimeout(run, ms);
          return () => { clearTimeout(timer); };
        },
        random: Math.random,
      },
      (data) => { this.#queue.push({ stream: null, data }); },
      this.#changed,
    );
  }
}

function parse(data: string): StreamRecord | null {
  try {
    return JSON.parse(data) as StreamRecord;
  } catch {
    // One unreadable record must not stop the others.
    return null;
  }
}
