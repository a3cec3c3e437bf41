//! A built-in venue that is away: what it knows, and what is on its way to it and back.
//!
//! Contract: it is a part of the state, so that what is on its way at the end of a run arrives in the next.
//! Both ways keep the order: nothing overtakes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::amends::{Amend, Amends};
use super::recent::Recent;
use super::{Fact, State};
use crate::event::{Event, Market};
use crate::input::{RiskSettings, TradingState};
use crate::risk::Reason;
use crate::types::{Asset, ClientOrderId, Money, Price, Qty, TsNs};

/// What a venue that is away is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VenueMail {
    /// Place this order: what it asks for is known by its intent.
    Order(ClientOrderId),
    /// Place these two as a pair: the limit order and the stop order.
    Pair(ClientOrderId, ClientOrderId),
    /// Take this order back.
    Cancel(ClientOrderId),
    /// Change this order.
    Amend {
        /// Which.
        client_order_id: ClientOrderId,
        /// Its whole quantity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qty: Option<Qty>,
        /// Its limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Price>,
    },
    /// Which orders may be placed, and woken, from here on.
    Risk {
        /// The kill switch.
        state: TradingState,
        /// What a day may lose.
        max_daily_loss: Vec<(Asset, Money)>,
    },
}

/// What happened at a venue that is away, at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtVenue {
    /// The oldest of what was on its way there has arrived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arrived: bool,
    /// The venue's own facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// What became of its orders: no event here until it is reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// An order that an amendment left as it was, and why, where that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<(ClientOrderId, Option<Reason>)>,
    /// When its report is here, if there is anything to report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_ns: Option<TsNs>,
}

/// A report on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) at: TsNs,
    pub(crate) facts: Vec<Fact>,
    pub(crate) events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unchanged: Option<(ClientOrderId, Option<Reason>)>,
    /// The number of the mail that led to it; none of what the market did, or of a snapshot from before there
    /// were numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<u64>,
}

/// The venue, and both ways.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VenueSide {
    /// Its orders and its account, as far as it knows.
    pub(crate) state: State,
    to: VecDeque<(TsNs, VenueMail)>,
    from: VecDeque<Report>,
    /// How many things have been on their way.
    sent: u64,
    /// How many mails have arrived there: the number of the last one.
    #[serde(default)]
    arrived: u64,
}

impl VenueSide {
    fn new(state: State) -> VenueSide {
        VenueSide { state, to: VecDeque::new(), from: VecDeque::new(), sent: 0, arrived: 0 }
    }

    /// What arrives there next, and when.
    pub(crate) fn next_mail(&self) -> Option<&(TsNs, VenueMail)> {
        self.to.front()
    }

    /// What arrives here next.
    pub(crate) fn next_report(&self) -> Option<&Report> {
        self.from.front()
    }

    /// When what was sent there last arrives: nothing overtakes it.
    pub(crate) fn last_mail_ns(&self) -> TsNs {
        self.to.back().map_or(TsNs::MIN, |(at, _)| *at)
    }

    /// When what was sent here last arrives.
    pub(crate) fn last_report_ns(&self) -> TsNs {
        self.from.back().map_or(TsNs::MIN, |report| report.at)
    }

    /// How many things have been on their way.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// The amendments of which it is not known yet what became, in the order in which they were sent.
    pub(super) fn amends(&self) -> impl Iterator<Item = (ClientOrderId, Amend)> {
        let done = self.from.iter().filter_map(|report| Amend::done(&report.facts));
        done.chain(self.to.iter().filter_map(|(_, mail)| Amend::sent(mail)))
    }

    /// Notes on both ways what happened there: the mail that has arrived, if one has.
    fn note(&mut self, done: &AtVenue) -> Option<VenueMail> {
        let arrived = if done.arrived { self.to.pop_front() } else { None };
        self.arrived += u64::from(done.arrived);
        if let Some(at) = done.reported_ns {
            let told = |fact: &&Fact| matches!(fact, Fact::Triggered { .. } | Fact::Amended { .. });
            let facts = done.facts.iter().filter(told).cloned().collect();
            let (events, unchanged) = (done.events.clone(), done.unchanged);
            let mail = done.arrived.then_some(self.arrived);
            self.from.push_back(Report { at, facts, events, unchanged, mail });
            self.sent += 1;
        }
        arrived.map(|(_, mail)| mail)
    }

    fn apply(&mut self, done: &AtVenue) {
        for fact in &done.facts {
            self.state.apply_fact(fact);
        }
        for event in &done.events {
            self.state.apply_event(self.state.last_event_id() + 1, event);
        }
    }

    pub(super) fn apply_market(&mut self, market: &Market) {
        self.state.apply_market(market);
    }
}

impl State {
    /// The venue that is away, if it is.
    pub(crate) fn venue(&self) -> Option<&VenueSide> {
        self.data.venue.as_deref()
    }

    pub(crate) fn venue_mut(&mut self) -> Option<&mut VenueSide> {
        self.data.venue.as_deref_mut()
    }

    /// The number of the last mail to a venue that is away; it is the number of what becomes of it too.
    pub fn last_mail(&self) -> u64 {
        self.venue()
            .map_or(0, |venue| venue.arrived + u64::try_from(venue.to.len()).unwrap_or_default())
    }

    /// What a venue knows at first: the account, and the orders that are open.
    pub(crate) fn of_venue(&self) -> State {
        let mut data = self.data.clone();
        data.orders = Default::default();
        for order in self.open_orders() {
            data.orders.push(order.clone());
        }
        data.recent = Recent::default();
        data.sent.clear();
        let risk = RiskSettings { state: data.risk.state, ..RiskSettings::default() };
        data.risk =
            RiskSettings { max_daily_loss: std::mem::take(&mut data.risk.max_daily_loss), ..risk };
        data.venue = None;
        State { index: super::Index::of(&data, &[]), data }
    }

    /// Takes a fact of a venue that is away; any other changes nothing.
    pub(super) fn apply_venue_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Sized { client_order_id, qty, lock } => {
                self.change(client_order_id, |order| order.qty = *qty);
                self.lock_anew(client_order_id, *lock);
            }
            Fact::VenueAway => self.send_venue_away(),
            Fact::Left { ts_ns, arrives_ns, mail } => {
                let is_amend = matches!(mail, VenueMail::Amend { .. });
                if is_amend && self.data.risk.max_orders_per_second.is_some() {
                    self.note_sent(*ts_ns);
                }
                let Some(venue) = self.venue_mut() else { return };
                venue.to.push_back((*arrives_ns, mail.clone()));
                venue.sent += 1;
                if let Some((id, amend)) = Amend::sent(mail) {
                    self.change_amends(&id, |amends| amends.push(id, amend));
                }
            }
            Fact::AtVenue(done) => {
                if let Some(venue) = self.venue_mut() {
                    venue.apply(done);
                }
                self.note_there(done);
            }
            Fact::Reported => {
                let report = self.venue_mut().and_then(|venue| venue.from.pop_front());
                if let Some((id, _)) = report.and_then(|report| Amend::done(&report.facts)) {
                    self.change_amends(&id, |amends| amends.known(id));
                }
            }
            _ => {}
        }
    }

    /// Notes on both ways what happened at the venue, whose own part of the state has changed already.
    pub(crate) fn note_there(&mut self, done: &AtVenue) {
        let arrived = self.venue_mut().and_then(|venue| venue.note(done));
        if let Some((id, _)) = arrived.as_ref().and_then(Amend::sent) {
            let done = Amend::done(&done.facts).map(|(_, amend)| amend);
            self.change_amends(&id, |amends| amends.arrived(id, done));
        }
    }

    /// Changes what is on its way for an order, and with it what its pair's open orders come to.
    fn change_amends(&mut self, id: &ClientOrderId, change: impl FnOnce(&mut Amends)) {
        let key = self.order_key(id);
        let order = key.and_then(|key| self.data.orders.get(key));
        let Some(order) = order else { return change(&mut self.index.amends) };
        let before = self.index.amends.most(&order);
        change(&mut self.index.amends);
        self.index.changed(order.pair, before, self.index.amends.most(&order));
    }

    /// The built-in venue is away from here on, with every order that is open.
    fn send_venue_away(&mut self) {
        if self.data.venue.is_some() {
            return;
        }
        self.data.venue = Some(Box::new(VenueSide::new(self.of_venue())));
        let open: Vec<_> = self.index.open.iter().collect();
        for key in open {
            if let Some(order) = self.data.orders.get_mut(key) {
                order.external = true;
            }
        }
    }

    /// When the first order that stands until a time expires.
    pub(crate) fn first_expiry(&self) -> Option<TsNs> {
        self.index.expiring.first().map(|(at, _)| *at)
    }
}
