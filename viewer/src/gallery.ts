// The gallery: slides as pictures, found by name. One page of them at a time, however many there are. Going back finds search
// and page again: the page stands in the address, and so does what is searched for if addresses may name slides. Else it is
// kept by the browser's window.

import { basePath, idPath, listSlides, pseudonymOf, type Listed } from "./catalog";
import { element, make, reason } from "./page";

const PER_PAGE = 60;
/** Milliseconds without a key press before the server is asked. */
const PAUSE = 200;

/** Milliseconds that a click waits for the address without the name. */
const PATIENCE = 2000;

const search = element<HTMLInputElement>("search");
const named = document.body.dataset.named === "true";
let page = 0;
let pause: ReturnType<typeof setTimeout> | undefined;
let request = new AbortController();

function readAddress(): void {
  const fields = new URLSearchParams(location.search);
  const kept = history.state as { search?: string } | null;
  search.value = fields.get("search") ?? kept?.search ?? "";
  page = Math.max(0, Math.floor(Number(fields.get("page") ?? 1) - 1) || 0);
}

function writeAddress(): void {
  const fields = new URLSearchParams();
  if (search.value && named) {
    fields.set("search", search.value);
  }
  if (page > 0) {
    fields.set("page", String(page + 1));
  }
  history.replaceState({ search: search.value }, "", fields.size > 0 ? `?${fields}` : location.pathname);
}

async function show(): Promise<void> {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  element("retry").hidden = true;
  try {
    const { slides, total } = await listSlides(search.value.trim(), page * PER_PAGE, PER_PAGE, signal);
    if (slides.length === 0 && page > 0 && total > 0) {
      page = Math.ceil(total / PER_PAGE) - 1;
      await show();
      return;
    }
    element("slides").replaceChildren(...slides.map(card));
    showNumbers(slides.length, total);
    writeAddress();
  } catch (error) {
    if (!signal.aborted) {
      element("summary").textContent = `The list of slides could not be loaded: ${reason(error)}`;
      element("retry").hidden = false;
    }
  }
}

function showNumbers(shown: number, total: number): void {
  const noun = total === 1 ? "slide" : "slides";
  const first = page * PER_PAGE + 1;
  const range = total > shown && shown > 0 ? `${first} to ${first + shown - 1} of ${total} ${noun}` : `${total} ${noun}`;
  const nothing = search.value ? "No slide has this in its name." : "There are no slides here yet.";
  element("summary").textContent = total === 0 ? nothing : range;
  element("pages").hidden = total <= PER_PAGE;
  element<HTMLButtonElement>("previous").disabled = page === 0;
  element<HTMLButtonElement>("next").disabled = first + shown > total;
}

function card(slide: Listed): HTMLElement {
  const path = idPath(slide.id);
  const item = make("li");
  const link = make("a", "", { href: `${basePath()}/viewer/${path}` });
  const picture = make("span", "", { class: "picture" });
  picture.append(thumbnail(path));
  const folders = slide.id.split("/");
  const name = make("span", folders.pop(), { class: "name" });
  link.append(picture, name, make("span", [folders.join("/"), sizeText(slide.bytes)].filter(Boolean).join(" · "), { class: "detail" }));
  item.append(link);
  if (!named) {
    hideName(link, slide.id);
  }
  return item;
}

/**
 * Makes a link one by the slide's pseudonym before it is followed: also an address that only leads on is remembered by browsers.
 * Where there is no time for it, the server leads on.
 */
function hideName(link: HTMLAnchorElement, id: string): void {
  let hidden: Promise<void> | null = null;
  const hide = () =>
    (hidden ??= pseudonymOf(id).then(
      (pseudonym) => void (pseudonym && (link.href = `${basePath()}/viewer/${pseudonym}`)),
      () => undefined,
    ));
  ["pointerdown", "focus"].forEach((event) => link.addEventListener(event, () => void hide()));
  link.addEventListener("click", (event) => {
    const opensHere = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (opensHere) {
      event.preventDefault();
      const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
      void Promise.race([hide(), late]).then(() => location.assign(link.href));
    }
  });
}

/** The server's thumbnail; if it makes none, the largest level of Deep Zoom that is at most 256 px. */
function thumbnail(path: string): HTMLElement {
  const image = make("img", "", { alt: "", loading: "lazy", decoding: "async" });
  const others = [`${basePath()}/dzi/${path}_files/8/0_0.jpg`];
  image.addEventListener("error", () => {
    const next = others.shift();
    if (next) {
      image.src = next;
    } else {
      image.replaceWith(make("span", "no picture", { class: "detail" }));
    }
  });
  image.src = `${basePath()}/thumbnail/${path}.jpg?size=256`;
  return image;
}

function sizeText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

function turn(by: number): void {
  page += by;
  void show().then(() => {
    window.scrollTo(0, 0);
    element("summary").focus();
  });
}

search.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    page = 0;
    void show();
  }, PAUSE);
});
element("previous").addEventListener("click", () => turn(-1));
element("next").addEventListener("click", () => turn(1));
element("retry").addEventListener("click", () => void show());
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    search.focus();
    event.preventDefault();
  }
});
element("form").addEventListener("submit", (event) => event.preventDefault());
readAddress();
void show();
