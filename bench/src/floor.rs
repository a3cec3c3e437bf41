//! The floor: what the system calls themselves cost. It accepts subscribers as a gateway does, and then
//! writes the same bytes to each socket, in a bare loop, on one thread. Nothing is parsed, stored,
//! filtered or checked, so no server can do better with a `write` for each socket.
//!
//! It prints its port, then reads one command a line: `run START_NS RATE EVENTS PER_WRITE` (a rate of 0 is
//! as fast as it goes), and answers `done`.

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::clock::{due_ns, interval_ns, now_ns};
use crate::event;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Cache-Control: no-cache\r\n\r\n: connected\n\n";

pub(crate) fn run(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    let sockets = Arc::new(Mutex::new(Vec::new()));
    let accepted = Arc::clone(&sockets);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A subscriber that goes before it was served is none.
            if let Ok(socket) = greet(socket) {
                accepted.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
            }
        }
    });
    println!("listening on {address}");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["run", start, rate, events, per_write] = words.as_slice() else {
            bail!("not a command: {line}");
        };
        let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
        send(&sockets, start.parse()?, rate.parse()?, events.parse()?, per_write.parse()?)?;
        println!("done");
    }
    Ok(())
}

fn greet(mut socket: TcpStream) -> Result<TcpStream> {
    socket.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let read = socket.read(&mut chunk)?;
        request.extend_from_slice(chunk.get(..read).filter(|c| !c.is_empty()).context("gone")?);
    }
    socket.write_all(HEAD)?;
    Ok(socket)
}

fn send(
    sockets: &[TcpStream],
    start_ns: u64,
    rate: f64,
    events: u64,
    per_write: u64,
) -> Result<()> {
    let mut bytes = Vec::new();
    let mut number = 1;
    while number <= events {
        let last = (number + per_write - 1).min(events);
        bytes.clear();
        for number in number..=last {
            event::frame(&mut bytes, number);
        }
        if rate > 0.0 {
            wait_plainly(due_ns(start_ns, last, interval_ns(rate)));
        }
        for mut socket in sockets {
            socket.write_all(&bytes)?;
        }
        number = last + 1;
    }
    Ok(())
}

/// Without a spin, whose processor time would be counted.
fn wait_plainly(moment_ns: u64) {
    let left = moment_ns.saturating_sub(now_ns());
    if left > 0 {
        std::thread::sleep(std::time::Duration::from_nanos(left));
    }
}
