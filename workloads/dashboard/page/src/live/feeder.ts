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
/** Streams followed by events, each with a connection of its own: of the six that a browser allows,
    several windows must have theirs, and leave one for requests. The others are asked for. */
const MAX_CONNECTIONS = 1;
/** About the last lap of six entities at five records a second. */
const TAIL = 3000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10_000;

interface Arrival {
  stream: string;
  /** A record, or its text: reading it can wait until there is time. */
  data: string | StreamRecord;
}

export class Feeder {
  readonly #queue = new Batch<Arrival>(QUEUE);
  readonly #followers = new Map<string, Follower | Poller>();
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

  /** The first streams, which are those of the map and the board, arrive most promptly. */
  start(pipeline: Pipeline, streams: readonly string[]): void {
    streams.forEach((stream, index) => {
      const partitions = pipeline.streams.find(({ name }) => name === stream)?.partitions ?? 1;
      void this.#begin(stream, partitions, index < MAX_CONNECTIONS, FIRST_RETRY_MS, this.#generation);
    });
  }

  /** After a long absence: begins anew with the tails, instead of going through all between. */
  restart(pipeline: Pipeline, streams: readonly string[]): void {
    this.#generation += 1;
    this.#paused = false;
    for (const follower of this.#followers.values()) follower.pause();
    this.#followers.clear();
    this.start(pipeline, streams);
  }

  /** How many streams do not arrive at present. */
  get lost(): number {
    return [...this.#followers.values()].filter(({ state }) => state === "lost").length;
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Hands on what has arrived, for as long as a frame can spare. */
  drain(): number {
    return this.#queue.drain(({ stream, data }) => {
      const record = typeof data === "string" ? parse(data) : data;
      if (record) this.#hand(stream, record);
    }, BUDGET_MS, () => performance.now());
  }

  pause(): void {
    this.#paused = true;
    for (const follower of this.#followers.values()) follower.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const follower of this.#followers.values()) follower.start();
  }

  /** The server answers again: those that wait need not. */
  hurry(): void {
    for (const follower of this.#followers.values()) follower.hurry();
  }

  async #begin(stream: string, partitions: number, live: boolean, wait: number, generation: number): Promise<void> {
    try {
      const { records, cursor } = await readTail(stream, partitions, TAIL);
      if (generation !== this.#generation) return;
      for (const record of records) this.#hand(stream, record);
      const follower = live ? this.#follower(stream, cursor) : this.#poller(stream, partitions, cursor);
      this.#followers.set(stream, follower);
      if (!this.#paused) follower.start();
    } catch {
      if (generation !== this.#generation) return;
      // The banner tells of a server that cannot be reached; the tail is asked for again.
      setTimeout(() => void this.#begin(stream, partitions, live, Math.min(LONGEST_RETRY_MS, wait * 2), generation), wait);
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

  #follower(stream: string, cursor: string): Follower {
    return new Follower(
      cursor,
      {
        connect: (from) => openChannel(stream, from),
        later: (run, ms) => {
          const timer = setTimeout(run, ms);
          return () => { clearTimeout(timer); };
        },
        random: Math.random,
      },
      (data) => { this.#queue.push({ stream, data }); },
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
