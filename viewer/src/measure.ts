// Lengths and areas on a slide: points in pixels of level 0, results in micrometres or, where their size is unknown, in
// pixels.

import type { Pair } from "./slide";

/** Micrometres of what `mpp` describes, or pixels without it. */
export function length(from: Pair, to: Pair, mpp: Pair | null): number {
  const [x, y] = mpp ?? [1, 1];
  return Math.hypot((to[0] - from[0]) * x, (to[1] - from[1]) * y);
}

/** Area within a closed outline (shoelace formula), in square micrometres or square pixels. */
export function area(points: readonly Pair[], mpp: Pair | null): number {
  const [x, y] = mpp ?? [1, 1];
  let twice = 0;
  points.forEach((point, index) => {
    const next = points[(index + 1) % points.length] ?? point;
    twice += point[0] * next[1] - next[0] * point[1];
  });
  return (Math.abs(twice) / 2) * x * y;
}

/**
 * Whether a closed outline crosses or touches itself: the formula for areas counts parts of such a one against each other.
 */
export function crossesItself(points: readonly Pair[]): boolean {
  const corners = points.filter((point, index) => length(point, points.at(index - 1) ?? point, null) > 0);
  const count = corners.length;
  const side = (index: number) => [corners[index] as Pair, corners[(index + 1) % count] as Pair] as const;
  for (let one = 0; one < count; one += 1) {
    // Neighbours share a corner.
    for (let other = one + 2; other < count - (one === 0 ? 1 : 0); other += 1) {
      if (meet(...side(one), ...side(other))) {
        return true;
      }
    }
  }
  return false;
}

/** Whether two stretches have a point in common. */
function meet(a: Pair, b: Pair, c: Pair, d: Pair): boolean {
  const apart = (axis: 0 | 1) =>
    Math.max(a[axis], b[axis]) < Math.min(c[axis], d[axis]) || Math.max(c[axis], d[axis]) < Math.min(a[axis], b[axis]);
  return !apart(0) && !apart(1) && turn(a, b, c) * turn(a, b, d) <= 0 && turn(c, d, a) * turn(c, d, b) <= 0;
}

/** Whether the way over three points bends to one side (1), to the other (-1), or not. */
function turn(a: Pair, b: Pair, c: Pair): number {
  return Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
}

export function perimeter(points: readonly Pair[], mpp: Pair | null): number {
  return points.reduce((sum, point, index) => sum + length(point, points[(index + 1) % points.length] ?? point, mpp), 0);
}

/** Radius in micrometres of a circle of so many square millimetres. */
export function radiusOfCircle(squareMillimetres: number): number {
  return Math.sqrt((squareMillimetres * 1e6) / Math.PI);
}

export function lengthText(value: number, mpp: Pair | null): string {
  if (!mpp) {
    return `${rounded(value, 4)} px`;
  }
  if (value >= 1000) {
    return `${rounded(value / 1000, 4)} mm`;
  }
  return value >= 1 || value === 0 ? `${rounded(value, 4)} µm` : `${rounded(value * 1000, 3)} nm`;
}

export function areaText(value: number, mpp: Pair | null): string {
  if (!mpp) {
    return `${rounded(value, 4)} px²`;
  }
  return value >= 1e5 ? `${rounded(value / 1e6, 4)} mm²` : `${rounded(value, 4)} µm²`;
}

/** So many significant digits, without an exponent for what is not tiny. */
function rounded(value: number, digits: number): string {
  return String(Number(value.toPrecision(digits)));
}
