/** The service, asked: answers as objects, problems as errors, pictures with or without a key. */

const TRIES = 3;
const LONGEST_WAIT = 4_000;
const PICTURES = "/v1/pictures/";
const STORED = "entity-expand-key";

let key = sessionStorage.getItem(STORED);

/** What the service answered instead of a result, or that it did not answer; `kind` is for programs. */
export class Problem extends Error {
  constructor(kind, detail, more = {}) {
    super(detail);
    this.kind = kind;
    this.suggestions = Array.isArray(more.suggestions) ? more.suggestions : [];
    this.readings = Array.isArray(more.readings) ? more.readings : [];
    this.seed = typeof more.seed === "string" ? more.seed : null;
  }
}

/** Send this key from now on, for as long as the tab is open. */
export function setKey(given) {
  key = given;
  sessionStorage.setItem(STORED, given);
}

const headers = () => (key ? { authorization: `Bearer ${key}` } : {});
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Ask the service; a body makes it a POST. A busy service is asked again when it says so, a few times. */
export async function ask(path, { body = null, signal = null } = {}) {
  const sent = body === null
    ? { headers: headers(), signal }
    : {
        method: "POST",
        headers: { ...headers(), "content-type": "application/json" },
        body: JSON.stringify(body),
        signal,
      };
  const response = await answered(path, sent);
  if (!response.ok) throw await problemOf(response);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreadable", "The answer of the service came in part, or is none of its own.");
  }
}

async function answered(path, sent) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await reached(path, sent);
    const busy = response.status === 429 || response.status === 503;
    const wait = 1_000 * Number(response.headers.get("retry-after") ?? 1);
    if (!busy || attempt === TRIES || !(wait <= LONGEST_WAIT)) return response;
    await pause(wait);
    sent.signal?.throwIfAborted();
  }
}

async function reached(path, sent) {
  try {
    return await fetch(path, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable", "The service does not answer. Is it still running?");
  }
}

async function problemOf(response) {
  try {
    const found = await response.json();
    return new Problem(String(found.type).split(":").at(-1), String(found.detail), found);
  } catch {
    return new Problem("http", `The service answered with status ${response.status}.`);
  }
}

/** Return the address of a picture by its path in the corpus; null for none. */
export function pictureAddress(path) {
  if (!path || path.split("/").includes("..")) return null;
  return PICTURES + path.split("/").map(encodeURIComponent).join("/");
}

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    void load(target);
  }
}, { rootMargin: "300px" });
const waiting = new WeakMap();

async function load(image) {
  const content = await answered(waiting.get(image), { headers: headers() })
    .then((response) => (response.ok ? response.blob() : null))
    .catch(() => null);
  if (!content) {
    image.dispatchEvent(new Event("error"));
    return;
  }
  const address = URL.createObjectURL(content);
  image.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
  image.src = address;
}

/** Have an image show a picture of the service once it comes into view, or a file that was chosen here at once. */
export function show(image, address) {
  if (address.startsWith("blob:")) image.src = address;
  if (!address.startsWith(PICTURES)) return;
  image.loading = "lazy";
  image.decoding = "async";
  if (key) {
    waiting.set(image, address);
    watcher.observe(image);
  } else {
    image.src = address;
  }
}
