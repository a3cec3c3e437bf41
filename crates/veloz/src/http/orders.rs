//! Orders: placed, taken back, looked at.

use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Serialize;
use veloz_core::engine::Engine;
use veloz_core::event::Event;
use veloz_core::input::{Answer, CancelOrder, Input, NewOrder, OrderAnswer};
use veloz_core::limits::HTTP_PAGE_ITEMS;
use veloz_core::order::{OrderStatus, OrderType, TimeInForce};
use veloz_core::types::{ClientOrderId, Price, Qty, Side, Symbol, VenueOrderId};

use super::body::{Fields, missing, refused};
use super::error::ApiError;
use super::query::Query;
use super::router::{Answered, Shared, items, json, raw_json};

/// `POST /api/order`
pub(super) async fn place(State(app): Shared, body: Bytes) -> Answered {
    let order = parse_order(&body)?;
    match app.service.submit(Input::NewOrder(order)).await? {
        Answer::Order(answer) if answer.status == OrderStatus::Rejected => {
            Ok(rejected(&answer).into_response())
        }
        Answer::Order(answer) => json(&Placed::of(&answer)),
        other => Err(unexpected(&other, "order")),
    }
}

/// `POST /api/cancel`
pub(super) async fn cancel(State(app): Shared, body: Bytes) -> Answered {
    let fields = Fields::parse(&body, &["client_order_id", "symbol"])?;
    let client_order_id =
        fields.text("client_order_id", parse_id)?.ok_or_else(|| missing("client_order_id"))?;
    let symbol = fields.text("symbol", parse_symbol)?;
    match app.service.submit(Input::Cancel(CancelOrder { client_order_id, symbol })).await? {
        Answer::Cancelled(client_order_id) => {
            json(&serde_json::json!({ "ok": true, "client_order_id": client_order_id }))
        }
        other => Err(unexpected(&other, "cancel")),
    }
}

/// `POST /api/cancel_all`
pub(super) async fn cancel_all(State(app): Shared, body: Bytes) -> Answered {
    let fields = Fields::parse(&body, &["symbol"])?;
    let symbol = fields.text("symbol", parse_symbol)?;
    match app.service.submit(Input::CancelAll { symbol }).await? {
        Answer::CancelledAll(ids) => json(&serde_json::json!({ "ok": true, "cancelled": ids })),
        other => Err(unexpected(&other, "cancel_all")),
    }
}

/// `GET /api/orders`
pub(super) async fn recent(State(app): Shared, uri: Uri) -> Answered {
    let limit = Query::of(&uri).number("limit", HTTP_PAGE_ITEMS, 1, HTTP_PAGE_ITEMS)?;
    let events = app.service.read(move |engine| newest(engine, limit, |_| true)).await?;
    let mut out = items(events.iter().rev().map(|(id, event)| (Some(*id), event)));
    out.push(b'}');
    Ok(raw_json(out))
}

/// The newest recent order events that `wanted` takes, newest first.
pub(super) fn newest(
    engine: &Engine,
    limit: usize,
    wanted: impl Fn(&Event) -> bool,
) -> Vec<(u64, Event)> {
    let events = engine.state().recent_order_events().rev();
    events.filter(|(_, event)| wanted(event)).take(limit).cloned().collect()
}

/// `GET /api/orders_state`
pub(super) async fn states(State(app): Shared, uri: Uri) -> Answered {
    let query = Query::of(&uri);
    let limit = query.number("limit", HTTP_PAGE_ITEMS, 1, HTTP_PAGE_ITEMS)?;
    let after = query.number("after", 0, 0, usize::MAX)?;
    let only_open = query.parsed("status", |status| match status {
        "open" => Ok(true),
        "all" => Ok(false),
        _ => Err("must be open or all".to_owned()),
    })?;
    let page = move |engine: &Engine| {
        let state = engine.state();
        let position = |(position, order): (usize, &veloz_core::order::Order)| {
            (position + 1, Event::OrderState(order.state_event()))
        };
        if only_open.unwrap_or(false) {
            state.open_orders_from(after).take(limit).map(position).collect::<Vec<_>>()
        } else {
            state.orders().iter().enumerate().skip(after).take(limit).map(position).collect()
        }
    };
    let orders = app.service.read(page).await?;
    let next_after = orders.last().map_or(after, |(position, _)| *position);
    let mut out = items(orders.iter().map(|(_, event)| (None, event)));
    out.extend_from_slice(format!(",\"next_after\":{next_after}}}").as_bytes());
    Ok(raw_json(out))
}

/// `GET /api/order_state`
pub(super) async fn state(State(app): Shared, uri: Uri) -> Answered {
    let id = Query::of(&uri)
        .parsed("client_order_id", parse_id)?
        .ok_or_else(|| missing("client_order_id"))?;
    let find = move |engine: &Engine| engine.state().order(&id).map(|order| order.state_event());
    let order = app.service.read(find).await?;
    let order = order.ok_or_else(|| ApiError::not_found(format!("there is no order {id}")))?;
    let mut out = Vec::new();
    Event::OrderState(order).encode(&mut out);
    Ok(raw_json(out))
}

/// The body of the answer to an order that was taken.
#[derive(Debug, Serialize)]
struct Placed<'a> {
    ok: bool,
    client_order_id: ClientOrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue_order_id: Option<VenueOrderId>,
    status: OrderStatus,
    executed_qty: Qty,
    /// Why what remains of it has expired.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl<'a> Placed<'a> {
    fn of(answer: &'a OrderAnswer) -> Placed<'a> {
        Placed {
            ok: true,
            client_order_id: answer.client_order_id,
            venue_order_id: answer.venue_order_id,
            status: answer.status,
            executed_qty: answer.executed_qty,
            reason: &answer.reason,
        }
    }
}

fn rejected(answer: &OrderAnswer) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "rejected",
        format!("the order was rejected: {}", answer.reason),
    )
    .with("reason", &answer.reason)
    .with("client_order_id", &answer.client_order_id)
    .with("status", &answer.status)
    .with("executed_qty", &answer.executed_qty)
}

/// An answer of another kind than the input's: a defect of the engine, told and not hidden.
pub(super) fn unexpected(answer: &Answer, asked: &str) -> ApiError {
    tracing::error!(?answer, asked, "the engine gave an answer of the wrong kind");
    let message = "the engine gave an answer of the wrong kind";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

const ORDER_FIELDS: [&str; 12] = [
    "side",
    "symbol",
    "qty",
    "price",
    "client_order_id",
    "type",
    "time_in_force",
    "post_only",
    "quote_qty",
    "stop_price",
    "expire_ts_ns",
    "reduce_only",
];

/// Reads an order and fills in its defaults, so that equal requests are equal values.
fn parse_order(body: &[u8]) -> Result<NewOrder, ApiError> {
    let fields = Fields::parse(body, &ORDER_FIELDS)?;
    for name in ["quote_qty", "stop_price", "expire_ts_ns", "reduce_only"] {
        if fields.has(name) {
            return Err(ApiError::bad_params(format!("{name}: is not supported by this version")));
        }
    }
    let side = fields
        .text("side", |text| Side::parse(text).ok_or_else(|| "must be BUY or SELL".to_owned()))?;
    let price: Option<Price> = fields.decimal("price")?;
    let qty: Option<Qty> = fields.decimal("qty")?;
    for (name, above_zero) in [
        ("qty", qty.is_none_or(|qty| qty > Qty::ZERO)),
        ("price", price.is_none_or(|price| price > Price::ZERO)),
    ] {
        if !above_zero {
            return Err(ApiError::bad_params(format!("{name}: must be above zero")));
        }
    }
    let (order_type, time_in_force) = parse_kind(&fields)?;
    match (order_type, price) {
        (OrderType::Market, Some(_)) => {
            return Err(ApiError::bad_params("price: a MARKET order has none"));
        }
        (OrderType::Limit | OrderType::LimitMaker, None) => return Err(missing("price")),
        _ => {}
    }
    Ok(NewOrder {
        symbol: fields.text("symbol", parse_symbol)?.ok_or_else(|| missing("symbol"))?,
        side: side.ok_or_else(|| missing("side"))?,
        qty: qty.ok_or_else(|| missing("qty"))?,
        order_type,
        time_in_force,
        price,
        client_order_id: match fields.text("client_order_id", parse_id)? {
            Some(id) => id,
            None => new_id()?,
        },
    })
}

/// The type and how long the order stands. `post_only` is another way to say LIMIT_MAKER.
fn parse_kind(fields: &Fields<'_>) -> Result<(OrderType, TimeInForce), ApiError> {
    let order_type = fields.text("type", |text| {
        OrderType::parse(text).ok_or_else(|| one_of(OrderType::ALL.iter().map(|v| v.as_str())))
    })?;
    let tif = fields.text("time_in_force", |text| {
        TimeInForce::parse(text).ok_or_else(|| one_of(TimeInForce::ALL.iter().map(|v| v.as_str())))
    })?;
    let order_type = match (order_type.unwrap_or(OrderType::Limit), fields.flag("post_only")?) {
        (OrderType::Market, true) => {
            return Err(refused("post_only", "true", "cannot be asked of a MARKET order"));
        }
        (OrderType::Limit, true) => OrderType::LimitMaker,
        (order_type, _) => order_type,
    };
    let wrong = |rule: &str| Err(ApiError::bad_params(format!("time_in_force: {rule}")));
    match (order_type, tif) {
        (OrderType::Market, None | Some(TimeInForce::Ioc)) => Ok((order_type, TimeInForce::Ioc)),
        (OrderType::Market, Some(_)) => wrong("a MARKET order is IOC"),
        (OrderType::LimitMaker, None | Some(TimeInForce::Gtc)) => {
            Ok((order_type, TimeInForce::Gtc))
        }
        (OrderType::LimitMaker, Some(_)) => wrong("a post-only order is GTC"),
        (OrderType::Limit, tif) => Ok((order_type, tif.unwrap_or(TimeInForce::Gtc))),
    }
}

pub(super) fn parse_symbol(text: &str) -> Result<Symbol, String> {
    Symbol::parse(text).map_err(|error| error.to_string())
}

fn parse_id(text: &str) -> Result<ClientOrderId, String> {
    ClientOrderId::parse(text).map_err(|error| error.to_string())
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("must be one of {}", names.collect::<Vec<_>>().join(", "))
}

/// A name for an order whose client gave none: random, so that it stays unique across restarts.
fn new_id() -> Result<ClientOrderId, ApiError> {
    let text = format!("veloz-{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..));
    ClientOrderId::parse(&text).map_err(|error| ApiError::bad_params(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str =
        r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":50000,"client_order_id":"x"}"#;

    fn check(more: &str, expected: (OrderType, TimeInForce)) {
        let body = ORDER.replace("\"side\"", &format!("{more}\"side\""));
        let order = parse_order(body.as_bytes()).unwrap();
        assert_eq!((order.order_type, order.time_in_force), expected, "{body}");
    }

    #[test]
    fn defaults_and_other_words_for_the_same() {
        let limit = (OrderType::Limit, TimeInForce::Gtc);
        check("", limit);
        check(r#""type":"limit","time_in_force":"gtc","post_only":false,"#, limit);
        check(r#""time_in_force":"Fok","#, (OrderType::Limit, TimeInForce::Fok));
        let maker = (OrderType::LimitMaker, TimeInForce::Gtc);
        check(r#""post_only":true,"#, maker);
        check(r#""type":"LIMIT_MAKER","#, maker);
        check(r#""type":"limit_maker","post_only":true,"time_in_force":"GTC","#, maker);
        let market = r#"{"side":"sell","symbol":"BTCUSDT","qty":"1","type":"market"}"#;
        let market = parse_order(market.as_bytes()).unwrap();
        assert_eq!((market.side, market.price), (Side::Sell, None));
        assert_eq!(market.time_in_force, TimeInForce::Ioc);
    }

    #[test]
    fn orders_without_an_id_get_one_of_their_own() {
        let body = ORDER.replace(r#","client_order_id":"x""#, "");
        let id = || parse_order(body.as_bytes()).unwrap().client_order_id;
        assert!(id().as_str().starts_with("veloz-"));
        assert_ne!(id(), id());
    }

    #[test]
    fn random_bodies_are_refused_or_in_their_domain() {
        let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7_u64);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut parsed = 0;
        for round in 0..10_000 {
            let mut body = ORDER.as_bytes().to_vec();
            if round % 4 == 0 {
                body = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
            }
            for _ in 0..random.usize(..3) {
                let at = random.usize(..=body.len());
                match body.get_mut(at) {
                    Some(byte) if random.bool() => *byte = random.u8(..),
                    _ => body.insert(at, random.u8(0x20..0x7f)),
                }
            }
            if let Ok(order) = parse_order(&body) {
                parsed += 1;
                let text = String::from_utf8_lossy(&body);
                assert!(order.qty > Qty::ZERO, "SEED={seed} {text}");
                assert!(order.price.is_some_and(|price| price > Price::ZERO), "SEED={seed} {text}");
            }
        }
        assert!(parsed > 1000, "SEED={seed}: only {parsed} parsed");
    }
}
