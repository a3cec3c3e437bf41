//! The checks of `fuzz/` on every file of their corpus: whoever breaks a parser hears of it here first. `scripts/fuzz`,
//! the last step of `make test`, drives the same checks with libFuzzer from there on.
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

use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("reads").path()).collect();
    files.sort();
    files
}

#[test]
fn the_corpus_passes() {
    for (name, _) in checks::CHECKS {
        let corpus = files(&format!("corpus/{name}"));
        assert!(!corpus.is_empty(), "the corpus of {name} is empty");
        for file in corpus {
            // Shown when the check fails.
            println!("{}", file.display());
            checks::run(name, &std::fs::read(&file).expect("reads"));
        }
    }
}

#[test]
fn every_check_has_its_target() {
    let names: Vec<_> = checks::CHECKS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    let targets = files("fuzz_targets");
    let targets = targets.iter().filter_map(|file| file.file_name()?.to_str());
    assert_eq!(targets.collect::<Vec<_>>(), names);
}
