// By how much what arrives is late, against the earliest that anything of this stream has come. With what the player has
// not shown yet, that is the lag to live.

import { lastTimeMs } from "./ts.js";

// The sender's clock may be so much slower than ours before that looks like lag: 100 ms in 1000 s.
const DRIFT = 1e-4;
// Times that are further from the last ones begin anew: the clock of 33 bits is round, or there is another one.
const LEAP_MS = 10_000;

export class Arrival {
  #pid;
  #newestMs = null;
  #earliestMs = Infinity;
  #sinceMs = 0;

  constructor(pid) {
    this.#pid = pid;
  }

  take(bytes) {
    const timeMs = lastTimeMs(bytes, this.#pid);
    if (timeMs === null) return;
    const nowMs = performance.now();
    if (this.#newestMs !== null && Math.abs(timeMs - this.#newestMs) > LEAP_MS) this.#earliestMs = Infinity;
    // Frames come in another order than they are shown.
    this.#newestMs = this.#earliestMs === Infinity ? timeMs : Math.max(this.#newestMs, timeMs);
    this.#earliestMs = Math.min(this.#earliestMs + (nowMs - this.#sinceMs) * DRIFT, nowMs - this.#newestMs);
    this.#sinceMs = nowMs;
  }

  lateMs() {
    return this.#newestMs === null ? 0 : Math.max(0, performance.now() - this.#newestMs - this.#earliestMs);
  }
}
