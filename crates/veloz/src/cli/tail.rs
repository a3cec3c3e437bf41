//! `veloz tail`: the events as they happen, over any number of connections.
//!
//! Contract: events go to stdout, each once and in order; what is missing is told on stderr and, with
//! `--json`, on stdout too. It ends only when it is interrupted, when its reader goes away, when the
//! first connection fails, or when the gateway refuses what was asked.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use owo_colors::Style;
use veloz_client::{
    Client, Error, Event, EventId, EventKind, EventStream, Gap, LogEvent, StreamItem,
    StreamOptions, Symbol,
};

use super::error::CliError;
use super::output::{Output, notice, or_dash, time};
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

/// A line for a person, or the line that the gateway's own NDJSON has.
pub(super) fn print_event(event: &LogEvent, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        let LogEvent { id, name, json } = event;
        let line = format!("{{\"id\":{id},\"event\":\"{name}\",\"data\":{json}}}");
        return Ok(output.json_line(&line)?);
    }
    let (text, style) = match event.decode()? {
        Some(decoded) => describe(&decoded),
        None => (event.json.clone(), Style::new()),
    };
    let line = format!("{:>8}  {:<12}  {text}", event.id, event.name);
    Ok(output.styled_line(&line, style)?)
}

fn describe(event: &Event) -> (String, Style) {
    let plain = Style::new();
    match event {
        Event::Market(e) => {
            let side = e.side.map_or("", veloz_client::Side::as_str);
            let line = format!("{}  {} {} {side}", time(e.ts_ns), e.symbol, e.price);
            (with_qty(line, e.qty), plain.dimmed())
        }
        Event::OrderUpdate(e) => {
            let order = format!(
                "{} {} {} {} @ {}",
                e.client_order_id,
                or_dash(e.side.map(veloz_client::Side::as_str)),
                or_dash(e.symbol),
                or_dash(e.qty),
                e.price.map_or_else(|| "market".to_owned(), |p| p.to_string()),
            );
            let reason = e.reason.as_deref().unwrap_or_default();
            (format!("{}  {} {order}  {reason}", time(e.ts_ns), e.status.as_str()), plain.cyan())
        }
        Event::Fill(e) => {
            let side = or_dash(e.side.map(veloz_client::Side::as_str));
            let fee = e.fee.zip(e.fee_asset).map(|(fee, asset)| format!("  fee {fee} {asset}"));
            let fill = format!("{} {side} {} {} @ {}", e.client_order_id, e.symbol, e.qty, e.price);
            (format!("{}  {fill}{}", time(e.ts_ns), fee.unwrap_or_default()), plain.green())
        }
        Event::OrderState(e) => {
            let status = or_dash(e.status.map(veloz_client::OrderStatus::as_str));
            let done = format!("executed {} of {}", e.executed_qty, or_dash(e.order_qty));
            let order = format!("{} {status}  {done}, average {}", e.client_order_id, e.avg_price);
            (format!("{}  {order}", time(e.last_ts_ns)), plain.blue())
        }
        Event::Account(e) => {
            let balance = |b: &veloz_client::Balance| {
                format!("{} {} free, {} locked", b.asset, b.free, b.locked)
            };
            let balances: Vec<_> = e.balances.iter().map(balance).collect();
            (format!("{}  {}", time(e.ts_ns), balances.join("; ")), plain.magenta())
        }
        Event::Error(e) => {
            let detail = e.detail.as_deref().unwrap_or_default();
            (format!("{}  {} {detail}", time(e.ts_ns), e.message), plain.red().bold())
        }
    }
}

fn with_qty(line: String, qty: Option<veloz_client::Qty>) -> String {
    match qty {
        Some(qty) => format!("{line} {qty}"),
        None => line.trim_end().to_owned(),
    }
}

fn tell_gap(gap: &Gap, output: &mut Output) -> Result<(), CliError> {
    let Gap { reason, requested, oldest, newest } = gap;
    let text = match reason {
        veloz_client::GapReason::Trimmed => {
            format!("the events after {requested} and before {oldest} are no longer retained")
        }
        veloz_client::GapReason::Ahead => format!(
            "event {requested} was never issued by this gateway: it goes on after its newest, {newest}"
        ),
        veloz_client::GapReason::Compacted => {
            format!("market events after {requested} are no longer retained: ids jump")
        }
        veloz_client::GapReason::Other => format!("events after {requested} are not there"),
    };
    missing(&text);
    if output.json {
        output.json_line(&format!(
            "{{\"event\":\"gap\",\"data\":{{\"type\":\"gap\",\"reason\":\"{}\",\"requested\":{requested},\
             \"oldest\":{oldest},\"newest\":{newest}}}}}",
            reason.as_str()
        ))?;
    }
    Ok(())
}

fn tell_hole(after: EventId, next: EventId, output: &mut Output) -> Result<(), CliError> {
    missing(&format!("the gateway skips the events between {after} and {next} without a word"));
    if output.json {
        output.json_line(&format!(
            "{{\"event\":\"hole\",\"data\":{{\"after\":{after},\"next\":{next}}}}}"
        ))?;
    }
    Ok(())
}

fn missing(text: &str) {
    notice(&format!("!! GAP: {text}"));
}

/// The error and what is at its bottom, in a line.
fn short(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn kind_parser() -> impl TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::as_str))
        .try_map(|name| EventKind::parse(&name).ok_or("is no type of event"))
}
