// The recent past of a stream, so that a page just opened is not empty, and where it ends.

import { getRecords } from "../api/client";
import type { RecordPage, StreamRecord } from "../api/types";
import { Cursor } from "./cursor";
import type { ReadPage } from "./poller";

export interface Tail {
  records: StreamRecord[];
  cursor: string;
}

const PAGE = 1000;
/** More partitions than this start empty: their tails would be many requests. */
const MAX_PARTITIONS = 16;

/** Reads about the last `length` records over all partitions, in event-time order. */
export async function readTail(stream: string, partitions: number, length: number, read: ReadPage = getRecords): Promise<Tail> {
  if (partitions > MAX_PARTITIONS) return { records: [], cursor: "now" };
  const each = Math.ceil(length / Math.max(1, partitions));
  const cursor = new Cursor();
  const records: StreamRecord[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    const found = await readEnd(stream, partition, each, read);
    for (const record of found.records) records.push(record);
    cursor.set(partition, found.next);
  }
  records.sort((a, b) => a.eventTime - b.eventTime);
  return { records, cursor: cursor.toString() };
}

/** Reads the last records of a partition. */
async function readEnd(stream: string, partition: number, count: number, read: ReadPage): Promise<RecordPage> {
  const found: RecordPage = { records: [], next: 0 };
  let from = `end-${count}`;
  // A stream that grows faster than it is read must not hold up the page.
  for (let page = 0; page <= Math.ceil(count / PAGE); page += 1) {
    const { records, next } = await read(stream, partition, from, PAGE);
    for (const record of records) found.records.push(record);
    found.next = next;
    if (String(next) === from || (records.length === 0 && page > 0)) break;
    from = String(next);
  }
  return found;
}
