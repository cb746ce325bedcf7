// The monitor's page in Chromium: ten nodes, one killed, one added, one with markup for a name; and two hundred.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { findChromium, Node, SOON_MS, until } from "./processes.mjs";
import { MadeUpNode, Reporting, tenNodes, twoHundredNodes } from "./tree.mjs";

const CONFIG = "[app]\nRunMode = monitor\n[monitor]\nBind = 127.0.0.1\nPort = 0\n";

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox"] });
});
after(() => browser?.close());

test("ten nodes, one killed, one added, one with markup for a name", async (t) => {
  const nodes = tenNodes();
  const open = await show(t, nodes);
  const page = await open("light");
  await hasCards(page, 10);
  assert.equal(await page.locator("#cards .ghost").count(), 0);
  // Nine edges between them and one from outside, each with a rate.
  await until("all edges", async () => (await page.locator("#edges .flows, #edges .poor").count()) === 10);
  const labels = await page.textContent("#labels");
  assert.match(labels, /TCP +[34]\.\d Mb\/s/);
  assert.match(labels, /0 lost · 0\.\d+ ms/);

  // The name is text, wherever it is shown.
  await page.click("[data-node='000000000000000a']");
  await until("the details", async () => (await page.textContent("#details h2")) === "<img src=x onerror=alert(1)>");
  assert.equal(await page.locator("img").count(), 0);
  await until("plots", async () => (await page.locator("#details .plot .curve").count()) === 6);

  const [killed] = nodes.filter((node) => node.name === "tokyo-edge-2");
  killed.isAlive = false;
  const card = page.locator(`[data-node='${killed.id}']`);
  await until("red", async () => (await card.getAttribute("data-state")) === "silent");
  assert.equal(await page.textContent("#sum-silent"), "1");
  assert.deepEqual(await page.locator("#labels .down").allTextContents(), ["down"]);

  const added = new MadeUpNode(11, "lima-edge-1", { viewers: 5 });
  nodes.find((node) => node.name === "lima").feed(added);
  nodes.push(added);
  await hasCards(page, 11);
  // It is red still, and for whoever comes now, until it is dismissed.
  assert.equal(await card.getAttribute("data-state"), "silent");
  const other = await open("dark");
  await hasCards(other, 11);
  await card.locator(".cross").click();
  await hasCards(page, 10);
  await hasCards(other, 10);
});

test("two hundred nodes are all seen, and one is found", async (t) => {
  const open = await show(t, twoHundredNodes());
  const page = await open("dark");
  await hasCards(page, 200);
  const stage = await page.locator("#stage").boundingBox();
  for (const card of await page.locator("#cards .card").all()) {
    const box = await card.boundingBox();
    const isInside = box.x >= stage.x && box.y >= stage.y && box.x + box.width <= stage.x + stage.width && box.y + box.height <= stage.y + stage.height;
    assert.ok(isInside, JSON.stringify(box));
  }
  await page.fill("#find", "edge-7-13");
  await page.press("#find", "Enter");
  assert.equal(await page.locator("#cards .card:not(.dim)").count(), 1);
  const large = await page.locator("#cards .card:not(.dim)").boundingBox();
  assert.ok(large.width > 150, `${large.width}`);
  await page.click("#fit");
});

/** A monitor that these nodes report to, and a function that opens its page: on which nothing may go wrong, nothing be
 * asked of another machine, and nothing be announced. */
async function show(t, nodes) {
  const monitor = await Node.start(CONFIG);
  const reporting = new Reporting(monitor.address("monitor"), nodes);
  const base = `http://${monitor.address("monitor")}/`;
  const [pages, wrong] = [[], []];
  t.after(async () => {
    await Promise.all(pages.map((page) => page.close()));
    await reporting.stop();
    await monitor.stop();
    assert.deepEqual(wrong, []);
  });
  return async (colorScheme) => {
    const page = await browser.newPage({ viewport: { width: 1440, height: 860 }, colorScheme });
    pages.push(page);
    page.on("dialog", (dialog) => wrong.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
    page.on("request", (request) => request.url().startsWith(base) || request.url().startsWith("data:") || wrong.push(request.url()));
    await page.goto(base, { timeout: SOON_MS });
    return page;
  };
}

function hasCards(page, count) {
  return until(`${count} cards`, async () => (await page.locator("#cards .card").count()) === count);
}
