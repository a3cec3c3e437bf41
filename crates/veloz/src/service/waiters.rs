//! Who waits for what becomes of an order, where that is not known at once.
//!
//! Contract: a request is answered once the step that tells of its order is stored, or with `unknown_outcome`
//! after [`VENUE_ANSWER_MS`].

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use veloz_core::engine::{AmendedAway, Step};
use veloz_core::event::Event;
use veloz_core::input::{Answer, Input, Refusal};
use veloz_core::limits::VENUE_ANSWER_MS;
use veloz_core::order::OrderStatus;
use veloz_core::state::State;
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
    /// What became of the amendment that was sent with this number.
    Amendment(u64),
}

impl Wants {
    /// Of an input that was the last to be sent, in that state.
    pub(crate) fn of(input: &Input, state: &State) -> Wants {
        match input {
            Input::Cancel(_) => Wants::End,
            Input::Amend(_) => Wants::Amendment(state.last_mail()),
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
        if let Some(amended) = step.amended {
            self.amended(amended, state, tell);
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

    /// Answers whoever sent an amendment. Nobody may wait for it any more: it was given up, or an earlier run
    /// sent it.
    fn amended(
        &mut self,
        AmendedAway { mail, client_order_id: id, refused }: AmendedAway,
        state: &State,
        tell: &mut impl FnMut(R, Answered),
    ) {
        self.answer(id, tell, |wants| {
            (wants == Wants::Amendment(mail)).then(|| match (refused, state.order(&id)) {
                (Some(reason), _) => Err(Refusal::Rejected(id, reason).into()),
                (None, Some(order)) => Ok(Answer::Amended(Box::new(order.state_event()))),
                (None, None) => Err(Refusal::NotFound(id).into()),
            })
        });
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
        (Wants::Amendment(_) | Wants::End, status) if status.is_final() => Some(closed(status)),
        (Wants::Amendment(_) | Wants::End, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use veloz_core::engine::{Engine, EngineConfig, Venue};
    use veloz_core::input::{AmendOrder, NewOrder, ReportBody, VenueReport};
    use veloz_core::instrument::Instrument;
    use veloz_core::latency::Latency;
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

    /// Who sends commands to a venue that is away, and what they are told.
    struct Desk {
        engine: Engine,
        step: Step,
        waiters: Waiters<&'static str>,
        told: Vec<(&'static str, Result<String, ServiceError>)>,
    }

    const SECOND: TsNs = 1_000 * MS;

    impl Desk {
        /// So many seconds from a venue at which `a` and `b` stand, each to buy 1 at 100 of the 1000 there are.
        fn at(seconds: u64) -> Desk {
            let symbol = Symbol::parse("BTCUSDT").unwrap();
            let engine = Engine::new(EngineConfig {
                instruments: vec![Instrument::for_symbol(symbol).unwrap()],
                balances: vec![(Asset::parse("USDT").unwrap(), "1000".parse().unwrap())],
                latency: Latency { to_ns: seconds * 1_000_000_000, ..Latency::default() },
                ..EngineConfig::default()
            });
            let (step, waiters, told) = (Step::default(), Waiters::default(), Vec::new());
            let mut desk = Desk { engine, step, waiters, told };
            desk.engine.start(1, &mut desk.step);
            for id in ["a", "b"] {
                let (qty, price) = ("1".parse().unwrap(), "100".parse().unwrap());
                let id = ClientOrderId::parse(id).unwrap();
                let order = NewOrder::limit(id, symbol, Side::Buy, qty, price);
                desk.engine.step(1, &Input::NewOrder(order), &mut desk.step).unwrap();
            }
            desk.pass(9 * SECOND);
            desk
        }

        fn amend(&mut self, now: TsNs, order: &str, qty: &str, who: &'static str) {
            let (client_order_id, qty) = (ClientOrderId::parse(order).unwrap(), qty.parse().ok());
            let input = Input::Amend(AmendOrder { client_order_id, qty, price: None });
            let pending = self.engine.step(now, &input, &mut self.step);
            assert_eq!(pending, Ok(Answer::Pending(client_order_id)));
            let wants = Wants::of(&input, self.engine.state());
            self.waiters.wait(client_order_id, who, wants, now);
        }

        fn pass(&mut self, until: TsNs) {
            let mut tell = |who, answer: Answered| {
                let qty = answer.map(|answer| match answer {
                    Answer::Amended(order) => order.order_qty.unwrap().to_string(),
                    other => panic!("{other:?}"),
                });
                self.told.push((who, qty));
            };
            while let Some(at) = self.engine.due_ns().filter(|at| *at <= until) {
                self.engine.step(at, &Input::Tick, &mut self.step).unwrap();
                self.waiters.hear(&self.step, self.engine.state(), &mut tell);
            }
            self.waiters.give_up(until, &mut tell);
        }
    }

    #[test]
    fn an_amendment_is_not_answered_with_what_became_of_one_of_an_earlier_run() {
        let mut desk = Desk::at(2);
        desk.amend(10 * SECOND, "a", "6", "before");
        // Nothing is left to pay it when it is there.
        desk.amend(10 * SECOND, "b", "6", "before");
        desk.waiters = Waiters::default();
        for (order, qty, who) in [("a", "2", "first"), ("b", "7", "second"), ("a", "3", "third")] {
            desk.amend(11 * SECOND, order, qty, who);
        }
        desk.pass(12 * SECOND);
        assert_eq!(desk.told, []);
        desk.pass(13 * SECOND);
        let own = |who, qty: &str| (who, Ok(qty.to_owned()));
        assert_eq!(desk.told, [own("first", "2.0"), own("second", "7.0"), own("third", "3.0")]);
    }

    #[test]
    fn an_amendment_is_not_answered_with_what_became_of_one_that_was_given_up() {
        let mut desk = Desk::at(6);
        desk.amend(10 * SECOND, "a", "2", "first");
        desk.amend(13 * SECOND, "a", "3", "second");
        desk.pass(15 * SECOND);
        let unknown = |who| (who, Err(ServiceError::UnknownOutcome));
        assert_eq!(desk.told, [unknown("first")]);
        desk.pass(17 * SECOND);
        assert_eq!(desk.told, [unknown("first")], "the second is there at 19 s");
        desk.pass(18 * SECOND);
        assert_eq!(desk.told, [unknown("first"), unknown("second")]);
    }
}
