//! The faults of the first VeloZ: each was seen by running it, and each would be caught here.

use serde_json::{Value, json};

use crate::support::{
    Capture, Gateway, Options, eventually, get, post, post_json, recorded, request,
};

/// A book around 41992, whose replay the test steps.
fn market() -> Capture {
    Capture::book(
        &[("41992.00", "1.0"), ("41991.00", "2.0")],
        &[("41992.50", "1.0"), ("41993.00", "2.0")],
    )
}

fn limit(id: &str, side: &str, qty: &str, price: &str) -> Value {
    json!({"client_order_id": id, "side": side, "symbol": "BTCUSDT", "qty": qty, "price": price})
}

fn state(gateway: &Gateway, id: &str) -> Value {
    gateway.json(&format!("/api/order_state?client_order_id={id}"))
}

fn free(gateway: &Gateway, asset: &str) -> f64 {
    let account = gateway.json("/api/account");
    let balances = account["balances"].as_array().expect("balances");
    let balance = balances.iter().find(|b| b["asset"] == asset).expect("the asset");
    balance["free"].as_f64().expect("a number")
}

/// Its simulator filled any order whole after 300 ms: a BUY at 30000 filled at 41992.5 for 30 dollars.
#[test]
fn a_limit_is_kept() {
    let gateway = market()
        .trade("BUY", "41992.50", "0.5")
        .trade("SELL", "30000.00", "0.0004")
        .trade("SELL", "29999.00", "5.0")
        .play();
    let reply = gateway.post("/api/order", &limit("low", "BUY", "0.001", "30000"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["status"], "ACCEPTED");
    gateway.step(1);
    assert_eq!(state(&gateway, "low")["executed_qty"], json!(0.0));
    gateway.step(2);
    let fills = gateway.json("/api/fills");
    let fills = fills["items"].as_array().expect("items");
    assert!(!fills.is_empty(), "the price went through the limit");
    for fill in fills {
        let fill = fill.get("data").unwrap_or(fill);
        assert!(fill["price"].as_f64().expect("a price") <= 30000.0, "{fill}");
    }
    let order = state(&gateway, "low");
    assert_eq!(order["status"], "FILLED", "{order}");
    // What it paid is what it got times its price.
    let paid = 100_000.0 - free(&gateway, "USDT");
    assert!((paid - order["cum_quote"].as_f64().expect("a number")).abs() < 1e-6, "{paid} {order}");
    assert!(paid > 29.0 && paid <= 30.0, "{paid}");
}

/// It filled an order of one symbol at another's price.
#[test]
fn an_order_trades_on_its_own_symbol() {
    let capture = market().trade("SELL", "41992.00", "0.5").trade("SELL", "41991.00", "0.5");
    let gateway = capture.play();
    let order = json!({"client_order_id": "eth", "side": "BUY", "symbol": "ETHUSDT", "qty": "0.1",
        "price": "50000"});
    let reply = gateway.post("/api/order", &order);
    gateway.step(2);
    if reply.status == 200 {
        assert_eq!(
            state(&gateway, "eth")["executed_qty"],
            json!(0.0),
            "ETHUSDT has no market here"
        );
    } else {
        assert!([400, 422].contains(&reply.status), "{}", reply.text());
    }
    assert_eq!(gateway.json("/api/fills")["items"], json!([]));
}

/// Cancel of a filled order turned it REJECTED.
#[test]
fn a_refused_cancel_changes_nothing() {
    let gateway = market().play();
    let reply = gateway.post("/api/order", &limit("done", "BUY", "0.001", "42000"));
    assert_eq!(reply.json()["status"], "FILLED", "{}", reply.text());
    let (before, newest) = (state(&gateway, "done"), gateway.newest());
    let reply = gateway.post("/api/cancel", &json!({"client_order_id": "done"}));
    assert_eq!((reply.status, reply.error().as_str()), (409, "order_closed"));
    assert_eq!(reply.json()["status"], "FILLED");
    let reply = gateway.post("/api/cancel", &json!({"client_order_id": "never"}));
    assert_eq!((reply.status, reply.error().as_str()), (404, "not_found"));
    assert_eq!((state(&gateway, "done"), gateway.newest()), (before, newest));
}

/// A re-used id corrupted the live order.
#[test]
fn an_id_is_used_once() {
    let gateway = market().play();
    let first = gateway.post("/api/order", &limit("one", "BUY", "0.001", "30000"));
    assert_eq!(first.status, 200);
    let (before, newest) = (state(&gateway, "one"), gateway.newest());
    let again = gateway.post("/api/order", &limit("one", "buy", "0.0010", "30000.0"));
    assert_eq!((again.status, again.json()), (200, first.json()), "the same order, sent again");
    let other = gateway.post("/api/order", &limit("one", "BUY", "0.002", "30000"));
    assert_eq!((other.status, other.error().as_str()), (409, "duplicate_client_order_id"));
    assert_eq!((state(&gateway, "one"), gateway.newest()), (before.clone(), newest));
    // Nor after a restart.
    let gateway = gateway.again();
    let other = gateway.post("/api/order", &limit("one", "SELL", "0.001", "30000"));
    assert_eq!(other.status, 409, "{}", other.text());
    assert_eq!(state(&gateway, "one"), before);
}

/// `NaN` quantities were accepted, after which `/api/orders_state` was not JSON.
#[test]
fn a_number_is_a_number() {
    let gateway = Gateway::start(Options::quiet());
    for bad in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "1e-999",
        "0x10",
        "\"NaN\"",
        "\"\"",
        "null",
        "true",
        "[1]",
        "-1",
        "0",
        "\"1 \"",
        "1e400000000000",
        "0.000000001",
        "99999999999999999999",
    ] {
        for (qty, price) in [(bad, "30000"), ("0.001", bad)] {
            let body = format!(
                r#"{{"side":"BUY","symbol":"BTCUSDT","qty":{qty},"price":{price},"client_order_id":"x"}}"#
            );
            let reply = post_json(gateway.address(), "/api/order", &body);
            assert_eq!(reply.status, 400, "{body}: {}", reply.text());
            assert!(
                ["bad_params", "bad_json"].contains(&reply.error().as_str()),
                "{}",
                reply.text()
            );
        }
    }
    assert_eq!(gateway.json("/api/orders_state")["items"], json!([]));
    assert_eq!(gateway.newest(), 1, "only the account's first event");
}

/// A newline in `symbol` placed a second order.
#[test]
fn a_name_holds_no_line_end() {
    let gateway = Gateway::start(Options::quiet());
    for bad in [
        "BTCUSDT\nORDER BUY ETHUSDT 1 1 evil",
        "BTC USDT",
        "BTCUSDT\r",
        "BTCUSDT\0",
        "",
        "\u{1F4B0}",
    ] {
        for key in ["symbol", "client_order_id", "side"] {
            let mut order = limit("x", "BUY", "0.001", "30000");
            order[key] = json!(bad);
            let reply = gateway.post("/api/order", &order);
            assert_eq!(reply.status, 400, "{order}: {}", reply.text());
        }
    }
    assert_eq!(gateway.json("/api/orders_state")["items"], json!([]));
}

/// A form post from any web page placed an order.
#[test]
fn no_web_page_places_an_order() {
    let gateway = Gateway::start(Options::quiet());
    let address = gateway.address();
    let order = limit("form", "BUY", "0.001", "30000").to_string();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"] {
        let reply = post(address, "/api/order", content_type, order.as_bytes());
        assert_eq!(reply.status, 415, "{content_type}: {}", reply.text());
    }
    let json = ("Content-Type", "application/json");
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let headers = [json, ("Origin", origin)];
        let reply = request(address, "POST", "/api/order", &headers, order.as_bytes());
        assert_eq!((reply.status, reply.error().as_str()), (403, "forbidden"), "{origin}");
    }
    // A name that is made to point here (DNS rebinding) can neither order nor read.
    let headers = [json, ("Host", "evil.example")];
    assert_eq!(request(address, "POST", "/api/order", &headers, order.as_bytes()).status, 421);
    let reply = request(address, "GET", "/api/account", &[("Host", "evil.example")], b"");
    assert_eq!(reply.status, 421, "{}", reply.text());
    assert_eq!(gateway.json("/api/orders_state")["items"], json!([]));
}

/// Ids restarted at 1, so that a dashboard that remembered its last id saw nothing after a restart.
#[test]
fn ids_go_on_after_a_restart() {
    let mut gateway = Gateway::start(Options::busy());
    eventually("some events", || (gateway.newest() > 50).then_some(()));
    let seen = gateway.newest();
    gateway.kill();
    let gateway = gateway.again();
    let mut events = gateway.stream(&format!("?last_id={seen}"));
    assert_eq!(events.next().and_then(|frame| frame.id), Some(seen + 1));
}

/// `Last-Event-ID` was ignored.
#[test]
fn last_event_id_is_honoured() {
    let gateway = Gateway::start(Options::busy());
    eventually("some events", || (gateway.newest() > 20).then_some(()));
    for header in ["Last-Event-ID", "last-event-id"] {
        let mut events =
            crate::support::Events::open(gateway.address(), "/api/stream", &[(header, "10")]);
        assert_eq!(events.next().and_then(|frame| frame.id), Some(11));
    }
}

/// 500 events were kept, and a client behind them was not told.
#[test]
fn a_client_far_behind_gets_everything() {
    let gateway = Gateway::start(Options::default().env("VELOZ_SIM_INTERVAL_MS", 0));
    eventually("many events", || (gateway.newest() > 20_000).then_some(()));
    let ids = gateway.stream("?last_id=0").ids_to(20_000);
    let wrong = ids.iter().zip(1_u64..).find(|&(&id, expected)| id != expected);
    assert_eq!(wrong, None, "(id, expected)");
}

/// A client whose id was never issued here (a log that was replaced) waited in silence for ever.
#[test]
fn a_cursor_ahead_of_the_log_is_told() {
    let gateway = Gateway::start(Options::quiet());
    let mut events = gateway.stream("?last_id=1000");
    let gap = events.next().expect("a gap");
    assert!(gap.is("gap"), "{gap:?}");
    assert_eq!(gap.id, Some(1));
    let expected =
        json!({"type": "gap", "reason": "ahead", "requested": 1000, "oldest": 1, "newest": 1});
    assert_eq!(gap.json(), expected);
    gateway.post("/api/order", &limit("next", "BUY", "0.001", "30000"));
    assert_eq!(events.next().and_then(|frame| frame.id), Some(2), "and it goes on live");
}

/// A killed engine left `/health` ok and orders ACCEPTED for ever. Here the engine lives with its
/// journal: one that cannot grow is told, and no order is taken from then on.
#[test]
fn a_gateway_that_cannot_store_says_so() {
    // A file may not grow past 40 MiB: no more space can be had, and the signal that says so is no end.
    let options = Options::default().env("VELOZ_SIM_INTERVAL_MS", 0).shell("ulimit -f 81920");
    let mut gateway = Gateway::start(options);
    let health = eventually("health tells it", || {
        let reply = gateway.get("/health");
        (reply.status == 503).then_some(reply)
    });
    assert_ne!(health.json()["ok"], json!(true), "{}", health.text());
    let reply = gateway.post("/api/order", &limit("late", "BUY", "0.001", "30000"));
    assert_eq!((reply.status, reply.error().as_str()), (503, "storage_unavailable"));
    assert!(gateway.terminate().success(), "what was taken is stored");
    // What was seen is there after a restart, and the order is not.
    let gateway = gateway.again_with(Options::quiet().flag("--cancel-open"));
    assert_eq!(gateway.get("/health").status, 200);
    assert_eq!(gateway.get("/api/order_state?client_order_id=late").status, 404);
}

/// At full speed 46 % of events never reached 100 subscribers.
#[test]
fn a_hundred_subscribers_get_every_event() {
    let Some(file) = recorded("binance_spot_ethusdt_20240808.gz") else { return };
    let options = Options::default()
        .env("VELOZ_MARKET_SOURCE", "replay")
        .env("VELOZ_MARKET_SYMBOL", "ETHUSDT")
        .env("VELOZ_REPLAY_FILE", file.display())
        .env("VELOZ_REPLAY_SPEED", "max")
        .env("VELOZ_REPLAY_PAUSED", "1");
    let gateway = Gateway::start(options);
    let readers: Vec<_> = (0..100)
        .map(|n| {
            let mut events = gateway.stream("?last_id=0");
            std::thread::spawn(move || {
                let ids = events.ids_to(6_000);
                assert!(ids.iter().copied().eq(1..=6_000), "subscriber {n}");
            })
        })
        .collect();
    assert_eq!(gateway.post("/api/replay", &json!({"run": true})).status, 200);
    for reader in readers {
        reader.join().expect("every id, once, in order");
    }
    assert_eq!(get(gateway.address(), "/health").status, 200);
}
