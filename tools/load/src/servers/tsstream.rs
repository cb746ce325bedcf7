//! Ours: the configuration it is given, and the addresses that it says.

use std::fmt::Write as _;
use std::process::Command;

use super::{By, Directory, Hops, Programs, Running, spawn};
use crate::address::Address;

/// How it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tsstream {
    /// How it is fed.
    pub input: Input,
    /// How receivers get the stream.
    pub output: Output,
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

/// How receivers get the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// They ask for it over WebSocket.
    WebSocket,
    /// They connect to a port for bare TCP; one stream.
    Raw,
    /// It is brought to them; one stream.
    Hops(Hops),
}

impl Default for Tsstream {
    fn default() -> Tsstream {
        Tsstream { input: Input::Tcp, output: Output::WebSocket, workers: 1, app: "" }
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
        let hops = match self.output {
            Output::Hops(hops) => hops.addresses()?,
            Output::WebSocket | Output::Raw => Vec::new(),
        };
        let mut running = start_configured(&self.configuration(streams, &hops), core, programs)?;
        let said = running.said();
        let names: Vec<String> = (1..=streams).map(stream_name).collect();
        let inputs = names.iter().map(|name| self.input_address(&said, name));
        running.feeds = inputs.collect::<Result<_, _>>()?;
        running.targets = match self.output {
            Output::WebSocket => {
                let (port, _) = listening(&said, "websocket").next().ok_or("says no port for receivers")?;
                names.iter().map(|name| format!("ws://{port}/{name}").parse()).collect::<Result<_, _>>()?
            }
            Output::Raw => {
                // The one of its input comes first.
                let (port, _) = listening(&said, "tcp").last().ok_or("says no port for receivers")?;
                vec![format!("tcp://{port}").parse()?]
            }
            Output::Hops(_) => hops,
        };
        Ok(running)
    }

    fn configuration(&self, streams: usize, hops: &[Address]) -> String {
        let protocol = match self.input {
            Input::Tcp => "TCP",
            Input::Udp(_) | Input::Rtp => "UDP",
            Input::Http => "HTTP",
        };
        let mut text = format!(
            "[app]\nWorkers = {}\n{}\n{}[backstream]\nProtocol = {protocol}\nBind = 127.0.0.1\nPort = 0\n",
            self.workers,
            self.app,
            self.output.configuration(hops)
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

impl Output {
    fn configuration(self, hops: &[Address]) -> String {
        let listed = |part: fn(&Address) -> String| hops.iter().map(part).collect::<Vec<_>>().join(",");
        let custom = |protocol| format!("[custom]\nProtocol = {protocol}\nBind = 127.0.0.1\nPort = 0\n");
        match self {
            Output::WebSocket => custom("WEBSOCKET"),
            Output::Raw => custom("TCP"),
            Output::Hops(Hops { by, .. }) => format!(
                "[dispatch]\nProtocol = {}\nHosts = {}\nPorts = {}\n",
                if by == By::Tcp { "TCP" } else { "UDP" },
                listed(|hop| hop.socket.ip().to_string()),
                listed(|hop| hop.socket.port().to_string())
            ),
        }
    }
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
