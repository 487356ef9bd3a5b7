/** What a curator has done so far: values that never change, and the steps from one to the next. */

/** How many results a page has. */
export const PAGE = 24;
const KEPT = 200;

/** The beginning: nothing chosen, nothing asked. */
export const EMPTY = Object.freeze({
  seeds: [], // entities {id, name, picture, attributes, evidence}, as given; the name null before the first answer
  accepted: [], // entities, as they were shown
  rejected: [],
  attributes: new Map(), // key -> values, one of which a result must have
  prefix: "", // what names of results begin with
  modality: null,
  strategy: null,
  results: null, // entities that are shown, null before the first answer
  words: [], // what the results have in common
  answer: null, // the last answer of the service
  cutoff: null, // how many of the first results are likely members, null for unknown
  seen: new Set(), // ids of all that were ever shown
});

/**
 * Return a seed that is not in the index: `given` is what the service takes in place of an id. It has an id of its own
 * that no entity can have and that is never sent.
 */
export function newSeed(given, picture) {
  const text = given.text.replace(/\[\[(.+?)\]\]/gs, "$1");
  const evidence = text ? [{ text, mentions: [], image: null }] : [];
  return { id: Symbol("not in the index"), name: given.name, picture, attributes: {}, evidence, given };
}

/** Whether an entity is not in the index. */
export const isNew = (entity) => entity.given !== undefined;

/** Return what stands for a seed in a question. */
export const askedFor = (entity) => entity.given ?? entity.id;

const ids = (entities) => entities.map((entity) => entity.id);
const without = (entities, id) => entities.filter((entity) => entity.id !== id);

/** Return what was said of an entity: "seed", "accept", "reject" or null. */
export function verdictOf(state, id) {
  if (ids(state.seeds).includes(id)) return "seed";
  if (ids(state.accepted).includes(id)) return "accept";
  return ids(state.rejected).includes(id) ? "reject" : null;
}

/** Return the state with an entity as the last seed; a list of entities has no evidence of them. */
export function withSeed(state, entity) {
  const next = forgotten(state, entity.id);
  return { ...next, seeds: [...next.seeds, { attributes: {}, evidence: [], ...entity }] };
}

/** Return the state in which nothing is said of an entity. */
export const forgotten = (state, id) => ({
  ...state,
  seeds: without(state.seeds, id),
  accepted: without(state.accepted, id),
  rejected: without(state.rejected, id),
});

/** Return the state in which an entity is accepted or rejected; the same verdict again takes it back. */
export function decided(state, verdict, entity) {
  const known = verdictOf(state, entity.id);
  const next = forgotten(state, entity.id);
  if (known === verdict) return next;
  const list = verdict === "accept" ? "accepted" : "rejected";
  return { ...next, [list]: [...next[list], entity] };
}

/** Return the state with a value of an attribute chosen as a filter, or no longer. */
export function filtered(state, key, value, chosen) {
  const values = (state.attributes.get(key) ?? []).filter((each) => each !== value);
  const attributes = new Map(state.attributes).set(key, chosen ? [...values, value] : values);
  if (!attributes.get(key).length) attributes.delete(key);
  return { ...state, attributes };
}

/** Whether anything narrows the results. */
export const isFiltered = (state) => state.attributes.size > 0 || state.prefix !== "";

/**
 * Return the body of the question: accepted entities are seeds, rejected ones negatives. What is beyond the limit on
 * seeds counts no longer, and still does not come back. `more` asks for others than those that are shown.
 */
export function question(state, limits, more = false) {
  const free = Math.max(0, limits.seeds - state.seeds.length);
  const accepted = ids(state.accepted);
  const used = free ? accepted.slice(-free) : [];
  const rejected = ids(state.rejected);
  const known = new Set([...ids(state.seeds), ...used, ...rejected.slice(-limits.seeds)]);
  const shown = more ? ids(state.results ?? []) : [];
  const exclude = [...accepted, ...rejected, ...shown].filter((id) => !known.has(id));
  return {
    seeds: [...state.seeds.map(askedFor), ...used],
    negative: rejected.slice(-limits.seeds),
    exclude: [...new Set(exclude)],
    size: Math.min(PAGE, limits.results),
    filter: isFiltered(state) ? filterForm(state) : null,
    modality: state.modality,
    strategy: state.strategy,
  };
}

/** Return the filter as the service takes it. */
export const filterForm = (state) => ({
  attributes: Object.fromEntries(state.attributes),
  name_prefix: state.prefix || null,
});

/** Return the state with the answer to a question in place of the results before, or after them if it has more of them. */
export function answered(state, asked, answer, more = false) {
  const before = more ? state.results : [];
  const shown = answer.results.map((result) => ({
    ...result,
    rank: before.length + result.rank,
    picture: answer.pictures[result.id] ?? null,
    asked,
    fresh: state.seen.size > 0 && !state.seen.has(result.id),
  }));
  const pictured = (entity) => ({ ...entity, picture: answer.pictures[entity.id] ?? null });
  const known = new Map([...answer.seeds, ...answer.negatives].map((each) => [each.id, pictured(each)]));
  const told = (list) => list.map((each) => ({ ...each, ...known.get(each.id) }));
  return {
    ...state,
    seeds: told(state.seeds),
    accepted: told(state.accepted),
    rejected: told(state.rejected),
    results: [...before, ...shown],
    answer,
    cutoff: more ? goneOn(state, answer.cutoff) : answer.cutoff,
    words: more ? state.words : [],
    seen: new Set([...state.seen, ...ids(shown)]),
  };
}

/** Return the cut-off of results with further ones behind them: the set goes on if all before were likely members. */
function goneOn({ cutoff, results }, further) {
  return cutoff === results.length && further !== null ? cutoff + further : cutoff;
}

/** A state with its past; `listener` is told of each change. */
export class Session {
  #past = [];

  constructor(listener) {
    this.state = EMPTY;
    this.listener = listener;
  }

  /** What would be undone, in words; null for nothing. */
  get undoable() {
    return this.#past.at(-1)?.label ?? null;
  }

  /** Take a step that can be undone. */
  step(label, next) {
    this.#past = [...this.#past.slice(1 - KEPT), { label, state: this.state }];
    this.become(next);
  }

  /** Change without a step of its own, as when an answer comes. */
  become(next) {
    const before = this.state;
    this.state = next;
    this.listener(next, before);
  }

  /** Go back by a step and return what was undone, in words; null if there is none. */
  undo() {
    const last = this.#past.pop();
    if (!last) return null;
    this.become(last.state);
    return last.label;
  }

  /** Begin with this state, without a past. */
  begin(state) {
    this.#past = [];
    this.become(state);
  }
}
