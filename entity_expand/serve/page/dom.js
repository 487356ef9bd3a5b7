/** Elements, made of text nodes and attributes alone: what comes from a corpus never meets a parser. */

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. Properties that are functions listen to the event of their name; null and false are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return one of the icons that index.html defines; it is decoration, the name stands beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Return the element of index.html with this id. */
export const byId = (id) => document.getElementById(id);

/** Return a number of things in words: count(1, "seed") is "1 seed". */
export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Call something once no further call has come for so many milliseconds, unless `stop` is called before. */
export function calmly(milliseconds, work) {
  let timer = 0;
  const stop = () => clearTimeout(timer);
  const call = (...given) => {
    stop();
    timer = setTimeout(() => work(...given), milliseconds);
  };
  return Object.assign(call, { stop });
}
