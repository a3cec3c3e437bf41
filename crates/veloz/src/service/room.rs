//! What is refused before there is no room to store it.
//!
//! Contract: while the journal has its reserve only, new orders and amendments are refused before anything
//! of them is decided, the market stands still (its source waits), and cancels are taken as long as the
//! reserve holds what they lead to, and get to a venue that is away: of every order that was taken, for the reserve grows with them, and an order
//! is refused before it would not. It is told in `/health` and as an `error` event, its end too; it ends by
//! itself. An order that was answered before is answered as it was then.

use veloz_core::input::{Input, RiskChange};
use veloz_core::limits::{
    JOURNAL_RECORD_MAX_BYTES, OPEN_ORDERS_COUNT, SERVICE_KEPT_FOR_EVENTS_BYTES,
};
use veloz_core::types::TsNs;

use super::Service;
use super::handle::ServiceError;
use crate::journal::{Room, Shortage};

/// What the end of an order leads to at most, as it is stored.
const ORDER_END_BYTES: usize = JOURNAL_RECORD_MAX_BYTES / OPEN_ORDERS_COUNT;

/// How many times as much where the end is stored when it is asked for, when it comes about and when it is heard of.
const ORDER_END_LATER: usize = 3;

/// Little is free.
const LOW: &str = "storage_low";
/// There is room again.
const RECOVERED: &str = "storage_recovered";

/// What was told last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ToldRoom {
    /// The code of the shortage.
    short: Option<&'static str>,
    /// Little was free.
    low: bool,
}

impl Service {
    /// Whether market data can be stored; otherwise its source has to wait.
    pub(crate) fn takes_market(&self) -> bool {
        !self.journal.is_short()
    }

    /// Whether what is on its way to a venue that is away, and back, can be stored when it arrives: of an order that is
    /// cancelled the end comes that way. Otherwise its time stands still, as the market's does. What was on its way
    /// when the gateway ended does not find the venue without a market either.
    pub(super) fn lets_arrive(&self) -> bool {
        // Without room the market stands still: nobody would wait for its books but in vain.
        let Room::Reserve { bytes, .. } = self.journal.room() else {
            return self.awaits_books.is_none();
        };
        let orders = self.engine.state().open_order_count();
        let needed = orders * self.order_end_bytes() + SERVICE_KEPT_FOR_EVENTS_BYTES;
        u64::try_from(needed + self.batch.size_bytes()).is_ok_and(|needed| needed <= bytes)
    }

    /// What is kept in reserve for the end of each open order.
    fn order_end_bytes(&self) -> usize {
        ORDER_END_BYTES * if self.engine.answers_later() { ORDER_END_LATER } else { 1 }
    }

    /// Has as much kept in reserve as it takes to end every open order, and so many that are to come.
    pub(super) fn keep_room_to_end_orders(&mut self, more: usize) {
        let orders = self.engine.state().open_order_count().saturating_add(more);
        let bytes =
            orders.saturating_mul(self.order_end_bytes()).saturating_add(self.batch.size_bytes());
        // What is missing is told by the room that there is.
        self.journal.keep_reserved(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Refuses an input that there is no room for.
    pub(super) fn check_room(&mut self, input: &Input) -> Result<(), ServiceError> {
        match input {
            Input::NewOrder(_) => self.keep_room_to_end_orders(1),
            Input::NewPair(_) => self.keep_room_to_end_orders(2),
            _ => {}
        }
        let Room::Reserve { bytes, shortage: Shortage { code, message } } = self.journal.room()
        else {
            return Ok(());
        };
        let state = self.engine.state();
        let is_new = match input {
            Input::NewOrder(order) => state.order(&order.client_order_id).is_none(),
            Input::NewPair(pair) => state.order(&pair.limit.client_order_id).is_none(),
            _ => false,
        };
        if is_new {
            let message = format!("no order is taken, cancels are: {message}");
            return Err(ServiceError::NoRoom { code, message });
        }
        let needed = match input {
            Input::Amend(_) => {
                let message = format!("no order is changed, cancels are taken: {message}");
                return Err(ServiceError::NoRoom { code, message });
            }
            Input::CancelAll { .. } | Input::Risk(RiskChange { cancel_all: true, .. }) => {
                state.open_order_count()
            }
            _ => 1,
        };
        let needed = needed * self.order_end_bytes()
            + SERVICE_KEPT_FOR_EVENTS_BYTES
            + self.batch.size_bytes();
        if u64::try_from(needed).is_ok_and(|needed| needed <= bytes) {
            return Ok(());
        }
        let message =
            format!("what is reserved does not hold it, cancel fewer orders at once: {message}");
        Err(ServiceError::NoRoom { code, message })
    }

    /// Tells what changed of the room.
    pub(super) fn tell_room(&mut self, now: TsNs) {
        let told = self.told_room;
        let (short, low) = match self.journal.room() {
            Room::Plenty => (None, false),
            Room::Low { free_bytes } => {
                let mib = free_bytes >> 20;
                let message = format!("{mib} MiB are free where the journal is: free some");
                self.health.warn(LOW, message.clone());
                if !told.low {
                    self.tell(LOW, message, now);
                }
                (None, true)
            }
            Room::Reserve { shortage: Shortage { code, message }, .. } => {
                self.health.raise(code, message.clone());
                if told.short != Some(code) {
                    self.tell(code, message, now);
                }
                (Some(code), told.low)
            }
        };
        self.told_room = ToldRoom { short, low };
        for over in
            [told.short.filter(|code| short != Some(code)), (told.low && !low).then_some(LOW)]
        {
            over.into_iter().for_each(|code| self.health.clear(code));
        }
        if told.short.is_some() && short.is_none() {
            self.tell(RECOVERED, "everything is taken again".to_owned(), now);
        }
    }

    /// Puts an `error` event into the batch.
    fn tell(&mut self, code: &'static str, detail: String, now: TsNs) {
        tracing::warn!(code, detail, "the journal's storage");
        let fault = Input::Fault { code: code.into(), detail: detail.into() };
        if let Err(refusal) = self.step_at(self.now(now), &fault) {
            tracing::error!(%refusal, "a fault was refused");
        }
    }

    /// A shortage ends with the service: what was taken is stored.
    pub(super) fn forget_room(&mut self) {
        let ToldRoom { short, .. } = std::mem::take(&mut self.told_room);
        short.into_iter().for_each(|code| self.health.clear(code));
    }
}
