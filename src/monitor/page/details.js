// One node in detail: a minute of history as small plots, and all that it reports. Every word of it is set as text.

import { element } from "./drawing.js";
import { age, bits, count, latency, time } from "./words.js";

const PLOT = { width: 150, height: 44, span_ms: 60_000 };

/** Fills `panel` for `node`, as `/node/ID` tells it. */
export function showDetails(panel, node, close, dismiss) {
  const scrolled = panel.scrollTop;
  const { report } = node;
  const own = report.tsstream;
  const parts = [heading(node, close)];
  if (node.silent) parts.push(silence(node, dismiss));
  if (own) {
    parts.push(plots(node.history), facts(node, report.nodeinfo, own), streams(own.streams));
    if (own.next_hops.length > 0) parts.push(hops(own.next_hops));
    if (own.left_out > 0) parts.push(html("p", "quiet", `${count(own.left_out)} more streams or next hops found no room in the report.`));
  } else {
    parts.push(factList([
      ["reports from", node.from],
      ["listens at", `${report.nodeinfo.bind}:${report.nodeinfo.port}`],
      ["viewers", count(report.nodeinfo.connects)],
      ["pieces taken in", count(report.packages)],
      ["last report", `${age(node.age_ms)} ago`],
      ["hash", report.nodeinfo.hash],
    ]));
    parts.push(html("p", "quiet", "A node of the original tsstream: it reports once a minute, and no more than this."));
  }
  panel.replaceChildren(...parts);
  panel.scrollTop = scrolled;
}

function heading(node, close) {
  const head = html("header");
  const kind = { normal: "normal node", extra: "extra node", original: "original node" }[node.kind];
  const button = html("button", "close", "×");
  button.type = "button";
  button.setAttribute("aria-label", "Close");
  button.addEventListener("click", close);
  const version = node.report.tsstream ? ` · ${node.report.tsstream.version}` : "";
  const words = html("div");
  words.append(html("h2", "", node.name || "(no name)"), html("p", "quiet", kind + version));
  head.append(words, button);
  return head;
}

function silence(node, dismiss) {
  const box = html("div", "silence");
  const button = html("button", "", "Dismiss");
  button.type = "button";
  button.addEventListener("click", dismiss);
  box.append(html("p", "", `Silent for ${age(node.age_ms)}. What follows is its last report.`), button);
  return box;
}

function plots(history) {
  const box = html("div", "plots");
  const gauge = (key) => history.map((point) => [point.age_ms, point[key]]);
  const added = (...keys) => {
    const sum = (point) => keys.reduce((total, key) => total + point[key], 0);
    return history.slice(1).map((point, index) => [point.age_ms, Math.max(0, sum(point) - sum(history[index]))]);
  };
  box.append(
    plot("in", gauge("bits_in"), bits, "flow"),
    plot("out", gauge("bits_out"), bits, "flow"),
    plot("viewers", gauge("receivers"), count, "well"),
    plot("lag", gauge("lag_ms"), time, "poor"),
    plot("errors and losses", added("errors", "lost"), count, "bad", "sum"),
    plot("skips", added("skips"), count, "poor", "sum"),
  );
  return box;
}

/** A plot of the last minute; its number is the newest value, or the sum of all. */
function plot(name, points, words, kind, number = "last") {
  const figure = html("figure", `plot ${kind}`);
  const values = points.map(([, value]) => value);
  const shown = number === "sum" ? values.reduce((a, b) => a + b, 0) : (values.at(-1) ?? 0);
  const caption = html("figcaption");
  caption.append(html("span", "quiet", name), html("b", "", words(shown)));
  const { width, height, span_ms } = PLOT;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const top = Math.max(1, ...values) * 1.08;
  const at = ([age, value]) => `${(width * (1 - Math.min(age, span_ms) / span_ms)).toFixed(1)} ${(height - 1.5 - (height - 4) * (value / top)).toFixed(1)}`;
  svg.append(element("path", { class: "base", d: `M0 ${height - 1}H${width}` }));
  if (points.length > 1) {
    const line = points.map(at).join("L");
    const [first, last] = [at(points[0]).split(" ")[0], at(points.at(-1)).split(" ")[0]];
    svg.append(element("path", { class: "area", d: `M${first} ${height - 1}L${line}L${last} ${height - 1}Z` }));
    svg.append(element("path", { class: "curve", d: `M${line}` }));
  }
  figure.append(caption, svg);
  return figure;
}

function facts(node, info, own) {
  return factList([
    ["last report", `${time(node.age_ms)} ago, one every ${time(own.interval_ms)}`],
    ["reports from", node.from],
    ["listens at", `${info.bind}:${info.port}`],
    ["up for", age(own.uptime_ms)],
    ["load", `${own.load.toFixed(2)} of ${own.cores} ${own.cores === 1 ? "core" : "cores"}`],
    ["its clock", clock(own.time_ms)],
    ["identity", own.node],
  ]);
}

/** Milliseconds since 1970 as date and time, if there is such a date. */
function clock(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "beyond reason" : date.toISOString().replace("T", " ").replace("Z", " UTC");
}

function factList(pairs) {
  const list = html("dl", "facts");
  for (const [name, value] of pairs) list.append(html("dt", "", name), html("dd", "", value));
  return list;
}

function streams(all) {
  const section = html("section");
  section.append(html("h3", "", all.length === 1 ? "Stream" : `Streams (${count(all.length)})`));
  for (const stream of all) {
    const { receivers } = stream;
    const viewers = [
      [receivers.websocket, "WebSocket"],
      [receivers.http, "HTTP"],
      [receivers.tcp, "TCP"],
    ].filter(([number]) => number > 0).map(([number, name]) => `${count(number)} by ${name}`);
    const box = html("article", stream.live ? "live" : "");
    box.append(html("h4", "", stream.name), html("p", "quiet", stream.codecs || (stream.live ? "live" : "not live")));
    const from = stream.upstream ? `node ${stream.upstream.node}, ${stream.upstream.hops} hops from the origin` : stream.publisher;
    box.append(factList([
      ["from", from ?? "nobody"],
      ["in", bits(stream.bits_in)],
      ["out", bits(stream.bits_out)],
      ["viewers", viewers.join(", ") || "none"],
      ["lag", time(stream.lag_ms)],
      ["continuity errors", count(stream.continuity_errors)],
      ["losses of sync", count(stream.sync_losses)],
      ["lost on the way", count(stream.lost)],
      ["lost in the node", count(stream.chunks_lost)],
      ["skips", count(stream.skips)],
      ["stalled", count(stream.stalled)],
      ...(stream.latency_us == null ? [] : [["hop latency", latency(stream.latency_us)]]),
      ...pulling(stream.pull),
    ]));
    section.append(box);
  }
  return section;
}

/** How fetching goes. */
function pulling(pull) {
  if (!pull) return [];
  const failures = Object.entries(pull.failures).filter(([, number]) => number > 0);
  return [
    ["upstreams taken up", `${count(pull.upstreams)}, ${count(pull.resumed)} without a gap`],
    ["discontinuities", count(pull.discontinuities)],
    ["chunks missed", count(pull.missed)],
    ["upstreams given up", failures.map(([reason, number]) => `${count(number)} ${reason}`).join(", ") || "none"],
  ];
}

function hops(all) {
  const section = html("section");
  section.append(html("h3", "", `Next hops (${count(all.length)})`));
  for (const hop of all) {
    const box = html("article", hop.connected ? "live" : "down");
    box.append(html("h4", "", hop.address), html("p", "quiet", `${hop.protocol} · ${hop.stream} · ${hop.connected ? "connected" : "not connected"}`));
    box.append(factList([
      ["rate", bits(hop.bits)],
      ["sent", `${count(hop.bytes)} bytes`],
      ["left out", count(hop.drops)],
    ]));
    section.append(box);
  }
  return section;
}

function html(name, kind = "", text = "") {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}
