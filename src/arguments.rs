//! What the command `tsstream` can be told, declared once: the command, its man page and its shell completions are all
//! made of this.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The configuration that is read when no `-c` is given.
pub const DEFAULT_CONFIG: &str = "conf/app.conf";

/// Receives live streams, above all MPEG-TS from ffmpeg, and forwards them to very many receivers.
#[derive(Debug, Parser)]
#[command(name = "tsstream", version, args_conflicts_with_subcommands = false)]
pub struct Arguments {
    /// The configuration file [default: conf/app.conf, or built-in defaults if that is not there]
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(short = 't', long = "test")]
    pub test: bool,
    /// What else to do than to run a node.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `tsstream` does besides running a node.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node that publishes a moving test picture to itself
    Demo,
    /// Show what goes through a node, live, from its admin port
    Top {
        /// The admin port, HOST:PORT [default: what the configuration says]
        address: Option<String>,
        /// Print one frame and exit
        #[arg(long)]
        once: bool,
    },
}
