// The section of comparison: which slides are beside the page's own, whether they move together, and their difference.

import { type Beside, MAX_PANES } from "./address";
import { findSlide, listSlides } from "./catalog";
import { button, element, make, reason } from "./page";
import type { Slide } from "./slide";
import type { Stage } from "./stage";
import type { View } from "./view";

/** Slides offered for a search. */
const OFFERED = 8;
/** Milliseconds without a key press before the server is asked. */
const PAUSE = 200;

export class ComparePanel {
  private slides: readonly Slide[];
  private showsDifference = false;
  private pause: ReturnType<typeof setTimeout> | undefined;
  private search = new AbortController();
  /**
   * `source` says whether the server has the folder that the slide was made from, `named` whether addresses may name slides;
   * `changed` is called after each change.
   */
  constructor(
    private readonly stage: Stage,
    private readonly own: Slide,
    source: boolean,
    private readonly named: boolean,
    private readonly changed: () => void,
    private readonly complain: (text: string) => void,
  ) {
    this.slides = [own];
    element("compare-source").hidden = !source;
    element("compare-source").addEventListener("click", () => void this.add([`source:${own.reference}`]));
    element("compare-search").addEventListener("input", () => {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => void this.offer(), PAUSE);
    });
    element("compare-linked").addEventListener("change", () => this.toggleLink());
    element("compare-align").addEventListener("click", () => {
      this.stage.align();
      this.show();
      this.changed();
    });
    element("compare-difference").addEventListener("change", () => this.toggleDifference());
    element("compare-amplification").addEventListener("input", () => {
      this.showFactor();
      this.changed();
    });
  }

  /** The slides beside the page's own. */
  get beside(): readonly Beside[] {
    return this.slides.slice(1).map((slide) => ({ reference: slide.reference, view: this.stage.beside(slide) }));
  }

  /** The factor on differences, or null where slides are shown as they are. */
  get amplification(): number | null {
    return this.showsDifference ? 2 ** Number(element<HTMLInputElement>("compare-amplification").value) : null;
  }

  set amplification(factor: number | null) {
    this.showsDifference = factor !== null;
    element<HTMLInputElement>("compare-amplification").value = String(Math.log2(factor ?? 8));
  }

  /** What the panel offers when it comes up. */
  opened(): void {
    void this.offer();
    this.show();
  }

  private async offer(): Promise<void> {
    this.search.abort();
    this.search = new AbortController();
    const wanted = element<HTMLInputElement>("compare-search").value.trim();
    const list = element("compare-offers");
    try {
      const { slides, total } = await listSlides(wanted, 0, OFFERED, this.search.signal);
      const others = slides.filter(({ id }) => !this.slides.some(({ name }) => name === id));
      const rows = others.map(({ id }) => {
        const row = make("li");
        row.append(button(id, () => void this.add([id])));
        return row;
      });
      list.replaceChildren(...rows);
      element("compare-status").textContent = listed(wanted, total, others.length);
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) {
        element("compare-status").textContent = `The slides cannot be listed: ${reason(error)}`;
      }
    }
  }

  /** Opens what an address names, where its own slide is seen like this. */
  async open(beside: readonly Beside[], view: View | null): Promise<void> {
    const wanted = this.showsDifference;
    await this.add(beside.map(({ reference }) => reference), (slide, index) => {
      const other = beside[index]?.view;
      if (view && other) {
        this.stage.relate(slide, view, other);
      }
    });
    if (wanted && !this.showsDifference && this.slides.length > 1) {
      this.complain("Only two slides of the same size have a difference: these are beside each other.");
    }
  }

  private async add(references: readonly string[], found: (slide: Slide, index: number) => void = () => undefined): Promise<void> {
    try {
      const slides = (await Promise.all(references.map((reference) => findSlide(reference, this.named)))).map((slide) => this.measured(slide));
      slides.forEach(found);
      this.use([...this.slides, ...slides].slice(0, MAX_PANES));
    } catch (error) {
      this.complain(`There is nothing to compare with: ${references.join(", ")}. ${reason(error)}`);
    }
  }

  /** A picture of the same size that knows no micrometres is taken for the same slide. */
  private measured(slide: Slide): Slide {
    const same = slide.width === this.own.width && slide.height === this.own.height;
    const { mpp, objectivePower } = this.own;
    return same && slide.mpp === null ? { ...slide, mpp, objectivePower } : slide;
  }

  private use(slides: readonly Slide[]): void {
    this.slides = slides;
    this.showsDifference &&= this.canSubtract();
    this.stage.open(slides, this.showsDifference);
    this.opened();
    this.changed();
  }

  private canSubtract(): boolean {
    const second = this.slides[1];
    return this.slides.length === 2 && second?.width === this.own.width && second.height === this.own.height;
  }

  toggleLink(): void {
    this.stage.link(!this.stage.linked);
    this.show();
    this.changed();
  }

  toggleDifference(): void {
    if (this.canSubtract()) {
      this.showsDifference = !this.showsDifference;
      this.use(this.slides);
    } else {
      this.show();
    }
  }

  private show(): void {
    const several = this.slides.length > 1;
    const rows = this.slides.map((slide, index) => {
      const row = make("li");
      row.append(make("span", slide.name));
      if (index > 0) {
        const others = this.slides.filter((_, other) => other !== index);
        row.append(button("×", () => this.use(others), `Remove ${slide.name}`));
      }
      return row;
    });
    element("compare-slides").replaceChildren(...rows);
    element("compare-controls").hidden = !several;
    element("compare-link").hidden = this.showsDifference;
    element("compare-more").hidden = this.slides.length >= MAX_PANES;
    element<HTMLInputElement>("compare-linked").checked = this.stage.linked;
    const difference = element<HTMLInputElement>("compare-difference");
    difference.checked = this.showsDifference;
    difference.disabled = !this.canSubtract();
    element("compare-why").hidden = this.canSubtract();
    element("compare-amplify").hidden = !this.showsDifference;
    this.showFactor();
  }

  private showFactor(): void {
    element("compare-factor").textContent = `${Number((this.amplification ?? 1).toPrecision(3))} times`;
  }
}

/** What is said below the list of slides that are offered. */
function listed(wanted: string, total: number, offered: number): string {
  if (total === 0) {
    return wanted === "" ? "There are no slides." : `No slide has “${wanted}” in its name.`;
  }
  if (total > OFFERED) {
    return `${total} slides; ${OFFERED} are listed.`;
  }
  return offered === 0 ? "No other slide." : "";
}
