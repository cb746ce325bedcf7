// What a viewer has of the page, in Chromium: sound when the browser allows it, the list of streams, words for whatever
// there is instead of a picture, the buttons and keys, and the way back to live.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { DEMO, Ffmpeg, Node, until } from "./processes.mjs";
import { ask, framesOf, lagOf, launch, moves, openPage, playerOf, says, soundOf, stateIs } from "./player.mjs";

const CONFIG = (streams, more = "") => [
  "[custom]", "Bind = 127.0.0.1", "Port = 0", more,
  ...["backstream", ...streams.map((name) => `backstream.${name}`)].flatMap((section) => [`[${section}]`, "Protocol = TCP", "Bind = 127.0.0.1", "Port = 0"]),
].join("\n");

const SMALL = ["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-re", "-f", "lavfi", "-i", "sine=sample_rate=48000"];
const H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "25"];
const STREAMS = {
  cam: [SMALL, [...H264, "-c:a", "aac"]],
  mp2: [SMALL, [...H264, "-c:a", "ac3"]],
  old: [SMALL, ["-c:v", "mpeg2video", "-g", "25", "-c:a", "mp2"]],
  radio: [SMALL.slice(5), ["-c:a", "aac"]],
};

let browser, node, base;
const senders = [];
before(async () => {
  [browser, node] = await Promise.all([launch(), Node.start(CONFIG([...Object.keys(STREAMS), "idle"]))]);
  base = `http://${node.address("custom")}/`;
  senders.push(new Ffmpeg(DEMO, ["-c", "copy"], node.address("backstream")));
  for (const [name, how] of Object.entries(STREAMS)) senders.push(new Ffmpeg(...how, node.address(`backstream.${name}`)));
});
after(async () => {
  await browser?.close();
  await Promise.all([node, ...senders].map((process) => process?.stop()));
});

for (const [player, stream] of [["jsmpeg", "live"], ["mpegts", "cam"]]) {
  test(`${player} begins without sound, and has it after a click`, async (t) => {
    const page = await openPage(t, browser, `${base}?stream=${stream}`);
    await stateIs(page, "playing");
    await until("sound to be blocked", async () => (await soundOf(page)) === "blocked");
    assert.deepEqual([await playerOf(page), await isHeard(page)], [player, false]);
    await moves(page);
    await says(page, "#unmute", "Turn on sound");
    await page.click("#unmute");
    await until("sound", () => isHeard(page));
    assert.equal(await soundOf(page), "on");
    assert.equal(await page.locator("#unmute").isVisible(), false);
    await moves(page);
    await page.keyboard.press("m");
    await until("silence", async () => !(await isHeard(page)));
    await page.keyboard.press("m");
    await until("sound again", () => isHeard(page));
  });
}

test("where the browser has nothing against it, there is sound at once", async (t) => {
  const easy = await launch("--autoplay-policy=no-user-gesture-required");
  t.after(() => easy.close());
  for (const stream of ["live", "cam"]) {
    const page = await openPage(t, easy, `${base}?stream=${stream}`);
    await moves(page);
    await until("sound", () => isHeard(page));
    assert.equal(await soundOf(page), "on");
    await page.goto(`${base}?stream=${stream}&muted=1`);
    await moves(page);
    assert.deepEqual([await soundOf(page), await isHeard(page)], ["off", false]);
  }
});

test("the streams are listed, and chosen without another page", async (t) => {
  const page = await openPage(t, browser, base);
  await moves(page);
  const link = (name) => page.locator(`#list [data-name="${name}"]`);
  await until("one viewer, and rates", async () =>
    /MPEG-1 · MP2/.test(await link("live").innerText()) && /\d (k|M)b\/s/.test(await link("live").innerText())
    && (await link("live").locator(".viewers").innerText()) === "1" && /\d (k|M)b\/s/.test(await link("cam").innerText()));
  assert.equal(await page.locator("#list a").count(), 6);
  assert.match(await link("idle").innerText(), /not live/);
  assert.equal(await link("live").getAttribute("aria-current"), "page");

  await page.evaluate(() => (window.stillHere = true));
  await link("cam").click();
  await moves(page);
  assert.equal(await playerOf(page), "mpegts");
  assert.equal(await page.locator("h1").innerText(), "cam");
  assert.equal(new URL(page.url()).searchParams.get("stream"), "cam");
  await page.goBack();
  await until("the one before", async () => (await playerOf(page)) === "jsmpeg");
  await moves(page);
  assert.equal(await page.evaluate(() => window.stillHere), true);
});

test("a list that is not to be seen is not", async (t) => {
  const quiet = await Node.start(CONFIG(["cam"], "Directory = off"));
  t.after(() => quiet.stop());
  const page = await openPage(t, browser, `http://${quiet.address("custom")}/`, { mayFail: true });
  await Promise.all([page.waitForResponse((answer) => answer.url().endsWith("/_/streams.json") && answer.status() === 404), page.reload()]);
  await stateIs(page, "waiting");
  assert.equal(await page.locator("#list").isVisible(), false);
});

test("what there is no picture of is said", async (t) => {
  const page = await openPage(t, browser, `${base}?stream=nobody`, { mayFail: true });
  await says(page, "#words", "There is no stream “nobody” here");
  await page.goto(`${base}?stream=${encodeURIComponent("<b>no name</b>")}`);
  await says(page, "#words", "<b>no name</b>");
  await page.goto(`${base}?stream=idle`);
  await says(page, "#words", "Nobody is sending this stream");
  await page.goto(`${base}?stream=old`);
  await says(page, "#words", "MPEG-2");
  assert.equal(await page.locator("#words a").getAttribute("href"), "old.ts");
  assert.equal(await playerOf(page), null);
  await page.goto(`${base}?stream=mp2`);
  await moves(page);
  await says(page, "#note", "not AC-3");
  await page.goto(`${base}?stream=radio`);
  await stateIs(page, "playing");
  await says(page, "#words", "Sound only");
});

test("a codec that the browser lacks is named", async (t) => {
  const init = () => {
    const { isTypeSupported } = MediaSource;
    MediaSource.isTypeSupported = (type) => !/avc1/.test(type) && isTypeSupported.call(MediaSource, type);
  };
  const page = await openPage(t, browser, `${base}?stream=cam`, { init });
  await says(page, "#words", "This browser does not play H.264");
  await says(page, "#words", "VLC");
});

test("in a page of somebody else there is the picture alone", async (t) => {
  const page = await openPage(t, browser, `${base}?stream=live&bare=1`, { viewport: { width: 320, height: 180 } });
  await moves(page);
  assert.deepEqual(await page.locator("#stage").boundingBox(), { x: 0, y: 0, width: 320, height: 180 });
  for (const part of ["header", "#about", "#list"]) assert.equal(await page.locator(part).isVisible(), false, part);
  const context = await browser.newContext();
  t.after(() => context.close());
  const host = await context.newPage();
  await host.setContent(`<iframe src="${base}?stream=live&bare=1" allow="autoplay; fullscreen" width="640" height="360"></iframe>`);
  await until("the frame to play", async () => {
    const frame = host.frames().find((frame) => frame.url().startsWith(base));
    return frame && (await frame.evaluate(() => window.tsstream?.state === "playing" && window.tsstream.frames() > 25));
  });
});

test("buttons and keys do the same", async (t) => {
  const page = await openPage(t, browser, `${base}?stream=cam`);
  await moves(page);
  for (const button of await page.locator("#stage button:visible, #stage input:visible").all()) {
    assert.ok((await button.getAttribute("aria-label")) || (await button.innerText()), await button.evaluate((it) => it.outerHTML));
  }
  const isFull = () => page.evaluate(() => document.fullscreenElement?.id === "stage");
  await page.click("#full");
  await until("the full screen", isFull);
  await page.keyboard.press("f");
  await until("the window", async () => !(await isFull()));

  const receivers = async () => (await (await fetch(`${base}_/streams.json`)).json()).streams.find(({ name }) => name === "cam").viewers;
  await page.locator("h1").click();
  await page.keyboard.press(" ");
  await stateIs(page, "paused");
  await until("nothing to be sent", async () => (await receivers()) === 0);
  assert.equal(await page.getAttribute("#play", "aria-label"), "Play");
  const frames = await framesOf(page);
  await page.click("#words button");
  await moves(page);
  assert.ok((await framesOf(page)) > frames);
  await page.click("#play");
  await stateIs(page, "paused");
});

for (const stream of ["live", "cam"]) {
  test(`who comes back to the tab is live again: ${stream}`, async (t) => {
    const page = await openPage(t, browser, `${base}?stream=${stream}`, { init: hideable });
    await moves(page);
    await ask(page, "window.hide(true)");
    await until("the picture to be behind", async () => (await lagOf(page)) > 4000);
    await ask(page, "window.hide(false)");
    await until("live", async () => (await lagOf(page)) < 1500);
    await moves(page);
    await says(page, "#live", "Live");
  });
}

test("a server that is away is waited for, longer each time, or asked at once", async (t) => {
  const brief = await Node.start(CONFIG([]));
  t.after(() => brief.stop());
  const init = () => {
    window.attempts = 0;
    window.WebSocket = class extends WebSocket {
      constructor(...words) {
        super(...words);
        window.attempts++;
      }
    };
  };
  const page = await openPage(t, browser, `http://${brief.address("custom")}/`, { mayFail: true, init });
  await stateIs(page, "waiting");
  await brief.stop();
  await says(page, "#words", "The server can’t be reached");
  await says(page, "#words", /Trying again in \d+ s/);
  await until("a wait of some seconds", async () => (await ask(page, "window.attempts")) >= 3);
  const attempts = await ask(page, "window.attempts");
  // Faster than it would have tried by itself, or it was just about to.
  await page.click("#words button");
  await until("another attempt", async () => (await ask(page, "window.attempts")) > attempts);
});

test("who finds no place is told, and let in when there is one", async (t) => {
  const small = await Node.start(CONFIG([], "MaxClients = 1"));
  t.after(() => small.stop());
  const url = `http://${small.address("custom")}/`;
  const first = await openPage(t, browser, url);
  await stateIs(first, "waiting");
  const second = await openPage(t, browser, url, { mayFail: true });
  await says(second, "#words", "The server does not let this page in");
  await first.close();
  await stateIs(second, "waiting");
});

test("the waits grow to a bound, and no two pages wait the same", async (t) => {
  const page = await openPage(t, browser, `${base}live.json`, { mayFail: true });
  const waits = await page.evaluate(connectInVain, await versionOf(base));
  const bounds = [800, 1600, 3200, 6400, 12_800, 15_000, 15_000, 15_000];
  assert.equal(waits.length, 2 * bounds.length);
  for (const [index, most] of bounds.entries()) {
    assert.deepEqual([waits[2 * index], waits[2 * index + 1]], [most * 0.5, most * 1.5]);
  }
});

/** Opens two connections to a server that refuses each: by the dice, one waits as short and one as long as it may.
 * Returns how long they waited, by turns. */
async function connectInVain(version) {
  const [waits, pending] = [[], []];
  let dice = 0;
  Math.random = () => dice;
  window.setTimeout = (act, ms) => void (act.toString().includes("open") && pending.push([act, ms]));
  window.setInterval = () => 0;
  window.fetch = () => Promise.reject(new Error("no server"));
  window.WebSocket = class {
    constructor() {
      queueMicrotask(() => this.onclose?.());
    }
    close() {}
  };
  const { Connection } = await import(`/_/${version}/connection.js`);
  for (const rolled of [0, 1]) {
    dice = rolled;
    new Connection("live", () => {}, () => {});
    for (let attempt = 0; attempt < 8; attempt++) {
      await new Promise((done) => queueMicrotask(() => queueMicrotask(done)));
      const [act, ms] = pending.pop();
      waits.push([attempt, rolled, ms]);
      act();
    }
    await new Promise((done) => queueMicrotask(() => queueMicrotask(done)));
    pending.length = 0;
  }
  return waits.sort(([a, b], [c, d]) => a - c || b - d).map(([, , ms]) => ms);
}

async function versionOf(base) {
  return (await (await fetch(base)).text()).match(/_\/([0-9a-f]+)\/page\.js/)[1];
}

/** Makes `hide(isHidden)` for the page, which does what another tab in front does: headless Chromium shows all its tabs. Data
 * comes, but no frames are asked for, and the browser has paused the video. */
function hideable() {
  const [ask, asked] = [window.requestAnimationFrame.bind(window), []];
  let isHidden = false;
  window.requestAnimationFrame = (act) => (isHidden ? asked.push(act) : ask(act));
  Object.defineProperty(document, "hidden", { get: () => isHidden });
  window.hide = (hides) => {
    isHidden = hides;
    document.dispatchEvent(new Event("visibilitychange"));
    if (isHidden) document.getElementById("video").pause();
    else asked.splice(0).forEach(ask);
  };
}

/** Sound comes out of the player: not muted, and going on. */
function isHeard(page) {
  return ask(page, `(() => {
    if (window.tsstream.player === "mpegts") {
      const video = document.getElementById("video");
      return !video.muted && !video.paused && video.volume > 0;
    }
    const context = window.JSMpeg?.AudioOutput.WebAudio.CachedContext;
    return context?.state === "running" && window.tsstream.sound === "on";
  })()`);
}
