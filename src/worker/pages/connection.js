// The WebSocket to the node: opens it, and opens it again, with growing waits, until the page is closed.
// Whether there is anything to wait for is asked from NAME.json, when nothing comes by itself.

const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 5000;
// After this long without data, the node is asked why; and every so often, growing to the second.
const SILENT_MS = 2000;
const ASK_MS_MAX = 10_000;
// A stream that the node calls live and that is silent on this connection for so long has lost the connection.
const DEAD_MS = 6000;

export class Connection {
  #url;
  #socket = null;
  #timer = 0;
  #waitMs = WAIT_MS_MIN;
  #heardMs = 0;
  #askedMs = 0;
  #isFirst = true;

  // `onData(bytes, isFirst)`: whole packets; the first ones of a connection begin with the tables and a keyframe.
  // `onState(state)`: "connecting", "receiving", "waiting" for a publisher, "missing" stream, "offline" node.
  constructor(name, onData, onState) {
    // Relative to the page, wherever a proxy has put it.
    this.#url = new URL(name, document.baseURI);
    this.onData = onData;
    this.onState = onState;
    this.#open();
    setInterval(() => this.#tick(), 1000);
  }

  // Begins anew, with the newest keyframe, after the wait.
  rejoin() {
    this.#drop();
    clearTimeout(this.#timer);
    const jitter = 0.75 + Math.random() / 2;
    this.#timer = setTimeout(() => this.#open(), this.#waitMs * jitter);
    this.#waitMs = Math.min(this.#waitMs * 2, WAIT_MS_MAX);
  }

  // It goes well: the next wait is a short one.
  settle() {
    this.#waitMs = WAIT_MS_MIN;
  }

  #open() {
    const url = new URL(this.#url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#isFirst = true;
    this.#heardMs = performance.now();
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#closed();
  }

  #drop() {
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #receive(data) {
    if (!(data instanceof ArrayBuffer)) return;
    this.#heardMs = performance.now();
    this.onState("receiving");
    this.onData(new Uint8Array(data), this.#isFirst);
    this.#isFirst = false;
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
    if (silentMs < SILENT_MS && this.#socket) return;
    this.onState(state);
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
