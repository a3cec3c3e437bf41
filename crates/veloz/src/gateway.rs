//! Start-up and shutdown: the one place that sees every part.
//!
//! Order at start: the address, the data directory (locked), the journal (recovered), the state
//! (replayed), the stream, the service, the market source, the HTTP API. Order at shutdown: no more
//! orders, the market source ends, the service stores what it has, streams drain, sockets close.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use veloz_core::engine::{Engine, EngineConfig, Step, Venue, VenueCommand};
use veloz_core::input::Input;
use veloz_core::instrument::Instrument;
use veloz_core::limits::{
    ENGINE_UP_MS, JOURNAL_SEGMENT_BYTES, JOURNAL_SEGMENT_MIN_BYTES, JOURNAL_SEGMENTS_COUNT,
    MARKET_UP_MS, SERVICE_MARKET_QUEUE_BATCHES, VENUE_QUEUE_MESSAGES,
};
use veloz_core::state::State;
use veloz_core::types::Symbol;

use crate::backtest::{self, ReplayOptions, ReplayParts, Replayed};
use crate::config::{self, Config};
use crate::engine::{self, EngineParts};
use crate::http::{
    self, ConfigView, HttpConfig, HttpMetrics, HttpParts, HttpServer, MarketControl,
};
use crate::journal::{
    Batch, DataDir, Durability, Journal, JournalConfig, JournalReader, Lineage, LogReader,
    Recovery, RetentionConfig, Stamp,
};
use crate::market::{
    self, MarketSource, ReplayControl, SourceConfig, SourceMessage, SourceMonitor,
};
use crate::plan::MarketPlan;
use crate::restore::{self, StateFold};
use crate::service::{self, Clock, HealthBoard, Parts, ServiceHandle, ServiceMetrics, WatchedLog};
use crate::stream::page::Pages;
use crate::stream::{Stream, StreamConfig};
use crate::venue::VenueMessage;
use crate::venue::stdio::{EngineMetrics, StdioConfig, StdioVenue};

/// How long requests under way may take at shutdown.
const REQUEST_DRAIN: Duration = Duration::from_secs(1);

/// Signals within so long are one: nobody has waited between them.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// Why it could not start, in one line that says what to do.
pub fn run(config: Config) -> Result<()> {
    start_log()?;
    // One thread for the sockets of the HTTP API and the service: an order meets no other thread on its
    // way. What may take long (pages of the log) has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(config))
}

/// Runs the engine alone, over standard input and output, until its input ends.
///
/// # Errors
/// Why it could not start.
pub fn run_engine(config: Config) -> Result<()> {
    start_log()?;
    let plan = MarketPlan::new(&config)?;
    let engine = Engine::new(plan.engine(&config));
    let source = plan.source(&config, &engine);
    let clock = clock(&config, &engine)?;
    engine::run(EngineParts { engine, source, clock })
}

/// Runs a strategy against the capture of the configuration, and gives what came of it.
///
/// # Errors
/// Why it could not begin.
pub fn run_replay(config: Config, options: ReplayOptions<'_>) -> Result<Replayed> {
    start_log()?;
    let plan = MarketPlan::new(&config)?;
    let engine = Engine::new(plan.engine(&config));
    let path = config.replay_file.clone().context("there is no capture to play")?;
    let source = plan.source(&config, &engine).context("there is no market to replay")?;
    let quotes: Vec<_> = plan.instruments.iter().map(|instrument| instrument.quote).collect();
    let quote = match (options.quote, quotes.first()) {
        (Some(quote), _) if quotes.contains(&quote) => quote,
        (Some(quote), _) => {
            anyhow::bail!("--quote {quote}: no pair that is traded is priced in it")
        }
        (None, first) => *first.context("nothing is traded")?,
    };
    let start_ns = market::replay::first_time_ns(&path)?.unwrap_or_default();
    let capture = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts = ReplayParts { engine, source, start_ns, quote };
    backtest::run(parts, config.sim_seed.unwrap_or_default(), capture, options)
}

/// The log goes to standard error; `VELOZ_LOG` says how much of it (`info`, `debug`, …).
///
/// # Errors
/// When that makes no sense.
pub(crate) fn start_log() -> Result<()> {
    let filter = config::log_filter()?;
    // Fails only when there is a log already, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(config::wants_colors(&std::io::stderr()))
        .with_target(false)
        .try_init();
    Ok(())
}

async fn serve(config: Config) -> Result<()> {
    // From here on a signal ends it in order, however early it comes.
    let mut signals = Signals::listen()?;
    // A file that may not grow any more is told by the write that fails: the signal would end it unheard.
    let _held = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))
        .context("cannot listen for SIGXFSZ")?;
    for (name, value, origin) in &config.set {
        tracing::info!("{name}={value} (from {origin})");
    }
    let listener = http::bind(SocketAddr::new(config.host, config.port))?;
    let max_connections = max_connections(&config);
    let plan = MarketPlan::new(&config)?;
    let store = Store::open(&config, &plan)?;
    // Held until the end: nobody else may write the journal.
    let _dir = store.dir;

    let mut registry = Registry::default();
    let health = Arc::new(HealthBoard::default());
    let board = Arc::clone(&health);
    let (handle, inbox) = service::channel(Arc::clone(&health));
    let log: Arc<dyn LogReader> = Arc::new(WatchedLog::new(store.reader, Arc::clone(&health)));
    let stream = start_stream(&config, &log, &handle)?;
    stream.handle().register_metrics(&mut registry);
    store.journal.register_metrics(&mut registry);

    let source = plan.source(&config, &store.engine);
    let (awaits_books, books) =
        matches!(source, Some(SourceConfig::Sim(_))).then(oneshot::channel).unzip();
    let (venue, reports) = start_venue(&config, &handle, &mut registry)?.unzip();
    let (market_out, market_in) = crossbeam_channel::bounded(SERVICE_MARKET_QUEUE_BATCHES);
    let service = service::start(
        Parts {
            engine: store.engine,
            journal: store.journal,
            tail: stream.tail(),
            market: source.is_some().then_some(market_in),
            awaits_books,
            venue: venue.as_ref().map(StdioVenue::port).zip(reports),
            first_commands: store.first_commands,
            clock: store.clock,
            metrics: ServiceMetrics::register(&mut registry),
            health,
        },
        inbox,
    );
    let source = start_source(source, market_out, &handle, books).await?;
    let control = SourceControl::of(source.as_ref(), venue.is_some() && source.is_none());
    wait_for_venue(venue.as_ref()).await;

    let metrics = HttpMetrics::register(&mut registry);
    let server = HttpServer::start(
        listener,
        http_config(&config, &plan, store.lineage, max_connections),
        HttpParts {
            service: handle.clone(),
            pages: Pages::new(log),
            stream: stream.handle(),
            market: Arc::new(control),
            registry: Arc::new(registry),
            metrics,
        },
    )?;
    announce(&config, &plan, server.address());

    signals.next().await;
    tracing::info!("stopping: no more orders are taken");
    stop(handle, (source, venue), service, stream, &mut signals).await?;
    server.shutdown(REQUEST_DRAIN).await;
    ended_well(&board)
}

/// Whoever looks at the exit code only must hear of an earlier failure too.
fn ended_well(board: &HealthBoard) -> Result<()> {
    if let Some(problem) = board.read().problems.into_iter().next() {
        anyhow::bail!("stopped, but it had failed before: {}", problem.message);
    }
    tracing::info!("stopped");
    Ok(())
}

fn start_stream(
    config: &Config,
    log: &Arc<dyn LogReader>,
    handle: &ServiceHandle,
) -> Result<Stream> {
    let default = StreamConfig::default();
    let stream_config = StreamConfig {
        keep_alive_ms: millis(config.keep_alive),
        retry_ms: millis(config.retry),
        stall_ms: millis(config.stall),
        ring_from: if config.io_uring { default.ring_from } else { usize::MAX },
        ..default
    };
    Stream::start(stream_config, Arc::clone(log), Arc::new(handle.clone()))
        .context("cannot start the stream")
}

/// Starts the market's source, if there is one, and gives it the time to tell its books.
async fn start_source(
    source: Option<SourceConfig>,
    out: Sender<SourceMessage>,
    handle: &ServiceHandle,
    books: Option<oneshot::Receiver<()>>,
) -> Result<Option<MarketSource>> {
    let waker = handle.clone();
    let source =
        source.map(|source| market::start(source, out, move || waker.wake())).transpose()?;
    if let Some(books) = books {
        // On a full disk the market stands still, and cancels must get through all the same.
        let _ = tokio::time::timeout(Duration::from_millis(MARKET_UP_MS), books).await;
    }
    Ok(source)
}

/// Starts the external engine, if there is one.
fn start_venue(
    config: &Config,
    handle: &ServiceHandle,
    registry: &mut Registry,
) -> Result<Option<(StdioVenue, Receiver<VenueMessage>)>> {
    let Some(command) = config.engine_cmd.clone() else { return Ok(None) };
    let is_market = config.market_source == config::MarketSource::None;
    let (out, reports) = crossbeam_channel::bounded(VENUE_QUEUE_MESSAGES);
    let waker = handle.clone();
    let shown = command.join(" ");
    let stdio = StdioConfig { command, is_market };
    let metrics = EngineMetrics::register(registry);
    let venue = StdioVenue::start(stdio, out, move || waker.wake(), metrics)
        .with_context(|| format!("VELOZ_ENGINE_CMD: cannot start {shown}"))?;
    Ok(Some((venue, reports)))
}

/// Gives the engine the time to say that it works. One that does not is told by `/health`.
async fn wait_for_venue(venue: Option<&StdioVenue>) {
    let Some(port) = venue.map(StdioVenue::port) else { return };
    // One that does not work yet is no reason not to start.
    let _ = tokio::time::timeout(Duration::from_millis(2 * ENGINE_UP_MS), port.works()).await;
}

/// As many as asked for, but never so many that the journal gets no file handle.
fn max_connections(config: &Config) -> usize {
    let possible = http::max_connections_by_handles();
    let wanted = config.max_connections.unwrap_or(possible);
    if wanted > possible {
        tracing::warn!(
            "VELOZ_MAX_CONNECTIONS={wanted} is more than the limit of file handles allows: \
             {possible} it is; `ulimit -n` raises that limit"
        );
    }
    wanted.min(possible)
}

/// Ends everything behind the HTTP API, in the order that loses nothing.
async fn stop(
    handle: ServiceHandle,
    sources: (Option<MarketSource>, Option<StdioVenue>),
    service: tokio::task::JoinHandle<()>,
    stream: Stream,
    signals: &mut Signals,
) -> Result<()> {
    handle.close_intake();
    let all = async {
        // Both wait for their threads.
        tokio::task::spawn_blocking(|| drop(sources)).await?;
        handle.stop();
        if service.await.is_err() {
            tracing::error!("the service ended by a panic");
        }
        tokio::task::spawn_blocking(|| stream.shut_down()).await
    };
    tokio::select! {
        done = all => done.context("the shutdown panicked"),
        () = signals.again() => {
            tracing::error!("stopped before everything was sent: a second signal came");
            // At once, and not by the way up: threads may still write the journal, and its lock must end with them.
            std::process::exit(1)
        }
    }
}

/// SIGTERM, SIGINT, and SIGHUP unless it is ignored, as under `nohup`.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Signals> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Signals {
            term: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            int: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            hangup: hangup.transpose().context("cannot listen for SIGHUP")?,
        })
    }

    /// Somebody wants it to end.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
            _ = hangup => {}
        }
    }

    /// Somebody has waited and will not any more.
    pub(crate) async fn again(&mut self) {
        let began = Instant::now();
        // A terminal that is closed, `timeout`, and some supervisors send one to the process and one to its group.
        while began.elapsed() < ONE_SIGNAL {
            tokio::select! {
                _ = self.term.recv() => {}
                _ = self.int.recv() => {}
            }
        }
    }
}

/// Whether whoever started this wants it to outlive its terminal.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Its first bit is signal 1.
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Says where it is and what it does: the one line of standard output, and a program may read it.
fn announce(config: &Config, plan: &MarketPlan, address: SocketAddr) {
    let symbols: Vec<_> = plan.symbols.iter().map(Symbol::as_str).collect();
    tracing::info!(
        "market: {} ({}); orders: {}; journal: {}",
        plan.name,
        symbols.join(", "),
        if config.engine_cmd.is_some() { "the external engine" } else { "the simulated exchange" },
        config.data_dir.display()
    );
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason to stop.
    let _ = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
}

fn http_config(
    config: &Config,
    plan: &MarketPlan,
    log: Lineage,
    max_connections: usize,
) -> HttpConfig {
    HttpConfig {
        allowed_hosts: config.allowed_hosts.clone(),
        allowed_origins: config.allowed_origins.clone(),
        max_connections,
        timeouts: http::Timeouts::default(),
        symbol: plan.symbol,
        view: ConfigView {
            market_source: config.market_source.as_str(),
            market_symbol: plan.symbol,
            market_symbols: plan.symbols.clone(),
            binance_base_url: "https://api.binance.com".to_owned(),
            execution_mode: config.execution_mode(),
            binance_trade_enabled: false,
            binance_trade_base_url: String::new(),
        },
        log,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is kept, recovered.
struct Store {
    dir: DataDir,
    lineage: Lineage,
    journal: Journal,
    reader: Arc<JournalReader>,
    engine: Engine,
    first_commands: Vec<VenueCommand>,
    clock: Clock,
}

impl Store {
    fn open(config: &Config, plan: &MarketPlan) -> Result<Store> {
        let dir = DataDir::open(&config.data_dir)?;
        let stamp = Stamp::new(config.execution_mode(), "", "", config.market_source.as_str());
        let mut stored = dir.stamp()?;
        if let Some(stored) = &stored {
            dir.check_owner(stored, &stamp)?;
        }
        let stamp = stored.get_or_insert(stamp);
        if stamp.log.begin() {
            dir.write_stamp(stamp)?;
        }
        let lineage = stamp.log.clone();
        let durability = match config.durability {
            config::Durability::Process => Durability::Process,
            config::Durability::Disk => Durability::Disk,
        };
        let retention = RetentionConfig {
            bytes: config.retention_bytes,
            market_age: config.retention_market,
            order_age: config.retention_orders,
        };
        // A small log needs small segments: retention takes them one by one.
        let segment_bytes = (config.retention_bytes / JOURNAL_SEGMENTS_COUNT)
            .clamp(JOURNAL_SEGMENT_MIN_BYTES, JOURNAL_SEGMENT_BYTES);
        let journal_config =
            JournalConfig { durability, retention, segment_bytes, ..JournalConfig::default() };
        let (mut journal, reader, recovery) = Journal::open(dir.path(), journal_config)?;
        let state = replayed(&recovery)?;
        journal.fold_by(StateFold::new(&recovery));
        let venue = if config.engine_cmd.is_some() { Venue::External } else { Venue::Simulated };
        let engine_config = EngineConfig { venue, ..plan.engine(config) };
        let mut engine = Engine::restore(engine_config, state);
        let clock = clock(config, &engine)?;
        let first_commands = first_steps(config, plan, &mut engine, clock, &mut journal)?;
        Ok(Store { dir, lineage, journal, reader, engine, first_commands, clock })
    }
}

/// The state that the log leads to: a snapshot, and what came after it.
fn replayed(recovery: &Recovery) -> Result<State> {
    for passed in &recovery.passed_over {
        tracing::warn!("a damaged snapshot is passed over: {passed}");
    }
    if let Some(torn) = &recovery.torn {
        tracing::warn!(
            "{} bytes of an unfinished write are cut from {} at {}: nobody was told of them",
            torn.bytes,
            torn.file,
            torn.offset
        );
    }
    Ok(restore::state(recovery)?)
}

/// A replay's clock is that of its data; it never goes back behind what the log says. An external engine
/// lives by the wall's.
fn clock(config: &Config, engine: &Engine) -> Result<Clock> {
    match &config.replay_file {
        Some(path) if config.engine_cmd.is_none() => {
            let first = market::replay::first_time_ns(path)?.unwrap_or_default();
            Ok(Clock::Replay(first.max(engine.state().last_ts_ns())))
        }
        _ => Ok(Clock::Wall),
    }
}

/// What has to be in the log before anything else: the account of a new one, the source that speaks,
/// the end of what was open if so asked. Gives what an external venue is to be told for it.
fn first_steps(
    config: &Config,
    plan: &MarketPlan,
    engine: &mut Engine,
    clock: Clock,
    journal: &mut Journal,
) -> Result<Vec<VenueCommand>> {
    refuse_other_assets(config, plan, engine.state())?;
    let now = match clock {
        Clock::Wall => service::wall_ns(),
        Clock::Replay(now) => now,
    };
    let (mut step, mut facts, mut batch) = (Step::default(), Vec::new(), Batch::new());
    let mut first_id = engine.state().last_event_id() + 1;
    if first_id == 1 {
        engine.start(now, &mut step);
        first_id += u64::from(service::record(&step, first_id, &mut facts, &mut batch));
    }
    let mut is_taken_back = false;
    if config.cancel_open {
        engine
            .step(now, &Input::CancelAll { symbol: None }, &mut step)
            .context("cannot cancel the open orders")?;
        is_taken_back = !step.commands.is_empty();
        first_id += u64::from(service::record(&step, first_id, &mut facts, &mut batch));
        // A venue that is away: the cancels arrive, and what became of them is known, before anything else.
        while let Some(at) = engine.arrives_ns() {
            engine.step(at, &Input::Tick, &mut step).context("cannot cancel the open orders")?;
            first_id += u64::from(service::record(&step, first_id, &mut facts, &mut batch));
        }
    }
    // What an external venue is to take back stands there until it has heard of it.
    if !is_taken_back {
        refuse_another_market(config, plan, engine.state())?;
    }
    engine.begin_source(&plan.name, config.from_start, &mut step);
    service::record(&step, first_id, &mut facts, &mut batch);
    journal.append(&mut batch, service::wall_ns())?;
    Ok(engine.unanswered_cancels().collect())
}

/// What a symbol's orders pay and receive is booked in the assets that the log has of it: they must be those that are
/// looked at before an order.
fn refuse_other_assets(config: &Config, plan: &MarketPlan, state: &State) -> Result<()> {
    for Instrument { symbol, base, quote, .. } in &plan.instruments {
        let (stored_base, stored_quote) = state.assets_of(symbol).unwrap_or((*base, *quote));
        if (stored_base, stored_quote) != (*base, *quote) {
            anyhow::bail!(
                "orders of {symbol} are booked in {stored_base} and {stored_quote} in {}, and it is made of {base} \
                 and {quote} now: start with the VELOZ_EXCHANGE_INFO of before, or use another VELOZ_DATA_DIR",
                config.data_dir.display()
            );
        }
    }
    Ok(())
}

/// An open order stands in a market: it must not meet the prices of another, nor stand where none is.
fn refuse_another_market(config: &Config, plan: &MarketPlan, state: &State) -> Result<()> {
    let dir = config.data_dir.display();
    if !state.source().is_empty() && state.source() != plan.name && state.open_order_count() > 0 {
        anyhow::bail!(
            "the {} orders that are open in {dir} stand in the market \"{}\", not in \"{}\": start with \
             that source, cancel them with --cancel-open, or use another VELOZ_DATA_DIR",
            state.open_order_count(),
            state.source(),
            plan.name
        );
    }
    let mut open = state.open_orders().map(|order| order.request.symbol);
    if let Some(symbol) = open.find(|symbol| !plan.symbols.contains(symbol)) {
        anyhow::bail!(
            "orders of {symbol} are open in {dir}, and {symbol} is not traded: name it in \
             VELOZ_MARKET_SYMBOLS, or cancel all that is open with --cancel-open"
        );
    }
    Ok(())
}

/// The market source, as far as the HTTP API asks it.
struct SourceControl {
    monitor: Option<SourceMonitor>,
    replay: Option<ReplayControl>,
    /// Prices come from the external engine.
    engine_speaks: bool,
}

impl SourceControl {
    fn of(source: Option<&MarketSource>, engine_speaks: bool) -> SourceControl {
        SourceControl {
            engine_speaks,
            monitor: source.map(MarketSource::monitor),
            replay: source.and_then(MarketSource::replay),
        }
    }
}

impl SourceControl {
    fn replay(&self) -> Result<&ReplayControl, String> {
        self.replay.as_ref().ok_or_else(|| "the market source is no replay".to_owned())
    }
}

impl MarketControl for SourceControl {
    fn state(&self) -> &'static str {
        match &self.monitor {
            Some(monitor) => monitor.status().state.as_str(),
            None if self.engine_speaks => "running",
            // Without a source there is nothing more to come.
            None => "finished",
        }
    }

    fn run(&self) -> Result<(), String> {
        self.replay()?.run().map_err(|error| error.to_string())
    }

    fn step(&self, lines: u64) -> Result<(), String> {
        self.replay()?.step(lines).map(|_| ()).map_err(|error| error.to_string())
    }
}
