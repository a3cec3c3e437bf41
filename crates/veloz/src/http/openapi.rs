//! `GET /api/openapi.json`: a document that is kept by hand and held to the router by a test.

use axum::response::Response;

use super::router::raw_json;

const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub(super) async fn document() -> Response {
    raw_json(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::routes;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described: Vec<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut routed: Vec<&str> = routes().into_iter().map(|(path, _)| path).collect();
        described.sort_unstable();
        routed.sort_unstable();
        assert_eq!(described, routed);
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let others = &operation["responses"]["default"]["$ref"];
                assert_eq!(others, "#/components/responses/Other", "{method} {path}");
            }
        }
    }
}
