//! More connections than there are file handles: each is served or refused with 503, and the gateway
//! goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

struct Gateway {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Gateway {
    /// The program, allowed that many file handles.
    fn start(handles: u32) -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {handles} && exec \"$0\" serve --port 0"))
            .arg(env!("CARGO_BIN_EXE_veloz"))
            .env("VELOZ_DATA_DIR", dir.path().join("data"))
            .env("VELOZ_MAX_CONNECTIONS", "1000")
            .env("VELOZ_SIM_INTERVAL_MS", "5")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line);
        Gateway { address: address.parse().unwrap(), child, _dir: dir }
    }

    /// Opens a connection and asks: the status, and the connection as it is then.
    fn ask(&self, path: &str) -> (u16, TcpStream) {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // Who is refused may have been answered before it asked.
        let _ = socket.write_all(request.as_bytes());
        let mut head = [0; 12];
        socket.read_exact(&mut head).expect("an answer");
        let status = std::str::from_utf8(&head[9..]).unwrap().parse().unwrap();
        (status, socket)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check(handles: u32, least_served: usize) {
    let gateway = Gateway::start(handles);
    let mut served = Vec::new();
    let mut refused = 0;
    for _ in 0..300 {
        match gateway.ask("/api/stream") {
            (200, socket) => served.push(socket),
            (503, _) => refused += 1,
            (other, _) => panic!("{other}"),
        }
    }
    let count = served.len();
    assert!(count >= least_served && refused > 0, "served {count}, refused {refused}");
    // What is connected goes on.
    for socket in &mut served {
        let mut line = String::new();
        let mut lines = BufReader::new(socket);
        while !line.starts_with("event: market") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "a stream ended");
        }
    }
    // With places free again, whoever comes is served.
    drop(served);
    let deadline = std::time::Instant::now() + PATIENCE;
    while gateway.ask("/health").0 != 200 {
        assert!(std::time::Instant::now() < deadline, "no place was given back");
    }
}

#[test]
fn out_of_handles() {
    check(30, 1);
}

#[test]
fn the_journal_keeps_its_handles() {
    check(250, 50);
}
