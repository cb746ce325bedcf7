//! Whether what comes in pieces is UTF-8 (RFC 6455 §8.1), known as soon as it can be.

/// The most bytes of a character that may be missing its rest.
const TAIL_BYTES_MAX: usize = 3;

/// Bytes looked at in one go, without those kept from before.
const PIECE_BYTES: usize = 256;

/// A text so far: the start of a character whose rest is still to come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    tail: [u8; TAIL_BYTES_MAX],
    tail_len: u8,
}

/// It is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Text {
    /// Takes more of it, `masked` by `mask` from its byte `offset` on.
    pub fn extend(&mut self, masked: &[u8], mask: [u8; 4], offset: usize) -> Result<(), NotUtf8> {
        let mut mask = mask.iter().cycle().skip(offset % 4);
        for piece in masked.chunks(PIECE_BYTES) {
            let mut text = [0; TAIL_BYTES_MAX + PIECE_BYTES];
            let tail_len = usize::from(self.tail_len);
            text[..tail_len].copy_from_slice(&self.tail[..tail_len]);
            let text = &mut text[..tail_len + piece.len()];
            for ((plain, byte), mask) in text[tail_len..].iter_mut().zip(piece).zip(&mut mask) {
                *plain = byte ^ mask;
            }
            self.keep_tail(text)?;
        }
        Ok(())
    }

    /// It is complete, and so must its last character be.
    pub fn end(self) -> Result<(), NotUtf8> {
        if self.tail_len == 0 { Ok(()) } else { Err(NotUtf8) }
    }

    fn keep_tail(&mut self, text: &[u8]) -> Result<(), NotUtf8> {
        let rest = match std::str::from_utf8(text) {
            Ok(_) => &[],
            Err(error) if error.error_len().is_none() => &text[error.valid_up_to()..],
            Err(_) => return Err(NotUtf8),
        };
        // A character that lacks its end has at most three bytes.
        self.tail[..rest.len()].copy_from_slice(rest);
        self.tail_len = rest.len() as u8;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// Takes `plain` in pieces of `length`; whether it was refused, and after how many bytes.
    fn take(plain: &[u8], length: usize) -> Result<(), usize> {
        let masked: Vec<u8> = plain.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let mut text = Text::default();
        for (index, piece) in masked.chunks(length).enumerate() {
            let end = index * length + piece.len();
            text.extend(piece, MASK, index * length).map_err(|NotUtf8| end)?;
        }
        text.end().map_err(|NotUtf8| usize::MAX)
    }

    #[test]
    fn what_is_none_is_known_at_once() {
        for (plain, refused_after) in [
            (&b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"[..], 7),
            (b"\xce\xba\xf4\x90\x80\x80", 4),
            (b"abc\x80", 4),
            (b"\xc0\xaf", 1),
            (b"\xf0\x80", 2),
            (b"\xff", 1),
            (b"\xce\xba\xe1\xbd", usize::MAX),
        ] {
            assert_eq!(take(plain, 1), Err(refused_after), "{}", plain.escape_ascii());
        }
        assert_eq!(take("\0κόσμε\u{10ffff}\u{fffe}".as_bytes(), 1), Ok(()));
    }

    proptest! {
        #[test]
        fn it_agrees_with_what_sees_all_at_once(
            plain in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..12),
                ".{0,200}".prop_map(String::into_bytes),
                "[a\u{7ff}\u{ffff}\u{10ffff}]{60,100}".prop_map(|text| text.as_bytes()[..text.len() - 1].to_vec()),
            ],
            length in 1_usize..300,
        ) {
            prop_assert_eq!(take(&plain, length).is_ok(), std::str::from_utf8(&plain).is_ok());
        }
    }
}
