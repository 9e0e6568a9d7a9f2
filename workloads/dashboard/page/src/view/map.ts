// The map: the ground covered, and the entities on it, drawn on two canvases.

import type { Colours } from "../model/colour";
import type { Group } from "../model/groups";
import { Playhead } from "../model/motion";
import type { Sample } from "../model/motion";
import { ease, fit, project } from "../model/projection";
import type { Projection } from "../model/projection";
import { Spread } from "../model/spread";
import type { Anchor, Placed } from "../model/spread";
import { make, setHidden } from "./dom";
import { colour } from "./theme";

const PADDING = 36;
const TAIL_MS = 2600;
/** An entity without news for so long fades; after the second time it is not drawn. */
const STALE_MS = 10_000;
const GONE_MS = 600_000;
const DESCRIBE_MS = 2000;
/** How far back an entity's direction is taken from. */
const HEADING_MS = 400;

/** An entity as it is drawn. */
interface Mark extends Anchor {
  label: string;
  fill: string;
  stale: boolean;
}

export class MapPanel {
  readonly #ground = make("canvas", { class: "map-layer" });
  readonly #front = make("canvas", { class: "map-layer" });
  readonly #empty = make("p", { class: "empty", text: "Waiting for the first position." });
  readonly #host: HTMLElement;
  readonly #colours: Colours;
  readonly #playheads = new Map<string, Playhead>();
  #spread = new Spread();
  #view: Projection | null = null;
  #drawn = "";
  #places = new Map<string, string>();
  #describedAt = 0;
  #width = 0;
  #height = 0;
  #ratio = 1;
  #ink = { edge: "", road: "", quiet: "", ground: "" };

  constructor(host: HTMLElement, colours: Colours) {
    this.#host = host;
    this.#colours = colours;
    host.append(this.#ground, this.#front, this.#empty);
    new ResizeObserver(() => { this.#resize(); }).observe(host);
    this.#resize();
    this.recolour();
  }

  recolour(): void {
    this.#ink = {
      edge: colour("--track-edge"),
      road: colour("--track"),
      quiet: colour("--quiet"),
      ground: colour("--panel"),
    };
    this.#drawn = "";
  }

  observe(group: Group, time: number): void {
    let playhead = this.#playheads.get(group.name);
    if (!playhead) {
      if (this.#playheads.size > 100) this.#playheads.clear();
      playhead = new Playhead();
      this.#playheads.set(group.name, playhead);
    }
    playhead.observe(time, performance.now());
  }

  /** Draws a group at a moment of the wall clock. `still` shows places without easing. */
  draw(group: Group | undefined, now: number, still: boolean): void {
    const bounds = group?.track.bounds ?? null;
    setHidden(this.#empty, bounds !== null);
    if (!group || !bounds || this.#width === 0) {
      this.#clear(this.#ground);
      this.#clear(this.#front);
      this.#drawn = "";
      return;
    }
    const sameGroup = this.#drawn.startsWith(`${group.name}|`);
    if (!sameGroup) this.#spread = new Spread();
    const wanted = fit(bounds, this.#width, this.#height, PADDING, sameGroup && (this.#view?.turn ?? 0) > 0.8);
    this.#view = still || !sameGroup || !this.#view ? wanted : ease(this.#view, wanted, 0.12);
    const { lat, lon, perLat, turn, width, height } = this.#view;
    const key = `${group.name}|${group.track.version}|${lat}|${lon}|${perLat}|${turn}|${width}|${height}`;
    if (key !== this.#drawn) this.#drawGround(group, this.#view);
    this.#drawn = key;

    const latest = group.motion.latest ?? 0;
    const time = this.#playheads.get(group.name)?.advance(now, latest) ?? latest;
    this.#drawFront(group, this.#view, time, latest, still);
    if (now - this.#describedAt > DESCRIBE_MS) this.#describe(group, now);
  }

  #drawGround(group: Group, view: Projection): void {
    const pen = this.#clear(this.#ground);
    if (!pen) return;
    const path = new Path2D();
    let end = { x: NaN, y: NaN };
    for (const { a, b } of group.track.segments) {
      const [from, to] = [project(view, a), project(view, b)];
      if (from.x !== end.x || from.y !== end.y) path.moveTo(from.x, from.y);
      path.lineTo(to.x, to.y);
      end = to;
    }
    pen.lineCap = pen.lineJoin = "round";
    const road = Math.max(7, Math.min(this.#width, this.#height) / 62);
    pen.strokeStyle = this.#ink.edge;
    pen.lineWidth = road + 3;
    pen.stroke(path);
    pen.strokeStyle = this.#ink.road;
    pen.lineWidth = road;
    pen.stroke(path);
    this.#drawCompass(pen, view.turn);
  }

  /** Says where north is, since the picture may be turned. */
  #drawCompass(pen: CanvasRenderingContext2D, turn: number): void {
    pen.save();
    pen.translate(this.#width - 26, 28);
    pen.rotate(turn);
    pen.beginPath();
    pen.moveTo(0, -14);
    pen.lineTo(5.5, 1);
    pen.lineTo(0, -2);
    pen.lineTo(-5.5, 1);
    pen.closePath();
    pen.fillStyle = this.#ink.quiet;
    pen.fill();
    pen.translate(0, 10);
    pen.rotate(-turn);
    pen.font = `600 11px ${FONT}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText("N", 0, 0);
    pen.restore();
  }

  #drawFront(group: Group, view: Projection, time: number, latest: number, still: boolean): void {
    const pen = this.#clear(this.#front);
    if (!pen) return;
    const radius = Math.max(9, Math.min(14, Math.min(this.#width, this.#height) / 48));
    pen.lineCap = pen.lineJoin = "round";
    pen.font = `600 ${Math.round(radius * 1.15)}px ${FONT}`;
    const shown: Mark[] = [];
    for (const entity of this.#order(group)) {
      const samples = group.motion.samples(entity);
      const at = group.motion.at(entity, time);
      const last = samples.at(-1);
      if (!at || !last || latest - last.time > GONE_MS) continue;
      const fill = this.#colours.of(entity);
      const stale = latest - last.time > STALE_MS;
      if (!stale) this.#tail(pen, view, samples, at, time, fill, radius);
      const place = project(view, at);
      const before = project(view, group.motion.at(entity, time - HEADING_MS) ?? at);
      const label = entity.slice(0, 12);
      const half = entity.length <= 2 ? radius : Math.max(radius, pen.measureText(label).width / 2 + 7);
      shown.push({ ...place, dx: place.x - before.x, dy: place.y - before.y, entity, half, label, fill, stale });
    }
    shown.reverse();
    const placed = this.#spread.place(shown, radius, this.#width, this.#height, still);
    shown.forEach((mark, index) => { this.#pin(pen, mark, placed[index] ?? mark, radius); });
    shown.forEach((mark, index) => { this.#label(pen, mark, placed[index] ?? mark, radius); });
    pen.globalAlpha = 1;
  }

  /** The place itself, and a line to the label where that stands beside it. */
  #pin(pen: CanvasRenderingContext2D, { x, y, fill, stale }: Mark, label: Placed, radius: number): void {
    pen.globalAlpha = stale ? 0.4 : 1;
    pen.strokeStyle = fill;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(label.x, label.y);
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, radius * 0.36, 0, 2 * Math.PI);
    pen.fillStyle = fill;
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = this.#ink.ground;
    pen.stroke();
  }

  #label(pen: CanvasRenderingContext2D, { label, half, fill, stale }: Mark, { x, y }: Placed, radius: number): void {
    pen.textBaseline = "middle";
    pen.textAlign = "center";
    pen.globalAlpha = stale ? 0.4 : 1;
    pen.beginPath();
    pen.roundRect(x - half, y - radius, half * 2, radius * 2, radius);
    pen.fillStyle = fill;
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = this.#ink.ground;
    pen.stroke();
    pen.fillStyle = "#fff";
    pen.fillText(label, x, y + 0.5);
  }

  /** Whoever is first on the board is drawn last, above the others. */
  #order(group: Group): string[] {
    const places = new Map(group.board.order.map((entity, index) => [entity, index]));
    const place = (entity: string): number => places.get(entity) ?? Infinity;
    return [...group.motion.entities()].sort((a, b) => (place(a) < place(b) ? -1 : 1));
  }

  /** The way of the last seconds, fading. */
  #tail(pen: CanvasRenderingContext2D, view: Projection, samples: readonly Sample[], at: Sample, time: number, fill: string, radius: number): void {
    const points = samples.filter((sample) => sample.time < time && sample.time > time - TAIL_MS);
    pen.strokeStyle = fill;
    // Round ends would overlap, and show as beads since they are translucent.
    pen.lineCap = "butt";
    let from = points[0];
    points.push(at);
    for (const to of points) {
      if (from && from !== to) {
        const [a, b] = [project(view, from), project(view, to)];
        const age = Math.min(1, Math.max(0, (time - to.time) / TAIL_MS));
        pen.globalAlpha = 0.65 * (1 - age);
        pen.lineWidth = Math.max(2, radius * 0.6 * (1 - age * 0.6));
        pen.beginPath();
        pen.moveTo(a.x, a.y);
        pen.lineTo(b.x, b.y);
        pen.stroke();
      }
      from = to;
    }
    pen.globalAlpha = 1;
  }

  /** Says in words how many entities have moved since the last time. */
  #describe(group: Group, now: number): void {
    this.#describedAt = now;
    let moving = 0;
    const places = new Map<string, string>();
    for (const entity of group.motion.entities()) {
      const last = group.motion.samples(entity).at(-1);
      const place = last ? `${last.lat},${last.lon}` : "";
      places.set(entity, place);
      if (this.#places.has(entity) && this.#places.get(entity) !== place) moving += 1;
    }
    this.#places = places;
    this.#host.dataset.moving = String(moving);
    this.#host.setAttribute("aria-label", `Map with ${places.size} entities, ${moving} of them moving`);
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#host;
    this.#ratio = Math.min(3, devicePixelRatio || 1);
    this.#width = clientWidth;
    this.#height = clientHeight;
    for (const layer of [this.#ground, this.#front]) {
      layer.width = Math.round(clientWidth * this.#ratio);
      layer.height = Math.round(clientHeight * this.#ratio);
    }
    this.#view = null;
    this.#drawn = "";
  }

  #clear(layer: HTMLCanvasElement): CanvasRenderingContext2D | null {
    const pen = layer.getContext("2d");
    if (!pen) return null;
    pen.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    pen.clearRect(0, 0, this.#width, this.#height);
    return pen;
  }
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
