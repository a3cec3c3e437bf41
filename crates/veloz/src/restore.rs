//! How the state comes out of the log: the reading side of a step.
//!
//! Contract: replay is this and nothing else, for a start, for snapshots and for a check of a log. Of the market
//! events the state holds the last of each instrument: those before it are passed over unread.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use veloz_core::event::{Event, EventKind};
use veloz_core::state::{ArchivedOrders, SnapshotError, State, facts_from_json};

use crate::frame::{Frame, frames};
use crate::journal::{
    Fold, FoldError, JournalError, OrderFiles, OrderWriter, RecordRef, Recovery, ReplayError,
    Snapshot,
};

/// Applies a step as it was stored.
///
/// # Errors
/// When its facts or events are not what this version writes.
pub(crate) fn apply(state: &mut State, record: &RecordRef<'_>) -> Result<(), serde_json::Error> {
    apply_facts(state, record)?;
    frames(record.frames).try_for_each(|frame| apply_frame(state, &frame))
}

fn apply_facts(state: &mut State, record: &RecordRef<'_>) -> Result<(), serde_json::Error> {
    for fact in facts_from_json(record.facts)? {
        state.apply_fact(&fact);
    }
    Ok(())
}

fn apply_frame(state: &mut State, frame: &Frame<'_>) -> Result<(), serde_json::Error> {
    state.apply_event(frame.id, &Event::decode(frame.kind, frame.data)?);
    Ok(())
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The snapshot is sound, and not what this version writes.
    #[error("the snapshot was written by another version: start that one, or restore a backup")]
    Snapshot(#[source] serde_json::Error),
    /// Closed orders are not where the snapshot leaves them.
    #[error("{0}")]
    Archive(String),
    /// They are others, or their files cannot be written.
    #[error(transparent)]
    Names(#[from] JournalError),
    /// The log could not be read, or is not what this version writes.
    #[error(transparent)]
    Replay(#[from] ReplayError<serde_json::Error>),
}

/// The state that a log leads to: its newest snapshot, and what came after it. Only then what an archiving left
/// unfinished is cut off.
///
/// # Errors
/// When the log is damaged, or was written by another version; the archive is as it was then.
pub fn state(recovery: &Recovery) -> Result<State, RestoreError> {
    let files = recovery.order_files();
    let mut replay = Replay::begin(recovery.snapshot.as_ref(), &files, true)?;
    recovery.replay(|record| replay.take(&record))?;
    let state = replay
        .finish()
        .map_err(|source| ReplayError::Apply { first_id: recovery.newest, source })?;
    if let Some(failure) = state.archive_failure() {
        return Err(RestoreError::Archive(failure));
    }
    recovery.cut_archive()?;
    Ok(state)
}

/// The state of a snapshot; closed orders that it leaves out are read from the archive, now and later. Damaged names of
/// orders are had from their records; `mends`: and written again.
///
/// # Errors
/// When it is none, or the archive cannot be read.
pub(crate) fn snapshot_state(
    snapshot: &Snapshot,
    files: &Arc<OrderFiles>,
    mends: bool,
) -> Result<State, RestoreError> {
    let archived = snapshot.archived.unwrap_or_default();
    let names = match snapshot.archived {
        None => Ok(Vec::new()),
        Some(archived) => files.names(&archived),
    };
    let archive = Arc::<OrderFiles>::clone(files);
    let state = State::of_snapshot(&snapshot.bytes, archive, names.as_deref().ok());
    let state = state.map_err(|error| match error {
        SnapshotError::Json(error) => RestoreError::Snapshot(error),
        SnapshotError::Archive(failure) => RestoreError::Archive(failure),
    })?;
    if let Err(error) = names {
        let names = state.archived_names();
        if let Some(failure) = state.archive_failure() {
            return Err(RestoreError::Archive(failure));
        }
        files.check_names(&archived, &names)?;
        tracing::warn!(%error, "the names of closed orders are read from the archive");
        if mends {
            files.mend_names(&archived, &names)?;
        }
    }
    Ok(state)
}

/// A state on its way through a log.
#[derive(Debug, Default)]
struct Replay {
    state: State,
    /// The last `market` event of each instrument that the state has one of, while others may follow.
    markets: FxHashMap<Vec<u8>, Pending>,
}

/// An event that is not applied yet.
#[derive(Debug, Default)]
struct Pending {
    waits: bool,
    data: Vec<u8>,
}

impl Replay {
    fn begin(
        snapshot: Option<&Snapshot>,
        files: &OrderFiles,
        mends: bool,
    ) -> Result<Replay, RestoreError> {
        let files = Arc::new(files.again());
        let state = match snapshot {
            Some(snapshot) => snapshot_state(snapshot, &files, mends)?,
            None => {
                let mut state = State::default();
                state.read_from(files);
                state
            }
        };
        Ok(Replay { state, markets: FxHashMap::default() })
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), serde_json::Error> {
        apply_facts(&mut self.state, record)?;
        for frame in frames(record.frames) {
            if frame.kind != EventKind::Market || !self.leave_for_later(&frame) {
                apply_frame(&mut self.state, &frame)?;
            }
        }
        Ok(())
    }

    /// Keeps a `market` event for when it turns out to be the last. False when it must be applied at once: the
    /// first of an instrument, whose place among the others follows from it.
    fn leave_for_later(&mut self, frame: &Frame<'_>) -> bool {
        let Some(rest) = frame.data.strip_prefix(b"{\"type\":\"market\",\"symbol\":\"") else {
            return false;
        };
        let end = rest.iter().position(|&byte| byte == b'"').unwrap_or_default();
        let symbol = rest.get(..end).unwrap_or_default();
        let Some(pending) = self.markets.get_mut(symbol) else {
            self.markets.insert(symbol.to_vec(), Pending::default());
            return false;
        };
        pending.waits = true;
        pending.data.clear();
        pending.data.extend_from_slice(frame.data);
        self.state.pass_over(frame.id);
        true
    }

    fn finish(mut self) -> Result<State, serde_json::Error> {
        for pending in self.markets.values().filter(|pending| pending.waits) {
            let event = Event::decode(EventKind::Market, &pending.data)?;
            self.state.apply_event(self.state.last_event_id(), &event);
        }
        Ok(self.state)
    }
}

/// The state for the journal's snapshots.
#[derive(Debug)]
pub struct StateFold {
    replay: Replay,
    files: OrderFiles,
}

impl StateFold {
    /// One for the journal that was opened.
    pub fn new(recovery: &Recovery) -> Box<StateFold> {
        Box::new(StateFold { replay: Replay::default(), files: recovery.order_files() })
    }
}

impl Fold for StateFold {
    fn begin(&mut self, snapshot: Option<&Snapshot>) -> Result<(), FoldError> {
        self.replay = Replay::begin(snapshot, &self.files, false)?;
        Ok(())
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), FoldError> {
        Ok(self.replay.take(record)?)
    }

    fn archive(
        &mut self,
        least: u64,
        into: &mut OrderWriter<'_>,
    ) -> Result<Option<ArchivedOrders>, FoldError> {
        let state = &mut self.replay.state;
        let is_in_use = state.archived_count() > 0;
        if !is_in_use && u64::try_from(state.orders_in_memory())? < least {
            return Ok(None);
        }
        // What was decided by an order that could not be read goes nowhere.
        match state.archive_failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(Some(state.archive_closed(into)?)),
        }
    }

    fn finish(&mut self) -> Result<Vec<u8>, FoldError> {
        let state = std::mem::take(&mut self.replay).finish()?;
        match state.archive_failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(serde_json::to_vec(&state)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::write_frame;
    use veloz_core::event::{ErrorEvent, Market};

    /// What is passed over makes no difference: markets of several instruments, and of the venue that is away.
    #[test]
    fn the_state_is_the_same_whatever_is_passed_over() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            let (mut replay, mut plain) = (Replay::default(), State::default());
            for id in 1..200 {
                let event = if random.u8(..8) == 0 {
                    let (message, ts_ns) = ("engine_exited".into(), random.i64(..100));
                    Event::Error(ErrorEvent { ts_ns, message, detail: None })
                } else {
                    let symbol = random.choice(["BTCUSDT", "ETHUSDT", "BNBUSDT"]).unwrap();
                    let price = random.u32(1..1_000).to_string().parse().unwrap();
                    let symbol = symbol.parse().unwrap();
                    Event::Market(Market {
                        symbol,
                        ts_ns: random.i64(..100),
                        price,
                        trade_id: None,
                        qty: None,
                        side: None,
                        bid: None,
                        ask: None,
                    })
                };
                let mut bytes = Vec::new();
                write_frame(&mut bytes, id, &event);
                let facts: &[u8] = if random.u8(..50) == 0 { b"[\"VenueAway\"]" } else { b"" };
                let record =
                    RecordRef { first_id: id, events: 1, wall_ns: 1, facts, frames: &bytes };
                replay.take(&record).unwrap();
                apply(&mut plain, &record).unwrap();
            }
            let state = replay.finish().unwrap();
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                serde_json::to_string(&plain).unwrap()
            );
            assert_eq!(state.last_event_id(), 199);
        }
    }
}
