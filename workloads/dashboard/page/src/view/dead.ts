// How many records ended as dead letters, and the latest of them.

import { getDeadLetters } from "../api/client";
import type { DeadLetter, Pipeline, Status } from "../api/types";
import { bytes, clock, count, instant } from "../model/format";
import { make, setHidden, setText } from "./dom";

const SHOWN = 5;

export class DeadPanel {
  readonly #panel: HTMLElement;
  readonly #count: HTMLElement;
  readonly #list = make("ul", { class: "dead" });
  readonly #stream: string | null;
  #end = -1;

  constructor(panel: HTMLElement, count: HTMLElement, pipeline: Pipeline) {
    this.#panel = panel;
    this.#count = count;
    this.#stream = pipeline.streams.find(({ kind }) => kind === "deadLetters")?.name ?? null;
    panel.append(this.#list);
  }

  async update(status: Status): Promise<void> {
    const stream = status.streams.find(({ name }) => name === this.#stream);
    const partition = stream?.partitions[0];
    setHidden(this.#panel, !stream || stream.records === 0);
    if (!stream || !partition || stream.records === 0) return;
    setText(this.#count, count(stream.records));
    if (partition.end === this.#end) return;
    const letters = await getDeadLetters(Math.max(partition.start, partition.end - SHOWN), SHOWN);
    this.#end = partition.end;
    letters.sort((a, b) => b.offset - a.offset);
    this.#list.replaceChildren(...letters.slice(0, SHOWN).map(itemOf));
  }
}

function itemOf({ offset, stage, reason, ingestTime, bytes: size, preview }: DeadLetter): HTMLElement {
  return make(
    "li",
    {},
    make("span", { class: "dead-stage", text: stage }),
    make("span", { class: "dead-reason", text: reason }),
    make("time", { text: clock(ingestTime), attributes: { datetime: instant(ingestTime), title: instant(ingestTime) } }),
    make("code", { class: "dead-preview", text: preview }),
    make("span", { class: "quiet", text: `#${offset} · ${bytes(size)}` }),
  );
}
