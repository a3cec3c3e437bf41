//! Pairs of orders of which one at most is executed.
//!
//! Contract: both are accepted or none. The limit order locks what it needs, the stop order what it
//! would need more: together no more than the dearer of the two. The first execution of the limit order,
//! and the waking of the stop order, end the other in the same step (EXPIRED, `oco`), so that not even
//! one price executes both. Taking back one takes back both. While both stand neither can be amended.

use super::sizing::lock_at_price;
use super::{Engine, Step};
use crate::input::{Answer, NewOrder, NewPair, Refusal};
use crate::order::{Order, OrderChange, TimeInForce};
use crate::risk::Reason;
use crate::sim::{Incoming, OrderKey};
use crate::state::{Fact, VenueMail};
use crate::types::{Money, Side, TsNs};

impl Engine {
    #[inline(never)]
    pub(super) fn new_pair(
        &mut self,
        ts: TsNs,
        pair: &NewPair,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        let mut pair = pair.clone();
        if !pair.stop.order_type.has_limit() {
            pair.stop.time_in_force = TimeInForce::Ioc;
        }
        if let Some(answer) = self.known_pair(&pair)? {
            return Ok(answer);
        }
        pair.check_domain()?;
        let index = self.traded(&pair.limit.symbol)?;
        let locks = locks(&pair);
        let verdict = self.judge_pair(ts, index, &pair, locks);
        self.tell_context(index, step);
        let [lock, excess] = if verdict.is_ok() { locks } else { [Money::ZERO; 2] };
        for (order, lock) in [(pair.limit.clone(), lock), (pair.stop.clone(), excess)] {
            let sent_ts_ns = self.sent_at(ts, &verdict);
            let external = self.away.is_some();
            self.tell(Fact::Intent { order, qty: None, lock, external, sent_ts_ns }, step);
        }
        if verdict.is_ok() && self.away.is_some() {
            let [limit, stop] = [&pair.limit, &pair.stop].map(|order| order.client_order_id);
            self.send(ts, VenueMail::Pair(limit, stop), step);
            return Ok(Answer::Pending(limit));
        }
        for order in [&pair.limit, &pair.stop] {
            let key = self.state.order_key(&order.client_order_id).unwrap_or(OrderKey::MAX);
            match verdict {
                Ok(()) => self.place(ts, index, key, step),
                Err(reason) => self.close(ts, key, (OrderChange::Reject, Some(reason)), step),
            }
        }
        Ok(self.pair_answer(&pair))
    }

    /// The answer to a pair that is known already, the same as the first time.
    fn known_pair(&self, pair: &NewPair) -> Result<Option<Answer>, Refusal> {
        let mut known = 0;
        for order in [&pair.limit, &pair.stop] {
            match self.state.order(&order.client_order_id) {
                None => {}
                Some(same) if same.request == *order => known += 1,
                Some(_) => return Err(Refusal::DuplicateClientOrderId(order.client_order_id)),
            }
        }
        Ok((known == 2).then(|| self.pair_answer(pair)))
    }

    fn pair_answer(&self, pair: &NewPair) -> Answer {
        let answer = |order: &NewOrder| self.state.order(&order.client_order_id)?.answer();
        match (answer(&pair.limit), answer(&pair.stop)) {
            (Some(limit), Some(stop)) => Answer::Pair(Box::new([limit, stop])),
            _ => Answer::Pending(pair.limit.client_order_id),
        }
    }

    fn judge_pair(
        &mut self,
        ts: TsNs,
        index: usize,
        pair: &NewPair,
        [lock, excess]: [Money; 2],
    ) -> Result<(), Reason> {
        let lock = lock.saturating_add(excess);
        self.judge(ts, index, &pair.limit, (lock, 0))?;
        self.judge(ts, index, &pair.stop, (lock, 1))?;
        if self.away.is_some() {
            return Ok(());
        }
        let last = self.state.market(&pair.limit.symbol).map(|market| market.price);
        let beyond = |last| match pair.limit.side {
            Side::Buy => pair.limit.price < Some(last),
            Side::Sell => pair.limit.price > Some(last),
        };
        if last.is_some_and(|last| !beyond(last)) {
            return Err(Reason::OcoPrices);
        }
        let market = self.markets.get_mut(index);
        let takes = market.is_some_and(|market| market.sim.would_take(&Incoming::of(&pair.limit)));
        if takes { Err(Reason::WouldTake) } else { Ok(()) }
    }

    /// The other order of its pair, while that is open.
    pub(super) fn open_other(&mut self, key: OrderKey) -> Option<(OrderKey, &Order)> {
        let other = self.state.order_at(key)?.request.oco_with?;
        let key = self.state.order_key(&other)?;
        self.state.order_at(key).filter(|order| order.is_open()).map(|order| (key, order))
    }

    /// Ends the other order of a pair, if there is one that is open.
    pub(super) fn end_other(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        end: (OrderChange, Option<Reason>),
        step: &mut Step,
    ) {
        let Some((other, _)) = self.open_other(key) else { return };
        self.take_off(other);
        self.close(ts, other, end, step);
    }
}

/// What the limit order locks, and what the stop order needs beyond that.
fn locks(pair: &NewPair) -> [Money; 2] {
    let lock = |order: &NewOrder| lock_at_price(order, order.qty).unwrap_or_default();
    let (limit, stop) = (lock(&pair.limit), lock(&pair.stop));
    [limit, stop.saturating_sub(limit).max(Money::ZERO)]
}
