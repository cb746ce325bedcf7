//! One program: what its PMT says (ISO/IEC 13818-1 §2.4.4.8).

use super::{AudioCodec, Codecs, VideoCodec};

/// Table id of a PMT section.
pub(crate) const TABLE_ID_PMT: u8 = 2;

/// Descriptor that names a format by four letters (§2.6.8).
const REGISTRATION: u8 = 0x05;

/// The map of a program to its elementary streams. A PMT is always a single section.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramMap {
    /// The section it was read from, with its CRC.
    pub section: Vec<u8>,
    /// PID of the clock; [`PID_NULL`](super::packet::PID_NULL) if there is none.
    pub pcr_pid: u16,
    /// PID of the first video stream.
    pub video_pid: Option<u16>,
    /// PID of the first audio stream.
    pub audio_pid: Option<u16>,
    /// What those two are coded in.
    pub codecs: Codecs,
    /// Every elementary stream. At most 201, by the length of a section.
    pub pids: Vec<u16>,
}

impl ProgramMap {
    /// Reads an intact `section`; `None` if it is no PMT that is valid now.
    pub fn parse(section: &[u8]) -> Option<ProgramMap> {
        let [TABLE_ID_PMT, _, _, _, _, validity, _, _, pcr_high, pcr_low, info_high, info_low, ref rest @ ..] =
            *section.strip_suffix(section.last_chunk::<4>()?)?
        else {
            return None;
        };
        if validity & 1 == 0 {
            return None;
        }
        let mut map = ProgramMap {
            section: section.to_vec(),
            pcr_pid: pid(pcr_high, pcr_low),
            ..ProgramMap::default()
        };
        let mut streams = rest.get(length(info_high, info_low)..)?;
        while let [stream_type, pid_high, pid_low, info_high, info_low, ref rest @ ..] = *streams {
            let (descriptors, later) = rest.split_at_checked(length(info_high, info_low))?;
            map.add(pid(pid_high, pid_low), stream_type, descriptors);
            streams = later;
        }
        Some(map)
    }

    fn add(&mut self, pid: u16, stream_type: u8, descriptors: &[u8]) {
        self.pids.push(pid);
        match media(stream_type, descriptors) {
            Some(Media::Video(codec)) if self.video_pid.is_none() => {
                self.video_pid = Some(pid);
                self.codecs.video = Some(codec);
            }
            Some(Media::Audio(codec)) if self.audio_pid.is_none() => {
                self.audio_pid = Some(pid);
                self.codecs.audio = Some(codec);
            }
            _ => (),
        }
    }
}

/// 13 bits below three reserved ones.
pub(crate) fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

/// 12 bits below four reserved ones.
fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0f, low]))
}

enum Media {
    Video(VideoCodec),
    Audio(AudioCodec),
}

/// By ISO/IEC 13818-1 table 2-34; from 0x80 on by ATSC A/53 and the registrations in common use.
fn media(stream_type: u8, descriptors: &[u8]) -> Option<Media> {
    Some(match stream_type {
        0x01 => Media::Video(VideoCodec::Mpeg1),
        0x02 => Media::Video(VideoCodec::Mpeg2),
        0x1b => Media::Video(VideoCodec::H264),
        0x24 => Media::Video(VideoCodec::Hevc),
        // MPEG-4 part 2, JPEG 2000, VVC, the three AVS, Dirac, VC-1.
        0x10 | 0x21 | 0x33 | 0x42 | 0xd2 | 0xd4 | 0xd1 | 0xea => Media::Video(VideoCodec::Other(stream_type)),
        0x03 | 0x04 => Media::Audio(AudioCodec::Mpeg),
        0x0f | 0x11 => Media::Audio(AudioCodec::Aac),
        0x81 | 0x87 => Media::Audio(AudioCodec::Ac3),
        // MPEG-4 raw, MPEG-H (two), DTS (four), TrueHD.
        0x1c | 0x2d | 0x2e | 0x82 | 0x85 | 0x86 | 0x8a | 0x83 => Media::Audio(AudioCodec::Other(stream_type)),
        0x06 => return private_media(descriptors),
        _ => return None,
    })
}

/// `stream_type` 0x06, private data, says what it is by descriptors: registration, or those of ETSI EN 300 468 §6.
fn private_media(descriptors: &[u8]) -> Option<Media> {
    let mut rest = descriptors;
    while let [tag, len, ref later @ ..] = *rest {
        let (body, later) = later.split_at_checked(usize::from(len))?;
        rest = later;
        return Some(match (tag, body) {
            (0x6a | 0x7a, _)
            | (REGISTRATION, [b'A', b'C', b'-', b'3', ..] | [b'E', b'A', b'C', b'3', ..]) => {
                Media::Audio(AudioCodec::Ac3)
            }
            (0x7c, _) => Media::Audio(AudioCodec::Aac),
            (0x7b, _) | (REGISTRATION, [b'O', b'p', b'u', b's', ..]) => Media::Audio(AudioCodec::Other(0x06)),
            (REGISTRATION, [b'H', b'E', b'V', b'C', ..]) => Media::Video(VideoCodec::Hevc),
            (REGISTRATION, [b'A', b'V', b'0', b'1', ..]) => Media::Video(VideoCodec::Other(0x06)),
            _ => continue,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ts::testing::{pmt_section, with_crc};

    #[test]
    fn names_the_codecs() {
        let registration = |name: &[u8; 4]| [&[5, 4], &name[..]].concat();
        for (stream_type, descriptors, video, audio) in [
            (0x01, vec![], Some(VideoCodec::Mpeg1), None),
            (0x02, vec![], Some(VideoCodec::Mpeg2), None),
            (0x1b, vec![], Some(VideoCodec::H264), None),
            (0x24, vec![], Some(VideoCodec::Hevc), None),
            (0x33, vec![], Some(VideoCodec::Other(0x33)), None),
            (0x06, registration(b"AV01"), Some(VideoCodec::Other(6)), None),
            (0x03, vec![], None, Some(AudioCodec::Mpeg)),
            (0x0f, vec![], None, Some(AudioCodec::Aac)),
            (0x81, registration(b"AC-3"), None, Some(AudioCodec::Ac3)),
            (0x06, vec![0x0a, 4, b'd', b'e', b'u', 0, 0x6a, 1, 0], None, Some(AudioCodec::Ac3)),
            (0x06, registration(b"Opus"), None, Some(AudioCodec::Other(6))),
            (0x06, vec![0x56, 0], None, None),
            (0x06, vec![0x6a, 9], None, None),
        ] {
            let map =
                ProgramMap::parse(&pmt_section(1, 0x100, &[(stream_type, 0x100, &descriptors)])).unwrap();
            assert_eq!(map.codecs, Codecs { video, audio }, "{stream_type:#x} {descriptors:x?}");
            assert_eq!(map.video_pid, video.map(|_| 0x100));
        }
    }

    #[test]
    fn the_first_of_each_kind_counts() {
        let section = pmt_section(
            1,
            0x1ff,
            &[
                (0x05, 0x50, &[]),
                (0x0f, 0x60, &[]),
                (0x1b, 0x70, &[5, 4, b'H', b'D', b'M', b'V']),
                (0x24, 0x80, &[]),
                (0x03, 0x90, &[]),
            ],
        );
        let map = ProgramMap::parse(&section).unwrap();
        assert_eq!((map.video_pid, map.audio_pid, map.pcr_pid), (Some(0x70), Some(0x60), 0x1ff));
        assert_eq!(map.codecs, Codecs { video: Some(VideoCodec::H264), audio: Some(AudioCodec::Aac) });
        assert_eq!(map.pids, [0x50, 0x60, 0x70, 0x80, 0x90]);
    }

    #[test]
    fn what_does_not_hold_together_is_no_map() {
        let good = pmt_section(1, 0x100, &[(0x1b, 0x100, &[1, 2, 3, 4])]);
        assert!(ProgramMap::parse(&good).is_some());
        for cut in 0..good.len() - 4 {
            let mut section = good[..cut].to_vec();
            with_crc(&mut section);
            // Cut between two streams it is still a map.
            assert!(ProgramMap::parse(&section).is_none_or(|map| map.pids.is_empty()), "{cut}");
        }
        let mut not_yet = good;
        not_yet[5] &= !1;
        assert_eq!(ProgramMap::parse(&not_yet), None);
    }
}
