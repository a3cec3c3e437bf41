//! `veloz journal`: the log of a data directory as an operator sees it.
//!
//! Contract: `verify`, `stats`, `dump` and `backup` change nothing there, and a gateway may be running
//! on it. `repair` changes nothing unless told how, and nothing in a directory that is in use. A progress
//! bar is shown on stderr, and only in a terminal. Damage is told with file and offset: exit code 1.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use veloz_client::EventId;

use super::error::CliError;
use super::output::{Align, Column, Output, notice, or_dash, time};
use super::verify::{self, Report};
use crate::frame::frames;
use crate::journal::{
    Backup, DataDir, Inspection, Position, Problem, RecordRef, Repair, Seen, stamp_problem,
};

#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Check all of it: checksums, ids, frames, snapshots. Exit code 1 when something is wrong.
    Verify(DirArgs),
    /// How much there is of what, and from when.
    Stats(DirArgs),
    /// Print the records, one JSON a line, with the private facts.
    Dump(DumpArgs),
    /// Cut off a damaged end. Without --yes or --cut-after it only says what would be lost.
    Repair(RepairArgs),
    /// Copy it, while a gateway runs on it or not, and verify the copy. To restore, start on a copy.
    #[command(
        after_help = "Example: veloz journal backup ~/.local/state/veloz /backup/veloz-monday"
    )]
    Backup(BackupArgs),
}

#[derive(Debug, Args)]
pub(super) struct DirArgs {
    /// The gateway's data directory (VELOZ_DATA_DIR).
    pub(super) dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: veloz journal dump ./data --after 1000 --limit 5 | jq .facts")]
pub(super) struct DumpArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Only what came after this event.
    #[arg(long, default_value_t = 0, value_name = "ID")]
    after: EventId,
    /// At most so many records.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is cut off stays in the directory, in files that end in .cut. Events that clients have seen may be
among it, and their ids are given out again: a backup is better when there is one.

Examples:
  veloz journal repair ./data                      what is damaged, and what a cut would lose
  veloz journal repair ./data --yes                cut right at the damage
  veloz journal repair ./data --cut-after 4711     cut after the step of that event")]
pub(super) struct RepairArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Cut right at the damage. Refused while a valid snapshot stands behind it.
    #[arg(long)]
    yes: bool,
    /// Cut after the step of this event, whatever is behind it.
    #[arg(long, value_name = "ID", conflicts_with = "yes")]
    cut_after: Option<EventId>,
}

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Where the copy goes: nothing may be there yet.
    to: PathBuf,
}

pub(super) fn journal(command: &JournalCommand, output: &mut Output) -> Result<(), CliError> {
    match command {
        JournalCommand::Verify(args) => verify(&args.dir, output),
        JournalCommand::Stats(args) => stats(&args.dir, output),
        JournalCommand::Dump(args) => dump(args, output),
        JournalCommand::Repair(args) => repair(args, output),
        JournalCommand::Backup(args) => backup(args, output),
    }
}

fn verify(dir: &Path, output: &mut Output) -> Result<(), CliError> {
    let log = Inspection::open(dir)?;
    let report = verified(dir, &log)?;
    if output.json {
        output.json(&report)?;
    } else {
        for line in report.lines() {
            output.line(&line)?;
        }
        const COLUMNS: &[Column] =
            &[("FILE", Align::Left), ("OFFSET", Align::Right), ("PROBLEM", Align::Left)];
        if !report.ok {
            let row =
                |p: &verify::ProblemRow| vec![p.file.clone(), p.offset.to_string(), p.what.clone()];
            output.table(COLUMNS, &report.problems.iter().map(row).collect::<Vec<_>>())?;
        }
    }
    damaged(dir, report.problems.len())
}

/// Verifies with a progress bar.
fn verified(dir: &Path, log: &Inspection) -> Result<Report, CliError> {
    let bar = Progress::new("verifying", log.bytes());
    Ok(verify::verify(log, stamp_problem(dir), |bytes| bar.at(bytes))?)
}

fn damaged(dir: &Path, problems: usize) -> Result<(), CliError> {
    if problems == 0 { Ok(()) } else { Err(CliError::Damaged { dir: dir.to_path_buf(), problems }) }
}

/// What `stats` counts.
#[derive(Debug, Default, Serialize)]
struct Stats {
    oldest: Option<EventId>,
    newest: Option<EventId>,
    segments: u64,
    compacted_segments: u64,
    bytes: u64,
    records: u64,
    facts_bytes: usize,
    events: BTreeMap<&'static str, u64>,
    /// Events whose frames retention took out.
    compacted_events: u64,
    /// The wall clock at the oldest and the newest append.
    oldest_ns: Option<i64>,
    newest_ns: Option<i64>,
    snapshots: Vec<EventId>,
}

impl Stats {
    fn add(&mut self, record: &RecordRef<'_>, end: Position) {
        self.records += 1;
        self.facts_bytes += record.facts.len();
        let mut stored = 0;
        for frame in frames(record.frames) {
            *self.events.entry(frame.kind.as_str()).or_default() += 1;
            stored += 1;
        }
        self.compacted_events += u64::from(record.events) - stored;
        if record.events > 0 {
            self.oldest.get_or_insert(record.first_id);
            self.newest = Some(end.next_id - 1);
        }
        // A mark has no time.
        if record.wall_ns > 0 {
            self.oldest_ns.get_or_insert(record.wall_ns);
            self.newest_ns = Some(record.wall_ns);
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            row("oldest event", or_dash(self.oldest)),
            row("newest event", or_dash(self.newest)),
            row("oldest append", or_dash(self.oldest_ns.map(time))),
            row("newest append", or_dash(self.newest_ns.map(time))),
            row("segments", self.segments.to_string()),
            row("compacted segments", self.compacted_segments.to_string()),
            row("bytes", self.bytes.to_string()),
            row("records", self.records.to_string()),
            row("bytes of facts", self.facts_bytes.to_string()),
        ];
        rows.extend(
            self.events.iter().map(|(kind, n)| row(&format!("{kind} events"), n.to_string())),
        );
        rows.push(row("compacted events", self.compacted_events.to_string()));
        let snapshots: Vec<_> = self.snapshots.iter().map(ToString::to_string).collect();
        rows.push(row("snapshots at", or_dash(Some(snapshots.join(", ")))));
        rows
    }
}

fn stats(dir: &Path, output: &mut Output) -> Result<(), CliError> {
    let log = Inspection::open(dir)?;
    let bar = Progress::new("reading", log.bytes());
    let snapshots = log.snapshots().iter().map(|stored| stored.snapshot.at).collect();
    let mut stats = Stats { snapshots, ..Stats::default() };
    let mut problems = log.snapshot_problems().to_vec();
    log.walk(0, &mut |seen| {
        match seen {
            Seen::Segment(info, start) => {
                stats.segments += 1;
                stats.compacted_segments += u64::from(info.compacted);
                stats.bytes += start.offset;
            }
            Seen::Record { start, end, record } => {
                stats.bytes += end.offset - start.offset;
                stats.add(&record, end);
                bar.at(stats.bytes);
            }
            Seen::Torn(_) => {}
            Seen::Problem(problem) => problems.push(problem),
        }
        ControlFlow::Continue(())
    })?;
    drop(bar);
    if output.json {
        output.json(&stats)?;
    } else {
        output.table(&[("WHAT", Align::Left), ("VALUE", Align::Right)], &stats.rows())?;
    }
    tell(&problems);
    damaged(dir, problems.len())
}

fn dump(args: &DumpArgs, output: &mut Output) -> Result<(), CliError> {
    let log = Inspection::open(&args.dir.dir)?;
    // Into a file or a pipe; on a terminal the records themselves are what is seen.
    let bar = (!std::io::stdout().is_terminal()).then(|| Progress::new("dumping", log.bytes()));
    let mut left = args.limit.unwrap_or(usize::MAX);
    let (mut file, mut problems, mut printed) = (String::new(), Vec::new(), Ok(()));
    let mut read = 0;
    log.walk(args.after, &mut |seen| {
        if let (Some(bar), Seen::Record { start, end, .. }) = (&bar, &seen) {
            read += end.offset - start.offset;
            bar.at(read);
        }
        match seen {
            Seen::Segment(info, _) => {
                file = info.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            }
            Seen::Record { start, end, record } => {
                // Facts have no id: those behind the event come after it.
                let is_before = end.next_id <= args.after.saturating_add(1)
                    && !(record.events == 0 && record.first_id > args.after);
                if !is_before && left > 0 {
                    left -= 1;
                    printed = output.json_line(&record_line(&file, start.offset, &record));
                }
                if left == 0 || printed.is_err() {
                    return ControlFlow::Break(());
                }
            }
            Seen::Torn(_) => {}
            Seen::Problem(problem) => problems.push(problem),
        }
        ControlFlow::Continue(())
    })?;
    printed?;
    tell(&problems);
    damaged(&args.dir.dir, problems.len())
}

fn record_line(file: &str, offset: u64, record: &RecordRef<'_>) -> String {
    let facts = match record.facts {
        [] => "[]".into(),
        facts => String::from_utf8_lossy(facts),
    };
    let frame = |frame: crate::frame::Frame<'_>| {
        let (kind, data) = (frame.kind.as_str(), String::from_utf8_lossy(frame.data));
        format!("{{\"id\":{},\"event\":\"{kind}\",\"data\":{data}}}", frame.id)
    };
    let frames: Vec<_> = frames(record.frames).map(frame).collect();
    format!(
        "{{\"file\":\"{file}\",\"offset\":{offset},\"first_id\":{},\"events\":{},\"time_ns\":{},\
         \"facts\":{facts},\"frames\":[{}]}}",
        record.first_id,
        record.events,
        record.wall_ns,
        frames.join(",")
    )
}

fn tell(problems: &[Problem]) {
    for Problem { path, offset, what } in problems {
        notice(&format!("!! {} at offset {offset}: {what}", path.display()));
    }
}

/// What `repair` found and did.
#[derive(Debug, Serialize)]
struct Repaired<'r> {
    file: String,
    offset: u64,
    what: &'r str,
    /// The newest event that stays, and the newest one found behind the damage.
    newest: EventId,
    newest_lost: EventId,
    bytes: u64,
    /// Whether it was cut, and where what was cut off is now.
    cut: bool,
    kept: Vec<PathBuf>,
}

fn repair(args: &RepairArgs, output: &mut Output) -> Result<(), CliError> {
    let dir = DataDir::open_existing(&args.dir.dir)?;
    let bar = Progress::new("reading", Inspection::open(&args.dir.dir)?.bytes());
    let planned = Repair::plan(&dir, args.cut_after, &mut |bytes| bar.at(bytes))?;
    drop(bar);
    let Some(repair) = planned else {
        if output.json {
            return Ok(output.json(&serde_json::json!({ "ok": true }))?);
        }
        output.line("the log is whole: there is nothing to repair")?;
        return Ok(());
    };
    if !output.json {
        tell(std::slice::from_ref(&repair.problem));
    }
    let Repair { newest, newest_lost, bytes, .. } = repair;
    let lost = match newest_lost > newest {
        true => format!("events {} to {newest_lost}", newest + 1),
        false => format!("no whole event after {newest}"),
    };
    let cut = format!("the log ends at event {newest}; {lost} lost, {bytes} bytes");
    let refusal = if !args.yes && args.cut_after.is_none() {
        Some("nothing was changed: say --yes, or --cut-after ID, to cut it".to_owned())
    } else if args.yes && repair.loses_state {
        Some(format!(
            "nothing was changed: a valid snapshot stands behind the damage, and with it the orders and \
             balances of now. If they may go, say --cut-after {newest}"
        ))
    } else {
        None
    };
    let kept = if refusal.is_none() { repair.carry_out()? } else { Vec::new() };
    if output.json {
        let Problem { path, offset, what } = &repair.problem;
        let (file, offset) = (path.display().to_string(), *offset);
        let cut = refusal.is_none();
        output.json(&Repaired { file, offset, what, newest, newest_lost, bytes, cut, kept })?;
    } else if refusal.is_some() {
        output.line(&format!("a cut at the damage: {cut}"))?;
    } else {
        output.line(&format!("cut: {cut}"))?;
        for path in kept {
            output.line(&format!("kept: {}", path.display()))?;
        }
    }
    refusal.map_or(Ok(()), |text| Err(CliError::Usage(text)))
}

fn backup(args: &BackupArgs, output: &mut Output) -> Result<(), CliError> {
    let total = Inspection::open(&args.dir.dir)?.bytes();
    let bar = Progress::new("copying", total);
    let mut copied = 0;
    let backup = Backup::copy(&args.dir.dir, &args.to, &mut |bytes| {
        copied += bytes;
        bar.at(copied);
    })?;
    drop(bar);
    let report = verified(backup.path(), &Inspection::open(backup.path())?)?;
    if !report.ok {
        let dir = backup.path().to_path_buf();
        for problem in &report.problems {
            notice(&format!("!! {} at offset {}: {}", problem.file, problem.offset, problem.what));
        }
        return Err(CliError::Damaged { dir, problems: report.problems.len() });
    }
    backup.finish()?;
    if output.json {
        return Ok(output.json(&report)?);
    }
    for line in report.lines() {
        output.line(&line)?;
    }
    Ok(())
}

/// A bar on stderr, gone when done.
struct Progress(ProgressBar);

impl Progress {
    fn new(what: &'static str, bytes: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
        // A template that is wrong leaves the usual one.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Progress(bar)
    }

    fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
