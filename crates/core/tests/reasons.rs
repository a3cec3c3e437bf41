//! The documents list every reason, from the enum itself.

#![cfg(test)]

use std::fmt::Write;
use std::path::Path;

use veloz_core::risk::Reason;

/// The document that the enum gives.
fn document() -> String {
    let mut text = String::from(
        "# Reasons\n\n\
         What `reason` says of an order that was refused (REJECTED, or an amendment that changed nothing), ended by its venue \
         (EXPIRED) or is not settled yet. The codes are part of the API: one is never renamed. The first rule that an order \
         breaks is its reason, in this order. This page is made from the program's own list (a test compares them).\n\n\
         | code | |\n|---|---|\n",
    );
    for reason in Reason::ALL {
        writeln!(text, "| `{}` | {} |", reason.as_str(), reason.about().trim()).unwrap();
    }
    text
}

#[test]
#[allow(clippy::disallowed_methods, reason = "whoever runs it may have it write the document")]
fn the_documents_list_every_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reasons.md");
    if std::env::var_os("VELOZ_WRITE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert!(
        stored == document(),
        "docs/reasons.md is not what the enum says: VELOZ_WRITE_DOCS=1 cargo test -p veloz-core \
         --test reasons writes it"
    );
}
