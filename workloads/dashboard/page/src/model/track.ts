// The ground that entities have covered: segments between positions, thinned by a grid so that
// going round again adds nothing, and bounded in number.

export interface Point {
  lat: number;
  lon: number;
}

export interface Bounds {
  south: number;
  west: number;
  north: number;
  east: number;
}

export interface Segment {
  a: Point;
  b: Point;
}

/** Cells along the longer side of what was covered; a segment shorter than a cell waits. */
const RESOLUTION = 240;
const MAX_SEGMENTS = 6000;
/** Positions of one entity further apart in time than this are not joined. */
const MAX_GAP_MS = 15_000;
const MAX_PENS = 2000;
/** About half a metre: positions closer than this tell nothing. */
const MIN_CELL = 5e-6;

interface Pen {
  at: Point;
  time: number;
}

export class Track {
  /** Raised at every change, so that a view knows when to draw again. */
  version = 0;
  #segments: (Segment & { cells: string[] })[] = [];
  readonly #covered = new Map<string, number>();
  readonly #pens = new Map<string, Pen>();
  #bounds: Bounds | null = null;
  #cell = MIN_CELL;

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get bounds(): Bounds | null {
    return this.#bounds;
  }

  /** Notes that an entity was somewhere; times of one entity ascend. */
  add(entity: string, at: Point, time: number): void {
    this.#widen(at);
    const pen = this.#pens.get(entity);
    if (!pen || time - pen.time > MAX_GAP_MS || time < pen.time) {
      this.#lift(entity, { at, time });
      return;
    }
    if (this.#apart(pen.at, at) < this.#cell) {
      pen.time = time;
      return;
    }
    this.#draw(pen.at, at);
    pen.at = at;
    pen.time = time;
  }

  #lift(entity: string, pen: Pen): void {
    this.#pens.delete(entity);
    this.#pens.set(entity, pen);
    if (this.#pens.size > MAX_PENS) {
      const oldest = this.#pens.keys().next();
      if (!oldest.done) this.#pens.delete(oldest.value);
    }
  }

  #draw(a: Point, b: Point): void {
    const cells = this.#cellsBetween(a, b);
    const fresh = cells.filter((cell) => !this.#covered.has(cell)).length;
    if (fresh * 3 < cells.length) return;
    this.#segments.push({ a, b, cells });
    for (const cell of cells) this.#covered.set(cell, (this.#covered.get(cell) ?? 0) + 1);
    if (this.#segments.length > MAX_SEGMENTS) this.#forgetOldest(MAX_SEGMENTS / 20);
    this.version += 1;
  }

  #forgetOldest(count: number): void {
    for (const segment of this.#segments.splice(0, count)) {
      for (const cell of segment.cells) {
        const left = (this.#covered.get(cell) ?? 1) - 1;
        if (left > 0) this.#covered.set(cell, left);
        else this.#covered.delete(cell);
      }
    }
    this.#bounds = boundsOf(this.#segments.flatMap(({ a, b }) => [a, b]));
  }

  /** Takes a position into the bounds; when these have doubled, the grid becomes coarser. */
  #widen(at: Point): void {
    const old = this.#bounds;
    this.#bounds = old ? include(old, at) : { south: at.lat, north: at.lat, west: at.lon, east: at.lon };
    if (old && inside(old, at)) return;
    const { south, north, west, east } = this.#bounds;
    const extent = Math.max(north - south, (east - west) * Math.cos((south * Math.PI) / 180));
    const wanted = Math.max(extent / RESOLUTION, MIN_CELL);
    if (wanted >= this.#cell * 2) this.#regrid(wanted);
    this.version += 1;
  }

  #regrid(cell: number): void {
    this.#cell = cell;
    this.#covered.clear();
    const old = this.#segments;
    this.#segments = [];
    for (const { a, b } of old) {
      const cells = this.#cellsBetween(a, b);
      if (cells.every((at) => this.#covered.has(at))) continue;
      this.#segments.push({ a, b, cells });
      for (const at of cells) this.#covered.set(at, (this.#covered.get(at) ?? 0) + 1);
    }
  }

  /** Distance in degrees of latitude. */
  #apart(a: Point, b: Point): number {
    return Math.hypot(b.lat - a.lat, (b.lon - a.lon) * Math.cos((a.lat * Math.PI) / 180));
  }

  #cellsBetween(a: Point, b: Point): string[] {
    const narrow = Math.cos((Math.round(a.lat) * Math.PI) / 180);
    const steps = Math.min(64, Math.max(1, Math.ceil(this.#apart(a, b) / this.#cell)));
    const cells = new Set<string>();
    for (let step = 0; step <= steps; step += 1) {
      const lat = a.lat + ((b.lat - a.lat) * step) / steps;
      const lon = a.lon + ((b.lon - a.lon) * step) / steps;
      cells.add(`${Math.floor(lat / this.#cell)}:${Math.floor((lon * narrow) / this.#cell)}`);
    }
    return [...cells];
  }
}

export function include(bounds: Bounds, { lat, lon }: Point): Bounds {
  return {
    south: Math.min(bounds.south, lat),
    north: Math.max(bounds.north, lat),
    west: Math.min(bounds.west, lon),
    east: Math.max(bounds.east, lon),
  };
}

function inside(bounds: Bounds, { lat, lon }: Point): boolean {
  return lat >= bounds.south && lat <= bounds.north && lon >= bounds.west && lon <= bounds.east;
}

export function boundsOf(points: Iterable<Point>): Bounds | null {
  let bounds: Bounds | null = null;
  for (const point of points) {
    bounds = bounds ? include(bounds, point) : { south: point.lat, north: point.lat, west: point.lon, east: point.lon };
  }
  return bounds;
}
