// The pipeline's picture: boxes with their state and rate, and lines along which records go.

import type { Pipeline, Status } from "../api/types";
import { count, rate } from "../model/format";
import { graphOf, place } from "../model/graph";
import type { Graph, GraphNode } from "../model/graph";
import type { Part } from "../model/status";
import { make, setText, svg } from "./dom";

interface Drawn {
  box: HTMLElement;
  figure: HTMLElement;
  node: GraphNode;
}

export class GraphPanel {
  readonly #host: HTMLElement;
  readonly #graph: Graph;
  readonly #stages: Map<string, string>;
  readonly #lines = svg("svg", { class: "lines", "aria-hidden": "true" });
  readonly #drawn = new Map<string, Drawn>();
  readonly #paths: { from: string; path: SVGPathElement }[] = [];

  constructor(host: HTMLElement, pipeline: Pipeline) {
    this.#host = host;
    this.#graph = graphOf(pipeline);
    this.#stages = new Map(pipeline.processors.map(({ name, stage }) => [name, String(stage ?? "")]));
    const list = make("ul", { class: "nodes" });
    for (const node of this.#graph.nodes) {
      const figure = make("span", { class: "figure" });
      const box = make(
        "li",
        { class: `node ${node.kind}`, attributes: { title: `${node.kind} ${node.name}` } },
        make("span", { class: "node-name", text: node.name }),
        make("span", { class: "light", attributes: { "aria-hidden": "true" } }),
        make("span", { class: "node-kind", text: node.detail }),
        figure,
      );
      this.#drawn.set(node.id, { box, figure, node });
      list.append(box);
    }
    host.append(this.#lines, list);
    new ResizeObserver(() => { this.#arrange(); }).observe(host);
    this.#arrange();
  }

  #arrange(): void {
    const width = this.#host.clientWidth;
    if (width === 0) return;
    const { boxes, lines, height } = place(this.#graph, width);
    this.#host.style.height = `${height}px`;
    this.#lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const [id, { box }] of this.#drawn) {
      const at = boxes.get(id);
      if (!at) continue;
      box.style.transform = `translate(${at.x}px, ${at.y}px)`;
      box.style.width = `${at.width}px`;
      box.style.height = `${at.height}px`;
    }
    this.#paths.length = 0;
    this.#lines.replaceChildren();
    for (const { from, path: d } of lines) {
      const path = svg("path", { d });
      this.#paths.push({ from, path });
      this.#lines.append(path);
    }
  }

  update(status: Status, parts: readonly Part[]): void {
    const rates = new Map(status.streams.map(({ name, recordsPerSecond }) => [name, recordsPerSecond]));
    const flowing = new Set<string>();
    for (const { box, figure, node } of this.#drawn.values()) {
      const part = this.#partOf(node, parts);
      const state = part?.state ?? "running";
      box.dataset.state = state;
      const now = node.stream === null ? null : (rates.get(node.stream) ?? 0);
      const down = state === "failed" || state === "waiting" ? state : null;
      const behind = part !== null && part.lag > 0 && now === null ? `lag ${count(part.lag)}` : "";
      setText(figure, down ?? (now === null ? behind : `${rate(now)}/s`));
      if (now !== null && now > 0) flowing.add(node.id);
    }
    for (const { from, path } of this.#paths) {
      path.classList.toggle("flowing", flowing.has(from) || from.startsWith("ingest/"));
    }
  }

  /** A processor runs in its stage's task; a sink and a way in are parts of their own name. */
  #partOf(node: GraphNode, parts: readonly Part[]): Part | null {
    const find = (kind: string, name: string): Part | null => parts.find((part) => part.kind === kind && part.name === name) ?? null;
    if (node.kind === "sink" || node.kind === "ingest") return find(node.kind, node.name);
    if (node.kind !== "processor") return null;
    return find("task", this.#stages.get(node.name) ?? "") ?? find("task", node.name);
  }
}
