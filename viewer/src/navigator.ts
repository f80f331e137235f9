// The whole slide small, with what the view shows of it and what it has shown before. It stays upright when the view turns.

import { type Pair, type Slide, overviewAddress } from "./slide";
import { type View, viewCorners } from "./view";

/** CSS pixels, at most. */
const WIDTH = 200;
const HEIGHT = 160;
/** A view counts as visited if it shows at most this part of the slide: the whole slide has been seen by everybody. */
const VISITED_PART = 0.2;

export class Navigator {
  private readonly context: CanvasRenderingContext2D;
  private slide: Slide | null = null;
  private view: View | null = null;
  private size: Pair = [1, 1];
  /** Per slide, so that going back to one finds its trace. */
  private readonly visited = new Map<string, HTMLCanvasElement>();
  private readonly image = new Image();

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly go: (x: number, y: number) => void,
  ) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
    this.image.addEventListener("load", () => this.draw());
    const move = (event: PointerEvent) => {
      if (event.buttons & 1) {
        this.moveTo(event);
      }
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", move);
    // Small windows have no room for it, unless it is asked for.
    const small = matchMedia("(max-width: 40rem)");
    small.addEventListener("change", () => this.toggle(!small.matches));
    this.toggle(!small.matches);
  }

  toggle(shown = this.canvas.hidden): void {
    this.canvas.hidden = !shown;
  }

  private moveTo(event: PointerEvent): void {
    if (this.slide) {
      const scale = this.slide.width / this.canvas.clientWidth;
      this.go(event.offsetX * scale, event.offsetY * scale);
    }
  }

  /** Shows what a pane of `size` CSS pixels shows of `slide`. */
  update(slide: Slide, view: View, size: Pair): void {
    if (slide !== this.slide) {
      this.slide = slide;
      const scale = Math.min(WIDTH / slide.width, HEIGHT / slide.height);
      const [width, height] = [Math.max(1, slide.width * scale), Math.max(1, slide.height * scale)];
      const ratio = window.devicePixelRatio;
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
      [this.canvas.width, this.canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      this.image.src = overviewAddress(slide, 256);
    }
    [this.view, this.size] = [view, size];
    this.draw();
  }

  /** Remembers the present view as seen. */
  visit(): void {
    const { slide, view } = this;
    const part = slide && view ? (this.size[0] * this.size[1]) / view.zoom ** 2 / (slide.width * slide.height) : 1;
    const context = this.trace()?.getContext("2d");
    if (context && part <= VISITED_PART) {
      this.outline(context);
      context.fillStyle = "#3ddc84";
      context.fill();
      this.draw();
    }
  }

  private trace(): HTMLCanvasElement | null {
    if (!this.slide) {
      return null;
    }
    let trace = this.visited.get(this.slide.reference);
    if (!trace) {
      trace = document.createElement("canvas");
      [trace.width, trace.height] = [this.canvas.width, this.canvas.height];
      this.visited.set(this.slide.reference, trace);
    }
    return trace;
  }

  private draw(): void {
    const { context, canvas } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.image.complete && this.image.naturalWidth > 0) {
      context.drawImage(this.image, 0, 0, canvas.width, canvas.height);
    }
    const trace = this.trace();
    if (trace) {
      context.globalAlpha = 0.28;
      context.drawImage(trace, 0, 0);
      context.globalAlpha = 1;
    }
    const line = window.devicePixelRatio;
    this.outline(context);
    context.lineWidth = 4 * line;
    context.strokeStyle = "#101010";
    context.stroke();
    context.lineWidth = 2 * line;
    context.strokeStyle = "#ff5252";
    context.stroke();
  }

  /** The corners of the view as a path; a view that is too small to see becomes a spot. */
  private outline(context: CanvasRenderingContext2D): void {
    context.beginPath();
    if (!this.slide || !this.view) {
      return;
    }
    const scale = this.canvas.width / this.slide.width;
    const corners = viewCorners(this.view, this.size).map(([x, y]) => [x * scale, y * scale] as const);
    const [first, , third] = corners;
    if (first && third && Math.hypot(third[0] - first[0], third[1] - first[1]) < 6) {
      context.rect((first[0] + third[0]) / 2 - 2, (first[1] + third[1]) / 2 - 2, 4, 4);
      return;
    }
    corners.forEach(([x, y]) => context.lineTo(x, y));
    context.closePath();
  }
}
