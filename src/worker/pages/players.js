// The two players behind one face: write(bytes), frames(), setSound(isOn), destroy().
// `onProblem(error)` tells that it can't go on. The scripts are fetched when the first stream needs them.

// What waits for a player that isn't ready yet. More than that is a player that won't be.
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

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
export function whySilent({ video, audio }) {
  const playable = isForJsmpeg(video) ? "mpeg" : "aac";
  if (audio === null || audio === playable) return null;
  const names = { mpeg1: "MPEG-1", mpeg2: "MPEG-1", h264: "H.264", hevc: "HEVC", mpeg: "MP2", aac: "AAC", ac3: "AC-3" };
  const option = { mpeg: "mp2", aac: "aac" }[playable];
  return `No sound: beside ${names[video]}, ${names[playable]} can be played here (ffmpeg … -c:a ${option}), ${names[audio]} can't.`;
}

export function makePlayer(program, tables, elements, onProblem) {
  const Player = isForJsmpeg(program.video) ? JsmpegPlayer : MpegtsPlayer;
  return new Player(program, tables, elements, onProblem);
}

// ffmpeg labels MPEG-1 in a transport stream as MPEG-2.
function isForJsmpeg(video) {
  return video === "mpeg1" || video === "mpeg2";
}

const scripts = new Map();

function load(file) {
  if (!scripts.has(file)) {
    scripts.set(file, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(`vendor/${file}`, import.meta.url);
      script.onload = resolve;
      script.onerror = () => {
        scripts.delete(file);
        reject(new Error(`${file} could not be loaded`));
      };
      document.head.append(script);
    }));
  }
  return scripts.get(file);
}

// Holds what arrives until the player takes it.
class Intake {
  #waiting = [];
  #bytes = 0;
  #take = null;

  write(bytes) {
    if (this.#take) return this.#take(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > WAITING_BYTES_MAX) throw new Error("the player does not get ready");
    this.#waiting.push(bytes);
  }

  open(take) {
    this.#take = take;
    this.#waiting.splice(0).forEach(take);
  }
}

class JsmpegPlayer {
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

  constructor({ audio }, tables, { canvas, video }, onProblem) {
    this.hasSound = audio === "mpeg";
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
    const intake = this.#intake;
    class Source {
      streaming = true;
      established = false;
      completed = false;
      progress = 0;
      connect(demuxer) {
        this.demuxer = demuxer;
      }
      // Called once its decoders have been compiled.
      start() {
        intake.open((bytes) => {
          this.established = true;
          this.demuxer.write(bytes);
        });
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

class MpegtsPlayer {
  name = "mpegts";
  hasSound;
  #intake = new Intake();
  #player = null;
  #tables;
  #video;
  #isDestroyed = false;

  constructor(program, tables, { canvas, video }, onProblem) {
    // mpegts.js heeds its option `hasAudio` for FLV only; of a transport stream it plays what the PMT lists.
    this.hasSound = program.audio !== null && whySilent(program) === null;
    this.#tables = tables;
    this.#video = video;
    canvas.hidden = true;
    video.hidden = false;
    load("mpegts.js").then(() => this.#isDestroyed || this.#start(onProblem)).catch(onProblem);
  }

  write(bytes) {
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
