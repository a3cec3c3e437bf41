//! A simulated exchange that is away, behind the running program.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Capture, Gateway, Options, eventually, try_post_json};

fn order(id: &str, side: &str, price: &str) -> Value {
    json!({"side": side, "symbol": "BTCUSDT", "qty": "1", "price": price, "client_order_id": id})
}

/// Waits until an order has left and nothing is known of it.
fn is_on_its_way(gateway: &Gateway, id: &str) {
    let path = format!("/api/order_state?client_order_id={id}");
    eventually("the order has left", || {
        let reply = gateway.get(&path);
        (reply.status == 200).then(|| assert_eq!(reply.json()["status"], Value::Null))
    });
}

#[test]
fn a_replay_has_its_latency_in_its_own_time() {
    // A line each 100 ms: the book, then trades.
    let capture = Capture::book(&[("99", "5")], &[("101", "5")]).trade("BUY", "101", "0.1");
    let sent_ns = capture.now_ns() - 100_000_000;
    let capture =
        capture.trade("BUY", "101", "0.1").trade("SELL", "99", "1").trade("BUY", "101", "1");
    let away = Options::default().env("VELOZ_SIM_LATENCY_MS", "to=50,from=20.000001");
    let gateway = capture.play_with(away);
    gateway.step(1);
    let fill = std::thread::scope(|scope| {
        let post = scope.spawn(|| gateway.post("/api/order", &order("a", "BUY", "101")));
        is_on_its_way(&gateway, "a");
        gateway.step(1);
        let reply = post.join().unwrap();
        assert_eq!((reply.status, reply.json()["status"].clone()), (200, json!("FILLED")));
        gateway.json("/api/fills")["items"][0].clone()
    });
    assert_eq!(fill["ts_ns"], json!(sent_ns + 70_000_001), "{fill}");
    // After the last line time goes on by what is on its way alone.
    gateway.step(2);
    eventually("the replay has ended", || {
        (gateway.json("/api/config")["market_source_state"] == "finished").then_some(())
    });
    let reply = gateway.post("/api/order", &order("b", "SELL", "99"));
    assert_eq!((reply.status, reply.json()["status"].clone()), (200, json!("FILLED")));
}

#[test]
fn every_command_takes_the_way_there_and_back_and_a_kill_stops_nothing_on_it() {
    const WAY: Duration = Duration::from_millis(120);
    let away = Options::quiet().env("VELOZ_SIM_LATENCY_MS", "to=60,from=60");
    let mut gateway = Gateway::start(away);
    let timed = |gateway: &Gateway, path: &str, body: &Value| {
        let begun = Instant::now();
        let reply = gateway.post(path, body);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert!(begun.elapsed() >= WAY, "{path} took {:?}", begun.elapsed());
        reply.json()
    };
    assert_eq!(timed(&gateway, "/api/order", &order("a", "BUY", "90"))["status"], "ACCEPTED");
    let amend = json!({"client_order_id": "a", "qty": "2", "price": "91"});
    let amended = timed(&gateway, "/api/amend", &amend);
    assert_eq!((&amended["qty"], &amended["price"]), (&json!(2.0), &json!(91.0)));
    timed(&gateway, "/api/amend", &amend);
    let pair = json!({"side": "SELL", "symbol": "BTCUSDT", "qty": "0.5", "price": "110",
                      "stop_price": "90", "client_order_id": "both"});
    let placed = timed(&gateway, "/api/oco", &pair);
    assert_eq!(placed["orders"][1]["status"], "ACCEPTED");
    timed(&gateway, "/api/cancel", &json!({"client_order_id": "both-stop"}));
    let state = gateway.json("/api/order_state?client_order_id=both");
    assert_eq!(state["status"], "CANCELLED");
    let all = timed(&gateway, "/api/cancel_all", &json!({}));
    assert_eq!(all["cancelled"], json!(["a"]));
    // The same again is answered at once.
    assert_eq!(gateway.post("/api/oco", &pair).json(), placed);

    std::thread::scope(|scope| {
        let body = order("c", "BUY", "80").to_string();
        let address = gateway.address();
        scope.spawn(move || try_post_json(address, "/api/order", &body));
        is_on_its_way(&gateway, "c");
        kill_now(gateway.pid());
    });
    gateway.kill();
    let gateway = gateway.again();
    eventually("it arrives in the next run", || {
        let state = gateway.json("/api/order_state?client_order_id=c");
        (state["status"] == "ACCEPTED").then_some(())
    });
    // Orders that are cancelled at the start are so before the first request.
    let cancels =
        Options::quiet().env("VELOZ_SIM_LATENCY_MS", "to=60,from=60").env("VELOZ_CANCEL_OPEN", "1");
    let gateway = gateway.again_with(cancels);
    assert_eq!(gateway.json("/api/orders_state?status=open")["items"], json!([]));
}

/// Of the same order another amendment may be on its way still, of which nobody wants to hear any more.
#[test]
fn an_amendment_is_never_answered_with_what_became_of_an_earlier_one() {
    let gateway = Gateway::start(Options::quiet().env("VELOZ_SIM_LATENCY_MS", "to=0,from=0.001"));
    assert_eq!(gateway.post("/api/order", &order("a", "BUY", "90")).status, 200);
    let far = Options::quiet().env("VELOZ_SIM_LATENCY_MS", "to=1000,from=1000");
    let mut gateway = gateway.again_with(far);
    let inputs = |gateway: &Gateway| gateway.metrics().value("veloz_inputs_total");
    let before = inputs(&gateway);
    std::thread::scope(|scope| {
        let amend = json!({"client_order_id": "a", "qty": "2", "price": "91"}).to_string();
        let address = gateway.address();
        scope.spawn(move || try_post_json(address, "/api/amend", &amend));
        eventually("the first amendment has left", || (inputs(&gateway) > before).then_some(()));
        kill_now(gateway.pid());
    });
    gateway.kill();
    let gateway = gateway.again();
    let amend = json!({"client_order_id": "a", "qty": "3", "price": "89"});
    let reply = gateway.post("/api/amend", &amend);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (amended, state) = (reply.json(), gateway.json("/api/order_state?client_order_id=a"));
    assert_eq!((&amended["qty"], &amended["price"]), (&json!(3.0), &json!(89.0)));
    assert_eq!((&state["order_qty"], &state["limit_price"]), (&json!(3.0), &json!(89.0)));
}

/// Ends the gateway at once, while somebody still waits for it.
fn kill_now(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_engine_alone_has_it_too() {
    let mut engine = Command::new(env!("CARGO_BIN_EXE_veloz"))
        .args(["engine", "--market-source", "none", "--sim-latency-ms", "to=30,from=30"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = b"ORDER BUY BTCUSDT 1 90 a\nCANCEL a\n";
    engine.stdin.take().unwrap().write_all(lines).unwrap();
    let out = String::from_utf8(engine.wait_with_output().unwrap().stdout).unwrap();
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "order_update")
        .map(|event| event["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["ACCEPTED", "CANCELLED"], "{out}");
    assert_eq!(events.last().unwrap()["type"], "engine_stopped");
}

/// What an earlier run stored may be of a time that is still to come: the machine's clock was put back since.
#[test]
fn a_clock_that_was_put_back_stops_neither_what_is_on_its_way_nor_the_limits_of_a_second() {
    const DAYS: Duration = Duration::from_secs(2 * 86_400);
    let capture = Capture::book(&[("99", "5")], &[("101", "5")]);
    let to_come =
        std::time::UNIX_EPOCH.elapsed().unwrap() + DAYS - Duration::from_nanos(capture.now_ns());
    let pause_ms = u64::try_from(to_come.as_millis()).unwrap();
    let ahead = capture.pause(pause_ms).trade("BUY", "101", "0.1").play();
    ahead.step(1);
    ahead.post("/api/order", &order("a", "BUY", "99"));
    ahead.post("/api/cancel", &json!({"client_order_id": "a"}));

    let away = Options::quiet().env("VELOZ_SIM_LATENCY_MS", "to=1,from=1");
    let gateway = ahead.again_with(away);
    let begun = Instant::now();
    let reply = gateway.post("/api/order", &order("b", "BUY", "99"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(begun.elapsed() < Duration::from_secs(5), "it was not given up");
    let reply = gateway.post("/api/risk", &json!({"max_orders_per_second": 1}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = |n: u32| gateway.post("/api/order", &order(&format!("c{n}"), "BUY", "99")).status;
    assert_eq!((sent(0), sent(1)), (200, 422));
    let mut n = 1;
    eventually("a second has passed", || {
        n += 1;
        (sent(n) == 200).then_some(())
    });
}

/// A log may be of a later time than the record that is played over it: time goes on all the same.
#[test]
fn a_record_that_is_older_than_the_log_has_a_clock_that_goes() {
    let mut capture = Capture::book(&[("99", "5")], &[("101", "5")]);
    for _ in 0..20 {
        capture = capture.trade("BUY", "101", "0.1");
    }
    let away = Options::default().env("VELOZ_SIM_LATENCY_MS", "to=250,from=250");
    let gateway = capture.play_with(away);
    let place = |gateway: &Gateway, id: &str, lines: u64| {
        std::thread::scope(|scope| {
            let post = scope.spawn(|| gateway.post("/api/order", &order(id, "BUY", "98")));
            is_on_its_way(gateway, id);
            // A line each 100 ms: so many bring it there and back.
            gateway.step(lines);
            let reply = post.join().unwrap();
            assert_eq!((reply.status, reply.json()["status"].clone()), (200, json!("ACCEPTED")));
        });
    };
    gateway.step(10);
    place(&gateway, "a", 7);
    // From its first line again, and then on from where it was.
    let options = gateway.options().env("VELOZ_FROM_START", "1");
    let gateway = gateway.again_with(options);
    gateway.step(2);
    place(&gateway, "b", 7);
    let options = gateway.options().env("VELOZ_FROM_START", "0");
    let gateway = gateway.again_with(options);
    gateway.step(1);
    place(&gateway, "c", 7);
}
