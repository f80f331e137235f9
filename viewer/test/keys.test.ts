import { expect, test, vi } from "vitest";
import { actionOf, panOf } from "../src/keys";

// There is no browser here.
vi.stubGlobal("Element", class {});

function pressed(key: string, shiftKey = false): KeyboardEvent {
  return { key, shiftKey, target: null, ctrlKey: false, metaKey: false, altKey: false } as KeyboardEvent;
}

function press(key: string, shiftKey = false): ReturnType<typeof actionOf> {
  return actionOf(pressed(key, shiftKey));
}

test("Caps Lock makes no difference, Shift does", () => {
  expect([press("m"), press("M")]).toEqual(["ruler", "ruler"]);
  expect([press("r"), press("R")]).toEqual(["turnRight", "turnRight"]);
  expect([press("R", true), press("r", true)]).toEqual(["turnLeft", "turnLeft"]);
  expect([press("?", true), press("Home"), press("3")]).toEqual(["help", "home", 5]);
});

test("arrows and letters pan, and mean nothing else", () => {
  expect([panOf(pressed("ArrowLeft")), panOf(pressed("A")), panOf(pressed("A", true))]).toEqual([[-40, 0], [-40, 0], undefined]);
  expect(["w", "a", "s", "d", "ArrowUp"].map((key) => press(key))).toEqual(Array(5).fill(undefined));
});
