//! Which path is answered by whom.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::{HeaderValue, StatusCode, Uri, header};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::Semaphore;
use veloz_core::event::Event;
use veloz_core::limits::HTTP_EVENTS_READS;
use veloz_core::types::{EventId, Symbol};

use crate::journal::Lineage;
use crate::service::ServiceHandle;
use crate::stream::page::Pages;

use super::error::ApiError;
use super::{ConfigView, HttpConfig, HttpParts, MarketControl};
use super::{account, events, market, openapi, orders, page, system};

/// What the handlers share.
pub(super) struct App {
    pub(super) service: ServiceHandle,
    pub(super) pages: Pages,
    pub(super) market: Arc<dyn MarketControl>,
    pub(super) registry: Arc<Registry>,
    pub(super) symbol: Symbol,
    pub(super) view: ConfigView,
    pub(super) log: Lineage,
    /// Reads of the log take a thread each and large buffers.
    pub(super) event_reads: Semaphore,
}

/// As the handlers are given it.
pub(super) type Shared = axum::extract::State<Arc<App>>;

/// What a handler gives.
pub(super) type Answered = Result<Response, ApiError>;

impl App {
    /// Takes what the handlers need.
    pub(super) fn new(config: HttpConfig, parts: HttpParts) -> App {
        App {
            service: parts.service,
            pages: parts.pages,
            market: parts.market,
            registry: parts.registry,
            symbol: config.symbol,
            view: config.view,
            log: config.log,
            event_reads: Semaphore::new(HTTP_EVENTS_READS),
        }
    }
}

/// Every path with its methods.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/", get(page::index)),
        ("/assets/{file}", get(page::asset)),
        ("/health", get(system::health)),
        ("/metrics", get(system::metrics)),
        ("/api/openapi.json", get(openapi::document)),
        ("/api/config", get(system::config)),
        ("/api/replay", post(system::replay)),
        ("/api/execution/ping", get(system::ping)),
        ("/api/market", get(market::price)),
        ("/api/book", get(market::book)),
        ("/api/instruments", get(market::instruments)),
        ("/api/orders", get(orders::recent)),
        ("/api/orders_state", get(orders::states)),
        ("/api/order_state", get(orders::state)),
        ("/api/order", post(orders::place)),
        ("/api/oco", post(orders::place_pair)),
        ("/api/cancel", post(orders::cancel)),
        ("/api/amend", post(orders::amend)),
        ("/api/cancel_all", post(orders::cancel_all)),
        ("/api/account", get(account::balances)),
        ("/api/fills", get(account::fills)),
        ("/api/risk", get(account::risk).post(account::change_risk)),
        ("/api/risk/use", get(account::risk_use)),
        ("/api/events", get(events::page)),
        // A GET does not come here: its connection becomes a stream before it is routed.
        ("/api/stream", get(events::stream_head)),
    ]
}

/// The router of all paths; what is not there is answered in JSON too.
pub(super) fn router(app: Arc<App>) -> Router {
    let routes = routes().into_iter();
    routes
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

/// 200 with JSON.
pub(super) fn json(value: &impl Serialize) -> Answered {
    let body = serde_json::to_vec(value).map_err(|error| {
        let message = format!("the answer cannot be written: {error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    Ok(raw_json(body))
}

/// The content type of every answer but a few.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// 200 with JSON that is written already.
pub(super) fn raw_json(body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// `{"items":[...]}` of events in their wire form, each with its id at the end when it has one.
pub(super) fn items<'a>(events: impl IntoIterator<Item = (Option<EventId>, &'a Event)>) -> Vec<u8> {
    let mut out = b"{\"items\":[".to_vec();
    for (i, (id, event)) in events.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        event.encode(&mut out);
        if let Some(id) = id {
            out.pop();
            out.extend_from_slice(format!(",\"id\":{id}}}").as_bytes());
        }
    }
    out.push(b']');
    out
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no {}; GET /api/openapi.json lists what is", uri.path()))
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the Allow header tells which methods this path has",
    )
}
