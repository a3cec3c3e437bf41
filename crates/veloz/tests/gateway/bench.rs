//! `veloz bench` against a running gateway: it measures each part, and leaves nothing behind.

use std::process::Command;

use serde_json::Value;

use crate::support::{Gateway, Options, eventually};

fn bench(gateway: &Gateway, args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
    command.args(["bench", "--json", "--seconds", "1", "--url", &gateway.url("")]).args(args);
    let output = command.output().expect("veloz starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The part was measured, and its times are in order.
fn check(figures: &Value, part: &str) {
    let part = &figures[part];
    let number = |name: &str| part[name].as_i64().unwrap_or_else(|| panic!("{name}: {figures}"));
    assert!(number("count") > 10 && number("per_second") > 10, "{figures}");
    let times = ["p50_us", "p99_us", "p999_us", "max_us"].map(number);
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
}

#[test]
fn each_part_is_measured_and_no_order_is_left() {
    let gateway = Gateway::start(Options::busy());
    eventually("the market has a price", || {
        (gateway.get("/api/market").status == 200).then_some(())
    });
    let figures = bench(&gateway, &["--orders"]);
    for part in ["health", "stream", "order", "cancel", "order_to_event"] {
        check(&figures, part);
    }
    assert!(figures["catch_up"]["per_second"].as_i64() > Some(10), "{figures}");
    let orders = gateway.json("/api/orders_state?limit=1000");
    let orders = orders["items"].as_array().expect("orders");
    assert_eq!(
        figures["order"]["count"].as_u64().map(|n| n.min(1000)),
        u64::try_from(orders.len()).ok()
    );
    for order in orders {
        assert_eq!((&order["status"], &order["executed_qty"]), (&"CANCELLED".into(), &0.0.into()));
    }
}

#[test]
fn without_orders_nothing_is_changed() {
    let gateway = Gateway::start(Options::quiet());
    let before = gateway.newest();
    let figures = bench(&gateway, &[]);
    check(&figures, "health");
    assert_eq!((&figures["stream"], &figures["order"]), (&Value::Null, &Value::Null));
    assert_eq!((gateway.newest(), &figures["catch_up"]["count"]), (before, &before.into()));
}
