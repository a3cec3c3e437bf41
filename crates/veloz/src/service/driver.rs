//! The task that runs the service on the thread that the sockets of the HTTP API are on too.
//!
//! One thread, because what an order costs is the wake-ups between threads: here a socket that is ready, the
//! step, the append and the answer follow each other on one core. Whatever is ready submits before the
//! service has its turn (its task is behind theirs in the queue), so the orders of many connections are one batch.
//!
//! Contract: a turn takes a bounded number of commands and one batch of the market's, and between two turns
//! every other task has one: neither a market at full speed nor a crowd of clients keeps the other waiting.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, never};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use veloz_core::limits::SERVICE_IDLE_MS;

use super::handle::Inbox;
use super::health::HealthBoard;
use super::{Parts, Phase, Service, wall_ns};
use crate::market::SourceMessage;

/// Starts the service on the current runtime. It ends when its handle tells it to, and by a failure of
/// the journal; the end comes back when all is on the disk.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start(mut parts: Parts, inbox: Inbox) -> JoinHandle<()> {
    let notice = DeathNotice { health: Arc::clone(&parts.health), expected: false };
    let market = parts.market.take().unwrap_or_else(never);
    let driver = Driver { service: Service::new(parts), inbox, market, waits: false };
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

struct Driver {
    service: Service,
    inbox: Inbox,
    market: Receiver<SourceMessage>,
    /// Whether more waits than the last turn took.
    waits: bool,
}

impl Driver {
    async fn run(mut self) {
        let mut idle = interval(Duration::from_millis(SERVICE_IDLE_MS));
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let spin = Duration::from_micros(
            std::env::var("X_SPIN").ok().and_then(|s| s.parse().ok()).unwrap_or(0),
        );
        let mut gap = Duration::MAX;
        while self.service.phase() == Phase::Running {
            let began = std::time::Instant::now();
            if gap < spin {
                while began.elapsed() < spin && self.inbox.is_empty() {
                    tokio::task::yield_now().await;
                }
            }
            self.wait(&mut idle).await;
            gap = began.elapsed();
            self.waits = self.service.turn(&self.inbox, &mut self.market, wall_ns());
        }
        let Driver { service, inbox, .. } = self;
        // From here on whoever asks is told that nobody is there.
        drop(inbox);
        if service.phase() == Phase::Stopping
            && tokio::task::spawn_blocking(|| service.close()).await.is_err()
        {
            tracing::error!("closing the journal panicked");
        }
    }

    /// Comes back when there is something to do. When there is already, every other task has a turn first.
    async fn wait(&mut self, idle: &mut Interval) {
        if self.waits {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            _ = idle.tick() => self.service.look_after_itself(wall_ns()),
            () = self.inbox.woken(), if !self.waits => {}
            () = std::future::ready(()), if self.waits => {}
        }
    }
}
