//! `veloz engine`: the simulated exchange alone, spoken to over standard input and output.
//!
//! Contract: each line that comes in is obeyed, or answered by one `error` event that says why not, in
//! the order in which they came; what came of a batch of lines is written and flushed before the next
//! batch is read. First line out `engine_started`, last `engine_stopped`, at the end of the input and on
//! SIGTERM or SIGINT. Nothing is kept: an engine that starts again knows nothing of the one before.
//!
//! A reader that is gone ends it. One that is there and does not read holds it up: then a signal ends it
//! after [`ENGINE_STOP_GRACE_MS`], with code 1.

use std::io::{self, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use veloz_core::engine::{Engine, Step};
use veloz_core::event::{ErrorEvent, Event};
use veloz_core::input::{CancelOrder, Input, MarketBody, Refusal};
use veloz_core::limits::{
    ENGINE_BATCH_LINES, ENGINE_STOP_GRACE_MS, PROTOCOL_LINE_MAX_BYTES, PROTOCOL_QUEUE_BATCHES,
    SERVICE_MARKET_QUEUE_BATCHES,
};
use veloz_core::types::{ClientOrderId, TsNs};

use crate::market::{self, SourceConfig, SourceMessage};
use crate::protocol::{Command, Line, Lines, ProtocolError, Query, parse};
use crate::service::{Clock, SteadyClock};

/// What the engine runs on.
pub struct EngineParts {
    /// The engine, new.
    pub engine: Engine,
    /// Where its market comes from; `None` is no market, and no order is filled.
    pub source: Option<SourceConfig>,
    /// What time it is.
    pub clock: Clock,
}

/// One line of the input, as far as it could be read.
enum Incoming {
    Line(Vec<u8>),
    TooLong,
    Cut,
}

/// What ends the engine besides the end of its input.
struct Stop;

/// Runs until the input ends, a signal comes, or nobody reads the output any more.
///
/// # Errors
/// When it cannot start, or the output fails otherwise than by its reader's end.
pub fn run(parts: EngineParts) -> Result<()> {
    let stop = stop_on_signals()?;
    let lines = read_lines(io::stdin())?;
    match speak(parts, &lines, &stop, &mut io::stdout().lock()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the events"),
    }
}

/// SIGTERM and SIGINT; whoever cannot stop in time because its output is full is ended.
fn stop_on_signals() -> Result<Receiver<Stop>> {
    let (told, stop) = bounded(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut signals = runtime.block_on(async { crate::gateway::Signals::listen() })?;
    let wait = move || {
        runtime.block_on(signals.next());
        // Full: it is stopping already.
        let _ = told.try_send(Stop);
        std::thread::sleep(Duration::from_millis(ENGINE_STOP_GRACE_MS));
        std::process::exit(1);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(stop)
}

/// Reads the input on a thread of its own, in batches: what has arrived, up to a bound.
fn read_lines(input: impl Read + Send + 'static) -> Result<Receiver<Vec<Incoming>>> {
    let (out, lines) = bounded(PROTOCOL_QUEUE_BATCHES);
    let read = move || {
        let mut lines = Lines::new(input, PROTOCOL_LINE_MAX_BYTES);
        while let Some(batch) = next_batch(&mut lines) {
            if out.send(batch).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(read)?;
    Ok(lines)
}

/// What can be had without waiting, after the first line; `None` at the end.
fn next_batch(lines: &mut Lines<impl Read>) -> Option<Vec<Incoming>> {
    let mut batch = Vec::new();
    loop {
        match lines.read() {
            Ok(Some(Line::Whole(line))) => batch.push(Incoming::Line(line.to_vec())),
            Ok(Some(Line::TooLong)) => batch.push(Incoming::TooLong),
            Ok(Some(Line::Cut(_))) => batch.push(Incoming::Cut),
            Ok(None) => return (!batch.is_empty()).then_some(batch),
            Err(error) => {
                tracing::error!(%error, "the input cannot be read");
                return (!batch.is_empty()).then_some(batch);
            }
        }
        if batch.len() >= ENGINE_BATCH_LINES || !lines.has_line() {
            return Some(batch);
        }
    }
}

/// The engine's life: takes lines and market data, writes events.
fn speak(
    parts: EngineParts,
    lines: &Receiver<Vec<Incoming>>,
    stop: &Receiver<Stop>,
    out: &mut impl Write,
) -> io::Result<()> {
    let EngineParts { engine, source, clock } = parts;
    let (market_out, market_in): (Sender<SourceMessage>, _) = bounded(SERVICE_MARKET_QUEUE_BATCHES);
    // Each of its books comes before anything else: an order before that would meet an empty one.
    let mut awaits_books = matches!(source, Some(SourceConfig::Sim(_)));
    let source = source.map(|source| market::start(source, market_out, || ())).transpose();
    let _source = source.map_err(io::Error::other)?;
    let mut market = if _source.is_some() { market_in } else { never() };
    let mut speaker = Speaker::new(engine, clock);
    speaker.started();
    let nobody = never();
    loop {
        out.write_all(&speaker.out)?;
        out.flush()?;
        speaker.out.clear();
        awaits_books = awaits_books && !speaker.engine.knows_books();
        let lines = if awaits_books { &nobody } else { lines };
        let due = speaker.due_in().map_or_else(never, after);
        select! {
            recv(due) -> _ => speaker.let_time_pass(),
            recv(lines) -> batch => match batch {
                Ok(batch) => batch.iter().for_each(|line| speaker.take(line)),
                Err(_) => break,
            },
            recv(market) -> message => match message {
                Ok(message) => speaker.market(message),
                Err(_) => {
                    market = never();
                    speaker.clock_stands = true;
                }
            },
            recv(stop) -> _ => break,
        }
    }
    speaker.clock_stands = true;
    while let Some(wait) = speaker.arrives_in() {
        select! {
            recv(after(wait)) -> _ => speaker.let_time_pass(),
            recv(stop) -> _ => break,
        }
    }
    speaker.stopped();
    out.write_all(&speaker.out)?;
    out.flush()
}

/// What the engine says, collected until it is written.
struct Speaker {
    engine: Engine,
    clock: Clock,
    wall: SteadyClock,
    step: Step,
    out: Vec<u8>,
    commands: u64,
    lines: u64,
    /// A replay's clock stands: its source has nothing more to say.
    clock_stands: bool,
}

impl Speaker {
    fn new(engine: Engine, clock: Clock) -> Speaker {
        Speaker {
            engine,
            clock,
            wall: SteadyClock::new(TsNs::MIN),
            step: Step::default(),
            out: Vec::new(),
            commands: 0,
            lines: 0,
            clock_stands: false,
        }
    }

    /// The first line, then the balances.
    fn started(&mut self) {
        let version = env!("CARGO_PKG_VERSION");
        let line = format!("{{\"type\":\"engine_started\",\"version\":\"{version}\"}}\n");
        self.out.extend_from_slice(line.as_bytes());
        self.engine.start(self.now(), &mut self.step);
        self.tell_step();
    }

    fn stopped(&mut self) {
        let commands = self.commands;
        let line = format!("{{\"type\":\"engine_stopped\",\"commands_processed\":{commands}}}\n");
        self.out.extend_from_slice(line.as_bytes());
    }

    fn take(&mut self, line: &Incoming) {
        self.lines += 1;
        let command = match line {
            Incoming::Line(line) => parse(line),
            Incoming::TooLong => Err(ProtocolError(format!(
                "the line is longer than {PROTOCOL_LINE_MAX_BYTES} bytes"
            ))),
            Incoming::Cut => Err(ProtocolError(
                "the input ended before the line did: it is not obeyed".to_owned(),
            )),
        };
        match command {
            Ok(None) => {}
            Ok(Some(command)) => {
                self.commands += 1;
                self.obey(command);
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Order(order) => self.order(order.client_order_id, &Input::NewOrder(order)),
            Command::Cancel(client_order_id) => {
                let cancel = CancelOrder { client_order_id, symbol: None };
                self.order(client_order_id, &Input::Cancel(cancel));
            }
            Command::Query(query) => self.answer(query),
        }
    }

    fn order(&mut self, id: ClientOrderId, input: &Input) {
        self.let_time_pass();
        match self.engine.step(self.now(), input, &mut self.step) {
            // The same once more: it changes nothing, and is answered with how the order stands.
            Ok(_) if self.step.is_empty() => self.tell_order(&id),
            Ok(_) => self.tell_step(),
            Err(refusal) => self.refuse(&refusal_in_words(&refusal)),
        }
    }

    fn answer(&mut self, query: Query) {
        let state = self.engine.state();
        let events: Vec<Event> = match query {
            Query::Order(id) => state
                .order(&id)
                .map(|order| Event::OrderState(order.state_event()))
                .into_iter()
                .collect(),
            Query::Orders => {
                state.open_orders().map(|order| Event::OrderState(order.state_event())).collect()
            }
            Query::Account => vec![Event::Account(state.account())],
            Query::Market(None) => state.markets().cloned().map(Event::Market).collect(),
            Query::Market(Some(symbol)) => {
                if self.engine.instrument(&symbol).is_none() {
                    let error = format!("symbol {symbol} is not traded here");
                    return self.refuse(&ProtocolError(error));
                }
                state.market(&symbol).cloned().map(Event::Market).into_iter().collect()
            }
        };
        for event in &events {
            self.tell(event);
        }
        let done = format!("{{\"type\":\"query_done\",\"n\":{}}}\n", events.len());
        self.out.extend_from_slice(done.as_bytes());
    }

    fn market(&mut self, message: SourceMessage) {
        match message {
            SourceMessage::Data(all) => {
                for data in all {
                    if let (Clock::Replay(now), MarketBody::Trade { ts_ns, .. }) =
                        (&mut self.clock, &data.body)
                    {
                        *now = (*now).max(*ts_ns);
                    }
                    self.let_time_pass();
                    // Market data is never refused.
                    if self.engine.step(self.now(), &Input::Market(data), &mut self.step).is_ok() {
                        self.tell_step();
                    }
                }
            }
            SourceMessage::Fault { code, detail } | SourceMessage::Failed { code, detail } => {
                tracing::warn!(code, detail, "market source");
                self.tell_error(code.into(), Some(detail.into()));
            }
            SourceMessage::Finished => {
                tracing::info!("the market source has finished");
                self.clock_stands = true;
            }
        }
    }

    /// Lets arrive what was on its way to the venue or back, each at its own time.
    fn let_time_pass(&mut self) {
        loop {
            let now = self.now();
            let due = self.engine.due_ns().filter(|at| *at <= now);
            let Some(at) = due.or_else(|| self.engine.arrives_ns().filter(|_| self.stands()))
            else {
                return;
            };
            if let Clock::Replay(clock) = &mut self.clock {
                *clock = at.max(*clock);
            }
            // Time is never refused.
            if self.engine.step(at, &Input::Tick, &mut self.step).is_ok() {
                self.tell_step();
            }
        }
    }

    fn stands(&self) -> bool {
        self.clock_stands && self.clock != Clock::Wall
    }

    /// How long until what is on its way has arrived.
    fn arrives_in(&self) -> Option<Duration> {
        let at = self.engine.arrives_ns()?;
        let left = if self.stands() { 0 } else { at.saturating_sub(self.now()) };
        Some(Duration::from_nanos(u64::try_from(left).unwrap_or_default()))
    }

    /// How long until something is due that no line brings.
    fn due_in(&self) -> Option<Duration> {
        if self.stands() {
            return self.arrives_in();
        }
        let at = self.engine.due_ns().filter(|_| self.clock == Clock::Wall)?;
        let left = at.saturating_sub(self.now());
        Some(Duration::from_nanos(u64::try_from(left).unwrap_or_default()))
    }

    fn refuse(&mut self, error: &ProtocolError) {
        let message = format!("line {}: {error}", self.lines);
        self.tell_error(message.into(), None);
    }

    fn tell_error(
        &mut self,
        message: veloz_core::types::Text,
        detail: Option<veloz_core::types::Text>,
    ) {
        let ts_ns = self.now().max(self.engine.state().last_ts_ns());
        self.tell(&Event::Error(ErrorEvent { ts_ns, message, detail }));
    }

    fn tell_order(&mut self, id: &ClientOrderId) {
        if let Some(order) = self.engine.state().order(id) {
            let state = Event::OrderState(order.state_event());
            self.tell(&state);
        }
    }

    fn tell_step(&mut self) {
        for event in &self.step.events {
            event.encode(&mut self.out);
            self.out.push(b'\n');
        }
    }

    fn tell(&mut self, event: &Event) {
        event.encode(&mut self.out);
        self.out.push(b'\n');
    }

    fn now(&self) -> TsNs {
        match self.clock {
            Clock::Wall => self.wall.now().0,
            Clock::Replay(now) => now,
        }
    }
}

fn refusal_in_words(refusal: &Refusal) -> ProtocolError {
    ProtocolError(refusal.to_string())
}
