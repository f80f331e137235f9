// The keys of the page: the table that works, and the one that help shows, are the same.

import { POWERS } from "./scale";

export type Action =
  | "in" | "out" | "home" | "full" | "turnRight" | "turnLeft" | "upright" | "flip"
  | "ruler" | "area" | "circle" | "point" | "finish" | "cancel" | "removeLast"
  | "compare" | "link" | "difference" | "overlay" | "adjust" | "info" | "background" | "navigator" | "screenshot" | "help";

interface Binding {
  /** As in `KeyboardEvent.key`. */
  readonly keys: readonly string[];
  readonly action: Action;
  readonly text: string;
}

export const BINDINGS: readonly Binding[] = [
  { keys: ["+", "="], action: "in", text: "zoom in" },
  { keys: ["-", "_"], action: "out", text: "zoom out" },
  { keys: ["0", "Home"], action: "home", text: "whole slide" },
  { keys: ["r"], action: "turnRight", text: "turn by 90° clockwise" },
  { keys: ["R"], action: "turnLeft", text: "turn by 90° counterclockwise" },
  { keys: ["u"], action: "upright", text: "upright: no turn, no flip" },
  { keys: ["x"], action: "flip", text: "flip left and right" },
  { keys: ["m"], action: "ruler", text: "ruler" },
  { keys: ["p"], action: "area", text: "area" },
  { keys: ["c"], action: "circle", text: "circle of 1 mm²" },
  { keys: [" "], action: "point", text: "with a tool: set a point in the middle of the view" },
  { keys: ["Enter"], action: "finish", text: "with the area tool: close the outline" },
  { keys: ["Delete", "Backspace"], action: "removeLast", text: "remove the last measurement" },
  { keys: ["k"], action: "compare", text: "compare with other slides" },
  { keys: ["l"], action: "link", text: "link panes, or let them go" },
  { keys: ["v"], action: "difference", text: "difference of two slides" },
  { keys: ["o"], action: "overlay", text: "annotations on and off" },
  { keys: ["g"], action: "adjust", text: "view: turn, brightness, contrast, gamma, background" },
  { keys: ["i"], action: "info", text: "about the slide" },
  { keys: ["b"], action: "background", text: "next background" },
  { keys: ["n"], action: "navigator", text: "navigator on and off" },
  { keys: ["q"], action: "screenshot", text: "picture with scale bar" },
  { keys: ["f"], action: "full", text: "full screen" },
  { keys: ["?", "h"], action: "help", text: "these keys" },
  { keys: ["Escape"], action: "cancel", text: "put the tool away, close the panel" },
];

/** CSS pixels. */
const PAN = 40;
const PANS: Record<string, readonly [number, number]> = {
  ArrowUp: [0, -PAN], w: [0, -PAN],
  ArrowLeft: [-PAN, 0], a: [-PAN, 0],
  ArrowDown: [0, PAN], s: [0, PAN],
  ArrowRight: [PAN, 0], d: [PAN, 0],
};

const NAMES: Record<string, string> = { " ": "Space", Escape: "Esc", R: "Shift R", _: "" };

/** The action of a key press, or the magnification that it asks for; none if a control that has the focus takes the key. */
export function actionOf(event: KeyboardEvent): Action | number | undefined {
  const target = event.target instanceof Element ? event.target : null;
  const inField = isInField(target);
  const presses = target?.closest("button, a, summary") != null && (event.key === " " || event.key === "Enter");
  if (event.ctrlKey || event.metaKey || event.altKey || presses || (inField && event.key !== "Escape")) {
    return undefined;
  }
  const key = withoutCapsLock(event);
  return POWERS[Number(key) - 1] ?? BINDINGS.find(({ keys }) => keys.includes(key))?.action;
}

/** How far a key press moves the view: CSS pixels to the right and down. */
export function panOf(event: KeyboardEvent): readonly [number, number] | undefined {
  const target = event.target instanceof Element ? event.target : null;
  const modified = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
  // What has the focus in the panel is scrolled with arrows.
  if (modified || isInField(target) || target?.closest("#panel")) {
    return undefined;
  }
  return PANS[withoutCapsLock(event)];
}

function isInField(target: Element | null): boolean {
  return target?.closest("input, select, textarea, dialog") != null;
}

/** A letter is large because of Shift, and for no other reason. */
function withoutCapsLock({ key, shiftKey }: KeyboardEvent): string {
  if (key.length !== 1) {
    return key;
  }
  return shiftKey ? key.toUpperCase() : key.toLowerCase();
}

/** Rows of the table in help: keys and what they do. */
export function keyRows(): [string, string][] {
  const names = (keys: readonly string[]) => keys.map((key) => NAMES[key] ?? key.toUpperCase().replace(/^(HOME|ENTER|DELETE|BACKSPACE)$/, title)).filter(Boolean);
  return [
    ["arrows, W A S D", "pan"],
    ["1 to 6", "1.25x, 2.5x, 5x, 10x, 20x, 40x"],
    ...BINDINGS.map(({ keys, text }): [string, string] => [names(keys).join(", "), text]),
  ];
}

function title(word: string): string {
  return word.charAt(0) + word.slice(1).toLowerCase();
}
