//! Many sends with one system call: what clients receive is the same, whether the kernel permits that or not.

#![cfg(target_os = "linux")]

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
    let rig = Rig::new(StreamConfig { ring_from, ..quiet() });
    // Those in between are owed other bytes than the window's.
    let queries = ["", "", "types=account", ""];
    let queries: Vec<_> = queries.into_iter().cycle().take(CLIENTS).collect();
    let mut clients: Vec<_> = queries.iter().map(|query| rig.connect(query)).collect();
    clients.iter_mut().for_each(|client| {
        client.read_until("id: 0\n\n");
    });
    let mut newest = 0;
    while newest < EVENTS {
        let count = (EVENTS - newest).min(1 + newest % 3);
        rig.publish(count);
        newest += count;
        let came = format!("id: {newest}\n");
        let plain = clients.iter_mut().zip(&queries).filter(|(_, query)| query.is_empty());
        plain.for_each(|(client, _)| {
            client.read_until(&came);
        });
    }
    let metrics = rig.handle.metrics();
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
    by_ring
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
