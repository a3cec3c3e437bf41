//! The one error of the HTTP layer, and the one map from what the parts refuse to a status.
//!
//! Contract: the body is always `{"error":"stable_code","message":"for a person"}`, further fields
//! behind those two; a program matches `error`, never `message`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use veloz_core::event::write_json_string;
use veloz_core::input::Refusal;
use veloz_core::limits::HTTP_RETRY_AFTER_S;

use crate::service::ServiceError;
use crate::stream::page::LogError;

/// Why a request is not answered as it was asked.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Further fields, as JSON.
    fields: Vec<(&'static str, String)>,
    retry: bool,
}

impl ApiError {
    /// An error with a status and a stable code.
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> ApiError {
        ApiError { status, code, message: message.into(), fields: Vec::new(), retry: false }
    }

    /// 400: a value that cannot be read or is out of its domain.
    pub(super) fn bad_params(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_params", message)
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 503: not now.
    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { retry: true, ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }

    /// 503: as many connections as are allowed.
    pub(super) fn too_many_connections() -> ApiError {
        ApiError::unavailable("too_many_connections", "as many connections are open as are allowed")
    }

    /// The same of a field within another.
    pub(super) fn within(mut self, field: &str) -> ApiError {
        self.message.insert_str(0, &format!("{field}: "));
        self
    }

    /// Names the rule that was broken, if there is more to say.
    pub(super) fn because(mut self, rule: Option<String>) -> ApiError {
        if let Some(rule) = rule {
            self.message.push_str(": ");
            self.message.push_str(&rule);
        }
        self
    }

    /// Adds a field behind `message`. What cannot be written is left out.
    pub(super) fn with(mut self, name: &'static str, value: &impl Serialize) -> ApiError {
        if let Ok(json) = serde_json::to_string(value) {
            self.fields.push((name, json));
        }
        self
    }

    /// The status of HTTP.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code of the body.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The JSON of the body.
    pub fn body(&self) -> Vec<u8> {
        let mut out = b"{\"error\":".to_vec();
        write_json_string(&mut out, self.code);
        out.extend_from_slice(b",\"message\":");
        write_json_string(&mut out, &self.message);
        for (name, json) in &self.fields {
            out.push(b',');
            write_json_string(&mut out, name);
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        }
        out.push(b'}');
        out
    }

    /// The whole answer, of a connection that ends with it.
    pub(super) fn last_words(&self) -> Vec<u8> {
        let body = self.body();
        let retry = match self.retry {
            true => format!("Retry-After: {HTTP_RETRY_AFTER_S}\r\n"),
            false => String::new(),
        };
        let mut out = format!(
            "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{retry}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.status,
            body.len()
        )
        .into_bytes();
        out.extend_from_slice(&body);
        out
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(HTTP_RETRY_AFTER_S));
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let message = refusal.to_string();
        match refusal {
            Refusal::BadParams { .. } => ApiError::bad_params(message),
            Refusal::NotFound(_) => ApiError::not_found(message),
            Refusal::DuplicateClientOrderId(_) => {
                ApiError::new(StatusCode::CONFLICT, "duplicate_client_order_id", message)
            }
            Refusal::OrderClosed(_, status) => {
                ApiError::new(StatusCode::CONFLICT, "order_closed", message).with("status", &status)
            }
            Refusal::Rejected(id, reason) => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message)
                    .with("reason", &reason.as_str())
                    .with("client_order_id", &id)
            }
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> ApiError {
        match error {
            ServiceError::Refused(refusal) => refusal.into(),
            ServiceError::Overloaded => {
                ApiError::unavailable("overloaded", "the engine has more requests than it can take")
            }
            ServiceError::ShuttingDown => {
                ApiError::unavailable("shutting_down", "the gateway is shutting down")
            }
            ServiceError::NoRoom { code, message } => ApiError::unavailable(code, message),
            ServiceError::Unreadable(why) => ApiError::unavailable("archive_unreadable", why),
            ServiceError::Unavailable(why) => {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "execution_unavailable", why)
            }
            ServiceError::UnknownOutcome => ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "unknown_outcome",
                "no answer in time: it may have been done or not; ask how it stands, or send the same request again",
            ),
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "log_unavailable", error.to_string())
    }
}
