// What a person sees of the page that plays, in Chromium: whether the picture moves, what it says, whether it is heard.

import { chromium } from "playwright-core";

import { findChromium, SOON_MS, until } from "./processes.mjs";

/** Chromium as people have it: a page is heard after the first click in it. */
export function launch(...more) {
  const policy = "--autoplay-policy=document-user-activation-required";
  return chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox", policy, ...more] });
}

/** Opens `url` in a context of its own, in which nothing may go wrong, and nothing be asked of another machine; but for
 * what the browser says when a request fails, if `mayFail`. */
export async function openPage(t, browser, url, { mayFail = false, init = null, ...options } = {}) {
  const context = await browser.newContext({ locale: "en", ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => {
    const isOfRequest = /Failed to load resource|WebSocket connection to/.test(message.text());
    if (message.type() === "error" && !(mayFail && isOfRequest)) wrong.push(message.text());
  });
  const own = new URL(url).origin;
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (origin !== own && !["data:", "blob:"].includes(protocol)) wrong.push(`asked for ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    if (wrong.length > 0) throw new Error(`${url}: ${wrong.join("; ")}`);
  });
  if (init) await page.addInitScript(init);
  await page.goto(url, { timeout: SOON_MS });
  return page;
}

/** The player has decoded more frames, and the picture on the screen is another one. */
export async function moves(page) {
  await stateIs(page, "playing");
  const before = { frames: await framesOf(page), picture: await picture(page) };
  await until("25 more frames", async () => (await framesOf(page)) >= before.frames + 25);
  await until("another picture", async () => !(await picture(page)).equals(before.picture));
}

export async function stateIs(page, wanted) {
  let state;
  await until(`the page to be ${wanted}`, async () => {
    state = await ask(page, "window.tsstream?.state");
    return state === wanted;
  }).catch((error) => {
    throw new Error(`${error.message}; it is ${state}`);
  });
}

export const framesOf = (page) => ask(page, "window.tsstream.frames()");
export const playerOf = (page) => ask(page, "window.tsstream.player");
export const soundOf = (page) => ask(page, "window.tsstream.sound");
export const lagOf = (page) => ask(page, "window.tsstream.lagMs");

const sessions = new WeakMap();

/** The value of `expression` in the page. What Playwright itself evaluates there counts as a gesture of the viewer, after
 * which there may be sound. */
export async function ask(page, expression) {
  if (!sessions.has(page)) sessions.set(page, page.context().newCDPSession(page));
  const session = await sessions.get(page);
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
  return result.value;
}

const picture = (page) => page.locator("#video:visible, #canvas:visible").screenshot();

/** Waits until what `selector` finds is seen and says `words`. */
export async function says(page, selector, words) {
  let text;
  await until(`${selector} to say ${words}`, async () => {
    const found = page.locator(selector).first();
    text = (await found.isVisible()) ? await found.innerText() : null;
    return text !== null && (words instanceof RegExp ? words.test(text) : text.includes(words));
  }).catch((error) => {
    throw new Error(`${error.message}; it says ${text}`);
  });
}
