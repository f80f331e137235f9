// Annotations of others above a slide. What is too small to have a form is drawn as its box, so that tens of thousands of
// cells can be moved; while they move and drawing takes long, more of them are.

import type { Feature } from "./geojson";
import type { Slide } from "./slide";
import { type Affine, type View, visibleBox } from "./view";
import type { Pair } from "./slide";

/** CSS pixels below which a feature is drawn as a box: at rest, and while moving if drawing takes long. */
const SMALL = 3;
const SMALL_WHILE_MOVING = 16;
/** Milliseconds of drawing that disturb a movement. */
const SLOW = 12;
const POINT_RADIUS = 4;
/** Features drawn at a stroke: a path of thousands takes far longer than its parts. */
const BATCH = 64;

interface Batch {
  readonly colour: string;
  readonly path: Path2D;
  count: number;
}

export class Overlay {
  features: readonly Feature[] = [];
  /** Where it was read from: a file's name or an address. */
  origin = "";
  visible = true;
  private took = 0;

  /** Numbers of features by class name and colour, the most frequent first. */
  classes(): { name: string; colour: string; count: number }[] {
    const classes = new Map<string, { name: string; colour: string; count: number }>();
    for (const { name, colour } of this.features) {
      const known = classes.get(`${name} ${colour}`) ?? { name, colour, count: 0 };
      known.count += 1;
      classes.set(`${name} ${colour}`, known);
    }
    return [...classes.values()].sort((a, b) => b.count - a.count);
  }

  get shown(): boolean {
    return this.visible && this.features.length > 0;
  }

  draw(context: CanvasRenderingContext2D, view: View, size: Pair, toPane: Affine, moving: boolean): void {
    if (!this.shown) {
      return;
    }
    const begin = performance.now();
    const small = (moving && this.took > SLOW ? SMALL_WHILE_MOVING : SMALL) / view.zoom;
    const paths = this.paths(visibleBox(view, size), small, POINT_RADIUS / view.zoom);
    context.save();
    context.transform(toPane.a, toPane.b, toPane.c, toPane.d, toPane.e, toPane.f);
    context.lineWidth = 2 / view.zoom;
    for (const { colour, path } of paths) {
      context.strokeStyle = colour;
      context.stroke(path);
    }
    context.restore();
    if (!moving || this.took <= SLOW) {
      this.took = performance.now() - begin;
    }
  }

  /** Paths with some features of one colour each, of all that are in sight. */
  private paths(box: readonly number[], small: number, radius: number): Batch[] {
    const [left, top, right, bottom] = box as [number, number, number, number];
    const batches: Batch[] = [];
    const open = new Map<string, Batch>();
    for (const feature of this.features) {
      const [x0, y0, x1, y1] = feature.box;
      if (x1 < left || x0 > right || y1 < top || y0 > bottom) {
        continue;
      }
      let batch = open.get(feature.colour);
      if (!batch || batch.count >= BATCH) {
        batch = { colour: feature.colour, path: new Path2D(), count: 0 };
        open.set(feature.colour, batch);
        batches.push(batch);
      }
      batch.count += 1;
      if (feature.shape === "point") {
        addPoints(batch.path, feature, radius);
      } else if (x1 - x0 < small && y1 - y0 < small) {
        batch.path.rect(x0, y0, x1 - x0, y1 - y0);
      } else {
        addLines(batch.path, feature);
      }
    }
    return batches;
  }
}

function addPoints(path: Path2D, feature: Feature, radius: number): void {
  for (const part of feature.parts) {
    for (let index = 0; index + 1 < part.length; index += 2) {
      const [x, y] = [part[index] as number, part[index + 1] as number];
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
    }
  }
}

function addLines(path: Path2D, feature: Feature): void {
  for (const part of feature.parts) {
    path.moveTo(part[0] as number, part[1] as number);
    for (let index = 2; index + 1 < part.length; index += 2) {
      path.lineTo(part[index] as number, part[index + 1] as number);
    }
    if (feature.shape === "polygon") {
      path.closePath();
    }
  }
}

/** Whether annotations of one slide belong on another: the same pixels. */
export function sameGrid(a: Slide, b: Slide): boolean {
  return a.width === b.width && a.height === b.height;
}
