//! The gateway with an engine of somebody else's: one that works, and ones that flood, stall, write
//! garbage, die, forget, answer twice or late. Each time the gateway says what is true.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Gateway, Options, eventually, root};

/// A gateway with the stub as its engine, and where the stub keeps its orders.
struct Rig {
    gateway: Gateway,
    home: tempfile::TempDir,
}

impl Rig {
    fn start(trick: &str) -> Rig {
        Rig::with_state(trick, None)
    }

    fn with_state(trick: &str, state: Option<&Value>) -> Rig {
        let home = tempfile::tempdir().expect("a temporary directory");
        if let Some(state) = state {
            std::fs::write(home.path().join("state"), state.to_string()).expect("written");
        }
        let gateway = Gateway::start(options(home.path(), trick));
        Rig { gateway, home }
    }

    fn stub_state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn place(&self, id: &str) -> crate::support::Reply {
        self.gateway.post("/api/order", &limit(id))
    }

    fn state(&self, id: &str) -> Value {
        self.gateway.json(&format!("/api/order_state?client_order_id={id}"))
    }

    #[track_caller]
    fn wait_for_state(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), || {
            Some(self.state(id)).filter(|state| state["status"] == status)
        })
    }

    /// The codes of the `error` events so far.
    fn errors(&self) -> Vec<String> {
        let page = self.gateway.json("/api/events?after=0&types=error&limit=1000");
        let items = page["items"].as_array().expect("items").iter();
        items.map(|item| item["data"]["message"].as_str().expect("a code").to_owned()).collect()
    }

    fn fills(&self) -> Vec<Value> {
        let page = self.gateway.json("/api/events?after=0&types=fill&limit=1000");
        let items = page["items"].as_array().expect("items").iter();
        items.map(|item| item["data"].clone()).collect()
    }

    fn wait_until_healthy(&self) {
        eventually("/health is well", || (self.gateway.get("/health").status == 200).then_some(()));
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.gateway.get("/metrics").text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

/// The stub as the engine.
pub(crate) fn options(home: &Path, trick: &str) -> Options {
    let stub = root().join("tests/clients/stub_engine.py");
    let command =
        format!("python3 '{}' '{}' {trick}", stub.display(), home.join("state").display());
    Options::quiet().env("VELOZ_ENGINE_CMD", command)
}

fn limit(id: &str) -> Value {
    json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "40000", "client_order_id": id})
}

fn market(id: &str) -> Value {
    json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET", "client_order_id": id})
}

/// Our own engine as an external one, from the first order to its death and back.
#[test]
fn veloz_engine_works_behind_the_gateway() {
    let engine = env!("CARGO_BIN_EXE_veloz");
    let command = format!("'{engine}' engine --sim-interval-ms 5 --sim-seed 7");
    let gateway = Gateway::start(Options::quiet().env("VELOZ_ENGINE_CMD", command));
    let rig = Rig { gateway, home: tempfile::tempdir().expect("a temporary directory") };
    let config = rig.gateway.json("/api/config");
    assert_eq!(config["execution_mode"], "external_engine");
    assert_eq!(config["market_source_state"], "running");
    eventually("the engine's prices are the market", || {
        (rig.gateway.get("/api/market?symbol=BTCUSDT").status == 200).then_some(())
    });
    let reply = rig.gateway.post("/api/order", &market("taken"));
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ACCEPTED")));
    let filled = rig.wait_for_state("taken", "FILLED");
    assert_eq!(filled["executed_qty"], json!(0.001));
    assert!(rig.fills().iter().all(|fill| fill["fee"].is_number()), "{:?}", rig.fills());
    assert_eq!(rig.place("stands").json()["status"], "ACCEPTED");
    let again = rig.place("stands");
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("ACCEPTED")));
    assert_eq!(rig.place("gone").status, 200);
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "gone"}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(rig.state("gone")["status"], "CANCELLED");
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "taken"}));
    assert_eq!((reply.status, reply.error().as_str()), (409, "order_closed"));
    // What the engine refuses is refused, with its reason.
    let mut dear = limit("dear");
    dear["price"] = json!("10");
    let reply = rig.gateway.post("/api/order", &dear);
    assert_eq!(reply.status, 422, "{}", reply.text());
    rig.what_the_protocol_has_no_words_for();
    rig.the_engine_dies_and_comes_back();
}

impl Rig {
    fn what_the_protocol_has_no_words_for(&self) {
        let mut stop = limit("stop");
        stop["type"] = json!("STOP_LOSS_LIMIT");
        stop["stop_price"] = json!("90000");
        let mut until = limit("until");
        until["time_in_force"] = json!("GTD");
        until["expire_ts_ns"] = json!(i64::MAX);
        let by_amount =
            json!({"side": "BUY", "symbol": "BTCUSDT", "quote_qty": "50", "type": "MARKET"});
        let told = [
            (
                stop,
                "type STOP_LOSS_LIMIT: an external engine's protocol has no words for it; watch",
            ),
            (until, "time_in_force GTD: an external engine's protocol has no words for it; cancel"),
            (by_amount, "quote_qty: an external engine's protocol has no words for it; give a qty"),
        ];
        for (order, told) in told {
            let reply = self.gateway.post("/api/order", &order);
            assert_eq!(reply.status, 422, "{order}: {}", reply.text());
            assert_eq!(reply.json()["reason"], "unsupported_by_engine", "{}", reply.text());
            assert!(reply.text().contains(told), "{}", reply.text());
        }
        let pair = json!({"side": "SELL", "symbol": "BTCUSDT", "qty": "0.001", "price": "90000",
                          "stop_price": "30000", "client_order_id": "pair"});
        let reply = self.gateway.post("/api/oco", &pair);
        assert_eq!(reply.status, 422, "{}", reply.text());
        assert_eq!(reply.json()["reason"], "unsupported_by_engine", "{}", reply.text());
        let told = "a pair (OCO): an external engine's protocol has no words for it; watch";
        assert!(reply.text().contains(told), "{}", reply.text());
        assert_eq!(self.gateway.post("/api/oco", &pair).json(), reply.json(), "the same again");
        assert_eq!(self.state("pair-stop")["status"], "REJECTED");
        let amend = json!({"client_order_id": "stands", "price": "39000"});
        let reply = self.gateway.post("/api/amend", &amend);
        assert_eq!(reply.status, 422, "{}", reply.text());
        let told = "an amendment: an external engine's protocol has no words for it; cancel";
        assert!(reply.text().contains(told), "{}", reply.text());
        assert_eq!(reply.json()["reason"], "unsupported_by_engine", "{}", reply.text());
    }

    fn the_engine_dies_and_comes_back(&self) {
        kill_children(self.gateway.pid());
        eventually("its death is told", || {
            self.errors().contains(&"engine_exited".to_owned()).then_some(())
        });
        eventually("its return is told", || {
            self.errors().contains(&"engine_started".to_owned()).then_some(())
        });
        self.wait_until_healthy();
        // The new engine knows nothing of it, and says so when the order is no longer young.
        let lost = self.wait_for_state("stands", "EXPIRED");
        assert_eq!(lost["reason"], "lost_by_venue");
        assert_eq!(self.place("next").status, 200);
        let reply = self.gateway.post("/api/cancel_all", &json!({}));
        assert_eq!(reply.json()["cancelled"], json!(["next"]), "{}", reply.text());
        assert_eq!(self.state("next")["status"], "CANCELLED");
    }
}

/// `kill -9` of the engine, by the number of its process.
pub(crate) fn kill_children(pid: u32) {
    let listed = Command::new("pgrep").args(["-P", &pid.to_string()]).output().expect("pgrep");
    let text = String::from_utf8(listed.stdout).expect("numbers");
    for child in text.split_whitespace() {
        let child =
            rustix::process::Pid::from_raw(child.parse().expect("a number")).expect("not 0");
        rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("it runs");
    }
}

#[test]
fn an_engine_that_floods_keeps_nobody_from_trading() {
    let rig = Rig::start("flood");
    let reply = rig.place("a");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ACCEPTED")));
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "a"}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    eventually("useless lines are counted", || {
        let garbage = rig.metric("veloz_engine_lines_total{kind=\"garbage\"}");
        let ignored = rig.metric("veloz_engine_lines_total{kind=\"ignored\"}");
        (garbage > 10_000 && ignored > 10_000).then_some(())
    });
    assert!(rig.gateway.memory_kib() < 400_000, "{} KiB", rig.gateway.memory_kib());
}

#[test]
fn an_engine_that_stalls_is_told_and_its_orders_are_unknown() {
    let rig = Rig::start("stall");
    let reply = rig.place("a");
    assert_eq!((reply.status, reply.error().as_str()), (504, "unknown_outcome"));
    let state = rig.state("a");
    assert_eq!((&state["status"], &state["reason"]), (&Value::Null, &json!("unknown_outcome")));
    let health = eventually("/health tells it", || {
        Some(rig.gateway.get("/health")).filter(|health| health.status == 503)
    });
    assert_eq!(health.error(), "engine_stalled", "{}", health.text());
    let reply = rig.place("b");
    assert_eq!((reply.status, reply.error().as_str()), (500, "execution_unavailable"));
    assert_eq!(rig.gateway.get("/api/order_state?client_order_id=b").status, 404);
    assert!(rig.errors().contains(&"engine_stalled".to_owned()));
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let rig = Rig::start("garbage");
    assert_eq!(rig.place("a").json()["status"], "ACCEPTED");
    for kind in ["garbage", "too_long", "unreadable", "ignored"] {
        let name = format!("veloz_engine_lines_total{{kind=\"{kind}\"}}");
        assert!(rig.metric(&name) > 0, "{kind}");
    }
    assert_eq!(rig.metric("veloz_engine_lines_total{kind=\"too_long\"}"), 1);
    // What would have been an execution, and could not be read exactly, is told.
    assert!(rig.errors().iter().all(|code| code == "engine_error"), "{:?}", rig.errors());
    assert!(!rig.errors().is_empty());
    assert_eq!(rig.fills(), Vec::<Value>::new());
    assert_eq!(rig.gateway.get("/health").status, 200);
}

#[test]
fn an_engine_that_dies_at_once_is_started_again_and_again() {
    let rig = Rig::start("dies");
    let health = rig.gateway.get("/health");
    assert_eq!(
        (health.status, health.error().as_str()),
        (503, "engine_exited"),
        "{}",
        health.text()
    );
    let reply = rig.place("a");
    assert_eq!((reply.status, reply.error().as_str()), (500, "execution_unavailable"));
    assert_eq!(rig.gateway.get("/api/order_state?client_order_id=a").status, 404);
    eventually("it is started again", || {
        (rig.metric("veloz_engine_starts_total") > 3).then_some(())
    });
    assert!(rig.errors().iter().all(|code| code == "engine_exited"), "{:?}", rig.errors());
}

#[test]
fn an_order_that_was_accepted_outlives_the_engine() {
    let rig = Rig::start("dies_accepting");
    assert_eq!(rig.place("a").json()["status"], "ACCEPTED");
    eventually("it is back", || rig.errors().contains(&"engine_started".to_owned()).then_some(()));
    rig.wait_until_healthy();
    assert_eq!(rig.state("a")["status"], "ACCEPTED");
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "a"}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(rig.state("a")["status"], "CANCELLED");
}

/// It took and filled the order, and died before it said so.
#[test]
fn what_an_engine_did_before_it_died_is_asked_for() {
    let rig = Rig::start("dies_taking");
    let reply = rig.place("a");
    assert!([200, 504].contains(&reply.status), "{}", reply.text());
    rig.wait_for_state("a", "FILLED");
    let fills = rig.fills();
    assert_eq!((fills.len(), &fills[0]["reconciled"]), (1, &json!(true)), "{fills:?}");
    assert_eq!((&fills[0]["qty"], &fills[0]["price"]), (&json!(0.001), &json!(50000.0)));
    assert_eq!(rig.place("a").status, 200, "the same again, the same answer");
    assert_eq!(rig.fills().len(), 1);
}

/// It died with the order, and nobody knows of it.
#[test]
fn an_order_that_no_engine_took_is_never_accepted() {
    let rig = Rig::start("dies_once_forgetting");
    let reply = rig.place("a");
    assert_eq!((reply.status, reply.error().as_str()), (504, "unknown_outcome"));
    let refused = rig.wait_for_state("a", "REJECTED");
    assert_eq!(refused["reason"], "not_taken");
    let reply = rig.place("a");
    assert_eq!((reply.status, &reply.json()["reason"]), (422, &json!("not_taken")));
    assert_eq!(rig.place("b").json()["status"], "ACCEPTED");
    let page = rig.gateway.json("/api/events?after=0&types=order_update&limit=1000");
    let told = page["items"].as_array().expect("items").iter().map(|item| &item["data"]);
    let of_a: Vec<_> = told.filter(|data| data["client_order_id"] == "a").collect();
    assert_eq!((of_a.len(), &of_a[0]["status"]), (1, &json!("REJECTED")), "{of_a:?}");
}

#[test]
fn an_engine_that_answers_twice_is_counted_once() {
    let rig = Rig::start("twice");
    // No price was told: what a purchase would lock is not known.
    let reply = rig.gateway.post("/api/order", &market("unpriced"));
    assert_eq!((reply.status, &reply.json()["reason"]), (422, &json!("no_price")));
    assert!(reply.text().contains("give it a price"), "{}", reply.text());
    let mut sale = market("a");
    sale["side"] = json!("SELL");
    assert_eq!(rig.gateway.post("/api/order", &sale).json()["status"], "ACCEPTED");
    rig.wait_for_state("a", "FILLED");
    eventually("the contradiction is told", || {
        rig.errors().contains(&"unexpected_report".to_owned()).then_some(())
    });
    assert_eq!(rig.fills().len(), 1, "{:?}", rig.fills());
    assert_eq!(rig.state("a")["executed_qty"], json!(0.001));
    eventually("the engine is asked about the contradiction", || {
        let state = std::fs::read(rig.stub_state()).expect("the stub's state");
        let state: Value = serde_json::from_slice(&state).expect("JSON");
        state["asked"].as_array().expect("names").contains(&json!("a")).then_some(())
    });
}

/// It says that an order is filled, and tells of no execution unless it is asked.
#[test]
fn what_an_engine_does_not_tell_of_is_asked_for() {
    let rig = Rig::start("sums");
    let mut sale = market("a");
    sale["side"] = json!("SELL");
    assert_eq!(rig.gateway.post("/api/order", &sale).json()["status"], "ACCEPTED");
    rig.wait_for_state("a", "FILLED");
    assert_eq!(rig.fills()[0]["reconciled"], json!(true));
}

#[test]
fn a_late_answer_is_taken() {
    let rig = Rig::start("late");
    let reply = rig.place("a");
    assert_eq!((reply.status, reply.error().as_str()), (504, "unknown_outcome"));
    rig.wait_for_state("a", "ACCEPTED");
    assert_eq!(rig.state("a")["reason"], "");
    let reply = rig.place("a");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ACCEPTED")));
}

/// An engine of the first kind: no greeting, no questions.
#[test]
fn an_engine_without_questions_works() {
    let rig = Rig::start("mute");
    assert_eq!(rig.place("a").json()["status"], "ACCEPTED");
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "a"}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(rig.gateway.get("/health").status, 200);
    assert_eq!(rig.errors(), Vec::<String>::new());
}

/// Orders of a killed gateway are asked for at its start; so is what happened meanwhile.
#[test]
fn a_killed_gateway_finds_its_orders_again() {
    let mut rig = Rig::start("good");
    assert_eq!(rig.place("stands").status, 200);
    assert_eq!(rig.place("fills").status, 200);
    rig.gateway.kill();
    let text = std::fs::read_to_string(rig.stub_state()).expect("the stub's orders");
    let mut state: Value = serde_json::from_str(&text).expect("JSON");
    let order = &mut state["orders"]["fills"];
    (order["status"], order["executed_qty"]) = (json!("FILLED"), json!(0.001));
    order["avg_price"] = json!(39999.5);
    state["orders"]["others"] = state["orders"]["stands"].clone();
    state["orders"]["others"]["client_order_id"] = json!("others");
    std::fs::write(rig.stub_state(), state.to_string()).expect("written");
    rig.gateway = rig.gateway.again();
    let filled = rig.wait_for_state("fills", "FILLED");
    assert_eq!(filled["avg_price"], json!(39999.5));
    let adopted = eventually("the order of others is found", || {
        let reply = rig.gateway.get("/api/order_state?client_order_id=others");
        (reply.status == 200).then(|| reply.json())
    });
    assert_eq!((&adopted["status"], &adopted["adopted"]), (&json!("ACCEPTED"), &json!(true)));
    assert_eq!(rig.state("stands")["status"], "ACCEPTED");
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "others"}));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn a_log_belongs_to_its_venue() {
    let mut rig = Rig::start("good");
    assert_eq!(rig.gateway.terminate().code(), Some(0));
    let output = Options::quiet().command(rig.gateway.dir()).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("external_engine"), "{complaint}");
    let wrong = Options::quiet().env("VELOZ_ENGINE_CMD", "no-such-engine --at all");
    let output = wrong.command(&rig.home.path().join("new")).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("VELOZ_ENGINE_CMD: cannot start no-such-engine"), "{complaint}");
}

impl Rig {
    fn halt(&self) {
        let all = json!({"state": "HALTED", "cancel_all": true});
        let reply = self.gateway.post("/api/risk", &all);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    #[track_caller]
    fn wait_until_nothing_is_open(&self) {
        eventually("nothing is open", || {
            let open = self.gateway.json("/api/orders_state?status=open&limit=1");
            (open["items"] == json!([])).then_some(())
        });
    }
}

/// The stub as the engine, which does not start before there is a file.
fn away_until(home: &Path, there: &Path) -> Options {
    let stub = root().join("tests/clients/stub_engine.py");
    let (there, stub, state) = (there.display(), stub.display(), home.join("state"));
    let script = format!("test -e '{there}' && exec python3 '{stub}' '{}' good", state.display());
    Options::quiet().env("VELOZ_ENGINE_CMD", format!("sh -c \"{script}\""))
}

/// A halt, and a cancel, while the engine is away: the orders stand there, and are taken back when it has come.
#[test]
fn what_is_cancelled_while_the_engine_is_away_is_cancelled_when_it_is_back() {
    let mut rig = Rig::start("good");
    for id in ["a", "b", "c"] {
        assert_eq!(rig.place(id).status, 200);
    }
    let there = rig.home.path().join("there");
    rig.gateway = rig.gateway.again_with(away_until(rig.home.path(), &there));
    let reply = rig.gateway.post("/api/cancel", &json!({"client_order_id": "a"}));
    assert_eq!((reply.status, reply.error().as_str()), (504, "unknown_outcome"));
    std::fs::write(&there, "").expect("written");
    rig.wait_for_state("a", "CANCELLED");
    assert_eq!(rig.state("b")["status"], "ACCEPTED", "nobody cancelled it");
    std::fs::remove_file(&there).expect("removed");
    rig.gateway = rig.gateway.again();
    rig.halt();
    assert_eq!(rig.state("b")["status"], "ACCEPTED", "it stands where nobody was told");
    std::fs::write(&there, "").expect("written");
    rig.wait_until_nothing_is_open();
}

/// The same over a restart of the gateway, and a crash: a halt that was answered is not forgotten.
#[test]
fn what_is_cancelled_while_the_engine_is_away_survives_the_gateway() {
    let mut rig = Rig::start("good");
    for id in ["a", "b"] {
        assert_eq!(rig.place(id).status, 200);
    }
    let there = rig.home.path().join("there");
    rig.gateway = rig.gateway.again_with(away_until(rig.home.path(), &there));
    rig.halt();
    rig.gateway.kill();
    rig.gateway = rig.gateway.again();
    assert_eq!(rig.state("a")["status"], "ACCEPTED", "it stands where nobody was told");
    std::fs::write(&there, "").expect("written");
    rig.gateway = rig.gateway.again();
    rig.wait_until_nothing_is_open();
    assert_eq!(rig.state("a")["status"], "CANCELLED");
    assert_eq!(rig.gateway.json("/api/risk")["state"], "HALTED");
}

/// An engine that ends by what it was told, and has not done it.
#[test]
fn a_cancel_that_ended_its_engine_is_told_the_next_one() {
    let rig = Rig::start("dies_cancelling");
    for id in ["a", "b"] {
        assert_eq!(rig.place(id).status, 200);
    }
    rig.halt();
    rig.wait_until_nothing_is_open();
    assert_eq!(rig.errors(), ["engine_exited", "engine_started"]);
}

/// More cancels at once than wait for an engine.
#[test]
fn a_halt_takes_back_more_than_waits_for_an_engine() {
    const ORDERS: usize = 3_000;
    let engine = env!("CARGO_BIN_EXE_veloz");
    let command = format!("'{engine}' engine --sim-interval-ms 1000 --sim-seed 7");
    let gateway = Gateway::start(Options::quiet().env("VELOZ_ENGINE_CMD", command));
    let rig = Rig { gateway, home: tempfile::tempdir().expect("a temporary directory") };
    eventually("there is a market", || {
        (rig.gateway.get("/api/market?symbol=BTCUSDT").status == 200).then_some(())
    });
    for n in 0..ORDERS {
        let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000",
            "client_order_id": format!("o{n}")});
        let reply = rig.gateway.post("/api/order", &order);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    rig.halt();
    rig.wait_until_nothing_is_open();
}

#[test]
fn a_start_takes_back_what_is_open_at_an_engine() {
    let mut rig = Rig::start("good");
    for id in ["a", "b"] {
        assert_eq!(rig.place(id).status, 200);
    }
    let options = options(rig.home.path(), "good");
    rig.gateway = rig.gateway.again_with(options.flag("--cancel-open"));
    rig.wait_until_nothing_is_open();
    assert_eq!(rig.state("a")["status"], "CANCELLED");
}
