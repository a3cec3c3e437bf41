//! The running program, from outside: every test here starts the real binary on a free port with a
//! data directory of its own, and speaks to it as its users do.
//!
//! One binary for all of it, so that it is linked once. A failure prints its seed; `VELOZ_SEED` runs it
//! again. A test that needs a tool fails and names it; one that needs the captures of `../shared/data`,
//! or rights that this user has not, prints `skipped:` and why.
#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod archive;
mod bad_input;
mod bench;
mod dashboard;
mod engine;
mod examples;
mod exchange;
mod faults;
mod first_moment;
mod full_disk;
mod journal;
mod kills;
mod latency;
mod metrics;
mod replay;
mod restored;
mod resume;
mod signals;
mod soak;
mod startup;
mod strategies;
mod support;
mod under_load;
mod venue;
