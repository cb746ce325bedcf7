// The list of the node's streams, with bitrate and viewers, and what is known of the one that is shown.

import { icon } from "./overlay.js";
import { NAMES } from "./players.js";
import { bitrate, count, say } from "./words.js";

// Where an operator does not want streams listed, that may change, but not often.
const UNLISTED_MS = 60_000;
const FAILED_MS = 10_000;
// From so many streams on there is a field to find one by its name.
const FIND_FROM = 8;

export class List {
  // By name, as the node lists them; empty if it doesn't.
  streams = new Map();
  #root;
  #items;
  #find;
  #leftOut = 0;
  #current;
  #onChoose;
  #onChange;
  #timer = 0;
  #shown = "";

  constructor(root, current, onChoose, onChange) {
    this.#root = root;
    this.#items = root.querySelector("ul");
    this.#find = root.querySelector("input");
    this.#current = current;
    this.#onChoose = onChoose;
    this.#onChange = onChange;
    root.querySelector("h2").textContent = say("streams");
    this.#find.placeholder = say("find");
    this.#find.setAttribute("aria-label", say("find"));
    this.#find.oninput = () => this.#draw();
    document.addEventListener("visibilitychange", () => document.hidden || this.#ask());
    this.#ask();
  }

  choose(name) {
    this.#current = name;
    this.#draw();
  }

  async #ask() {
    clearTimeout(this.#timer);
    const waitMs = await this.#fetch();
    // Each page at its own time.
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), waitMs * (0.8 + Math.random() * 0.4));
  }

  async #fetch() {
    try {
      const url = new URL("_/streams.json", document.baseURI);
      const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
      const list = answer.ok ? await answer.json() : { streams: [], left_out: 0, ask_again: UNLISTED_MS / 1000 };
      this.streams = new Map(list.streams.map((stream) => [stream.name, stream]));
      this.#leftOut = list.left_out;
      this.#draw();
      this.#onChange();
      return list.ask_again * 1000;
    } catch {
      return FAILED_MS;
    }
  }

  #draw() {
    const streams = [...this.streams.values()];
    // Of one stream alone there is nothing to choose, unless it is not the one that is shown.
    this.#root.hidden = streams.length === 0 || (streams.length === 1 && streams[0].name === this.#current);
    this.#find.hidden = streams.length < FIND_FROM;
    const wanted = this.#find.hidden ? "" : this.#find.value.trim().toLowerCase();
    const found = streams.filter(({ name }) => name.toLowerCase().includes(wanted));
    // The live ones first, each of the two in the order of the configuration.
    found.sort((one, other) => other.live - one.live);
    const what = JSON.stringify([found, this.#current, this.#leftOut]);
    if (what === this.#shown) return;
    this.#shown = what;
    const focused = document.activeElement?.dataset?.name;
    this.#items.replaceChildren(...found.map((stream) => this.#item(stream)));
    if (found.length === 0) this.#items.append(line(say("noneFound")));
    if (this.#leftOut > 0) this.#items.append(line(say("leftOut", this.#leftOut)));
    if (focused) this.#items.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(stream) {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = addressOf(stream.name);
    link.dataset.name = stream.name;
    link.classList.toggle("live", stream.live);
    if (stream.name === this.#current) link.setAttribute("aria-current", "page");
    link.append(span("name", stream.name), span("kind", stream.live ? codecs(stream) : say("notLive")), this.#numbers(stream));
    link.onclick = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.#onChoose(stream.name);
    };
    item.append(link);
    return item;
  }

  #numbers({ live, bits_per_second, viewers }) {
    const numbers = span("numbers", "");
    if (live && bits_per_second !== null) numbers.append(span("rate", bitrate(bits_per_second)));
    if (live || viewers > 0) {
      const watched = span("viewers", count(viewers));
      watched.prepend(icon("eye"));
      watched.title = say("viewers", viewers);
      numbers.append(watched);
    }
    return numbers;
  }
}

// The page's address for a stream, with all else that is in it.
export function addressOf(name) {
  const url = new URL(location.href);
  url.searchParams.set("stream", name);
  return url.href;
}

export function codecs({ video, audio }) {
  return [video, audio].filter(Boolean).map((codec) => NAMES[codec]).join(" · ");
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function line(text) {
  const element = document.createElement("li");
  element.className = "line";
  element.textContent = text;
  return element;
}
