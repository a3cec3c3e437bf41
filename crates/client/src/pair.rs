//! A pair of orders to be placed, of which one at most is executed.

use serde::Serialize;
use veloz_core::order::TimeInForce;
use veloz_core::types::{ClientOrderId, Price, Qty, Side, Symbol};

use crate::order::new_id;

/// A post-only limit order that takes the profit and a stop that ends the loss (OCO): one quantity, one
/// side, locked once. Both have their ids from the start, so that the pair may be sent any number of
/// times and is placed once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairRequest {
    side: Side,
    symbol: Symbol,
    qty: Qty,
    price: Price,
    stop_price: Price,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_limit_price: Option<Price>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_limit_time_in_force: Option<TimeInForce>,
    client_order_id: ClientOrderId,
    stop_client_order_id: ClientOrderId,
}

impl PairRequest {
    /// A limit at `price` and a stop at `stop_price`, beyond which it goes at any price. Of a SELL the
    /// limit is above the market and the stop below it, of a BUY the other way round.
    pub fn new(
        side: Side,
        symbol: Symbol,
        qty: Qty,
        price: Price,
        stop_price: Price,
    ) -> PairRequest {
        PairRequest {
            side,
            symbol,
            qty,
            price,
            stop_price,
            stop_limit_price: None,
            stop_limit_time_in_force: None,
            client_order_id: new_id(),
            stop_client_order_id: new_id(),
        }
    }

    /// The stop is placed at this limit when it wakes, and not at any price.
    #[must_use]
    pub fn stop_limit(self, price: Price) -> PairRequest {
        PairRequest { stop_limit_price: Some(price), ..self }
    }

    /// How long the stop with a limit stands once it is awake; until cancelled by default.
    #[must_use]
    pub fn stop_limit_time_in_force(self, time_in_force: TimeInForce) -> PairRequest {
        PairRequest { stop_limit_time_in_force: Some(time_in_force), ..self }
    }

    /// Ids of the caller's own, unique for ever: of the limit order and of the stop.
    #[must_use]
    pub fn with_ids(self, limit: ClientOrderId, stop: ClientOrderId) -> PairRequest {
        PairRequest { client_order_id: limit, stop_client_order_id: stop, ..self }
    }

    /// The ids under which the two will be known.
    pub fn ids(&self) -> [ClientOrderId; 2] {
        [self.client_order_id, self.stop_client_order_id]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_sent_exactly() {
        let price = |text: &str| Price::parse(text).expect("a price");
        let (symbol, qty) =
            ("BTCUSDT".parse().expect("a symbol"), Qty::parse("0.5").expect("a qty"));
        let id = |text: &str| ClientOrderId::parse(text).expect("an id");
        let pair = PairRequest::new(Side::Sell, symbol, qty, price("110"), price("90"));
        let [one, two] = pair.ids();
        assert_ne!(one, two);
        let pair = pair.with_ids(id("a"), id("b"));
        assert_eq!(
            serde_json::to_string(&pair).expect("serializes"),
            r#"{"side":"SELL","symbol":"BTCUSDT","qty":0.5,"price":110.0,"stop_price":90.0,"client_order_id":"a","stop_client_order_id":"b"}"#
        );
        let pair = pair.stop_limit(price("89.5")).stop_limit_time_in_force(TimeInForce::Fok);
        let json = serde_json::to_string(&pair).expect("serializes");
        let wanted =
            r#""stop_price":90.0,"stop_limit_price":89.5,"stop_limit_time_in_force":"FOK""#;
        assert!(json.contains(wanted), "{json}");
    }
}
