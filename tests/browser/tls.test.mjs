// Behind TLS, as the sample for nginx has it: the page plays in Chromium, HTTP-TS comes, and the node knows whom nginx
// forwards.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

import { chromium } from "playwright-core";

import { findChromium, Nginx, Node, SOON_MS, until } from "./processes.mjs";

const CONFIG = `
[custom]
Bind = 127.0.0.1
Port = 0
TrustedProxies = 127.0.0.1
`;

test("behind TLS", async (t) => {
  const node = await Node.start(CONFIG, ["demo"]);
  t.after(() => node.stop());
  const nginx = await Nginx.startTls(node.address("custom"));
  t.after(() => nginx.stop());

  await t.test("the page plays", async (t) => {
    const browser = await chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox"] });
    t.after(() => browser.close());
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(nginx.secure);
    const frames = () => page.evaluate(() => window.tsstream?.frames?.() ?? 0);
    await until("25 frames", async () => (await frames()) >= 25);
    assert.equal(await page.evaluate(() => location.protocol), "https:");
  });

  await t.test("HTTP-TS comes, and who is forwarded is known", async () => {
    const from = ["--interface", "127.0.0.7"];
    // What a client claims of itself does not count.
    const claim = ["--header", "X-Forwarded-For: 192.0.2.9"];
    const patience = ["--max-time", String(SOON_MS / 1000)];
    const words = ["curl", "--insecure", "--silent", ...patience, ...from, ...claim, `${nginx.secure}live.ts`];
    // head has enough at some time, and curl ends.
    const line = `'${words.join("' '")}' | head -c 18800 | od -An -tx1 -N1`;
    const { stdout } = await promisify(execFile)("sh", ["-c", line]);
    assert.equal(stdout.trim(), "47");
    const said = "receiver of live connected: 127.0.0.7 through 127.0.0.1:";
    await until("the node to say who came", () => node.said.includes(said));
    assert.ok(!node.said.includes("192.0.2.9"), node.said);
  });

  await t.test("without TLS one is sent to it", async () => {
    const answer = await fetch(`${nginx.url}live.ts`, { redirect: "manual" });
    assert.equal(answer.status, 301);
    assert.match(answer.headers.get("location"), /^https:\/\/127\.0\.0\.1\/live\.ts$/);
  });
});
