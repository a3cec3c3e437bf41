//! `kill -9` again and again, under load: orders, and 50 subscribers of which four are clients that
//! nobody here wrote. Every one of them ends with the same log without a gap, and every answer that an order
//! got is true. `VELOZ_KILLS` sets how often: 50 without it.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::{
    ClientProcess, Follower, Gateway, Options, Traders, eventually, fixed_port, needed, root,
    seeded,
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

#[test]
fn killed_under_load_again_and_again() {
    let mut rng = seeded("kills");
    let port = fixed_port(&mut rng);
    let options = Options::default().env("VELOZ_PORT", port).env("VELOZ_SIM_INTERVAL_MS", 10);
    let mut gateway = Gateway::start(options);
    let address = gateway.address();
    let mut clients = real_clients(address);
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| Follower::start(address)).collect();
    // Everyone is there before the first kill: a browser takes its time to start.
    everyone_reaches(1, &followers, &mut clients);
    let traders = Traders::new(address);
    gateway = traders.trade_while(&followers[0], || {
        for round in 1..=kills() {
            let (orders, seen) = (traders.answered(), followers[0].newest());
            let enough = orders + rng.usize(1..40);
            eventually("orders are answered, and everyone sees events", || {
                let all_see = followers.iter().all(|follower| follower.newest() > seen);
                (traders.answered() >= enough && all_see).then_some(())
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
    assert!(traders.answered() as u64 > kills(), "{} orders", traders.answered());
    traders.judge(&gateway);
    println!("{} kills, {newest} events, {} orders", kills(), traders.answered());
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
