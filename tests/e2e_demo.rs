//! ffmpeg finds nothing to say of several turns of the demo's picture.

mod util;

use std::fs;
use std::io::{BufWriter, Write};

use tsstream::demo::Looper;
use util::{Directory, media};

const FRAMES_PER_SECOND: usize = 25;

#[test]
fn three_turns_decode_without_a_warning() {
    let directory = Directory::new("demo");
    let file = directory.file("turns.ts");
    let mut out = BufWriter::new(fs::File::create(&file).unwrap());
    for burst in Looper::default().take(30 * FRAMES_PER_SECOND) {
        out.write_all(&burst.packets).unwrap();
    }
    drop(out);
    assert_eq!(media::codecs(&file), ["mpeg1video", "mp2"]);
    assert_eq!(media::decode_strictly(&file), "");
    assert_eq!(media::continuity_errors(&file), [""; 0]);
}
