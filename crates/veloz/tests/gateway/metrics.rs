//! `/metrics`: what `docs/operations.md` lists is what is served, and it counts.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Gateway, Options, eventually};

const DOCUMENT: &str = include_str!("../../../../docs/operations.md");

fn names<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    words.filter(|word| word.starts_with("veloz_")).collect()
}

#[test]
fn each_metric_is_documented_and_each_documented_one_is_served() {
    let gateway = Gateway::start(Options::default());
    let page = gateway.metrics().0;
    let served =
        names(page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()));
    let table = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let documented = names(table.flat_map(|cell| cell.split('`')));
    assert_eq!(documented, served);
}

#[test]
fn times_and_streams_are_counted() {
    let gateway = Gateway::start(Options::quiet());
    let mut events = gateway.stream("");
    let level = || gateway.metrics().value("veloz_stream_level");
    eventually("the stream is level", || (level() == 1.0).then_some(()));
    let before = gateway.metrics();
    for n in 0..10 {
        let order = json!({
            "side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "30000",
            "client_order_id": format!("m{n}"),
        });
        let reply = gateway.post("/api/order", &order);
        assert_eq!(reply.json()["ok"], json!(true), "{}", reply.text());
        // All of them, so that the next order is a publication of its own.
        for kind in ["order_update", "order_state", "account"] {
            let frame = events.next().expect("its event");
            assert_eq!(frame.event.as_deref(), Some(kind));
        }
    }
    eventually("all is counted", || {
        let now = gateway.metrics();
        let grown = |line: &str| now.value(line) - before.value(line);
        let counted = ["decide", "append", "publish_lag", "delivery_lag"]
            .iter()
            .all(|time| grown(&format!("veloz_{time}_seconds_count")) >= 10.0);
        // The journal is brought to the disk in the background, for several orders at once.
        (counted && grown("veloz_sync_seconds_count") >= 1.0).then_some(())
    });
    drop(events);
    let closed = || gateway.metrics().value("veloz_stream_closes_total{reason=\"peer\"}");
    eventually("the close is counted", || (closed() == 1.0).then_some(()));
}
