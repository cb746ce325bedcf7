//! A small multiplexer for tests. It counts as it should, so that what a test breaks is what it breaks.

use std::collections::HashMap;
use std::time::Instant;

use crate::chunk::TS_PACKET_BYTES;

use super::packet::{PID_NULL, PID_PAT, Packet, Pcr, SYNC_BYTE};
use super::psi::{crc_32, packet_count, packetise};

/// Makes packets of made-up programs.
#[derive(Debug, Default)]
pub(crate) struct Mux {
    out: Vec<u8>,
    programs: Vec<(u16, u16)>,
    maps: Vec<(u16, Vec<Vec<u8>>)>,
    counters: HashMap<u16, u8>,
    version: u8,
    frames: u64,
}

/// An elementary stream in a PMT: `stream_type`, PID, descriptors.
pub(crate) type Stream<'a> = (u8, u16, &'a [u8]);

impl Mux {
    pub const MAP: u16 = 0x1000;
    pub const VIDEO: u16 = 0x100;
    pub const AUDIO: u16 = 0x101;

    /// Without a program.
    pub fn new() -> Mux {
        Mux::default()
    }

    /// One program: H.264 and AAC, the clock on the video.
    pub fn with_video_and_audio() -> Mux {
        let mut mux = Mux::new();
        mux.add_program(1, Mux::MAP, Mux::VIDEO, &[(0x1b, Mux::VIDEO, &[]), (0x0f, Mux::AUDIO, &[])]);
        mux
    }

    /// One program: MP2 alone.
    pub fn with_audio() -> Mux {
        let mut mux = Mux::new();
        mux.add_program(1, Mux::MAP, Mux::AUDIO, &[(0x03, Mux::AUDIO, &[])]);
        mux
    }

    pub fn add_program(&mut self, number: u16, map_pid: u16, pcr_pid: u16, streams: &[Stream]) {
        self.programs.push((number, map_pid));
        let section = pmt_section(number, pcr_pid, streams);
        match self.maps.iter_mut().find(|(pid, _)| *pid == map_pid) {
            Some((_, sections)) => sections.push(section),
            None => self.maps.push((map_pid, vec![section])),
        }
    }

    /// Starts over with other programs, as another version of the PAT; counters go on.
    pub fn drop_programs(&mut self) {
        self.programs.clear();
        self.maps.clear();
        self.version += 1;
    }

    /// PAT and PMTs.
    pub fn tables(&mut self) -> &mut Mux {
        self.pat();
        for (pid, sections) in self.maps.clone() {
            self.sections(pid, &sections);
        }
        self
    }

    pub fn pat(&mut self) -> &mut Mux {
        let section = pat_section(&self.programs, self.version);
        self.sections(PID_PAT, &[section])
    }

    pub fn sections(&mut self, pid: u16, sections: &[Vec<u8>]) -> &mut Mux {
        let sections: Vec<_> = sections.iter().map(Vec::as_slice).collect();
        for _ in 0..packet_count(&sections) {
            self.count(pid);
        }
        packetise(pid, &sections, self.counters[&pid], &mut self.out);
        self
    }

    /// A video frame of `packets` packets that starts with the clock and `random_access_indicator`.
    pub fn keyframe(&mut self, packets: usize) -> &mut Mux {
        self.frames += 1;
        let Pcr(pcr) = clock(self.frames);
        let field = [&[7, 0x50], &pcr[..]].concat();
        self.packet(Mux::VIDEO, 0x40, &field).rest(Mux::VIDEO, packets - 1)
    }

    /// A video frame of `packets` packets.
    pub fn video_frame(&mut self, packets: usize) -> &mut Mux {
        self.packet(Mux::VIDEO, 0x40, &[]).rest(Mux::VIDEO, packets - 1)
    }

    /// A frame of audio in two packets, marked for random access as ffmpeg does.
    pub fn audio_frame(&mut self) -> &mut Mux {
        self.packet(Mux::AUDIO, 0x40, &[1, 0x40]).rest(Mux::AUDIO, 1)
    }

    /// A packet with payload and nothing else to say.
    pub fn raw(&mut self, pid: u16) -> &mut Mux {
        self.packet(pid, 0, &[])
    }

    /// Packets that carry nothing, whose counter stands still.
    pub fn nulls(&mut self, packets: usize) -> &mut Mux {
        for _ in 0..packets {
            self.counters.remove(&PID_NULL);
            self.raw(PID_NULL);
        }
        self
    }

    /// The packets made since it was last called.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn rest(&mut self, pid: u16, packets: usize) -> &mut Mux {
        for _ in 0..packets {
            self.raw(pid);
        }
        self
    }

    /// With an adaptation `field`, its length included, unless that is empty.
    fn packet(&mut self, pid: u16, flags: u8, field: &[u8]) -> &mut Mux {
        let counter = self.count(pid);
        let [high, low] = pid.to_be_bytes();
        let control = if field.is_empty() { 0x10 } else { 0x30 };
        let number = self.out.len() as u64 / 188;
        self.out.extend_from_slice(&[SYNC_BYTE, flags | high, low, control | counter]);
        self.out.extend_from_slice(field);
        // No two payloads are alike, and no sync byte is in any.
        let filler = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().map(|byte| byte | 0x80);
        self.out.extend(filler.iter().cycle().take(TS_PACKET_BYTES - 4 - field.len()));
        self
    }

    fn count(&mut self, pid: u16) -> u8 {
        let counter = self.counters.entry(pid).or_insert(15);
        *counter = (*counter + 1) & 0x0f;
        *counter
    }
}

/// A clock with the base `base`, in units of 1/90,000 s.
pub(crate) fn clock(base: u64) -> Pcr {
    let [.., a, b, c, d, e, f] = (base << 15 | 0x7e00).to_be_bytes();
    Pcr([a, b, c, d, e, f])
}

/// Where the clock of a test begins.
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}

/// The packets that `bytes` consist of.
pub(crate) fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let (packets, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "whole packets");
    packets.iter().map(|packet| {
        assert_eq!(packet[0], SYNC_BYTE);
        Packet::new(packet)
    })
}

pub(crate) fn pat_section(programs: &[(u16, u16)], version: u8) -> Vec<u8> {
    let mut section = vec![0, 0, 0, 0, 1, 0xc1 | version << 1, 0, 0];
    for (number, pid) in programs {
        section.extend_from_slice(&number.to_be_bytes());
        section.extend_from_slice(&(0xe000 | pid).to_be_bytes());
    }
    finish(section)
}

pub(crate) fn pmt_section(number: u16, pcr_pid: u16, streams: &[Stream]) -> Vec<u8> {
    let mut section = vec![2, 0, 0, 0, 0, 0xc1, 0, 0, 0, 0, 0xf0, 0];
    section[3..5].copy_from_slice(&number.to_be_bytes());
    section[8..10].copy_from_slice(&(0xe000 | pcr_pid).to_be_bytes());
    for (stream_type, pid, descriptors) in streams {
        section.push(*stream_type);
        section.extend_from_slice(&(0xe000 | pid).to_be_bytes());
        section.extend_from_slice(&(0xf000 | descriptors.len() as u16).to_be_bytes());
        section.extend_from_slice(descriptors);
    }
    finish(section)
}

fn finish(mut section: Vec<u8>) -> Vec<u8> {
    let length = section.len() as u16 + 4 - 3;
    assert!(length <= 1021);
    section[1..3].copy_from_slice(&(0xb000 | length).to_be_bytes());
    with_crc(&mut section);
    section
}

/// Appends the CRC of what is there.
pub(crate) fn with_crc(section: &mut Vec<u8>) {
    let crc = crc_32(section);
    section.extend_from_slice(&crc.to_be_bytes());
}
