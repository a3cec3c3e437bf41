//! `veloz replay`: a strategy against a recorded market, as fast as the machine allows.
//!
//! Contract: one thread steps the engine and speaks with the strategy, in lock-step: while it is the
//! strategy's turn the market waits, and while the market goes on the strategy does. Time is the data's:
//! the latest time that its trades told; a timer of the strategy has its turn at its own time, before
//! the trade that goes past it. So the same capture, settings, seed and strategy give the same events,
//! the same turns and the same report, however busy the machine is.
//!
//! What a command leads to is told with the strategy's next turn, and between two turns the market or the
//! time goes on: a strategy cannot keep a replay from its end.
//!
//! Known limits: nothing is stored. Own orders do not move the recorded market.

mod bot;
mod curve;
mod plot;
mod report;
mod tally;
mod wire;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use veloz_core::engine::{Engine, Step};
use veloz_core::input::{Answer, Input, MarketBody, MarketData, Refusal};
use veloz_core::limits::{
    MAX_REPLAY_PAUSE_NS, SERVICE_MARKET_QUEUE_BATCHES, STRATEGY_LOOK_MS, STRATEGY_TURN_COMMANDS,
    STRATEGY_WRITE_BYTES,
};
use veloz_core::types::{Asset, EventId, Money, TsNs};

use crate::http::bodies::{ApiError, Outcome};
use crate::market::{self, SourceConfig, SourceMessage, SourceMonitor};
use crate::service::{ServiceError, Waiters, Wants, book_frame};
use bot::Bot;
use tally::Tally;
use wire::{End, Hello, Request, Said, Start, Turn};

pub use bot::BotError;
pub use plot::Picture;
pub use report::{Equity, Fall, Holdings, OpenOrder, Orders, Pair, Played, Report};

/// What a replay is made of.
pub struct ReplayParts {
    /// The engine, new.
    pub engine: Engine,
    /// The capture.
    pub source: SourceConfig,
    /// When it begins.
    pub start_ns: TsNs,
    /// What the account is measured in.
    pub quote: Asset,
}

/// How a replay is run.
pub struct ReplayOptions<'a> {
    /// The strategy: a program and its arguments.
    pub strategy: Vec<String>,
    /// What to measure the account in; without it the quote asset of the first symbol.
    pub quote: Option<Asset>,
    /// How long a turn of the strategy may take.
    pub timeout: Duration,
    /// Where every event goes, as NDJSON.
    pub events: Option<Box<dyn Write>>,
    /// Is told how far it is, now and then.
    pub progress: &'a mut dyn FnMut(&Progress),
}

/// How far a replay is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Lines of the capture read.
    pub lines: u64,
    /// Text of the capture read, in bytes.
    pub bytes: u64,
    /// The time of the data.
    pub ts_ns: TsNs,
    /// What the account is worth.
    pub equity: Money,
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The figures.
    pub report: Report,
    /// What its picture is made of.
    pub picture: Picture,
    /// What ended it before its time, or went wrong at its end.
    pub failure: Option<Failure>,
    /// How long it took.
    pub took: Duration,
}

/// Why a replay is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The strategy.
    #[error(transparent)]
    Strategy(BotError),
    /// The capture.
    #[error("{0}")]
    Capture(String),
    /// The events cannot be written.
    #[error("the events cannot be written: {0}")]
    Events(#[from] io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl From<BotError> for Failure {
    fn from(error: BotError) -> Failure {
        match error {
            BotError::Interrupted => Failure::Interrupted,
            error => Failure::Strategy(error),
        }
    }
}

/// Messages between two words of progress.
const PROGRESS_MESSAGES: u64 = 1_024;

/// Runs a strategy against a capture, until one of them ends. What was done until then is always told.
///
/// # Errors
/// When it cannot begin: the capture or the strategy cannot be started, or the strategy said no hello.
pub fn run(
    parts: ReplayParts,
    seed: u64,
    capture: String,
    options: ReplayOptions<'_>,
) -> Result<Replayed> {
    let began = Instant::now();
    let interrupted = stop_on_signals()?;
    // Names that the gateway gives to orders without one.
    fastrand::seed(seed);
    let ReplayParts { mut engine, source, start_ns, quote } = parts;
    let (market_out, market) = bounded(SERVICE_MARKET_QUEUE_BATCHES);
    let source = market::start(source, market_out, || ())?;
    let mut bot = Bot::start(&options.strategy, seed, options.timeout, Arc::clone(&interrupted))?;
    let hello = greet(&mut bot, &engine)?;
    let mut step = Step::default();
    engine.start(start_ns, &mut step);
    let tally = Tally::new(quote, engine.instruments());
    let mut replay = Replay {
        bot,
        timer: hello.every_ns.map(|every| start_ns.saturating_add(every)),
        books: vec![None; hello.books.len()],
        hello,
        out: Vec::new(),
        data: Vec::new(),
        step,
        clock: start_ns,
        tally,
        played: Played::default(),
        refused: std::collections::BTreeMap::new(),
        waiters: Waiters::default(),
        wakes: false,
        events: options.events,
        interrupted,
        monitor: source.monitor(),
        engine,
    };
    let mut failure =
        replay.begin(seed).and_then(|()| replay.play(&market, options.progress)).err();
    let complete = failure.is_none();
    let clock = replay.clock;
    let Replay { bot, engine, tally, played, refused, mut events, out, .. } = replay;
    let last_word = end(bot, out, clock, failure.as_ref());
    let flushed = events.as_mut().map_or(Ok(()), |events| events.flush());
    failure = failure.or(last_word.err()).or(flushed.err().map(Failure::Events));
    let report = Report {
        complete,
        problem: failure.as_ref().map(ToString::to_string),
        capture,
        seed,
        first_ts_ns: start_ns,
        last_ts_ns: clock,
        played,
        orders: Orders::of(&engine),
        refused,
        pairs: Pair::all(&tally),
        assets: Holdings::all(&tally),
        equity: Equity::of(&tally),
    };
    let picture = Picture::of(tally, &report);
    Ok(Replayed { report, picture, failure, took: began.elapsed() })
}

/// Whether a strategy may write that line, at some time.
///
/// # Errors
/// What is wrong with it, to be read behind the line.
pub fn check_line(line: &[u8]) -> Result<(), String> {
    wire::read_said(line).map(|_| ())
}

/// Waits for what the strategy wants to hear.
fn greet(bot: &mut Bot, engine: &Engine) -> Result<Hello> {
    bot.begin_turn();
    let hello = match bot.hear().context("the strategy's first line is its hello")? {
        Said::Hello(hello) => hello,
        _ => return Err(bot.complain("the first", "must be its hello".to_owned()).into()),
    };
    if let Some(symbol) = hello.unknown_symbol(engine.instruments()) {
        let problem = format!("names {symbol}, which is not traded here");
        return Err(bot.complain("its hello", problem).into());
    }
    Ok(hello)
}

/// Tells the strategy that it is over, and waits for its end. One that has failed is ended at once.
fn end(
    mut bot: Bot,
    mut out: Vec<u8>,
    ts_ns: TsNs,
    failure: Option<&Failure>,
) -> Result<(), Failure> {
    let reason = match failure {
        None => "finished",
        Some(Failure::Capture(_)) => "failed",
        Some(_) => return Ok(()),
    };
    wire::write_view(&mut out, "end", &End { ts_ns, reason });
    bot.write(&out)?;
    Ok(bot.finish()?)
}

/// SIGTERM, SIGINT and SIGHUP: the first ends the replay with its report, the second ends the program.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut signals = runtime.block_on(async { crate::gateway::Signals::listen() })?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&interrupted);
    let wait = move || {
        runtime.block_on(signals.next());
        told.store(true, Ordering::Relaxed);
        runtime.block_on(signals.again());
        std::process::exit(INTERRUPTED);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(interrupted)
}

/// The exit code of a program that a second Ctrl-C ends.
const INTERRUPTED: i32 = 130;

/// A replay that runs.
struct Replay {
    engine: Engine,
    bot: Bot,
    hello: Hello,
    /// When the strategy's timer has its next turn.
    timer: Option<TsNs>,
    /// The books that the strategy was shown last.
    books: Vec<Option<bytes::Bytes>>,
    /// What waits to be written to the strategy.
    out: Vec<u8>,
    /// Room for the JSON of an event.
    data: Vec<u8>,
    step: Step,
    clock: TsNs,
    tally: Tally,
    played: Played,
    refused: std::collections::BTreeMap<&'static str, u64>,
    /// Its commands whose outcome is not known yet.
    waiters: Waiters<Request>,
    /// Something happened that gives the strategy a turn.
    wakes: bool,
    events: Option<Box<dyn Write>>,
    interrupted: Arc<AtomicBool>,
    monitor: SourceMonitor,
}

/// The market.
impl Replay {
    /// Tells the strategy what there is.
    fn begin(&mut self, seed: u64) -> Result<(), Failure> {
        let start = Start {
            version: env!("CARGO_PKG_VERSION"),
            ts_ns: self.clock,
            seed,
            instruments: self.engine.instruments(),
        };
        wire::write_view(&mut self.out, "start", &start);
        // The account as it is at the start is no reason to act.
        self.tell_step()?;
        self.wakes = false;
        Ok(())
    }

    /// Plays the capture to its end.
    fn play(
        &mut self,
        market: &Receiver<SourceMessage>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), Failure> {
        loop {
            match market.recv_timeout(Duration::from_millis(STRATEGY_LOOK_MS)) {
                Ok(SourceMessage::Data(all)) => {
                    for data in all {
                        self.take(data)?;
                        if self.played.messages.is_multiple_of(PROGRESS_MESSAGES) {
                            progress(&self.progress());
                        }
                    }
                }
                Ok(SourceMessage::Fault { code, detail }) => self.fault(code, detail)?,
                Ok(SourceMessage::Failed { code, detail }) => {
                    self.fault(code, detail.clone())?;
                    return Err(Failure::Capture(detail));
                }
                Ok(SourceMessage::Finished) => return self.settle(),
                Err(RecvTimeoutError::Timeout) => self.check_interrupt()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Capture("its reader has ended".to_owned()));
                }
            }
        }
    }

    fn take(&mut self, data: MarketData) -> Result<(), Failure> {
        self.check_interrupt()?;
        self.played.messages += 1;
        if let MarketBody::Trade { ts_ns, .. } = data.body {
            self.pass_time(ts_ns)?;
        }
        // Market data is never refused.
        self.step(&Input::Market(data))?.ok();
        if self.wakes {
            return self.turn(false);
        }
        // Never in its turn: it need not read while it writes.
        if self.out.len() >= STRATEGY_WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Goes on to a time, through the turns of the timer and what arrives on the way. Of a long pause without
    /// a trade the first minute has turns of the timer, so that a clock that jumps cannot keep a replay for
    /// ever.
    fn pass_time(&mut self, to: TsNs) -> Result<(), Failure> {
        let pause = self.clock.saturating_add(MAX_REPLAY_PAUSE_NS);
        loop {
            let due = self.engine.due_ns().filter(|at| *at <= to);
            let timer = self.timer.filter(|at| *at < to);
            match (due, timer) {
                (Some(at), timer) if timer.is_none_or(|timer| at <= timer) => {
                    self.set_clock(at)?;
                    if self.wakes {
                        self.turn(false)?;
                    }
                }
                (_, Some(at)) if at <= pause => {
                    self.wind(at);
                    self.set_clock(at)?;
                    self.turn(true)?;
                }
                (_, Some(_)) => self.wind(to),
                (_, None) => return self.set_clock(to),
            }
        }
    }

    /// Sets the timer to its first time after `at`.
    fn wind(&mut self, at: TsNs) {
        let next = |due: TsNs, every: TsNs| {
            let periods = (at.saturating_sub(due) / every).saturating_add(1);
            due.saturating_add(periods.saturating_mul(every))
        };
        self.timer = self.timer.zip(self.hello.every_ns).map(|(due, every)| next(due, every));
    }

    /// What was to end or to arrive until now does, before anything else happens.
    fn set_clock(&mut self, to: TsNs) -> Result<(), Failure> {
        self.clock = self.clock.max(to);
        while self.engine.is_due(self.clock) {
            self.step(&Input::Tick)?.ok();
        }
        Ok(())
    }

    /// Behind the last message: what is on its way to the venue or back arrives.
    fn settle(&mut self) -> Result<(), Failure> {
        if self.played.messages == 0 {
            let of: Vec<_> = self.engine.instruments().iter().map(|i| i.symbol.as_str()).collect();
            let problem = format!("the capture holds no message of a market of {}", of.join(", "));
            return Err(Failure::Capture(problem));
        }
        while let Some(at) = self.engine.arrives_ns() {
            self.set_clock(at)?;
        }
        Ok(())
    }

    fn fault(&mut self, code: &'static str, detail: String) -> Result<(), Failure> {
        self.played.faults += 1;
        self.step(&Input::Fault { code: code.into(), detail: detail.into() })?.ok();
        Ok(())
    }

    fn check_interrupt(&self) -> Result<(), Failure> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(Failure::Interrupted),
            false => Ok(()),
        }
    }

    fn progress(&self) -> Progress {
        let status = self.monitor.status();
        let equity = self.tally.worth(|holding| holding.now, tally::Holding::last);
        Progress { lines: status.lines, bytes: status.bytes, ts_ns: self.clock, equity }
    }

    fn step(&mut self, input: &Input) -> Result<Result<Answer, Refusal>, Failure> {
        let answer = self.engine.step(self.clock, input, &mut self.step);
        self.tell_step()?;
        let mut answered = Vec::new();
        let mut tell = |request: Request, outcome| answered.push((request, outcome));
        self.waiters.hear(&self.step, self.engine.state(), &mut tell);
        for (request, outcome) in answered {
            self.answer(&request, outcome);
        }
        Ok(answer)
    }

    /// Counts what a step did, and tells whoever wants to hear it.
    fn tell_step(&mut self) -> Result<(), Failure> {
        let count = u64::try_from(self.step.events.len()).unwrap_or_default();
        let first: EventId = self.engine.state().last_event_id() + 1 - count;
        self.played.events += count;
        for (id, event) in (first..).zip(&self.step.events) {
            self.tally.see(self.clock, event);
            if let Some(events) = &mut self.events {
                let mut line = Vec::new();
                wire::write_event(&mut line, id, event, &mut self.data);
                events.write_all(&line)?;
            }
            if self.hello.hears(event) {
                wire::write_event(&mut self.out, id, event, &mut self.data);
                self.wakes |= self.hello.wake.has(event.kind());
            }
        }
        self.tally.settle(self.clock);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.bot.write(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

/// The strategy's turns.
impl Replay {
    fn turn(&mut self, timer: bool) -> Result<(), Failure> {
        self.played.turns += 1;
        self.wakes = false;
        let turn = self.played.turns;
        self.show_books();
        wire::write_view(&mut self.out, "turn", &Turn { turn, ts_ns: self.clock, timer });
        self.flush()?;
        self.bot.begin_turn();
        for _ in 0..=STRATEGY_TURN_COMMANDS {
            match self.bot.hear()? {
                Said::Done(done) if done == turn => return Ok(()),
                Said::Done(done) => {
                    let problem = format!("is not the end of turn {turn}");
                    let shown = format!("{{\"done\":{done}}}");
                    return Err(self.bot.complain(&shown, problem).into());
                }
                Said::Hello(_) => {
                    let problem = "has its place at the start only".to_owned();
                    return Err(self.bot.complain("a hello", problem).into());
                }
                Said::Command(request) => self.obey(request)?,
            }
        }
        Err(BotError::Commands(STRATEGY_TURN_COMMANDS).into())
    }

    /// The books that have changed since they were shown.
    fn show_books(&mut self) {
        for (symbol, shown) in self.hello.books.iter().zip(&mut self.books) {
            let now = book_frame(&self.engine, *symbol);
            if now != *shown
                && let Some(frame) = &now
            {
                wire::write_book(&mut self.out, frame);
            }
            *shown = now;
        }
    }

    fn obey(&mut self, request: Request) -> Result<(), Failure> {
        self.played.commands += 1;
        let input = match &request.command {
            Ok(command) => command.input(),
            Err(unread) => {
                let unread = unread.clone();
                self.tell_answer(&request, Err(unread));
                return Ok(());
            }
        };
        match self.step(&input)? {
            Ok(Answer::Pending(id)) => {
                self.waiters.wait(id, request, Wants::of(&input, self.engine.state()), self.clock);
            }
            Ok(Answer::CancelledAll(all)) if !all.is_empty() && self.engine.answers_later() => {
                self.waiters.wait_for_all(all, request, self.clock);
            }
            answer => self.answer(&request, answer.map_err(ServiceError::Refused)),
        }
        Ok(())
    }

    /// Answers a command whose outcome is known.
    fn answer(&mut self, request: &Request, outcome: Outcome) {
        let Ok(command) = &request.command else { return };
        let refused = command.is_refused(&outcome);
        let rules = refused.then(|| command.rules(&self.engine)).flatten();
        self.tell_answer(request, command.answer(outcome, rules.as_ref()));
    }

    fn tell_answer(&mut self, request: &Request, answer: Result<Vec<u8>, ApiError>) {
        if let Err(error) = &answer {
            *self.refused.entry(error.code()).or_default() += 1;
        }
        wire::write_answer(&mut self.out, request, &answer);
        self.wakes |= self.hello.wake_by_answer;
    }
}
