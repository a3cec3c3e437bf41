//! Connections: streams that are let go, limits, shutdown.

use std::time::Duration;

use crate::harness::{Raw, config, eventually, gateway, gateway_with, status};

const STREAM: &str = "GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn check_stream(mut raw: Raw) -> Raw {
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream"), "{head}");
    raw.until("retry: ").await;
    raw
}

#[tokio::test]
async fn a_used_connection_becomes_a_stream() {
    let g = gateway().await;
    let mut raw = g.connect().await;
    for _ in 0..3 {
        assert_eq!(status(&raw.get("/health").await), 200);
    }
    raw.send(STREAM.as_bytes()).await;
    let mut raw = check_stream(raw).await;
    g.quote(2, "50001", "50010").await;
    raw.until("\"price\":50001.0").await;
}

#[tokio::test]
async fn a_stream_behind_pipelined_requests() {
    let g = gateway().await;
    let mut raw = g.connect().await;
    let get = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // What is sent behind the stream's request is nobody's.
    raw.send(format!("{get}{get}{STREAM}{get}garbage").as_bytes()).await;
    for _ in 0..2 {
        assert_eq!(status(&raw.response().await), 200);
    }
    check_stream(raw).await;
}

#[tokio::test]
async fn a_stream_behind_more_answers_than_the_sockets_take() {
    const ANSWERS: usize = 400;
    let g = gateway().await;
    let mut raw = g.connect().await;
    let get = "GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    raw.send(format!("{}{STREAM}", get.repeat(ANSWERS)).as_bytes()).await;
    eventually("the sockets are full", || g.answered() > 20).await;
    for _ in 0..ANSWERS {
        assert_eq!(status(&raw.response().await), 200);
    }
    check_stream(raw).await;
}

#[tokio::test]
async fn a_request_for_a_stream_in_pieces() {
    let g = gateway().await;
    let mut raw = g.connect().await;
    for byte in STREAM.replace("stream", "stream?last_id=0").bytes() {
        raw.send(&[byte]).await;
    }
    let mut raw = check_stream(raw).await;
    raw.until("id: 1\nevent: account\n").await;
}

#[tokio::test]
async fn a_refused_stream_is_json_and_the_connection_goes_on() {
    let g = gateway().await;
    let mut raw = g.connect().await;
    for last_id in ["abc", "-1", "1e3", "", "18446744073709551616", "9223372036854775808"] {
        let response = raw.get(&format!("/api/stream?last_id={last_id}")).await;
        assert_eq!(status(&response), 400, "{response}");
        assert!(response.contains("\"error\":\"bad_params\""), "{response}");
    }
    let response = raw.get("/api/stream?last_id=1&last_id=1").await;
    assert_eq!(status(&response), 400, "{response}");
    raw.send(b"HEAD /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/event-stream"), "{head}");
    raw.send(
        b"POST /api/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n",
    )
    .await;
    assert_eq!(status(&raw.response().await), 405);
    raw.send(STREAM.as_bytes()).await;
    check_stream(raw).await;
}

#[tokio::test]
async fn origins_and_hosts() {
    let g = gateway().await;
    let ask = async |path: &str, headers: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        if path == "/health" {
            return g.raw(request.as_bytes()).await;
        }
        let mut raw = g.connect().await;
        raw.send(request.as_bytes()).await;
        raw.until("\r\n\r\n").await
    };
    for path in ["/health", "/api/stream"] {
        assert_eq!(status(&ask(path, "Host: evil.example").await), 421);
        assert_eq!(status(&ask(path, "Host: localhost\r\nOrigin: http://evil.example").await), 403);
        assert_eq!(status(&ask(path, "Host: localhost\r\nOrigin: null").await), 403);
        let allowed = ask(path, "Host: desk.example\r\nOrigin: https://pages.example").await;
        assert_eq!(status(&allowed), 200, "{allowed}");
        let cors = "access-control-allow-origin: https://pages.example\r\n";
        assert!(allowed.to_ascii_lowercase().contains(cors), "{allowed}");
    }
    let preflight = g
        .raw(b"OPTIONS /api/order HTTP/1.1\r\nHost: localhost\r\nOrigin: https://pages.example\r\nAccess-Control-Request-Method: POST\r\n\r\n")
        .await;
    assert_eq!(status(&preflight), 204, "{preflight}");
    assert!(preflight.contains("access-control-allow-methods: GET, POST"), "{preflight}");
}

#[tokio::test]
async fn a_form_of_a_web_page_places_nothing() {
    let g = gateway().await;
    let order = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":50000}"#;
    let post = async |headers: &str| {
        let length = order.len();
        let head =
            format!("POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        status(&g.raw(format!("{head}{headers}\r\n{order}").as_bytes()).await)
    };
    assert_eq!(post("Content-Type: application/x-www-form-urlencoded\r\n").await, 415);
    assert_eq!(post("Content-Type: text/plain\r\n").await, 415);
    assert_eq!(post("").await, 415);
    assert_eq!(post("Content-Type: application/json\r\nContent-Encoding: gzip\r\n").await, 415);
    let foreign = "Content-Type: application/json\r\nOrigin: https://evil.example\r\n";
    assert_eq!(post(foreign).await, 403);
    assert_eq!(post("Content-Type: application/json\r\n").await, 200);
}

/// Whoever answers: a handler, the quick way of orders, a refusal, the check of a head.
#[tokio::test]
async fn every_answer_has_the_same_fields_once() {
    let g = gateway().await;
    let json = "Content-Type: application/json\r\n";
    let order =
        r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":49000,"client_order_id":"f-1"}"#;
    for (request, headers, body, expected) in [
        ("GET /health", "", "", 200),
        ("GET /nothing", "", "", 404),
        ("GET /health", "Origin: https://evil.example\r\n", "", 403),
        ("POST /api/order", json, order, 200),
        ("POST /api/order", json, "{}", 400),
        ("POST /api/order", json, "{", 400),
        ("POST /api/cancel", json, r#"{"client_order_id":"f-1"}"#, 200),
        ("POST /api/cancel_all", json, "{}", 200),
    ] {
        for origin in ["", "Origin: https://pages.example\r\n"] {
            if headers.contains("Origin") && !origin.is_empty() {
                continue;
            }
            let length = body.len();
            let answer = g
                .raw(format!("{request} HTTP/1.1\r\nHost: localhost\r\n{headers}{origin}Content-Length: {length}\r\n\r\n{body}").as_bytes())
                .await;
            assert_eq!(status(&answer), expected, "{answer}");
            let with_origin = usize::from(!origin.is_empty());
            for (field, times) in [
                ("content-type: application/json", 1),
                ("vary: Origin", 1),
                ("x-content-type-options: nosniff", 1),
                ("cache-control: no-store", 1),
                ("content-length: ", 1),
                ("access-control-allow-origin: https://pages.example", with_origin),
                ("access-control-expose-headers: Retry-After, X-Veloz-Log", with_origin),
            ] {
                assert_eq!(answer.matches(&format!("\r\n{field}")).count(), times, "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn too_many_connections() {
    let mut config = config();
    config.max_connections = 4;
    let g = gateway_with(config).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut raw = g.connect().await;
        raw.send(STREAM.as_bytes()).await;
        streams.push(check_stream(raw).await);
    }
    // A fifth stream is too much, an order is not.
    let mut raw = g.connect().await;
    let response = raw.get("/api/stream").await;
    assert_eq!(status(&response), 503, "{response}");
    assert!(response.contains("retry-after: 1") && response.contains("too_many_connections"));
    assert_eq!(status(&raw.get("/health").await), 200);
    // Past the places for requests nothing is taken.
    let mut idle = vec![raw];
    let mut refused = 0;
    for _ in 0..30 {
        let mut raw = g.connect().await;
        let response = raw.get("/health").await;
        match status(&response) {
            200 => idle.push(raw),
            503 => {
                assert!(response.contains("Retry-After: 1"), "{response}");
                refused += 1;
            }
            other => panic!("{other}: {response}"),
        }
    }
    assert_eq!((idle.len(), refused), (16, 15));
    // What is connected goes on, and a place that is given up is taken again.
    g.quote(2, "50001", "50010").await;
    for stream in &mut streams {
        stream.until("\"price\":50001.0").await;
    }
    drop((streams, idle));
    eventually("the connections are gone", || g.stream.handle().metrics().connections.get() == 0)
        .await;
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        let mut raw = g.connect().await;
        raw.send(STREAM.as_bytes()).await;
        if status(&raw.until("\r\n\r\n").await) == 200 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "no place was given back");
    }
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_keeps_streams() {
    let mut g = gateway().await;
    let mut idle = g.connect().await;
    assert_eq!(status(&idle.get("/health").await), 200);
    let mut stream = g.connect().await;
    stream.send(STREAM.as_bytes()).await;
    let mut stream = check_stream(stream).await;
    let server = g.server.take().unwrap();
    server.shutdown(Duration::from_secs(5)).await;
    assert_eq!(idle.rest().await, "");
    assert!(tokio::net::TcpStream::connect(g.address).await.is_err());
    g.quote(2, "50001", "50010").await;
    stream.until("\"price\":50001.0").await;
    tokio::task::spawn_blocking(|| g.stream.shut_down()).await.unwrap();
    assert!(stream.rest().await.ends_with("\n\n"));
}
