// The choice among groups, where there are several.

import { compareNames } from "../model/board";
import type { Groups } from "../model/groups";
import { make, setHidden } from "./dom";

export class GroupChoice {
  readonly #label: HTMLElement;
  readonly #select: HTMLSelectElement;
  #version = -1;
  #wanted: string | null = null;

  constructor(label: HTMLElement, select: HTMLSelectElement) {
    this.#label = label;
    this.#select = select;
    this.#wanted = new URLSearchParams(location.search).get("group");
    select.addEventListener("change", () => {
      this.#wanted = select.value;
      const url = new URL(location.href);
      url.searchParams.set("group", select.value);
      history.replaceState(null, "", url);
    });
  }

  /** The group to show: the chosen one, or else the first by name. */
  update(groups: Groups): string | null {
    const names = groups.names.sort(compareNames);
    const chosen = this.#wanted !== null && names.includes(this.#wanted) ? this.#wanted : (names[0] ?? null);
    if (groups.version !== this.#version) {
      this.#version = groups.version;
      this.#select.replaceChildren(...names.map((name) => make("option", { text: name, attributes: { value: name } })));
      setHidden(this.#label, names.length < 2);
    }
    if (chosen !== null && this.#select.value !== chosen) this.#select.value = chosen;
    return chosen;
  }
}
