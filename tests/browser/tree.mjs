// A made-up tree of nodes that report to a monitor, as real ones would: by POST, each with its sockets' addresses.

import { setTimeout as sleep } from "node:timers/promises";

const hex = (number) => number.toString(16).padStart(16, "0");

/** A node that reports until it is killed. Machine `number` has the address 10.9.x.y. */
export class MadeUpNode {
  #counters = { bytes: 0, errors: 0, lost: 0, skips: 0 };
  #started = Date.now();

  constructor(number, name, { viewers = 0, megabits = 4, genesis = false, errors = 0, lagMs = 0, latencyUs = null, lost = 0 } = {}) {
    Object.assign(this, { number, name, viewers, megabits, genesis, errors, lagMs, latencyUs, lost, next: [], isAlive: true });
    this.id = hex(number);
    this.address = `10.9.${number >> 8}.${number & 255}`;
    this.port = genesis ? 50001 : 55001;
  }

  /** Pushes its stream to `node`. */
  feed(...nodes) {
    for (const node of nodes) {
      this.next.push({ node, local: `${this.address}:${40_000 + node.number}` });
      node.publisher = `${this.address}:${40_000 + node.number}`;
    }
    return this;
  }

  report() {
    const wave = 1 + 0.12 * Math.sin(Date.now() / 4000 + this.number);
    const bits = Math.round(this.megabits * 1e6 * wave);
    const viewers = Math.max(0, Math.round(this.viewers * (1 + 0.05 * Math.sin(Date.now() / 9000 + this.number))));
    this.#counters.bytes += bits / 8;
    this.#counters.errors += this.errors;
    this.#counters.lost += this.lost;
    const publisher = this.genesis ? "10.9.0.200:41000" : (this.publisher ?? null);
    const isLive = publisher !== null;
    const info = { name: this.name, connects: viewers, bind: "0.0.0.0", port: String(this.port), hash: "" };
    const stream = {
      name: "live", live: isLive, codecs: isLive ? "H.264 + AAC" : "", listening: `0.0.0.0:${this.port}`, publisher, upstream: null,
      bytes_in: Math.round(this.#counters.bytes), bits_in: isLive ? bits : 0, continuity_errors: this.#counters.errors, sync_losses: 0,
      lost: this.#counters.lost, kernel_drops: 0, chunks_lost: 0,
      receivers: { websocket: Math.round(viewers * 0.8), http: viewers - Math.round(viewers * 0.8), tcp: 0 },
      bytes_out: 0, bits_out: bits * viewers, skips: this.#counters.skips, stalled: 0,
      lag_ms: Math.round(this.lagMs * wave), latency_us: this.latencyUs && Math.round(this.latencyUs * wave),
    };
    const hop = ({ node, local }) => ({
      stream: "live", protocol: "TCP", address: `${node.address ?? node}:55001`, connected: Boolean(node.isAlive),
      local: local ?? null, peer: node.address ? `${node.address}:55001` : null, bytes: 0, bits: node.isAlive ? bits : 0, drops: 0,
    });
    return {
      nodeinfo: info, packages: 1, nextnode: [], genesis: this.genesis,
      tsstream: {
        node: this.id, network: this.id, name: this.name, version: "0.1.0", time_ms: Date.now(),
        uptime_ms: Date.now() - this.#started + 3_700_000, interval_ms: 1000, load: 0.4 * wave, cores: 4, addresses: [this.address],
        streams: [stream], next_hops: this.next.map(hop), left_out: 0,
      },
    };
  }
}

/** Sends the report of each node that lives, every second until stopped. */
export class Reporting {
  #isRunning = true;

  constructor(monitor, nodes) {
    Object.assign(this, { monitor, nodes });
    this.ended = this.#run();
  }

  async #run() {
    while (this.#isRunning) {
      await Promise.all(this.nodes.filter((node) => node.isAlive).map((node) => send(this.monitor, node.report())));
      await sleep(1000);
    }
  }

  async stop() {
    this.#isRunning = false;
    await this.ended;
  }
}

export async function send(monitor, report) {
  const answer = await fetch(`http://${monitor}/monitor`, { method: "POST", body: JSON.stringify(report) });
  await answer.text();
  return answer.status;
}

/** Ten nodes: one root, three that it feeds, and leaves of two of these. */
export function tenNodes() {
  const root = new MadeUpNode(1, "studio", { genesis: true, viewers: 3 });
  const [berlin, tokyo, lima] = [
    new MadeUpNode(2, "berlin", { viewers: 240, latencyUs: 640 }),
    new MadeUpNode(3, "tokyo", { viewers: 1180, latencyUs: 121_000, lost: 2 }),
    new MadeUpNode(4, "lima", { viewers: 87, latencyUs: 98_000, lagMs: 1400 }),
  ];
  const leaves = [
    new MadeUpNode(5, "berlin-edge-1", { viewers: 2204, latencyUs: 410 }),
    new MadeUpNode(6, "berlin-edge-2", { viewers: 1890, latencyUs: 380 }),
    new MadeUpNode(7, "tokyo-edge-1", { viewers: 8412, latencyUs: 510 }),
    new MadeUpNode(8, "tokyo-edge-2", { viewers: 7920, latencyUs: 470, errors: 1 }),
    new MadeUpNode(9, "tokyo-edge-3", { viewers: 9034, latencyUs: 450 }),
    new MadeUpNode(10, "<img src=x onerror=alert(1)>", { viewers: 12, latencyUs: 900 }),
  ];
  root.feed(berlin, tokyo, lima);
  berlin.feed(leaves[0], leaves[1], leaves[5]);
  tokyo.feed(leaves[2], leaves[3], leaves[4]);
  return [root, berlin, tokyo, lima, ...leaves];
}

/** Two hundred: one root, nine that it feeds, and 190 leaves of these. */
export function twoHundredNodes() {
  const root = new MadeUpNode(1, "studio", { genesis: true });
  const middle = Array.from({ length: 9 }, (_, index) => new MadeUpNode(2 + index, `region-${index + 1}`, { viewers: 100, latencyUs: 20_000 }));
  root.feed(...middle);
  const leaves = Array.from({ length: 190 }, (_, index) => {
    const leaf = new MadeUpNode(20 + index, `edge-${(index % 9) + 1}-${Math.floor(index / 9) + 1}`, { viewers: 300 + index * 7, latencyUs: 600, lost: index === 77 ? 1 : 0 });
    middle[index % 9].feed(leaf);
    return leaf;
  });
  return [root, ...middle, ...leaves];
}
