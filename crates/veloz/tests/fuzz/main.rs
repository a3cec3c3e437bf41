//! The checks of `fuzz/`, driven by the corpus and by random changes of it, for a short time: whoever changes a parser
//! hears of it here. `make fuzz` drives the same checks with libFuzzer, which sees what each input reaches.
//!
//! `FUZZ_SECONDS` says for how long each; `FUZZ_SEED` repeats a run.
#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and the checks are a crate of their own"
)]

#[path = "../../../../fuzz/src/lib.rs"]
mod checks;

use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// How long a check is driven, unless somebody says otherwise.
const SECONDS: u64 = 15;
/// The longest input.
const MAX_BYTES: usize = 4096;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("reads").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder:?} is empty");
    files.iter().map(|file| std::fs::read(file).expect("reads")).collect()
}

/// Runs one input; when it fails, keeps it and says how to run it again.
fn try_one(name: &str, data: &[u8], told: &str) {
    if catch_unwind(|| checks::run(name, data)).is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&file, data).expect("keeps the input");
        panic!("{name} fails ({told}): the input is {file:?}: copy it to fuzz/corpus/{name}");
    }
}

fn drive(name: &str) {
    let corpus = corpus(name);
    for (nth, data) in corpus.iter().enumerate() {
        try_one(name, data, &format!("file {nth} of the corpus"));
    }
    let seed = number("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let limit = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS));
    let (mut rng, start, mut inputs) = (Rng::with_seed(seed), Instant::now(), 0_u64);
    while start.elapsed() < limit {
        let data = changed(&corpus, &mut rng);
        try_one(name, &data, &format!("FUZZ_SEED={seed}, input {inputs}"));
        inputs += 1;
    }
    let of = corpus.len();
    writeln!(std::io::stderr(), "fuzz {name}: {inputs} inputs from {of} files, FUZZ_SEED={seed}")
        .expect("standard error is open");
}

/// A file of the corpus, changed a little in several places.
fn changed(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut data = rng.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..=rng.usize(0..6) {
        let at = rng.usize(0..=data.len());
        let end = rng.usize(at..=data.len().min(at + 16));
        match rng.u8(0..8) {
            0 => data.truncate(at),
            1 => data.insert(at, rng.u8(..)),
            2 => data.insert(at, *rng.choice(b"0123456789.-e\"{}[],:\n\r &=%\0").expect("some")),
            3 => drop(data.drain(at..end)),
            4 => {
                let part = data[at..end].to_vec();
                data.splice(at..at, part);
            }
            5 => {
                let other = rng.choice(corpus).cloned().unwrap_or_default();
                let from = rng.usize(0..=other.len());
                let to = rng.usize(from..=other.len().min(from + 64));
                data.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << rng.u8(0..8);
                }
            }
        }
    }
    data.truncate(MAX_BYTES);
    data
}

macro_rules! driven {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                drive(stringify!($name));
            }
        )*

        #[test]
        fn every_check_is_driven() {
            let names: Vec<_> = checks::CHECKS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

driven!(bodies, captures, decimals, engine, facts, frames, journal, queries, sse);
