//! Numbered events to a server that takes each by a POST and sends it to its subscribers: at a fixed rate,
//! or as fast as they are answered, some on their way at a time. One connection, so that they stay in order.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::clock::{due_ns, interval_ns, now_ns, wait_until};
use crate::event;
use crate::http::{parse_response, write_post};

#[derive(Args)]
pub(crate) struct PublishArgs {
    /// Where events are posted.
    #[arg(long, default_value = "/publish")]
    path: String,
    /// How many.
    #[arg(long, default_value_t = 200)]
    events: u64,
    /// Events a second; as fast as it goes without it.
    #[arg(long)]
    rate: Option<f64>,
    /// When event 1 is due, in nanoseconds of `CLOCK_MONOTONIC`; now without it.
    #[arg(long)]
    start_ns: Option<u64>,
    /// Without a rate: requests that are on their way at once.
    #[arg(long, default_value_t = 16)]
    pipeline: u64,
}

pub(crate) fn run(address: SocketAddr, args: &PublishArgs) -> Result<Value> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let start = args.start_ns.unwrap_or_else(now_ns);
    wait_until(start);
    let at_once = if args.rate.is_some() { 1 } else { args.pipeline.max(1) };
    let (mut requests, mut response, mut data) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = 1;
    while number <= args.events {
        if let Some(rate) = args.rate {
            wait_until(due_ns(start, number, interval_ns(rate)));
        }
        let last = (number + at_once - 1).min(args.events);
        requests.clear();
        for number in number..=last {
            data.clear();
            event::data(&mut data, number);
            write_post(&mut requests, address, &args.path, &data);
        }
        socket.write_all(&requests)?;
        for _ in number..=last {
            answer(&mut socket, &mut response)?;
        }
        number = last + 1;
    }
    let took = std::time::Duration::from_nanos(now_ns().saturating_sub(start)).as_secs_f64();
    Ok(json!({ "load": "publish", "events": args.events, "seconds": took }))
}

/// Reads one response; what comes after it stays.
fn answer(socket: &mut TcpStream, response: &mut Vec<u8>) -> Result<()> {
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(answer) = parse_response(response)? {
            if !(200..300).contains(&answer.status) {
                bail!("the server answered {}", answer.status);
            }
            response.drain(..answer.length);
            return Ok(());
        }
        let read = socket.read(&mut chunk)?;
        if read == 0 {
            bail!("the server closed the publisher's connection");
        }
        response.extend_from_slice(chunk.get(..read).context("read")?);
    }
}
