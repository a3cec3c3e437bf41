//! How the rest of the program speaks to the service.
//!
//! Contract: whoever asks hears, however the service ends: what it no longer takes is dropped, and with
//! it the way of its answer. The service is woken at most once between two looks at its queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use veloz_core::engine::Engine;
use veloz_core::input::{Answer, Input, Refusal};
use veloz_core::limits::SERVICE_QUEUE_MESSAGES;

use super::health::{Health, HealthBoard};

/// Where the answer to an input goes.
pub type Reply = oneshot::Sender<Result<Answer, ServiceError>>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The input changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much waits already: come again.
    #[error("the gateway is busy: its queue is full")]
    Overloaded,
    /// It takes no more.
    #[error("the gateway is shutting down")]
    ShuttingDown,
    /// The engine or the journal does not work.
    #[error("the gateway cannot execute: {0}")]
    Unavailable(String),
    /// It cannot be stored now, but later it may be: nothing was done.
    #[error("{message}")]
    NoRoom {
        /// The stable code.
        code: &'static str,
        /// For a person: what is wrong, and what to do.
        message: String,
    },
    /// A closed order that was to be shown cannot be read. Only that: what does not need it goes on.
    #[error("{0}")]
    Unreadable(String),
    /// The venue was asked and did not say.
    #[error("the venue did not answer: the outcome is unknown, ask for the order's state")]
    UnknownOutcome,
}

/// A look at the engine, on the service's thread.
pub(crate) type Look = Box<dyn FnOnce(&Engine) + Send>;

/// What the service is told.
pub(crate) enum Message {
    /// An input that somebody waits on.
    Submit { input: Arc<Input>, reply: Reply },
    /// A look at the state, once everything before it is stored.
    Read(Look),
    /// The same, after the market data that waits.
    Settle(Look),
    /// Store what is there and end.
    Stop,
}

impl Message {
    /// What the engine will be told by it.
    pub(super) fn input(&self) -> Option<&Input> {
        match self {
            Message::Submit { input, .. } => Some(&**input),
            Message::Read(_) | Message::Settle(_) | Message::Stop => None,
        }
    }
}

/// A handle to the service: cheap to clone, shared by all.
#[derive(Clone)]
pub struct ServiceHandle {
    shared: Arc<Shared>,
}

/// Where the service takes what it is told from. Dropping it ends the service for all who ask.
pub struct Inbox {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
    health: Arc<HealthBoard>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and the queue is whole after each line.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends of the service's queue.
pub fn channel(health: Arc<HealthBoard>) -> (ServiceHandle, Inbox) {
    let shared = Arc::new(Shared {
        queue: Mutex::default(),
        wake: Notify::new(),
        health,
        stopping: AtomicBool::new(false),
    });
    (ServiceHandle { shared: Arc::clone(&shared) }, Inbox { shared })
}

impl Inbox {
    /// Comes back when something may wait.
    pub(super) async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.shared.lock().messages.len()
    }

    /// Moves the oldest `most` messages at most into `into`; whether more wait.
    pub(super) fn take(&self, into: &mut Vec<Message>, most: usize) -> bool {
        let mut queue = self.shared.lock();
        let taken = queue.messages.len().min(most);
        into.extend(queue.messages.drain(..taken));
        !queue.messages.is_empty()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.ended = true;
        let left = std::mem::take(&mut queue.messages);
        // Whoever waits on one of these is told when it is dropped, and may ask again at once.
        drop(queue);
        drop(left);
    }
}

impl ServiceHandle {
    /// Steps an input; the answer comes after its events are stored.
    ///
    /// # Errors
    /// When it was refused, or could not be taken: see [`ServiceError`].
    pub async fn submit(&self, input: impl Into<Arc<Input>>) -> Result<Answer, ServiceError> {
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(ServiceError::ShuttingDown);
        }
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit { input: input.into(), reply })?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Looks at the engine: what is seen is stored and published.
    ///
    /// # Errors
    /// When the service does not work or its queue is full.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.look(look, Message::Read).await
    }

    /// Like [`ServiceHandle::read`], after the market data that waits has been taken.
    ///
    /// # Errors
    /// When the service does not work or its queue is full.
    pub async fn settle<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.look(look, Message::Settle).await
    }

    /// Looks at the engine from the service's own thread, which must not be held up: for those who
    /// cannot wait.
    ///
    /// # Errors
    /// When the service does not work or its queue is full.
    pub fn read_later(
        &self,
        look: impl FnOnce(&Engine) + Send + 'static,
    ) -> Result<(), ServiceError> {
        self.send(Message::Read(Box::new(look)))
    }

    /// What is wrong now.
    pub fn health(&self) -> Health {
        self.shared.health.read()
    }

    /// Tells a problem of a part that has only this handle.
    pub(super) fn raise(&self, code: &'static str, message: String) {
        self.shared.health.raise(code, message);
    }

    /// Takes no more orders; reads go on.
    pub fn close_intake(&self) {
        self.shared.stopping.store(true, Ordering::Release);
    }

    /// Stores what is there and ends the service.
    pub fn stop(&self) {
        self.close_intake();
        let mut queue = self.shared.lock();
        if !queue.ended {
            // Never refused: it is the last message that anyone sends.
            queue.messages.push_back(Message::Stop);
        }
        drop(queue);
        self.wake();
    }

    /// Tells the service that market data waits.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
        message: fn(Look) -> Message,
    ) -> Result<T, ServiceError> {
        let (reply, answer) = oneshot::channel();
        self.send(message(Box::new(move |engine| {
            let seen = look(engine);
            // Of what an archive could not give nobody is told that it is not there.
            let seen = match engine.state().archive_failure() {
                None => Ok(seen),
                Some(failure) => Err(ServiceError::Unreadable(failure)),
            };
            // Whoever asked may have gone.
            let _ = reply.send(seen);
        })))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn send(&self, message: Message) -> Result<(), ServiceError> {
        let mut queue = self.shared.lock();
        if queue.ended {
            drop(queue);
            return Err(self.gone());
        }
        if queue.messages.len() >= SERVICE_QUEUE_MESSAGES {
            return Err(ServiceError::Overloaded);
        }
        let first = queue.messages.is_empty();
        queue.messages.push_back(message);
        drop(queue);
        if first {
            self.wake();
        }
        Ok(())
    }

    /// Why nobody answers any more.
    fn gone(&self) -> ServiceError {
        match self.shared.health.read().stops_orders() {
            Some(problem) => ServiceError::Unavailable(problem.message.clone()),
            None => ServiceError::ShuttingDown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at all times around the end of a service that takes nothing.
    fn check(problem: Option<&'static str>, expected: &ServiceError) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..200 {
            let health = Arc::new(HealthBoard::default());
            let (handle, inbox) = channel(Arc::clone(&health));
            if let Some(problem) = problem {
                health.raise("journal_failed", problem.to_owned());
            }
            let asked = runtime.block_on(async {
                let ends = std::thread::spawn(move || drop(inbox));
                let input = || Input::CancelAll { symbol: None };
                let both = async { (handle.submit(input()).await, handle.read(|_| ()).await) };
                let asked = tokio::time::timeout(std::time::Duration::from_secs(10), both).await;
                ends.join().unwrap();
                asked
            });
            let (submitted, read) = asked.expect("whoever asks hears");
            assert_eq!(submitted.as_ref(), Err(expected));
            assert_eq!(read.as_ref(), Err(expected));
        }
    }

    #[test]
    fn whoever_asks_hears_however_the_service_ends() {
        check(None, &ServiceError::ShuttingDown);
        check(Some("no space"), &ServiceError::Unavailable("no space".to_owned()));
    }
}
