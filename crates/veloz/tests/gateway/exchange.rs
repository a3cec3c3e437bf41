//! Trading under an exchange's own list of instruments, and what survives a `kill -9` of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::startup::refused;
use crate::support::{Gateway, Options};

const LIST: &str = r#"{"symbols":[
 {"symbol":"SHIBUSDT","status":"TRADING","baseAsset":"SHIB","quoteAsset":"USDT","filters":[
  {"filterType":"PRICE_FILTER","minPrice":"0.00000001","maxPrice":"1","tickSize":"0.00000001"},
  {"filterType":"LOT_SIZE","minQty":"1","maxQty":"46116860414","stepSize":"1"},
  {"filterType":"MIN_NOTIONAL","minNotional":"10","applyToMarket":true,"avgPriceMins":5}]},
 {"symbol":"USDTTRY","status":"TRADING","baseAsset":"USDT","quoteAsset":"TRY","filters":[]},
 {"symbol":"FINEUSDT","status":"TRADING","baseAsset":"FINE","quoteAsset":"USDT","filters":[
  {"filterType":"PRICE_FILTER","minPrice":"0","maxPrice":"1","tickSize":"0.0000000001"}]}]}"#;

fn stored(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn options(list: &Path) -> Options {
    Options::quiet()
        .env("VELOZ_EXCHANGE_INFO", list.display())
        .env("VELOZ_MARKET_SYMBOL", "SHIBUSDT")
        .env("VELOZ_MARKET_SYMBOLS", "USDTTRY")
        .env("VELOZ_SIM_BALANCES", "USDT=1000,SHIB=50000000,TRY=100")
}

fn open_orders(gateway: &Gateway) -> Vec<Value> {
    gateway.json("/api/orders_state?status=open")["items"].as_array().unwrap().clone()
}

#[test]
fn pairs_halts_and_limits_survive_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(LIST.as_bytes()).unwrap();
    let list = stored(home.path(), "list", &gzip.finish().unwrap());
    let mut gateway = Gateway::start(options(&list));
    let instruments = gateway.json("/api/instruments");
    let of = |index: usize, key: &str| instruments["items"][index][key].clone();
    assert_eq!((of(0, "base"), of(0, "quote")), (json!("SHIB"), json!("USDT")));
    assert_eq!((of(0, "lot"), of(0, "min_notional")), (json!(1.0), json!(10.0)));
    assert_eq!((of(1, "base"), of(1, "quote")), (json!("USDT"), json!("TRY")));

    let small = json!({"side":"BUY","symbol":"SHIBUSDT","qty":"1000","price":"0.00001"});
    let reply = gateway.post("/api/order", &small);
    assert_eq!((reply.status, reply.json()["reason"].clone()), (422, json!("min_notional")));
    let pair = json!({"side":"SELL","symbol":"SHIBUSDT","qty":"50000000","price":"0.00003",
                      "stop_price":"0.00001","client_order_id":"both"});
    let placed = gateway.post("/api/oco", &pair);
    assert_eq!(placed.status, 200, "{}", placed.text());
    let limits = json!({"state":"HALTED","price_collar":"0.1","max_position":{"SHIB":"60000000"},
                        "max_daily_loss":{"USDT":"100"},"max_orders_per_second":5});
    let risk = gateway.post("/api/risk", &limits);
    assert_eq!(risk.status, 200, "{}", risk.text());

    let used = json!({"open_orders":2,"orders_last_second":0,"symbol_notional":{"SHIBUSDT":1500.0},
                      "position":{"SHIB":50000000.0},"daily_loss":{"USDT":0.0}});

    gateway.kill();
    let gateway = gateway.again();
    assert_eq!(gateway.json("/api/risk"), risk.json());
    assert_eq!(gateway.json("/api/risk/use"), used, "as it was before");
    let orders = open_orders(&gateway);
    assert_eq!(orders.len(), 2);
    assert_eq!(
        (&orders[0]["oco_with"], &orders[1]["oco_with"]),
        (&json!("both-stop"), &json!("both"))
    );
    let again = gateway.post("/api/oco", &pair);
    assert_eq!(again.json(), placed.json(), "the same request is answered the same");
    let reply = gateway.post("/api/order", &small);
    assert_eq!(reply.json()["reason"], "halted");
    let balances = gateway.json("/api/account")["balances"].clone();
    let shib = balances.as_array().unwrap().iter().find(|b| b["asset"] == "SHIB").unwrap();
    assert_eq!((&shib["free"], &shib["locked"]), (&json!(0.0), &json!(50000000.0)), "locked once");
    assert_eq!(gateway.post("/api/cancel", &json!({"client_order_id":"both-stop"})).status, 200);
    assert_eq!(open_orders(&gateway), Vec::<Value>::new());
}

#[test]
fn the_command_line_places_pairs_and_sets_limits() {
    let gateway = Gateway::start(Options::quiet());
    let veloz = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        let command = command.args(line.split(' ')).env("VELOZ_URL", gateway.url(""));
        let out = command.output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    veloz("risk --max-open-orders 5 --max-position BTC=3 --price-collar 0.5");
    veloz("risk --price-collar none");
    let placed = veloz("oco sell BTCUSDT 0.5 110 --stop 90 --id a");
    assert_eq!(placed.lines().count(), 3, "{placed}");
    assert_eq!(veloz("oco sell BTCUSDT 0.5 110 --stop 90 --id a"), placed, "placed once");
    let limits = veloz("risk");
    for row in
        ["max_open_orders\t-\t5\t2\n", "max_position\tBTC\t3.0\t1.0\n", "price_collar\t-\t-\t-\n"]
    {
        assert!(limits.contains(row), "{limits}");
    }
}

#[test]
fn a_list_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let list = stored(home.path(), "list.json", LIST.as_bytes());
    let missing = home.path().join("missing.json");
    refused(&options(&missing), &dir, &["missing.json", "cannot read"]);
    let garbage = stored(home.path(), "garbage", b"[1,2");
    refused(&options(&garbage), &dir, &["garbage", "exchangeInfo"]);
    let other = options(&list).env("VELOZ_MARKET_SYMBOL", "BTCUSDT");
    refused(&other, &dir, &["VELOZ_EXCHANGE_INFO", "BTCUSDT is not listed"]);
    let fine = options(&list).env("VELOZ_MARKET_SYMBOL", "FINEUSDT");
    let words = ["FINEUSDT cannot be traded here", "tickSize 0.0000000001", "more than 8 decimals"];
    refused(&fine, &dir, &words);
}

/// What is booked in some assets cannot be looked at in others: an order would be checked against a balance that it never
/// takes from.
#[test]
fn a_symbol_keeps_its_assets() {
    let home = tempfile::tempdir().unwrap();
    let list = |assets: &str| {
        let text = format!(
            r#"{{"symbols":[{{"symbol":"BNBUSD","status":"TRADING",{assets},"filters":[]}}]}}"#
        );
        stored(home.path(), "list.json", text.as_bytes())
    };
    let options = |list: &Path| {
        Options::quiet()
            .env("VELOZ_EXCHANGE_INFO", list.display())
            .env("VELOZ_MARKET_SYMBOL", "BNBUSD")
            .env("VELOZ_SIM_BALANCES", "USD=1000,BUSD=1000")
    };
    let mut gateway = Gateway::start(options(&list(r#""baseAsset":"BN","quoteAsset":"BUSD""#)));
    let order = json!({"side": "BUY", "symbol": "BNBUSD", "qty": "1", "price": "500"});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
    assert!(gateway.terminate().success());
    let other = list(r#""baseAsset":"BNB","quoteAsset":"USD""#);
    let words = ["BNBUSD", "BN and BUSD", "BNB and USD", "VELOZ_EXCHANGE_INFO"];
    refused(&options(&other), gateway.dir(), &words);
    let same = list(r#""baseAsset":"BN","quoteAsset":"BUSD""#);
    assert_eq!(open_orders(&gateway.again_with(options(&same))).len(), 1);
}
