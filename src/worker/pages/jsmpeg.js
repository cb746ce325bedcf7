// jsmpeg behind the face that `players.js` describes: MPEG-1 video on a canvas, MP2 through Web Audio.

import { Intake, load } from "./intake.js";

// So long the browser is given to let there be sound, before it is taken to want a gesture.
const SOUND_MS = 400;
// How often it is decoded for the sound's sake while the page is in the background, where no frames are asked for.
const BACKGROUND_MS = 50;
// Frames that may wait to be decoded without hurry.
const WAITING_FRAMES_MAX = 3;

export class JsmpegPlayer {
  name = "jsmpeg";
  hasSound;
  #has;
  #on;
  #canvas;
  // Frames that it was given, and that it has decoded.
  #given = 0;
  #decoded = 0;
  #heard = 0;
  #intake = new Intake();
  #player = null;
  #isDestroyed = false;
  #sound = { isOn: false, volume: 1 };
  #ticker = 0;
  // Keeps the page's one AudioContext, which the viewer has allowed to sound, from being closed with a player.
  static #audio = null;

  constructor(has, tables, { canvas, video }, on) {
    this.hasSound = has.sound;
    this.#has = has;
    this.#on = on;
    this.#canvas = canvas;
    video.hidden = true;
    canvas.hidden = !has.video;
    load("jsmpeg.min.js").then(() => this.#isDestroyed || this.#start()).catch(on.problem);
  }

  write(bytes) {
    this.#intake.write(bytes);
  }

  progress() {
    return this.#has.video ? this.#decoded : this.#heard;
  }

  behindMs() {
    const rate = this.#player?.video?.frameRate;
    return rate ? Math.max(0, this.#given - this.#decoded - 1) * 1000 / rate : 0;
  }

  size() {
    const { width, height } = this.#canvas;
    return this.#decoded > 0 ? { width, height } : null;
  }

  setSound(sound) {
    this.#sound = sound;
    const out = this.#player?.audioOut;
    if (!out) return;
    this.#player.volume = sound.volume;
    // "Locked" is jsmpeg's word for decoding without a sound. Before the context runs, what it was given to play would
    // pile up in it.
    out.unlocked = false;
    if (!sound.isOn) return;
    out.context.resume().then(() => {
      out.resetEnqueuedTime();
      out.unlocked = this.#sound.isOn;
    });
    setTimeout(() => {
      if (!this.#isDestroyed && this.#sound.isOn && out.context.state !== "running") this.#on.soundBlocked();
    }, SOUND_MS);
  }

  pause() {
    this.#player?.pause();
  }

  // It is always as near as it can be.
  catchUp() {}

  destroy() {
    this.#isDestroyed = true;
    clearInterval(this.#ticker);
    this.#player?.destroy();
  }

  #start() {
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
      canvas: this.#canvas,
      audio: this.hasSound,
      video: this.#has.video,
      // It would never take its listener back.
      pauseWhenHidden: false,
      disableWebAssembly: !isWasmAllowed(),
      videoBufferSize: 2 * 1024 * 1024,
      onVideoDecode: () => this.#decoded++,
      onAudioDecode: () => this.#heard++,
    });
    this.setSound(this.#sound);
    if (this.#has.video) this.#countGiven(this.#player.video);
    this.#catchUp();
    this.#ticker = setInterval(() => this.#soundInBackground(), BACKGROUND_MS);
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
    while (this.#given - this.#decoded > WAITING_FRAMES_MAX && performance.now() < endMs) {
      if (!this.#player.nextFrame()) this.#given = this.#decoded;
    }
  }

  #soundInBackground() {
    const { isOn } = this.#sound;
    if (document.hidden && isOn && this.hasSound && this.#player.source.established) this.#player.updateForStreaming();
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
