//! The dashboard in a real browser. What a trader does and sees is in `tests/clients/dashboard*.mjs`; here is
//! what happens to the gateway under the page: killed, replaced, stopped, busy.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Capture, ClientProcess, Gateway, Options, Proxy, eventually, needed, root};
use crate::venue::kill_children;

/// When the gateway is back, the page must be right again within this.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// The same when no old connection ever works again: an attempt of a moment before must be given up first.
const NEW_CONNECTION_WITHIN: Duration = Duration::from_secs(6);

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
    place(&gateway, "while-away");
    let back = Instant::now();
    proxy.set_target(gateway.address());
    wait_for(&mut page, "live");
    let took = back.elapsed();
    assert!(took < BACK_WITHIN, "the page was right again after {took:?}");
    // Another gateway's log and symbol, first with fewer events than the page has seen, then with more.
    wait_for(&mut page, "another");
    let other = Gateway::start(Options::quiet().env("VELOZ_MARKET_SYMBOL", "ETHUSDT"));
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

/// By keyboard alone, with pairs and limits, under every banner, and over an engine of somebody's own.
#[test]
fn a_desk_that_needs_no_mouse() {
    let gateway = Gateway::start(Options::default());
    let program = env!("CARGO_BIN_EXE_veloz");
    let command = format!("'{program}' engine --sim-interval-ms 50 --sim-seed 7");
    let engine = Gateway::start(Options::quiet().env("VELOZ_ENGINE_CMD", command));
    let mut page = open("dashboard_desk.mjs", &gateway.url("/"), &[&engine.url("/")]);
    wait_for(&mut page, "end the engine");
    kill_children(engine.pid());
    wait_for(&mut page, "done");
}

/// A network that stands still, one that is gone with all its connections, and one that resets them.
#[test]
fn a_network_that_fails_loses_nothing_and_shows_nothing_old_as_live() {
    let gateway = Gateway::start(Options::default());
    let proxy = Proxy::start(gateway.address(), true);
    let url = format!("http://{}/", proxy.address());
    let mut page = open("dashboard_network.mjs", &url, &[&gateway.url("/")]);
    wait_for(&mut page, "hold");
    proxy.hold();
    place(&gateway, "while-held");
    wait_for(&mut page, "release");
    proxy.release();
    back(&mut page, "hold", BACK_WITHIN);
    wait_for(&mut page, "vanish");
    proxy.black_hole();
    place(&gateway, "while-gone");
    page.tell("gone");
    wait_for(&mut page, "return");
    proxy.revive();
    back(&mut page, "vanish", NEW_CONNECTION_WITHIN);
    wait_for(&mut page, "reset");
    proxy.reset_all();
    back(&mut page, "reset", BACK_WITHIN);
    wait_for(&mut page, "done");
    println!("{}", page.lines().join("\n"));
}

#[test]
fn a_browser_that_slept_wakes_to_the_truth() {
    let stays = Gateway::start(Options::default());
    let mut restarted = Gateway::start(Options::default());
    let proxy = Proxy::start(restarted.address(), true);
    let url = format!("http://{}/", proxy.address());
    let mut pages = open("dashboard_sleep.mjs", &stays.url("/"), &[&url]);
    wait_for(&mut pages, "dozing");
    proxy.hold();
    pages.tell("held");
    wait_for(&mut pages, "awake");
    proxy.release();
    wait_for(&mut pages, "asleep");
    restarted.kill();
    let restarted = restarted.again();
    proxy.set_target(restarted.address());
    place(&stays, "while-asleep");
    place(&restarted, "while-asleep");
    pages.tell("placed");
    wait_for(&mut pages, "done");
    finish(&mut pages);
    println!("{}", pages.lines().join("\n"));
}

/// More events than anybody asks for: forty instruments with two trades each on average, forty times a second.
fn busy_market() -> Gateway {
    let symbols: Vec<String> = (0..39).map(|i| format!("X{i}USDT")).collect();
    let options = Options::default()
        .env("VELOZ_MARKET_SYMBOLS", symbols.join(","))
        .env("VELOZ_SIM_INTERVAL_MS", 25);
    Gateway::start(options)
}

#[test]
fn a_busy_market_neither_stops_nor_fills_the_page() {
    let gateway = busy_market();
    let seconds = if std::env::var_os("VELOZ_CUTS").is_some() { "60" } else { "12" };
    let mut page = open("dashboard_load.mjs", &gateway.url("/"), &["2000", seconds]);
    wait_for(&mut page, "done");
    println!("{}", page.lines().join("\n"));
}

#[test]
fn a_hidden_tab_costs_nothing() {
    let gateway = busy_market();
    let mut page = open("dashboard_hidden.mjs", &gateway.url("/"), &["2000"]);
    wait_for(&mut page, "done");
    println!("{}", page.lines().join("\n"));
}

/// They are looked at by people; README shows one of them.
#[test]
fn pictures_of_every_state_from_a_phone_to_a_wide_screen() {
    let usual = Options::default().env("VELOZ_MARKET_SYMBOLS", "ETHUSDT");
    let gateway = Gateway::start(usual.env("VELOZ_SIM_INTERVAL_MS", 100));
    let proxy = Proxy::start(gateway.address(), true);
    let strange = strange_gateway();
    let ended =
        Capture::book(&[("99.00", "1.0")], &[("100.00", "0.5")]).trade("SELL", "100.00", "0.1");
    let ended = ended.play();
    ended.step(1);
    eventually("the market has gone on for a while", || (gateway.newest() > 300).then_some(()));
    let directory = root().join("target/dashboard");
    let directory = directory.to_str().expect("UTF-8");
    let more = [&strange.url("/"), &ended.url("/"), directory];
    let mut page = open("dashboard_pictures.mjs", &format!("http://{}/", proxy.address()), &more);
    wait_for(&mut page, "hold");
    proxy.hold();
    wait_for(&mut page, "release");
    proxy.release();
    wait_for(&mut page, "another");
    let other = Gateway::start(Options::default());
    proxy.set_target(other.address());
    proxy.reset_all();
    wait_for(&mut page, "done");
}

/// Tiny prices, balances of eighteen digits, and more symbols than a screen has lines.
fn strange_gateway() -> Gateway {
    let list = |base: &str| {
        json!({"symbol": format!("{base}USDT"), "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT", "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1", "tickSize": "0.00000001"},
            {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "46116860414", "stepSize": "1"}]})
    };
    let bases: Vec<String> = (1..=120).map(|i| format!("LONGNAME{i}")).collect();
    let all: Vec<_> =
        std::iter::once("PEPE").chain(bases.iter().map(String::as_str)).map(list).collect();
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(json!({"symbols": all}).to_string().as_bytes()).expect("written");
    // The gateway opens it at its start; it is left to the system's temporary directory.
    let (_, path) = file.keep().expect("kept");
    let balances: Vec<String> = bases.iter().take(40).map(|base| format!("{base}=1")).collect();
    let balances =
        format!("USDT=12345678901.2345678,PEPE=12345678901.2345678,{}", balances.join(","));
    let symbols: Vec<String> = bases.iter().map(|base| format!("{base}USDT")).collect();
    Gateway::start(
        Options::default()
            .env("VELOZ_EXCHANGE_INFO", path.display())
            .env("VELOZ_MARKET_SYMBOL", "PEPEUSDT")
            .env("VELOZ_MARKET_SYMBOLS", symbols.join(","))
            .env("VELOZ_SIM_BALANCES", balances)
            .env("VELOZ_SIM_INTERVAL_MS", 500),
    )
}

/// An order that stays open.
fn place(gateway: &Gateway, id: &str) {
    let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.2", "price": "98",
        "client_order_id": id});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
}

/// The page is right again, and how soon.
fn back(page: &mut ClientProcess, after: &str, within: Duration) {
    let from = Instant::now();
    wait_for(page, &format!("back after {after}"));
    let took = from.elapsed();
    assert!(took < within, "the page was right again after {took:?}");
    println!("after {after} right again in {took:?}");
}

/// Waits until the driver has ended well.
fn finish(page: &mut ClientProcess) {
    let status = eventually("the driver ends", || page.ended());
    assert!(status.success(), "{}", page.complaints().join("\n"));
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
