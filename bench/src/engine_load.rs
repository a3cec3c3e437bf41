//! The load of a matching engine, the same for ours and for each peer: orders rest on a thousand levels,
//! and then of eleven operations five place one, five cancel one, and one takes from a deep ask and fills.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// How long, and on how large a book.
#[derive(Args)]
pub(crate) struct EngineLoad {
    /// Orders that rest while it is measured.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) resting: u64,
    /// Orders that were placed and cancelled before it is measured.
    #[arg(long, default_value_t = 0)]
    pub(crate) closed: u64,
    /// Operations that are measured, twice: once for how many a second, once each timed.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) operations: u64,
}

/// Levels that orders rest on, below the market.
pub(crate) const LEVELS: u64 = 1_000;
const CYCLE: u64 = 11;

/// An engine under load. An operation that it refuses is an error.
pub(crate) trait Venue {
    /// Places a limit BUY that rests on a level (0 is the deepest).
    fn place(&mut self, id: u64, level: u64) -> Result<()>;
    /// Cancels an order that rests.
    fn cancel(&mut self, id: u64) -> Result<()>;
    /// A BUY that fills at once against the ask.
    fn take(&mut self, id: u64) -> Result<()>;
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

struct Load<V> {
    venue: V,
    chance: Chance,
    next_id: u64,
    live: Vec<u64>,
}

/// Puts the load on an engine.
///
/// # Errors
/// When it refuses an operation.
pub(crate) fn run(venue: impl Venue, args: &EngineLoad) -> Result<Value> {
    let mut load =
        Load { venue, chance: Chance(0x9e37_79b9_7f4a_7c15), next_id: 1, live: Vec::new() };
    load.live.reserve(usize::try_from(args.resting)? + 16);
    let empty = resident_bytes()?;
    for _ in 0..args.resting {
        load.place()?;
    }
    let full = resident_bytes()?;
    for _ in 0..args.closed {
        load.place()?;
        load.cancel()?;
    }
    let closed = resident_bytes()?;
    for number in 0..args.operations / 10 {
        load.operation(number)?;
    }
    let began = Instant::now();
    for number in 0..args.operations {
        load.operation(number)?;
    }
    let took = began.elapsed();
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    for number in 0..args.operations {
        let began = Instant::now();
        load.operation(number)?;
        times.saturating_record(u64::try_from(began.elapsed().as_nanos())?);
    }
    let at = |quantile| times.value_at_quantile(quantile);
    Ok(json!({
        "resting": args.resting, "closed": args.closed, "operations": args.operations,
        "operations_per_second": per_second(args.operations, took),
        "p50_ns": at(0.5), "p99_ns": at(0.99), "p999_ns": at(0.999), "max_ns": times.max(),
        "bytes_per_resting": full.saturating_sub(empty).checked_div(args.resting),
        "bytes_per_closed": closed.saturating_sub(full).checked_div(args.closed),
    }))
}

#[expect(clippy::as_conversions, reason = "a count of operations is far below 2^53")]
fn per_second(count: u64, took: Duration) -> f64 {
    (count as f64 / took.as_secs_f64()).round()
}

/// What the process holds of memory.
fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

impl<V: Venue> Load<V> {
    fn operation(&mut self, number: u64) -> Result<()> {
        match number % CYCLE {
            10 => {
                let id = self.id();
                self.venue.take(id)
            }
            step if step.is_multiple_of(2) => self.place(),
            _ => self.cancel(),
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn place(&mut self) -> Result<()> {
        let (id, level) = (self.id(), self.chance.below(LEVELS));
        self.live.push(id);
        self.venue.place(id, level)
    }

    fn cancel(&mut self) -> Result<()> {
        let index = self.chance.below(u64::try_from(self.live.len())?);
        let id = self.live.swap_remove(usize::try_from(index)?);
        self.venue.cancel(id)
    }
}
