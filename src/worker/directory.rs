//! The list of streams that the page shows: which are live, at what rate, for how many viewers. Pure but for reading
//! counters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::shard::Shard;
use crate::config::Buffer;
use crate::mailbox::StreamId;
use crate::metrics::{InputMetrics, OutputMetrics};
use crate::proto::ts::{AudioCodec, VideoCodec};

/// A rate is a mean over so long, and the list is made anew as often at the most.
const SAMPLE_TIME: Duration = Duration::from_secs(2);

/// The most streams that are listed, those first in the configuration: some 120 bytes each.
const STREAMS_MAX: usize = 500;

/// All pages together are to ask the node for its list so many times a second at the most, each of them ...
const ASKED_PER_SECOND_MAX: u64 = 200;

/// ... at least so often, and no more often, in seconds.
const ASK_AGAIN_SECONDS: (u64, u64) = (5, 300);

/// The list as one worker keeps it, so that it is made once for all who ask.
#[derive(Debug)]
pub struct Directory {
    input: Arc<InputMetrics>,
    output: Arc<OutputMetrics>,
    sampled_at: Instant,
    /// By stream.
    samples: Vec<Sample>,
    /// As made since the last sample.
    list: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// What had come in by then.
    bytes: u64,
    /// `None` before there have been two samples.
    bits_per_second: Option<u64>,
}

#[derive(Serialize)]
struct List<'a> {
    streams: Vec<Listed<'a>>,
    /// Streams that there are beyond those.
    left_out: usize,
    /// When a page is to ask again, in seconds.
    ask_again: u64,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    live: bool,
    video: Option<&'static str>,
    audio: Option<&'static str>,
    bits_per_second: Option<u64>,
    viewers: u64,
}

impl Directory {
    /// Of the streams that these count.
    #[must_use]
    pub fn new(input: Arc<InputMetrics>, output: Arc<OutputMetrics>, now: Instant) -> Directory {
        let samples = input.streams.iter().map(|stream| Sample::first(stream.bytes.value())).collect();
        Directory { samples, input, output, sampled_at: now, list: None }
    }

    /// Takes a sample of the rates, if it is time to.
    pub fn tick(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.sampled_at);
        if elapsed < SAMPLE_TIME {
            return;
        }
        self.sampled_at = now;
        self.list = None;
        for (index, stream) in self.input.streams.iter().enumerate() {
            let bytes = stream.bytes.value();
            match self.samples.get_mut(index) {
                Some(sample) => *sample = sample.next(bytes, elapsed),
                // There are further streams since.
                None => self.samples.push(Sample::first(bytes)),
            }
        }
    }

    /// The list as JSON. `shard` knows what is live.
    pub fn json(&mut self, streams: &[(String, Buffer)], shard: &Shard) -> &str {
        if self.list.is_none() {
            let list = self.list(streams, shard);
            self.list = Some(serde_json::to_string(&list).unwrap_or_default());
        }
        self.list.as_deref().unwrap_or_default()
    }

    fn list<'a>(&self, streams: &'a [(String, Buffer)], shard: &Shard) -> List<'a> {
        let listed = streams.iter().enumerate().take(STREAMS_MAX).map(|(index, (name, _))| {
            let status = shard.status(StreamId(index));
            Listed {
                name,
                live: status.live,
                video: status.codecs.video.map(video_token),
                audio: status.codecs.audio.map(audio_token),
                bits_per_second: self.samples.get(index).and_then(|sample| sample.bits_per_second),
                viewers: self.viewers(index),
            }
        });
        let viewers = (0..streams.len()).map(|index| self.viewers(index)).sum::<u64>();
        let (seconds_min, seconds_max) = ASK_AGAIN_SECONDS;
        List {
            streams: listed.collect(),
            left_out: streams.len().saturating_sub(STREAMS_MAX),
            ask_again: (viewers / ASKED_PER_SECOND_MAX).clamp(seconds_min, seconds_max),
        }
    }

    fn viewers(&self, index: usize) -> u64 {
        let counts = self.output.workers.iter().filter_map(|worker| worker.get(index));
        counts.map(|count| count.websocket.value() + count.http.value() + count.tcp.value()).sum()
    }
}

impl Sample {
    fn first(bytes: u64) -> Sample {
        Sample { bytes, bits_per_second: None }
    }

    fn next(self, bytes: u64, elapsed: Duration) -> Sample {
        let bits = bytes.saturating_sub(self.bytes) as f64 * 8.0;
        Sample { bytes, bits_per_second: Some((bits / elapsed.as_secs_f64()) as u64) }
    }
}

/// What a video codec is called in JSON.
#[must_use]
pub fn video_token(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::Mpeg1 => "mpeg1",
        VideoCodec::Mpeg2 => "mpeg2",
        VideoCodec::H264 => "h264",
        VideoCodec::Hevc => "hevc",
        VideoCodec::Other(_) => "other",
    }
}

/// What an audio codec is called in JSON.
#[must_use]
pub fn audio_token(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Mpeg => "mpeg",
        AudioCodec::Aac => "aac",
        AudioCodec::Ac3 => "ac3",
        AudioCodec::Other(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};
    use serde_json::{Value, json};

    use super::*;
    use crate::mailbox::{StreamStatus, WorkerId, mailbox};
    use crate::proto::ts::Codecs;

    struct Bench {
        directory: Directory,
        streams: Vec<(String, Buffer)>,
        shard: Shard,
        now: Instant,
    }

    impl Bench {
        fn new(streams: usize) -> Bench {
            let poll = Poll::new().unwrap();
            let (ingest, _) = mailbox(1, poll.registry(), Token(0)).unwrap();
            let buffer = Buffer { time: Duration::from_secs(10), bytes: 1 << 20 };
            #[allow(clippy::disallowed_methods, reason = "any instant will do to begin with")]
            let now = Instant::now();
            let output = Arc::new(OutputMetrics::new(2, streams, 0));
            Bench {
                directory: Directory::new(InputMetrics::new(streams).into(), output, now),
                streams: (0..streams).map(|number| (format!("s{number}"), buffer)).collect(),
                shard: Shard::new((0..streams).map(|_| buffer), ingest, WorkerId(0)),
                now,
            }
        }

        fn after(&mut self, time: Duration) {
            self.now += time;
            self.directory.tick(self.now);
        }

        fn list(&mut self) -> Value {
            serde_json::from_str(self.directory.json(&self.streams, &self.shard)).unwrap()
        }
    }

    #[test]
    fn says_what_is_live_at_what_rate_for_how_many() {
        let mut bench = Bench::new(2);
        let codecs = Codecs { video: Some(VideoCodec::Mpeg1), audio: Some(AudioCodec::Mpeg) };
        let status = StreamStatus { live: true, codecs, ..StreamStatus::default() };
        bench.shard.set_status(StreamId(1), Arc::new(status));
        assert_eq!(bench.list()["streams"][1]["bits_per_second"], Value::Null, "not known yet");

        bench.directory.input.streams[1].bytes.add(1_000_000);
        bench.directory.output.workers[0][1].websocket.set(3);
        bench.directory.output.workers[1][1].http.set(1);
        bench.directory.output.workers[1][1].tcp.set(1);
        bench.after(Duration::from_secs(4));
        let idle = json!({
            "name": "s0", "live": false, "video": null, "audio": null, "bits_per_second": 0, "viewers": 0,
        });
        let live = json!({
            "name": "s1", "live": true, "video": "mpeg1", "audio": "mpeg", "bits_per_second": 2_000_000, "viewers": 5,
        });
        assert_eq!(bench.list(), json!({ "streams": [idle, live], "left_out": 0, "ask_again": 5 }));
    }

    #[test]
    fn it_is_made_once_for_all_who_ask() {
        let mut bench = Bench::new(1);
        bench.list();
        bench.directory.output.workers[0][0].websocket.set(7);
        bench.after(SAMPLE_TIME / 2);
        assert_eq!(bench.list()["streams"][0]["viewers"], 0);
        bench.after(SAMPLE_TIME / 2);
        assert_eq!(bench.list()["streams"][0]["viewers"], 7);
    }

    #[test]
    fn it_is_bounded_and_so_is_the_asking() {
        let mut bench = Bench::new(STREAMS_MAX + 7);
        bench.directory.output.workers[0][STREAMS_MAX + 1].websocket.set(20_000);
        let list = bench.list();
        assert_eq!((list["streams"].as_array().unwrap().len(), &list["left_out"]), (STREAMS_MAX, &json!(7)));
        assert_eq!(list["ask_again"], 100);
        bench.directory.output.workers[0][0].http.set(10_000_000);
        bench.after(SAMPLE_TIME);
        assert_eq!(bench.list()["ask_again"], 300);
    }
}
