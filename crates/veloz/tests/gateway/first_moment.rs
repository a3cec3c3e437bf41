//! The first moment of a run: whoever comes then, and whatever was on its way, meets a market.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Gateway, Options, eventually, fixed_port, seeded, try_post_json};

/// The market is at 50,000 and moves by less than this.
const AT_MOST: f64 = 51_000.0;

fn bid(id: &str, order_type: &str) -> Value {
    let mut order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.1", "type": order_type,
        "client_order_id": id});
    if order_type != "MARKET" {
        order["price"] = json!("55000");
    }
    order
}

#[track_caller]
fn check(gateway: &Gateway, id: &str, status: &str, reason: &str) {
    let state = eventually(&format!("{id} has ended"), || {
        let reply = gateway.get(&format!("/api/order_state?client_order_id={id}"));
        (reply.status == 200 && reply.json()["status"] != Value::Null).then(|| reply.json())
    });
    assert_eq!((&state["status"], &state["reason"]), (&json!(status), &json!(reason)), "{state}");
    assert!(state["avg_price"].as_f64().unwrap() < AT_MOST, "{state}");
}

#[test]
fn an_order_that_comes_first_of_all_meets_a_market() {
    let port = fixed_port(&mut seeded("first moment"));
    let options = Options::default().env("VELOZ_PORT", port).env("VELOZ_MARKET_SYMBOLS", "ETHUSDT");
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        for (order_type, status, reason) in [
            ("LIMIT", "FILLED", ""),
            ("LIMIT_MAKER", "REJECTED", "would_take"),
            ("MARKET", "FILLED", ""),
        ] {
            let id = format!("{order_type}-{round}");
            let body = bid(&id, order_type).to_string();
            let mut gateway = std::thread::scope(|scope| {
                // Before there is anybody to take it.
                scope.spawn(move || {
                    eventually("it is answered", || {
                        try_post_json(([127, 0, 0, 1], port).into(), "/api/order", &body)
                    })
                });
                Gateway::start_on(dir.path(), options.clone())
            });
            check(&gateway, &id, status, reason);
            gateway.kill();
        }
    }
}

#[test]
fn what_was_on_its_way_in_a_crash_arrives_at_a_market() {
    const WAY: Duration = Duration::from_millis(100);
    let mut gateway =
        Gateway::start(Options::default().env("VELOZ_SIM_LATENCY_MS", "to=100,from=100"));
    let sent = std::thread::scope(|scope| {
        for order_type in ["LIMIT", "LIMIT_MAKER", "MARKET"] {
            let (address, body) = (gateway.address(), bid(order_type, order_type).to_string());
            scope.spawn(move || try_post_json(address, "/api/order", &body));
            eventually("it has left", || {
                let path = format!("/api/order_state?client_order_id={order_type}");
                (gateway.get(&path).status == 200).then_some(())
            });
        }
        let sent = Instant::now();
        gateway.kill();
        sent
    });
    eventually("it would be there", || (sent.elapsed() > WAY).then_some(()));
    let gateway = gateway.again();
    check(&gateway, "LIMIT", "FILLED", "");
    check(&gateway, "LIMIT_MAKER", "REJECTED", "would_take");
    check(&gateway, "MARKET", "FILLED", "");
}

#[test]
fn the_first_order_of_the_engine_alone_meets_a_market() {
    let mut engine = Command::new(env!("CARGO_BIN_EXE_veloz"))
        .args(["engine", "--market-symbols", "ETHUSDT"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    engine.stdin.take().unwrap().write_all(b"ORDER BUY BTCUSDT 0.1 55000 a\n").unwrap();
    let out = String::from_utf8(engine.wait_with_output().unwrap().stdout).unwrap();
    let events = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let fills: Vec<_> = events.filter(|event| event["type"] == "fill").collect();
    assert!(!fills.is_empty(), "{out}");
    assert!(fills.iter().all(|fill| fill["price"].as_f64().unwrap() < AT_MOST), "{out}");
}
