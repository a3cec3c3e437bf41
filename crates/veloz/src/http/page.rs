//! The dashboard: files that `build.rs` packed into the program, gzipped.
//!
//! `/` is never kept by a browser without asking; the files under `/assets/` carry a hash of their
//! content in their name and are kept for good.

use std::io::Read as _;

use axum::response::IntoResponse;
use flate2::read::GzDecoder;
use http::{HeaderMap, StatusCode, Uri, header};

use super::error::ApiError;
use super::router::Answered;

/// Path and gzipped content, sorted by path.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Nothing from elsewhere, no inline code: text of events cannot become code in this page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub(super) async fn index(headers: HeaderMap) -> Answered {
    file("/index.html", &headers)
}

/// `GET /assets/{file}`
pub(super) async fn asset(uri: Uri, headers: HeaderMap) -> Answered {
    file(uri.path(), &headers)
}

fn file(path: &str, headers: &HeaderMap) -> Answered {
    let Some((_, packed)) = FILES.iter().find(|(name, _)| *name == path) else {
        return Err(ApiError::not_found(format!("there is no {path}")));
    };
    let common = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, cache_control(path)),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    if takes_gzip(headers) {
        return Ok((common, [(header::CONTENT_ENCODING, "gzip")], *packed).into_response());
    }
    let mut plain = Vec::new();
    GzDecoder::new(*packed).read_to_end(&mut plain).map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    })?;
    Ok((common, plain).into_response())
}

fn cache_control(path: &str) -> &'static str {
    if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "txt")) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether the request names gzip and does not refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = codings.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in [
            ("", false),
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0, identity", false),
            ("x-gzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(takes_gzip(&headers), takes, "{value}");
        }
    }

    #[test]
    fn a_client_without_gzip_gets_the_same_page() {
        let plain = index(HeaderMap::new());
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (plain, packed) = runtime.block_on(async { (plain.await, index(headers).await) });
        let (plain, packed) =
            (plain.unwrap_or_else(|_| panic!()), packed.unwrap_or_else(|_| panic!()));
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(plain.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
    }
}
