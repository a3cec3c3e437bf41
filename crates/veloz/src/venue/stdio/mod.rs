//! An external engine: a process that speaks the engine protocol over standard input and output.
//!
//! Contract: it is started at once, and started again when it ends, with a back-off that grows to
//! [`ENGINE_BACK_OFF_MAX_MS`] and is jittered. While it is not there nothing is taken; what was taken and
//! not written yet is told back as refused, since no engine has seen it. One that does not react for
//! [`ENGINE_STALL_MS`] is told as stalled, and as well again when it speaks.
//!
//! It runs in a process group of its own, so that a Ctrl-C ends the gateway first, and sees none of the
//! gateway's `VELOZ_` settings. At the end its input is closed; it has [`ENGINE_STOP_GRACE_MS`] to say
//! the rest before it is killed.

mod metrics;
mod session;

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use veloz_core::engine::VenueCommand;
use veloz_core::input::{ReportBody, VenueReport};
use veloz_core::limits::{
    ENGINE_BACK_OFF_MAX_MS, ENGINE_BACK_OFF_MS, ENGINE_LOOK_MS, ENGINE_STALL_MS,
    ENGINE_STOP_GRACE_MS, ENGINE_UP_MS, VENUE_QUEUE_COMMANDS,
};
use veloz_core::risk::Reason;

pub use metrics::EngineMetrics;

use super::{VenueMessage, VenueOrder, VenuePort, VenueState};
use crate::process::{self, Process};
use session::{Faults, Reader, Session};

/// The engine refused a command, or said what cannot be read.
const ENGINE_ERROR: &str = "engine_error";
/// The process has ended.
pub const ENGINE_EXITED: &str = "engine_exited";
/// It works, again.
pub const ENGINE_STARTED: &str = "engine_started";
/// It is there and does not react.
pub const ENGINE_STALLED: &str = "engine_stalled";

/// How to run an engine.
#[derive(Debug, Clone)]
pub struct StdioConfig {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether its prices are the market.
    pub is_market: bool,
}

/// A running engine. Dropping it ends it.
#[derive(Debug)]
pub struct StdioVenue {
    port: VenuePort,
    /// Dropped first on stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StdioVenue {
    /// Starts the engine; what it says goes into `out`, and `sent` is called each time it did.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(
        config: StdioConfig,
        out: Sender<VenueMessage>,
        sent: impl Fn() + Send + Sync + 'static,
        metrics: Arc<EngineMetrics>,
    ) -> io::Result<StdioVenue> {
        let (commands, orders) = bounded(VENUE_QUEUE_COMMANDS);
        let (stop, stopped) = bounded(0);
        let state = VenueState::default();
        state.set(Some("the engine is being started".to_owned()), None);
        let first = spawn(&config.command)?;
        let supervisor = Supervisor {
            config,
            out: Out { messages: out, sent: Arc::new(sent) },
            orders,
            stopped,
            state: state.clone(),
            metrics,
            again: false,
        };
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || supervisor.run(first))?;
        Ok(StdioVenue {
            port: VenuePort { commands, state },
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where commands go in.
    pub fn port(&self) -> VenuePort {
        self.port.clone()
    }
}

impl Drop for StdioVenue {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the engine's supervisor ended by a panic");
        }
    }
}

/// Where what an engine says goes: waits for room, so a flood holds up the engine and nobody else.
#[derive(Clone)]
struct Out {
    messages: Sender<VenueMessage>,
    sent: Arc<dyn Fn() + Send + Sync>,
}

impl Out {
    /// Whether somebody listens.
    fn send(&self, message: VenueMessage) -> bool {
        let heard = self.messages.send(message).is_ok();
        (self.sent)();
        heard
    }
}

fn spawn(command: &[String]) -> io::Result<Process> {
    Process::start(process::command(command)?.stderr(Stdio::piped()))
}

/// Why the supervision of one process has ended.
enum End {
    /// The process did, or its output.
    Exited(String),
    /// The gateway does.
    Stopped,
}

struct Supervisor {
    config: StdioConfig,
    out: Out,
    orders: Receiver<VenueOrder>,
    stopped: Receiver<()>,
    state: VenueState,
    metrics: Arc<EngineMetrics>,
    /// It has worked before.
    again: bool,
}

impl Supervisor {
    fn run(mut self, first: Process) {
        let mut next = Ok(first);
        let mut back_off = ENGINE_BACK_OFF_MS;
        loop {
            let lived = Instant::now();
            let detail = match next {
                Ok(process) => match self.watch(process) {
                    End::Stopped => return,
                    End::Exited(detail) => detail,
                },
                Err(error) => format!("{}: {error}", self.config.command.join(" ")),
            };
            if lived.elapsed() > Duration::from_millis(ENGINE_BACK_OFF_MAX_MS) {
                back_off = ENGINE_BACK_OFF_MS;
            }
            if !self.down(ENGINE_EXITED, detail) {
                return;
            }
            let wait = Duration::from_millis(back_off / 2 + fastrand::u64(0..=back_off / 2));
            back_off = (back_off * 2).min(ENGINE_BACK_OFF_MAX_MS);
            select! {
                recv(self.stopped) -> _ => return,
                default(wait) => {}
            }
            next = spawn(&self.config.command);
        }
    }

    /// The engine is not there; whether somebody listens.
    fn down(&self, code: &'static str, detail: String) -> bool {
        self.metrics.up.set(0);
        self.state.set(Some(detail.clone()), None);
        self.tell_back() && self.out.send(VenueMessage::Down { code, detail })
    }

    /// What no engine has seen was not taken.
    fn tell_back(&self) -> bool {
        self.orders.try_iter().all(|order| match order {
            VenueOrder::Command(VenueCommand::Place(order)) => {
                let reason = Reason::NotTaken.as_str().into();
                let body = ReportBody::Rejected { reason };
                let client_order_id = order.client_order_id;
                let report = VenueReport { client_order_id, venue_order_id: None, body };
                self.out.send(VenueMessage::Report(report))
            }
            VenueOrder::Command(_) | VenueOrder::List => true,
        })
    }

    /// One process, from its start to its end.
    fn watch(&mut self, mut process: Process) -> End {
        self.metrics.starts.inc();
        if !self.tell_back() {
            return End::Stopped;
        }
        let session = Arc::new(Session::new());
        let (signs, asked) = bounded(1);
        let (version, said_version) = bounded(1);
        let (closed, output_closed) = bounded(1);
        let (Some(input), Some(output), Some(errors)) = process.pipes() else {
            return End::Exited("it has no pipes".to_owned());
        };
        let orders = self.orders.clone();
        let writing = Arc::clone(&session);
        let writer = start_thread("engine-in", move || {
            session::write(&writing, &orders, &asked, input);
        });
        let reader = Reader {
            session: Arc::clone(&session),
            out: self.out.clone(),
            metrics: Arc::clone(&self.metrics),
            is_market: self.config.is_market,
            version,
            faults: Faults::new(),
        };
        let reader = start_thread("engine-out", move || {
            reader.run(output);
            // Dropped by now when nobody waits for it.
            let _ = closed.send(());
        });
        let log = start_thread("engine-log", move || session::log(errors));
        let (Ok(writer), Ok(_), Ok(_)) = (writer, reader, log) else {
            return End::Exited("its threads cannot be started".to_owned());
        };
        let watch = Watch { session: &session, signs, output_closed, said_version };
        let end = self.look(&process, &watch);
        let Watch { output_closed, signs, .. } = watch;
        // With it the writer ends, and closes the engine's input.
        drop(signs);
        if matches!(end, End::Stopped) {
            // An error is the end, too.
            let _ = output_closed.recv_timeout(Duration::from_millis(ENGINE_STOP_GRACE_MS));
        }
        let status = process.end(Duration::from_millis(ENGINE_LOOK_MS));
        let end = match end {
            End::Stopped => End::Stopped,
            End::Exited(detail) => {
                End::Exited(format!("the engine has ended ({detail}): {status}"))
            }
        };
        session.end();
        if writer.join().is_err() {
            tracing::error!("the engine's writer ended by a panic");
        }
        end
    }

    /// Looks at the process now and then, until it ends or is to end.
    fn look(&mut self, process: &Process, watch: &Watch<'_>) -> End {
        let (mut is_up, mut is_stalled, mut ended) = (false, false, None);
        let mut version = String::new();
        loop {
            select! {
                recv(self.stopped) -> _ => return End::Stopped,
                recv(watch.output_closed) -> _ => {
                    return End::Exited("it closed its output".to_owned());
                }
                recv(watch.said_version) -> said => {
                    // The reader's end: `output_closed` comes with it.
                    version = said.unwrap_or(version);
                }
                default(Duration::from_millis(ENGINE_LOOK_MS)) => {}
            }
            if process.has_ended() {
                // What it said last is read first; somebody else may hold its output open.
                let since = ended.get_or_insert_with(Instant::now).elapsed();
                if since > Duration::from_millis(ENGINE_UP_MS) {
                    return End::Exited("its output stays open".to_owned());
                }
                continue;
            }
            let old = watch.session.age() > Duration::from_millis(ENGINE_UP_MS);
            if !is_up && (watch.session.spoke() || old) {
                is_up = true;
                if !self.up(&version) {
                    return End::Stopped;
                }
            }
            let silent = watch.session.silent_for() > Duration::from_millis(ENGINE_STALL_MS);
            if is_up && silent != is_stalled {
                is_stalled = silent;
                if !self.stalled(silent, &version) {
                    return End::Stopped;
                }
            }
            if is_up && watch.session.wants_sign() {
                // Full: one is on its way.
                let _ = watch.signs.try_send(());
            }
        }
    }

    fn up(&mut self, version: &str) -> bool {
        self.metrics.up.set(1);
        self.state.set(None, None);
        let detail = if version.is_empty() {
            "the engine works".to_owned()
        } else {
            format!("the engine works: version {version}")
        };
        let again = std::mem::replace(&mut self.again, true);
        self.out.send(VenueMessage::Up { detail, again })
    }

    fn stalled(&mut self, is_stalled: bool, version: &str) -> bool {
        if !is_stalled {
            return self.up(version);
        }
        let seconds = ENGINE_STALL_MS / 1_000;
        let detail = format!("the engine has not reacted for {seconds} s");
        self.metrics.up.set(0);
        self.state.set(None, Some(detail.clone()));
        self.out.send(VenueMessage::Down { code: ENGINE_STALLED, detail })
    }
}

/// What the supervisor hears of a process.
struct Watch<'a> {
    session: &'a Session,
    signs: Sender<()>,
    output_closed: Receiver<()>,
    said_version: Receiver<String>,
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}
