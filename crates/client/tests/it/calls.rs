//! The typed calls against scripted answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::gateway::{Reply, Request, gateway};
use veloz_client::{
    Client, Error, OrderRequest, OrderStatus, OrdersQuery, PairRequest, RiskUpdate, Side,
    TradingState,
};

async fn client(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Client {
    Client::new(&gateway(script).await).expect("an address")
}

fn order() -> OrderRequest {
    let (symbol, qty) = ("BTCUSDT".parse().expect("a symbol"), "0.001".parse().expect("a qty"));
    OrderRequest::limit(Side::Buy, symbol, qty, "50000".parse().expect("a price"))
}

const TAKEN: &str = r#"{"ok":true,"client_order_id":"x","venue_order_id":"9","status":"ACCEPTED","executed_qty":0.0}"#;

#[tokio::test]
async fn an_order_is_sent_again_with_the_same_id() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let client = client(move |request| {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/order"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        seen.lock().expect("not poisoned").push(request.body.clone());
        match request.number {
            0 => Reply { bytes: Vec::new(), hang: false },
            1 => Reply {
                bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{".to_vec(),
                hang: false,
            },
            2 => Reply::status(
                "504 Gateway Timeout",
                "",
                r#"{"error":"unknown_outcome","message":"m"}"#,
            ),
            3 => {
                Reply::status("429 Too Many Requests", "Retry-After: 0\r\n", r#"{"error":"slow"}"#)
            }
            _ => Reply::json(TAKEN),
        }
    })
    .await;
    let order = order();
    let reply = client.place_with_retry(&order).await.expect("placed at last");
    assert_eq!(reply.status, OrderStatus::Accepted);
    let bodies = bodies.lock().expect("not poisoned");
    assert_eq!(bodies.len(), 5);
    assert!(bodies.iter().all(|body| body.contains(order.id().as_str())), "{bodies:?}");
}

#[tokio::test]
async fn a_refusal_is_not_sent_again() {
    let client = client(|request| {
        assert_eq!(request.number, 0);
        Reply::status(
            "422 Unprocessable Entity",
            "",
            r#"{"error":"rejected","message":"too small","reason":"min_notional"}"#,
        )
    })
    .await;
    let error = client.place_with_retry(&order()).await.expect_err("refused");
    let api = error.api().expect("an answer");
    assert_eq!((api.status, api.code.as_str()), (422, "rejected"));
    assert_eq!(api.reason.as_deref(), Some("min_notional"));
}

#[tokio::test]
async fn attempts_and_waits_are_bounded() {
    let always = |headers: &'static str| {
        move |request: &Request| {
            assert!(request.number < 5);
            Reply::status("503 Service Unavailable", headers, "not json")
        }
    };
    for headers in ["", "Retry-After: 3600\r\n"] {
        let error =
            client(always(headers)).await.place_with_retry(&order()).await.expect_err("never");
        assert_eq!(error.api().map(|e| e.status), Some(503));
        assert_eq!(error.retry_after().is_some(), headers.contains("3600"));
    }
}

#[tokio::test]
async fn an_order_that_may_stand_is_not_forgotten() {
    let client = client(|request| match request.number {
        0 => Reply { bytes: Vec::new(), hang: false },
        _ => Reply::status("503 Service Unavailable", "Retry-After: 0\r\n", "{}"),
    })
    .await;
    let error = client.place_with_retry(&order()).await.expect_err("never answered");
    assert!(error.leaves_open(), "{error:?}");
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let error = Client::new(&address).expect("an address").health().await.expect_err("nobody");
    assert!(error.is_connect() && error.may_pass() && !error.leaves_open(), "{error:?}");
}

#[tokio::test]
async fn answers_are_read_exactly() {
    let client = client(|request| {
        Reply::json(match request.target.as_str() {
            "/health" => r#"{"ok":true,"later":1}"#,
            "/api/market?symbol=BTCUSDT" => r#"{"symbol":"BTCUSDT","price":42000.10000001,"ts_ns":5}"#,
            "/api/book?symbol=BTCUSDT&depth=2" => {
                r#"{"symbol":"BTCUSDT","ts_ns":5,"bids":[[1.1,2.0],[1.0,3.0]],"asks":[]}"#
            }
            "/api/account" => r#"{"ts_ns":5,"balances":[{"asset":"BTC","free":0.1,"locked":0.0}]}"#,
            "/api/orders?limit=1" => {
                r#"{"items":[{"type":"fill","ts_ns":5,"client_order_id":"a","symbol":"BTCUSDT","qty":0.1,"price":1.0}]}"#
            }
            "/api/orders_state?status=open&limit=2&after=7" => {
                r#"{"items":[{"type":"order_state","client_order_id":"b","status":"ACCEPTED","executed_qty":0.0,"avg_price":0.0,"last_ts_ns":1,"cum_quote":0.0}],"next_after":9}"#
            }
            "/api/events?after=3&limit=10" => {
                r#"{"items":[{"id":4,"event":"error","data":{"type":"error","ts_ns":1,"message":"m"}}],"oldest":1,"newest":4,"next_after":4,"gap":{"type":"gap","reason":"new","requested":3,"oldest":1,"newest":4}}"#
            }
            "/api/risk" => {
                assert_eq!(request.body, r#"{"state":"HALTED","cancel_all":true}"#);
                r#"{"state":"HALTED","max_order_notional":null,"max_open_orders":3}"#
            }
            "/api/cancel" => {
                assert_eq!(request.body, r#"{"client_order_id":"a","symbol":"BTCUSDT"}"#);
                r#"{"ok":true,"client_order_id":"a"}"#
            }
            other => panic!("{other}"),
        })
    })
    .await;
    let symbol = "BTCUSDT".parse().expect("a symbol");
    let id = "a".parse().expect("an id");
    assert!(client.health().await.expect("health").ok);
    let price = client.market(Some(symbol)).await.expect("market").price;
    assert_eq!(price.map(|p| p.to_string()).as_deref(), Some("42000.10000001"));
    assert_eq!(client.book(Some(symbol), Some(2)).await.expect("book").bids.len(), 2);
    assert_eq!(client.account().await.expect("account").balances[0].free.to_string(), "0.1");
    assert_eq!(client.orders(Some(1)).await.expect("orders").len(), 1);
    let query = OrdersQuery { open: true, limit: Some(2), after: Some(7) };
    let page = client.orders_state(&query).await.expect("states");
    assert_eq!((page.items[0].client_order_id.as_str(), page.next_after), ("b", 9));
    let page = client.events(3, 10).await.expect("events");
    assert_eq!(page.items[0].json, r#"{"type":"error","ts_ns":1,"message":"m"}"#);
    assert_eq!(page.gap.map(|g| g.reason.as_str()), Some("other"));
    let halt =
        RiskUpdate { state: Some(TradingState::Halted), cancel_all: true, ..RiskUpdate::default() };
    assert_eq!(client.set_risk(&halt).await.expect("risk").max_open_orders, Some(3));
    client.cancel(id, Some(symbol)).await.expect("cancel");
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_told() {
    let client = client(|_| Reply::json("<html>")).await;
    assert!(
        matches!(client.account().await, Err(Error::Decode { request, .. }) if request == "api/account")
    );
}

#[tokio::test]
async fn addresses_are_checked() {
    for bad in ["", "localhost:8080", "ftp://x", "http://", "http://x/?a=b", "http://x/#y", "/x"] {
        assert!(matches!(Client::new(bad), Err(Error::Url(_))), "{bad:?} was taken");
    }
    let base = gateway(|request| {
        assert_eq!(request.header("authorization"), Some("Bearer t0k3n"));
        Reply::json(if request.target == "/desk/health" { r#"{"ok":true}"# } else { "{}" })
    })
    .await;
    let client = Client::new(&format!("{base}/desk")).and_then(|c| c.with_token("t0k3n"));
    let health = tokio::time::timeout(Duration::from_secs(5), async {
        client.expect("a client").health().await
    });
    assert!(health.await.expect("in time").is_ok());
}

#[tokio::test]
async fn a_pair_is_sent_again_with_the_same_ids() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let client = client(move |request| {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/oco"));
        seen.lock().expect("not poisoned").push(request.body.clone());
        match request.number {
            0 => Reply { bytes: Vec::new(), hang: false },
            _ => Reply::json(&format!(r#"{{"ok":true,"orders":[{TAKEN},{TAKEN}]}}"#)),
        }
    })
    .await;
    let price = |text: &str| text.parse().expect("a price");
    let (symbol, qty) = ("BTCUSDT".parse().expect("a symbol"), "0.5".parse().expect("a qty"));
    let pair = PairRequest::new(Side::Sell, symbol, qty, price("110"), price("90"));
    let reply = client.place_pair_with_retry(&pair).await.expect("placed at last");
    assert_eq!(reply.orders.map(|order| order.status), [OrderStatus::Accepted; 2]);
    let bodies = bodies.lock().expect("not poisoned");
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert!(pair.ids().iter().all(|id| bodies[0].contains(id.as_str())), "{bodies:?}");
}

#[tokio::test]
async fn the_use_of_the_limits() {
    let client = client(|request| {
        assert_eq!(request.target, "/api/risk/use");
        Reply::json(
            r#"{"open_orders":2,"orders_last_second":1,"symbol_notional":{"BTCUSDT":12.5},"position":{"BTC":1.0},"daily_loss":{"USDT":-3.0}}"#,
        )
    })
    .await;
    let used = client.risk_use().await.expect("the use");
    assert_eq!((used.open_orders, used.orders_last_second), (2, 1));
    assert_eq!(used.daily_loss.values().next().map(ToString::to_string).as_deref(), Some("-3.0"));
}
