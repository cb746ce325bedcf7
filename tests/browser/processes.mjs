// The processes that the browser tests start, each in a directory of its own and on ports that were free: tsstream,
// nginx in front of it, ffmpeg pushing to it. Every wait is for a condition, with a deadline.

import { execFileSync, spawn } from "node:child_process";
import { accessSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target");
export const TSSTREAM = join(TARGET, "debug/tsstream");

/** How long to wait for what should come at once: long enough for a busy machine. */
export const SOON_MS = 30_000;

/** Asks `condition` until it gives something true, and returns that. */
export async function until(what, condition, limitMs = SOON_MS) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${limitMs} ms in vain for: ${what}`);
    await sleep(50);
  }
}

export function findChromium() {
  const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/snap/bin/chromium"];
  const found = places.find((place) => {
    try {
      accessSync(place);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error("Chromium is not installed; tools/test installs what the tests need");
  return found;
}

/** A program of which the last that it said is kept. */
export class Process {
  said = "";

  constructor(command, words, directory) {
    this.directory = directory;
    // Daemons are not on everybody's PATH.
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
    this.process = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"], env });
    this.process.on("error", (error) => (this.said += `${command}: ${error.message}\n`));
    this.process.stderr.on("data", (text) => (this.said = (this.said + text).slice(-1_000_000)));
    this.exited = new Promise((done) => this.process.once("close", done));
  }

  get isRunning() {
    return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }

  async stop(signal = "SIGTERM") {
    if (this.isRunning) {
      this.process.kill(signal);
      const hard = setTimeout(() => this.process.kill("SIGKILL"), 10_000);
      await this.exited;
      clearTimeout(hard);
    }
    if (this.directory) await rm(this.directory, { recursive: true, force: true });
  }
}

/** A tsstream. `words` come before `-c FILE`. */
export class Node extends Process {
  static async start(config, words = []) {
    const directory = await newDirectory("node-");
    const file = join(directory, "app.conf");
    await writeFile(file, config);
    const node = new Node(TSSTREAM, [...words, "-c", file], directory);
    await until("tsstream to be ready", () => {
      if (!node.isRunning) throw new Error(`tsstream ended:\n${node.said}`);
      return / ready$/m.test(node.said);
    });
    return node;
  }

  /** `127.0.0.1:PORT` of a section: `custom`, `backstream.cam`. */
  address(section) {
    const line = this.said.split("\n").find((line) => line.includes(`listening: [${section}] `));
    const [, port] = line.match(/listening: \[.*?\] \w+ \S*:(\d+)/);
    return `127.0.0.1:${port}`;
  }
}

/** ffmpeg, by the script that people are given. */
export class Push extends Process {
  constructor(...words) {
    super(join(ROOT, "tools/push/push"), words);
  }
}

/** ffmpeg that sends without end, as soon as it is made, to `tcp://ADDRESS`: `input` is what comes before, `coding` after. */
export class Ffmpeg extends Process {
  constructor(input, coding, address) {
    const [general, sending] = [["-hide_banner", "-loglevel", "warning", "-nostdin"], ["-muxdelay", "0.001", "-muxpreload", "0", "-f", "mpegts"]];
    super("ffmpeg", [...general, ...input, ...coding, ...sending, `tcp://${address}`]);
  }
}

/** ffmpeg's input: the picture of the demo, MPEG-1 with MP2, again and again. */
export const DEMO = ["-re", "-stream_loop", "-1", "-i", join(ROOT, "src/demo/clip.ts")];

/** nginx in front of a node. */
export class Nginx extends Process {
  /** With `upstream` under `/tv/`, set up as anybody would for WebSockets. */
  static async start(upstream) {
    const port = await freePort();
    const server = `
        map $http_upgrade $connection_upgrade { default upgrade; "" close; }
        server {
          listen 127.0.0.1:${port};
          location /tv/ {
            proxy_pass http://${upstream}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_read_timeout 60s;
          }
        }`;
    const url = `http://127.0.0.1:${port}/tv/`;
    return Nginx.#run(await newDirectory("nginx-"), server, url);
  }

  /** With `upstream` behind TLS, as `conf/nginx/tls.conf` has it but for names, ports and the certificate. */
  static async startTls(upstream) {
    const directory = await newDirectory("nginx-");
    const [plain, secure] = [await freePort(), await freePort()];
    const certificate = ["-subj", "/CN=localhost", "-keyout", `${directory}/key.pem`, "-out", `${directory}/cert.pem`];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...certificate], { stdio: "pipe" });
    const sample = await readFile(join(ROOT, "conf/nginx/tls.conf"), "utf8");
    const replacements = [
      ["listen [::]:80;", ""],
      ["listen [::]:443 ssl;", ""],
      ["listen 80;", `listen 127.0.0.1:${plain};`],
      ["listen 443 ssl;", `listen 127.0.0.1:${secure} ssl;`],
      ["/etc/letsencrypt/live/tv.example.org/fullchain.pem", `${directory}/cert.pem`],
      ["/etc/letsencrypt/live/tv.example.org/privkey.pem", `${directory}/key.pem`],
      ["http://127.0.0.1:8088", `http://${upstream}`],
    ];
    const server = replacements.reduce((text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`conf/nginx/tls.conf says nothing of ${from}`);
      return text.replace(from, to);
    }, sample);
    const nginx = await Nginx.#run(directory, server, `http://127.0.0.1:${plain}/`);
    nginx.secure = `https://127.0.0.1:${secure}/`;
    return nginx;
  }

  static async #run(directory, server, url) {
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    await writeFile(join(directory, "nginx.conf"), `
      daemon off;
      ${process.getuid() === 0 ? "user root;" : ""}
      worker_processes 1;
      pid ${directory}/pid;
      error_log stderr warn;
      events {}
      http {
        access_log off;
        ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n        ")}
        ${server}
      }`);
    const nginx = new Nginx("nginx", ["-e", "stderr", "-p", directory, "-c", join(directory, "nginx.conf")], directory);
    nginx.url = url;
    await until("nginx to answer", async () => {
      if (!nginx.isRunning) throw new Error(`nginx ended:\n${nginx.said}`);
      return fetch(nginx.url, { redirect: "manual" }).then((answer) => answer.status < 400, () => false);
    });
    return nginx;
  }
}

/** A directory of its own. */
export async function newDirectory(prefix) {
  await mkdir(join(TARGET, "tmp"), { recursive: true });
  return mkdtemp(join(TARGET, "tmp", prefix));
}

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer().on("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
