// One pane: a slide in OpenSeadragon, and a canvas above it for what is drawn on slides. With a second slide, the difference
// of both. Its view is told in pixels of level 0, whatever OpenSeadragon counts in.

import OpenSeadragon from "openseadragon";
import { PlainDrawer } from "./drawer";
import { MIN_PIXEL_RATIO } from "./first-view";
import { type Pair, type Slide, nativePower, tileAddress } from "./slide";
import { type Affine, type View, apply, invert, normalDegrees, toScreen } from "./view";
import { POWERS } from "./scale";

/** CSS pixels per pixel of level 0 at the closest zoom. */
export const MAX_ZOOM = 4;
/** Widest view: the slide at this part of the pane, or at the lowest power if that is wider still. */
const MIN_WINDOW_PART = 0.8;

/** What becomes of a pane, for whoever owns it. */
export interface PaneEvents {
  /** The view is another, frame by frame. */
  moved(pane: Pane): void;
  /** It has come to rest. */
  settled(pane: Pane): void;
  /** The user has begun to move this pane, or works on it. */
  touched(pane: Pane): void;
  /** A click, or a double one, that is not the end of a drag: where on level 0. True if it is taken care of. */
  clicked(pane: Pane, point: Pair, twice: boolean): boolean;
  /** Tiles are missing, or are complete. */
  loading(pane: Pane): void;
  /** Whether there is anything to draw above the slide. */
  draws(pane: Pane): boolean;
  /** Draws it: CSS pixels, and the way from level 0 to them. */
  draw(context: CanvasRenderingContext2D, pane: Pane, toPane: Affine): void;
}

export class Pane {
  readonly viewer: OpenSeadragon.Viewer;
  /** What is drawn above the slide. */
  readonly canvas = document.createElement("canvas");
  /** All tiles of the view are there. */
  complete = false;
  /** The view is in motion. */
  moving = false;
  /** The whole slide is shown, and stays so in a pane of another size. */
  private whole = true;
  /** Tiles that could not be loaded, by address. */
  readonly failed = new Set<string>();

  constructor(
    readonly element: HTMLElement,
    readonly slide: Slide,
    readonly subtracted: Slide | null,
    private readonly events: PaneEvents,
  ) {
    const stack = subtracted ? [tileSource(slide), difference(subtracted)] : tileSource(slide);
    this.viewer = OpenSeadragon({
      element,
      // WebGL draws two pictures apart by more than what an amplified difference is to show.
      drawer: subtracted === null && drawsFast() ? "webgl" : PlainDrawer,
      tileSources: stack,
      showNavigationControl: false,
      maxZoomPixelRatio: MAX_ZOOM,
      visibilityRatio: 0.3,
      preserveImageSizeOnResize: true,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { dblClickToZoom: true },
      animationTime: 0.4,
      blendTime: 0,
      imageLoaderLimit: 12,
      minPixelRatio: MIN_PIXEL_RATIO,
      // One by default: a screen of tiles would take a second only because of that.
      maxTilesPerFrame: 64,
      maxImageCacheCount: 600,
      // A server with too much to do says so, and asks to come back in a second.
      tileRetryMax: 5,
      tileRetryDelay: 1000,
      timeout: 30000,
    } as OpenSeadragon.Options);
    const { viewport } = this.viewer;
    // Its own object: with the one that it is made with, the first resize takes the new size for the old one too, and zooms.
    viewport.containerSize = viewport.getContainerSize();
    this.canvas.className = "above";
    this.canvas.setAttribute("aria-hidden", "true");
    element.append(this.canvas);
    this.listen();
  }

  private listen(): void {
    const { viewer } = this;
    viewer.addHandler("open", () => {
      this.limitZoom();
      viewer.viewport.goHome(true);
      for (const item of this.items()) {
        item.addHandler("fully-loaded-change", () => this.updateComplete());
      }
      this.events.moved(this);
    });
    viewer.addHandler("resize", () => {
      if (viewer.isOpen()) {
        this.limitZoom();
        if (this.whole) {
          viewer.viewport.goHome(true);
        }
        this.events.moved(this);
      }
    });
    viewer.addHandler("animation", () => {
      this.moving = true;
      this.events.moved(this);
    });
    viewer.addHandler("animation-finish", () => {
      this.moving = false;
      this.whole = this.showsWhole();
      this.events.settled(this);
    });
    viewer.addHandler("update-viewport", () => this.redraw());
    viewer.addHandler("tile-load-failed", (event) => {
      if ((event as { maxReached?: boolean }).maxReached) {
        this.failed.add(event.tile.getUrl());
        this.events.loading(this);
      }
    });
    viewer.addHandler("tile-loaded", (event) => {
      if (this.failed.delete(event.tile.getUrl())) {
        this.events.loading(this);
      }
    });
    viewer.addHandler("canvas-click", (event) => {
      if (event.quick) {
        event.preventDefaultAction = this.click(event.originalEvent, false);
      }
    });
    viewer.addHandler("canvas-double-click", (event) => {
      event.preventDefaultAction = this.click(event.originalEvent, true);
    });
    // All keys are the page's: OpenSeadragon pans aside where the view is turned, and only while its canvas has the focus.
    viewer.addHandler("canvas-key", (event) => {
      event.preventDefaultAction = true;
    });
    for (const kind of ["pointerdown", "wheel", "focusin"]) {
      this.element.addEventListener(kind, () => this.events.touched(this), { capture: true, passive: true });
    }
  }

  private click(event: Event, twice: boolean): boolean {
    const point = this.pointAt(event as PointerEvent);
    return point !== null && this.events.clicked(this, point, twice);
  }

  /** The point of level 0 under the pointer. */
  pointAt(event: MouseEvent): Pair | null {
    const box = this.element.getBoundingClientRect();
    const { view } = this;
    return view && apply(invert(toScreen(view, this.size)), event.clientX - box.left, event.clientY - box.top);
  }

  private items(): OpenSeadragon.TiledImage[] {
    const { world } = this.viewer;
    return Array.from({ length: world.getItemCount() }, (_, index) => world.getItemAt(index));
  }

  private updateComplete(): void {
    const items = this.items();
    this.complete = items.length === (this.subtracted ? 2 : 1) && items.every((item) => item.getFullyLoaded());
    this.events.loading(this);
  }

  /** CSS pixels. */
  get size(): Pair {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  /** What is seen at this moment, in the middle of a movement too; null before the slide is open. */
  get view(): View | null {
    return this.read(true);
  }

  /** Where the movement under way ends. */
  get target(): View | null {
    return this.read(false);
  }

  private read(current: boolean): View | null {
    const { viewer, slide } = this;
    if (!viewer.isOpen() || !viewer.viewport) {
      return null;
    }
    const centre = viewer.viewport.getCenter(current);
    return {
      x: centre.x * slide.width,
      y: centre.y * slide.width,
      zoom: (viewer.viewport.getZoom(current) * this.size[0]) / slide.width,
      rotation: normalDegrees(viewer.viewport.getRotation(current)),
      flip: viewer.viewport.getFlip(),
    };
  }

  /** Moves there: at once, or as a movement. */
  show(view: View, immediately: boolean): void {
    const { viewport } = this.viewer;
    this.whole = false;
    viewport.zoomTo(this.viewportZoom(view.zoom), undefined, immediately);
    viewport.panTo(new OpenSeadragon.Point(view.x / this.slide.width, view.y / this.slide.width), immediately);
    if (normalDegrees(viewport.getRotation()) !== normalDegrees(view.rotation)) {
      viewport.setRotation(view.rotation, immediately);
    }
    if (viewport.getFlip() !== view.flip) {
      viewport.setFlip(view.flip);
    }
  }

  /** Moves by so many CSS pixels to the right and down, as the screen has them. */
  panBy(right: number, down: number): void {
    const { viewport } = this.viewer;
    const moved = new OpenSeadragon.Point(viewport.getFlip() ? -right : right, down);
    viewport.panBy(viewport.deltaPointsFromPixels(moved));
    viewport.applyConstraints();
  }

  private showsWhole(): boolean {
    const { viewport } = this.viewer;
    return Math.abs(viewport.getZoom() / viewport.getHomeZoom() - 1) < 0.001;
  }

  private viewportZoom(zoom: number): number {
    return (zoom * this.slide.width) / this.size[0];
  }

  private limitZoom(): void {
    // Its declarations lack the fields.
    const viewport = this.viewer.viewport as OpenSeadragon.Viewport & { minZoomLevel: number; defaultZoomLevel: number };
    const native = nativePower(this.slide);
    const lowest = native === null ? Infinity : this.viewportZoom(POWERS[0] / native);
    // A slide of a few pixels does not fill the pane. 0 is for what the size of the pane asks for.
    viewport.defaultZoomLevel = 0;
    const closest = this.viewportZoom(MAX_ZOOM);
    viewport.defaultZoomLevel = viewport.getHomeZoom() > closest ? closest : 0;
    viewport.minZoomLevel = Math.min(MIN_WINDOW_PART * viewport.getHomeZoom(), lowest);
  }

  /** Draws anew what is above the slide. */
  redraw(): void {
    const { view, size, canvas } = this;
    canvas.hidden = !this.events.draws(this);
    if (canvas.hidden) {
      // A canvas as large as the pane costs time with every frame, also an empty one.
      canvas.width = 0;
      return;
    }
    const ratio = window.devicePixelRatio;
    const [width, height] = [Math.round(size[0] * ratio), Math.round(size[1] * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
    }
    const context = canvas.getContext("2d");
    if (!context || !view) {
      return;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.events.draw(context, this, toScreen(view, size));
  }

  /** Asks again for all tiles. */
  retry(): void {
    this.failed.clear();
    this.items().forEach((item) => item.reset());
    this.viewer.forceRedraw();
    this.events.loading(this);
  }

  /** The canvas that OpenSeadragon draws the slide on. */
  get picture(): HTMLCanvasElement {
    return this.viewer.drawer.canvas as HTMLCanvasElement;
  }

  close(): void {
    this.viewer.destroy();
    this.element.remove();
  }
}

let fast: boolean | undefined;

/**
 * Whether a graphics processor draws. WebGL drawn by the main processor, as on many virtual desktops, takes several times
 * as long as a plain canvas, and browsers do not say so when asked for a context without it.
 */
function drawsFast(): boolean {
  fast ??= probe();
  return fast;
}

function probe(): boolean {
  const context = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
  const details = context?.getExtension("WEBGL_debug_renderer_info");
  const name = context?.getParameter(details?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER) as string | undefined;
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return name !== undefined && !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

function tileSource(slide: Slide): OpenSeadragon.TileSourceOptions & Pick<OpenSeadragon.TileSource, "getTileUrl"> {
  return {
    width: slide.width,
    height: slide.height,
    tileSize: slide.tileSize,
    tileOverlap: slide.overlap,
    minLevel: 0,
    maxLevel: slide.maxLevel,
    getTileUrl: (level: number, column: number, row: number) => tileAddress(slide, level, column, row),
  };
}

function difference(slide: Slide): object {
  return { tileSource: tileSource(slide), compositeOperation: "difference" };
}
