// The feed: texts as they come, newest at the top. Whoever has scrolled down is not disturbed.

import type { Colours } from "../model/colour";
import type { FeedItem, FeedKind } from "../model/feed";
import { mentions } from "../model/feed";
import { clock, instant } from "../model/format";
import type { Group } from "../model/groups";
import { make, prefersStillness, setHidden, setText } from "./dom";

const SIGN: Record<FeedKind, { sign: string; name: string }> = {
  overtake: { sign: "⇅", name: "Overtake" },
  lap: { sign: "⚑", name: "Lap" },
  best: { sign: "★", name: "Best" },
  other: { sign: "•", name: "Event" },
};

export class FeedPanel {
  readonly #list = make("ol", { class: "feed", attributes: { role: "log", "aria-live": "polite", "aria-label": "Events", tabindex: "0" } });
  readonly #newer = make("button", { class: "newer", attributes: { type: "button" } });
  readonly #empty = make("p", { class: "empty", text: "Nothing has happened yet." });
  readonly #colours: Colours;
  readonly #items = new Map<number, HTMLElement>();
  #group: Group | undefined;
  /** How many entities were known when the texts were made: with more, other words are names. */
  #known = 0;
  #version = -1;

  constructor(host: HTMLElement, colours: Colours) {
    this.#colours = colours;
    host.append(this.#list, this.#newer, this.#empty);
    setHidden(this.#newer, true);
    this.#newer.addEventListener("click", () => {
      this.#list.scrollTop = 0;
      this.#list.focus({ preventScroll: true });
    });
    this.#list.addEventListener("scroll", () => { this.#version = -1; }, { passive: true });
  }

  draw(group: Group | undefined): void {
    const items = group?.feed.items ?? [];
    setHidden(this.#empty, items.length > 0);
    const known = group ? group.motion.size + group.board.size : 0;
    if (group !== this.#group || known > this.#known) {
      this.#group = group;
      this.#known = known;
      this.#version = -1;
      this.#items.clear();
      this.#list.replaceChildren();
    }
    if (!group || group.feed.version === this.#version) return;
    this.#version = group.feed.version;

    const fresh = items.filter(({ id }) => !this.#items.has(id));
    const reading = this.#list.scrollTop > 8 && this.#items.size > 0;
    setHidden(this.#newer, !reading || fresh.length === 0);
    if (reading) {
      setText(this.#newer, `↑ ${fresh.length} new`);
      return;
    }
    if (fresh.length > 0) this.#insert(group, items, fresh);
  }

  #insert(group: Group, items: readonly FeedItem[], fresh: readonly FeedItem[]): void {
    const first = this.#items.size === 0;
    const kept = new Set(items.map(({ id }) => id));
    for (const [id, element] of this.#items) {
      if (kept.has(id)) continue;
      element.remove();
      this.#items.delete(id);
    }
    items.forEach((item, index) => {
      if (this.#items.has(item.id)) return;
      const element = this.#element(group, item);
      this.#items.set(item.id, element);
      this.#list.insertBefore(element, this.#list.children[index] ?? null);
    });
    if (first || prefersStillness()) return;
    for (const { id } of fresh) {
      this.#items.get(id)?.animate([{ opacity: 0, transform: "translateY(-6px)" }, { opacity: 1, transform: "none" }], { duration: 260, easing: "ease-out" });
    }
  }

  #element(group: Group, { time, text, kind }: FeedItem): HTMLElement {
    const { sign, name } = SIGN[kind];
    const known = (entity: string): boolean => group.motion.has(entity) || group.board.has(entity);
    const words = make("span", { class: "words" });
    for (const part of mentions(text, known)) {
      if (part.entity === null) {
        words.append(part.text);
        continue;
      }
      const mention = make("span", { class: "mention", text: part.text });
      mention.style.setProperty("--colour", this.#colours.of(part.entity));
      words.append(mention);
    }
    return make(
      "li",
      { class: `event ${kind}` },
      make("span", { class: "sign", text: sign, attributes: { role: "img", "aria-label": name, title: name } }),
      words,
      make("time", { text: clock(time), attributes: { datetime: instant(time), title: instant(time) } }),
    );
  }
}
