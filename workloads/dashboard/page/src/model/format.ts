// Numbers, times and names for people, in fixed widths where they change often.

import { parsePath } from "./path";

export function fixed(value: number, digits: number): string {
  return value.toFixed(Math.min(Math.max(0, digits), 12));
}

/** A rate: two significant steps are enough, and the width stays small. */
export function rate(value: number): string {
  if (value === 0) return "0";
  if (value < 10) return value.toFixed(1);
  if (value < 10_000) return String(Math.round(value));
  return `${(value / 1000).toFixed(value < 100_000 ? 1 : 0)}k`;
}

export function count(value: number): string {
  if (value < 100_000) return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  if (value < 10_000_000) return `${(value / 1000).toFixed(0)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let rest = value;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? rest : rest.toFixed(rest < 10 ? 1 : 0)} ${units[unit] ?? ""}`;
}

/** How long something is, from milliseconds. */
export function duration(ms: number): string {
  const abs = Math.max(0, ms);
  if (abs < 950) return `${Math.round(abs / 10) * 10} ms`;
  if (abs < 9950) return `${(abs / 1000).toFixed(1)} s`;
  if (abs < 60_000) return `${Math.floor(abs / 1000)} s`;
  const minutes = Math.floor(abs / 60_000);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d`;
}

/** A measured time, from milliseconds: as on a stopwatch from a minute on. */
export function stopwatch(ms: number, digits: number): string {
  const whole = Math.round(ms);
  if (whole < 60_000) return `${fixed(ms, digits)} ms`;
  const seconds = ((whole % 60_000) / 1000).toFixed(3).padStart(6, "0");
  return `${Math.floor(whole / 60_000)}:${seconds}`;
}

/** The time of day in the viewer's zone, 24 hours. */
export function clock(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "–";
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The whole moment in UTC, for a tooltip. */
export function instant(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString();
}

/** What to call the entities that a path names: `Car` for `.carIndex`. */
export function entityTitle(path: string): string {
  const leaf = parsePath(path)?.filter((segment) => typeof segment === "string").at(-1) ?? "";
  const words = leaf.replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2").split(/[\s_-]+/).filter((word) => word !== "");
  if (words.length > 1 && /^(index|id|no|number|key|name)$/i.test(words.at(-1) ?? "")) words.pop();
  const title = words.join(" ").toLowerCase();
  return title === "" || title === "id" ? "Entity" : title.charAt(0).toUpperCase() + title.slice(1);
}
