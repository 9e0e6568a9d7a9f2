// Requests to the API of the server that served the page, wherever it is mounted.

import type { DeadLetter, Pipeline, RecordPage, Status } from "./types";

const TIMEOUT_MS = 8000;

export function apiUrl(path: string, base: string = document.baseURI): string {
  return new URL(`api/v1/${path}`, base).href;
}

/** Where several streams are followed at once; each event names its stream. */
export function eventsUrl(streams: readonly string[], from: string): string {
  return apiUrl(`events?streams=${encodeURIComponent(streams.join(","))}&from=${encodeURIComponent(from)}`);
}

export function getPipeline(): Promise<Pipeline> {
  return get<Pipeline>("pipeline");
}

export function getStatus(): Promise<Status> {
  return get<Status>("status");
}

export function getRecords(stream: string, partition: number, from: string, limit: number): Promise<RecordPage> {
  const query = `partition=${partition}&from=${encodeURIComponent(from)}&limit=${limit}`;
  return get<RecordPage>(`streams/${encodeURIComponent(stream)}/records?${query}`);
}

export async function getDeadLetters(from: number, limit: number): Promise<DeadLetter[]> {
  return (await get<{ deadLetters: DeadLetter[] }>(`dead-letters?from=${from}&limit=${limit}`)).deadLetters;
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(apiUrl(path), {
    headers: { accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  // The status answers with its reasons even when the pipeline is not ready.
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return (await response.json()) as T;
}
