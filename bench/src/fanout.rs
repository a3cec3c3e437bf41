//! Many subscribers in one epoll loop: each counts its events and checks that their ids have no hole.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::http::subscribe;
use crate::stats::cpu_ticks;

/// One subscriber: what is left of a line that has not ended, and the ids seen.
struct Subscriber {
    socket: TcpStream,
    rest: Vec<u8>,
    first: Option<u64>,
    last: u64,
    holes: u64,
    open: bool,
}

/// Connects, waits until all have seen an event, counts for a while.
pub(crate) fn run(
    address: SocketAddr,
    subscribers: usize,
    seconds: f64,
    pid: Option<u32>,
) -> Result<Value> {
    let mut poll = Poll::new()?;
    let connecting = Instant::now();
    let mut all = (0..subscribers)
        .map(|index| connect(&poll, address, index))
        .collect::<Result<Vec<Subscriber>>>()?;
    let connect_ms = connecting.elapsed().as_millis();
    read_until(&mut poll, &mut all, Instant::now() + Duration::from_secs(30), true)?;
    if all.iter().any(|s| s.first.is_none()) {
        bail!("not every subscriber saw an event within 30 s");
    }
    let before: u64 = all.iter().map(|s| s.last - s.first.unwrap_or(s.last) + 1).sum();
    let ticks = pid.map(cpu_ticks).transpose()?;
    let start = Instant::now();
    read_until(&mut poll, &mut all, start + Duration::from_secs_f64(seconds), false)?;
    let took = start.elapsed().as_secs_f64();
    let used = pid.map(cpu_ticks).transpose()?.zip(ticks).map(|(after, before)| after - before);
    let after: u64 = all.iter().map(|s| s.last - s.first.unwrap_or(s.last) + 1).sum();
    let delivered = f64::from(u32::try_from(after - before)?);
    Ok(json!({
        "load": "fanout", "subscribers": subscribers, "connect_ms": connect_ms,
        "deliveries_per_second": (delivered / took).round(),
        "lost": all.iter().map(|s| s.holes).sum::<u64>(),
        "closed": all.iter().filter(|s| !s.open).count(),
        "server_cpu_us_per_delivery":
            used.map(|ticks| f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) * 10_000.0 / delivered),
    }))
}

fn connect(poll: &Poll, address: SocketAddr, index: usize) -> Result<Subscriber> {
    let mut socket = std::net::TcpStream::connect(address)
        .with_context(|| format!("subscriber {index} cannot connect"))?;
    socket.write_all(&subscribe(address))?;
    socket.set_nonblocking(true)?;
    let mut socket = TcpStream::from_std(socket);
    poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
    Ok(Subscriber { socket, rest: Vec::new(), first: None, last: 0, holes: 0, open: true })
}

/// Reads until the deadline or, if so asked, until every subscriber has seen an event.
fn read_until(
    poll: &mut Poll,
    all: &mut [Subscriber],
    deadline: Instant,
    until_first: bool,
) -> Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || (until_first && all.iter().all(|s| s.first.is_some())) {
            return Ok(());
        }
        poll.poll(&mut events, Some(left.min(Duration::from_millis(100))))?;
        for event in &events {
            if let Some(subscriber) = all.get_mut(event.token().0) {
                subscriber.read(&mut buffer)?;
            }
        }
    }
}

impl Subscriber {
    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.open = false;
                    return Ok(());
                }
                Ok(read) => self.take(buffer.get(..read).unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                    self.open = false;
                    return Ok(());
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Finds the `id:` lines.
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut start = 0;
        for end in memmem::find_iter(&self.rest, b"\n") {
            let line = self.rest.get(start..end).unwrap_or_default();
            start = end + 1;
            let Some(id) = line.strip_prefix(b"id: ") else { continue };
            let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) else {
                continue;
            };
            if self.first.is_none() {
                self.first = Some(id);
            } else {
                self.holes += id.saturating_sub(self.last + 1);
            }
            self.last = id;
        }
        self.rest.drain(..start);
    }
}
