/** The results as cards, one of which the keyboard is at. */

import { byId, h } from "./dom.js";
import { button, nameOf, percent, picture, sentence } from "./parts.js";
import { verdictOf } from "./state.js";

const SAID = { accept: "accepted", reject: "rejected", seed: "an example" };

/** A list of cards. act(name, entity) is called with "accept", "reject" or "look". */
export class Cards {
  #list = byId("cards");
  #shown = [];
  #at = 0;

  constructor(act) {
    this.act = act;
    this.#list.addEventListener("focusin", (event) => {
      const index = [...this.#cards()].indexOf(event.target.closest(".card"));
      if (index >= 0) this.#rove(index);
    });
  }

  /** The entity that the keyboard is at, if it is in the list; null otherwise. */
  get current() {
    return this.#list.contains(document.activeElement) ? (this.#shown[this.#at] ?? null) : null;
  }

  /** Show a state; cards of results that stay are left as they are, so that the keyboard stays where it is. */
  render(state, before) {
    const had = this.#list.contains(document.activeElement);
    if (state.results !== before.results) this.#make(state);
    if (had && !this.#list.contains(document.activeElement)) this.focus(0);
    this.#cards().forEach((card, index) => mark(card, this.#shown[index], verdictOf(state, this.#shown[index].id)));
  }

  /** Move the keyboard to the card that is `step` places further. */
  move(step) {
    this.focus(Math.min(Math.max(this.#at + step, 0), this.#shown.length - 1));
  }

  /** Move the keyboard one line of cards up or down. */
  line(step) {
    const tops = this.#cards().map((card) => card.offsetTop);
    this.move(step * Math.max(1, tops.filter((top) => top === tops[0]).length));
  }

  /** Move the keyboard to the next card of which nothing is said yet, if there is one. */
  next(state) {
    const open = (index) => verdictOf(state, this.#shown[index].id) === null;
    const order = [...this.#shown.keys()].map((index) => (this.#at + index) % this.#shown.length);
    const index = order.find(open);
    if (index !== undefined) this.focus(index);
  }

  /** Move the keyboard to a card by its place. */
  focus(index) {
    const card = this.#cards()[index];
    if (!card) return;
    this.#rove(index);
    card.focus({ preventScroll: true });
    const { bottom } = card.getBoundingClientRect();
    card.scrollIntoView({ block: index === 0 && bottom > window.innerHeight ? "start" : "nearest" });
  }

  /** Return the entity `step` places from another; null beyond the ends. */
  beside(entity, step) {
    return this.#shown[this.#shown.findIndex((each) => each.id === entity.id) + step] ?? null;
  }

  /** Make an entity the one that the keyboard comes to. */
  goTo(entity) {
    this.focus(this.#shown.findIndex((each) => each.id === entity.id));
  }

  #cards() {
    return [...this.#list.querySelectorAll(".card")];
  }

  #make(state) {
    const kept = new Map(this.#shown.map((entity, index) => [entity, this.#cards()[index]]));
    this.#shown = state.results ?? [];
    const cards = this.#shown.map((entity) => kept.get(entity) ?? this.#card(entity));
    const likely = state.cutoff;
    const end = likely && likely < cards.length ? [h("li", { class: "end" }, `Up to here about ${likely} likely members`)] : [];
    this.#list.replaceChildren(...cards.slice(0, likely ?? cards.length), ...end, ...cards.slice(likely ?? cards.length));
    this.#list.classList.toggle("bare", !this.#shown.some((entity) => entity.picture));
    this.#rove(0);
  }

  #card(entity) {
    const name = nameOf(entity);
    const first = entity.evidence.find((item) => item.text);
    const sure = percent(entity.confidence);
    const act = (what) => () => this.act(what, entity);
    const head = h(
      "div",
      { class: "head" },
      h("h3", { title: name, dir: "auto" }, name),
      entity.fresh ? h("span", { class: "fresh" }, "new") : null,
      sure === null ? null : h("span", { class: "sure", title: "Confidence" }, sure),
    );
    const looks = h("div", { class: "looks", click: act("look") }, picture(entity.picture, name));
    const tools = h(
      "div",
      { class: "tools" },
      button("check", `Accept ${name}`, act("accept"), { label: "Accept", kind: "accept", tabindex: -1 }),
      button("cross", `Reject ${name}`, act("reject"), { label: "Reject", kind: "reject", tabindex: -1 }),
      button("more", `Evidence for ${name}`, act("look"), { kind: "bare", tabindex: -1, "aria-haspopup": "dialog" }),
    );
    const said = first ? h("p", { class: "said", dir: "auto" }, sentence(first)) : null;
    return h("li", { class: "card", tabindex: -1 }, looks, h("div", { class: "body" }, head, said, tools));
  }

  #rove(index) {
    this.#at = index;
    this.#cards().forEach((card, at) => {
      card.tabIndex = at === index ? 0 : -1;
      for (const each of card.querySelectorAll("button")) each.tabIndex = at === index ? 0 : -1;
    });
  }
}

function mark(card, entity, verdict) {
  card.dataset.verdict = verdict ?? "";
  const parts = [`${entity.rank}`, nameOf(entity), verdict && SAID[verdict], percent(entity.confidence)];
  card.setAttribute("aria-label", parts.filter(Boolean).join(", "));
  card.querySelector(".accept").setAttribute("aria-pressed", String(verdict === "accept"));
  card.querySelector(".reject").setAttribute("aria-pressed", String(verdict === "reject"));
}
