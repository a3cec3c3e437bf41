//! From what became of an order to events: the same way for the built-in venue and an external one (whose
//! reports come through the module `external`).
//!
//! Contract: every change goes through [`next_status`]: what cannot be is ignored. An execution that
//! cannot be (more than was ordered, of an order that was refused) is told as an `error` event, never
//! hidden.

use super::{Engine, Step};
use crate::event::{Event, Fill, Liquidity, OrderUpdate};
use crate::input::NewOrder;
use crate::instrument::Instrument;
use crate::order::{Order, OrderChange, OrderStatus, next_status};
use crate::risk::Reason;
use crate::sim::{OrderKey, SimOutcome, SimReport};
use crate::types::{Asset, Money, Price, Qty, Side, Text, TsNs, VenueOrderId};

/// An order that the reports of one step touch, and where they have led it.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) venue_order_id: Option<VenueOrderId>,
    /// To be told by one `order_update` at the end.
    pub(super) status: Option<OrderStatus>,
    pub(super) reason: Text,
}

/// An execution, as any venue tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Execution {
    pub(super) trade_id: u64,
    pub(super) qty: Qty,
    pub(super) price: Price,
    pub(super) fee: Option<(Money, Asset)>,
    pub(super) liquidity: Option<Liquidity>,
    /// Known from a venue's sum only.
    pub(super) reconciled: bool,
}

impl Engine {
    /// Takes the built-in venue's reports; its buffer goes back to the engine.
    pub(super) fn take_reports(&mut self, ts: TsNs, mut reports: Vec<SimReport>, step: &mut Step) {
        let mut rest = reports.as_slice();
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|report| report.key == first.key).count();
            let Some((own, others)) = rest.split_at_checked(same) else { break };
            self.take_order_reports(ts, first.key, own, step);
            let order = self.state.order_at(first.key);
            if order.is_some_and(|o| o.request.oco_with.is_some() && !o.executed_qty.is_zero()) {
                let end = (OrderChange::Expire, Some(Reason::Oco));
                self.end_other(ts, first.key, end, step);
            }
            rest = others;
        }
        reports.clear();
        self.reports = reports;
    }

    /// An order that ends here: refused before it left for its venue, taken back, expired.
    pub(super) fn close(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        (change, reason): (OrderChange, Option<Reason>),
        step: &mut Step,
    ) {
        let mut touched = Touched::default();
        let reason = reason.map(Reason::as_str).unwrap_or_default();
        self.turn(key, change, reason.into(), &mut touched);
        self.finish(ts, key, touched, step);
    }

    /// Only the state of an order that is not as it was.
    pub(super) fn tell_state(&mut self, ts: TsNs, key: OrderKey, step: &mut Step) {
        self.finish(ts, key, Touched::default(), step);
    }

    fn take_order_reports(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        reports: &[SimReport],
        step: &mut Step,
    ) {
        let mut touched = Touched::default();
        for report in reports {
            match report.body {
                SimOutcome::Accepted => {
                    let id = VenueOrderId::of_number(self.state.next_venue_order_id());
                    touched.venue_order_id = Some(id);
                    self.accept(ts, key, &touched, step);
                }
                SimOutcome::Rejected(reason) => {
                    self.turn(key, OrderChange::Reject, reason.as_str().into(), &mut touched);
                }
                SimOutcome::Expired(reason) => {
                    self.turn(key, OrderChange::Expire, reason.as_str().into(), &mut touched);
                }
                SimOutcome::Fill { qty, price, liquidity } => {
                    let trade_id = self.state.next_trade_id();
                    let fee = self.fee(key, qty, price, liquidity);
                    let liquidity = Some(liquidity);
                    let execution =
                        Execution { trade_id, qty, price, fee, liquidity, reconciled: false };
                    self.execute(ts, key, &execution, &mut touched, step);
                }
            }
        }
        self.finish(ts, key, touched, step);
    }

    pub(super) fn accept(&mut self, ts: TsNs, key: OrderKey, touched: &Touched, step: &mut Step) {
        let Some(order) = self.state.order_at(key) else { return };
        if let Some(status) = next_status(order.status, OrderChange::Accept) {
            step.add(|| Event::OrderUpdate(update(ts, order, status, touched)));
            self.apply_added(Some(key), step);
        }
    }

    /// Notes where a change leads the order, if it can be.
    pub(super) fn turn(
        &mut self,
        key: OrderKey,
        change: OrderChange,
        reason: Text,
        touched: &mut Touched,
    ) {
        let from = touched.status.or_else(|| self.state.order_at(key)?.status);
        if let Some(status) = next_status(from, change) {
            touched.status = Some(status);
            touched.reason = reason;
        }
    }

    pub(super) fn execute(
        &mut self,
        ts: TsNs,
        key: OrderKey,
        execution: &Execution,
        touched: &mut Touched,
        step: &mut Step,
    ) {
        let Some(order) = self.state.order_at(key) else { return };
        let Execution { trade_id, qty, price, fee, liquidity, reconciled } = *execution;
        let complete = qty == order.remaining();
        let from = touched.status.or(order.status);
        let status = next_status(from, OrderChange::Execute { complete });
        let sound = qty > Qty::ZERO && price > Price::ZERO;
        let (Some(status), true) = (status, sound && qty <= order.remaining()) else {
            let id = order.client_order_id();
            let detail = format!("{id}: execution {trade_id} of {qty} at {price} cannot be");
            return self.emit_error(ts, "unexpected_execution".into(), Some(detail.into()), step);
        };
        touched.status = Some(status);
        // What it was closed for holds, unless it is filled after all; a doubt does not.
        let stands = status.is_final() && status != OrderStatus::Filled;
        touched.reason = if stands { order.reason.clone() } else { Text::default() };
        let fill = || Fill {
            ts_ns: ts,
            client_order_id: order.client_order_id(),
            symbol: order.request.symbol,
            qty,
            price,
            trade_id: Some(trade_id),
            fee: fee.map(|(fee, _)| fee),
            fee_asset: fee.map(|(_, asset)| asset),
            liquidity,
            side: Some(order.request.side),
            reconciled,
        };
        step.add(|| Event::Fill(fill()));
        self.apply_added(Some(key), step);
    }

    /// One `order_update` with where it all led, if it led anywhere, and the order as it stands.
    pub(super) fn finish(&mut self, ts: TsNs, key: OrderKey, touched: Touched, step: &mut Step) {
        let Some(order) = self.state.order_at(key) else { return };
        if let Some(status) = touched.status {
            step.add(|| Event::OrderUpdate(update(ts, order, status, &touched)));
            self.apply_added(Some(key), step);
        }
        let Some(order) = self.state.order_at(key) else { return };
        step.add(|| Event::OrderState(order.state_event()));
        self.apply_added(Some(key), step);
    }

    /// The built-in venue's fee: a part of what is received, rounded up, never more than that.
    fn fee(
        &mut self,
        key: OrderKey,
        qty: Qty,
        price: Price,
        liquidity: Liquidity,
    ) -> Option<(Money, Asset)> {
        let NewOrder { symbol, side, .. } = self.state.order_at(key)?.request;
        let instrument: &Instrument = self.instrument(&symbol)?;
        let rate = match liquidity {
            Liquidity::Maker => instrument.maker_fee,
            Liquidity::Taker => instrument.taker_fee,
        };
        let (received, asset, decimals) = match side {
            Side::Buy => (Money::from(qty), instrument.base, instrument.base_decimals),
            Side::Sell => {
                (Money::notional(price, qty), instrument.quote, instrument.quote_decimals)
            }
        };
        let fee = Money::fee(received, rate, decimals).unwrap_or(received).min(received);
        Some((fee, asset))
    }
}

// Always, so that it is made in its event, and not copied into it.
#[inline(always)]
fn update(ts_ns: TsNs, order: &Order, status: OrderStatus, touched: &Touched) -> OrderUpdate {
    // Before the others: while a text is copied, they would have to be kept somewhere.
    let reason = Some(touched.reason.clone());
    OrderUpdate {
        ts_ns,
        client_order_id: order.client_order_id(),
        venue_order_id: order.venue_order_id.as_ref().or(touched.venue_order_id.as_ref()).copied(),
        status,
        symbol: Some(order.request.symbol),
        side: Some(order.request.side),
        qty: Some(order.qty).filter(|qty| !qty.is_zero()),
        price: order.price,
        reason,
    }
}
