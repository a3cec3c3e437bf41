//! What the contract says of a stream, one sentence a check, while the gateway has its hands full.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{Events, Frame, Gateway, PATIENCE, get, parse};

use super::{Loaded, under_load};

/// Each check is made so often, in a random order.
const ROUNDS: usize = 3;
const CHECKS: [fn(&Gateway, u64); 13] = [
    a_resumed_stream_is_the_log,
    the_header_wins,
    a_filter_lets_pass_what_it_names_and_moves_the_cursor,
    a_filter_of_symbols,
    unnamed_frames,
    lines_of_json,
    a_snapshot_is_one_cut,
    who_is_ahead_is_told,
    who_is_ahead_gets_the_snapshot,
    pings_and_books_have_no_id,
    what_makes_no_sense_is_refused,
    a_request_byte_by_byte,
    an_order_byte_by_byte,
];

#[test]
fn the_contract_of_the_stream_holds() {
    let work = |Loaded { gateway, rng, .. }: &mut Loaded| {
        let mut checks: Vec<_> = CHECKS.iter().cycle().take(ROUNDS * CHECKS.len()).collect();
        rng.shuffle(&mut checks);
        for (check, number) in checks.into_iter().zip(1..) {
            check(gateway, number);
        }
    };
    under_load("contract", work, |_| {});
}

fn events(gateway: &Gateway, query: &str) -> Events {
    gateway.stream(&format!("?{query}"))
}

/// The next `n` events, each of which has its id.
fn take(events: &mut Events, n: usize) -> Vec<(u64, Frame)> {
    let frames = std::iter::repeat_with(|| events.next().expect("the stream goes on"));
    frames.take(n).map(|frame| (frame.id.expect("an id"), frame)).collect()
}

fn follow_each_other(frames: &[(u64, Frame)], first: u64) {
    let ids: Vec<u64> = frames.iter().map(|(id, _)| *id).collect();
    let wanted: Vec<u64> = (first..).take(ids.len()).collect();
    assert_eq!(ids, wanted);
}

/// From the log into the window and live, over every seam: what comes is what the pages say.
fn a_resumed_stream_is_the_log(gateway: &Gateway, number: u64) {
    let newest = gateway.newest();
    for after in [0, newest - 400, newest - number] {
        let count = usize::try_from(newest - after).expect("a number") + 100;
        let frames = take(&mut events(gateway, &format!("last_id={after}")), count);
        follow_each_other(&frames, after + 1);
        let page = gateway.json(&format!("/api/events?after={after}&limit=500"));
        for ((id, frame), item) in frames.iter().zip(page["items"].as_array().expect("items")) {
            assert_eq!(item["id"].as_u64(), Some(*id));
            assert_eq!(item["event"].as_str(), frame.event.as_deref());
            assert_eq!(item["data"], frame.json());
        }
    }
}

fn the_header_wins(gateway: &Gateway, _: u64) {
    let header = gateway.newest() - 5;
    let headers = [("Last-Event-ID", &*header.to_string())];
    let mut events = Events::open(gateway.address(), "/api/stream?last_id=1", &headers);
    follow_each_other(&take(&mut events, 50), header + 1);
}

fn a_filter_lets_pass_what_it_names_and_moves_the_cursor(gateway: &Gateway, _: u64) {
    let after = gateway.newest() - 300;
    let mut fills = events(gateway, &format!("last_id={after}&types=fill,order_update"));
    let page = format!("/api/events?after={after}&limit=20&types=fill,order_update");
    let mut seen = take(&mut fills, 20);
    for ((id, frame), item) in
        seen.drain(..).zip(gateway.json(&page)["items"].as_array().expect("items"))
    {
        assert!(frame.is("fill") || frame.is("order_update"), "{frame:?}");
        assert_eq!((item["id"].as_u64(), &item["data"]), (Some(id), &frame.json()));
    }
    // Nobody places an order of that id: keep-alives alone move the cursor.
    let mut silent = events(gateway, "client_order_id=nobody");
    let mut cursor = || loop {
        let frame = silent.block().expect("the stream goes on");
        assert_eq!(frame.data, None);
        if let Some(id) = frame.id {
            return id;
        }
    };
    let start = cursor();
    let newest = gateway.newest();
    assert!(start <= newest);
    while cursor() < newest {}
}

fn a_filter_of_symbols(gateway: &Gateway, _: u64) {
    let after = gateway.newest() - 300;
    for (_, frame) in take(&mut events(gateway, &format!("last_id={after}&symbols=ETHUSDT")), 100) {
        let other = frame.is("account") || frame.is("error");
        assert!(other || frame.json()["symbol"] == "ETHUSDT", "{frame:?}");
    }
}

fn unnamed_frames(gateway: &Gateway, _: u64) {
    let after = gateway.newest() - 100;
    let frames = take(&mut events(gateway, &format!("last_id={after}&named=0")), 200);
    follow_each_other(&frames, after + 1);
    assert!(
        frames.iter().all(|(_, frame)| frame.event.is_none() && frame.json()["type"].is_string())
    );
}

fn lines_of_json(gateway: &Gateway, _: u64) {
    let after = gateway.newest() - 100;
    let mut lines = events(gateway, &format!("last_id={after}&format=ndjson"));
    let mut frames = events(gateway, &format!("last_id={after}"));
    for (id, frame) in take(&mut frames, 200) {
        let line: Value = serde_json::from_str(&lines.line().expect("a line")).expect("JSON");
        assert_eq!(line, json!({"id": id, "event": frame.event, "data": frame.json()}));
    }
}

/// State and N are one cut: the open orders are those that the log up to N leads to, and N+1 follows.
fn a_snapshot_is_one_cut(gateway: &Gateway, _: u64) {
    let mut stream = events(gateway, "snapshot=1");
    let (mut markets, mut open, mut last) = (0, BTreeMap::new(), None);
    while last.is_none() {
        let frame = stream.next().expect("the stream goes on");
        let data = frame.json();
        if frame.is("snapshot") {
            last = data["last_id"].as_u64();
            assert_eq!(frame.id, last);
            continue;
        }
        assert_eq!((frame.id, &data["snapshot"]), (None, &json!(true)), "{frame:?}");
        markets += usize::from(frame.is("market"));
        if frame.is("order_state") {
            open.insert(data["client_order_id"].to_string(), data["executed_qty"].to_string());
        }
    }
    let last = last.expect("an id");
    assert_eq!(markets, 2);
    follow_each_other(&take(&mut stream, 50), last + 1);
    let mut led_to = BTreeMap::new();
    for item in gateway.log("types=order_state") {
        let data = &item["data"];
        if item["id"].as_u64() > Some(last) {
            break;
        }
        let id = data["client_order_id"].to_string();
        match data["status"].as_str() {
            Some("ACCEPTED" | "PARTIALLY_FILLED") => {
                led_to.insert(id, data["executed_qty"].to_string())
            }
            _ => led_to.remove(&id),
        };
    }
    assert_eq!(open, led_to);
}

fn gap(frame: &Frame, ahead: u64) -> u64 {
    assert!(frame.is("gap"), "{frame:?}");
    let data = frame.json();
    assert_eq!((&data["reason"], &data["requested"]), (&json!("ahead"), &json!(ahead)));
    assert_eq!(data["newest"].as_u64(), frame.id);
    frame.id.expect("an id")
}

fn who_is_ahead_is_told(gateway: &Gateway, _: u64) {
    let ahead = gateway.newest() + 1_000_000;
    let mut stream = events(gateway, &format!("last_id={ahead}"));
    let newest = gap(&stream.next().expect("a gap"), ahead);
    follow_each_other(&take(&mut stream, 50), newest + 1);
}

fn who_is_ahead_gets_the_snapshot(gateway: &Gateway, _: u64) {
    let ahead = gateway.newest() + 1_000_000;
    let mut stream = events(gateway, &format!("last_id={ahead}&snapshot=1"));
    let newest = gap(&stream.next().expect("a gap"), ahead);
    let last = stream.next_of("snapshot").id.expect("an id");
    assert!(last >= newest);
    follow_each_other(&take(&mut stream, 50), last + 1);
}

fn pings_and_books_have_no_id(gateway: &Gateway, _: u64) {
    let mut silent = events(gateway, "client_order_id=nobody&ping=1");
    let newest = gateway.newest();
    let mut ping = silent.next_of("ping");
    while ping.json()["newest"].as_u64() < Some(newest) {
        ping = silent.next_of("ping");
    }
    assert_eq!(ping.id, None);
    let book = events(gateway, "book=BTCUSDT").next_of("book");
    assert_eq!((book.id, book.json()["symbol"].as_str()), (None, Some("BTCUSDT")));
}

fn what_makes_no_sense_is_refused(gateway: &Gateway, _: u64) {
    for query in ["last_id=abc", "last_id=1&last_id=1", "types=nonsense", "last_id=-1", "book=%00"]
    {
        let reply = get(gateway.address(), &format!("/api/stream?{query}"));
        assert_eq!((reply.status, reply.error().as_str()), (400, "bad_params"), "{query}");
    }
}

/// A connection on which each byte is a segment of its own.
fn byte_by_byte(gateway: &Gateway, request: &str) -> TcpStream {
    let mut socket = TcpStream::connect(gateway.address()).expect("the port is open");
    socket.set_nodelay(true).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    for byte in request.bytes() {
        socket.write_all(&[byte]).expect("taken");
    }
    socket
}

fn a_request_byte_by_byte(gateway: &Gateway, _: u64) {
    let (host, after) = (gateway.address(), gateway.newest() - 5);
    let request = format!("GET /api/stream?last_id={after} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut socket = byte_by_byte(gateway, &request);
    let wanted = format!("\n\nid: {}\nevent: ", after + 1);
    let mut came = String::new();
    while !came.contains(&wanted) {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("more");
        came.push(char::from(byte[0]));
    }
    assert!(came.starts_with("HTTP/1.1 200 OK\r\n"), "{came}");
}

fn an_order_byte_by_byte(gateway: &Gateway, number: u64) {
    let (host, id) = (gateway.address(), format!("bytes-{number}"));
    let order = json!({"client_order_id": id, "side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "1000"});
    let body = order.to_string();
    let length = body.len();
    let request = format!(
        "POST /api/order HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    byte_by_byte(gateway, &request).read_to_end(&mut answer).expect("an answer");
    let reply = parse(&answer).expect("an answer");
    assert_eq!((reply.status, &reply.json()["client_order_id"]), (200, &json!(id)));
    let told = gateway.log("types=order_update").into_iter().map(|item| item["data"].clone());
    let told: Vec<Value> = told.filter(|data| data["client_order_id"] == json!(id)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["status"], json!("ACCEPTED"));
}
