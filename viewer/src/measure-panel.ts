// The section of measurements: the tools, and what was measured on the slide that is worked on.

import { button, element, make } from "./page";
import type { Slide } from "./slide";
import { type Tool, type Tools, measurementText } from "./tools";

const HINTS: Record<Tool, string> = {
  ruler: "Click both ends. Dragging still moves the slide.",
  area: "Click along the outline; click the first point or press Enter to close it.",
  circle: "Click where the middle is to be.",
};

const NAMES: Record<Tool, string> = { ruler: "length", area: "area", circle: "circle" };

export function showMeasurements(tools: Tools, slide: Slide): void {
  const measured = tools.of(slide);
  element("measure-hint").textContent = tools.active ? HINTS[tools.active] : "Choose a tool.";
  element("measure-unit").hidden = slide.mpp !== null;
  element("measure-clear").hidden = measured.length === 0;
  element("measurements").replaceChildren(
    ...measured.map((measurement, index) => {
      const row = make("li");
      const name = `${NAMES[measurement.tool]} ${index + 1}`;
      row.append(make("span", `${name}: ${measurementText(measurement, slide, true)}`));
      row.append(button("×", () => tools.remove(slide, measurement), `Remove ${name}`));
      return row;
    }),
  );
  for (const toolButton of document.querySelectorAll<HTMLButtonElement>("button[data-tool]")) {
    toolButton.setAttribute("aria-pressed", String(toolButton.dataset.tool === tools.active));
    if (toolButton.dataset.tool === "circle") {
      toolButton.disabled = slide.mpp === null;
    }
  }
}
