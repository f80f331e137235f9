import type { Slide } from "../src/slide";

/** A slide whose pixels are twice as high as wide, in micrometres, with some facts changed. */
export function slideOf(changes: Partial<Slide> = {}): Slide {
  const names = { reference: "a", name: "a", tiles: "/dzi/a_files/", format: "jpg", version: null };
  const size = { width: 4000, height: 2000, tileSize: 256, overlap: 0, maxLevel: 12 };
  return { ...names, ...size, mpp: [0.25, 0.5], objectivePower: 40, ...changes };
}
