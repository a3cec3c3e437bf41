//! What a replay came to, as figures: for a table, and as one JSON object.
//!
//! Contract: the same capture, strategy, settings and seed give the same report, byte for byte: nothing in
//! it is of the machine or of the hour. Amounts are exact decimals, in JSON as strings; only fractions
//! (`return`, drawdown) are rounded, towards zero, at 8 decimals.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Serialize, Serializer};
use veloz_core::engine::Engine;
use veloz_core::order::OrderStatus;
use veloz_core::types::{Asset, ClientOrderId, Money, Price, Qty, Side, Symbol, TsNs};

use super::tally::{Holding, Tally};

/// What a replay came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether all of the capture was played.
    pub complete: bool,
    /// What went wrong, with the capture, the strategy or the replay.
    pub problem: Option<String>,
    /// The capture's name.
    pub capture: String,
    /// What the simulated market's chance and the strategy were given.
    pub seed: u64,
    /// The first and the last time of the replay's clock.
    pub first_ts_ns: TsNs,
    /// See above.
    pub last_ts_ns: TsNs,
    /// What was played.
    pub played: Played,
    /// The orders by what became of them.
    pub orders: Orders,
    /// Commands that were refused, by the code of the answer.
    pub refused: BTreeMap<&'static str, u64>,
    /// What was traded, of each pair of which anything was.
    pub pairs: Vec<Pair>,
    /// What the account had and has.
    pub assets: Vec<Holdings>,
    /// What the account was and is worth.
    pub equity: Equity,
}

/// What was played.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Played {
    /// Messages of the market.
    pub messages: u64,
    /// Pieces of the capture that could not be read.
    pub faults: u64,
    /// Events of the log.
    pub events: u64,
    /// The strategy's turns.
    pub turns: u64,
    /// The strategy's commands.
    pub commands: u64,
}

/// The orders by what became of them.
#[derive(Debug, Clone, Serialize)]
pub struct Orders {
    /// All of them.
    pub total: u64,
    /// By final status; those that are open are not among them.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Why orders were rejected or expired.
    pub by_reason: BTreeMap<String, u64>,
    /// What was open when the replay ended: nobody took it back.
    pub open: Vec<OpenOrder>,
}

/// An order that was open at the end.
#[derive(Debug, Clone, Serialize)]
pub struct OpenOrder {
    /// The strategy's name for it.
    pub client_order_id: ClientOrderId,
    /// The instrument.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// How it stood; `None` before the venue has spoken.
    pub status: Option<OrderStatus>,
    /// What was ordered.
    #[serde(serialize_with = "text")]
    pub qty: Qty,
    /// Executed of it.
    #[serde(serialize_with = "text")]
    pub executed_qty: Qty,
    /// Its limit.
    #[serde(serialize_with = "optional_text")]
    pub price: Option<Price>,
}

/// What was traded of a pair.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// The pair.
    pub symbol: Symbol,
    /// The asset of `volume`, `realised` and `unrealised`.
    pub quote: Asset,
    /// Executions.
    pub fills: u64,
    /// Of these, as a maker.
    pub maker: u64,
    /// Of these, as a taker.
    pub taker: u64,
    /// Base asset bought.
    #[serde(serialize_with = "text")]
    pub bought: Money,
    /// Base asset sold.
    #[serde(serialize_with = "text")]
    pub sold: Money,
    /// Price times quantity of all fills.
    #[serde(serialize_with = "text")]
    pub volume: Money,
    /// Bought less sold.
    #[serde(serialize_with = "text")]
    pub position: Money,
    /// The last price.
    #[serde(serialize_with = "optional_text")]
    pub last: Option<Price>,
    /// The result of what was closed, before fees, by average cost.
    #[serde(serialize_with = "text")]
    pub realised: Money,
    /// The result of what is open, before fees, at the last price.
    #[serde(serialize_with = "text")]
    pub unrealised: Money,
}

/// What the account had and has of an asset.
#[derive(Debug, Clone, Serialize)]
pub struct Holdings {
    /// The asset.
    pub asset: Asset,
    /// At the start.
    #[serde(serialize_with = "text")]
    pub start: Money,
    /// At the end, locked or not.
    #[serde(serialize_with = "text")]
    pub end: Money,
    /// Fees paid in it: gone from `end` already.
    #[serde(serialize_with = "text")]
    pub fees: Money,
    /// Its last price in the quote asset; none of the quote asset itself.
    #[serde(serialize_with = "optional_text")]
    pub price: Option<Price>,
    /// What `end` is worth; none: it has no price, and no part in the equity.
    #[serde(serialize_with = "optional_text")]
    pub value: Option<Money>,
}

/// What the account was and is worth, in one asset.
#[derive(Debug, Clone, Serialize)]
pub struct Equity {
    /// In which.
    pub quote: Asset,
    /// At the start, at first prices.
    #[serde(serialize_with = "text")]
    pub start: Money,
    /// At the end, at last prices.
    #[serde(serialize_with = "text")]
    pub end: Money,
    /// What it held at the start, at last prices: the end without any trade.
    #[serde(serialize_with = "text")]
    pub held: Money,
    /// `end` less `held`: what the trades came to, after fees.
    #[serde(serialize_with = "text")]
    pub pnl: Money,
    /// All fees at last prices.
    #[serde(serialize_with = "text")]
    pub fees: Money,
    /// `end` less `start`, as a fraction of `start`.
    #[serde(rename = "return", serialize_with = "optional_text")]
    pub change: Option<Qty>,
    /// The deepest fall from a peak.
    pub drawdown: Fall,
}

/// The deepest fall of the equity from a peak.
#[derive(Debug, Clone, Serialize)]
pub struct Fall {
    /// How deep.
    #[serde(serialize_with = "text")]
    pub amount: Money,
    /// As a fraction of the peak.
    #[serde(serialize_with = "optional_text")]
    pub fraction: Option<Qty>,
    /// From when.
    pub peak_ts_ns: Option<TsNs>,
    /// Until when.
    pub trough_ts_ns: Option<TsNs>,
}

fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn optional_text<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl Orders {
    /// How the orders of an engine stand.
    pub(super) fn of(engine: &Engine) -> Orders {
        let mut orders = Orders {
            total: 0,
            by_status: BTreeMap::new(),
            by_reason: BTreeMap::new(),
            open: Vec::new(),
        };
        for order in engine.state().orders() {
            orders.total += 1;
            match order.status.filter(|status| status.is_final()) {
                Some(status) => *orders.by_status.entry(status.as_str()).or_default() += 1,
                None => orders.open.push(OpenOrder {
                    client_order_id: order.client_order_id(),
                    symbol: order.request.symbol,
                    side: order.request.side,
                    status: order.status,
                    qty: order.qty,
                    executed_qty: order.executed_qty,
                    price: order.price,
                }),
            }
            if !order.reason.is_empty() {
                *orders.by_reason.entry(order.reason.to_string()).or_default() += 1;
            }
        }
        orders
    }
}

impl Pair {
    /// The pairs of which anything was traded.
    pub(super) fn all(tally: &Tally) -> Vec<Pair> {
        let traded = tally.pairs.iter().filter(|pair| pair.makers + pair.takers > 0);
        let told = traded.map(|pair| Pair {
            symbol: pair.symbol,
            quote: pair.quote,
            fills: pair.makers + pair.takers,
            maker: pair.makers,
            taker: pair.takers,
            bought: pair.bought,
            sold: pair.sold,
            volume: pair.volume,
            position: pair.position(),
            last: pair.last,
            realised: pair.realised,
            unrealised: pair.unrealised(),
        });
        told.collect()
    }
}

impl Holdings {
    /// The assets of which there is or was anything.
    pub(super) fn all(tally: &Tally) -> Vec<Holdings> {
        let fees = |asset: &Asset| tally.fees.get(asset).copied().unwrap_or_default();
        let told = tally.holdings.iter().map(|holding| Holdings {
            asset: holding.asset,
            start: holding.start,
            end: holding.now,
            fees: fees(&holding.asset),
            price: holding.last(),
            value: tally.worth_of(holding.asset, holding.now),
        });
        let any = |h: &Holdings| !(h.start.is_zero() && h.end.is_zero() && h.fees.is_zero());
        told.filter(any).collect()
    }
}

impl Equity {
    /// What the account came to.
    pub(super) fn of(tally: &Tally) -> Equity {
        let start = tally.worth(|holding| holding.start, Holding::first);
        let end = tally.worth(|holding| holding.now, Holding::last);
        let held = tally.worth(|holding| holding.start, Holding::last);
        let fees = tally.fees.iter().filter_map(|(asset, fee)| tally.worth_of(*asset, *fee));
        let fall = tally.drawdown;
        let any = !fall.amount.is_zero();
        Equity {
            quote: tally.quote,
            start,
            end,
            held,
            pnl: end.saturating_sub(held),
            fees: fees.fold(Money::ZERO, Money::saturating_add),
            change: fraction(end.saturating_sub(start), start),
            drawdown: Fall {
                amount: fall.amount,
                fraction: fraction(fall.amount, fall.peak),
                peak_ts_ns: any.then_some(fall.peak_ts_ns),
                trough_ts_ns: any.then_some(fall.trough_ts_ns),
            },
        }
    }
}

/// `part / whole` at 8 decimals, towards zero; none of nothing, or out of range.
fn fraction(part: Money, whole: Money) -> Option<Qty> {
    const ONE: i128 = 100_000_000;
    let raw = match part.raw().checked_mul(ONE) {
        Some(product) => product.checked_div(whole.raw()),
        None => part.raw().checked_div(whole.raw() / ONE),
    };
    raw.and_then(|raw| i64::try_from(raw).ok()).map(Qty::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions() {
        let check = |part: &str, whole: &str, wanted: Option<&str>| {
            let money = |text: &str| Money::parse(text).unwrap();
            let got = fraction(money(part), money(whole)).map(|fraction| fraction.to_string());
            assert_eq!(got.as_deref(), wanted, "{part} / {whole}");
        };
        check("1", "3", Some("0.33333333"));
        check("-2", "3", Some("-0.66666666"));
        check("0", "5", Some("0.0"));
        check("1", "0", None);
        check("300000000000000000000", "400000000000000000000", Some("0.75"));
    }
}
