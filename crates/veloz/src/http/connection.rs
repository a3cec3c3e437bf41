//! One connection: requests answered by hyper until it ends or becomes a stream.
//!
//! hyper cannot give a socket back once it has answered. So the stream's request is answered with an
//! error that carries what the stream needs: hyper stops before any byte of a response, and the socket
//! goes to the stream's own loop. Earlier answers are sent by then: hyper reads no request before the
//! last answer has left it. Bytes that the client sent behind that request are dropped.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use veloz_core::limits::{HTTP_HEAD_BYTES, HTTP_HEAD_FIELDS, HTTP_LINGER_BYTES, HTTP_LINGER_MS};

use super::gateway::{AnswerBody, Gateway, Outcome};
use super::server::told_to_stop;
use super::watch::{Watch, Watched};
use crate::stream::Attach;

/// Serves a connection to its end. `stop` turning true ends it after the request it is in.
pub(super) async fn serve(
    socket: TcpStream,
    gateway: Arc<Gateway>,
    mut stop: watch::Receiver<bool>,
) {
    let watch = Watch::new(gateway.timeouts());
    let io = TokioIo::new(Watched::new(socket, Arc::clone(&watch)));
    let service = {
        let (gateway, watch) = (Arc::clone(&gateway), Arc::clone(&watch));
        service_fn(move |request| answer(Arc::clone(&gateway), Arc::clone(&watch), request))
    };
    let mut connection = http1::Builder::new()
        .half_close(true)
        // Answers are short: to copy one behind its head costs less than a write of two pieces.
        .writev(false)
        // The buffer may have room for more than a head: both are bounds.
        .max_buf_size(HTTP_HEAD_BYTES)
        .max_header_size(HTTP_HEAD_BYTES)
        .max_headers(HTTP_HEAD_FIELDS)
        .serve_connection(io, service);
    let stopping = stop.clone();
    let end = tokio::select! {
        biased;
        end = run(&mut connection, &watch) => end,
        () = once_asked(told_to_stop(&mut stop), || stopping.has_changed().unwrap_or(true)) => {
            Pin::new(&mut connection).graceful_shutdown();
            run(&mut connection, &watch).await
        }
    };
    let socket = connection.into_parts().io.into_inner().into_socket();
    match end {
        End::Timeout => gateway.metrics().timed_out(),
        End::Closed => linger(socket).await,
        End::Stream(attach) => gateway.attach(socket, *attach),
    }
}

/// How a connection ended.
enum End {
    /// By either side, or by an error.
    Closed,
    /// The client took too long.
    Timeout,
    /// The client wants the stream.
    Stream(Box<Attach>),
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Detach>> + Send>>;

fn answer(gateway: Arc<Gateway>, watch: Arc<Watch>, request: Request<Incoming>) -> Answer {
    watch.request();
    let (parts, body) = request.into_parts();
    let parts = Box::new(parts);
    Box::pin(async move {
        let outcome = gateway.handle(parts, body).await;
        watch.answered();
        match outcome {
            Outcome::Response(response) => Ok(response),
            Outcome::Stream(attach) => Err(Detach(attach)),
        }
    })
}

/// The "error" that makes hyper let go of the socket.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the connection becomes a stream")]
struct Detach(Box<Attach>);

async fn run<S>(connection: &mut http1::Connection<TokioIo<Watched>, S>, watch: &Watch) -> End
where
    S: hyper::service::HttpService<Incoming, ResBody = AnswerBody, Error = Detach> + Unpin,
    S::Future: Unpin,
{
    let timer = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(timer);
    let mut is_set = false;
    poll_fn(|cx| {
        if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(match result.err().and_then(detached) {
                Some(attach) => End::Stream(attach),
                None => End::Closed,
            });
        }
        let Some(deadline) = watch.deadline() else { return Poll::Pending };
        // One that is set to an earlier time is left as it is until it wakes this task.
        if is_set && !timer.is_elapsed() && timer.deadline() <= deadline {
            return Poll::Pending;
        }
        is_set = true;
        timer.as_mut().reset(deadline);
        timer.as_mut().poll(cx).map(|()| End::Timeout)
    })
    .await
}

fn detached(error: hyper::Error) -> Option<Box<Attach>> {
    let detach = std::error::Error::source(&error)?.downcast_ref::<Detach>()?;
    Some(detach.0.clone())
}

/// Waits for a future that is polled once, which has it wake this task, and then only where `may_be_ready`: that
/// costs less than a poll, and a connection looks with each request.
async fn once_asked<F: Future>(future: F, may_be_ready: impl Fn() -> bool) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut asked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) && !may_be_ready() {
            return Poll::Pending;
        }
        future.as_mut().poll(cx)
    })
    .await
}

/// Closes a connection so that its client sees the last answer: closing a socket with unread bytes in
/// it resets the connection, and a reset throws away what was sent.
pub(super) async fn linger(mut socket: TcpStream) {
    let drain = async {
        socket.shutdown().await?;
        let mut buffer = [0_u8; 4096];
        let mut left_bytes = HTTP_LINGER_BYTES;
        while left_bytes > 0 {
            match socket.read(&mut buffer).await? {
                0 => break,
                read => left_bytes = left_bytes.saturating_sub(read),
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // Whatever happens, the socket is closed now.
    let _ = tokio::time::timeout(Duration::from_millis(HTTP_LINGER_MS), drain).await;
}
