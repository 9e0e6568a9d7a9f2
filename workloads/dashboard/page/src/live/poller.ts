// Follows one stream by asking for its new records again and again.
//
// Streams beyond those that one connection carries are followed like this.

import type { RecordPage, StreamRecord } from "../api/types";
import { getRecords } from "../api/client";
import { Cursor } from "./cursor";
import type { FollowState } from "./follower";

const EVERY_MS = 500;
const AFTER_ERROR_MS = 2000;
const PAGE = 1000;

export type ReadPage = (stream: string, partition: number, from: string, limit: number) => Promise<RecordPage>;

export class Poller {
  readonly #stream: string;
  readonly #partitions: number;
  readonly #cursor: Cursor;
  readonly #onRecord: (record: StreamRecord) => void;
  readonly #onState: (state: FollowState) => void;
  readonly #read: ReadPage;
  #state: FollowState = "paused";
  #round = 0;

  constructor(
    stream: string,
    partitions: number,
    from: string,
    onRecord: (record: StreamRecord) => void,
    onState: (state: FollowState) => void,
    read: ReadPage = getRecords,
  ) {
    this.#stream = stream;
    this.#partitions = partitions;
    this.#cursor = Cursor.parse(from) ?? new Cursor();
    this.#onRecord = onRecord;
    this.#onState = onState;
    this.#read = read;
  }

  get state(): FollowState {
    return this.#state;
  }

  start(): void {
    if (this.#state !== "paused") return;
    this.#become("connecting");
    void this.#run(++this.#round);
  }

  pause(): void {
    this.#round += 1;
    this.#become("paused");
  }

  hurry(): void {
    if (this.#state === "lost") void this.#run(++this.#round);
  }

  /** Asks until another round has begun. */
  async #run(round: number): Promise<void> {
    while (round === this.#round) {
      let wait = EVERY_MS;
      try {
        await this.ask();
        if (round === this.#round) this.#become("live");
      } catch {
        // The cursor stands where it was: nothing is left out.
        if (round === this.#round) this.#become("lost");
        wait = AFTER_ERROR_MS;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  /** Takes what is new in each partition, at most a page of each. */
  async ask(): Promise<void> {
    for (let partition = 0; partition < this.#partitions; partition += 1) {
      const from = this.#cursor.get(partition);
      const { records, next } = await this.#read(this.#stream, partition, String(from ?? "end"), PAGE);
      // Another round may have asked the same meanwhile.
      if (this.#cursor.get(partition) !== from) continue;
      this.#cursor.set(partition, next);
      records.forEach(this.#onRecord);
    }
  }

  #become(state: FollowState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }
}
