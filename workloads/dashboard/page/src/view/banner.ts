// What is wrong, if anything: not ready, or out of touch with the server.

import { make, setHidden, setText } from "./dom";

export type Health = "connecting" | "ready" | "notReady" | "lost";

const WORDS: Record<Health, string> = {
  connecting: "Connecting",
  ready: "Live",
  notReady: "Not ready",
  lost: "Connection lost",
};

const MAX_REASONS = 6;

export class Banner {
  readonly #pill: HTMLElement;
  readonly #word: HTMLElement;
  readonly #banner: HTMLElement;
  readonly #title = make("strong");
  readonly #reasons = make("ul");
  #shown = "";

  constructor(pill: HTMLElement, banner: HTMLElement) {
    this.#pill = pill;
    this.#word = make("span");
    pill.append(make("span", { class: "light", attributes: { "aria-hidden": "true" } }), this.#word);
    this.#banner = banner;
    banner.append(this.#title, this.#reasons);
    this.show("connecting", []);
  }

  show(health: Health, reasons: readonly string[]): void {
    const key = [health, ...reasons].join("\n");
    if (key === this.#shown) return;
    this.#shown = key;
    this.#pill.dataset.health = health;
    setText(this.#word, WORDS[health]);
    this.#banner.dataset.health = health;
    setHidden(this.#banner, health === "ready" || health === "connecting");
    if (health === "lost") {
      setText(this.#title, "No connection to the pipeline.");
      this.#reasons.replaceChildren(make("li", { text: "Trying again by itself. What you see is the last that arrived." }));
    } else if (health === "notReady") {
      setText(this.#title, "The pipeline is not ready.");
      const items = reasons.slice(0, MAX_REASONS).map((text) => make("li", { text }));
      if (reasons.length > MAX_REASONS) items.push(make("li", { text: `and ${reasons.length - MAX_REASONS} more` }));
      this.#reasons.replaceChildren(...items);
    }
  }
}
