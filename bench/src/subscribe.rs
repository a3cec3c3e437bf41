//! Many subscribers in one epoll loop. Each checks that the numbers of its events have no hole and times
//! every event from when it was due.
//!
//! Contract with whoever starts it: it connects all, prints a line of JSON, reads a line with the time at
//! which event 1 is due (`CLOCK_MONOTONIC`, nanoseconds), and prints a second line of JSON when every
//! subscriber has seen the last event, when the time is up, or when its standard input ends.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::clock::{due_ns, interval_ns, now_ns};
use crate::event::{Numbers, TAIL_BYTES};
use crate::http::subscribe;
use crate::stats::Times;

#[derive(Args)]
pub(crate) struct SubscribeArgs {
    /// How many.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// What they ask for.
    #[arg(long, default_value = "/api/stream")]
    path: String,
    /// The address they come from: one has room for some 28,000 connections.
    #[arg(long, default_value = "127.0.0.1")]
    from: IpAddr,
    /// The last event; 0 to stay connected until standard input ends.
    #[arg(long, default_value_t = 0)]
    events: u64,
    /// The first event that is to come.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Events a second, to know when each was due; 0 when that is of no interest.
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Events at the start whose times are left out.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Only count bytes, and end at this many: a client that costs nothing.
    #[arg(long, conflicts_with = "events")]
    bytes: Option<u64>,
    /// How long at most, once they are told to start.
    #[arg(long, default_value_t = 60)]
    timeout_s: u64,
    /// Subscribers that send their request and then never read.
    #[arg(long, default_value_t = 0)]
    stalled: usize,
}

/// Connections that wait for their head at once, so that no listen queue runs over.
const CONNECTING: usize = 128;
const READ_BYTES: usize = 256 << 10;
const UNKNOWN: u64 = u64::MAX;

/// One subscriber: the end of what it read, and how far it is.
struct Subscriber {
    socket: TcpStream,
    rest: [u8; TAIL_BYTES],
    rest_length: usize,
    began_ns: u64,
    head: bool,
    open: bool,
    last: u64,
    holes: u64,
    repeated: u64,
}

/// The subscribers of this process and what they saw together.
struct Load {
    poll: Poll,
    all: Vec<Subscriber>,
    numbers: Numbers,
    buffer: Vec<u8>,
    start_ns: Arc<AtomicU64>,
    interval_ns: f64,
    first: u64,
    warm_up: u64,
    heads: usize,
    closed: usize,
    bytes: u64,
    delivered: u64,
    finished: usize,
    last_event: u64,
    /// Where to end when bytes are all that counts.
    enough_bytes: Option<u64>,
    last_ns: u64,
    times: Times,
    connects: Times,
}

pub(crate) fn run(address: SocketAddr, args: &SubscribeArgs) -> Result<()> {
    let start_ns = Arc::new(AtomicU64::new(UNKNOWN));
    let mut load = Load::new(args, Arc::clone(&start_ns))?;
    let began = now_ns();
    load.connect(address, args)?;
    let _stalled = stall(address, args)?;
    let took_ms = (now_ns() - began) / 1_000_000;
    println!(
        "{}",
        json!({ "connected": load.heads, "began_ns": began, "connect_ms": took_ms, "closed": load.closed,
                "times": load.connects.pairs() })
    );
    std::io::stdout().flush()?;
    let ended = listen(start_ns);
    load.read_all(args, &ended)?;
    println!("{}", load.result());
    Ok(())
}

/// Reads standard input on a thread: the start, then its end.
fn listen(start_ns: Arc<AtomicU64>) -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Ok(start) = line.trim().parse() {
                start_ns.store(start, Ordering::Release);
            }
        }
        told.store(true, Ordering::Release);
    });
    ended
}

/// Connections that ask and never read, with a small buffer so that they are full soon.
fn stall(address: SocketAddr, args: &SubscribeArgs) -> Result<Vec<Socket>> {
    let request = subscribe(address, &format!("{}?last_id=0", args.path));
    let stalled = (0..args.stalled).map(|_| {
        let mut socket = open(address, args.from, Some(4096))?;
        socket.write_all(&request)?;
        Ok(socket)
    });
    stalled.collect()
}

fn open(address: SocketAddr, from: IpAddr, receive_bytes: Option<usize>) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&address.into()).with_context(|| format!("cannot connect to {address}"))?;
    Ok(socket)
}

impl Load {
    fn new(args: &SubscribeArgs, start_ns: Arc<AtomicU64>) -> Result<Load> {
        Ok(Load {
            poll: Poll::new()?,
            all: Vec::with_capacity(args.subscribers),
            numbers: Numbers::new(),
            buffer: vec![0; TAIL_BYTES + READ_BYTES],
            start_ns,
            interval_ns: if args.rate > 0.0 { interval_ns(args.rate) } else { 0.0 },
            first: args.first.max(1),
            warm_up: args.warm_up,
            heads: 0,
            closed: 0,
            bytes: 0,
            delivered: 0,
            finished: 0,
            last_event: args.events,
            enough_bytes: args.bytes,
            last_ns: 0,
            times: Times::new()?,
            connects: Times::new()?,
        })
    }

    fn connect(&mut self, address: SocketAddr, args: &SubscribeArgs) -> Result<()> {
        let request = subscribe(address, &args.path);
        let mut events = Events::with_capacity(1024);
        while self.heads + self.closed < args.subscribers {
            while self.all.len() < args.subscribers
                && self.all.len() - self.heads - self.closed < CONNECTING
            {
                self.add(address, args.from, &request)?;
            }
            self.poll.poll(&mut events, Some(Duration::from_secs(30)))?;
            if events.is_empty() {
                bail!(
                    "{} of {} subscribers wait for their head for 30 s",
                    self.all.len() - self.heads - self.closed,
                    args.subscribers
                );
            }
            for event in &events {
                self.read(event.token().0)?;
            }
        }
        if self.closed > 0 {
            bail!("the server refused {} of {} subscribers", self.closed, args.subscribers);
        }
        Ok(())
    }

    fn add(&mut self, address: SocketAddr, from: IpAddr, request: &[u8]) -> Result<()> {
        let began_ns = now_ns();
        let mut socket = open(address, from, None)?;
        socket.write_all(request)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket.into());
        self.poll.registry().register(&mut socket, Token(self.all.len()), Interest::READABLE)?;
        self.all.push(Subscriber {
            socket,
            rest: [0; TAIL_BYTES],
            rest_length: 0,
            began_ns,
            head: false,
            open: true,
            last: self.first - 1,
            holes: 0,
            repeated: 0,
        });
        Ok(())
    }

    fn read_all(&mut self, args: &SubscribeArgs, ended: &AtomicBool) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let start = self.start_ns.load(Ordering::Acquire);
            let late = start != UNKNOWN
                && now_ns() > start.saturating_add(args.timeout_s.saturating_mul(1_000_000_000));
            let all_seen = args.events > 0 && self.finished + self.closed >= self.all.len();
            let enough = self.enough_bytes.is_some_and(|bytes| self.bytes >= bytes);
            if late || all_seen || enough || ended.load(Ordering::Acquire) {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(50))) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                self.read(event.token().0)?;
            }
        }
    }

    /// Reads what one socket has. A read that does not fill the buffer has emptied the socket.
    fn read(&mut self, index: usize) -> Result<()> {
        loop {
            let Some(subscriber) = self.all.get_mut(index).filter(|s| s.open) else {
                return Ok(());
            };
            let room = self.buffer.get_mut(TAIL_BYTES..).context("the buffer")?;
            match subscriber.socket.read(room) {
                Ok(0) => return self.close(index),
                Ok(read) => {
                    self.take(index, read)?;
                    if read < READ_BYTES {
                        return Ok(());
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return self.close(index),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn close(&mut self, index: usize) -> Result<()> {
        let subscriber = self.all.get_mut(index).context("a subscriber")?;
        subscriber.open = false;
        self.closed += 1;
        Ok(())
    }

    /// Counts what was read behind the room for the rest of the read before.
    fn take(&mut self, index: usize, read: usize) -> Result<()> {
        let now = now_ns();
        self.bytes += u64::try_from(read)?;
        let subscriber = self.all.get_mut(index).context("a subscriber")?;
        let start = TAIL_BYTES - subscriber.rest_length;
        let rest = subscriber.rest.get(..subscriber.rest_length).context("rest")?;
        self.buffer.get_mut(start..TAIL_BYTES).context("tail")?.copy_from_slice(rest);
        let bytes = self.buffer.get(start..TAIL_BYTES + read).context("read")?;
        if !subscriber.head {
            if memmem::find(bytes, b"\r\n\r\n").is_some() {
                let status = bytes.get(..12).unwrap_or_default();
                if !status.ends_with(b" 200") {
                    bail!("the server answered {}", String::from_utf8_lossy(bytes));
                }
                subscriber.head = true;
                self.heads += 1;
                self.connects.record(now - subscriber.began_ns);
            } else if bytes.len() <= TAIL_BYTES {
                // The beginning of a head.
                subscriber.keep(bytes);
                return Ok(());
            }
        }
        if self.enough_bytes.is_some() {
            self.last_ns = now;
            subscriber.rest_length = 0;
            return Ok(());
        }
        let began = self.start_ns.load(Ordering::Acquire);
        let mut seen = 0;
        let finished = subscriber.last == self.last_event;
        let done = self.numbers.scan(bytes, |number| {
            seen += 1;
            if number > subscriber.last {
                subscriber.holes += number - subscriber.last - 1;
                subscriber.last = number;
            } else {
                subscriber.repeated += 1;
            }
            if self.interval_ns > 0.0
                && number > self.warm_up.max(self.first - 1)
                && began != UNKNOWN
            {
                let due = due_ns(began, number - self.first + 1, self.interval_ns);
                self.times.record(now.saturating_sub(due));
            }
        });
        subscriber.keep(bytes.get(done..).unwrap_or_default());
        if seen > 0 {
            self.delivered += seen;
            self.last_ns = now;
            self.finished += usize::from(!finished && subscriber.last == self.last_event);
        }
        Ok(())
    }

    fn result(&self) -> serde_json::Value {
        let sum = |pick: fn(&Subscriber) -> u64| self.all.iter().map(pick).sum::<u64>();
        let missing: u64 = self.all.iter().map(|s| self.last_event.saturating_sub(s.last)).sum();
        json!({
            "subscribers": self.all.len(), "delivered": self.delivered, "bytes": self.bytes,
            "lost": sum(|s| s.holes) + missing, "repeated": sum(|s| s.repeated),
            "closed": self.closed, "last_ns": self.last_ns, "latency": self.times.percentiles(),
            "times": self.times.pairs(),
        })
    }
}

impl Subscriber {
    fn keep(&mut self, rest: &[u8]) {
        let rest = rest.get(rest.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        if let Some(kept) = self.rest.get_mut(..rest.len()) {
            kept.copy_from_slice(rest);
            self.rest_length = rest.len();
        }
    }
}
