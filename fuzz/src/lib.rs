//! What must hold for any bytes that come from outside: one function a parser, driven by `cargo fuzz` (its targets
//! are in `fuzz_targets`); `crates/veloz/tests/fuzz` tries the corpus.
//!
//! Contract: a check panics when a parser breaks its promise: it panics itself, what it prints is not what it
//! reads, a log gives an event that was never written. A refusal is fine.

mod archive;
mod bodies;
mod captures;
mod decimals;
mod engine;
mod facts;
mod frames;
mod journal;
mod queries;
mod sse;

/// A check: any bytes will do.
pub type Check = fn(&[u8]);

/// Every check, by the name of its target and of its folder in `corpus`.
pub const CHECKS: &[(&str, Check)] = &[
    ("archive", archive::check),
    ("bodies", bodies::check),
    ("captures", captures::check),
    ("decimals", decimals::check),
    ("engine", engine::check),
    ("facts", facts::check),
    ("frames", frames::check),
    ("journal", journal::check),
    ("queries", queries::check),
    ("sse", sse::check),
];

/// Runs the check of that name.
///
/// # Panics
/// When it fails, or there is none of that name.
pub fn run(name: &str, data: &[u8]) {
    let found = CHECKS.iter().find(|(known, _)| *known == name);
    let (_, check) = found.unwrap_or_else(|| panic!("there is no check {name}"));
    check(data);
}
