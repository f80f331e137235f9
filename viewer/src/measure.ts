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
