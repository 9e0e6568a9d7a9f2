// Starts the page: asks for the pipeline, makes its panels, and keeps them up to date.

import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/charts.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/pipeline.css";

import { getPipeline } from "./api/client";
import type { Pipeline, Status } from "./api/types";
import { Feeder } from "./live/feeder";
import { StatusWatch } from "./live/watch";
import { Colours } from "./model/colour";
import { ChartData } from "./model/chart";
import { bytes, duration, entityTitle } from "./model/format";
import { Groups } from "./model/groups";
import { gather, hasStartedOver } from "./model/status";
import { Banner } from "./view/banner";
import { BoardPanel } from "./view/board";
import { ChartPanel } from "./view/chart";
import { DeadPanel } from "./view/dead";
import { byId, prefersStillness, setHidden, setText } from "./view/dom";
import { FeedPanel } from "./view/feed";
import { GraphPanel } from "./view/graph";
import { GroupChoice } from "./view/groupchoice";
import { MapPanel } from "./view/map";
import { RatesPanel } from "./view/rates";
import { themeToggle } from "./view/theme";

/** A hidden page gives its connections back after so long: other tabs may need them. */
const HIDDEN_MS = 10_000;
/** After an absence of so long the page begins anew with the recent past. */
const ABSENT_MS = 60_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;

const banner = new Banner(byId("health"), byId("banner"));

async function begin(wait: number): Promise<void> {
  try {
    run(await getPipeline());
  } catch (error) {
    console.warn("The pipeline could not be read.", error);
    banner.show("lost", []);
    setTimeout(() => void begin(Math.min(LONGEST_RETRY_MS, wait * 2)), wait);
  }
}

function run(pipeline: Pipeline): void {
  setText(byId("name"), pipeline.name);
  document.title = `${pipeline.name} · Millrace`;
  const address = byId("address");
  setText(address, pipeline.mqtt ? `mqtt://${pipeline.mqtt.address}` : "");
  setHidden(address, pipeline.mqtt === null);

  const colours = new Colours();
  const { map: mapView, board: boardView, feed: feedView } = pipeline.dashboard ?? {};
  const map = mapView ? new MapPanel(byId("map"), colours) : null;
  const board = boardView ? new BoardPanel(byId("board"), boardView, entityTitle(mapView?.entity ?? boardView.columns[0]?.entity ?? ""), colours) : null;
  const feed = feedView ? new FeedPanel(byId("feed"), colours) : null;
  const views = byId("views");
  setHidden(byId("map-panel"), map === null);
  setHidden(byId("board-panel"), board === null);
  setHidden(byId("feed-panel"), feed === null);
  setHidden(views, map === null && board === null && feed === null);
  views.classList.toggle("no-map", map === null);
  const sides = [board, feed].filter((panel) => panel !== null).length;
  views.classList.toggle("one-side", sides === 1);
  views.classList.toggle("no-side", sides === 0);
  const charts = (pipeline.dashboard?.charts ?? []).map((view) => new ChartPanel(byId("charts"), view, new ChartData(view), colours));
  setHidden(byId("charts"), charts.length === 0);
  byId("pipeline").hidden = false;
  document.body.classList.add("started");

  const graph = new GraphPanel(byId("graph"), pipeline);
  const rates = new RatesPanel(byId("streams"), byId("parts"));
  const dead = new DeadPanel(byId("dead-panel"), byId("dead-count"), pipeline);
  const choice = new GroupChoice(byId("group-label"), byId("group") as HTMLSelectElement);
  const groups = new Groups(pipeline.dashboard ?? {}, (group, time) => map?.observe(group, time));
  const streams = [...new Set([...groups.streams, ...charts.map(({ stream }) => stream)])];
  const feeder = new Feeder((stream, record) => {
    groups.take(stream, record);
    for (const chart of charts) chart.take(stream, record);
  }, () => { watch.ask(); });

  themeToggle(byId("theme") as HTMLButtonElement, () => {
    map?.recolour();
    rates.recolour();
    for (const chart of charts) chart.recolour();
  });

  let last: Status | null = null;
  let lastAt = Date.now();
  let lost = false;
  const watch = new StatusWatch(
    (status) => {
      if (last && status.uptimeSeconds < last.uptimeSeconds) void checkRestart(pipeline, last, status);
      last = status;
      if (Date.now() - lastAt > ABSENT_MS && !document.hidden) feeder.restart(pipeline, streams);
      else if (lost) feeder.hurry();
      lastAt = Date.now();
      lost = false;
      const parts = gather(status.components);
      banner.show(status.ready ? "ready" : "notReady", status.reasons);
      graph.update(status, parts);
      rates.update(status, parts, performance.now() / 1000);
      setText(byId("uptime"), `up ${duration(status.uptimeSeconds * 1000)}`);
      // A log of brokers takes nothing of this disk.
      setText(byId("disk"), status.log?.diskBytes ? `log ${bytes(status.log.diskBytes)}` : "");
      setText(byId("trouble"), troubleOf(feeder));
      dead.update(status).catch((error: unknown) => { console.warn("The dead letters could not be read.", error); });
    },
    () => {
      lost = true;
      banner.show("lost", []);
    },
  );
  watch.ask();
  feeder.start(pipeline, streams);
  pauseWhenHidden(feeder, watch, () => { feeder.restart(pipeline, streams); });

  const still = prefersStillness();
  const frame = (now: number): void => {
    feeder.drain();
    const name = choice.update(groups);
    const group = name === null ? undefined : groups.get(name);
    map?.draw(group, now, still);
    board?.draw(group, now);
    feed?.draw(group);
    for (const chart of charts) chart.draw(now);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

/** After a restart the resource may be another, or the log: then the page starts over, too. */
async function checkRestart(pipeline: Pipeline, before: Status, after: Status): Promise<void> {
  const now = await getPipeline().catch(() => null);
  if (now === null) return;
  if (JSON.stringify(now) !== JSON.stringify(pipeline) || hasStartedOver(before, after)) location.reload();
}

function troubleOf(feeder: Feeder): string {
  if (feeder.lost > 0) return `${feeder.lost} of the streams cannot be followed: trying again`;
  return feeder.dropped > 0 ? `${feeder.dropped} records passed over: this page cannot follow` : "";
}

function pauseWhenHidden(feeder: Feeder, watch: StatusWatch, restart: () => void): void {
  let since = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) {
      since = Date.now();
      timer = setTimeout(() => { feeder.pause(); }, HIDDEN_MS);
    } else {
      if (Date.now() - since > ABSENT_MS) restart();
      else feeder.resume();
      watch.ask();
    }
  });
}

void begin(FIRST_RETRY_MS);
