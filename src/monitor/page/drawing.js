// The tree as SVG. Elements are made once and changed afterwards. Whatever another machine chose is set as text.

import { CARD, GHOST_HEIGHT } from "./layout.js";
import { age, bits, latency, several, short, time } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** Beyond so many edges nothing moves on them. */
const FLOWING_EDGES_MAX = 60;

/** A lag from which on it is worth a look, in milliseconds. */
const LAG_NOTABLE_MS = 1000;

const NO_WORDS = { way: "", above: "", below: "", alarm: "", state: "" };

const NAME_FONT = "600 14px system-ui, sans-serif";
/** Sizes from afar, of which the largest counts with which the text fits. */
const FAR_NAME_SIZES = [33, 28, 24];
const FAR_VIEWERS_SIZES = [26, 22];

export class Drawing {
  #cards = new Keyed(document.getElementById("cards"));
  #edges = new Keyed(document.getElementById("edges"));
  #labels = new Keyed(document.getElementById("labels"));
  #open;
  #dismiss;

  /** `open` and `dismiss` are told the id of a node. */
  constructor(open, dismiss) {
    this.#open = open;
    this.#dismiss = dismiss;
  }

  draw({ boxes, edges, trunks, isCompact }, selected, found) {
    const silent = new Set(boxes.filter((box) => box.node?.silent).map((box) => box.id));
    this.#cards.update(boxes, (box) => (box.node ? this.#makeCard(box.node.id) : makeGhost()), (parts, box) => {
      set(parts.group, "transform", `translate(${box.x} ${box.y})`);
      if (box.node) {
        changeCard(parts, box.node);
        parts.group.classList.toggle("selected", box.id === selected);
      } else {
        changeGhost(parts, box.ghost);
      }
      parts.group.classList.toggle("dim", Boolean(found) && !found(box));
    });
    const roots = boxes.filter((box) => box.isRoot && box.node);
    const lines = [
      ...trunks.map((trunk) => ({ id: `trunk ${trunk.id}`, d: trunk.d, state: silent.has(trunk.id) ? "down" : "trunk", width: 2 })),
      ...edges.map((it) => ({ id: edgeId(it.edge), d: it.d, ...edgeState(it, silent) })),
      ...roots.map((box) => ({ id: `source ${box.id}`, ...source(box) })),
    ];
    this.#edges.update(lines, makeLine, (parts, line) => changeLine(parts, line, lines.length <= FLOWING_EDGES_MAX));
    const labels = [
      ...edges.filter((it) => !it.crossing).map((it) => ({ id: edgeId(it.edge), x: it.x - 9, y: it.y, ...edgeWords(it.edge, isCompact, silent) })),
      ...roots.map((box) => ({ id: `source ${box.id}`, x: box.x - 9, y: box.y + box.height / 2, ...sourceWords(box.node) })),
    ];
    this.#labels.update(labels, makeLabel, changeLabel);
  }

  #makeCard(id) {
    const group = element("g", { class: "card", tabindex: "0", role: "button" });
    group.dataset.node = id;
    const parts = { group };
    group.append(element("rect", { class: "body", ...CARD, rx: 12 }));
    group.append(element("rect", { class: "stripe", x: 0.5, y: 14, width: 4, height: 50, rx: 2 }));
    parts.title = group.appendChild(element("title"));
    const text = (name, attributes) => (parts[name] = group.appendChild(element("text", { ...attributes, class: attributes.class })));
    text("name", { class: "near name", x: 17, y: 24 });
    text("age", { class: "near quiet end age", x: CARD.width - 13, y: 24 });
    text("viewers", { class: "near viewers", x: 17, y: 47 });
    text("rate", { class: "near end rate", x: CARD.width - 13, y: 47 });
    text("lag", { class: "near quiet", x: 17, y: 66 });
    text("errors", { class: "near quiet end", x: CARD.width - 13, y: 66 });
    text("farName", { class: "far-only far-name", x: 16, y: 36 });
    text("farViewers", { class: "far-only far-viewers", x: 16, y: 67 });
    parts.cross = group.appendChild(element("g", { class: "cross", role: "button", tabindex: "0", "aria-label": "Dismiss", transform: `translate(${CARD.width} 0)` }));
    parts.cross.append(element("circle", { r: 10 }), element("path", { d: "M-3.5-3.5l7 7m0-7l-7 7" }));
    act(group, () => this.#open(id));
    act(parts.cross, () => this.#dismiss(id));
    return parts;
  }
}

/** Elements by key, in one group: made when first needed, removed when not. */
class Keyed {
  #parent;
  #parts = new Map();

  constructor(parent) {
    this.#parent = parent;
  }

  update(items, make, change) {
    const gone = new Set(this.#parts.keys());
    for (const item of items) {
      gone.delete(item.id);
      let parts = this.#parts.get(item.id);
      if (!parts) {
        parts = make(item);
        this.#parts.set(item.id, parts);
        this.#parent.append(parts.group);
      }
      change(parts, item);
    }
    for (const id of gone) {
      this.#parts.get(id).group.remove();
      this.#parts.delete(id);
    }
  }
}

function changeCard(parts, node) {
  const { totals } = node;
  const state = stateOf(node);
  if (parts.group.dataset.state !== state) parts.group.dataset.state = state;
  say(parts.title, node.name);
  say(parts.name, fitting(node.name || "(no name)", NAME_FONT, node.silent ? 125 : 160));
  say(parts.age, node.silent ? `silent ${age(node.age_ms)}` : age(node.age_ms));
  say(parts.viewers, several(totals.receivers, "viewer"));
  const isOriginal = node.kind === "original";
  say(parts.rate, isOriginal ? "original" : bits(totals.bits_out));
  say(parts.lag, isOriginal ? "" : `lag ${time(totals.lag_ms)}`);
  const errors = node.errors + node.lost;
  say(parts.errors, isOriginal ? "" : several(errors, "error"));
  parts.lag.classList.toggle("notable", totals.lag_ms >= LAG_NOTABLE_MS);
  parts.errors.classList.toggle("notable", errors > 0);
  sayLarge(parts.farName, FAR_NAME_SIZES, node.name || "(no name)");
  sayLarge(parts.farViewers, FAR_VIEWERS_SIZES, node.silent ? `silent ${age(node.age_ms)}` : several(totals.receivers, "viewer"));
}

/** `silent`, `poor`, `idle` or `well`. */
function stateOf(node) {
  if (node.silent) return "silent";
  if (node.errors + node.lost > 0 || node.totals.lag_ms >= LAG_NOTABLE_MS) return "poor";
  return node.totals.live > 0 || node.kind === "original" ? "well" : "idle";
}

function makeGhost() {
  const group = element("g", { class: "ghost" });
  const body = element("rect", { class: "body", width: CARD.width, height: GHOST_HEIGHT, rx: 12 });
  const title = element("title");
  const text = element("text", { class: "quiet", x: 16, y: 25 });
  group.append(body, title, text);
  return { group, title, text };
}

function changeGhost(parts, edge) {
  say(parts.title, `${edge.address}: no node that reports is known there`);
  say(parts.text, fitting(edge.address, NAME_FONT, 180));
  parts.group.dataset.state = edge.connected === false ? "down" : "";
}

function edgeId(edge) {
  return `${edge.from} ${edge.to ?? ""} ${edge.protocol} ${edge.address}`;
}

function edgeState({ edge, crossing, inBlock }, silent) {
  const down = edge.connected === false || silent.has(edge.from) || silent.has(edge.to);
  const state = down ? "down" : edge.lost > 0 ? "poor" : edge.bits === 0 ? "idle" : "flows";
  return { state: crossing ? `${state} crossing` : state, width: inBlock ? 2 : widthOf(edge.bits) };
}

/** From 1.5 to 5 pixels, by the order of magnitude. */
function widthOf(perSecond) {
  return perSecond > 0 ? Math.min(Math.max(Math.log10(perSecond) - 4, 1.5), 5) : 1.5;
}

/** Above the line the protocol and the rate; below what was lost, if that can be told, and what the way takes. */
function edgeWords(edge, isCompact, silent) {
  if (edge.connected === false) return { ...NO_WORDS, above: "down", state: "down" };
  // What was so when it was last heard of says nothing now.
  if (silent.has(edge.from) || silent.has(edge.to)) return NO_WORDS;
  const isPoor = edge.lost > 0;
  const took = edge.latency_us == null ? "" : latency(edge.latency_us);
  // Bare datagrams don't tell what is missing; that some are may be known all the same.
  const canTell = edge.lost != null && (isPoor || edge.protocol !== "UDP");
  const lost = canTell ? `${short(edge.lost)} lost` : "";
  return {
    ...NO_WORDS,
    way: isCompact ? "" : edge.protocol,
    above: edge.bits == null ? "" : bits(edge.bits),
    below: isCompact && isPoor ? "" : [isPoor || isCompact ? "" : lost, took].filter(Boolean).join(" · "),
    alarm: isPoor ? lost : "",
  };
}

/** The end of the line by which a root gets its streams. */
function source(box) {
  const y = box.y + box.height / 2;
  const { node } = box;
  const live = node.totals.live > 0 && !node.silent;
  const flow = `M${box.x - 78} ${y}H${box.x}`;
  return { d: `${flow}M${box.x - 78} ${y}a4 4 0 1 1-8 0a4 4 0 1 1 8 0`, flow, state: live ? "flows source" : "idle source", width: widthOf(node.totals.bits_in) };
}

function sourceWords(node) {
  if (node.kind === "original" || node.silent) return NO_WORDS;
  const publishers = node.publishers.length;
  const below = publishers === 0 ? "no publisher" : several(publishers, "publisher");
  return { ...NO_WORDS, above: publishers === 0 ? "" : bits(node.totals.bits_in), below };
}

function makeLine() {
  const group = element("g");
  const path = group.appendChild(element("path", { class: "line" }));
  const flow = group.appendChild(element("path", { class: "flow" }));
  return { group, path, flow };
}

function changeLine(parts, { d, flow = d, state, width }, mayFlow) {
  set(parts.path, "d", d);
  set(parts.flow, "d", flow);
  set(parts.group, "class", `edge ${state}${mayFlow ? " moving" : ""}`);
  set(parts.path, "stroke-width", width.toFixed(1));
}

function makeLabel() {
  const group = element("g", { class: "label" });
  const line = group.appendChild(element("text", { class: "end", y: -7 }));
  const [way, above] = [element("tspan", { class: "way" }), element("tspan")];
  line.append(way, above);
  const below = group.appendChild(element("text", { class: "end quiet", y: 16 }));
  const alarm = element("tspan", { class: "notable" });
  const words = element("tspan");
  below.append(words, alarm);
  return { group, way, above, words, alarm };
}

function changeLabel({ group, way, above, words, alarm }, label) {
  set(group, "transform", `translate(${label.x} ${label.y})`);
  set(group, "class", `label ${label.state}`);
  say(way, label.way && label.above ? `${label.way}  ` : label.way);
  say(above, label.above);
  say(words, label.below && label.alarm ? `${label.below} · ` : label.below);
  say(alarm, label.alarm);
}

/** Does `action` on a click, and on Enter or space. */
function act(target, action) {
  target.addEventListener("click", (event) => {
    event.stopPropagation();
    action();
  });
  target.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
}

export function element(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function set(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

function say(target, words) {
  if (target.textContent !== words) target.textContent = words;
}

/** As large as fits into a card. */
function sayLarge(target, sizes, words) {
  const at = (size) => fitting(words, `600 ${size}px system-ui, sans-serif`, CARD.width - 28);
  const size = sizes.find((size) => at(size) === words) ?? sizes.at(-1);
  set(target, "font-size", String(size));
  say(target, at(size));
}

const ruler = document.createElement("canvas").getContext("2d");
const fitted = new Map();

/** `text`, cut so that it is no wider. */
function fitting(text, font, width) {
  const key = `${font}|${width}|${text}`;
  if (!fitted.has(key)) {
    if (fitted.size > 10_000) fitted.clear();
    ruler.font = font;
    let cut = text;
    while (cut.length > 1 && ruler.measureText(cut === text ? cut : `${cut}…`).width > width) {
      cut = [...cut].slice(0, -1).join("");
    }
    fitted.set(key, cut === text ? text : `${cut.trimEnd()}…`);
  }
  return fitted.get(key);
}
