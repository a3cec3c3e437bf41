//! Captures, plain and gzip: a bad line changes nothing, and the same lines mean the same in either form.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use veloz::market::capture::{CaptureParser, Parsed, split_time};
use veloz::market::replay::{capture_symbols, first_time_ns};
use veloz_core::types::Symbol;

thread_local! {
    static DIR: RefCell<TempDir> = RefCell::new(TempDir::new().expect("a folder"));
}

fn default_symbol() -> Symbol {
    Symbol::parse("BTCUSDT").expect("a symbol")
}

/// See the module.
pub fn check(data: &[u8]) {
    let mut parser = CaptureParser::new(default_symbol());
    for (line, position) in data.split(|byte| *byte == b'\n').zip(1..) {
        let Ok((_, message)) = split_time(line) else { continue };
        let before = parser.symbols();
        match parser.parse(message, position) {
            Ok(Parsed::Data(data)) => assert_eq!(data.position, Some(position)),
            Ok(Parsed::Other) => {}
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(parser.symbols(), before, "a bad line changed the parser");
            }
        }
    }
    let plain = write("plain", data);
    // A gzip in a plain file is a gzip.
    if !data.starts_with(&[0x1f, 0x8b]) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).expect("memory takes it");
        let gzip = write("gzip", &encoder.finish().expect("memory takes it"));
        assert_eq!(said(&gzip), said(&plain), "plain and gzip differ");
    } else {
        said(&plain);
    }
}

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = DIR.with(|dir| dir.borrow().path().join(name));
    std::fs::write(&path, bytes).expect("the folder takes it");
    path
}

fn said(path: &Path) -> (Option<Vec<Symbol>>, Option<Option<i64>>) {
    (capture_symbols(path, default_symbol()).ok(), first_time_ns(path).ok())
}
