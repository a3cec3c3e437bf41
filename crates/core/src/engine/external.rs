//! What an external venue reports, in whatever order and however often, and what it says when asked.
//!
//! Contract:
//! - What is late or doubled changes nothing. What contradicts what the venue said before is told as an
//!   `error` event, and the venue is asked ([`VenueCommand::Query`]).
//! - The same trade id twice is one execution; with other data it is told, and not counted. Nor is one of another
//!   instrument or side than the order's. One beyond its limit is told, and counts: it is the venue's word.
//! - When the venue says that more is executed than it told of one by one, the difference is booked at
//!   once, with a number made up from the order and the sum: the same in every run. Executions told of
//!   later are that difference until it is used up. So what counts is never more than the venue's own sum,
//!   and in the end equal to it.
//! - FILLED before its executions waits for them, and the venue is asked.
//! - "No such order" proves nothing while the order is young; later it ends the order, as refused when
//!   the venue had never taken it.
//! - An open order that the venue has and nobody here placed is adopted, and marked.
//!
//! Known limits: the fee of an execution that was booked from a sum is not known. When executions of
//! different prices come after the sum and out of order, the sum's quantity is right and its amount is
//! that of the executions first known.

use super::reports::{Execution, Touched};
use super::{Engine, Step, VenueCommand};
use crate::input::{Answer, ReportBody, VenueOrder, VenueReport};
use crate::limits::VENUE_ORDER_YOUNG_MS;
use crate::order::{Order, OrderChange, OrderStatus};
use crate::risk::Reason;
use crate::sim::OrderKey;
use crate::state::Fact;
use crate::types::{ClientOrderId, Money, Price, Qty, Side, Text, TsNs, VenueOrderId};

impl Engine {
    /// An external venue's report.
    #[inline(never)]
    pub(super) fn report(&mut self, ts: TsNs, report: &VenueReport, step: &mut Step) -> Answer {
        let id = report.client_order_id;
        let known = self.state.order_key(&id);
        let Some(key) = known.or_else(|| self.adopt(ts, report, step)) else {
            self.report_of_nobody(ts, report, step);
            return Answer::Done;
        };
        if self.is_of_another(ts, key, &report.body, step) {
            return Answer::Done;
        }
        let mut touched = Touched { venue_order_id: report.venue_order_id, ..Touched::default() };
        let before = self.state.order_at(key).and_then(|order| order.status);
        let accepted = before.is_none() && proves_accepted(&report.body);
        if accepted {
            self.accept(ts, key, &touched, step);
        }
        let mut told = accepted;
        match &report.body {
            ReportBody::Accepted => {
                let refused = before == Some(OrderStatus::Rejected);
                self.contradict(ts, key, refused, "ACCEPTED", step);
            }
            ReportBody::Rejected { reason } => {
                let taken = before.is_some_and(|status| status != OrderStatus::Rejected);
                self.contradict(ts, key, taken, "REJECTED", step);
                self.turn(key, OrderChange::Reject, reason.clone(), &mut touched);
            }
            ReportBody::Cancelled => {
                self.turn(key, OrderChange::Cancel, Text::default(), &mut touched);
            }
            ReportBody::Expired { reason } => {
                self.turn(key, OrderChange::Expire, reason.clone(), &mut touched);
            }
            ReportBody::Filled => {
                if self.state.order_at(key).is_some_and(Order::is_open) {
                    step.commands.push(VenueCommand::Query { client_order_id: id });
                }
            }
            ReportBody::Fill { trade_id, qty, price, fee, liquidity, .. } => {
                let made_up = self.state.order_at(key).map(|order| {
                    made_up_id(order, order.executed_qty.saturating_sub(order.presumed()), *qty)
                });
                let execution = Execution {
                    trade_id: trade_id.or(made_up).unwrap_or_default(),
                    qty: *qty,
                    price: *price,
                    fee: *fee,
                    liquidity: *liquidity,
                    reconciled: false,
                };
                self.execute_once(ts, key, execution, &mut touched, step);
                if before == Some(OrderStatus::Rejected) {
                    step.commands.push(VenueCommand::Query { client_order_id: id });
                }
            }
            ReportBody::State(state) => {
                told |= self.reconcile(ts, key, state, &mut touched, step);
            }
            ReportBody::NotFound => self.not_found(ts, key, &mut touched),
            ReportBody::Unanswered => told |= self.doubt(key, true, step),
        }
        if told || touched.status.is_some() {
            self.finish(ts, key, touched, step);
        }
        Answer::Done
    }

    /// Asks the venue to take an order back, which is wanted from here on: over a restart too.
    pub(super) fn ask_to_cancel(&mut self, key: OrderKey, step: &mut Step) {
        let Some(order) = self.state.order_at(key) else { return };
        let client_order_id = order.client_order_id();
        step.commands.push(cancel_of(order, None));
        if !self.state.cancels().contains(&client_order_id) {
            self.tell(Fact::Cancel { client_order_id, wanted: true }, step);
        }
    }

    /// The cancels that the venue has not answered: what it is to be told again where it may not have heard of them.
    pub fn unanswered_cancels(&self) -> impl Iterator<Item = VenueCommand> {
        let orders = self.state.cancels().iter().filter_map(|id| self.state.order(id));
        orders.map(|order| cancel_of(&order, None))
    }

    /// The venue speaks of an order that nobody here placed.
    fn report_of_nobody(&mut self, ts: TsNs, report: &VenueReport, step: &mut Step) {
        let client_order_id = report.client_order_id;
        match &report.body {
            // Adopted when the venue says what it is, and it is open.
            ReportBody::Accepted | ReportBody::Fill { .. } => {
                step.commands.push(VenueCommand::Query { client_order_id });
            }
            ReportBody::State(state) if state.status.is_final() => {}
            ReportBody::Unanswered => {}
            _ => {
                let detail =
                    format!("{client_order_id}: the venue speaks of it, and it is unknown");
                self.emit_error(ts, "unknown_order".into(), Some(detail.into()), step);
            }
        }
    }

    /// Takes over an order that stands on the venue, if the venue told all of it.
    fn adopt(&mut self, ts: TsNs, report: &VenueReport, step: &mut Step) -> Option<OrderKey> {
        let ReportBody::State(state) = &report.body else { return None };
        let order = state.request.as_ref().filter(|_| !state.status.is_final())?;
        order.check_domain().ok()?;
        let index = self.index.get(&order.symbol)?;
        let (_, lock) = self.size(index, order);
        self.tell_context(index, step);
        let client_order_id = order.client_order_id;
        let order = order.clone();
        let sent_ts_ns = None;
        self.tell(Fact::Intent { order, qty: None, lock, external: true, sent_ts_ns }, step);
        self.tell(Fact::Adopted { client_order_id }, step);
        self.tell(Fact::Sent { client_order_id, ts_ns: ts }, step);
        self.state.order_key(&client_order_id)
    }

    /// The venue says what cannot be after what it said before.
    fn contradict(&mut self, ts: TsNs, key: OrderKey, is_so: bool, says: &str, step: &mut Step) {
        let Some(order) = self.state.order_at(key).filter(|_| is_so) else { return };
        let client_order_id = order.client_order_id();
        let status = order.status.map_or("unknown", OrderStatus::as_str);
        let detail = format!("{client_order_id}: the venue says {says}, it was {status}");
        self.emit_error(ts, "unexpected_report".into(), Some(detail.into()), step);
        step.commands.push(VenueCommand::Query { client_order_id });
    }

    /// An execution that may have been told before, one by one or within a sum.
    fn execute_once(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        mut execution: Execution,
        touched: &mut Touched,
        step: &mut Step,
    ) {
        let Some(order) = self.state.order_at(key) else { return };
        let client_order_id = order.client_order_id();
        let Execution { trade_id, qty, price, .. } = execution;
        if let Some(known) = order.trades.iter().rev().find(|trade| trade.id == trade_id) {
            if (known.qty, known.price) != (qty, price) {
                let detail = format!(
                    "{client_order_id}: execution {trade_id} of {qty} at {price} was told before as {} at {}",
                    known.qty, known.price
                );
                let code = "conflicting_execution".into();
                self.emit_error(ts, code, Some(detail.into()), step);
            }
            return;
        }
        let beyond = order.price.filter(|limit| match order.request.side {
            Side::Buy => price > *limit,
            Side::Sell => price < *limit,
        });
        let presumed = order.presumed().min(qty);
        if presumed > Qty::ZERO {
            self.tell(Fact::Presumed { client_order_id, trade_id, qty, price }, step);
            execution.qty = qty.saturating_sub(presumed);
            // It may be another one than the sum was of.
            step.commands.push(VenueCommand::Query { client_order_id });
            if execution.qty.is_zero() {
                return;
            }
        }
        if let Some(limit) = beyond {
            let detail = format!("{client_order_id}: {qty} at {price}, its limit is {limit}");
            self.emit_error(ts, "execution_beyond_limit".into(), Some(detail.into()), step);
        }
        self.execute(ts, key, &execution, touched, step);
    }

    /// Whether the venue tells of an execution that is of another instrument or side than its order.
    fn is_of_another(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        body: &ReportBody,
        step: &mut Step,
    ) -> bool {
        let ReportBody::Fill { symbol, side, qty, price, .. } = body else { return false };
        let Some(order) = self.state.order_at(key) else { return false };
        let (own, id) = (&order.request, order.client_order_id());
        let symbol = symbol.as_deref().copied().unwrap_or(own.symbol);
        let side = side.unwrap_or(own.side);
        if (symbol, side) == (own.symbol, own.side) {
            return false;
        }
        let detail = format!("{id}: {} of {qty} {symbol} at {price} is none of it", side.as_str());
        self.emit_error(ts, "unexpected_execution".into(), Some(detail.into()), step);
        step.commands.push(VenueCommand::Query { client_order_id: id });
        true
    }

    /// The order as the venue says it stands. Whether a doubt is over by that.
    fn reconcile(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        told: &VenueOrder,
        touched: &mut Touched,
        step: &mut Step,
    ) -> bool {
        self.book_difference(ts, key, told, touched, step);
        let Some(order) = self.state.order_at(key) else { return false };
        let (client_order_id, cancel) =
            (order.client_order_id(), cancel_of(order, touched.venue_order_id));
        let (status, taken) = (order.status, order.status.is_some());
        match told.status {
            OrderStatus::Accepted | OrderStatus::PartiallyFilled => {
                // It stands there, and its owner was told that it does not.
                if status == Some(OrderStatus::Rejected) {
                    self.contradict(ts, key, true, told.status.as_str(), step);
                    step.commands.push(cancel);
                }
                // The venue has heard of it, or will: the cancel goes first.
                if self.state.cancels().contains(&client_order_id) {
                    self.tell(Fact::Cancel { client_order_id, wanted: false }, step);
                }
            }
            OrderStatus::Filled => {}
            OrderStatus::Cancelled => {
                self.turn(key, OrderChange::Cancel, told.reason.clone(), touched);
            }
            OrderStatus::Rejected if !taken => {
                self.turn(key, OrderChange::Reject, told.reason.clone(), touched);
            }
            OrderStatus::Rejected | OrderStatus::Expired => {
                self.turn(key, OrderChange::Expire, told.reason.clone(), touched);
            }
        }
        self.doubt(key, false, step)
    }

    /// Books what the venue has executed and did not tell of, exactly: the amount is split over two
    /// neighbouring prices where it is no multiple of the quantity.
    fn book_difference(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        told: &VenueOrder,
        touched: &mut Touched,
        step: &mut Step,
    ) {
        let Some(order) = self.state.order_at(key) else { return };
        let qty = told.executed_qty.saturating_sub(order.executed_qty);
        let amount = told.cum_quote.saturating_sub(order.cum_quote);
        if qty <= Qty::ZERO {
            return;
        }
        if amount <= Money::ZERO {
            // More executed for no more money: the answer is older than an execution that overtook it.
            let client_order_id = order.client_order_id();
            step.commands.push(VenueCommand::Query { client_order_id });
            return;
        }
        for (qty, price) in split(amount, qty) {
            let Some(order) = self.state.order_at(key) else { return };
            let trade_id = made_up_id(order, order.executed_qty, qty);
            let (fee, liquidity, reconciled) = (None, None, true);
            let execution = Execution { trade_id, qty, price, fee, liquidity, reconciled };
            self.execute(ts, key, &execution, touched, step);
        }
    }

    fn not_found(&mut self, ts: TsNs, key: OrderKey, touched: &mut Touched) {
        let Some(order) = self.state.order_at(key) else { return };
        let since = order.sent_ts_ns.unwrap_or_default().max(match order.status {
            Some(_) => order.last_ts_ns,
            None => 0,
        });
        if ts.saturating_sub(since) < VENUE_ORDER_YOUNG_MS * 1_000_000 {
            return;
        }
        let (change, reason) = match order.status {
            None => (OrderChange::Reject, Reason::NotTaken),
            Some(_) => (OrderChange::Expire, Reason::LostByVenue),
        };
        self.turn(key, change, reason.as_str().into(), touched);
    }

    /// Notes whether it is unknown what became of an order. Whether that is news.
    pub(super) fn doubt(&mut self, key: OrderKey, unknown: bool, step: &mut Step) -> bool {
        let Some(order) = self.state.order_at(key) else { return false };
        let client_order_id: ClientOrderId = order.client_order_id();
        let news = order.is_open() && order.is_in_doubt() != unknown;
        if news {
            self.tell(Fact::Doubt { client_order_id, unknown }, step);
        }
        news
    }
}

/// Takes an order back, by the venue's name for it too, as the order has it or was `told`.
fn cancel_of(order: &Order, told: Option<VenueOrderId>) -> VenueCommand {
    VenueCommand::Cancel {
        client_order_id: order.client_order_id(),
        symbol: order.request.symbol,
        venue_order_id: told.or(order.venue_order_id),
    }
}

/// Whether the venue has, or had, the order.
fn proves_accepted(body: &ReportBody) -> bool {
    match body {
        ReportBody::Rejected { .. } | ReportBody::NotFound | ReportBody::Unanswered => false,
        ReportBody::State(state) => {
            state.status != OrderStatus::Rejected || state.executed_qty > Qty::ZERO
        }
        ReportBody::Accepted
        | ReportBody::Fill { .. }
        | ReportBody::Cancelled
        | ReportBody::Expired { .. }
        | ReportBody::Filled => true,
    }
}

/// A number for an execution that the venue gave none: from the order and how far it was executed, so
/// that it is the same whenever it is made up. Below 2^53, so that every client can read it.
fn made_up_id(order: &Order, before: Qty, qty: Qty) -> u64 {
    let sum = before.saturating_add(qty).raw().to_le_bytes();
    let id = order.client_order_id();
    // FNV-1a, 64 bits.
    let hash = id.as_str().bytes().chain(sum).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 11
}

/// An amount as executions of a quantity that come to it exactly: all at one price, or the rest of the
/// division one step higher. What no price can be comes back as it is, to be refused.
fn split(amount: Money, qty: Qty) -> Vec<(Qty, Price)> {
    let whole = i128::from(qty.raw());
    let price = |raw: i128| i64::try_from(raw).map_or(Price::ZERO, Price::from_raw);
    let (low, rest) = (amount.raw().div_euclid(whole), amount.raw().rem_euclid(whole));
    let higher = i64::try_from(rest).map_or(Qty::ZERO, Qty::from_raw);
    let parts = [(qty.saturating_sub(higher), price(low)), (higher, price(low + 1))];
    parts.into_iter().filter(|(qty, _)| *qty > Qty::ZERO).collect()
}
