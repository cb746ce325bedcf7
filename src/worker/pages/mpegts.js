// mpegts.js behind the face that `players.js` describes: H.264, HEVC and AAC in a video element.

import { Intake, load } from "./intake.js";

// How near to the newest it jumps, and how far from it it must be for a jump to be worth the hiccup, in seconds.
const JUMP_TO = 0.4;
const JUMP_FROM = 1;
// Of sound alone there are no frames to count.
const PROGRESS_PER_SECOND = 25;

export class MpegtsPlayer {
  name = "mpegts";
  hasSound;
  #has;
  #on;
  #intake = new Intake();
  #player = null;
  #tables;
  #video;
  #isDestroyed = false;

  constructor(has, tables, { canvas, video }, on) {
    this.hasSound = has.sound;
    this.#has = has;
    this.#on = on;
    this.#tables = tables;
    this.#video = video;
    canvas.hidden = true;
    video.hidden = !has.video;
    load("mpegts.js").then(() => this.#isDestroyed || this.#start()).catch(on.problem);
  }

  write(bytes) {
    // mpegts.js heeds its option `hasAudio` for FLV only; of a transport stream it plays what the PMT lists.
    if (!this.hasSound) this.#tables.hideSound(bytes);
    this.#intake.write(bytes);
  }

  progress() {
    if (!this.#player) return 0;
    if (!this.#has.video) return Math.floor(this.#video.currentTime * PROGRESS_PER_SECOND);
    return this.#video.getVideoPlaybackQuality().totalVideoFrames;
  }

  behindMs() {
    return 1000 * this.#behind();
  }

  size() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    return this.#player && width ? { width, height } : null;
  }

  setSound({ isOn, volume }) {
    this.#video.volume = volume;
    this.#video.muted = !isOn;
  }

  pause() {
    this.#video.pause();
  }

  catchUp() {
    if (this.#isDestroyed) return;
    if (this.#behind() > JUMP_FROM) this.#video.currentTime += this.#behind() - JUMP_TO;
    if (this.#video.paused && this.#player) this.#play();
  }

  destroy() {
    this.#isDestroyed = true;
    this.#player?.destroy();
    this.#player = null;
  }

  #behind() {
    const { buffered, currentTime } = this.#video;
    return this.#player && buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  }

  #start() {
    const intake = this.#intake;
    mpegts.LoggingControl.applyConfig({ enableVerbose: false, enableDebug: false, enableInfo: false, enableWarn: false });
    class Loader extends mpegts.BaseLoader {
      #position = 0;
      constructor() {
        super("connection");
      }
      open() {
        this._status = mpegts.LoaderStatus.kBuffering;
        intake.open((bytes) => {
          const start = this.#position;
          this.#position += bytes.length;
          this.onDataArrival?.(bytes.buffer, start, this.#position);
        });
      }
      abort() {
        this._status = mpegts.LoaderStatus.kComplete;
      }
    }
    const player = mpegts.createPlayer({ type: "mpegts", isLive: true, url: "" }, {
      customLoader: Loader,
      enableStashBuffer: false,
      lazyLoad: false,
      // Behind by seconds, it jumps; behind by less, it plays a little faster.
      liveBufferLatencyChasing: true,
      liveBufferLatencyMaxLatency: 3,
      liveBufferLatencyMinRemain: 0.5,
      liveSync: true,
      liveSyncMaxLatency: 1.2,
      liveSyncTargetLatency: 0.6,
      liveSyncPlaybackRate: 1.1,
      autoCleanupSourceBuffer: true,
      autoCleanupMaxBackwardDuration: 30,
      autoCleanupMinBackwardDuration: 10,
    });
    this.#player = player;
    player.on(mpegts.Events.ERROR, (type, detail) => this.#on.problem(new Error(`${type}: ${detail}`)));
    player.attachMediaElement(this.#video);
    player.load();
    this.#play();
    // What came at the start began with a keyframe that may be seconds old.
    this.#video.addEventListener("playing", () => setTimeout(() => this.catchUp(), 700), { once: true });
  }

  async #play() {
    try {
      await this.#video.play();
    } catch (error) {
      // Without a gesture by the viewer, browsers play only what is silent, and some at times nothing.
      if (error.name !== "NotAllowedError" || this.#isDestroyed) return;
      if (this.#video.muted) return this.#on.playBlocked();
      this.#video.muted = true;
      this.#on.soundBlocked();
      this.#play();
    }
  }
}
