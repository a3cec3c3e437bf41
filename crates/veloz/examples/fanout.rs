//! What a delivery costs: the stream's thread beside a bare loop of `write`, on loopback sockets, in pairs.
//!
//! `cargo run --release --example fanout [SUBSCRIBERS]` prints, for the median of the pairs, the CPU time of the
//! sending thread for each delivery at 50 events a second, and deliveries a second flat out.
//! The readers are in the same process, on a thread of their own, whose time is not counted.
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::io::{ErrorKind, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use veloz::journal::{Bounds, LogError, LogReader, Read};
use veloz::stream::{
    Attach, BooksReply, SnapshotReply, StateSource, Stream, StreamConfig, StreamHandle, Tail,
};
use veloz_core::event::{Event, Market};
use veloz_core::types::{EventId, Price, Symbol};

const PAIRS: usize = 5;
const EVENTS_PER_S: u64 = 50;
const STEADY_EVENTS: u64 = 200;
const FLAT_OUT_EVENTS_PER_WRITE: u64 = 64;
const FLAT_OUT_WRITES: u64 = 300;

fn main() -> Result<()> {
    let subscribers = std::env::args().nth(1).map_or(Ok(1000), |arg| arg.parse())?;
    println!("{subscribers} subscribers on loopback, medians of {PAIRS} interleaved pairs");
    let (mut steady, mut flat) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let floor = Floor::start(subscribers)?;
        let floor_steady = floor.steady()?;
        let floor_flat = floor.flat_out()?;
        drop(floor);
        let stream = Streamed::start(subscribers)?;
        steady.push((floor_steady, stream.steady()?));
        flat.push((floor_flat, stream.flat_out()?));
        stream.stop();
    }
    report("CPU of the sender per delivery at 50 events/s, us", &steady);
    report("deliveries/s flat out, thousands", &flat);
    Ok(())
}

fn report(what: &str, pairs: &[(f64, f64)]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let floor = median(pairs.iter().map(|pair| pair.0).collect());
    let stream = median(pairs.iter().map(|pair| pair.1).collect());
    let ratio = median(pairs.iter().map(|pair| pair.1 / pair.0).collect());
    println!("{what}: floor {floor:.2}, stream {stream:.2}, ratio {ratio:.3}");
}

/// CPU time of this process's threads of that name, in nanoseconds.
fn cpu_ns(thread_name: &str) -> Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == thread_name {
            let stat = std::fs::read_to_string(task.join("schedstat"))?;
            total += stat.split(' ').next().context("schedstat")?.parse::<u64>()?;
        }
    }
    Ok(total)
}

fn frames(first: EventId, count: u64) -> Result<Bytes> {
    let event = Event::Market(Market {
        symbol: "BTCUSDT".parse()?,
        ts_ns: 1_704_067_200_000_000_000,
        price: Price::parse("50000.0")?,
        trade_id: None,
        qty: None,
        side: None,
        bid: None,
        ask: None,
    });
    let mut out = Vec::new();
    for id in first..first + count {
        veloz::frame::write_frame(&mut out, id, &event);
    }
    Ok(out.into())
}

#[expect(clippy::as_conversions, reason = "counts of a bench are far below 2^52")]
fn per(n: u64, of: u64) -> f64 {
    n as f64 / of as f64
}

/// Reads all that comes on many sockets.
struct Readers {
    bytes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Readers {
    fn start(sockets: Vec<TcpStream>) -> Result<Readers> {
        let (bytes, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let poll = mio::Poll::new()?;
        let mut all = Vec::new();
        for (i, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let mut socket = mio::net::TcpStream::from_std(socket);
            poll.registry().register(&mut socket, mio::Token(i), mio::Interest::READABLE)?;
            all.push(socket);
        }
        let (counted, stopped) = (Arc::clone(&bytes), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("readers".into())
            .spawn(move || read_all(poll, all, &counted, &stopped))?;
        Ok(Readers { bytes, stop, thread: Some(thread) })
    }

    fn received(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn wait_for(&self, bytes: u64) {
        while self.received() < bytes {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

fn read_all(
    mut poll: mio::Poll,
    mut sockets: Vec<mio::net::TcpStream>,
    counted: &AtomicU64,
    stopped: &AtomicBool,
) {
    let mut events = mio::Events::with_capacity(1024);
    let mut buffer = vec![0; 256 << 10];
    while !stopped.load(Ordering::Relaxed) {
        // An interrupted wait finds no events.
        let _ = poll.poll(&mut events, Some(Duration::from_millis(20)));
        for event in &events {
            let Some(socket) = sockets.get_mut(event.token().0) else { continue };
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        counted.fetch_add(u64::try_from(n).unwrap_or(0), Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }
}

fn socket_pairs(count: usize) -> Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        clients.push(TcpStream::connect(address)?);
        servers.push(listener.accept()?.0);
    }
    Ok((clients, servers))
}

/// A bare loop of `write`.
struct Floor {
    sockets: Vec<TcpStream>,
    readers: Readers,
    subscribers: u64,
}

impl Floor {
    fn start(subscribers: usize) -> Result<Floor> {
        let (clients, sockets) = socket_pairs(subscribers)?;
        for socket in &sockets {
            socket.set_nodelay(true)?;
        }
        let subscribers = u64::try_from(subscribers)?;
        Ok(Floor { sockets, readers: Readers::start(clients)?, subscribers })
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        for mut socket in &self.sockets {
            socket.write_all(bytes)?;
        }
        Ok(())
    }

    /// The events go to the sending thread as the service's do: over a queue.
    fn steady(&self) -> Result<f64> {
        let (sender, receiver) = crossbeam_channel::bounded::<Bytes>(1024);
        std::thread::scope(|scope| {
            let floor = std::thread::Builder::new().name("floor".into());
            let thread = floor.spawn_scoped(scope, move || -> Result<u64> {
                for bytes in receiver {
                    self.write(&bytes)?;
                }
                cpu_ns("floor")
            })?;
            for id in 1..=STEADY_EVENTS {
                sender.send(frames(id, 1)?)?;
                std::thread::sleep(Duration::from_millis(1000 / EVENTS_PER_S));
            }
            drop(sender);
            let cpu = thread.join().map_err(|_| anyhow::anyhow!("the floor panicked"))??;
            Ok(per(cpu, STEADY_EVENTS * self.subscribers * 1000))
        })
    }

    fn flat_out(&self) -> Result<f64> {
        let bytes = frames(1_000_000, FLAT_OUT_EVENTS_PER_WRITE)?;
        let (before, start) = (self.readers.received(), Instant::now());
        for _ in 0..FLAT_OUT_WRITES {
            self.write(&bytes)?;
        }
        let sent = u64::try_from(bytes.len())? * self.subscribers * FLAT_OUT_WRITES;
        self.readers.wait_for(before + sent);
        let deliveries = FLAT_OUT_EVENTS_PER_WRITE * FLAT_OUT_WRITES * self.subscribers;
        Ok(per(deliveries, 1000) / start.elapsed().as_secs_f64())
    }
}

/// A log that nobody falls back to: the bench would fail.
struct NoLog;

impl LogReader for NoLog {
    fn bounds(&self) -> Bounds {
        Bounds { oldest: 1, newest: 0 }
    }

    fn read(&self, _: EventId, _: usize) -> Result<Read, LogError> {
        Err(LogError::Damaged("a subscriber fell behind the window".into()))
    }
}

impl StateSource for NoLog {
    fn snapshot(&self, _: SnapshotReply) {}

    fn books(&self, _: &[Symbol], _: BooksReply) {}

    fn stream_failed(&self) {}
}

/// The stream's thread.
struct Streamed {
    stream: Stream,
    tail: Tail,
    handle: StreamHandle,
    readers: Readers,
    subscribers: u64,
}

impl Streamed {
    fn start(subscribers: usize) -> Result<Streamed> {
        let (clients, sockets) = socket_pairs(subscribers)?;
        let stream = Stream::start(StreamConfig::default(), Arc::new(NoLog), Arc::new(NoLog))?;
        let (tail, handle) = (stream.tail(), stream.handle());
        let subscribers = u64::try_from(subscribers)?;
        for socket in sockets {
            while handle.metrics().attached.get() > handle.metrics().writes.get() + 1000 {
                std::thread::sleep(Duration::from_millis(1));
            }
            handle.attach(socket, Attach::default())?;
        }
        let readers = Readers::start(clients)?;
        while handle.metrics().writes.get() < subscribers {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Streamed { stream, tail, handle, readers, subscribers })
    }

    /// Waits until so many deliveries are made.
    fn delivered(&self, deliveries: u64) -> Result<()> {
        while self.handle.metrics().delivered_events.get() < deliveries {
            let connected = self.handle.metrics().connections.get();
            anyhow::ensure!(connected == self.subscribers, "a subscriber was lost");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn steady(&self) -> Result<f64> {
        let before = cpu_ns("stream")?;
        for id in 1..=STEADY_EVENTS {
            self.tail.publish(frames(id, 1)?, id, 1);
            std::thread::sleep(Duration::from_millis(1000 / EVENTS_PER_S));
        }
        self.delivered(STEADY_EVENTS * self.subscribers)?;
        Ok(per(cpu_ns("stream")? - before, STEADY_EVENTS * self.subscribers * 1000))
    }

    /// The publisher keeps ahead of the slowest subscriber by a few batches.
    fn flat_out(&self) -> Result<f64> {
        let (received, start) = (self.readers.received(), Instant::now());
        let mut sent = 0;
        for n in 0..FLAT_OUT_WRITES {
            let first = STEADY_EVENTS + 1 + n * FLAT_OUT_EVENTS_PER_WRITE;
            let bytes = frames(first, FLAT_OUT_EVENTS_PER_WRITE)?;
            sent += u64::try_from(bytes.len())? * self.subscribers;
            self.tail.publish(bytes, first, FLAT_OUT_EVENTS_PER_WRITE);
            let behind = first.saturating_sub(4 * FLAT_OUT_EVENTS_PER_WRITE);
            self.delivered(behind * self.subscribers)?;
        }
        self.readers.wait_for(received + sent);
        let deliveries = FLAT_OUT_WRITES * FLAT_OUT_EVENTS_PER_WRITE * self.subscribers;
        Ok(per(deliveries, 1000) / start.elapsed().as_secs_f64())
    }

    fn stop(self) {
        drop(self.readers);
        self.stream.shut_down();
    }
}
