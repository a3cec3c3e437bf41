//! Order entry: how many a second, and how long until the event is seen.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http::{Connection, subscribe};
use crate::stats::percentiles;

/// A small order far below the market: it rests, and is cancelled again.
fn order_body(id: &str) -> String {
    format!(
        r#"{{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":10000.0,"client_order_id":"{id}"}}"#
    )
}

fn run_id() -> u32 {
    std::process::id()
}

/// As many as go over `connections`, each sending the next when it has its answer. Every other request
/// cancels the order before it, so that nothing piles up; only orders are counted and timed.
pub(crate) fn flat_out(address: SocketAddr, connections: usize, seconds: f64) -> Result<Value> {
    let length = Duration::from_secs_f64(seconds);
    let threads: Vec<_> = (0..connections)
        .map(|thread| std::thread::spawn(move || one_connection(address, thread, length)))
        .collect();
    let (mut nanos, mut elapsed) = (Vec::new(), Duration::ZERO);
    for thread in threads {
        let (times, took) = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        nanos.extend(times);
        elapsed = elapsed.max(took);
    }
    let per_second = f64::from(u32::try_from(nanos.len())?) / elapsed.as_secs_f64();
    Ok(json!({
        "load": "orders", "connections": connections, "requests_per_second": per_second.round(),
        "answer": percentiles(nanos),
    }))
}

fn one_connection(
    address: SocketAddr,
    thread: usize,
    length: Duration,
) -> Result<(Vec<u64>, Duration)> {
    let mut connection = Connection::open(address)?;
    let mut nanos = Vec::new();
    let start = Instant::now();
    let mut number = 0_u64;
    while start.elapsed() < length {
        let id = format!("b{}-{thread}-{number}", run_id());
        let cancel = format!(r#"{{"client_order_id":"{id}"}}"#);
        for (path, body) in [("/api/order", order_body(&id)), ("/api/cancel", cancel)] {
            let sent = Instant::now();
            let status = connection.post(path, &body)?;
            if status != 200 {
                bail!("{path} answered {status} for {body}");
            }
            nanos.push(u64::try_from(sent.elapsed().as_nanos())?);
        }
        number += 1;
    }
    Ok((nanos, start.elapsed()))
}

/// Orders at a fixed rate; each is timed from when it was due to when a subscriber has read its event.
pub(crate) fn latency(address: SocketAddr, rate: f64, orders: usize) -> Result<Value> {
    let prefix = format!("l{}-", run_id());
    let subscriber = {
        let prefix = prefix.clone();
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        socket.write_all(&subscribe(address))?;
        let mut lines = BufReader::new(socket);
        let mut line = String::new();
        // The head of the response: from here on, events that come are seen.
        while lines.read_line(&mut line)? > 2 {
            line.clear();
        }
        std::thread::spawn(move || watch(lines, &prefix, orders))
    };
    let mut connection = Connection::open(address)?;
    let interval = Duration::from_secs_f64(1.0 / rate);
    let start = Instant::now();
    let mut due = Vec::with_capacity(orders);
    for number in 0..orders {
        let at = start + interval * u32::try_from(number)?;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        due.push(at);
        let status = connection.post("/api/order", &order_body(&format!("{prefix}{number}")))?;
        if status != 200 {
            bail!("/api/order answered {status}");
        }
        connection.post("/api/cancel", &format!(r#"{{"client_order_id":"{prefix}{number}"}}"#))?;
    }
    let seen = subscriber.join().map_err(|_| anyhow::anyhow!("the subscriber panicked"))??;
    let nanos = due
        .iter()
        .zip(seen)
        .map(|(due, seen)| Ok(u64::try_from(seen.saturating_duration_since(*due).as_nanos())?))
        .collect::<Result<Vec<u64>>>()?;
    Ok(
        json!({ "load": "latency", "rate": rate, "orders": orders, "post_to_event": percentiles(nanos) }),
    )
}

/// When the first event of each order came, in order.
fn watch(mut lines: BufReader<TcpStream>, prefix: &str, orders: usize) -> Result<Vec<Instant>> {
    let mut seen = Vec::with_capacity(orders);
    let mut line = String::new();
    let mut wanted = format!("\"{prefix}0\"");
    while seen.len() < orders {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            bail!("the stream ended after {} of {orders} orders", seen.len());
        }
        if line.starts_with("data:") && line.contains(&wanted) {
            seen.push(Instant::now());
            wanted = format!("\"{prefix}{}\"", seen.len());
        }
    }
    seen.last().context("no orders")?;
    Ok(seen)
}
