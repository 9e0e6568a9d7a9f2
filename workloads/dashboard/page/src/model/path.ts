// Paths to fields of events, as the resource writes them: `.location.lat`, `.wheels[0]`, `."a b"`.

export type Path = readonly (string | number)[];

const SEGMENT = /\[(\d+)\]|\."([^"]*)"|\.([^.[\]"\s]+)/y;

/** The segments of a path; none for `.`; `null` for a text that is not a path. */
export function parsePath(text: string): Path | null {
  if (text === ".") return [];
  const segments: (string | number)[] = [];
  SEGMENT.lastIndex = 0;
  while (SEGMENT.lastIndex < text.length) {
    const match = SEGMENT.exec(text);
    if (!match) return null;
    segments.push(match[1] === undefined ? (match[2] ?? match[3] ?? "") : Number(match[1]));
  }
  return segments.length > 0 ? segments : null;
}

/** A function that finds the value at a path; it finds nothing if the text is not a path. */
export function lookup(text: string): (value: unknown) => unknown {
  const path = parsePath(text);
  if (!path) return () => undefined;
  return (value) => {
    let at = value;
    for (const segment of path) {
      if (typeof at !== "object" || at === null) return undefined;
      if (Array.isArray(at) !== (typeof segment === "number") || !Object.hasOwn(at, segment)) return undefined;
      at = (at as Record<string | number, unknown>)[segment];
    }
    return at;
  };
}

/** A finite number, or `null`. */
export function asNumber(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** What names an entity or a group: a text or a number; `null` for anything else. */
export function asName(value: unknown): string | null {
  if (typeof value === "string") return value === "" ? null : value.slice(0, 64);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return null;
}
