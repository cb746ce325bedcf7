// What a person sees of the page that plays: whether the picture moves, and what it says.

import { until } from "./processes.mjs";

/** Opens a page; what goes wrong in it is told with the test. */
export async function openPage(t, browser, url) {
  const page = await browser.newPage();
  t.after(() => page.close());
  page.on("pageerror", (error) => t.diagnostic(`${url}: ${error}`));
  await page.goto(url);
  return page;
}

/** The player has decoded more frames, and the picture on the screen is another one. */
export async function moves(page) {
  await stateIs(page, "playing");
  const before = { frames: await framesOf(page), picture: await picture(page) };
  await until("25 more frames", async () => (await framesOf(page)) >= before.frames + 25);
  await until("another picture", async () => !(await picture(page)).equals(before.picture));
}

/** The page says that it is so. */
export async function stateIs(page, wanted) {
  let state;
  await until(`the page to be ${wanted}`, async () => {
    state = await page.evaluate(() => window.tsstream?.state);
    return state === wanted;
  }).catch((error) => {
    throw new Error(`${error.message}; it is ${state}`);
  });
}

/** How many frames it has decoded. */
export const framesOf = (page) => page.evaluate(() => window.tsstream.frames());
/** By what it plays. */
export const playerOf = (page) => page.evaluate(() => window.tsstream.player);
const picture = (page) => page.locator("#stage").screenshot();
