import { expect, test } from "vitest";
import { aligned, commonUnits, follow, inverse, relate } from "../src/link";
import type { Pair } from "../src/slide";
import { type View, apply, toScreen } from "../src/view";
import { slideOf } from "./slide";

const size: Pair = [800, 500];
const leader: View = { x: 1000, y: 700, zoom: 0.5, rotation: 40, flip: false };
const followers: View[] = [0, 40, 300].flatMap((rotation) =>
  [false, true].map((flip) => ({ x: 300, y: 900, zoom: 0.8, rotation, flip })),
);
const one = slideOf({ mpp: [0.25, 0.25] });
const other = slideOf({ width: 3000, height: 3000, mpp: [0.5, 0.5] });
const units = commonUnits(one, other);

function close(view: View, expected: View): void {
  expect(view.x).toBeCloseTo(expected.x, 6);
  expect(view.y).toBeCloseTo(expected.y, 6);
  expect(view.zoom).toBeCloseTo(expected.zoom, 9);
  expect(Math.cos(((view.rotation - expected.rotation) * Math.PI) / 180)).toBeCloseTo(1, 9);
  expect(view.flip).toBe(expected.flip);
}

test("aligned slides show the same micrometres at the same scale", () => {
  const view = follow(aligned(one, other), { ...leader, x: 2000 + 400, y: 1000 }, units);
  close(view, { x: 1500 + 200, y: 1500, zoom: 1, rotation: 40, flip: false });
});

test("without micrometres the widths are the unit", () => {
  const [a, b] = [slideOf({ mpp: null }), slideOf({ mpp: null, width: 2000, height: 1000 })];
  const view = follow(aligned(a, b), { ...leader, x: 3000, y: 1000 }, commonUnits(a, b));
  close(view, { x: 1500, y: 500, zoom: 1, rotation: 40, flip: false });
});

test.each(followers)("linking moves nothing: %o", (follower) => {
  close(follow(relate(leader, follower, units), leader, units), follower);
});

test.each(followers)("what moves on one screen moves alike on the other: %o", (follower) => {
  const relation = relate(leader, follower, units);
  const moved = { ...leader, x: leader.x + 37, y: leader.y - 11, zoom: 0.9, rotation: 100 };
  const after = follow(relation, moved, units);
  // Points that lay on each other in the middle before lie on each other still.
  const where = apply(toScreen(moved, size), leader.x, leader.y);
  const there = apply(toScreen(after, size), follower.x, follower.y);
  expect(there[0]).toBeCloseTo(where[0], 6);
  expect(there[1]).toBeCloseTo(where[1], 6);
});

test.each(followers)("the follower may lead: %o", (follower) => {
  const relation = relate(leader, follower, units);
  const moved = { ...leader, x: 1700, zoom: 0.2, rotation: 250, flip: true };
  close(follow(inverse(relation), follow(relation, moved, units), [units[1], units[0]]), moved);
});
