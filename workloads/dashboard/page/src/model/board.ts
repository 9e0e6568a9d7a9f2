// The latest values per entity, and the order of rows.

export type Cell = number | string;

export interface Row {
  entity: string;
  cells: readonly (Cell | undefined)[];
  /** The row's last move: up is negative, as places are counted; with the time it was seen. */
  moved: { by: number; at: number } | null;
}

interface Entry {
  cells: (Cell | undefined)[];
  times: number[];
  seen: number;
  moved: { by: number; at: number } | null;
}

const MAX_ENTITIES = 1000;

export class Board {
  readonly #columns: number;
  readonly #entries = new Map<string, Entry>();
  #order: string[] = [];
  #dirty = false;
  version = 0;

  constructor(columns: number) {
    this.#columns = columns;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Entities in the order that rows were last asked for. */
  get order(): readonly string[] {
    return this.#order;
  }

  has(entity: string): boolean {
    return this.#entries.has(entity);
  }

  /** Takes a value unless a later one (by event time) is there already. */
  set(entity: string, column: number, value: Cell, eventTime: number): void {
    let entry = this.#entries.get(entity);
    if (!entry) {
      if (this.#entries.size >= MAX_ENTITIES) this.#forgetStalest();
      entry = { cells: Array<Cell | undefined>(this.#columns), times: [], seen: eventTime, moved: null };
      this.#entries.set(entity, entry);
      this.#dirty = true;
    }
    if (eventTime < (entry.times[column] ?? -Infinity)) return;
    entry.times[column] = eventTime;
    entry.seen = Math.max(entry.seen, eventTime);
    if (entry.cells[column] === value) return;
    entry.cells[column] = value;
    if (column === 0) this.#dirty = true;
    this.version += 1;
  }

  /** Rows by the first column, ascending; equal ones keep their order; without a value last. */
  rows(now: number): Row[] {
    if (this.#dirty) this.#sort(now);
    return this.#order.map((entity) => {
      const entry = this.#entries.get(entity);
      return { entity, cells: entry?.cells ?? [], moved: entry?.moved ?? null };
    });
  }

  #sort(now: number): void {
    const before = new Map(this.#order.map((entity, index) => [entity, index]));
    const known = this.#order.filter((entity) => this.#entries.has(entity));
    const fresh = [...this.#entries.keys()].filter((entity) => !before.has(entity)).sort(compareNames);
    const first = (entity: string): Cell | undefined => this.#entries.get(entity)?.cells[0];
    this.#order = [...known, ...fresh].sort((a, b) => compareCells(first(a), first(b)));
    this.#order.forEach((entity, index) => {
      const was = before.get(entity);
      const entry = this.#entries.get(entity);
      if (entry && was !== undefined && was !== index) entry.moved = { by: index - was, at: now };
    });
    this.#dirty = false;
  }

  #forgetStalest(): void {
    let stalest: string | null = null;
    let oldest = Infinity;
    for (const [entity, { seen }] of this.#entries) if (seen < oldest) [stalest, oldest] = [entity, seen];
    if (stalest !== null) this.#entries.delete(stalest);
    this.#dirty = true;
  }
}

export function compareCells(a: Cell | undefined, b: Cell | undefined): number {
  if (a === undefined || b === undefined) return (a === undefined ? 1 : 0) - (b === undefined ? 1 : 0);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return compareNames(String(a), String(b));
}

const collator = new Intl.Collator("en", { numeric: true });

/** Names in the order people expect: `car 2` before `car 10`. */
export function compareNames(a: string, b: string): number {
  return collator.compare(a, b);
}
