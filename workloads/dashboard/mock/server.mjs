// A stand-in for a running pipeline: the API's shape, a simulated race, and the built page.
//
// For development and the page's own tests. `MOCK_PORT` (8090), `MOCK_RACES` (1), `MOCK_READY=no`.
// `POST /mock/down?ms=5000` cuts all connections and refuses new ones for a while.

import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { Race, readLap } from "./race.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "../dist");
const port = Number(process.env.MOCK_PORT ?? 8090);
const races = Number(process.env.MOCK_RACES ?? 1);
const ready = process.env.MOCK_READY !== "no";
const started = Date.now();

const pipeline = {
  name: "race",
  version: "0.1.0",
  mqtt: { address: "127.0.0.1:1883" },
  streams: [
    { name: "coordinates", kind: "ingested", partitions: 1 },
    ...["motion", "positions", "laps", "status", "commentary", "report"].map((name) => ({ name, kind: "derived", partitions: 1 })),
    { name: "dead-letters", kind: "deadLetters", partitions: 1 },
  ],
  ingest: [{ name: "cars", to: "coordinates", protocol: "mqtt", topics: ["carCoordinates", "carCoordinates/+"] }],
  processors: [
    { name: "motion", kind: "motion", from: ["coordinates"], output: "motion", stage: "motion" },
    { name: "positions", kind: "rank", from: ["motion"], output: "positions", stage: "motion" },
    { name: "laps", kind: "laps", from: ["motion"], output: "laps", stage: "motion" },
    { name: "status", kind: "map", from: ["motion", "positions"], output: "status", stage: "motion" },
    { name: "commentary", kind: "map", from: ["positions", "laps"], output: "commentary", stage: "motion" },
  ],
  sinks: [
    { name: "carStatus", kind: "mqtt", from: ["status"] },
    { name: "events", kind: "mqtt", from: ["commentary"] },
    { name: "standings", kind: "table", from: ["positions"], table: "standings" },
  ],
  tables: [],
  dashboard: {
    map: { from: "motion", entity: ".carIndex", latitude: ".location.lat", longitude: ".location.long", group: ".race" },
    board: {
      group: ".race",
      columns: [
        { title: "Position", from: "positions", entity: ".entity", value: ".position", unit: "", digits: 0 },
        { title: "Speed", from: "motion", entity: ".carIndex", value: ".speed", unit: "mph", digits: 1 },
      ],
    },
    feed: { from: "commentary", text: ".text" },
    charts: [
      { title: "Speed", from: "motion", each: null, series: ".carIndex", value: ".speed", unit: "mph" },
      { title: "Speeds of a report", from: "report", each: ".counters", series: ".car", value: ".mean", unit: "mph" },
    ],
  },
};

const description = {
  openapi: "3.1.0",
  info: { title: "race", version: "0.1.0" },
  tags: [{ name: "management", description: "What every pipeline answers." }],
  paths: {
    "/api/v1/status": { get: { operationId: "status", tags: ["management"], summary: "What the pipeline is doing", responses: { 200: { description: "Parts and streams.", content: { "application/json": {} } } } } },
    "/api/v1/streams/{stream}/records": {
      get: {
        operationId: "records", tags: ["management"], summary: "A page of records", responses: { 200: { description: "Records." } },
        parameters: [{ name: "stream", in: "path", required: true, schema: { type: "string" } }, { name: "limit", in: "query", schema: { type: "integer" } }],
      },
    },
  },
};

const logs = new Map(pipeline.streams.map(({ name }) => [name, { records: [], start: 0, rate: 0, counted: 0 }]));
const listeners = new Set();
let downUntil = 0;

function append(stream, key, value, eventTime) {
  const log = logs.get(stream);
  const offset = log.start + log.records.length;
  const record = { partition: 0, offset, key, eventTime, ingestTime: Date.now(), id: `${stream}-${offset}`, headers: {}, value };
  log.records.push(record);
  if (log.records.length > 20_000) log.start += log.records.splice(0, 5000).length;
  for (const listener of listeners) if (listener.next.has(stream)) send(listener, stream, record);
}

function send({ response, next }, stream, record) {
  next.set(stream, record.offset + 1);
  const cursor = [...next].map(([name, offset]) => `${name}:0-${offset}`).join(";");
  response.write(`id: ${cursor}\nevent: record\ndata: ${JSON.stringify({ stream, ...record })}\n\n`);
}

const lap = readLap(join(here, "../../../examples/data/silverstone-standing-lap.csv"));
const past = 130_000;
const all = Array.from({ length: races }, (_, index) => new Race(index === 0 ? "race" : `heat-${index}`, lap, started - past, append));
for (let time = 0; time < past; time += 200) for (const race of all) race.tick();
for (const text of ['{"timestamp":"yesterday"}', "not JSON at all <script>alert(1)</script>"]) {
  append("dead-letters", null, { stage: "ingest cars", reason: text.startsWith("{") ? "timestamp: \"yesterday\" is not of type \"integer\"" : "the body is not JSON: expected ident at line 1 column 2", preview: text }, Date.now());
}
setInterval(() => { for (const race of all) race.tick(); }, 200);
setInterval(() => {
  const counters = all[0].cars.map(({ car, pace }) => ({ car, mean: 100 * pace + Math.random() * 5 }));
  append("report", null, { counters }, Date.now());
}, 500);
setInterval(() => {
  for (const log of logs.values()) {
    const end = log.start + log.records.length;
    log.rate = log.counted === 0 ? 0 : end - log.counted;
    log.counted = end;
  }
}, 1000);

function status() {
  const now = Date.now();
  const component = (kind, name, more = {}) => ({ kind, name, state: "running", lag: 0, watermark: null, ...more });
  return {
    ready,
    reasons: ready ? [] : ["sink standings: the database is locked by another program", "task motion/0 is restoring its state"],
    uptimeSeconds: Math.round((now - started) / 1000),
    components: [
      component("endpoint", "mqtt"), component("endpoint", "http"), component("ingest", "cars"),
      component("task", "motion", { partition: 0, lag: 6, watermark: now - 250 }),
      component("sink", "carStatus", { stream: "status", partition: 0, lag: 2 }),
      component("sink", "events", { stream: "commentary", partition: 0 }),
      component("sink", "standings", { stream: "positions", partition: 0, ...(ready ? {} : { state: "waiting", reason: "the database is locked", lag: 812 }) }),
    ],
    streams: [...logs].map(([name, log]) => ({
      name, records: log.records.length, recordsPerSecond: log.rate,
      partitions: [{ partition: 0, start: log.start, end: log.start + log.records.length, highestEventTime: log.records.at(-1)?.eventTime ?? null }],
    })),
    log: { diskBytes: 48_318_382, records: 20_000, syncs: 800, syncSeconds: 0.4 },
  };
}

function page(stream, query) {
  const log = logs.get(stream);
  const end = log.start + log.records.length;
  const from = query.get("from") ?? "start";
  const wanted = from === "start" ? log.start : from.startsWith("end-") ? end - Number(from.slice(4)) : Number(from);
  const first = Math.max(log.start, Math.min(end, wanted));
  const records = log.records.slice(first - log.start, first - log.start + Number(query.get("limit") ?? 100));
  return { records, next: first + records.length };
}

function follow(query, request, response) {
  const names = (query.get("streams") ?? "").split(",");
  if (!names.every((name) => logs.has(name))) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(": hello\n\n");
  const from = request.headers["last-event-id"] ?? query.get("from") ?? "now";
  const listener = { response, next: new Map() };
  for (const name of names) listener.next.set(name, logs.get(name).start + logs.get(name).records.length);
  for (const [, name, offset] of from.matchAll(/([^;:]+):0-(\d+)/g)) {
    const log = logs.get(name);
    for (const record of log?.records.slice(Math.max(0, Number(offset) - log.start)) ?? []) send(listener, name, record);
  }
  listeners.add(listener);
  response.on("close", () => listeners.delete(listener));
}

const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

function file(path, response) {
  const name = join(dist, normalize(path === "/" ? "/index.html" : path));
  if (!name.startsWith(dist) || !existsSync(name)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[name.split(".").pop()] ?? "application/octet-stream", "content-security-policy": POLICY });
  return response.end(readFileSync(name));
}

function answer(response, value) {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://mock");
  if (pathname === "/mock/down") {
    downUntil = Date.now() + Number(searchParams.get("ms") ?? 5000);
    for (const { response: open } of listeners) open.destroy();
    return response.end();
  }
  if (Date.now() < downUntil) return request.socket.destroy();
  if (pathname === "/api/v1/events") return follow(searchParams, request, response);
  const records = /^\/api\/v1\/streams\/([^/]+)\/records$/.exec(pathname);
  if (records && logs.has(records[1])) return answer(response, page(records[1], searchParams));
  if (pathname === "/openapi") return file("/openapi.html", response);
  if (pathname === "/openapi.json") return answer(response, description);
  if (pathname === "/api/v1/pipeline") return answer(response, pipeline);
  if (pathname === "/api/v1/status") return answer(response, status());
  if (pathname === "/api/v1/dead-letters") {
    const letters = page("dead-letters", searchParams).records.map(({ offset, eventTime, ingestTime, value }) => ({ offset, ...value, eventTime, ingestTime, bytes: value.preview.length }));
    return answer(response, { deadLetters: letters, next: null });
  }
  return file(pathname, response);
}).listen(port, "127.0.0.1", () => console.log(`mock pipeline on http://127.0.0.1:${port}`));
