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

export interface Line {
  from: string;
  to: string;
  /** An SVG path. */
  path: string;
}

export interface Placement {
  boxes: Map<string, Box>;
  lines: Line[];
  height: number;
}

const BOX_HEIGHT = 50;
const LANE_HEIGHT = 8;
const GAP = 12;
const MIN_BOX = 116;
const MAX_BOX = 190;
const BETWEEN_LAYERS = 28;
const BETWEEN_ROWS = 26;

/** A box in a layer, or the lane on which a line passes the layer. */
interface Slot {
  id: string;
  lane: boolean;
  reads: string[];
}

/** Places layers side by side where the width allows it, else one below the other. */
export function place(graph: Graph, width: number): Placement {
  const side = (width - (graph.layers - 1) * BETWEEN_LAYERS) / Math.max(1, graph.layers);
  return side >= MIN_BOX ? placeAcross(graph, width, Math.min(MAX_BOX, side)) : placeDown(graph, width);
}

function placeAcross(graph: Graph, width: number, boxWidth: number): Placement {
  const { columns, routes } = layersOf(graph, true);
  arrange(columns);
  const slotHeight = (slot: Slot): number => (slot.lane ? LANE_HEIGHT : BOX_HEIGHT);
  const tall = (column: Slot[]): number => column.reduce((sum, slot) => sum + slotHeight(slot) + GAP, -GAP);
  const height = Math.max(BOX_HEIGHT, ...columns.map(tall));
  const step = graph.layers > 1 ? (width - boxWidth) / (graph.layers - 1) : 0;
  const all = new Map<string, Box>();
  columns.forEach((column, layer) => {
    let y = (height - tall(column)) / 2;
    for (const slot of column) {
      all.set(slot.id, { id: slot.id, x: layer * step, y, width: boxWidth, height: slotHeight(slot) });
      y += slotHeight(slot) + GAP;
    }
  });
  const lines = routes.map(({ from, to, through }) => {
    const stops = [from, ...through, to].map((id) => all.get(id)).filter((box) => box !== undefined);
    return { from, to, path: acrossPath(stops) };
  });
  const boxes = new Map([...all].filter(([id]) => graph.nodes.some((node) => node.id === id)));
  return { boxes, lines, height };
}

function placeDown(graph: Graph, width: number): Placement {
  const { columns, routes } = layersOf(graph, false);
  arrange(columns);
  const boxes = new Map<string, Box>();
  let y = 0;
  for (const row of columns.filter((column) => column.length > 0)) {
    const perRow = Math.max(1, Math.min(row.length, Math.floor((width + GAP) / (96 + GAP))));
    const boxWidth = Math.min(MAX_BOX, (width - (perRow - 1) * GAP) / perRow);
    row.forEach(({ id }, index) => {
      const line = Math.floor(index / perRow);
      const inLine = Math.min(perRow, row.length - line * perRow);
      const left = (width - inLine * boxWidth - (inLine - 1) * GAP) / 2;
      const x = left + (index % perRow) * (boxWidth + GAP);
      boxes.set(id, { id, x, y: y + line * (BOX_HEIGHT + GAP), width: boxWidth, height: BOX_HEIGHT });
    });
    y += Math.ceil(row.length / perRow) * (BOX_HEIGHT + GAP) - GAP + BETWEEN_ROWS;
  }
  const lines = routes.flatMap(({ from, to }) => {
    const [a, b] = [boxes.get(from), boxes.get(to)];
    return a && b ? [{ from, to, path: downPath(a, b) }] : [];
  });
  return { boxes, lines, height: Math.max(0, y - BETWEEN_ROWS) };
}

/** The slots of each layer. With lanes, a line past a layer has its own place in it. */
function layersOf(graph: Graph, lanes: boolean): { columns: Slot[][]; routes: { from: string; to: string; through: string[] }[] } {
  const columns: Slot[][] = Array.from({ length: graph.layers }, () => []);
  const slots = new Map<string, Slot>();
  const layers = new Map(graph.nodes.map(({ id, layer }) => [id, layer]));
  for (const { id, layer } of graph.nodes) {
    const slot = { id, lane: false, reads: [] };
    slots.set(id, slot);
    columns[layer]?.push(slot);
  }
  const routes = graph.edges.map(({ from, to }) => {
    const through: string[] = [];
    for (let layer = (layers.get(from) ?? 0) + 1; lanes && layer < (layers.get(to) ?? 0); layer += 1) {
      const id = `${from} ${to} ${layer}`;
      columns[layer]?.push({ id, lane: true, reads: [through.at(-1) ?? from] });
      through.push(id);
    }
    slots.get(to)?.reads.push(through.at(-1) ?? from);
    return { from, to, through };
  });
  return { columns, routes };
}

/** Puts each slot near the middle of those it reads, so that few lines cross. */
function arrange(columns: Slot[][]): void {
  const rank = new Map<string, number>();
  for (const column of columns) {
    const weight = new Map<string, number>();
    column.forEach(({ id, reads }, index) => {
      const places = reads.map((source) => rank.get(source) ?? 0.5);
      const mean = places.reduce((sum, place) => sum + place, 0) / (places.length || 1);
      weight.set(id, places.length > 0 ? mean : index / column.length);
    });
    column.sort((a, b) => (weight.get(a.id) ?? 0) - (weight.get(b.id) ?? 0));
    column.forEach(({ id }, index) => rank.set(id, (index + 0.5) / column.length));
  }
}

/** From the right side of the first box, straight through the lanes, to the left of the last. */
function acrossPath(stops: readonly Box[]): string {
  let path = "";
  stops.forEach((box, index) => {
    const y = box.y + box.height / 2;
    const before = stops[index - 1];
    if (!before) {
      path += `M${box.x + box.width} ${y}`;
      return;
    }
    const [x, fromY] = [before.x + before.width, before.y + before.height / 2];
    const bend = Math.max(10, (box.x - x) / 2);
    path += `C${x + bend} ${fromY} ${box.x - bend} ${y} ${box.x} ${y}`;
    if (index < stops.length - 1) path += `H${box.x + box.width}`;
  });
  return path;
}

function downPath(a: Box, b: Box): string {
  const [x1, y1, x2, y2] = [a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y];
  const bend = Math.max(10, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}
