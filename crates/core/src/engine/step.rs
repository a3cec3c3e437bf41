//! What a step did.

use super::VenueCommand;
use crate::event::{Balance, Event};
use crate::risk::Reason;
use crate::state::Fact;
use crate::types::ClientOrderId;

/// What became of an amendment at a venue that is away, where that did not end the order before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmendedAway {
    /// The number of its mail: [`crate::state::State::last_mail`] when it was sent.
    pub mail: u64,
    /// Whose.
    pub client_order_id: ClientOrderId,
    /// Why it was refused, if it was.
    pub refused: Option<Reason>,
}

/// What one step did. Reuse it: its buffers keep their room.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The public events; the last has the number [`crate::state::State::last_event_id`].
    pub events: Vec<Event>,
    /// The private facts: applied before the events.
    pub facts: Vec<Fact>,
    /// What an external venue is told, once the step is stored.
    pub commands: Vec<VenueCommand>,
    /// What became of an amendment at a venue that is away.
    pub amended: Option<AmendedAway>,
    /// The room of balances that were told before.
    pub(super) spare: Vec<Vec<Balance>>,
}

impl Step {
    /// Empties it.
    pub fn clear(&mut self) {
        // A step tells one at most, at its end.
        if let Some(Event::Account(account)) = self.events.last_mut() {
            account.balances.clear();
            self.spare.push(std::mem::take(&mut account.balances));
        }
        self.events.clear();
        self.facts.clear();
        self.commands.clear();
        self.amended = None;
    }

    /// Adds an event. It is made when there is room for it, and so where it stays: it is long to be moved.
    #[inline(always)]
    pub(super) fn add(&mut self, event: impl FnOnce() -> Event) {
        self.events.extend(std::iter::once_with(event));
    }

    /// Adds a fact in the same way.
    #[inline(always)]
    pub(super) fn add_fact(&mut self, fact: impl FnOnce() -> Fact) {
        self.facts.extend(std::iter::once_with(fact));
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.facts.is_empty()
    }
}
