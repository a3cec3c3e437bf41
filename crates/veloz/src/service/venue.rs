//! The service's side of a venue that answers later: what is waited for, and what an external one is asked.
//!
//! Contract: an intent is stored before the venue is told. A request waits for the venue's first word of
//! its order (see `waiters`): when none comes the order is in doubt, the request is answered with
//! `unknown_outcome`, and an external venue is asked until it says what became of it. While that does not
//! work, new orders are refused before anything is stored of them; the open ones stay as they are, and are
//! asked about when it is back.

use std::collections::{BTreeMap, BTreeSet};

use crossbeam_channel::Receiver;
use veloz_core::engine::{Engine, VenueCommand};
use veloz_core::input::{Answer, Input, MarketData, ReportBody, VenueReport};
use veloz_core::limits::{
    VENUE_ASK_MAX_MS, VENUE_ASK_MS, VENUE_ASKED_COUNT, VENUE_BATCH_MESSAGES, VENUE_LIST_MS,
};
use veloz_core::risk::Reason;
use veloz_core::types::{ClientOrderId, TsNs};

use super::handle::{Reply, ServiceError};
use super::waiters::Wants;
use super::{After, Service};
use crate::venue::stdio::ENGINE_EXITED;
use crate::venue::{NotSent, VenueMessage, VenueOrder, VenuePort};

const MS: TsNs = 1_000_000;

/// The venue has not worked yet.
pub(super) const STARTING: &str = "venue_starting";

/// An external venue, as the service sees it.
pub(crate) struct ExternalVenue {
    port: VenuePort,
    reports: Receiver<VenueMessage>,
    /// Commands of the batch, told once it is stored.
    outgoing: Vec<VenueCommand>,
    /// Cancels that the running process is to be told as soon as it is there and has room.
    untold: BTreeMap<ClientOrderId, VenueCommand>,
    /// Orders whose fate is asked for.
    asked: BTreeMap<ClientOrderId, Asked>,
    /// The last step asked about an order.
    was_asked: bool,
    list_at: TsNs,
    /// The problem that `/health` shows because of it.
    trouble: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: TsNs,
    wait_ms: TsNs,
}

impl ExternalVenue {
    /// A venue behind a port, and an engine that may have orders there from an earlier run; with what it is to be told
    /// before anything else.
    pub(super) fn new(
        port: VenuePort,
        reports: Receiver<VenueMessage>,
        first: Vec<VenueCommand>,
    ) -> ExternalVenue {
        ExternalVenue {
            port,
            reports,
            outgoing: first,
            untold: BTreeMap::new(),
            asked: BTreeMap::new(),
            was_asked: false,
            list_at: TsNs::MAX,
            trouble: Some(STARTING),
        }
    }

    /// Asks about an order, now and then, until something is known.
    fn ask(&mut self, id: ClientOrderId, now: TsNs) {
        if self.asked.len() < VENUE_ASKED_COUNT {
            let first = Asked { at: now, wait_ms: VENUE_ASK_MS };
            self.asked.entry(id).or_insert(first);
        }
    }

    fn ask_all_now(&mut self, now: TsNs) {
        for asked in self.asked.values_mut() {
            asked.at = asked.at.min(now);
        }
    }

    /// Sends the cancels that the running process was not told of, as long as there is room.
    fn send_cancels(&mut self) {
        while let Some(cancel) = self.untold.first_entry() {
            if self.port.send(VenueOrder::Command(cancel.get().clone())).is_err() {
                return;
            }
            cancel.remove();
        }
    }

    /// Wants no cancel any more of an order that is closed.
    fn forget_cancel(&mut self, engine: &Engine, id: ClientOrderId) {
        if self.untold.contains_key(&id)
            && !engine.state().order(&id).is_some_and(|order| order.is_open())
        {
            self.untold.remove(&id);
        }
    }

    /// Sends the questions that are due.
    fn ask_what_is_due(&mut self, now: TsNs) {
        if self.port.is_ready().is_err() {
            return;
        }
        for (&client_order_id, asked) in self.asked.iter_mut().filter(|(_, asked)| asked.at <= now)
        {
            let query = VenueCommand::Query { client_order_id };
            if self.port.send(VenueOrder::Command(query)).is_err() {
                return;
            }
            asked.at = now + asked.wait_ms * MS;
            asked.wait_ms = (asked.wait_ms * 2).min(VENUE_ASK_MAX_MS);
        }
        if self.list_at <= now && self.port.send(VenueOrder::List).is_ok() {
            self.list_at = now + VENUE_LIST_MS * MS;
        }
    }

    /// Asks no more about an order of which it is known how it stands.
    fn settle(&mut self, engine: &Engine, id: ClientOrderId, report: &ReportBody) {
        let not_found = *report == ReportBody::NotFound;
        let known = match engine.state().order(&id) {
            // Not found while it is young: to be asked again.
            Some(order) if not_found => !order.is_open(),
            Some(order) => order.status.is_some() && !order.is_in_doubt(),
            None => not_found || matches!(report, ReportBody::State(_)),
        };
        if known {
            self.asked.remove(&id);
        }
    }
}

/// For the service alone.
impl Service {
    /// Why an order that is new cannot go to the venue now.
    pub(super) fn check_venue(&self, input: &Input) -> Result<(), ServiceError> {
        let Some(venue) = &self.venue else { return Ok(()) };
        let new = match input {
            Input::NewOrder(order) => Some(order.client_order_id),
            Input::NewPair(pair) => Some(pair.limit.client_order_id),
            _ => None,
        };
        let is_new = new.is_some_and(|id| self.engine.state().order(&id).is_none());
        if !is_new {
            return Ok(());
        }
        venue.port.is_ready().map_err(|error| match error {
            NotSent::Down(problem) => ServiceError::Unavailable(problem),
            NotSent::Busy => ServiceError::Overloaded,
        })
    }

    /// Takes what a client wants into the batch.
    pub(super) fn submit(&mut self, input: &Input, reply: Reply, now: TsNs) {
        match self.step(input, now) {
            Ok(Answer::Pending(id)) => {
                self.waiters.wait(id, reply, Wants::of(input, self.engine.state()), now)
            }
            Ok(Answer::CancelledAll(all)) if !all.is_empty() && self.engine.answers_later() => {
                self.waiters.wait_for_all(all, reply, now);
            }
            other => self.after.push(After::Answer(reply, other.map_err(ServiceError::Refused))),
        }
    }

    /// Notes what a step has to tell the venue once it is stored.
    pub(super) fn note_commands(&mut self, now: TsNs) {
        let Some(venue) = &mut self.venue else { return };
        venue.was_asked = false;
        for command in self.step.commands.drain(..) {
            match command {
                VenueCommand::Query { client_order_id } => {
                    venue.ask(client_order_id, now);
                    venue.was_asked = true;
                }
                command => venue.outgoing.push(command),
            }
        }
    }

    /// Tells the venue what is stored. What it cannot be told was taken by nobody: that is a step of its own.
    pub(super) fn tell_venue(&mut self, now: TsNs) -> bool {
        let Some(venue) = &mut self.venue else { return false };
        let mut not_taken = Vec::new();
        let mut outgoing = std::mem::take(&mut venue.outgoing);
        for command in outgoing.drain(..) {
            match command {
                VenueCommand::Cancel { client_order_id, .. } => {
                    venue.untold.insert(client_order_id, command);
                }
                VenueCommand::Place(order) => {
                    // In the order in which they were wanted: a cancel may free what the next order needs.
                    venue.send_cancels();
                    let client_order_id = order.client_order_id;
                    let place = VenueOrder::Command(VenueCommand::Place(order));
                    if !venue.untold.is_empty() || venue.port.send(place).is_err() {
                        not_taken.push(client_order_id);
                    }
                }
                // Asked by `ask_what_is_due`, never from here.
                VenueCommand::Query { .. } => {}
            }
        }
        venue.outgoing = outgoing;
        // Before the questions: both wait for room in one queue.
        venue.send_cancels();
        venue.ask_what_is_due(now);
        let any = !not_taken.is_empty();
        for client_order_id in not_taken {
            let body = ReportBody::Rejected { reason: Reason::NotTaken.as_str().into() };
            self.report(VenueReport { client_order_id, venue_order_id: None, body }, now);
        }
        any
    }

    /// Takes what waits of what the venue said, up to a bound. Whether more waits.
    pub(super) fn take_venue_messages(&mut self, now: TsNs) -> bool {
        for _ in 0..VENUE_BATCH_MESSAGES {
            let Some(venue) = &self.venue else { return false };
            let Ok(message) = venue.reports.try_recv() else { return false };
            self.take_venue(message, now);
        }
        self.venue.as_ref().is_some_and(|venue| !venue.reports.is_empty())
    }

    /// Takes what the venue said into the batch.
    fn take_venue(&mut self, message: VenueMessage, now: TsNs) {
        match message {
            VenueMessage::Report(report) => self.report(report, now),
            // What is reserved is for what must not wait: a later price makes this one void.
            VenueMessage::Market(_) if !self.takes_market() => {}
            VenueMessage::Market(data) => self.venue_market(data, now),
            VenueMessage::Listed(ids) => self.ask_about_the_rest(&ids, now),
            VenueMessage::Fault { code, detail } => {
                self.tell_fault(code, detail, now);
                // What it refused may be an order that waits.
                let Some(venue) = &mut self.venue else { return };
                for id in self.waiters.orders() {
                    venue.ask(id, now);
                }
                venue.ask_all_now(now);
            }
            VenueMessage::Down { code, detail } => {
                self.health.raise(code, detail.clone());
                self.tell_fault(code, detail, now);
                self.set_trouble(Some(code));
                if let (Some(venue), ENGINE_EXITED) = (&mut self.venue, code) {
                    // What it was told may have gone with it: the next process is told again.
                    venue.outgoing.extend(self.engine.unanswered_cancels());
                }
            }
            VenueMessage::Up { detail, again } => {
                if again {
                    self.tell_fault(crate::venue::stdio::ENGINE_STARTED, detail, now);
                }
                self.set_trouble(None);
                let unknown: Vec<_> = self
                    .engine
                    .state()
                    .open_orders()
                    .map(|order| order.client_order_id())
                    .collect();
                let Some(venue) = &mut self.venue else { return };
                venue.list_at = now;
                for id in unknown {
                    venue.ask(id, now + VENUE_ASK_MS * MS);
                }
                venue.ask_all_now(now + VENUE_ASK_MS * MS);
            }
        }
    }

    fn set_trouble(&mut self, trouble: Option<&'static str>) {
        let Some(venue) = &mut self.venue else { return };
        let before = std::mem::replace(&mut venue.trouble, trouble);
        if let Some(before) = before.filter(|before| Some(*before) != trouble) {
            self.health.clear(before);
        }
    }

    fn tell_fault(&mut self, code: &'static str, detail: String, now: TsNs) {
        tracing::warn!(code, detail, "venue");
        let fault = Input::Fault { code: code.into(), detail: detail.into() };
        if let Err(refusal) = self.step(&fault, now) {
            tracing::error!(%refusal, "a fault was refused");
        }
    }

    fn venue_market(&mut self, data: MarketData, now: TsNs) {
        if let Err(refusal) = self.step(&Input::Market(data), now) {
            tracing::warn!(%refusal, "market data refused");
        }
    }

    fn report(&mut self, report: VenueReport, now: TsNs) {
        let id = report.client_order_id;
        let input = Input::Report(report);
        if let Err(refusal) = self.step(&input, now) {
            tracing::error!(%refusal, "a report was refused");
        }
        let (Some(venue), Input::Report(report)) = (&mut self.venue, input) else { return };
        venue.forget_cancel(&self.engine, id);
        // What leads to a question answers none.
        if !venue.was_asked {
            venue.settle(&self.engine, id, &report.body);
        }
    }

    /// Open orders that a look at the venue did not show are asked for one by one.
    fn ask_about_the_rest(&mut self, listed: &[ClientOrderId], now: TsNs) {
        let listed: BTreeSet<_> = listed.iter().collect();
        let open = self.engine.state().open_orders().map(|order| order.client_order_id());
        let missing: Vec<_> = open.filter(|id| !listed.contains(id)).collect();
        let Some(venue) = &mut self.venue else { return };
        for id in missing {
            venue.ask(id, now);
        }
    }

    /// Those who have waited long enough are told that nothing is known.
    pub(super) fn look_after_waiters(&mut self, now: TsNs) {
        let mut tell = |reply, answer| self.after.push(After::Answer(reply, answer));
        for id in self.waiters.give_up(now, &mut tell) {
            self.doubt(id, now);
        }
    }

    /// Nobody knows what became of an order: it is in doubt from here on, and asked about.
    fn doubt(&mut self, client_order_id: ClientOrderId, now: TsNs) {
        let body = ReportBody::Unanswered;
        let report = VenueReport { client_order_id, venue_order_id: None, body };
        if let Err(refusal) = self.step(&Input::Report(report), now) {
            tracing::error!(%refusal, "a report was refused");
        }
        if let Some(venue) = &mut self.venue {
            venue.ask(client_order_id, now);
        }
    }
}
