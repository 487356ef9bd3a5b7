/** What narrows the results: attributes, the beginning of a name, what is compared, and the method. */

import { byId, calmly, count, h } from "./dom.js";
import { isFiltered } from "./state.js";

const LISTED = 8;
const PATIENCE = 250;
const MODALITIES = { both: "Text and picture", text: "Text", picture: "Picture" };
const STRATEGIES = {
  paper: "Growing set",
  both: "Growing set, both directions",
  mean: "Like all examples",
  best: "Like any example",
  sum: "Summed probabilities",
  "rank-fusion": "Fused ranks",
  hybrid: "Texts, words and pictures",
};

/** Build the filters for what an index offers. change(label, next) is called with a function from state to state. */
export function filters(index, change, set) {
  modalities(index.modalities ?? [], change);
  strategies(index.strategies, change);
  const telling = index.attributes.filter((each) => each.values.some(({ entities }) => entities > 1));
  byId("facets").replaceChildren(...telling.map((each) => facet(each, set)));
  const begin = (state) => {
    const prefix = byId("begins").value.trim();
    return prefix === state.prefix ? state : { ...state, prefix };
  };
  byId("begins").addEventListener("input", calmly(PATIENCE, () => change("filter", begin)));
  byId("widen").addEventListener("click", () => {
    byId("begins").value = "";
    change("clear filters", (state) => ({ ...state, attributes: new Map(), prefix: "" }));
  });
}

/** Show what is chosen. A name that is being typed stays as it is until the state has another one. */
export function chosen(state, before) {
  for (const box of byId("facets").querySelectorAll("input[type=checkbox]")) {
    box.checked = (state.attributes.get(box.name) ?? []).includes(box.value);
  }
  if (state.prefix !== before.prefix && byId("begins").value.trim() !== state.prefix) byId("begins").value = state.prefix;
  byId("strategy").value = state.strategy ?? byId("strategy").options[0]?.value;
  for (const radio of byId("modalities").querySelectorAll("input")) radio.checked = radio.value === (state.modality ?? radio.dataset.usual);
  byId("widen").hidden = !isFiltered(state);
  const number = [...state.attributes.values()].flat().length + (state.prefix ? 1 : 0);
  byId("narrow").querySelector("summary").textContent = number ? `Narrow the results (${number})` : "Narrow the results";
}

function facet({ key, values, distinct }, set) {
  const list = h("ul", { class: "values" }, values.map(({ value, entities }) => {
    const box = h("input", { type: "checkbox", name: key, value, change: (event) => set(key, value, event.target.checked) });
    const label = h("label", {}, box, h("span", { class: "words", title: value }, value || "(empty)"), h("span", { class: "quiet" }, entities.toLocaleString("en")));
    return h("li", {}, label);
  }));
  const group = h("details", { class: "facet" }, h("summary", {}, key, h("span", { class: "quiet" }, count(distinct, "value"))));
  if (values.length > LISTED) {
    const look = (event) => {
      const wanted = event.target.value.trim().toLocaleLowerCase();
      for (const item of list.children) item.hidden = !item.textContent.toLocaleLowerCase().includes(wanted);
    };
    group.append(h("input", { type: "search", "aria-label": `Find a value of ${key}`, placeholder: "Find a value", input: look }));
  }
  group.append(list);
  return group;
}

function modalities(offered, change) {
  if (offered.length < 2) return;
  const usual = offered[0];
  const choose = (event) => change("compare by", (state) => ({ ...state, modality: event.target.value === usual ? null : event.target.value }));
  const known = Object.keys(MODALITIES).filter((each) => offered.includes(each));
  byId("modalities").querySelector(".switch").replaceChildren(...known.map((each) => {
    const radio = h("input", { type: "radio", name: "modality", value: each, "data-usual": usual, change: choose });
    return h("label", {}, radio, h("span", {}, MODALITIES[each]));
  }));
  byId("modalities").hidden = false;
}

function strategies(offered, change) {
  if (offered.length < 2) return;
  const select = byId("strategy");
  select.replaceChildren(...offered.map((each) => h("option", { value: each }, STRATEGIES[each] ?? each)));
  select.addEventListener("change", () => change("method", (state) => ({ ...state, strategy: select.value === offered[0] ? null : select.value })));
  byId("strategies").hidden = false;
}
