// The panes as one PNG, as they are seen: with the tone curve, what is drawn above the slides, scale bar and magnification.
// No name of a slide: a picture goes further than the page.

import type { Pane } from "./pane";
import { isDigital, magnificationText, scaleBar } from "./scale";
import { applyCurve, isNeutral } from "./tone";

const BAR_WIDTH = 160;

export async function screenshot(stage: HTMLElement, panes: readonly Pane[], curve: readonly number[]): Promise<Blob> {
  const ratio = window.devicePixelRatio;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(stage.clientWidth * ratio);
  canvas.height = Math.round(stage.clientHeight * ratio);
  const context = canvas.getContext("2d");
  if (!context) {
    throw new Error("The browser gives no canvas for the picture.");
  }
  context.fillStyle = getComputedStyle(stage).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const origin = stage.getBoundingClientRect();
  for (const pane of panes) {
    const box = pane.element.getBoundingClientRect();
    const [x, y] = [(box.left - origin.left) * ratio, (box.top - origin.top) * ratio];
    const [width, height] = [box.width * ratio, box.height * ratio];
    context.drawImage(toned(pane.picture, curve), x, y, width, height);
    if (!pane.canvas.hidden) {
      context.drawImage(pane.canvas, x, y, width, height);
    }
    context.setTransform(ratio, 0, 0, ratio, x, y);
    drawScale(context, pane);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser cannot write the picture."))), "image/png"),
  );
}

function toned(picture: HTMLCanvasElement, curve: readonly number[]): HTMLCanvasElement {
  if (isNeutral(curve)) {
    return picture;
  }
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [picture.width, picture.height];
  const context = copy.getContext("2d");
  if (!context) {
    return picture;
  }
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, copy.width, copy.height);
  applyCurve(pixels.data, curve);
  context.putImageData(pixels, 0, 0);
  return copy;
}

/** Scale bar and magnification in the lower left corner, on a plate. */
function drawScale(context: CanvasRenderingContext2D, pane: Pane): void {
  const { view, slide } = pane;
  if (!view) {
    return;
  }
  const bar = scaleBar(slide, view, BAR_WIDTH);
  const text = `${bar.text}   ${magnificationText(slide, view)}${isDigital(view) ? " digital zoom" : ""}`;
  context.font = "600 14px system-ui, sans-serif";
  const [left, bottom] = [12, pane.size[1] - 12];
  const width = Math.max(bar.width, context.measureText(text).width) + 20;
  context.fillStyle = "rgb(20 20 20 / 85%)";
  context.beginPath();
  context.roundRect(left, bottom - 46, width, 46, 4);
  context.fill();
  context.fillStyle = "#fff";
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(text, left + 10, bottom - 26);
  context.fillRect(left + 10, bottom - 14, bar.width, 4);
}

/** Gives the picture to the browser as a file. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has taken the address by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
