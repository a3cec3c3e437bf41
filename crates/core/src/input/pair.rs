//! Two orders of which one at most is executed (OCO: one cancels the other).

use super::{NewOrder, Refusal, bad};
use crate::order::{OrderType, TimeInForce};
use crate::types::Side;

/// A limit order that takes the profit, and a stop that ends the loss: one quantity, one side, locked
/// once. The first that is executed or woken ends the other. Each names the other in `oco_with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPair {
    /// LIMIT_MAKER: a SELL's above the market, a BUY's below it.
    pub limit: NewOrder,
    /// STOP_LOSS or STOP_LOSS_LIMIT: a SELL's below the market, a BUY's above it.
    pub stop: NewOrder,
}

impl NewPair {
    /// Two orders as a pair.
    pub fn new(mut limit: NewOrder, mut stop: NewOrder) -> NewPair {
        limit.oco_with = Some(stop.client_order_id);
        stop.oco_with = Some(limit.client_order_id);
        NewPair { limit, stop }
    }

    /// Checks what a pair must and must not have.
    ///
    /// # Errors
    /// The first field that is out of its domain, its value and the rule; the stop order's own fields by
    /// the names that they have in a request for a pair.
    pub fn check_domain(&self) -> Result<(), Refusal> {
        let NewPair { limit, stop } = self;
        limit.check_domain()?;
        stop.check_domain().map_err(of_stop)?;
        if limit.client_order_id == stop.client_order_id {
            let id = stop.client_order_id;
            return Err(bad("stop_client_order_id", format!("{id} must not be the limit order's")));
        }
        let same = (limit.symbol, limit.side, limit.qty) == (stop.symbol, stop.side, stop.qty);
        let linked = limit.oco_with == Some(stop.client_order_id)
            && stop.oco_with == Some(limit.client_order_id);
        let types = limit.order_type == OrderType::LimitMaker
            && matches!(stop.order_type, OrderType::StopLoss | OrderType::StopLossLimit);
        if !same || !linked || !types || limit.reduce_only || stop.reduce_only {
            return Err(bad("type", "a pair is a LIMIT_MAKER and a STOP_LOSS of one kind".into()));
        }
        if stop.time_in_force == TimeInForce::Gtd {
            let rule = "GTD must be GTC, IOC or FOK".into();
            return Err(bad("stop_limit_time_in_force", rule));
        }
        self.check_prices()
    }

    fn check_prices(&self) -> Result<(), Refusal> {
        let (Some(price), Some(stop)) = (self.limit.price, self.stop.stop_price) else {
            return Ok(());
        };
        let (right, rule) = match self.limit.side {
            Side::Buy => (stop > price, "above"),
            Side::Sell => (stop < price, "below"),
        };
        if right {
            return Ok(());
        }
        let side = self.limit.side.as_str();
        Err(bad("stop_price", format!("{stop} must be {rule} price {price} of a {side}")))
    }
}

/// The stop order's fields have other names in a request for a pair.
fn of_stop(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::BadParams { field, message } => {
            let field = match field {
                "price" => "stop_limit_price",
                "time_in_force" | "expire_ts_ns" => "stop_limit_time_in_force",
                other => other,
            };
            Refusal::BadParams { field, message }
        }
        other => other,
    }
}
