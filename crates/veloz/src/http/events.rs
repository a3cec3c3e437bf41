//! Pages of the log, and what is left of the stream here.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};
use veloz_core::limits::HTTP_PAGE_ITEMS;

use crate::stream::filter::{Encoding, Filter};
use crate::stream::request::{RequestError, parse_id, parse_kinds, parse_symbols};

use super::error::ApiError;
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
    let _permit = app.event_reads.acquire().await.map_err(closed)?;
    let pages = app.pages.clone();
    let read = tokio::task::spawn_blocking(move || pages.read(after, limit, &filter));
    Ok(raw_json(read.await.map_err(closed)??))
}

/// `HEAD /api/stream`: what a GET would begin with.
pub(super) async fn stream_head() -> Response {
    let headers =
        [(header::CONTENT_TYPE, Encoding::Sse.content_type()), (header::CACHE_CONTROL, "no-cache")];
    (StatusCode::OK, headers).into_response()
}

/// Only while the program ends.
fn closed<E>(_: E) -> ApiError {
    ApiError::unavailable("shutting_down", "the gateway is shutting down")
}
