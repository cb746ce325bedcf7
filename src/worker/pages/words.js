// All that the page says, in English and Chinese: by name, as a text or a function of what it is about.

const ENGLISH = {
  connecting: "Connecting …",
  starting: "Connecting …",
  paused: "Paused",
  waiting: "Nobody is sending this stream at the moment",
  waitingMore: "It starts here by itself.",
  missing: (name) => `There is no stream “${name}” here`,
  missingMore: "Its name may be misspelt, or it may be on another server.",
  offline: "The server can’t be reached",
  refused: "The server does not let this page in",
  refusedMore: "It may be full, or play on other sites only.",
  again: (seconds) => `Trying again in ${seconds} s …`,
  againNow: "Trying again …",
  unplayable: "This stream can’t be played here",
  mpeg2: "It is MPEG-2 video, which browsers don’t play. The sender can use MPEG-1 (ffmpeg … -c:v mpeg1video) or H.264.",
  noCodec: (codec) => `This browser does not play ${codec}.`,
  otherVideo: "Its video is coded in a way that browsers don’t play. The sender can use H.264 or MPEG-1.",
  nothing: "It has neither a picture nor a sound that browsers play.",
  notTs: "It is not an MPEG transport stream.",
  failing: "The player can’t make a picture of it. It is tried again from time to time.",
  elsewhere: "Players like VLC and mpv may play it:",
  silentMp2: (video, audio) => `No sound: beside ${video}, this page plays MP2 (ffmpeg … -c:a mp2), not ${audio}.`,
  silentAac: (video, audio) => `No sound: beside ${video}, this page plays AAC (ffmpeg … -c:a aac), not ${audio}.`,
  soundOnly: "Sound only",
  tapForSound: "Turn on sound",
  play: "Play",
  pause: "Pause",
  mute: "Turn off sound",
  unmute: "Turn on sound",
  volume: "Volume",
  fullScreen: "Full screen",
  leaveFullScreen: "Leave full screen",
  tryNow: "Try now",
  live: "Live",
  goLive: "Go to live",
  lag: (seconds) => `${seconds} s behind the newest picture`,
  streams: "Streams",
  find: "Find a stream",
  noneFound: "None of that name",
  leftOut: (number) => `and ${count(number)} more`,
  notLive: "not live",
  viewers: (number) => (number === 1 ? "1 viewer" : `${count(number)} viewers`),
  share: "Watch elsewhere",
  inPlayer: "In a player, such as VLC",
  inPage: "In a page of yours",
};

const CHINESE = {
  connecting: "正在连接…",
  starting: "正在连接…",
  paused: "已暂停",
  waiting: "此流目前无人推送",
  waitingMore: "一旦开始推流，将自动播放。",
  missing: (name) => `这里没有名为“${name}”的流`,
  missingMore: "名称可能有误，或者该流在别的服务器上。",
  offline: "无法连接服务器",
  refused: "服务器未接受此页面的连接",
  refusedMore: "可能已满员，或仅允许其他网站播放。",
  again: (seconds) => `${seconds} 秒后重试…`,
  againNow: "正在重试…",
  unplayable: "此流无法在这里播放",
  mpeg2: "视频为 MPEG-2，浏览器不支持。推流端可改用 MPEG-1（ffmpeg … -c:v mpeg1video）或 H.264。",
  noCodec: (codec) => `此浏览器不支持 ${codec}。`,
  otherVideo: "浏览器不支持其视频编码。推流端可改用 H.264 或 MPEG-1。",
  nothing: "其中没有浏览器能播放的画面或声音。",
  notTs: "它不是 MPEG 传输流。",
  failing: "播放器无法解出画面，稍后会再次尝试。",
  elsewhere: "VLC、mpv 等播放器也许可以播放：",
  silentMp2: (video, audio) => `无声音：与 ${video} 搭配时，此页面只能播放 MP2（ffmpeg … -c:a mp2），不支持 ${audio}。`,
  silentAac: (video, audio) => `无声音：与 ${video} 搭配时，此页面只能播放 AAC（ffmpeg … -c:a aac），不支持 ${audio}。`,
  soundOnly: "仅有声音",
  tapForSound: "打开声音",
  play: "播放",
  pause: "暂停",
  mute: "关闭声音",
  unmute: "打开声音",
  volume: "音量",
  fullScreen: "全屏",
  leaveFullScreen: "退出全屏",
  tryNow: "立即重试",
  live: "直播",
  goLive: "回到直播",
  lag: (seconds) => `比最新画面晚 ${seconds} 秒`,
  streams: "频道",
  find: "查找频道",
  noneFound: "没有匹配的频道",
  leftOut: (number) => `另有 ${count(number)} 个`,
  notLive: "未开播",
  viewers: (number) => `${count(number)} 人观看`,
  share: "在别处观看",
  inPlayer: "在播放器中，例如 VLC",
  inPage: "嵌入您的网页",
};

const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
const words = language === "zh" ? CHINESE : ENGLISH;
document.documentElement.lang = language;

export function say(name, ...about) {
  const text = words[name] ?? "";
  return typeof text === "function" ? text(...about) : text;
}

export function bitrate(bitsPerSecond) {
  if (bitsPerSecond >= 1e6) return `${(bitsPerSecond / 1e6).toFixed(1)} Mb/s`;
  return `${Math.round(bitsPerSecond / 1e3)} kb/s`;
}

const counts = new Intl.NumberFormat(language);
export const count = (number) => counts.format(number);
