// Watching one stream: takes what the connection brings to the player that can play it, and begins anew whenever the
// picture stands still. What it has come to is in `state`; each change is told by `onChange()`.

import { Arrival } from "./arrival.js";
import { Connection } from "./connection.js";
import { blame, makePlayer, whyNotPlayable, whySilent } from "./players.js";
import { Tables, isJump, mpegVideo } from "./ts.js";

// What a stream may be called.
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const WATCH_MS = 500;
// Data comes, and no frame for so long: the player is stuck.
const STUCK_MS = 4000;
// A picture that has moved for so long is no reason to wait before the next attempt.
const SETTLED_MS = 5000;
// So many attempts that showed no picture are enough to say that it can't be played.
const FAILURES_MAX = 3;
// What can't be played is looked at again after this: it may have become something else.
const UNPLAYABLE_MS = 20_000;
// A transport stream has its tables several times a second, so this much without them is something else.
const BYTES_WITHOUT_TABLES_MAX = 2 * 1024 * 1024;
// So much without a keyframe is played as what it may be.
const BYTES_HELD_MAX = 1024 * 1024;
// Behind or late by more than that, it is quicker to begin anew.
const BEHIND_MS_MAX = 1000;
const LATE_MS_MAX = 3000;

export class Session {
  // "connecting", "starting", "playing", "paused", "waiting", "missing", "offline", "refused" or "unplayable".
  state = "connecting";
  // With "unplayable": the name of the words that say why, and what they are about.
  why = null;
  program = null;
  player = null;
  isSoundBlocked = false;
  // Smoothed.
  lagMs = 0;
  bitsPerSecond = null;
  #elements;
  #sound;
  #onChange;
  #connection = null;
  #watcher;
  #tables = new Tables();
  #arrival = null;
  // What came since the tables, until it is known what it is.
  #held = [];
  #heldBytes = 0;
  #bytesWithoutTables = 0;
  #bytes = 0;
  #measured = { bytes: 0, ms: 0 };
  #progressBefore = 0;
  #progressSeen = 0;
  #beganMs = 0;
  #movedMs = 0;
  #failures = 0;
  #hasFailed = false;

  constructor(name, elements, sound, onChange) {
    this.name = name;
    this.#elements = elements;
    this.#sound = sound;
    this.#onChange = onChange;
    this.play();
    this.#watcher = setInterval(() => this.#watch(), WATCH_MS);
  }

  // The frames shown so far, by all players.
  frames() {
    return this.#progressBefore + (this.player?.progress() ?? 0);
  }

  get silent() {
    return this.program && whySilent(this.program);
  }

  get againInMs() {
    return this.#connection?.againInMs ?? null;
  }

  // From the newest keyframe, after a pause.
  play() {
    this.#connection?.close();
    if (!NAME.test(this.name)) return this.#show("missing");
    this.#measured = { bytes: this.#bytes, ms: performance.now() };
    this.#connection = new Connection(
      this.name, (bytes, isFirst) => this.#receive(bytes, isFirst), (state) => this.#connectionIs(state));
    this.#show("connecting");
  }

  // The last picture stays. Nothing is received meanwhile.
  pause() {
    this.#connection?.close();
    this.player?.pause();
    this.#show("paused");
  }

  retry() {
    this.#connection?.hurry();
  }

  setSound(sound) {
    this.#sound = sound;
    this.isSoundBlocked = false;
    this.player?.setSound(sound);
    this.#onChange();
  }

  // To the newest there is.
  catchUp() {
    if (!this.player || this.state === "paused") return;
    const isFarBehind = this.player.name === "jsmpeg" && this.player.behindMs() > BEHIND_MS_MAX;
    if (isFarBehind || this.#arrival.lateMs() > LATE_MS_MAX) this.#connection.rejoinAfter(0);
    else this.player.catchUp();
  }

  // The page was in the background, where it is not given frames, or nothing at all.
  comeBack() {
    this.#movedMs = performance.now();
    this.retry();
    this.catchUp();
  }

  close() {
    clearInterval(this.#watcher);
    this.#connection?.close();
    this.#retire();
    this.#onChange = () => {};
  }

  #receive(bytes, isFirst) {
    this.#bytes += bytes.length;
    if (isFirst || isJump(bytes)) {
      // The player that is there keeps its last picture until the next one has been made.
      this.#tables = new Tables();
      this.#bytesWithoutTables = 0;
      this.#begin(bytes);
    } else if (this.player) {
      this.#feed(bytes);
    } else if (this.#held.length > 0) {
      this.#identify(bytes);
    } else if (this.state !== "unplayable") {
      this.#begin(bytes);
    }
  }

  #begin(bytes) {
    this.#retire();
    this.#held = [];
    this.#heldBytes = 0;
    this.program = this.#tables.read(bytes);
    if (!this.program) {
      this.#bytesWithoutTables += bytes.length;
      if (this.#bytesWithoutTables > BYTES_WITHOUT_TABLES_MAX) this.#giveUp(["notTs"]);
      return;
    }
    this.#identify(bytes);
  }

  // ffmpeg labels MPEG-1 as MPEG-2. What it is stands in the first keyframe, which may be in a later message.
  #identify(bytes) {
    const { program } = this;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (program.video === "mpeg1" || program.video === "mpeg2") {
      const video = mpegVideo(bytes, program.pid);
      if (video === null && this.#heldBytes < BYTES_HELD_MAX) return;
      program.video = video ?? "mpeg1";
    }
    this.#start(this.#held.splice(0));
  }

  #start(messages) {
    const why = whyNotPlayable(this.program);
    if (why) return this.#giveUp(why);
    this.why = null;
    this.#beganMs = this.#movedMs = performance.now();
    this.#hasFailed = false;
    this.#arrival = new Arrival(this.program.pid);
    this.#show("starting");
    const ifCurrent = (act) => (...said) => this.player === player && act(...said);
    const player = makePlayer(this.program, this.#tables, this.#elements, {
      problem: ifCurrent((error) => this.#fail(error)),
      soundBlocked: ifCurrent(() => this.#soundIsBlocked()),
      playBlocked: ifCurrent(() => this.pause()),
    });
    this.player = player;
    player.setSound(this.isSoundBlocked ? { ...this.#sound, isOn: false } : this.#sound);
    messages.forEach((bytes) => this.#feed(bytes));
  }

  #feed(bytes) {
    this.#arrival.take(bytes);
    if (this.#hasFailed) return;
    try {
      this.player.write(bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  #soundIsBlocked() {
    this.isSoundBlocked = true;
    this.player.setSound({ ...this.#sound, isOn: false });
    this.#onChange();
  }

  // What a player can't recover from by itself; `watch` begins anew.
  #fail(error) {
    if (!this.#hasFailed) console.warn("tsstream:", error);
    this.#hasFailed = true;
  }

  #retire() {
    if (!this.player) return;
    this.#progressBefore += this.player.progress();
    this.player.destroy();
    this.player = null;
  }

  #giveUp(why) {
    this.#retire();
    this.why = why;
    this.#connection.rejoinAfter(UNPLAYABLE_MS);
    this.#show("unplayable");
  }

  #connectionIs(what) {
    const goesOn = what === "receiving" || what === "connecting";
    if (!goesOn) this.#show(what);
    else if (!["playing", "unplayable"].includes(this.state)) this.#show(this.player && what === "receiving" ? "starting" : "connecting");
  }

  #watch() {
    const nowMs = performance.now();
    const frames = this.frames();
    if (frames !== this.#progressSeen) {
      this.#progressSeen = frames;
      this.#movedMs = nowMs;
      this.#failures = 0;
      if (nowMs - this.#beganMs > SETTLED_MS) this.#connection.settle();
      if (this.state === "starting") this.#show("playing");
    }
    // A page in the background is not given frames.
    const isExpected = this.player && !document.hidden && (this.state === "playing" || this.state === "starting");
    const isLost = this.#hasFailed && this.state !== "paused";
    if (this.player && (isLost || (isExpected && nowMs - this.#movedMs > STUCK_MS))) this.#beginAnew(nowMs);
    this.#measure(nowMs);
    this.#onChange();
  }

  #beginAnew(nowMs) {
    this.#hasFailed = false;
    this.#movedMs = nowMs;
    blame(this.program);
    if (++this.#failures >= FAILURES_MAX) return this.#giveUp(["failing"]);
    this.#show("connecting");
    this.#connection.rejoin();
  }

  #measure(nowMs) {
    const lagMs = this.player ? this.#arrival.lateMs() + this.player.behindMs() : 0;
    this.lagMs = Math.abs(lagMs - this.lagMs) > 1000 ? lagMs : 0.7 * this.lagMs + 0.3 * lagMs;
    const { bytes, ms } = this.#measured;
    if (nowMs - ms < 2000) return;
    this.bitsPerSecond = this.state === "playing" ? (this.#bytes - bytes) * 8000 / (nowMs - ms) : null;
    this.#measured = { bytes: this.#bytes, ms: nowMs };
  }

  #show(state) {
    this.state = state;
    this.#onChange();
  }
}
