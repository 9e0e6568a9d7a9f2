// Where the labels of places go, so that those of entities close together can all be read.

export interface Anchor {
  entity: string;
  /** The entity's place on the screen, in pixels. */
  x: number;
  y: number;
  /** Half of the label's width. */
  half: number;
  /** Its way in pixels, from a moment ago until now; nothing if it rests. */
  dx: number;
  dy: number;
}

export interface Placed {
  x: number;
  y: number;
}

/** The part of the way to its aim that a label goes in a frame. */
const PACE = 0.12;
const ROUNDS = 12;
/** More labels than this stay where they are: nobody could read them apart. */
const MAX_LABELS = 60;

/**
 * Keeps labels on their entities where there is room. Where there is not, they stand beside the
 * way, on both sides of it, and push each other apart; from frame to frame they move smoothly.
 */
export class Spread {
  #offsets = new Map<string, Placed>();
  readonly #normals = new Map<string, Placed>();

  /** Places of labels of a radius within a width and height, in the order of the anchors. */
  place(anchors: readonly Anchor[], radius: number, width: number, height: number, still: boolean): Placed[] {
    if (anchors.length > MAX_LABELS) return anchors.map(({ x, y }) => ({ x, y }));
    const aims = this.#aims(anchors, radius);
    for (let round = 0; round < ROUNDS; round += 1) separate(aims, anchors, radius);
    const offsets = new Map<string, Placed>();
    const placed = anchors.map((anchor, index) => {
      const aim = aims[index] ?? anchor;
      const before = this.#offsets.get(anchor.entity);
      const pace = still || !before ? 1 : PACE;
      const from = before ?? { x: 0, y: 0 };
      const offset = {
        x: from.x + (aim.x - anchor.x - from.x) * pace,
        y: from.y + (aim.y - anchor.y - from.y) * pace,
      };
      offsets.set(anchor.entity, offset);
      return {
        x: within(anchor.x + offset.x, anchor.half, width),
        y: within(anchor.y + offset.y, radius, height),
      };
    });
    this.#offsets = offsets;
    return placed;
  }

  /** Beside the way in a crowd, else on the entity itself. */
  #aims(anchors: readonly Anchor[], radius: number): Placed[] {
    // By name, the side of each stays the same whoever leads.
    const sides = new Map([...anchors.map(({ entity }) => entity)].sort().map((entity, index) => [entity, index % 2 === 0 ? 1 : -1]));
    return anchors.map((anchor) => {
      let nearest = Infinity;
      for (const other of anchors) {
        if (other !== anchor) nearest = Math.min(nearest, Math.hypot(other.x - anchor.x, other.y - anchor.y));
      }
      const crowd = Math.min(1, Math.max(0, 1.5 - nearest / (2 * radius)));
      const normal = this.#normal(anchor);
      const out = crowd * radius * 1.9 * (sides.get(anchor.entity) ?? 1);
      return { x: anchor.x + normal.x * out, y: anchor.y + normal.y * out };
    });
  }

  /** Across an entity's way; one that rests keeps its last. */
  #normal({ entity, dx, dy }: Anchor): Placed {
    const length = Math.hypot(dx, dy);
    const known = this.#normals.get(entity);
    if (length < 0.5) return known ?? { x: 0, y: -1 };
    if (this.#normals.size > 1000) this.#normals.clear();
    const normal = { x: -dy / length, y: dx / length };
    this.#normals.set(entity, normal);
    return normal;
  }
}

/** Pushes labels that overlap apart, each by half. */
function separate(aims: Placed[], anchors: readonly Anchor[], radius: number): void {
  for (let i = 0; i < aims.length; i += 1) {
    for (let j = i + 1; j < aims.length; j += 1) {
      const [a, b, first, second] = [aims[i], aims[j], anchors[i], anchors[j]];
      if (!a || !b || !first || !second) continue;
      const wanted = Math.max(2 * radius, first.half + second.half) + 3;
      const [x, y] = [b.x - a.x, b.y - a.y];
      const distance = Math.hypot(x, y);
      if (distance >= wanted) continue;
      // Two in one place part in a direction of their own.
      const [ux, uy] = distance > 0.01 ? [x / distance, y / distance] : [Math.cos(j), Math.sin(j)];
      const push = (wanted - distance) / 2;
      a.x -= ux * push;
      a.y -= uy * push;
      b.x += ux * push;
      b.y += uy * push;
    }
  }
}

function within(value: number, margin: number, size: number): number {
  return Math.min(size - margin - 2, Math.max(margin + 2, value));
}
