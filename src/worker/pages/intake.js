// The vendored scripts, fetched when the first stream needs them, and what arrives meanwhile.

const scripts = new Map();

// Once; the script leaves its global behind.
export function load(file) {
  if (!scripts.has(file)) {
    scripts.set(file, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(`vendor/${file}`, import.meta.url);
      script.onload = resolve;
      script.onerror = () => {
        scripts.delete(file);
        reject(new Error(`${file} could not be loaded`));
      };
      document.head.append(script);
    }));
  }
  return scripts.get(file);
}

// What waits for a player that isn't ready yet. More than that is a player that won't be.
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

// Holds what arrives until the player takes it.
export class Intake {
  #waiting = [];
  #bytes = 0;
  #take = null;

  write(bytes) {
    if (this.#take) return this.#take(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > WAITING_BYTES_MAX) throw new Error("the player does not get ready");
    this.#waiting.push(bytes);
  }

  open(take) {
    this.#take = take;
    this.#waiting.splice(0).forEach(take);
  }
}
