// Ruler, area, and circle of 1 mm²: points set by clicks, which leaves dragging to the view; what was measured stays with its
// slide while the page is open.

import { type Pair, type Slide } from "./slide";
import { area, areaText, crossesItself, length, lengthText, perimeter, radiusOfCircle } from "./measure";
import { type Affine, apply } from "./view";

export type Tool = "ruler" | "area" | "circle";

export interface Measurement {
  readonly tool: Tool;
  /** Pixels of level 0: ends, outline, or middle. */
  readonly points: readonly Pair[];
}

/** Square millimetres of the circle: ten fields of view at 40x on a common microscope are about two of them. */
const CIRCLE_AREA = 1;
/** CSS pixels around the first point of an outline in which a click closes it. */
const CLOSE = 12;

const STROKE = "#0b0b0b";
const LINE = "#ffe45c";

/** What a measurement says, of an area also how long its outline is if wanted. */
export function measurementText(measurement: Measurement, slide: Slide, outline = false): string {
  const { points } = measurement;
  const [first, second] = points;
  switch (measurement.tool) {
    case "ruler":
      return first && second ? lengthText(length(first, second, slide.mpp), slide.mpp) : "";
    case "area":
      return (
        (crossesItself(points) ? "no area, the outline crosses itself" : areaText(area(points, slide.mpp), slide.mpp)) +
        (outline ? `, outline ${lengthText(perimeter(points, slide.mpp), slide.mpp)}` : "")
      );
    case "circle":
      return `${CIRCLE_AREA} mm²`;
  }
}

export class Tools {
  active: Tool | null = null;
  private readonly made = new Map<string, Measurement[]>();
  /** Points set so far, the slide they are on, and where the pointer is. */
  private points: Pair[] = [];
  private on: Slide | null = null;
  private hover: Pair | null = null;

  /** `redraw` is called whenever what is drawn is another, `changed` when what is listed is, too. */
  constructor(
    private readonly redraw: () => void,
    private readonly changed: () => void,
  ) {}

  of(slide: Slide): readonly Measurement[] {
    return this.made.get(slide.reference) ?? [];
  }

  choose(tool: Tool | null): void {
    this.active = this.active === tool ? null : tool;
    this.drop();
  }

  /** Gives up what has been begun; false if there is nothing. */
  drop(): boolean {
    const begun = this.points.length > 0;
    this.points = [];
    this.hover = null;
    this.on = null;
    this.changed();
    return begun;
  }

  /** Sets a point, where a screen pixel is so many pixels of level 0. */
  add(slide: Slide, point: Pair, perScreenPixel: number): void {
    if (!this.active) {
      return;
    }
    if (this.on !== slide) {
      this.points = [];
      this.on = slide;
    }
    const [first] = this.points;
    // The second click of a double one is no second point.
    const last = this.points.at(-1);
    if (last && distance(last, point) === 0) {
      return;
    }
    const closes = first && this.points.length > 2 && distance(first, point) < CLOSE * perScreenPixel;
    if (this.active === "area" && closes) {
      this.finish();
      return;
    }
    this.points.push(point);
    if (this.active === "circle" || (this.active === "ruler" && this.points.length === 2)) {
      this.finish();
    }
    this.changed();
  }

  /** Ends an outline. */
  finish(): void {
    const enough = { ruler: 2, area: 3, circle: 1 };
    if (this.active && this.on && this.points.length >= enough[this.active]) {
      const { reference } = this.on;
      const measurement: Measurement = { tool: this.active, points: this.points };
      this.made.set(reference, [...(this.made.get(reference) ?? []), measurement]);
      this.drop();
    }
  }

  move(slide: Slide, point: Pair): void {
    if (this.active === "circle") {
      this.on = slide;
    }
    if (this.active && this.on === slide) {
      this.hover = point;
      this.redraw();
    }
  }

  remove(slide: Slide, measurement: Measurement | undefined): void {
    this.made.set(slide.reference, this.of(slide).filter((other) => other !== measurement));
    this.changed();
  }

  clear(slide: Slide): void {
    this.made.delete(slide.reference);
    this.changed();
  }

  draw(context: CanvasRenderingContext2D, slide: Slide, toPane: Affine): void {
    for (const measurement of this.of(slide)) {
      drawMeasurement(context, measurement, slide, toPane, true);
    }
    if (this.active && this.on === slide) {
      const points = this.hover && this.active !== "circle" ? [...this.points, this.hover] : this.points;
      const shown = this.active === "circle" && this.hover ? [this.hover] : points;
      drawMeasurement(context, { tool: this.active, points: shown }, slide, toPane, false);
    }
  }
}

function distance(a: Pair, b: Pair): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function drawMeasurement(
  context: CanvasRenderingContext2D,
  measurement: Measurement,
  slide: Slide,
  toPane: Affine,
  done: boolean,
): void {
  const points = measurement.points.map((point) => apply(toPane, point[0], point[1]));
  const [first] = points;
  if (!first) {
    return;
  }
  context.beginPath();
  if (measurement.tool === "circle") {
    circlePath(context, measurement.points[0] as Pair, slide, toPane);
  } else {
    points.forEach(([x, y]) => context.lineTo(x, y));
    if (measurement.tool === "area" && done) {
      context.closePath();
    }
  }
  strokeTwice(context);
  if (measurement.tool !== "circle") {
    points.forEach((point) => drawPoint(context, point));
  }
  if (done || points.length > 1) {
    const [x, y] = labelPlace(measurement.tool, points);
    drawLabel(context, measurementText(measurement, slide), x, y);
  }
}

/** A circle on the slide is an ellipse in pixels that are not square. */
function circlePath(context: CanvasRenderingContext2D, centre: Pair, slide: Slide, toPane: Affine): void {
  const radius = radiusOfCircle(CIRCLE_AREA);
  const [mx, my] = slide.mpp ?? [1, 1];
  const steps = 180;
  for (let step = 0; step <= steps; step += 1) {
    const angle = (2 * Math.PI * step) / steps;
    const x = centre[0] + (radius / mx) * Math.cos(angle);
    const y = centre[1] + (radius / my) * Math.sin(angle);
    context.lineTo(...(apply(toPane, x, y) as [number, number]));
  }
}

/** Dark under light: seen on any stain. */
function strokeTwice(context: CanvasRenderingContext2D): void {
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = STROKE;
  context.stroke();
  context.lineWidth = 2;
  context.strokeStyle = LINE;
  context.stroke();
}

function drawPoint(context: CanvasRenderingContext2D, [x, y]: Pair): void {
  context.beginPath();
  context.arc(x, y, 3.5, 0, 2 * Math.PI);
  context.fillStyle = LINE;
  context.lineWidth = 1.5;
  context.strokeStyle = STROKE;
  context.fill();
  context.stroke();
}

/** Where the space key sets a point. */
export function drawCross(context: CanvasRenderingContext2D, x: number, y: number): void {
  context.beginPath();
  context.moveTo(x - 10, y);
  context.lineTo(x + 10, y);
  context.moveTo(x, y - 10);
  context.lineTo(x, y + 10);
  strokeTwice(context);
}

/** Below the lower end of a ruler, in the middle of an outline, above a circle's middle. */
function labelPlace(tool: Tool, points: readonly Pair[]): Pair {
  const mean = (axis: 0 | 1) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  if (tool === "ruler") {
    const [x, y] = points.reduce((low, point) => (point[1] > low[1] ? point : low));
    return [x, y + 20];
  }
  return tool === "area" ? [mean(0), mean(1)] : [mean(0), mean(1) - 16];
}

/** Text on a plate. */
export function drawLabel(context: CanvasRenderingContext2D, text: string, x: number, y: number): void {
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const width = context.measureText(text).width + 12;
  context.fillStyle = "rgb(20 20 20 / 85%)";
  context.beginPath();
  context.roundRect(x - width / 2, y - 11, width, 22, 4);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, x, y + 0.5);
}
