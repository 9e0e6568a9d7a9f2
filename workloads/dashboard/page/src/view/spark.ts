// A small line of recent rates.

import uPlot from "uplot";

import type { RateHistory } from "../model/status";
import { colour } from "./theme";

export class Spark {
  readonly #host: HTMLElement;
  readonly #history: RateHistory;
  #plot: uPlot | null = null;

  constructor(host: HTMLElement, history: RateHistory) {
    this.#host = host;
    this.#history = history;
  }

  /** Colours are read when a chart is made: a new theme needs a new one. */
  recolour(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }

  draw(): void {
    const data: uPlot.AlignedData = [this.#history.times, this.#history.rates];
    if (this.#plot) {
      this.#plot.setData(data);
      return;
    }
    const { clientWidth, clientHeight } = this.#host;
    if (clientWidth === 0) return;
    this.#plot = new uPlot(
      {
        width: clientWidth,
        height: clientHeight - 1,
        pxAlign: false,
        cursor: { show: false },
        legend: { show: false },
        select: { show: false, left: 0, top: 0, width: 0, height: 0 },
        padding: [3, 1, 2, 1],
        axes: [{ show: false }, { show: false }],
        scales: {
          // Two minutes wide from the start, so that the line grows instead of being stretched.
          x: { time: false, range: (_plot, _least, most) => [most - 120, most] },
          y: { range: (_plot, _least, most) => [0, Math.max(1, most * 1.15)] },
        },
        series: [{}, { stroke: colour("--accent"), fill: colour("--accent-soft"), width: 1.5, points: { show: false } }],
      },
      data,
      this.#host,
    );
  }
}
