//! Clients that trade: they send, send again with the same id, cancel and amend, and remember every answer.

use std::collections::BTreeMap;

use fastrand::Rng;
use veloz::service::ServiceError;
use veloz_core::input::{
    AmendOrder, Answer, CancelOrder, Input, NewOrder, OrderAnswer, Refusal, RiskChange,
    TradingState,
};
use veloz_core::order::{OrderStatus, OrderType, TimeInForce};
use veloz_core::state::State;
use veloz_core::types::{ClientOrderId, EventId, Money, Qty, Side, TsNs};

use crate::gateway::{Gateway, Pending, poll};
use crate::market::{middle, price, qty, symbol};
use crate::truth::{Check, Truth};

/// All that the traders know.
#[derive(Default)]
pub(crate) struct Traders {
    /// The venue is away: when the clock goes back, the way takes longer than anyone waits.
    is_away: bool,
    orders: BTreeMap<ClientOrderId, Sent>,
    asked: Vec<Asked>,
    named: u64,
    /// Answers that came.
    pub(crate) answers: u64,
    /// Of these, of orders sent again.
    pub(crate) retried: u64,
    pub(crate) digest: u32,
}

/// An order that was sent.
struct Sent {
    request: NewOrder,
    /// What it was answered, and the newest event by then.
    answer: Option<(OrderAnswer, EventId)>,
    /// A cancel of it was answered as done, and the newest event by then.
    cancelled: Option<EventId>,
}

/// A request under way.
struct Asked {
    what: Ask,
    pending: Pending,
}

enum Ask {
    Place(NewOrder),
    Cancel(ClientOrderId),
    Other,
}

impl Traders {
    /// Traders at a venue that is here, or away.
    pub(crate) fn at_venue(is_away: bool) -> Traders {
        Traders { is_away, ..Traders::default() }
    }

    /// Sends something.
    pub(crate) fn act(&mut self, gateway: &Gateway, position: u64, now: TsNs, rng: &mut Rng) {
        let (input, what) = match rng.u8(0..20) {
            0..11 => self.place(position, now, rng),
            11..14 => self.again(rng),
            14..17 => self.cancel(rng),
            17 | 18 => self.amend(rng),
            _ => rare(rng),
        };
        let pending = gateway.submit(input);
        self.asked.push(Asked { what, pending });
    }

    fn place(&mut self, position: u64, now: TsNs, rng: &mut Rng) -> (Input, Ask) {
        self.named += 1;
        let id = ClientOrderId::parse(&format!("o-{}", self.named)).expect("an id");
        let symbol = symbol(rng.u64(..));
        let side = if rng.bool() { Side::Buy } else { Side::Sell };
        let at = price(middle(symbol, position) + rng.i64(-12..=12));
        let mut order = NewOrder::limit(id, symbol, side, qty(rng.i64(1..900)), at);
        match rng.u8(0..12) {
            0 => order.time_in_force = TimeInForce::Ioc,
            1 => order.time_in_force = TimeInForce::Fok,
            2 => {
                order.time_in_force = TimeInForce::Gtd;
                order.expire_ts_ns = Some(now + rng.i64(1..4_000_000_000));
            }
            3 => order.order_type = OrderType::LimitMaker,
            4 | 5 => order = NewOrder::market(id, symbol, side, order.qty),
            6 => {
                order = NewOrder::market(id, symbol, side, Qty::ZERO);
                order.quote_qty = Some(Money::notional(price(100), qty(rng.i64(50..900))));
            }
            7 => {
                order.order_type = OrderType::StopLossLimit;
                order.stop_price = Some(price(middle(symbol, position) + rng.i64(-8..=8)));
            }
            8 => {
                order.order_type = OrderType::TakeProfit;
                order.time_in_force = TimeInForce::Ioc;
                order.stop_price = order.price.take();
            }
            9 => order.reduce_only = side == Side::Sell,
            _ => {}
        }
        let sent = Sent { request: order.clone(), answer: None, cancelled: None };
        self.orders.insert(id, sent);
        (Input::NewOrder(order.clone()), Ask::Place(order))
    }

    fn pick(&self, rng: &mut Rng) -> Option<(&ClientOrderId, &Sent)> {
        let len = self.orders.len();
        // Late ones rather than early ones.
        let at = rng.usize(len.saturating_sub(20)..len.max(1));
        self.orders.iter().nth(if rng.u8(0..6) == 0 { rng.usize(0..len.max(1)) } else { at })
    }

    /// Sends an order again: the same, or another one under its name.
    fn again(&self, rng: &mut Rng) -> (Input, Ask) {
        let Some((_, sent)) = self.pick(rng) else { return rare(rng) };
        let mut order = sent.request.clone();
        if sent.answer.is_some() && rng.u8(0..4) == 0 {
            order.side = if order.side == Side::Buy { Side::Sell } else { Side::Buy };
            order.reduce_only = false;
        }
        (Input::NewOrder(order.clone()), Ask::Place(order))
    }

    fn cancel(&self, rng: &mut Rng) -> (Input, Ask) {
        let Some((&id, _)) = self.pick(rng) else { return rare(rng) };
        (Input::Cancel(CancelOrder { client_order_id: id, symbol: None }), Ask::Cancel(id))
    }

    fn amend(&self, rng: &mut Rng) -> (Input, Ask) {
        let Some((&client_order_id, sent)) = self.pick(rng) else { return rare(rng) };
        let amend = AmendOrder {
            client_order_id,
            qty: rng.bool().then(|| qty(rng.i64(1..900))),
            price: sent.request.price.map(|old| price(old.raw() / 100_000_000 + rng.i64(-3..=3))),
        };
        (Input::Amend(amend), Ask::Other)
    }

    /// Takes the answers that have come, and judges them. `is_well`: nothing has failed; `has_room`: nothing
    /// keeps the disk from taking more.
    pub(crate) fn hear(&mut self, truth: &Truth, is_well: bool, has_room: bool) -> Check {
        let mut asked = std::mem::take(&mut self.asked);
        let mut result = Ok(());
        asked.retain_mut(|asked| {
            let Some(answer) = poll(&mut asked.pending) else { return true };
            let text = format!("{answer:?}");
            self.digest = crc32c::crc32c_append(self.digest, text.as_bytes());
            if result.is_ok() {
                result = self.judge(&asked.what, answer, truth, (is_well, has_room));
            }
            false
        });
        self.asked = asked;
        result
    }

    fn judge(
        &mut self,
        what: &Ask,
        answer: Result<Answer, ServiceError>,
        truth: &Truth,
        (is_well, has_room): (bool, bool),
    ) -> Check {
        let refusal = match answer {
            Ok(answer) => {
                self.answers += 1;
                return self.judge_answer(what, answer, truth);
            }
            Err(ServiceError::Refused(refusal)) => refusal,
            Err(ServiceError::Overloaded) => return Ok(()),
            Err(ServiceError::NoRoom { .. }) if !has_room => return Ok(()),
            Err(ServiceError::UnknownOutcome) if self.is_away => return Ok(()),
            Err(error) if is_well => return Err(format!("all is well, and it says: {error}")),
            Err(_) => return Ok(()),
        };
        match (what, refusal) {
            (Ask::Place(order), Refusal::DuplicateClientOrderId(id)) => {
                let known = self.orders.get(&id).filter(|sent| sent.answer.is_some());
                match known {
                    Some(sent) if sent.request == *order => {
                        Err(format!("{id} is refused as another order than itself"))
                    }
                    _ => Ok(()),
                }
            }
            (Ask::Place(order), refusal) => Err(format!("{order:?} is refused: {refusal}")),
            (Ask::Cancel(id), Refusal::NotFound(_)) => {
                let known = self.orders.get(id).is_some_and(|sent| sent.answer.is_some());
                if known { Err(format!("{id} was answered, and is not known")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn judge_answer(&mut self, what: &Ask, answer: Answer, truth: &Truth) -> Check {
        let newest = truth.newest();
        match (what, answer) {
            (Ask::Place(order), Answer::Order(answer)) => {
                let id = order.client_order_id;
                if answer.client_order_id != id || !truth.knows(&id) {
                    return Err(format!(
                        "{id} is answered, and nothing of it is stored: {answer:?}"
                    ));
                }
                let sent = self.orders.get_mut(&id).ok_or("an answer to nothing")?;
                match &sent.answer {
                    Some((first, _)) if *first != answer => {
                        Err(format!("{id} was answered {first:?}, and now {answer:?}"))
                    }
                    Some(_) if sent.request != *order => {
                        Err(format!("{id} is placed a second time, as another order"))
                    }
                    Some(_) => {
                        self.retried += 1;
                        Ok(())
                    }
                    None => {
                        sent.request = order.clone();
                        sent.answer = Some((answer, newest));
                        Ok(())
                    }
                }
            }
            (Ask::Cancel(id), Answer::Cancelled(cancelled)) if *id == cancelled => {
                let sent = self.orders.get_mut(id).ok_or("a cancel of nothing")?;
                sent.cancelled = Some(newest);
                Ok(())
            }
            (Ask::Other, _) => Ok(()),
            (_, answer) => Err(format!("an answer to something else: {answer:?}")),
        }
    }

    /// What was answered is in the state, with the same answer.
    pub(crate) fn check_kept(&self, state: &State) -> Check {
        for (id, sent) in &self.orders {
            let known = state.order(id);
            if let Some((answer, _)) = &sent.answer {
                let now = known.as_ref().and_then(|order| order.answer());
                if now.as_ref() != Some(answer) {
                    return Err(format!("{id} was answered {answer:?}, and the state has {now:?}"));
                }
            }
            let status = known.and_then(|order| order.status);
            if sent.cancelled.is_some() && status != Some(OrderStatus::Cancelled) {
                return Err(format!("{id} was cancelled, and the state has {status:?}"));
            }
        }
        Ok(())
    }

    /// Whoever waits hears nothing any more. `invents`: planted, an answer is made up.
    pub(crate) fn cut(&mut self, invents: bool) {
        for asked in std::mem::take(&mut self.asked) {
            let Ask::Place(order) = asked.what else { continue };
            let answer = OrderAnswer {
                client_order_id: order.client_order_id,
                venue_order_id: None,
                status: OrderStatus::Accepted,
                executed_qty: Qty::ZERO,
                reason: "".into(),
            };
            if let Some(sent) = self.orders.get_mut(&order.client_order_id).filter(|_| invents) {
                sent.answer.get_or_insert((answer, 0));
            }
        }
    }

    /// The power took what came after that event: of those answers nothing is promised.
    pub(crate) fn lost(&mut self, newest: EventId) {
        for sent in self.orders.values_mut() {
            sent.answer.take_if(|(_, at)| *at > newest);
            sent.cancelled.take_if(|at| *at > newest);
        }
    }

    pub(crate) fn waits(&self) -> usize {
        self.asked.len()
    }
}

/// What is done now and then.
fn rare(rng: &mut Rng) -> (Input, Ask) {
    let input = match rng.u8(0..6) {
        0 => Input::CancelAll { symbol: Some(symbol(rng.u64(..))) },
        1 => Input::Risk(RiskChange { state: Some(TradingState::Halted), ..RiskChange::default() }),
        _ => Input::Risk(RiskChange {
            state: Some(TradingState::Active),
            max_open_orders: Some(Some(rng.u32(5..60))),
            ..RiskChange::default()
        }),
    };
    (input, Ask::Other)
}
