// The board: a table whose rows glide to their places.

import type { BoardColumn, BoardView } from "../api/types";
import type { Cell, Row } from "../model/board";
import type { Colours } from "../model/colour";
import { fixed, stopwatch } from "../model/format";
import type { Group } from "../model/groups";
import { make, prefersStillness, setHidden, setText } from "./dom";

const MAX_ROWS = 100;
const REFRESH_MS = 100;
const GLIDE_MS = 450;
const MARK_MS = 6000;

interface Line {
  row: HTMLTableRowElement;
  cells: HTMLElement[];
  mark: HTMLElement;
}

export class BoardPanel {
  readonly #columns: BoardColumn[];
  readonly #colours: Colours;
  /** Whether the first column counts places: it then stands before the name. */
  readonly #placed: boolean;
  readonly #body = make("tbody");
  readonly #more = make("p", { class: "note" });
  readonly #empty = make("p", { class: "empty", text: "Waiting for the first values." });
  readonly #lines = new Map<string, Line>();
  #order: string[] = [];
  #group: string | null = null;
  #drawnAt = 0;

  constructor(host: HTMLElement, view: BoardView, title: string, colours: Colours) {
    this.#columns = view.columns;
    this.#colours = colours;
    const [first] = view.columns;
    this.#placed = first !== undefined && (first.digits ?? 0) === 0 && (first.unit ?? "") === "";
    const head = make("tr", {}, make("th", { class: "who", text: title, attributes: { scope: "col" } }));
    for (const [index, { title, unit }] of view.columns.entries()) {
      if (index === 0 && this.#placed) {
        head.prepend(make("th", { class: "place", attributes: { scope: "col", "aria-label": title, title } }, make("span", { text: title.slice(0, 3) })));
        continue;
      }
      const cell = make("th", { text: title, attributes: { scope: "col" } });
      if (unit !== undefined && unit !== null && unit !== "" && unit !== "ms") cell.append(" ", make("span", { class: "unit", text: unit }));
      head.append(cell);
    }
    const table = make("table", { class: "board" }, make("thead", {}, head), this.#body);
    host.append(table, this.#more, this.#empty);
    setHidden(this.#more, true);
  }

  draw(group: Group | undefined, now: number): void {
    if (now - this.#drawnAt < REFRESH_MS) return;
    this.#drawnAt = now;
    const rows = group?.board.rows(now) ?? [];
    const shown = rows.slice(0, MAX_ROWS);
    const fresh = this.#group !== (group?.name ?? null);
    this.#group = group?.name ?? null;
    setHidden(this.#empty, rows.length > 0);
    setHidden(this.#more, rows.length <= MAX_ROWS);
    setText(this.#more, `and ${rows.length - MAX_ROWS} more`);

    for (const row of shown) this.#fill(row, now);
    const order = shown.map(({ entity }) => entity);
    if (fresh || order.join("\n") !== this.#order.join("\n")) this.#arrange(order, fresh || prefersStillness());
  }

  #fill({ entity, cells, moved }: Row, now: number): void {
    const line = this.#line(entity);
    this.#columns.forEach((column, index) => {
      const cell = line.cells[index];
      if (cell) setText(cell, textOf(cells[index], column));
    });
    const visible = moved !== null && now - moved.at < MARK_MS;
    const mark = visible ? (moved.by < 0 ? "up" : "down") : "";
    if (line.mark.dataset.move !== mark) {
      line.mark.dataset.move = mark;
      line.mark.textContent = mark === "" ? "" : mark === "up" ? "▲" : "▼";
    }
  }

  #line(entity: string): Line {
    const known = this.#lines.get(entity);
    if (known) return known;
    const chip = make("span", { class: "chip", attributes: { "aria-hidden": "true" } });
    chip.style.backgroundColor = this.#colours.of(entity);
    const mark = make("span", { class: "mark", attributes: { "aria-hidden": "true" } });
    const name = make("span", { class: "name", text: entity, attributes: { title: entity } });
    const who = make("th", { class: "who", attributes: { scope: "row" } }, make("span", { class: "who-line" }, chip, name, mark));
    const row = make("tr", {}, who);
    const cells = this.#columns.map((_, index) => {
      const placed = index === 0 && this.#placed;
      const cell = make("td", placed ? { class: "place" } : {});
      if (placed) row.prepend(cell);
      else row.append(cell);
      return cell;
    });
    const line = { row, cells, mark };
    this.#lines.set(entity, line);
    return line;
  }

  /** Puts rows in order; those that moved start from where they were seen and glide. */
  #arrange(order: string[], still: boolean): void {
    const before = new Map<string, number>();
    if (!still) for (const entity of this.#order) before.set(entity, this.#line(entity).row.getBoundingClientRect().top);
    this.#body.replaceChildren(...order.map((entity) => this.#line(entity).row));
    const kept = new Set(order);
    for (const entity of this.#lines.keys()) if (!kept.has(entity)) this.#lines.delete(entity);
    this.#order = order;
    if (still) return;
    for (const entity of order) {
      const { row } = this.#line(entity);
      const from = before.get(entity);
      if (from === undefined) continue;
      const by = from - row.getBoundingClientRect().top;
      if (Math.abs(by) < 1) continue;
      row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: GLIDE_MS, easing: "cubic-bezier(.2,.8,.2,1)" });
    }
  }
}

function textOf(cell: Cell | undefined, { unit, digits }: BoardColumn): string {
  if (cell === undefined) return "–";
  if (typeof cell === "string") return cell;
  return unit === "ms" ? stopwatch(cell, digits ?? 0) : fixed(cell, digits ?? 0);
}
