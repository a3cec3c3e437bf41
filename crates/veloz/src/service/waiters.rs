//! Who waits for what becomes of an order, where that is not known at once.
//!
//! Contract: a request is answered once the step that tells of its order is stored, or with `unknown_outcome`
//! after [`VENUE_ANSWER_MS`].

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use veloz_core::engine::Step;
use veloz_core::event::Event;
use veloz_core::input::{Answer, Input, Refusal};
use veloz_core::limits::VENUE_ANSWER_MS;
use veloz_core::order::OrderStatus;
use veloz_core::risk::Reason;
use veloz_core::state::{Fact, State};
use veloz_core::types::{ClientOrderId, TsNs};

use super::handle::{Reply, ServiceError};

const MS: TsNs = 1_000_000;

/// What a request is answered with.
type Answered = Result<Answer, ServiceError>;

/// The requests that wait, by order; `R` is what each is answered by.
pub(crate) struct Waiters<R> {
    of_order: FxHashMap<ClientOrderId, Vec<Waiting<R>>>,
    /// Cancels of many, each until all of its orders are closed.
    cancelling: Vec<Cancelling<R>>,
}

impl<R> Default for Waiters<R> {
    fn default() -> Waiters<R> {
        Waiters { of_order: FxHashMap::default(), cancelling: Vec::new() }
    }
}

struct Waiting<R> {
    reply: R,
    until: TsNs,
    wants: Wants,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The first word of a new order.
    Word,
    /// The first words of a pair: of this one's other order too.
    Words(ClientOrderId),
    /// Its end.
    End,
    /// What became of its amendment.
    Amendment,
}

impl Wants {
    pub(crate) fn of(input: &Input) -> Wants {
        match input {
            Input::Cancel(_) => Wants::End,
            Input::Amend(_) => Wants::Amendment,
            Input::NewPair(pair) => Wants::Words(pair.stop.client_order_id),
            _ => Wants::Word,
        }
    }
}

struct Cancelling<R> {
    reply: R,
    until: TsNs,
    /// Those that were open, less those that have ended otherwise since.
    all: Vec<ClientOrderId>,
    open: BTreeSet<ClientOrderId>,
}

impl<R> Waiters<R> {
    /// Somebody waits for an order.
    pub(crate) fn wait(&mut self, id: ClientOrderId, reply: R, wants: Wants, now: TsNs) {
        let until = now + VENUE_ANSWER_MS * MS;
        self.of_order.entry(id).or_default().push(Waiting { reply, until, wants });
    }

    /// Somebody waits for the end of many.
    pub(crate) fn wait_for_all(&mut self, all: Vec<ClientOrderId>, reply: R, now: TsNs) {
        let (until, open) = (now + VENUE_ANSWER_MS * MS, all.iter().copied().collect());
        self.cancelling.push(Cancelling { reply, until, all, open });
    }

    /// The orders that are waited for one by one.
    pub(super) fn orders(&self) -> Vec<ClientOrderId> {
        self.of_order.keys().copied().collect()
    }

    /// Answers those who waited for what a step tells, as soon as it is stored.
    pub(crate) fn hear(&mut self, step: &Step, state: &State, tell: &mut impl FnMut(R, Answered)) {
        if self.of_order.is_empty() && self.cancelling.is_empty() {
            return;
        }
        for (id, reason) in &step.unchanged {
            self.amended(*id, *reason, state, tell);
        }
        for fact in &step.facts {
            if let Fact::Amended { client_order_id, .. } = fact {
                self.amended(*client_order_id, None, state, tell);
            }
        }
        for event in &step.events {
            let Event::OrderState(told) = event else { continue };
            self.answer(told.client_order_id, tell, |wants| answer_of(state, told, wants));
            if let Some(status) = told.status.filter(|status| status.is_final()) {
                self.closed(told.client_order_id, status, tell);
            }
        }
    }

    /// Answers those who wait for an order and for whom there is an answer.
    fn answer(
        &mut self,
        id: ClientOrderId,
        tell: &mut impl FnMut(R, Answered),
        answer: impl Fn(Wants) -> Option<Answered>,
    ) {
        let Some(waiting) = self.of_order.remove(&id) else { return };
        let mut still = Vec::new();
        for one in waiting {
            match answer(one.wants) {
                Some(answer) => tell(one.reply, answer),
                None => still.push(one),
            }
        }
        if !still.is_empty() {
            self.of_order.insert(id, still);
        }
    }

    /// Answers the oldest amendment of an order: they arrive in the order in which they were sent.
    fn amended(
        &mut self,
        id: ClientOrderId,
        refused: Option<Reason>,
        state: &State,
        tell: &mut impl FnMut(R, Answered),
    ) {
        let Some(waiting) = self.of_order.get_mut(&id) else { return };
        let Some(at) = waiting.iter().position(|one| one.wants == Wants::Amendment) else { return };
        let one = waiting.remove(at);
        let answer = match (refused, state.order(&id)) {
            (Some(reason), _) => Err(Refusal::Rejected(id, reason).into()),
            (None, Some(order)) => Ok(Answer::Amended(Box::new(order.state_event()))),
            (None, None) => Err(Refusal::NotFound(id).into()),
        };
        tell(one.reply, answer);
    }

    fn closed(
        &mut self,
        id: ClientOrderId,
        status: OrderStatus,
        tell: &mut impl FnMut(R, Answered),
    ) {
        for cancelling in &mut self.cancelling {
            if cancelling.open.remove(&id) && status != OrderStatus::Cancelled {
                cancelling.all.retain(|other| *other != id);
            }
        }
        for done in self.cancelling.extract_if(.., |cancelling| cancelling.open.is_empty()) {
            tell(done.reply, Ok(Answer::CancelledAll(done.all)));
        }
    }

    /// The orders of which nothing was heard in time; whoever waited for them is told so.
    pub(super) fn give_up(
        &mut self,
        now: TsNs,
        tell: &mut impl FnMut(R, Answered),
    ) -> BTreeSet<ClientOrderId> {
        let mut unknown = BTreeSet::new();
        let mut replies = Vec::new();
        for (id, waiting) in &mut self.of_order {
            for one in waiting.extract_if(.., |one| one.until <= now) {
                unknown.insert(*id);
                if let Wants::Words(other) = one.wants {
                    unknown.insert(other);
                }
                replies.push(one.reply);
            }
        }
        self.of_order.retain(|_, waiting| !waiting.is_empty());
        for cancelling in self.cancelling.extract_if(.., |cancelling| cancelling.until <= now) {
            unknown.extend(cancelling.open);
            replies.push(cancelling.reply);
        }
        for reply in replies {
            tell(reply, Err(ServiceError::UnknownOutcome));
        }
        unknown
    }
}

impl Waiters<Reply> {
    /// Whoever still waits at the end is told that the outcome is not known.
    pub(super) fn leave(&mut self) {
        let waiting = self.of_order.drain().flat_map(|(_, waiting)| waiting).map(|one| one.reply);
        for reply in waiting.chain(self.cancelling.drain(..).map(|one| one.reply)) {
            // Whoever asked may have gone.
            let _ = reply.send(Err(ServiceError::UnknownOutcome));
        }
    }
}

/// What there is to say to somebody who waits for an order, now that it was told how that stands.
fn answer_of(
    state: &State,
    told: &veloz_core::event::OrderState,
    wants: Wants,
) -> Option<Answered> {
    let id = told.client_order_id;
    let word = |id| state.order(&id)?.answer();
    let closed = |status| Err(Refusal::OrderClosed(id, status).into());
    match (wants, told.status?) {
        (Wants::Word, _) => word(id).map(|answer| Ok(Answer::Order(answer))),
        (Wants::Words(other), _) => Some(Ok(Answer::Pair(Box::new([word(id)?, word(other)?])))),
        (Wants::End, OrderStatus::Cancelled) => Some(Ok(Answer::Cancelled(id))),
        (Wants::Amendment | Wants::End, status) if status.is_final() => Some(closed(status)),
        (Wants::Amendment | Wants::End, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use veloz_core::engine::{Engine, EngineConfig, Venue};
    use veloz_core::input::{NewOrder, ReportBody, VenueReport};
    use veloz_core::instrument::Instrument;
    use veloz_core::types::{Asset, Side, Symbol};

    use super::*;

    /// What was executed before the cancel was there was not taken back, and is not said to be.
    #[test]
    fn a_cancel_of_all_names_those_that_it_took_back() {
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let mut engine = Engine::new(EngineConfig {
            instruments: vec![Instrument::for_symbol(symbol).unwrap()],
            balances: vec![(Asset::parse("BTC").unwrap(), "9".parse().unwrap())],
            venue: Venue::External,
            ..EngineConfig::default()
        });
        let (mut step, mut waiters, mut told) = (Step::default(), Waiters::default(), Vec::new());
        engine.start(1, &mut step);
        let ids = ["filled", "back", "over"].map(|id| ClientOrderId::parse(id).unwrap());
        let report = |client_order_id, body| {
            Input::Report(VenueReport { client_order_id, venue_order_id: None, body })
        };
        for id in ids {
            let order = NewOrder::market(id, symbol, Side::Sell, "1".parse().unwrap());
            engine.step(1, &Input::NewOrder(order), &mut step).unwrap();
            engine.step(1, &report(id, ReportBody::Accepted), &mut step).unwrap();
        }
        let all = engine.step(2, &Input::CancelAll { symbol: None }, &mut step).unwrap();
        assert_eq!(all, Answer::CancelledAll(ids.to_vec()));
        waiters.wait_for_all(ids.to_vec(), (), 2);
        let fill = ReportBody::Fill {
            trade_id: Some(1),
            qty: "1".parse().unwrap(),
            price: "5".parse().unwrap(),
            symbol: None,
            side: None,
            fee: None,
            liquidity: None,
        };
        let over = ReportBody::Expired { reason: "over".into() };
        for (id, body) in ids.into_iter().zip([fill, ReportBody::Cancelled, over]) {
            assert!(told.is_empty(), "{id} is open: {told:?}");
            engine.step(3, &report(id, body), &mut step).unwrap();
            waiters.hear(&step, engine.state(), &mut |(), answer| told.push(answer.unwrap()));
        }
        assert_eq!(told, [Answer::CancelledAll(vec![ids[1]])]);
    }
}
