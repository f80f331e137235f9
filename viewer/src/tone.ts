// Brightness, contrast and gamma as one curve over the 256 values of a channel, the same on the screen and in a screenshot.

export interface Tone {
  /** Added, as a part of full scale: -0.5 to 0.5. */
  readonly brightness: number;
  /** Factor around the middle: 0.25 to 4. */
  readonly contrast: number;
  /** Exponent is 1 / gamma: 0.25 to 4, more is brighter. */
  readonly gamma: number;
}

export const NEUTRAL: Tone = { brightness: 0, contrast: 1, gamma: 1 };

/** What becomes of each value from 0 to 255: from 0 to 1. */
export function toneCurve(tone: Tone): number[] {
  return curve((value) => clamp((value - 0.5) * tone.contrast + 0.5 + tone.brightness) ** (1 / tone.gamma));
}

/** Values times `factor`: what makes small differences visible. */
export function amplification(factor: number): number[] {
  return curve((value) => clamp(value * factor));
}

function curve(of: (value: number) => number): number[] {
  return Array.from({ length: 256 }, (_, value) => of(value / 255));
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Whether a curve changes nothing. */
export function isNeutral(values: readonly number[]): boolean {
  return values.every((value, index) => Math.abs(value * 255 - index) < 1e-6);
}

/** Puts the curve in force for all elements with the filter `#tone`. */
export function setFilter(filter: SVGFilterElement, values: readonly number[]): void {
  const table = values.map((value) => value.toFixed(4)).join(" ");
  for (const channel of filter.querySelectorAll("feFuncR, feFuncG, feFuncB")) {
    channel.setAttribute("tableValues", table);
  }
}

/** Applies the curve to RGBA samples. */
export function applyCurve(samples: Uint8ClampedArray, values: readonly number[]): void {
  const table = Uint8ClampedArray.from(values, (value) => Math.round(value * 255));
  for (let index = 0; index < samples.length; index += 4) {
    for (let channel = index; channel < index + 3; channel += 1) {
      samples[channel] = table[samples[channel] ?? 0] ?? 0;
    }
  }
}
