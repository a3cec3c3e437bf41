//! Wrong orders of every kind: each names the field, its value and the rule.

use veloz_core::exchange_info::ExchangeInfo;
use veloz_core::input::{Input, MarketBody, MarketData};
use veloz_core::instrument::Instrument;
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::{Side, Symbol};

use crate::api::{check, get, post};
use crate::harness::{Fixture, gateway};

/// One symbol with every filter, and one that the exchange has stopped.
const LISTED: &str = r#"{"symbols":[
 {"symbol":"AUSDT","status":"TRADING","baseAsset":"A","quoteAsset":"USDT","filters":[
  {"filterType":"PRICE_FILTER","minPrice":"10","maxPrice":"1000","tickSize":"0.5"},
  {"filterType":"LOT_SIZE","minQty":"0.2","maxQty":"100","stepSize":"0.1"},
  {"filterType":"MARKET_LOT_SIZE","minQty":"0.4","maxQty":"20","stepSize":"0.2"},
  {"filterType":"NOTIONAL","minNotional":"30","applyMinToMarket":true,"maxNotional":"5000","applyMaxToMarket":false},
  {"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"1.2","bidMultiplierDown":"0.5","askMultiplierUp":"3","askMultiplierDown":"0.9"},
  {"filterType":"MAX_NUM_ORDERS","maxNumOrders":2}]},
 {"symbol":"BUSDT","status":"BREAK","baseAsset":"B","quoteAsset":"USDT","filters":[]}]}"#;

/// Those instruments.
pub(crate) fn instruments() -> Vec<Instrument> {
    ExchangeInfo::parse(LISTED.as_bytes()).unwrap().instruments().to_vec()
}

/// Bids 1,000 A at 100 and asks as much at 101; the last price is 100.
async fn fixture() -> Fixture {
    let g = gateway().await;
    let (qty, price) = ("1000".parse().unwrap(), "100".parse().unwrap());
    let (bids, asks) = (vec![(price, qty)], vec![("101".parse().unwrap(), qty)]);
    let trade = MarketBody::Trade { ts_ns: 1, price, qty, side: Side::Sell, trade_id: 1 };
    for body in [MarketBody::Snapshot { last_id: 1, bids, asks }, trade] {
        let symbol = Symbol::parse("AUSDT").unwrap();
        let data = MarketData { symbol, position: None, body };
        g.service.submit(Input::Market(data)).await.unwrap();
    }
    g
}

fn order(symbol: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"{symbol}",{rest}}}"#)
}

/// Each order is refused by a rule: its reason, and the words that name field, value and rule.
async fn refused(g: &Fixture, table: &[(&str, &str, &str)]) {
    for (rest, reason, rule) in table {
        let symbol = if *reason == "symbol_status" { "BUSDT" } else { "AUSDT" };
        let got = post(g, "/api/order", &order(symbol, rest)).await;
        let message = format!("the order was rejected: {reason}: {rule}");
        let reason = format!(r#""reason":"{reason}""#);
        check(got, 422, &[&reason, &message, r#""status":"REJECTED""#]).await;
    }
}

#[tokio::test]
async fn each_filter_of_the_exchange() {
    let g = fixture().await;
    let tick = "price 100.3 must be a multiple of 0.5";
    let stop = "stop_price 90.3 must be a multiple of 0.5";
    let range = "must be 10.0 at least and 1000.0 at most";
    let bids = "must be 0.5 to 1.2 times the last price 100.0";
    let asks = "must be 0.9 to 3.0 times the last price 100.0";
    let lot = "must be a multiple of 0.1, from 0.2 to 100.0";
    let market = format!("{lot}; as it has no limit also a multiple of 0.2, from 0.4 to 20.0");
    let least = "price times qty, or quote_qty, must be 30.0 USDT at least";
    let most = "price times qty, or quote_qty, must be 5000.0 USDT at most";
    refused(
        &g,
        &[
            (
                r#""side":"BUY","qty":1,"price":1"#,
                "symbol_status",
                "symbol BUSDT is BREAK, not TRADING",
            ),
            (r#""side":"BUY","qty":1,"price":100.3"#, "price_tick", tick),
            (r#""side":"SELL","qty":1,"type":"STOP_LOSS","stop_price":90.3"#, "price_tick", stop),
            (r#""side":"BUY","qty":5,"price":9.5"#, "price_range", &format!("price 9.5 {range}")),
            (
                r#""side":"SELL","qty":1,"price":1000.5"#,
                "price_range",
                &format!("price 1000.5 {range}"),
            ),
            (
                r#""side":"BUY","qty":1,"type":"STOP_LOSS_LIMIT","price":110,"stop_price":1100"#,
                "price_range",
                &format!("price 110.0, stop_price 1100.0 {range}"),
            ),
            (
                r#""side":"BUY","qty":1,"price":49.5"#,
                "percent_price",
                &format!("price 49.5 {bids}"),
            ),
            (
                r#""side":"BUY","qty":1,"price":120.5"#,
                "percent_price",
                &format!("price 120.5 {bids}"),
            ),
            (
                r#""side":"SELL","qty":1,"price":89.5"#,
                "percent_price",
                &format!("price 89.5 {asks}"),
            ),
            (
                r#""side":"SELL","qty":1,"price":300.5"#,
                "percent_price",
                &format!("price 300.5 {asks}"),
            ),
            (r#""side":"BUY","qty":0.1,"price":100"#, "lot_size", &format!("qty 0.1 {lot}")),
            (r#""side":"BUY","qty":0.25,"price":100"#, "lot_size", &format!("qty 0.25 {lot}")),
            (r#""side":"BUY","qty":101,"price":100"#, "lot_size", &format!("qty 101.0 {lot}")),
            (r#""side":"BUY","qty":0.5,"type":"MARKET""#, "lot_size", &format!("qty 0.5 {market}")),
            (r#""side":"BUY","qty":30,"type":"MARKET""#, "lot_size", &format!("qty 30.0 {market}")),
            (r#""side":"BUY","qty":0.2,"price":100"#, "min_notional", least),
            (
                r#""side":"BUY","quote_qty":29,"type":"MARKET""#,
                "lot_size",
                &format!("qty 0.0 {market}"),
            ),
            (r#""side":"BUY","qty":60,"price":100"#, "max_notional", most),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_open_orders_of_an_instrument() {
    let g = fixture().await;
    for _ in 0..2 {
        let rest = order("AUSDT", r#""side":"BUY","qty":1,"price":60"#);
        check(post(&g, "/api/order", &rest).await, 200, &["ACCEPTED"]).await;
    }
    let got = post(&g, "/api/order", &order("AUSDT", r#""side":"BUY","qty":1,"price":60"#)).await;
    let rule = "the orders that may be open are 2 of AUSDT";
    check(got, 422, &[r#""reason":"max_open_orders""#, rule]).await;
}

#[tokio::test]
async fn each_limit_of_the_operator() {
    let g = fixture().await;
    let buy = r#""side":"BUY","qty":1,"price":60"#;
    for (limits, rest, reason, rule) in [
        (
            r#"{"max_order_notional":59}"#,
            buy,
            "max_order_notional",
            "price times qty must be 59.0 USDT at most: max_order_notional",
        ),
        (
            r#"{"max_symbol_notional":59}"#,
            buy,
            "max_symbol_notional",
            "the open orders of AUSDT may be worth 59.0 USDT: max_symbol_notional",
        ),
        (
            r#"{"max_position":{"A":"0.9"}}"#,
            buy,
            "max_position",
            "qty 1.0: BUY orders may bring A to 0.9: max_position",
        ),
        (
            r#"{"price_collar":0.02}"#,
            r#""side":"BUY","qty":1,"price":102.5"#,
            "price_collar",
            "price 102.5 could trade more than 0.02 beyond the last price 100.0: price_collar",
        ),
        (
            r#"{"price_collar":0.005}"#,
            r#""side":"BUY","qty":1,"type":"MARKET""#,
            "price_collar",
            "it could trade more than 0.005 beyond the last price 100.0: price_collar",
        ),
        (r#"{"max_open_orders":0}"#, buy, "max_open_orders", "0 in all: max_open_orders"),
        (
            r#"{"max_orders_per_second":0}"#,
            buy,
            "order_rate",
            "0 orders a second may be sent: max_orders_per_second",
        ),
        (
            r#"{"max_daily_loss":{"USDT":0}}"#,
            buy,
            "daily_loss",
            "the day has lost as much as max_daily_loss allows",
        ),
        (r#"{"state":"HALTED"}"#, buy, "halted", "trading is halted"),
        (r#"{"state":"REDUCE_ONLY"}"#, buy, "reduce_only", "only what is free of A can be sold"),
        (
            "{}",
            r#""side":"SELL","qty":1,"price":120"#,
            "insufficient_balance",
            "there is not enough A free",
        ),
    ] {
        check(post(&g, "/api/risk", limits).await, 200, &[]).await;
        let got = post(&g, "/api/order", &order("AUSDT", rest)).await;
        check(got, 422, &[&format!(r#""reason":"{reason}""#), rule]).await;
        let lifted = r#"{"state":"ACTIVE","max_order_notional":null,"max_symbol_notional":null,"max_position":null,"price_collar":null,"max_open_orders":null,"max_orders_per_second":null,"max_daily_loss":null}"#;
        check(post(&g, "/api/risk", lifted).await, 200, &[r#""max_position":{}"#]).await;
        check(post(&g, "/api/cancel_all", "{}").await, 200, &[]).await;
    }
}

/// Each type with each time in force, and with each field that it needs or must not have.
#[tokio::test]
async fn each_type_with_each_time_in_force() {
    let g = fixture().await;
    for kind in OrderType::ALL {
        for tif in TimeInForce::ALL {
            let price = if kind.has_limit() { r#","price":60"# } else { "" };
            let stop = match kind {
                OrderType::StopLoss | OrderType::StopLossLimit => r#","stop_price":110"#,
                OrderType::TakeProfit | OrderType::TakeProfitLimit => r#","stop_price":90"#,
                OrderType::Limit | OrderType::Market | OrderType::LimitMaker => "",
            };
            let until = match tif {
                TimeInForce::Gtd => r#","expire_ts_ns":9000000000000000000"#,
                _ => "",
            };
            let (type_name, tif_name) = (kind.as_str(), tif.as_str());
            let of = |price: &str, stop: &str, until: &str| {
                order(
                    "AUSDT",
                    &format!(
                        r#""side":"BUY","qty":1,"type":"{type_name}","time_in_force":"{tif_name}"{price}{stop}{until}"#
                    ),
                )
            };
            let got = post(&g, "/api/order", &of(price, stop, until)).await;
            let only = match kind {
                OrderType::LimitMaker => Some("GTC"),
                _ if !kind.has_limit() => Some("IOC"),
                _ => None,
            };
            match only.filter(|only| *only != tif_name) {
                Some(only) => {
                    let rule = format!("time_in_force: {tif_name}: a {type_name} order is {only}");
                    check(got, 400, &[&rule]).await;
                    continue;
                }
                None => check(got, 200, &[r#""ok":true"#]).await,
            }
            let wrong = |field: &str, given: bool| match given {
                true => format!("{field}: is required for {type_name}"),
                false => format!("must be left out of a {type_name} order"),
            };
            let no_price = if price.is_empty() { r#","price":60"# } else { "" };
            let got = post(&g, "/api/order", &of(no_price, stop, until)).await;
            check(got, 400, &[&wrong("price", kind.has_limit())]).await;
            let no_stop = if stop.is_empty() { r#","stop_price":60"# } else { "" };
            let got = post(&g, "/api/order", &of(price, no_stop, until)).await;
            check(got, 400, &[&wrong("stop_price", kind.has_stop())]).await;
            let not_until = if until.is_empty() { r#","expire_ts_ns":9"# } else { "" };
            let got = post(&g, "/api/order", &of(price, stop, not_until)).await;
            check(got, 400, &["expire_ts_ns: "]).await;
            check(post(&g, "/api/cancel_all", "{}").await, 200, &[]).await;
        }
    }
}

/// Every field, misspelt, of the wrong kind, and with numbers that are none.
#[tokio::test]
async fn each_field_with_each_wrong_value() {
    let g = fixture().await;
    let fields = [
        ("side", r#""BUY""#),
        ("qty", "1"),
        ("price", "60"),
        ("type", r#""LIMIT""#),
        ("time_in_force", r#""GTC""#),
        ("client_order_id", r#""x""#),
        ("post_only", "false"),
        ("reduce_only", "false"),
    ];
    let body = |name: &str, as_name: &str, value: &str| {
        let fields = fields.map(|(field, right)| match field == name {
            true => format!(r#""{as_name}":{value}"#),
            false => format!(r#""{field}":{right}"#),
        });
        order("AUSDT", &fields.join(","))
    };
    for (name, right) in fields {
        let misspelt = format!("{name}s");
        let got = post(&g, "/api/order", &body(name, &misspelt, right)).await;
        check(got, 400, &[&format!("{misspelt}: unknown field, known are side, symbol")]).await;
        for wrong in ["[]", "{}", "null", r#""\u0000""#, "1.5.5", "-"] {
            let got = post(&g, "/api/order", &body(name, name, wrong)).await;
            let is_json = serde_json::from_str::<serde_json::Value>(wrong).is_ok();
            let word = if is_json { format!("{name}: ") } else { "bad_json".to_owned() };
            check(got, 400, &[&word]).await;
        }
    }
    for name in ["qty", "price"] {
        for (number, rule) in [
            ("0", "must be above zero"),
            ("-1", "must be above zero"),
            ("0.000000001", "has more than 8 decimals"),
            ("1e-9", "has more than 8 decimals"),
            ("92233720368.54775808", "is out of range"),
            ("1e99999999999", "is out of range"),
            (r#""1,5""#, "is not a decimal number"),
            (r#""0x1""#, "is not a decimal number"),
            (r#"" 1""#, "is not a decimal number"),
            (r#""Infinity""#, "is not a decimal number"),
            ("true", "is not a decimal number"),
        ] {
            let got = post(&g, "/api/order", &body(name, name, number)).await;
            check(got, 400, &[&format!("{name}: "), rule]).await;
        }
    }
    check(post(&g, "/api/order", &body("x", "x", "")).await, 200, &["ACCEPTED"]).await;
}

/// The fields that only some orders have, with wrong values.
#[tokio::test]
async fn each_field_of_some_orders_with_each_wrong_value() {
    let g = fixture().await;
    for (name, rest) in [
        ("symbol", r#""side":"BUY","qty":1,"price":60"#),
        ("stop_price", r#""symbol":"AUSDT","side":"BUY","qty":1,"type":"STOP_LOSS""#),
        ("quote_qty", r#""symbol":"AUSDT","side":"BUY","type":"MARKET""#),
        (
            "expire_ts_ns",
            r#""symbol":"AUSDT","side":"BUY","qty":1,"price":60,"time_in_force":"GTD""#,
        ),
    ] {
        for wrong in ["[]", "{}", "null", "true", "0", "-1", "1e99", r#""BAD ONE""#, r#""\u0000""#]
        {
            let got = post(&g, "/api/order", &format!(r#"{{{rest},"{name}":{wrong}}}"#)).await;
            check(got, 400, &[&format!("{name}: ")]).await;
        }
    }
}

/// Every field of a pair, misspelt and of the wrong kind.
#[tokio::test]
async fn each_field_of_a_pair_with_each_wrong_value() {
    let g = fixture().await;
    let fields = [
        ("symbol", r#""AUSDT""#),
        ("side", r#""SELL""#),
        ("qty", "1"),
        ("price", "110"),
        ("stop_price", "90"),
        ("stop_limit_price", "89.5"),
        ("stop_limit_time_in_force", r#""FOK""#),
        ("client_order_id", r#""x""#),
        ("stop_client_order_id", r#""y""#),
    ];
    let body = |name: &str, as_name: &str, value: &str| {
        let fields = fields.map(|(field, right)| match field == name {
            true => format!(r#""{as_name}":{value}"#),
            false => format!(r#""{field}":{right}"#),
        });
        format!("{{{}}}", fields.join(","))
    };
    for (name, right) in fields {
        let misspelt = format!("{name}s");
        let got = post(&g, "/api/oco", &body(name, &misspelt, right)).await;
        check(got, 400, &[&format!("{misspelt}: unknown field, known are side, symbol")]).await;
        for wrong in ["[]", "{}", "null", "true", r#""\u0000""#, r#""BAD ONE""#] {
            let got = post(&g, "/api/oco", &body(name, name, wrong)).await;
            check(got, 400, &[&format!("{name}: ")]).await;
        }
    }
    for name in ["qty", "price", "stop_price", "stop_limit_price"] {
        for (number, rule) in [
            ("0", "must be above zero"),
            ("-1", "must be above zero"),
            ("1e-9", "has more than 8 decimals"),
            ("1e99", "is out of range"),
        ] {
            let got = post(&g, "/api/oco", &body(name, name, number)).await;
            check(got, 400, &[&format!("{name}: "), rule]).await;
        }
    }
}

/// Every field of the risk settings with wrong values: each is named, and nothing is changed.
#[tokio::test]
async fn each_limit_with_each_wrong_value() {
    let g = fixture().await;
    let before = get(&g, "/api/risk").await;
    for (name, wrongs) in [
        ("state", ["1", r#""OFF""#, "null"]),
        ("max_order_notional", ["-1", r#""x""#, "[]"]),
        ("max_open_orders", ["-1", "1.5", r#""x""#]),
        ("max_symbol_notional", ["-1", r#""1e""#, "{}"]),
        ("max_orders_per_second", ["-1", "10001", "1.5"]),
        ("price_collar", ["-0.1", "true", r#""5%""#]),
        ("max_position", [r#"{"A":-1}"#, r#"{"a":1}"#, "5"]),
        ("max_daily_loss", [r#"{"USDT":-1}"#, r#"{"USDT":"x"}"#, "[]"]),
        ("cancel_all", ["1", r#""yes""#, "null"]),
        ("max_orders", ["1", "2", "3"]),
    ] {
        for wrong in wrongs {
            let got = post(&g, "/api/risk", &format!(r#"{{"{name}":{wrong}}}"#)).await;
            check(got, 400, &[&format!("{name}: ")]).await;
        }
    }
    assert_eq!(get(&g, "/api/risk").await, before);
}

#[tokio::test]
async fn pairs() {
    let g = fixture().await;
    let pair = |rest: &str| order("BTCUSDT", &format!(r#""qty":0.01,{rest}"#));
    let sell = r#""side":"SELL","price":51000,"stop_price":49000,"client_order_id":"tp""#;
    let placed = post(&g, "/api/oco", &pair(sell)).await;
    check(placed.clone(), 200, &[r#""client_order_id":"tp""#, r#""client_order_id":"tp-stop""#])
        .await;
    assert_eq!(post(&g, "/api/oco", &pair(sell)).await, placed, "the same again");
    let other = sell.replace("49000", "48000");
    check(post(&g, "/api/oco", &pair(&other)).await, 409, &["duplicate_client_order_id"]).await;
    for (rest, status, parts) in [
        (
            r#""side":"SELL","price":51000,"stop_price":51000"#,
            400,
            ["stop_price: 51000.0", "below price 51000.0"],
        ),
        (
            r#""side":"BUY","price":51000,"stop_price":49000"#,
            400,
            ["stop_price: 49000.0", "above price 51000.0"],
        ),
        (r#""side":"SELL","price":51000"#, 400, ["stop_price: ", "is required"]),
        (r#""side":"SELL","stop_price":49000"#, 400, ["price: ", "is required"]),
        (
            r#""side":"SELL","price":50000,"stop_price":49000"#,
            422,
            ["oco_prices", "beyond the last price 50000.0"],
        ),
        (
            r#""side":"SELL","price":51000,"stop_price":50000"#,
            422,
            ["would_trigger", "stop_price 50000.0"],
        ),
        (
            r#""side":"SELL","price":51000,"stop_price":49000,"stop_limit_time_in_force":"GTC""#,
            400,
            ["stop_limit_time_in_force: GTC", "STOP_LOSS order is IOC"],
        ),
        (
            r#""side":"SELL","price":51000,"stop_price":49000,"stop_limit_price":48999,"stop_limit_time_in_force":"GTD""#,
            400,
            ["stop_limit_time_in_force", "GTD"],
        ),
    ] {
        check(post(&g, "/api/oco", &pair(rest)).await, status, &parts).await;
    }
    let amend = r#"{"client_order_id":"tp","price":52000}"#;
    check(post(&g, "/api/amend", amend).await, 422, &[r#""reason":"oco""#, "while both stand: "])
        .await;
    check(post(&g, "/api/cancel", r#"{"client_order_id":"tp-stop"}"#).await, 200, &[]).await;
    check(post(&g, "/api/cancel", r#"{"client_order_id":"tp"}"#).await, 200, &[]).await;
}
