//! Venues other than the built-in one: they take commands through a bounded queue and never answer; what
//! happened comes back as [`VenueMessage`]s.
//!
//! Contract: [`VenuePort::send`] never waits. What it took is either told to the venue, or told back as
//! never sent. Reports come in the order in which the venue told them.

pub mod stdio;

use std::sync::{Arc, PoisonError, RwLock};

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::Notify;
use veloz_core::engine::VenueCommand;
use veloz_core::input::{MarketData, VenueReport};
use veloz_core::types::ClientOrderId;

/// What a venue says.
#[derive(Debug)]
pub enum VenueMessage {
    /// What became of an order, or how it stands.
    Report(VenueReport),
    /// A trade, or a price.
    Market(MarketData),
    /// All that is open there, asked for by [`VenueOrder::List`].
    Listed(Vec<ClientOrderId>),
    /// It refused a command, or said what cannot be read.
    Fault {
        /// The stable code.
        code: &'static str,
        /// What happened, for a person.
        detail: String,
    },
    /// It does not work.
    Down {
        /// The stable code.
        code: &'static str,
        /// What happened, for a person.
        detail: String,
    },
    /// It works, for the first time or again. Whatever it was told before may have been lost.
    Up {
        /// What it says of itself.
        detail: String,
        /// Not for the first time.
        again: bool,
    },
}

/// What a venue is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VenueOrder {
    /// A command of the engine's.
    Command(VenueCommand),
    /// Say which orders are open there.
    List,
}

/// Why a venue was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It does not work.
    #[error("{0}")]
    Down(String),
    /// It has more waiting than it takes.
    #[error("the venue is busy: its queue is full")]
    Busy,
}

/// Where commands go in.
#[derive(Debug, Clone)]
pub struct VenuePort {
    commands: Sender<VenueOrder>,
    state: VenueState,
}

impl VenuePort {
    /// Whether the venue would take a command now.
    ///
    /// # Errors
    /// Why not.
    pub fn is_ready(&self) -> Result<(), NotSent> {
        if let Some(problem) = self.state.problem() {
            return Err(NotSent::Down(problem));
        }
        if self.commands.is_full() { Err(NotSent::Busy) } else { Ok(()) }
    }

    /// Comes back when the venue works.
    pub(crate) async fn works(&self) {
        loop {
            let mut changed = std::pin::pin!(self.state.0.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if self.state.problem().is_none() {
                return;
            }
            changed.await;
        }
    }

    /// Hands a command over, without waiting.
    ///
    /// # Errors
    /// When the venue will never hear of it.
    pub fn send(&self, order: VenueOrder) -> Result<(), NotSent> {
        if let Some(problem) = self.state.gone() {
            return Err(NotSent::Down(problem));
        }
        self.commands.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => NotSent::Busy,
            TrySendError::Disconnected(_) => NotSent::Down("the venue has been stopped".to_owned()),
        })
    }
}

/// How the venue is, told by its own threads.
#[derive(Debug, Clone, Default)]
struct VenueState(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    condition: RwLock<Condition>,
    /// Tells those who wait that the condition is another one.
    changed: Notify,
}

#[derive(Debug, Clone, Default)]
struct Condition {
    /// It is not there: nothing can be sent.
    gone: Option<String>,
    /// It is there and says nothing.
    stalled: Option<String>,
}

impl VenueState {
    fn read<T>(&self, of: impl FnOnce(&Condition) -> T) -> T {
        of(&self.0.condition.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn problem(&self) -> Option<String> {
        self.read(|state| state.gone.clone().or_else(|| state.stalled.clone()))
    }

    fn gone(&self) -> Option<String> {
        self.read(|state| state.gone.clone())
    }

    fn set(&self, gone: Option<String>, stalled: Option<String>) {
        let now = Condition { gone, stalled };
        *self.0.condition.write().unwrap_or_else(PoisonError::into_inner) = now;
        self.0.changed.notify_waiters();
    }
}
