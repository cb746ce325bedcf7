// Chromium plays what tsstream forwards: the demo; both players, directly and through nginx; and again after the
// publisher or the server has been away.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, moves, openPage, playerOf, stateIs } from "./player.mjs";
import { Nginx, Node, Push, SOON_MS } from "./processes.mjs";

const CONFIG = (customPort, tcpPort, camPort) => `
  [dispatch]
  Protocol = CUSTOM
  [custom]
  Bind = 127.0.0.1
  Port = ${customPort}
  [backstream]
  Protocol = TCP
  Bind = 127.0.0.1
  Port = ${tcpPort}
  [backstream.cam]
  Protocol = TCP
  Bind = 127.0.0.1
  Port = ${camPort}
`.replace(/^ +/gm, "");

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test("the demo plays", async (t) => {
  const node = await Node.start("[custom]\nBind = 127.0.0.1\nPort = 0\n", ["demo"]);
  t.after(() => node.stop());
  const [, url] = node.said.match(/(http:\/\/\S+\/) /);
  const page = await openPage(t, browser, url, { mayFail: true });
  await moves(page);
  assert.equal(await playerOf(page), "jsmpeg");
});

test("both players, directly and through nginx, whatever restarts", async (t) => {
  let node = await Node.start(CONFIG(0, 0, 0));
  t.after(() => node.stop());
  const ports = ["custom", "backstream", "backstream.cam"].map((section) => node.address(section).split(":")[1]);
  const [viewers, live, cam] = ports.map((port) => `127.0.0.1:${port}`);
  const nginx = await Nginx.start(viewers);
  t.after(() => nginx.stop());
  let pushes = [];
  const push = () => {
    pushes = [new Push("test", `tcp://${live}`, "--mpeg1"), new Push("test", `tcp://${cam}`, "--h264")];
  };
  const stopPushing = () => Promise.all(pushes.map((push) => push.stop("SIGKILL")));
  t.after(stopPushing);
  push();

  const pages = {};
  const all = (judge) => Promise.all(Object.entries(pages).map(([name, page]) => named(name, judge(page))));
  for (const [way, base] of [["directly", `http://${viewers}/`], ["through nginx", nginx.url]]) {
    pages[`jsmpeg ${way}`] = await openPage(t, browser, base, { mayFail: true });
    pages[`mpegts ${way}`] = await openPage(t, browser, `${base}?stream=cam`, { mayFail: true });
  }

  await t.test("play", async () => {
    await all(moves);
    for (const [name, page] of Object.entries(pages)) assert.equal(await playerOf(page), name.split(" ")[0]);
  });

  await t.test("HTTP-TS comes through nginx at once", async () => {
    const answer = await fetch(`${nginx.url}live.ts`, { signal: AbortSignal.timeout(SOON_MS) });
    assert.equal(answer.headers.get("content-type"), "video/mp2t");
    const reader = answer.body.getReader();
    const { value } = await reader.read();
    assert.equal(value[0], 0x47);
    await reader.cancel();
  });

  await t.test("go on when the publisher comes back", async () => {
    await stopPushing();
    await all((page) => stateIs(page, "waiting"));
    push();
    await all(moves);
  });

  await t.test("go on when the server comes back", async () => {
    await node.stop();
    await all((page) => stateIs(page, "offline"));
    await stopPushing();
    node = await Node.start(CONFIG(...ports));
    push();
    await all(moves);
  });
});

async function named(name, promise) {
  try {
    return await promise;
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
}
