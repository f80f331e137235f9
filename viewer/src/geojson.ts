// GeoJSON (RFC 7946) as QuPath and others write it for slides: coordinates are pixels of level 0, y downwards; colours stand
// in `properties.classification.color` or `.colorRGB`, or in `properties.color`. Bounded, and refused as a whole rather than shown
// in part: an outline that is missing would be taken for one that was never drawn.

export const MAX_FEATURES = 100_000;
export const MAX_POINTS = 3_000_000;
export const MAX_BYTES = 128 * 1024 * 1024;

export type Shape = "polygon" | "line" | "point";

export interface Feature {
  readonly shape: Shape;
  /** x, y, x, y, ...: rings of a polygon, parts of a line, or points. */
  readonly parts: readonly Float64Array[];
  /** Left, top, right, bottom. */
  readonly box: readonly [number, number, number, number];
  readonly colour: string;
  /** Name of the class, or empty. */
  readonly name: string;
}

/** Colour of what has none: QuPath's for objects without a class. */
const NO_CLASS = "#ff4040";

type Json = { readonly [key: string]: unknown };

/** Reads a document: a FeatureCollection, a list of features, one feature, or one geometry. Throws an `Error` for people. */
export function parseGeoJson(text: string): Feature[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error("This is not JSON.");
  }
  const items = featuresOf(document);
  if (items.length > MAX_FEATURES) {
    throw new Error(`${items.length} features are too many: at most ${MAX_FEATURES} are shown.`);
  }
  const budget = { points: MAX_POINTS };
  return items.flatMap((item, index) => readFeature(item, index + 1, budget));
}

function featuresOf(document: unknown): readonly unknown[] {
  if (Array.isArray(document)) {
    return document;
  }
  if (!isObject(document)) {
    throw new Error("This is not GeoJSON: neither an object nor a list.");
  }
  return document.type === "FeatureCollection" && Array.isArray(document.features) ? document.features : [document];
}

function readFeature(item: unknown, place: number, budget: { points: number }): Feature[] {
  if (!isObject(item)) {
    throw new Error(`Feature ${place} is not an object.`);
  }
  const geometry = item.type === "Feature" ? item.geometry : item;
  if (geometry === null) {
    return [];
  }
  const properties = isObject(item.properties) ? item.properties : {};
  const classification = isObject(properties.classification) ? properties.classification : {};
  const colour = readColour(classification.color ?? classification.colorRGB ?? properties.color);
  const name = typeof classification.name === "string" ? classification.name : "";
  return readGeometry(geometry, place, budget, 0).map((geometry) => ({ ...geometry, colour, name }));
}

/** Below that a shape is no shape. A ring should say its first point again at the end, and need not. */
const FEWEST_POINTS: Record<Shape, number> = { point: 1, line: 2, polygon: 3 };

/** Geometries may hold others, which hold no more in practice. */
const MAX_DEPTH = 4;

function readGeometry(
  geometry: unknown,
  place: number,
  budget: { points: number },
  depth: number,
): Pick<Feature, "shape" | "parts" | "box">[] {
  if (!isObject(geometry) || depth > MAX_DEPTH) {
    throw new Error(`Feature ${place} has no geometry that can be read.`);
  }
  if (geometry.type === "GeometryCollection") {
    return list(geometry.geometries, place).flatMap((inner) => readGeometry(inner, place, budget, depth + 1));
  }
  const coordinates = geometry.coordinates;
  const made = (shape: Shape, parts: readonly unknown[]) => {
    const read = parts.map((part) => readPoints(list(part, place), place, budget)).filter((part) => part.length > 0);
    if (read.some((part) => part.length < 2 * FEWEST_POINTS[shape])) {
      throw new Error(`Feature ${place} has a ${shape} of fewer than ${FEWEST_POINTS[shape]} points.`);
    }
    return read.length === 0 ? [] : [{ shape, parts: read, box: boxOf(read) }];
  };
  switch (geometry.type) {
    case "Point":
      return made("point", [[coordinates]]);
    case "MultiPoint":
      return made("point", [coordinates]);
    case "LineString":
      return made("line", [coordinates]);
    case "MultiLineString":
      return made("line", list(coordinates, place));
    case "Polygon":
      return made("polygon", list(coordinates, place));
    case "MultiPolygon":
      return list(coordinates, place).flatMap((polygon) => made("polygon", list(polygon, place)));
    default:
      throw new Error(`Feature ${place}: geometries of type ${String(geometry.type).slice(0, 40)} are not known.`);
  }
}

function readPoints(points: readonly unknown[], place: number, budget: { points: number }): Float64Array {
  budget.points -= points.length;
  if (budget.points < 0) {
    throw new Error(`These are more than ${MAX_POINTS} points, which is the most that are shown.`);
  }
  const read = new Float64Array(2 * points.length);
  points.forEach((point, index) => {
    const [x, y] = Array.isArray(point) ? (point as unknown[]) : [];
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      throw new Error(`Feature ${place} has a coordinate that is not a pair of numbers.`);
    }
    read[2 * index] = x as number;
    read[2 * index + 1] = y as number;
  });
  return read;
}

function boxOf(parts: readonly Float64Array[]): [number, number, number, number] {
  const box: [number, number, number, number] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const part of parts) {
    for (let index = 0; index + 1 < part.length; index += 2) {
      const [x, y] = [part[index] ?? 0, part[index + 1] ?? 0];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    }
  }
  return box;
}

/** `[r, g, b]`, or QuPath's older signed integer 0xAARRGGBB. */
function readColour(value: unknown): string {
  const byte = (v: unknown) => Number.isInteger(v) && (v as number) >= 0 && (v as number) <= 255;
  if (Array.isArray(value) && value.length >= 3 && value.slice(0, 3).every(byte)) {
    return `rgb(${value.slice(0, 3).join(" ")})`;
  }
  if (Number.isInteger(value)) {
    const rgb = (value as number) & 0xffffff;
    return `rgb(${rgb >> 16} ${(rgb >> 8) & 255} ${rgb & 255})`;
  }
  return NO_CLASS;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown, place: number): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw new Error(`Feature ${place} has coordinates that are not a list.`);
  }
  return value;
}
