// A bounded queue between the network and the screen, emptied a slice at a time.

export class Batch<T> {
  #items: T[] = [];
  #head = 0;
  readonly #limit: number;
  /** How many were thrown away because the screen could not follow. */
  dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** At the limit the oldest goes: for a screen the newest counts. */
  push(item: T): void {
    this.#items.push(item);
    if (this.size > this.#limit) {
      this.#head += 1;
      this.dropped += 1;
    }
    this.#compact();
  }

  /** Handles items in order until none is left or the time is used up; says how many. */
  drain(handle: (item: T) => void, budgetMs: number, now: () => number): number {
    const end = now() + budgetMs;
    let handled = 0;
    while (this.size > 0) {
      const item = this.#items[this.#head] as T;
      this.#head += 1;
      handled += 1;
      handle(item);
      if (handled % 16 === 0 && now() >= end) break;
    }
    this.#compact();
    return handled;
  }

  #compact(): void {
    if (this.#head > 1024 || this.size === 0) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}
