//! Many sends with one system call: what clients receive is the same, whether the kernel permits that or not.

#![cfg(target_os = "linux")]

use std::os::fd::AsRawFd as _;
use std::process::Command;

use veloz::stream::StreamConfig;

use crate::rig::{Client, Rig, quiet};
use crate::testing::log_bytes;

const CLIENTS: usize = 40;
const EVENTS: u64 = 300;

/// What the kernel says without being asked by the stream.
fn is_permitted() -> bool {
    io_uring::IoUring::new(1).is_ok()
}

/// Everyone gets every event, in batches of one to three; how many writes were made by io_uring.
fn deliver(ring_from: usize) -> u64 {
    let (before, after) = deliver_and(ring_from, || {});
    before + after
}

/// The same, with something that happens halfway: how many before it and after.
fn deliver_and(ring_from: usize, halfway: impl FnOnce()) -> (u64, u64) {
    let rig = Rig::new(StreamConfig { ring_from, ..quiet() });
    // Those in between are owed other bytes than the window's.
    let queries = ["", "", "types=account", ""];
    let queries: Vec<_> = queries.into_iter().cycle().take(CLIENTS).collect();
    let mut clients: Vec<_> = queries.iter().map(|query| rig.connect(query)).collect();
    clients.iter_mut().for_each(|client| {
        client.read_until("id: 0\n\n");
    });
    let metrics = rig.handle.metrics();
    let mut newest = 0;
    let mut halfway = Some(halfway);
    let mut before = 0;
    while newest < EVENTS {
        if newest >= EVENTS / 2
            && let Some(halfway) = halfway.take()
        {
            // All have what came until now, so nothing is on its way.
            before = metrics.ring_writes.get();
            halfway();
        }
        let count = (EVENTS - newest).min(1 + newest % 3);
        rig.publish(count);
        newest += count;
        let came = format!("id: {newest}\n");
        let plain = clients.iter_mut().zip(&queries).filter(|(_, query)| query.is_empty());
        plain.for_each(|(client, _)| {
            client.read_until(&came);
        });
    }
    let (writes, by_ring) = (metrics.writes.get(), metrics.ring_writes.get());
    assert!(by_ring <= writes, "{by_ring} of {writes}");
    rig.stream.shut_down();
    let wanted = String::from_utf8(log_bytes(1..=EVENTS)).unwrap();
    for (client, query) in clients.iter_mut().zip(queries) {
        client.read_to_end();
        let body = client.body().trim_start_matches("id: 0\n\n");
        match query {
            "" => assert!(body == wanted, "{body}"),
            _ => assert_eq!(
                client.event_ids(),
                (1..=EVENTS).filter(|id| id % 6 == 3).collect::<Vec<_>>()
            ),
        }
    }
    (before, by_ring - before)
}

#[test]
fn many_are_sent_to_by_the_ring_where_there_is_one() {
    let by_ring = deliver(StreamConfig::default().ring_from);
    assert_eq!(by_ring > 0, is_permitted(), "{by_ring} writes by the ring");
}

#[test]
fn a_few_are_sent_to_one_by_one() {
    assert_eq!(deliver(CLIENTS + 1), 0);
}

#[test]
fn without_the_ring_everyone_gets_the_same() {
    assert_eq!(deliver(usize::MAX), 0);
}

/// Takes the only ring of this process away from under the stream: what the kernel is asked of it fails from here on.
fn break_the_ring() {
    let is_ring = |link: &std::path::Path| {
        std::fs::read_link(link).is_ok_and(|to| to.ends_with("anon_inode:[io_uring]"))
    };
    let handles = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let rings: Vec<_> = handles.filter(|handle| is_ring(handle)).collect();
    let [ring] = &rings[..] else { panic!("{rings:?}") };
    let number = ring.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let nothing = std::fs::File::open("/dev/null").unwrap();
    // SAFETY: whoever owns the handle has another file there from now on, and is to find out.
    #[expect(unsafe_code, reason = "a handle that somebody else owns")]
    let put = unsafe { libc::dup2(nothing.as_raw_fd(), number) };
    assert_eq!(put, number);
}

/// In a process of its own, where there is no other test's ring.
#[test]
fn a_ring_that_fails_while_it_is_used_loses_and_doubles_nothing() {
    const ALONE: &str = "VELOZ_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let test = "ring::a_ring_that_fails_while_it_is_used_loses_and_doubles_nothing";
        let alone = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
    } else if is_permitted() {
        let (before, after) = deliver_and(StreamConfig::default().ring_from, break_the_ring);
        assert!(before > 0 && after == 0, "{before}, {after}");
    }
}

/// Sockets that are full, half full or gone are seen by the ring's sends as by plain ones.
#[test]
fn the_ring_delays_nobody_for_those_who_do_not_read_or_are_gone() {
    let mut rig = Rig::new(StreamConfig { ring_from: 1, drain_ms: 120_000, ..quiet() });
    // Of many sizes: some are full in the middle of a batch.
    let mut slow = Vec::new();
    for kib in 16..32 {
        rig.socket_buffer_bytes = Some(kib << 10);
        slow.push(rig.connect(""));
    }
    rig.socket_buffer_bytes = None;
    let mut quick: Vec<_> = (0..4).map(|_| rig.connect("")).collect();
    let gone: Vec<Client> = (0..4).map(|_| rig.connect("")).collect();
    slow.iter_mut().chain(&mut quick).for_each(|client| {
        client.read_until("id: 0\n\n");
    });
    drop(gone);
    for newest in (60..=2400).step_by(60) {
        rig.publish(60);
        quick.iter_mut().for_each(|client| {
            client.read_until(&format!("id: {newest}\n"));
        });
    }
    let metrics = rig.handle.metrics();
    assert_eq!(metrics.ring_writes.get() > 0, is_permitted());
    assert_eq!(metrics.connections.get(), 20);
    let readers = slow.into_iter().chain(quick).map(|mut client| {
        std::thread::spawn(move || {
            client.read_to_end();
            client
        })
    });
    let readers: Vec<_> = readers.collect();
    rig.stream.shut_down();
    let wanted = String::from_utf8(log_bytes(1..=2400)).unwrap();
    for reader in readers {
        let client = reader.join().unwrap();
        assert_eq!(client.body().trim_start_matches("id: 0\n\n"), wanted);
    }
}
