//! What the admin port wants to know of the receivers, found out a few connections a turn, so that it holds up nobody.

use std::collections::VecDeque;
use std::time::Instant;

use slab::Slab;

use super::conn::{Conn, Joined, Over};
use super::shard::Shard;
use crate::inquiry::{Client, ClientId, Inquiry, OfWorker, Order, Selection, ToAdmin};
use crate::mailbox::WorkerId;

/// Connections looked at in one turn.
const LOOKS_PER_TURN_MAX: usize = 256;

/// Surveys that may be under way. The admin port has fewer; one more is not answered.
const SURVEYS_MAX: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Surveys {
    under_way: VecDeque<Survey>,
}

#[derive(Debug)]
struct Survey {
    inquiry: Inquiry<OfWorker>,
    selection: Selection,
    next_key: usize,
    /// At most twice as many as are wanted.
    found: Vec<Client>,
}

impl Surveys {
    /// Begins one.
    pub fn begin(&mut self, inquiry: Inquiry<OfWorker>, selection: Selection) {
        if self.under_way.len() < SURVEYS_MAX {
            let next_key = if let Order::From(key) = selection.order { key } else { 0 };
            self.under_way.push_back(Survey { inquiry, selection, next_key, found: Vec::new() });
        }
    }

    /// Whether there is something to do.
    #[must_use]
    pub fn are_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Goes on with the oldest.
    pub fn go_on(&mut self, conns: &Slab<Conn>, shard: &Shard, worker: WorkerId, now: Instant) {
        let Some(survey) = self.under_way.front_mut() else { return };
        let end = conns.capacity().min(survey.next_key.saturating_add(LOOKS_PER_TURN_MAX));
        for key in survey.next_key..end {
            if let Some(client) = conns.get(key).and_then(|conn| client(key, conn, shard, worker, now)) {
                survey.take(client);
            }
        }
        survey.next_key = end;
        if (end == conns.capacity() || survey.has_enough())
            && let Some(survey) = self.under_way.pop_front()
        {
            survey.finish(worker);
        }
    }
}

impl Survey {
    fn take(&mut self, client: Client) {
        if self.has_enough() || self.selection.stream.is_some_and(|stream| stream != client.stream) {
            return;
        }
        self.found.push(client);
        if self.found.len() >= 2 * self.selection.limit {
            self.keep_the_worst();
        }
    }

    /// Those that come later can't be among those wanted.
    fn has_enough(&self) -> bool {
        matches!(self.selection.order, Order::From(_)) && self.found.len() >= self.selection.limit
    }

    fn keep_the_worst(&mut self) {
        if self.selection.order == Order::Worst {
            self.found.sort_by_key(|client| std::cmp::Reverse(client.badness()));
        }
        self.found.truncate(self.selection.limit);
    }

    fn finish(mut self, worker: WorkerId) {
        self.keep_the_worst();
        let ticket = self.inquiry.ticket;
        self.inquiry.answer(ToAdmin::Clients(ticket, worker, self.found));
    }
}

/// What it receives, if it is a receiver that came to us: of others nothing is told.
#[must_use]
pub fn told(conn: &Conn) -> Option<Joined> {
    conn.joined.filter(|joined| joined.over != Over::Hop)
}

fn client(key: usize, conn: &Conn, shard: &Shard, worker: WorkerId, now: Instant) -> Option<Client> {
    let joined = told(conn)?;
    Some(Client {
        id: ClientId { worker, key, number: conn.number },
        ip: conn.client.ip(),
        peer: conn.client.peer,
        over: joined.over,
        stream: joined.stream,
        since: conn.opened,
        tally: conn.tally(),
        lag: conn.lag(shard.ring(joined.stream), now),
    })
}
