/** The set as files: a table for spreadsheets, and the JSON form that `Expansion.from_json` reads. */

import { PAGE, askedFor, filterForm, isFiltered, isNew } from "./state.js";

// What spreadsheets take for the start of a formula, in both widths, or skip before one.
const FORMULA = /^ *[=+\-@\t\r\n＝＋－＠]/;

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const harmless = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

const called = (entity) => entity.name ?? entity.id;
const idOf = (entity) => (isNew(entity) ? "" : entity.id);

/** Return the seeds and the accepted entities as CSV. */
export function toCsv(state) {
  const set = [...state.seeds.map((each) => [each, "seed"]), ...state.accepted.map((each) => [each, "accept"])];
  const keys = [...new Set(set.flatMap(([entity]) => Object.keys(entity.attributes)))].sort();
  const head = ["id", "name", "verdict", "rank", "score", "confidence", "text", ...keys.map((key) => `attribute.${key}`)];
  const rows = set.map(([entity, verdict]) => [
    idOf(entity), called(entity), verdict, entity.rank, entity.score, entity.confidence,
    entity.evidence.find((item) => item.text)?.text,
    ...keys.map((key) => entity.attributes[key]),
  ]);
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

const plain = (entity) => ({ id: idOf(entity), name: called(entity), attributes: entity.attributes, evidence: entity.evidence });

function results(state) {
  return (state.results ?? []).map((each, index) => ({
    rank: index + 1,
    ...plain(each),
    score: each.score,
    similarity: each.similarity,
    confidence: each.confidence,
    rank_before: each.rank_before,
  }));
}

function history(state) {
  const page = new Set((state.results ?? []).map((each) => each.id));
  const decisions = [["accept", state.accepted], ["reject", state.rejected]]
    .filter(([, entities]) => entities.length)
    .map(([verdict, entities]) => ({ verdict, ids: entities.map((each) => each.id) }));
  const shown = [...new Set([...state.seen, ...decisions.flatMap((each) => each.ids)])];
  return { decisions, shown: shown.filter((id) => !page.has(id)) };
}

/** Return all of it as JSON: what was asked, the seeds, the last results, and each decision. */
export function toJson(state) {
  return JSON.stringify({
    format: "entity-expand expansion",
    version: 1,
    query: {
      seeds: state.seeds.map(askedFor),
      size: state.answer?.query.size ?? PAGE,
      exclude: [],
      filter: isFiltered(state) ? { ...filterForm(state), query: null } : null,
      settings: null,
      negative: [],
      weights: null,
      strategy: state.strategy,
      modality: state.modality,
      rerank: null,
    },
    seeds: state.seeds.map(plain),
    negatives: [],
    results: results(state),
    cutoff: state.cutoff,
    exact: state.answer?.exact ?? true,
    fetches: state.answer?.fetches ?? 0,
    history: history(state),
  }, null, 2);
}

/** Have the browser save a text as a file. */
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
