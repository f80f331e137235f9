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
for (const address of firstTiles(slide, size, window.devicePixelRatio, parseAddress(location.hash).view)) {
  new Image().src = address;
}
