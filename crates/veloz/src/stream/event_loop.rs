//! The stream's thread: drives the [`Hub`] with sockets, a clock and threads that read the log.
//!
//! Contract: nothing in here waits but the one `poll`. A round is: what sockets say, what the inbox
//! brought (new events go to every level subscriber at once), those who had more to send than one
//! turn takes, and a slice of the timers. New sockets are taken only after the round's socket events,
//! so that no event reaches the wrong one.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::catchup::Pool;
use super::hub::{Connection, Hub};
use super::metrics::CloseReason;
use super::ring::Ring;
use super::tail::Shared;
use super::{Attach, StateSource, StreamConfig, control};
use crate::journal::LogReader;

/// The token of the waker: no subscriber's.
const WAKE: Token = Token(usize::MAX);
/// Socket events taken at once.
const EVENTS: usize = 1024;

impl Connection for mio::net::TcpStream {
    fn end(&self, by_reset: bool) {
        // A socket that is closed already is as good. Dropping it takes it out of the epoll.
        let _ = if by_reset {
            rustix::net::sockopt::set_socket_linger(self, Some(Duration::ZERO))
                .map_err(io::Error::from)
        } else {
            self.shutdown(Shutdown::Write)
        };
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

pub(super) struct EventLoop {
    /// First: it tells of an end that nobody asked for before the rest goes.
    hub: Hub<mio::net::TcpStream>,
    poll: Poll,
    pool: Pool,
    rng: fastrand::Rng,
    started: Instant,
}

impl EventLoop {
    pub(super) fn new(
        config: StreamConfig,
        log: Arc<dyn LogReader>,
        source: Arc<dyn StateSource>,
    ) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                tracing::error!(%error, "cannot wake the stream's thread");
            }
        };
        let hub = Hub::new(config, Arc::clone(&log), source, Box::new(wake));
        let pool = Pool::start(&log, hub.shared())?;
        Ok(EventLoop { hub, poll, pool, rng: fastrand::Rng::new(), started: Instant::now() })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.hub.shared()
    }

    pub(super) fn run(mut self) {
        self.open_ring();
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    tracing::error!(%error, "the stream cannot wait for its sockets: it ends");
                    return;
                }
                _ => {}
            }
            self.hub.set_now_ms(self.now_ms());
            for event in events.iter().filter(|event| event.token() != WAKE) {
                let ends = event.is_read_closed() || event.is_error();
                self.hub.ready(event.token().0, event.is_readable() || ends, event.is_writable());
            }
            for (socket, attach) in self.hub.take_inbox() {
                if let Err(error) = self.attach(socket, attach) {
                    tracing::warn!(%error, "cannot take a stream's socket");
                    self.hub.metrics().closed(CloseReason::Peer);
                }
            }
            self.hub.take_turns();
            while let Some(job) = self.hub.next_read() {
                if let Err(job) = self.pool.read(job) {
                    self.hub.refuse_read(&job);
                }
            }
            self.hub.ask_for_books();
            self.hub.sweep();
            if self.hub.is_draining() && self.hub.drain() {
                return;
            }
        }
    }

    fn open_ring(&mut self) {
        if self.hub.config().ring_from == usize::MAX {
            return;
        }
        match Ring::open() {
            Ok(ring) => self.hub.use_ring(ring),
            Err(error) => tracing::info!(%error, "no io_uring: each stream has its own send"),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn timeout(&self) -> Option<Duration> {
        if self.hub.has_turns() {
            return Some(Duration::ZERO);
        }
        let due_ms = self.hub.due_ms()?;
        // One more than is missing: the clock's part of a millisecond is not counted.
        Some(Duration::from_millis(due_ms.saturating_sub(self.now_ms()) + 1))
    }

    fn attach(&mut self, socket: TcpStream, attach: Attach) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        self.limit_silence(&socket)?;
        let mut socket = mio::net::TcpStream::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(self.hub.next_key());
        self.poll.registry().register(&mut socket, token, interest)?;
        let Attach { request, http10, extra_headers } = attach;
        let retry_ms = self.hub.config().retry_ms;
        let quarter = retry_ms / 4;
        let retry_ms = self.rng.u64(retry_ms - quarter..=retry_ms + quarter);
        let head = control::head(request.encoding, http10, &extra_headers, retry_ms);
        self.hub.attach(socket, request, head);
        Ok(())
    }

    /// A peer that vanished without a word is given up by the kernel, well after a slow one is by us.
    #[cfg(target_os = "linux")]
    fn limit_silence(&self, socket: &TcpStream) -> io::Result<()> {
        let stall_ms = self.hub.config().stall_ms;
        let limit_ms = u32::try_from(stall_ms.saturating_mul(2)).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(socket, limit_ms).map_err(io::Error::from)
    }

    #[cfg(not(target_os = "linux"))]
    fn limit_silence(&self, _: &TcpStream) -> io::Result<()> {
        Ok(())
    }
}
