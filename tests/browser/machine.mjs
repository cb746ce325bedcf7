// A machine apart, as far as networks go: what runs there sees none of this machine's addresses, ports and network
// namespaces, and has no way out.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { findChromium, newDirectory, Process, ROOT, TSSTREAM, until } from "./processes.mjs";

/** A machine, and a deployment of conf/ that runs on it. */
export class Machine extends Process {
  static async start(deployment) {
    const script = "mount -t tmpfs tmpfs /run && ip link set lo up && echo ready >&2 && exec sleep infinity";
    const machine = new Machine("unshare", ["--net", "--mount", "sh", "-c", script], await newDirectory("machine-"));
    machine.deployment = deployment;
    await until("a machine apart", () => {
      if (!machine.isRunning) throw new Error(`network namespaces need root:\n${machine.said}`);
      return machine.said.includes("ready");
    });
    return machine;
  }

  get #way() {
    return ["nsenter", "--target", String(this.process.pid), "--net", "--mount"];
  }

  /** tools/deploy with these words. */
  async deploy(...words) {
    const program = words[0] === "up" ? ["--program", TSSTREAM] : [];
    const [enter, ...rest] = [...this.#way, join(ROOT, "tools/deploy"), this.deployment, ...words, ...program];
    return promisify(execFile)(enter, rest);
  }

  /** A program that runs Chromium there. */
  async chromium() {
    const file = join(this.directory, "chromium");
    await writeFile(file, `#!/bin/sh\nexec ${this.#way.join(" ")} ${findChromium()} "$@"\n`, { mode: 0o755 });
    return file;
  }

  async stop() {
    if (this.isRunning) await this.deploy("down");
    await super.stop("SIGKILL");
  }
}
