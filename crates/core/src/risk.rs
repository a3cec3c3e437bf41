//! The checks in front of every venue, and the stable codes of every refusal.
//!
//! Contract: [`check`] reads and changes nothing; the first rule that an order breaks is its reason, in
//! the order of [`Reason::ALL`]. The codes are part of the API: one is never renamed.

use crate::input::{NewOrder, RiskSettings, TradingState};
use crate::instrument::{Instrument, QtyRange, SymbolStatus};
use crate::types::{Money, Price, Qty, Side};
use crate::wire::wire_enum;

wire_enum! {
    /// Why an order was refused or expired.
    Reason {
        /// EXPIRED: the other order of its pair was executed or woken. REJECTED: an order of a pair cannot be
        /// amended while both stand.
        Oco = "oco",
        /// REJECTED: the venue has no words for such an order or change.
        UnsupportedByEngine = "unsupported_by_engine",
        /// REJECTED: an amended quantity that is not above what is executed.
        AmendQty = "amend_qty",
        /// EXPIRED: the book offered nothing (more) to a MARKET order, or nothing at all to an IOC order.
        /// REJECTED: of a quote amount, at a price that nobody knows.
        NoLiquidity = "no_liquidity",
        /// REJECTED: a BUY at any price through an external engine, at a price that nobody knows yet: what it would
        /// lock is not known. Give it a limit, or wait for a price.
        NoPrice = "no_price",
        /// REJECTED: trading is halted.
        Halted = "halted",
        /// REJECTED: only orders that sell holdings are taken; or the order itself is to reduce only, and
        /// it buys, or nothing is free to be sold.
        ReduceOnly = "reduce_only",
        /// REJECTED: a BUY on a UTC day that has lost as much as is allowed.
        DailyLoss = "daily_loss",
        /// REJECTED: the exchange does not trade the symbol.
        SymbolStatus = "symbol_status",
        /// REJECTED: the price is not a multiple of the instrument's tick.
        PriceTick = "price_tick",
        /// REJECTED: the price is below the instrument's lowest or above its highest.
        PriceRange = "price_range",
        /// REJECTED: the limit is further from the last price than the instrument allows.
        PercentPrice = "percent_price",
        /// REJECTED: the quantity is not a multiple of the lot, or below the least or above the most.
        LotSize = "lot_size",
        /// REJECTED: price times quantity is below the instrument's least.
        MinNotional = "min_notional",
        /// REJECTED: price times quantity is above the instrument's most.
        MaxNotional = "max_notional",
        /// REJECTED: price times quantity is above the limit set for one order.
        MaxOrderNotional = "max_order_notional",
        /// REJECTED: with it, the open orders of its symbol would be worth more than the limit set for them.
        MaxSymbolNotional = "max_symbol_notional",
        /// REJECTED: a BUY by which the account could come to hold more of the asset than the limit set for it.
        MaxPosition = "max_position",
        /// REJECTED: it could trade further beyond the last price than the limit set, or there is no last
        /// price to measure by.
        PriceCollar = "price_collar",
        /// REJECTED: as many orders are open as may be, in all or of the instrument.
        MaxOpenOrders = "max_open_orders",
        /// REJECTED: as many orders were sent within the last second as may be.
        OrderRate = "order_rate",
        /// REJECTED: the account does not have what the order would lock. EXPIRED: a stop that buys at any
        /// price, woken when the account could no longer pay.
        InsufficientBalance = "insufficient_balance",
        /// EXPIRED: its time has come. REJECTED: it had come already.
        Gtd = "gtd",
        /// REJECTED: a stop that the last price has reached already.
        WouldTrigger = "would_trigger",
        /// REJECTED: of a pair, the limit is not beyond the last price.
        OcoPrices = "oco_prices",
        /// REJECTED: a post-only order would have taken.
        WouldTake = "would_take",
        /// EXPIRED: what an IOC order did not get at once.
        IocRemainder = "ioc_remainder",
        /// EXPIRED: a FOK order could not be filled as a whole.
        FokUnfilled = "fok_unfilled",
        /// EXPIRED: it would have traded with another order of the account.
        SelfTrade = "self_trade",
        /// Still open: the venue did not answer, and is asked.
        UnknownOutcome = "unknown_outcome",
        /// REJECTED: it never left for its venue, or the venue, asked again and again, knows nothing of it.
        NotTaken = "not_taken",
        /// EXPIRED: the venue had it, and knows nothing of it any more.
        LostByVenue = "lost_by_venue",
        /// REJECTED or EXPIRED: an external engine that did not say why.
        NotTold = "not_told",
    }
}

/// What a check needs to know besides the order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exposure {
    /// What the order would lock.
    pub lock: Money,
    /// What is free of the asset it locks.
    pub free: Money,
    /// At which price an order without one is valued; `None`: nothing is known.
    pub market_price: Option<Price>,
    /// The worst price that a MARKET order would reach.
    pub worst_price: Option<Price>,
    /// The last price of the market.
    pub last_price: Option<Price>,
    /// The orders that are open now.
    pub open_orders: usize,
    /// The most of them that there may be, whatever is set.
    pub most_open_orders: usize,
    /// Those of them that are of the instrument.
    pub instrument_orders: usize,
    /// What those would be worth at their prices, in the quote asset.
    pub instrument_notional: Money,
    /// What the account holds of the base asset, and would hold if its open BUY orders were filled.
    pub position: Money,
    /// The orders that were sent within the last second.
    pub recent_orders: usize,
    /// The day has lost as much as is allowed.
    pub loss_is_reached: bool,
}

/// The first rule that the order, its quantity worked out, breaks.
///
/// # Errors
/// The reason to refuse it.
#[inline(always)]
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
    if exposure.loss_is_reached && order.side == Side::Buy {
        return Err(Reason::DailyLoss);
    }
    if instrument.status != SymbolStatus::Trading {
        return Err(Reason::SymbolStatus);
    }
    prices(instrument, order, exposure)?;
    quantity(instrument, order)?;
    let price = order.price.or(order.stop_price).or(exposure.market_price);
    let value = order.quote_qty.or(price.map(|price| Money::notional(price, order.qty)));
    notional(instrument, order, value)?;
    limits_set(settings, instrument, order, (value, exposure))?;
    if exposure.lock > exposure.free {
        return Err(Reason::InsufficientBalance);
    }
    Ok(())
}

/// Whether orders of a side are taken.
///
/// # Errors
/// The reason to refuse them.
pub fn trading_state(state: TradingState, side: Side) -> Result<(), Reason> {
    match (state, side) {
        (TradingState::Active, _) | (TradingState::ReduceOnly, Side::Sell) => Ok(()),
        (TradingState::ReduceOnly, Side::Buy) => Err(Reason::ReduceOnly),
        (TradingState::Halted, _) => Err(Reason::Halted),
    }
}

fn off_step(value: i64, step: i64) -> bool {
    value.checked_rem(step).is_some_and(|rest| rest != 0)
}

fn prices(instrument: &Instrument, order: &NewOrder, exposure: &Exposure) -> Result<(), Reason> {
    let prices = || order.price.into_iter().chain(order.stop_price);
    if prices().any(|price| off_step(price.raw(), instrument.tick.raw())) {
        return Err(Reason::PriceTick);
    }
    let most = instrument.max_price.unwrap_or(Price::MAX);
    if prices().any(|price| price < instrument.min_price || price > most) {
        return Err(Reason::PriceRange);
    }
    match (instrument.percent_price, order.price, exposure.last_price) {
        (Some(percent), Some(price), Some(last)) if !percent.allows(order.side, price, last) => {
            Err(Reason::PercentPrice)
        }
        _ => Ok(()),
    }
}

fn quantity(instrument: &Instrument, order: &NewOrder) -> Result<(), Reason> {
    let &Instrument { lot, min_qty, max_qty, .. } = instrument;
    let of_market = instrument.market.filter(|_| !order.order_type.has_limit());
    for range in [Some(QtyRange { lot, min_qty, max_qty }), of_market].into_iter().flatten() {
        let fits = (range.min_qty..=range.max_qty).contains(&order.qty);
        if !fits || off_step(order.qty.raw(), range.lot.raw()) {
            return Err(Reason::LotSize);
        }
    }
    Ok(())
}

fn notional(instrument: &Instrument, order: &NewOrder, value: Option<Money>) -> Result<(), Reason> {
    let Some(value) = value else { return Ok(()) };
    let has_limit = order.order_type.has_limit();
    if (has_limit || instrument.min_notional_of_market) && value < instrument.min_notional {
        return Err(Reason::MinNotional);
    }
    let most = instrument.max_notional.unwrap_or(Money::MAX);
    if (has_limit || instrument.max_notional_of_market) && value > most {
        return Err(Reason::MaxNotional);
    }
    Ok(())
}

/// The limits that the operator has set.
#[inline]
fn limits_set(
    settings: &RiskSettings,
    instrument: &Instrument,
    order: &NewOrder,
    (value, exposure): (Option<Money>, &Exposure),
) -> Result<(), Reason> {
    let value = value.unwrap_or_default();
    if settings.max_order_notional.is_some_and(|most| value > most) {
        return Err(Reason::MaxOrderNotional);
    }
    let of_symbol = exposure.instrument_notional.saturating_add(value);
    if settings.max_symbol_notional.is_some_and(|most| of_symbol > most) {
        return Err(Reason::MaxSymbolNotional);
    }
    let most = settings.max_position.get(&instrument.base);
    if let (Some(most), Side::Buy) = (most, order.side)
        && exposure.position.saturating_add(order.qty.into()) > *most
    {
        return Err(Reason::MaxPosition);
    }
    if let Some(collar) = settings.price_collar {
        price_collar(collar, order, exposure)?;
    }
    let most = |limit: Option<u32>| {
        limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    };
    if exposure.open_orders >= most(settings.max_open_orders).min(exposure.most_open_orders)
        || exposure.instrument_orders >= most(instrument.max_open_orders)
    {
        return Err(Reason::MaxOpenOrders);
    }
    if exposure.recent_orders >= most(settings.max_orders_per_second) {
        return Err(Reason::OrderRate);
    }
    Ok(())
}

/// An order must not be able to trade further beyond its basis than the collar: the last price, or of a
/// stop its own stop price. A stop without a limit is not held to it: it is there to get out.
fn price_collar(collar: Qty, order: &NewOrder, exposure: &Exposure) -> Result<(), Reason> {
    const ONE: Qty = Qty::from_raw(100_000_000);
    let (price, basis) = match (order.order_type.has_stop(), order.price) {
        (true, None) => return Ok(()),
        (true, price) => (price, order.stop_price),
        (false, price) => (price.or(exposure.worst_price), exposure.last_price),
    };
    let (Some(price), Some(basis)) = (price, basis) else { return Err(Reason::PriceCollar) };
    let price = Money::notional(price, ONE);
    let within = match order.side {
        Side::Buy => price <= Money::notional(basis, ONE.saturating_add(collar)),
        Side::Sell => price >= Money::notional(basis, ONE.saturating_sub(collar)),
    };
    if within { Ok(()) } else { Err(Reason::PriceCollar) }
}
