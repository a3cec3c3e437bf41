//! What the limits in front of every venue need to know of the past.

use serde::{Deserialize, Serialize};

use super::State;
use super::index::OpenOrders;
use crate::event::Balance;
use crate::instrument::Instrument;
use crate::limits;
use crate::order::Order;
use crate::types::{Asset, Money, Price, Qty, Symbol, TsNs};

/// A second, in nanoseconds.
const SECOND_NS: TsNs = 1_000_000_000;
/// A day, in nanoseconds.
const DAY_NS: TsNs = 86_400 * SECOND_NS;

/// What the account was worth when a UTC day began, or when a limit of its loss was set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayStart {
    /// Days since the Unix epoch.
    pub day: i64,
    /// By the asset that it is measured in.
    pub worth: Vec<(Asset, Money)>,
    /// What was held then of the base of instruments that had no price yet: their first price tells what it
    /// was worth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<(Symbol, Money)>,
    /// The instruments by which it was measured; not known of a log of before that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marked: Option<Vec<Marked>>,
}

/// An instrument by whose price a part of the account is valued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// Its name.
    pub symbol: Symbol,
    /// What is valued.
    pub base: Asset,
    /// In what.
    pub quote: Asset,
}

impl Marked {
    /// By this one.
    pub(crate) const fn by(instrument: &Instrument) -> Marked {
        Marked { symbol: instrument.symbol, base: instrument.base, quote: instrument.quote }
    }
}

impl DayStart {
    /// The day of a time.
    pub(crate) const fn day_of(ts: TsNs) -> i64 {
        ts.div_euclid(DAY_NS)
    }

    /// When the day is over.
    pub(crate) const fn end_ns(&self) -> TsNs {
        self.day.saturating_add(1).saturating_mul(DAY_NS)
    }

    /// What the account was worth in that asset.
    pub(crate) fn worth_in(&self, asset: &Asset) -> Option<Money> {
        self.worth.iter().find(|(known, _)| known == asset).map(|(_, worth)| *worth)
    }
}

impl State {
    /// What one order comes to at the most: what it is, or what an amendment on its way makes of it.
    pub(crate) fn most_of(&self, order: &Order) -> OpenOrders {
        self.index.amends.most(order)
    }

    /// The largest quantity and the highest limit that an order may have when what is sent now is at its venue.
    pub(crate) fn largest_of(&self, order: &Order) -> (Qty, Option<Price>) {
        self.index.amends.largest(order)
    }

    /// What the open orders of an instrument come to.
    pub(crate) fn open_of(&self, symbol: &Symbol) -> OpenOrders {
        let pair = self.index.pairs.get(symbol);
        pair.and_then(|pair| self.index.open_of_pair.get(pair)).copied().unwrap_or_default()
    }

    /// What the account has of an asset, locked or not.
    pub(crate) fn held(&self, asset: Asset) -> Money {
        let balances = self.data.ledger.balances();
        let total = |balance: &Balance| balance.free.saturating_add(balance.locked);
        balances.iter().find(|balance| balance.asset == asset).map(total).unwrap_or_default()
    }

    /// What the open BUY orders would bring of an asset.
    pub(crate) fn bought_of(&self, asset: Asset) -> Money {
        let Some(base) = self.data.ledger.find(&asset) else { return Money::ZERO };
        let pairs = self.data.pairs.iter().zip(&self.index.open_of_pair);
        let bought = pairs.filter(|(pair, _)| pair.base == base).map(|(_, open)| open.bought);
        bought.fold(Money::ZERO, Money::saturating_add)
    }

    /// How many orders were sent within the second before `ts`.
    pub(crate) fn sent_within_second(&self, ts: TsNs) -> usize {
        let after = ts.saturating_sub(SECOND_NS);
        self.data.sent.iter().rev().take_while(|sent| **sent > after).count()
    }

    /// How the day began.
    pub(crate) fn day_start(&self) -> &DayStart {
        &self.data.day_start
    }

    pub(super) fn note_sent(&mut self, ts: TsNs) {
        let before = ts.saturating_sub(SECOND_NS);
        while self.data.sent.front().is_some_and(|sent| *sent <= before)
            || self.data.sent.len() >= limits::ORDERS_PER_SECOND_COUNT
        {
            self.data.sent.pop_front();
        }
        self.data.sent.push_back(ts);
    }
}
