//! The checks in front of every venue, and the stable codes of every refusal.
//!
//! Contract: [`check`] reads and changes nothing; the first rule that an order breaks is its reason, in
//! the order of [`Reason::ALL`]. The codes are part of the API: one is never renamed.

use crate::input::{NewOrder, RiskSettings, TradingState};
use crate::instrument::Instrument;
use crate::limits;
use crate::types::{Money, Price, Side};
use crate::wire::wire_enum;

wire_enum! {
    /// Why an order was refused or expired.
    Reason {
        /// REJECTED: trading is halted.
        Halted = "halted",
        /// REJECTED: only orders that sell holdings are taken; or the order itself is to reduce only, and
        /// it buys, or nothing is free to be sold.
        ReduceOnly = "reduce_only",
        /// REJECTED: the price is not a multiple of the instrument's tick.
        PriceTick = "price_tick",
        /// REJECTED: the quantity is not a multiple of the lot, or below the least or above the most.
        LotSize = "lot_size",
        /// REJECTED: price times quantity is below the instrument's least.
        MinNotional = "min_notional",
        /// REJECTED: price times quantity is above the limit set for one order.
        MaxOrderNotional = "max_order_notional",
        /// REJECTED: as many orders are open as may be.
        MaxOpenOrders = "max_open_orders",
        /// REJECTED: the account does not have what the order would lock. EXPIRED: a stop that buys at any
        /// price, woken when the account could no longer pay.
        InsufficientBalance = "insufficient_balance",
        /// REJECTED: a post-only order would have taken.
        WouldTake = "would_take",
        /// REJECTED: a stop that the last price has reached already.
        WouldTrigger = "would_trigger",
        /// REJECTED: an amended quantity that is not above what is executed.
        AmendQty = "amend_qty",
        /// REJECTED: the venue has no words for such an order or change.
        UnsupportedByEngine = "unsupported_by_engine",
        /// EXPIRED: the book offered nothing (more) to a MARKET order, or nothing at all to an IOC order.
        /// REJECTED: of a quote amount, at a price that nobody knows.
        NoLiquidity = "no_liquidity",
        /// EXPIRED: what an IOC order did not get at once.
        IocRemainder = "ioc_remainder",
        /// EXPIRED: a FOK order could not be filled as a whole.
        FokUnfilled = "fok_unfilled",
        /// EXPIRED: its time has come. REJECTED: it had come already.
        Gtd = "gtd",
        /// EXPIRED: it would have traded with another order of the account.
        SelfTrade = "self_trade",
        /// Still open: the venue did not answer, and is asked.
        UnknownOutcome = "unknown_outcome",
        /// REJECTED: it never left for its venue, or the venue, asked again and again, knows nothing of it.
        NotTaken = "not_taken",
        /// EXPIRED: the venue had it, and knows nothing of it any more.
        LostByVenue = "lost_by_venue",
    }
}

/// What a check needs to know besides the order.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// What the order would lock.
    pub lock: Money,
    /// What is free of the asset it locks.
    pub free: Money,
    /// At which price a MARKET order is valued; `None`: nothing is known.
    pub market_price: Option<Price>,
    /// The orders that are open now.
    pub open_orders: usize,
}

/// The first rule that the order, its quantity worked out, breaks.
///
/// # Errors
/// The reason to refuse it.
pub fn check(
    settings: &RiskSettings,
    instrument: &Instrument,
    order: &NewOrder,
    exposure: &Exposure,
) -> Result<(), Reason> {
    trading_state(settings.state, order.side)?;
    if order.reduce_only && (order.side == Side::Buy || order.qty.is_zero()) {
        return Err(Reason::ReduceOnly);
    }
    filters(instrument, order)?;
    let price = order.price.or(order.stop_price).or(exposure.market_price);
    let value = order.quote_qty.or(price.map(|price| Money::notional(price, order.qty)));
    if value.is_some_and(|value| value < instrument.min_notional) {
        return Err(Reason::MinNotional);
    }
    if let (Some(most), Some(value)) = (settings.max_order_notional, value)
        && value > most
    {
        return Err(Reason::MaxOrderNotional);
    }
    let most = settings.max_open_orders.and_then(|most| usize::try_from(most).ok());
    if exposure.open_orders >= most.unwrap_or(usize::MAX).min(limits::OPEN_ORDERS_COUNT) {
        return Err(Reason::MaxOpenOrders);
    }
    if exposure.lock > exposure.free {
        return Err(Reason::InsufficientBalance);
    }
    Ok(())
}

fn trading_state(state: TradingState, side: Side) -> Result<(), Reason> {
    match (state, side) {
        (TradingState::Active, _) | (TradingState::ReduceOnly, Side::Sell) => Ok(()),
        (TradingState::ReduceOnly, Side::Buy) => Err(Reason::ReduceOnly),
        (TradingState::Halted, _) => Err(Reason::Halted),
    }
}

fn filters(instrument: &Instrument, order: &NewOrder) -> Result<(), Reason> {
    let off_step = |value: i64, step: i64| value.checked_rem(step).is_some_and(|rest| rest != 0);
    let mut prices = order.price.into_iter().chain(order.stop_price);
    if prices.any(|price| off_step(price.raw(), instrument.tick.raw())) {
        return Err(Reason::PriceTick);
    }
    let fits = (instrument.min_qty..=instrument.max_qty).contains(&order.qty);
    if !fits || off_step(order.qty.raw(), instrument.lot.raw()) {
        return Err(Reason::LotSize);
    }
    Ok(())
}
