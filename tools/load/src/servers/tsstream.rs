//! Ours: the configuration it is given, and the addresses that it says.

use std::fmt::Write as _;
use std::process::Command;

use super::{Directory, Programs, Running, spawn};
use crate::address::Address;

/// How it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tsstream {
    /// How it is fed.
    pub input: Input,
    /// Its threads for receivers.
    pub workers: u32,
    /// Further lines for `[app]`.
    pub app: &'static str,
}

/// How it is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bare TCP, a port per stream.
    Tcp,
    /// Datagrams of so many bytes, a port per stream.
    Udp(usize),
    /// RTP, a port per stream.
    Rtp,
    /// POST, one port, a path per stream.
    Http,
}

impl Default for Tsstream {
    fn default() -> Tsstream {
        Tsstream { input: Input::Tcp, workers: 1, app: "" }
    }
}

impl Tsstream {
    pub(super) fn named(name: &str) -> Option<Tsstream> {
        let input = match name.strip_prefix("tsstream")? {
            "" | ":tcp" => Input::Tcp,
            ":rtp" => Input::Rtp,
            ":http" => Input::Http,
            other => Input::Udp(
                other.strip_prefix(":udp")?.parse().ok().filter(|size| (188..=65_507).contains(size))?,
            ),
        };
        Some(Tsstream { input, ..Tsstream::default() })
    }

    pub(super) fn name(&self) -> String {
        let input = match self.input {
            Input::Tcp => String::new(),
            Input::Udp(bytes) => format!(":udp{bytes}"),
            Input::Rtp => ":rtp".to_owned(),
            Input::Http => ":http".to_owned(),
        };
        format!("tsstream{input}")
    }

    pub(super) fn start(
        &self,
        streams: usize,
        core: Option<usize>,
        programs: &Programs,
    ) -> Result<Running, String> {
        let mut running = start_configured(&self.configuration(streams), core, programs)?;
        let said = running.said();
        let names: Vec<String> = (1..=streams).map(stream_name).collect();
        let inputs = names.iter().map(|name| self.input_address(&said, name));
        let port = listening(&said, "websocket").next().ok_or("says no port for receivers")?;
        let targets = names.iter().map(|name| format!("ws://{}/{name}", port.0).parse());
        running.feeds = inputs.collect::<Result<_, _>>()?;
        running.targets = targets.collect::<Result<_, _>>()?;
        Ok(running)
    }

    fn configuration(&self, streams: usize) -> String {
        let protocol = match self.input {
            Input::Tcp => "TCP",
            Input::Udp(_) | Input::Rtp => "UDP",
            Input::Http => "HTTP",
        };
        let mut text = format!(
            "[app]\nWorkers = {}\n{}\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n\
             [backstream]\nProtocol = {protocol}\nBind = 127.0.0.1\nPort = 0\n",
            self.workers, self.app
        );
        for stream in 2..=streams {
            let port = if self.input == Input::Http { "" } else { "Port = 0\n" };
            // Writing to a string can't fail.
            let _ = write!(text, "[backstream.{}]\n{port}", stream_name(stream));
        }
        text
    }

    fn input_address(&self, said: &str, name: &str) -> Result<Address, String> {
        let protocol = match self.input {
            Input::Tcp => "tcp",
            Input::Udp(_) | Input::Rtp => "udp",
            Input::Http => "http",
        };
        let mut ports = listening(said, protocol);
        let (address, _) = ports
            .find(|(_, rest)| rest.strip_prefix("stream ") == Some(name))
            .ok_or_else(|| format!("says no input of stream {name}"))?;
        match self.input {
            Input::Tcp => format!("tcp://{address}"),
            Input::Udp(bytes) => format!("udp://{address}?size={bytes}"),
            Input::Rtp => format!("rtp://{address}"),
            Input::Http => format!("http://{address}/{name}"),
        }
        .parse()
    }
}

/// Starts ours on any configuration and waits until it is ready. Of its addresses it has said what there is to know.
pub(crate) fn start_configured(
    configuration: &str,
    core: Option<usize>,
    programs: &Programs,
) -> Result<Running, String> {
    let directory = Directory::make()?;
    let file = directory.write("app.conf", configuration)?;
    let mut command = Command::new(&programs.tsstream);
    command.arg("-c").arg(file).env_remove("RUST_LOG");
    let mut child = spawn(&mut command, &directory, core).map_err(|why| {
        format!("{why}; build it first: cargo build --release, or say where it is: --tsstream FILE")
    })?;
    directory.wait_for(&mut child, |said| said.lines().any(|line| line.ends_with("ready")))?;
    Ok(Running { child, directory, feeds: Vec::new(), targets: Vec::new() })
}

/// The first stream has the name that a stream has without a name.
fn stream_name(number: usize) -> String {
    if number == 1 { "live".to_owned() } else { format!("s{number}") }
}

/// Addresses in lines like `… listening: [backstream] tcp 127.0.0.1:40123 stream live`, and what follows them.
pub(crate) fn listening<'a>(said: &'a str, protocol: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    said.lines().filter_map(move |line| {
        let (_, rest) = line.split_once("listening: [")?;
        let (_, rest) = rest.split_once("] ")?;
        let rest = rest.strip_prefix(protocol)?.strip_prefix(' ')?;
        Some(rest.split_once(' ').unwrap_or((rest, "")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_what_it_says() {
        let said = "[… INFO ] listening: [backstream] tcp 127.0.0.1:40123 stream live\n\
                    [… INFO ] listening: [backstream.s2] tcp 127.0.0.1:40124 stream s2\n\
                    [… INFO ] listening: [custom] websocket 127.0.0.1:8088\n[… INFO ] ready";
        let address = Tsstream::default().input_address(said, "s2").unwrap();
        assert_eq!(address.to_string(), "tcp://127.0.0.1:40124");
        assert_eq!(listening(said, "websocket").next(), Some(("127.0.0.1:8088", "")));
        assert!(Tsstream::default().input_address(said, "s3").is_err());
    }

    #[test]
    fn names_say_the_input() {
        for name in ["tsstream", "tsstream:udp1316", "tsstream:rtp", "tsstream:http"] {
            assert_eq!(Tsstream::named(name).unwrap().name(), name);
        }
        assert!(["tsstream:udp", "tsstream:x", "other"].iter().all(|name| Tsstream::named(name).is_none()));
    }
}
