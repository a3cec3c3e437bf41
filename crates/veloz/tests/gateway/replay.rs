//! The main job on real input: the recorded captures, every trade of them, and orders among them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::{Gateway, Options, eventually, recorded, seeded};

const BTC: &str = "binance_spot_btcusdt_20240808.gz";
const ETH: &str = "binance_spot_ethusdt_20240808.gz";

/// A trade as the capture has it: time, id, price and quantity in the wire's digits, the taker's side.
#[derive(Debug, PartialEq, Eq)]
struct Trade {
    ts_ns: u64,
    id: u64,
    price: String,
    qty: String,
    side: &'static str,
}

fn lines(file: &Path) -> impl Iterator<Item = String> {
    let bytes = std::fs::File::open(file).expect("the capture");
    BufReader::new(flate2::read::MultiGzDecoder::new(bytes)).lines().map(|line| line.expect("text"))
}

fn trades(file: &Path) -> Vec<Trade> {
    lines(file)
        .filter_map(|line| {
            let json: Value = serde_json::from_str(line.split_once(' ')?.1).expect("JSON");
            let data = &json["data"];
            (data["e"] == "trade").then(|| Trade {
                ts_ns: data["T"].as_u64().expect("a time") * 1_000_000,
                id: data["t"].as_u64().expect("an id"),
                price: shortest(data["p"].as_str().expect("a price")),
                qty: shortest(data["q"].as_str().expect("a quantity")),
                side: if data["m"] == json!(true) { "SELL" } else { "BUY" },
            })
        })
        .collect()
}

/// The shortest form with at least one digit after the point.
fn shortest(digits: &str) -> String {
    let short = digits.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

/// A market event, its numbers as they stand on the wire.
#[derive(Deserialize)]
struct Market<'a> {
    ts_ns: u64,
    trade_id: u64,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
    side: &'a str,
}

fn play(file: &Path, symbol: &str, speed: &str) -> Options {
    Options::default()
        .env("VELOZ_MARKET_SOURCE", "replay")
        .env("VELOZ_REPLAY_FILE", file.display())
        .env("VELOZ_REPLAY_SPEED", speed)
        .env("VELOZ_MARKET_SYMBOL", symbol)
}

#[test]
fn every_trade_becomes_one_event_in_order() {
    for (name, symbol) in [(BTC, "BTCUSDT"), (ETH, "ETHUSDT")] {
        let Some(file) = recorded(name) else { return };
        let gateway = Gateway::start(play(&file, symbol, "max"));
        check_trades(&gateway, trades(&file));
    }
}

#[track_caller]
fn check_trades(gateway: &Gateway, expected: Vec<Trade>) {
    let mut events = gateway.stream("?last_id=0&types=market");
    let count = u64::try_from(expected.len()).expect("a count");
    for trade in expected {
        let frame = events.next_of("market");
        let data = frame.data.expect("data");
        let event: Market<'_> = serde_json::from_str(&data).expect("a market event");
        let seen = Trade {
            ts_ns: event.ts_ns,
            id: event.trade_id,
            price: event.price.get().to_owned(),
            qty: event.qty.get().to_owned(),
            side: if event.side == "SELL" { "SELL" } else { "BUY" },
        };
        assert_eq!(seen, trade, "{data}");
    }
    eventually("the replay has finished", || {
        (gateway.json("/api/config")["market_source_state"] == "finished").then_some(())
    });
    // Nothing but the account's first event came besides the trades.
    assert_eq!(gateway.newest(), count + 1);
}

/// A capture without its depth snapshot plays too: its trades flow, its book is empty until known.
#[test]
fn a_capture_without_a_snapshot_plays() {
    let Some(file) = recorded(ETH) else { return };
    let cut = tempfile::NamedTempFile::new().expect("a temporary file");
    let text: String = lines(&file)
        .filter(|line| !line.contains("lastUpdateId"))
        .map(|line| line + "\n")
        .collect();
    std::fs::write(cut.path(), text).expect("written");
    let gateway = Gateway::start(play(cut.path(), "ETHUSDT", "max"));
    check_trades(&gateway, trades(&file));
    let book = gateway.json("/api/book?symbol=ETHUSDT");
    assert_eq!((&book["bids"], &book["asks"]), (&json!([]), &json!([])));
}

/// What an order asked for, to judge its fills by.
struct Asked {
    buy: bool,
    price: f64,
    qty: f64,
}

/// Places a limit order near the market.
fn place(gateway: &Gateway, rng: &mut fastrand::Rng, id: &str, step: i32) -> Option<Asked> {
    let price = gateway.json("/api/market")["price"].as_f64().expect("a price");
    let buy = rng.bool();
    let price = ((price + f64::from(step)) * 100.0).round() / 100.0;
    let qty = f64::from(rng.u32(1..400)) / 10_000.0;
    let order = json!({"client_order_id": id, "side": if buy { "BUY" } else { "SELL" },
        "symbol": "BTCUSDT", "qty": qty.to_string(), "price": price.to_string()});
    let reply = gateway.post("/api/order", &order);
    assert!([200, 422].contains(&reply.status), "{order}: {}", reply.text());
    (reply.status == 200).then_some(Asked { buy, price, qty })
}

/// Every fill so far is within its order's limit, and no order got more than it asked for.
fn judge(gateway: &Gateway, asked: &HashMap<String, Asked>) -> usize {
    let mut executed: HashMap<String, f64> = HashMap::new();
    let mut fills = 0;
    let newest = gateway.newest();
    let mut events = gateway.stream("?last_id=0&types=fill,error&ping=1");
    while let Some(frame) = events.block() {
        if frame.is("fill") {
            fills += 1;
            let fill = frame.json();
            let id = fill["client_order_id"].as_str().expect("an id");
            let order = &asked[id];
            let price = fill["price"].as_f64().expect("a price");
            let worse = if order.buy { price > order.price } else { price < order.price };
            assert!(!worse, "{fill}: the limit was {}", order.price);
            *executed.entry(id.to_owned()).or_default() +=
                fill["qty"].as_f64().expect("a quantity");
        }
        if frame.id.is_some_and(|id| id >= newest) || frame.comment.as_deref() == Some("keep-alive")
        {
            break;
        }
    }
    for (id, qty) in executed {
        assert!(qty <= asked[&id].qty + 1e-9, "{id} executed {qty} of {}", asked[&id].qty);
    }
    fills
}

#[test]
fn orders_fill_against_the_record_when_stepped() {
    let Some(file) = recorded(BTC) else { return };
    let mut rng = seeded("orders_fill_against_the_record_when_stepped");
    let options = play(&file, "BTCUSDT", "max")
        .env("VELOZ_REPLAY_PAUSED", "1")
        .env("VELOZ_KEEP_ALIVE_MS", "200")
        .env("VELOZ_SIM_BALANCES", "USDT=10000000,BTC=100");
    let gateway = Gateway::start(options);
    gateway.step(200);
    let mut asked = HashMap::new();
    for round in 0..60 {
        let id = format!("stepped-{round}");
        let step = rng.i32(-20..20);
        if let Some(order) = place(&gateway, &mut rng, &id, step) {
            asked.insert(id, order);
        }
        gateway.step(rng.u64(1..200));
    }
    let fills = judge(&gateway, &asked);
    assert!(fills > 20, "only {fills} fills of {} orders", asked.len());
    taker_walks_the_book(&gateway);
}

/// An order that crosses is filled by the levels that the book shows, best first, and no other.
fn taker_walks_the_book(gateway: &Gateway) {
    // It must not meet an order of its own account.
    assert_eq!(gateway.post("/api/cancel_all", &json!({})).status, 200);
    let book = gateway.json("/api/book?symbol=BTCUSDT&depth=20");
    let level = |n: usize| {
        let level = &book["asks"][n];
        (level[0].as_f64().expect("a price"), level[1].as_f64().expect("a quantity"))
    };
    let (limit, _) = level(2);
    let wanted = level(0).1 + level(1).1 + level(2).1 / 2.0;
    let qty = format!("{wanted:.5}");
    let order = json!({"client_order_id": "walks", "side": "BUY", "symbol": "BTCUSDT", "qty": qty,
        "price": limit.to_string()});
    let reply = gateway.post("/api/order", &order);
    assert_eq!(reply.json()["status"], "FILLED", "{book} {}", reply.text());
    let items = gateway.json("/api/fills")["items"].clone();
    let fills: Vec<f64> = items
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item.get("data").unwrap_or(item))
        .filter(|fill| fill["client_order_id"] == "walks")
        .map(|fill| fill["price"].as_f64().expect("a price"))
        .collect();
    assert_eq!(fills, [level(0).0, level(1).0, level(2).0], "{book}");
}

#[test]
fn orders_fill_against_the_record_at_twenty_times() {
    let Some(file) = recorded(BTC) else { return };
    let mut rng = seeded("orders_fill_against_the_record_at_twenty_times");
    let options = play(&file, "BTCUSDT", "20")
        .env("VELOZ_KEEP_ALIVE_MS", "200")
        .env("VELOZ_SIM_BALANCES", "USDT=10000000,BTC=100");
    let gateway = Gateway::start(options);
    let mut asked = HashMap::new();
    for round in 0..40 {
        let start = gateway.newest();
        eventually("the replay goes on", || (gateway.newest() >= start + 60).then_some(()));
        let id = format!("played-{round}");
        let step = rng.i32(-10..10);
        if let Some(order) = place(&gateway, &mut rng, &id, step) {
            asked.insert(id, order);
        }
    }
    let fills = judge(&gateway, &asked);
    assert!(fills > 10, "only {fills} fills of {} orders", asked.len());
}
