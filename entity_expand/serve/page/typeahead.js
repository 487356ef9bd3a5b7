/** The field in which seeds are found as they are typed: a combobox with a list of entities. */

import { ask } from "./api.js";
import { byId, calmly, count, h } from "./dom.js";
import { thumbnail } from "./parts.js";

const SHOWN = 8;
const PATIENCE = 120;

/**
 * Have the field find entities.
 *
 * choose(entity) is called with what was chosen, several(names) with names that were pasted as a list, go() when the
 * empty field is confirmed, fail(problem) when the service has none; taken(id) says whether an entity is chosen already.
 */
export function typeahead({ choose, several, go, fail, taken }) {
  const field = byId("seed");
  const list = byId("found");
  let found = [];
  let active = -1;
  let asked = null;
  let listed = ""; // the text that the list answers
  let wanted = null; // the text whose first name is taken as soon as it is known

  function close() {
    asked?.abort();
    listed = "";
    wanted = null;
    found = [];
    active = -1;
    list.replaceChildren();
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    active = index;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    if (index < 0) field.removeAttribute("aria-activedescendant");
    else {
      field.setAttribute("aria-activedescendant", list.children[index].id);
      list.children[index].scrollIntoView({ block: "nearest" });
    }
  }

  function take(entity) {
    field.value = "";
    close();
    choose(entity);
  }

  function option(entity, index) {
    const also = entity.aliases.length ? h("span", { class: "quiet" }, entity.aliases.slice(0, 3).join(", ")) : null;
    return h(
      "li",
      {
        id: `found-${index}`,
        role: "option",
        "aria-selected": "false",
        click: () => take(entity),
      },
      thumbnail(entity),
      h("span", { class: "words", dir: "auto" }, h("span", {}, entity.name), also),
    );
  }

  function open(entities, prefix) {
    listed = prefix;
    found = entities.filter((entity) => !taken(entity.id)).slice(0, SHOWN);
    list.replaceChildren(...found.map(option));
    if (!found.length) list.append(h("li", { class: "none" }, "No name begins so."));
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    mark(found.length ? 0 : -1);
    byId("said").textContent = found.length ? `${count(found.length, "entity", "entities")} found.` : "None found.";
    if (found.length && wanted === prefix) take(found[0]);
  }

  async function look() {
    const prefix = field.value.trim();
    asked?.abort();
    if (!prefix) {
      close();
      return;
    }
    asked = new AbortController();
    try {
      const limit = SHOWN + 12; // those that are chosen already are left out
      const path = `/v1/entities?prefix=${encodeURIComponent(prefix)}&limit=${limit}`;
      const answer = await ask(path, { signal: asked.signal });
      if (field.value.trim() === prefix) open(answer.entities, prefix);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      close();
      fail(problem);
    }
  }

  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) {
      event.preventDefault();
      mark((active + step + found.length) % found.length);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      const text = field.value.trim();
      if (found.length && listed === text) take(found[Math.max(0, active)]);
      else if (!text) go();
      else {
        wanted = text;
        void look();
      }
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  }

  function pasted(event) {
    const names = event.clipboardData.getData("text").split(/[\n;,]/).map((name) => name.trim()).filter(Boolean);
    if (names.length < 2) return;
    event.preventDefault();
    several(names);
  }

  const soon = calmly(PATIENCE, look);
  field.addEventListener("input", () => {
    wanted = null;
    soon();
  });
  field.addEventListener("keydown", key);
  field.addEventListener("paste", pasted);
  field.addEventListener("blur", () => {
    soon.stop();
    close();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // or the field would lose the focus
}
