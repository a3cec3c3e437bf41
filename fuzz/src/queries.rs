//! The query and headers of `GET /api/stream`, one a line: query, `Last-Event-ID`, `Accept`. What a request says
//! can be said again, and means the same.

use http::{HeaderMap, HeaderValue};
use veloz::stream::filter::{Encoding, Kinds};
use veloz::stream::request::{Start, StreamRequest};
use veloz_core::event::EventKind;

/// See the module.
pub fn check(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let Ok(query) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let mut headers = HeaderMap::new();
    for (name, line) in ["last-event-id", "accept"].into_iter().zip(lines) {
        if !line.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(line)
        {
            headers.insert(name, value);
        }
    }
    match StreamRequest::parse(Some(query), &headers) {
        Ok(request) => {
            let printed = print(&request);
            let again = StreamRequest::parse(Some(&printed), &HeaderMap::new());
            assert_eq!(again.as_ref(), Ok(&request), "{query:?} is {printed:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn print(request: &StreamRequest) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Start::After(id) = request.start {
        query.append_pair("last_id", &id.to_string());
    }
    if let Some(log) = request.log {
        query.append_pair("log", &log.to_string());
    }
    let filter = &request.filter;
    if filter.kinds != Kinds::ALL {
        let kinds = EventKind::ALL.into_iter().filter(|kind| filter.kinds.has(*kind));
        let names: Vec<_> = kinds.map(EventKind::as_str).collect();
        query.append_pair("types", &names.join(","));
    }
    if !filter.symbols.is_empty() {
        let names: Vec<_> = filter.symbols.iter().map(|symbol| symbol.as_str()).collect();
        query.append_pair("symbols", &names.join(","));
    }
    if let Some(id) = &filter.client_order_id {
        query.append_pair("client_order_id", id.as_str());
    }
    let (named, format) = match request.encoding {
        Encoding::Sse => ("1", "sse"),
        Encoding::SseUnnamed => ("0", "sse"),
        Encoding::Ndjson => ("1", "ndjson"),
    };
    query.append_pair("named", named).append_pair("format", format);
    query.append_pair("snapshot", if request.snapshot { "1" } else { "0" });
    query.append_pair("ping", if request.ping { "true" } else { "false" });
    if let Some(symbol) = &request.book {
        query.append_pair("book", symbol.as_str());
    }
    query.finish()
}
