//! `veloz events`: the log of a data directory, without a gateway.
//!
//! Contract: nothing in the directory is changed, and a gateway may be writing there: what is stored
//! when it is read is shown, up to the end. What retention took is told on stderr and, with `--json`,
//! on stdout too.

use std::path::PathBuf;

use clap::Args;
use veloz_client::{EventId, EventKind, Gap, GapReason, LogEvent};
use veloz_core::limits::EVENTS_READ_BYTES;

use super::error::CliError;
use super::output::{Output, notice};
use super::show::{kind_parser, print_event, tell_gap};
use crate::frame::{Frame, frames};
use crate::journal::{Bounds, JournalReader, LogReader, Read};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz events ~/.local/state/veloz
  veloz events ./data --after 1000 --limit 50
  veloz events ./data --types fill --json | jq .data.price")]
pub(super) struct EventsArgs {
    /// The gateway's data directory (VELOZ_DATA_DIR).
    dir: PathBuf,
    /// Only events after this one.
    #[arg(long, default_value_t = 0, value_name = "ID", allow_negative_numbers = true)]
    after: EventId,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only these types.
    #[arg(long, value_delimiter = ',', value_parser = kind_parser())]
    types: Vec<EventKind>,
}

pub(super) fn events(args: &EventsArgs, output: &mut Output) -> Result<(), CliError> {
    let log = JournalReader::open_offline(&args.dir)?;
    if log.bounds().newest == 0 {
        notice(&format!("-- there are no events in {}", args.dir.display()));
    }
    print_log(&log, args, output)
}

fn print_log(log: &dyn LogReader, args: &EventsArgs, output: &mut Output) -> Result<(), CliError> {
    let mut from = args.after.saturating_add(1);
    let mut left = args.limit.unwrap_or(usize::MAX);
    while left > 0 {
        match log.read(from, EVENTS_READ_BYTES)? {
            Read::Frames { bytes, next, compacted } => {
                if compacted && wants(args, EventKind::Market) {
                    tell_gap(&gap(GapReason::Compacted, from, log.bounds()), output)?;
                }
                for frame in frames(&bytes).filter(|frame| wants(args, frame.kind)).take(left) {
                    print_event(&owned(&frame), output)?;
                    left -= 1;
                }
                from = next;
            }
            Read::AtEnd => break,
            Read::Trimmed(bounds) => {
                // 0 asks for the oldest there is: nothing that was asked for is missing.
                if from > 1 {
                    tell_gap(&gap(GapReason::Trimmed, from, bounds), output)?;
                }
                from = bounds.oldest;
            }
            Read::Ahead(bounds) => {
                tell_gap(&gap(GapReason::Ahead, from, bounds), output)?;
                break;
            }
        }
    }
    Ok(())
}

fn wants(args: &EventsArgs, kind: EventKind) -> bool {
    args.types.is_empty() || args.types.contains(&kind)
}

fn gap(reason: GapReason, from: EventId, Bounds { oldest, newest }: Bounds) -> Gap {
    Gap { reason, requested: from - 1, oldest, newest, log: None }
}

fn owned(frame: &Frame<'_>) -> LogEvent {
    LogEvent {
        id: frame.id,
        name: frame.kind.as_str().to_owned(),
        json: String::from_utf8_lossy(frame.data).into_owned(),
    }
}
