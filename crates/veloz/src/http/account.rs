//! The account: balances, executions, and the limits in front of it.

use axum::extract::State;
use bytes::Bytes;
use http::Uri;
use veloz_core::engine::Engine;
use veloz_core::event::Event;
use veloz_core::input::{RiskChange, TradingState};
use veloz_core::limits::HTTP_PAGE_ITEMS;

use super::body::fields;
use super::command::Command;
use super::error::ApiError;
use super::order_request::parse_symbol;
use super::orders::{newest, obey};
use super::query::Query;
use super::router::{Answered, Shared, items, json, raw_json};

/// `GET /api/account`
pub(super) async fn balances(State(app): Shared) -> Answered {
    json(&app.service.read(|engine| engine.state().account()).await?)
}

/// `GET /api/fills`
pub(super) async fn fills(State(app): Shared, uri: Uri) -> Answered {
    let query = Query::of(&uri);
    let limit = query.number("limit", HTTP_PAGE_ITEMS, 1, HTTP_PAGE_ITEMS)?;
    let symbol = query.parsed("symbol", parse_symbol)?;
    let wanted = move |event: &Event| match event {
        Event::Fill(fill) => symbol.is_none_or(|symbol| symbol == fill.symbol),
        _ => false,
    };
    let fills = app.service.read(move |engine: &Engine| newest(engine, limit, wanted)).await?;
    let mut out = items(fills.iter().rev().map(|(id, event)| (Some(*id), event)));
    out.push(b'}');
    Ok(raw_json(out))
}

/// `GET /api/risk`
pub(super) async fn risk(State(app): Shared) -> Answered {
    json(&app.service.read(|engine| engine.state().risk().clone()).await?)
}

/// `GET /api/risk/use`: how much of each limit is used now.
pub(super) async fn risk_use(State(app): Shared) -> Answered {
    json(&app.service.read(Engine::risk_use).await?)
}

/// `POST /api/risk`: what is not named stays, `null` lifts a limit.
pub(super) async fn change_risk(State(app): Shared, body: Bytes) -> Answered {
    obey(&app, Command::risk(&body)?).await.map(raw_json)
}

const RISK_FIELDS: [&str; 9] = [
    "state",
    "max_order_notional",
    "max_open_orders",
    "max_symbol_notional",
    "max_orders_per_second",
    "price_collar",
    "max_position",
    "max_daily_loss",
    "cancel_all",
];

pub(super) fn parse_risk(body: &[u8]) -> Result<RiskChange, ApiError> {
    let [
        state,
        max_order_notional,
        max_open_orders,
        max_symbol_notional,
        max_orders_per_second,
        price_collar,
        max_position,
        max_daily_loss,
        cancel_all,
    ] = fields(body, RISK_FIELDS)?;
    Ok(RiskChange {
        state: state.text(|text| match text.to_ascii_uppercase().as_str() {
            "ACTIVE" => Ok(TradingState::Active),
            "REDUCE_ONLY" => Ok(TradingState::ReduceOnly),
            "HALTED" => Ok(TradingState::Halted),
            _ => Err("must be ACTIVE, REDUCE_ONLY or HALTED".to_owned()),
        })?,
        max_order_notional: max_order_notional.limit()?,
        max_open_orders: max_open_orders.count_limit()?,
        max_symbol_notional: max_symbol_notional.limit()?,
        max_orders_per_second: max_orders_per_second.count_limit()?,
        price_collar: price_collar.limit()?,
        max_position: max_position.asset_limits()?,
        max_daily_loss: max_daily_loss.asset_limits()?,
        cancel_all: cancel_all.flag()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::input::AssetLimits;

    fn check(body: &str, expected: Result<RiskChange, &str>) {
        match (parse_risk(body.as_bytes()), expected) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{body}"),
            (Err(error), Err(wanted)) => {
                let text = String::from_utf8(error.body()).unwrap();
                assert!(text.contains(wanted), "{body}: {text}");
            }
            (got, wanted) => panic!("{body}: {got:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn risk_changes() {
        check("{}", Ok(RiskChange::default()));
        let state = Some(TradingState::Halted);
        check(
            r#"{"state":"halted","cancel_all":true}"#,
            Ok(RiskChange { state, cancel_all: true, ..RiskChange::default() }),
        );
        let lifted = RiskChange {
            max_order_notional: Some(None),
            max_open_orders: Some(None),
            ..RiskChange::default()
        };
        check(r#"{"max_order_notional":null,"max_open_orders":null}"#, Ok(lifted));
        let set = RiskChange {
            max_order_notional: Some("1000.5".parse().ok()),
            max_open_orders: Some(Some(0)),
            ..RiskChange::default()
        };
        check(r#"{"max_order_notional":"1000.5","max_open_orders":0}"#, Ok(set));
        check(r#"{"state":null}"#, Err("state: null must be a string"));
        check(r#"{"state":"off"}"#, Err("must be ACTIVE, REDUCE_ONLY or HALTED"));
        check(r#"{"max_open_orders":-1}"#, Err("max_open_orders: -1 must be a whole number"));
        check(r#"{"max_open_orders":1.5}"#, Err("must be a whole number"));
        check(r#"{"max_open_orders":4294967296}"#, Err("must be a whole number"));
        let by_asset = RiskChange {
            max_position: Some(Some(AssetLimits::from([
                ("BTC".parse().unwrap(), "1.5".parse().ok()),
                ("ETH".parse().unwrap(), None),
            ]))),
            max_daily_loss: Some(None),
            price_collar: Some("0.05".parse().ok()),
            ..RiskChange::default()
        };
        check(
            r#"{"max_position":{"BTC":"1.5","ETH":null},"max_daily_loss":null,"price_collar":0.05}"#,
            Ok(by_asset),
        );
        check(r#"{"max_position":5}"#, Err("max_position: 5 must be an object"));
        check(r#"{"max_position":{"btc":1}}"#, Err("max_position: btc must be 1 to 24 letters"));
        check(
            r#"{"max_position":{"BTC":"x"}}"#,
            Err(r#"max_position: BTC: \"x\" is not a decimal"#),
        );
        check(r#"{"max_position":{"BTC":1,"BTC":2}}"#, Err("max_position: BTC is given twice"));
        check(r#"{"cancel_all":1}"#, Err("must be true or false"));
        check(r#"{"State":"HALTED"}"#, Err("State: unknown field"));
    }
}
