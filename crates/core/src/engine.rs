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
//! What stands until a time is ended by [`Input::Tick`], which whoever drives the engine gives it when
//! [`Engine::is_due`] says so: before any other input, and while nothing else happens.
//!
//! The books and the places in the queue are not state: a market source tells them again. What it tells
//! a second time (its position says so) makes the book and fills nothing.

pub use risk::RiskUse;
pub use step::{AmendedAway, Step};

use ahead::Ahead;
use away::Away;
use rests::Rests;
use stops::Stops;

use crate::book::Book;
use crate::event::{Account, Balance, ErrorEvent, Event, Market};
use crate::input::{Answer, CancelOrder, Input, MarketBody, MarketData, NewOrder, Refusal, bad};
use crate::instrument::Instrument;
use crate::latency::Latency;
use crate::limits;
use crate::order::{Order, OrderChange, OrderStatus, TimeInForce};
use crate::risk::Reason;
use crate::sim::{OrderKey, SimMarket, SimReport, Taken};
use crate::state::{ArchivedOrders, Fact, State, VenueMail};
use crate::store::SymbolIndex;
use crate::types::{Asset, ClientOrderId, Money, Side, Symbol, Text, TsNs, VenueOrderId};

mod ahead;
mod amend;
mod away;
mod external;
mod invariants;
mod pairs;
mod reports;
mod rests;
mod risk;
mod sizing;
mod step;
mod stops;

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
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// What may be traded.
    pub instruments: Vec<Instrument>,
    /// What a new account starts with; a restored one has its own.
    pub balances: Vec<(Asset, Money)>,
    /// Where orders go.
    pub venue: Venue,
    /// What becomes of the liquidity that the simulated venue takes.
    pub taken: Taken,
    /// How far the simulated venue is away.
    pub latency: Latency,
    /// The most open orders at once, whatever the risk settings allow.
    pub most_open_orders: usize,
}

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig {
            instruments: Vec::new(),
            balances: Vec::new(),
            venue: Venue::default(),
            taken: Taken::default(),
            latency: Latency::default(),
            most_open_orders: limits::OPEN_ORDERS_COUNT,
        }
    }
}

/// What an external venue is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VenueCommand {
    /// Place this order.
    Place(Box<NewOrder>),
    /// Take this order back.
    Cancel {
        /// The client's name for it.
        client_order_id: ClientOrderId,
        /// Its instrument.
        symbol: Symbol,
        /// The venue's name for it, if it told one.
        venue_order_id: Option<VenueOrderId>,
    },
    /// Say how this order stands.
    Query {
        /// The client's name for it.
        client_order_id: ClientOrderId,
    },
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    venue: Venue,
    instruments: Vec<Instrument>,
    balances: Vec<(Asset, Money)>,
    most_open_orders: usize,
    state: State,
    index: SymbolIndex,
    /// One for each instrument.
    markets: Vec<TradedMarket>,
    rests: Rests,
    reports: Vec<SimReport>,
    ahead: Ahead,
    /// The simulated venue, where it is away: then its markets are the ones that are traded on.
    away: Option<Box<Away>>,
}

/// An instrument's market and how far its source is.
#[derive(Debug, Default)]
struct TradedMarket {
    sim: SimMarket,
    /// Orders that wait for the price to reach their stop.
    stops: Stops,
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
        let away = Away::restore(&config, &state).map(Box::new);
        let EngineConfig { venue, instruments, balances, taken, most_open_orders, .. } = config;
        let told_until = state.last_position();
        let market =
            |_| TradedMarket { sim: SimMarket::new(taken), told_until, ..TradedMarket::default() };
        let mut markets: Vec<_> = instruments.iter().map(market).collect();
        let index: SymbolIndex =
            instruments.iter().enumerate().map(|(index, i)| (i.symbol, index)).collect();
        let here = |order: &Order| !order.external && away.is_none();
        let mut open: Vec<_> = state.open_keyed().filter(|(_, order)| here(order)).collect();
        open.sort_unstable_by_key(|(key, order)| order.ticket(*key));
        let mut rests = Rests::default();
        for (key, order) in open {
            let market = index.get(&order.request.symbol).and_then(|i| markets.get_mut(i));
            let Some(market) = market else { continue };
            if order.is_dormant() {
                market.stops.insert(key, &order.request);
            } else if let Some(price) = order.price {
                let (ticket, side) = (order.ticket(key), order.request.side);
                rests.set(key, market.sim.restore(ticket, side, price, order.remaining()));
            }
        }
        let (reports, ahead) = (Vec::new(), Ahead::default());
        Engine {
            venue,
            instruments,
            balances,
            most_open_orders,
            state,
            index,
            markets,
            rests,
            reports,
            ahead,
            away,
        }
    }

    /// Tells which market source speaks from here on. Another one than before, or the same one begun
    /// again on purpose, starts at its first message. A venue that is away is so from here on, and a day's loss goes by
    /// the instruments that are traded now.
    pub fn begin_source(&mut self, name: &str, from_start: bool, step: &mut Step) {
        step.clear();
        self.send_away(step);
        self.recount_days(step);
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
        self.send_away(step);
        self.emit(Event::Account(Account { ts_ns, balances }), step);
    }

    /// Takes one input: decides what it leads to and applies that. `step` is emptied first and tells what
    /// happened. On a refusal nothing has changed and the step is empty.
    ///
    /// # Errors
    /// The reason why nothing happened.
    pub fn step(&mut self, now: TsNs, input: &Input, step: &mut Step) -> Result<Answer, Refusal> {
        step.clear();
        let answer = self.take(now, input, step);
        if answer.is_ok() {
            self.tell_account(self.stamp(now), step);
        }
        answer
    }

    /// Does what an input asks for; which balances that changes is told by its caller. What is no order's way is never
    /// inlined here, so that this stays in a processor's nearest cache.
    fn take(&mut self, now: TsNs, input: &Input, step: &mut Step) -> Result<Answer, Refusal> {
        self.state.clear_changes();
        let ts = self.stamp(now);
        match input {
            Input::NewOrder(order) => self.new_order(ts, order, step),
            Input::NewPair(pair) => self.new_pair(ts, pair, step),
            Input::Cancel(cancel) => self.cancel(ts, cancel, step),
            Input::Amend(amend) => self.amend(ts, amend, step),
            Input::CancelAll { symbol } => {
                // A name that was mistyped must not pass for one that nothing is open of.
                if let Some(symbol) = symbol.filter(|symbol| !self.state.has_pair(symbol)) {
                    self.traded(&symbol)?;
                }
                Ok(Answer::CancelledAll(self.cancel_all(ts, symbol.as_ref(), step)))
            }
            Input::Risk(change) => self.change_risk(ts, change, step),
            Input::Market(data) => Ok(self.market(now, data, step)),
            Input::Report(report) => Ok(self.report(ts, report, step)),
            Input::Fault { code, detail } => {
                self.emit_error(ts, code.clone(), Some(detail.clone()), step);
                Ok(Answer::Done)
            }
            Input::Tick => Ok(self.tick(ts, step)),
        }
    }

    /// Whether an order stands longer than it may, a day whose loss is limited is over, or something is on its
    /// way no more: [`Input::Tick`] must come before anything else, until this is false.
    pub fn is_due(&self, now: TsNs) -> bool {
        let now = self.stamp(now);
        let is_over = match &self.away {
            Some(_) => self.due_ns().is_some_and(|at| at <= now),
            None => self.state.expired_by(now).next().is_some(),
        };
        is_over || self.day_is_over(now)
    }

    /// Whether what becomes of an order is known at once, or later.
    pub fn answers_later(&self) -> bool {
        self.venue == Venue::External || self.away.is_some()
    }

    /// All that a restart needs.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Forgets orders that the archive has now: see [`State::forget_archived`].
    pub fn forget_archived(&mut self, done: &ArchivedOrders) {
        self.state.forget_archived(done);
    }

    /// What may be traded.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instrument of that name.
    pub fn instrument(&self, symbol: &Symbol) -> Option<&Instrument> {
        self.index.get(symbol).and_then(|index| self.instruments.get(index))
    }

    /// The book that the simulated venue trades on; `None` for an instrument that is not traded.
    pub fn book(&self, symbol: &Symbol) -> Option<&Book> {
        self.index.get(symbol).and_then(|index| self.sim(index)).map(SimMarket::book)
    }

    /// The market that orders of an instrument trade on.
    fn sim(&self, index: usize) -> Option<&SimMarket> {
        let markets = self.away.as_deref().map_or(&self.markets, Away::markets);
        markets.get(index).map(|market| &market.sim)
    }

    /// Whether the book of every instrument is known: an order that came before that would meet an empty one.
    pub fn knows_books(&self) -> bool {
        (0..self.instruments.len()).filter_map(|i| self.sim(i)).all(|sim| sim.book().is_known())
    }

    fn sim_mut(&mut self, index: usize) -> Option<&mut SimMarket> {
        let markets = match self.away.as_deref_mut() {
            Some(away) => away.markets_mut(),
            None => &mut self.markets,
        };
        markets.get_mut(index).map(|market| &mut market.sim)
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
        let at_once;
        let mut order = order;
        if !order.order_type.has_limit() {
            at_once = NewOrder { time_in_force: TimeInForce::Ioc, ..order.clone() };
            order = &at_once;
        }
        let id = order.client_order_id;
        if let Some(known) = self.state.order(&id) {
            return if known.request == *order {
                Ok(known.answer().map_or(Answer::Pending(id), Answer::Order))
            } else {
                Err(Refusal::DuplicateClientOrderId(id))
            };
        }
        order.check_domain()?;
        if order.oco_with.is_some() {
            return Err(bad("oco_with", "is for pairs only".into()));
        }
        let index = self.traded(&order.symbol)?;
        let (sized, lock) = self.size(index, order);
        let asked = order.qty;
        let verdict = if sized == asked {
            self.judge(ts, index, order, (lock, 0))
        } else {
            self.judge(ts, index, &NewOrder { qty: sized, ..order.clone() }, (lock, 0))
        };
        self.tell_context(index, step);
        let external = self.answers_later();
        let lock = if verdict.is_ok() { lock } else { Money::ZERO };
        // Cut to nothing, it is told as it was asked for.
        let qty = Some(sized).filter(|qty| *qty != asked && !qty.is_zero());
        let sent_ts_ns = self.sent_at(ts, &verdict);
        let intent = || {
            let order = order.clone();
            Fact::Intent { order, qty, lock, external, sent_ts_ns }
        };
        step.add_fact(intent);
        self.apply_added_fact(step);
        let key = self.state.order_key(&id).unwrap_or(OrderKey::MAX);
        match (verdict, self.venue) {
            (Err(reason), _) => {
                self.close(ts, key, (OrderChange::Reject, Some(reason)), step);
            }
            (Ok(()), Venue::Simulated) if external => self.send(ts, VenueMail::Order(id), step),
            (Ok(()), Venue::Simulated) => self.place(ts, index, key, step),
            (Ok(()), Venue::External) => {
                self.tell(Fact::Sent { client_order_id: id, ts_ns: ts }, step);
                let sized = self.state.order_at(key).map(Order::rest);
                step.commands.extend(sized.map(|order| VenueCommand::Place(Box::new(order))));
            }
        }
        match self.state.order_at(key).and_then(Order::answer) {
            Some(answer) => Ok(Answer::Order(answer)),
            None => Ok(Answer::Pending(id)),
        }
    }

    /// The place of the instrument of that name.
    fn traded(&self, symbol: &Symbol) -> Result<usize, Refusal> {
        let index = self.index.get(symbol);
        index.ok_or_else(|| bad("symbol", format!("{symbol} is not traded here")))
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
    #[inline(never)]
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
        // One of a pair may be gone with the other.
        let order = self.state.order_at(key).filter(|order| order.is_open());
        let Some(order) = order else { return };
        if self.away.is_some() {
            let id = order.client_order_id();
            return self.send(ts, VenueMail::Cancel(id), step);
        }
        if order.external {
            return self.ask_to_cancel(key, step);
        }
        self.take_off(key);
        self.close(ts, key, (OrderChange::Cancel, None), step);
        self.end_other(ts, key, (OrderChange::Cancel, None), step);
    }

    /// Time has passed.
    #[inline(never)]
    fn tick(&mut self, ts: TsNs, step: &mut Step) -> Answer {
        self.begin_day(ts, step);
        if self.away.is_some() {
            self.let_arrive(ts, step);
            return Answer::Done;
        }
        let expired: Vec<_> = self.state.expired_by(ts).collect();
        for key in expired {
            self.take_off(key);
            self.close(ts, key, (OrderChange::Expire, Some(Reason::Gtd)), step);
        }
        Answer::Done
    }
}

/// The market.
impl Engine {
    /// An instrument that is not traded here says nothing.
    #[inline(never)]
    fn market(&mut self, now: TsNs, data: &MarketData, step: &mut Step) -> Answer {
        let Some(index) = self.index.get(&data.symbol) else { return Answer::Done };
        let Some(market) = self.markets.get_mut(index) else { return Answer::Done };
        let told = data.position.zip(market.told_until).is_some_and(|(at, until)| at <= until);
        market.position = if told { market.position } else { data.position.or(market.position) };
        let mut reports = std::mem::take(&mut self.reports);
        match self.sim_mut(index) {
            Some(sim) if told => sim.rebuild(now, &data.body),
            Some(sim) => sim.market(now, &data.body, &mut reports),
            None => {}
        }
        if told {
            self.reports = reports;
            return Answer::Done;
        }
        let event = self.market_event(index, data);
        let price = event.as_ref().map(|event| event.price);
        if let Some(event) = event {
            self.price_day(index, event.price, step);
            self.emit(Event::Market(event), step);
        }
        if self.away.is_some() {
            self.market_there(now, index, (price, reports), step);
        } else {
            let ts = self.stamp(now);
            self.take_reports(ts, reports, step);
            if let Some(price) = price {
                self.wake(ts, index, price, step);
            }
        }
        if let (false, Some(position)) = (step.events.is_empty(), data.position) {
            self.tell(Fact::Position { symbol: data.symbol, position }, step);
        }
        Answer::Done
    }

    fn market_event(&self, index: usize, data: &MarketData) -> Option<Market> {
        let book = self.sim(index)?.book();
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
    fn tell_context(&mut self, index: usize, step: &mut Step) {
        let Some(instrument) = self.instruments.get(index) else { return };
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
    /// What happened.
    fn emit(&mut self, event: Event, step: &mut Step) {
        step.events.push(event);
        self.apply_added(None, step);
    }

    /// Applies the event that was just added to the step, of the order of that key if it is about one.
    #[inline(always)]
    fn apply_added(&mut self, key: Option<OrderKey>, step: &Step) {
        let Some(event) = step.events.last() else { return };
        debug_assert!(self.state.is_key_of(key, event));
        self.state.apply_event_of(key, self.state.last_event_id() + 1, event);
    }

    fn tell(&mut self, fact: Fact, step: &mut Step) {
        step.facts.push(fact);
        self.apply_added_fact(step);
    }

    #[inline(always)]
    fn apply_added_fact(&mut self, step: &Step) {
        if let Some(fact) = step.facts.last() {
            self.state.apply_fact(fact);
        }
    }

    fn emit_error(&mut self, ts_ns: TsNs, message: Text, detail: Option<Text>, step: &mut Step) {
        self.emit(Event::Error(ErrorEvent { ts_ns, message, detail }), step);
    }

    fn tell_account(&mut self, ts_ns: TsNs, step: &mut Step) {
        let mut balances = step.spare.pop().unwrap_or_default();
        balances.extend(self.state.ledger().changes());
        if balances.is_empty() {
            step.spare.push(balances);
        } else {
            step.add(|| Event::Account(Account { ts_ns, balances }));
            self.state.told_account(self.state.last_event_id() + 1, ts_ns);
        }
    }

    fn stamp(&self, now: TsNs) -> TsNs {
        self.state.last_ts_ns().max(now)
    }
}
