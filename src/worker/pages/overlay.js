// What is said on the stage while there is no picture, and what the viewer can do about it.

import { say } from "./words.js";

const ICONS = {
  waiting: "antenna", missing: "question", offline: "cloud", refused: "cloud", unplayable: "film", paused: "play",
  connecting: "spinner", starting: "spinner",
};

export class Overlay {
  #root;
  #shown = "";
  #again;

  // `on.play()` ends a pause, `on.retry()` does not wait any longer.
  constructor(root, on) {
    this.#root = root;
    this.on = on;
  }

  update(session) {
    const { state, why, program } = session;
    const isSoundOnly = state === "playing" && program?.video === null;
    this.#root.hidden = state === "playing" && !isSoundOnly;
    const what = JSON.stringify([state, why, session.name, isSoundOnly]);
    if (what !== this.#shown) {
      this.#shown = what;
      this.#root.dataset.state = state;
      this.#again = make("p", "again", "");
      // Not a word of it is to be read out each second.
      this.#again.setAttribute("aria-live", "off");
      this.#root.replaceChildren(...(isSoundOnly ? soundOnly() : this.#parts(session)));
    }
    this.#again.textContent = againIn(session.againInMs);
  }

  #parts({ state, why, name }) {
    if (state === "paused") return [bigButton(say("play"), "play", this.on.play)];
    const [what, ...about] = state === "unplayable" ? why : [state, name];
    const parts = [icon(ICONS[state]), make("p", "title", say(what, ...about))];
    if (say(`${what}More`)) parts.push(make("p", "more", say(`${what}More`)));
    if (state === "unplayable") parts.push(linkToStream(name));
    if (state === "offline" || state === "refused") {
      parts.push(this.#again, button(say("tryNow"), this.on.retry));
    }
    return parts;
  }
}

function soundOnly() {
  return [icon("note"), make("p", "title", say("soundOnly"))];
}

function againIn(ms) {
  if (ms === null || ms < 1000) return say("againNow");
  return say("again", Math.round(ms / 1000));
}

function linkToStream(name) {
  const paragraph = make("p", "more", `${say("elsewhere")} `), link = make("a", "", "");
  link.href = `${encodeURIComponent(name)}.ts`;
  link.textContent = link.href;
  paragraph.append(link);
  return paragraph;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function button(label, act) {
  const element = make("button", "plain", label);
  element.type = "button";
  element.onclick = () => act();
  return element;
}

function bigButton(label, iconName, act) {
  const element = button("", act);
  element.className = "big";
  element.setAttribute("aria-label", label);
  element.append(icon(iconName));
  return element;
}

export function icon(name) {
  const { namespaceURI } = document.querySelector("symbol");
  const svg = document.createElementNS(namespaceURI, "svg"), use = document.createElementNS(namespaceURI, "use");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}
