// What the page shows, written into its address behind `#`: whoever opens the address sees the same.
//
//   #at=7112,5588&zoom=0.5&rotation=90&flip=1&compare=b&beside=7020,5611,0.5,91,1&compare=source:a&overlay=/notes/a.geojson
//   #compare=b&difference=16
//   #at=7112,5588
//   #compare=@8ab5474bd64acc1d, where addresses may not name slides
//
// What does not make sense is passed over: an address may come from anywhere.

import type { View } from "./view";

/** Panes beside each other, at most. */
export const MAX_PANES = 4;

export interface Beside {
  readonly reference: string;
  /** What it shows, where that does not follow from what the page's own slide shows. */
  readonly view: View | null;
}

export interface Address {
  readonly view: View | null;
  /** The slides beside the page's own. */
  readonly compare: readonly Beside[];
  /** How much differences are amplified, where they are shown instead of two panes. */
  readonly difference: number | null;
  /** Address of a GeoJSON document. */
  readonly overlay: string | null;
}

export function parseAddress(hash: string): Address {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const at = (fields.get("at") ?? "").split(",");
  const rest = [fields.get("zoom") ?? "1", fields.get("rotation") ?? "0", fields.get("flip")];
  const view = at.length === 2 ? readView([...at, ...rest]) : null;
  const amplification = number(fields.get("difference"));
  const compare = readCompare(fields);
  return {
    view,
    compare: compare.slice(0, MAX_PANES - 1),
    difference: compare.length > 0 && amplification !== null && amplification >= 1 ? amplification : null,
    overlay: fields.get("overlay") || null,
  };
}

/** Each `beside` belongs to the `compare` before it. */
function readCompare(fields: URLSearchParams): Beside[] {
  const compare: Beside[] = [];
  for (const [name, value] of fields) {
    const last = compare.at(-1);
    if (name === "compare" && value !== "") {
      compare.push({ reference: value, view: null });
    } else if (name === "beside" && last) {
      compare[compare.length - 1] = { ...last, view: readView(value.split(",")) };
    }
  }
  return compare;
}

function readView([x, y, zoom, rotation, flip]: readonly (string | null | undefined)[]): View | null {
  const [atX, atY, scale] = [number(x), number(y), number(zoom)];
  return atX !== null && atY !== null && scale !== null && scale > 1e-6
    ? { x: atX, y: atY, zoom: scale, rotation: number(rotation) ?? 0, flip: flip === "1" }
    : null;
}

export function formatAddress(address: Address): string {
  const fields: string[] = [];
  const { view } = address;
  if (view) {
    fields.push(`at=${short(view.x, 1)},${short(view.y, 1)}`, `zoom=${scale(view)}`);
    if (Math.abs(view.rotation) > 0.005) {
      fields.push(`rotation=${short(view.rotation, 2)}`);
    }
    if (view.flip) {
      fields.push("flip=1");
    }
  }
  for (const { reference, view: beside } of address.compare) {
    fields.push(`compare=${escaped(reference)}`);
    if (beside) {
      const { x, y, rotation, flip } = beside;
      fields.push(`beside=${short(x, 1)},${short(y, 1)},${scale(beside)},${short(rotation, 2)},${flip ? 1 : 0}`);
    }
  }
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

function scale(view: View): number {
  return Number(view.zoom.toPrecision(6));
}

function short(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Percent-encoded, but for what makes references and paths readable. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%40", "@");
}
