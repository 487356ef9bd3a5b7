/** What stands where the results will be. */

import { ask } from "./api.js";
import { byId, h } from "./dom.js";
import { nameOf, thumbnail } from "./parts.js";

/** Show what a state without results needs: a beginning with some entities, or that nothing was found. */
export function empty(state, choose) {
  const box = byId("empty");
  const none = state.results !== null && !state.results.length;
  box.hidden = state.results !== null && !none;
  if (none) box.replaceChildren(h("h3", {}, "Nothing else is found"), h("p", {}, "Clear the filters, or give other examples."));
  else if (state.results === null && !box.dataset.filled) void begin(box, choose);
  if (none) delete box.dataset.filled;
}

/** Have it made anew. */
export const refill = () => { delete byId("empty").dataset.filled; };

async function begin(box, choose) {
  box.dataset.filled = "yes";
  const some = h("ul", { class: "some" });
  const words = "Name two or three members of the set you have in mind. The rest of it is looked for in the corpus.";
  box.replaceChildren(h("h3", {}, "Begin with a few examples"), h("p", {}, words), some);
  const found = await ask("/v1/entities?limit=12").catch(() => ({ entities: [] }));
  some.replaceChildren(...found.entities.map((entity) => {
    const click = () => choose(entity);
    return h("li", {}, h("button", { type: "button", class: "button plain", click }, thumbnail(entity), h("span", {}, nameOf(entity))));
  }));
}
