//! How an event, and what is missing between events, is shown: by `tail` and by `events`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use owo_colors::Style;
use veloz_client::{
    Balance, Event, EventId, EventKind, Gap, GapReason, LogEvent, OrderStatus, Qty, Side,
};

use super::error::CliError;
use super::output::{Output, notice, or_dash, time};

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
    let line = format!("{:>8}  {:<12}  {}", event.id, event.name, text.trim_end());
    Ok(output.styled_line(&line, style)?)
}

fn describe(event: &Event) -> (String, Style) {
    let plain = Style::new();
    match event {
        Event::Market(e) => {
            let side = e.side.map_or("", Side::as_str);
            let line = format!("{}  {} {} {side}", time(e.ts_ns), e.symbol, e.price);
            (with_qty(line, e.qty), plain.dimmed())
        }
        Event::OrderUpdate(e) => {
            let order = format!(
                "{} {} {} {} @ {}",
                e.client_order_id,
                or_dash(e.side.map(Side::as_str)),
                or_dash(e.symbol),
                or_dash(e.qty),
                e.price.map_or_else(|| "market".to_owned(), |p| p.to_string()),
            );
            let reason = e.reason.as_deref().unwrap_or_default();
            (format!("{}  {} {order}  {reason}", time(e.ts_ns), e.status.as_str()), plain.cyan())
        }
        Event::Fill(e) => {
            let side = or_dash(e.side.map(Side::as_str));
            let fee = e.fee.zip(e.fee_asset).map(|(fee, asset)| format!("  fee {fee} {asset}"));
            let fill = format!("{} {side} {} {} @ {}", e.client_order_id, e.symbol, e.qty, e.price);
            (format!("{}  {fill}{}", time(e.ts_ns), fee.unwrap_or_default()), plain.green())
        }
        Event::OrderState(e) => {
            let status = or_dash(e.status.map(OrderStatus::as_str));
            let done = format!("executed {} of {}", e.executed_qty, or_dash(e.order_qty));
            let order = format!("{} {status}  {done}, average {}", e.client_order_id, e.avg_price);
            (format!("{}  {order}", time(e.last_ts_ns)), plain.blue())
        }
        Event::Account(e) => {
            let balance = |b: &Balance| format!("{} {} free, {} locked", b.asset, b.free, b.locked);
            let balances: Vec<_> = e.balances.iter().map(balance).collect();
            (format!("{}  {}", time(e.ts_ns), balances.join("; ")), plain.magenta())
        }
        Event::Error(e) => {
            let detail = e.detail.as_deref().unwrap_or_default();
            (format!("{}  {} {detail}", time(e.ts_ns), e.message), plain.red().bold())
        }
    }
}

fn with_qty(line: String, qty: Option<Qty>) -> String {
    match qty {
        Some(qty) => format!("{line} {qty}"),
        None => line.trim_end().to_owned(),
    }
}

pub(super) fn tell_gap(gap: &Gap, output: &mut Output) -> Result<(), CliError> {
    let Gap { reason, requested, oldest, newest, log } = gap;
    let text = match reason {
        GapReason::Trimmed => {
            format!("the events after {requested} and before {oldest} are no longer retained")
        }
        GapReason::Ahead if log.is_some() => format!(
            "event {requested} was another log's (this one was restored, or begun anew): it goes on after its \
             newest, {newest}"
        ),
        GapReason::Ahead => format!(
            "event {requested} was never issued by this gateway: it goes on after its newest, {newest}"
        ),
        GapReason::Compacted => {
            format!("market events after {requested} are no longer retained: ids jump")
        }
        GapReason::Other => format!("events after {requested} are not there"),
    };
    missing(&text);
    if output.json {
        let log = log.as_ref().map(|log| format!(",\"log\":\"{log}\"")).unwrap_or_default();
        output.json_line(&format!(
            "{{\"id\":{},\"event\":\"gap\",\"data\":{{\"type\":\"gap\",\"reason\":\"{}\",\"requested\":{requested},\
             \"oldest\":{oldest},\"newest\":{newest}{log}}}}}",
            gap.id(),
            reason.as_str()
        ))?;
    }
    Ok(())
}

pub(super) fn tell_hole(
    after: EventId,
    next: EventId,
    output: &mut Output,
) -> Result<(), CliError> {
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

pub(super) fn kind_parser() -> impl TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::as_str))
        .try_map(|name| EventKind::parse(&name).ok_or("is no type of event"))
}
