//! Clients that stop, vanish or talk; a log that fails.

use std::io::Write;
use std::net::Shutdown;

use veloz::stream::metrics::CloseReason;
use veloz::stream::{Attach, AttachError, StreamConfig};

use crate::rig::{MemoryLog, Rig, quiet, wait_for};

fn closes(rig: &Rig, reason: CloseReason) {
    wait_for(reason.as_str(), || rig.handle.metrics().closes(reason) == 1);
    assert_eq!(rig.handle.metrics().connections.get(), 0);
}

#[test]
fn a_socket_that_takes_nothing_is_closed_and_delays_nobody() {
    for query in ["", "last_id=0", "format=ndjson", "types=market"] {
        let mut rig = Rig::new(StreamConfig { stall_ms: 400, window_bytes: 100_000, ..quiet() });
        rig.publish(1);
        rig.socket_buffer_bytes = Some(2048);
        let mut stuck = rig.connect(query);
        rig.socket_buffer_bytes = None;
        stuck.read_until("id");
        let mut other = rig.connect("");
        for _ in 0..100 {
            rig.publish(300);
        }
        other.read_until("id: 30001\n");
        wait_for("the close", || rig.handle.metrics().closes(CloseReason::Stalled) == 1);
        // What came is a piece of the stream without a hole; its last frame may be cut off.
        stuck.read_to_end();
        assert!(stuck.was_reset, "what the system held for it is freed");
        if !query.contains('=') {
            let ids = stuck.event_ids();
            assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{query}");
        }
        rig.publish(1);
        other.read_until("id: 30002\n");
        assert_eq!(rig.handle.metrics().connections.get(), 1);
    }
}

/// A reader that takes a little now and then is slow, not stalled, although the kernel tells of
/// room only when there is a lot.
#[test]
fn a_slow_reader_is_not_a_stalled_one() {
    let mut rig = Rig::new(StreamConfig { stall_ms: 2500, window_bytes: 2_000, ..quiet() });
    rig.socket_buffer_bytes = Some(20_000);
    rig.publish(8000);
    let mut slow = rig.connect("last_id=0");
    wait_for("the socket to be full", || rig.handle.metrics().blocked.get() == 1);
    slow.read_bytes = 8_000;
    // Only the time passes here: twice as long as a socket may take nothing.
    for _ in 0..50 {
        assert!(slow.read_some());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    slow.read_bytes = 64 << 10;
    slow.read_until("id: 8000\n");
    assert_eq!(slow.event_ids(), (1..=8000).collect::<Vec<_>>());
}

#[test]
fn who_goes_away_is_freed_at_once() {
    let rig = Rig::new(quiet());
    drop(rig.connect(""));
    closes(&rig, CloseReason::Peer);
    let rig = Rig::new(quiet());
    let mut half = rig.connect("");
    half.read_until("id: 0\n");
    half.socket.shutdown(Shutdown::Write).unwrap();
    closes(&rig, CloseReason::Peer);
    assert!(!half.read_some());
    let mut rig = Rig::new(quiet());
    rig.socket_buffer_bytes = Some(2048);
    let blocked = rig.connect("");
    rig.publish(20_000);
    wait_for("the socket to be full", || rig.handle.metrics().blocked.get() == 1);
    drop(blocked);
    closes(&rig, CloseReason::Peer);
}

#[test]
fn what_a_client_says_is_ignored_within_bounds() {
    let rig = Rig::new(quiet());
    let mut client = rig.connect("");
    client.socket.write_all(&[b'x'; 30_000]).unwrap();
    rig.publish(1);
    client.read_until("id: 1\n");
    client.socket.write_all(&[b'x'; 30_000]).unwrap();
    rig.publish(1);
    client.read_until("id: 2\n");
    // The rest of it may meet a socket that is closed already.
    let _ = client.socket.write_all(&[b'x'; 30_000]);
    closes(&rig, CloseReason::Input);
}

#[test]
fn a_log_that_fails_closes_those_who_read_it() {
    let log = MemoryLog::new();
    log.append(10);
    let rig = Rig::on(log, quiet());
    let mut live = rig.connect("");
    live.read_until("id: 10\n\n");
    rig.log.break_down();
    let mut behind = rig.connect("last_id=0");
    assert!(behind.read_to_end().ends_with("\n\n"));
    wait_for("the close", || rig.handle.metrics().closes(CloseReason::Log) == 1);
    rig.publish(1);
    live.read_until("id: 11\n");
}

#[test]
fn a_snapshot_refused_closes() {
    let rig = Rig::with_source(MemoryLog::new(), quiet(), true);
    rig.connect("snapshot=1").read_to_end();
    closes(&rig, CloseReason::Snapshot);
}

/// A publisher that errs is not believed: what it says twice is dropped, what it leaves out is read from the log.
#[test]
fn batches_that_do_not_follow() {
    let rig = Rig::new(quiet());
    rig.publish(5);
    let mut live = rig.connect("last_id=0");
    live.read_until("id: 5\n");
    let (first, frames) = rig.log.append(3);
    let (_, later) = rig.log.append(2);
    rig.tail.publish(later, first + 3, 2);
    live.read_until("id: 10\n");
    rig.tail.publish(frames, first, 3);
    wait_for("the refusal", || rig.handle.metrics().refused_batches.get() == 1);
    rig.publish(1);
    live.read_until("id: 11\n");
    assert_eq!(live.event_ids(), (1..=11).collect::<Vec<_>>());
}

/// A stream whose thread dies says so, and takes no more sockets.
#[test]
fn a_dead_stream_is_told() {
    let rig = Rig::new(quiet());
    let mut live = rig.connect("");
    live.read_until("id: 0\n");
    rig.log.poison();
    rig.connect("last_id=0").read_to_end();
    live.read_to_end();
    wait_for("the word", || rig.has_failed());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(rig.handle.attach(socket, Attach::default()), Err(AttachError::Ended));
}
