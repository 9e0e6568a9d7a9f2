// Asks for the status each second, and says when the server cannot be reached.

import { getStatus } from "../api/client";
import type { Status } from "../api/types";

const EVERY_MS = 1000;
const HIDDEN_EVERY_MS = 15_000;

export class StatusWatch {
  readonly #onStatus: (status: Status) => void;
  readonly #onLost: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;

  constructor(onStatus: (status: Status) => void, onLost: () => void) {
    this.#onStatus = onStatus;
    this.#onLost = onLost;
  }

  /** Asks at once, and from then on regularly. */
  ask(): void {
    if (this.#asking) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    getStatus()
      .then(this.#onStatus, this.#onLost)
      .finally(() => {
        this.#asking = false;
        this.#timer = setTimeout(() => { this.ask(); }, document.hidden ? HIDDEN_EVERY_MS : EVERY_MS);
      });
  }
}
