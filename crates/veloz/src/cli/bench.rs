//! `veloz bench`: how fast a gateway is as its user has it, over its public API, with the client library.
//!
//! Contract: without `--orders` nothing is changed. With it, on a simulated venue only, small orders far
//! from the market are placed and cancelled one after another; none is left open, also after an error or
//! Ctrl-C. Times include this client, the network and the gateway.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use veloz_client::{
    Client, ClientOrderId, Config, EventKind, EventStream, Instrument, LogEvent, OrderRequest,
    Price, Qty, Side, StreamItem, StreamOptions,
};

use super::error::CliError;
use super::output::{Align, Column, Output, notice, or_dash};

/// The mode whose orders reach no exchange.
const SIMULATED: &str = "sim_engine";
/// How long the event of an order may take.
const EVENT_WAIT: Duration = Duration::from_secs(5);
/// Orders are this many times the least notional, so that a falling price refuses none.
const NOTIONALS: i128 = 2;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz bench                          requests, stream and catch-up of the local gateway
  veloz bench --orders                 orders too: placed far from the market, and cancelled
  veloz bench --seconds 10 --json | jq .health.p99_us
  veloz bench --url http://10.0.0.5:8080

Nothing is changed without --orders, which only a simulated venue takes. Times are of this client, the
network and the gateway together; on the stream from an event's own time, by the clocks of both sides.")]
pub(super) struct BenchArgs {
    /// How long each part takes, at most 60.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Place and cancel orders too; refused unless the venue is the simulated one.
    #[arg(long)]
    orders: bool,
}

/// What was measured; what could not be is left out.
#[derive(Debug, Default, Serialize)]
struct Figures {
    version: String,
    seconds: u64,
    health: Option<Part>,
    stream: Option<Part>,
    catch_up: Option<Part>,
    order: Option<Part>,
    cancel: Option<Part>,
    order_to_event: Option<Part>,
}

/// One part: how many, how fast, and how long each took.
#[derive(Debug, Serialize)]
struct Part {
    count: usize,
    per_second: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    times: Option<Times>,
}

/// Microseconds. An event may come before its time when two clocks differ.
#[derive(Debug, Serialize)]
struct Times {
    p50_us: i64,
    p99_us: i64,
    p999_us: i64,
    max_us: i64,
}

impl Part {
    fn timed(mut nanos: Vec<i64>, took: Duration) -> Option<Part> {
        nanos.sort_unstable();
        let last = nanos.len().checked_sub(1)?;
        let at = |per_mille: usize| {
            nanos.get((nanos.len() * per_mille / 1000).min(last)).map_or(0, |n| n / 1_000)
        };
        Some(Part {
            times: Some(Times {
                p50_us: at(500),
                p99_us: at(990),
                p999_us: at(999),
                max_us: at(1000),
            }),
            ..Part::counted(nanos.len(), took)
        })
    }

    fn counted(count: usize, took: Duration) -> Part {
        let per_second = per_second(count, took);
        Part { count, per_second, bytes_per_second: None, times: None }
    }
}

fn per_second(count: usize, took: Duration) -> u64 {
    let nanos = took.as_nanos().max(1);
    let count = u128::try_from(count).unwrap_or_default();
    u64::try_from(count * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

fn nanos_since(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX)
}

pub(super) async fn bench(
    client: &Client,
    args: &BenchArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let config = client.config().await?;
    if args.orders && config.execution_mode != SIMULATED {
        return Err(CliError::Usage(format!(
            "--orders: this gateway trades on {}, and a bench places orders on the simulated venue \
             only ({SIMULATED}): leave --orders out",
            config.execution_mode
        )));
    }
    // Of seconds, so that a bar would tell no more; nothing is shown outside a terminal.
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(100));
    let measured = measure(client, args, &config, &progress).await;
    progress.finish_and_clear();
    print(&measured?, output)
}

async fn measure(
    client: &Client,
    args: &BenchArgs,
    config: &Config,
    progress: &ProgressBar,
) -> Result<Figures, CliError> {
    let length = Duration::from_secs(args.seconds);
    let mut figures =
        Figures { version: config.version.clone(), seconds: args.seconds, ..Figures::default() };
    progress.set_message("requests of /health");
    figures.health = health(client, length).await?;
    progress.set_message("the stream");
    figures.stream = stream(client, config, length).await?;
    progress.set_message("catching up with the log");
    figures.catch_up = catch_up(client, length).await?;
    if args.orders {
        progress.set_message("orders");
        orders(client, config, length, &mut figures).await?;
    }
    Ok(figures)
}

/// One request after another over one connection.
async fn health(client: &Client, length: Duration) -> Result<Option<Part>, CliError> {
    let mut nanos = Vec::new();
    let start = Instant::now();
    while start.elapsed() < length {
        let began = Instant::now();
        client.health().await?;
        nanos.push(nanos_since(began));
    }
    Ok(Part::timed(nanos, start.elapsed()))
}

/// From an event's own time to its arrival here.
async fn stream(
    client: &Client,
    config: &Config,
    length: Duration,
) -> Result<Option<Part>, CliError> {
    #[derive(Deserialize)]
    struct Stamp {
        ts_ns: Option<i64>,
    }
    if config.market_source == "replay" {
        notice("stream: a replay's events have the times of the recording: delivery is not timed");
        return Ok(None);
    }
    let mut events = client.stream(StreamOptions::default());
    let (mut nanos, start) = (Vec::new(), Instant::now());
    while let Some(event) = next_event(&mut events, start + length).await? {
        let stamp: Result<Stamp, _> = serde_json::from_str(&event.json);
        if let Some(ts_ns) = stamp.ok().and_then(|stamp| stamp.ts_ns) {
            nanos.push(wall_ns().saturating_sub(ts_ns));
        }
    }
    if nanos.is_empty() {
        notice("stream: no event came: nothing happens on this gateway");
    }
    Ok(Part::timed(nanos, start.elapsed()))
}

/// The next event, if one comes by then.
async fn next_event(
    events: &mut EventStream,
    until: Instant,
) -> Result<Option<LogEvent>, CliError> {
    loop {
        match tokio::time::timeout_at(until, events.next()).await {
            Err(_) | Ok(None) => return Ok(None),
            Ok(Some(Err(error)) | Some(Ok(StreamItem::Disconnected { error, .. }))) => {
                return Err(error.into());
            }
            Ok(Some(Ok(StreamItem::Event(event)))) => return Ok(Some(event)),
            Ok(Some(Ok(_))) => {}
        }
    }
}

/// From the oldest event that is retained towards the newest.
async fn catch_up(client: &Client, length: Duration) -> Result<Option<Part>, CliError> {
    let newest = client.events(0, 1).await?.newest;
    if newest == 0 {
        notice("catch-up: the log is empty");
        return Ok(None);
    }
    let mut events = client.stream(StreamOptions { since: Some(0), ..StreamOptions::default() });
    let (mut count, mut bytes, start) = (0, 0, Instant::now());
    while let Some(event) = next_event(&mut events, start + length).await? {
        count += 1;
        bytes += event.json.len();
        if event.id >= newest {
            break;
        }
    }
    let took = start.elapsed();
    Ok(Some(Part { bytes_per_second: Some(per_second(bytes, took)), ..Part::counted(count, took) }))
}

/// Orders and cancels one after another; the figures of what was done stand also when one fails.
async fn orders(
    client: &Client,
    config: &Config,
    length: Duration,
    figures: &mut Figures,
) -> Result<(), CliError> {
    let (price, qty) = resting(client, config).await?;
    let updates = vec![EventKind::OrderUpdate];
    let mut events = client.stream(StreamOptions { types: updates, ..StreamOptions::default() });
    // Connected before the first order, so that its event is seen.
    if let Some(Err(error)) = events.next().await {
        return Err(error.into());
    }
    let mut open = None;
    let mut round = Round::default();
    let run = async {
        let start = Instant::now();
        while start.elapsed() < length {
            let order = OrderRequest::limit(Side::Buy, config.market_symbol, qty, price);
            open = Some(order.id());
            round.trade(client, &mut events, order.post_only()).await?;
            open = None;
        }
        Ok(start.elapsed())
    };
    let ended = tokio::select! {
        ended = run => ended,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(CliError::from).and(Err(CliError::Interrupted)),
    };
    if let Some(id) = open
        && let Err(error) = client.cancel(id, None).await
        && error.api().is_none_or(|api| api.code != "not_found")
    {
        notice(&format!("order {id} may still be open: `veloz cancel {id}` ({error})"));
    }
    let took = ended?;
    figures.order = Part::timed(round.order, took);
    figures.cancel = Part::timed(round.cancel, took);
    figures.order_to_event = Part::timed(round.event, took);
    Ok(())
}

/// Nanoseconds of each order, cancel and event.
#[derive(Debug, Default)]
struct Round {
    order: Vec<i64>,
    cancel: Vec<i64>,
    event: Vec<i64>,
}

impl Round {
    async fn trade(
        &mut self,
        client: &Client,
        events: &mut EventStream,
        order: OrderRequest,
    ) -> Result<(), CliError> {
        let (id, began) = (order.id(), Instant::now());
        let place = async {
            let placed = client.place(&order).await;
            (placed, nanos_since(began))
        };
        let see = async {
            let seen = see(events, id, began + EVENT_WAIT).await;
            (seen, nanos_since(began))
        };
        let ((placed, answered), (seen, event)) = tokio::join!(place, see);
        placed?;
        seen?;
        self.order.push(answered);
        self.event.push(event);
        let began = Instant::now();
        client.cancel(id, None).await?;
        self.cancel.push(nanos_since(began));
        Ok(())
    }
}

/// Waits for the first event of an order.
async fn see(events: &mut EventStream, id: ClientOrderId, until: Instant) -> Result<(), CliError> {
    let name = format!("\"{id}\"");
    while let Some(event) = next_event(events, until).await? {
        if event.json.contains(&name) {
            return Ok(());
        }
    }
    let seconds = EVENT_WAIT.as_secs();
    Err(CliError::Bench(format!("the event of order {id} did not come within {seconds} s")))
}

/// A limit and a quantity that rest: half the market's price, and little.
async fn resting(client: &Client, config: &Config) -> Result<(Price, Qty), CliError> {
    let symbol = config.market_symbol;
    let instruments = client.instruments().await?;
    let Some(instrument) = instruments.iter().find(|i| i.symbol == symbol) else {
        return Err(CliError::Bench(format!("{symbol} is no instrument of this gateway")));
    };
    let market = client.market(Some(symbol)).await?.price;
    Ok(small_order(instrument, market))
}

fn small_order(instrument: &Instrument, market: Option<Price>) -> (Price, Qty) {
    /// Without a market any price rests.
    const TICKS: i64 = 10_000;
    let tick = instrument.tick.raw().max(1);
    let ticks = market.map_or(TICKS, |price| (price.raw() / 2 / tick).max(1));
    let price = tick.saturating_mul(ticks);
    let lot = i128::from(instrument.lot.raw().max(1));
    let least = (instrument.min_notional.raw() * NOTIONALS).div_euclid(i128::from(price)) + 1;
    let lots = (least.max(instrument.min_qty.raw().into()) + lot - 1) / lot;
    let qty = i64::try_from(lots * lot).unwrap_or(i64::MAX);
    (Price::from_raw(price), Qty::from_raw(qty))
}

fn wall_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}

fn print(figures: &Figures, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return Ok(output.json(figures)?);
    }
    const COLUMNS: &[Column] = &[
        ("WHAT", Align::Left),
        ("COUNT", Align::Right),
        ("PER SECOND", Align::Right),
        ("MB/S", Align::Right),
        ("P50 US", Align::Right),
        ("P99 US", Align::Right),
        ("P99.9 US", Align::Right),
        ("MAX US", Align::Right),
    ];
    let parts = [
        ("/health", &figures.health),
        ("event, from its time", &figures.stream),
        ("catch-up, events", &figures.catch_up),
        ("order", &figures.order),
        ("cancel", &figures.cancel),
        ("order to its event", &figures.order_to_event),
    ];
    let rows: Vec<Vec<String>> = parts
        .into_iter()
        .filter_map(|(name, part)| part.as_ref().map(|part| row(name, part)))
        .collect();
    Ok(output.table(COLUMNS, &rows)?)
}

fn row(name: &str, part: &Part) -> Vec<String> {
    let time = |pick: fn(&Times) -> i64| or_dash(part.times.as_ref().map(pick));
    vec![
        name.to_owned(),
        part.count.to_string(),
        part.per_second.to_string(),
        or_dash(part.bytes_per_second.map(|bytes| bytes / 1_000_000)),
        time(|t| t.p50_us),
        time(|t| t.p99_us),
        time(|t| t.p999_us),
        time(|t| t.max_us),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_client::Symbol;

    #[test]
    fn orders_are_small_and_within_the_filters() {
        for (symbol, market) in
            [("BTCUSDT", Some("50000.01")), ("SHIBUSDT", Some("0.00001")), ("ETHBTC", None)]
        {
            let instrument = Instrument::for_symbol(Symbol::parse(symbol).unwrap()).unwrap();
            let market = market.map(|price| Price::parse(price).unwrap());
            let (price, qty) = small_order(&instrument, market);
            let notional = i128::from(price.raw()) * i128::from(qty.raw());
            let least = instrument.min_notional.raw();
            assert!(
                notional >= least
                    && notional
                        <= 4 * least.max(1)
                            + i128::from(price.raw()) * i128::from(instrument.lot.raw()),
                "{symbol}: {price} {qty}"
            );
            assert_eq!(price.raw() % instrument.tick.raw(), 0, "{symbol}: {price}");
            assert_eq!(qty.raw() % instrument.lot.raw(), 0, "{symbol}: {qty}");
            assert!(qty >= instrument.min_qty, "{symbol}: {qty}");
            assert!(market.is_none_or(|market| price < market), "{symbol}: {price}");
        }
    }

    #[test]
    fn percentiles() {
        let nanos = (1..=1000).rev().map(|n| n * 1_000).collect();
        let part = Part::timed(nanos, Duration::from_secs(2)).unwrap();
        assert_eq!((part.count, part.per_second), (1000, 500));
        let times = part.times.unwrap();
        assert_eq!((times.p50_us, times.p99_us, times.max_us), (501, 991, 1000));
        assert!(Part::timed(Vec::new(), Duration::ZERO).is_none());
    }
}
