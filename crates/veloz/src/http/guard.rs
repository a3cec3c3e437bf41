//! Who may ask: the checks on a request's head that come before everything else.
//!
//! Contract: a `Host` that is not the gateway's own is 421 (a name that is made to point here reaches
//! nothing), a foreign `Origin` is 403 (no web page reads or orders), a POST that is not
//! `application/json`, or is compressed, is 415 (no form reaches an order). Loopback names with any port are own names and
//! own origins; the configuration adds to both.
//!
//! Authentication and rate limits, when they come, are further steps of [`Guard::check`].

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Uri, Version};

use super::error::ApiError;

/// The rules for a request's head.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// The loopback names with the gateway's own port, as nearly every request has them: known at a glance.
    usual: [String; 3],
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Guard {
    /// The gateway's own names besides the loopback ones, the origins whose pages may ask, and the gateway's port.
    pub(super) fn new(hosts: Vec<String>, origins: Vec<String>, port: u16) -> Guard {
        Guard { hosts, origins, usual: LOOPBACK.map(|name| format!("{name}:{port}")) }
    }

    /// Refuses what may not ask; and what the answer to a page of an allowed origin must carry, so that the page
    /// may read it.
    pub(super) fn check(&self, request: &Parts) -> (Result<(), ApiError>, Cors) {
        let seen = self.look(&request.headers);
        let checked = self.check_host(request, &seen).and_then(|()| {
            if seen.has_foreign_origin {
                return Err(foreign_origin());
            }
            if request.method == Method::POST { seen.check_media() } else { Ok(()) }
        });
        (checked, Cors(seen.origin.filter(|_| !seen.has_foreign_origin).cloned()))
    }

    /// Looks at each field once, whatever the rules ask of it.
    fn look<'a>(&self, headers: &'a HeaderMap) -> Seen<'a> {
        let mut seen = Seen::default();
        for (name, value) in headers {
            match *name {
                header::HOST => seen.host.note(value),
                header::CONTENT_TYPE => seen.content_type.note(value),
                header::ORIGIN => {
                    seen.origin.get_or_insert(value);
                    let is_own = value.to_str().is_ok_and(|origin| self.is_own_origin(origin));
                    seen.has_foreign_origin |= !is_own;
                }
                header::CONTENT_ENCODING => {
                    seen.is_compressed |= !value.as_bytes().eq_ignore_ascii_case(b"identity");
                }
                _ => {}
            }
        }
        seen
    }

    fn check_host(&self, request: &Parts, seen: &Seen<'_>) -> Result<(), ApiError> {
        let host_is_own = match seen.host {
            Field::Once(host) => {
                self.usual.iter().any(|usual| usual == host)
                    || host.to_str().is_ok_and(|host| self.is_own(host))
            }
            Field::Again => return Err(ApiError::bad_params("the Host header is given twice")),
            // Without a Host header there is no name that could have been made to point here.
            Field::Missing if request.version < Version::HTTP_11 => true,
            Field::Missing => return Err(ApiError::bad_params("the Host header is missing")),
        };
        // `GET http://name/path`: that name counts too.
        let target_is_own =
            request.uri.authority().is_none_or(|target| self.is_own(target.as_str()));
        if host_is_own && target_is_own {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected_request",
            "this gateway does not answer to that host: it must be one of its names (VELOZ_ALLOWED_HOSTS adds \
             names), alone or with a colon and a port from 0 to 65535",
        ))
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
            && self.is_own(host)
    }

    /// Whether `host`, with or without a port, is a name of this gateway.
    fn is_own(&self, host: &str) -> bool {
        // Nothing else is taken apart: what is not a known name and a port is foreign.
        let name = match host.rsplit_once(':') {
            // The colons of an address in brackets are its own.
            Some((name, port)) if !port.ends_with(']') => {
                let is_port =
                    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
                if !is_port {
                    return false;
                }
                name
            }
            _ => host,
        };
        LOOPBACK.iter().any(|own| own.eq_ignore_ascii_case(name))
            || self
                .hosts
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host))
    }
}

/// The origin of a page that may read the answer, if a page asks.
#[derive(Debug)]
pub(super) struct Cors(Option<HeaderValue>);

impl Cors {
    /// The header lines, by name and value.
    pub(super) fn lines(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let exposed = HeaderValue::from_static("Retry-After, X-Veloz-Log");
        let allowed = self.0.clone().map(|origin| {
            [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
                (header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed),
            ]
        });
        std::iter::once((header::VARY, HeaderValue::from_static("Origin")))
            .chain(allowed.into_iter().flatten())
    }
}

/// What a request's head has of the fields that the rules are about.
#[derive(Debug, Default)]
struct Seen<'a> {
    host: Field<'a>,
    content_type: Field<'a>,
    /// The first.
    origin: Option<&'a HeaderValue>,
    has_foreign_origin: bool,
    is_compressed: bool,
}

/// A field that may be given once.
#[derive(Debug, Default)]
enum Field<'a> {
    #[default]
    Missing,
    Once(&'a HeaderValue),
    Again,
}

impl<'a> Field<'a> {
    fn note(&mut self, value: &'a HeaderValue) {
        *self = match self {
            Field::Missing => Field::Once(value),
            Field::Once(_) | Field::Again => Field::Again,
        };
    }
}

impl Seen<'_> {
    /// A body is JSON as it is.
    fn check_media(&self) -> Result<(), ApiError> {
        let problem = if !self.is_json() {
            "a POST needs Content-Type: application/json"
        } else if self.is_compressed {
            "a body must not be compressed: leave Content-Encoding out"
        } else {
            return Ok(());
        };
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Err(ApiError::new(status, "unsupported_media_type", problem))
    }

    fn is_json(&self) -> bool {
        let Field::Once(value) = self.content_type else { return false };
        if value == "application/json" {
            return true;
        }
        value.to_str().is_ok_and(|value| {
            let media_type = value.split(';').next().unwrap_or_default();
            media_type.trim().eq_ignore_ascii_case("application/json")
        })
    }
}

fn foreign_origin() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "pages of that origin may not ask; VELOZ_ALLOWED_ORIGINS adds origins",
    )
}

/// Whether this is a browser's question before a request across origins.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether this asks for the event stream, which is not answered here.
pub(super) fn is_stream(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && uri.path() == "/api/stream"
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use http::Request;

    fn check(request: http::request::Builder, expected: Option<u16>) {
        let guard = Guard::new(
            vec!["desk.example".to_owned(), "pinned.example:8443".to_owned()],
            vec!["https://pages.example".to_owned()],
            8080,
        );
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let refused = guard.check(&parts).0.err();
        let status = refused.map(|error| error.into_response().status().as_u16());
        assert_eq!(status, expected, "{parts:?}");
    }

    #[test]
    fn hosts() {
        let get = |host: &str| Request::get("/health").header("host", host);
        check(get("localhost"), None);
        check(get("LocalHost:1"), None);
        check(get("127.0.0.1:8080"), None);
        check(get("[::1]:8080"), None);
        check(get("desk.example"), None);
        check(get("DESK.example:99"), None);
        check(get("pinned.example:8443"), None);
        check(get("pinned.example:8444"), Some(421));
        check(get("pinned.example"), Some(421));
        check(get("evil.example"), Some(421));
        check(get("evil.example:8080"), Some(421));
        check(get("localhost.evil.example"), Some(421));
        check(get("evil@localhost"), Some(421));
        check(get("localhost:"), Some(421));
        check(get("localhost:65535"), None);
        check(get("localhost:65536"), Some(421));
        check(get("localhost:99999"), Some(421));
        check(get("localhost:+80"), Some(421));
        check(get("[::1]:99999"), Some(421));
        check(get("127.0.0.1:"), Some(421));
        check(get("localhost:80:80"), Some(421));
        check(get("localhost:80a"), Some(421));
        check(get("[::1]"), None);
        check(get("[::1]:"), Some(421));
        check(get("::1"), Some(421));
        check(get("[::2]"), Some(421));
        check(get("127.0.0.1/"), Some(421));
        check(get(""), Some(421));
        check(get("localhost").header("host", "localhost"), Some(400));
        check(Request::get("/health"), Some(400));
        check(Request::get("/health").version(Version::HTTP_10), None);
        check(Request::get("http://evil.example/health").header("host", "localhost"), Some(421));
        check(Request::get("http://localhost:80/health").header("host", "localhost"), None);
    }

    #[test]
    fn origins() {
        let get = |origin: &str| {
            Request::get("/health").header("host", "localhost:8080").header("origin", origin)
        };
        check(get("http://localhost:8080"), None);
        check(get("HTTP://LocalHost:8080"), None);
        check(get("ftp://localhost:8080"), Some(403));
        check(get("http://127.0.0.1:3000"), None);
        check(get("https://pages.example"), None);
        check(get("http://desk.example"), None);
        check(get("http://pages.example"), Some(403));
        check(get("https://pages.example:444"), Some(403));
        check(get("https://evil.example"), Some(403));
        check(get("http://localhost.evil.example"), Some(403));
        check(get("http://localhost@evil.example"), Some(403));
        check(get("file://localhost"), Some(403));
        check(get("null"), Some(403));
        check(get(""), Some(403));
        check(get("http://localhost").header("origin", "http://evil.example"), Some(403));
    }

    #[test]
    fn content_types() {
        let post = |content_type: &str| {
            Request::post("/api/order")
                .header("host", "localhost")
                .header("content-type", content_type)
        };
        check(post("application/json"), None);
        check(post("Application/JSON; charset=utf-8"), None);
        check(post("application/x-www-form-urlencoded"), Some(415));
        check(post("text/plain"), Some(415));
        check(post("application/jsonp"), Some(415));
        check(post("application/json").header("content-type", "text/plain"), Some(415));
        check(Request::post("/api/order").header("host", "localhost"), Some(415));
    }
}
