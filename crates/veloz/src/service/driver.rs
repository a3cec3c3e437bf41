//! The task that runs the service on the thread that the sockets of the HTTP API are on too.
//!
//! One thread, because what an order costs is the wake-ups between threads: here a socket that is ready, the
//! step, the append and the answer follow each other on one core. Whatever is ready submits before the
//! service has its turn (its task is behind theirs in the queue), so the orders of many connections are one batch.
//!
//! Contract: a turn takes a bounded number of commands and one batch of the market's, and between two turns
//! every other task has one: neither a market at full speed nor a crowd of clients keeps the other waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use veloz_core::limits::{SERVICE_BATCH_INPUTS, SERVICE_IDLE_MS, SERVICE_SPIN_US};
use veloz_core::types::TsNs;

use super::handle::Inbox;
use super::health::HealthBoard;
use super::{Clock, Parts, Phase, Service, SteadyClock};
use crate::market::SourceMessage;

/// Starts the service on the current runtime. It ends when its handle tells it to, and by a failure of
/// the journal; the end comes back when all is on the disk.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start(mut parts: Parts, inbox: Inbox) -> JoinHandle<()> {
    let notice = DeathNotice { health: Arc::clone(&parts.health), expected: false };
    let market = parts.market.take().unwrap_or_else(never);
    // A replay's events are of another time.
    let since = match parts.clock {
        Clock::Wall => parts.engine.state().last_ts_ns(),
        Clock::Replay(_) => TsNs::MIN,
    };
    let (service, clock) = (Service::new(parts), SteadyClock::new(since));
    let driver = Driver { service, clock, inbox, market, waits: false, pause: Duration::MAX };
    tokio::spawn(async move {
        let mut notice = notice;
        driver.run().await;
        notice.expected = true;
    })
}

/// Tells of a service that ended by a panic.
struct DeathNotice {
    health: Arc<HealthBoard>,
    expected: bool,
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        if !self.expected {
            let message = "the service ended by a defect: see the log, and start it again";
            self.health.raise("service_died", message.to_owned());
        }
    }
}

/// How long the service stays awake for the next message, where the last one came as soon: an idle one sleeps.
const SPIN: Duration = Duration::from_micros(SERVICE_SPIN_US);

struct Driver {
    service: Service,
    clock: SteadyClock,
    inbox: Inbox,
    market: Receiver<SourceMessage>,
    /// Whether more waits than the last turn took.
    waits: bool,
    /// How long it waited for the last one.
    pause: Duration,
}

impl Driver {
    async fn run(mut self) {
        let mut idle = interval(Duration::from_millis(SERVICE_IDLE_MS));
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.service.phase() == Phase::Running {
            self.wait(&mut idle).await;
            self.gather().await;
            let now = self.now();
            self.waits = self.service.turn(&self.inbox, &mut self.market, now);
        }
        let Driver { service, inbox, .. } = self;
        // From here on whoever asks is told that nobody is there.
        drop(inbox);
        // Both wait for the disk, and a failed one may let them wait long: `/health` has to tell meanwhile.
        let end = move || match service.phase() {
            Phase::Stopping => service.close(),
            _ => drop(service),
        };
        if tokio::task::spawn_blocking(end).await.is_err() {
            tracing::error!("closing the journal panicked");
        }
    }

    /// Comes back when there is something to do. When there is already, every other task has a turn first.
    async fn wait(&mut self, idle: &mut Interval) {
        let begun = Instant::now();
        if self.waits {
            tokio::task::yield_now().await;
        } else if self.pause < SPIN {
            self.spin(begun).await;
        }
        let now = self.now();
        let due = self.service.due_in(now);
        tokio::select! {
            biased;
            _ = idle.tick() => {
                let now = self.now();
                self.service.look_after_itself(now);
            }
            () = self.inbox.woken(), if !self.waits => {}
            () = std::future::ready(()), if self.waits => {}
            () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
        }
        self.pause = begun.elapsed();
    }

    /// Lets what comes meanwhile come into the same batch, as long as there is more each time: an append, and a client
    /// on another core that is woken by the first of its answers, cost the same for one as for many. One that comes
    /// alone waits for nobody.
    async fn gather(&mut self) {
        let mut waiting = self.inbox.len();
        while (2..SERVICE_BATCH_INPUTS).contains(&waiting) {
            tokio::task::yield_now().await;
            let before = std::mem::replace(&mut waiting, self.inbox.len());
            if waiting <= before {
                return;
            }
        }
    }

    /// The time that the service is told.
    fn now(&mut self) -> TsNs {
        let (now, ahead_ns) = self.clock.now();
        self.service.set_ahead(ahead_ns);
        now
    }

    /// Lets the other tasks run, for a little while without sleeping: when one message soon follows another,
    /// as from a client that waits for each answer, to be woken takes longer than to wait.
    async fn spin(&mut self, begun: Instant) {
        while self.inbox.len() == 0 && self.market.is_empty() && begun.elapsed() < SPIN {
            tokio::task::yield_now().await;
        }
    }
}
