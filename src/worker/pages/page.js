// The page: shows one stream, says in words what there is to say, and begins anew whenever the picture stands still.

import { Connection } from "./connection.js";
import { blame, makePlayer, whyNotPlayable, whySilent } from "./players.js";
import { Tables, isJump } from "./ts.js";

// Data comes, and no frame for so long: the player is stuck.
const STUCK_MS = 4000;
// A picture that has moved for so long is no reason to wait before the next attempt.
const SETTLED_MS = 5000;
// A transport stream has its tables several times a second, so this much without them is something else.
const BYTES_WITHOUT_TABLES_MAX = 2 * 1024 * 1024;

const BADGES = {
  connecting: "connecting", starting: "starting", playing: "live", waiting: "waiting",
  missing: "not found", offline: "offline", unplayable: "not playable",
};

const element = (id) => document.getElementById(id);
const elements = { video: element("video"), canvas: element("canvas") };
const name = new URLSearchParams(location.search).get("stream") ?? "live";

let state = "connecting";
let player = null;
let program = null;
let tables = new Tables();
let bytesWithoutTables = 0;
let framesBefore = 0;
let framesSeen = 0;
let beganMs = 0;
let movedMs = 0;
let hasFailed = false;
let isSoundOn = false;
let unplayable = null;

// For tests and for the curious.
window.tsstream = {
  get state() { return state; },
  get player() { return player?.name ?? null; },
  frames: () => framesBefore + (player?.frames() ?? 0),
};

element("name").textContent = name;
document.title = `${name} · tsstream`;
if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
  const connection = new Connection(name, receive, connectionIs);
  setInterval(() => watch(connection), 500);
  document.addEventListener("visibilitychange", () => comeBack(connection));
} else {
  show("missing");
}
element("sound").onclick = () => setSound(!isSoundOn);
// A player that the browser does not let sound has muted itself.
elements.video.onvolumechange = () => {
  if (isSoundOn && player?.name === "mpegts" && elements.video.muted) setSound(false);
};
setUpFullScreen();

function receive(bytes, isFirst) {
  if (isFirst || isJump(bytes)) {
    // The player that is there keeps its last picture until the next one has been made.
    tables = new Tables();
    bytesWithoutTables = 0;
    unplayable = null;
    begin(bytes);
  } else if (player) {
    feed(bytes);
  } else if (!unplayable) {
    begin(bytes);
  }
}

function begin(bytes) {
  program = tables.read(bytes);
  if (!program) {
    retire();
    bytesWithoutTables += bytes.length;
    if (bytesWithoutTables > BYTES_WITHOUT_TABLES_MAX) giveUp("This stream is not an MPEG transport stream.");
    return;
  }
  retire();
  const why = whyNotPlayable(program);
  if (why) return giveUp(why);
  beganMs = movedMs = performance.now();
  hasFailed = false;
  show("starting");
  const made = makePlayer(program, tables, elements, (error) => made === player && fail(error));
  player = made;
  setSound(isSoundOn);
  element("note").textContent = whySilent(program);
  element("note").hidden = !whySilent(program);
  feed(bytes);
}

function feed(bytes) {
  if (hasFailed) return;
  try {
    player.write(bytes);
  } catch (error) {
    fail(error);
  }
}

// What a player can't recover from by itself; `watch` begins anew.
function fail(error) {
  if (!hasFailed) console.warn("tsstream:", error);
  hasFailed = true;
}

function retire() {
  if (!player) return;
  framesBefore += player.frames();
  player.destroy();
  player = null;
  element("sound").hidden = true;
}

function giveUp(why) {
  unplayable = why;
  show("unplayable");
}

function connectionIs(what) {
  if (what !== "receiving") show(what);
  else if (state !== "playing" && state !== "unplayable") show(player ? "starting" : "connecting");
}

function watch(connection) {
  const frames = window.tsstream.frames();
  if (frames !== framesSeen) {
    framesSeen = frames;
    movedMs = performance.now();
    if (movedMs - beganMs > SETTLED_MS) connection.settle();
    if (state === "starting") show("playing");
  }
  // A page in the background is not given frames.
  const isExpected = player && !document.hidden && (state === "playing" || state === "starting");
  if (hasFailed || (isExpected && performance.now() - movedMs > STUCK_MS)) {
    hasFailed = false;
    movedMs = performance.now();
    if (player) blame(program);
    show("connecting");
    connection.rejoin();
  }
}

function comeBack(connection) {
  movedMs = performance.now();
  if (document.hidden || !player) return;
  if (player.name === "jsmpeg") connection.rejoin();
  else elements.video.play().catch(() => {});
}

function setSound(isOn) {
  isSoundOn = isOn;
  player?.setSound(isOn);
  const button = element("sound");
  button.hidden = !player?.hasSound;
  button.classList.toggle("muted", !isOn);
  button.querySelector("span").textContent = isOn ? "" : "Turn on sound";
  button.setAttribute("aria-label", isOn ? "Turn off sound" : "Turn on sound");
}

function setUpFullScreen() {
  const { video } = elements, stage = element("stage"), button = element("full");
  button.hidden = !document.fullscreenEnabled && !video.webkitEnterFullscreen;
  button.onclick = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (stage.requestFullscreen) stage.requestFullscreen();
    else video.webkitEnterFullscreen();
  };
}

function show(next) {
  state = next;
  element("badge").dataset.state = next;
  element("badge").textContent = BADGES[next];
  const words = element("words");
  words.replaceChildren(...wordsFor(next));
  words.hidden = next === "playing";
}

function wordsFor(what) {
  switch (what) {
    case "waiting":
      return ["Nobody is sending this stream at the moment.\nIt starts here by itself."];
    case "missing":
      return [`There is no stream “${name}” here.`];
    case "offline":
      return ["The server can't be reached.\nTrying again …"];
    case "unplayable":
      return [`${unplayable}\nPlayers like VLC and mpv may: `, linkToStream()];
    default:
      return ["Connecting …"];
  }
}

function linkToStream() {
  const link = document.createElement("a");
  link.href = `${name}.ts`;
  link.textContent = new URL(`${name}.ts`, document.baseURI).href;
  return link;
}
