//! Where one receiver stands in its stream, and which bytes it is sent next. Pure: it knows no socket and no clock.
//!
//! An outbox has no queue and no copy of the stream. It points into the ring, which all receivers of a worker share;
//! how far a receiver lags is a subtraction. Only while a chunk is sent in part does the outbox hold on to that one
//! chunk, so that it can be finished after the ring has dropped it: a WebSocket frame can't be cut short.

use std::time::{Duration, Instant};

use crate::chunk::{Chunk, Framed, SharedChunk};
use crate::proto::relay::Origin;
use crate::ring::Ring;

/// The most bytes of control frames that wait for the end of the chunk in flight. Answers to pings beyond this are
/// not sent: RFC 6455 §5.5.3 lets an endpoint answer the latest ping only.
const URGENT_BYTES_MAX: usize = 512;

/// In which form a receiver is sent chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// WebSocket frames.
    Frames,
    /// The same, each chunk after its stamp.
    Relayed,
    /// The stream's own bytes.
    Payloads,
}

/// What goes before the first chunk that a receiver is sent, or is sent after a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Join,
    Jump,
}

/// Where one begins that finds several places to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    /// At the newest: all of them were there when it came.
    Newest,
    /// At the first: none was there, and it has waited for them.
    First,
}

/// How far the outbox has come with the chunk that it points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is sent until there is an entry with this number or a later one.
    Waiting(Lead, Pick),
    /// Nothing is sent until there is a chunk with this number or a later one.
    WaitingLive(Pick),
    /// Nothing is sent until there is any chunk; then what follows `after`, if that can be told.
    Resuming,
    /// The chunk before was sent; whether something goes before this one is seen when it is there.
    Next,
    /// The bytes before the chunk.
    Lead(Lead),
    /// The chunk itself.
    Body,
}

/// A receiver's place in its stream.
#[derive(Debug)]
pub struct Outbox {
    form: Form,
    stage: Stage,
    sequence: u64,
    /// While it resumes, what it had last.
    after: Option<Box<Origin>>,
    /// Bytes of the stage that have been sent.
    offset: usize,
    /// The chunk of which a part has been sent: present just when `offset` is not 0.
    in_flight: Option<SharedChunk>,
    /// Bytes that go out as soon as no frame is open: the head of the response, control frames.
    urgent: Vec<u8>,
    urgent_sent: usize,
    /// After the urgent bytes nothing more is sent.
    ending: bool,
}

/// What to do about a receiver's lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send all there is.
    GoOn,
    /// Send to the end of what is in flight, then ask again.
    FinishFirst,
    /// The outbox now points to a later entry; so many chunks are left out.
    Skipped(u64),
}

impl Outbox {
    /// For a receiver that begins at the newest entry not before number `from`, or waits for one.
    #[must_use]
    pub fn at_entry(form: Form, from: u64) -> Outbox {
        Outbox::new(form, Stage::Waiting(Lead::Join, Pick::Newest), from)
    }

    /// For a receiver that begins at the newest chunk not before number `from`, wherever in the stream that is.
    #[must_use]
    pub fn at_live(form: Form, from: u64) -> Outbox {
        Outbox::new(form, Stage::WaitingLive(Pick::Newest), from)
    }

    /// For a receiver that has had the stream up to `after`: it goes on from there if the ring still holds what follows,
    /// and otherwise begins at the newest entry not before number `from`.
    #[must_use]
    pub fn resuming(form: Form, after: Origin, from: u64) -> Outbox {
        Outbox { after: Some(Box::new(after)), ..Outbox::new(form, Stage::Resuming, from) }
    }

    fn new(form: Form, stage: Stage, sequence: u64) -> Outbox {
        Outbox {
            form,
            stage,
            sequence,
            after: None,
            offset: 0,
            in_flight: None,
            urgent: Vec::new(),
            urgent_sent: 0,
            ending: false,
        }
    }

    /// Queues the head of a response, which goes before everything else.
    pub fn open_with(&mut self, head: Vec<u8>) {
        debug_assert!(self.urgent.is_empty() && self.offset == 0, "the head comes first");
        self.urgent = head;
    }

    /// Queues a complete control frame, or drops it if too many wait already.
    pub fn control(&mut self, frame: &[u8]) {
        if !self.ending && self.urgent.len() + frame.len() <= URGENT_BYTES_MAX {
            self.urgent.extend_from_slice(frame);
        }
    }

    /// Ends the stream after the chunk in flight, with `goodbye` (a close frame, or nothing) as the last bytes.
    pub fn end(&mut self, goodbye: &[u8]) {
        if !self.ending {
            self.urgent.extend_from_slice(goodbye);
            self.ending = true;
        }
    }

    /// All that [`end`](Self::end) left to be sent has been.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ending && self.offset == 0 && self.urgent.is_empty()
    }

    /// Number of the chunk that it points to: the one in flight, or the next to be sent.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Something has been sent in part, or must be sent whatever the stream does.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.offset != 0 || !self.urgent.is_empty()
    }

    /// Finds its place: a waiting receiver begins at the newest entry; one whose place the ring has dropped waits for
    /// the newest entry after a jump. To be called before [`pending`](Self::pending). `Skipped` when a place was lost.
    pub fn settle(&mut self, ring: &Ring) -> Verdict {
        if self.offset != 0 {
            return Verdict::GoOn;
        }
        if ring.first() < ring.next()
            && let Some(after) = self.after.take()
        {
            match what_follows(ring, *after) {
                Some(sequence) => (self.stage, self.sequence) = (Stage::Next, sequence),
                None => self.stage = Stage::Waiting(Lead::Join, Pick::Newest),
            }
        }
        if let Stage::WaitingLive(pick) = self.stage
            && ring.next() > self.sequence
        {
            self.stage = Stage::Lead(Lead::Join);
            self.sequence = match pick {
                Pick::Newest => ring.next() - 1,
                Pick::First => self.sequence.max(ring.first()),
            };
        }
        let lost_place = !self.is_waiting() && self.sequence < ring.first();
        let expected = self.sequence;
        if lost_place {
            self.stage = Stage::Waiting(self.lead_elsewhere(), Pick::Newest);
            self.sequence = ring.first();
        }
        if let Stage::Waiting(lead, pick) = self.stage {
            let entry = match pick {
                Pick::Newest => ring.newest_entry_from(self.sequence),
                Pick::First => ring.first_entry_from(self.sequence),
            };
            if let Some(entry) = entry {
                self.stage = Stage::Lead(lead);
                self.sequence = entry;
            }
        }
        if ring.is_current() {
            self.wait_for_the_first(ring);
        }
        if lost_place { Verdict::Skipped(self.sequence - expected) } else { Verdict::GoOn }
    }

    /// There is nothing here to begin with: from now on it misses nothing that comes.
    fn wait_for_the_first(&mut self, ring: &Ring) {
        self.stage = match self.stage {
            Stage::Waiting(Lead::Join, Pick::Newest) => Stage::Waiting(Lead::Join, Pick::First),
            Stage::WaitingLive(Pick::Newest) => Stage::WaitingLive(Pick::First),
            _ => return,
        };
        self.sequence = self.sequence.max(ring.next());
    }

    /// How long the next bytes of the stream have been waiting to be sent.
    #[must_use]
    pub fn lag(&self, ring: &Ring, now: Instant) -> Duration {
        let next = self.in_flight.as_ref().or_else(|| ring.get(self.sequence));
        if self.is_waiting() {
            return Duration::ZERO;
        }
        next.map_or(Duration::ZERO, |chunk| now.saturating_duration_since(chunk.sealed.received))
    }

    /// The stream has nothing yet that it could begin with.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(..) | Stage::WaitingLive(_) | Stage::Resuming)
    }

    /// For a receiver that lags by `lag`, more than `lag_max`: jumps to the newest entry ahead, if there is one.
    /// Leaves where no frame is open, unless that does not come before twice `lag_max`.
    pub fn skip(&mut self, ring: &Ring, lag: Duration, lag_max: Duration) -> Verdict {
        let Some(target) = ring.newest_entry_from(self.sequence + 1) else { return Verdict::GoOn };
        if self.offset != 0 {
            return Verdict::FinishFirst;
        }
        let at_frame = ring.get(self.sequence).is_none_or(|chunk| chunk.sealed.starts_at_frame);
        if !at_frame && lag < 2 * lag_max {
            return Verdict::FinishFirst;
        }
        let left_out = target - self.sequence;
        self.sequence = target;
        self.stage = Stage::Lead(self.lead_elsewhere());
        Verdict::Skipped(left_out)
    }

    /// What goes before the stream if it goes on elsewhere: a receiver that has had nothing of it still joins.
    fn lead_elsewhere(&self) -> Lead {
        if self.stage == Stage::Lead(Lead::Join) { Lead::Join } else { Lead::Jump }
    }

    /// The bytes to send next, in order, piece by piece.
    pub fn pending<'a>(&'a self, ring: &'a Ring) -> Pending<'a> {
        let at = Place { stage: self.stage, sequence: self.sequence };
        Pending { outbox: self, ring, urgent_done: false, at, after: at, offset: self.offset }
    }

    /// `sent` of the bytes of [`pending`](Self::pending) have been taken by the socket.
    pub fn advance(&mut self, ring: &Ring, mut sent: usize) {
        while sent > 0 {
            let mut pending = self.pending(ring);
            let Some(piece) = pending.next() else {
                debug_assert!(false, "more was sent than was pending");
                return;
            };
            let taken = sent.min(piece.len());
            let finished = taken == piece.len();
            sent -= taken;
            if self.offset == 0 && !self.urgent.is_empty() {
                self.advance_urgent(taken);
                continue;
            }
            let place = if finished { pending.after } else { pending.at };
            (self.stage, self.sequence) = (place.stage, place.sequence);
            if finished {
                self.offset = 0;
                self.in_flight = None;
            } else {
                if self.offset == 0 {
                    self.in_flight = ring.get(self.sequence).cloned();
                }
                self.offset += taken;
            }
        }
    }

    fn advance_urgent(&mut self, taken: usize) {
        self.urgent_sent += taken;
        if self.urgent_sent == self.urgent.len() {
            self.urgent = Vec::new();
            self.urgent_sent = 0;
        }
    }
}

/// A piece of the stream: what of which chunk.
#[derive(Clone, Copy, Debug)]
struct Place {
    stage: Stage,
    sequence: u64,
}

/// See [`Outbox::pending`]. Walks ahead of the outbox without moving it.
#[derive(Debug)]
pub struct Pending<'a> {
    outbox: &'a Outbox,
    ring: &'a Ring,
    urgent_done: bool,
    /// Where the piece last returned is.
    at: Place,
    /// Where the piece after it is, as far as is known without looking at the chunk.
    after: Place,
    /// Bytes of the piece at `after` that have been sent; not 0 for the first piece only.
    offset: usize,
}

impl<'a> Iterator for Pending<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut sent = std::mem::take(&mut self.offset);
        if sent == 0 {
            if !self.urgent_done && !self.outbox.urgent.is_empty() {
                self.urgent_done = true;
                return Some(&self.outbox.urgent[self.outbox.urgent_sent..]);
            }
            if self.outbox.ending {
                return None;
            }
        }
        loop {
            let chunk = match &self.outbox.in_flight {
                Some(chunk) if sent != 0 => chunk,
                _ => self.ring.get(self.after.sequence)?,
            };
            let piece = self.step_over(chunk)?;
            let rest = piece.get(std::mem::take(&mut sent)..).unwrap_or_default();
            if !rest.is_empty() {
                return Some(rest);
            }
        }
    }
}

impl Pending<'_> {
    /// Moves on by one piece, which may be empty, and returns it. `None` while the receiver waits.
    fn step_over<'c>(&mut self, chunk: &'c Chunk) -> Option<&'c [u8]> {
        let form = self.outbox.form;
        self.at = self.after;
        if self.at.stage == Stage::Next {
            self.at.stage = first_stage(chunk);
        }
        match self.at.stage {
            Stage::Waiting(..) | Stage::WaitingLive(_) | Stage::Resuming | Stage::Next => None,
            Stage::Lead(lead) => {
                self.after.stage = Stage::Body;
                Some(lead_bytes(chunk, lead, form))
            }
            Stage::Body => {
                self.after = Place { stage: Stage::Next, sequence: self.at.sequence + 1 };
                Some(bytes(&chunk.sealed.body, form))
            }
        }
    }
}

/// Number of the chunk that follows the one made as `after`, be it here or the next to come. Looks at every chunk, once
/// for each receiver that has come back.
fn what_follows(ring: &Ring, after: Origin) -> Option<u64> {
    ring.chunks().rev().find_map(|chunk| {
        let origin = chunk.sealed.body.stamp()?.origin;
        if origin.follows(after) {
            Some(chunk.sequence)
        } else {
            (origin == after).then_some(chunk.sequence + 1)
        }
    })
}

fn first_stage(chunk: &Chunk) -> Stage {
    if chunk.sealed.follows_discontinuity { Stage::Lead(Lead::Jump) } else { Stage::Body }
}

fn lead_bytes(chunk: &Chunk, lead: Lead, form: Form) -> &[u8] {
    chunk.sealed.entry.as_ref().map_or(&[], |entry| match lead {
        Lead::Join => bytes(&entry.join, form),
        Lead::Jump => bytes(&entry.jump, form),
    })
}

fn bytes(framed: &Framed, form: Form) -> &[u8] {
    match form {
        Form::Frames => framed.frame(),
        Form::Relayed => framed.relayed(),
        Form::Payloads => framed.payload(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chunk::{Entry, Sealed};
    use crate::config::Buffer;
    use crate::identity::NodeId;
    use crate::proto::relay::Stamp;

    /// A ring with the chunks 10 to 19, made as 110 to 119, with an entry at 15.
    fn ring(node: NodeId) -> Ring {
        let mut ring = Ring::new(Buffer { time: Duration::from_secs(600), bytes: usize::MAX });
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let received = Instant::now();
        for sequence in 10..20_u64 {
            let mut body = Framed::binary(&[sequence as u8]);
            body.set_stamp(Stamp {
                sequence,
                origin: Origin { node, number: 100 + sequence },
                made_us: 0,
                received_us: 0,
                entry: sequence == 15,
                follows_discontinuity: false,
            });
            let entry = (sequence == 15)
                .then(|| Entry { join: Framed::binary(b"join"), jump: Framed::binary(b"jump") });
            let sealed =
                Sealed { body, received, entry, follows_discontinuity: false, starts_at_frame: true };
            ring.push(Arc::new(Chunk { sequence, sealed }));
        }
        ring
    }

    /// The first piece of what one is sent that has had the stream up to the chunk made as `number`.
    fn first_piece(ring: &Ring, node: NodeId, number: u64) -> Option<Vec<u8>> {
        let mut outbox = Outbox::resuming(Form::Relayed, Origin { node, number }, 0);
        outbox.settle(&Ring::new(Buffer { time: Duration::ZERO, bytes: 0 }));
        assert!(outbox.pending(ring).next().is_none(), "the backlog has not come yet");
        assert_eq!(outbox.settle(ring), Verdict::GoOn);
        outbox.pending(ring).next().map(<[u8]>::to_vec)
    }

    #[test]
    fn who_has_waited_begins_with_the_first_and_who_comes_with_the_newest() {
        let chunk = |sequence| {
            let entry = Some(Entry { join: Framed::binary(b"join"), jump: Framed::binary(b"jump") });
            let body = Framed::binary(&[sequence as u8]);
            #[allow(clippy::disallowed_methods, reason = "any instant will do")]
            let received = Instant::now();
            let sealed =
                Sealed { body, received, entry, follows_discontinuity: false, starts_at_frame: true };
            Arc::new(Chunk { sequence, sealed })
        };
        let mut ring = Ring::new(Buffer { time: Duration::from_secs(600), bytes: usize::MAX });
        let begun = |outbox: &mut Outbox, ring: &Ring| {
            outbox.settle(ring);
            outbox.pending(ring).next().map(|_| outbox.sequence())
        };
        let newcomers = || [Outbox::at_entry(Form::Frames, 0), Outbox::at_live(Form::Frames, 0)];
        let (mut early, mut waiting) = (newcomers(), newcomers());
        let nothing_yet = |outboxes: &mut [Outbox; 2], ring: &Ring| {
            outboxes.each_mut().map(|outbox| begun(outbox, ring)) == [None; 2]
        };
        assert!(nothing_yet(&mut early, &ring), "the past has not come yet");
        ring.set_current();
        assert!(nothing_yet(&mut waiting, &ring), "there is none");
        (0..3).for_each(|sequence| ring.push(chunk(sequence)));
        assert_eq!(early.each_mut().map(|outbox| begun(outbox, &ring)), [Some(2); 2]);
        assert_eq!(waiting.each_mut().map(|outbox| begun(outbox, &ring)), [Some(0); 2]);
        assert_eq!(newcomers().each_mut().map(|outbox| begun(outbox, &ring)), [Some(2); 2]);
    }

    #[test]
    fn who_comes_back_goes_on_where_it_was() {
        let node = NodeId::random();
        let ring = ring(node);
        let relayed = |sequence| ring.get(sequence).map(|chunk| chunk.sealed.body.relayed().to_vec());
        for number in 109..119 {
            assert_eq!(first_piece(&ring, node, number), relayed(number - 99), "{number}");
        }
        assert_eq!(first_piece(&ring, node, 119), None, "it has all there is");
        let join = Some(Framed::binary(b"join").frame().to_vec());
        assert_eq!(first_piece(&ring, node, 108), join, "what it wants is gone");
        assert_eq!(first_piece(&ring, node, 120), join, "it has what is not here yet");
        assert_eq!(first_piece(&ring, NodeId::random(), 115), join, "made elsewhere");
    }
}
