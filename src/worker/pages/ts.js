// What the page itself reads of an MPEG transport stream (ISO/IEC 13818-1): which codecs, the time of a picture, and where
// the stream jumps. Every message holds whole packets.

const PACKET_BYTES = 188;

const VIDEO = { 0x01: "mpeg1", 0x02: "mpeg2", 0x1b: "h264", 0x24: "hevc" };
const AUDIO = { 0x03: "mpeg", 0x04: "mpeg", 0x0f: "aac", 0x11: "aac", 0x81: "ac3", 0x87: "ac3" };
// Video that no player here knows: MPEG-4 part 2, JPEG 2000, VVC, AVS, Dirac, VC-1.
const OTHER_VIDEO = new Set([0x10, 0x21, 0x33, 0x42, 0xd1, 0xd2, 0xd4, 0xea]);

// Whether the node has put a jump in front of what follows: a skip of a receiver that was too slow, or a new publisher.
// Its first packet is nothing but an adaptation field with the discontinuity_indicator.
export function isJump(bytes) {
  return bytes.length >= PACKET_BYTES && (bytes[3] & 0x30) === 0x20 && bytes[4] > 0 && (bytes[5] & 0x80) !== 0;
}

// Follows PAT and PMT of the first program.
export class Tables {
  #pmtPid = -1;

  // The codecs, as { video, audio, pid }, null where there is none; or null if these packets have no PMT. `pid` is the one
  // by whose times the lag is told.
  read(bytes) {
    let program = null;
    this.#forEachSection(bytes, (section) => {
      program = { video: null, audio: null, pid: null };
      let audioPid = null;
      forEachStream(section, (at, type, descriptors) => {
        const pid = pid13(section, at + 1), video = videoOf(type), audio = audioOf(type, descriptors);
        if (video) program.pid ??= pid;
        if (audio) audioPid ??= pid;
        program.video ??= video;
        program.audio ??= audio;
      });
      program.pid ??= audioPid;
    });
    return program;
  }

  // Makes the sound unknown to what reads the PMT next.
  hideSound(bytes) {
    this.#forEachSection(bytes, (section) => {
      forEachStream(section, (at, type, descriptors) => {
        if (audioOf(type, descriptors)) section[at] = 0xff;
      });
    });
  }

  // The part of each PMT that is in the packet where it starts: all of it, but for programs of dozens of streams.
  #forEachSection(bytes, visit) {
    forEachPacket(bytes, (packet) => {
      const pid = pid13(packet, 1);
      if (pid !== 0 && pid !== this.#pmtPid) return;
      const section = sectionOf(packet);
      if (pid === 0 && section?.[0] === 0x00) this.#pmtPid = firstProgram(section) ?? this.#pmtPid;
      if (pid !== 0 && section?.[0] === 0x02) visit(section);
    });
  }
}

// The presentation time, in milliseconds, of the last frame that starts in these packets; null if none does.
export function lastTimeMs(bytes, pid) {
  let time = null;
  forEachPacket(bytes, (packet) => {
    if (pid13(packet, 1) === pid && packet[1] & 0x40) time = timeOf(payloadOf(packet)) ?? time;
  });
  return time;
}

// "mpeg1" or "mpeg2", by the first sequence header in these packets; null if there is none. In MPEG-2 a sequence extension
// follows it (ISO/IEC 13818-2 §6.1.1.6). ffmpeg labels both as MPEG-2.
export function mpegVideo(bytes, pid) {
  const video = [];
  forEachPacket(bytes, (packet) => {
    if (pid13(packet, 1) === pid && video.length < 4 * PACKET_BYTES) video.push(...payloadOf(packet));
  });
  let isInHeader = false;
  for (let at = 0; at + 4 <= video.length; at++) {
    if (video[at] || video[at + 1] || video[at + 2] !== 1) continue;
    if (isInHeader) return video[at + 3] === 0xb5 ? "mpeg2" : "mpeg1";
    isInHeader = video[at + 3] === 0xb3;
  }
  return null;
}

function forEachPacket(bytes, visit) {
  for (let start = 0; start + PACKET_BYTES <= bytes.length; start += PACKET_BYTES) {
    visit(bytes.subarray(start, start + PACKET_BYTES));
  }
}

function payloadOf(packet) {
  if (!(packet[3] & 0x10)) return packet.subarray(PACKET_BYTES);
  return packet.subarray(packet[3] & 0x20 ? 5 + packet[4] : 4);
}

// 33 bits at 90 kHz, of which the last of its 26 hours may begin anew.
function timeOf(pes) {
  if (pes.length < 14 || pes[0] || pes[1] || pes[2] !== 1 || !(pes[7] & 0x80)) return null;
  const high = (pes[9] >> 1) & 7, middle = (pes[10] << 7) | (pes[11] >> 1), low = (pes[12] << 7) | (pes[13] >> 1);
  return (high * 2 ** 30 + middle * 2 ** 15 + low) / 90;
}

function sectionOf(packet) {
  const payload = payloadOf(packet);
  if (!(packet[1] & 0x40) || payload.length === 0) return null;
  const section = payload.subarray(1 + payload[0]);
  if (section.length < 12) return null;
  // Without the checksum.
  return section.subarray(0, 3 + length12(section, 1) - 4);
}

function firstProgram(pat) {
  for (let at = 8; at + 4 <= pat.length; at += 4) {
    if (pat[at] || pat[at + 1]) return pid13(pat, at + 2);
  }
  return null;
}

function forEachStream(pmt, visit) {
  let at = 12 + length12(pmt, 10);
  while (at + 5 <= pmt.length) {
    const end = at + 5 + length12(pmt, at + 3);
    visit(at, pmt[at], pmt.subarray(at + 5, end));
    at = end;
  }
}

function videoOf(type) {
  return VIDEO[type] ?? (OTHER_VIDEO.has(type) ? "other" : null);
}

// AC-3 in Europe is private data with a descriptor (ETSI EN 300 468 annex D).
function audioOf(type, descriptors) {
  if (type !== 0x06) return AUDIO[type] ?? null;
  for (let at = 0; at + 2 <= descriptors.length; at += 2 + descriptors[at + 1]) {
    if (descriptors[at] === 0x6a || descriptors[at] === 0x7a) return "ac3";
  }
  return null;
}

function pid13(bytes, at) {
  return ((bytes[at] & 0x1f) << 8) | bytes[at + 1];
}

function length12(bytes, at) {
  return ((bytes[at] & 0x0f) << 8) | bytes[at + 1];
}
