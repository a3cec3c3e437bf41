//! `kill -9` again and again, under load: orders, and 50 subscribers of which four are clients that
//! nobody here wrote. Every one of them ends with the same log without a gap, and every answer that an order
//! got is true. `VELOZ_KILLS` sets how often: 50 without it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::{
    ClientProcess, Follower, Gateway, Options, eventually, fixed_port, needed, root, seeded,
    try_post_json,
};

/// With the four real clients they are 50.
const FOLLOWERS: usize = 46;
/// After so many kills everyone must have come to the newest event once.
const ROUNDS_BETWEEN_LOOKS: u64 = 10;

fn kills() -> u64 {
    std::env::var("VELOZ_KILLS").map_or(50, |n| n.parse().expect("VELOZ_KILLS is a number"))
}

/// The real clients, each with its name, from the oldest event on.
fn real_clients(address: SocketAddr) -> Vec<(&'static str, ClientProcess)> {
    let url = format!("http://{address}/api/stream");
    let from_oldest = format!("{url}?last_id=0");
    let mut curl = Command::new(needed("examples/curl/resume.sh"));
    curl.args([&url, "0"]);
    let mut python = Command::new(needed(".venv/bin/python"));
    python.arg(root().join("examples/python/stream.py")).args([&url, "0"]);
    needed("examples/js/node_modules/eventsource");
    let mut npm = Command::new("node");
    npm.arg(root().join("examples/js/stream.mjs")).arg(&from_oldest);
    needed("tests/clients/node_modules/playwright-core");
    let mut chromium = Command::new("node");
    chromium.arg(root().join("tests/clients/browser_resume.mjs")).arg(&from_oldest);
    let all =
        [("curl", curl), ("sseclient-py", python), ("eventsource", npm), ("Chromium", chromium)];
    all.into_iter().map(|(name, mut command)| (name, ClientProcess::start(&mut command))).collect()
}

/// Places orders, each sent again until it is answered, and keeps the answers.
struct Trader<'t> {
    address: SocketAddr,
    watch: &'t Follower,
    stop: &'t AtomicBool,
    answered: &'t AtomicU64,
    answers: &'t Mutex<BTreeMap<String, (u16, Value)>>,
}

impl Trader<'_> {
    fn trade(&self, name: &str) {
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
            self.answered.fetch_add(1, Ordering::SeqCst);
            // A pace that subscribers keep: something new is seen before the next one is placed.
            let seen = self.watch.newest();
            eventually("a subscriber goes on", || (self.watch.newest() > seen).then_some(()));
        }
    }
}

#[test]
fn killed_under_load_again_and_again() {
    let mut rng = seeded("kills");
    let port = fixed_port(&mut rng);
    let options = Options::default().env("VELOZ_PORT", port).env("VELOZ_SIM_INTERVAL_MS", 10);
    let mut gateway = Gateway::start(options);
    let address = gateway.address();
    let mut clients = real_clients(address);
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| Follower::start(address)).collect();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let answers = Mutex::new(BTreeMap::new());
    gateway = std::thread::scope(|scope| {
        // However this ends, the traders must.
        let _stopped = StopOnDrop(&stop);
        for name in ["a", "b", "c", "d"] {
            let watch = &followers[0];
            let trader =
                Trader { address, watch, stop: &stop, answered: &answered, answers: &answers };
            scope.spawn(move || trader.trade(name));
        }
        for round in 1..=kills() {
            let (orders, seen) = (answered.load(Ordering::SeqCst), followers[0].newest());
            let enough = orders + rng.u64(1..40);
            eventually("orders are answered, and events seen", || {
                let goes_on =
                    answered.load(Ordering::SeqCst) >= enough && followers[0].newest() > seen;
                goes_on.then_some(())
            });
            if round % ROUNDS_BETWEEN_LOOKS == 0 {
                everyone_reaches(gateway.newest(), &followers, &mut clients);
            }
            gateway.kill();
            gateway = gateway.again();
        }
        gateway
    });
    // The traders have ended, the market goes on: the log is held at what it is now.
    gateway = gateway.again_with(Options::quiet().env("VELOZ_PORT", port).flag("--cancel-open"));
    let newest = gateway.newest();
    everyone_reaches(newest, &followers, &mut clients);
    for follower in &followers {
        assert_eq!((follower.newest(), follower.hash()), (newest, followers[0].hash()));
        assert!(follower.connections() > kills(), "{} connections", follower.connections());
    }
    for (name, client) in &clients {
        let ids = client.ids();
        let wrong = ids.iter().zip(1_u64..).find(|&(&id, expected)| id != expected);
        assert_eq!((wrong, ids.len() as u64), (None, newest), "{name}: (id seen, id expected)");
    }
    let answers = answers.into_inner().expect("not poisoned");
    every_answer_is_true(&gateway, &answers);
    println!("{} kills, {newest} events, {} orders", kills(), answers.len());
}

struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn everyone_reaches(
    newest: u64,
    followers: &[Follower],
    clients: &mut [(&'static str, ClientProcess)],
) {
    for follower in followers {
        eventually("a subscriber comes to the newest event", || {
            (follower.newest() >= newest).then_some(())
        });
    }
    for (name, client) in clients {
        eventually(&format!("{name} comes to event {newest}"), || {
            (client.seen().1 >= newest).then_some(())
        });
    }
}

/// Each answered order was placed once, and became what its answer said.
fn every_answer_is_true(gateway: &Gateway, answers: &BTreeMap<String, (u16, Value)>) {
    assert!(answers.len() as u64 > kills(), "{} orders", answers.len());
    let told = order_events(gateway);
    for (id, (status, answer)) in answers {
        let events = told.get(id).unwrap_or_else(|| panic!("{id} is not in the log: {answer}"));
        let count = |status: &str| events.iter().filter(|event| event["status"] == status).count();
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

/// What the log says of each order, in order.
fn order_events(gateway: &Gateway) -> BTreeMap<String, Vec<Value>> {
    let mut told = BTreeMap::<String, Vec<Value>>::new();
    let mut after = 0;
    loop {
        let query = format!("?after={after}&limit=1000&types=order_update,fill");
        let page = gateway.json(&format!("/api/events{query}"));
        assert!(page.get("gap").is_none(), "{page}");
        for item in page["items"].as_array().expect("items") {
            let id = item["data"]["client_order_id"].as_str().expect("an id");
            told.entry(id.to_owned()).or_default().push(item["data"].clone());
        }
        after = page["next_after"].as_u64().expect("an id");
        if after >= page["newest"].as_u64().expect("an id") {
            return told;
        }
    }
}
