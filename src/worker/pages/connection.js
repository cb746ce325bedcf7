// The WebSocket to the node: opens it, and opens it again, with growing waits, until it is closed.
// Whether there is anything to wait for is asked from NAME.json, when nothing comes by itself.

const WAIT_MS_MIN = 800;
const WAIT_MS_MAX = 15_000;
// After this long without data, the node is asked why; and every so often, growing to the second.
const SILENT_MS = 2000;
const ASK_MS_MAX = 10_000;
// A stream that the node calls live and that is silent on this connection for so long has lost the connection.
const DEAD_MS = 6000;
// So often in a row the node must have answered requests but opened no WebSocket, before that is worth a word.
const REFUSALS_MIN = 2;

export class Connection {
  #url;
  #socket = null;
  #timer = 0;
  #ticker = 0;
  #waitMs = WAIT_MS_MIN;
  #againAtMs = null;
  #heardMs = 0;
  #askedMs = 0;
  #refusals = 0;
  #isFirst = true;
  #isClosed = false;

  // `onData(bytes, isFirst)`: whole packets; the first ones of a connection begin with the tables and a keyframe.
  // `onState(state)`: "connecting", "receiving", "waiting" for a publisher, "missing" stream, "offline" node, or "refused"
  // by a node that answers.
  constructor(name, onData, onState) {
    // Relative to the page, wherever a proxy has put it.
    this.#url = new URL(name, document.baseURI);
    this.onData = onData;
    this.onState = onState;
    this.#open();
    this.#ticker = setInterval(() => this.#tick(), 1000);
  }

  // Begins anew, with the newest keyframe, after the wait, which grows and is each time another: many pages may want it.
  rejoin() {
    this.rejoinAfter(this.#waitMs * (0.5 + Math.random()));
    this.#waitMs = Math.min(this.#waitMs * 2, WAIT_MS_MAX);
  }

  rejoinAfter(ms) {
    if (this.#isClosed) return;
    this.#drop();
    clearTimeout(this.#timer);
    this.#againAtMs = performance.now() + ms;
    this.#timer = setTimeout(() => this.#open(), ms);
  }

  // Does not wait for the end of a wait.
  hurry() {
    if (this.#againAtMs !== null) this.rejoinAfter(0);
  }

  // It goes well: the next wait is a short one.
  settle() {
    this.#waitMs = WAIT_MS_MIN;
  }

  // When it tries again, in milliseconds from now; null while it does not wait.
  get againInMs() {
    return this.#againAtMs === null ? null : Math.max(0, this.#againAtMs - performance.now());
  }

  close() {
    this.#isClosed = true;
    this.#drop();
    clearTimeout(this.#timer);
    clearInterval(this.#ticker);
  }

  #open() {
    const url = new URL(this.#url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#isFirst = true;
    this.#againAtMs = null;
    this.#heardMs = performance.now();
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => (this.#refusals = 0);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#closed();
    this.#refusals++;
  }

  #drop() {
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #receive(data) {
    if (!(data instanceof ArrayBuffer)) return;
    this.#heardMs = performance.now();
    this.onState("receiving");
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    this.onData(new Uint8Array(data), isFirst);
  }

  #closed() {
    this.rejoin();
    this.#ask();
  }

  #tick() {
    const silentMs = performance.now() - this.#heardMs;
    const sinceAskedMs = performance.now() - this.#askedMs;
    if (this.#socket && silentMs > SILENT_MS && sinceAskedMs > Math.min(silentMs / 2, ASK_MS_MAX)) this.#ask();
  }

  async #ask() {
    this.#askedMs = performance.now();
    const state = await this.#stateOfStream();
    const silentMs = performance.now() - this.#heardMs;
    if (this.#isClosed || (silentMs < SILENT_MS && this.#socket)) return;
    if (state === "offline") this.#refusals = 0;
    const isAnswered = state === "connecting" || state === "waiting";
    this.onState(isAnswered && this.#refusals >= REFUSALS_MIN ? "refused" : state);
    if (this.#socket && state !== "waiting" && silentMs > DEAD_MS) this.rejoin();
  }

  async #stateOfStream() {
    try {
      const answer = await fetch(`${this.#url.pathname}.json`, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.status === 404) return "missing";
      if (!answer.ok) return "offline";
      return (await answer.json()).live ? "connecting" : "waiting";
    } catch {
      return "offline";
    }
  }
}
