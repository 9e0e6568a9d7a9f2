// Follows streams by server-sent events, through lost connections, from where it was.

/** As much of an `EventSource` as is needed. */
export interface Channel {
  onopen: (() => void) | null;
  onrecord: ((data: string, cursor: string) => void) | null;
  onlost: (() => void) | null;
  close(): void;
}

export interface Surroundings {
  connect(from: string): Channel;
  /** Runs something later; gives a function that prevents it. */
  later(run: () => void, ms: number): () => void;
  /** From 0 to below 1. */
  random(): number;
}

export type FollowState = "connecting" | "live" | "lost" | "paused";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** After so many attempts in vain from one place, the place is taken to be gone. */
const ATTEMPTS_FROM_CURSOR = 6;

export class Follower {
  readonly #around: Surroundings;
  readonly #onRecord: (data: string) => void;
  readonly #onState: (state: FollowState) => void;
  #cursor: string;
  #channel: Channel | null = null;
  #cancel: (() => void) | null = null;
  #attempts = 0;
  #state: FollowState = "paused";

  constructor(from: string, around: Surroundings, onRecord: (data: string) => void, onState: (state: FollowState) => void) {
    this.#cursor = from;
    this.#around = around;
    this.#onRecord = onRecord;
    this.#onState = onState;
  }

  get state(): FollowState {
    return this.#state;
  }

  get cursor(): string {
    return this.#cursor;
  }

  start(): void {
    if (this.#state !== "paused") return;
    this.#attempts = 0;
    this.#connect();
  }

  /** Gives the connection back; browsers allow few to one server, over all tabs. */
  pause(): void {
    this.#drop();
    this.#become("paused");
  }

  /** Tries now instead of waiting out the pause between attempts. */
  hurry(): void {
    if (this.#state !== "lost") return;
    this.#drop();
    this.#connect();
  }

  #connect(): void {
    if (this.#state !== "lost") this.#become("connecting");
    const from = this.#attempts >= ATTEMPTS_FROM_CURSOR ? "now" : this.#cursor;
    const channel = this.#around.connect(from);
    this.#channel = channel;
    channel.onopen = () => {
      this.#attempts = 0;
      this.#become("live");
    };
    channel.onrecord = (data, cursor) => {
      if (cursor !== "") this.#cursor = cursor;
      this.#onRecord(data);
    };
    channel.onlost = () => {
      this.#drop();
      this.#become("lost");
      this.#cancel = this.#around.later(() => {
        this.#cancel = null;
        this.#connect();
      }, this.#wait());
    };
  }

  /** Doubles up to a limit; the jitter keeps many pages from returning all at once. */
  #wait(): number {
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return wait * (0.5 + this.#around.random() / 2);
  }

  #drop(): void {
    this.#cancel?.();
    this.#cancel = null;
    const channel = this.#channel;
    this.#channel = null;
    if (!channel) return;
    channel.onopen = channel.onrecord = channel.onlost = null;
    channel.close();
  }

  #become(state: FollowState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }
}
