// The panel at the side: one of its sections at a time, opened and closed by the buttons that name it.

import { element } from "./page";

export type PanelName = "adjust" | "measure" | "compare" | "overlay" | "info";

export class Panels {
  private shown: PanelName | null = null;

  /** `opened` is called with each section that comes up. */
  constructor(private readonly opened: (panel: PanelName) => void) {
    for (const button of this.buttons()) {
      button.addEventListener("click", () => this.toggle(button.dataset.panel as PanelName));
    }
    element("panel-close").addEventListener("click", () => this.show(null));
  }

  private buttons(): NodeListOf<HTMLElement> {
    return document.querySelectorAll<HTMLElement>("button[data-panel]");
  }

  get current(): PanelName | null {
    return this.shown;
  }

  toggle(panel: PanelName): void {
    this.show(this.shown === panel ? null : panel);
  }

  show(panel: PanelName | null): void {
    const before = this.shown;
    this.shown = panel;
    element("panel").hidden = panel === null;
    for (const section of element("panel").querySelectorAll<HTMLElement>("section")) {
      section.hidden = section.dataset.section !== panel;
    }
    for (const button of this.buttons()) {
      button.setAttribute("aria-expanded", String(button.dataset.panel === panel));
    }
    if (panel) {
      this.opened(panel);
    } else if (before && element("panel").contains(document.activeElement)) {
      document.querySelector<HTMLElement>(`button[data-panel="${before}"]`)?.focus();
    }
  }
}
