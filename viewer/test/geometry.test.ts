import { describe, expect, test } from "vitest";
import { area, areaText, crossesItself, length, lengthText, perimeter, radiusOfCircle } from "../src/measure";
import { magnificationText, roundLength, scaleBar } from "../src/scale";
import { type Pair, deepZoomLevels, micrometres, overviewAddress } from "../src/slide";
import { type View, apply, invert, micrometresAcross, toScreen, turnAbout, visibleBox } from "../src/view";
import { slideOf } from "./slide";

const views: View[] = [0, 30, 90, 215.5].flatMap((rotation) =>
  [false, true].map((flip) => ({ x: 1234, y: 567, zoom: 0.37, rotation, flip })),
);
const size: Pair = [900, 600];

describe("views", () => {
  test.each(views)("the middle of the pane is the view's point: %o", (view) => {
    const [x, y] = apply(toScreen(view, size), view.x, view.y);
    expect(x).toBeCloseTo(450, 9);
    expect(y).toBeCloseTo(300, 9);
  });

  test.each(views)("there and back: %o", (view) => {
    const there = toScreen(view, size);
    const [x, y] = apply(invert(there), ...apply(there, 17, 3999));
    expect(x).toBeCloseTo(17, 6);
    expect(y).toBeCloseTo(3999, 6);
  });

  test("a quarter turn clockwise takes right to down, a flip takes right to left", () => {
    const right = (view: View) => {
      const m = toScreen(view, size);
      return [m.a, m.b].map((value) => Math.round(value / view.zoom) + 0);
    };
    const view = { x: 0, y: 0, zoom: 2, rotation: 90, flip: false };
    expect(right(view)).toEqual([0, 1]);
    expect(right({ ...view, rotation: 0, flip: true })).toEqual([-1, 0]);
    // The flip comes after the turn: down stays down.
    expect(right({ ...view, flip: true })).toEqual([0, 1]);
  });

  test.each(views)("a pane's pixels are turned as the slide is: %o", (view) => {
    const upright = toScreen({ ...view, rotation: 0, flip: false }, size);
    const [x, y] = apply(turnAbout(view.rotation, view.flip, size), ...apply(upright, 17, 3999));
    const [expectedX, expectedY] = apply(toScreen(view, size), 17, 3999);
    expect(x).toBeCloseTo(expectedX, 6);
    expect(y).toBeCloseTo(expectedY, 6);
  });

  test("quarter turns take whole pixels to whole pixels, also in panes of odd sizes", () => {
    for (const degrees of [0, 90, 180, 270, -90]) {
      const [x, y] = apply(turnAbout(degrees, true, [901, 650]), 3, 4);
      expect([x, y]).toEqual([Math.round(x), Math.round(y)]);
    }
  });

  test("the box of a turned view has the other sides", () => {
    const [left, top, right, bottom] = visibleBox({ x: 100, y: 200, zoom: 1, rotation: 90, flip: true }, size);
    expect([right - left, bottom - top].map(Math.round)).toEqual([600, 900]);
    expect([(left + right) / 2, (top + bottom) / 2].map(Math.round)).toEqual([100, 200]);
  });
});

describe("measures", () => {
  test("lengths and areas know that pixels are not square", () => {
    const mpp: Pair = [0.25, 0.5];
    expect(length([0, 0], [400, 0], mpp)).toBe(100);
    expect(length([0, 0], [0, 400], mpp)).toBe(200);
    expect(length([0, 0], [12, 8], mpp)).toBe(5);
    const square: Pair[] = [[0, 0], [400, 0], [400, 200], [0, 200]];
    expect(area(square, mpp)).toBe(100 * 100);
    expect(area([...square].reverse(), mpp)).toBe(100 * 100);
    expect(perimeter(square, mpp)).toBe(400);
    expect(area(square, null)).toBe(80_000);
  });

  test.each(views)("a length is the same however it is looked at: %o", (view) => {
    const back = invert(toScreen(view, size));
    const mpp: Pair = [0.25, 0.5];
    const across = length(apply(back, 100, 300), apply(back, 400, 300), mpp);
    expect(across / (300 * micrometresAcross(view, mpp))).toBeCloseTo(1, 9);
  });

  test("a circle of 1 mm² has 564 µm of radius", () => {
    expect(radiusOfCircle(1)).toBeCloseTo(564.19, 2);
  });

  test("texts", () => {
    expect(lengthText(12.3456, [1, 1])).toBe("12.35 µm");
    expect(lengthText(1234.56, [1, 1])).toBe("1.235 mm");
    expect(lengthText(0.5, [1, 1])).toBe("500 nm");
    expect(lengthText(12, null)).toBe("12 px");
    expect(areaText(1e6, [1, 1])).toBe("1 mm²");
    expect(areaText(6600.12, [1, 1])).toBe("6600 µm²");
  });
});

describe("scale", () => {
  test("lengths of bars are round", () => {
    expect([0.7, 1, 4.9, 5, 19, 180].map(roundLength)).toEqual([0.5, 1, 2, 5, 10, 100]);
  });

  test.each(views)("a bar is as long as it says: %o", (view) => {
    const slide = slideOf();
    const bar = scaleBar(slide, view, 160);
    const micrometres = Number.parseFloat(bar.text);
    expect(bar.width).toBeLessThanOrEqual(160);
    expect(bar.width).toBeGreaterThan(60);
    expect(bar.width * micrometresAcross(view, slide.mpp as Pair)).toBeCloseTo(micrometres, 6);
  });

  test("magnification", () => {
    const view = { x: 0, y: 0, zoom: 0.25, rotation: 0, flip: false };
    expect(magnificationText(slideOf(), view)).toBe("10x");
    expect(magnificationText(slideOf({ objectivePower: null, mpp: [0.5, 0.5] }), view)).toBe("5x");
    expect(magnificationText(slideOf({ objectivePower: null, mpp: null }), view)).toBe("25 %");
  });

  test("nonsense is no size of a pixel", () => {
    for (const value of [null, [0, 1], [1], [1, -1], [1, Infinity], ["1", "1"], [1, NaN]]) {
      expect(micrometres(value)).toBeNull();
    }
  });

  test("the overview is the largest single tile", () => {
    expect(overviewAddress(slideOf(), 256)).toBe("/dzi/a_files/8/0_0.jpg");
    expect(overviewAddress(slideOf({ tileSize: 240 }), 256)).toBe("/dzi/a_files/7/0_0.jpg");
    expect(deepZoomLevels(4000, 2000)).toBe(12);
    expect(deepZoomLevels(4096, 1)).toBe(12);
    expect(deepZoomLevels(1, 1)).toBe(0);
  });
});

describe("outlines that cross themselves", () => {
  const square: Pair[] = [[0, 0], [10, 0], [10, 10], [0, 10]];
  test.each<[string, Pair[], boolean]>([
    ["a square", square, false],
    ["a square with corners said twice", square.flatMap((point) => [point, point]), false],
    ["a square that says its first point at the end too", [...square, [0, 0]], false],
    ["a triangle", square.slice(1), false],
    ["a hollow", [[0, 0], [10, 0], [5, 4], [10, 10], [0, 10]], false],
    ["a spike", [[0, 0], [10, 0], [20, 0], [10, 0], [10, 10], [0, 10]], true],
    ["a bow tie", [[0, 0], [10, 10], [10, 0], [0, 10]], true],
    ["an eight that meets in a corner", [[0, 0], [5, 5], [0, 10], [10, 10], [5, 5], [10, 0]], true],
    ["a side that goes through another", [[0, 0], [10, 0], [10, 10], [5, -3], [0, 10]], true],
  ])("%s", (_what, points, crosses) => {
    expect(crossesItself(points)).toBe(crosses);
  });
});
