// The panes beside each other, which of them is worked on, and that they move together while they are linked.

import { MAX_PANES } from "./address";
import { type Relation, aligned, commonUnits, follow, inverse, relate } from "./link";
import { Pane, type PaneEvents } from "./pane";
import { make } from "./page";
import type { Slide } from "./slide";
import type { View } from "./view";

export class Stage {
  panes: Pane[] = [];
  /** The one that moves the others. */
  active!: Pane;
  linked = true;
  /** What lies on what, where it was brought there by hand: of a slide, also while it has no pane. */
  private readonly relations = new Map<Slide, Relation>();

  constructor(
    private readonly element: HTMLElement,
    private readonly events: PaneEvents,
  ) {}

  /** Shows these slides, the first one large or beside others; or, with two, their difference. */
  open(slides: readonly Slide[], asDifference: boolean): void {
    const [first, second] = slides;
    if (!first) {
      return;
    }
    const view = this.panes[0]?.view ?? null;
    const subtracted = asDifference && second ? second : null;
    const wanted = subtracted ? [first] : slides.slice(0, MAX_PANES);
    const changed = this.panes.findIndex((pane, index) => pane.slide !== wanted[index] || pane.subtracted !== subtracted);
    const kept = changed < 0 ? this.panes : this.panes.slice(0, changed);
    this.panes.slice(kept.length).forEach((pane) => pane.close());
    this.panes = kept.concat(wanted.slice(kept.length).map((slide) => this.pane(slide, subtracted)));
    this.active = this.panes[0] as Pane;
    this.element.dataset.panes = String(this.panes.length);
    this.element.dataset.difference = String(subtracted !== null);
    this.markActive();
    this.lead(this.active);
    if (view && kept.length === 0) {
      this.active.viewer.addOnceHandler("open", () => this.active.show(view, true));
    }
  }

  private pane(slide: Slide, subtracted: Slide | null): Pane {
    const element = document.createElement("div");
    element.className = "pane";
    element.setAttribute("role", "application");
    element.setAttribute("aria-label", "Slide. Arrow keys pan, plus and minus zoom, 0 shows the whole slide, ? lists all keys.");
    element.append(make("p", subtracted ? `Difference of ${slide.name} and ${subtracted.name}` : slide.name, { class: "caption" }));
    this.element.append(element);
    const pane: Pane = new Pane(element, slide, subtracted, {
      ...this.events,
      moved: (moved) => {
        this.lead(moved);
        this.events.moved(moved);
      },
      settled: (settled) => {
        this.lead(settled);
        this.events.settled(settled);
      },
      touched: (touched) => {
        this.active = touched;
        this.markActive();
        this.events.touched(touched);
      },
    });
    pane.viewer.addHandler("open", () => this.arrive(pane));
    return pane;
  }

  /** Puts a pane that has just opened where it belongs. */
  private arrive(pane: Pane): void {
    const [first] = this.panes;
    if (this.linked) {
      this.lead(this.active);
    } else if (first?.view && pane !== first) {
      pane.show(this.viewOf(pane.slide, first.view), true);
    }
  }

  private markActive(): void {
    this.panes.forEach((pane) => pane.element.classList.toggle("active", pane === this.active));
  }

  /** Middle on middle, same scale. */
  align(): void {
    this.relations.clear();
    this.linked = true;
    this.lead(this.panes[0] as Pane);
  }

  /** Lays a slide on the first one as these views of both show it. */
  relate(slide: Slide, ofFirst: View, ofSlide: View): void {
    this.relations.set(slide, relate(ofFirst, ofSlide, this.units(slide)));
  }

  /** What a slide beside the first one shows, or would, unless that follows from middle on middle. */
  beside(slide: Slide): View | null {
    const pane = this.panes.find((candidate) => candidate.slide === slide);
    const ofFirst = this.panes[0]?.target;
    if (!this.linked && pane) {
      return pane.target;
    }
    return ofFirst && this.relations.has(slide) ? this.viewOf(slide, ofFirst) : null;
  }

  /** Links the panes as they lie, or lets each go its way. */
  link(linked: boolean): void {
    this.linked = linked;
    const [first] = this.panes;
    const view = first?.view;
    if (!linked || !first || !view) {
      return;
    }
    for (const pane of this.panes.slice(1)) {
      if (pane.view) {
        this.relate(pane.slide, view, pane.view);
      }
    }
  }

  /** Moves all other panes after this one, if it is the one that leads. */
  private lead(pane: Pane): void {
    if (!this.linked || pane !== this.active || this.panes.length < 2 || !pane.view) {
      return;
    }
    const ofFirst = this.viewOfFirst(pane, pane.view);
    for (const other of this.panes) {
      if (other !== pane && other.view) {
        other.show(other === this.panes[0] ? ofFirst : this.viewOf(other.slide, ofFirst), true);
      }
    }
  }

  private viewOfFirst(pane: Pane, view: View): View {
    return pane === this.panes[0] ? view : follow(inverse(this.relation(pane.slide)), view, flipped(this.units(pane.slide)));
  }

  private viewOf(slide: Slide, ofFirst: View): View {
    return follow(this.relation(slide), ofFirst, this.units(slide));
  }

  private relation(slide: Slide): Relation {
    return this.relations.get(slide) ?? aligned((this.panes[0] as Pane).slide, slide);
  }

  private units(slide: Slide) {
    return commonUnits((this.panes[0] as Pane).slide, slide);
  }
}

function flipped<T>([one, other]: [T, T]): [T, T] {
  return [other, one];
}
