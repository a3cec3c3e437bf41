//! The state: all that a restart needs, and nothing else.
//!
//! Contract: only [`State::apply_event`] and [`State::apply_fact`] change it, and replaying a log is those
//! two and nothing else: within a record the facts first, then the events. Both are total: what makes no
//! sense changes nothing. The same state serializes to the same bytes.
//!
//! Closed orders stay, because an id is never free again: in memory, or in an archive.

mod ahead;
mod amends;
mod archive;
mod fact;
mod index;
mod orders;
mod recent;
mod risk;
mod venue;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use index::Index;
use orders::Orders;
use recent::Recent;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use venue::VenueSide;

pub use archive::{
    ArchivedOrders, ORDER_RECORD_BYTES, OrderArchive, OrderRecord, OrderSink, SnapshotError,
};
pub use fact::{Fact, facts_from_json, facts_to_json};
pub(crate) use index::OpenOrders;
pub use orders::OrderRef;
pub use risk::{DayStart, Marked};
pub(crate) use venue::Report;
pub use venue::{AtVenue, VenueMail};

use crate::event::{Account, Event, Fill, Market, OrderState, OrderUpdate};
use crate::input::{NewOrder, RiskSettings};
use crate::ledger::{AssetIndex, Ledger};
use crate::order::{FirstAnswer, Order, OrderStatus, Trade};
use crate::risk::Reason;
use crate::sim::OrderKey;
use crate::types::{Asset, ClientOrderId, EventId, Money, Qty, Side, Symbol, Text, TsNs};

/// All that a restart needs.
#[derive(Debug, Clone, Default)]
pub struct State {
    data: Data,
    index: Index,
}

/// What is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Data {
    last_event_id: EventId,
    last_ts_ns: TsNs,
    last_venue_order_id: u64,
    last_trade_id: u64,
    risk: RiskSettings,
    /// When the last orders were sent, of a second at most.
    #[serde(default)]
    sent: VecDeque<TsNs>,
    #[serde(default)]
    day_start: DayStart,
    ledger: Ledger,
    pairs: Vec<Pair>,
    markets: Vec<Market>,
    source: Text,
    positions: BTreeMap<Symbol, u64>,
    orders: Orders,
    /// Open orders that an external venue is to take back, and has not said yet what became of that.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    cancels: BTreeSet<ClientOrderId>,
    recent: Recent,
    /// The built-in venue, while it is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    venue: Option<Box<VenueSide>>,
}

/// The assets of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    symbol: Symbol,
    base: AssetIndex,
    quote: AssetIndex,
}

impl Pair {
    /// The asset that an order of that side locks.
    const fn paid(self, side: Side) -> AssetIndex {
        match side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }
}

impl State {
    /// Takes an event of the log, numbered `id`.
    pub fn apply_event(&mut self, id: EventId, event: &Event) {
        let key = event.client_order_id().and_then(|name| self.order_key(&name));
        self.apply_event_of(key, id, event);
    }

    /// The same of an event about the order of that key, or about none: for who knows it without its name.
    #[inline(always)]
    pub(crate) fn apply_event_of(&mut self, key: Option<OrderKey>, id: EventId, event: &Event) {
        self.data.last_event_id = id;
        match event {
            Event::Market(market) => {
                self.apply_market(market);
                if let Some(venue) = self.venue_mut() {
                    venue.apply_market(market);
                }
            }
            Event::OrderUpdate(update) => self.apply_order_update(key, id, update),
            Event::Fill(fill) => self.apply_fill(key, id, fill),
            Event::OrderState(state) => self.apply_order_state(key, state),
            Event::Account(account) => {
                self.apply_account(account);
                // What a log begins with is what its venue begins with; from there on it has its own account.
                if let Some(venue) = self.venue_mut().filter(|_| id == 1) {
                    venue.state.apply_account(account);
                }
            }
            Event::Error(error) => self.seen_at(error.ts_ns),
        }
    }

    /// Takes an `account` event that tells what the ledger holds: only its number and its time are news.
    pub(crate) fn told_account(&mut self, id: EventId, ts_ns: TsNs) {
        self.data.last_event_id = id;
        self.seen_at(ts_ns);
    }

    /// Takes the number of a `market` event that a later one of its instrument makes void.
    pub fn pass_over(&mut self, id: EventId) {
        self.data.last_event_id = id;
    }

    /// Takes a fact of the log.
    pub fn apply_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Pair { symbol, base, quote } => {
                let (base, quote) =
                    (self.data.ledger.index_of(*base), self.data.ledger.index_of(*quote));
                self.index.pairs.insert(*symbol, self.data.pairs.len());
                self.data.pairs.push(Pair { symbol: *symbol, base, quote });
                self.index.open_of_pair.push(OpenOrders::default());
            }
            Fact::Intent { order, qty, lock, external, sent_ts_ns } => {
                if let Some(sent) = sent_ts_ns {
                    self.note_sent(*sent);
                }
                self.apply_intent(order, qty.unwrap_or(order.qty), *lock, *external);
            }
            Fact::Sent { client_order_id, ts_ns } => {
                if let Some(order) = self.order_mut(client_order_id) {
                    order.sent_ts_ns = Some(*ts_ns);
                }
            }
            Fact::Adopted { client_order_id } => {
                if let Some(order) = self.order_mut(client_order_id) {
                    order.adopted = true;
                }
            }
            Fact::Doubt { client_order_id, unknown } => {
                if let Some(order) = self.order_mut(client_order_id) {
                    let reason = if *unknown { Reason::UnknownOutcome.as_str() } else { "" };
                    order.reason = Text::Borrowed(reason);
                }
            }
            Fact::Cancel { client_order_id, wanted } => self.apply_cancel(client_order_id, *wanted),
            Fact::Presumed { client_order_id, trade_id, qty, price } => {
                if let Some(order) = self.order_mut(client_order_id) {
                    order.trades.push(Trade { id: *trade_id, qty: *qty, price: *price });
                }
            }
            Fact::Triggered { client_order_id, ts_ns, queued_at, lock } => {
                self.change(client_order_id, |order| {
                    (order.triggered, order.queued_at) = (true, *queued_at);
                    order.last_ts_ns = *ts_ns;
                });
                if let Some(lock) = lock {
                    self.lock_anew(client_order_id, *lock);
                }
                self.seen_at(*ts_ns);
            }
            Fact::Amended { .. } => self.apply_amended(fact),
            Fact::Risk(settings) => self.data.risk = settings.clone(),
            Fact::Day(start) => self.data.day_start = start.clone(),
            Fact::Source(name) => {
                self.data.source = name.clone();
                self.data.positions.clear();
            }
            Fact::Position { symbol, position } => {
                self.data.positions.insert(*symbol, *position);
            }
            Fact::Sized { .. }
            | Fact::VenueAway
            | Fact::Left { .. }
            | Fact::AtVenue(_)
            | Fact::Reported => self.apply_venue_fact(fact),
        }
    }

    /// The market source that the positions are of; empty before the first.
    pub fn source(&self) -> &str {
        &self.data.source
    }

    /// The order of that name, open or closed.
    pub fn order(&self, id: &ClientOrderId) -> Option<OrderRef<'_>> {
        self.order_key(id).and_then(|key| self.data.orders.get(key))
    }

    /// Every order in the order of creation, closed ones too.
    pub fn orders(&self) -> impl Iterator<Item = OrderRef<'_>> {
        self.data.orders.iter()
    }

    /// The same from position `from` on, each with its position.
    pub fn orders_from(&self, from: usize) -> impl Iterator<Item = (usize, OrderRef<'_>)> {
        (from..).zip(self.data.orders.iter_from(from))
    }

    /// The open orders, in the order of creation.
    pub fn open_orders(&self) -> impl Iterator<Item = OrderRef<'_>> {
        self.index.open.iter().filter_map(|key| self.data.orders.get(key))
    }

    /// The open orders from position `from` of the order of creation on, each with its position.
    pub fn open_orders_from(&self, from: usize) -> impl Iterator<Item = (usize, OrderRef<'_>)> {
        let open = self.index.open.iter_from(from);
        open.filter_map(|key| Some((key, self.data.orders.get(key)?)))
    }

    /// The open orders that an external venue is to take back, and has not said yet what became of that.
    pub fn cancels(&self) -> &BTreeSet<ClientOrderId> {
        &self.data.cancels
    }

    /// How many orders are open.
    pub fn open_order_count(&self) -> usize {
        self.index.open.len()
    }

    /// Every balance.
    pub fn account(&self) -> Account {
        Account { ts_ns: self.data.last_ts_ns, balances: self.data.ledger.balances().to_vec() }
    }

    /// The last `market` event of an instrument.
    pub fn market(&self, symbol: &Symbol) -> Option<&Market> {
        self.index.markets.get(symbol).and_then(|index| self.data.markets.get(index))
    }

    /// The last `market` event of each instrument.
    pub fn markets(&self) -> impl Iterator<Item = &Market> {
        self.data.markets.iter()
    }

    /// The last `order_update` and `fill` events, oldest first: [`crate::limits::RECENT_ORDER_EVENTS_COUNT`].
    pub fn recent_order_events(&self) -> impl DoubleEndedIterator<Item = (EventId, Event)> {
        self.data.recent.iter()
    }

    /// The number of the last event; 0 before the first.
    pub fn last_event_id(&self) -> EventId {
        self.data.last_event_id
    }

    /// The latest time of an event that is not the market's.
    pub fn last_ts_ns(&self) -> TsNs {
        self.data.last_ts_ns
    }

    /// The risk settings.
    pub fn risk(&self) -> &RiskSettings {
        &self.data.risk
    }

    /// How far the market source was, of whatever instrument it spoke last.
    pub fn last_position(&self) -> Option<u64> {
        self.data.positions.values().copied().max()
    }

    /// How far the market source of an instrument was.
    pub fn position(&self, symbol: &Symbol) -> Option<u64> {
        self.data.positions.get(symbol).copied()
    }
}

/// For the engine.
impl State {
    #[inline]
    pub(crate) fn order_key(&self, id: &ClientOrderId) -> Option<OrderKey> {
        let last = self.index.last_looked_up.get();
        if self.data.orders.is_known_as(last, id) { Some(last) } else { self.look_up(id) }
    }

    #[inline(never)]
    fn look_up(&self, id: &ClientOrderId) -> Option<OrderKey> {
        let met = self.index.met.get();
        if let Some(&key) = self.index.expected.get(met)
            && self.data.orders.is_known_as(key, id)
        {
            self.index.met.set(met + 1);
            self.index.last_looked_up.set(key);
            return Some(key);
        }
        if self.index.missed(id).is_some() {
            return None;
        }
        let hash = Index::hash_of(id);
        let key = self.index.order_key(hash, |key| self.data.orders.is_named(key, id));
        match key {
            Some(key) => self.index.last_looked_up.set(key),
            None => self.index.last_missed.set(Some((*id, hash))),
        }
        key
    }

    /// The order of that key, to work with.
    #[inline]
    pub(crate) fn order_at(&mut self, key: OrderKey) -> Option<&Order> {
        self.data.orders.ready(key)
    }

    pub(crate) fn open_keyed(&self) -> impl Iterator<Item = (OrderKey, OrderRef<'_>)> {
        self.open_orders_from(0)
    }

    /// The open orders that stand until `ts` at most, the earliest first.
    pub(crate) fn expired_by(&self, ts: TsNs) -> impl Iterator<Item = usize> {
        self.index.expiring.range(..=(ts, usize::MAX)).map(|&(_, key)| key)
    }

    /// The base and the quote asset that a symbol's orders are booked in; `None` before its first order.
    pub fn assets_of(&self, symbol: &Symbol) -> Option<(Asset, Asset)> {
        let pair = self.data.pairs.get(self.index.pairs.get(symbol)?)?;
        let asset = |index: AssetIndex| Some(self.ledger().balances().get(index)?.asset);
        Some((asset(pair.base)?, asset(pair.quote)?))
    }

    pub(crate) fn has_pair(&self, symbol: &Symbol) -> bool {
        self.index.pairs.get(symbol).is_some()
    }

    pub(crate) fn free(&self, asset: &Asset) -> Money {
        let ledger = &self.data.ledger;
        ledger.find(asset).map(|index| ledger.free(index)).unwrap_or_default()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.data.ledger
    }

    pub(crate) fn clear_changes(&mut self) {
        self.data.ledger.clear_changes();
    }

    pub(crate) fn next_venue_order_id(&self) -> u64 {
        self.data.last_venue_order_id + 1
    }

    pub(crate) fn next_trade_id(&self) -> u64 {
        self.data.last_trade_id + 1
    }

    /// What each asset must have locked, by the orders that are open.
    pub(crate) fn locks_needed(&self) -> Vec<(Asset, Money)> {
        let balances = self.data.ledger.balances();
        let mut needed: Vec<_> = balances.iter().map(|b| (b.asset, Money::ZERO)).collect();
        for order in self.data.orders.iter() {
            let Some(pair) = self.data.pairs.get(order.pair) else { continue };
            let lock = if order.price.is_some() || order.request.side == Side::Sell {
                let lock = order.lock_after(order.remaining(), Money::ZERO);
                let other = order.request.oco_with.filter(|_| order.is_dormant());
                let other = other.and_then(|id| self.order(&id)).map(|other| other.locked);
                lock.saturating_sub(other.unwrap_or_default()).max(Money::ZERO)
            } else {
                order.locked
            };
            if let Some((_, sum)) = needed.get_mut(pair.paid(order.request.side)) {
                *sum = sum.saturating_add(lock);
            }
        }
        needed
    }
}

impl State {
    fn seen_at(&mut self, ts_ns: TsNs) {
        self.data.last_ts_ns = self.data.last_ts_ns.max(ts_ns);
    }

    fn apply_account(&mut self, account: &Account) {
        self.seen_at(account.ts_ns);
        for balance in &account.balances {
            self.data.ledger.set(balance);
        }
    }

    fn apply_amended(&mut self, fact: &Fact) {
        let Fact::Amended { client_order_id, qty, price, lock, ts_ns, queued_at } = fact else {
            return;
        };
        self.change(client_order_id, |order| {
            (order.qty, order.price) = (*qty, *price);
            (order.last_ts_ns, order.queued_at) = (*ts_ns, *queued_at);
        });
        // Of a venue that is away it counted when it was sent.
        let is_away = self.data.venue.is_some();
        if self.data.risk.max_orders_per_second.is_some() && !is_away {
            self.note_sent(*ts_ns);
        }
        self.lock_anew(client_order_id, *lock);
        self.seen_at(*ts_ns);
    }

    fn apply_cancel(&mut self, id: &ClientOrderId, wanted: bool) {
        if wanted && self.order(id).is_some_and(|order| order.is_open()) {
            self.data.cancels.insert(*id);
        } else {
            self.data.cancels.remove(id);
        }
    }

    fn apply_market(&mut self, market: &Market) {
        let known = self.index.markets.get(&market.symbol);
        if let Some(slot) = known.and_then(|index| self.data.markets.get_mut(index)) {
            slot.clone_from(market);
        } else {
            self.index.markets.insert(market.symbol, self.data.markets.len());
            self.data.markets.push(market.clone());
        }
    }

    /// Changes an order, and what its pair's open orders come to.
    fn change(&mut self, id: &ClientOrderId, f: impl FnOnce(&mut Order)) {
        let key = self.order_key(id);
        let Some(order) = key.and_then(|key| self.data.orders.get_mut(key)) else { return };
        let before = self.index.amends.most(order);
        f(order);
        let (pair, now) = (order.pair, self.index.amends.most(order));
        self.index.changed(pair, before, now);
    }

    fn order_mut(&mut self, id: &ClientOrderId) -> Option<&mut Order> {
        self.order_key(id).and_then(|key| self.data.orders.get_mut(key))
    }

    fn lock_anew(&mut self, id: &ClientOrderId, lock: Money) {
        let Some(order) = self.order_mut(id) else { return };
        let old = std::mem::replace(&mut order.locked, lock);
        let (side, pair) = (order.request.side, order.pair);
        let Some(&pair) = self.data.pairs.get(pair) else { return };
        self.data.ledger.release(pair.paid(side), old);
        self.data.ledger.lock(pair.paid(side), lock);
    }

    fn apply_intent(&mut self, request: &NewOrder, qty: Qty, lock: Money, external: bool) {
        let Some(pair) = self.index.pairs.get(&request.symbol) else { return };
        let Some(assets) = self.data.pairs.get(pair) else { return };
        let key = self.data.orders.len();
        let id = &request.client_order_id;
        // The engine has just looked it up, as a rule, and found none.
        let hash = match self.index.missed(id) {
            Some(hash) => hash,
            None if self.order_key(id).is_none() => Index::hash_of(id),
            None => return,
        };
        if !self.index.insert(hash, key) {
            return;
        }
        self.index.last_looked_up.set(key);
        if !lock.is_zero() {
            self.data.ledger.lock(assets.paid(request.side), lock);
        }
        self.index.open.insert(key);
        if let Some(at) = request.expire_ts_ns {
            self.index.expiring.insert((at, key));
        }
        let (last_ts_ns, queued_at) = (self.data.last_ts_ns, self.data.last_event_id);
        let Some(order) = self.data.orders.push_new(request) else { return };
        (order.qty, order.locked, order.external) = (qty, lock, external);
        (order.last_ts_ns, order.queued_at, order.pair) = (last_ts_ns, queued_at, pair);
        let open = OpenOrders::of(order);
        self.index.changed(pair, OpenOrders::default(), open);
    }

    fn apply_order_update(&mut self, key: Option<OrderKey>, id: EventId, update: &OrderUpdate) {
        self.seen_at(update.ts_ns);
        self.data.recent.update(id, update);
        let Some(key) = key else { return };
        let Some(order) = self.data.orders.get_mut(key) else { return };
        order.last_ts_ns = update.ts_ns;
        // Of an order that stays open, what it comes to changes with what is executed, not with its status.
        let counts = update.status.is_final() || order.status.is_some_and(OrderStatus::is_final);
        let before = counts.then(|| self.index.amends.most(order));
        order.status = Some(update.status);
        if let Some(before) = before {
            self.index.changed(order.pair, before, self.index.amends.most(order));
        }
        if let Some(reason) = &update.reason {
            order.reason.clone_from(reason);
        }
        if let Some(venue_order_id) = update.venue_order_id {
            order.venue_order_id = Some(venue_order_id);
            if update.status == OrderStatus::Accepted && !order.external {
                let number = venue_order_id.number().unwrap_or_default();
                self.data.last_venue_order_id = self.data.last_venue_order_id.max(number);
            }
        }
        if update.status.is_final() {
            self.index.open.remove(key);
            self.data.cancels.remove(&update.client_order_id);
            if let Some(at) = order.request.expire_ts_ns {
                self.index.expiring.remove(&(at, key));
            }
            let released = std::mem::take(&mut order.locked);
            if let Some(pair) = self.data.pairs.get(order.pair)
                && !released.is_zero()
            {
                self.data.ledger.release(pair.paid(order.request.side), released);
            }
        }
    }

    fn apply_fill(&mut self, key: Option<OrderKey>, id: EventId, fill: &Fill) {
        self.seen_at(fill.ts_ns);
        self.data.recent.fill(id, fill);
        let Some(order) = key.and_then(|key| self.data.orders.get_mut(key)) else { return };
        let cost = Money::notional(fill.price, fill.qty);
        let before = self.index.amends.most(order);
        order.executed_qty = order.executed_qty.saturating_add(fill.qty);
        self.index.changed(order.pair, before, self.index.amends.most(order));
        order.cum_quote = order.cum_quote.saturating_add(cost);
        order.last_ts_ns = fill.ts_ns;
        if let Some(trade_id) = fill.trade_id {
            let known = |order: &Order| order.trades.iter().any(|trade| trade.id == trade_id);
            if order.external {
                // What is presumed is proven later; what was presumed in part is known by its fact.
                if !fill.reconciled && !known(order) {
                    order.trades.push(Trade { id: trade_id, qty: fill.qty, price: fill.price });
                }
            } else {
                self.data.last_trade_id = self.data.last_trade_id.max(trade_id);
            }
        }
        let lock = order.lock_after(order.remaining(), cost);
        let released = order.locked.saturating_sub(lock);
        order.locked = lock;
        let (side, pair) = (order.request.side, order.pair);
        let Some(&pair) = self.data.pairs.get(pair) else { return };
        self.data.ledger.release(pair.paid(side), released);
        let (paid, received, income) = match side {
            Side::Buy => (cost, pair.base, fill.qty.into()),
            Side::Sell => (fill.qty.into(), pair.quote, cost),
        };
        self.data.ledger.debit(pair.paid(side), paid);
        self.data.ledger.credit(received, income);
        if let (Some(fee), Some(asset)) = (fill.fee, fill.fee_asset) {
            let index = self.data.ledger.index_of(asset);
            self.data.ledger.debit(index, fee);
        }
    }

    fn apply_order_state(&mut self, key: Option<OrderKey>, state: &OrderState) {
        self.seen_at(state.last_ts_ns);
        let Some(order) = key.and_then(|key| self.data.orders.get_mut(key)) else { return };
        if let (None, Some(status)) = (&order.first, state.status) {
            order.first = Some(FirstAnswer {
                status,
                executed_qty: state.executed_qty,
                reason: order.reason.clone(),
            });
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(ser)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<State, D::Error> {
        let data = Data::deserialize(de)?;
        if data.orders.archived_count() > 0 {
            return Err(serde::de::Error::custom("some of its orders are in an archive"));
        }
        Ok(State { index: Index::of(&data, &[]), data })
    }
}
