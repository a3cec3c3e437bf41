//! `GET /api/openapi.json`: a document that is kept by hand and held to the router by a test.

use axum::response::Response;

use super::router::raw_json;

const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub(super) async fn document() -> Response {
    raw_json(DOCUMENT.into())
}
