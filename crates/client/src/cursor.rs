//! Where a stream stands: which event was the last, and what the next one may be. Pure.
//!
//! Contract: an event is taken once; ids only grow, except that a gap of reason `ahead` starts over
//! (the gateway never issued the ids known here); a jump is a hole unless a filter, or a gap that
//! told of compaction, explains it.

use veloz_core::types::EventId;

use crate::model::{Gap, GapReason};

/// What to do with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Take,
    /// It was there before.
    Drop,
    /// Something is missing before it.
    Hole {
        /// The last event that came.
        after: EventId,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    last: Option<EventId>,
    /// Whether a filter hides events, so that ids jump.
    filtered: bool,
    /// Ids may jump up to here: the gateway told that market events are gone.
    compacted_to: EventId,
}

impl Cursor {
    pub(crate) fn new(last: Option<EventId>, filtered: bool) -> Cursor {
        Cursor { last, filtered, compacted_to: 0 }
    }

    /// The `Last-Event-ID` to resume from; none before the first position is known.
    pub(crate) fn last(&self) -> Option<EventId> {
        self.last
    }

    /// Judges an event or a bare id; the cursor moves when it is taken.
    pub(crate) fn advance(&mut self, id: EventId) -> Verdict {
        let verdict = match self.last {
            // 0 asks for the oldest event there is, whatever its id.
            None | Some(0) => Verdict::Take,
            Some(last) if id <= last => Verdict::Drop,
            Some(last) if id == last + 1 || self.filtered || last < self.compacted_to => {
                Verdict::Take
            }
            Some(after) => Verdict::Hole { after },
        };
        if verdict == Verdict::Take {
            self.last = Some(id);
        }
        verdict
    }

    /// Moves to an id whatever lies between.
    pub(crate) fn jump(&mut self, id: EventId) {
        self.last = Some(self.last.map_or(id, |last| last.max(id)));
    }

    /// Follows a gap that the gateway told, with the id that its frame carries.
    pub(crate) fn gap(&mut self, id: Option<EventId>, gap: &Gap) {
        let id = id.unwrap_or(gap.id());
        match gap.reason {
            GapReason::Ahead => {
                self.last = Some(id);
                self.compacted_to = 0;
            }
            GapReason::Compacted => self.compacted_to = self.compacted_to.max(gap.newest),
            GapReason::Trimmed | GapReason::Other => self.jump(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut cursor: Cursor, steps: &[(EventId, Verdict)]) {
        for (id, verdict) in steps {
            assert_eq!(cursor.advance(*id), *verdict, "{id} at {cursor:?}");
        }
    }

    fn gap(reason: GapReason) -> Gap {
        Gap { reason, requested: 10, oldest: 50, newest: 90, log: None }
    }

    #[test]
    fn events_come_once_and_in_order() {
        use Verdict::{Drop, Hole, Take};
        check(Cursor::new(None, false), &[(7, Take), (8, Take), (8, Drop), (1, Drop), (9, Take)]);
        check(Cursor::new(Some(0), false), &[(40, Take), (41, Take), (43, Hole { after: 41 })]);
        check(Cursor::new(Some(5), false), &[(7, Hole { after: 5 }), (6, Take), (7, Take)]);
        check(Cursor::new(Some(5), true), &[(5, Drop), (9, Take), (9, Drop), (90, Take)]);
    }

    #[test]
    fn gaps_move_the_cursor() {
        use Verdict::{Drop, Hole, Take};
        let after = |reason, id| {
            let mut cursor = Cursor::new(Some(10), false);
            cursor.gap(id, &gap(reason));
            cursor
        };
        let trimmed = [(49, Drop), (50, Take), (52, Hole { after: 50 })];
        check(after(GapReason::Trimmed, Some(49)), &trimmed);
        check(after(GapReason::Trimmed, None), &trimmed);
        let mut ahead = Cursor::new(Some(1_000), false);
        ahead.gap(Some(90), &gap(GapReason::Ahead));
        check(ahead, &[(91, Take), (93, Hole { after: 91 })]);
        check(
            after(GapReason::Compacted, Some(10)),
            &[(30, Take), (91, Take), (93, Hole { after: 91 })],
        );
    }
}
