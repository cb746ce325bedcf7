// Pictures of the page in all its states, for people to judge: node tests/browser/screenshots.mjs DIRECTORY [NAME ...]
// Needs what the browser tests need: ffmpeg, Chromium, a debug build of tsstream.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { DEMO, Ffmpeg, Node } from "./processes.mjs";
import { launch, stateIs } from "./player.mjs";

const [directory, ...wanted] = process.argv.slice(2);
if (!directory) {
  console.error("usage: node tests/browser/screenshots.mjs DIRECTORY [NAME ...]");
  process.exit(2);
}

const DESKTOP = { width: 1280, height: 760 };
const PHONE = { width: 390, height: 780, isMobile: true };

// A sun over the sea, and a boat that passes.
const HARBOUR = `color=black:s=640x360:r=25,format=rgb24,trim=end_frame=1,geq=
  r='min(255,if(lt(Y,230),40+190*pow(Y/230,1.6)+70*exp(-hypot(X-420,Y-190)/70),30+60*exp(-abs(X-420)/60)*(0.6+0.4*sin(Y*Y/90+X/9))+14*sin(Y*1.7+X/40)))':
  g='min(255,if(lt(Y,230),38+100*pow(Y/230,2)+95*exp(-hypot(X-420,Y-200)/45),44+50*exp(-abs(X-420)/60)*(0.6+0.4*sin(Y*Y/90+X/9))+10*sin(Y*1.7+X/40)))':
  b='if(lt(Y,230),92+20*Y/230,84+20*exp(-abs(X-420)/60)+10*sin(Y*1.7+X/40))',loop=-1:1,
  drawbox=x='mod(t*14,720)-60':y=222:w=46:h=9:color=0x14142c:t=fill,drawbox=x='mod(t*14,720)-40':y=200:w=3:h=22:color=0x14142c:t=fill`;
const PLAIN = "gradients=s=320x180:r=25:speed=0.012:c0=0x03045e:c1=0x0077b6:c2=0x90e0ef:n=3";
const TONE = ["-re", "-f", "lavfi", "-i", "sine=frequency=220:sample_rate=48000,volume=0.05"];
const picture = (source) => ["-re", "-f", "lavfi", "-i", source, ...TONE];
const X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "2M"];

// Name, input and coding of what is sent; nothing for a stream that nobody sends.
const STREAMS = {
  live: [DEMO, ["-c", "copy"]],
  harbour: [picture(HARBOUR), [...X264, "-c:a", "aac", "-b:a", "96k"]],
  "studio-2": [picture(HARBOUR), [...X264, "-c:a", "mp2", "-b:a", "96k"]],
  archive: [picture(PLAIN), ["-c:v", "mpeg2video", "-g", "25", "-b:v", "1M", "-c:a", "mp2"]],
  "harbour-uhd": [picture(PLAIN), ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25", "-c:a", "aac"]],
  radio: [TONE, ["-c:a", "aac", "-b:a", "96k"]],
  "evening-news": null,
  corridor: null,
};

// Name of the picture, stream, what it is looked at with, and what is to be so before it is taken.
const PICTURES = [
  ["jsmpeg", "live", {}, "playing"],
  ["mpegts", "harbour", {}, "playing"],
  ["dark", "harbour", { colorScheme: "dark" }, "playing"],
  ["dark-jsmpeg", "live", { colorScheme: "dark" }, "playing"],
  ["phone", "harbour", { viewport: PHONE }, "playing"],
  ["phone-dark", "live", { viewport: PHONE, colorScheme: "dark" }, "playing"],
  ["phone-landscape", "harbour", { viewport: { width: 844, height: 390, isMobile: true } }, "playing"],
  ["phone-unplayable", "archive", { viewport: PHONE }, "unplayable"],
  ["waiting", "evening-news", {}, "waiting"],
  ["waiting-dark", "evening-news", { colorScheme: "dark" }, "waiting"],
  ["unknown", "no-such-stream", {}, "missing"],
  ["mpeg2", "archive", {}, "unplayable"],
  ["hevc", "harbour-uhd", { colorScheme: "dark" }, "unplayable"],
  ["mp2-beside-h264", "studio-2", {}, "playing"],
  ["sound-only", "radio", {}, "playing"],
  ["bare", "harbour", { viewport: { width: 640, height: 360 }, more: "&bare=1" }, "playing"],
  ["bare-waiting", "corridor", { viewport: { width: 320, height: 180 }, more: "&bare=1" }, "waiting"],
  ["paused", "harbour", {}, "playing", (page) => page.keyboard.press("k"), "paused"],
  ["sound-on", "harbour", {}, "playing", (page) => page.click("#unmute"), "playing"],
  ["chinese", "archive", { locale: "zh-CN" }, "unplayable"],
  ["wide", "harbour", { viewport: { width: 1920, height: 1080 }, colorScheme: "dark" }, "playing"],
  ["focus", "live", {}, "playing", async (page) => { for (let i = 0; i < 4; i++) await page.keyboard.press("Tab"); }, "playing"],
  ["offline", "live", {}, "playing", "stop", "offline"],
];

const CONFIG = ["[custom]", "Bind = 127.0.0.1", "Port = 0",
  ...Object.keys(STREAMS).flatMap((name) => [name === "live" ? "[backstream]" : `[backstream.${name}]`, "Protocol = TCP", "Bind = 127.0.0.1", "Port = 0"]),
].join("\n");

await mkdir(directory, { recursive: true });
const node = await Node.start(CONFIG);
const chosen = PICTURES.filter(([name]) => wanted.length === 0 || wanted.includes(name));
const needed = new Set(wanted.length === 0 ? Object.keys(STREAMS) : chosen.map(([, stream]) => stream));
const senders = Object.entries(STREAMS).filter(([name, how]) => how && needed.has(name)).map(([name, [input, coding]]) =>
  new Ffmpeg(input, coding, node.address(name === "live" ? "backstream" : `backstream.${name}`)));
const browser = await launch();
let failed = 0;
try {
  for (const one of chosen) {
    await take(...one).catch((error) => {
      console.error(`${one[0]}: ${error.message}`);
      failed++;
    });
  }
} finally {
  await browser.close();
  await Promise.all([node, ...senders].map((process) => process.stop()));
}
process.exit(failed > 0 ? 1 : 0);

async function take(name, stream, { viewport = DESKTOP, more = "", colorScheme = "light", locale = "en" }, state, act, stateThen) {
  const { isMobile = false, ...size } = viewport;
  const context = await browser.newContext({ viewport: size, deviceScaleFactor: isMobile ? 2 : 1, isMobile, hasTouch: isMobile, colorScheme, locale });
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`${name}: ${error}`));
  page.on("console", (message) => message.type() === "error" && console.error(`${name}: ${message.text()}`));
  await page.goto(`http://${node.address("custom")}/?stream=${stream}${more}`);
  await stateIs(page, state);
  // The bitrates are means over two seconds.
  await sleep(4500);
  if (act === "stop") await node.stop();
  else if (act) await act(page);
  if (stateThen) await stateIs(page, stateThen);
  if (!isMobile) await page.mouse.move(size.width / 3, size.height / 3);
  await sleep(300);
  await page.screenshot({ path: join(directory, `${name}.png`) });
  await context.close();
}
