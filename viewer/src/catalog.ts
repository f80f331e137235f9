// What the server knows of slides: its list, one slide's document, a Deep Zoom descriptor. Answers are looked through before
// they are believed. All addresses begin with the path that the server is mounted below.

import { type Slide, deepZoomLevels, micrometres } from "./slide";

/** Begins references to the folders that slides were made from. */
const SOURCE = "source:";

/** Path of the server's `/` without the slash, as the page was told. */
export function basePath(): string {
  return document.body.dataset.base ?? "";
}

/** An id or pseudonym in an address: everything encoded but the separators. */
export function idPath(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/").replace(/^%40/, "@");
}

export interface Associated {
  readonly name: string;
  readonly url: string;
}

/** What `/slides/{slide}` says, as far as the page uses it. */
export interface SlideDocument {
  readonly properties: readonly (readonly [string, string])[];
  readonly associated: readonly Associated[];
  /** Further facts: name and value. */
  readonly facts: readonly (readonly [string, string])[];
}

/** Fields of the document that are shown beside the properties, and their names on the page. */
const FACTS = [
  ["source", "made from"],
  ["encoder", "made by"],
  ["loss", "losses"],
  ["absent", "absent"],
  ["iccBytes", "ICC profile, bytes"],
  ["notices", "notices"],
] as const;

type Json = { readonly [key: string]: unknown };

export interface Listed {
  readonly id: string;
  readonly bytes: number;
}

/** The slides from `offset` on whose ids hold `search`, at most `limit`, and how many there are in all. */
export async function listSlides(
  search: string,
  offset: number,
  limit: number,
  signal?: AbortSignal,
): Promise<{ slides: Listed[]; total: number }> {
  const query = new URLSearchParams({ search, limit: String(limit), offset: String(offset) });
  const answer = await request(`${basePath()}/slides?${query}`, signal);
  const document = (await answer.json()) as { slides?: unknown; total?: unknown };
  const slides = (Array.isArray(document.slides) ? document.slides : []).filter(isListed);
  return { slides, total: Number(document.total) };
}

function isListed(entry: unknown): entry is Listed {
  return isObject(entry) && typeof entry.id === "string" && typeof entry.bytes === "number";
}

/** What `/slides/{slide}` says, or null if the server does not tell. */
export async function slideDocument(id: string): Promise<SlideDocument | null> {
  const answer = await fetch(`${basePath()}/slides/${idPath(id)}`);
  if (answer.status === 404) {
    return null;
  }
  const document: unknown = await refused(answer).json();
  return isObject(document) ? readDocument(document) : null;
}

function readDocument(document: Json): SlideDocument {
  const properties = isObject(document.properties) ? Object.entries(document.properties) : [];
  const associated = Array.isArray(document.associated) ? document.associated.filter(isObject) : [];
  const facts = FACTS.map(([field, name]) => [name, document[field]] as const);
  return {
    properties: properties.map(([name, value]) => [name, asText(value)] as const),
    associated: associated.flatMap(({ name, url }) =>
      typeof name === "string" && typeof url === "string" ? [{ name, url: sameServer(url) }] : [],
    ),
    facts: facts.filter(([, value]) => !isEmpty(value)).map(([name, value]) => [name, asText(value)] as const),
  };
}

/** Addresses in documents may be absolute paths without the prefix of a proxy, or complete. */
function sameServer(url: string): string {
  const base = basePath();
  return url.startsWith("/") && !url.startsWith(`${base}/`) ? base + url : url;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

/** A value of a document for people: objects as `name: value`, lists line by line. */
function asText(value: unknown): string {
  if (Array.isArray(value)) {
    return value.map(asText).join("\n");
  }
  if (isObject(value)) {
    return Object.entries(value)
      .filter(([, inner]) => !isEmpty(inner))
      .map(([name, inner]) => `${name}: ${asText(inner)}`)
      .join("\n");
  }
  return String(value);
}

/** What stands for a slide's id in addresses, if the server tells. */
export async function pseudonymOf(id: string): Promise<string | null> {
  const document: unknown = await (await request(`${basePath()}/slides/${idPath(id)}`)).json();
  return isObject(document) && typeof document.pseudonym === "string" ? document.pseudonym : null;
}

/** The slide that a reference names; `named` says whether it may be called by its name in addresses from now on. */
export async function findSlide(reference: string, named: boolean): Promise<Slide> {
  const isSource = reference.startsWith(SOURCE);
  const id = isSource ? reference.slice(SOURCE.length) : reference;
  const answer = await fetch(`${basePath()}/slides/${idPath(id)}`);
  if (answer.status === 404) {
    return describe(reference, id, id);
  }
  const document: unknown = await refused(answer).json();
  const full = isObject(document) && Array.isArray(document.levels) ? (document.levels[0] as unknown) : null;
  if (!isObject(document) || !isObject(full)) {
    throw new Error(`The server does not describe ${reference}.`);
  }
  const name = typeof document.id === "string" ? document.id : id;
  const called = !named && typeof document.pseudonym === "string" ? document.pseudonym : id;
  if (isSource) {
    return describe(`${SOURCE}${called}`, called, name);
  }
  const [width, height] = [positive(full.width), positive(full.height)];
  return {
    reference: called,
    name,
    tiles: `${basePath()}/dzi/${idPath(called)}_files/`,
    format: "jpg",
    version: typeof document.version === "string" ? document.version : null,
    width,
    height,
    tileSize: positive(document.tileSize),
    overlap: Number(document.overlap) || 0,
    maxLevel: deepZoomLevels(width, height),
    mpp: micrometres(document.mpp),
    objectivePower: typeof document.objectivePower === "number" ? document.objectivePower : null,
  };
}

/** A slide or its source as the Deep Zoom descriptor has it, which knows no micrometres. */
async function describe(reference: string, called: string, id: string): Promise<Slide> {
  const route = reference.startsWith(SOURCE) ? "source" : "dzi";
  const address = `${basePath()}/${route}/${idPath(called)}`;
  const answer = await request(`${address}.dzi`);
  const xml = new DOMParser().parseFromString(await answer.text(), "application/xml");
  const image = xml.querySelector("Image");
  const size = xml.querySelector("Size");
  const [width, height] = [positive(size?.getAttribute("Width")), positive(size?.getAttribute("Height"))];
  return {
    reference,
    name: route === "source" ? `${id} (source)` : id,
    tiles: `${address}_files/`,
    format: image?.getAttribute("Format") ?? "jpg",
    version: null,
    width,
    height,
    tileSize: positive(image?.getAttribute("TileSize")),
    overlap: Number(image?.getAttribute("Overlap") ?? 0) || 0,
    maxLevel: deepZoomLevels(width, height),
    mpp: null,
    objectivePower: null,
  };
}

function positive(value: unknown): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) {
    throw new Error("The server's description of the slide makes no sense.");
  }
  return number;
}

async function request(address: string, signal?: AbortSignal): Promise<Response> {
  return refused(await fetch(address, signal ? { signal } : {}));
}

function refused(answer: Response): Response {
  if (!answer.ok) {
    const why = answer.status === 404 ? "there is none of this name" : `status ${answer.status}`;
    throw new Error(`The server does not give it: ${why}.`);
  }
  return answer;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
