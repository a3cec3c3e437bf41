//! The simulator of the whole gateway: one thread, one seed, and a disk, clients and a clock that do their worst.
//!
//! The real service, journal, engine and stream run in it step by step. After each step: no event that was seen
//! is lost, none comes twice, ids have no hole, what was answered is kept, the state is what the log leads to,
//! money adds up, trouble is told, and a flipped bit is reported.
//!
//! - `SIM_SEED=7 cargo test --test simulator one_seed`: that seed alone.
//! - `SIM_SEEDS=10000`: so many seeds (`make sim`), in place of the time that `SIM_SECONDS` says.
#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod disk;
mod file;
mod flip;
mod gateway;
mod log;
mod market;
mod plant;
mod readers;
mod regressions;
mod report;
mod traders;
mod truth;
mod world;

use std::io::Write as _;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plant::Plant;
use report::Report;
use world::run;

/// How long the seeds of `make test` may take.
const SECONDS: u64 = 120;
/// Within so many seeds a planted fault is found.
const PLANTED_SEEDS: u64 = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}

#[track_caller]
fn check(seed: u64) -> Report {
    let again =
        format!("SIM_SEED={seed} cargo test -p veloz --test simulator one_seed -- --nocapture");
    match catch_unwind(|| run(seed, Plant::Nothing)) {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => panic!("seed {seed}: {error}\nagain: {again}"),
        Err(panic) => {
            tell(&format!("seed {seed} panicked; again: {again}"));
            resume_unwind(panic)
        }
    }
}

#[test]
fn one_seed() {
    let seed = number("SIM_SEED").unwrap_or(1);
    tell(&format!("seed {seed}: {}", check(seed)));
}

/// As many seeds as there is time for, or as are wanted, on every core.
#[test]
fn seeds() {
    let (start, wanted) = (Instant::now(), number("SIM_SEEDS"));
    let limit = Duration::from_secs(number("SIM_SECONDS").unwrap_or(SECONDS));
    let first = number("SIM_FIRST").unwrap_or(1);
    let (next, total) = (AtomicU64::new(0), Mutex::new((0, Report::default())));
    let work = || loop {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        if wanted.map_or(start.elapsed() >= limit, |wanted| nth >= wanted) {
            return;
        }
        let report = check(first + nth);
        let mut total = total.lock().expect("no other seed failed");
        total.0 += 1;
        total.1.add(&report);
        if total.0 % 1000 == 0 {
            tell(&format!("{} seeds in {:.0?}", total.0, start.elapsed()));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (seeds, report) = total.into_inner().expect("no seed failed");
    let last = first + seeds;
    tell(&format!("simulator: seeds {first} to {last} in {:.0?}: {report}", start.elapsed()));
    assert!(report.kills > 0 && report.power_cuts > 0 && report.delivered > 0);
    assert!(report.archived > 0);
}

/// Tells it though nothing failed: `println!` would be kept back.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 1..=12 {
        assert_eq!(check(seed), check(seed), "seed {seed}");
    }
}

#[test]
fn what_is_planted_is_found() {
    for plant in Plant::ALL {
        let found = (1..=PLANTED_SEEDS).find_map(|seed| Some((seed, run(seed, plant).err()?)));
        let (seed, error) = found.unwrap_or_else(|| panic!("{plant:?} is not found"));
        tell(&format!("{plant:?} is found by seed {seed}: {error:.120}"));
    }
}
