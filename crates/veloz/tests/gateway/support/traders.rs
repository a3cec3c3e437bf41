//! Orders as a load: traders that send each one until it is answered, and keep the answers to be judged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Follower, Gateway, eventually, try_post_json};

/// Stops what watches it, however a test ends.
pub(crate) struct StopOnDrop<'s>(pub(crate) &'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Traders, and the answers that they got.
pub(crate) struct Traders {
    address: SocketAddr,
    stop: AtomicBool,
    answers: Mutex<BTreeMap<String, (u16, Value)>>,
}

impl Traders {
    pub(crate) fn new(address: SocketAddr) -> Traders {
        Traders { address, stop: AtomicBool::new(false), answers: Mutex::default() }
    }

    /// Four of them trade while `work` is done, at a pace that `watch` keeps.
    pub(crate) fn trade_while<T>(&self, watch: &Follower, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let _stopped = StopOnDrop(&self.stop);
            for name in ["a", "b", "c", "d"] {
                scope.spawn(move || self.trade(name, watch));
            }
            work()
        })
    }

    /// How many orders were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answers.lock().expect("not poisoned").len()
    }

    fn trade(&self, name: &str, watch: &Follower) {
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let id = format!("{name}-{number}");
            let (side, kind) = match number % 3 {
                0 => ("BUY", json!({"type": "MARKET"})),
                1 => ("SELL", json!({"type": "MARKET"})),
                _ => ("BUY", json!({"price": "1000"})),
            };
            let mut order = kind;
            order["side"] = json!(side);
            order["symbol"] = json!("BTCUSDT");
            order["qty"] = json!(if number % 3 == 2 { "0.01" } else { "0.001" });
            order["client_order_id"] = json!(id);
            let reply = eventually("an order is answered", || {
                let reply = try_post_json(self.address, "/api/order", &order.to_string())?;
                // Anything else is for another try: the same id places nothing twice.
                [200, 422].contains(&reply.status).then_some(reply)
            });
            let answer = reply.json();
            assert_eq!(answer["client_order_id"], json!(id), "{answer}");
            self.answers.lock().expect("not poisoned").insert(id, (reply.status, answer));
            // A pace that subscribers keep: something new is seen before the next one is placed.
            let seen = watch.newest();
            eventually("a subscriber goes on", || (watch.newest() > seen).then_some(()));
        }
    }

    /// Each answered order was placed once, and became what its answer said.
    pub(crate) fn judge(&self, gateway: &Gateway) {
        let told = order_events(gateway);
        for (id, (status, answer)) in self.answers.lock().expect("not poisoned").iter() {
            let events = told.get(id).unwrap_or_else(|| panic!("{id} is not in the log: {answer}"));
            let count =
                |status: &str| events.iter().filter(|event| event["status"] == status).count();
            if *status == 422 {
                assert_eq!((count("REJECTED"), events.len()), (1, 1), "{id}: {events:?}");
                continue;
            }
            assert_eq!(count("ACCEPTED"), 1, "{id} was placed once: {events:?}");
            let answered = answer["status"].as_str().expect("a status");
            assert!(count(answered) >= 1, "{id} was answered {answered}: {events:?}");
            let state = gateway.json(&format!("/api/order_state?client_order_id={id}"));
            let fills = events.iter().filter(|event| event["type"] == "fill");
            let filled: f64 = fills.filter_map(|fill| fill["qty"].as_f64()).sum();
            let executed = state["executed_qty"].as_f64().expect("a number");
            assert!((filled - executed).abs() < 1e-9, "{id}: {filled} in its fills, {state}");
        }
    }
}

/// What the log says of each order, in order.
fn order_events(gateway: &Gateway) -> BTreeMap<String, Vec<Value>> {
    let mut told = BTreeMap::<String, Vec<Value>>::new();
    for item in gateway.log("types=order_update,fill") {
        let id = item["data"]["client_order_id"].as_str().expect("an id");
        told.entry(id.to_owned()).or_default().push(item["data"].clone());
    }
    told
}
