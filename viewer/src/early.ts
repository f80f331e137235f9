// Asks for the tiles of the first view while OpenSeadragon's script is on its way or being read. It will ask for the same
// addresses, and finds them there, or on their way. A wrong guess costs some tiles and nothing else.

import { parseAddress } from "./address";
import { firstTiles } from "./first-view";
import { element } from "./page";
import type { Slide } from "./slide";

const info = JSON.parse(element("slide-info").textContent ?? "") as Omit<Slide, "name" | "format">;
const stage = element("stage");
const size = [stage.clientWidth, stage.clientHeight] as const;
const slide = { ...info, name: "", format: "jpg" };
const { view, compare } = parseAddress(location.hash);
// Beside others the slide has less room, and how much is not known yet. Of a screen OpenSeadragon takes one pixel at least.
const tiles = compare.length > 0 ? [] : firstTiles(slide, size, Math.max(1, window.devicePixelRatio), view);
for (const address of tiles) {
  new Image().src = address;
}
