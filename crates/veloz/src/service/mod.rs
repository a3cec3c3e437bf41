//! The one owner of the engine and the journal's writer: a state machine, and the task that runs it.
//!
//! Contract, in this order for every batch: inputs are stepped in the order they came (commands before
//! market data), all their records are appended with one write (and one sync when durability is
//! `disk`), then the frames are published, then the requests are answered and reads of the state run.
//! So nobody sees what is not stored, and a read sees exactly what is published.
//!
//! A failed append poisons the service: nothing more is stepped, stored, published or answered as
//! accepted; [`ServiceHandle::health`] tells why. Before it comes to that, `room` refuses what need not be.
//!
//! [`Service`] waits for nothing and is told the time, so that a test can run it step by step; `driver`
//! is the task that gives it what came.

mod clock;
mod driver;
mod handle;
mod health;
mod metrics;
mod room;
mod venue;
mod views;
mod waiters;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, TryRecvError, never};
use tokio::sync::oneshot;
use veloz_core::engine::{Engine, Step, VenueCommand};
use veloz_core::event::{ErrorEvent, Event};
use veloz_core::input::{Answer, Input, Refusal};
use veloz_core::limits::{
    SERVICE_BATCH_BYTES, SERVICE_BATCH_INPUTS, SERVICE_IDLE_MS, SERVICE_RETENTION_INTERVAL_MS,
};
use veloz_core::state::facts_to_json;
use veloz_core::types::{EventId, TsNs};

use crate::frame::write_frame;
use crate::journal::{Batch, Journal, JournalError};
use crate::market::SourceMessage;
use crate::stream::Tail;
use crate::venue::{VenueMessage, VenuePort};

pub use clock::Clock;
use clock::RecordTime;
pub(crate) use clock::SteadyClock;
pub use driver::start;
pub use handle::{Inbox, Reply, ServiceError, ServiceHandle, channel};
use health::ARCHIVE_UNREADABLE;
pub use health::{Health, HealthBoard, Problem, WatchedLog};
pub use metrics::ServiceMetrics;

pub(crate) use handle::{Look, Message};
use room::ToldRoom;
use venue::{ExternalVenue, STARTING};
pub(crate) use views::book_frame;
pub(crate) use waiters::{Waiters, Wants};

/// The code of what cannot be mended while the program runs.
const JOURNAL_FAILED: &str = "journal_failed";
/// The log grows, and starts take longer, but nothing is lost.
const UPKEEP_FAILED: &str = "journal_upkeep_failed";

/// What the service is made of.
pub struct Parts {
    /// The engine, restored.
    pub engine: Engine,
    /// The journal, recovered.
    pub journal: Journal,
    /// Where published frames go.
    pub tail: Tail,
    /// Market data; `None` without a source.
    pub market: Option<Receiver<SourceMessage>>,
    /// Told once every book is known, by a source that begins with them: until then nothing that is on its way arrives
    /// at a venue.
    pub awaits_books: Option<oneshot::Sender<()>>,
    /// Where orders go, and where what became of them comes from; `None` is the built-in venue.
    pub venue: Option<(VenuePort, Receiver<VenueMessage>)>,
    /// What an external venue is to be told before anything else.
    pub first_commands: Vec<VenueCommand>,
    /// What time it is.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<ServiceMetrics>,
    /// Where trouble is told.
    pub health: Arc<HealthBoard>,
}

/// The state machine. Each call is told the time, in nanoseconds since the Unix epoch, which never goes back.
pub struct Service {
    engine: Engine,
    journal: Journal,
    tail: Tail,
    clock: Clock,
    venue: Option<ExternalVenue>,
    waiters: Waiters<Reply>,
    /// The books of this run's market are not known yet, and will be.
    awaits_books: Option<oneshot::Sender<()>>,
    record: RecordTime,
    /// A replay's clock stands: its source has nothing more to say.
    clock_stands: bool,
    /// How far the time that it is told is ahead of the machine's.
    ahead_ns: TsNs,
    health: Arc<HealthBoard>,
    metrics: Arc<ServiceMetrics>,
    // Buffers of the batch, kept for their capacity.
    step: Step,
    batch: Batch,
    facts: Vec<u8>,
    messages: Vec<Message>,
    /// First id and count of the batch's events.
    unpublished: Option<(EventId, u64)>,
    /// When the batch's first input was taken.
    begun: Option<Instant>,
    /// What waits for the batch to be stored.
    after: Vec<After>,
    phase: Phase,
    /// Idle looks until the next one at what retention takes.
    retention_in: u64,
    /// What was told last of the room to store.
    told_room: ToldRoom,
}

/// How far the service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// At work.
    Running,
    /// Told to stop: what came before is stored and answered.
    Stopping,
    /// The journal failed: nothing is stored any more.
    Poisoned,
}

/// Something that runs once the batch is stored and published.
enum After {
    Answer(Reply, Result<Answer, ServiceError>),
    Read(Look),
}

impl Service {
    /// A service at work. The market data in `parts` is the driver's to hand over.
    pub fn new(parts: Parts) -> Service {
        let Parts { engine, journal, tail, venue, first_commands, clock, metrics, health, .. } =
            parts;
        let awaits_books = parts.awaits_books;
        let venue = venue.map(|(port, reports)| {
            health.raise(STARTING, "the venue has not said yet that it works".to_owned());
            ExternalVenue::new(port, reports, first_commands)
        });
        Service {
            engine,
            journal,
            tail,
            clock,
            venue,
            waiters: Waiters::default(),
            awaits_books,
            record: RecordTime::default(),
            clock_stands: false,
            ahead_ns: 0,
            health,
            metrics,
            step: Step::default(),
            batch: Batch::new(),
            facts: Vec::new(),
            messages: Vec::new(),
            unpublished: None,
            begun: None,
            after: Vec::new(),
            phase: Phase::Running,
            retention_in: 0,
            told_room: ToldRoom::default(),
        }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Tells how far the time that it is told is ahead of the machine's: what is stored is dated by that.
    pub fn set_ahead(&mut self, ahead_ns: TsNs) {
        self.ahead_ns = ahead_ns;
    }

    /// One turn: takes what waits, up to a bound, and stores, publishes and answers it. Whether more
    /// waits.
    pub fn turn(&mut self, inbox: &Inbox, market: &mut Receiver<SourceMessage>, now: TsNs) -> bool {
        let mut messages = std::mem::take(&mut self.messages);
        let more_waits = inbox.take(&mut messages, SERVICE_BATCH_INPUTS);
        if messages.len() > 1 {
            self.engine.look_ahead(messages.iter().filter_map(Message::input));
        }
        for message in messages.drain(..) {
            if matches!(message, Message::Settle(_)) && self.takes_market() {
                for message in market.try_iter().take(market.len()) {
                    self.take_market(message, now);
                }
            }
            self.take(message, now);
            if self.batch_is_full() {
                self.finish_batch(now);
            }
        }
        self.messages = messages;
        let reports_wait = self.take_venue_messages(now);
        if self.takes_market() {
            match market.try_recv() {
                Ok(message) => self.take_market(message, now),
                Err(TryRecvError::Empty) => {}
                // The source's thread has ended, and all that it told was taken.
                Err(TryRecvError::Disconnected) => *market = never(),
            }
        }
        if self.engine.due_ns().is_some()
            && let Err(refusal) = self.expire(now)
        {
            tracing::error!(%refusal, "a tick was refused");
        }
        self.finish_batch(now);
        more_waits || reports_wait || (self.takes_market() && !market.is_empty())
    }

    /// Whether the batch is large enough to be stored before more is taken.
    fn batch_is_full(&self) -> bool {
        self.batch.size_bytes() >= SERVICE_BATCH_BYTES
    }

    /// Takes a message into the batch.
    fn take(&mut self, message: Message, now: TsNs) {
        match message {
            Message::Submit { reply, .. } if self.phase != Phase::Running => {
                // Whoever asked may have gone.
                let _ = reply.send(Err(ServiceError::ShuttingDown));
            }
            Message::Submit { input, reply } => {
                let may_go = self.check_room(&input).and_then(|()| self.check_venue(&input));
                if let Err(refusal) = may_go {
                    // With the batch: it may rest on an order that cannot be read.
                    self.after.push(After::Answer(reply, Err(refusal)));
                    return;
                }
                self.submit(&input, reply, now);
            }
            // The driver hands over the market data that waits before it.
            Message::Read(read) | Message::Settle(read) => self.after.push(After::Read(read)),
            Message::Stop => {
                self.phase = Phase::Stopping;
                self.waiters.leave();
            }
        }
    }

    /// Takes what a market source said into the batch.
    fn take_market(&mut self, message: SourceMessage, now: TsNs) {
        match message {
            SourceMessage::Data(all) => {
                for data in all {
                    let told = self.engine.state().last_position();
                    self.record.hear(&mut self.clock, &data, told);
                    if let Err(refusal) = self.step(&Input::Market(data), now) {
                        tracing::warn!(%refusal, "market data refused");
                    }
                }
                if let Some(told) = self.awaits_books.take_if(|_| self.engine.knows_books()) {
                    // Whoever waited may have given up.
                    let _ = told.send(());
                }
            }
            SourceMessage::Fault { code, detail } | SourceMessage::Failed { code, detail } => {
                tracing::warn!(code, detail, "market source");
                let fault = Input::Fault { code: code.into(), detail: detail.into() };
                if let Err(refusal) = self.step(&fault, now) {
                    tracing::error!(%refusal, "a fault was refused");
                }
            }
            SourceMessage::Finished => {
                tracing::info!("the market source has finished");
                self.clock_stands = true;
            }
        }
    }

    /// Steps one input; what stood until now has expired before.
    fn step(&mut self, input: &Input, wall: TsNs) -> Result<Answer, Refusal> {
        self.expire(wall)?;
        self.step_at(self.now(wall), input)
    }

    /// Ends what stood until now, and lets arrive what was on its way, each at its own time.
    fn expire(&mut self, wall: TsNs) -> Result<(), Refusal> {
        while self.phase == Phase::Running && self.lets_arrive() {
            let Some(at) = self.next_due(wall) else { break };
            self.step_at(at, &Input::Tick)?;
            if self.batch_is_full() {
                self.finish_batch(wall);
            }
        }
        let now = self.now(wall);
        // Without room time stands still here, as the market does: nothing is filled that has expired.
        if self.engine.is_due(now) && self.takes_market() && self.awaits_books.is_none() {
            self.step_at(now, &Input::Tick)?;
        }
        Ok(())
    }

    /// When something on the way to the venue or back was to happen by now. After the end of a replay its
    /// clock goes on by that alone.
    fn next_due(&mut self, wall: TsNs) -> Option<TsNs> {
        let now = self.now(wall);
        if let Some(at) = self.engine.due_ns().filter(|at| *at <= now) {
            return Some(at);
        }
        match &mut self.clock {
            Clock::Replay(clock) if self.clock_stands => {
                let at = self.engine.arrives_ns()?;
                *clock = at.max(*clock);
                Some(at)
            }
            _ => None,
        }
    }

    /// How long until something is due that no message brings.
    fn due_in(&self, wall: TsNs) -> Option<Duration> {
        let passes = self.clock == Clock::Wall && self.lets_arrive();
        let at = self.engine.due_ns().filter(|_| passes)?;
        Some(Duration::from_nanos(u64::try_from(at.saturating_sub(wall)).unwrap_or_default()))
    }

    /// Steps one input and puts what came of it into the batch.
    fn step_at(&mut self, now: TsNs, input: &Input) -> Result<Answer, Refusal> {
        self.begun.get_or_insert_with(Instant::now);
        let first_id = self.engine.state().last_event_id() + 1;
        let answer = self.engine.step(now, input, &mut self.step);
        self.metrics.inputs.inc();
        let answer = answer?;
        let mut tell = |reply, answer| self.after.push(After::Answer(reply, answer));
        self.waiters.hear(&self.step, self.engine.state(), &mut tell);
        self.note_commands(now);
        let events = record(&self.step, first_id, &mut self.facts, &mut self.batch);
        if events > 0 {
            self.unpublished.get_or_insert((first_id, 0)).1 += u64::from(events);
        }
        Ok(answer)
    }

    /// Stores the batch, then shows it, then answers.
    fn finish_batch(&mut self, now: TsNs) {
        self.finish_steps(now);
        // What the venue could not be told is a step of its own.
        if self.phase != Phase::Poisoned && self.tell_venue(now) {
            self.finish_steps(now);
        }
    }

    fn finish_steps(&mut self, now: TsNs) {
        if let Some(begun) = self.begun.take() {
            self.metrics.decide_time.observe(begun.elapsed());
        }
        // What was decided without an order that could not be read is nothing.
        if let Some(failure) = self.engine.state().archive_failure() {
            return self.poison(failure, now);
        }
        if !self.batch.is_empty() {
            match self.store(now) {
                Ok(()) => self.publish(),
                Err(error) => return self.poison(error.to_string(), now),
            }
        }
        for after in self.after.drain(..) {
            match after {
                // Whoever asked may have gone.
                After::Answer(reply, result) => {
                    let _ = reply.send(result);
                }
                After::Read(read) => {
                    read(&self.engine);
                    forgive_look(&self.engine, &self.health);
                }
            }
        }
    }

    fn store(&mut self, now: TsNs) -> Result<(), JournalError> {
        let start = Instant::now();
        self.journal.append(&mut self.batch, now.saturating_sub(self.ahead_ns))?;
        self.metrics.append_time.observe(start.elapsed());
        Ok(())
    }

    fn publish(&mut self) {
        if let Some((first_id, count)) = self.unpublished.take() {
            self.metrics.events.inc_by(count);
            if !self.tail.pass_over(first_id + count) {
                // Exactly as large as it must be: it is kept as long as somebody may read it.
                let size = self.batch.frames().map(<[u8]>::len).sum();
                let mut frames = Vec::with_capacity(size);
                self.batch.frames().for_each(|step| frames.extend_from_slice(step));
                self.tail.publish(frames.into(), first_id, count);
            }
        }
        self.batch.clear();
    }

    /// Nothing that was not stored may be seen: every answer and read of the batch fails, and the
    /// service takes no more. Whoever follows the stream is shown what cannot be stored any more.
    fn poison(&mut self, why: String, now: TsNs) {
        tracing::error!(why, "the journal failed: nothing more is accepted");
        for after in self.after.drain(..) {
            if let After::Answer(reply, _) = after {
                let _ = reply.send(Err(ServiceError::Unavailable(why.clone())));
            }
        }
        self.health.raise(JOURNAL_FAILED, why.clone());
        let mut data = Vec::new();
        let (message, detail) = (JOURNAL_FAILED.into(), Some(why.into()));
        Event::Error(ErrorEvent { ts_ns: now, message, detail }).encode(&mut data);
        self.tail.announce(data.into());
        self.phase = Phase::Poisoned;
    }

    /// What is due without anybody's asking; to be called every [`SERVICE_IDLE_MS`].
    pub fn look_after_itself(&mut self, now: TsNs) {
        self.look_after_the_journal(now);
        if self.phase == Phase::Running
            && let Err(refusal) = self.expire(now)
        {
            tracing::error!(%refusal, "a tick was refused");
        }
        if self.phase == Phase::Running {
            self.look_after_waiters(now);
        }
    }

    /// A sync in the background can fail too; retention runs there.
    fn look_after_the_journal(&mut self, now: TsNs) {
        let wall = now.saturating_sub(self.ahead_ns);
        if let Some(failure) = self.journal.failure() {
            return self.poison(failure, now);
        }
        for done in self.journal.take_archived() {
            self.engine.forget_archived(&done);
        }
        match self.journal.upkeep_failure() {
            Some(failure) => self.health.warn(UPKEEP_FAILED, failure),
            None => self.health.clear(UPKEEP_FAILED),
        }
        self.keep_room_to_end_orders(0);
        if let Err(error) = self.journal.look_after(wall) {
            return self.poison(error.to_string(), now);
        }
        self.tell_room(now);
        if let Some(left) = self.retention_in.checked_sub(1) {
            self.retention_in = left;
        } else {
            self.journal.tend(wall);
            self.retention_in = SERVICE_RETENTION_INTERVAL_MS / SERVICE_IDLE_MS;
        }
    }

    /// Brings all to the disk, and writes a snapshot for a quick start. Waits for the disk.
    pub fn close(mut self) {
        // What an external venue said last.
        let mut more_waits = true;
        while more_waits && self.phase == Phase::Stopping {
            let now = self.now(wall_ns());
            more_waits = self.take_venue_messages(now);
            self.finish_batch(now);
        }
        self.forget_room();
        // What it takes to end the orders that stand is kept for the next start.
        self.keep_room_to_end_orders(0);
        if let Err(error) = self.journal.sync() {
            tracing::error!(%error, "the last sync failed");
        }
        if !self.journal.snapshot().is_ok_and(|taken| taken) {
            tracing::warn!("no last snapshot: the next start takes longer");
        }
    }

    fn now(&self, wall: TsNs) -> TsNs {
        match self.clock {
            Clock::Wall => wall,
            Clock::Replay(now) => now,
        }
    }
}

/// A look changes nothing, and who looked was told what could not be read: trading goes on. A step that needs the same
/// order reads it again, and stops the service.
fn forgive_look(engine: &Engine, health: &HealthBoard) {
    if let Some(failure) = engine.state().take_archive_failure() {
        tracing::error!(failure, "a closed order cannot be shown");
        health.raise(ARCHIVE_UNREADABLE, failure);
    }
}

/// Puts a step into a batch; gives back how many events it has.
pub fn record(step: &Step, first_id: EventId, facts: &mut Vec<u8>, batch: &mut Batch) -> u32 {
    if step.is_empty() {
        return 0;
    }
    facts.clear();
    if let Err(error) = facts_to_json(&step.facts, facts) {
        // Facts hold numbers and text: there is nothing that JSON refuses.
        tracing::error!(%error, "facts cannot be written as JSON");
    }
    let events = u32::try_from(step.events.len()).unwrap_or(u32::MAX);
    batch.step(first_id, events, facts, |out| {
        for (id, event) in (first_id..).zip(&step.events) {
            write_frame(out, id, event);
        }
    });
    events
}

/// Nanoseconds since the Unix epoch; a clock before it is taken for it.
pub(crate) fn wall_ns() -> TsNs {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| TsNs::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::engine::EngineConfig;
    use veloz_core::input::{MarketBody, MarketData, NewOrder};
    use veloz_core::instrument::Instrument;
    use veloz_core::limits::{JOURNAL_RECORD_MAX_BYTES, OPEN_ORDERS_COUNT};
    use veloz_core::order::{OrderType, TimeInForce};
    use veloz_core::types::{Asset, ClientOrderId, Money, Price, Qty, Side, Symbol};

    /// Bytes of the record of a step that fills all the open orders there can be, as few of them show.
    fn record_bytes(order_type: OrderType) -> usize {
        const ORDERS: usize = 500;
        let name = format!("{}USDT", "W".repeat(Asset::MAX_BYTES));
        let symbol = Symbol::parse(&name).unwrap();
        let (price, qty) =
            (Price::parse("98765.43210987").unwrap(), Qty::parse("0.12345678").unwrap());
        let money = Money::parse("99999999999").unwrap();
        let mut engine = Engine::new(EngineConfig {
            balances: vec![(Asset::parse("USDT").unwrap(), money)],
            instruments: vec![Instrument::for_symbol(symbol).unwrap()],
            ..EngineConfig::default()
        });
        let mut step = Step::default();
        let now = wall_ns();
        engine.start(now, &mut step);
        for number in 0..ORDERS {
            let id = ClientOrderId::parse(&format!("{number:036}")).unwrap();
            let order = NewOrder {
                order_type,
                time_in_force: TimeInForce::Gtd,
                expire_ts_ns: Some(TsNs::MAX),
                stop_price: order_type.has_stop().then_some(price),
                ..NewOrder::limit(id, symbol, Side::Buy, qty, price)
            };
            engine.step(now, &Input::NewOrder(order), &mut step).unwrap();
        }
        let trade = MarketBody::Trade { ts_ns: now, price, qty, side: Side::Buy, trade_id: 1 };
        let offer = MarketBody::Snapshot {
            last_id: 1,
            bids: Vec::new(),
            asks: vec![(Price::parse("98765").unwrap(), Qty::parse("100000").unwrap())],
        };
        let bodies = if order_type.has_stop() { vec![offer, trade] } else { vec![offer] };
        for body in bodies {
            let data = MarketData { symbol, position: Some(u64::MAX), body };
            engine.step(now, &Input::Market(data), &mut step).unwrap();
        }
        assert_eq!(engine.state().open_order_count(), 0);
        assert!(step.events.len() > 3 * ORDERS);
        let mut batch = Batch::new();
        record(&step, u64::MAX / 2, &mut Vec::new(), &mut batch);
        batch.size_bytes().div_ceil(ORDERS) * OPEN_ORDERS_COUNT
    }

    /// What fills or takes back every open order must not poison the journal.
    #[test]
    fn a_step_that_closes_every_open_order_fits_into_a_record() {
        for order_type in [OrderType::Limit, OrderType::StopLossLimit] {
            let bytes = record_bytes(order_type);
            assert!(bytes <= JOURNAL_RECORD_MAX_BYTES, "{order_type:?}: {bytes} bytes");
        }
    }
}
