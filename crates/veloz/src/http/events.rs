//! Pages of the log, and what is left of the stream here.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{StatusCode, Uri, header};
use veloz_core::limits::HTTP_PAGE_ITEMS;

use crate::stream::filter::{Encoding, Filter};
use crate::stream::request::{RequestError, parse_id, parse_kinds, parse_log, parse_symbols};

use super::error::ApiError;
use super::gateway::LOG_HEADER;
use super::query::Query;
use super::router::{Answered, Shared, raw_json};

/// Events in a page that does not say how many.
const DEFAULT_ITEMS: usize = 100;

/// `GET /api/events`
pub(super) async fn page(State(app): Shared, uri: Uri) -> Answered {
    let query = Query::of(&uri);
    let text = |error: RequestError| ApiError::bad_params(error.to_string());
    let after = query.get("after")?.map(|value| parse_id("after", value.as_bytes()));
    let after = after.transpose().map_err(text)?.unwrap_or(0);
    let limit = query.number("limit", DEFAULT_ITEMS, 1, HTTP_PAGE_ITEMS)?;
    let mut filter = Filter::default();
    if let Some(types) = query.get("types")? {
        filter.kinds = parse_kinds(types).map_err(text)?;
    }
    if let Some(symbols) = query.get("symbols")? {
        filter.symbols = parse_symbols(symbols).map_err(text)?;
    }
    let log = query.get("log")?.map(parse_log).transpose().map_err(text)?;
    let other = app.log.another_than(log, after);
    let _permit = app.event_reads.acquire().await.map_err(closed)?;
    let pages = app.pages.clone();
    let read = tokio::task::spawn_blocking(move || match other {
        None => pages.read(after, limit, &filter),
        Some(this) => pages.of_another_log(after, this),
    });
    Ok(raw_json(read.await.map_err(closed)??))
}

/// `HEAD /api/stream`: what a GET would begin with.
pub(super) async fn stream_head(State(app): Shared) -> Response {
    let headers =
        [(header::CONTENT_TYPE, Encoding::Sse.content_type()), (header::CACHE_CONTROL, "no-cache")];
    let log = app.log.id().map(|id| (LOG_HEADER, id.to_string()));
    (StatusCode::OK, headers, AppendHeaders(log)).into_response()
}

/// Only while the program ends.
fn closed<E>(_: E) -> ApiError {
    ApiError::unavailable("shutting_down", "the gateway is shutting down")
}
