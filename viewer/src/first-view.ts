// Which tiles a page shows first, by OpenSeadragon's rules: before it is there, and without it.

import { type Pair, type Slide, tileAddress } from "./slide";
import type { View } from "./view";

/** Tiles that are asked for at once, at most: a level with more is left to OpenSeadragon. */
const MOST = 80;
/**
 * Screen pixels per pixel of the finest level that OpenSeadragon asks for, at least. A little more than half: at half of a level's
 * scale, as the buttons have it, the next coarser one is shown pixel by pixel, and no chance of rounding asks for four times
 * the tiles.
 */
export const MIN_PIXEL_RATIO = 0.501;

/**
 * Addresses of the tiles that are seen in `size` CSS pixels, the finest level first, and of the coarser levels behind them; of the
 * whole slide, if no view is asked for.
 */
export function firstTiles(slide: Slide, size: Pair, pixelRatio: number, view: View | null): string[] {
  const zoom = view?.zoom ?? Math.min(size[0] / slide.width, size[1] / slide.height);
  const middle: Pair = view ? [view.x, view.y] : [slide.width / 2, slide.height / 2];
  const half = halfSeen(size, zoom, view?.rotation ?? 0);
  const finest = slide.maxLevel + Math.floor(Math.log2((zoom * pixelRatio) / MIN_PIXEL_RATIO));
  const addresses: string[] = [];
  for (let level = Math.min(finest, slide.maxLevel); level >= 0; level -= 1) {
    const tile = slide.tileSize * 2 ** (slide.maxLevel - level);
    const [left, right] = tiles(middle[0] - half[0], middle[0] + half[0], tile, slide.width);
    const [top, bottom] = tiles(middle[1] - half[1], middle[1] + half[1], tile, slide.height);
    if (addresses.length + Math.max(0, right - left) * Math.max(0, bottom - top) > MOST) {
      continue;
    }
    for (let row = top; row < bottom; row += 1) {
      for (let column = left; column < right; column += 1) {
        addresses.push(tileAddress(slide, level, column, row));
      }
    }
  }
  return addresses;
}

/** Half of what is seen, in pixels of level 0; turned, of the circle around it. */
function halfSeen([width, height]: Pair, zoom: number, rotation: number): Pair {
  const reach = Math.hypot(width, height) / 2 / zoom;
  return rotation % 180 === 0 ? [width / 2 / zoom, height / 2 / zoom] : [reach, reach];
}

/** The first tile of a length, and the one behind the last. */
function tiles(from: number, to: number, tile: number, length: number): Pair {
  return [Math.max(0, Math.floor(from / tile)), Math.min(Math.ceil(length / tile), Math.floor(to / tile) + 1)];
}
