//! One life of the gateway: the real journal, engine, service and stream, put together as the program does,
//! without its threads and sockets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use fastrand::Rng;
use prometheus_client::registry::Registry;
use veloz::journal::{
    Batch, Durability, Journal, JournalConfig, JournalError, JournalReader, LogReader, Recovery,
    RetentionConfig, Upkeep,
};
use veloz::market::SourceMessage;
use veloz::restore::{self, StateFold};
use veloz::service::{
    self, Clock, Health, HealthBoard, Inbox, Parts, Phase, Service, ServiceError, ServiceHandle,
    ServiceMetrics,
};
use veloz::stream::request::StreamRequest;
use veloz::stream::{Connection, Done, Hub, Job, StreamConfig};
use veloz_core::engine::{Engine, EngineConfig, Step, Venue};
use veloz_core::input::{Answer, Input};
use veloz_core::instrument::Instrument;
use veloz_core::latency::Latency;
use veloz_core::state::State;
use veloz_core::types::TsNs;

use crate::disk::Disk;
use crate::market::SYMBOLS;
use crate::plant::Plant;
use crate::truth::Check;

/// How the gateway is set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) journal: JournalConfig,
    pub(crate) stream: StreamConfig,
    /// How far the venue is away.
    pub(crate) latency: Latency,
    pub(crate) plant: Plant,
}

impl Settings {
    pub(crate) fn syncs_first(&self) -> bool {
        self.journal.durability == Durability::Disk
    }
}

/// Settings that follow from a seed.
pub(crate) fn settings(rng: &mut Rng, plant: Plant) -> Settings {
    let seconds = |n| Duration::from_secs(n);
    let durability = if rng.bool() { Durability::Disk } else { Durability::Process };
    let retention = match rng.u8(0..4) {
        0 | 1 => RetentionConfig::default(),
        2 => RetentionConfig {
            bytes: rng.u64(8_000..60_000),
            market_age: seconds(rng.u64(5..60)),
            order_age: seconds(rng.u64(60..1000)),
        },
        _ => RetentionConfig {
            market_age: seconds(rng.u64(1..20)),
            order_age: seconds(rng.u64(10..60)),
            ..RetentionConfig::default()
        },
    };
    Settings {
        journal: JournalConfig {
            durability,
            segment_bytes: *rng.choice(&[2_000, 6_000, 20_000, 1 << 20]).expect("one"),
            retention,
            archive_from: *rng.choice(&[1, 4, 30, u64::MAX]).expect("one"),
        },
        stream: StreamConfig {
            keep_alive_ms: *rng.choice(&[40, 400, 10_000]).expect("one"),
            stall_ms: *rng.choice(&[1000, 60_000]).expect("one"),
            window_bytes: rng.usize(300..20_000),
            block_bytes: rng.usize(100..4_000),
            turn_bytes: rng.usize(100..20_000),
            ..StreamConfig::default()
        },
        latency: latency(rng),
        plant,
    }
}

/// In one world of three the venue is away.
fn latency(rng: &mut Rng) -> Latency {
    const MS: u64 = 1_000_000;
    if rng.u8(0..3) > 0 {
        return Latency::default();
    }
    let jitter_ns = if rng.bool() { 0 } else { rng.u64(0..100 * MS) };
    let (to_ns, from_ns) = (rng.u64(0..200 * MS), rng.u64(0..200 * MS));
    Latency { to_ns, from_ns, jitter_ns, seed: rng.u64(..) }
}

pub(crate) fn engine_config() -> EngineConfig {
    let instrument = |name: &&str| Instrument::for_symbol(name.parse().expect("a symbol"));
    let balances = [("USDT", "1000000"), ("BTC", "20"), ("ETH", "300")];
    let balances = balances
        .map(|(asset, money)| (asset.parse().expect("an asset"), money.parse().expect("money")));
    EngineConfig {
        instruments: SYMBOLS.iter().filter_map(instrument).collect(),
        balances: balances.to_vec(),
        venue: Venue::Simulated,
        ..EngineConfig::default()
    }
}

/// The bytes on their way to a client.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) bytes: VecDeque<u8>,
    /// What the way holds: more is not taken.
    pub(crate) room: usize,
    /// The client went away.
    pub(crate) gone: bool,
    /// The gateway ended it.
    pub(crate) ended: bool,
}

/// The gateway's end of a pipe.
#[derive(Debug)]
pub(crate) struct PipeEnd(pub(crate) Rc<RefCell<Pipe>>);

impl Read for PipeEnd {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        if self.0.borrow().gone { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

impl Write for PipeEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        if pipe.gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = pipe.room.saturating_sub(pipe.bytes.len()).min(bytes.len());
        pipe.bytes.extend(bytes.iter().take(taken));
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection for PipeEnd {
    fn end(&self, by_reset: bool) {
        let mut pipe = self.0.borrow_mut();
        pipe.ended = true;
        if by_reset {
            pipe.bytes.clear();
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.0.borrow_mut().ended = true;
    }
}

/// An order on its way: what comes of it.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result<Answer, ServiceError>>>>;

/// Whether it has come back by now.
pub(crate) fn poll(pending: &mut Pending) -> Option<Result<Answer, ServiceError>> {
    match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) handle: ServiceHandle,
    pub(crate) reader: Arc<JournalReader>,
    pub(crate) hub: Hub<PipeEnd>,
    pub(crate) upkeep: Upkeep,
    pub(crate) market_out: Sender<SourceMessage>,
    market: Receiver<SourceMessage>,
    service: Option<Service>,
    inbox: Option<Inbox>,
    /// Reads of the log that are under way.
    reads: Vec<Job>,
    log: Arc<dyn LogReader>,
    /// What a look at the engine, between two batches, found.
    found: Arc<Mutex<Check>>,
}

impl Gateway {
    /// Starts as the program does: recovers, replays, and writes what has to be in the log first.
    pub(crate) fn start(
        disk: &Disk,
        settings: &Settings,
        now: TsNs,
    ) -> Result<Gateway, StartError> {
        let (opened, upkeep) = Journal::open_without_threads(disk.storage(), settings.journal)?;
        let (mut journal, reader, recovery) = opened;
        let state = settings.plant.on_replay(&recovery, replay(&recovery)?);
        let mut engine =
            Engine::restore(EngineConfig { latency: settings.latency, ..engine_config() }, state);
        journal.fold_by(StateFold::new(&recovery));
        first_steps(&mut engine, &mut journal, now)?;
        let health = Arc::new(HealthBoard::default());
        let (handle, inbox) = service::channel(Arc::clone(&health));
        let log = settings.plant.log(Arc::<JournalReader>::clone(&reader));
        let hub = Hub::new(
            settings.stream.clone(),
            Arc::clone(&log),
            Arc::new(handle.clone()),
            Box::new(|| ()),
        );
        let (market_out, market) = crossbeam_channel::bounded(16);
        let service = Service::new(Parts {
            engine,
            journal,
            tail: hub.tail(),
            market: None,
            venue: None,
            awaits_books: None,
            first_commands: Vec::new(),
            clock: Clock::Wall,
            metrics: ServiceMetrics::register(&mut Registry::default()),
            health: settings.plant.health(health),
        });
        Ok(Gateway {
            handle,
            reader,
            hub,
            upkeep,
            market_out,
            market,
            service: Some(service),
            inbox: Some(inbox),
            reads: Vec::new(),
            log,
            found: Arc::new(Mutex::new(Ok(()))),
        })
    }

    /// Whether the service still takes anything.
    pub(crate) fn is_running(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.phase() == Phase::Running)
    }

    pub(crate) fn health(&self) -> Health {
        self.handle.health()
    }

    /// Sends an input: it is in the service's queue when this returns.
    pub(crate) fn submit(&self, input: Input) -> Pending {
        let handle = self.handle.clone();
        Box::pin(async move { handle.submit(input).await })
    }

    /// One turn of the service: what waits is stepped, stored, published and answered.
    pub(crate) fn serve(&mut self, now: TsNs) -> Check {
        self.look();
        if let (Some(service), Some(inbox)) = (&mut self.service, &self.inbox) {
            service.turn(inbox, &mut self.market, now);
        }
        if !self.is_running() {
            self.inbox = None;
        }
        std::mem::replace(&mut *self.found.lock().expect("not poisoned"), Ok(()))
    }

    /// Has the engine looked at when the next batch is stored.
    fn look(&self) {
        let (found, reader) = (Arc::clone(&self.found), Arc::clone(&self.reader));
        let look = move |engine: &Engine| {
            let (knows, newest) = (engine.state().last_event_id(), reader.bounds().newest);
            let result = engine.check_invariants().and_then(|()| {
                let same = knows == newest;
                let ids = || format!("the state is at event {knows}, the log at {newest}");
                same.then_some(()).ok_or_else(ids)
            });
            *found.lock().expect("not poisoned") = result;
        };
        // A full queue looks another time.
        let _ = self.handle.read_later(look);
    }

    /// The state as it is, if the service can be asked.
    pub(crate) fn state(&mut self, now: TsNs) -> Option<State> {
        let found = Arc::new(Mutex::new(None));
        let into = Arc::clone(&found);
        let look = move |engine: &Engine| {
            *into.lock().expect("not poisoned") = Some(engine.state().clone());
        };
        if let (Some(service), Some(inbox)) = (&mut self.service, &self.inbox) {
            while service.turn(inbox, &mut self.market, now) {}
            self.handle.read_later(look).ok()?;
            service.turn(inbox, &mut self.market, now);
        }
        found.lock().expect("not poisoned").take()
    }

    /// What the service does when nothing happens.
    pub(crate) fn look_after_itself(&mut self, now: TsNs) {
        if let Some(service) = &mut self.service {
            service.look_after_itself(now);
        }
    }

    /// One round of the stream. A read of the log that it wants is under way afterwards.
    pub(crate) fn stream(&mut self, now_ms: u64) {
        self.hub.set_now_ms(now_ms);
        self.hub.take_inbox();
        self.hub.take_turns();
        while let Some(job) = self.hub.next_read() {
            self.reads.push(job);
        }
        self.hub.ask_for_books();
        self.hub.sweep();
    }

    /// Carries out one of the reads under way.
    pub(crate) fn read(&mut self, pick: impl FnOnce(usize) -> usize) {
        if !self.reads.is_empty() {
            let job = self.reads.swap_remove(pick(self.reads.len()));
            let done: Done = job.run(&*self.log);
            self.hub.read_done(done);
        }
    }

    pub(crate) fn has_reads(&self) -> bool {
        !self.reads.is_empty()
    }

    pub(crate) fn attach(&mut self, pipe: &Rc<RefCell<Pipe>>, request: StreamRequest) -> usize {
        self.hub.attach(PipeEnd(Rc::clone(pipe)), request, Vec::new())
    }

    /// Ends in good order.
    pub(crate) fn stop(mut self, now: TsNs) {
        self.handle.close_intake();
        self.handle.stop();
        if let (Some(service), Some(inbox)) = (&mut self.service, &self.inbox) {
            while service.turn(inbox, &mut self.market, now) {}
        }
        let was_stopped = self.service.as_ref().is_some_and(|s| s.phase() == Phase::Stopping);
        if let Some(service) = self.service.take().filter(|_| was_stopped) {
            service.close();
        }
        while self.upkeep.work() {}
    }
}

/// What has to be in the log before anything else.
fn first_steps(engine: &mut Engine, journal: &mut Journal, now: TsNs) -> Result<(), JournalError> {
    let (mut step, mut facts, mut batch) = (Step::default(), Vec::new(), Batch::new());
    let mut first_id = engine.state().last_event_id() + 1;
    if first_id == 1 {
        engine.start(now, &mut step);
        first_id += u64::from(service::record(&step, first_id, &mut facts, &mut batch));
    }
    engine.begin_source("simulated", false, &mut step);
    service::record(&step, first_id, &mut facts, &mut batch);
    journal.append(&mut batch, now).map(drop)
}

/// The state that a log leads to, by the program's own way.
pub(crate) fn replay(recovery: &Recovery) -> Result<State, StartError> {
    restore::state(recovery).map_err(|error| StartError::Replay(format!("{error:#}")))
}

/// All of a state, wherever its orders lie.
pub(crate) fn as_json(state: &State) -> Result<String, String> {
    let all = state.with_all_in_memory();
    let json = serde_json::to_string(&all).map_err(|error| error.to_string())?;
    state.archive_failure().map_or(Ok(json), Err)
}

/// Why a start failed.
#[derive(Debug)]
pub(crate) enum StartError {
    Journal(JournalError),
    Replay(String),
}

impl From<JournalError> for StartError {
    fn from(error: JournalError) -> StartError {
        StartError::Journal(error)
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Journal(error) => error.fmt(f),
            StartError::Replay(error) => error.fmt(f),
        }
    }
}
