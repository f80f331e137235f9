// The section of annotations: opening a GeoJSON file or address, switching it on and off, and what is in it.

import { MAX_BYTES, parseGeoJson } from "./geojson";
import type { Overlay } from "./overlay";
import { element, make, reason } from "./page";

/** `changed` is called whenever what is drawn is another. */
export class OverlayPanel {
  constructor(
    private readonly overlay: Overlay,
    private readonly changed: () => void,
  ) {
    const file = element<HTMLInputElement>("overlay-file");
    file.addEventListener("change", () => {
      const [chosen] = file.files ?? [];
      if (chosen) {
        void this.read(chosen);
      }
      file.value = "";
    });
    element("overlay-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const address = element<HTMLInputElement>("overlay-address").value.trim();
      if (address !== "") {
        void this.load(address);
      }
    });
    element("overlay-visible").addEventListener("change", () => this.toggle());
    element("overlay-remove").addEventListener("click", () => this.use([], ""));
    this.acceptDrops();
    this.show();
  }

  private acceptDrops(): void {
    const stop = (event: DragEvent) => event.preventDefault();
    document.addEventListener("dragover", stop);
    document.addEventListener("drop", (event) => {
      stop(event);
      const [dropped] = event.dataTransfer?.files ?? [];
      if (dropped) {
        void this.read(dropped);
      }
    });
  }

  /** An address that the page's own names: what is not on this server is not asked for. */
  get address(): string | null {
    return this.overlay.origin.startsWith("/") ? this.overlay.origin : null;
  }

  toggle(): void {
    this.overlay.visible = !this.overlay.visible;
    this.show();
    this.changed();
  }

  async load(address: string): Promise<void> {
    try {
      const url = new URL(address, location.href);
      if (url.origin !== location.origin) {
        throw new Error("it is on another server, and this page asks none but its own. Save it, and open it as a file.");
      }
      const answer = await fetch(url);
      if (!answer.ok) {
        throw new Error(`the server answers with status ${answer.status}`);
      }
      const size = Number(answer.headers.get("content-length") ?? 0);
      if (size > MAX_BYTES) {
        throw new Error(tooLarge(size));
      }
      this.use(parseGeoJson(await answer.text()), url.pathname + url.search);
    } catch (error) {
      this.complain(`The annotations at ${address} cannot be shown: ${reason(error)}`);
    }
  }

  private async read(file: File): Promise<void> {
    try {
      if (file.size > MAX_BYTES) {
        throw new Error(tooLarge(file.size));
      }
      this.use(parseGeoJson(await file.text()), file.name);
    } catch (error) {
      this.complain(`${file.name} cannot be shown: ${reason(error)}`);
    }
  }

  private use(features: ReturnType<typeof parseGeoJson>, origin: string): void {
    this.overlay.features = features;
    this.overlay.origin = origin;
    this.overlay.visible = true;
    element("overlay-error").hidden = true;
    this.show();
    this.changed();
  }

  private complain(text: string): void {
    element("overlay-error").textContent = text;
    element("overlay-error").hidden = false;
    this.changed();
  }

  private show(): void {
    const { features, origin, visible } = this.overlay;
    const some = origin !== "";
    element("overlay-loaded").hidden = !some;
    element<HTMLInputElement>("overlay-visible").checked = visible;
    element("overlay-origin").textContent = `${origin}: ${features.length} ${features.length === 1 ? "feature" : "features"}`;
    element("overlay-classes").replaceChildren(
      ...this.overlay.classes().slice(0, 30).map(({ name, colour, count }) => {
        const row = make("li");
        const sample = make("span", "", { class: "sample" });
        sample.style.background = colour;
        row.append(sample, make("span", `${name || "no class"} (${count})`));
        return row;
      }),
    );
  }
}

function tooLarge(bytes: number): string {
  return `it has ${Math.round(bytes / 1e6)} MB, and at most ${Math.round(MAX_BYTES / 1e6)} MB are read.`;
}
