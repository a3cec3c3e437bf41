//! An order to be placed.

use serde::Serialize;
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::{ClientOrderId, Money, Price, Qty, Side, Symbol, TsNs};

/// An order to be placed. It has its id from the start, so that it may be sent any number of times and
/// is placed once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderRequest {
    side: Side,
    symbol: Symbol,
    #[serde(skip_serializing_if = "Option::is_none")]
    qty: Option<Qty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote_qty: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_price: Option<Price>,
    client_order_id: ClientOrderId,
    #[serde(rename = "type")]
    order_type: OrderType,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_in_force: Option<TimeInForce>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_ts_ns: Option<TsNs>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    post_only: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reduce_only: bool,
}

/// Which price move wakes an order that waits for its stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// One against its owner: a SELL wakes when the price falls to its stop, a BUY when it rises to it.
    Loss,
    /// One in its owner's favour: the other way round.
    Profit,
}

impl OrderRequest {
    /// An order at `price` or better.
    pub fn limit(side: Side, symbol: Symbol, qty: Qty, price: Price) -> OrderRequest {
        OrderRequest {
            price: Some(price),
            order_type: OrderType::Limit,
            ..OrderRequest::market(side, symbol, qty)
        }
    }

    /// An order at what the book offers.
    pub fn market(side: Side, symbol: Symbol, qty: Qty) -> OrderRequest {
        OrderRequest {
            side,
            symbol,
            qty: Some(qty),
            quote_qty: None,
            price: None,
            stop_price: None,
            client_order_id: new_id(),
            order_type: OrderType::Market,
            time_in_force: None,
            expire_ts_ns: None,
            post_only: false,
            reduce_only: false,
        }
    }

    /// An order at what the book offers, for an amount of the quote asset: what a BUY spends and a SELL
    /// receives at most.
    pub fn market_for(side: Side, symbol: Symbol, quote_qty: Money) -> OrderRequest {
        let market = OrderRequest::market(side, symbol, Qty::ZERO);
        OrderRequest { qty: None, quote_qty: Some(quote_qty), ..market }
    }

    /// Wait until the price reaches `stop_price`; only then is it placed, at its limit or at any price.
    #[must_use]
    pub fn wait_for(self, stop: Stop, stop_price: Price) -> OrderRequest {
        let order_type = match (stop, self.price) {
            (Stop::Loss, None) => OrderType::StopLoss,
            (Stop::Loss, Some(_)) => OrderType::StopLossLimit,
            (Stop::Profit, None) => OrderType::TakeProfit,
            (Stop::Profit, Some(_)) => OrderType::TakeProfitLimit,
        };
        OrderRequest { order_type, stop_price: Some(stop_price), ..self }
    }

    /// What remains of it expires then, by the gateway's clock (a replay's is the record's).
    #[must_use]
    pub fn until(self, expire_ts_ns: TsNs) -> OrderRequest {
        let time_in_force = Some(TimeInForce::Gtd);
        OrderRequest { expire_ts_ns: Some(expire_ts_ns), time_in_force, ..self }
    }

    /// Sell what is free of the base asset, and no more: the quantity is cut to it. A BUY is refused.
    #[must_use]
    pub fn reduce_only(self) -> OrderRequest {
        OrderRequest { reduce_only: true, ..self }
    }

    /// How long it stands; a limit order stands until cancelled by default.
    #[must_use]
    pub fn time_in_force(self, time_in_force: TimeInForce) -> OrderRequest {
        OrderRequest { time_in_force: Some(time_in_force), ..self }
    }

    /// Refuse it when it would take liquidity.
    #[must_use]
    pub fn post_only(self) -> OrderRequest {
        OrderRequest { post_only: true, ..self }
    }

    /// An id of the caller's own, unique for ever.
    #[must_use]
    pub fn with_id(self, client_order_id: ClientOrderId) -> OrderRequest {
        OrderRequest { client_order_id, ..self }
    }

    /// The id under which it will be known.
    pub fn id(&self) -> ClientOrderId {
        self.client_order_id
    }
}

/// The time keeps ids of two processes apart, randomness those of one.
#[expect(clippy::expect_used, reason = "36 characters of the allowed ones")]
pub(crate) fn new_id() -> ClientOrderId {
    let since_epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let nanos = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
    let id = format!("vlz-{nanos:016x}{:016x}", fastrand::u64(..));
    ClientOrderId::parse(&id).expect("a valid id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_sent_exactly() {
        let parts = || -> Result<_, Box<dyn std::error::Error>> {
            Ok(("BTCUSDT".parse::<Symbol>()?, "0.00000001".parse::<Qty>()?))
        };
        let (symbol, qty) = parts().expect("valid parts");
        let id = ClientOrderId::parse("a-1").expect("an id");
        let price = Price::parse("12345678.12345678").expect("a price");
        let limit = OrderRequest::limit(Side::Buy, symbol, qty, price)
            .time_in_force(TimeInForce::Ioc)
            .post_only()
            .with_id(id);
        assert_eq!(
            serde_json::to_string(&limit).expect("serializes"),
            r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.00000001,"price":12345678.12345678,"client_order_id":"a-1","type":"LIMIT","time_in_force":"IOC","post_only":true}"#
        );
        let stop = OrderRequest::limit(Side::Sell, symbol, qty, price)
            .wait_for(Stop::Loss, price)
            .until(9)
            .reduce_only()
            .with_id(id);
        assert_eq!(
            serde_json::to_string(&stop).expect("serializes"),
            r#"{"side":"SELL","symbol":"BTCUSDT","qty":0.00000001,"price":12345678.12345678,"stop_price":12345678.12345678,"client_order_id":"a-1","type":"STOP_LOSS_LIMIT","time_in_force":"GTD","expire_ts_ns":9,"reduce_only":true}"#
        );
        let amount = OrderRequest::market_for(Side::Buy, symbol, qty.into()).with_id(id);
        assert_eq!(
            serde_json::to_string(&amount).expect("serializes"),
            r#"{"side":"BUY","symbol":"BTCUSDT","quote_qty":0.00000001,"client_order_id":"a-1","type":"MARKET"}"#
        );
        let market = OrderRequest::market(Side::Sell, symbol, qty);
        assert_ne!(market.id(), OrderRequest::market(Side::Sell, symbol, qty).id());
        assert_eq!(
            serde_json::to_string(&market.with_id(id)).expect("serializes"),
            r#"{"side":"SELL","symbol":"BTCUSDT","qty":0.00000001,"client_order_id":"a-1","type":"MARKET"}"#
        );
    }
}
