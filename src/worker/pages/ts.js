// What the page itself reads of an MPEG transport stream (ISO/IEC 13818-1): which codecs, and where it jumps.
// Every message holds whole packets.

const PACKET_BYTES = 188;

const VIDEO = { 0x01: "mpeg1", 0x02: "mpeg2", 0x1b: "h264", 0x24: "hevc" };
const AUDIO = { 0x03: "mpeg", 0x04: "mpeg", 0x0f: "aac", 0x11: "aac", 0x81: "ac3", 0x87: "ac3" };

// Whether the node has put a jump in front of what follows: a skip of a receiver that was too slow, or a new publisher.
// Its first packet is nothing but an adaptation field with the discontinuity_indicator.
export function isJump(bytes) {
  return bytes.length >= PACKET_BYTES && (bytes[3] & 0x30) === 0x20 && bytes[4] > 0 && (bytes[5] & 0x80) !== 0;
}

// Follows PAT and PMT of the first program.
export class Tables {
  #pmtPid = -1;

  // The codecs, as { video, audio }, null where there is none; or null if these packets have no PMT.
  read(bytes) {
    let program = null;
    this.#forEachSection(bytes, (section) => {
      program = { video: null, audio: null };
      forEachStream(section, (at, type, descriptors) => {
        program.video ??= VIDEO[type] ?? null;
        program.audio ??= audioOf(type, descriptors);
      });
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
    for (let start = 0; start + PACKET_BYTES <= bytes.length; start += PACKET_BYTES) {
      const packet = bytes.subarray(start, start + PACKET_BYTES);
      const pid = ((packet[1] & 0x1f) << 8) | packet[2];
      if (pid !== 0 && pid !== this.#pmtPid) continue;
      const section = sectionOf(packet);
      if (pid === 0 && section?.[0] === 0x00) this.#pmtPid = firstProgram(section) ?? this.#pmtPid;
      if (pid !== 0 && section?.[0] === 0x02) visit(section);
    }
  }
}

function sectionOf(packet) {
  const starts = packet[1] & 0x40, hasPayload = packet[3] & 0x10, hasField = packet[3] & 0x20;
  if (!starts || !hasPayload) return null;
  const payload = hasField ? 5 + packet[4] : 4;
  const section = packet.subarray(payload + 1 + packet[payload]);
  if (section.length < 12) return null;
  // Without the checksum.
  return section.subarray(0, 3 + length12(section, 1) - 4);
}

function firstProgram(pat) {
  for (let at = 8; at + 4 <= pat.length; at += 4) {
    if (pat[at] || pat[at + 1]) return length12(pat, at + 2) | ((pat[at + 2] & 0x10) << 8);
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

// AC-3 in Europe is private data with a descriptor (ETSI EN 300 468 annex D).
function audioOf(type, descriptors) {
  if (type !== 0x06) return AUDIO[type] ?? null;
  for (let at = 0; at + 2 <= descriptors.length; at += 2 + descriptors[at + 1]) {
    if (descriptors[at] === 0x6a || descriptors[at] === 0x7a) return "ac3";
  }
  return null;
}

function length12(bytes, at) {
  return ((bytes[at] & 0x0f) << 8) | bytes[at + 1];
}
