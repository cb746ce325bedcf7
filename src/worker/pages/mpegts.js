// mpegts.js behind the face that `players.js` describes: H.264, HEVC and AAC in a video element.

import { Intake, load } from "./intake.js";

export class MpegtsPlayer {
  name = "mpegts";
  hasSound;
  #intake = new Intake();
  #player = null;
  #tables;
  #video;
  #isDestroyed = false;

  constructor(hasSound, tables, { canvas, video }, onProblem) {
    this.hasSound = hasSound;
    this.#tables = tables;
    this.#video = video;
    canvas.hidden = true;
    video.hidden = false;
    load("mpegts.js").then(() => this.#isDestroyed || this.#start(onProblem)).catch(onProblem);
  }

  write(bytes) {
    // mpegts.js heeds its option `hasAudio` for FLV only; of a transport stream it plays what the PMT lists.
    if (!this.hasSound) this.#tables.hideSound(bytes);
    this.#intake.write(bytes);
  }

  frames() {
    return this.#player ? this.#video.getVideoPlaybackQuality().totalVideoFrames : 0;
  }

  setSound(isOn) {
    this.#video.muted = !isOn;
  }

  destroy() {
    this.#isDestroyed = true;
    this.#player?.destroy();
    this.#player = null;
  }

  #start(onProblem) {
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
    player.on(mpegts.Events.ERROR, (type, detail) => onProblem(new Error(`${type}: ${detail}`)));
    player.attachMediaElement(this.#video);
    player.load();
    this.#play();
    // What came at the start began with a keyframe that may be seconds old.
    this.#video.addEventListener("playing", () => setTimeout(() => this.#jumpToNow(), 700), { once: true });
  }

  #jumpToNow() {
    const { buffered, currentTime } = this.#video;
    if (this.#isDestroyed || !buffered.length) return;
    const end = buffered.end(buffered.length - 1);
    if (end - currentTime > 1) this.#video.currentTime = end - 0.4;
  }

  async #play() {
    try {
      await this.#video.play();
    } catch (error) {
      // Without a click by the viewer, browsers play only what is silent.
      if (error.name !== "NotAllowedError" || this.#video.muted) return;
      this.#video.muted = true;
      this.#play();
    }
  }
}
