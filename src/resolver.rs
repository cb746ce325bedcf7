//! Asks for the addresses of hosts, on threads of its own: the system's resolver blocks, for as long as it pleases.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;

use crossbeam_channel::bounded;

use crate::mailbox::Sender;

/// Questions that are asked at the same time. One thread alone would let a name server that does not answer hold up all
/// other names.
const THREADS_MAX: usize = 8;

/// Questions that may wait. Beyond, the answer is an error, after which one asks again.
const QUESTIONS_MAX: usize = 1024;

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

/// What came of a question.
pub type Addresses = io::Result<Vec<SocketAddr>>;

/// Where a thread puts its questions, and gets the answers as messages of its mailbox. The resolving threads end with
/// it, once they have an answer to what they are asking.
#[derive(Debug)]
pub struct Resolver<T> {
    questions: crossbeam_channel::Sender<Question>,
    asked: crossbeam_channel::Receiver<Question>,
    threads: usize,
    answers: Answers<T>,
}

#[derive(Debug)]
struct Answers<T> {
    mailbox: Sender<T>,
    message: fn(usize, Addresses) -> T,
}

#[derive(Debug)]
struct Question {
    who: usize,
    host: String,
    port: u16,
}

impl<T: Send + 'static> Resolver<T> {
    /// Answers go to `mailbox`, as what `message` makes of who asked and of the addresses.
    pub fn new(mailbox: Sender<T>, message: fn(usize, Addresses) -> T) -> Resolver<T> {
        let (questions, asked) = bounded(QUESTIONS_MAX);
        Resolver { questions, asked, threads: 0, answers: Answers { mailbox, message } }
    }

    /// There are further ones who look for these hosts, each of whom will have at most one question open.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn expect<'a>(&mut self, hosts: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let names = hosts.filter(|host| host.parse::<IpAddr>().is_err()).count();
        let wanted = THREADS_MAX.min(self.threads + names);
        while self.threads < wanted {
            let (questions, mut answers) = (self.asked.clone(), self.answers.clone());
            thread::Builder::new().name("resolver".into()).spawn(move || {
                for question in questions {
                    answers.give(question.who, resolve(&question));
                }
            })?;
            self.threads += 1;
        }
        Ok(())
    }

    /// `who` wants the addresses of `host`. For what is an address already, the answer comes at once.
    pub fn ask(&mut self, who: usize, host: &str, port: u16) {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return self.answers.give(who, Ok(vec![SocketAddr::new(ip, port)]));
        }
        let question = Question { who, host: host.to_owned(), port };
        if let Err(error) = self.questions.try_send(question) {
            self.answers.give(who, Err(io::Error::other(error.to_string())));
        }
    }
}

fn resolve(question: &Question) -> Addresses {
    let addresses: Vec<SocketAddr> =
        (question.host.as_str(), question.port).to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        false => Ok(addresses),
    }
}

impl<T> Answers<T> {
    fn give(&mut self, who: usize, addresses: Addresses) {
        // Refused only if nobody reads it any more.
        let _ = self.mailbox.post((self.message)(who, addresses));
        self.mailbox.flush();
    }
}

impl<T> Clone for Answers<T> {
    fn clone(&self) -> Self {
        Answers { mailbox: self.mailbox.clone(), message: self.message }
    }
}
