// Chromium plays at the last nodes of the tree of conf/5-tree, three hops from ffmpeg, each hop to another host, while
// cables are pulled out and put back.

import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { chromium } from "playwright-core";

import { Machine } from "./machine.mjs";
import { framesOf, moves, openPage } from "./player.mjs";
import { until } from "./processes.mjs";

let machine, browser;
before(async () => {
  machine = await Machine.start("5-tree");
  await machine.deploy("up", "--push");
  browser = await chromium.launch({ executablePath: await machine.chromium(), args: ["--no-sandbox"] });
});
after(async () => {
  await browser?.close();
  await machine?.stop();
});

test("three hops by push, a cable cut and mended", async (t) => {
  const page = await openPage(t, browser, "http://198.19.5.5:8088/", { mayFail: true });
  await moves(page);
  await machine.deploy("cut", "push-2");
  await until("the picture to stand still", () => standsStill(page));
  await machine.deploy("mend", "push-2");
  await moves(page);
});

test("three hops by pull, a cable cut and not mended", async (t) => {
  const page = await openPage(t, browser, "http://198.19.5.8:8088/", { mayFail: true });
  await moves(page);
  await machine.deploy("cut", "pull-2");
  // Longer than what has come already lasts.
  await sleep(5000);
  await moves(page);
  await machine.deploy("mend", "pull-2");
});

async function standsStill(page) {
  const before = await framesOf(page);
  await sleep(2000);
  return (await framesOf(page)) === before;
}
