//! `veloz tail`: the events as they happen, over any number of connections.
//!
//! Contract: events go to stdout, each once and in order; what is missing is told on stderr and, with
//! `--json`, on stdout too. It ends only when it is interrupted, when its reader goes away, when the
//! first connection fails, or when the gateway refuses what was asked.

use clap::Args;
use veloz_client::{
    Client, Error, EventId, EventKind, EventStream, StreamItem, StreamOptions, Symbol,
};

use super::error::CliError;
use super::output::{Output, notice, or_dash};
use super::show::{kind_parser, print_event, tell_gap, tell_hole};
use super::trade::parse_symbol;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz tail
  veloz tail --types fill,order_update --symbols BTCUSDT
  veloz tail --since 0                         everything that is retained
  veloz tail --json | jq 'select(.event == \"fill\") | .data.price'

Ctrl-C ends it and says where to go on.")]
pub(super) struct TailArgs {
    /// Only these types.
    #[arg(long, value_delimiter = ',', value_parser = kind_parser())]
    types: Vec<EventKind>,
    /// Only these symbols; account and error events always come.
    #[arg(long, value_delimiter = ',', value_parser = parse_symbol)]
    symbols: Vec<Symbol>,
    /// The events after this one: 0 is the oldest retained. From now on otherwise.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    since: Option<EventId>,
    /// No colours; none come to a pipe either.
    #[arg(long)]
    no_color: bool,
}

pub(super) async fn tail(
    client: &Client,
    args: &TailArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    if args.no_color {
        output.without_color();
    }
    let mut events = client.stream(StreamOptions {
        types: args.types.clone(),
        symbols: args.symbols.clone(),
        since: args.since,
        ..StreamOptions::default()
    });
    let ended = tokio::select! {
        ended = follow(&mut events, output) => ended,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(CliError::from).and(Err(CliError::Interrupted)),
    };
    output.flush()?;
    if matches!(ended, Err(CliError::Interrupted))
        && let Some(id) = events.last_id()
    {
        notice(&format!("-- to go on from here: --since {id}"));
    }
    ended
}

async fn follow(events: &mut EventStream, output: &mut Output) -> Result<(), CliError> {
    let mut connected = false;
    loop {
        if events.is_drained() {
            output.flush()?;
        }
        match events.next().await.transpose()? {
            None => return Ok(()),
            Some(StreamItem::Event(event)) => print_event(&event, output)?,
            Some(StreamItem::View(_) | StreamItem::Snapshot { .. }) => {}
            Some(StreamItem::Gap(gap)) => tell_gap(&gap, output)?,
            Some(StreamItem::Hole { after, next }) => tell_hole(after, next, output)?,
            Some(StreamItem::Connected { after }) => {
                if connected {
                    notice(&format!("-- connected again, after event {}", or_dash(after)));
                }
                connected = true;
            }
            Some(StreamItem::Disconnected { error, .. }) if !connected => return Err(error.into()),
            Some(StreamItem::Disconnected { error, retry_in }) => {
                let millis = retry_in.as_millis();
                notice(&format!("-- disconnected: {}; again in {millis} ms", short(&error)));
            }
        }
    }
}

/// The error and what is at its bottom, in a line.
fn short(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
