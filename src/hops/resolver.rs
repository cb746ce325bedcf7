//! Asks for the addresses of hosts, on threads of its own: the system's resolver blocks, for as long as it pleases.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;

use crossbeam_channel::bounded;

use crate::mailbox::{Sender, ToHops};

/// Questions that are asked at the same time. One thread alone would let a name server that does not answer hold up all
/// other names.
const THREADS_MAX: usize = 8;

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Where questions are put. The threads end with it, once they have an answer to what they are asking.
#[derive(Debug)]
pub struct Resolver {
    questions: crossbeam_channel::Sender<Question>,
    answers: Sender<ToHops>,
}

#[derive(Debug)]
struct Question {
    hop: usize,
    host: String,
    port: u16,
}

impl Resolver {
    /// For the hops with these hosts, each of which has at most one question open. Answers go to `answers`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<'a>(hosts: impl Iterator<Item = &'a str>, answers: Sender<ToHops>) -> io::Result<Resolver> {
        let names = hosts.filter(|host| host.parse::<IpAddr>().is_err()).count();
        // Room for all.
        let (sender, questions) = bounded::<Question>(names);
        for _ in 0..names.min(THREADS_MAX) {
            let (questions, mut answers) = (questions.clone(), answers.clone());
            thread::Builder::new().name("resolver".into()).spawn(move || {
                for question in questions {
                    answer(&mut answers, question.hop, resolve(&question));
                }
            })?;
        }
        Ok(Resolver { questions: sender, answers })
    }

    /// The answer comes as [`ToHops::Resolved`]; for what is an address already, at once.
    pub fn ask(&mut self, hop: usize, host: &str, port: u16) {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return answer(&mut self.answers, hop, Ok(vec![SocketAddr::new(ip, port)]));
        }
        let question = Question { hop, host: host.to_owned(), port };
        if let Err(error) = self.questions.try_send(question) {
            answer(&mut self.answers, hop, Err(io::Error::other(error.to_string())));
        }
    }
}

fn resolve(question: &Question) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> =
        (question.host.as_str(), question.port).to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        false => Ok(addresses),
    }
}

fn answer(answers: &mut Sender<ToHops>, hop: usize, addresses: io::Result<Vec<SocketAddr>>) {
    // Refused only if nobody reads it any more.
    let _ = answers.post(ToHops::Resolved(hop, addresses));
    answers.flush();
}
