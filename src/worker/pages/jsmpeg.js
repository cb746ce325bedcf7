// jsmpeg behind the face that `players.js` describes: MPEG-1 video on a canvas, MP2 through Web Audio.

import { Intake, load } from "./intake.js";

export class JsmpegPlayer {
  name = "jsmpeg";
  hasSound;
  // Frames that it was given, and that it has decoded.
  #given = 0;
  #decoded = 0;
  #intake = new Intake();
  #player = null;
  #isDestroyed = false;
  #isSoundOn = false;
  // Keeps the page's one AudioContext, which the viewer has allowed to sound, from being closed with a player.
  static #audio = null;

  constructor(hasSound, tables, { canvas, video }, onProblem) {
    this.hasSound = hasSound;
    video.hidden = true;
    canvas.hidden = false;
    load("jsmpeg.min.js").then(() => this.#isDestroyed || this.#start(canvas)).catch(onProblem);
  }

  write(bytes) {
    this.#intake.write(bytes);
  }

  frames() {
    return this.#decoded;
  }

  setSound(isOn) {
    this.#isSoundOn = isOn;
    const out = this.#player?.audioOut;
    if (!out) return;
    // "Locked" is jsmpeg's word for decoding without a sound. Before the context runs, what it was given to play would
    // pile up in it.
    out.unlocked = false;
    if (isOn) {
      out.context.resume().then(() => {
        out.resetEnqueuedTime();
        out.unlocked = this.#isSoundOn;
      });
    }
  }

  destroy() {
    this.#isDestroyed = true;
    this.#player?.destroy();
  }

  #start(canvas) {
    // Called once its decoders have been compiled, which may be within its constructor.
    const start = () => queueMicrotask(() => this.#take());
    class Source {
      streaming = true;
      established = false;
      completed = false;
      progress = 0;
      start = start;
      connect(demuxer) {
        this.demuxer = demuxer;
      }
      resume() {}
      destroy() {}
    }
    if (this.hasSound) JsmpegPlayer.#audio ??= new JSMpeg.AudioOutput.WebAudio();
    this.#player = new JSMpeg.Player("", {
      source: Source,
      canvas,
      audio: this.hasSound,
      // It would never take its listener back.
      pauseWhenHidden: false,
      disableWebAssembly: !isWasmAllowed(),
      videoBufferSize: 2 * 1024 * 1024,
      onVideoDecode: () => this.#decoded++,
    });
    this.setSound(this.#isSoundOn);
    this.#countGiven(this.#player.video);
    this.#catchUp();
  }

  #take() {
    if (this.#isDestroyed) return this.#player.pause();
    const { source } = this.#player;
    this.#intake.open((bytes) => {
      source.established = true;
      source.demuxer.write(bytes);
    });
  }

  #countGiven(video) {
    const write = video.write;
    let lastPts = null;
    video.write = (pts, buffers) => {
      if (pts !== lastPts) this.#given++;
      lastPts = pts;
      return write.call(video, pts, buffers);
    };
  }

  // It decodes one frame for each one that the screen shows. Of what it is behind, it decodes more: from a keyframe to now
  // at the start, and after each pause of the network.
  #catchUp() {
    if (this.#isDestroyed) return;
    requestAnimationFrame(() => this.#catchUp());
    const endMs = performance.now() + 10;
    while (this.#given - this.#decoded > 3 && performance.now() < endMs) {
      if (!this.#player.nextFrame()) this.#given = this.#decoded;
    }
  }
}

function isWasmAllowed() {
  try {
    new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    return true;
  } catch {
    return false;
  }
}
