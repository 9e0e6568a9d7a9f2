// The recent past of a stream, so that a page just opened is not empty, and where it ends.

import { getRecords } from "../api/client";
import type { RecordPage, StreamRecord } from "../api/types";
import { Cursor } from "./cursor";

export interface Tail {
  records: StreamRecord[];
  cursor: string;
}

export type ReadPage = (stream: string, partition: number, from: string, limit: number) => Promise<RecordPage>;

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
    let from = `end-${each}`;
    // A stream that grows faster than it is read must not hold up the page.
    for (let page = 0; page <= Math.ceil(each / PAGE); page += 1) {
      const answer = await read(stream, partition, from, Math.min(PAGE, each));
      records.push(...answer.records);
      cursor.set(partition, answer.next);
      if (answer.records.length === 0 || String(answer.next) === from) break;
      from = String(answer.next);
    }
  }
  records.sort((a, b) => a.eventTime - b.eventTime);
  return { records, cursor: cursor.toString() };
}
