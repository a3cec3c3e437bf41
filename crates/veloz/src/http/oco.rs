//! The body of a pair of orders of which one at most is executed.

use veloz_core::input::{NewOrder, NewPair};
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::{ClientOrderId, Price};

use super::body::{Field, fields, missing};
use super::error::ApiError;
use super::order_request::{new_id, parse_id, parse_side, parse_symbol, parse_time_in_force};

const FIELDS: [&str; 9] = [
    "side",
    "symbol",
    "qty",
    "price",
    "stop_price",
    "stop_limit_price",
    "stop_limit_time_in_force",
    "client_order_id",
    "stop_client_order_id",
];

/// Reads the body of `POST /api/oco`.
pub(super) fn parse_pair(body: &[u8]) -> Result<NewPair, ApiError> {
    let [side, symbol, qty, price, stop_price, stop_limit_price, tif, id, stop_id] =
        fields(body, FIELDS)?;
    let side = side.text(parse_side)?;
    let symbol = symbol.text(parse_symbol)?.ok_or_else(|| missing("symbol"))?;
    let qty = qty.decimal()?.ok_or_else(|| missing("qty"))?;
    let side = side.ok_or_else(|| missing("side"))?;
    let (id, stop_id) = parse_ids(&id, &stop_id)?;
    let limit = NewOrder {
        order_type: OrderType::LimitMaker,
        time_in_force: TimeInForce::Gtc,
        price: price.decimal()?,
        ..NewOrder::market(id, symbol, side, qty)
    };
    let stop_limit: Option<Price> = stop_limit_price.decimal()?;
    let tif = tif.text(parse_time_in_force)?;
    let (order_type, default) = match stop_limit {
        Some(_) => (OrderType::StopLossLimit, TimeInForce::Gtc),
        None => (OrderType::StopLoss, TimeInForce::Ioc),
    };
    let stop = NewOrder {
        order_type,
        time_in_force: tif.unwrap_or(default),
        price: stop_limit,
        stop_price: stop_price.decimal()?,
        ..NewOrder::market(stop_id, symbol, side, qty)
    };
    let pair = NewPair::new(limit, stop);
    pair.check_domain()?;
    Ok(pair)
}

/// The names of the limit order and of the stop order: the second follows from the first when it is left
/// out, so that the same request is the same again.
fn parse_ids(
    id: &Field<'_>,
    stop_id: &Field<'_>,
) -> Result<(ClientOrderId, ClientOrderId), ApiError> {
    const SUFFIX: &str = "-stop";
    let id = match id.text(parse_id)? {
        Some(id) => id,
        None => new_id()?,
    };
    let stop_id = stop_id.text(parse_id)?;
    let derived = || {
        ClientOrderId::parse(&format!("{id}{SUFFIX}")).map_err(|_| {
            let rule = format!("is required: client_order_id is too long for {SUFFIX} behind it");
            ApiError::bad_params(format!("stop_client_order_id: {rule}"))
        })
    };
    Ok((id, stop_id.map_or_else(derived, Ok)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = r#"{"side":"SELL","symbol":"BTCUSDT","qty":1,"price":110,"stop_price":90,"client_order_id":"x"}"#;

    fn refusal(more: &str) -> String {
        let body = PAIR.replace("\"side\":\"SELL\"", more);
        let error = parse_pair(body.as_bytes()).expect_err("it is wrong");
        String::from_utf8(error.body()).unwrap()
    }

    #[test]
    fn defaults() {
        let pair = parse_pair(PAIR.as_bytes()).unwrap();
        assert_eq!(pair.limit.order_type, OrderType::LimitMaker);
        assert_eq!(pair.stop.order_type, OrderType::StopLoss);
        assert_eq!(pair.stop.client_order_id.as_str(), "x-stop");
        assert_eq!(pair.limit.oco_with, Some(pair.stop.client_order_id));
        let more = r#""side":"SELL","stop_limit_price":"89.5","stop_client_order_id":"y""#;
        let pair = parse_pair(PAIR.replace(r#""side":"SELL""#, more).as_bytes()).unwrap();
        assert_eq!(pair.stop.order_type, OrderType::StopLossLimit);
        assert_eq!(pair.stop.time_in_force, TimeInForce::Gtc);
        assert_eq!(pair.stop.client_order_id.as_str(), "y");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |more: &str, wanted: &str| {
            let text = refusal(more);
            assert!(text.contains(wanted), "{more}: {text}");
        };
        check(r#""side":"BUY""#, "stop_price: 90.0 must be above price 110.0 of a BUY");
        check(r#""type":"LIMIT""#, "type: unknown field");
        check(
            r#""side":"SELL","stop_limit_time_in_force":"GTC""#,
            "stop_limit_time_in_force: GTC: a STOP_LOSS order is IOC",
        );
        check(r#""side":"SELL","stop_limit_price":0"#, "stop_limit_price: 0.0 must be above zero");
        check(r#""side":"SELL","stop_client_order_id":"x""#, "stop_client_order_id: x must not be");
        let long = PAIR.replace("\"x\"", &format!("\"{}\"", "x".repeat(32)));
        let text = String::from_utf8(parse_pair(long.as_bytes()).unwrap_err().body()).unwrap();
        assert!(text.contains("stop_client_order_id: is required"), "{text}");
    }
}
