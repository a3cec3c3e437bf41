//! The answers to requests that cannot be read.
//!
//! hyper answers them itself, asks nobody, and sends a status without a body. That answer is known when it is
//! written (a head of a refusal that lacks a field which every answer of the gateway has), and another one, with
//! the reason, goes out in its place.

use http::StatusCode;
use memchr::memmem;
use veloz_core::limits::{HTTP_HEAD_BYTES, HTTP_HEAD_FIELDS};

use super::error::ApiError;

/// What to send in the place of `written`, if that is an answer of hyper's own.
pub(super) fn in_its_place(written: &[u8]) -> Option<Vec<u8>> {
    let status = written.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
    let error = match status {
        b"00" => ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "this is no HTTP/1.1 request: its first line or one of its fields cannot be read",
        ),
        b"31" => ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            format!(
                "a request's head may have {HTTP_HEAD_BYTES} bytes and {HTTP_HEAD_FIELDS} fields at most"
            ),
        ),
        _ => return None,
    };
    let is_ours = memmem::find(written, b"\r\nx-content-type-options:").is_some();
    (!is_ours).then(|| error.last_words())
}
