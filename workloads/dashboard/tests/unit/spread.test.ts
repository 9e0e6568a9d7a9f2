import { describe, expect, it } from "vitest";

import { Spread } from "../../page/src/model/spread";

const anchor = (entity: string, x: number, y: number) => ({ entity, x, y, half: 10, dx: 5, dy: 0 });

describe("labels of places", () => {
  it("stay on entities that have room", () => {
    const placed = new Spread().place([anchor("0", 100, 100), anchor("1", 200, 100)], 10, 400, 300, true);
    expect(placed).toEqual([{ x: 100, y: 100 }, { x: 200, y: 100 }]);
  });

  it("do not overlap where six entities are close together", () => {
    const six = [0, 1, 2, 3, 4, 5].map((n) => anchor(String(n), 200 + 4 * n, 150));
    const placed = new Spread().place(six, 10, 400, 300, true);
    for (const [i, a] of placed.entries()) {
      for (const b of placed.slice(i + 1)) expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(19);
    }
    // Half of them on either side of the way.
    expect(placed.filter(({ y }) => y < 150)).toHaveLength(3);
  });

  it("do not jump when entities meet", () => {
    const spread = new Spread();
    spread.place([anchor("0", 100, 100), anchor("1", 200, 100)], 10, 400, 300, false);
    const [first] = spread.place([anchor("0", 150, 100), anchor("1", 152, 100)], 10, 400, 300, false);
    expect(Math.hypot((first?.x ?? 0) - 150, (first?.y ?? 0) - 100)).toBeLessThan(4);
  });

  it("stay within the map", () => {
    const [placed] = new Spread().place([anchor("0", 1, 1)], 10, 400, 300, true);
    expect(placed).toEqual({ x: 12, y: 12 });
  });
});
