// What the page shows, written into its address behind `#`: whoever opens the address sees the same.
//
//   #at=7112,5588&zoom=0.5&rotation=90&flip=1&compare=b&compare=source:a&difference=16&overlay=/notes/a.geojson
//
// What does not make sense is passed over: an address may come from anywhere.

import type { View } from "./view";

/** Panes beside each other, at most. */
export const MAX_PANES = 4;

export interface Address {
  readonly view: View | null;
  /** References of the slides beside the page's own. */
  readonly compare: readonly string[];
  /** How much differences are amplified, where they are shown instead of two panes. */
  readonly difference: number | null;
  /** Address of a GeoJSON document. */
  readonly overlay: string | null;
}

export function parseAddress(hash: string): Address {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const at = (fields.get("at") ?? "").split(",").map(number);
  const zoom = number(fields.get("zoom"));
  const [x, y] = at;
  const view =
    at.length === 2 && x != null && y != null && zoom !== null && zoom > 0
      ? { x, y, zoom, rotation: number(fields.get("rotation")) ?? 0, flip: fields.get("flip") === "1" }
      : null;
  const amplification = number(fields.get("difference"));
  const compare = fields.getAll("compare").filter((reference) => reference !== "");
  return {
    view,
    compare: compare.slice(0, MAX_PANES - 1),
    difference: compare.length > 0 && amplification !== null && amplification >= 1 ? amplification : null,
    overlay: fields.get("overlay") || null,
  };
}

export function formatAddress(address: Address): string {
  const fields: string[] = [];
  const { view } = address;
  if (view) {
    fields.push(`at=${short(view.x, 1)},${short(view.y, 1)}`, `zoom=${Number(view.zoom.toPrecision(6))}`);
    if (Math.abs(view.rotation) > 0.005) {
      fields.push(`rotation=${short(view.rotation, 2)}`);
    }
    if (view.flip) {
      fields.push("flip=1");
    }
  }
  fields.push(...address.compare.map((reference) => `compare=${escaped(reference)}`));
  if (address.difference !== null) {
    fields.push(`difference=${short(address.difference, 2)}`);
  }
  if (address.overlay !== null) {
    fields.push(`overlay=${escaped(address.overlay)}`);
  }
  return `#${fields.join("&")}`;
}

/** A finite number, no larger than a slide could be. */
function number(text: string | null | undefined): number | null {
  const value = text ? Number(text) : NaN;
  return Number.isFinite(value) && Math.abs(value) < 1e9 ? value : null;
}

function short(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Percent-encoded, but for what makes references and paths readable. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":");
}
