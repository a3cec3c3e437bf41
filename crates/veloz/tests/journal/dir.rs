//! The data directory: made, locked, stamped; each refusal one clear line.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use veloz::journal::{DataDir, JournalError, Lineage, Stamp, stamp_problem};

fn stamp() -> Stamp {
    Stamp::new("sim_engine", "", "", "sim")
}

#[test]
fn a_directory_is_made_for_its_owner_only_and_locked() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("a/b");
    let dir = DataDir::open(&path).expect("opens");
    let mode = fs::metadata(&path).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let error = DataDir::open(&path).expect_err("is in use");
    let told = error.to_string();
    assert!(matches!(error, JournalError::InUse { .. }));
    assert!(told.contains(path.to_str().expect("utf-8")), "{told}");
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    drop(dir);
    DataDir::open(&path).expect("is free again");
}

#[test]
fn a_lock_file_that_is_removed_lets_nobody_in() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(parent.path()).expect("opens");
    fs::remove_file(parent.path().join("lock")).expect("is there");
    let again = DataDir::open(parent.path());
    assert!(matches!(again, Err(JournalError::InUse { .. })), "{again:?}");
    drop(dir);
    DataDir::open(parent.path()).expect("is free again");
}

#[test]
fn a_stamp_reads_back_and_says_what_differs() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(parent.path()).expect("opens");
    assert_eq!(dir.stamp().expect("reads"), None);
    dir.write_stamp(&stamp()).expect("writes");
    let stored = dir.stamp().expect("reads").expect("is there");
    assert_eq!(stored, stamp());
    dir.check_owner(&stored, &Stamp::new("sim_engine", "", "", "replay")).expect("is the same");
    dir.check_market_source(&stored, &stamp()).expect("is the same");
    let check = |wanted: Stamp, expected: &str| {
        let error = dir
            .check_owner(&stored, &wanted)
            .and_then(|()| dir.check_market_source(&stored, &wanted))
            .expect_err("differs");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        Stamp::new("binance_spot", "", "", "sim"),
        "execution mode \"sim_engine\", not \"binance_spot\"",
    );
    check(Stamp::new("sim_engine", "a", "", "sim"), "venue \"\", not \"a\"");
    check(Stamp::new("sim_engine", "", "b", "sim"), "account \"\", not \"b\"");
    check(Stamp::new("sim_engine", "", "", "none"), "--cancel-open");
}

#[test]
fn a_stamp_that_is_none_or_newer_is_refused() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(parent.path()).expect("opens");
    fs::write(parent.path().join("stamp.json"), "{").expect("writes");
    assert!(matches!(dir.stamp(), Err(JournalError::Damaged { .. })));
    dir.write_stamp(&Stamp { format_version: 99, ..stamp() }).expect("writes");
    assert!(matches!(dir.stamp(), Err(JournalError::Version { found: 99, .. })));
}

/// Of whatever was a stamp no bit can be another one.
#[test]
fn a_flipped_bit_of_a_stamp_is_seen() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(parent.path()).expect("opens");
    let mut log = Lineage::default();
    assert!(log.begin());
    let stamp = Stamp { log, ..stamp() };
    dir.write_stamp(&stamp).expect("writes");
    let path = parent.path().join("stamp.json");
    let whole = fs::read(&path).expect("reads");
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(&path, bytes).expect("writes");
        match dir.stamp() {
            // A space may be another white space.
            Ok(Some(read)) => assert_eq!((read, whole[at / 8]), (stamp.clone(), b' '), "{at}"),
            Ok(None) => panic!("bit {at}"),
            Err(error) => assert!(error.to_string().contains("stamp.json"), "{error}"),
        }
        let problem = stamp_problem(parent.path());
        assert_eq!(problem.is_some(), dir.stamp().is_err(), "bit {at}: {problem:?}");
    }
}

#[test]
fn a_log_without_a_stamp_is_refused() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(parent.path()).expect("opens");
    fs::write(parent.path().join("00000000000000000001.vlz"), "").expect("writes");
    let error = dir.stamp().expect_err("is missing");
    assert!(matches!(error, JournalError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("stamp.json"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_used_is_one_clear_line() {
    let parent = tempfile::tempdir().expect("a directory");
    let file = parent.path().join("file");
    fs::write(&file, "").expect("writes");
    for path in [file.clone(), file.join("below")] {
        let told = DataDir::open(&path).expect_err("is no directory").to_string();
        assert!(told.contains(path.to_str().expect("utf-8")) && !told.contains('\n'), "{told}");
    }
}
