// The page: asks for the tree every second and draws it.

import { showDetails } from "./details.js";
import { Drawing } from "./drawing.js";
import { layout } from "./layout.js";
import { View } from "./view.js";
import { age, bits, count } from "./words.js";

const ASK_EVERY_MS = 1000;
const ANSWER_WITHIN_MS = 5000;

const at = (id) => document.getElementById(id);
const view = new View(at("stage"), at("world"));
const drawing = new Drawing(open, dismiss);

let tree = { nodes: [], edges: [] };
let boxes = [];
/** Id of the node whose details are shown. */
let selected;
let answeredAt = performance.now();
let isAsking = false;

for (const [id, action] of [["fit", () => view.fit()], ["zoom-in", () => view.zoom(1.3)], ["zoom-out", () => view.zoom(1 / 1.3)]]) {
  at(id).addEventListener("click", action);
}
at("find").addEventListener("input", redraw);
at("find").addEventListener("keydown", (event) => {
  const found = event.key === "Enter" && finder() && boxes.find(finder());
  if (found) view.center(found);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
  if (event.target === document.body) ({ f: () => view.fit(), "+": () => view.zoom(1.3), "-": () => view.zoom(1 / 1.3) })[event.key]?.();
});
new ResizeObserver(redraw).observe(at("stage"));
document.addEventListener("visibilitychange", ask);
setInterval(ask, ASK_EVERY_MS);
ask();

async function ask() {
  if (isAsking || document.hidden) return;
  isAsking = true;
  try {
    tree = await fetchJson("tree");
    answeredAt = performance.now();
    redraw();
    await refreshDetails();
  } catch (error) {
    console.warn(`the monitor: ${error.message}`);
  } finally {
    isAsking = false;
    tellTrouble();
  }
}

async function fetchJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS), cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error(`answered ${answer.status}`), { status: answer.status });
  return answer.json();
}

function redraw() {
  const { width, height } = view.size;
  const placed = layout(tree, width, height);
  boxes = placed.boxes;
  drawing.draw(placed, selected, finder());
  view.resize(placed.width, placed.height);
  summarize();
}

/** Whether a box is one that is looked for; nothing if none is. */
function finder() {
  const words = at("find").value.trim().toLowerCase();
  if (words === "") return undefined;
  return ({ node, ghost }) => (node?.name ?? ghost.address).toLowerCase().includes(words);
}

function summarize() {
  const { nodes } = tree;
  at("summary").hidden = nodes.length === 0;
  at("empty").hidden = nodes.length > 0;
  at("empty").textContent = `No node has reported yet. In the configuration of each node:\n\n[app]\nMonitor = ${location.origin}/monitor`;
  const alive = nodes.filter((node) => !node.silent);
  const sum = (of, value) => of.reduce((total, node) => total + value(node), 0);
  const fed = new Set(tree.edges.map((edge) => edge.to));
  const silent = nodes.length - alive.length;
  const errors = sum(alive, (node) => node.errors + node.lost);
  at("sum-nodes").textContent = count(nodes.length);
  at("sum-viewers").textContent = count(sum(alive, (node) => node.totals.receivers));
  at("sum-in").textContent = bits(sum(alive.filter((node) => !fed.has(node.id)), (node) => node.totals.bits_in));
  at("sum-out").textContent = bits(sum(alive, (node) => node.totals.bits_out));
  at("sum-errors").textContent = count(errors);
  at("sum-errors").parentElement.classList.toggle("poor", errors > 0);
  at("sum-silent").textContent = count(silent);
  at("sum-silent").parentElement.classList.toggle("bad", silent > 0);
  document.title = silent > 0 ? `(${silent} silent) tsstream monitor` : "tsstream monitor";
}

function tellTrouble() {
  const silence = performance.now() - answeredAt;
  at("trouble").hidden = silence < 3 * ASK_EVERY_MS;
  at("trouble").textContent = `The monitor does not answer. What you see is ${age(silence)} old.`;
}

function open(id) {
  selected = id;
  at("details").scrollTop = 0;
  redraw();
  refreshDetails();
}

function close() {
  selected = undefined;
  at("details").hidden = true;
  redraw();
}

async function refreshDetails() {
  const id = selected;
  if (!id) return;
  try {
    const node = await fetchJson(`node/${encodeURIComponent(id)}`);
    if (id !== selected) return;
    const wasHidden = at("details").hidden;
    at("details").hidden = false;
    showDetails(at("details"), node, close, () => dismiss(id));
    if (wasHidden) redraw();
  } catch (error) {
    if (error.status === 404 && id === selected) close();
  }
}

async function dismiss(id) {
  const answer = await fetch(`node/${encodeURIComponent(id)}`, { method: "DELETE" });
  if (!answer.ok && answer.status !== 404) return;
  if (id === selected) close();
  tree = { ...tree, nodes: tree.nodes.filter((node) => node.id !== id), edges: tree.edges.filter((edge) => edge.from !== id && edge.to !== id) };
  redraw();
}
