//! The whole check of a log: what `veloz journal verify` and a backup stand on.
//!
//! Contract: every byte of the log is read. Each snapshot is held against the replay that leads to it,
//! from the first event or from the snapshot before it, where all that this needs is still retained.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use veloz_core::state::{OrderArchive, OrderRecord, OrderSink, State};
use veloz_core::types::EventId;

use crate::journal::{
    Inspection, JournalError, OrderFiles, Position, Problem, RecordRef, Seen, StoredSnapshot,
    TornTail,
};
use crate::restore;

/// What a check found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    oldest: EventId,
    newest: EventId,
    segments: u64,
    compacted_segments: u64,
    bytes: u64,
    records: u64,
    snapshots: Vec<SnapshotRow>,
    /// The write at the end that was never finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    torn: Option<TornRow>,
    pub(super) problems: Vec<ProblemRow>,
}

#[derive(Debug, Serialize)]
struct SnapshotRow {
    at: EventId,
    bytes: usize,
    /// It is what the replay leads to; false: what it would need is no longer retained.
    compared: bool,
}

#[derive(Debug, Serialize)]
struct TornRow {
    file: String,
    offset: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ProblemRow {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) what: String,
}

impl Report {
    /// What is right, for a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let Report { oldest, newest, segments, compacted_segments, bytes, records, .. } = self;
        let events = match newest < oldest {
            true => "no events".to_owned(),
            false => format!("events {oldest} to {newest}"),
        };
        let mut lines = vec![format!(
            "{events} in {records} records, {segments} segments ({compacted_segments} compacted), {bytes} bytes"
        )];
        for snapshot in &self.snapshots {
            let told = match snapshot.compared {
                true => "is what the replay leads to",
                false => "is valid; the events before it are not all retained to compare it",
            };
            lines.push(format!("the snapshot at event {} {told}", snapshot.at));
        }
        if let Some(TornRow { file, offset, bytes }) = &self.torn {
            lines.push(format!(
                "{bytes} bytes of an unfinished write at the end of {file}, offset {offset}: the next \
                 start cuts them off"
            ));
        }
        lines.push(if self.ok { "ok".to_owned() } else { "damaged".to_owned() });
        lines
    }

    fn problem(&mut self, Problem { path, offset, what }: Problem) {
        self.problems.push(ProblemRow { file: path.display().to_string(), offset, what });
    }
}

/// Checks all of a log, whose stamp was looked at; `progress` is told how many bytes were read.
pub(super) fn verify(
    log: &Inspection,
    stamp: Option<Problem>,
    progress: impl Fn(u64),
) -> Result<Report, JournalError> {
    let mut check = Check {
        report: Report::default(),
        state: None,
        waiting: log.snapshots().iter().rev().collect(),
        files: log.order_files(),
        file: PathBuf::new(),
    };
    for problem in log.snapshot_problems().iter().cloned().chain(stamp) {
        check.report.problem(problem);
    }
    log.walk(0, &mut |seen| {
        check.see(seen);
        progress(check.report.bytes);
        ControlFlow::Continue(())
    })?;
    Ok(check.finish(!log.snapshots().is_empty()))
}

struct Check<'s> {
    report: Report,
    /// The state as far as the log was read, when it is known.
    state: Option<State>,
    /// Snapshots not reached yet, oldest first.
    waiting: Vec<&'s StoredSnapshot>,
    files: OrderFiles,
    file: PathBuf,
}

impl Check<'_> {
    fn see(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Segment(info, start) => {
                if self.report.segments == 0 {
                    (self.report.oldest, self.report.newest) = (info.first_id, info.first_id - 1);
                }
                if info.first_id == 1 {
                    self.state = Some(State::default());
                }
                if info.compacted {
                    self.state = None;
                }
                self.report.segments += 1;
                self.report.compacted_segments += u64::from(info.compacted);
                self.report.bytes += start.offset;
                self.file.clone_from(&info.path);
                self.reach(start);
            }
            Seen::Record { start, end, record } => {
                self.report.records += 1;
                self.report.bytes += end.offset - start.offset;
                self.report.newest = end.next_id - 1;
                self.apply(start, &record);
                self.reach(end);
            }
            Seen::Torn(torn) => {
                let TornTail { file, offset, bytes } = torn;
                self.report.torn = Some(TornRow { file, offset, bytes });
            }
            Seen::Problem(problem) => {
                self.state = None;
                self.report.problem(problem);
            }
        }
    }

    fn apply(&mut self, start: Position, record: &RecordRef<'_>) {
        let Some(state) = &mut self.state else { return };
        if let Err(error) = restore::apply(state, record) {
            let what = format!("the step at event {} cannot be applied: {error}", record.first_id);
            self.report.problem(Problem { path: self.file.clone(), offset: start.offset, what });
            self.state = None;
        }
    }

    /// Holds the snapshots that stand here against the state, and those that should have come before.
    fn reach(&mut self, position: Position) {
        while let Some(snapshot) = self.waiting.first().copied().filter(|s| s.position <= position)
        {
            self.waiting.remove(0);
            if snapshot.position == position {
                self.compare(snapshot);
            } else if snapshot.path.exists() {
                self.wrong(&snapshot.path, "it stands where no step begins");
            } // else a newer one took its place meanwhile, and retention went on
        }
    }

    fn compare(&mut self, stored: &StoredSnapshot) {
        let snapshot = &stored.snapshot;
        let files = Arc::new(self.files.again());
        if let Some(Err(error)) = snapshot.archived.map(|archived| files.names(&archived)) {
            self.report.problem(Problem::of(&error, &stored.path));
        }
        let state = match restore::snapshot_state(snapshot, &files, false) {
            Ok(state) => state,
            Err(error) => {
                return self.wrong(&stored.path, &format!("its state cannot be read: {error}"));
            }
        };
        // Each order that is in the archive is read.
        let names = state.archived_names();
        let archived = snapshot.archived.unwrap_or_default();
        let wrong = files.check_names(&archived, &names);
        let unread = files.error();
        if let Some(error) = unread.as_deref().or(wrong.as_ref().err()) {
            return self.report.problem(Problem::of(error, &stored.path));
        }
        let same = self.state.as_mut().is_none_or(|replayed| {
            let same_orders = match snapshot.archived {
                Some(_) => replayed.archive_closed(&mut Same(&files)).is_ok(),
                None => true,
            };
            replayed.read_from(Arc::<OrderFiles>::clone(&files));
            same_orders && as_json(replayed) == as_json(&state)
        });
        if !same {
            return self.wrong(&stored.path, "it is not what the replay leads to");
        }
        self.report.snapshots.push(SnapshotRow {
            at: snapshot.at,
            bytes: snapshot.bytes.len(),
            compared: self.state.is_some(),
        });
        self.state = Some(state);
    }

    fn wrong(&mut self, path: &Path, what: &str) {
        self.report.problem(Problem { path: path.to_path_buf(), offset: 0, what: what.to_owned() });
    }

    fn finish(mut self, has_snapshots: bool) -> Report {
        if self.report.oldest > 1 && !has_snapshots {
            let what =
                format!("the log begins at event {}, and no snapshot is valid", self.report.oldest);
            self.wrong(&self.file.with_file_name("*.snap"), &what);
        }
        for snapshot in std::mem::take(&mut self.waiting) {
            let what = match self.report.problems.is_empty() {
                true => "it holds events that the log does not have",
                false => "the log cannot be read up to where it stands",
            };
            self.wrong(&snapshot.path, what);
        }
        self.report.ok = self.report.problems.is_empty();
        self.report
    }
}

/// An archive that is held against the orders that a replay sends there.
struct Same<'f>(&'f OrderFiles);

impl OrderSink for Same<'_> {
    /// It has another one.
    type Error = ();

    fn name(&mut self, _: u32) -> Result<(), ()> {
        Ok(())
    }

    fn order(&mut self, position: usize, record: &OrderRecord) -> Result<(), ()> {
        let same = self.0.read(position).is_some_and(|stored| stored == *record);
        if same { Ok(()) } else { Err(()) }
    }
}

/// What a state is written as; none of it is refused by JSON.
fn as_json(state: &State) -> Option<Vec<u8>> {
    serde_json::to_vec(state).ok()
}
