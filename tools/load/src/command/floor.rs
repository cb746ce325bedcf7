//! `tsload floor-send`, `tsload floor-ring`, `tsload floor-udp`.

use std::net::SocketAddr;
use std::process::ExitCode;

use tsload::floor::{DatagramFloor, Floor, Kind};
use tsload::host::{allow_descriptors_as_many_as_possible, stay_on};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the stream comes to, over TCP; port 0: any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    feed: SocketAddr,
    /// Where receivers come to, over TCP; port 0: any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Run on this core
    #[arg(long)]
    core: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DatagramArguments {
    /// Where the stream comes to, over TCP; port 0: any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    feed: SocketAddr,
    /// Where to send it, over UDP
    #[arg(long, value_name = "ADDRESS:PORT", required = true, value_delimiter = ',')]
    to: Vec<SocketAddr>,
    /// Run on this core
    #[arg(long)]
    core: Option<usize>,
}

pub(crate) fn run(kind: Kind, arguments: &Arguments) -> Result<ExitCode, String> {
    allow_descriptors_as_many_as_possible();
    arguments.core.map_or(Ok(()), stay_on)?;
    let floor = Floor::bind(kind, arguments.feed, arguments.bind)
        .map_err(|error| format!("can't listen at {} and {}: {error}", arguments.feed, arguments.bind))?;
    let (feed, receivers) = floor.addresses().map_err(|error| error.to_string())?;
    println!("feed tcp://{feed}\nreceivers tcp://{receivers}");
    floor.run().map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_datagrams(arguments: &DatagramArguments) -> Result<ExitCode, String> {
    allow_descriptors_as_many_as_possible();
    arguments.core.map_or(Ok(()), stay_on)?;
    let floor = DatagramFloor::bind(arguments.feed, &arguments.to)
        .map_err(|error| format!("can't listen at {} and send to all: {error}", arguments.feed))?;
    println!("feed tcp://{}", floor.address().map_err(|error| error.to_string())?);
    floor.run().map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}
