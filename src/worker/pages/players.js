// Which player plays what, and why one doesn't. Both have the same face: name, hasSound, write(bytes), progress(), which
// grows while it plays, behindMs(), size(), setSound({ isOn, volume }), pause(), catchUp() and destroy().
// They call `on.problem(error)` when they can't go on, `on.soundBlocked()` when the browser wants a gesture of the viewer
// before there may be sound, and `on.playBlocked()` when it wants one before anything is played.

import { JsmpegPlayer } from "./jsmpeg.js";
import { MpegtsPlayer } from "./mpegts.js";

export const NAMES = {
  mpeg1: "MPEG-1", mpeg2: "MPEG-2", h264: "H.264", hevc: "HEVC", mpeg: "MP2", aac: "AAC", ac3: "AC-3", other: "?",
};

// MP2 beside H.264 or HEVC: some browsers play it, some don't, some only stereo; and none says so beforehand.
let isMp2Refused = false;

export function makePlayer(program, tables, elements, on) {
  const Player = isForJsmpeg(program) ? JsmpegPlayer : MpegtsPlayer;
  const has = { video: program.video !== null, sound: program.audio !== null && whySilent(program) === null };
  return new Player(has, tables, elements, on);
}

// A player of `program` couldn't go on: the next one does without what may have been the cause.
export function blame(program) {
  if (isDoubtful(program)) isMp2Refused = true;
}

// Why the browser can't play `program`: the name of some words and what they are about; null if it can.
export function whyNotPlayable({ video, audio }) {
  if (video === "mpeg2") return ["mpeg2"];
  if (video === "other") return ["otherVideo"];
  if (video === "h264" && !canPlay("video/mp4", "avc1.42e01e")) return ["noCodec", NAMES.h264];
  if (video === "hevc" && !canPlay("video/mp4", "hvc1.1.6.L93.B0")) return ["noCodec", NAMES.hevc];
  if (video !== null || audio === "mpeg") return null;
  if (audio === "aac") return canPlay("audio/mp4", "mp4a.40.2") ? null : ["noCodec", NAMES.aac];
  return audio === null ? ["nothing"] : ["noCodec", NAMES[audio]];
}

// Why the sound of `program` isn't played, likewise; null if it is or there is none.
export function whySilent(program) {
  const { video, audio } = program;
  const playable = isForJsmpeg(program) ? "mpeg" : "aac";
  if (audio === null || audio === playable || (isDoubtful(program) && !isMp2Refused)) return null;
  return [playable === "mpeg" ? "silentMp2" : "silentAac", NAMES[video], NAMES[audio]];
}

function canPlay(container, codec) {
  const source = window.ManagedMediaSource ?? window.MediaSource;
  return source?.isTypeSupported(`${container}; codecs="${codec}"`) ?? false;
}

function isForJsmpeg({ video, audio }) {
  return video === "mpeg1" || (video === null && audio === "mpeg");
}

function isDoubtful({ video, audio }) {
  return (video === "h264" || video === "hevc") && audio === "mpeg";
}
