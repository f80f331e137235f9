// Where one looks at a slide from, and what that makes of coordinates. Numbers only.
//
// A pixel of level 0 goes to the screen by: move the centre to the origin, enlarge, turn clockwise, mirror left and right
// if flipped, move to the middle of the pane. OpenSeadragon draws in this order.

import type { Pair } from "./slide";

export interface View {
  /** Pixel of level 0 in the middle of the pane. */
  readonly x: number;
  readonly y: number;
  /** CSS pixels per pixel of level 0. */
  readonly zoom: number;
  /** Degrees clockwise, before the flip. */
  readonly rotation: number;
  readonly flip: boolean;
}

/** x' = a x + c y + e, y' = b x + d y + f, as canvases write it. */
export interface Affine {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly e: number;
  readonly f: number;
}

/** From pixels of level 0 to CSS pixels of a pane of this size. */
export function toScreen(view: View, size: Pair): Affine {
  const angle = (view.rotation * Math.PI) / 180;
  const cos = Math.cos(angle) * view.zoom;
  const sin = Math.sin(angle) * view.zoom;
  const mirror = view.flip ? -1 : 1;
  const [a, b, c, d] = [mirror * cos, sin, -mirror * sin, cos];
  return { a, b, c, d, e: size[0] / 2 - a * view.x - c * view.y, f: size[1] / 2 - b * view.x - d * view.y };
}

/**
 * From a pane's own upright pixels to the turned and flipped ones: about its middle; by quarter turns from whole pixels to
 * whole ones, by half a pixel beside the middle if need be.
 */
export function turnAbout(degrees: number, flip: boolean, size: Pair): Affine {
  const quarters = degrees % 90 === 0;
  const whole = (value: number) => (quarters ? Math.round(value) : value);
  const [cos, sin] = [whole(Math.cos((degrees * Math.PI) / 180)), whole(Math.sin((degrees * Math.PI) / 180))];
  const [x, y] = [size[0] / 2, size[1] / 2];
  const [e, f] = [whole(x - cos * x + sin * y), whole(y - sin * x - cos * y)];
  return flip ? { a: -cos, b: sin, c: sin, d: cos, e: size[0] - e, f } : { a: cos, b: sin, c: -sin, d: cos, e, f };
}

export function apply(m: Affine, x: number, y: number): Pair {
  return [m.a * x + m.c * y + m.e, m.b * x + m.d * y + m.f];
}

/** The way back. A view's zoom is never 0, so there is one. */
export function invert(m: Affine): Affine {
  const determinant = m.a * m.d - m.b * m.c;
  const [a, b, c, d] = [m.d / determinant, -m.b / determinant, -m.c / determinant, m.a / determinant];
  return { a, b, c, d, e: -(a * m.e + c * m.f), f: -(b * m.e + d * m.f) };
}

/** The smallest upright rectangle of level 0 with all that a pane shows: left, top, right, bottom. */
export function visibleBox(view: View, size: Pair): [number, number, number, number] {
  const corners = viewCorners(view, size);
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** The corners of a pane, in pixels of level 0. */
export function viewCorners(view: View, size: Pair): Pair[] {
  const back = invert(toScreen(view, size));
  return [apply(back, 0, 0), apply(back, size[0], 0), apply(back, size[0], size[1]), apply(back, 0, size[1])];
}

/** Micrometres that a CSS pixel to the right is on the slide: with pixels that are not square it depends on the angle. */
export function micrometresAcross(view: View, mpp: Pair): number {
  const angle = (view.rotation * Math.PI) / 180;
  return Math.hypot(Math.cos(angle) * mpp[0], Math.sin(angle) * mpp[1]) / view.zoom;
}

/** Degrees from 0 up to, and without, 360. */
export function normalDegrees(degrees: number): number {
  return ((degrees % 360) + 360) % 360;
}
