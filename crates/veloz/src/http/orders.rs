//! Orders: placed, taken back, looked at.

use axum::extract::State;
use bytes::Bytes;
use http::Uri;
use veloz_core::engine::Engine;
use veloz_core::event::Event;
use veloz_core::limits::HTTP_PAGE_ITEMS;

use super::body::missing;
use super::command::Command;
use super::error::ApiError;
use super::order_request::parse_id;
use super::query::Query;
use super::router::{Answered, App, Shared, items, raw_json};

/// `POST /api/order`
pub(super) async fn place(State(app): Shared, body: Bytes) -> Answered {
    obey(&app, Command::order(&body)?).await.map(raw_json)
}

/// `POST /api/oco`
pub(super) async fn place_pair(State(app): Shared, body: Bytes) -> Answered {
    obey(&app, Command::pair(&body)?).await.map(raw_json)
}

/// `POST /api/cancel`
pub(super) async fn cancel(State(app): Shared, body: Bytes) -> Answered {
    obey(&app, Command::cancel(&body)?).await.map(raw_json)
}

/// `POST /api/amend`
pub(super) async fn amend(State(app): Shared, body: Bytes) -> Answered {
    obey(&app, Command::amend(&body)?).await.map(raw_json)
}

/// `POST /api/cancel_all`
pub(super) async fn cancel_all(State(app): Shared, body: Bytes) -> Answered {
    obey(&app, Command::cancel_all(&body)?).await.map(raw_json)
}

/// Has a command obeyed; gives the body of the answer.
pub(super) async fn obey(app: &App, command: Command) -> Result<Vec<u8>, ApiError> {
    let outcome = app.service.submit(command.input()).await;
    if !command.is_refused(&outcome) {
        return command.answer(outcome, None);
    }
    let asked = command.clone();
    // Where nobody can be asked any more there is less to say, and the refusal stands.
    let rules = app.service.read(move |engine| asked.rules(engine)).await.ok().flatten();
    command.answer(outcome, rules.as_ref())
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
        let position = |(position, order): (usize, veloz_core::state::OrderRef<'_>)| {
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
