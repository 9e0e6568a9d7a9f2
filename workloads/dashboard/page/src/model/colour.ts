// A colour for each entity: told apart on light and dark ground, the same for the same name.

const PALETTE = [
  "#e5484d", "#2b7de9", "#16a34a", "#d97706", "#9353d3", "#0891a8",
  "#d6409f", "#65801a", "#6366f1", "#b45309", "#0f766e", "#be123c",
] as const;

const MAX_NAMES = 5000;

export class Colours {
  readonly #taken = new Map<string, string>();
  #next = 0;

  /** Small whole numbers have fixed colours; other names get theirs as they come. */
  of(entity: string): string {
    const known = this.#taken.get(entity);
    if (known !== undefined) return known;
    if (this.#taken.size >= MAX_NAMES) this.#taken.clear();
    const number = /^\d{1,2}$/.test(entity) ? Number(entity) : this.#next++;
    const colour = number < PALETTE.length ? (PALETTE[number] ?? PALETTE[0]) : wheel(number);
    this.#taken.set(entity, colour);
    return colour;
  }
}

/** Hues by the golden angle: neighbours differ, and none repeats soon. */
function wheel(number: number): string {
  return `hsl(${((number * 137.508) % 360).toFixed(0)} 62% 46%)`;
}
