// Rates of streams, and lag and state of everything that reads them.

import type { Status } from "../api/types";
import { count, duration, rate } from "../model/format";
import { newestEventTime, RateHistory } from "../model/status";
import type { Part } from "../model/status";
import { make, setText } from "./dom";
import { Spark } from "./spark";

const MAX_ROWS = 60;

interface StreamRow {
  row: HTMLElement;
  rate: HTMLElement;
  total: HTMLElement;
  history: RateHistory;
  spark: Spark;
}

interface PartRow {
  row: HTMLElement;
  state: HTMLElement;
  lag: HTMLElement;
  behind: HTMLElement;
}

export class RatesPanel {
  readonly #streams = new Map<string, StreamRow>();
  readonly #parts = new Map<string, PartRow>();
  readonly #streamBody: HTMLElement;
  readonly #partBody: HTMLElement;

  constructor(streams: HTMLElement, parts: HTMLElement) {
    this.#streamBody = table(streams, "figures streams", ["Stream", "Last 2 min", "Rate/s", "Records"]);
    this.#partBody = table(parts, "figures parts", ["Part", "State", "Lag", "Behind"]);
  }

  recolour(): void {
    for (const { spark } of this.#streams.values()) {
      spark.recolour();
      spark.draw();
    }
  }

  update(status: Status, parts: readonly Part[], seconds: number): void {
    for (const stream of status.streams.slice(0, MAX_ROWS)) {
      const line = this.#streamRow(stream.name);
      line.history.push(seconds, stream.recordsPerSecond);
      setText(line.rate, rate(stream.recordsPerSecond));
      setText(line.total, count(stream.records));
      line.spark.draw();
    }
    forget(this.#streams, new Set(status.streams.map(({ name }) => name)));

    const newest = newestEventTime(status);
    for (const part of parts.slice(0, MAX_ROWS)) {
      const line = this.#partRow(part);
      if (line.row.dataset.state !== part.state) line.row.dataset.state = part.state;
      setText(line.state, part.state);
      line.row.title = part.reason ?? "";
      const reads = part.kind === "task" || part.kind === "sink";
      setText(line.lag, reads ? count(Math.max(0, part.lag)) : "");
      // A sink that has all there is stands at its last record, however long ago that was.
      const idle = part.kind === "sink" && part.lag <= 0;
      const behind = newest === null || part.watermark === null || idle ? null : newest - part.watermark;
      setText(line.behind, behind === null ? "" : duration(behind));
    }
    forget(this.#parts, new Set(parts.map(idOf)));
  }

  #streamRow(name: string): StreamRow {
    const known = this.#streams.get(name);
    if (known) return known;
    const host = make("div", { class: "spark", attributes: { "aria-hidden": "true" } });
    const history = new RateHistory();
    const cells = { rate: make("td", { class: "number" }), total: make("td", { class: "number" }) };
    const row = make("tr", {}, heading(name), make("td", { class: "spark-cell" }, host), cells.rate, cells.total);
    this.#streamBody.append(row);
    const line = { row, ...cells, history, spark: new Spark(host, history) };
    this.#streams.set(name, line);
    return line;
  }

  #partRow(part: Part): PartRow {
    const known = this.#parts.get(idOf(part));
    if (known) return known;
    const state = make("span", { class: "state-text" });
    const lag = make("td", { class: "number" });
    const behind = make("td", { class: "number" });
    const light = make("span", { class: "light", attributes: { "aria-hidden": "true" } });
    const name = heading(part.name);
    name.append(" ", make("span", { class: "quiet", text: part.kind }));
    const row = make("tr", { class: "part" }, name, make("td", {}, make("span", { class: "state-line" }, light, state)), lag, behind);
    this.#partBody.append(row);
    const line = { row, state, lag, behind };
    this.#parts.set(idOf(part), line);
    return line;
  }
}

function idOf({ kind, name }: Part): string {
  return `${kind}/${name}`;
}

function heading(text: string): HTMLElement {
  return make("th", { text, attributes: { scope: "row", title: text } });
}

function table(host: HTMLElement, kind: string, titles: string[]): HTMLElement {
  const head = make("tr");
  for (const title of titles) head.append(make("th", { text: title, attributes: { scope: "col" } }));
  const body = make("tbody");
  host.append(make("table", { class: kind }, make("thead", {}, head), body));
  return body;
}

function forget(lines: Map<string, { row: HTMLElement }>, kept: Set<string>): void {
  for (const [name, { row }] of lines) {
    if (kept.has(name)) continue;
    row.remove();
    lines.delete(name);
  }
}
