// The section about the slide: what the page knows, what the server adds, the label if the server gives it.

import { type SlideDocument, slideDocument } from "./catalog";
import { lengthText } from "./measure";
import { element, make, reason } from "./page";
import { type Slide, nativePower } from "./slide";

/** Associated images shown, if the server gives them. */
const SHOWN = ["label", "macro"];

export class InfoPanel {
  private of: Slide | null = null;

  show(slide: Slide, hasDocument: boolean): void {
    if (this.of === slide) {
      return;
    }
    this.of = slide;
    fill(element("facts"), knownFacts(slide));
    element("properties-box").hidden = true;
    element("associated").replaceChildren();
    element("info-status").textContent = "";
    if (hasDocument) {
      this.load(slide);
    }
  }

  private load(slide: Slide): void {
    slideDocument(slide.reference)
      .then((document) => document && this.of === slide && this.add(document))
      .catch((error: unknown) => {
        element("info-status").textContent = `The server's properties could not be loaded: ${reason(error)}`;
        this.of = null;
      });
  }

  private add(document: SlideDocument): void {
    fill(element("properties"), [...document.facts, ...document.properties]);
    element("properties-box").hidden = document.facts.length + document.properties.length === 0;
    const images = document.associated.filter(({ name }) => SHOWN.includes(name));
    element("associated").replaceChildren(
      ...images.map(({ name, url }) => {
        const figure = make("figure");
        figure.append(make("img", "", { src: url, alt: `The slide's ${name}` }), make("figcaption", name));
        return figure;
      }),
    );
  }
}

function knownFacts(slide: Slide): [string, string][] {
  const facts: [string, string][] = [
    ["name", slide.name],
    ["size", `${slide.width} x ${slide.height} px`],
  ];
  if (slide.mpp) {
    const [x, y] = slide.mpp;
    facts.push(
      ["on glass", `${lengthText(slide.width * x, slide.mpp)} x ${lengthText(slide.height * y, slide.mpp)}`],
      ["µm per pixel", x === y ? String(x) : `${x}, ${y}`],
    );
  } else {
    facts.push(["µm per pixel", "unknown: lengths are in pixels"]);
  }
  const power = nativePower(slide);
  if (power !== null) {
    facts.push(["magnification", `${Number(power.toPrecision(3))}x${slide.objectivePower === null ? " (from µm per pixel)" : ""}`]);
  }
  facts.push(["tiles", `${slide.tileSize} px, overlap ${slide.overlap}`]);
  if (slide.version !== null) {
    facts.push(["content id", slide.version]);
  }
  return facts;
}

function fill(list: HTMLElement, rows: readonly (readonly [string, string])[]): void {
  list.replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}
