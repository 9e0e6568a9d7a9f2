// A chart: a line for each series over event time, and the last values beside their names.

import uPlot from "uplot";

import type { ChartView, StreamRecord } from "../api/types";
import type { ChartData } from "../model/chart";
import type { Colours } from "../model/colour";
import { make, setHidden, setText } from "./dom";
import { colour } from "./theme";

const REFRESH_MS = 250;
const HEIGHT = 200;

export class ChartPanel {
  readonly #data: ChartData;
  readonly #unit: string;
  readonly #colours: Colours;
  readonly #plotHost = make("div", { class: "chart-plot" });
  readonly #legend = make("ul", { class: "chart-legend" });
  readonly #empty = make("p", { class: "empty", text: "Waiting for the first values." });
  readonly #more = make("p", { class: "note" });
  #plot: uPlot | null = null;
  #names = "";
  #version = -1;
  #width = 0;
  #drawnAt = 0;

  constructor(host: HTMLElement, view: ChartView, data: ChartData, colours: Colours) {
    this.#data = data;
    this.#unit = view.unit ?? "";
    this.#colours = colours;
    const heading = make("h2", { text: view.title });
    if (this.#unit !== "") heading.append(" ", make("span", { class: "unit", text: this.#unit }));
    host.append(make("section", { class: "panel chart", attributes: { "aria-label": view.title } }, heading, this.#plotHost, this.#legend, this.#more, this.#empty));
    setHidden(this.#more, true);
  }

  get stream(): string {
    return this.#data.stream;
  }

  take(stream: string, record: StreamRecord): void {
    if (stream === this.#data.stream) this.#data.take(record);
  }

  /** Colours are read when a chart is made: a new theme needs a new one. */
  recolour(): void {
    this.#plot?.destroy();
    this.#plot = null;
    this.#version = -1;
  }

  draw(now: number): void {
    if (now - this.#drawnAt < REFRESH_MS) return;
    this.#drawnAt = now;
    const width = this.#plotHost.clientWidth;
    if (width === 0 || (this.#data.version === this.#version && width === this.#width)) return;
    this.#version = this.#data.version;
    const { names, times, values } = this.#data.plotted();
    setHidden(this.#empty, names.length > 0);
    setHidden(this.#more, this.#data.leftOut === 0);
    setText(this.#more, `and ${this.#data.leftOut} more series`);
    if (names.length === 0) return;
    const data = [times, ...values] as uPlot.AlignedData;
    const key = names.join("\n");
    if (this.#plot && key === this.#names) {
      if (width !== this.#width) this.#plot.setSize({ width, height: HEIGHT });
      this.#plot.setData(data);
    } else {
      this.#plot?.destroy();
      this.#names = key;
      this.#plot = new uPlot(this.#options(names, width), data, this.#plotHost);
    }
    this.#width = width;
    this.#fillLegend(names);
  }

  #options(names: string[], width: number): uPlot.Options {
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      axes: [axis, { ...axis, size: 56 }],
      series: [
        {},
        // A series that has no value at a time of another one has no gap there.
        ...names.map((name) => ({ label: name, stroke: this.#colours.of(name), width: 1.5, spanGaps: true, points: { show: false } })),
      ],
    };
  }

  #fillLegend(names: string[]): void {
    names.forEach((name, index) => {
      let item = this.#legend.children[index];
      if (item?.getAttribute("data-name") !== name) {
        const chip = make("span", { class: "chip", attributes: { "aria-hidden": "true" } });
        chip.style.backgroundColor = this.#colours.of(name);
        const fresh = make("li", { attributes: { "data-name": name } }, chip, make("span", { class: "name", text: name }), make("strong"));
        if (item) item.replaceWith(fresh);
        else this.#legend.append(fresh);
        item = fresh;
      }
      const value = this.#data.last(name);
      if (item.lastElementChild) setText(item.lastElementChild, value === undefined ? "–" : `${shown(value)}${this.#unit === "" ? "" : ` ${this.#unit}`}`);
    });
  }
}

function shown(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
