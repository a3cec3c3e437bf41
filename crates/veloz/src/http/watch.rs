//! A connection's socket with a deadline on what its client must do next.
//!
//! hyper's own header timeout counts from the end of the last answer, so it would also end idle
//! keep-alive connections after a few seconds. Here a client has one time for a whole request head,
//! counted from its first byte, and a longer one between requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Timeouts;

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing. Only its own task touches it: the atomics are for `Send`.
#[derive(Debug)]
pub(super) struct Watch {
    timeouts: Timeouts,
    born: Instant,
    phase: AtomicU8,
    /// Milliseconds since `born`; `u64::MAX` for none.
    deadline_ms: AtomicU64,
}

impl Watch {
    /// Of a connection that was just accepted: a client opens one to say something at once.
    pub(super) fn new(timeouts: Timeouts) -> Arc<Watch> {
        let watch = Watch {
            timeouts,
            born: Instant::now(),
            phase: AtomicU8::new(HEAD),
            deadline_ms: AtomicU64::new(0),
        };
        watch.enter(HEAD, Some(timeouts.head));
        Arc::new(watch)
    }

    /// A request's head is read: from here on the gateway is at work.
    pub(super) fn request(&self) {
        self.enter(BUSY, None);
    }

    /// The answer is ready: the client has the idle time to take it and to ask again.
    pub(super) fn answered(&self) {
        self.enter(IDLE, Some(self.timeouts.idle));
    }

    /// When the client's time is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.deadline_ms.load(Ordering::Relaxed) {
            u64::MAX => None,
            ms => Some(self.born + Duration::from_millis(ms)),
        }
    }

    fn read_bytes(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD, Some(self.timeouts.head));
        }
    }

    fn enter(&self, phase: u8, time: Option<Duration>) {
        let deadline =
            time.and_then(|time| u64::try_from((self.born.elapsed() + time).as_millis()).ok());
        self.phase.store(phase, Ordering::Relaxed);
        self.deadline_ms.store(deadline.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A socket that tells its [`Watch`] what happens on it.
#[derive(Debug)]
pub(super) struct Watched {
    socket: TcpStream,
    watch: Arc<Watch>,
}

impl Watched {
    /// Watches a socket.
    pub(super) fn new(socket: TcpStream, watch: Arc<Watch>) -> Watched {
        Watched { socket, watch }
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
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
