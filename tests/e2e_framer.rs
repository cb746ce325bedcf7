//! What the framer makes of real streams, in the judgement of ffmpeg.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tsstream::chunk::{Entry, Sealed};
use tsstream::config::Format;
use tsstream::ingest::framer::{Framer, FramerSettings};
use tsstream::proto::ts::{AudioCodec, Codecs, VideoCodec};

const MPEG2_MP2: &[&str] = &["-c:v", "mpeg2video", "-c:a", "mp2"];
const H264_AAC: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"];
const H264_AC3: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3"];

#[test]
fn a_receiver_that_joins_at_a_keyframe_has_a_whole_stream() {
    for (arguments, video, audio) in [
        (MPEG2_MP2, VideoCodec::Mpeg2, AudioCodec::Mpeg),
        (H264_AAC, VideoCodec::H264, AudioCodec::Aac),
        (H264_AC3, VideoCodec::H264, AudioCodec::Ac3),
    ] {
        let stream = record(arguments);
        let mut framer = framer();
        let chunks = publish(&mut framer, &stream);

        assert_eq!(framer.codecs(), Codecs { video: Some(video), audio: Some(audio) });
        let health = framer.health();
        assert_eq!((health.continuity_errors, health.crc_errors, health.bytes_dropped), (0, 0, 0));
        assert!(stream.ends_with(&bodies(&chunks)), "what leaves is a run of what came");
        assert_eq!(health.bytes_before_entry + bodies(&chunks).len() as u64, stream.len() as u64);

        let keyframes = keyframes(&chunks);
        assert_eq!(keyframes.len(), 4);
        for keyframe in keyframes {
            let join = entry(&chunks[keyframe]).join.payload();
            assert_eq!(complaints(&[join, &bodies(&chunks[keyframe..])].concat()), [""; 0], "{arguments:?}");
        }
    }
}

#[test]
fn a_receiver_that_jumps_sees_no_break() {
    for arguments in [MPEG2_MP2, H264_AAC] {
        let chunks = publish(&mut framer(), &record(arguments));
        let keyframes = keyframes(&chunks);
        for (leave, arrive) in
            [(1, 2), (1, 3), (2, 3)].map(|(leave, arrive)| (keyframes[leave], keyframes[arrive]))
        {
            let (before, after) = (bodies(&chunks[..leave]), bodies(&chunks[arrive..]));
            let jump = entry(&chunks[arrive]).jump.payload();
            assert_eq!(
                complaints(&[&before, jump, &after].concat()),
                [""; 0],
                "{arguments:?} {leave} {arrive}"
            );
            assert_ne!(complaints(&[before, after].concat()), [""; 0], "without the jump there is a break");
        }
    }
}

#[test]
fn a_new_publisher_is_jumped_to_as_well() {
    let mut framer = framer();
    let before = publish(&mut framer, &record(MPEG2_MP2));
    let stream = record(MPEG2_MP2);
    // From its start, and from the middle of a packet, as after a lost connection.
    for missing in [0, stream.len() / 3] {
        let after = publish(&mut framer, &stream[missing..]);
        assert!(after[0].follows_discontinuity && after[0].entry.is_some());
        let jump = entry(&after[0]).jump.payload();
        assert_eq!(complaints(&[&bodies(&before), jump, &bodies(&after)].concat()), [""; 0]);
    }
}

/// Two seconds of a test picture, with a keyframe every half second.
fn record(codecs: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=24",
            "-f",
            "lavfi",
            "-i",
            "sine",
        ])
        .args(["-t", "2", "-g", "12", "-pix_fmt", "yuv420p"])
        .args(codecs)
        .args(["-f", "mpegts", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn framer() -> Framer {
    Framer::new(FramerSettings { format: Format::Ts, coalesce: Duration::from_millis(2), quiet: None })
}

/// One publisher's session, in portions as ffmpeg sends over UDP, a millisecond apart.
fn publish(framer: &mut Framer, stream: &[u8]) -> Vec<Sealed> {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let mut now = Instant::now();
    let mut sealed = Vec::new();
    framer.start_session(now);
    for portion in stream.chunks(1472) {
        framer.push(portion, now, &mut sealed);
        now += Duration::from_millis(1);
        framer.seal_due(now, &mut sealed);
    }
    framer.end_session(&mut sealed);
    sealed
}

fn keyframes(chunks: &[Sealed]) -> Vec<usize> {
    (0..chunks.len()).filter(|&at| chunks[at].entry.is_some()).collect()
}

fn entry(chunk: &Sealed) -> &Entry {
    chunk.entry.as_ref().expect("an entry point")
}

fn bodies(chunks: &[Sealed]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| chunk.body.payload()).copied().collect()
}

/// What ffmpeg says when it decodes `stream`: warnings, and the continuity errors that it mentions in passing only.
fn complaints(stream: &[u8]) -> Vec<String> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-nostats", "-v", "level+debug", "-f", "mpegts", "-i", "pipe:0", "-f", "null", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    let mut input = ffmpeg.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(stream).expect("ffmpeg reads all"));
        ffmpeg.wait_with_output().expect("ffmpeg ends")
    });
    assert!(output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    let is_complaint = |line: &&str| {
        ["[warning]", "[error]", "[fatal]", "Continuity check failed"].iter().any(|word| line.contains(word))
    };
    log.lines().filter(is_complaint).map(str::to_owned).collect()
}
