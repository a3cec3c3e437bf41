//! What the endpoints answer.

use serde_json::Value;

use crate::harness::{Fixture, gateway};

pub(crate) async fn get(fixture: &Fixture, path: &str) -> (u16, String) {
    let response = reqwest::get(fixture.url(path)).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

pub(crate) async fn post(fixture: &Fixture, path: &str, body: &str) -> (u16, String) {
    let request = reqwest::Client::new()
        .post(fixture.url(path))
        .header("content-type", "application/json")
        .body(body.to_owned());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

pub(crate) async fn check(got: (u16, String), status: u16, parts: &[&str]) {
    assert_eq!(got.0, status, "{}", got.1);
    let json: Value = serde_json::from_str(&got.1).unwrap();
    if status >= 400 {
        assert!(json["error"].is_string() && json["message"].is_string(), "{json}");
    }
    for part in parts {
        assert!(got.1.contains(part), "{part} is not in {}", got.1);
    }
}

#[tokio::test]
async fn the_life_of_orders() {
    let g = gateway().await;
    let order = r#"{"side":"buy","symbol":"BTCUSDT","qty":0.001,"price":"49000.00","client_order_id":"a-1"}"#;
    let placed = post(&g, "/api/order", order).await;
    check(
        placed.clone(),
        200,
        &[
            r#"{"ok":true,"client_order_id":"a-1","venue_order_id":"#,
            r#""status":"ACCEPTED","executed_qty":0.0}"#,
        ],
    )
    .await;
    let newest = newest(&g).await;
    // The same in other words: the same answer, nothing new.
    let again = r#"{"symbol":"BTCUSDT","side":"BUY","type":"limit","time_in_force":"gtc","post_only":false,"qty":"0.00100","price":49e3,"client_order_id":"a-1"}"#;
    assert_eq!(post(&g, "/api/order", again).await, placed);
    let other = order.replace("49000", "49001");
    check(post(&g, "/api/order", &other).await, 409, &["duplicate_client_order_id"]).await;
    assert_eq!(self::newest(&g).await, newest);

    check(
        get(&g, "/api/order_state?client_order_id=a-1").await,
        200,
        &[
            r#"{"type":"order_state","client_order_id":"a-1","status":"ACCEPTED""#,
            r#""limit_price":49000.0"#,
        ],
    )
    .await;
    check(get(&g, "/api/orders_state?status=open").await, 200, &["a-1", r#""next_after":1}"#])
        .await;
    check(
        get(&g, "/api/account").await,
        200,
        &[r#"{"asset":"USDT","free":99951.0,"locked":49.0}"#],
    )
    .await;

    let cancel = r#"{"client_order_id":"a-1"}"#;
    check(post(&g, "/api/cancel", cancel).await, 200, &[r#""ok":true"#, "a-1"]).await;
    check(post(&g, "/api/cancel", cancel).await, 200, &["a-1"]).await;
    check(get(&g, "/api/orders_state?status=open").await, 200, &[r#"{"items":[],"next_after":0}"#])
        .await;
}

#[tokio::test]
async fn orders_that_have_ended() {
    let g = gateway().await;
    let market =
        r#"{"side":"SELL","symbol":"BTCUSDT","qty":"0.1","type":"MARKET","client_order_id":"a-2"}"#;
    check(post(&g, "/api/order", market).await, 200, &["FILLED", r#""executed_qty":0.1"#]).await;
    let closed = r#"{"client_order_id":"a-2"}"#;
    check(post(&g, "/api/cancel", closed).await, 409, &["order_closed", r#""status":"FILLED""#])
        .await;
    check(get(&g, "/api/fills").await, 200, &[r#""price":50000.0"#, r#""fee_asset":"USDT""#]).await;
    check(
        get(&g, "/api/orders?limit=1").await,
        200,
        &[r#"{"items":[{"type":"order_update""#, "FILLED"],
    )
    .await;

    let rejected =
        r#"{"side":"SELL","symbol":"BTCUSDT","qty":5,"price":60000,"client_order_id":"a-3"}"#;
    for _ in 0..2 {
        check(
            post(&g, "/api/order", rejected).await,
            422,
            &[r#""error":"rejected""#, r#""reason":"insufficient_balance""#],
        )
        .await;
    }
    check(get(&g, "/api/order_state?client_order_id=a-3").await, 200, &["REJECTED"]).await;
    check(get(&g, "/api/order_state?client_order_id=a-4").await, 404, &["not_found"]).await;
    check(post(&g, "/api/cancel", r#"{"client_order_id":"a-4"}"#).await, 404, &["not_found"]).await;

    let unnamed = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000}"#;
    check(post(&g, "/api/order", unnamed).await, 200, &[r#""client_order_id":"veloz-"#]).await;
    check(post(&g, "/api/cancel_all", "{}").await, 200, &[r#""ok":true"#, "veloz-"]).await;
}

/// An order of BTCUSDT.
fn order(id: &str, side: &str, rest: &str) -> String {
    format!(r#"{{"client_order_id":"{id}","side":"{side}","symbol":"BTCUSDT",{rest}}}"#)
}

#[tokio::test]
async fn the_other_types_of_order() {
    let g = gateway().await;
    let place = async |id: &str, side: &str, rest: &str, status: u16, parts: &[&str]| {
        check(post(&g, "/api/order", &order(id, side, rest)).await, status, parts).await;
    };
    let state = async |id: &str| get(&g, &format!("/api/order_state?client_order_id={id}")).await;
    // 100 of quote at 50010 are 0.00199 in whole lots.
    let amount = r#""quote_qty":"100","type":"MARKET""#;
    place("amount", "BUY", amount, 200, &["FILLED", r#""executed_qty":0.00199"#]).await;
    let loss = r#""qty":0.1,"type":"STOP_LOSS","stop_price":49000,"reduce_only":true"#;
    place("loss", "SELL", loss, 200, &["ACCEPTED"]).await;
    check(state("loss").await, 200, &[r#""stop_price":49000.0,"triggered":false}"#]).await;
    let late = r#""qty":0.1,"type":"TAKE_PROFIT","stop_price":49999.999"#;
    place("late", "SELL", late, 422, &["price_tick", "stop_price 49999.999 must be a multiple"])
        .await;
    let now = r#""qty":0.1,"type":"TAKE_PROFIT","stop_price":49999"#;
    place("now", "SELL", now, 422, &["would_trigger", "reached stop_price 49999.0"]).await;
    let lot = r#""qty":0.0000001,"price":49999"#;
    place("lot", "SELL", lot, 422, &["lot_size", "qty 0.0000001 must be a multiple of 0.00001"])
        .await;
    g.quote(2, "48999", "49010").await;
    check(state("loss").await, 200, &["FILLED", r#""triggered":true"#]).await;
    let past = r#""qty":0.1,"price":40000,"time_in_force":"GTD","expire_ts_ns":1"#;
    place("past", "BUY", past, 422, &[r#""reason":"gtd""#]).await;
}

/// It ends by itself, while nothing else happens.
#[tokio::test]
async fn an_order_ends_at_its_time() {
    let g = gateway().await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let until =
        |at| format!(r#""qty":0.1,"price":40000,"time_in_force":"gtd","expire_ts_ns":{at}"#);
    let soon = order("soon", "BUY", &until(now + 200_000_000));
    check(post(&g, "/api/order", &soon).await, 200, &["ACCEPTED"]).await;
    let later = order("later", "BUY", &until(now + 3_600_000_000_000));
    check(post(&g, "/api/order", &later).await, 200, &["ACCEPTED"]).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let (_, text) = get(&g, "/api/order_state?client_order_id=soon").await;
        if text.contains("EXPIRED") {
            assert!(text.contains(r#""reason":"gtd""#), "{text}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{text}");
    }
    check(get(&g, "/api/order_state?client_order_id=later").await, 200, &["ACCEPTED"]).await;
}

#[tokio::test]
async fn orders_are_amended() {
    let g = gateway().await;
    let amend = async |body: &str, status: u16, parts: &[&str]| {
        check(post(&g, "/api/amend", body).await, status, parts).await;
    };
    let base = order("a-1", "BUY", r#""qty":0.002,"price":49000"#);
    check(post(&g, "/api/order", &base).await, 200, &["ACCEPTED"]).await;
    let less = r#"{"client_order_id":"a-1","qty":"0.0010"}"#;
    let stands = r#""status":"ACCEPTED","executed_qty":0.0,"qty":0.001,"price":49000.0}"#;
    amend(less, 200, &[r#"{"ok":true,"client_order_id":"a-1","venue_order_id":"#, stands]).await;
    let newest = newest(&g).await;
    amend(less, 200, &[stands]).await;
    for (change, status, part) in [
        (r#""qty":0.0010001"#, 422, r#""reason":"lot_size""#),
        (
            r#""qty":0.0010001"#,
            422,
            "stays as it was: lot_size: qty 0.0010001 must be a multiple of",
        ),
        (r#""price":48000.001"#, 422, "price_tick: price 48000.001 must be a multiple of 0.01"),
        (r#""qty":5"#, 422, "order a-1 stays as it was: insufficient_balance: there is not enough"),
        (r#""qty":0"#, 400, "qty: 0.0 must be above zero"),
        (r#""side":"SELL""#, 400, "side: unknown field"),
        (r#""price":null"#, 400, "price: null"),
    ] {
        amend(&format!(r#"{{"client_order_id":"a-1",{change}}}"#), status, &[part]).await;
    }
    amend(r#"{"client_order_id":"a-1"}"#, 400, &["qty: or price is required"]).await;
    amend(r#"{"client_order_id":"a-9","qty":1}"#, 404, &["not_found"]).await;
    assert_eq!(self::newest(&g).await, newest, "a refusal changes nothing");
    // The request itself is remembered as it was.
    check(post(&g, "/api/order", &base).await, 200, &["ACCEPTED"]).await;
    amend(r#"{"client_order_id":"a-1","price":50010}"#, 200, &["FILLED"]).await;
    amend(less, 409, &["order_closed", r#""status":"FILLED""#]).await;
}

async fn newest(fixture: &Fixture) -> u64 {
    let (_, text) = get(fixture, "/api/events?limit=1").await;
    serde_json::from_str::<Value>(&text).unwrap()["newest"].as_u64().unwrap()
}

#[tokio::test]
async fn orders_that_cannot_be_read() {
    let g = gateway().await;
    let newest = newest(&g).await;
    let base =
        r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":50000,"client_order_id":"x"}"#;
    let with = |from: &str, to: &str| base.replace(from, to);
    for (body, part) in [
        (with(r#""side":"BUY","#, ""), "side: is required"),
        (with(r#""symbol":"BTCUSDT","#, ""), "symbol: is required"),
        (with(r#""qty":0.001,"#, ""), "qty: is required"),
        (with(r#""price":50000,"#, ""), "price: is required"),
        (with("BUY", "HOLD"), "must be BUY or SELL"),
        (with("BTCUSDT", "NOPE"), "symbol"),
        (with("BTCUSDT", "BTC\\nUSDT"), "symbol"),
        (with(r#""x""#, r#""a b""#), "client_order_id"),
        (with(r#""x""#, r#""""#), "client_order_id"),
        (with(r#""x""#, "7"), "client_order_id: 7 must be a string"),
        (with(r#""x""#, &format!("{:?}", "x".repeat(37))), "client_order_id"),
        (with("0.001", "0"), "qty: 0.0 must be above zero"),
        (with("0.001", "-1"), "qty: -1.0 must be above zero"),
        (with("50000", "-0.0"), "price: 0.0 must be above zero"),
        (with("0.001", "NaN"), "bad_json"),
        (with("0.001", "\"NaN\""), "qty"),
        (with("0.001", "\"Infinity\""), "qty"),
        (with("0.001", "1e-9"), "more than 8 decimals"),
        (with("0.001", "1e9999999999"), "out of range"),
        (with("0.001", "true"), "qty: true is not a decimal number"),
        (with("0.001", "92233720369"), "qty"),
        (
            with(r#""price""#, r#""type":"MARKET","price""#),
            "price: 50000.0 must be left out of a MARKET order",
        ),
        (
            with(r#""price""#, r#""type":"STOP","price""#),
            "must be one of LIMIT, MARKET, LIMIT_MAKER, STOP_LOSS, STOP_LOSS_LIMIT",
        ),
        (
            with(r#""price""#, r#""time_in_force":"DAY","price""#),
            "must be one of GTC, IOC, FOK, GTD",
        ),
        (
            with(r#""price""#, r#""post_only":true,"time_in_force":"IOC","price""#),
            "time_in_force: IOC: a LIMIT_MAKER order is GTC",
        ),
        (with(r#""price""#, r#""post_only":1,"price""#), "must be true or false"),
        (with(r#""price""#, r#""stop_price":1,"price""#), "stop_price: 1.0 must be left out"),
        (with(r#""price""#, r#""type":"STOP_LOSS_LIMIT","price""#), "stop_price: is required"),
        (with(r#""price""#, r#""quote_qty":5,"price""#), "quote_qty: must be left out when qty"),
        (with(r#""qty":0.001"#, r#""quote_qty":5"#), "quote_qty: is for MARKET only, not LIMIT"),
        (with(r#""price""#, r#""expire_ts_ns":1,"price""#), "expire_ts_ns: 1 is for time_in_force"),
        (with(r#""price""#, r#""expire_ts_ns":-1,"price""#), "expire_ts_ns: -1 is for"),
        (with(r#""price""#, r#""time_in_force":"GTD","price""#), "expire_ts_ns: is required"),
        (with(r#""price""#, r#""reduce_only":1,"price""#), "reduce_only: 1 must be true or false"),
        (with(r#""price""#, r#""pric":1,"price""#), "pric: unknown field"),
        (with(r#""price""#, r#""qty":0.001,"price""#), "qty: given twice"),
        (format!("{base}{base}"), "bad_json"),
        ("null".to_owned(), "bad_json"),
        (String::new(), "bad_json"),
    ] {
        let got = post(&g, "/api/order", &body).await;
        assert_eq!(got.0, 400, "{body}: {}", got.1);
        check(got, 400, &[part]).await;
    }
    assert_eq!(self::newest(&g).await, newest, "something was placed");
}

#[tokio::test]
async fn the_rest_of_the_api() {
    let g = gateway().await;
    check(get(&g, "/health").await, 200, &[r#"{"ok":true}"#]).await;
    check(get(&g, "/api/execution/ping").await, 200, &[r#"{"ok":true,"result":{}}"#]).await;
    check(
        get(&g, "/api/config").await,
        200,
        &[r#""market_source":"none""#, r#""market_source_state":"running""#],
    )
    .await;
    check(
        get(&g, "/api/market").await,
        200,
        &[r#"{"symbol":"BTCUSDT","price":50000.0,"ts_ns":1}"#],
    )
    .await;
    check(get(&g, "/api/market?symbol=ETHUSDT").await, 404, &["not_found"]).await;
    check(get(&g, "/api/market?symbol=btcusdt").await, 400, &["symbol"]).await;
    check(get(&g, "/api/book").await, 200, &[r#""asks":[[50010.0,1.0]]"#]).await;
    check(get(&g, "/api/book?depth=0").await, 400, &["depth"]).await;
    check(get(&g, "/api/instruments").await, 200, &[r#""tick":0.01"#, r#""min_notional":5.0"#])
        .await;
    check(
        get(&g, "/api/risk").await,
        200,
        &[r#"{"state":"ACTIVE","max_order_notional":null,"max_open_orders":null,"#],
    )
    .await;
    check(
        post(&g, "/api/risk", r#"{"state":"HALTED","max_order_notional":"12.50"}"#).await,
        200,
        &["HALTED", "12.5"],
    )
    .await;
    let order = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000}"#;
    check(post(&g, "/api/order", order).await, 422, &["rejected", "halted"]).await;
    check(post(&g, "/api/replay", r#"{"steps":5}"#).await, 200, &[r#""last_id":"#]).await;
    check(post(&g, "/api/replay", r#"{"steps":500}"#).await, 400, &["not paused"]).await;
    check(post(&g, "/api/replay", "{}").await, 400, &["is needed"]).await;
    check(get(&g, "/api/nowhere").await, 404, &["not_found", "/api/nowhere"]).await;
    check(get(&g, "/api/order").await, 405, &["method_not_allowed"]).await;
    let (status, metrics) = get(&g, "/metrics").await;
    assert!(
        status == 200 && metrics.contains("veloz_http_requests_total{status=\"200\"}"),
        "{metrics}"
    );
    let page = reqwest::get(g.url("/")).await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(!page.contains("onclick") && !page.contains("<style") && !page.contains("style="));
}

#[tokio::test]
async fn trouble_is_told() {
    let g = gateway().await;
    g.health.raise("journal_failed", "the disk is full".to_owned());
    let problem = r#""problems":[{"code":"journal_failed","message":"the disk is full"}]"#;
    let parts = [r#""error":"journal_failed""#, r#""ok":false"#, problem];
    check(get(&g, "/health").await, 503, &parts).await;
    let ping = get(&g, "/api/execution/ping").await;
    check(ping, 200, &[r#""ok":false"#, "journal_failed: the disk is full"]).await;
    g.health.clear("journal_failed");
    check(get(&g, "/health").await, 200, &[]).await;
    g.service.close_intake();
    let order = r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":40000}"#;
    check(post(&g, "/api/order", order).await, 503, &["shutting_down"]).await;
    check(get(&g, "/api/account").await, 200, &["USDT"]).await;
}

#[tokio::test]
async fn pages_of_events() {
    let g = gateway().await;
    for update in 2..=60 {
        g.quote(update, "50000", "50010").await;
    }
    // Event 1 is the account's, the others are trades.
    let mut after = 0;
    let mut ids = Vec::new();
    loop {
        let (status, text) = get(&g, &format!("/api/events?after={after}&limit=7")).await;
        assert_eq!(status, 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let items = page["items"].as_array().unwrap();
        assert_eq!(page["newest"], 61);
        assert!(page.get("gap").is_none(), "{text}");
        ids.extend(items.iter().map(|item| item["id"].as_u64().unwrap()));
        after = page["next_after"].as_u64().unwrap();
        if items.is_empty() {
            break;
        }
    }
    assert_eq!(ids, (1..=61).collect::<Vec<_>>());
    check(
        get(&g, "/api/events?types=account").await,
        200,
        &[r#"{"items":[{"id":1,"event":"account","data":{"type":"account""#, r#""next_after":61}"#],
    )
    .await;
    check(get(&g, "/api/events?after=99").await, 200, &[r#"{"items":[],"oldest":1,"newest":61,"next_after":61,"gap":{"type":"gap","reason":"ahead","requested":99,"oldest":1,"newest":61}}"#]).await;
    check(get(&g, "/api/events?types=nothing").await, 400, &["types"]).await;
    for bad in ["abc", "-1", "1e3", "", "18446744073709551616", "9223372036854775808", "1&after=1"]
    {
        check(get(&g, &format!("/api/events?after={bad}")).await, 400, &["after"]).await;
    }
}

#[tokio::test]
async fn the_document_names_what_the_router_has() {
    let g = gateway().await;
    let (_, text) = get(&g, "/api/openapi.json").await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let client = reqwest::Client::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let mut wanted: Vec<String> =
            methods.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        if wanted.contains(&"GET".to_owned()) {
            wanted.push("HEAD".to_owned());
        }
        wanted.sort();
        let response = client.request(reqwest::Method::OPTIONS, g.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 204, "{path}");
        let allow = response.headers()["allow"].to_str().unwrap();
        let mut allow: Vec<&str> = allow.split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow, wanted, "{path}");
    }
}
