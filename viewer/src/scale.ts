// Scale bar, magnification and position as texts. Numbers in, numbers and texts out.

import { lengthText } from "./measure";
import { type Slide, nativePower } from "./slide";
import { type View, micrometresAcross } from "./view";

/** What buttons and the keys 1 to 6 go to. */
export const POWERS = [1.25, 2.5, 5, 10, 20, 40] as const;

/** CSS pixels per pixel of level 0 beyond which pixels are invented. The least excess is rounding. */
const NATIVE = 1.001;

/** The largest of 1, 2, 5, 10, 20, ... that is at most `limit`. */
export function roundLength(limit: number): number {
  const decade = 10 ** Math.floor(Math.log10(limit));
  const step = [5, 2, 1].find((candidate) => candidate * decade <= limit * (1 + 1e-9)) ?? 1;
  return step * decade;
}

/** The scale bar: its width in CSS pixels, at most `maxWidth`, and its text. */
export function scaleBar(slide: Slide, view: View, maxWidth: number): { width: number; text: string } {
  const perPixel = slide.mpp ? micrometresAcross(view, slide.mpp) : 1 / view.zoom;
  const length = roundLength(maxWidth * perPixel);
  const note = slide.mpp ? "" : " (size of a pixel unknown)";
  return { width: length / perPixel, text: lengthText(length, slide.mpp) + note };
}

export function isDigital(view: View): boolean {
  return view.zoom > NATIVE;
}

export function magnificationText(slide: Slide, view: View): string {
  const power = nativePower(slide);
  if (power === null) {
    return `${Number((view.zoom * 100).toPrecision(3))} %`;
  }
  const shown = power * view.zoom;
  return `${Number(shown.toFixed(shown < 2 ? 2 : 1))}x`;
}

export function positionText(slide: Slide, x: number, y: number): string {
  const pixels = `${Math.floor(x)}, ${Math.floor(y)} px`;
  if (!slide.mpp) {
    return pixels;
  }
  const millimetres = [x * slide.mpp[0], y * slide.mpp[1]].map((value) => (value / 1000).toFixed(3));
  return `${millimetres.join(", ")} mm  (${pixels})`;
}
