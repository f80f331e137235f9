// What the page knows of a slide, and the addresses of its tiles. Level 0 is full resolution, except where a level is
// called Deep Zoom's. No requests here: `catalog.ts` makes them.

/** A pair of numbers: horizontal, vertical. */
export type Pair = readonly [number, number];

export interface Slide {
  /**
   * Names the slide in addresses: its id or, where these may not name slides, its pseudonym; `source:` and one of them for the
   * folder it was made from.
   */
  readonly reference: string;
  readonly name: string;
  /** Address of the tiles, up to the Deep Zoom level. */
  readonly tiles: string;
  /** File name extension of the tiles. */
  readonly format: string;
  /** Content id, if known: tiles of a version never change. */
  readonly version: string | null;
  /** Pixels of level 0. */
  readonly width: number;
  readonly height: number;
  readonly tileSize: number;
  readonly overlap: number;
  /** Deep Zoom's number of level 0. */
  readonly maxLevel: number;
  /** Micrometres per pixel of level 0. */
  readonly mpp: Pair | null;
  readonly objectivePower: number | null;
}

/** 0.25 micrometres per pixel is what a 40x objective gives on a scanner: power = 10 / mpp. */
const POWER_TIMES_MPP = 10;

/** Micrometres per pixel if both are positive numbers: of anything else nothing can be measured. */
export function micrometres(value: unknown): Pair | null {
  const known =
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((number: unknown) => typeof number === "number" && Number.isFinite(number) && number > 0);
  return known ? [value[0] as number, value[1] as number] : null;
}

/** Magnification of level 0, if it can be known. */
export function nativePower(slide: Slide): number | null {
  if (slide.objectivePower !== null && Number.isFinite(slide.objectivePower) && slide.objectivePower > 0) {
    return slide.objectivePower;
  }
  return slide.mpp ? POWER_TIMES_MPP / slide.mpp[0] : null;
}

/** Deep Zoom's number of level 0: its level 0 is one pixel. */
export function deepZoomLevels(width: number, height: number): number {
  return Math.ceil(Math.log2(Math.max(width, height)));
}

export function tileAddress(slide: Slide, level: number, column: number, row: number): string {
  const version = slide.version === null ? "" : `?v=${slide.version.slice(0, 16)}`;
  return `${slide.tiles}${level}/${column}_${row}.${slide.format}${version}`;
}

/** The largest picture of the whole slide that is one tile, of at most `pixels` a side. */
export function overviewAddress(slide: Slide, pixels: number): string {
  const fits = Math.min(pixels, slide.tileSize);
  let level = slide.maxLevel;
  while (level > 0 && Math.ceil(Math.max(slide.width, slide.height) / 2 ** (slide.maxLevel - level)) > fits) {
    level -= 1;
  }
  return tileAddress(slide, level, 0, 0);
}
