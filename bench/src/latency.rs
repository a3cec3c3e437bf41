//! From an order that is due to a subscriber that has read its event, at a fixed rate. An order that is
//! sent late, because the one before took too long, is counted from when it was due.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::clock::{due_ns, interval_ns, now_ns, wait_until};
use crate::http::{Connection, subscribe};
use crate::orders::{order_body, run_id};
use crate::stats::Times;

#[derive(Args)]
pub(crate) struct LatencyArgs {
    /// Orders a second.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// How many orders.
    #[arg(long, default_value_t = 5_000)]
    orders: u64,
}

/// What is left out at the start: connections warm up.
const WARM_UP_ORDERS: u64 = 100;

pub(crate) fn run(address: SocketAddr, args: &LatencyArgs) -> Result<Value> {
    let prefix = format!("l{}-", run_id());
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    socket.write_all(&subscribe(address, "/api/stream"))?;
    let mut lines = BufReader::new(socket);
    let mut line = String::new();
    // The head of the response: from here on, events that come are seen.
    while lines.read_line(&mut line)? > 2 {
        line.clear();
    }
    let orders = args.orders + WARM_UP_ORDERS;
    let watched = prefix.clone();
    let subscriber = std::thread::spawn(move || watch(lines, &watched, orders));
    let mut connection = Connection::open(address)?;
    let (start, interval) = (now_ns(), interval_ns(args.rate));
    for number in 1..=orders {
        wait_until(due_ns(start, number, interval));
        let id = format!("{prefix}{number}");
        for (path, body) in [
            ("/api/order", order_body(&id)),
            ("/api/cancel", format!(r#"{{"client_order_id":"{id}"}}"#)),
        ] {
            let status = connection.post(path, &body)?;
            if status != 200 {
                bail!("{path} answered {status}");
            }
        }
    }
    let seen = subscriber.join().map_err(|_| anyhow::anyhow!("the subscriber panicked"))??;
    let mut times = Times::new()?;
    for (number, seen) in (1..).zip(seen).filter(|(number, _)| *number > WARM_UP_ORDERS) {
        times.record(seen.saturating_sub(due_ns(start, number, interval)));
    }
    Ok(json!({
        "load": "latency", "rate": args.rate, "orders": args.orders,
        "post_to_event": times.percentiles(), "times": times.pairs(),
    }))
}

/// When the first event of each order came, in order.
fn watch(mut lines: BufReader<TcpStream>, prefix: &str, orders: u64) -> Result<Vec<u64>> {
    let mut seen = Vec::new();
    let mut line = String::new();
    for number in 1..=orders {
        let wanted = format!("\"{prefix}{number}\"");
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                bail!("the stream ended before order {number} of {orders}");
            }
            if line.starts_with("data:") && line.contains(&wanted) {
                seen.push(now_ns());
                break;
            }
        }
    }
    Ok(seen)
}
