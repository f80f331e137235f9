// Messages above the stage: that tiles are on their way, that some did not come, that something could not be done.

import type { Pane } from "./pane";
import { element } from "./page";

/** Milliseconds before the page says that it is loading: what is faster needs no word, and does not flicker. */
const PATIENCE = 400;
/** Milliseconds after which a message that asks for nothing goes. */
const PASSING = 8000;

export class Notice {
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private passing: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly retry: () => void) {
    element("notice-retry").addEventListener("click", () => this.retry());
    element("notice-close").addEventListener("click", () => this.hide());
  }

  /** Says something that needs no answer; it goes by itself. */
  say(text: string): void {
    this.show(text, false);
    this.passing = setTimeout(() => this.hide(), PASSING);
  }

  private show(text: string, canRetry: boolean): void {
    clearTimeout(this.passing);
    element("notice-text").textContent = text;
    element("notice-retry").hidden = !canRetry;
    element("notice").hidden = false;
  }

  hide(): void {
    clearTimeout(this.passing);
    element("notice").hidden = true;
  }

  /** Follows what the panes have and lack. */
  update(panes: readonly Pane[]): void {
    const failed = panes.reduce((sum, pane) => sum + pane.failed.size, 0);
    const complete = panes.every((pane) => pane.complete);
    if (failed > 0) {
      const tiles = failed === 1 ? "One tile" : `${failed} tiles`;
      this.show(`${tiles} could not be loaded: parts of the picture are missing or blurred.`, true);
    } else if (!element("notice-retry").hidden) {
      this.hide();
    }
    this.showLoading(!complete && failed === 0);
  }

  private showLoading(loading: boolean): void {
    if (!loading) {
      clearTimeout(this.waiting);
      this.waiting = undefined;
      element("loading").hidden = true;
    } else {
      this.waiting ??= setTimeout(() => (element("loading").hidden = false), PATIENCE);
    }
  }
}
