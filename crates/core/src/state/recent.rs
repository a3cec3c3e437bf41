//! The last events of orders.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::{Event, Fill, OrderUpdate};
use crate::limits::RECENT_ORDER_EVENTS_COUNT;
use crate::types::EventId;

/// The last `order_update` and `fill` events: [`RECENT_ORDER_EVENTS_COUNT`] at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recent {
    told: Vec<Told>,
    /// Where the oldest is, once there are as many as there may be.
    oldest: usize,
}

/// An event of an order, in no more room than it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    id: EventId,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Update(OrderUpdate),
    Fill(Fill),
}

impl Recent {
    pub(super) fn update(&mut self, id: EventId, update: &OrderUpdate) {
        match self.next() {
            Some(slot) => slot.become_update(id, update),
            None => self.told.push(Told { id, what: What::Update(update.clone()) }),
        }
    }

    pub(super) fn fill(&mut self, id: EventId, fill: &Fill) {
        let told = Told { id, what: What::Fill(fill.clone()) };
        match self.next() {
            Some(slot) => *slot = told,
            None => self.told.push(told),
        }
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (EventId, Event)> {
        let (newer, older) = self.told.split_at_checked(self.oldest).unwrap_or_default();
        older.iter().chain(newer).map(|told| {
            let event = match &told.what {
                What::Update(update) => Event::OrderUpdate(update.clone()),
                What::Fill(fill) => Event::Fill(fill.clone()),
            };
            (told.id, event)
        })
    }

    /// The oldest, whose place the next takes, once there are as many as there may be.
    fn next(&mut self) -> Option<&mut Told> {
        if self.told.len() < RECENT_ORDER_EVENTS_COUNT {
            return None;
        }
        let slot = self.told.get_mut(self.oldest)?;
        let next = self.oldest + 1;
        self.oldest = if next < RECENT_ORDER_EVENTS_COUNT { next } else { 0 };
        Some(slot)
    }
}

impl Told {
    // A function of its own: there it is known that the two are apart, and it is made where it is kept.
    #[inline(never)]
    fn become_update(&mut self, id: EventId, update: &OrderUpdate) {
        if let What::Update(old) = &mut self.what {
            old.reason = None;
        }
        *self = Told { id, what: What::Update(update.clone()) };
    }
}

impl Serialize for Recent {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Recent {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Recent, D::Error> {
        let mut recent = Recent::default();
        for (id, event) in VecDeque::<(EventId, Event)>::deserialize(de)? {
            match event {
                Event::OrderUpdate(update) => recent.update(id, &update),
                Event::Fill(fill) => recent.fill(id, &fill),
                Event::Market(_) | Event::OrderState(_) | Event::Account(_) | Event::Error(_) => {}
            }
        }
        Ok(recent)
    }
}
