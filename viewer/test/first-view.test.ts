import { expect, test } from "vitest";
import { firstTiles } from "../src/first-view";
import { slideOf } from "./slide";

/** Level, column and row of each address. */
function places(addresses: readonly string[]): string[] {
  return addresses.map((address) => /(\d+\/\d+_\d+)\.jpg$/.exec(address)?.[1] ?? address);
}

test("a whole slide is shown from the level that is a little too fine, with all coarser ones", () => {
  // 4000 x 2000 px in 1000 x 800: a quarter of its size, where the level of half its size would be no better.
  const found = places(firstTiles(slideOf(), [1000, 800], 1, null));
  expect(found.slice(0, 8)).toEqual(["10/0_0", "10/1_0", "10/2_0", "10/3_0", "10/0_1", "10/1_1", "10/2_1", "10/3_1"]);
  expect(found.slice(8)).toEqual(["9/0_0", "9/1_0", "8/0_0", "7/0_0", "6/0_0", "5/0_0", "4/0_0", "3/0_0", "2/0_0", "1/0_0", "0/0_0"]);
  const sharp = places(firstTiles(slideOf(), [1000, 800], 2, null));
  expect(sharp[0]).toBe("11/0_0");
});

test("a place shows what is around it, and no finer level than there is", () => {
  const view = { x: 2000, y: 1000, zoom: 1, rotation: 0, flip: false };
  const found = places(firstTiles(slideOf(), [500, 300], 1, view));
  expect(found.slice(0, 6)).toEqual(["12/6_3", "12/7_3", "12/8_3", "12/6_4", "12/7_4", "12/8_4"]);
  expect(places(firstTiles(slideOf(), [500, 300], 1, { ...view, zoom: 4 }))[0]).toMatch(/^12/);
  const turned = places(firstTiles(slideOf(), [500, 300], 1, { ...view, rotation: 90 }));
  expect(turned).toContain("12/7_2");
  expect(turned.length).toBeLessThanOrEqual(80);
});

test.each([
  { x: 1e8, y: -1e8, zoom: 1, rotation: 0, flip: false },
  { x: 0, y: 0, zoom: 1e-5, rotation: 45, flip: true },
  { x: 0, y: 0, zoom: 1e8, rotation: 0, flip: false },
])("odd views ask for few tiles, and only for such as there are: %o", (view) => {
  const found = places(firstTiles(slideOf(), [1920, 1080], 1, view));
  expect(found.length).toBeLessThanOrEqual(80);
  expect(found.every((place) => /^\d+\/\d+_\d+$/.test(place))).toBe(true);
});

test("an empty window asks for nothing", () => {
  expect(firstTiles(slideOf(), [0, 0], 1, null)).toEqual([]);
});
