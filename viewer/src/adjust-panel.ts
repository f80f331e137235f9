// The section of the view: turn, brightness, contrast, gamma, background.

import { element } from "./page";
import { NEUTRAL, type Tone } from "./tone";

/** Values of `data-background`, in the order in which the key goes through them. */
const BACKGROUNDS = ["dark", "black", "grey", "white"];
const REMEMBERED = "microtome-background";

export interface AdjustEvents {
  toneChanged(): void;
  turned(degrees: number): void;
}

export class AdjustPanel {
  constructor(events: AdjustEvents) {
    for (const slider of this.sliders()) {
      slider.addEventListener("input", () => {
        this.showValues();
        events.toneChanged();
      });
    }
    this.rotation.addEventListener("input", () => {
      this.showRotation(Number(this.rotation.value));
      events.turned(Number(this.rotation.value));
    });
    element("tone-reset").addEventListener("click", () => {
      this.set(NEUTRAL);
      events.toneChanged();
    });
    const background = element<HTMLSelectElement>("background");
    background.addEventListener("change", () => this.useBackground(background.value));
    this.useBackground(remembered() ?? BACKGROUNDS[0] as string);
    this.set(NEUTRAL);
  }

  private get rotation(): HTMLInputElement {
    return element<HTMLInputElement>("rotation");
  }

  private sliders(): HTMLInputElement[] {
    return ["brightness", "contrast", "gamma"].map((id) => element<HTMLInputElement>(id));
  }

  /** Contrast and gamma are sliders of powers of two: as far down as up. */
  get tone(): Tone {
    const [brightness, contrast, gamma] = this.sliders().map((slider) => Number(slider.value)) as [number, number, number];
    return { brightness: brightness / 100, contrast: 2 ** contrast, gamma: 2 ** gamma };
  }

  private set(tone: Tone): void {
    const values = [tone.brightness * 100, Math.log2(tone.contrast), Math.log2(tone.gamma)];
    this.sliders().forEach((slider, index) => (slider.value = String(values[index])));
    this.showValues();
  }

  private showValues(): void {
    const { brightness, contrast, gamma } = this.tone;
    element("brightness-value").textContent = `${Math.round(brightness * 100)} %`;
    element("contrast-value").textContent = contrast.toFixed(2);
    element("gamma-value").textContent = gamma.toFixed(2);
  }

  showRotation(degrees: number): void {
    const rounded = Math.round(degrees) % 360;
    if (document.activeElement !== this.rotation) {
      this.rotation.value = String(rounded);
    }
    element("rotation-value").textContent = `${rounded}°`;
  }

  nextBackground(): void {
    const now = BACKGROUNDS.indexOf(document.body.dataset.background ?? "");
    this.useBackground(BACKGROUNDS[(now + 1) % BACKGROUNDS.length] as string);
  }

  private useBackground(name: string): void {
    const known = BACKGROUNDS.includes(name) ? name : (BACKGROUNDS[0] as string);
    document.body.dataset.background = known;
    element<HTMLSelectElement>("background").value = known;
    try {
      localStorage.setItem(REMEMBERED, known);
    } catch {
      // A browser that keeps nothing: the next page begins dark again.
    }
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}
