//! Whoever wants it to end: a terminal, a supervisor, somebody who will not wait.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Gateway, Options, eventually};

/// Whoever closes the terminal gets an end in order, and whoever started it with `nohup` keeps it.
#[test]
fn a_terminal_that_is_closed_ends_it_in_order() {
    let mut gateway = Gateway::start(Options::quiet());
    gateway.hang_up();
    assert!(gateway.stopped().success(), "{}", gateway.said());
    let gateway = gateway.again_with(Options::quiet().shell("trap '' HUP"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored & 1, 1, "it no longer ignores what it was to ignore");
}

/// A gateway that has begun to stop, and a reader that it waits for.
fn stopping() -> (Gateway, TcpStream) {
    let gateway = Gateway::start(Options::default().env("VELOZ_SIM_INTERVAL_MS", 0));
    eventually("more than a socket holds", || (gateway.newest() > 60_000).then_some(()));
    let mut reader = TcpStream::connect(gateway.address()).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&reader, 4096).unwrap();
    let host = gateway.address();
    write!(reader, "GET /api/stream?last_id=0 HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    reader.read_exact(&mut [0; 512]).unwrap();
    gateway.begin_to_stop();
    eventually("it stops", || gateway.said().contains("stopping").then_some(()));
    (gateway, reader)
}

/// `timeout`, for one, sends its signal to the process and to its group.
#[test]
fn two_signals_at_once_are_one() {
    let (mut gateway, reader) = stopping();
    gateway.begin_to_stop();
    gateway.hang_up();
    drop(reader);
    assert!(gateway.stopped().success(), "{}", gateway.said());
}

#[test]
fn who_will_not_wait_need_not() {
    let (mut gateway, _reader) = stopping();
    let status = eventually("it ends", || {
        if !gateway.is_running() {
            return Some(gateway.stopped());
        }
        gateway.begin_to_stop();
        None
    });
    assert_eq!(status.code(), Some(1));
    assert!(gateway.said().contains("a second signal came"), "{}", gateway.said());
}
