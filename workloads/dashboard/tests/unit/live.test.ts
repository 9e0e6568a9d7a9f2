import { describe, expect, it } from "vitest";

import type { StreamRecord } from "../../page/src/api/types";
import { Batch } from "../../page/src/live/batch";
import { Cursor } from "../../page/src/live/cursor";
import { Follower } from "../../page/src/live/follower";
import type { Channel } from "../../page/src/live/follower";
import { Poller } from "../../page/src/live/poller";
import { readTail } from "../../page/src/live/tail";

describe("a cursor", () => {
  it("is written with its partitions in order", () => {
    expect(new Cursor([[1, 55], [0, 12]]).toString()).toBe("0-12,1-55");
    expect(Cursor.parse("0-12,1-55")?.get(1)).toBe(55);
  });

  it("is read only from what is one", () => {
    for (const text of ["", "now", "0", "0-", "a-1", "0-1,"]) expect(Cursor.parse(text), text).toBeNull();
  });
});

describe("a batch", () => {
  it("hands items on in order and stops when the time is used up", () => {
    const batch = new Batch<number>(1000);
    for (let i = 0; i < 100; i += 1) batch.push(i);
    const seen: number[] = [];
    let clock = 0;
    const handled = batch.drain((item) => { seen.push(item); clock += 1; }, 20, () => clock);
    expect(handled).toBe(32);
    expect(seen[31]).toBe(31);
    expect(batch.size).toBe(68);
  });

  it("throws the oldest away at its limit, and counts them", () => {
    const batch = new Batch<number>(10);
    for (let i = 0; i < 5000; i += 1) batch.push(i);
    const seen: number[] = [];
    batch.drain((item) => { seen.push(item); }, Infinity, () => 0);
    expect(seen).toEqual([4990, 4991, 4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999]);
    expect(batch.dropped).toBe(4990);
  });
});

interface Attempt {
  from: string;
  channel: Channel;
  closed: boolean;
}

function surroundings() {
  const attempts: Attempt[] = [];
  const timers: { run: () => void; ms: number; cancelled: boolean }[] = [];
  const records: string[] = [];
  const states: string[] = [];
  const follower = new Follower(
    "0-5",
    {
      connect: (from) => {
        const attempt: Attempt = { from, closed: false, channel: { onopen: null, onrecord: null, onlost: null, close: () => { attempt.closed = true; } } };
        attempts.push(attempt);
        return attempt.channel;
      },
      later: (run, ms) => {
        const timer = { run, ms, cancelled: false };
        timers.push(timer);
        return () => { timer.cancelled = true; };
      },
      random: () => 0,
    },
    (data) => records.push(data),
    (state) => states.push(state),
  );
  return { attempts, timers, records, states, follower };
}

describe("a follower", () => {
  it("comes back after a lost connection to the record after the last one", () => {
    const { attempts, timers, records, states, follower } = surroundings();
    follower.start();
    attempts[0]?.channel.onopen?.();
    attempts[0]?.channel.onrecord?.("a", "0-6");
    attempts[0]?.channel.onrecord?.("b", "0-7");
    attempts[0]?.channel.onlost?.();
    timers[0]?.run();
    attempts[1]?.channel.onopen?.();
    expect(attempts.map(({ from }) => from)).toEqual(["0-5", "0-7"]);
    expect(attempts[0]?.closed).toBe(true);
    expect(records).toEqual(["a", "b"]);
    expect(states).toEqual(["connecting", "live", "lost", "live"]);
  });

  it("waits longer after each attempt in vain, up to ten seconds", () => {
    const { attempts, timers, follower } = surroundings();
    follower.start();
    for (let i = 0; i < 7; i += 1) {
      attempts[i]?.channel.onlost?.();
      timers[i]?.run();
    }
    expect(timers.map(({ ms }) => ms)).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
  });

  it("goes on from now when its place cannot be had any more", () => {
    const { attempts, timers, follower } = surroundings();
    follower.start();
    for (let i = 0; i < 6; i += 1) {
      attempts[i]?.channel.onlost?.();
      timers[i]?.run();
    }
    expect(attempts.map(({ from }) => from)).toEqual(["0-5", "0-5", "0-5", "0-5", "0-5", "0-5", "now"]);
  });

  it("keeps its place while it is paused", () => {
    const { attempts, follower } = surroundings();
    follower.start();
    attempts[0]?.channel.onrecord?.("a", "0-6");
    follower.pause();
    expect(attempts[0]?.closed).toBe(true);
    follower.start();
    expect(attempts[1]?.from).toBe("0-6");
  });

  it("tries at once when told that the server answers", () => {
    const { attempts, timers, follower } = surroundings();
    follower.start();
    attempts[0]?.channel.onlost?.();
    follower.hurry();
    expect(attempts).toHaveLength(2);
    expect(timers[0]?.cancelled).toBe(true);
  });
});

describe("a tail", () => {
  const record = (partition: number, offset: number, eventTime: number): StreamRecord => ({ partition, offset, key: "k", eventTime });

  it("is read from all partitions, ends in event-time order, and says where to go on", async () => {
    const asked: string[] = [];
    const { records, cursor } = await readTail("s", 2, 4, (_, partition, from) => {
      asked.push(`${partition}:${from}`);
      const page = from.startsWith("end-") ? [record(partition, 7, 20 - partition), record(partition, 8, 30 - partition)] : [];
      return Promise.resolve({ records: page, next: 9 });
    });
    expect(asked).toEqual(["0:end-2", "0:9", "1:end-2", "1:9"]);
    expect(records.map(({ eventTime }) => eventTime)).toEqual([19, 20, 29, 30]);
    expect(cursor).toBe("0-9,1-9");
  });

  it("does not run after a stream that grows faster than it is read", async () => {
    let pages = 0;
    await readTail("s", 1, 3000, () => {
      pages += 1;
      const records = Array.from({ length: 100 }, (_, i) => record(0, pages * 100 + i, pages));
      return Promise.resolve({ records, next: (pages + 1) * 100 });
    });
    expect(pages).toBe(4);
  });
});

describe("a poller", () => {
  it("takes each record once, in order, from where the tail ended", async () => {
    const seen: number[] = [];
    const poller = new Poller("s", 1, "0-5", ({ offset }) => seen.push(offset), () => undefined, (_, partition, from) => {
      const offset = Number(from);
      return Promise.resolve({ records: [{ partition, offset, key: "k", eventTime: 0 }], next: offset + 1 });
    });
    await poller.ask();
    await poller.ask();
    expect(seen).toEqual([5, 6]);
  });

  it("leaves nothing out after a failed request", async () => {
    const asked: string[] = [];
    const poller = new Poller("s", 1, "0-5", () => undefined, () => undefined, (_, __, from) => {
      asked.push(from);
      return asked.length === 1 ? Promise.reject(new Error("down")) : Promise.resolve({ records: [], next: 6 });
    });
    await poller.ask().catch(() => undefined);
    await poller.ask();
    expect(asked).toEqual(["5", "5"]);
  });
});
