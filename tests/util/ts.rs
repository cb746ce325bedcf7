//! As much of MPEG-TS as the tests need to judge by, apart from the program's own.

/// Bytes of a packet.
pub const PACKET: usize = 188;

/// The PID of the video in what ffmpeg makes.
pub const VIDEO_PID: u16 = 0x100;

/// The packets of `bytes`, which must be whole ones.
#[track_caller]
pub fn packets(bytes: &[u8]) -> std::slice::ChunksExact<'_, u8> {
    assert_eq!(bytes.len() % PACKET, 0, "whole packets");
    assert!(bytes.iter().step_by(PACKET).all(|&byte| byte == 0x47), "each begins with a sync byte");
    bytes.chunks_exact(PACKET)
}

/// Packet identifier.
pub fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// A PES packet or a table begins here.
pub fn is_start(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

/// Continuity counter.
pub fn continuity(packet: &[u8]) -> u8 {
    packet[3] & 0x0f
}

/// A picture begins here that needs none before it.
pub fn is_keyframe(packet: &[u8]) -> bool {
    let random_access = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x40 != 0;
    pid(packet) == VIDEO_PID && is_start(packet) && random_access
}

/// Where in `bytes` keyframes begin.
pub fn keyframes(bytes: &[u8]) -> Vec<usize> {
    let starts = bytes.chunks_exact(PACKET).enumerate().filter(|(_, packet)| is_keyframe(packet));
    starts.map(|(index, _)| index * PACKET).collect()
}

/// What a receiver got, taken apart.
#[derive(Debug)]
pub struct Joined {
    /// How many bytes of tables came before what was published.
    pub preamble_bytes: usize,
    /// Where in what was published the rest begins.
    pub start: usize,
}

/// The most packets that may precede what was published: PAT and PMT, each of one packet in what ffmpeg makes.
const PREAMBLE_PACKETS: usize = 2;

/// Checks that `captured` is PAT, PMT and then a run of `published` that begins with a keyframe (or with tables right
/// before one); says so in words if it is not.
pub fn joined(captured: &[u8], published: &[u8]) -> Result<Joined, String> {
    if captured.len() < 8 * PACKET || !captured.len().is_multiple_of(PACKET) {
        return Err(format!("{} bytes captured", captured.len()));
    }
    let preamble_bytes = PREAMBLE_PACKETS * PACKET;
    let (preamble, run) = captured.split_at(preamble_bytes);
    let pids: Vec<u16> = preamble.chunks_exact(PACKET).map(pid).collect();
    if pids != [0, 0x1000] {
        return Err(format!("PAT and PMT do not come first, but {pids:x?}"));
    }
    let first_video = run.chunks_exact(PACKET).find(|packet| pid(packet) == VIDEO_PID);
    if !first_video.is_some_and(is_keyframe) {
        return Err("the first video packet does not begin a keyframe".into());
    }
    let key = &run[..4 * PACKET];
    let start = (0..published.len()).step_by(PACKET).find(|&at| published[at..].starts_with(key));
    let start = start.ok_or("what came after the preamble was never published")?;
    let same = run.iter().zip(&published[start..]).take_while(|(got, sent)| got == sent).count();
    if same < run.len() {
        return Err(format!("{same} bytes of {} are as published from {start} on", run.len()));
    }
    Ok(Joined { preamble_bytes, start })
}

/// Takes what was captured apart into runs of what was published, each further on than the one before, and says where in
/// the latter each is; the first comes after PAT and PMT, every other after discontinuity indicators, PAT and PMT. Each
/// begins with a keyframe (or with tables right before one). Says so in words if it is not so.
pub fn runs(captured: &[u8], published: &[u8]) -> Result<Vec<std::ops::Range<usize>>, String> {
    if captured.len() < 8 * PACKET || !captured.len().is_multiple_of(PACKET) {
        return Err(format!("{} bytes captured", captured.len()));
    }
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut rest = captured;
    while !rest.is_empty() {
        let marks = rest.chunks_exact(PACKET).take_while(|packet| is_discontinuity(packet)).count();
        let place = captured.len() - rest.len();
        if (marks == 0) != runs.is_empty() {
            return Err(format!("{marks} discontinuity indicators at {place}, after {runs:?}"));
        }
        rest = &rest[marks * PACKET..];
        let tables: Vec<u16> = rest.chunks_exact(PACKET).take(PREAMBLE_PACKETS).map(pid).collect();
        if tables != [0, 0x1000] {
            return Err(format!("PAT and PMT do not come first at {place}, but {tables:x?}"));
        }
        rest = rest.get(PREAMBLE_PACKETS * PACKET..).unwrap_or_default();
        let first_video = rest.chunks_exact(PACKET).find(|packet| pid(packet) == VIDEO_PID);
        if !first_video.is_some_and(is_keyframe) {
            return Err(format!("no keyframe begins the run at {place}"));
        }
        let key = &rest[..rest.len().min(4 * PACKET)];
        let from = runs.last().map_or(0, |last| last.end);
        let start = (from..published.len()).step_by(PACKET).find(|&at| published[at..].starts_with(key));
        let start = start.ok_or(format!("what comes at {place} was never published after {from}"))?;
        let both = rest.chunks_exact(PACKET).zip(published[start..].chunks_exact(PACKET));
        let length = both.take_while(|(got, sent)| got == sent).count() * PACKET;
        rest = &rest[length..];
        runs.push(start..start + length);
    }
    Ok(runs)
}

/// A packet that says that neither counter nor clock continue, and nothing else.
fn is_discontinuity(packet: &[u8]) -> bool {
    packet[3] & 0x30 == 0x20 && packet[4] > 0 && packet[5] & 0x80 != 0
}
