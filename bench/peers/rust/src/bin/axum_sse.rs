//! What one would write: axum's SSE type over tokio's broadcast channel. `axum_sse ADDRESS`
//!
//! `POST /publish` takes the JSON of an event, `GET /api/stream` sends it to every subscriber. The text is
//! shared, the channel holds more than any load of the bench, and nothing is stored.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Sender, channel};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events that a slow subscriber may be behind.
const BUFFER_EVENTS: usize = 1 << 20;

struct Hub {
    events: Sender<(u64, Arc<str>)>,
    last_id: AtomicU64,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let hub = Arc::new(Hub { events: channel(BUFFER_EVENTS).0, last_id: AtomicU64::new(0) });
    let app = Router::new()
        .route("/publish", post(publish))
        .route("/api/stream", get(stream))
        .with_state(hub);
    // As VeloZ has it: the usual queue is too short for many subscribers at once.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(address.parse()?)?;
    let listener = socket.listen(4_096)?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
        // A socket that is gone already needs no option.
        let _ = socket.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn publish(State(hub): State<Arc<Hub>>, body: String) -> &'static str {
    let id = hub.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    // Nobody listens: that is no failure of the publisher's.
    let _ = hub.events.send((id, body.into()));
    "{\"ok\":true}"
}

async fn stream(State(hub): State<Arc<Hub>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut events = hub.events.subscribe();
    let frames = async_stream::stream! {
        loop {
            match events.recv().await {
                Ok((id, data)) => {
                    yield Ok(Event::default().id(id.to_string()).event("market").data(&*data));
                }
                // Counted by the subscriber, as a hole.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    };
    Sse::new(frames).keep_alive(KeepAlive::default())
}
