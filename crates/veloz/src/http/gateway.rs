//! One request from its head to its answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::stream::request::StreamRequest;
use crate::stream::{Attach, StreamHandle};

use super::body::{self, BodyRead};
use super::command::Command;
use super::error::ApiError;
use super::guard::{Cors, Guard, is_preflight, is_stream};
use super::metrics::{HttpMetrics, Refused};
use super::router::{App, JSON, router};
use super::{HttpConfig, HttpParts, Timeouts, orders};

/// Which log a stream is of.
pub(super) const LOG_HEADER: &str = "X-Veloz-Log";

/// What all connections share.
pub(super) struct Gateway {
    guard: Guard,
    app: Arc<App>,
    router: Router,
    stream: StreamHandle,
    metrics: HttpMetrics,
    timeouts: Timeouts,
    max_connections: usize,
}

/// What an answer says: JSON that is there already, or whatever the router gives.
pub(super) type AnswerBody = Either<Full<Bytes>, Body>;

/// What becomes of a request.
pub(super) enum Outcome {
    /// It is answered.
    Response(Response<AnswerBody>),
    /// Its connection becomes a stream.
    Stream(Box<Attach>),
}

impl Gateway {
    /// Puts the layer together, for requests to that port.
    pub(super) fn new(config: HttpConfig, parts: HttpParts, port: u16) -> Gateway {
        let guard = Guard::new(config.allowed_hosts.clone(), config.allowed_origins.clone(), port);
        let (stream, metrics) = (parts.stream.clone(), parts.metrics.clone());
        let (timeouts, max_connections) = (config.timeouts, config.max_connections);
        let app = Arc::new(App::new(config, parts));
        let router = router(Arc::clone(&app));
        Gateway { guard, app, router, stream, metrics, timeouts, max_connections }
    }

    /// Checks, reads and answers a request. (Its head is boxed: it is passed on more often than it is long.)
    pub(super) async fn handle(&self, parts: Box<Parts>, body: Incoming) -> Outcome {
        let (checked, cors) = self.guard.check(&parts);
        let checked = match checked {
            Ok(()) if is_stream(&parts.method, &parts.uri) => match self.stream(&parts, &cors) {
                Ok(attach) => return Outcome::Stream(Box::new(attach)),
                Err(error) => Err(error),
            },
            checked => checked,
        };
        let BodyRead { body, whole } = body::read(body, self.timeouts.body).await;
        let mut response = match checked.and(body) {
            Ok(body) => self.route(parts, body).await,
            Err(error) => error.into_response().map(Either::Right),
        };
        let headers = response.headers_mut();
        for (name, value) in cors.lines() {
            headers.append(name, value);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if !whole {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.metrics.answered(response.status());
        Outcome::Response(response)
    }

    /// Hands a connection over to the stream, which writes the response.
    pub(super) fn attach(&self, socket: TcpStream, attach: Attach) {
        let attached = socket
            .into_std()
            .map_err(|error| error.to_string())
            .and_then(|socket| self.stream.attach(socket, attach).map_err(|e| e.to_string()));
        if let Err(error) = attached {
            self.metrics.refused(Refused::Stream);
            tracing::warn!(%error, "a stream was not taken");
        }
    }

    /// How many connections there are, streams included.
    pub(super) fn connections(&self) -> usize {
        let streams = usize::try_from(self.stream.metrics().connections.get());
        self.metrics.connections().saturating_add(streams.unwrap_or(usize::MAX))
    }

    pub(super) fn metrics(&self) -> &HttpMetrics {
        &self.metrics
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    fn stream(&self, parts: &Parts, cors: &Cors) -> Result<Attach, ApiError> {
        let mut request = StreamRequest::parse(parts.uri.query(), &parts.headers)
            .map_err(|error| ApiError::bad_params(error.to_string()))?;
        request.check_log(&self.app.log);
        if self.connections() > self.max_connections {
            self.metrics.refused(Refused::TooMany);
            return Err(ApiError::too_many_connections());
        }
        let log = self.app.log.id().map(|id| format!("{LOG_HEADER}: {id}\r\n"));
        let cors = cors
            .lines()
            .filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value.to_str().ok()?)));
        let extra_headers = log.into_iter().chain(cors).collect();
        Ok(Attach { request, http10: parts.version < Version::HTTP_11, extra_headers })
    }

    /// Orders and cancels come by the thousand: a router, and what it needs, cost as much as they do.
    async fn route(&self, mut parts: Box<Parts>, body: Bytes) -> Response<AnswerBody> {
        let command = match parts.uri.path() {
            "/api/order" if parts.method == Method::POST => Command::order(&body),
            "/api/cancel" if parts.method == Method::POST => Command::cancel(&body),
            _ => return Box::pin(self.route_other(parts, body)).await.map(Either::Right),
        };
        let answer = match command {
            Ok(command) => orders::obey(&self.app, command).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(json) => {
                // The request's table of fields serves the answer, and then the next request.
                parts.headers.clear();
                let mut response = Response::new(Either::Left(Full::from(json)));
                *response.headers_mut() = std::mem::take(&mut parts.headers);
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response
            }
            Err(error) => error.into_response().map(Either::Right),
        }
    }

    async fn route_other(&self, parts: Box<Parts>, body: Bytes) -> Response<Body> {
        if is_preflight(&parts.method, &parts.headers) {
            return preflight();
        }
        let is_options = parts.method == Method::OPTIONS;
        let request = Request::from_parts(*parts, Body::from(body));
        let mut response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // OPTIONS asks for the methods, which the refusal of it tells.
        if is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let allow = response.headers_mut().remove(header::ALLOW);
            response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
        }
        response
    }
}

/// The answer to a browser's question before a request; the origin is allowed, or it would not be here.
fn preflight() -> Response<Body> {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Last-Event-ID, Authorization"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
