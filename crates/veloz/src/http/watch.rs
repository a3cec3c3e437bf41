//! A connection's socket with a deadline on what its client must do next.
//!
//! hyper's own header timeout counts from the end of the last answer, so it would also end idle
//! keep-alive connections after a few seconds. Here a client has one time for a whole request head,
//! counted from its first byte, and a longer one between requests.
//!
//! What hyper would answer by itself is answered here in its place (see `unread`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Timeouts, unread};

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing. Only its own task touches it: the atomics are for `Send`.
#[derive(Debug)]
pub(super) struct Watch {
    timeouts: Timeouts,
    born: Instant,
    phase: AtomicU8,
    /// Milliseconds since `born`; `u64::MAX` until somebody asks.
    deadline_ms: AtomicU64,
}

/// Nobody has asked for the phase's deadline yet.
const UNASKED: u64 = u64::MAX;

impl Watch {
    /// Of a connection that was just accepted: a client opens one to say something at once.
    pub(super) fn new(timeouts: Timeouts) -> Arc<Watch> {
        Arc::new(Watch {
            timeouts,
            born: Instant::now(),
            phase: AtomicU8::new(HEAD),
            deadline_ms: AtomicU64::new(UNASKED),
        })
    }

    /// A request's head is read: from here on the gateway is at work.
    pub(super) fn request(&self) {
        self.enter(BUSY);
    }

    /// The answer is ready: the client has the idle time to take it and to ask again.
    pub(super) fn answered(&self) {
        self.enter(IDLE);
    }

    /// When the client's time is up. It runs from the first time that this is asked in a phase, which is
    /// when the connection begins to wait: a request that comes in one piece asks no clock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let time = match self.phase.load(Ordering::Relaxed) {
            HEAD => self.timeouts.head,
            IDLE => self.timeouts.idle,
            _ => return None,
        };
        let mut deadline_ms = self.deadline_ms.load(Ordering::Relaxed);
        if deadline_ms == UNASKED {
            deadline_ms = u64::try_from((self.born.elapsed() + time).as_millis()).unwrap_or(0);
            self.deadline_ms.store(deadline_ms, Ordering::Relaxed);
        }
        Some(self.born + Duration::from_millis(deadline_ms))
    }

    fn read_bytes(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
        self.deadline_ms.store(UNASKED, Ordering::Relaxed);
    }
}

/// A socket that tells its [`Watch`] what happens on it.
#[derive(Debug)]
pub(super) struct Watched {
    socket: TcpStream,
    watch: Arc<Watch>,
    /// What is left to send of an answer in the place of hyper's own.
    refusal: Vec<u8>,
}

impl Watched {
    /// Watches a socket.
    pub(super) fn new(socket: TcpStream, watch: Arc<Watch>) -> Watched {
        Watched { socket, watch, refusal: Vec::new() }
    }

    /// The socket, unwatched.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watch.read_bytes();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refusal.is_empty() {
            match unread::in_its_place(buf) {
                None => return Pin::new(&mut self.socket).poll_write(cx, buf),
                Some(refusal) => self.refusal = refusal,
            }
        }
        // hyper comes with the same bytes again until they are taken.
        let Watched { socket, refusal, .. } = &mut *self;
        while !refusal.is_empty() {
            match ready!(Pin::new(&mut *socket).poll_write(cx, refusal))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => drop(refusal.drain(..sent)),
            }
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
