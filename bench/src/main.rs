//! The load harness. Each command puts one load on one server, over its public API, and prints one line
//! of JSON; `bench/run` starts the servers one after another and makes ratios of the lines.
//!
//! The clients cost as little as they can: blocking sockets for order entry, one epoll loop for all
//! subscribers. Times are from the monotonic clock of this machine.
#![expect(clippy::print_stdout, reason = "the result of this program is its standard output")]

mod fanout;
mod http;
mod orders;
mod stats;

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// The server's address.
    #[arg(long, default_value = "127.0.0.1:8080", global = true)]
    address: SocketAddr,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Orders one after another over each of some keep-alive connections.
    Orders {
        /// Connections, each on its own thread.
        #[arg(long, default_value_t = 1)]
        connections: usize,
        /// How long.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Time from sending an order to seeing its event on the stream, at a fixed rate.
    Latency {
        /// Orders a second; a late one is counted from when it was due.
        #[arg(long, default_value_t = 200.0)]
        rate: f64,
        /// How many orders.
        #[arg(long, default_value_t = 2_000)]
        orders: usize,
    },
    /// Subscribers that read all events for a while and count what they miss.
    Fanout {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        subscribers: usize,
        /// How long, after all are connected.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// The server's process, for its processor time.
        #[arg(long)]
        pid: Option<u32>,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let result = match args.load {
        Load::Orders { connections, seconds } => {
            orders::flat_out(args.address, connections, seconds)?
        }
        Load::Latency { rate, orders } => orders::latency(args.address, rate, orders)?,
        Load::Fanout { subscribers, seconds, pid } => {
            fanout::run(args.address, subscribers, seconds, pid)?
        }
    };
    println!("{result}");
    Ok(())
}
