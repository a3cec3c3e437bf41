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
use veloz_core::order::OrderStatus;
use veloz_core::risk::Reason;
use veloz_core::types::{ClientOrderId, Price, Qty, VenueOrderId};

use super::body::{Fields, missing};
use super::error::ApiError;
use super::order_request::{parse_amend, parse_id, parse_order, parse_symbol};
use super::query::Query;
use super::router::{Answered, Shared, items, json, raw_json};
use super::rules::Rules;

/// `POST /api/order`
pub(super) async fn place(State(app): Shared, body: Bytes) -> Answered {
    let order = parse_order(&body)?;
    match app.service.submit(Input::NewOrder(order.clone())).await? {
        Answer::Order(answer) if answer.status == OrderStatus::Rejected => {
            let rules = move |engine: &Engine| Rules::of(engine, &order.symbol);
            let rules = app.service.read(rules).await?;
            Ok(rejected(&answer, &order, rules.as_ref()).into_response())
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
        Answer::Cancelled(client_order_id) => json(&Cancelled { ok: true, client_order_id }),
        other => Err(unexpected(&other, "cancel")),
    }
}

/// `POST /api/amend`
pub(super) async fn amend(State(app): Shared, body: Bytes) -> Answered {
    match app.service.submit(Input::Amend(parse_amend(&body)?)).await? {
        Answer::Amended(state) => json(&Amended {
            ok: true,
            client_order_id: state.client_order_id,
            venue_order_id: state.venue_order_id,
            status: state.status,
            executed_qty: state.executed_qty,
            qty: state.order_qty,
            price: state.limit_price,
        }),
        other => Err(unexpected(&other, "amend")),
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
    events.filter(|(_, event)| wanted(event)).take(limit).collect()
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
            state.orders_from(after).take(limit).map(position).collect()
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
pub(super) struct Placed<'a> {
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
    pub(super) fn of(answer: &'a OrderAnswer) -> Placed<'a> {
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

/// The body of the answer to a cancel that was taken.
#[derive(Debug, Serialize)]
struct Cancelled {
    ok: bool,
    client_order_id: ClientOrderId,
}

/// The body of the answer to an amendment: the order as it stands now.
#[derive(Debug, Serialize)]
struct Amended {
    ok: bool,
    client_order_id: ClientOrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue_order_id: Option<VenueOrderId>,
    status: Option<OrderStatus>,
    executed_qty: Qty,
    qty: Option<Qty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
}

/// The 422 of a rejected order: its reason, and the rule that it broke.
pub(super) fn rejected(answer: &OrderAnswer, order: &NewOrder, rules: Option<&Rules>) -> ApiError {
    let mut message = format!("the order was rejected: {}", answer.reason);
    let reason = Reason::parse(&answer.reason);
    if let Some(rule) = reason.and_then(|reason| rules?.broken(reason, order)) {
        message = format!("{message}: {rule}");
    }
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message)
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
