/** The state as the fragment of an address, so that a set can be shared; nothing of it reaches a server's log. */

import { EMPTY, isNew } from "./state.js";

const MOST = 1_000;
const LONGEST = 1_000;
const LISTS = { seed: "seeds", accept: "accepted", reject: "rejected" };
const MODALITIES = ["text", "picture", "both"];

/**
 * Return the fragment of a state, without "#". Seeds that are not in the index are left out; if there are no others,
 * the accepted entities are seeds to whoever opens it.
 */
export function toLink(state) {
  const link = new URLSearchParams();
  const stored = state.seeds.filter((entity) => !isNew(entity));
  const named = stored.length ? { ...state, seeds: stored } : { ...state, seeds: state.accepted, accepted: [] };
  for (const [name, list] of Object.entries(LISTS)) for (const entity of named[list]) link.append(name, entity.id);
  for (const [key, values] of state.attributes) for (const value of values) link.append(`is.${key}`, value);
  if (state.prefix) link.append("begins", state.prefix);
  if (state.modality) link.append("modality", state.modality);
  if (state.strategy) link.append("strategy", state.strategy);
  return link.toString();
}

/** Return the state that a fragment describes; entities have no name yet. What is not understood is left out. */
export function fromLink(fragment, strategies) {
  const state = { ...EMPTY, seeds: [], accepted: [], rejected: [], attributes: new Map() };
  const known = new Set();
  for (const [name, value] of [...new URLSearchParams(fragment.replace(/^#/, ""))].slice(0, MOST)) {
    if (!value || value.length > LONGEST) continue;
    if (Object.hasOwn(LISTS, name) && !known.has(value)) {
      known.add(value);
      state[LISTS[name]].push({ id: value, name: null, picture: null, attributes: {}, evidence: [] });
    } else if (name.startsWith("is.") && name.length > 3) {
      state.attributes.set(name.slice(3), [...(state.attributes.get(name.slice(3)) ?? []), value]);
    } else if (name === "begins") state.prefix = value;
    else if (name === "modality" && MODALITIES.includes(value)) state.modality = value;
    else if (name === "strategy" && strategies.includes(value)) state.strategy = value;
  }
  return state;
}
