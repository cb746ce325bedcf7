//! ffmpeg and ffprobe: what is pushed, and what they say of what was received.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use super::wait_until;

/// What a stream is coded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codecs {
    /// What jsmpeg plays.
    Mpeg1Mp2,
    /// What `-c:v libx264 -f mpegts` alone gives.
    H264Mp2,
    /// What mpegts.js plays.
    H264Aac,
}

impl Codecs {
    /// All of them.
    pub const ALL: [Codecs; 3] = [Codecs::Mpeg1Mp2, Codecs::H264Mp2, Codecs::H264Aac];

    /// As ffprobe names them: video, audio.
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Codecs::Mpeg1Mp2 => ["mpeg1video", "mp2"],
            Codecs::H264Mp2 => ["h264", "mp2"],
            Codecs::H264Aac => ["h264", "aac"],
        }
    }

    /// Keyframes come when they are due and at no other time.
    fn arguments(self) -> &'static [&'static str] {
        const NEVER: &str = "1000000000";
        match self {
            Codecs::Mpeg1Mp2 => &["-c:v", "mpeg1video", "-bf", "0", "-sc_threshold", NEVER, "-c:a", "mp2"],
            Codecs::H264Mp2 => {
                &["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-c:a", "mp2"]
            }
            Codecs::H264Aac => {
                &["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-c:a", "aac"]
            }
        }
    }
}

/// A picture to push.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    /// What it is coded in.
    pub codecs: Codecs,
    /// How long it is.
    pub seconds: u32,
    /// From one keyframe to the next.
    pub keyframe_seconds: u32,
    /// Of the video.
    pub kilobits_per_second: u32,
}

impl Clip {
    /// The clip as an MPEG-TS file, made when first asked for.
    pub fn file(self) -> PathBuf {
        static MAKING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = MAKING.lock();
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("media");
        std::fs::create_dir_all(&directory).expect("a directory for media");
        let Clip { codecs, seconds, keyframe_seconds, kilobits_per_second } = self;
        let file =
            directory.join(format!("{codecs:?}-{seconds}s-{keyframe_seconds}s-{kilobits_per_second}k.ts"));
        if !file.exists() {
            // Under a name of its own until it is complete: other test processes may be looking.
            let partial = file.with_extension(format!("{}.part", std::process::id()));
            self.make(&partial);
            std::fs::rename(&partial, &file).expect("the file can be renamed");
        }
        file
    }

    /// The content of [`file`](Self::file).
    pub fn bytes(self) -> Vec<u8> {
        std::fs::read(self.file()).expect("the clip can be read")
    }

    fn make(self, file: &Path) {
        let rate = format!("{}k", self.kilobits_per_second);
        // Noise makes the picture need the bits that it is given.
        let picture = "testsrc2=size=320x180:rate=25,noise=alls=40:allf=t".to_string();
        let frames = (self.keyframe_seconds * 25).to_string();
        let mut command = ffmpeg("error");
        command.args(["-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", "sine=sample_rate=48000"]);
        command.args(["-t", &self.seconds.to_string(), "-pix_fmt", "yuv420p"]).args(self.codecs.arguments());
        command.args(["-g", &frames, "-keyint_min", &frames]);
        command
            .args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate, "-b:a", "96k", "-f", "mpegts"])
            .arg(file);
        let said = output(command);
        assert!(file.exists(), "ffmpeg made no {}: {said}", file.display());
    }
}

/// A running ffmpeg that pushes, killed with the value.
pub struct Push {
    process: Child,
    said: Option<JoinHandle<String>>,
}

/// How often a file is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// For so many seconds, from the start again whenever it ends.
    Seconds(u32),
}

/// Pushes a file in real time as it is, `output` being the arguments that say where to: `-f mpegts tcp://…`.
pub fn push(file: &Path, repeat: Repeat, output: &[&str]) -> Push {
    let mut command = ffmpeg("error");
    command.arg("-re");
    if let Repeat::Seconds(_) = repeat {
        command.args(["-stream_loop", "-1"]);
    }
    command.arg("-i").arg(file).args(["-map", "0", "-c", "copy"]);
    if let Repeat::Seconds(seconds) = repeat {
        command.args(["-t", &seconds.to_string()]);
    }
    command.args(["-muxdelay", "0.001", "-flush_packets", "1"]).args(output);
    Push::start(command)
}

impl Push {
    /// Runs any command that pushes.
    pub fn start(mut command: Command) -> Push {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stderr = process.stderr.take().expect("stderr is a pipe");
        let said = thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        Push { process, said: Some(said) }
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait(&mut self, limit: std::time::Duration) -> ExitStatus {
        super::wait_until_within(limit, "ffmpeg to end", || {
            self.process.try_wait().expect("a child can be waited for").is_some()
        });
        self.process.wait().expect("a child can be waited for")
    }

    /// What it said, once it has ended.
    pub fn said(&mut self) -> String {
        self.said.take().map(|thread| thread.join().expect("stderr can be read")).unwrap_or_default()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        let _ = self.process.kill();
        wait_until("ffmpeg to be gone", || self.process.try_wait().is_ok_and(|status| status.is_some()));
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What ffmpeg says at level `error` when it decodes the file: nothing, if the file is sound.
pub fn decode(file: &Path) -> String {
    said_when_decoding(file, "error")
}

/// What ffmpeg says at level `warning` when it decodes the file.
pub fn decode_strictly(file: &Path) -> String {
    said_when_decoding(file, "warning")
}

/// Lines in which ffmpeg's demultiplexer complains of a continuity counter.
pub fn continuity_errors(file: &Path) -> Vec<String> {
    let said = said_when_decoding(file, "debug");
    said.lines().filter(|line| line.contains("Continuity check failed")).map(str::to_owned).collect()
}

/// The codecs of the file by ffprobe's names.
pub fn codecs(file: &Path) -> Vec<String> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "default=nw=1:nk=1"]).arg(file);
    // A stream is listed with its program and once more on its own.
    let mut names = Vec::new();
    for name in output(command).lines().filter(|line| !line.is_empty()) {
        if !names.contains(&name.to_owned()) {
            names.push(name.to_owned());
        }
    }
    names
}

fn said_when_decoding(file: &Path, level: &str) -> String {
    let mut command = ffmpeg(level);
    command.arg("-i").arg(file).args(["-map", "0", "-f", "null", "-"]);
    let said = output(command);
    // Without the addresses of ffmpeg's objects, which are others in each run: "[h264 @ 0x55dcacb1aa1c0] …".
    let words = said.split(' ').filter(|word| *word != "@" && !word.starts_with("0x")).collect::<Vec<_>>();
    words.join(" ")
}

fn ffmpeg(level: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-threads", "1", "-v", level]);
    command
}

/// Standard output and error of a command.
fn output(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{:?}: {error} (tools/test installs what the tests need)", command.get_program())
    });
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
