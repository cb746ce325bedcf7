//! The cases of the Autobahn test suite's fuzzing client, by its numbers, as far as they are about a server that has
//! nothing to do with what clients say: 2 pings and pongs, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing,
//! 9 limits. Where the original awaits an echo, the connection must stay open here and answer a ping. 1 is nothing but
//! echoes; 10, 12 and 13 are about extensions, of which there are none.

mod util;

use std::ops::RangeInclusive;

use util::node::Node;
use util::raw::{Frames, masked};

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [dispatch]\nProtocol = CUSTOM\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = FINAL | 8;
const PING: u8 = FINAL | 9;
const PONG: u8 = FINAL | 10;

/// The largest message that is put up with, and what it is closed with beyond.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// How what a client sends is cut into writes.
#[derive(Clone, Copy)]
enum Writes {
    Whole,
    Frames,
    Octets,
}

/// A server, and what it is to make of what.
struct Suite {
    node: Node,
}

impl Suite {
    fn start() -> Suite {
        Suite { node: Node::start(NODE) }
    }

    /// A client sends `frames`; it gets a pong for each of `pongs`, and is then still connected.
    #[track_caller]
    fn stays(&self, case: &str, frames: &[Vec<u8>], writes: Writes, pongs: &[&[u8]]) {
        let mut client = self.send(frames, writes);
        for pong in pongs {
            assert_eq!(client.next_control(), (PONG, pong.to_vec()), "{case}");
        }
        client.send(&masked(PING, b"the end"));
        assert_eq!(client.next_control(), (PONG, b"the end".to_vec()), "{case}");
        client.send(&masked(CLOSE, &1000_u16.to_be_bytes()));
        assert_eq!(client.close_code(), 1000, "{case}");
    }

    /// A client sends `frames`; it gets a pong for each of `pongs`, and is then closed with `code`, in order.
    #[track_caller]
    fn closes(&self, case: &str, frames: &[Vec<u8>], writes: Writes, pongs: &[&[u8]], code: u16) {
        let mut client = self.send(frames, writes);
        for pong in pongs {
            assert_eq!(client.next_control(), (PONG, pong.to_vec()), "{case}");
        }
        let (first, payload) = client.next_control();
        assert_eq!((first, u16::from_be_bytes([payload[0], payload[1]])), (CLOSE, code), "{case}");
        assert!(client.next().unwrap().is_none(), "{case}: nothing follows a close frame");
    }

    fn send(&self, frames: &[Vec<u8>], writes: Writes) -> Frames {
        let mut client = Frames::open(self.node.address("custom"), "/");
        match writes {
            Writes::Whole => client.send(&frames.concat()),
            Writes::Frames => frames.iter().for_each(|frame| client.send(frame)),
            Writes::Octets => frames.concat().iter().for_each(|octet| client.send(&[*octet])),
        }
        client
    }
}

#[test]
fn cases_2_pings_and_pongs() {
    let suite = Suite::start();
    let binary = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    for (case, payload) in
        [("2.1", &b""[..]), ("2.2", b"Hello, world!"), ("2.3", binary), ("2.4", &[0xfe; 125])]
    {
        suite.stays(case, &[masked(PING, payload)], Writes::Whole, &[payload]);
    }
    suite.closes("2.5", &[masked(PING, &[0xfe; 126])], Writes::Whole, &[], 1002);
    suite.stays("2.6", &[masked(PING, &[0xfe; 125])], Writes::Octets, &[&[0xfe; 125]]);
    suite.stays("2.7", &[masked(PONG, b"")], Writes::Whole, &[]);
    suite.stays("2.8", &[masked(PONG, b"unasked for")], Writes::Whole, &[]);
    suite.stays("2.9", &[masked(PONG, b"unasked for"), masked(PING, b"ping")], Writes::Whole, &[b"ping"]);
    let payloads: Vec<String> = (0..10).map(|number| format!("payload-{number}")).collect();
    let pings: Vec<_> = payloads.iter().map(|payload| masked(PING, payload.as_bytes())).collect();
    let pongs: Vec<_> = payloads.iter().map(String::as_bytes).collect();
    suite.stays("2.10", &pings, Writes::Whole, &pongs);
    suite.stays("2.11", &pings, Writes::Octets, &pongs);
}

#[test]
fn cases_3_reserved_bits() {
    let suite = Suite::start();
    let hello = |first| masked(first, b"Hello, world!");
    let reserved = |bits: u8, first| hello(first | bits << 4);
    suite.closes("3.1", &[reserved(1, FINAL | TEXT)], Writes::Whole, &[], 1002);
    let frames = [hello(FINAL | TEXT), reserved(2, FINAL | TEXT), masked(PING, b"")];
    suite.closes("3.2", &frames, Writes::Whole, &[], 1002);
    suite.closes("3.3", &frames[..2], Writes::Frames, &[], 1002);
    suite.closes("3.4", &[hello(FINAL | TEXT), reserved(4, FINAL | TEXT)], Writes::Octets, &[], 1002);
    suite.closes("3.5", &[reserved(5, FINAL | BINARY)], Writes::Whole, &[], 1002);
    suite.closes("3.6", &[reserved(6, PING)], Writes::Whole, &[], 1002);
    suite.closes("3.7", &[masked(CLOSE | 7 << 4, b"")], Writes::Whole, &[], 1002);
}

#[test]
fn cases_4_opcodes() {
    let suite = Suite::start();
    for (section, opcodes) in [(1, 3..=7_u8), (2, 11..=15)] {
        for (number, opcode) in (1..).zip(opcodes) {
            let case = format!("4.{section}.{number}");
            let unknown = |payload: &[u8]| masked(FINAL | opcode, payload);
            match number {
                1 => suite.closes(&case, &[unknown(b"")], Writes::Whole, &[], 1002),
                2 => suite.closes(&case, &[unknown(b"reserved")], Writes::Whole, &[], 1002),
                _ => {
                    let text = masked(FINAL | TEXT, b"Hello, world!");
                    let writes = [Writes::Whole, Writes::Frames, Writes::Octets][number - 3];
                    let payload: &[u8] = if number == 3 { b"" } else { b"reserved" };
                    suite.closes(&case, &[text, unknown(payload)], writes, &[], 1002);
                }
            }
        }
    }
}

#[test]
fn cases_5_fragmentation() {
    let suite = Suite::start();
    let frame = |first, payload: &str| masked(first, payload.as_bytes());
    let rest = || frame(FINAL | CONTINUATION, "rest");
    let writes = [Writes::Whole, Writes::Frames, Writes::Octets];
    suite.closes("5.1", &[masked(PING & !FINAL, b"frag"), rest()], Writes::Whole, &[], 1002);
    suite.closes("5.2", &[masked(PONG & !FINAL, b"frag"), rest()], Writes::Whole, &[], 1002);
    for (number, writes) in (0..).zip(writes) {
        suite.stays(&format!("5.{}", 3 + number), &[frame(TEXT, "frag"), rest()], writes, &[]);
        let between = [frame(TEXT, "frag"), frame(PING, "ping"), rest()];
        suite.stays(&format!("5.{}", 6 + number), &between, writes, &[b"ping"]);
        let continues_nothing = [rest(), frame(FINAL | TEXT, "Hello, world!")];
        suite.closes(&format!("5.{}", 9 + number), &continues_nothing, writes, &[], 1002);
        let never_ends = [frame(CONTINUATION, "more"), frame(FINAL | TEXT, "Hello, world!")];
        suite.closes(&format!("5.{}", 12 + number), &never_ends, writes, &[], 1002);
    }
    let after_the_end =
        [frame(TEXT, "frag"), rest(), frame(CONTINUATION, "more"), frame(FINAL | TEXT, "text")];
    suite.closes("5.15", &after_the_end, Writes::Whole, &[], 1002);
    let twice = [frame(CONTINUATION, "1"), frame(TEXT, "2"), rest()];
    suite.closes("5.16", &[&twice[..], &twice].concat(), Writes::Whole, &[], 1002);
    let twice = [rest(), frame(TEXT, "2"), rest()];
    suite.closes("5.17", &[&twice[..], &twice].concat(), Writes::Whole, &[], 1002);
    suite.closes("5.18", &[frame(TEXT, "1"), frame(FINAL | TEXT, "2")], Writes::Whole, &[], 1002);
    let in_five = [
        frame(TEXT, "1"),
        frame(CONTINUATION, "2"),
        frame(PING, "first"),
        frame(CONTINUATION, "3"),
        frame(CONTINUATION, "4"),
        frame(PING, "second"),
        frame(FINAL | CONTINUATION, "5"),
    ];
    suite.stays("5.19", &in_five, Writes::Frames, &[b"first", b"second"]);
    suite.stays("5.20", &in_five, Writes::Whole, &[b"first", b"second"]);
}

/// A text in one frame, in one frame octet by octet, and in a frame for each octet.
fn texts(text: &[u8]) -> [(Vec<Vec<u8>>, Writes); 3] {
    let whole = || vec![masked(FINAL | TEXT, text)];
    let mut octets: Vec<_> = text.iter().map(|octet| masked(CONTINUATION, &[*octet])).collect();
    octets.insert(0, masked(TEXT, b""));
    octets.push(masked(FINAL | CONTINUATION, b""));
    [(whole(), Writes::Whole), (whole(), Writes::Octets), (octets, Writes::Whole)]
}

#[test]
fn cases_6_utf8_that_is() {
    let suite = Suite::start();
    let valid = |case: &str, text: &[u8]| {
        for (frames, writes) in texts(text) {
            suite.stays(case, &frames, writes, &[]);
        }
    };
    valid("6.1.1 to 6.1.3", b"");
    valid("6.2", "Hello-µ@ßöäüàá-UTF-8!!".as_bytes());
    let word = "κόσμε";
    for (end, _) in word.char_indices().skip(1).chain([(word.len(), ' ')]) {
        valid("6.5, and 6.6 where a character ends", &word.as_bytes()[..end]);
    }
    for first_of_a_length in ['\0', '\u{80}', '\u{800}', '\u{10000}'] {
        valid("6.7", first_of_a_length.to_string().as_bytes());
    }
    for last_of_a_length in ['\u{7f}', '\u{7ff}', '\u{ffff}', '\u{10ffff}'] {
        valid("6.9", last_of_a_length.to_string().as_bytes());
    }
    valid("6.11.1 to 6.11.4", "\u{d7ff}\u{e000}\u{fffd}\u{10ffff}".as_bytes());
    // U+FFFE and U+FFFF of every plane, and those of the block at U+FDD0.
    for plane in 0..=16_u32 {
        let last: String =
            [0xfffe, 0xffff].iter().filter_map(|low| char::from_u32(plane << 16 | low)).collect();
        valid("6.22", last.as_bytes());
    }
    let specials: String = ('\u{fff9}'..='\u{fffd}').chain('\u{fdd0}'..='\u{fdef}').collect();
    valid("6.23", specials.as_bytes());
}

#[test]
fn cases_6_utf8_that_is_none() {
    let suite = Suite::start();
    let invalid = |case: &str, text: &[u8]| {
        for (frames, writes) in texts(text) {
            suite.closes(case, &frames, writes, &[], 1007);
        }
    };
    let word = "κόσμε".as_bytes();
    invalid("6.3", &[word, b"\xed\xa0\x80", b"edited"].concat());
    for end in (1..word.len()).filter(|end| std::str::from_utf8(&word[..*end]).is_err()) {
        invalid("6.6 where a character does not end", &word[..end]);
    }
    // The first bytes of two to six, as UTF-8 once went.
    let starts: [(u8, usize); 5] = [(0xc2, 1), (0xe0, 2), (0xf0, 3), (0xf8, 4), (0xfc, 5)];
    let sequence = |start: u8, rest: u8, count: usize| [vec![start], vec![rest; count]].concat();
    for (start, count) in &starts[3..] {
        invalid("6.8", &sequence(*start, 0x80, *count));
    }
    for (start, count) in [(0xf7, 3), (0xfb, 4), (0xfd, 5)] {
        invalid("6.10", &sequence(start, 0xbf, count));
    }
    invalid("6.11.5", b"\xf4\x90\x80\x80");
    for count in 1..=6 {
        invalid("6.12", &b"\x80\xbf\x80\xbf\x80\xbf"[..count]);
    }
    let lonely = |starts: RangeInclusive<u8>| starts.flat_map(|start| [start, b' ']).collect::<Vec<_>>();
    for starts in [0xc0..=0xdf, 0xe0..=0xef, 0xf0..=0xf7, 0xf8..=0xfb, 0xfc..=0xfd] {
        invalid("6.13", &lonely(starts));
    }
    let mut all = Vec::new();
    for (start, count) in starts {
        for cut_off in [sequence(start, 0x80, count - 1), sequence(start, 0xbf, count - 1)] {
            invalid("6.14", &cut_off);
            all.extend(cut_off);
        }
    }
    invalid("6.15", &all);
    for impossible in [&b"\xfe"[..], b"\xff", b"\xfe\xfe\xff\xff"] {
        invalid("6.16", impossible);
    }
    for count in 1..=5_usize {
        let start = [0xc0, 0xe0, 0xf0, 0xf8, 0xfc][count - 1];
        let overlong = |last: u8| [vec![start], vec![0x80; count - 1], vec![last]].concat();
        invalid("6.17, a slash", &overlong(0xaf));
        invalid("6.19, a zero", &overlong(0x80));
    }
    for longest in [
        &b"\xc1\xbf"[..],
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf8\x87\xbf\xbf\xbf",
        b"\xfc\x83\xbf\xbf\xbf\xbf",
    ] {
        invalid("6.18", longest);
    }
    for surrogate in [0xd800_u16, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff] {
        invalid("6.20", &of_three(surrogate));
        for second in [0xdc00, 0xdfff].into_iter().filter(|_| surrogate < 0xdc00) {
            invalid("6.21", &[of_three(surrogate), of_three(second)].concat());
        }
    }
}

/// A code unit as UTF-8 would have it if it were a character.
fn of_three(unit: u16) -> [u8; 3] {
    [0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]
}

#[test]
fn cases_6_4_what_is_none_is_known_before_the_rest_has_come() {
    let suite = Suite::start();
    for bad in [&b"\xf4\x90\x80\x80"[..], b"\xf4\x90"] {
        let first = masked(TEXT, "κόσμε".as_bytes());
        let second = masked(CONTINUATION, bad);
        suite.closes("6.4.1, 6.4.2", &[first.clone(), second.clone()], Writes::Frames, &[], 1007);
        // A frame of which the rest is never sent.
        let cut_off = masked(FINAL | CONTINUATION, &[bad, &[b'x'; 50]].concat())[..6 + bad.len()].to_vec();
        suite.closes("6.4.3, 6.4.4", &[first, cut_off], Writes::Octets, &[], 1007);
    }
}

#[test]
fn cases_7_closing() {
    let suite = Suite::start();
    let close = |code: u16, reason: &[u8]| masked(CLOSE, &[&code.to_be_bytes(), reason].concat());
    let text = || masked(FINAL | TEXT, b"Hello, world!");
    suite.closes("7.1.1", &[text(), close(1000, b"")], Writes::Whole, &[], 1000);
    suite.closes("7.1.2", &[close(1000, b""), close(1000, b"")], Writes::Whole, &[], 1000);
    suite.closes("7.1.3", &[close(1000, b""), masked(PING, b"")], Writes::Whole, &[], 1000);
    suite.closes("7.1.4", &[close(1000, b""), text()], Writes::Whole, &[], 1000);
    let within = [masked(TEXT, b"frag"), close(1000, b""), masked(FINAL | CONTINUATION, b"rest")];
    suite.closes("7.1.5", &within, Writes::Whole, &[], 1000);
    let large = masked(FINAL | TEXT, &vec![b'*'; 256 * 1024]);
    suite.closes("7.1.6", &[large[..1000].to_vec(), close(1000, b"")], Writes::Whole, &[], 1009);
    suite.closes("7.3.1", &[masked(CLOSE, b"")], Writes::Whole, &[], 1000);
    suite.closes("7.3.2", &[masked(CLOSE, b"a")], Writes::Whole, &[], 1002);
    suite.closes("7.3.3", &[close(1000, b"")], Writes::Whole, &[], 1000);
    suite.closes("7.3.4", &[close(1000, b"Hello, world!")], Writes::Whole, &[], 1000);
    suite.closes("7.3.5", &[close(1000, &[b'*'; 123])], Writes::Whole, &[], 1000);
    suite.closes("7.3.6", &[close(1000, &[b'*'; 124])], Writes::Whole, &[], 1002);
    let not_utf8 = close(1000, &["κόσμε".as_bytes(), b"\xed\xa0\x80edited"].concat());
    suite.closes("7.5.1", &[not_utf8], Writes::Whole, &[], 1007);
    let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    for (number, code) in (1..).zip(good) {
        suite.closes(&format!("7.7.{number}"), &[close(code, b"")], Writes::Whole, &[], code);
    }
    for (number, code) in (1..).zip([0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]) {
        suite.closes(&format!("7.9.{number}"), &[close(code, b"")], Writes::Whole, &[], 1002);
    }
    for (number, code) in (1..).zip([5000, 65_535]) {
        suite.closes(&format!("7.13.{number}"), &[close(code, b"")], Writes::Whole, &[], 1002);
    }
}

#[test]
fn cases_9_limits() {
    let suite = Suite::start();
    for (section, kind) in [(1, TEXT), (2, BINARY)] {
        let largest = vec![b'*'; MESSAGE_BYTES_MAX];
        suite.stays(&format!("9.{section}.1"), &[masked(FINAL | kind, &largest)], Writes::Whole, &[]);
        for larger in [MESSAGE_BYTES_MAX + 1, 256 << 10, 16 << 20] {
            let header = masked(FINAL | kind, &vec![0; larger])[..14].to_vec();
            suite.closes(&format!("9.{section}.2 to .6"), &[header], Writes::Whole, &[], 1009);
        }
    }
    for (section, kind) in [(3, TEXT), (4, BINARY)] {
        for fragment_bytes in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10] {
            let count = MESSAGE_BYTES_MAX / fragment_bytes;
            let fragment = |first| masked(first, &vec![b'*'; fragment_bytes]);
            let mut fragments = vec![fragment(kind)];
            fragments.extend((1..count).map(|_| fragment(CONTINUATION)));
            let ended = [&fragments[..], &[masked(FINAL | CONTINUATION, b"")]].concat();
            suite.stays(&format!("9.{section}, as large as may be"), &ended, Writes::Whole, &[]);
            fragments.push(masked(CONTINUATION, b"*")[..6].to_vec());
            suite.closes(&format!("9.{section}, a byte more"), &fragments, Writes::Whole, &[], 1009);
        }
    }
    for (section, kind) in [(5, TEXT), (6, BINARY)] {
        let message = masked(FINAL | kind, &vec![b'*'; 4 << 10]);
        suite.stays(&format!("9.{section}"), &[message], Writes::Octets, &[]);
    }
    for (section, kind) in [(7, TEXT), (8, BINARY)] {
        for bytes in [0, 16, 64, 256, 1 << 10, 4 << 10] {
            let messages = vec![masked(FINAL | kind, &vec![b'*'; bytes]); 1_000];
            suite.stays(&format!("9.{section} with {bytes} bytes"), &messages, Writes::Whole, &[]);
        }
    }
}
