/** The sheet with all that the corpus says of one entity. */

import { ask } from "./api.js";
import { byId, h } from "./dom.js";
import { meter, nameOf, percent, picture, pictureOf, sentence } from "./parts.js";

const MOST = 50;
const SHARES = 8;
const LIKE = { contributions: "like", against: "like the rejected" };
let open = null;

/** The entity that the sheet shows; null if it is closed. */
export const shown = () => (byId("sheet").open ? open : null);

/** The entity that it showed last. */
export const last = () => open;

/** Show an entity: what came with the results at once, the rest when the service has sent it. */
export async function look(entity, verdict) {
  open = entity;
  fill(entity, entity.evidence, []);
  judged(verdict);
  if (!byId("sheet").open) byId("sheet").showModal();
  void why(entity);
  try {
    const whole = await ask(`/v1/entities/${entity.id.split("/").map(encodeURIComponent).join("/")}`);
    if (open === entity) fill(entity, whole.evidence, whole.aliases);
  } catch {
    // What came with the results stays.
  }
}

/** Show what was said of the entity. */
export function judged(verdict) {
  byId("sheet-accept").setAttribute("aria-pressed", String(verdict === "accept"));
  byId("sheet-reject").setAttribute("aria-pressed", String(verdict === "reject"));
}

async function why(entity) {
  byId("sheet-why").hidden = true;
  const found = await ask("/v1/explain", { body: { query: entity.asked, id: entity.id } }).catch(() => null);
  if (!found || open !== entity) return;
  const shares = Object.entries(LIKE).flatMap(([key, like]) => found[key].slice(0, SHARES).map((each) => ({ ...each, like })));
  const most = Math.max(...shares.map(({ share }) => Math.abs(share)), Number.MIN_VALUE);
  const items = shares.filter(({ share }) => share > 0).map(({ seed, share, like }) => {
    const words = `${like} ${nameOf(seed)}`;
    return h("li", {}, h("span", { class: "words", dir: "auto" }, words), meter(share / most, words));
  });
  if (found.words.length) items.push(h("li", { dir: "auto" }, `shared words: ${found.words.slice(0, SHARES).join(", ")}`));
  byId("sheet-shares").replaceChildren(...items);
  byId("sheet-why").hidden = !items.length;
}

function fill(entity, evidence, aliases) {
  const name = nameOf(entity);
  byId("sheet-name").textContent = name;
  const pictures = [...new Set(evidence.map(pictureOf).filter(Boolean))].slice(0, MOST);
  byId("sheet-pictures").replaceChildren(...pictures.map((each) => picture(each, name, { alt: name })));
  const sentences = evidence.filter((item) => item.text).slice(0, MOST);
  byId("sheet-sentences").replaceChildren(...sentences.map((item) => h("li", { dir: "auto" }, sentence(item))));
  const facts = [
    ["Also called", aliases.join(", ")],
    ...Object.entries(entity.attributes),
    ["Confidence", percent(entity.confidence)],
    ["Rank", entity.rank],
    ["Rank before re-ranking", entity.rank_before],
    ["Id", entity.id],
  ];
  const told = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  byId("sheet-facts").replaceChildren(...told.flatMap(([key, value]) => [h("dt", { dir: "auto" }, key), h("dd", { dir: "auto" }, String(value))]));
}
