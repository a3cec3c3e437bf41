//! The load harness. Each command is one load, one publisher or one floor, and prints JSON lines;
//! `bench/run` starts servers and loads one after another and makes ratios of the lines.
//!
//! The clients cost as little as they can: one epoll loop for all connections of a process. Times are from
//! `CLOCK_MONOTONIC` of this machine, which all processes share, so that a subscriber in one process can
//! tell how long ago an event was due in another.
#![expect(clippy::print_stdout, reason = "the result of this program is its standard output")]

mod capture;
mod clock;
mod copy;
mod engine;
mod engine_load;
mod event;
mod floor;
mod http;
mod latency;
mod orders;
mod publish;
mod stats;
mod subscribe;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The gateway's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Orders and cancels one after another over each of some keep-alive connections.
    Orders(orders::OrdersArgs),
    /// Time from sending an order to seeing its event on the stream, at a fixed rate.
    Latency(latency::LatencyArgs),
    /// Subscribers that read numbered events, time them and count what they miss.
    Subscribe(subscribe::SubscribeArgs),
    /// Numbered events to a server that takes them by POST, at a rate or as fast as it answers.
    Publish(publish::PublishArgs),
    /// The floor: a bare loop of `write` on the sockets of all subscribers.
    Floor,
    /// A file to whoever connects, by a bare loop of `read` and `write`.
    Copy {
        /// What to send.
        file: PathBuf,
    },
    /// Numbered events as a stream sends them, to standard output.
    Frames {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        events: u64,
    },
    /// Our engine alone, on one thread.
    Engine(engine_load::EngineLoad),
    /// A capture of numbered trades that are due at a fixed rate, for VeloZ's replay.
    Capture {
        /// Trades a second.
        #[arg(long, default_value_t = 50.0)]
        rate: f64,
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        events: u64,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.load {
        Load::Orders(load) => println!("{}", orders::flat_out(args.address, &load)?),
        Load::Latency(load) => println!("{}", latency::run(args.address, &load)?),
        Load::Subscribe(load) => subscribe::run(args.address, &load)?,
        Load::Publish(load) => println!("{}", publish::run(args.address, &load)?),
        Load::Floor => floor::run(args.address)?,
        Load::Copy { file } => copy::run(args.address, &file)?,
        Load::Frames { events } => event::write_frames(events)?,
        Load::Engine(load) => println!("{}", engine::run(&load)?),
        Load::Capture { rate, events } => capture::write(rate, events)?,
    }
    Ok(())
}
