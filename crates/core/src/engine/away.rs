//! The simulated venue where it is away: what it is told takes a while to get there, and so does what it says.
//!
//! Contract:
//! - The venue is an engine of its own, on its own part of the state: it knows what has reached it, and
//!   matches by the book of that moment. What it does is a fact of the step and no event until its report is
//!   here. So a cancel can come too late, a price can have moved, and of a pair the other order is gone at
//!   the moment of the fill.
//! - Nothing overtakes, on either way. What the venue did at one time comes back together.
//! - What is on its way is a part of the state, and arrives after a restart too.
//! - The limits are in front of the way; what depends on the moment of arrival (a stop that is reached, a
//!   post-only order that would take, a balance) the venue judges again. An amendment counts for the limits
//!   from when it leaves: until it is known what became of it, its order counts as the most of what it is and
//!   may become.
//! - Once nothing is on its way, the venue's orders and balances are those that are known here
//!   ([`Engine::check_invariants`]).
//!
//! Known limits: an order at any price locks what it would cost when it leaves; where it costs more when it
//! is there, the venue takes that from what it knows to be free, and `free` may be below zero here until the
//! reports of what it refuses for that are here.

use super::reports::Touched;
use super::{AmendedAway, Engine, EngineConfig, Step, TradedMarket, Venue};
use crate::event::{Event, OrderUpdate};
use crate::input::{
    AmendOrder, Answer, CancelOrder, Input, NewOrder, NewPair, Refusal, RiskChange, RiskSettings,
};
use crate::latency::Latency;
use crate::limits::OPEN_ORDERS_COUNT;
use crate::order::{OrderChange, OrderStatus};
use crate::sim::SimReport;
use crate::state::{AtVenue, Fact, Report, State, VenueMail};
use crate::types::{ClientOrderId, Price, Qty, Side, TsNs};

/// A simulated venue that is away.
#[derive(Debug)]
pub(super) struct Away {
    latency: Latency,
    /// The venue. Its state is a part of its owner's, and lent to it while it works.
    engine: Engine,
    step: Step,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A report is here.
    Report,
    /// At the venue an order has stood as long as it may, or a day is over.
    Tick,
    /// Something is at the venue.
    Arrival,
}

impl Away {
    /// The venue of a state, if it is away. One that was away once stays so, at whatever distance.
    pub(super) fn restore(config: &EngineConfig, state: &State) -> Option<Away> {
        let was_away = state.venue().is_some();
        if config.venue == Venue::External || (config.latency.is_zero() && !was_away) {
            return None;
        }
        let there = EngineConfig {
            instruments: config.instruments.clone(),
            taken: config.taken,
            most_open_orders: OPEN_ORDERS_COUNT,
            ..EngineConfig::default()
        };
        let known = state.venue().map_or_else(|| state.of_venue(), |venue| venue.state.clone());
        let mut engine = Engine::restore(there, known);
        engine.state = State::default();
        Some(Away { latency: config.latency, engine, step: Step::default() })
    }

    pub(super) fn markets(&self) -> &Vec<TradedMarket> {
        &self.engine.markets
    }

    pub(super) fn markets_mut(&mut self) -> &mut Vec<TradedMarket> {
        &mut self.engine.markets
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// On the way there.
impl Engine {
    /// Notes that the venue is away, where that is new.
    pub(super) fn send_away(&mut self, step: &mut Step) {
        if self.away.is_some() && self.state.venue().is_none() {
            self.tell(Fact::VenueAway, step);
        }
    }

    /// Something leaves for the venue.
    pub(super) fn send(&mut self, ts: TsNs, mail: VenueMail, step: &mut Step) {
        let (Some(away), Some(venue)) = (&self.away, self.state.venue()) else { return };
        let arrives_ns = away.latency.arrives(ts, venue.sent()).max(venue.last_mail_ns());
        self.tell(Fact::Left { ts_ns: ts, arrives_ns, mail }, step);
    }

    /// Tells the venue which stops may wake from here on.
    pub(super) fn send_risk(&mut self, ts: TsNs, before: &RiskSettings, step: &mut Step) {
        let now = self.state.risk();
        if (now.state, &now.max_daily_loss) == (before.state, &before.max_daily_loss) {
            return;
        }
        let max_daily_loss = now.max_daily_loss.iter().map(|(asset, most)| (*asset, *most));
        let mail = VenueMail::Risk { state: now.state, max_daily_loss: max_daily_loss.collect() };
        self.send(ts, mail, step);
    }

    /// When [`Input::Tick`] is due at the earliest, where the venue is away: to be given with this time.
    pub fn due_ns(&self) -> Option<TsNs> {
        self.next().map(|(at, _)| at)
    }

    /// When the next thing that is on its way arrives, there or here.
    pub fn arrives_ns(&self) -> Option<TsNs> {
        let venue = self.state.venue().filter(|_| self.away.is_some())?;
        let report = venue.next_report().map(|report| report.at);
        report.into_iter().chain(venue.next_mail().map(|(at, _)| *at)).min()
    }

    fn next(&self) -> Option<(TsNs, Next)> {
        let venue = self.state.venue().filter(|_| self.away.is_some())?;
        let day = venue.state.day_start();
        let day = (!venue.state.risk().max_daily_loss.is_empty()).then(|| day.end_ns());
        let tick = venue.state.first_expiry().into_iter().chain(day).min();
        let report = venue.next_report().map(|report| (report.at, Next::Report));
        let arrival = venue.next_mail().map(|(at, _)| (*at, Next::Arrival));
        let tick = tick.map(|at| (at, Next::Tick));
        [report, tick, arrival].into_iter().flatten().min()
    }

    /// Lets one thing happen that was to happen by now.
    pub(super) fn let_arrive(&mut self, ts: TsNs, step: &mut Step) {
        match self.next().filter(|(at, _)| *at <= ts) {
            Some((_, Next::Report)) => self.hear(ts, step),
            Some((at, Next::Tick)) => {
                let ticked = self.there(|engine, done| engine.take(at, &Input::Tick, done).is_ok());
                if ticked.is_some() {
                    self.note_there(at, AtVenue::default(), step);
                }
            }
            Some((at, Next::Arrival)) => self.arrive(at, step),
            None => {}
        }
    }
}

/// At the venue.
impl Engine {
    /// Has the venue work, on its own part of the state.
    pub(super) fn there<T>(&mut self, work: impl FnOnce(&mut Engine, &mut Step) -> T) -> Option<T> {
        let (away, venue) = (self.away.as_deref_mut()?, self.state.venue_mut()?);
        std::mem::swap(&mut away.engine.state, &mut venue.state);
        away.step.clear();
        away.engine.state.clear_changes();
        let done = work(&mut away.engine, &mut away.step);
        std::mem::swap(&mut away.engine.state, &mut venue.state);
        Some(done)
    }

    /// The oldest of what was on its way is there.
    fn arrive(&mut self, at: TsNs, step: &mut Step) {
        let mail = self.state.venue().and_then(|venue| venue.next_mail());
        let Some(input) = mail.map(|(_, mail)| self.input_of(mail)) else { return };
        let done = self.there(|engine, done| match &input {
            Some(input) => engine.take(at, input, done),
            None => Ok(Answer::Done),
        });
        // A cancel that finds nothing to cancel came too late: what there is to say of that is said.
        let idle = self.away.as_ref().is_some_and(|away| away.step.events.is_empty());
        let unchanged = match done {
            Some(Err(Refusal::Rejected(id, reason))) => Some((id, Some(reason))),
            Some(Ok(Answer::Amended(state))) if idle => Some((state.client_order_id, None)),
            _ => None,
        };
        self.note_there(at, AtVenue { arrived: true, unchanged, ..AtVenue::default() }, step);
    }

    /// What the venue is told.
    fn input_of(&self, mail: &VenueMail) -> Option<Input> {
        let order = |id: &ClientOrderId| {
            let order = self.state.order(id)?;
            let qty = order.request.quote_qty.map_or(order.qty, |_| Qty::ZERO);
            Some(NewOrder { qty, ..order.request.clone() })
        };
        Some(match mail {
            VenueMail::Order(id) => Input::NewOrder(order(id)?),
            VenueMail::Pair(limit, stop) => {
                Input::NewPair(Box::new(NewPair { limit: order(limit)?, stop: order(stop)? }))
            }
            VenueMail::Cancel(client_order_id) => {
                Input::Cancel(CancelOrder { client_order_id: *client_order_id, symbol: None })
            }
            VenueMail::Amend { client_order_id, qty, price } => {
                let (client_order_id, qty, price) = (*client_order_id, *qty, *price);
                Input::Amend(AmendOrder { client_order_id, qty, price })
            }
            VenueMail::Risk { state, max_daily_loss } => {
                // All that are not named are lifted.
                let known = self.state.venue().into_iter().flat_map(|venue| {
                    venue.state.risk().max_daily_loss.keys().map(|asset| (*asset, None))
                });
                let named = max_daily_loss.iter().map(|(asset, most)| (*asset, Some(*most)));
                let limits = known.chain(named).collect();
                Input::Risk(RiskChange {
                    state: Some(*state),
                    max_daily_loss: Some(Some(limits)),
                    ..RiskChange::default()
                })
            }
        })
    }

    /// What the market does to the orders there.
    pub(super) fn market_there(
        &mut self,
        now: TsNs,
        index: usize,
        (price, reports): (Option<Price>, Vec<SimReport>),
        step: &mut Step,
    ) {
        let buffer = self.there(|engine, done| {
            let ts = engine.stamp(now);
            if let Some(price) = price {
                engine.price_day(index, price, done);
            }
            engine.take_reports(ts, reports, done);
            if let Some(price) = price {
                engine.wake(ts, index, price, done);
            }
            std::mem::take(&mut engine.reports)
        });
        self.reports = buffer.unwrap_or_default();
        self.note_there(now, AtVenue::default(), step);
    }

    /// Notes what the venue did, and sends its report on the way.
    pub(super) fn note_there(&mut self, now: TsNs, mut done: AtVenue, step: &mut Step) {
        let (Some(away), Some(venue)) = (&mut self.away, self.state.venue_mut()) else { return };
        done.facts.append(&mut away.step.facts);
        done.events.append(&mut away.step.events);
        if !done.events.is_empty() || done.unchanged.is_some() {
            let at = away.latency.returns(now, venue.sent());
            done.reported_ns = Some(at.max(venue.last_report_ns()));
        }
        if done != AtVenue::default() {
            self.state.note_there(&done);
            step.facts.push(Fact::AtVenue(Box::new(done)));
        }
    }
}

/// On the way back.
impl Engine {
    /// The oldest report is here: what it tells becomes events.
    fn hear(&mut self, ts: TsNs, step: &mut Step) {
        let report = self.state.venue().and_then(|venue| venue.next_report()).cloned();
        let Some(Report { facts, events, unchanged, mail, .. }) = report else { return };
        self.tell(Fact::Reported, step);
        let changed = facts.iter().find_map(|fact| match fact {
            Fact::Amended { client_order_id, .. } => Some((*client_order_id, None)),
            _ => None,
        });
        step.amended = mail.zip(unchanged.or(changed)).map(|(mail, (client_order_id, refused))| {
            AmendedAway { mail, client_order_id, refused }
        });
        for fact in facts {
            self.tell(stamped(fact, ts), step);
        }
        let mut touched = Touched::default();
        for event in &events {
            self.hear_event(ts, event, &mut touched, step);
        }
        if let Some((id, _)) = unchanged {
            let key = self.state.order_key(&id);
            if let Some(key) = key.filter(|key| self.doubt(*key, false, step)) {
                self.tell_state(ts, key, step);
            }
        }
    }

    fn hear_event(&mut self, ts: TsNs, event: &Event, touched: &mut Touched, step: &mut Step) {
        let key = event.client_order_id().and_then(|id| self.state.order_key(&id));
        match (event, key) {
            (Event::OrderUpdate(update), Some(key)) => {
                let reason = update.reason.clone().unwrap_or_default();
                let change = match update.status {
                    OrderStatus::Accepted => {
                        touched.venue_order_id = update.venue_order_id;
                        self.hear_size(key, update, step);
                        return self.accept(ts, key, touched, step);
                    }
                    // Its executions have said so.
                    OrderStatus::PartiallyFilled | OrderStatus::Filled => return,
                    OrderStatus::Cancelled => OrderChange::Cancel,
                    OrderStatus::Rejected => OrderChange::Reject,
                    OrderStatus::Expired => OrderChange::Expire,
                };
                self.turn(key, change, reason, touched);
            }
            (Event::Fill(fill), Some(key)) => {
                let execution = super::reports::Execution {
                    trade_id: fill.trade_id.unwrap_or_default(),
                    qty: fill.qty,
                    price: fill.price,
                    fee: fill.fee.zip(fill.fee_asset),
                    liquidity: fill.liquidity,
                    reconciled: false,
                };
                self.execute(ts, key, &execution, touched, step);
            }
            // The last word of what became of one order.
            (Event::OrderState(_), Some(key)) => {
                self.doubt(key, false, step);
                self.finish(ts, key, std::mem::take(touched), step);
            }
            (Event::Error(error), _) => {
                self.emit_error(ts, error.message.clone(), error.detail.clone(), step);
            }
            _ => {}
        }
    }

    /// The quantity that the venue has worked out, from a quote amount or from what was free there.
    fn hear_size(&mut self, key: usize, update: &OrderUpdate, step: &mut Step) {
        let (Some(order), Some(qty)) = (self.state.order_at(key), update.qty) else { return };
        if order.qty == qty || order.status.is_some() {
            return;
        }
        let client_order_id = order.client_order_id();
        let lock = match order.request.side {
            Side::Sell => qty.into(),
            Side::Buy => order.locked,
        };
        self.tell(Fact::Sized { client_order_id, qty, lock }, step);
    }
}

/// The same, as it is known here from now on.
fn stamped(fact: Fact, ts: TsNs) -> Fact {
    match fact {
        Fact::Triggered { client_order_id, queued_at, lock, .. } => {
            Fact::Triggered { client_order_id, ts_ns: ts, queued_at, lock }
        }
        Fact::Amended { client_order_id, qty, price, lock, queued_at, .. } => {
            Fact::Amended { client_order_id, qty, price, lock, ts_ns: ts, queued_at }
        }
        other => other,
    }
}
