//! The engine: told one input at a time, it decides what happened and applies it.
//!
//! Contract: [`Engine::step`] is complete and deterministic: the same inputs at the same times give the
//! same steps. The [`State`] changes only by the events and facts that a step tells of, so that replaying
//! them gives the same state, byte for byte. On a refusal nothing has changed.
//!
//! Order within a step: the `market` event that caused it; for each order touched ACCEPTED if it is new,
//! each `fill`, one `order_update` with the state they lead to, `order_state`; last, one `account` with
//! the balances changed.
//!
//! The books and the places in the queue are not state: a market source tells them again. What it tells
//! a second time (its position says so) makes the book and fills nothing.

use rustc_hash::FxHashMap;

use crate::book::Book;
use crate::event::{Account, Balance, ErrorEvent, Event, Market};
use crate::input::{
    Answer, CancelOrder, Input, MarketBody, MarketData, NewOrder, Refusal, RiskChange,
};
use crate::instrument::Instrument;
use crate::order::{Order, OrderStatus, OrderType, TimeInForce};
use crate::risk::{self, Exposure, Reason};
use crate::sim::{OrderKey, SimMarket, SimReport};
use crate::state::{Fact, State};
use crate::types::{Asset, ClientOrderId, Money, Price, Side, Symbol, TsNs, VenueOrderId};

mod invariants;
mod reports;

/// Where orders go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Venue {
    /// The built-in simulated venue: what becomes of an order is known at once.
    #[default]
    Simulated,
    /// Somewhere else: orders leave as [`VenueCommand`]s, and what becomes of them comes back as
    /// [`Input::Report`]s.
    External,
}

/// What an engine is made of.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// What may be traded.
    pub instruments: Vec<Instrument>,
    /// What a new account starts with; a restored one has its own.
    pub balances: Vec<(Asset, Money)>,
    /// Where orders go.
    pub venue: Venue,
}

/// What an external venue is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VenueCommand {
    /// Place this order.
    Place(NewOrder),
    /// Take this order back.
    Cancel {
        /// The client's name for it.
        client_order_id: ClientOrderId,
        /// Its instrument.
        symbol: Symbol,
        /// The venue's name for it, if it told one.
        venue_order_id: Option<VenueOrderId>,
    },
}

/// What one step did. Reuse it: its buffers keep their room.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The public events; the last has the number [`State::last_event_id`].
    pub events: Vec<Event>,
    /// The private facts: applied before the events.
    pub facts: Vec<Fact>,
    /// What an external venue is told, once the step is stored.
    pub commands: Vec<VenueCommand>,
}

impl Step {
    /// Empties it.
    pub fn clear(&mut self) {
        self.events.clear();
        self.facts.clear();
        self.commands.clear();
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.facts.is_empty()
    }
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    venue: Venue,
    instruments: Vec<Instrument>,
    balances: Vec<(Asset, Money)>,
    state: State,
    index: FxHashMap<Symbol, usize>,
    /// One for each instrument.
    markets: Vec<TradedMarket>,
    reports: Vec<SimReport>,
}

/// An instrument's market and how far its source is.
#[derive(Debug, Default)]
struct TradedMarket {
    sim: SimMarket,
    position: Option<u64>,
    /// What the source says up to here, of whatever instrument, it has said in an earlier run.
    told_until: Option<u64>,
}

impl Engine {
    /// An engine that nothing has happened to.
    pub fn new(config: EngineConfig) -> Engine {
        Engine::restore(config, State::default())
    }

    /// An engine that goes on from a state: open orders go back into the simulated venue, at the back of
    /// the queue.
    pub fn restore(config: EngineConfig, state: State) -> Engine {
        let EngineConfig { venue, instruments, balances } = config;
        let told_until = state.last_position();
        let market = |_| TradedMarket { told_until, ..TradedMarket::default() };
        let mut markets: Vec<_> = instruments.iter().map(market).collect();
        let index: FxHashMap<_, _> =
            instruments.iter().enumerate().map(|(index, i)| (i.symbol, index)).collect();
        for (key, order) in state.open_keyed().filter(|(_, order)| !order.external) {
            let market = index.get(&order.request.symbol).and_then(|&i| markets.get_mut(i));
            if let (Some(market), Some(price)) = (market, order.request.price) {
                market.sim.restore(key, order.request.side, price, order.remaining());
            }
        }
        Engine { venue, instruments, balances, state, index, markets, reports: Vec::new() }
    }

    /// Tells which market source speaks from here on. Another one than before, or the same one begun
    /// again on purpose, starts at its first message.
    pub fn begin_source(&mut self, name: &str, from_start: bool, step: &mut Step) {
        step.clear();
        if name == self.state.source() && !from_start {
            return;
        }
        for market in &mut self.markets {
            market.told_until = None;
        }
        let fact = Fact::Source(name.to_owned().into());
        self.state.apply_fact(&fact);
        step.facts.push(fact);
    }

    /// To be called once in the life of a log: the first account event, with every balance.
    pub fn start(&mut self, now: TsNs, step: &mut Step) {
        step.clear();
        let balance = |&(asset, free)| Balance { asset, free, locked: Money::ZERO };
        let balances = self.balances.iter().map(balance).collect();
        let ts_ns = self.stamp(now);
        self.emit(Event::Account(Account { ts_ns, balances }), step);
    }

    /// Takes one input: decides what it leads to and applies that. `step` is emptied first and tells what
    /// happened. On a refusal nothing has changed and the step is empty.
    ///
    /// # Errors
    /// The reason why nothing happened.
    pub fn step(&mut self, now: TsNs, input: &Input, step: &mut Step) -> Result<Answer, Refusal> {
        step.clear();
        self.state.clear_changes();
        let ts = self.stamp(now);
        let answer = match input {
            Input::NewOrder(order) => self.new_order(ts, order, step)?,
            Input::Cancel(cancel) => self.cancel(ts, cancel, step)?,
            Input::CancelAll { symbol } => {
                Answer::CancelledAll(self.cancel_all(ts, symbol.as_ref(), step))
            }
            Input::Risk(change) => self.change_risk(ts, change, step)?,
            Input::Market(data) => self.market(now, data, step),
            Input::Report(report) => self.report(ts, report, step),
            Input::Fault { code, detail } => {
                self.emit_error(ts, code.clone(), Some(detail.clone()), step);
                Answer::Done
            }
        };
        self.tell_account(ts, step);
        Ok(answer)
    }

    /// All that a restart needs.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What may be traded.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instrument of that name.
    pub fn instrument(&self, symbol: &Symbol) -> Option<&Instrument> {
        self.index.get(symbol).and_then(|&index| self.instruments.get(index))
    }

    /// The book that the simulated venue trades on; `None` for an instrument that is not traded.
    pub fn book(&self, symbol: &Symbol) -> Option<&Book> {
        let market = self.index.get(symbol).and_then(|&index| self.markets.get(index));
        market.map(|market| market.sim.book())
    }
}

/// Commands.
impl Engine {
    fn new_order(
        &mut self,
        ts: TsNs,
        order: &NewOrder,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        let mut order = order.clone();
        if order.order_type == OrderType::Market {
            order.time_in_force = TimeInForce::Ioc;
        }
        let id = order.client_order_id;
        if let Some(known) = self.state.order(&id) {
            return if known.request == order {
                Ok(known.answer().map_or(Answer::Pending(id), Answer::Order))
            } else {
                Err(Refusal::DuplicateClientOrderId(id))
            };
        }
        in_domain(&order)?;
        let index = self.index.get(&order.symbol).copied();
        let unknown = || bad("symbol", format!("{} is not traded here", order.symbol));
        let index = index.ok_or_else(unknown)?;
        let instrument = self.instruments.get(index).ok_or_else(unknown)?.clone();
        let (lock, verdict) = self.judge(index, &instrument, &order);
        self.tell_context(index, &instrument, step);
        let external = self.venue == Venue::External;
        let lock = if verdict.is_ok() { lock } else { Money::ZERO };
        self.tell(Fact::Intent { order: order.clone(), lock, external }, step);
        let key = self.state.order_key(&id).unwrap_or(OrderKey::MAX);
        match (verdict, self.venue) {
            (Err(reason), _) => self.refuse(ts, key, reason, step),
            (Ok(()), Venue::Simulated) => {
                let mut reports = std::mem::take(&mut self.reports);
                if let Some(market) = self.markets.get_mut(index) {
                    market.sim.place(key, &order, &mut reports);
                }
                self.take_reports(ts, reports, step);
            }
            (Ok(()), Venue::External) => step.commands.push(VenueCommand::Place(order)),
        }
        let answer = self.state.order_at(key).and_then(Order::answer);
        Ok(answer.map_or(Answer::Pending(id), Answer::Order))
    }

    /// What the order would lock, and whether it may go.
    fn judge(
        &self,
        index: usize,
        instrument: &Instrument,
        order: &NewOrder,
    ) -> (Money, Result<(), Reason>) {
        let sim = self.markets.get(index).map(|market| &market.sim);
        let best = sim.and_then(|sim| sim.book().best(order.side.opposite()));
        let last = self.state.market(&order.symbol).map(|market| market.price);
        let market_price = best.or(last);
        let lock = match (order.side, order.price, self.venue) {
            (Side::Sell, ..) => order.qty.into(),
            (Side::Buy, Some(limit), _) => Money::notional(limit, order.qty),
            (Side::Buy, None, Venue::Simulated) => {
                sim.map(|sim| sim.market_cost(Side::Buy, order.qty)).unwrap_or_default()
            }
            (Side::Buy, None, Venue::External) => {
                market_price.map(|price| Money::notional(price, order.qty)).unwrap_or_default()
            }
        };
        let paid = match order.side {
            Side::Buy => instrument.quote,
            Side::Sell => instrument.base,
        };
        let exposure = Exposure {
            lock,
            free: self.state.free(paid),
            market_price,
            open_orders: self.state.open_order_count(),
        };
        (lock, risk::check(self.state.risk(), instrument, order, &exposure))
    }

    fn cancel(
        &mut self,
        ts: TsNs,
        cancel: &CancelOrder,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        let id = cancel.client_order_id;
        let key = self.state.order_key(&id).ok_or(Refusal::NotFound(id))?;
        let order = self.state.order_at(key).ok_or(Refusal::NotFound(id))?;
        if cancel.symbol.is_some_and(|symbol| symbol != order.request.symbol) {
            let own = order.request.symbol;
            return Err(bad("symbol", format!("is not the order's own, which is {own}")));
        }
        match order.status {
            Some(OrderStatus::Cancelled) => return Ok(Answer::Cancelled(id)),
            Some(status) if status.is_final() => return Err(Refusal::OrderClosed(id, status)),
            _ => {}
        }
        let external = order.external;
        self.cancel_one(ts, key, step);
        Ok(if external { Answer::Pending(id) } else { Answer::Cancelled(id) })
    }

    /// Takes back the open orders, or asks their venue to.
    fn cancel_all(
        &mut self,
        ts: TsNs,
        symbol: Option<&Symbol>,
        step: &mut Step,
    ) -> Vec<ClientOrderId> {
        let wanted = |order: &Order| symbol.is_none_or(|symbol| *symbol == order.request.symbol);
        let orders: Vec<_> = self
            .state
            .open_keyed()
            .filter(|(_, order)| wanted(order))
            .map(|(key, order)| (key, order.client_order_id()))
            .collect();
        for &(key, _) in &orders {
            self.cancel_one(ts, key, step);
        }
        orders.into_iter().map(|(_, id)| id).collect()
    }

    fn cancel_one(&mut self, ts: TsNs, key: OrderKey, step: &mut Step) {
        let Some(order) = self.state.order_at(key) else { return };
        let request = &order.request;
        if order.external {
            step.commands.push(VenueCommand::Cancel {
                client_order_id: request.client_order_id,
                symbol: request.symbol,
                venue_order_id: order.venue_order_id,
            });
            return;
        }
        let market = self.index.get(&request.symbol).and_then(|&i| self.markets.get_mut(i));
        if let (Some(market), Some(price)) = (market, request.price) {
            market.sim.cancel(key, request.side, price);
        }
        self.close_cancelled(ts, key, step);
    }

    fn change_risk(
        &mut self,
        ts: TsNs,
        change: &RiskChange,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        let mut settings = self.state.risk().clone();
        settings.state = change.state.unwrap_or(settings.state);
        if let Some(most) = change.max_order_notional {
            if most.is_some_and(|most| most < Money::ZERO) {
                return Err(bad("max_order_notional", "must not be below 0".into()));
            }
            settings.max_order_notional = most;
        }
        settings.max_open_orders = change.max_open_orders.unwrap_or(settings.max_open_orders);
        if settings != *self.state.risk() {
            self.tell(Fact::Risk(settings.clone()), step);
        }
        if change.cancel_all {
            self.cancel_all(ts, None, step);
        }
        Ok(Answer::Risk(settings))
    }
}

/// The market.
impl Engine {
    /// An instrument that is not traded here says nothing.
    fn market(&mut self, now: TsNs, data: &MarketData, step: &mut Step) -> Answer {
        let Some(&index) = self.index.get(&data.symbol) else { return Answer::Done };
        let Some(market) = self.markets.get_mut(index) else { return Answer::Done };
        let told = data.position.zip(market.told_until).is_some_and(|(at, until)| at <= until);
        if told {
            market.sim.rebuild(now, &data.body);
            return Answer::Done;
        }
        market.position = data.position.or(market.position);
        let mut reports = std::mem::take(&mut self.reports);
        market.sim.market(now, &data.body, &mut reports);
        if let Some(event) = self.market_event(index, data) {
            self.emit(Event::Market(event), step);
        }
        let ts = self.stamp(now);
        self.take_reports(ts, reports, step);
        if let (false, Some(position)) = (step.events.is_empty(), data.position) {
            self.tell(Fact::Position { symbol: data.symbol, position }, step);
        }
        Answer::Done
    }

    fn market_event(&self, index: usize, data: &MarketData) -> Option<Market> {
        let book = self.markets.get(index)?.sim.book();
        let (ts_ns, price, trade) = match data.body {
            MarketBody::Trade { ts_ns, price, qty, side, trade_id } => {
                (ts_ns, price, Some((trade_id, qty, side)))
            }
            MarketBody::Price { ts_ns, price } => {
                let last = self.state.market(&data.symbol).map(|market| market.price);
                if last == Some(price) {
                    return None;
                }
                (ts_ns, price, None)
            }
            MarketBody::Quote { .. } | MarketBody::Depth { .. } | MarketBody::Snapshot { .. } => {
                return None;
            }
        };
        Some(Market {
            symbol: data.symbol,
            ts_ns,
            price,
            trade_id: trade.map(|(trade_id, ..)| trade_id),
            qty: trade.map(|(_, qty, _)| qty),
            side: trade.map(|(.., side)| side),
            bid: book.best(Side::Buy),
            ask: book.best(Side::Sell),
        })
    }

    /// What the state must know of an instrument before an order of it.
    fn tell_context(&mut self, index: usize, instrument: &Instrument, step: &mut Step) {
        let Instrument { symbol, base, quote, .. } = *instrument;
        if !self.state.has_pair(&symbol) {
            self.tell(Fact::Pair { symbol, base, quote }, step);
        }
        let position = self.markets.get(index).and_then(|market| market.position);
        if let Some(position) = position
            && self.state.position(&symbol) != Some(position)
        {
            self.tell(Fact::Position { symbol, position }, step);
        }
    }
}

/// The only ways by which the state changes.
impl Engine {
    fn emit(&mut self, event: Event, step: &mut Step) {
        self.state.apply_event(self.state.last_event_id() + 1, &event);
        step.events.push(event);
    }

    fn tell(&mut self, fact: Fact, step: &mut Step) {
        self.state.apply_fact(&fact);
        step.facts.push(fact);
    }

    fn emit_error(
        &mut self,
        ts_ns: TsNs,
        message: crate::types::Text,
        detail: Option<crate::types::Text>,
        step: &mut Step,
    ) {
        self.emit(Event::Error(ErrorEvent { ts_ns, message, detail }), step);
    }

    fn tell_account(&mut self, ts_ns: TsNs, step: &mut Step) {
        let balances: Vec<_> = self.state.ledger().changes().collect();
        if !balances.is_empty() {
            self.emit(Event::Account(Account { ts_ns, balances }), step);
        }
    }

    fn stamp(&self, now: TsNs) -> TsNs {
        self.state.last_ts_ns().max(now)
    }
}

fn bad(field: &'static str, message: String) -> Refusal {
    Refusal::BadParams { field, message }
}

/// What an order of that type must and must not have.
fn in_domain(order: &NewOrder) -> Result<(), Refusal> {
    if order.qty.raw() <= 0 {
        return Err(bad("qty", format!("{} is not above 0", order.qty)));
    }
    match (order.order_type, order.price) {
        (OrderType::Market, None) => {}
        (OrderType::Market, Some(_)) => {
            return Err(bad("price", "must be left out of a MARKET order".into()));
        }
        (OrderType::Limit | OrderType::LimitMaker, None) => {
            return Err(bad("price", format!("is required for {}", order.order_type.as_str())));
        }
        (OrderType::Limit | OrderType::LimitMaker, Some(price)) if price <= Price::ZERO => {
            return Err(bad("price", format!("{price} is not above 0")));
        }
        (OrderType::Limit | OrderType::LimitMaker, Some(_)) => {}
    }
    if order.order_type == OrderType::LimitMaker && order.time_in_force != TimeInForce::Gtc {
        return Err(bad("time_in_force", "of a LIMIT_MAKER order must be GTC".into()));
    }
    Ok(())
}
