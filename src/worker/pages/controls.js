// The buttons on the stage, and the keys that do the same: space or k plays and pauses, m turns the sound on and off,
// f fills the screen.

import { say } from "./words.js";

// The buttons go so long after the last movement, while it plays.
const IDLE_MS = 2500;
// Behind by more than this is worth a word, and a way back.
const LAG_MS_NOTED = 2500;

const element = (id) => document.getElementById(id);

export class Controls {
  #stage = element("stage");
  #video = element("video");
  #sound;
  #session = null;
  #idleTimer = 0;

  constructor(sound) {
    this.#sound = sound;
    element("play").onclick = () => this.#togglePlay();
    element("sound").onclick = element("unmute").onclick = () => this.#toggleSound();
    element("volume").oninput = ({ target }) => this.#setSound(target.value > 0, Number(target.value) || this.#sound.volume);
    element("live").onclick = () => this.#session.catchUp();
    element("full").onclick = () => this.#toggleFull();
    element("unmute").lastElementChild.textContent = say("tapForSound");
    label(element("volume"), say("volume"));
    document.addEventListener("keydown", (event) => this.#onKey(event));
    document.addEventListener("fullscreenchange", () => this.#showFull());
    this.#watchPointer();
    this.#showFull();
  }

  update(session) {
    this.#session = session;
    const { state, player, isSoundBlocked } = session;
    this.#stage.dataset.state = state;
    const isPaused = state === "paused", hasSound = Boolean(player?.hasSound);
    this.#stage.classList.toggle("paused", isPaused);
    label(element("play"), say(isPaused ? "play" : "pause"), "space");
    const isHeard = hasSound && this.#sound.isOn && !isSoundBlocked;
    element("soundgroup").hidden = !hasSound;
    this.#stage.classList.toggle("muted", !isHeard);
    label(element("sound"), say(isHeard ? "mute" : "unmute"), "m");
    element("volume").value = isHeard ? this.#sound.volume : 0;
    element("unmute").hidden = !(hasSound && isSoundBlocked && state === "playing");
    this.#showLag(session);
    if (state !== "playing") this.#wake();
  }

  #showLag({ state, lagMs }) {
    const live = element("live"), isBehind = lagMs > LAG_MS_NOTED, seconds = (lagMs / 1000).toFixed(1);
    live.hidden = state !== "playing";
    live.classList.toggle("behind", isBehind);
    live.querySelector("b").textContent = say(isBehind ? "goLive" : "live");
    live.querySelector("span").textContent = isBehind ? `−${seconds} s` : `${seconds} s`;
    label(live, `${say(isBehind ? "goLive" : "live")}: ${say("lag", seconds)}`);
  }

  // Where there is nothing to play there is nothing to pause.
  #togglePlay() {
    if (["missing", "offline", "refused", "unplayable"].includes(this.#session.state)) return;
    if (this.#session.state === "paused") this.#session.play();
    else this.#session.pause();
  }

  // What the browser has silenced is turned on, as what the viewer has.
  #toggleSound() {
    if (!this.#session.player?.hasSound) return;
    this.#setSound(!this.#sound.isOn || this.#session.isSoundBlocked, this.#sound.volume);
  }

  #setSound(isOn, volume) {
    this.#sound.set(isOn, volume);
    this.#session.setSound({ isOn, volume });
  }

  #onKey(event) {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, summary")) return;
    const isOnButton = target.closest("button, a") !== null;
    if (event.key === "Escape") document.body.classList.remove("filled");
    else if (event.key === " " && isOnButton) return;
    else if (event.key === " " || event.key === "k") this.#togglePlay();
    else if (event.key === "m") this.#toggleSound();
    else if (event.key === "f") this.#toggleFull();
    else return;
    this.#showFull();
    this.#wake();
    event.preventDefault();
  }

  // Where the browser fills the screen with videos only, or with nothing, the stage fills the window.
  #toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (document.fullscreenEnabled) this.#stage.requestFullscreen().catch(() => {});
    else if (this.#video.webkitEnterFullscreen && !this.#video.hidden) this.#video.webkitEnterFullscreen();
    else document.body.classList.toggle("filled");
    this.#showFull();
  }

  #showFull() {
    const isFull = document.fullscreenElement !== null || document.body.classList.contains("filled");
    this.#stage.classList.toggle("full", isFull);
    label(element("full"), say(isFull ? "leaveFullScreen" : "fullScreen"), "f");
  }

  #watchPointer() {
    const stage = this.#stage;
    for (const event of ["pointermove", "pointerdown", "focusin"]) stage.addEventListener(event, () => this.#wake());
    stage.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && stage.classList.add("idle"));
    stage.addEventListener("dblclick", ({ target }) => target.closest("button, input, a") || this.#toggleFull());
  }

  #wake() {
    this.#stage.classList.remove("idle");
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      const isUsed = this.#stage.querySelector("#controls :focus-visible, #controls :active");
      if (this.#session?.state === "playing" && !isUsed) this.#stage.classList.add("idle");
    }, IDLE_MS);
  }
}

// For those who see the button and those who don't.
function label(element, words, key) {
  const title = key ? `${words} (${key})` : words;
  if (element.title === title) return;
  element.title = title;
  element.setAttribute("aria-label", words);
  if (key) element.setAttribute("aria-keyshortcuts", key);
}
