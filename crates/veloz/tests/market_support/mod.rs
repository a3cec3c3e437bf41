//! Slow and simple counterparts of what the market sources do, to compare with.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use veloz::market::{SourceConfig, SourceMessage, SourceStatus, start};
use veloz_core::input::{MarketBody, MarketData};
use veloz_core::types::{Price, Qty, Side, Symbol};

pub(crate) fn symbol(name: &str) -> Symbol {
    Symbol::parse(name).expect("a symbol")
}

/// A real capture, or `None` and a line that says which test is skipped.
pub(crate) fn capture(test: &str, name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // Past the test's capture of output, so that it is seen.
    writeln!(std::io::stderr(), "skipped: {test}: needs ../shared/data/{name}").expect("stderr");
    None
}

/// The text of a gzip.
pub(crate) fn text_of(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("opens");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("reads");
    text
}

/// Everything that a source said.
pub(crate) struct Outcome {
    pub(crate) data: Vec<MarketData>,
    pub(crate) faults: Vec<String>,
    pub(crate) end: Result<(), String>,
    pub(crate) largest_batch: usize,
    pub(crate) status: SourceStatus,
}

/// Runs a source to its end.
pub(crate) fn collect(config: SourceConfig) -> Outcome {
    let (out, messages) = crossbeam_channel::bounded(4);
    let source = start(config, out, || {}).expect("starts");
    let (mut data, mut faults, mut largest_batch) = (Vec::new(), Vec::new(), 0);
    let end = loop {
        match messages.recv_timeout(Duration::from_secs(60)).expect("says more") {
            SourceMessage::Data(batch) => {
                largest_batch = largest_batch.max(batch.len());
                data.extend(batch);
            }
            SourceMessage::Fault { detail, .. } => faults.push(detail),
            SourceMessage::Finished => break Ok(()),
            SourceMessage::Failed { detail, .. } => break Err(detail),
        }
    };
    Outcome { data, faults, end, largest_batch, status: source.monitor().status() }
}

/// Reads a capture by `serde_json::Value`, line by line.
pub(crate) fn naive_messages(text: &str, name: &str) -> Vec<MarketData> {
    text.lines()
        .zip(1..)
        .map(|(line, number)| {
            let (_, json) = line.split_once(' ').expect("a time");
            let outer: Value = serde_json::from_str(json).expect("JSON");
            let body = naive_body(outer.get("data").unwrap_or(&outer));
            MarketData { symbol: symbol(name), position: Some(number), body }
        })
        .collect()
}

fn naive_body(data: &Value) -> MarketBody {
    let number = |field: &str| data[field].as_u64().expect("a number");
    let price = |v: &Value| -> Price { v.as_str().expect("text").parse().expect("a price") };
    let qty = |v: &Value| -> Qty { v.as_str().expect("text").parse().expect("a quantity") };
    let levels = |field: &str| -> Levels {
        data[field].as_array().expect("levels").iter().map(|l| (price(&l[0]), qty(&l[1]))).collect()
    };
    if data["e"] == "trade" {
        MarketBody::Trade {
            ts_ns: i64::try_from(number("T")).expect("a time") * 1_000_000,
            price: price(&data["p"]),
            qty: qty(&data["q"]),
            side: if data["m"] == true { Side::Sell } else { Side::Buy },
            trade_id: number("t"),
        }
    } else if data["e"] == "depthUpdate" {
        let (first_id, last_id) = (number("U"), number("u"));
        MarketBody::Depth { first_id, last_id, bids: levels("b"), asks: levels("a") }
    } else if data.get("lastUpdateId").is_some() {
        let last_id = number("lastUpdateId");
        MarketBody::Snapshot { last_id, bids: levels("bids"), asks: levels("asks") }
    } else {
        MarketBody::Quote {
            update_id: number("u"),
            bid: (price(&data["b"]), qty(&data["B"])),
            ask: (price(&data["a"]), qty(&data["A"])),
        }
    }
}

/// One side of a book, best first.
pub(crate) type Levels = Vec<(Price, Qty)>;

/// A book kept by Binance's procedure, in maps. It panics on a gap and when it is crossed.
#[derive(Default)]
pub(crate) struct NaiveBook {
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
    last_id: Option<u64>,
    early: Vec<MarketBody>,
    pub(crate) updates: u64,
}

impl NaiveBook {
    pub(crate) fn apply(&mut self, body: &MarketBody) {
        match body {
            MarketBody::Snapshot { last_id, bids, asks } => {
                self.last_id = Some(*last_id);
                self.bids = bids.iter().copied().collect();
                self.asks = asks.iter().copied().collect();
                for early in std::mem::take(&mut self.early) {
                    self.apply(&early);
                }
            }
            MarketBody::Depth { first_id, last_id, bids, asks } => {
                let Some(known) = self.last_id else { return self.early.push(body.clone()) };
                if *last_id <= known {
                    return;
                }
                assert!(*first_id <= known + 1, "a gap: {known}, then {first_id}");
                self.last_id = Some(*last_id);
                set(&mut self.bids, bids);
                set(&mut self.asks, asks);
                self.updates += 1;
            }
            _ => return,
        }
        let best = (self.bids.keys().next_back(), self.asks.keys().next());
        assert!(!matches!(best, (Some(bid), Some(ask)) if bid >= ask), "crossed: {best:?}");
    }

    /// A trade is at the touch and eats of it.
    pub(crate) fn take(&mut self, taker: Side, price: Price, qty: Qty) {
        let (bids, asks) = self.levels();
        let ((best, offered), side) = match taker {
            Side::Buy => (asks[0], &mut self.asks),
            Side::Sell => (bids[0], &mut self.bids),
        };
        assert!(price == best && qty <= offered, "{qty} at {price} of {offered} at {best}");
        set(side, &[(price, offered.checked_sub(qty).expect("fits"))]);
    }

    pub(crate) fn levels(&self) -> (Levels, Levels) {
        let all = |(price, qty): (&Price, &Qty)| (*price, *qty);
        (self.bids.iter().rev().map(all).collect(), self.asks.iter().map(all).collect())
    }
}

fn set(side: &mut BTreeMap<Price, Qty>, levels: &[(Price, Qty)]) {
    for (price, qty) in levels {
        if qty.is_zero() {
            side.remove(price);
        } else {
            side.insert(*price, *qty);
        }
    }
}
