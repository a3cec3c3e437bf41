//! Clients that are broken, slow or malicious: each gets the right status or a closed connection, and
//! the gateway stays.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use veloz::http::Timeouts;

use crate::harness::{Fixture, PATIENCE, Raw, config, gateway, gateway_with, status};

fn post(length: usize) -> String {
    format!(
        "POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

async fn check_alive(g: &Fixture) {
    assert_eq!(status(&g.connect().await.get("/health").await), 200);
}

/// A gateway with other patience.
async fn patience(head_ms: u64, body_ms: u64, idle_ms: u64) -> Fixture {
    let mut config = config();
    let [head, body, idle] = [head_ms, body_ms, idle_ms].map(Duration::from_millis);
    config.timeouts = Timeouts { head, body, idle };
    gateway_with(config).await
}

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let g = patience(300, 60_000, 60_000).await;
    assert_eq!(g.connect().await.rest().await, "", "a connection that says nothing");
    let fresh = g.connect().await;
    let mut used = g.connect().await;
    assert_eq!(status(&used.get("/health").await), 200);
    for Raw(mut drip, _) in [fresh, used] {
        let dripping = async {
            for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ".iter().cycle() {
                let _ = drip.write_all(&[*byte]).await;
                let closed = drip.read_u8();
                if tokio::time::timeout(Duration::from_millis(20), closed).await.is_ok() {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, dripping).await.expect("it is cut off");
    }
    check_alive(&g).await;
}

#[tokio::test]
async fn idle_connections_are_not_slow_heads() {
    let g = patience(100, 60_000, 1_000).await;
    let mut used = g.connect().await;
    let from = tokio::time::Instant::now();
    assert_eq!(status(&used.get("/health").await), 200);
    assert_eq!(used.rest().await, "");
    assert!(from.elapsed() >= Duration::from_millis(1_000), "{:?}", from.elapsed());
}

#[tokio::test]
async fn a_client_that_ends_its_half_gets_all_answers() {
    let g = gateway().await;
    let body = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000}"#;
    let one = format!("{}{body}", post(body.len()));
    let answers = g.raw(one.repeat(50).as_bytes()).await;
    assert_eq!(answers.matches("\"status\":\"ACCEPTED\"").count(), 50, "{answers}");
}

#[tokio::test]
async fn slow_bodies_are_answered_and_closed() {
    let g = patience(60_000, 300, 60_000).await;
    let mut raw = g.connect().await;
    raw.send(post(100).as_bytes()).await;
    raw.send(b"{\"side\":").await;
    let response = raw.rest().await;
    assert_eq!(status(&response), 408, "{response}");
    assert!(response.contains("request_timeout") && response.contains("connection: close"));
    check_alive(&g).await;
}

#[tokio::test]
async fn long_bodies_are_drained_so_that_the_answer_is_seen() {
    let g = gateway().await;
    let mut raw = g.connect().await;
    let body = vec![b' '; 1 << 20];
    raw.send(post(body.len()).as_bytes()).await;
    raw.send(&body).await;
    let response = raw.response().await;
    assert_eq!(status(&response), 413, "{response}");
    assert!(response.contains("body_too_large"), "{response}");
    assert_eq!(status(&raw.get("/health").await), 200, "the connection goes on");

    // One longer than that is answered too, and closed.
    let mut raw = g.connect().await;
    raw.send(post(body.len() * 3).as_bytes()).await;
    for _ in 0..3 {
        raw.send(&body).await;
    }
    let response = raw.rest().await;
    assert_eq!(status(&response), 413, "{response}");

    // A length at the limit is fine for the transport: it is the JSON that is not.
    let mut raw = g.connect().await;
    raw.send(post(64 << 10).as_bytes()).await;
    raw.send(&body[..64 << 10]).await;
    assert_eq!(status(&raw.response().await), 400);
}

#[tokio::test]
async fn floods_of_headers() {
    let g = gateway().await;
    let check = async |headers: String, allowed: &[u16]| {
        let mut raw = g.connect().await;
        raw.send(format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes())
            .await;
        // Closed, not reset: a reset can overtake the answer.
        let response = raw.end().await.unwrap();
        assert!(allowed.contains(&status(&response)), "{response}");
    };
    check(format!("X: {}\r\n", "x".repeat(1 << 20)), &[431]).await;
    check("X: y\r\n".repeat(10_000), &[431]).await;
    check("X: y\r\n".repeat(200), &[431]).await;
    check("X y\r\n".to_owned(), &[400]).await;
    check("X: \u{0}\r\n".to_owned(), &[400]).await;
    check_alive(&g).await;
}

/// hyper answers these itself, with a bare status: ours stands in its place.
#[tokio::test]
async fn what_is_no_request_is_told_why_in_json() {
    let g = gateway().await;
    let check = async |request: &str, wanted: u16, code: &str| {
        let mut raw = g.connect().await;
        raw.send(request.as_bytes()).await;
        // It is closed, and not reset.
        let response = raw.end().await.unwrap();
        assert_eq!(status(&response), wanted, "{request:?}: {response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(head.contains(&length) && head.ends_with("Connection: close"), "{response}");
        assert!(head.contains("Content-Type: application/json\r\n"), "{response}");
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["error"], code, "{response}");
        assert!(json["message"].as_str().is_some_and(|message| message.len() > 20), "{response}");
    };
    check("GARBAGE\r\n\r\n", 400, "bad_request").await;
    check("GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", 400, "bad_request").await;
    check("GET /health HTTP/1.1\r\nHost localhost\r\n\r\n", 400, "bad_request").await;
    check("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400, "bad_request")
        .await;
    let long = |bytes| format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(bytes));
    // A target that hyper could not hold (of 65,535 bytes) is a head that is too large before.
    for bytes in [60_000, 65_534, 65_535, 70_000, 1 << 20] {
        check(&long(bytes), 431, "head_too_large").await;
    }
    let many = "X: y\r\n".repeat(101);
    let many = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    check(&many, 431, "head_too_large").await;
    // Behind an answer to a request that could be read.
    let mut raw = g.connect().await;
    assert_eq!(status(&raw.get("/health").await), 200);
    raw.send(b"GARBAGE\r\n\r\n").await;
    let response = raw.end().await.unwrap();
    assert!(response.contains("\"error\":\"bad_request\""), "{response}");
    // A refusal of ours stays what it is.
    let response = g.raw(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(response.contains("the Host header is missing"), "{response}");
    check_alive(&g).await;
}

/// A head may have 32 KiB, in whatever pieces it comes and whatever came before it; and 100 fields.
#[tokio::test]
async fn the_longest_head_and_the_most_fields() {
    const MOST: usize = 32 << 10;
    let g = gateway().await;
    let head = |bytes: usize| {
        let (start, end) = ("GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", "\r\n\r\n");
        format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
    };
    let fields = |count: usize| {
        let more = "X: y\r\n".repeat(count - 1);
        format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
    };
    // A long body leaves a large buffer behind.
    let body = format!("{}{}", post(60_000), " ".repeat(60_000));
    for (before, wanted_before) in [("", 0), (body.as_str(), 400)] {
        for (request, wanted) in [
            (head(MOST), 200),
            (head(MOST + 1), 431),
            (head(MOST + 20_000), 431),
            (fields(100), 200),
            (fields(101), 431),
        ] {
            for pieces in [1, 3] {
                let mut raw = g.connect().await;
                if !before.is_empty() {
                    raw.send(before.as_bytes()).await;
                    assert_eq!(status(&raw.response().await), wanted_before);
                }
                for piece in request.as_bytes().chunks(request.len().div_ceil(pieces)) {
                    raw.send(piece).await;
                    tokio::task::yield_now().await;
                }
                let answer = raw.response().await;
                assert_eq!(status(&answer), wanted, "{} bytes: {answer}", request.len());
            }
        }
    }
}

/// Where a body ends must not be a matter of opinion between what stands in front of the gateway and the gateway.
#[tokio::test]
async fn bodies_of_two_lengths() {
    let g = gateway().await;
    let order = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000}"#;
    let chunked = format!("{:x}\r\n{order}\r\n0\r\n\r\n", order.len());
    let ask = async |fields: &str, body: &str| {
        let mut raw = g.connect().await;
        let head = "POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        // What would be a request of its own, were the body shorter than it is.
        let smuggled = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        raw.send(format!("{head}\r\n{fields}\r\n\r\n{body}{smuggled}").as_bytes()).await;
        let answers = raw.end().await.unwrap();
        let count = ["HTTP/1.1 200 ", "HTTP/1.1 400 "].map(|line| answers.matches(line).count());
        assert_eq!(count.iter().sum::<usize>(), 1, "{fields}: {answers}");
        assert!(answers.to_ascii_lowercase().contains("connection: close\r\n"), "{answers}");
        answers
    };
    let length = order.len();
    for fields in [
        format!("Content-Length: {length}\r\nContent-Length: {}", length + 1),
        format!("Content-Length: {}\r\nContent-Length: {length}", length + 1),
        format!("Content-Length: {length}, {}", length + 1),
        "Transfer-Encoding: gzip".to_owned(),
        "Transfer-Encoding: chunked, gzip".to_owned(),
        format!("Content-Length: {length}\r\nTransfer-Encoding: gzip"),
    ] {
        let answer = ask(&fields, order).await;
        assert_eq!(status(&answer), 400, "{fields}: {answer}");
        assert!(answer.contains("\"error\":\"bad_request\""), "{fields}: {answer}");
    }
    // The chunks are what counts, as RFC 9112 has it, and nothing behind them is taken for a request.
    for fields in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
        "Transfer-Encoding: chunked\r\nContent-Length: 0".to_owned(),
    ] {
        let answer = ask(&fields, &chunked).await;
        assert_eq!(status(&answer), 200, "{fields}: {answer}");
    }
    check_alive(&g).await;
}

#[tokio::test]
async fn truncated_and_broken_requests() {
    let g = gateway().await;
    let body =
        r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000,"client_order_id":"cut"}"#;
    let whole = format!("{}{body}", post(body.len()));
    for end in (0..whole.len()).step_by(7) {
        let response = g.raw(&whole.as_bytes()[..end]).await;
        assert!([0, 400].contains(&status(&response)), "{end}: {response}");
    }
    let state = g.connect().await.get("/api/order_state?client_order_id=cut").await;
    assert_eq!(status(&state), 404, "a truncated order was placed");
    for broken in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let response = g.raw(broken.as_bytes()).await;
        assert!([0, 400, 505].contains(&status(&response)), "{broken:?}: {response}");
    }
    for (line, wanted) in [
        ("CONNECT localhost:80", 404),
        ("OPTIONS *", 404),
        ("TRACE /health", 405),
        ("DELETE /api/order", 405),
        ("GET /api/%73tream", 404),
        ("GET //api/stream", 404),
        ("GET /api/stream/", 404),
        ("GET /../etc/passwd", 404),
    ] {
        let response =
            g.raw(format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        assert_eq!(status(&response), wanted, "{line}: {response}");
    }
    check_alive(&g).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let g = gateway().await;
    let mut raw = g.connect().await;
    let mut all = String::new();
    for i in 0..200 {
        all += &format!("GET /api/nowhere{i} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    raw.send(all.as_bytes()).await;
    for i in 0..200 {
        let response = raw.response().await;
        assert!(response.contains(&format!("/api/nowhere{i};")), "{i}: {response}");
    }
}

/// 10,000 random byte strings at the port: raw noise, and good requests with bytes changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_at_the_port() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7_u64);
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let g = gateway().await;
    let order = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000}"#;
    let good = [
        "GET /api/events?after=1&limit=5&types=fill HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /api/order_state?client_order_id=a HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /api/stream?last_id=0&types=fill HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        format!("{}{order}", post(order.len())),
    ];
    for chunk in 0..100 {
        let inputs: Vec<Vec<u8>> = (0..100).map(|_| input(&mut random, &good)).collect();
        let sent = inputs.iter().map(|bytes| throw(&g, bytes));
        let answers = futures_util::future::join_all(sent).await;
        for (bytes, answer) in inputs.iter().zip(answers) {
            // Nothing, a status, or a line of a stream: never 500 and never half a head.
            let known = answer.is_empty()
                || ([200, 204].contains(&status(&answer)) || (400..500).contains(&status(&answer)));
            let text = String::from_utf8_lossy(bytes);
            assert!(known, "SEED={seed} chunk {chunk}: {text:?}: {answer}");
        }
    }
    check_alive(&g).await;
}

fn input(random: &mut fastrand::Rng, good: &[String]) -> Vec<u8> {
    if random.bool() {
        return (0..random.usize(..400)).map(|_| random.u8(..)).collect();
    }
    let mut bytes = good[random.usize(..good.len())].clone().into_bytes();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        match random.u8(..3) {
            0 => bytes[at] = random.u8(..),
            1 => bytes.insert(at, random.u8(..)),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

/// Sends, stops sending, and takes the beginning of what comes.
async fn throw(g: &Fixture, bytes: &[u8]) -> String {
    let Raw(mut socket, _) = g.connect().await;
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await;
    let read = read.expect("an answer or an end").unwrap_or_default();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}
