// The pipeline as layers of nodes, from the ways in to the sinks, and where to draw them.

import type { Pipeline } from "../api/types";

export type NodeKind = "ingest" | "stream" | "processor" | "sink";

export interface GraphNode {
  id: string;
  kind: NodeKind;
  name: string;
  detail: string;
  /** The stream whose rate belongs to the node. */
  stream: string | null;
  layer: number;
}

export interface Graph {
  nodes: GraphNode[];
  edges: { from: string; to: string }[];
  layers: number;
}

/** A processor stands also for the stream that it writes. */
export function graphOf(pipeline: Pipeline): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges: { from: string; to: string }[] = [];
  const writers = new Map<string, string>();
  const add = (kind: NodeKind, name: string, detail: string, stream: string | null): string => {
    const id = `${kind}/${name}`;
    nodes.set(id, { id, kind, name, detail, stream, layer: 0 });
    return id;
  };

  for (const { name, kind } of pipeline.streams) {
    if (kind === "ingested") writers.set(name, add("stream", name, "stream", name));
  }
  for (const { name, protocol, to } of pipeline.ingest) {
    const id = add("ingest", name, protocol, null);
    const stream = writers.get(to);
    if (stream !== undefined) edges.push({ from: id, to: stream });
  }
  for (const { name, kind, output } of pipeline.processors) {
    const id = add("processor", name, kind, output);
    writers.set(output ?? name, id);
    if (!writers.has(name)) writers.set(name, id);
  }
  for (const { name, from } of pipeline.processors) connect(from, `processor/${name}`);
  for (const { name, kind, from } of pipeline.sinks) connect(from, add("sink", name, kind, null));

  function connect(from: readonly string[], to: string): void {
    for (const stream of from) {
      const writer = writers.get(stream);
      if (writer !== undefined && writer !== to) edges.push({ from: writer, to });
    }
  }

  const layers = assignLayers(nodes, edges);
  return { nodes: [...nodes.values()], edges, layers };
}

/** Longest path from the start; sinks all stand in the last layer. */
function assignLayers(nodes: Map<string, GraphNode>, edges: Graph["edges"]): number {
  for (const node of nodes.values()) if (node.kind === "stream") node.layer = 1;
  // Each round settles at least one more layer; a cycle, which the planner refuses, ends it too.
  for (let round = 0; round < nodes.size; round += 1) {
    let changed = false;
    for (const { from, to } of edges) {
      const [a, b] = [nodes.get(from), nodes.get(to)];
      if (a && b && b.layer < a.layer + 1) {
        b.layer = a.layer + 1;
        changed = true;
      }
    }
    if (!changed) break;
  }
  let last = 0;
  for (const node of nodes.values()) if (node.kind !== "sink") last = Math.max(last, node.layer);
  const sinks = [...nodes.values()].filter((node) => node.kind === "sink");
  for (const sink of sinks) sink.layer = last + 1;
  return last + 1 + (sinks.length > 0 ? 1 : 0);
}

export interface Box {
  id: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Placement {
  boxes: Map<string, Box>;
  height: number;
  /** Whether layers follow each other downwards, as on a phone. */
  upright: boolean;
}

const BOX_HEIGHT = 50;
const GAP = 12;
const MIN_BOX = 118;
const MAX_BOX = 190;
const BETWEEN_LAYERS = 40;

/** Places layers side by side where the width allows it, else one below the other. */
export function place(graph: Graph, width: number): Placement {
  const columns: GraphNode[][] = Array.from({ length: graph.layers }, () => []);
  for (const node of graph.nodes) columns[node.layer]?.push(node);
  arrange(columns, graph.edges);
  const boxes = new Map<string, Box>();
  const most = Math.max(1, ...columns.map((column) => column.length));

  const side = (width - (graph.layers - 1) * BETWEEN_LAYERS) / Math.max(1, graph.layers);
  if (side >= MIN_BOX) {
    const boxWidth = Math.min(MAX_BOX, side);
    const step = graph.layers > 1 ? (width - boxWidth) / (graph.layers - 1) : 0;
    const height = most * (BOX_HEIGHT + GAP) - GAP;
    columns.forEach((column, layer) => {
      const top = (height - (column.length * (BOX_HEIGHT + GAP) - GAP)) / 2;
      column.forEach(({ id }, row) => {
        boxes.set(id, { id, x: layer * step, y: top + row * (BOX_HEIGHT + GAP), width: boxWidth, height: BOX_HEIGHT });
      });
    });
    return { boxes, height, upright: false };
  }

  let y = 0;
  for (const column of columns) {
    const perRow = Math.max(1, Math.min(column.length, Math.floor((width + GAP) / (96 + GAP))));
    const boxWidth = Math.min(MAX_BOX, (width - (perRow - 1) * GAP) / perRow);
    const rows = Math.ceil(column.length / perRow);
    column.forEach(({ id }, index) => {
      const inRow = Math.min(perRow, column.length - Math.floor(index / perRow) * perRow);
      const left = (width - inRow * boxWidth - (inRow - 1) * GAP) / 2;
      const x = left + (index % perRow) * (boxWidth + GAP);
      boxes.set(id, { id, x, y: y + Math.floor(index / perRow) * (BOX_HEIGHT + GAP), width: boxWidth, height: BOX_HEIGHT });
    });
    if (column.length > 0) y += rows * (BOX_HEIGHT + GAP) - GAP + 26;
  }
  return { boxes, height: Math.max(0, y - 26), upright: true };
}

/** Puts each node near the middle of those it reads, so that few lines cross. */
function arrange(columns: GraphNode[][], edges: Graph["edges"]): void {
  const rank = new Map<string, number>();
  for (const column of columns) {
    const weight = new Map<string, number>();
    column.forEach(({ id }, index) => {
      const sources = edges.filter((edge) => edge.to === id).map((edge) => rank.get(edge.from) ?? 0);
      const mean = sources.reduce((sum, value) => sum + value, 0) / (sources.length || 1);
      weight.set(id, sources.length > 0 ? mean : index / Math.max(1, column.length));
    });
    column.sort((a, b) => (weight.get(a.id) ?? 0) - (weight.get(b.id) ?? 0));
    column.forEach(({ id }, index) => rank.set(id, (index + 0.5) / column.length));
  }
}

/** A curve between the facing sides of two boxes, as an SVG path. */
export function edgePath(a: Box, b: Box, upright: boolean): string {
  if (upright) {
    const [x1, y1, x2, y2] = [a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y];
    const bend = Math.max(10, (y2 - y1) / 2);
    return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
  }
  const [x1, y1, x2, y2] = [a.x + a.width, a.y + a.height / 2, b.x, b.y + b.height / 2];
  const bend = Math.max(12, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
