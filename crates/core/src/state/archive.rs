//! Closed orders that are not in memory: the way there and back.
//!
//! Contract: the state is the same whether or not an archive has some of its orders. Which ones may go follows from
//! the orders alone: those that are over for good and have nothing unusual to them. Reading one back is the only thing
//! here that can fail: the archive remembers that, and then nothing may be believed that was decided or seen since.

use std::fmt::Debug;
use std::sync::Arc;

use super::index::Index;
use super::{Data, State};
use crate::event::Event;
use crate::sim::OrderKey;

/// The length of an order's record, in bytes.
pub const ORDER_RECORD_BYTES: usize = 128;

/// An order as the archive holds it.
pub type OrderRecord = [u8; ORDER_RECORD_BYTES];

/// Where closed orders are read from. Positions are those in the order of creation, from 0.
pub trait OrderArchive: Debug + Send + Sync {
    /// The record at a position. `None`: it cannot be had; from then on there is a [`OrderArchive::failure`].
    fn read(&self, position: usize) -> Option<OrderRecord>;

    /// Takes note that the record at a position is none.
    fn refuse(&self, position: usize);

    /// What went wrong first, if anything did.
    fn failure(&self) -> Option<String>;

    /// The same, which is forgotten: for whoever believes nothing of what was seen since.
    fn take_failure(&self) -> Option<String>;
}

/// Where orders go that leave for the archive.
pub trait OrderSink {
    /// Why it cannot take any.
    type Error;

    /// Takes the hash of the name of the next order in the order of creation: of each, once, whether it goes or not.
    ///
    /// # Errors
    /// When it cannot be taken.
    fn name(&mut self, hash: u32) -> Result<(), Self::Error>;

    /// Takes the record of an order, and its position.
    ///
    /// # Errors
    /// When it cannot be taken.
    fn order(&mut self, position: usize, record: &OrderRecord) -> Result<(), Self::Error>;
}

/// What went to an archive at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchivedOrders {
    /// All before this position had their turn earlier.
    pub(super) from: usize,
    /// All before this one have had it now.
    pub(super) to: usize,
    /// Of those between, the ones that stay.
    pub(super) kept: Vec<usize>,
    /// Of those before, the ones that had stayed and went now.
    pub(super) late: Vec<usize>,
}

/// Why a snapshot gives no state.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is not what this version writes.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The orders that it leaves to the archive are not there.
    #[error("{0}")]
    Archive(String),
}

impl State {
    /// The state of a snapshot. Closed orders that are not in it are read from the archive, now and later. `names` is
    /// what [`OrderSink::name`] was told until the snapshot was made, 4 bytes each, little endian; without it the
    /// archive is read for them.
    ///
    /// # Errors
    /// When the snapshot is none, or the archive cannot be read.
    pub fn of_snapshot(
        json: &[u8],
        archive: Arc<dyn OrderArchive>,
        names: Option<&[u8]>,
    ) -> Result<State, SnapshotError> {
        let mut data: Data = serde_json::from_slice(json)?;
        data.orders.know_symbols(data.pairs.iter().map(|pair| pair.symbol));
        data.orders.read_from(Arc::clone(&archive));
        let read;
        let names = match names.filter(|names| names.len() == data.orders.archived_count() * 4) {
            Some(names) => names,
            None => {
                read = names_of(&data);
                if let Some(failure) = archive.failure() {
                    return Err(SnapshotError::Archive(failure));
                }
                &read
            }
        };
        Ok(State { index: Index::of(&data, names), data })
    }

    /// From now on closed orders may be in that archive.
    pub fn read_from(&mut self, archive: Arc<dyn OrderArchive>) {
        self.data.orders.read_from(archive);
    }

    /// What went wrong first when an order was read from the archive, if anything did. Nothing may be believed then
    /// that was decided or seen since.
    pub fn archive_failure(&self) -> Option<String> {
        self.data.orders.archive().and_then(|archive| archive.failure())
    }

    /// The same, which is forgotten: after a look at the state of which nothing is told. A step is no look.
    pub fn take_archive_failure(&self) -> Option<String> {
        let failure = self.data.orders.archive().and_then(|archive| archive.take_failure());
        if failure.is_some() {
            // The name that was not found may be that of the order that could not be read: it is not free.
            self.index.last_missed.set(None);
        }
        failure
    }

    /// Whether that is the key of the order that an event is about. Nobody knows after a failed read of the archive: all
    /// that is decided then is thrown away.
    pub(crate) fn is_key_of(&self, key: Option<OrderKey>, event: &Event) -> bool {
        key == event.client_order_id().and_then(|id| self.order_key(&id))
            || self.archive_failure().is_some()
    }

    /// How many orders there are in memory.
    pub fn orders_in_memory(&self) -> usize {
        self.data.orders.in_memory().count()
    }

    /// How many orders, from the first on, have had their turn to leave for the archive.
    pub fn archived_count(&self) -> usize {
        self.data.orders.archived_count()
    }

    /// The names of those as [`OrderSink::name`] was told them, 4 bytes each, read from the orders themselves.
    /// Incomplete after a [`State::archive_failure`].
    pub fn archived_names(&self) -> Vec<u8> {
        names_of(&self.data)
    }

    /// Sends every closed order that may go to the archive, and forgets it: from here on it is read from there.
    ///
    /// # Errors
    /// When the archive does not take one: the state is as it was.
    pub fn archive_closed<S: OrderSink>(
        &mut self,
        sink: &mut S,
    ) -> Result<ArchivedOrders, S::Error> {
        self.data.orders.archive_closed(Index::hash_of, sink)
    }

    /// Forgets what a copy of this state sent to the archive.
    pub fn forget_archived(&mut self, done: &ArchivedOrders) {
        self.data.orders.forget_archived(done);
    }

    /// The same state with every order in memory, to compare it with others.
    #[must_use]
    pub fn with_all_in_memory(&self) -> State {
        let mut all = self.clone();
        all.data.orders = Default::default();
        self.orders().for_each(|order| all.data.orders.push(order.clone()));
        all
    }
}

fn names_of(data: &Data) -> Vec<u8> {
    let orders = data.orders.iter().take(data.orders.archived_count());
    orders.flat_map(|order| Index::hash_of(&order.client_order_id()).to_le_bytes()).collect()
}
