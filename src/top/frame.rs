//! What is shown, as lines of spans. Pure: what the size allows is decided here, how it looks is the terminal's business.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Snapshot;
use super::figures::{bytes, count, duration, percent, rate, time};
use crate::admin::api;

/// A lag from here on is worth a look, and one from there on is as long as most nodes allow.
const LAG_WARNING_SECONDS: f64 = 0.5;
const LAG_BAD_SECONDS: f64 = 1.5;

/// A thread that is busier than this is about to become the bottleneck.
const BUSY_WARNING_SHARE: f64 = 0.7;
const BUSY_BAD_SHARE: f64 = 0.9;

/// Rows that streams always get, if there are so many.
const STREAM_ROWS_MIN: usize = 3;

/// What is to be shown.
#[derive(Debug)]
pub struct View<'a> {
    /// Where it was asked.
    pub address: &'a str,
    /// What was seen last.
    pub snapshot: &'a Snapshot,
    /// Why there is nothing newer.
    pub trouble: Option<&'a str>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// From left to right.
    pub spans: Vec<Span>,
}

/// Letters that look the same.
#[derive(Clone, Debug)]
pub struct Span {
    /// No control characters.
    pub text: String,
    /// How it looks.
    pub tone: Tone,
}

/// How something looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Strong,
    Head,
    Faint,
    Good,
    Warning,
    Bad,
}

/// A column of a table: its head, its width, and which side its text stands at. One column has no width and takes what is
/// left.
struct Column {
    head: &'static str,
    width: Option<usize>,
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

const STREAM_COLUMNS: [Column; 9] = [
    left("STREAM"),
    Column { head: "STATE", width: Some(7), side: Side::Left },
    right("IN", 9),
    right("VIEWERS", 7),
    right("OUT", 9),
    right("LAG", 6),
    right("SKIPS", 6),
    right("ERRORS", 6),
    Column { head: "CODECS", width: Some(10), side: Side::Left },
];

const CLIENT_COLUMNS: [Column; 7] = [
    left("WORST RECEIVERS"),
    Column { head: "BY", width: Some(9), side: Side::Left },
    Column { head: "STREAM", width: Some(12), side: Side::Left },
    right("TIME", 9),
    right("LAG", 6),
    right("SKIPS", 6),
    right("SENT", 8),
];

const fn left(head: &'static str) -> Column {
    Column { head, width: None, side: Side::Left }
}

const fn right(head: &'static str, width: usize) -> Column {
    Column { head, width: Some(width), side: Side::Right }
}

/// Everything, however many lines that takes.
#[must_use]
pub fn whole(view: &View, width: usize) -> Vec<Line> {
    let snapshot = view.snapshot;
    compose(view, width, snapshot.streams.streams.len(), snapshot.clients.clients.len())
}

/// As much as the terminal has room for.
#[must_use]
pub fn fitted(view: &View, width: usize, height: usize) -> Vec<Line> {
    let (streams, clients) = (view.snapshot.streams.streams.len(), view.snapshot.clients.clients.len());
    let around = compose(view, width, 0, 0).len() + 1;
    let room = height.saturating_sub(around);
    // Receivers get what streams leave, but not less than half, unless there are fewer.
    let stream_rows = streams.min(room.saturating_sub(clients.min(room / 2)).max(STREAM_ROWS_MIN));
    let client_rows = clients.min(room.saturating_sub(stream_rows));
    let mut lines = compose(view, width, stream_rows, client_rows);
    lines.truncate(height.saturating_sub(1));
    lines.resize_with(height.saturating_sub(1), Line::default);
    let mut foot = Line::default();
    foot.add(" q quits", Tone::Faint);
    lines.push(foot.cut(width));
    lines.truncate(height);
    lines
}

fn compose(view: &View, width: usize, stream_rows: usize, client_rows: usize) -> Vec<Line> {
    let snapshot = view.snapshot;
    let mut lines = head(view);
    lines.push(Line::default());
    lines.push(table_head(&STREAM_COLUMNS, width));
    let mut streams: Vec<&api::Stream> = snapshot.streams.streams.iter().collect();
    if stream_rows < streams.len() {
        // If not all can be shown, those that matter to most.
        streams.sort_by_key(|stream| std::cmp::Reverse((stream.receivers.sum(), stream.live)));
    }
    lines.extend(streams.iter().take(stream_rows).map(|stream| stream_line(stream, width)));
    lines.push(Line::default());
    lines.push(table_head(&CLIENT_COLUMNS, width));
    let clients = snapshot.clients.clients.iter();
    lines.extend(clients.take(client_rows).map(|client| client_line(client, width)));
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn head(view: &View) -> Vec<Line> {
    let api::Streams { node, streams, next_hops } = &view.snapshot.streams;
    let receivers: u64 = streams.iter().map(|stream| stream.receivers.sum()).sum();
    let bits_in: u64 = streams.iter().map(|stream| stream.input.bits_per_second).sum();
    let bits_out: u64 = streams.iter().map(|stream| stream.output.bits_per_second).sum();
    let live = streams.iter().filter(|stream| stream.live).count();
    let mut first = Line::default();
    first.add(&format!(" {}", node.name), Tone::Strong);
    first.add(&format!("  tsstream {} at {}", node.version, view.address), Tone::Faint);
    match view.trouble {
        Some(trouble) => first.add(&format!("  NO ANSWER: {trouble}"), Tone::Bad),
        None => first.add(&format!("  up {}", duration(node.uptime_seconds)), Tone::Plain),
    }
    let mut second = Line::default();
    second.add(&format!(" {} of {} streams live", live, streams.len()), Tone::Plain);
    second.add(
        &format!("  {} receiver{}", count(receivers), if receivers == 1 { "" } else { "s" }),
        Tone::Strong,
    );
    second.add(&format!("  in {}  out {}", rate(bits_in), rate(bits_out)), Tone::Plain);
    if !next_hops.is_empty() {
        let connected = next_hops.iter().filter(|hop| hop.connected).count();
        let tone = if connected < next_hops.len() { Tone::Bad } else { Tone::Plain };
        second.add(&format!("  {connected} of {} next hops connected", next_hops.len()), tone);
    }
    vec![first, second, process(node), threads(node)]
}

fn process(node: &api::Node) -> Line {
    let mut line = Line::default();
    line.add(&format!(" memory {}", bytes(node.memory_bytes)), Tone::Plain);
    let used = node.descriptors as f64 / node.descriptors_max.max(1) as f64;
    let descriptors = format!("  descriptors {} of {}", count(node.descriptors), count(node.descriptors_max));
    line.add(&descriptors, grade(used, BUSY_WARNING_SHARE, BUSY_BAD_SHARE));
    let longest = node.threads.iter().map(|thread| thread.longest_turn_seconds).fold(0.0, f64::max);
    line.add(&format!("  longest turn {}", time(longest)), Tone::Plain);
    line
}

fn threads(node: &api::Node) -> Line {
    let mut line = Line::default();
    line.add(" busy:", Tone::Plain);
    for thread in &node.threads {
        let tone = grade(thread.busy_share, BUSY_WARNING_SHARE, BUSY_BAD_SHARE);
        line.add(&format!(" {} {} ", thread.name, percent(thread.busy_share)), tone);
    }
    line
}

fn stream_line(stream: &api::Stream, width: usize) -> Line {
    let (state, tone) = match (stream.live, stream.publisher.is_some()) {
        (true, _) if !stream.notices.is_empty() => ("live !", Tone::Warning),
        (true, _) => ("live", Tone::Good),
        (false, true) => ("begins", Tone::Warning),
        (false, false) => ("offline", Tone::Faint),
    };
    let input = &stream.input;
    let errors = input.sync_losses + input.continuity_errors + input.transport_errors + input.lost;
    let codecs: Vec<&str> = stream.video.iter().chain(&stream.audio).map(String::as_str).collect();
    let lag = stream.output.lag_seconds;
    table_line(
        &STREAM_COLUMNS,
        [
            (stream.name.clone(), if stream.live { Tone::Strong } else { Tone::Plain }),
            (state.to_owned(), tone),
            (rate(input.bits_per_second), Tone::Plain),
            (count(stream.receivers.sum()), Tone::Plain),
            (rate(stream.output.bits_per_second), Tone::Plain),
            (time(lag), grade(lag, LAG_WARNING_SECONDS, LAG_BAD_SECONDS)),
            (count(stream.output.skips), Tone::Plain),
            (count(errors), if errors > 0 { Tone::Warning } else { Tone::Plain }),
            (codecs.join(" "), Tone::Plain),
        ],
        width,
    )
}

fn client_line(client: &api::Client, width: usize) -> Line {
    let lag = client.lag_seconds;
    table_line(
        &CLIENT_COLUMNS,
        [
            (whose(client), Tone::Plain),
            (client.protocol.clone(), Tone::Plain),
            (client.stream.clone(), Tone::Plain),
            (duration(client.seconds), Tone::Plain),
            (time(lag), grade(lag, LAG_WARNING_SECONDS, LAG_BAD_SECONDS)),
            (count(client.skips), if client.skips > 0 { Tone::Warning } else { Tone::Plain }),
            (bytes(client.bytes), Tone::Plain),
        ],
        width,
    )
}

/// With its port, unless there is a proxy in between, which has the port.
fn whose(client: &api::Client) -> String {
    if client.peer.ip() == client.address { client.peer.to_string() } else { client.address.to_string() }
}

fn grade(value: f64, warning: f64, bad: f64) -> Tone {
    match value {
        _ if value >= bad => Tone::Bad,
        _ if value >= warning => Tone::Warning,
        _ => Tone::Plain,
    }
}

fn table_head<const COLUMNS: usize>(columns: &[Column; COLUMNS], width: usize) -> Line {
    let heads = columns.each_ref().map(|column| (column.head.to_owned(), Tone::Head));
    let mut line = table_line(columns, heads, width);
    line.spans.iter_mut().for_each(|span| span.tone = Tone::Head);
    line.add(&" ".repeat(width.saturating_sub(line.width())), Tone::Head);
    line
}

/// The fields side by side, a space before each.
fn table_line<const COLUMNS: usize>(
    columns: &[Column; COLUMNS],
    fields: [(String, Tone); COLUMNS],
    width: usize,
) -> Line {
    let fixed: usize = columns.iter().map(|column| 1 + column.width.unwrap_or(0)).sum();
    let rest = width.saturating_sub(fixed).max(4);
    let mut line = Line::default();
    for (column, (text, tone)) in columns.iter().zip(fields) {
        let room = column.width.unwrap_or(rest);
        let text = shortened(&clean(&text), room);
        let padding = " ".repeat(room - text.width());
        line.add(" ", Tone::Plain);
        match column.side {
            Side::Left => line.add(&format!("{text}{padding}"), tone),
            Side::Right => line.add(&format!("{padding}{text}"), tone),
        }
    }
    line
}

/// What another machine says must not speak to the terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// At most so wide, with an ellipsis for what is left out.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    for letter in text.chars() {
        if shown.width() + letter.width().unwrap_or(0) + 1 > width {
            break;
        }
        shown.push(letter);
    }
    if width > 0 {
        shown.push('…');
    }
    shown
}

impl Line {
    /// Without looks.
    #[must_use]
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }

    fn width(&self) -> usize {
        self.spans.iter().map(|span| span.text.width()).sum()
    }

    fn add(&mut self, text: &str, tone: Tone) {
        self.spans.push(Span { text: clean(text), tone });
    }

    /// Not wider than that.
    fn cut(mut self, width: usize) -> Line {
        let mut left = width;
        for span in &mut self.spans {
            span.text = shortened(&span.text, left);
            left -= span.text.width();
        }
        self
    }
}

#[cfg(test)]
mod tests;
