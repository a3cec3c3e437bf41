//! Where a stream starts, and what it says when events are missing.

use veloz::stream::StreamConfig;
use veloz::stream::metrics::CloseReason;

use crate::rig::{MemoryLog, Rig, quiet, wait_for};

const SEAM: StreamConfig = StreamConfig {
    keep_alive_ms: 3_600_000,
    retry_ms: 3_000,
    stall_ms: 60_000,
    drain_ms: 5_000,
    window_bytes: 1000,
    block_bytes: 300,
    turn_bytes: 500,
    ring_from: 1,
};

#[test]
fn the_header_wins_over_the_query() {
    let rig = Rig::new(quiet());
    rig.publish(20);
    let mut client = rig.connect_as("last_id=3", &[("last-event-id", "15")], false);
    client.read_until("id: 20\n");
    assert_eq!(client.event_ids(), (16..=20).collect::<Vec<_>>());
}

#[test]
fn a_live_stream_names_where_it_starts() {
    let rig = Rig::new(quiet());
    rig.publish(7);
    let mut client = rig.connect("");
    assert_eq!(client.read_until("id: 7\n\n").split("retry: ").nth(1).unwrap().len(), 4 + 2 + 7);
    rig.publish(2);
    client.read_until("id: 9\n");
    assert_eq!(client.event_ids(), [8, 9]);
}

#[test]
fn gaps_come_first_and_are_told_once() {
    let check = |query: &str, wanted: &str, first: u64| {
        let log = MemoryLog::new();
        log.append(30);
        log.trim(10);
        let rig = Rig::on(log, quiet());
        let mut client = rig.connect(query);
        // Events that the stream's thread has taken up the client with, or will.
        wait_for("the connection", || rig.handle.metrics().writes.get() > 0);
        rig.publish(3);
        client.read_until("id: 33\n");
        assert!(client.body().starts_with(wanted), "{query}: {}", client.body());
        assert_eq!(client.event_ids(), (first..=33).collect::<Vec<_>>());
        let told = client.body().matches("event: gap").count();
        assert_eq!(told, usize::from(wanted.contains("gap")));
    };
    let gap = |id: u64, reason: &str, requested: u64| {
        format!(
            "id: {id}\nevent: gap\ndata: {{\"type\":\"gap\",\"reason\":\"{reason}\",\
             \"requested\":{requested},\"oldest\":10,\"newest\":30}}\n\n"
        )
    };
    check("last_id=0", "id: 10\n", 10);
    check("last_id=9", "id: 10\n", 10);
    check("last_id=8", &gap(9, "trimmed", 8), 10);
    check("last_id=1", &gap(9, "trimmed", 1), 10);
    check("last_id=30", "id: 31\n", 31);
    check("last_id=31", &gap(30, "ahead", 31), 31);
    check("last_id=9223372036854775807", &gap(30, "ahead", 9_223_372_036_854_775_807), 31);
}

#[test]
fn compacted_events_are_told_to_those_who_want_them() {
    let check = |query: &str, wanted: Option<(u64, u64)>| {
        let log = MemoryLog::new();
        log.append(30);
        log.compact(0..20);
        let rig = Rig::on(log, quiet());
        let mut client = rig.connect(query);
        client.read_until("\"ts_ns\":28");
        let gap = wanted.map(|(id, requested)| {
            format!(
                "id: {id}\nevent: gap\ndata: {{\"type\":\"gap\",\"reason\":\"compacted\",\
                 \"requested\":{requested},\"oldest\":1,\"newest\":30}}\n\n"
            )
        });
        assert!(client.body().starts_with(&gap.unwrap_or_default()), "{query}: {}", client.body());
        assert_eq!(client.body().matches("gap").count(), if wanted.is_some() { 2 } else { 0 });
    };
    check("last_id=0", Some((0, 0)));
    check("last_id=3", Some((3, 3)));
    check("last_id=3&symbols=AAA", Some((3, 3)));
    check("last_id=3&types=error", None);
    check("last_id=20", None);
}

/// A reader that stops, falls behind the window and behind retention is told, and goes on.
#[test]
fn retention_overtakes_a_reader() {
    let mut rig = Rig::new(SEAM);
    rig.socket_buffer_bytes = Some(2048);
    rig.publish(10);
    let mut client = rig.connect("last_id=0");
    client.read_until("id: 10\n");
    for _ in 0..300 {
        rig.publish(10);
    }
    wait_for("the socket to be full", || rig.handle.metrics().blocked.get() == 1);
    let stopped_before = rig.handle.metrics().log_reads.get();
    assert!(stopped_before < 1000);
    rig.log.trim(2990);
    let body = client.read_to_end_or("id: 3010\n");
    // It was cut off in the middle of a frame that is gone, or told of the gap between two frames.
    let ids = client.event_ids();
    let jumps = ids.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    if body {
        assert_eq!((jumps, ids.last()), (1, Some(&3010)));
        assert!(client.text().contains("\"reason\":\"trimmed\""));
    } else {
        assert_eq!(jumps, 0);
        let mut again = rig.connect(&format!("last_id={}", ids.last().unwrap()));
        again.read_until("id: 3010\n");
        assert!(again.body().starts_with("id: 2989\nevent: gap\n"), "{}", again.body());
    }
}

/// Snapshots whose cut the stream's thread has not heard of, while events are published: the cut and what
/// follows it fit.
#[test]
fn a_snapshot_and_what_follows_fit() {
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rig = Rig::new(if rng.bool() { SEAM } else { quiet() });
        rig.publish(rng.u64(1..50));
        let query = rng.choice(["snapshot=1", "snapshot=1&last_id=1000000"]).unwrap();
        let mut client = rig.connect(query);
        for _ in 0..rng.u64(1..30) {
            let (first, frames) = rig.log.append(rng.u64(1..9));
            if rng.bool() {
                std::thread::yield_now();
            }
            let count = rig.newest() + 1 - first;
            rig.tail.publish(frames, first, count);
        }
        let newest = rig.newest();
        let snapshot = "\"type\":\"snapshot\",\"last_id\":";
        client.read_until(snapshot);
        client.read_until("}\n\n");
        while !client.has_event_or_cut(newest) {
            assert!(client.read_some());
        }
        let text = client.text().split(snapshot).nth(1).unwrap();
        let cut: u64 = text[..text.find('}').unwrap()].parse().unwrap();
        assert_eq!(client.event_ids(), (cut + 1..=newest).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(client.text().matches("\"snapshot\":true").count(), 3);
        assert_eq!(client.text().contains("event: gap"), query.contains("last_id"));
    }
}

#[test]
fn a_snapshot_is_filtered_and_not_sent_to_who_can_resume() {
    let rig = Rig::new(quiet());
    rig.publish(20);
    let mut client = rig.connect("snapshot=1&types=account");
    let text =
        client.read_until("event: snapshot\ndata: {\"type\":\"snapshot\",\"last_id\":20}\n\n");
    assert_eq!(text.matches("\"snapshot\":true").count(), 1);
    let mut client = rig.connect("snapshot=1&last_id=17");
    client.read_until("id: 20\n");
    rig.publish(1);
    client.read_until("id: 21\n");
    assert!(!client.text().contains("snapshot"));
    let mut client = rig.connect("snapshot=1&format=ndjson");
    let end =
        "{\"id\":21,\"event\":\"snapshot\",\"data\":{\"type\":\"snapshot\",\"last_id\":21}}\n";
    client.read_until(end);
    assert!(client.body().starts_with("{\"event\":\"market\",\"data\":{\"type\":\"market\","));
}

/// A reader that stops in the middle of a frame, behind which market events are then taken out, gets
/// the rest of that frame first.
#[test]
fn compaction_overtakes_a_reader() {
    for turn_bytes in [20_000, 30_001, 40_003] {
        let mut rig = Rig::new(StreamConfig { turn_bytes, ..SEAM });
        rig.socket_buffer_bytes = Some(10_000);
        for _ in 0..300 {
            rig.publish(10);
        }
        let mut client = rig.connect("last_id=0");
        wait_for("the socket to be full", || rig.handle.metrics().blocked.get() == 1);
        rig.log.compact(1..2000);
        if !client.read_to_end_or("id: 3000\n") {
            // The half frame itself was taken out: the client resumes from the one before.
            assert_eq!(rig.handle.metrics().closes(CloseReason::Seam), 1);
            continue;
        }
        rig.publish(1);
        client.read_until("id: 3001\n");
        let blocks = client.body().trim_end().split("\n\n");
        let gaps = blocks.clone().filter(|block| block.contains("event: gap")).count();
        assert_eq!(gaps, 1);
        for block in blocks {
            let lines: Vec<&str> = block.split('\n').collect();
            assert!(
                matches!(lines[..], [id, event, data]
                    if id.starts_with("id: ") && event.starts_with("event: ")
                        && data.starts_with("data: {") && data.ends_with('}')),
                "{block:?}"
            );
        }
    }
}
