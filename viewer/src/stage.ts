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
  private readonly relations = new Map<Pane, Relation>();

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
    this.align();
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
    pane.viewer.addHandler("open", () => this.lead(this.active));
    return pane;
  }

  private markActive(): void {
    this.panes.forEach((pane) => pane.element.classList.toggle("active", pane === this.active));
  }

  /** Middle on middle, same scale. */
  align(): void {
    this.relations.clear();
    const [first] = this.panes;
    for (const pane of this.panes.slice(1)) {
      this.relations.set(pane, aligned((first as Pane).slide, pane.slide));
    }
    this.linked = true;
    this.lead(first as Pane);
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
        this.relations.set(pane, relate(view, pane.view, commonUnits(first.slide, pane.slide)));
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
        other.show(this.viewOf(other, ofFirst), true);
      }
    }
  }

  private viewOfFirst(pane: Pane, view: View): View {
    const relation = this.relations.get(pane);
    return relation ? follow(inverse(relation), view, flipped(this.units(pane))) : view;
  }

  private viewOf(pane: Pane, ofFirst: View): View {
    const relation = this.relations.get(pane);
    return relation ? follow(relation, ofFirst, this.units(pane)) : ofFirst;
  }

  private units(pane: Pane) {
    return commonUnits((this.panes[0] as Pane).slide, pane.slide);
  }
}

function flipped<T>([one, other]: [T, T]): [T, T] {
  return [other, one];
}
