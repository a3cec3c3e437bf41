//! The dashboard in a real browser. What a trader does and sees is in `tests/clients/dashboard*.mjs`; here is
//! what happens to the gateway under the page: killed, replaced, stopped, busy.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Capture, ClientProcess, Gateway, Options, Proxy, eventually, needed, root};

/// When the gateway is back, the page must be right again within this.
const BACK_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_trader_sees_all_of_it_through_a_crash() {
    let capture = Capture::book(&[("99.00", "1.0")], &[("100.00", "0.5"), ("101.00", "5.0")]);
    let capture = capture.trade("SELL", "100.00", "0.1").trade("SELL", "100.00", "1.2");
    let mut gateway = capture.play();
    gateway.step(1);
    let proxy = Proxy::start(gateway.address(), true);
    let mut page = open("dashboard.mjs", &format!("http://{}/", proxy.address()), &[]);
    wait_for(&mut page, "kill");
    gateway.kill();
    wait_for(&mut page, "lost");
    let gateway = gateway.again();
    let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.2", "price": "98",
        "client_order_id": "while-away"});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
    let back = Instant::now();
    proxy.set_target(gateway.address());
    wait_for(&mut page, "live");
    let took = back.elapsed();
    assert!(took < BACK_WITHIN, "the page was right again after {took:?}");
    // Another gateway's log, first with fewer events than the page has seen, then with more.
    wait_for(&mut page, "another");
    let other = Gateway::start(Options::quiet());
    proxy.set_target(other.address());
    drop(gateway);
    wait_for(&mut page, "longer");
    let longer = Gateway::start(Options::busy());
    eventually("the other log is longer", || (longer.newest() > 200).then_some(()));
    proxy.set_target(longer.address());
    drop(other);
    wait_for(&mut page, "done");
}

#[test]
fn the_dashboard_is_for_everyone_and_never_calls_old_things_live() {
    let gateway = Gateway::start(Options::default().env("VELOZ_MARKET_SYMBOLS", "ETHUSDT"));
    let mut page = open("dashboard_states.mjs", &gateway.url("/"), &[]);
    let pid = i32::try_from(gateway.pid()).ok().and_then(rustix::process::Pid::from_raw);
    let signal = |signal| rustix::process::kill_process(pid.expect("a pid"), signal);
    wait_for(&mut page, "stop");
    signal(rustix::process::Signal::STOP).expect("a child of ours");
    wait_for(&mut page, "go on");
    signal(rustix::process::Signal::CONT).expect("a child of ours");
    wait_for(&mut page, "done");
}

/// Forty instruments with two trades each on average, forty times a second, are more than is asked for.
#[test]
fn a_busy_market_neither_stops_nor_fills_the_page() {
    let symbols: Vec<String> = (0..39).map(|i| format!("X{i}USDT")).collect();
    let options = Options::default()
        .env("VELOZ_MARKET_SYMBOLS", symbols.join(","))
        .env("VELOZ_SIM_INTERVAL_MS", 25);
    let gateway = Gateway::start(options);
    let seconds = if std::env::var_os("VELOZ_CUTS").is_some() { "60" } else { "12" };
    let mut page = open("dashboard_load.mjs", &gateway.url("/"), &["2000", seconds]);
    wait_for(&mut page, "done");
    println!("{}", page.lines().join("\n"));
}

/// They are looked at by people; README shows one of them.
#[test]
fn pictures_from_a_phone_to_a_wide_screen() {
    let gateway = Gateway::start(Options::default().env("VELOZ_MARKET_SYMBOLS", "ETHUSDT"));
    eventually("the market has gone on for a while", || (gateway.newest() > 300).then_some(()));
    let directory = root().join("target/dashboard");
    let directory = directory.to_str().expect("UTF-8");
    let mut page = open("dashboard_pictures.mjs", &gateway.url("/"), &[directory]);
    wait_for(&mut page, "taken");
}

/// A script of `tests/clients` at work on the page.
fn open(script: &str, url: &str, more: &[&str]) -> ClientProcess {
    needed("tests/clients/node_modules/playwright-core");
    needed("tests/clients/node_modules/axe-core");
    needed("web/dist/index.html");
    let mut command = Command::new("node");
    ClientProcess::start(command.arg(root().join("tests/clients").join(script)).arg(url).args(more))
}

/// Waits until the page's driver says this word. A driver has a patience of its own for every step, and tells
/// what was wrong; this one is for all its steps up to the word.
fn wait_for(page: &mut ClientProcess, word: &str) {
    let deadline = Instant::now() + Duration::from_secs(150);
    while !page.lines().iter().any(|line| line == word) {
        let ended = page.ended();
        assert!(ended.is_none(), "{ended:?}: {}", page.complaints().join("\n"));
        assert!(Instant::now() < deadline, "the dashboard's driver never says {word:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
