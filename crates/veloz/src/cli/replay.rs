//! `veloz replay`: a strategy against a capture, and what came of it.
//!
//! Contract: the report on stdout and the picture are the same, byte for byte, for the same capture,
//! settings, seed and strategy; how long it took is told on stderr.

use std::fs::File;
use std::io::BufWriter;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::Style;
use veloz_core::types::{Asset, Money, Qty, TsNs};

use super::error::CliError;
use super::output::{Align, Column, Output, notice, or_dash, time};
use super::serve::{environment, flags, given};
use crate::backtest::{
    Failure, Holdings, OpenOrder, Pair, Progress, ReplayOptions, Replayed, Report,
};
use crate::config::{Config, Layers, Variable};

const AFTER: &str = "\
The strategy is a program that reads events and writes commands, one JSON object a line, in turns.
docs/strategies.md has all of it, and how every figure of the report is computed.

Examples:
  veloz replay capture.gz --strategy 'python3 examples/strategies/first.py'
  veloz replay capture.gz --strategy ./bot --sim-balances USDT=10000 --sim-fees maker=0,taker=0.001
  veloz replay capture.gz --strategy ./bot --json | jq -r .equity.pnl
  veloz replay capture.gz --strategy ./bot --events events.ndjson --plot run-7.svg

Exit codes: 0 done, 1 the strategy or the capture failed (the report tells what was done until
then, as incomplete), 2 wrong usage, 130 interrupted by Ctrl-C (likewise).";

/// The settings that mean something to a replay of a strategy.
const SETTINGS: &[&str] = &[
    "VELOZ_SIM_SEED",
    "VELOZ_SIM_BALANCES",
    "VELOZ_SIM_FEES",
    "VELOZ_SIM_LIQUIDITY",
    "VELOZ_SIM_LATENCY_MS",
    "VELOZ_EXCHANGE_INFO",
    "VELOZ_MARKET_SYMBOL",
    "VELOZ_MARKET_SYMBOLS",
];

/// Open orders in the table; JSON has all of them.
const SHOWN_OPEN: usize = 20;

const FILE: &str = "file";
const STRATEGY: &str = "strategy";
const QUOTE: &str = "quote";
const TIMEOUT: &str = "timeout";
const PLOT: &str = "plot";
const NO_PLOT: &str = "no-plot";
const EVENTS: &str = "events";

/// What was given on the command line; the settings are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReplayArgs {
    file: PathBuf,
    strategy: Vec<String>,
    quote: Option<Asset>,
    timeout: Duration,
    /// Where the picture goes; `None` makes none.
    plot: Option<PathBuf>,
    events: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
}

/// What runs it.
pub(super) type Run = fn(Config, ReplayOptions<'_>) -> anyhow::Result<Replayed>;

fn is_ours(variable: &Variable) -> bool {
    SETTINGS.contains(&variable.name)
}

/// Runs the strategy, and prints and draws what came of it.
pub(super) fn replay(args: &ReplayArgs, run: Run, output: &mut Output) -> Result<(), CliError> {
    keep_apart(args)?;
    let capture = args.file.to_string_lossy().into_owned();
    let fixed = [
        ("VELOZ_MARKET_SOURCE", "replay".to_owned()),
        ("VELOZ_REPLAY_FILE", capture),
        ("VELOZ_REPLAY_SPEED", "max".to_owned()),
    ];
    let environment = environment().filter(|(name, _)| SETTINGS.contains(&name.as_str()));
    let layers = Layers::collect(args.flags.iter().cloned().chain(fixed), environment, None)?;
    let config = Config::from_layers(&layers)?;
    let bar = bar(&args.file);
    let quote = args.quote;
    let mut progress = |progress: &Progress| show(&bar, progress);
    let options = ReplayOptions {
        strategy: args.strategy.clone(),
        quote,
        timeout: args.timeout,
        events: args.events.as_deref().map(create).transpose()?,
        progress: &mut progress,
    };
    let replayed = run(config, options);
    bar.finish_and_clear();
    let Replayed { report, picture, failure, took } = replayed.map_err(CliError::Serve)?;
    print(&report, output)?;
    output.flush()?;
    if let Some(path) = &args.plot {
        let svg = picture.svg().map_err(|error| cannot_write(path, &error))?;
        std::fs::write(path, svg).map_err(|error| cannot_write(path, &error))?;
        let more = match picture.left_out() {
            0 => String::new(),
            more => format!(" (without the prices of {more} more symbols)"),
        };
        notice(&format!("picture: {}{more}", path.display()));
    }
    let messages = report.played.messages;
    let per_second = u128::from(messages) * 1_000_000_000 / took.as_nanos().max(1);
    let seconds = took.as_secs_f64();
    notice(&format!("{messages} market messages in {seconds:.2} s: {per_second} a second"));
    match failure {
        None => Ok(()),
        Some(Failure::Interrupted) => Err(CliError::Interrupted),
        Some(failure) => Err(CliError::Serve(failure.into())),
    }
}

/// What is written must be neither what is read nor one file for two things.
fn keep_apart(args: &ReplayArgs) -> Result<(), CliError> {
    let same = |a: &Path, b: &Path| match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => a == b,
    };
    let usage = |path: &Path, what: &str| {
        let path = path.display();
        Err(CliError::Usage(format!("{path} is {what}, which would be written over")))
    };
    for path in [&args.plot, &args.events].into_iter().flatten() {
        if same(path, &args.file) {
            return usage(path, "the capture itself");
        }
    }
    match (&args.plot, &args.events) {
        (Some(plot), Some(events)) if same(plot, events) => usage(plot, "where the events go"),
        _ => Ok(()),
    }
}

fn create(path: &Path) -> Result<Box<dyn std::io::Write>, CliError> {
    let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn cannot_write(path: &Path, why: &dyn std::fmt::Display) -> CliError {
    CliError::Serve(anyhow::anyhow!("cannot write {}: {why}", path.display()))
}

/// A bar of a file whose length is that of its text, a sign of life of a packed one; nothing outside a
/// terminal.
fn bar(file: &Path) -> ProgressBar {
    let packed = file.extension().is_some_and(|extension| extension == "gz");
    let length = std::fs::metadata(file).ok().filter(|_| !packed).map(|file| file.len());
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template =
        if length.is_some() { "{wide_bar} {percent}% {msg} {eta}" } else { "{spinner} {msg}" };
    // A template that is wrong leaves the usual one.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let Progress { lines, bytes, ts_ns, equity } = progress;
    bar.set_position(*bytes);
    if !bar.is_hidden() {
        bar.set_message(format!("{} line {lines}, equity {equity}", time(*ts_ns)));
    }
}

fn print(report: &Report, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return Ok(output.json(report)?);
    }
    if let (false, Some(problem)) = (report.complete, &report.problem) {
        output.styled_line(&format!("INCOMPLETE: {problem}"), Style::new().red().bold())?;
    }
    let (first, last) = (time(report.first_ts_ns), time(report.last_ts_ns));
    output.line(&format!("{}: {first} to {last}, seed {}", report.capture, report.seed))?;
    output.line("")?;
    output.table(
        &[("FIGURE", Align::Left), ("VALUE", Align::Right), ("", Align::Left)],
        &figures(report),
    )?;
    output.line("")?;
    output.table(&PAIRS, &pairs(report))?;
    output.line("")?;
    output.table(&ASSETS, &assets(report))?;
    print_orders(report, output)
}

/// One line each: what, how much, of what.
fn figures(report: &Report) -> Vec<Vec<String>> {
    let equity = &report.equity;
    let quote = equity.quote.to_string();
    let fall = &equity.drawdown;
    let span = |ts: Option<TsNs>| ts.map_or("-".to_owned(), time);
    let fall_span = format!("{quote}, {} to {}", span(fall.peak_ts_ns), span(fall.trough_ts_ns));
    let played = &report.played;
    let row = |name: &str, value: String, of: &str| vec![name.to_owned(), value, of.to_owned()];
    let mut rows = vec![
        row("equity at the start", equity.start.to_string(), &quote),
        row("equity at the end", equity.end.to_string(), &quote),
        row("return", percent(equity.change), "%"),
        row("start's holdings at the end", equity.held.to_string(), &quote),
        row("PnL of the trades, after fees", equity.pnl.to_string(), &quote),
        row("fees, at last prices", equity.fees.to_string(), &quote),
        row("max drawdown", fall.amount.to_string(), &fall_span),
        row("max drawdown", percent(fall.fraction), "% of the peak"),
        row("orders", report.orders.total.to_string(), ""),
        row("commands", played.commands.to_string(), ""),
    ];
    for (code, count) in &report.refused {
        rows.push(row("refused", count.to_string(), code));
    }
    rows.push(row("turns", played.turns.to_string(), ""));
    rows.push(row("events", played.events.to_string(), ""));
    rows.push(row("market messages", played.messages.to_string(), ""));
    if played.faults > 0 {
        rows.push(row("faults of the capture", played.faults.to_string(), ""));
    }
    rows
}

const PAIRS: [Column; 12] = [
    ("SYMBOL", Align::Left),
    ("FILLS", Align::Right),
    ("MAKER", Align::Right),
    ("TAKER", Align::Right),
    ("BOUGHT", Align::Right),
    ("SOLD", Align::Right),
    ("POSITION", Align::Right),
    ("LAST", Align::Right),
    ("VOLUME", Align::Right),
    ("REALISED", Align::Right),
    ("UNREALISED", Align::Right),
    ("QUOTE", Align::Left),
];

fn pairs(report: &Report) -> Vec<Vec<String>> {
    let row = |pair: &Pair| {
        vec![
            pair.symbol.to_string(),
            pair.fills.to_string(),
            pair.maker.to_string(),
            pair.taker.to_string(),
            pair.bought.to_string(),
            pair.sold.to_string(),
            pair.position.to_string(),
            or_dash(pair.last),
            pair.volume.to_string(),
            pair.realised.to_string(),
            pair.unrealised.to_string(),
            pair.quote.to_string(),
        ]
    };
    report.pairs.iter().map(row).collect()
}

const ASSETS: [Column; 6] = [
    ("ASSET", Align::Left),
    ("START", Align::Right),
    ("END", Align::Right),
    ("FEES", Align::Right),
    ("PRICE", Align::Right),
    ("VALUE", Align::Right),
];

fn assets(report: &Report) -> Vec<Vec<String>> {
    let row = |asset: &Holdings| {
        let value = asset.value.map_or("no price: not counted".to_owned(), |v| v.to_string());
        vec![
            asset.asset.to_string(),
            asset.start.to_string(),
            asset.end.to_string(),
            asset.fees.to_string(),
            or_dash(asset.price),
            value,
        ]
    };
    report.assets.iter().map(row).collect()
}

fn print_orders(report: &Report, output: &mut Output) -> Result<(), CliError> {
    let orders = &report.orders;
    if orders.total == 0 {
        return Ok(());
    }
    let count = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    let mut rows: Vec<_> = orders.by_status.iter().map(|(name, n)| count(name, *n)).collect();
    rows.push(count("open", u64::try_from(orders.open.len()).unwrap_or(u64::MAX)));
    rows.extend(orders.by_reason.iter().map(|(name, n)| count(&format!("  {name}"), *n)));
    output.line("")?;
    output.table(&[("ORDERS", Align::Left), ("COUNT", Align::Right)], &rows)?;
    if orders.open.is_empty() {
        return Ok(());
    }
    let row = |order: &OpenOrder| {
        vec![
            order.client_order_id.to_string(),
            order.symbol.to_string(),
            order.side.as_str().to_owned(),
            order.qty.to_string(),
            order.executed_qty.to_string(),
            or_dash(order.price),
        ]
    };
    let columns = [
        ("OPEN", Align::Left),
        ("SYMBOL", Align::Left),
        ("SIDE", Align::Left),
        ("QTY", Align::Right),
        ("EXECUTED", Align::Right),
        ("PRICE", Align::Right),
    ];
    output.line("")?;
    let shown: Vec<_> = orders.open.iter().take(SHOWN_OPEN).map(row).collect();
    output.table(&columns, &shown)?;
    let more = orders.open.len() - shown.len();
    if more > 0 {
        output.line(&format!("and {more} more"))?;
    }
    Ok(())
}

/// A fraction as per cent, exact.
fn percent(fraction: Option<Qty>) -> String {
    const PER_UNIT: i128 = 10_000_000_000;
    or_dash(fraction.map(|fraction| Money::from_raw(i128::from(fraction.raw()) * PER_UNIT)))
}

/// Where the picture goes unless told otherwise: into this directory, by the capture's name.
fn default_plot(capture: &Path) -> PathBuf {
    let name = capture.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    PathBuf::from(format!("replay-{name}.svg"))
}

impl Args for ReplayArgs {
    fn augment_args(command: Command) -> Command {
        let option = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name).long(name).value_name(value).help(help)
        };
        let words = |text: &str| match shell_words::split(text) {
            Ok(words) if words.first().is_some_and(|program| !program.is_empty()) => Ok(words),
            _ => Err("must be a program and its arguments, each quote closed".to_owned()),
        };
        let asset = |text: &str| Asset::parse(text).map_err(|error| error.to_string());
        let seconds = value_parser!(u64).range(1..=86_400);
        let path = || value_parser!(PathBuf);
        command
            .arg(
                Arg::new(FILE)
                    .required(true)
                    .value_name("FILE")
                    .value_parser(path())
                    .help("Capture to play, plain or .gz"),
            )
            .arg(
                option(
                    STRATEGY,
                    "CMD",
                    "The strategy: a program and its arguments; there is no shell",
                )
                .required(true)
                .value_parser(ValueParser::new(words)),
            )
            .arg(
                option(QUOTE, "ASSET", "Asset to measure in [default: the first symbol's quote]")
                    .value_parser(ValueParser::new(asset)),
            )
            .arg(
                option(TIMEOUT, "SECONDS", "How long the strategy may take for a turn")
                    .default_value("60")
                    .value_parser(seconds),
            )
            .arg(
                option(PLOT, "FILE", "Where the picture goes (SVG) [default: replay-CAPTURE.svg]")
                    .value_parser(path()),
            )
            .arg(
                Arg::new(NO_PLOT)
                    .long(NO_PLOT)
                    .action(ArgAction::SetTrue)
                    .conflicts_with(PLOT)
                    .help("Make no picture"),
            )
            .arg(option(EVENTS, "FILE", "Write every event there, as NDJSON").value_parser(path()))
            .args(flags(is_ours))
            .mut_arg("VELOZ_SIM_SEED", |seed| {
                seed.help(
                    "Seed of all that is left to chance; the strategy has it, too [default: 0] \
                     [env: VELOZ_SIM_SEED]",
                )
            })
            .after_help(AFTER)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ReplayArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ReplayArgs, clap::Error> {
        let file: PathBuf = matches.get_one(FILE).cloned().unwrap_or_default();
        let plot = matches.get_one(PLOT).cloned().unwrap_or_else(|| default_plot(&file));
        let seconds = matches.get_one(TIMEOUT).copied().unwrap_or_default();
        Ok(ReplayArgs {
            strategy: matches.get_one(STRATEGY).cloned().unwrap_or_default(),
            quote: matches.get_one(QUOTE).copied(),
            timeout: Duration::from_secs(seconds),
            plot: Some(plot).filter(|_| !matches.get_flag(NO_PLOT)),
            events: matches.get_one(EVENTS).cloned(),
            flags: given(matches, is_ours),
            file,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
