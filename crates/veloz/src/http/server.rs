//! The listening socket: accepts, counts, and turns away what is too much.
//!
//! Contract: past the most connections a new one gets 503 with `Retry-After` and is closed; out of
//! file handles likewise, by a handle kept for that. Neither ends the accept loop or makes it spin,
//! and what is connected goes on. A few connections more than the configured number are taken for
//! requests, so that orders and cancels get through while streams fill the rest.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use veloz_core::limits::{
    HTTP_BACKLOG_CONNECTIONS, HTTP_LINGERING_CONNECTIONS, HTTP_REQUEST_CONNECTIONS,
    HTTP_RESERVED_HANDLES,
};

use super::connection::{linger, serve};
use super::error::ApiError;
use super::gateway::Gateway;
use super::metrics::Refused;
use super::{HttpConfig, HttpParts};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}{hint}", hint = hint(source))]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The spare file handle cannot be had.
    #[error("cannot open /dev/null: {0}")]
    Spare(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has that port: stop it, or set VELOZ_PORT",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: set VELOZ_PORT",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address: set VELOZ_HOST",
        _ => "",
    }
}

/// The most connections that the limit of file handles allows, after raising that limit as far as it
/// goes; the journal and the rest keep their share.
pub fn max_connections_by_handles() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let handles = if raised.is_ok() { maximum } else { current };
    let handles = handles.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    handles.saturating_sub(HTTP_RESERVED_HANDLES + HTTP_REQUEST_CONNECTIONS).clamp(1, 1_000_000)
}

/// Takes the address, so that a port in use is told before anything else is started.
///
/// # Errors
/// When the address is in use, not allowed or not this machine's.
pub fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(HTTP_BACKLOG_CONNECTIONS)
    };
    bind().map_err(|source| HttpError::Bind { address, source })
}

/// A server that runs.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<JoinSet<()>>,
}

impl HttpServer {
    /// Starts to accept on `listener`.
    ///
    /// # Errors
    /// When there is no file handle to keep in reserve.
    pub fn start(
        listener: TcpListener,
        config: HttpConfig,
        parts: HttpParts,
    ) -> Result<HttpServer, HttpError> {
        let address = listener.local_addr().map_err(HttpError::Spare)?;
        let spare = open_spare().map_err(HttpError::Spare)?;
        let (stop, stopped) = watch::channel(false);
        let max_connections = config.max_connections.saturating_add(HTTP_REQUEST_CONNECTIONS);
        let acceptor = Acceptor {
            listener,
            spare: Some(spare),
            gateway: Arc::new(Gateway::new(config, parts, address.port())),
            max_connections,
            connections: JoinSet::new(),
            lingering: JoinSet::new(),
            stopped,
        };
        Ok(HttpServer { address, stop, accepting: tokio::spawn(acceptor.run()) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, lets requests under way be answered for at most `limit`, and closes what is
    /// left. Streams are not its own any more and go on.
    pub async fn shutdown(self, limit: Duration) {
        // The receiver lives as long as the acceptor; if that is gone there is nothing to stop.
        let _ = self.stop.send(true);
        let Ok(mut connections) = self.accepting.await else { return };
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// Comes back when the server is to stop, or is gone.
pub(super) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn open_spare() -> io::Result<File> {
    File::open("/dev/null")
}

struct Acceptor {
    listener: TcpListener,
    /// A file handle kept to be given up: with none left, a connection can only be refused by
    /// accepting it.
    spare: Option<File>,
    gateway: Arc<Gateway>,
    max_connections: usize,
    connections: JoinSet<()>,
    lingering: JoinSet<()>,
    stopped: watch::Receiver<bool>,
}

impl Acceptor {
    async fn run(mut self) -> JoinSet<()> {
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, _)) => self.take(socket),
                    Err(error) => self.failed(&error).await,
                },
                Some(_) = self.connections.join_next() => {}
                Some(_) = self.lingering.join_next() => {}
                () = told_to_stop(&mut stopped) => return self.connections,
            }
        }
    }

    fn take(&mut self, socket: TcpStream) {
        if self.gateway.connections() >= self.max_connections {
            self.gateway.metrics().refused(Refused::TooMany);
            if self.lingering.len() < HTTP_LINGERING_CONNECTIONS {
                self.lingering.spawn(refuse(socket));
            }
            return;
        }
        // Without it small answers wait for the peer's acknowledgement; an error says it is gone.
        if socket.set_nodelay(true).is_err() {
            return;
        }
        let counted = self.gateway.metrics().connection();
        let (gateway, stop) = (Arc::clone(&self.gateway), self.stopped.clone());
        self.connections.spawn(async move {
            serve(socket, gateway, stop).await;
            drop(counted);
        });
    }

    async fn failed(&mut self, error: &io::Error) {
        /// Between two tries while even the spare handle is gone.
        const PAUSE: Duration = Duration::from_millis(100);
        /// How long one refusal may hold up the next.
        const REFUSAL: Duration = Duration::from_millis(50);
        let out_of_handles = [Errno::MFILE, Errno::NFILE]
            .into_iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        if !out_of_handles {
            // A client that gave up before it was accepted; with anything else, do not spin.
            if error.kind() != io::ErrorKind::ConnectionAborted {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(PAUSE).await;
            }
            return;
        }
        self.spare = None;
        if let Ok(Ok((socket, _))) = tokio::time::timeout(PAUSE, self.listener.accept()).await {
            self.gateway.metrics().refused(Refused::NoHandles);
            // The handle is needed again at once.
            let _ = tokio::time::timeout(REFUSAL, refuse(socket)).await;
        }
        self.spare = open_spare().ok();
        if self.spare.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Answers a connection that is too much, whatever it asks.
async fn refuse(mut socket: TcpStream) {
    let response = ApiError::too_many_connections().last_words();
    if socket.write_all(&response).await.is_ok() {
        linger(socket).await;
    }
}
