// The viewer page: puts its parts together. What a part does is written there; here is what follows from what.

import { AdjustPanel } from "./adjust-panel";
import { formatAddress, parseAddress } from "./address";
import { ComparePanel } from "./compare-panel";
import { InfoPanel } from "./info-panel";
import { type Action, actionOf, keyRows, panOf } from "./keys";
import { showMeasurements } from "./measure-panel";
import { Navigator } from "./navigator";
import { Notice } from "./notice";
import { Overlay, sameGrid } from "./overlay";
import { OverlayPanel } from "./overlay-panel";
import { element, make, reason } from "./page";
import { MAX_ZOOM, type Pane } from "./pane";
import { Panels } from "./panels";
import { isDigital, magnificationText, positionText, scaleBar } from "./scale";
import { download, screenshot } from "./screenshot";
import { type Slide, micrometres, nativePower } from "./slide";
import { Stage } from "./stage";
import { amplification, isNeutral, setFilter, toneCurve } from "./tone";
import { type Tool, Tools, drawCross } from "./tools";

const ZOOM_STEP = 1.5;
const BAR_WIDTH = 160;
/** Milliseconds at rest before the address is written. Browsers refuse to have it written all the time. */
const REST = 250;

/** What the server writes into the page. */
interface PageInfo extends Omit<Slide, "name" | "format"> {
  readonly id: string;
  /** Addresses may name slides. */
  readonly named: boolean;
  /** The server has the folder that this slide was made from. */
  readonly source: boolean;
}

performance.mark("begun");
const info = JSON.parse(element("slide-info").textContent ?? "") as PageInfo;
const own: Slide = { ...info, name: info.id, format: "jpg", mpp: micrometres(info.mpp) };

const overlay = new Overlay();
const stage = new Stage(element("stage"), {
  moved: (pane) => pane === stage.active && showView(),
  settled: onRest,
  touched: onTouch,
  clicked: onClick,
  loading: onLoading,
  draws: (pane) => overlay.shown || tools.active !== null || tools.of(pane.slide).length > 0,
  draw(context, pane, toPane) {
    if (pane.view && sameGrid(pane.slide, own)) {
      overlay.draw(context, pane.view, pane.size, toPane, pane.moving);
    }
    tools.draw(context, pane.slide, toPane);
    if (tools.active && pane === stage.active && document.body.dataset.tabbed) {
      drawCross(context, pane.size[0] / 2, pane.size[1] / 2);
    }
  },
});
const redraw = () => stage.panes.forEach((pane) => pane.redraw());
const tools = new Tools(redraw, () => {
  redraw();
  showMeasurements(tools, stage.active.slide);
});
const notice = new Notice(() => stage.panes.forEach((pane) => pane.retry()));
const navigator = new Navigator(element<HTMLCanvasElement>("navigator"), (x, y) => {
  const view = stage.active.target;
  if (view) {
    stage.active.show({ ...view, x, y }, true);
  }
});
const infoPanel = new InfoPanel();
const panels = new Panels((panel) => {
  if (panel === "compare") {
    comparePanel.opened();
  } else if (panel === "info") {
    showInfo();
  }
});
const adjustPanel = new AdjustPanel({ toneChanged: useTone, turned: (degrees) => turnTo(degrees, true) });
const overlayPanel = new OverlayPanel(overlay, () => {
  redraw();
  writeAddress();
  if (!element("overlay-error").hidden) {
    panels.show("overlay");
  }
});

stage.open([own], false);
window.viewer = stage.active.viewer;
const comparePanel = new ComparePanel(stage, own, info.source, info.named, () => {
  window.viewer = (stage.panes[0] as Pane).viewer;
  useTone();
  showView();
  writeAddress();
}, (text) => notice.say(text));

// --- what is shown of the view

function showView(): void {
  const { slide, view, size } = stage.active;
  if (!view) {
    return;
  }
  const bar = scaleBar(slide, view, BAR_WIDTH);
  element("scale-bar").style.width = `${bar.width}px`;
  element("scale-text").textContent = bar.text;
  element("magnification").textContent = magnificationText(slide, view);
  element("digital").hidden = !isDigital(view);
  element("position").textContent = positionText(slide, view.x, view.y);
  adjustPanel.showRotation(view.rotation);
  navigator.update(slide, view, size);
  showPower(slide, view.zoom);
}

function showPower(slide: Slide, zoom: number): void {
  const native = nativePower(slide);
  element("magnifications").hidden = native === null;
  for (const button of powerButtons()) {
    const wanted = Number(button.dataset.power) / (native ?? 1);
    button.setAttribute("aria-pressed", String(Math.abs(zoom / wanted - 1) < 0.01));
    button.classList.toggle("digital", wanted > 1.001);
    button.disabled = wanted > MAX_ZOOM;
  }
}

function powerButtons(): NodeListOf<HTMLButtonElement> {
  return element("magnifications").querySelectorAll("button");
}

function onRest(pane: Pane): void {
  if (pane === stage.active) {
    showView();
    navigator.visit();
    writeAddress();
  }
  pane.redraw();
}

function onTouch(): void {
  showView();
  showMeasurements(tools, stage.active.slide);
  if (panels.current === "info") {
    showInfo();
  }
}

function showInfo(): void {
  const { slide } = stage.active;
  infoPanel.show(slide, !slide.reference.startsWith("source:"));
}

function onLoading(): void {
  notice.update(stage.panes);
  if (stage.panes.every((pane) => pane.complete) && document.body.dataset.ready !== "true") {
    // Two frames: the first draws what has just been loaded.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        document.body.dataset.ready = "true";
        performance.mark("painted");
      }),
    );
  }
}

// --- the address

let rest: ReturnType<typeof setTimeout> | undefined;

function writeAddress(): void {
  clearTimeout(rest);
  rest = setTimeout(() => {
    const address = {
      view: stage.panes[0]?.target ?? null,
      compare: comparePanel.beside,
      difference: comparePanel.amplification,
      overlay: overlayPanel.address,
    };
    history.replaceState(null, "", formatAddress(address));
  }, REST);
}

function readAddress(): void {
  const address = parseAddress(location.hash);
  const { view, compare } = address;
  const [first] = stage.panes;
  if (view && first) {
    const zoom = Math.min(view.zoom, MAX_ZOOM);
    const show = () => {
      first.show({ ...view, zoom }, true);
      first.viewer.viewport.applyConstraints(true);
    };
    first.viewer.isOpen() ? show() : first.viewer.addOnceHandler("open", show);
  }
  if (compare.length > 0 && comparePanel.beside.length === 0) {
    comparePanel.amplification = address.difference;
    void comparePanel.open(compare, view);
  }
  if (address.overlay && address.overlay !== overlayPanel.address) {
    void overlayPanel.load(address.overlay);
  }
}

// --- what the user does

function zoomTo(power: number): void {
  const { slide, target } = stage.active;
  const native = nativePower(slide);
  if (target && native !== null && power / native <= MAX_ZOOM) {
    stage.active.show({ ...target, zoom: power / native }, false);
    stage.active.viewer.viewport.applyConstraints();
  }
}

function zoomBy(factor: number): void {
  if (stage.active.view) {
    stage.active.viewer.viewport.zoomBy(factor);
    stage.active.viewer.viewport.applyConstraints();
  }
}

function turnTo(degrees: number, immediately: boolean): void {
  if (stage.active.view) {
    stage.active.viewer.viewport.setRotation(degrees, immediately);
  }
}

/** Turns what is seen clockwise, also where it is flipped. */
function turnBy(degrees: number): void {
  const { viewport } = stage.active.viewer;
  turnTo(viewport.getRotation() + (viewport.getFlip() ? -degrees : degrees), false);
}

function setFlip(flip: boolean): void {
  if (stage.active.view) {
    stage.active.viewer.viewport.setFlip(flip);
    showView();
    stage.active.viewer.forceRedraw();
    writeAddress();
  }
}

function chooseTool(tool: Tool): void {
  if (tool === "circle" && stage.active.slide.mpp === null) {
    notice.say("The size of this slide's pixels is unknown: there are no millimetres to draw a circle of.");
    return;
  }
  tools.choose(tool);
  document.body.dataset.tool = tools.active ?? "";
  if (tools.active) {
    panels.show("measure");
  }
}

function onClick(pane: Pane, point: readonly [number, number], twice: boolean): boolean {
  if (!tools.active || !pane.view) {
    return false;
  }
  if (twice) {
    tools.finish();
  } else {
    tools.add(pane.slide, point, 1 / pane.view.zoom);
  }
  return true;
}

function cancel(): void {
  if (tools.drop()) {
    return;
  }
  if (tools.active) {
    tools.choose(null);
    document.body.dataset.tool = "";
  } else {
    panels.show(null);
    notice.hide();
  }
}

function pointInTheMiddle(): void {
  const { slide, view } = stage.active;
  if (view) {
    tools.add(slide, [view.x, view.y], 1 / view.zoom);
  }
}

function curve(): readonly number[] {
  const factor = comparePanel.amplification;
  return factor === null ? toneCurve(adjustPanel.tone) : amplification(factor);
}

function useTone(): void {
  const values = curve();
  setFilter(document.querySelector("#tone") as SVGFilterElement, values);
  element("stage").classList.toggle("toned", !isNeutral(values));
}

async function takeScreenshot(): Promise<void> {
  const { view } = stage.active;
  try {
    const where = view ? `-${Math.round(view.x)}-${Math.round(view.y)}` : "";
    download(await screenshot(element("stage"), stage.panes, curve()), `microtome${where}.png`);
  } catch (error) {
    notice.say(`There is no picture: ${reason(error)}`);
  }
}

function toggleFullScreen(): void {
  const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  change.catch((error: unknown) => notice.say(`Full screen is not available: ${reason(error)}`));
}

const actions: Record<Action, () => void> = {
  in: () => zoomBy(ZOOM_STEP),
  out: () => zoomBy(1 / ZOOM_STEP),
  home: () => void (stage.active.view && stage.active.viewer.viewport.goHome()),
  full: toggleFullScreen,
  turnRight: () => turnBy(90),
  turnLeft: () => turnBy(-90),
  upright: () => {
    setFlip(false);
    turnTo(0, false);
  },
  flip: () => setFlip(!stage.active.viewer.viewport.getFlip()),
  ruler: () => chooseTool("ruler"),
  area: () => chooseTool("area"),
  circle: () => chooseTool("circle"),
  point: pointInTheMiddle,
  finish: () => tools.finish(),
  cancel,
  removeLast: () => tools.remove(stage.active.slide, tools.of(stage.active.slide).at(-1)),
  compare: () => panels.toggle("compare"),
  link: () => comparePanel.toggleLink(),
  difference: () => comparePanel.toggleDifference(),
  overlay: () => (overlay.origin === "" ? panels.toggle("overlay") : overlayPanel.toggle()),
  adjust: () => panels.toggle("adjust"),
  info: () => panels.toggle("info"),
  background: () => adjustPanel.nextBackground(),
  navigator: () => navigator.toggle(),
  screenshot: () => void takeScreenshot(),
  help: () => element<HTMLDialogElement>("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Tab") {
    // From here on the focus is shown on the slide too, which has it from the start.
    document.body.dataset.tabbed = "true";
  }
  const pan = panOf(event);
  if (pan && stage.active.view) {
    stage.active.panBy(...pan);
    event.preventDefault();
    return;
  }
  const action = actionOf(event);
  if (typeof action === "number") {
    zoomTo(action);
  } else if (action) {
    actions[action]();
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest<HTMLElement>("button");
  if (button?.dataset.action) {
    actions[button.dataset.action as Action]();
  }
  // After a click with the mouse the keys work on the slide again.
  if (event.detail > 0 && button?.closest("header")) {
    stage.active.viewer.canvas.focus({ preventScroll: true });
  }
});

for (const button of powerButtons()) {
  button.addEventListener("click", () => zoomTo(Number(button.dataset.power)));
}

element("stage").addEventListener("pointermove", (event) => {
  const pane = stage.panes.find((candidate) => candidate.element.contains(event.target as Node));
  const point = pane?.pointAt(event);
  if (pane && point) {
    element("position").textContent = positionText(pane.slide, ...point);
    tools.move(pane.slide, point);
  }
});
element("stage").addEventListener("pointerleave", showView);
element("measure-clear").addEventListener("click", () => tools.clear(stage.active.slide));
window.addEventListener("hashchange", readAddress);

element("keys").replaceChildren(
  ...keyRows().map(([keys, text]) => {
    const row = make("tr");
    row.append(make("th", keys, { scope: "row" }), make("td", text));
    return row;
  }),
);
showMeasurements(tools, own);
readAddress();
stage.active.viewer.addOnceHandler("open", () => stage.active.viewer.canvas.focus({ preventScroll: true }));

declare global {
  interface Window {
    /** OpenSeadragon's viewer of the first pane, for scripts and tests. */
    viewer: OpenSeadragon.Viewer;
  }
}
