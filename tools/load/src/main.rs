//! The command `tsload`: what to do, exit codes, the text of errors; everything else is in the library.

use std::process::ExitCode;

use clap::Parser;

mod command;

use command::{Command, cases, compare, floor, hop, run, soak};

/// Loads stream servers: feeds them a transport stream, receives it thousands of times, checks every byte, measures.
///
/// It connects only to the addresses that it is given, makes as many connections as asked for, and ends by itself.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  A server that takes a stream over TCP and serves it over WebSocket, with 1,000 receivers:
    tsload run --feed tcp://127.0.0.1:50001 --to ws://127.0.0.1:8088/live --receivers 1000 --server-pid PID

  The least that such a server could cost, on core 0, with the load on core 1:
    tsload floor-send --core 0 --feed 127.0.0.1:7001 --bind 127.0.0.1:7002 &
    tsload run --core 1 --feed tcp://127.0.0.1:7001 --to tcp://127.0.0.1:7002 --receivers 1000 --server-pid $! --server-core 0

  A file, downloaded by 100 at once:
    tsload run --to http://127.0.0.1:80/file.ts --receivers 100 --seconds 5

  What others cost with the same load, and how that grows:
    tsload compare --receivers 500,1000,2000 --runs 3 --write /tmp/compare";

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Cases(arguments) => cases::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Hop(arguments) => hop::run(&arguments),
        Command::FloorSend(arguments) => floor::run(tsload::floor::Kind::Send, &arguments),
        Command::FloorRing(arguments) => floor::run(tsload::floor::Kind::Ring, &arguments),
        Command::FloorUdp(arguments) => floor::run_datagrams(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(words) => {
            eprintln!("tsload: {words}");
            ExitCode::from(2)
        }
    }
}
