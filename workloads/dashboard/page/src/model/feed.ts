// The last texts, newest first, bounded; and what kind of thing a text tells.

export type FeedKind = "overtake" | "lap" | "best" | "other";

export interface FeedItem {
  id: number;
  time: number;
  text: string;
  kind: FeedKind;
}

export const MAX_ITEMS = 200;

export class Feed {
  /** Newest (by event time) first; of equal times the one that came later. */
  readonly items: FeedItem[] = [];
  #next = 0;
  version = 0;

  add(time: number, text: string, kind: FeedKind): void {
    const item = { id: this.#next++, time, text: text.slice(0, 500), kind };
    const index = this.items.findIndex((other) => other.time <= time);
    if (index < 0) this.items.push(item);
    else this.items.splice(index, 0, item);
    if (this.items.length > MAX_ITEMS) this.items.length = MAX_ITEMS;
    this.version += 1;
  }
}

/** The kind that an event names in its field `kind`, or that its text suggests. */
export function kindOf(kind: unknown, text: string): FeedKind {
  const hint = typeof kind === "string" && kind !== "" ? kind : text;
  if (/fastest|record|best/i.test(hint)) return "best";
  if (/overtak|pass(es|ed)|races ahead/i.test(hint)) return "overtake";
  if (/\blaps?\b|^lap/i.test(hint)) return "lap";
  return "other";
}

export interface TextPart {
  text: string;
  /** The entity that this part of the text names, if it does. */
  entity: string | null;
}

const NAMED = /\b(\p{Lu}\p{L}*) ([\p{L}\p{N}_-]+)/gu;

/** Cuts a text where it names a known entity, as `Car 2` does for the entity `2`. */
export function mentions(text: string, known: (entity: string) => boolean): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(NAMED)) {
    const name = match[2] ?? "";
    if (!known(name)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), entity: null });
    parts.push({ text: match[0], entity: name });
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), entity: null });
  return parts;
}
