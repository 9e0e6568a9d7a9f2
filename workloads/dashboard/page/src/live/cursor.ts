// A place in a stream: the next offset of each partition, written `0-12,1-55`.

export class Cursor {
  readonly #next: Map<number, number>;

  constructor(next: Iterable<readonly [number, number]> = []) {
    this.#next = new Map(next);
  }

  /** Reads a cursor; `null` for a text that is none. */
  static parse(text: string): Cursor | null {
    const next: [number, number][] = [];
    for (const part of text.split(",")) {
      const match = /^(\d{1,9})-(\d{1,15})$/.exec(part);
      if (!match) return null;
      next.push([Number(match[1]), Number(match[2])]);
    }
    return new Cursor(next);
  }

  set(partition: number, next: number): void {
    this.#next.set(partition, next);
  }

  get(partition: number): number | undefined {
    return this.#next.get(partition);
  }

  get empty(): boolean {
    return this.#next.size === 0;
  }

  toString(): string {
    return [...this.#next]
      .sort(([a], [b]) => a - b)
      .map(([partition, next]) => `${partition}-${next}`)
      .join(",");
  }
}
