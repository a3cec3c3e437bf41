//! A log that was restored, or cut, is another one: a client that comes back with an event of the log before is told,
//! though this one has an event of that number too.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{ClientProcess, Gateway, Options, Proxy, eventually, needed, root};

fn veloz(args: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_veloz")).args(args).output().expect("it starts");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn log_id(gateway: &Gateway) -> String {
    gateway.json("/api/config")["log_id"].as_str().expect("it has one").to_owned()
}

/// The id, type and data of the first event that a client prints.
fn first(mut command: Command) -> (u64, String, Value) {
    let client = ClientProcess::start(&mut command);
    let line = eventually("a first event", || client.lines().first().cloned());
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("{line:?}"));
    let (id, kind) = (word().parse().expect("an id"), word().to_owned());
    (id, kind, serde_json::from_str(word()).expect("JSON"))
}

/// What each kind of client is shown first that was at `last_id` of `log`.
fn come_back(gateway: &Gateway, log: &str, last_id: u64) -> Vec<(u64, String, Value)> {
    let url = gateway.url(&format!("/api/stream?log={log}"));
    let mut curl = Command::new(needed("examples/curl/resume.sh"));
    let mut python = Command::new(needed(".venv/bin/python"));
    python.arg(root().join("examples/python/stream.py"));
    for command in [&mut curl, &mut python] {
        command.args([&url, &last_id.to_string()]);
    }
    vec![first(curl), first(python)]
}

#[test]
fn an_event_of_the_log_before_is_told() {
    let gateway = Gateway::start(Options::busy());
    let proxy = Proxy::start(gateway.address(), false);
    let url = format!("http://{}", proxy.address());
    let mut tail = Command::new(env!("CARGO_BIN_EXE_veloz"));
    let mut tail =
        ClientProcess::start(tail.args(["--url", &url, "tail", "--json", "--since", "0"]));
    let before = log_id(&gateway);
    assert_eq!(before.len(), 16, "{before}");
    let copy = gateway.dir().with_file_name("copy");
    eventually("events", || (gateway.newest() > 20).then_some(()));
    veloz(&["journal", "backup", text(gateway.dir()), text(&copy)]);
    let goes_on = gateway.newest();
    eventually("events after the backup", || (tail.seen().1 > goes_on + 20).then_some(()));

    let restored = gateway.on_copy(&copy, Options::busy());
    let seen = tail.seen().1;
    let now = log_id(&restored);
    assert!(now != before, "it is another log");
    eventually("as many events", || (restored.newest() > seen + 20).then_some(()));
    for (id, kind, data) in come_back(&restored, &before, seen) {
        assert_eq!(kind, "gap", "{data}");
        let newest = data["newest"].as_u64().expect("a number");
        assert_eq!((id, newest > seen), (newest, true), "it goes on live: {data}");
        let wanted = json!({"type": "gap", "reason": "ahead", "requested": seen, "oldest": 1, "newest": newest, "log": now});
        assert_eq!(data, wanted);
    }
    let page = restored.json(&format!("/api/events?after={seen}&log={before}"));
    assert_eq!((&page["items"], &page["gap"]["log"]), (&json!([]), &json!(now)), "{page}");
    // Our own client was never told of an id of a log: it remembers the one it was on.
    proxy.set_target(restored.address());
    let told = eventually("veloz tail tells it", || {
        let is_told = |line: &&String| line.contains("\"gap\"");
        tail.lines().iter().find(is_told).cloned()
    });
    assert!(told.contains(&format!("\"log\":\"{now}\"")), "{told}");

    // What both logs have, and what this one has: no gap.
    for (log, last_id) in [(&before, 10), (&now, seen)] {
        for (id, kind, data) in come_back(&restored, log, last_id) {
            assert_eq!((id, kind == "gap"), (last_id + 1, false), "{log} {last_id}: {data}");
        }
    }
    let mut again = restored.again();
    assert_eq!(log_id(&again), now, "it stays through a restart");
    again.kill();
    assert_eq!(log_id(&again.again()), now, "and through a crash");
}

/// The same backup twice is not the same log twice; what an earlier version left has no id and gets one.
#[test]
fn each_copy_is_a_log_of_its_own() {
    let gateway = Gateway::start(Options::quiet());
    let before = log_id(&gateway);
    let (one, two) = (gateway.dir().with_file_name("one"), gateway.dir().with_file_name("two"));
    for copy in [&one, &two] {
        veloz(&["journal", "backup", text(gateway.dir()), text(copy)]);
    }
    let mut stamp: Value =
        serde_json::from_slice(&std::fs::read(two.join("stamp.json")).expect("there"))
            .expect("JSON");
    stamp.as_object_mut().expect("an object").retain(|key, _| key != "log" && key != "checksum");
    std::fs::write(two.join("stamp.json"), stamp.to_string()).expect("written");
    let first = gateway.on_copy(&one, Options::quiet());
    let first_id = log_id(&first);
    let second_id = log_id(&first.on_copy(&two, Options::quiet()));
    assert!(first_id != before && second_id != before && first_id != second_id);
}

#[test]
fn a_log_that_was_cut_is_another_one() {
    let mut gateway = Gateway::start(Options::busy());
    let before = log_id(&gateway);
    eventually("events", || (gateway.newest() > 200).then_some(()));
    gateway.kill();
    let segment = gateway.dir().join("00000000000000000001.vlz");
    let mut bytes = std::fs::read(&segment).expect("there");
    let at = bytes.windows(7).position(|seen| seen == b"id: 100").expect("it has event 100");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    veloz(&["journal", "repair", text(gateway.dir()), "--cut-after", "90"]);
    let gateway = gateway.again();
    let now = log_id(&gateway);
    assert!(now != before, "events that were seen are gone");
    eventually("as many events", || (gateway.newest() > 200).then_some(()));
    let told = |last_id| come_back(&gateway, &before, last_id).remove(0);
    assert_eq!(told(80).0, 81, "what was not cut is the same");
    let (_, kind, data) = told(150);
    assert_eq!((kind.as_str(), &data["log"]), ("gap", &json!(now)), "{data}");
}
