//! The load of a matching engine, the same for ours and for each peer: orders rest on a thousand levels,
//! and then of eleven operations five place one, five cancel one, and one takes from a deep ask and fills.
//!
//! What is timed is what the engine does, and its results are made and dropped in it. That requests are made,
//! as whoever receives them would, and which order is cancelled is settled beforehand, a batch at a time.

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

/// Requests that are made at once: few enough to stay in the processor's nearest cache or next to it, as one
/// that has just been received does.
const BATCH: u64 = 64;

/// What is asked of an engine.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    /// A limit BUY that rests on a level (0 is the deepest).
    Place { id: u64, level: u64 },
    /// An order that rests is taken back.
    Cancel { id: u64 },
    /// A BUY that fills at once against the ask.
    Take { id: u64 },
}

/// An engine under load.
pub(crate) trait Venue {
    /// An operation in the engine's own words.
    type Request;

    /// Puts an operation into words.
    fn request(&mut self, operation: Operation) -> Result<Self::Request>;

    /// What the engine offers to do with requests that wait together.
    fn look_ahead(&mut self, _: &[Self::Request]) {}

    /// Does what is asked. An operation that is refused is an error.
    fn perform(&mut self, request: &Self::Request) -> Result<()>;
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

struct Load<V: Venue> {
    venue: V,
    batch: Vec<V::Request>,
    number: u64,
    chance: Chance,
    next_id: u64,
    live: Vec<u64>,
}

/// Puts the load on an engine.
///
/// # Errors
/// When it refuses an operation.
pub(crate) fn run(venue: impl Venue, args: &EngineLoad) -> Result<Value> {
    let chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut load =
        Load { venue, batch: Vec::new(), number: 0, chance, next_id: 1, live: Vec::new() };
    load.live.reserve(usize::try_from(args.resting)? + 16);
    let empty = resident_bytes()?;
    for _ in 0..args.resting {
        let place = load.place();
        load.perform(place)?;
    }
    let full = resident_bytes()?;
    for _ in 0..args.closed {
        for operation in [load.place(), load.cancel()?] {
            load.perform(operation)?;
        }
    }
    let closed = resident_bytes()?;
    load.batches(args.operations / 10)?;
    let took = load.batches(args.operations)?;
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    load.one_by_one(args.operations, &mut times)?;
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
    /// Performs so many operations. How long they took, without what came before each batch.
    fn batches(&mut self, operations: u64) -> Result<Duration> {
        let mut took = Duration::ZERO;
        for first in (0..operations).step_by(usize::try_from(BATCH)?) {
            self.prepare(BATCH.min(operations - first))?;
            let began = Instant::now();
            self.venue.look_ahead(&self.batch);
            for request in &self.batch {
                self.venue.perform(request)?;
            }
            took += began.elapsed();
        }
        Ok(took)
    }

    /// The same, each operation timed.
    fn one_by_one(&mut self, operations: u64, times: &mut Histogram<u64>) -> Result<()> {
        for first in (0..operations).step_by(usize::try_from(BATCH)?) {
            self.prepare(BATCH.min(operations - first))?;
            for request in &self.batch {
                let began = Instant::now();
                self.venue.perform(request)?;
                times.saturating_record(u64::try_from(began.elapsed().as_nanos())?);
            }
        }
        Ok(())
    }

    fn prepare(&mut self, operations: u64) -> Result<()> {
        self.batch.clear();
        for _ in 0..operations {
            let operation = self.operation()?;
            self.batch.push(self.venue.request(operation)?);
        }
        Ok(())
    }

    fn perform(&mut self, operation: Operation) -> Result<()> {
        let request = self.venue.request(operation)?;
        self.venue.perform(&request)
    }

    fn operation(&mut self) -> Result<Operation> {
        self.number += 1;
        Ok(match self.number % CYCLE {
            0 => Operation::Take { id: self.id() },
            step if step.is_multiple_of(2) => self.cancel()?,
            _ => self.place(),
        })
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn place(&mut self) -> Operation {
        let (id, level) = (self.id(), self.chance.below(LEVELS));
        self.live.push(id);
        Operation::Place { id, level }
    }

    fn cancel(&mut self) -> Result<Operation> {
        let index = self.chance.below(u64::try_from(self.live.len())?);
        let id = self.live.swap_remove(usize::try_from(index)?);
        Ok(Operation::Cancel { id })
    }
}
