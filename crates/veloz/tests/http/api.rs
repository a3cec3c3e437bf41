//! What the endpoints answer.

use serde_json::Value;

use crate::harness::{Fixture, gateway};

async fn get(fixture: &Fixture, path: &str) -> (u16, String) {
    let response = reqwest::get(fixture.url(path)).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn post(fixture: &Fixture, path: &str, body: &str) -> (u16, String) {
    let request = reqwest::Client::new()
        .post(fixture.url(path))
        .header("content-type", "application/json")
        .body(body.to_owned());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn check(got: (u16, String), status: u16, parts: &[&str]) {
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
        (with("0.001", "0"), "qty: must be above zero"),
        (with("0.001", "-1"), "qty: must be above zero"),
        (with("50000", "-0.0"), "price: must be above zero"),
        (with("0.001", "NaN"), "bad_json"),
        (with("0.001", "\"NaN\""), "qty"),
        (with("0.001", "\"Infinity\""), "qty"),
        (with("0.001", "1e-9"), "more than 8 decimals"),
        (with("0.001", "1e9999999999"), "out of range"),
        (with("0.001", "true"), "qty: true is not a decimal number"),
        (with("0.001", "92233720369"), "qty"),
        (with(r#""price""#, r#""type":"MARKET","price""#), "a MARKET order has none"),
        (
            with(r#""price""#, r#""type":"STOP","price""#),
            "must be one of LIMIT, MARKET, LIMIT_MAKER",
        ),
        (with(r#""price""#, r#""time_in_force":"DAY","price""#), "must be one of GTC, IOC, FOK"),
        (
            with(r#""price""#, r#""post_only":true,"time_in_force":"IOC","price""#),
            "post-only order is GTC",
        ),
        (with(r#""price""#, r#""post_only":1,"price""#), "must be true or false"),
        (with(r#""price""#, r#""stop_price":1,"price""#), "stop_price: is not supported"),
        (with(r#""price""#, r#""reduce_only":false,"price""#), "reduce_only: is not supported"),
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
        &[r#"{"state":"ACTIVE","max_order_notional":null,"max_open_orders":null}"#],
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
