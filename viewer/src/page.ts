// Small things that all parts of the page do with its elements.

/** The element of this id, which the page's template has. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`The page has no element ${id}.`);
  }
  return found as T;
}

/** A new element with text. Text stays text, whatever is in it. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text = "",
  attributes: Record<string, string> = {},
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
}

export function button(text: string, action: () => void, label?: string): HTMLButtonElement {
  const made = make("button", text, { type: "button", ...(label ? { "aria-label": label, title: label } : {}) });
  made.addEventListener("click", action);
  return made;
}

/** What an error says to people. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
