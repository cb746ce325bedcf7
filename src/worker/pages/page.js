// The page: shows one stream, the list of the others beside it, and says in words what there is to say.

import { Controls } from "./controls.js";
import { List, addressOf, codecs } from "./list.js";
import { Overlay } from "./overlay.js";
import { Session } from "./session.js";
import { Sound } from "./sound.js";
import { bitrate, say } from "./words.js";

const element = (id) => document.getElementById(id);
const elements = { video: element("video"), canvas: element("canvas") };
const query = new URLSearchParams(location.search);

const isBare = query.get("bare") === "1";
const sound = new Sound(query.get("muted") === "1");
const controls = new Controls(sound);
const overlay = new Overlay(element("words"), { play: () => session.play(), retry: () => session.retry() });
let list = null;
let session = null;
let factsShown = "";

document.documentElement.classList.toggle("bare", isBare);
element("share").querySelector("summary").textContent = say("share");
for (const [id, name] of [["inplayer", "inPlayer"], ["inpage", "inPage"]]) {
  element(id).parentElement.firstElementChild.textContent = say(name);
  element(id).onfocus = () => element(id).select();
}
watch(nameInAddress());
if (!isBare) list = new List(element("list"), session.name, choose, update);

// For tests and for the curious.
window.tsstream = {
  get state() { return session.state; },
  get player() { return session.player?.name ?? null; },
  get lagMs() { return session.lagMs; },
  get sound() { return session.isSoundBlocked ? "blocked" : sound.isOn ? "on" : "off"; },
  frames: () => session.frames(),
};

addEventListener("popstate", () => choose(nameInAddress()));
addEventListener("online", () => session.retry());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && session.state !== "paused") session.comeBack();
});

function nameInAddress() {
  return new URLSearchParams(location.search).get("stream") || "live";
}

function choose(name) {
  if (name === session.name) return;
  if (name !== nameInAddress()) history.pushState(null, "", addressOf(name));
  watch(name);
  list?.choose(name);
}

function watch(name) {
  session?.close();
  elements.canvas.hidden = elements.video.hidden = true;
  session = new Session(name, elements, sound, update);
  document.title = `${name} · tsstream`;
  element("name").textContent = name;
  const stream = new URL(`${encodeURIComponent(name)}.ts`, document.baseURI).href;
  const bare = new URL(`?stream=${encodeURIComponent(name)}&bare=1`, document.baseURI).href;
  element("inplayer").value = stream;
  element("inpage").value = `<iframe src="${bare}" allow="autoplay; fullscreen" width="640" height="360"></iframe>`;
  update();
}

function update() {
  if (!session) return;
  controls.update(session);
  overlay.update(session);
  const silent = session.state === "playing" && session.silent;
  element("note").hidden = !silent;
  element("note").textContent = silent ? say(...silent) : "";
  showFacts(list?.streams.get(session.name));
}

// What is known by itself, and what the node tells of the stream if it lists it.
function showFacts(listed) {
  const { state, player, program, bitsPerSecond } = session;
  const isPlaying = state === "playing", size = isPlaying && player?.size();
  const rate = isPlaying && bitsPerSecond !== null ? bitsPerSecond : null;
  const facts = [
    program && (isPlaying || state === "unplayable") ? codecs(program) : "",
    size ? `${size.width} × ${size.height}` : "",
    rate === null ? "" : bitrate(rate),
    listed ? say("viewers", listed.viewers) : "",
  ].filter(Boolean);
  if (facts.join() === factsShown) return;
  factsShown = facts.join();
  element("facts").replaceChildren(...facts.map((fact) => {
    const item = document.createElement("li");
    item.textContent = fact;
    return item;
  }));
}
