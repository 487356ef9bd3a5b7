/** Small parts that are shown in several places: pictures, sentences, buttons. */

import { pictureAddress, show } from "./api.js";
import { h, icon } from "./dom.js";
import { isNew } from "./state.js";

/** Return what an entity is called for people. */
export const nameOf = (entity) => entity.name || entity.id;

/** Return a picture by its address, or the first letter of the name where there is none. */
export function picture(address, name, { alt = "" } = {}) {
  const frame = h("span", { class: "picture" });
  const letter = h("span", { class: "letter", "aria-hidden": "true" }, [...name.trim()][0] ?? "·");
  if (!address) {
    frame.append(letter);
    return frame;
  }
  const image = h("img", { alt });
  image.addEventListener("error", () => frame.replaceChildren(letter), { once: true });
  show(image, address);
  frame.append(image);
  return frame;
}

/** Return a small picture of an entity, for lists. */
export function thumbnail(entity) {
  const frame = picture(entity.picture, nameOf(entity));
  frame.classList.add("small");
  return frame;
}

/** Return the address of the picture that goes with a sentence; null for none. */
export const pictureOf = (item) => pictureAddress(item.image);

/** Return a sentence as nodes, its mentions marked; mentions are places between characters, not between code units. */
export function sentence(item) {
  const characters = [...item.text];
  const nodes = [];
  let at = 0;
  for (const [start, end] of [...item.mentions].sort((one, other) => one[0] - other[0])) {
    if (start < at || end > characters.length) continue;
    nodes.push(characters.slice(at, start).join(""), h("mark", {}, characters.slice(start, end).join("")));
    at = end;
  }
  return [...nodes, characters.slice(at).join("")];
}

/** Return a button with an icon; `name` is read out, `label` shown if it is given. */
export function button(iconName, name, click, { label = null, kind = "", ...more } = {}) {
  const properties = { type: "button", class: `button ${kind}`, "aria-label": name, title: name, click, ...more };
  return h("button", properties, icon(iconName), label === null ? null : h("span", {}, label));
}

/** Return what fills a list with rows of entities: picture, name, and a button that takes the entity away. */
export function rows(list, what, remove) {
  const made = new WeakMap();

  function row(entity) {
    const name = nameOf(entity);
    const words = h("span", { class: "words", title: name, dir: "auto" }, name);
    const taken = button("cross", `${what} ${name}`, () => remove(entity), { kind: "bare" });
    const own = isNew(entity) ? h("span", { class: "fresh", title: "Not in the index" }, "own") : null;
    return h("li", { class: "row" }, thumbnail(entity), words, own, taken);
  }

  return (entities) => {
    const at = [...list.children].findIndex((each) => each.contains(document.activeElement));
    for (const entity of entities) if (!made.has(entity)) made.set(entity, row(entity));
    list.replaceChildren(...entities.map((entity) => made.get(entity)));
    if (at >= 0) (list.children[Math.min(at, entities.length - 1)]?.lastChild ?? list.parentElement.querySelector("input, summary, button"))?.focus();
  };
}

/** Return a bar that is filled to a part between 0 and 1. */
export function meter(part, name) {
  const limits = { "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": part.toFixed(2) };
  const bar = h("span", { class: "meter", role: "meter", "aria-label": name, ...limits });
  bar.style.setProperty("--part", `${100 * part}%`);
  return bar;
}

/** Return a confidence in words, or null where the index has no calibration. */
export const percent = (confidence) => (confidence === null || confidence === undefined ? null : `${Math.round(100 * confidence)} %`);
