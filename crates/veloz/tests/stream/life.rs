//! The head, keep-alives, books, the end.

use std::time::{Duration, Instant};

use veloz::stream::StreamConfig;
use veloz::stream::metrics::CloseReason;

use crate::rig::{Rig, quiet, wait_for};

#[test]
fn the_head_goes_out_at_once() {
    let rig = Rig::new(quiet());
    let check = |query: &str, http10: bool, content_type: &str, connection: &str, first: &str| {
        let mut client = rig.connect_as(query, &[], http10);
        let (head, body) = client.read_until(first).split_once("\r\n\r\n").unwrap();
        let (start, date) = head.split_once("Date: ").unwrap();
        assert_eq!(
            start,
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-cache\r\n\
                 {connection}X-Accel-Buffering: no\r\n"
            )
        );
        assert!(date.ends_with(" GMT\r\nX-Test: yes"), "{date}");
        assert!(body.starts_with(first), "{body}");
    };
    let (sse, keep) = ("text/event-stream; charset=utf-8", "Connection: keep-alive\r\n");
    check("", false, sse, keep, ": stream open\n\nretry: ");
    check("named=0", true, sse, "", ": stream open\n\nretry: ");
    check("format=ndjson", false, "application/x-ndjson", keep, "{\"id\":0}\n");
}

#[test]
fn retry_is_jittered_by_a_quarter() {
    let rig = Rig::new(quiet());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let mut client = rig.connect("");
        client.read_until("id: 0\n\n");
        let text = client.text().split_once("retry: ").unwrap().1;
        let retry: u64 = text.split('\n').next().unwrap().parse().unwrap();
        assert!((2250..=3750).contains(&retry));
        seen.insert(retry);
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn keep_alives_follow_silence_and_move_the_cursor_of_a_filtered_stream() {
    let config = StreamConfig { keep_alive_ms: 300, ..quiet() };
    let check = |query: &str, wanted: &str| {
        let rig = Rig::new(config.clone());
        let mut client = rig.connect(query);
        wait_for("the connection", || rig.handle.metrics().writes.get() > 0);
        rig.publish(4);
        let start = Instant::now();
        client.read_until(wanted);
        assert!(start.elapsed() >= Duration::from_millis(200), "{query}");
        let so_far = client.text().matches(wanted).count();
        while client.text().matches(wanted).count() < so_far + 2 {
            assert!(client.read_some());
        }
        assert!(start.elapsed() >= Duration::from_millis(800), "{query}");
    };
    check("", ": keep-alive\n\n");
    check("types=market", ": keep-alive\n\nid: 4\n\n");
    check("types=market&named=0", ": keep-alive\n\nid: 4\n\n");
    check("format=ndjson", "{\"id\":4}\n");
    check("types=market&format=ndjson", "{\"id\":4}\n");
    check("ping=1", ": keep-alive\n\nevent: ping\ndata: {\"type\":\"ping\",\"newest\":4}\n\n");
    check("ping=1&named=0", ": keep-alive\n\ndata: {\"type\":\"ping\",\"newest\":4}\n\n");
}

#[test]
fn events_take_the_place_of_keep_alives() {
    let rig = Rig::new(StreamConfig { keep_alive_ms: 500, ..quiet() });
    let (mut plain, mut filtered) = (rig.connect(""), rig.connect("types=account"));
    // Only the time passes here: an event each 50 ms, for three times the silence.
    for _ in 0..30 {
        rig.publish(1);
        std::thread::sleep(Duration::from_millis(50));
    }
    plain.read_until("id: 30\n");
    filtered.read_until("id: 27\n");
    assert!(!plain.body().contains("keep-alive"));
    assert!(!filtered.body().contains("keep-alive"));
}

#[test]
fn books_come_when_they_change() {
    let rig = Rig::new(quiet());
    rig.set_book("AAA", "{\"type\":\"book\",\"n\":1}");
    let mut client = rig.connect("book=AAA");
    let mut line = rig.connect("book=AAA&format=ndjson&types=fill");
    let mut other = rig.connect("book=BBB");
    client.read_until("event: book\ndata: {\"type\":\"book\",\"n\":1}\n\n");
    let start = Instant::now();
    for n in 2..=6 {
        rig.set_book("AAA", &format!("{{\"type\":\"book\",\"n\":{n}}}"));
        client.read_until(&format!("\nevent: book\ndata: {{\"type\":\"book\",\"n\":{n}}}\n\n"));
        line.read_until(&format!(
            "\n{{\"event\":\"book\",\"data\":{{\"type\":\"book\",\"n\":{n}}}}}\n"
        ));
    }
    assert!(start.elapsed() >= Duration::from_millis(300));
    rig.publish(1);
    client.read_until("id: 1\n");
    other.read_until("id: 1\n");
    assert_eq!(client.text().matches("event: book").count(), 6);
    assert!(!other.text().contains("book"));
}

/// Everyone gets the tail, whole frames only, however far behind; then the end.
#[test]
fn a_shutdown_drains_whole_frames() {
    let mut rig = Rig::new(StreamConfig { window_bytes: 4000, block_bytes: 1000, ..quiet() });
    rig.socket_buffer_bytes = Some(4096);
    rig.publish(2000);
    let queries = ["last_id=0", "last_id=1990", "", "last_id=0&format=ndjson", "snapshot=1"];
    let readers: Vec<_> = queries
        .iter()
        .map(|query| {
            let mut client = rig.connect(query);
            client.read_until("\r\n\r\n");
            std::thread::spawn(move || client.read_to_end().to_owned())
        })
        .collect();
    rig.publish(10);
    let metrics = rig.handle.clone();
    rig.stream.shut_down();
    for (query, reader) in queries.iter().zip(readers) {
        let text = reader.join().unwrap();
        assert!(text.ends_with("}\n\n") || text.ends_with("}}\n"), "{query}");
        let last = if query.contains("ndjson") { "{\"id\":2010," } else { "id: 2010\n" };
        assert!(text.contains(last), "{query}: {}", text.len());
    }
    let metrics = metrics.metrics();
    assert_eq!((metrics.closes(CloseReason::Shutdown), metrics.connections.get()), (5, 0));
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let mut rig = Rig::new(StreamConfig { drain_ms: 300, ..quiet() });
    rig.socket_buffer_bytes = Some(2048);
    rig.publish(20_000);
    let _stuck = rig.connect("last_id=0");
    wait_for("the socket to be full", || rig.handle.metrics().blocked.get() == 1);
    let start = Instant::now();
    rig.stream.shut_down();
    assert!((200..3000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

/// Events that nobody was subscribed to are not kept in memory: a live stream begins behind them all the same, and
/// an older position finds them in the log.
#[test]
fn what_came_while_nobody_was_there_is_read_from_the_log() {
    let rig = Rig::new(quiet());
    let check = |newest: u64| {
        rig.publish(5);
        let mut live = rig.connect("");
        live.read_until(&format!("id: {}\n\n", newest + 5));
        let mut late = rig.connect(&format!("last_id={}", newest + 2));
        rig.publish(1);
        let last = format!("id: {}\n", newest + 6);
        live.read_until(&last);
        late.read_until(&last);
        assert_eq!(live.event_ids(), [newest + 6]);
        assert_eq!(late.event_ids(), [3, 4, 5, 6].map(|id| newest + id));
        let metrics = rig.handle.metrics();
        assert_eq!((metrics.gaps.get(), metrics.refused_batches.get()), (0, 0));
        drop((live, late));
        wait_for("both to be gone", || rig.handle.metrics().connections.get() == 0);
    };
    (0..5).for_each(|round| check(round * 6));
}
