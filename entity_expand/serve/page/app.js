/** The page: what people do, what the service is asked, what is shown. */

import { Problem, ask, setKey } from "./api.js";
import { Cards } from "./cards.js";
import { byId, count, h } from "./dom.js";
import { save, toCsv, toJson } from "./files.js";
import { chosen, filters } from "./filters.js";
import { listen } from "./keys.js";
import { fromLink, toLink } from "./link.js";
import { ownSeeds } from "./own.js";
import { nameOf, rows } from "./parts.js";
import * as sheet from "./sheet.js";
import { PAGE, Session, answered, decided, filtered, forgotten, isNew, question, verdictOf, withSeed } from "./state.js";
import { typeahead } from "./typeahead.js";
import { empty, refill } from "./welcome.js";

const DONE = { accept: "Accepted", reject: "Rejected" };
const WORDS = 6;
const SEVERAL = 100;
const LISTED = 20;
const session = new Session(render);
const cards = new Cards(act);
const lists = {
  seeds: rows(byId("seeds"), "Remove", takeBack),
  accepted: rows(byId("kept"), "Take back", takeBack),
  rejected: rows(byId("rejected"), "Take back", takeBack),
};
let index = null;
let asked = null;

const hash = () => `#${toLink(session.state)}`;
const say = (text) => { byId("said").textContent = text; };

function act(what, entity) {
  if (what === "look") void sheet.look(entity, verdictOf(session.state, entity.id));
  else decide(what, entity);
}

function decide(verdict, entity) {
  const next = decided(session.state, verdict, entity);
  const done = verdictOf(next, entity.id) ? DONE[verdict] : "Took back";
  session.step(`${done.toLowerCase()} ${nameOf(entity)}`, next);
  say(`${done} ${nameOf(entity)}. ${count(next.seeds.length + next.accepted.length, "entity", "entities")} in the set.`);
  if (sheet.shown()) sheet.judged(verdictOf(next, entity.id));
  else if (cards.current && verdictOf(next, entity.id)) cards.next(next);
}

function takeBack(entity) {
  session.step(`took back ${nameOf(entity)}`, forgotten(session.state, entity.id));
  say(`Took back ${nameOf(entity)}.`);
}

function addSeed(entity) {
  session.step(`added ${nameOf(entity)}`, withSeed(session.state, entity));
  say(`Added ${nameOf(entity)}.`);
}

async function addSeveral(names) {
  const most = index?.limits.seeds ?? SEVERAL;
  const unknown = [];
  for (const name of names.slice(0, most)) {
    try {
      const found = (await ask(`/v1/entities?name=${encodeURIComponent(name.slice(0, 1_000))}`)).entities;
      if (found.length === 1) addSeed(found[0]);
      else unknown.push(name);
    } catch (problem) {
      fail(problem);
      return;
    }
  }
  const left = names.slice(most);
  const said = [unknown.length && `Not found, or not one entity: ${listed(unknown)}`, left.length && `At most ${most} at once; left out: ${listed(left)}`];
  if (unknown.length || left.length) fail(new Problem("unknown", said.filter(Boolean).join(". ")));
}

const listed = (names) => names.slice(0, LISTED).join(", ") + (names.length > LISTED ? ` and ${names.length - LISTED} more` : "");

function undo() {
  asked?.abort();
  const what = session.undo();
  say(what ? `Undone: ${what}.` : "There is nothing to undo.");
}

async function expand({ more = false, focus = false, step = true } = {}) {
  if (!index || !session.state.seeds.length) return;
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  busy(true);
  try {
    const body = question(session.state, index.limits, more);
    const answer = await ask("/v1/expand", { body, signal });
    settle(body, answer, more, step);
    if (!more) void common(body, signal);
    if (focus) cards.focus(more ? session.state.results.length - answer.results.length : 0);
  } catch (problem) {
    if (problem.name !== "AbortError") fail(problem);
  } finally {
    if (asked.signal === signal) busy(false);
  }
}

function settle(body, answer, more, step) {
  const next = answered(session.state, body, answer, more);
  byId("trouble").hidden = true;
  if (step) session.step(more ? "showed more" : "expanded", next);
  else session.become(next);
  say(answer.results.length ? `${count(answer.results.length, "result")}.` : "No results.");
}

async function common(query, signal) {
  const found = await ask("/v1/explain/set", { body: { query }, signal }).catch(() => null);
  const words = found?.words.slice(0, WORDS).map((each) => each.text) ?? [];
  if (!signal.aborted) session.become({ ...session.state, words });
}

function busy(is) {
  byId("cards").setAttribute("aria-busy", String(is));
  document.body.classList.toggle("busy", is);
}

function change(label, next) {
  const changed = next(session.state);
  if (changed === session.state) return;
  session.step(label, changed);
  if (session.state.results) void expand({ step: false });
}

function fail(error) {
  if (!(error instanceof Problem)) reportError(error);
  const problem = error instanceof Problem ? error : new Problem("page", "The answer is not what this page expects. Load the page again.");
  const stranger = problem.kind === "key-missing";
  const plain = (label, click) => h("button", { type: "button", class: "button plain", click }, label);
  const again = plain("Try again", () => { byId("trouble").hidden = true; void (index ? expand() : start()); });
  const suggested = problem.suggestions.slice(0, 5).map((name) => plain(name, () => void replace(problem.seed, name)));
  const dropped = problem.seed === null ? again : plain("Leave it out", () => void replace(problem.seed, null));
  byId("trouble").replaceChildren(h("p", {}, stranger ? "The service needs a key." : problem.message), h("div", { class: "buttons" }, suggested, dropped));
  byId("trouble").hidden = false;
  if (stranger) byId("door").showModal();
}

async function replace(id, name) {
  byId("trouble").hidden = true;
  session.step(`left out ${id}`, forgotten(session.state, id));
  if (name !== null) await addSeveral([name]);
  await expand({ step: false });
}

function render(state, before) {
  cards.render(state, before);
  chosen(state, before);
  for (const [name, fill] of Object.entries(lists)) fill(state[name]);
  byId("refused").hidden = !state.rejected.length;
  byId("refused-title").textContent = `Rejected (${state.rejected.length})`;
  counts(state);
  empty(state, (entity) => { if (!verdictOf(session.state, entity.id)) addSeed(entity); });
  history.replaceState(null, "", hash());
}

function counts(state) {
  const size = state.seeds.length + state.accepted.length;
  byId("size").textContent = size ? `${count(state.seeds.length, "example")} and ${state.accepted.length} accepted` : "Nothing yet";
  const open = (state.results ?? []).filter((entity) => verdictOf(state, entity.id) === null).length;
  byId("common").hidden = !state.words.length;
  byId("common").textContent = `What they share: ${state.words.join(", ")}`;
  byId("summary").textContent = state.results ? `${state.results.length} shown, ${open} undecided` : "";
  byId("expand").disabled = byId("again").disabled = !state.seeds.length;
  byId("again").hidden = !state.results;
  byId("expand").className = state.results ? "button plain" : "button main";
  byId("jump").textContent = `${size} in the set`;
  byId("further").hidden = !state.answer || state.answer.results.length < Math.min(PAGE, index.limits.results);
  for (const id of ["csv", "json", "share"]) byId(id).disabled = !state.seeds.length;
  const own = state.seeds.filter(isNew);
  byId("unshared").hidden = !own.length;
  byId("unshared").textContent = `The link leaves out ${own.map(nameOf).join(", ")}: your own sentences and pictures go into no address.`;
  if (own.length === size) byId("share").disabled = true;
  byId("undo").disabled = session.undoable === null;
  byId("undo").title = session.undoable === null ? "Nothing to undo" : `Undo: ${session.undoable} (U)`;
}

function wire() {
  byId("expand").addEventListener("click", () => void expand({ focus: true }));
  byId("jump").addEventListener("click", () => { byId("keep").scrollIntoView(); byId("keep-title").focus({ preventScroll: true }); });
  byId("again").addEventListener("click", () => void expand({ focus: true }));
  byId("further").addEventListener("click", () => void expand({ more: true, focus: true }));
  byId("undo").addEventListener("click", undo);
  byId("csv").addEventListener("click", () => save("set.csv", "text/csv", toCsv(session.state)));
  byId("json").addEventListener("click", () => save("set.json", "application/json", toJson(session.state)));
  byId("share").addEventListener("click", () => void share());
  byId("door-form").addEventListener("submit", () => { byId("trouble").hidden = true; setKey(byId("door-key").value.trim()); void start(); });
  for (const verdict of ["accept", "reject"]) byId(`sheet-${verdict}`).addEventListener("click", () => decide(verdict, sheet.shown()));
  for (const [id, step] of [["before", -1], ["after", 1]]) byId(`sheet-${id}`).addEventListener("click", () => beside(step));
  byId("sheet-close").addEventListener("click", () => byId("sheet").close());
  window.addEventListener("hashchange", () => { if (index && location.hash !== hash()) void restore(); });
  listen({ cards, act, beside, undo, again: () => void expand({ focus: true }) });
  ownSeeds({ add: addSeed, limits: () => index.limits });
  typeahead({ choose: addSeed, several: (names) => void addSeveral(names), go: () => void expand({ focus: true }), fail, taken: (id) => session.state.seeds.some((each) => each.id === id) });
}

function beside(step) {
  const entity = cards.beside(sheet.shown(), step);
  if (entity) act("look", entity);
}

async function share() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("Link copied.");
    byId("share").lastChild.textContent = "Copied";
    setTimeout(() => { byId("share").lastChild.textContent = "Copy link"; }, 2_000);
  } catch {
    fail(new Problem("clipboard", "The browser does not let the link be copied; it is in the address bar."));
  }
}

async function restore() {
  session.begin(fromLink(location.hash, index.strategies));
  if (session.state.seeds.length) await expand({ step: false });
}

async function start() {
  try {
    const first = index === null;
    index = await ask("/v1/index");
    byId("title").textContent = index.title || "entity-expand";
    document.title = index.title ? `${index.title} · entity-expand` : "entity-expand";
    byId("about").textContent = count(index.entities, "entity", "entities");
    if (first) filters(index, change, (key, value, is) => change(`filter ${key}`, (state) => filtered(state, key, value, is)));
    byId("own-open").hidden = !index.new_seeds;
    refill();
    if (!session.state.seeds.length) await restore();
  } catch (problem) {
    fail(problem);
  }
}

wire();
void start();
