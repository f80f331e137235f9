// Draws slides on a plain canvas, for where no graphics processor draws, and for differences.
//
// OpenSeadragon's own drawer for plain canvases draws tiles that do not overlap a pixel too large, to hide the seams between
// them: at native magnification none of their pixels is the slide's. It also puts edges between pixels, where they let
// through what is behind. Here edges of tiles lie on whole pixels of the screen: neighbours meet there without a seam, at
// native magnification each pixel is the slide's, and of two slides that are the same no difference is left. Between quarter
// turns, where edges would be slanted, tiles are put together upright, and turned as one picture.

import OpenSeadragon from "openseadragon";
import { type Affine, turnAbout } from "./view";

/** Edges at half a pixel, as in windows of an odd width, all go the same way in spite of what arithmetic leaves. */
const SLACK = 1e-3;

export class PlainDrawer extends OpenSeadragon.DrawerBase {
  private readonly context = context2d(this.canvas);
  /** The tiles of a slanted view, upright. */
  private readonly upright = context2d(document.createElement("canvas"));
  /** The second picture of a difference, before it is subtracted. */
  private readonly second = context2d(document.createElement("canvas"));

  static override isSupported(): boolean {
    return true;
  }

  /** The base class asks for it while it is made. */
  _createDrawingElement(): HTMLCanvasElement {
    return document.createElement("canvas");
  }

  override getType(): string {
    return "plain";
  }

  override getSupportedDataFormats(): string[] {
    return ["context2d"];
  }

  override canRotate(): boolean {
    return true;
  }

  override setImageSmoothingEnabled(): void {
    // It is on, as with every new canvas.
  }

  draw(images: OpenSeadragon.TiledImage[]): void {
    const { viewport, context } = this;
    const container = viewport.getContainerSize().times(OpenSeadragon.pixelDensityRatio);
    const [width, height] = [Math.round(container.x), Math.round(container.y)];
    const degrees = viewport.getRotation(true);
    const turn = turnAbout(degrees, viewport.getFlip(), [width, height]);
    clear(context, width, height);
    if (degrees % 90 === 0) {
      this.stack(context, images, turn);
      return;
    }
    // Whatever the turn, the pane lies in a square as wide as its diagonal.
    const side = Math.ceil(Math.hypot(width, height));
    const [left, top] = [Math.ceil((side - width) / 2), Math.ceil((side - height) / 2)];
    clear(this.upright, side + 2, side + 2);
    this.stack(this.upright, images, { a: 1, b: 0, c: 0, d: 1, e: left, f: top });
    context.setTransform(turn);
    context.drawImage(this.upright.canvas, -left, -top);
  }

  /** The first picture, and what the others do to it. */
  private stack(onto: CanvasRenderingContext2D, images: OpenSeadragon.TiledImage[], place: Affine): void {
    const { width, height } = onto.canvas;
    images.forEach((image, index) => {
      if (index === 0) {
        this.paint(onto, image, place);
        return;
      }
      clear(this.second, width, height);
      this.paint(this.second, image, place);
      onto.setTransform(1, 0, 0, 1, 0, 0);
      onto.globalCompositeOperation = image.getCompositeOperation() as GlobalCompositeOperation;
      onto.drawImage(this.second.canvas, 0, 0);
      onto.globalCompositeOperation = "source-over";
    });
  }

  private paint(onto: CanvasRenderingContext2D, image: OpenSeadragon.TiledImage, place: Affine): void {
    onto.setTransform(place);
    for (const { tile } of image.getTilesToDraw()) {
      const picture = (this.getDataToDraw(tile) as CanvasRenderingContext2D | undefined)?.canvas;
      if (!picture || !tile.position || !tile.size) {
        continue;
      }
      const [left, top] = onPixel(tile.position);
      const [right, bottom] = onPixel(tile.position.plus(tile.size));
      // Levels need not end at a whole pixel; their pictures do.
      const width = Math.min(tile.sourceBounds.width, picture.width);
      const height = Math.min(tile.sourceBounds.height, picture.height);
      onto.drawImage(picture, 0, 0, width, height, left, top, right - left, bottom - top);
    }
  }

  override destroy(): void {
    super.destroy();
    this.canvas.remove();
  }
}

/** The nearest corner of the screen's pixels, for a point in CSS pixels. */
function onPixel(point: OpenSeadragon.Point): [number, number] {
  const ratio = OpenSeadragon.pixelDensityRatio;
  return [Math.round(point.x * ratio + SLACK), Math.round(point.y * ratio + SLACK)];
}

function context2d(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) {
    throw new Error("The browser gives no canvas for the slide.");
  }
  return context;
}

/** Makes a canvas empty, and this large. */
function clear(context: CanvasRenderingContext2D, width: number, height: number): void {
  const { canvas } = context;
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
}
