// What the HTTP API answers, as far as the page uses it.

export interface Pipeline {
  name: string;
  version: string;
  mqtt: { address: string } | null;
  streams: StreamInfo[];
  ingest: { name: string; to: string; protocol: string; topics?: string[] }[];
  processors: { name: string; kind: string; from: string[]; output: string | null; stage?: string | number }[];
  sinks: { name: string; kind: string; from: string[]; table?: string | null }[];
  dashboard: Dashboard | null;
}

export interface StreamInfo {
  name: string;
  kind: string;
  partitions: number;
}

export interface Dashboard {
  map?: MapView | null;
  board?: BoardView | null;
  feed?: FeedView | null;
  charts?: ChartView[] | null;
}

export interface ChartView {
  title: string;
  from: string;
  /** The array whose items are plotted; without it the event itself is. */
  each?: string | null;
  series?: string | null;
  value: string;
  unit?: string | null;
}

export interface MapView {
  from: string;
  entity: string;
  latitude: string;
  longitude: string;
  group?: string | null;
}

export interface BoardView {
  columns: BoardColumn[];
  group?: string | null;
}

export interface BoardColumn {
  title: string;
  from: string;
  entity: string;
  value: string;
  unit?: string | null;
  digits?: number | null;
}

export interface FeedView {
  from: string;
  text: string;
}

export interface Status {
  ready: boolean;
  reasons: string[];
  uptimeSeconds: number;
  components: ComponentStatus[];
  streams: StreamStatus[];
  log: { diskBytes: number; records: number } | null;
}

export interface ComponentStatus {
  kind: string;
  name: string;
  stream?: string | null;
  partition?: number | null;
  state: string;
  reason?: string | null;
  lag: number;
  watermark: number | null;
}

export interface StreamStatus {
  name: string;
  records: number;
  recordsPerSecond: number;
  partitions: { partition: number; start: number; end: number; highestEventTime: number | null }[];
}

export interface StreamRecord {
  /** Named where several streams are followed at once. */
  stream?: string;
  partition: number;
  offset: number;
  key: string | null;
  eventTime: number;
  value?: unknown;
}

export interface RecordPage {
  records: StreamRecord[];
  next: number;
}

export interface DeadLetter {
  offset: number;
  stage: string;
  reason: string;
  ingestTime: number;
  bytes: number;
  preview: string;
}
