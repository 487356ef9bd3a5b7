/** Single keys, in the results and in the sheet; they can be turned off. */

import { byId } from "./dom.js";
import * as sheet from "./sheet.js";

const STORED = "entity-expand-single-keys";
const TYPED_IN = "input:not([type=checkbox]):not([type=radio]), select, textarea";
const LINE = 60;
const ACTS = { a: "accept", r: "reject", e: "look" };

/** Listen to keys; `beside(step)` turns the sheet to another result. */
export function listen({ cards, act, beside, undo, again }) {
  const single = byId("single");
  single.checked = localStorage.getItem(STORED) !== "off";
  single.addEventListener("change", () => localStorage.setItem(STORED, single.checked ? "on" : "off"));
  byId("help").addEventListener("click", () => byId("keys").showModal());
  byId("keys-close").addEventListener("click", () => byId("keys").close());
  byId("sheet").addEventListener("close", () => cards.goTo(sheet.last()));

  const steps = {
    ArrowRight: () => cards.move(1),
    ArrowLeft: () => cards.move(-1),
    ArrowDown: () => cards.line(1),
    ArrowUp: () => cards.line(-1),
    Home: () => cards.focus(0),
  };
  const wide = { u: undo, x: again, "/": () => byId("seed").focus(), "?": () => byId("keys").showModal() };

  function inSheet(name) {
    if (name === "ArrowRight" || name === "ArrowLeft") beside(name === "ArrowRight" ? 1 : -1);
    else if (name === "ArrowDown" || name === "ArrowUp") byId("sheet-scroll").scrollBy(0, name === "ArrowDown" ? LINE : -LINE);
    else if (single.checked && (name === "a" || name === "r")) act(ACTS[name], sheet.shown());
    else if (single.checked && name === "u") undo();
    else return false;
    return true;
  }

  function onPage(name) {
    const entity = cards.current;
    if (entity && steps[name]) steps[name]();
    else if (entity && single.checked && Object.hasOwn(ACTS, name)) act(ACTS[name], entity);
    else if (single.checked && Object.hasOwn(wide, name)) wide[name]();
    else return false;
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.matches(TYPED_IN)) return;
    if (byId("door").open || byId("keys").open || byId("own").open) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (byId("sheet").open ? inSheet(name) : onPage(name)) event.preventDefault();
  });
}
