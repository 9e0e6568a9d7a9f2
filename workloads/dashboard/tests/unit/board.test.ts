import { describe, expect, it } from "vitest";

import { Board, compareNames } from "../../page/src/model/board";

const order = (board: Board, now = 0): string[] => board.rows(now).map(({ entity }) => entity);

describe("the board", () => {
  it("orders rows by the first column, and those without a value last", () => {
    const board = new Board(2);
    board.set("b", 1, 50, 0);
    board.set("a", 0, 2, 0);
    board.set("c", 0, 1, 0);
    expect(order(board)).toEqual(["c", "a", "b"]);
  });

  it("keeps the order of equal rows, so that none flickers", () => {
    const board = new Board(1);
    board.set("b", 0, 1, 0);
    board.set("a", 0, 2, 0);
    expect(order(board)).toEqual(["b", "a"]);
    board.set("a", 0, 1, 1);
    expect(order(board)).toEqual(["b", "a"]);
  });

  it("shows the latest value by event time, not by arrival", () => {
    const board = new Board(1);
    board.set("a", 0, 5, 2000);
    board.set("a", 0, 4, 1000);
    expect(board.rows(0)[0]?.cells[0]).toBe(5);
  });

  it("marks who moved, and which way", () => {
    const board = new Board(1);
    board.set("a", 0, 1, 0);
    board.set("b", 0, 2, 0);
    board.rows(0);
    board.set("a", 0, 2, 1);
    board.set("b", 0, 1, 1);
    const moves = board.rows(77).map(({ entity, moved }) => [entity, moved]);
    expect(moves).toEqual([["b", { by: -1, at: 77 }], ["a", { by: 1, at: 77 }]]);
  });

  it("forgets the entity that was silent longest when there are too many", () => {
    const board = new Board(1);
    for (let i = 0; i < 1001; i += 1) board.set(`e${i}`, 0, i, i);
    expect(board.size).toBe(1000);
    expect(order(board)[0]).toBe("e1");
  });

  it("compares names as people do", () => {
    expect(["car 10", "car 2"].sort(compareNames)).toEqual(["car 2", "car 10"]);
  });
});
