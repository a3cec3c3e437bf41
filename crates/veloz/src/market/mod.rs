//! Market sources: where the engine hears of the market.
//!
//! Contract: [`start`] gives a source its own thread. It sends batches of at most
//! [`MARKET_BATCH_MESSAGES`] messages, in the source's order, into the channel it was given, and waits
//! when that is full. What cannot be read is told and left out, and the source goes on; its last word is
//! [`SourceMessage::Finished`] or [`SourceMessage::Failed`]. A channel that closes without either: the
//! source was stopped.
//!
//! Dropping the [`MarketSource`] stops the thread at once, whatever it waits for, and joins it.

pub mod capture;
mod catch_up;
mod exchange;
mod lines;
mod pace;
pub mod replay;
pub mod sim;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use veloz_core::input::MarketData;
use veloz_core::limits::MARKET_BATCH_MESSAGES;

pub use exchange::read_exchange_info;
pub use replay::{
    ControlError, ReplayConfig, ReplayControl, ReplaySpeed, Stepped, capture_symbols,
};
pub use sim::{SimConfig, SimSymbol};

/// The code of everything that a source tells of itself.
pub const MARKET_SOURCE_ERROR: &str = "market_source_error";

/// What a source says.
#[derive(Debug)]
pub enum SourceMessage {
    /// Market data, in order.
    Data(Vec<MarketData>),
    /// Something could not be read and was left out; the source goes on.
    Fault {
        /// The stable code.
        code: &'static str,
        /// Where and why, for a person.
        detail: String,
    },
    /// All was said.
    Finished,
    /// The source cannot go on.
    Failed {
        /// The stable code.
        code: &'static str,
        /// Why, for a person.
        detail: String,
    },
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// It says, or will say, more. A paused replay too.
    Running,
    /// It said all.
    Finished,
    /// It could not go on.
    Failed,
}

impl SourceState {
    const ALL: [SourceState; 3] =
        [SourceState::Running, SourceState::Finished, SourceState::Failed];

    /// The name on the wire (`market_source_state`).
    pub const fn as_str(self) -> &'static str {
        match self {
            SourceState::Running => "running",
            SourceState::Finished => "finished",
            SourceState::Failed => "failed",
        }
    }

    const fn code(self) -> u8 {
        match self {
            SourceState::Running => 0,
            SourceState::Finished => 1,
            SourceState::Failed => 2,
        }
    }
}

/// How far a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceStatus {
    /// What it is doing.
    pub state: SourceState,
    /// Messages sent.
    pub messages: u64,
    /// A replay: lines read.
    pub lines: u64,
    /// A replay: text read, in bytes.
    pub bytes: u64,
    /// A replay: lines that could not be read.
    pub bad_lines: u64,
}

/// Reads a source's status from any thread.
#[derive(Debug, Clone, Default)]
pub struct SourceMonitor {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    messages: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    bad_lines: AtomicU64,
}

impl SourceMonitor {
    /// The status now.
    pub fn status(&self) -> SourceStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let code = self.shared.state.load(Ordering::Acquire);
        SourceStatus {
            state: SourceState::ALL
                .into_iter()
                .find(|state| state.code() == code)
                .unwrap_or(SourceState::Failed),
            messages: read(&self.shared.messages),
            lines: read(&self.shared.lines),
            bytes: read(&self.shared.bytes),
            bad_lines: read(&self.shared.bad_lines),
        }
    }

    /// Before the last word is sent, so that whoever has heard it reads the same here.
    fn end(&self, well: bool) {
        self.set_state(if well { SourceState::Finished } else { SourceState::Failed });
    }

    fn progress(&self, player: &replay::Player) {
        self.shared.lines.store(player.position(), Ordering::Relaxed);
        self.shared.bytes.store(player.bytes(), Ordering::Relaxed);
        self.shared.bad_lines.store(player.bad_lines(), Ordering::Relaxed);
    }

    fn set_state(&self, state: SourceState) {
        self.shared.state.store(state.code(), Ordering::Release);
    }
}

/// Why a source cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The capture.
    #[error("cannot read the capture {path}: {source}")]
    Capture {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread.
    #[error("cannot start the market source's thread: {0}")]
    Thread(#[source] io::Error),
}

/// Which source, and how.
#[derive(Debug, Clone)]
pub enum SourceConfig {
    /// The seeded generator.
    Sim(SimConfig),
    /// A recorded capture.
    Replay(ReplayConfig),
}

/// A running source. Dropping it stops it.
#[derive(Debug)]
pub struct MarketSource {
    monitor: SourceMonitor,
    replay: Option<ReplayControl>,
    /// Dropped first on stop: the thread sees it whatever it waits for.
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl MarketSource {
    /// For `/api/config` and the metrics.
    pub fn monitor(&self) -> SourceMonitor {
        self.monitor.clone()
    }

    /// Runs, pauses and steps a replay; `None` for other sources.
    pub fn replay(&self) -> Option<ReplayControl> {
        self.replay.clone()
    }
}

impl Drop for MarketSource {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.monitor.set_state(SourceState::Failed);
        }
    }
}

/// Starts a source that sends into `out`, and calls `sent` each time it did: for a reader that cannot wait
/// on a channel.
///
/// # Errors
/// When the capture cannot be opened, or there is no thread to be had.
pub fn start(
    config: SourceConfig,
    out: Sender<SourceMessage>,
    sent: impl Fn() + Send + 'static,
) -> Result<MarketSource, SourceError> {
    let (stop, stopped) = bounded(0);
    let monitor = SourceMonitor::default();
    let link =
        Link { out, sent: Box::new(sent), stopped, monitor: monitor.clone(), batch: Vec::new() };
    let builder = std::thread::Builder::new().name("market".to_owned());
    let (thread, replay) = match config {
        SourceConfig::Sim(config) => (builder.spawn(move || sim::run(&config, link)), None),
        SourceConfig::Replay(config) => {
            let player = replay::Player::open(&config)?;
            let (control, controls) = replay::control();
            let run = move || replay::run(player, config.paused, &controls, link);
            (builder.spawn(run), Some(control))
        }
    };
    let thread = Some(thread.map_err(SourceError::Thread)?);
    Ok(MarketSource { monitor, replay, stop: Some(stop), thread })
}

/// The source was told to stop, or nobody listens to it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stopped;

/// A source's end of the channel.
struct Link {
    out: Sender<SourceMessage>,
    sent: Box<dyn Fn() + Send>,
    stopped: Receiver<Infallible>,
    monitor: SourceMonitor,
    batch: Vec<MarketData>,
}

impl Link {
    /// Sends, waiting for room.
    fn send(&self, message: SourceMessage) -> Result<(), Stopped> {
        select! {
            recv(self.stopped) -> _ => return Err(Stopped),
            send(self.out, message) -> sent => sent.map_err(|_| Stopped)?,
        }
        (self.sent)();
        Ok(())
    }

    /// Sends what was collected, if there is anything.
    fn flush(&mut self) -> Result<(), Stopped> {
        while !self.batch.is_empty() {
            let at_once = self.batch.len().min(MARKET_BATCH_MESSAGES);
            let mut rest = Vec::with_capacity(MARKET_BATCH_MESSAGES);
            rest.extend(self.batch.drain(at_once..));
            let messages = u64::try_from(at_once).unwrap_or_default();
            let batch = std::mem::replace(&mut self.batch, rest);
            self.send(SourceMessage::Data(batch))?;
            self.monitor.shared.messages.fetch_add(messages, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits, unless it is stopped meanwhile.
    fn sleep_until(&self, deadline: Instant) -> Result<(), Stopped> {
        select! {
            recv(self.stopped) -> _ => Err(Stopped),
            default(deadline.saturating_duration_since(Instant::now())) => Ok(()),
        }
    }

    /// Tells what was left out.
    fn fault(&self, detail: String) -> Result<(), Stopped> {
        self.send(SourceMessage::Fault { code: MARKET_SOURCE_ERROR, detail })
    }

    /// Tells how it ended.
    fn last_word(&self, outcome: Result<(), String>) -> Result<(), Stopped> {
        self.send(match outcome {
            Ok(()) => SourceMessage::Finished,
            Err(detail) => SourceMessage::Failed { code: MARKET_SOURCE_ERROR, detail },
        })
    }
}
