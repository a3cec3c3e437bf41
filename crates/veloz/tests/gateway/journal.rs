//! The tools for the log, as an operator has them: check, show, repair, copy, empty.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use veloz::frame::write_frame;
use veloz::journal::{Batch, DataDir, Journal, JournalConfig, Stamp};
use veloz_core::event::{ErrorEvent, Event};

use crate::archive;
use crate::startup::refused;
use crate::support::{Gateway, Options, eventually};

/// Runs `veloz` with these words and checks how it ends and what it says, on either output.
#[track_caller]
fn check(args: &[&str], code: i32, said: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_veloz"))
        .args(args)
        .env("VELOZ_DATA_DIR", "no such directory")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
    for part in said {
        assert!(out.contains(part) || err.contains(part), "{args:?}: no {part:?} in\n{out}\n{err}");
    }
    out
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn verified(dir: &Path) -> Value {
    serde_json::from_str(&check(&["journal", "verify", text(dir), "--json"], 0, &[])).unwrap()
}

/// A log of 400 events in many small segments, the last of them closed cleanly.
fn log(home: &Path) -> (PathBuf, Vec<PathBuf>) {
    let dir = home.join("log");
    std::fs::create_dir(&dir).unwrap();
    append(&dir, 1..401);
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let owned = DataDir::open(&dir).unwrap();
    owned.write_stamp(&Stamp::new("sim_engine", "", "", "none")).unwrap();
    assert!(segments.len() > 5, "{segments:?}");
    (dir, segments)
}

fn append(dir: &Path, ids: std::ops::Range<u64>) {
    let config = JournalConfig { segment_bytes: 4 << 10, ..JournalConfig::default() };
    let (mut journal, _, _) = Journal::open(dir, config).unwrap();
    for id in ids {
        let mut batch = Batch::new();
        let event = ErrorEvent { ts_ns: 0, message: format!("e{id}").into(), detail: None };
        batch.step(id, 1, b"", |out| write_frame(out, id, &Event::Error(event)));
        journal.append(&mut batch, 1).unwrap();
        // Else what is not on the disk yet would pass for a torn write.
        journal.sync().unwrap();
    }
}

fn flip(file: &Path, offset: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[offset] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("lock"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Whose log it is can be damaged too: told by `verify`, and no gateway starts on it.
#[test]
fn a_stamp_that_is_damaged_or_gone_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (dir, _) = log(home.path());
    let verify = ["journal", "verify", text(&dir)];
    verified(&dir);
    flip(&dir.join("stamp.json"), 40);
    check(&verify, 1, &["stamp.json\t0\t"]);
    refused(&Options::quiet(), &dir, &["stamp.json is damaged at offset 0"]);
    std::fs::remove_file(dir.join("stamp.json")).unwrap();
    check(&verify, 1, &["stamp.json\t0\tit is missing"]);
    refused(&Options::quiet(), &dir, &["stamp.json is missing"]);
}

#[test]
fn a_backup_of_a_running_gateway_is_whole_and_can_be_started_on() {
    let gateway = Gateway::start(Options::busy());
    let place = |id: &str| {
        let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000", "client_order_id": id});
        assert_eq!(gateway.post("/api/order", &order).status, 200);
    };
    let copy = gateway.dir().with_file_name("copy");
    let backup = ["journal", "backup", text(gateway.dir()), text(&copy)];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                place(&format!("meanwhile-{n}"));
            }
        });
        place("a");
        let copied = std::panic::catch_unwind(|| check(&backup, 0, &["events 1 to ", "ok"]));
        stop.store(true, Ordering::SeqCst);
        copied.expect("a backup under load");
    });
    check(&backup, 1, &[text(&copy), "exists"]);
    let copied = verified(&copy);
    let newest = copied["newest"].as_u64().unwrap();
    // The source goes on, and is whole at any moment too.
    eventually("events after the backup", || (gateway.newest() > newest + 20).then_some(()));
    for _ in 0..5 {
        assert_eq!(verified(gateway.dir())["problems"], json!([]));
    }
    let seen = gateway.newest();

    // A client that saw more than the copy has is told so.
    let restored = gateway.on_copy(&copy, Options::quiet().flag("--cancel-open"));
    let mut stream = restored.stream(&format!("?last_id={seen}"));
    let gap = stream.next().unwrap();
    assert!(gap.is("gap"), "{gap:?}");
    let told = gap.json();
    assert_eq!((&told["reason"], &told["requested"]), (&json!("ahead"), &json!(seen)));
    assert_eq!(gap.id, told["newest"].as_u64(), "its cursor is mended: it goes on from the newest");
    assert!(told["newest"].as_u64().unwrap() < seen, "{told}");
    let a = restored.json("/api/order_state?client_order_id=a");
    assert_eq!(a["status"], "CANCELLED", "the order of before the backup: {a}");
    let mut old = restored.stream(&format!("?last_id={}", newest - 1));
    assert_eq!(old.next().unwrap().id, Some(newest), "one that saw less goes on without a gap");
}

#[test]
fn snapshots_are_held_against_the_replay() {
    let mut gateway = Gateway::trading();
    let order = json!({"side": "SELL", "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET", "client_order_id": "m"});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
    // As many fills as there were levels to take, which the market knows.
    let filled = gateway.json("/api/events?types=fill")["items"].as_array().unwrap().len();
    assert!(filled > 0, "{}", gateway.json("/api/order_state?client_order_id=m"));
    assert!(gateway.terminate().success());
    let report = verified(gateway.dir());
    assert_eq!(report["snapshots"][0]["compared"], true, "{report}");
    let dir = gateway.dir().to_path_buf();
    check(&["journal", "verify", text(&dir)], 0, &["is what the replay leads to"]);
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|e| e == "snap");
    let snapshot = contents(&dir).into_iter().map(|(path, _)| path).find(is_snapshot).unwrap();
    flip(&snapshot, 60);
    check(&["journal", "verify", text(&dir)], 1, &[text(&snapshot), "checksum"]);

    let stats = check(&["journal", "stats", text(&dir), "--json"], 1, &["checksum"]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["events"]["fill"], filled, "{stats}");
    assert_eq!(stats["newest"], report["newest"]);
    let dumped = check(&["journal", "dump", text(&dir)], 0, &[]);
    let records: Vec<Value> =
        dumped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len() as u64, report["records"].as_u64().unwrap());
    assert!(records.iter().any(|record| record["facts"] != json!([])), "facts are shown");
    assert_eq!(records[0]["frames"][0]["event"], "account");
}

#[test]
fn dumps_begin_and_end_where_asked() {
    let home = tempfile::tempdir().unwrap();
    let (dir, segments) = log(home.path());
    let dumped = check(&["journal", "dump", text(&dir), "--after", "200", "--limit", "2"], 0, &[]);
    let lines: Vec<Value> =
        dumped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = lines.iter().map(|line| line["frames"][0]["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [201, 202]);
    let stats =
        check(&["journal", "stats", text(&dir)], 0, &["oldest event\t1\nnewest event\t400\n"]);
    assert!(stats.contains(&format!("segments\t{}\n", segments.len())), "{stats}");
    assert!(stats.contains("error events\t400\n"), "{stats}");
}

#[test]
fn every_flipped_byte_is_found() {
    let home = tempfile::tempdir().unwrap();
    let (dir, segments) = log(home.path());
    check(&["journal", "verify", text(&dir)], 0, &["events 1 to 400", "ok"]);
    // Of a header, of a sealed segment, of the last one where whole records follow.
    for (file, offset) in [(&segments[3], 20), (&segments[3], 1000), (segments.last().unwrap(), 70)]
    {
        flip(file, offset);
        let offset_is_told = if offset < 64 { "\t0\t" } else { "\t" };
        check(&["journal", "verify", text(&dir)], 1, &[text(file), offset_is_told, "damaged"]);
        flip(file, offset);
    }
    let missing = std::fs::read(&segments[2]).unwrap();
    std::fs::remove_file(&segments[2]).unwrap();
    check(&["journal", "verify", text(&dir)], 1, &[text(&segments[2]), "missing"]);
    std::fs::write(&segments[2], &missing).unwrap();
    // Both are told, and the copy of a damaged log is none.
    flip(&segments[1], 500);
    flip(&segments[4], 500);
    let told = [text(&segments[1]), text(&segments[4]), "2 problem(s)"];
    check(&["journal", "verify", text(&dir)], 1, &told);
    let copy = home.path().join("copy");
    check(&["journal", "backup", text(&dir), text(&copy)], 1, &["damaged"]);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left of it");
    check(&["journal", "verify", text(home.path())], 1, &["holds no log"]);
}

#[test]
fn a_damaged_end_is_cut_only_when_told_so() {
    let home = tempfile::tempdir().unwrap();
    let (dir, segments) = log(home.path());
    let repair = ["journal", "repair", text(&dir)];
    let with = |more: &[&'static str]| [&repair, more].concat();
    check(&repair, 0, &["nothing to repair"]);
    check(&with(&["--json"]), 0, &["{\"ok\":true}"]);
    flip(&segments[4], 500);
    let before = contents(&dir);
    check(&repair, 2, &[text(&segments[4]), "to 400 lost", "nothing was changed"]);
    assert!(contents(&dir) == before, "nothing was changed");
    check(&with(&["--cut-after", "399"]), 1, &["whole before the damage end at"]);
    assert!(contents(&dir) == before, "nothing was changed");
    let told: Value = serde_json::from_str(&check(&with(&["--json"]), 2, &[])).unwrap();
    assert_eq!((&told["cut"], &told["newest_lost"]), (&json!(false), &json!(400)), "{told}");
    assert_eq!(told["file"], text(&segments[4]));
    check(&with(&["--cut-after", "10"]), 0, &["the log ends at event 10;", "kept: "]);
    assert_eq!(verified(&dir)["newest"], 10);
    // Not a byte is lost: what was cut and what is left is what was there.
    let bytes = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(_, b)| b.len()).sum::<usize>();
    assert_eq!(bytes(&contents(&dir)), bytes(&before));
    append(&dir, 11..50);
    assert_eq!(verified(&dir)["newest"], 49);
    // The events that were cut have the names of files that are there again.
    flip(&segments[0], 500);
    check(&with(&["--yes"]), 0, &["to 49 lost", ".2.cut"]);
    assert_eq!(verified(&dir)["newest"], 4);
}

#[test]
fn a_state_that_is_not_lost_is_not_cut_off_by_the_way() {
    let mut gateway = Gateway::start(Options::busy());
    eventually("events", || (gateway.newest() > 20).then_some(()));
    check(&["journal", "repair", text(gateway.dir()), "--yes"], 1, &["in use by process"]);
    check(&["reset", text(gateway.dir()), "--yes"], 1, &["in use by process"]);
    assert!(gateway.terminate().success());
    let dir = gateway.dir().to_path_buf();
    flip(&dir.join("00000000000000000001.vlz"), 70);
    let told = ["nothing was changed", "a valid snapshot stands behind", "--cut-after 0"];
    check(&["journal", "repair", text(&dir), "--yes"], 2, &told);
    check(&["journal", "repair", text(&dir), "--cut-after", "0"], 0, &["ends at event 0"]);
    let gateway = gateway.again();
    assert_eq!(gateway.json("/api/events?after=0&limit=1")["oldest"], 1);
}

/// A start reads the last segment, and what is behind the snapshot: other damage is met by those who read there.
#[test]
fn damage_that_only_readers_meet_is_told_and_orders_go_on() {
    let mut gateway = Gateway::start(archive::options());
    archive::flood(&gateway, 0..6_000);
    let newest = gateway.newest();
    assert!(gateway.terminate().success());
    let segment = gateway.dir().join("00000000000000000001.vlz");
    flip(&segment, 200);
    let mut gateway = gateway.again();
    assert_eq!(gateway.get("/health").status, 200);
    let stream = gateway.get("/api/stream?last_id=0");
    assert!(!stream.text().contains("id:"), "nothing is sent of it: {}", stream.text());
    let health = gateway.get("/health");
    assert_eq!((health.status, health.error().as_str()), (503, "log_unavailable"));
    let page = gateway.get("/api/events?after=0");
    assert_eq!((page.status, page.error().as_str()), (500, "log_unavailable"));
    for told in [page.text(), health.text()] {
        assert!(told.contains(text(&segment)) && told.contains("offset 64"), "{told}");
    }
    assert_eq!(gateway.json("/api/execution/ping")["ok"], true, "orders can be executed");
    assert_eq!(gateway.post("/api/order", &archive::order(6_000)).status, 200);
    let page = gateway.json(&format!("/api/events?after={newest}"));
    assert_eq!(page["items"][0]["id"], newest + 1, "{page}");
    assert!(!gateway.terminate().success(), "whoever looks at the exit code alone is told as well");
}

#[test]
fn a_reset_empties_a_log_and_nothing_else() {
    let mut gateway = Gateway::start(Options::quiet());
    let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000"});
    gateway.post("/api/order", &order);
    assert!(gateway.terminate().success());
    let dir = gateway.dir().to_path_buf();
    std::fs::write(dir.join("notes.txt"), "mine").unwrap();
    let before = contents(&dir);
    check(&["reset", text(&dir)], 2, &["00000000000000000001.vlz", "events 1 to", "--yes"]);
    let told = check(&["--json", "reset", text(&dir)], 2, &["--yes"]);
    let told: Value = serde_json::from_str(told.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&told["dir"], &told["oldest"]), (&json!(dir), &json!(1)), "{told}");
    assert!(contents(&dir) == before, "nothing was changed");
    check(&["reset", text(&dir), "--yes"], 0, &["stamp.json", "is empty"]);
    let left: Vec<_> = contents(&dir).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [dir.join("notes.txt")]);
    check(&["reset", text(&dir), "--yes"], 1, &["holds no log"]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("x"), "").unwrap();
    check(&["reset", text(elsewhere.path()), "--yes"], 1, &["holds no log"]);
    assert!(!elsewhere.path().join("lock").exists(), "it is left as it is");
    let gateway = gateway.again();
    assert_eq!(gateway.newest(), 1, "the account of a new log");
}

#[test]
fn the_journal_is_measured() {
    let gateway = Gateway::start(Options::busy());
    eventually("events", || (gateway.newest() > 20).then_some(()));
    let page = gateway.get("/metrics").text();
    let value = |name: &str| -> f64 {
        let line =
            page.lines().find_map(|line| line.strip_prefix(&format!("veloz_journal_{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().unwrap()
    };
    assert_eq!((value("segments"), value("oldest_event")), (1.0, 1.0));
    assert!(value("newest_event") > 20.0 && value("bytes") > 2000.0);
    assert!(value("sync_lag_seconds") < 5.0, "what is written reaches the disk");
    assert_eq!((value("compactions_total"), value("removed_segments_total")), (0.0, 0.0));
    assert_eq!((value("snapshot_event"), value("compacted_segments")), (0.0, 0.0));
}
