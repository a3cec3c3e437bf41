//! The risk settings, the day and its loss, and what the kill switch does to orders that wait.
//!
//! Contract: the loss of a day is what the account was worth when the UTC day began (at the first input of
//! it, or when the limit was set) less what it is worth now, measured in one asset: what it has of that
//! asset, and of every other asset that an instrument here trades against it, at the last market price of
//! that instrument. Assets without such a price count nothing on both sides: what was held of one when the
//! day began is counted there at its first price. Where other instruments are traded than in the run before,
//! the day began with those, and what was lost stays what it was. So it holds what was realized, fees, and what
//! is held, marked to the market. Once it has reached the limit only what is held can be sold, until the next
//! day.
//!
//! Stops do not wake into a market that takes no such order: while HALTED none does, while REDUCE_ONLY or
//! after the loss of a day no BUY. They stay dormant, and wake on resuming if the last price still is
//! beyond their stop, else when it comes there again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Engine, Step, Venue};
use crate::input::{Answer, AssetLimits, Refusal, RiskChange, TradingState, bad};
use crate::instrument::Instrument;
use crate::limits;
use crate::risk::Reason;
use crate::state::{AtVenue, DayStart, Fact, Marked};
use crate::types::{Asset, Money, Price, Qty, Symbol, TsNs};

/// How much of each limit is used now, as the checks in front of an order count it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskUse {
    /// Orders open now.
    pub open_orders: usize,
    /// Orders sent within the second before the newest event; 0 while they are not limited.
    pub orders_last_second: usize,
    /// What the open orders of each symbol come to, in its quote asset; without symbols that have none.
    pub symbol_notional: BTreeMap<Symbol, Money>,
    /// What is held and what open BUY orders would bring, of each asset whose position is limited.
    pub position: BTreeMap<Asset, Money>,
    /// What the day has lost, of each asset in which that is limited; below 0 for what it has gained.
    pub daily_loss: BTreeMap<Asset, Money>,
}

impl Engine {
    /// How much of each limit is used now.
    pub fn risk_use(&self) -> RiskUse {
        let (state, settings) = (&self.state, self.state.risk());
        let of_symbol = |symbol| (symbol, state.open_of(&symbol).notional);
        let position = |asset| state.held(asset).saturating_add(state.bought_of(asset));
        let symbols = self.instruments.iter().map(|instrument| instrument.symbol);
        RiskUse {
            open_orders: state.open_order_count(),
            orders_last_second: match settings.max_orders_per_second {
                Some(_) => state.sent_within_second(state.last_ts_ns()),
                None => 0,
            },
            symbol_notional: symbols.map(of_symbol).filter(|(_, worth)| !worth.is_zero()).collect(),
            position: settings
                .max_position
                .keys()
                .map(|asset| (*asset, position(*asset)))
                .collect(),
            daily_loss: settings
                .max_daily_loss
                .keys()
                .filter_map(|asset| self.loss_of(*asset))
                .collect(),
        }
    }

    #[inline(never)]
    pub(super) fn change_risk(
        &mut self,
        ts: TsNs,
        change: &RiskChange,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        in_domain(change)?;
        self.knows_the_assets(change)?;
        let before = self.state.risk().clone();
        let mut settings = before.clone();
        settings.state = change.state.unwrap_or(settings.state);
        if let Some(most) = change.max_order_notional {
            settings.max_order_notional = most;
        }
        if let Some(most) = change.max_symbol_notional {
            settings.max_symbol_notional = most;
        }
        if let Some(collar) = change.price_collar {
            settings.price_collar = collar;
        }
        if let Some(most) = change.max_orders_per_second {
            settings.max_orders_per_second = most;
        }
        settings.max_open_orders = change.max_open_orders.unwrap_or(settings.max_open_orders);
        for (limits, changes) in [
            (&mut settings.max_position, &change.max_position),
            (&mut settings.max_daily_loss, &change.max_daily_loss),
        ] {
            match changes {
                None => {}
                Some(None) => limits.clear(),
                Some(Some(changes)) => {
                    limits.extend(
                        changes.iter().filter_map(|(asset, most)| Some((*asset, (*most)?))),
                    );
                    limits.retain(|asset, _| !matches!(changes.get(asset), Some(None)));
                }
            }
        }
        if settings != before {
            self.tell(Fact::Risk(settings.clone()), step);
            self.begin_day(ts, step);
        }
        if change.cancel_all {
            self.cancel_all(ts, None, step);
        }
        match self.venue {
            Venue::Simulated if self.away.is_some() => self.send_risk(ts, &before, step),
            Venue::Simulated => self.wake_all(ts, step),
            Venue::External => {}
        }
        Ok(Answer::Risk(Box::new(settings)))
    }

    /// Refuses a limit of an asset that is not held and in no pair: a name that was mistyped would limit nothing.
    fn knows_the_assets(&self, change: &RiskChange) -> Result<(), Refusal> {
        let held = self.state.account().balances;
        let is_known = |asset: &Asset| {
            held.iter().any(|balance| balance.asset == *asset)
                || self.instruments.iter().any(|pair| pair.base == *asset || pair.quote == *asset)
        };
        for (field, limits) in
            [("max_position", &change.max_position), ("max_daily_loss", &change.max_daily_loss)]
        {
            let limits = limits.as_ref().and_then(Option::as_ref).into_iter().flatten();
            let mut set = limits.filter(|(_, most)| most.is_some()).map(|(asset, _)| asset);
            if let Some(asset) = set.find(|asset| !is_known(asset)) {
                return Err(bad(
                    field,
                    format!("{asset} is not held, and in no pair that is traded here"),
                ));
            }
        }
        Ok(())
    }

    /// Whether orders are taken now, and which.
    pub(super) fn trading_state(&self) -> TradingState {
        match self.state.risk().state {
            TradingState::Active if self.loss_is_reached() => TradingState::ReduceOnly,
            state => state,
        }
    }

    /// When an order counts as sent, as far as that is limited.
    pub(super) fn sent_at(&self, ts: TsNs, verdict: &Result<(), Reason>) -> Option<TsNs> {
        verdict.is_ok().then_some(ts).filter(|_| self.state.risk().max_orders_per_second.is_some())
    }

    /// Whether the day whose loss is limited is not the one that was begun.
    pub(super) fn day_is_over(&self, ts: TsNs) -> bool {
        !self.state.risk().max_daily_loss.is_empty()
            && self.state.day_start().day != DayStart::day_of(ts)
    }

    /// Notes what the account is worth, once a day for each limit of its loss.
    pub(super) fn begin_day(&mut self, ts: TsNs, step: &mut Step) {
        let day = DayStart::day_of(ts);
        let old = self.state.day_start();
        let known = |asset: &Asset| old.worth_in(asset).filter(|_| old.day == day);
        let limited = &self.state.risk().max_daily_loss;
        let worth: Vec<_> = limited
            .keys()
            .map(|asset| (*asset, known(asset).unwrap_or_else(|| self.worth_in(*asset))))
            .collect();
        let unpriced = self.instruments.iter().filter_map(|instrument| {
            let Instrument { symbol, base, quote, .. } = *instrument;
            limited.get(&quote)?;
            let held = match known(&quote) {
                Some(_) => old.unpriced.iter().find(|(known, _)| *known == symbol)?.1,
                None => self.state.market(&symbol).is_none().then(|| self.state.held(base))?,
            };
            (!held.is_zero()).then_some((symbol, held))
        });
        let marked = Some(self.marked());
        let start = DayStart { day, unpriced: unpriced.collect(), worth, marked };
        let is_limited = !start.worth.is_empty() || !old.worth.is_empty();
        if is_limited && start != *old {
            self.tell(Fact::Day(start), step);
        }
    }

    /// Has a day's beginning count the instruments that are traded in this run, here and at a venue that is away.
    pub(super) fn recount_days(&mut self, step: &mut Step) {
        self.recount_day(step);
        if self.there(Engine::recount_day).is_some() {
            self.note_there(self.state.last_ts_ns(), AtVenue::default(), step);
        }
    }

    /// What was lost stays what it was: the worth then changes by what the others are worth now, at their last price or,
    /// where there is none, at their first.
    fn recount_day(&mut self, step: &mut Step) {
        let (old, now) = (self.state.day_start(), self.marked());
        let Some(before) = old.marked.as_ref().filter(|before| **before != now) else { return };
        let mut start = old.clone();
        for (asset, worth) in &mut start.worth {
            let (now, before) = (now.iter().copied(), before.iter().copied());
            let (now, before) = (self.worth_by(now, *asset), self.worth_by(before, *asset));
            *worth = worth.saturating_add(now).saturating_sub(before);
        }
        start.unpriced.retain(|(symbol, _)| now.iter().any(|mark| mark.symbol == *symbol));
        for mark in now.iter().filter(|mark| !before.contains(mark)) {
            let held = self.state.held(mark.base);
            if self.state.market(&mark.symbol).is_none() && !held.is_zero() {
                start.unpriced.push((mark.symbol, held));
            }
        }
        start.marked = Some(now);
        self.tell(Fact::Day(start), step);
    }

    /// The instruments by which the account is valued, as far as a limit asks for it.
    fn marked(&self) -> Vec<Marked> {
        let limited = &self.state.risk().max_daily_loss;
        let marked = self.instruments.iter().map(Marked::by);
        marked.filter(|mark| limited.contains_key(&mark.quote)).collect()
    }

    /// An instrument has a price. If it is its first, what was held of it when the day began was worth that.
    pub(super) fn price_day(&mut self, index: usize, price: Price, step: &mut Step) {
        let old = self.state.day_start();
        let Some(instrument) = self.instruments.get(index) else { return };
        let first = old.unpriced.iter().position(|(symbol, _)| *symbol == instrument.symbol);
        let Some(first) = first else { return };
        let mut start = old.clone();
        let (_, held) = start.unpriced.swap_remove(first);
        let of_quote = start.worth.iter_mut().find(|(asset, _)| *asset == instrument.quote);
        if let Some((_, worth)) = of_quote {
            *worth = worth.saturating_add(Money::valued(held, price));
        }
        self.tell(Fact::Day(start), step);
    }

    pub(super) fn loss_is_reached(&self) -> bool {
        let limits = &self.state.risk().max_daily_loss;
        limits
            .iter()
            .any(|(asset, most)| self.loss_of(*asset).is_some_and(|(_, loss)| loss >= *most))
    }

    /// What the day has lost, measured in an asset, if that is limited.
    fn loss_of(&self, asset: Asset) -> Option<(Asset, Money)> {
        let then = self.state.day_start().worth_in(&asset)?;
        Some((asset, then.saturating_sub(self.worth_in(asset))))
    }

    /// What the account is worth in an asset.
    fn worth_in(&self, asset: Asset) -> Money {
        self.worth_by(self.instruments.iter().map(Marked::by), asset)
    }

    /// The same, as far as these instruments tell it.
    fn worth_by(&self, marked: impl Iterator<Item = Marked>, asset: Asset) -> Money {
        let marked = marked.filter(|mark| mark.quote == asset).filter_map(|mark| {
            let last = self.state.market(&mark.symbol)?.price;
            Some(Money::valued(self.state.held(mark.base), last))
        });
        marked.fold(self.state.held(asset), Money::saturating_add)
    }

    /// Wakes the stops that the last prices are beyond.
    fn wake_all(&mut self, ts: TsNs, step: &mut Step) {
        for index in 0..self.markets.len() {
            let symbol = self.instruments.get(index).map(|instrument| instrument.symbol);
            let last = symbol.and_then(|symbol| self.state.market(&symbol)).map(|m| m.price);
            if let Some(last) = last {
                self.wake(ts, index, last, step);
            }
        }
    }
}

/// What a change of the settings must and must not have.
fn in_domain(change: &RiskChange) -> Result<(), Refusal> {
    let negative = |field, value: String| bad(field, format!("{value} must not be below 0"));
    for (field, value) in [
        ("max_order_notional", change.max_order_notional),
        ("max_symbol_notional", change.max_symbol_notional),
    ] {
        if let Some(value) = value.flatten().filter(|value| *value < Money::ZERO) {
            return Err(negative(field, value.to_string()));
        }
    }
    if let Some(collar) = change.price_collar.flatten().filter(|collar| *collar < Qty::ZERO) {
        return Err(negative("price_collar", collar.to_string()));
    }
    for (field, limits) in
        [("max_position", &change.max_position), ("max_daily_loss", &change.max_daily_loss)]
    {
        let limits = limits.as_ref().and_then(Option::as_ref);
        let mut values = limits.into_iter().flat_map(AssetLimits::values).flatten();
        if let Some(value) = values.find(|value| **value < Money::ZERO) {
            return Err(negative(field, value.to_string()));
        }
    }
    let most = change.max_orders_per_second.flatten();
    let many =
        |most: &u32| usize::try_from(*most).is_ok_and(|n| n > limits::ORDERS_PER_SECOND_COUNT);
    match most.filter(many) {
        Some(most) => {
            let rule = format!("{most} must be {} at most", limits::ORDERS_PER_SECOND_COUNT);
            Err(bad("max_orders_per_second", rule))
        }
        None => Ok(()),
    }
}
