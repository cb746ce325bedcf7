//! Which MPEG video a keyframe is: in MPEG-2 a sequence extension follows each sequence header (ISO/IEC 13818-2
//! §6.1.1.6), in MPEG-1 none does.

use super::VideoCodec;

const SEQUENCE_HEADER: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;

/// A sequence header without quantiser matrices, after its start code. Nothing in it looks like a start code.
const HEADER_BYTES_MIN: usize = 8;

/// What `payload`, the start of a keyframe, is coded in; `None` if that is not to be seen in it.
pub(crate) fn codec(payload: &[u8]) -> Option<VideoCodec> {
    let (_, rest) = start_codes(payload).find(|(code, _)| *code == SEQUENCE_HEADER)?;
    let (next, _) = start_codes(rest.get(HEADER_BYTES_MIN..)?).next()?;
    Some(if next == EXTENSION { VideoCodec::Mpeg2 } else { VideoCodec::Mpeg1 })
}

/// Each start code, and what follows it.
fn start_codes(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    bytes.windows(4).enumerate().filter_map(|(at, window)| match *window {
        [0, 0, 1, code] => Some((code, &bytes[at + 4..])),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PES_HEADER: [u8; 14] = [0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
    const HEADER: [u8; 12] = [0, 0, 1, 0xb3, 0x28, 0x01, 0x68, 0x13, 0xff, 0xff, 0xe0, 0x18];
    const GROUP: [u8; 8] = [0, 0, 1, 0xb8, 0, 8, 0, 0x40];

    #[test]
    fn the_extension_tells_them_apart() {
        let extension = [0, 0, 1, 0xb5, 0x14, 0x8a, 0, 1, 0, 0];
        let of = |parts: &[&[u8]]| codec(&parts.concat());
        assert_eq!(of(&[&PES_HEADER, &HEADER, &GROUP]), Some(VideoCodec::Mpeg1));
        assert_eq!(of(&[&PES_HEADER, &HEADER, &extension, &GROUP]), Some(VideoCodec::Mpeg2));
        let mut with_matrix = HEADER;
        with_matrix[11] |= 2;
        assert_eq!(of(&[&PES_HEADER, &with_matrix, &[16; 64], &extension]), Some(VideoCodec::Mpeg2));
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        let whole = [&PES_HEADER[..], &HEADER, &GROUP].concat();
        for end in 0..PES_HEADER.len() + HEADER.len() + 4 {
            assert_eq!(codec(&whole[..end]), None, "{end}");
        }
        assert_eq!(codec(&[&PES_HEADER[..], &GROUP].concat()), None);
    }
}
