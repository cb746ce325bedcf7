// Which player plays what, and why one doesn't. Both have the same face: name, hasSound, write(bytes), frames(),
// setSound(isOn), destroy(); and call `onProblem(error)` when they can't go on.

import { JsmpegPlayer } from "./jsmpeg.js";
import { MpegtsPlayer } from "./mpegts.js";

const NAMES = {
  mpeg1: "MPEG-1", mpeg2: "MPEG-1", h264: "H.264", hevc: "HEVC", mpeg: "MP2", aac: "AAC", ac3: "AC-3",
};

// MP2 beside H.264 or HEVC: some browsers play it, some don't, some only stereo; and none says so beforehand.
let isMp2Refused = false;

export function makePlayer(program, tables, elements, onProblem) {
  const Player = isForJsmpeg(program.video) ? JsmpegPlayer : MpegtsPlayer;
  const hasSound = program.audio !== null && whySilent(program) === null;
  return new Player(hasSound, tables, elements, onProblem);
}

// A player of `program` couldn't go on: the next one does without what may have been the cause.
export function blame(program) {
  if (isDoubtful(program)) isMp2Refused = true;
}

// Why the browser can't play the picture of `program`, in words; null if it can.
export function whyNotPlayable({ video }) {
  const canPlay = (codec) => {
    const source = window.ManagedMediaSource ?? window.MediaSource;
    return source?.isTypeSupported(`video/mp4; codecs="${codec}"`) ?? false;
  };
  if (video === null) return "This stream has no picture that a browser could play.";
  if (video === "h264" && !canPlay("avc1.42e01e")) return "This browser can't play live H.264.";
  if (video === "hevc" && !canPlay("hvc1.1.6.L93.B0")) return "This browser can't play HEVC.";
  return null;
}

// Why the sound of `program` isn't played, in words; null if it is or there is none.
export function whySilent(program) {
  const { video, audio } = program;
  const playable = isForJsmpeg(video) ? "mpeg" : "aac";
  if (audio === null || audio === playable || (isDoubtful(program) && !isMp2Refused)) return null;
  const played = playable === "mpeg" ? "MP2 (ffmpeg … -c:a mp2)" : "AAC (ffmpeg … -c:a aac)";
  return `No sound: beside ${NAMES[video]}, this page plays ${played}, not ${NAMES[audio]}.`;
}

// ffmpeg labels MPEG-1 in a transport stream as MPEG-2.
function isForJsmpeg(video) {
  return video === "mpeg1" || video === "mpeg2";
}

function isDoubtful({ video, audio }) {
  return !isForJsmpeg(video) && audio === "mpeg";
}
