//! What is true: every event that was stored, and what follows from them by simple means.

use std::collections::{BTreeMap, BTreeSet};

use veloz::frame::{Frame, frames};
use veloz::stream::filter::Filter;
use veloz_core::event::{Event, EventKind};
use veloz_core::instrument::Instrument;
use veloz_core::types::{Asset, ClientOrderId, EventId, Money, Side};

/// What a check found to be wrong.
pub(crate) type Check = Result<(), String>;

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) kind: EventKind,
    pub(crate) data: Vec<u8>,
    pub(crate) event: Event,
}

/// Every event of the log since its beginning, what retention took included.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    events: Vec<Stored>,
    /// Every order that an event is about.
    orders: BTreeSet<ClientOrderId>,
    /// What the log must still have after the power went.
    pub(crate) durable: EventId,
    /// What it must still have after the last end of the gateway.
    pub(crate) kept: EventId,
}

impl Truth {
    pub(crate) fn newest(&self) -> EventId {
        EventId::try_from(self.events.len()).expect("few")
    }

    pub(crate) fn get(&self, id: EventId) -> Option<&Stored> {
        let at = usize::try_from(id.checked_sub(1)?).ok()?;
        self.events.get(at)
    }

    /// Events that are new in the log: from the next id on, without a hole.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Check {
        let mut all = frames(bytes);
        for frame in all.by_ref() {
            if frame.id != self.newest() + 1 {
                return Err(format!("event {} is in the log behind {}", frame.id, self.newest()));
            }
            let event = Event::decode(frame.kind, frame.data)
                .map_err(|error| format!("event {} is none: {error}", frame.id))?;
            self.orders.extend(event.client_order_id());
            self.events.push(Stored { kind: frame.kind, data: frame.data.to_vec(), event });
        }
        if all.rest().is_empty() { Ok(()) } else { Err("half a frame in the log".to_owned()) }
    }

    /// An event that is in the log again after a start is the one that it was.
    pub(crate) fn confirm(&self, frame: &Frame<'_>) -> Check {
        match self.get(frame.id) {
            Some(stored) if stored.kind == frame.kind && stored.data == frame.data => Ok(()),
            stored => Err(format!(
                "event {} is {:?} in the log and was {:?}",
                frame.id,
                String::from_utf8_lossy(frame.data),
                stored.map(|stored| String::from_utf8_lossy(&stored.data).into_owned()),
            )),
        }
    }

    /// The power took what came after that event.
    pub(crate) fn cut(&mut self, newest: EventId) {
        self.events.truncate(usize::try_from(newest).expect("few"));
        self.orders = self.events.iter().filter_map(|s| s.event.client_order_id()).collect();
    }

    /// Whether there is any event of an order.
    pub(crate) fn knows(&self, order: &ClientOrderId) -> bool {
        self.orders.contains(order)
    }

    /// Whether an event passes a filter.
    pub(crate) fn passes(&self, id: EventId, filter: &Filter) -> bool {
        let Some(stored) = self.get(id) else { return false };
        let (symbol, order) = (stored.event.symbol(), stored.event.client_order_id());
        filter.passes(
            stored.kind,
            symbol.as_ref().map(|name| name.as_str().as_bytes()),
            order.as_ref().map(|name| name.as_str().as_bytes()),
        )
    }

    /// What each asset is worth by the last `account` event up to `id` that names it: free and locked.
    pub(crate) fn balances(&self, id: EventId) -> BTreeMap<Asset, (Money, Money)> {
        let mut balances = BTreeMap::new();
        for stored in self.events.iter().take(usize::try_from(id).expect("few")) {
            let Event::Account(account) = &stored.event else { continue };
            for balance in &account.balances {
                balances.insert(balance.asset, (balance.free, balance.locked));
            }
        }
        balances
    }

    /// Money is neither made nor lost: what the account had first, and every fill, add up to what it has.
    pub(crate) fn check_money(&self, instruments: &[Instrument]) -> Check {
        let mut sums: BTreeMap<Asset, i128> = BTreeMap::new();
        let mut first = true;
        for stored in &self.events {
            match &stored.event {
                Event::Account(account) if std::mem::take(&mut first) => {
                    for balance in &account.balances {
                        sums.insert(balance.asset, balance.free.raw() + balance.locked.raw());
                    }
                }
                Event::Fill(fill) => {
                    let instrument = instruments.iter().find(|i| i.symbol == fill.symbol);
                    let instrument = instrument.ok_or("a fill of what is not traded")?;
                    let side = fill.side.ok_or("a fill without a side")?;
                    let sign = if side == Side::Buy { 1 } else { -1 };
                    let cost = Money::notional(fill.price, fill.qty).raw();
                    *sums.entry(instrument.base).or_default() += sign * Money::from(fill.qty).raw();
                    *sums.entry(instrument.quote).or_default() -= sign * cost;
                    if let (Some(fee), Some(asset)) = (fill.fee, fill.fee_asset) {
                        *sums.entry(asset).or_default() -= fee.raw();
                    }
                }
                _ => {}
            }
        }
        for (asset, (free, locked)) in self.balances(self.newest()) {
            let (has, sum) = (free.raw() + locked.raw(), sums.get(&asset).copied());
            if sum != Some(has) {
                return Err(format!(
                    "the account has {has} of {asset}, its fills add up to {sum:?}"
                ));
            }
        }
        Ok(())
    }
}
