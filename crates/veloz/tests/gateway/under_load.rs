//! The stream of the running program while it has its hands full: hundreds of subscribers, four traders, a market.
//! What the contract says of a stream holds meanwhile; and clients that end in any state of their connection, in
//! any way, leave nothing behind and take nothing from anybody else.

mod closing;
mod contract;
mod endings;

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Follower, Gateway, Options, Traders, eventually, fixed_port, seeded};

const FOLLOWERS: usize = 200;
/// Orders that rest, so that a snapshot is more than a socket takes that nobody reads.
const RESTING: usize = 600;
/// Events that are in the log only: the window of a gateway that starts again is empty.
const OLD_EVENTS: u64 = 3_000;

/// A gateway with its load.
struct Loaded {
    gateway: Gateway,
    /// How it was started.
    options: Options,
    /// The newest event that is in the log only, not in memory.
    seam: u64,
    rng: fastrand::Rng,
}

/// Does `work` while hundreds of subscribers follow and traders trade, and `calm` while they go on without orders. Then
/// every subscriber has all of one log, and every answer that an order got is true.
fn under_load(test: &str, work: impl FnOnce(&mut Loaded), calm: impl FnOnce(&mut Loaded)) {
    let mut rng = seeded(test);
    let port = fixed_port(&mut rng);
    let market = Options::default()
        .env("VELOZ_PORT", port)
        .env("VELOZ_MARKET_SYMBOLS", "BTCUSDT,ETHUSDT")
        .env("VELOZ_KEEP_ALIVE_MS", 300);
    let mut gateway = Gateway::start(market.clone().env("VELOZ_SIM_INTERVAL_MS", 1));
    for n in 0..RESTING {
        let order = json!({"side": "BUY", "symbol": "ETHUSDT", "qty": "0.01", "price": "1000",
            "client_order_id": format!("rests-{n}")});
        let reply = gateway.post("/api/order", &order);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    eventually("there is a log", || (gateway.newest() > OLD_EVENTS).then_some(()));
    gateway.kill();
    let seam = newest_of_log(&gateway);
    let options = market.env("VELOZ_SIM_INTERVAL_MS", 20);
    let gateway = gateway.again_with(options.clone());
    let follow = || Follower::start_after(gateway.address(), seam);
    let followers: Vec<_> = std::iter::repeat_with(follow).take(FOLLOWERS).collect();
    let all_see = |newest: u64| {
        for follower in &followers {
            eventually("all see it", || (follower.newest() >= newest).then_some(()));
        }
    };
    all_see(seam + 1);
    let traders = Traders::new(gateway.address());
    let mut loaded = Loaded { gateway, options, seam, rng };
    traders.trade_while(&followers[0], || work(&mut loaded));
    calm(&mut loaded);
    // The market goes on: the log is held at what it is now.
    let held = Options::quiet().env("VELOZ_PORT", port).flag("--cancel-open");
    let gateway = loaded.gateway.again_with(held);
    let newest = gateway.newest();
    all_see(newest);
    for follower in &followers {
        assert_eq!((follower.newest(), follower.hash()), (newest, followers[0].hash()));
    }
    traders.judge(&gateway);
    let (orders, events) = (traders.answered(), newest - seam);
    println!("{test}: {events} events to {FOLLOWERS} subscribers meanwhile, {orders} orders");
}

fn newest_of_log(stopped: &Gateway) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
    let output = command.args(["journal", "stats", "--json"]).arg(stopped.dir()).output();
    let stats: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    stats["newest"].as_u64().expect("an id")
}
