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
  mpeg2: "Browsers don’t play MPEG-2 video",
  mpeg2More: "The sender can use MPEG-1 or H.264 instead.",
  noCodec: (codec) => `This browser does not play ${codec}`,
  noCodecMore: "Another browser or another device may.",
  otherVideo: "Browsers don’t play the video of this stream",
  otherVideoMore: "The sender can use H.264 or MPEG-1 instead.",
  nothing: "There is nothing in this stream that browsers play",
  notTs: "This is not an MPEG transport stream",
  failing: "The player can’t make a picture of this stream",
  failingMore: "It tries again from time to time.",
  elsewhere: "VLC or mpv may play it:",
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
  mpeg2: "浏览器不支持 MPEG-2 视频",
  mpeg2More: "推流端可改用 MPEG-1 或 H.264。",
  noCodec: (codec) => `此浏览器不支持 ${codec}`,
  noCodecMore: "换一个浏览器或设备也许可以。",
  otherVideo: "浏览器不支持此流的视频编码",
  otherVideoMore: "推流端可改用 H.264 或 MPEG-1。",
  nothing: "此流中没有浏览器能播放的内容",
  notTs: "这不是 MPEG 传输流",
  failing: "播放器无法解出此流的画面",
  failingMore: "稍后会再次尝试。",
  elsewhere: "VLC 或 mpv 也许可以播放：",
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
