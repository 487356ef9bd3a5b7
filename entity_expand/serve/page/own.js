/** The form for an example that is not in the index: its name, a sentence, a picture. The service says what is wrong. */

import { Problem, ask } from "./api.js";
import { byId } from "./dom.js";
import { picture } from "./parts.js";
import { newSeed } from "./state.js";

const MARKED = /\[\[.+?\]\]/s;
const MEGABYTE = 1 << 20;

let file = null;
let address = null;
let asked = null;

/** Have the form add seeds. add(entity) is called with a seed that the service could encode; limits() are the service's. */
export function ownSeeds({ add, limits }) {
  const dialog = byId("own");

  byId("own-open").addEventListener("click", () => {
    open(byId("seed").value.trim());
    byId("seed").value = "";
  });
  byId("own-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => asked?.abort());
  byId("own-file").addEventListener("change", () => pick(byId("own-file").files[0] ?? null));
  byId("own-unpick").addEventListener("click", () => { pick(null); byId("own-file").focus(); });
  for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    dialog.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // or the browser would go to the file
      byId("own-drop").classList.toggle("over", over);
      if (name === "drop") pick(event.dataTransfer.files[0] ?? null);
    });
  }
  byId("own-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void send(add, limits());
  });
}

function open(name) {
  byId("own-form").reset();
  byId("own-name").value = name;
  pick(null);
  byId("own").showModal();
  byId(name ? "own-text" : "own-name").focus();
}

function pick(chosen) {
  file = chosen;
  address = chosen && URL.createObjectURL(chosen); // kept while the page is open, since steps can be undone
  byId("own-file").value = "";
  byId("own-picked").textContent = chosen ? chosen.name : "Choose or drop a file";
  byId("own-preview").replaceChildren(...(chosen ? [picture(address, chosen.name)] : []));
  byId("own-unpick").hidden = !chosen;
  wrong(null);
}

async function send(add, limits) {
  if (asked) return;
  asked = new AbortController();
  const { signal } = asked;
  const given = { text: byId("own-text").value.trim(), image: null, name: byId("own-name").value.trim() };
  const seen = address;
  byId("own-form").setAttribute("aria-busy", "true");
  try {
    refuse(given, limits);
    if (file) given.image = await base64(file);
    await ask("/v1/encode", { body: { inputs: [given] }, signal });
    signal.throwIfAborted();
    byId("own").close();
    add(newSeed(given, seen));
  } catch (problem) {
    if (problem.name !== "AbortError") wrong(problem);
  } finally {
    asked = null;
    byId("own-form").setAttribute("aria-busy", "false");
  }
}

/** Throw what can be said without the service, with the field that it is about. */
function refuse({ text, name }, limits) {
  const say = (field, words) => { throw Object.assign(new Problem("own", words), { field }); };
  if (!name) say("own-name", "Give it a name.");
  if (!text && !file) say("own-text", "Give a sentence, a picture, or both.");
  const held = MARKED.test(text) || text.toLocaleLowerCase().includes(name.toLocaleLowerCase());
  if (text && !held) say("own-text", `The sentence does not hold the name “${name}”. Write it in, or mark what stands for it, as in “[[It]] eats leaves.”`);
  const most = limits.picture_bytes;
  if (file && file.size > most) say("own-file", `The picture has ${(file.size / MEGABYTE).toFixed(1)} MB; at most ${(most / MEGABYTE).toFixed(1)} are taken.`);
}

function wrong(problem) {
  byId("own-trouble").textContent = problem?.message ?? "";
  byId("own-trouble").hidden = !problem;
  for (const id of ["own-name", "own-text", "own-file"]) {
    const is = problem?.field === id;
    byId(id).setAttribute("aria-invalid", String(is));
    if (is) byId(id).focus();
  }
}

function base64(chosen) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Problem("file", "The file cannot be read.")));
    reader.readAsDataURL(chosen);
  });
}
