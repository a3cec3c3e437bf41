//! What no client should send: each gets the right status or a closed connection, the server stays up,
//! and its memory stays flat.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{
    Gateway, Options, PATIENCE, eventually, exchange, exchange_and_leave, get, post, request,
    seeded,
};

const ORDER: &str =
    r#"{"client_order_id":"x","side":"BUY","symbol":"BTCUSDT","qty":"0.001","price":"30000"}"#;

#[test]
fn a_last_id_is_a_whole_number() {
    let gateway = Gateway::start(Options::quiet());
    let address = gateway.address();
    for bad in [
        "abc",
        "-1",
        "1e3",
        "18446744073709551616",
        "9223372036854775808",
        "",
        "+1",
        "1.0",
        "0x1",
        "%201",
        "1%20",
        "1,2",
        "%00",
        "%F0%9F%98%80",
        "null",
    ] {
        let reply = get(address, &format!("/api/stream?last_id={bad}"));
        assert_eq!((reply.status, reply.error().as_str()), (400, "bad_params"), "last_id={bad:?}");
        assert!(reply.header("content-type").is_some_and(|v| v.starts_with("application/json")));
    }
    for query in ["last_id=1&last_id=2", "last_id=1&last_id=1", "types=fill,nonsense", "types="] {
        let reply = get(address, &format!("/api/stream?{query}"));
        assert_eq!((reply.status, reply.error().as_str()), (400, "bad_params"), "{query}");
    }
    for bad in ["abc", "-1", "1e3", "18446744073709551616", "1 2"] {
        let reply = request(address, "GET", "/api/stream", &[("Last-Event-ID", bad)], b"");
        assert_eq!((reply.status, reply.error().as_str()), (400, "bad_params"), "header {bad:?}");
    }
    let twice = [("Last-Event-ID", "1"), ("Last-Event-ID", "2")];
    assert_eq!(request(address, "GET", "/api/stream", &twice, b"").status, 400);
}

#[test]
fn other_queries_are_checked_too() {
    let gateway = Gateway::start(Options::quiet());
    for (path, status) in [
        ("/api/events?after=abc", 400),
        ("/api/events?limit=-1", 400),
        ("/api/events?types=nonsense", 400),
        ("/api/orders_state?limit=x", 400),
        ("/api/orders_state?status=nonsense", 400),
        ("/api/order_state", 400),
        ("/api/order_state?client_order_id=%0A", 400),
        ("/api/order_state?client_order_id=unknown", 404),
        ("/api/market?symbol=no%20such", 400),
        ("/api/book?symbol=BTCUSDT&depth=x", 400),
        ("/api/nothing", 404),
        ("/", 200),
        ("/etc/passwd", 404),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
    ] {
        let reply = gateway.get(path);
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert!(status == 200 || !reply.error().is_empty(), "{path}: {}", reply.text());
    }
    for (method, path) in [
        ("DELETE", "/api/order"),
        ("GET", "/api/order"),
        ("POST", "/api/account"),
        ("PUT", "/health"),
        ("POST", "/api/stream"),
    ] {
        let json = [("Content-Type", "application/json")];
        let reply = request(gateway.address(), method, path, &json, b"");
        assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
    }
}

#[test]
fn a_body_has_its_limits() {
    let gateway = Gateway::start(Options::quiet());
    let address = gateway.address();
    let json = "application/json";
    let padded = |size: usize| {
        let mut body = ORDER.as_bytes().to_vec();
        body.resize(size, b' ');
        body
    };
    for size in [64 * 1024 + 1, 1024 * 1024] {
        let reply = post(address, "/api/order", json, &padded(size));
        assert_eq!(reply.status, 413, "{size} bytes: {}", reply.text());
    }
    // Far beyond what is drained: refused, or the connection is closed; never held in memory.
    let before = gateway.memory_kib();
    let answer = exchange(
        address,
        &[
            format!(
                "POST /api/order HTTP/1.1\r\nHost: {address}\r\nContent-Type: {json}\r\n\
                 Content-Length: 100000000\r\n\r\n"
            )
            .into_bytes(),
            vec![b' '; 20_000_000],
        ]
        .concat(),
    );
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 413"));
    assert!(gateway.memory_kib() < before + 16 * 1024);
    for bad in
        ["", "{", "[]", "1", "null", "{}", "{\"side\":\"BUY\"", "\u{feff}{}", "{\"a\":1,\"a\":2}"]
    {
        let reply = post(address, "/api/order", json, bad.as_bytes());
        assert_eq!(reply.status, 400, "{bad:?}: {}", reply.text());
    }
    let deep = "[".repeat(60_000);
    assert_eq!(post(address, "/api/order", json, deep.as_bytes()).status, 400);
    let unknown = ORDER.replace("\"side\"", "\"sidee\":1,\"side\"");
    assert_eq!(post(address, "/api/order", json, unknown.as_bytes()).status, 400);
    assert_eq!(gateway.newest(), 1, "nothing was placed");
}

/// Each beginning of a request, then the end of the connection.
#[test]
fn a_truncated_request_does_nothing() {
    let gateway = Gateway::start(Options::quiet());
    let address = gateway.address();
    let whole = format!(
        "POST /api/order HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{ORDER}",
        ORDER.len()
    );
    for end in 0..whole.len() {
        let answer = exchange_and_leave(address, &whole.as_bytes()[..end]);
        let status = answer.get(9..12).unwrap_or_default();
        assert!(
            answer.is_empty() || status[0] == b'4',
            "{end}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(gateway.newest(), 1, "nothing was placed");
}

#[test]
fn a_flood_of_headers_is_cut_off() {
    let gateway = Gateway::start(Options::quiet());
    let address = gateway.address();
    let before = gateway.memory_kib();
    let start = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n");
    let many = (0..50_000).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let long = format!("X-Long: {}\r\n", "y".repeat(4 << 20));
    let path = format!("GET /{} HTTP/1.1\r\nHost: {address}\r\n\r\n", "y".repeat(1 << 20));
    for flood in [start.clone() + &many + "\r\n", start.clone() + &long + "\r\n", path] {
        let answer = exchange(address, flood.as_bytes());
        let text = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(gateway.get("/health").status, 200);
    assert!(gateway.memory_kib() < before + 16 * 1024);
}

/// Whoever sends one byte a second is cut off, and nobody waits for it.
#[test]
fn a_slow_client_is_cut_off() {
    let gateway = Gateway::start(Options::quiet());
    let mut slow = TcpStream::connect(gateway.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let request =
        format!("GET /health HTTP/1.1\r\nHost: {}\r\nX: {}", gateway.address(), "y".repeat(200));
    let deadline = Instant::now() + PATIENCE;
    for byte in request.bytes() {
        assert!(Instant::now() < deadline, "it is still served");
        if slow.write_all(&[byte]).is_err() {
            return;
        }
        assert_eq!(gateway.get("/health").status, 200, "others are served");
        // The read's time-out is the second between two bytes.
        match slow.read(&mut [0; 512]) {
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            _ => return,
        }
    }
    panic!("the whole request was taken");
}

/// A reader that takes nothing delays nobody and costs no memory.
#[test]
fn a_reader_that_takes_nothing_costs_nothing() {
    let options = Options::default().env("VELOZ_SIM_INTERVAL_MS", 1).env("VELOZ_STALL_MS", 3000);
    let gateway = Gateway::start(options);
    // What a reader behind the tail costs once (buffers, threads) is not counted.
    gateway.stream("?last_id=0").ids_to(3000);
    let stuck: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut socket = TcpStream::connect(gateway.address()).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
            write!(
                socket,
                "GET /api/stream?last_id=0 HTTP/1.1\r\nHost: {}\r\n\r\n",
                gateway.address()
            )
            .unwrap();
            socket
        })
        .collect();
    let before = gateway.memory_kib();
    let newest = gateway.newest();
    let ids = gateway.stream("?last_id=0").ids_to(newest + 3000);
    assert!(ids.iter().copied().eq(1..=newest + 3000), "a good reader gets everything meanwhile");
    let growth = gateway.memory_kib().saturating_sub(before);
    assert!(growth < 24 * 1024, "{growth} KiB more");
    drop(stuck);
}

#[test]
fn ten_thousand_random_requests() {
    let gateway = Gateway::start(Options::quiet());
    let address = gateway.address();
    let mut rng = seeded("ten_thousand_random_requests");
    let mut before = 0;
    for round in 0..10_000 {
        let bytes = random_request(&mut rng, address);
        let answer = exchange_and_leave(address, &bytes);
        let fine = answer.is_empty() || answer.starts_with(b"HTTP/1.");
        assert!(
            fine,
            "{:?} -> {:?}",
            bytes.escape_ascii().to_string(),
            answer.escape_ascii().to_string()
        );
        let failed = answer.get(9) == Some(&b'5');
        assert!(
            !failed,
            "{:?} -> {:?}",
            bytes.escape_ascii().to_string(),
            answer.escape_ascii().to_string()
        );
        if round == 1000 {
            before = gateway.memory_kib();
        }
    }
    assert_eq!(gateway.get("/health").status, 200);
    let growth = gateway.memory_kib().saturating_sub(before);
    assert!(growth < 16 * 1024, "{growth} KiB more after 9,000 requests");
    eventually("no handle is left", || (gateway.handles() < 60).then_some(()));
}

/// Noise, or a good request with a few bytes changed, taken out or put in.
fn random_request(rng: &mut fastrand::Rng, address: SocketAddr) -> Vec<u8> {
    if rng.u8(..4) == 0 {
        let length = rng.usize(1..400);
        return std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
    }
    let body = ORDER.replace("\"x\"", &format!("\"x{}\"", rng.u32(..)));
    let mut bytes = match rng.u8(..3) {
        0 => format!(
            "GET /api/events?after={}&limit=9 HTTP/1.1\r\nHost: {address}\r\n\r\n",
            rng.u8(..)
        ),
        1 => format!("GET /api/stream?last_id=abc&types=fill HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        _ => format!(
            "POST /api/order HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    }
    .into_bytes();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..bytes.len());
        match rng.u8(..3) {
            0 => bytes[at] = rng.u8(..),
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
    bytes
}

/// More streams than there are file handles: the surplus is refused, what is connected goes on.
#[test]
fn more_connections_than_handles() {
    let gateway = Gateway::start(Options::busy().shell("ulimit -n 512"));
    let mut first = gateway.stream("");
    let sockets: Vec<TcpStream> = (0..600)
        .map(|_| {
            let mut socket = TcpStream::connect(gateway.address()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            // One that is refused may be closed before this is sent.
            write!(socket, "GET /api/stream HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address())
                .unwrap_or_default();
            socket
        })
        .collect();
    let mut counts = [0; 3];
    for mut socket in &sockets {
        let mut head = [0; 12];
        match socket.read_exact(&mut head) {
            Ok(()) if &head == b"HTTP/1.1 200" => counts[0] += 1,
            Ok(()) if &head == b"HTTP/1.1 503" => counts[1] += 1,
            Ok(()) => panic!("{}", head.escape_ascii()),
            Err(_) => counts[2] += 1,
        }
    }
    let [open, refused, closed] = counts;
    assert!(open > 100 && refused > 20, "{open} open, {refused} refused, {closed} closed");
    // What is connected goes on: the stream, the journal behind it.
    let id = first.next_of("market").id.expect("an id");
    assert_eq!(first.next().and_then(|frame| frame.id), Some(id + 1));
    drop(sockets);
    eventually("there is room again", || {
        let answer = exchange(
            gateway.address(),
            format!(
                "GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                gateway.address()
            )
            .as_bytes(),
        );
        answer.starts_with(b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn past_the_most_connections_a_stream_is_refused() {
    let gateway = Gateway::start(Options::busy().env("VELOZ_MAX_CONNECTIONS", 4));
    let mut streams: Vec<_> = (0..4).map(|_| gateway.stream("")).collect();
    let reply = get(gateway.address(), "/api/stream");
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").is_some(), "{}", reply.head);
    for stream in &mut streams {
        assert!(stream.next().is_some(), "what is connected goes on");
    }
}
