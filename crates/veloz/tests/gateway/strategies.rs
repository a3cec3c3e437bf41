//! `veloz replay`: strategies against captures, the figures of the report computed anew from the event lines,
//! and strategies that do what none should.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Capture, Gateway, Options, PATIENCE, needed, recorded};

mod figures;
mod hostile;

const BTC: &str = "binance_spot_btcusdt_20240808.gz";
const ETH: &str = "binance_spot_ethusdt_20240808.gz";

/// A replay that is to be run, in a directory of its own.
struct Run {
    dir: TempDir,
    command: Command,
}

impl Run {
    fn new(capture: &Path, strategy: &str) -> Run {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        command.args(["replay".as_ref(), capture.as_os_str()]);
        command.args([
            "--strategy",
            strategy,
            "--json",
            "--events",
            "events",
            "--plot",
            "plot.svg",
        ]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VELOZ_") {
                command.env_remove(name);
            }
        }
        command.current_dir(dir.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Run { dir, command }
    }

    /// A capture made to measure, and a strategy that does what `script` says.
    fn scripted(capture: &Capture, script: &Value) -> Run {
        let strategy =
            format!("python3 {} '{script}' heard", needed("tests/clients/strategy.py").display());
        let run = Run::new(Path::new("capture"), &strategy);
        std::fs::write(run.path("capture"), capture.bytes()).expect("written");
        run
    }

    /// The same, with a shell for a strategy.
    fn shell(capture: &Capture, script: &str) -> Run {
        let run = Run::new(Path::new("capture"), &format!("bash -c {}", quoted(script)));
        std::fs::write(run.path("capture"), capture.bytes()).expect("written");
        run
    }

    fn with(mut self, args: &[&str]) -> Run {
        self.command.args(args);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = self.text(name);
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Runs it to its end, which must come.
    fn end(&mut self) -> Ended {
        let began = Instant::now();
        let output = self.command.output().expect("runs");
        assert!(began.elapsed() < PATIENCE, "it took {:?}", began.elapsed());
        Ended::of(&output)
    }

    fn succeed(&mut self) -> Value {
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{}", ended.complaints);
        ended.report.expect("a report")
    }
}

struct Ended {
    code: Option<i32>,
    report: Option<Value>,
    printed: String,
    complaints: String,
}

impl Ended {
    fn of(output: &Output) -> Ended {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        Ended {
            code: output.status.code(),
            report: serde_json::from_str(&printed).ok(),
            printed,
            complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn quoted(script: &str) -> String {
    format!("'{}'", script.replace('\'', r"'\''"))
}

/// Keeps every core busy until it is dropped.
struct Load(std::sync::Arc<AtomicBool>);

impl Load {
    fn new() -> Load {
        let over = std::sync::Arc::new(AtomicBool::new(false));
        for _ in 0..2 * std::thread::available_parallelism().map_or(2, usize::from) {
            let over = std::sync::Arc::clone(&over);
            std::thread::spawn(move || while !over.load(Ordering::Relaxed) {});
        }
        Load(over)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a run leaves: its report, events and picture, byte for byte.
fn products(capture: &Path, strategy: &str, args: &[&str]) -> [String; 3] {
    let mut run = Run::new(capture, strategy).with(args);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{strategy}: {}", ended.complaints);
    [ended.printed, run.text("events"), run.text("plot.svg")]
}

#[test]
fn every_example_trades_and_does_the_same_again() {
    let Some(capture) = recorded(BTC) else { return };
    let examples = [("first.py", ""), ("market_maker.py", " BTCUSDT 0.01 0.05")];
    let known = std::fs::read_dir(needed("examples/strategies")).expect("a folder").count();
    assert_eq!(known, examples.len(), "each of them has its place in this test");
    for (name, arguments) in examples {
        let program = needed(&format!("examples/strategies/{name}"));
        let strategy = format!("python3 {}{arguments}", program.display());
        let [report, events, picture] = products(&capture, &strategy, &[]);
        let figures: Value = serde_json::from_str(&report).expect("JSON");
        assert!(figures["pairs"][0]["fills"].as_u64().expect("a count") > 10, "{report}");
        assert!(picture.starts_with("<svg") && picture.contains("bought"), "{name}");
        let busy = Load::new();
        assert_eq!(products(&capture, &strategy, &[]), [report, events, picture], "{name}");
        drop(busy);
    }
}

#[test]
fn the_seed_decides_and_nothing_else_does() {
    let Some(capture) = recorded(ETH) else { return };
    let strategy = format!("python3 {}", needed("tests/clients/random_strategy.py").display());
    let seven = [
        "--sim-seed",
        "7",
        "--sim-balances",
        "USDT=50000,ETH=2",
        "--sim-latency-ms",
        "to=20,from=20,jitter=30",
    ];
    let first = products(&capture, &strategy, &seven);
    assert_eq!(products(&capture, &strategy, &seven), first);
    assert_ne!(products(&capture, &strategy, &["--sim-seed", "8"])[1], first[1]);
    // Names that the strategy did not give are made from the seed, too.
    assert!(first[1].contains("\"client_order_id\":\"veloz-"));
}

/// The same on a capture that is always there.
#[test]
fn the_same_again_is_the_same() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), Capture::wandering(300).bytes()).expect("written");
    let strategy = format!("python3 {}", needed("tests/clients/random_strategy.py").display());
    let first = products(file.path(), &strategy, &["--sim-seed", "7"]);
    assert_eq!(products(file.path(), &strategy, &["--sim-seed", "7"]), first);
    assert_ne!(products(file.path(), &strategy, &["--sim-seed", "8"])[1], first[1]);
    // Names that the strategy did not give are made from the seed, too.
    assert!(first[1].contains("\"client_order_id\":\"veloz-"));
}

/// What is set for a strategy, and what of this program's is kept from it.
#[test]
fn a_strategy_has_an_environment_of_its_own() {
    let check = |name: &str, value: &str, wanted: [&str; 3]| {
        let script = r#"echo '{"hello":{"types":[]}}'; env > heard; cat > /dev/null"#;
        let mut run = Run::shell(&Capture::wandering(1), script).with(&["--sim-seed", "7"]);
        run.command.env_remove("PYTHONHASHSEED").env_remove("PYTHONUNBUFFERED").env(name, value);
        run.succeed();
        let heard = run.text("heard");
        let mut told: Vec<_> = heard
            .lines()
            .filter(|line| {
                ["VELOZ_", "PYTHONHASHSEED", "PYTHONUNBUFFERED"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .collect();
        told.sort_unstable();
        assert_eq!(told, wanted);
    };
    let usual = ["PYTHONHASHSEED=0", "PYTHONUNBUFFERED=1", "VELOZ_SEED=7"];
    check("VELOZ_SIM_FEES", "maker=0,taker=0", usual);
    check("PYTHONHASHSEED", "5", ["PYTHONHASHSEED=5", usual[1], usual[2]]);
}

/// Times of the strategy's turns, in ms since the capture's start, and whether the timer gave them.
fn turns(run: &Run) -> Vec<(i64, bool)> {
    let lines = run.lines("heard");
    let turns = lines.iter().filter(|line| line["event"] == "turn").map(|line| &line["data"]);
    let ms = |turn: &Value| turn["ts_ns"].as_i64().expect("a time") / 1_000_000 - 1_700_000_000_000;
    turns.map(|turn| (ms(turn), turn["timer"] == json!(true))).collect()
}

#[test]
fn the_timer_has_its_turns_at_its_own_times() {
    let script = json!({"hello": {"types": ["market"], "wake": [], "every_ms": 150}});
    let capture = Capture::wandering(4);
    let mut run = Run::scripted(&capture, &script);
    run.succeed();
    // Trades come at 100, 200, 300, 400: each turn is before the first trade that is later.
    assert_eq!(turns(&run), [(150, true), (300, true)]);
    let heard: Vec<_> =
        run.lines("heard").iter().map(|l| l["event"].as_str().map(str::to_owned)).collect();
    let expected = ["start", "market", "turn", "market", "market", "turn", "market", "end"];
    assert_eq!(heard, expected.map(|name| Some(name.to_owned())));
}

#[test]
fn a_long_pause_has_a_minute_of_turns() {
    let script = json!({"hello": {"types": [], "every_ms": 10_000}});
    let capture = Capture::wandering(1)
        .pause(3_600_000)
        .trade("BUY", "101.00", "1")
        .trade("BUY", "101.00", "1");
    let mut run = Run::scripted(&capture, &script);
    run.succeed();
    let expected: Vec<_> = (1..=6).map(|n| (n * 10_000, true)).collect();
    assert_eq!(turns(&run), expected);
}

/// An order takes its time to the venue, and the answer takes its time back.
#[test]
fn latency_is_time_of_the_data() {
    let order = json!({"id": 1, "order": {"client_order_id": "a", "symbol": "BTCUSDT", "side": "BUY",
        "qty": "1", "price": "101"}});
    let script = json!({"hello": {"types": ["fill"], "wake": ["answer", "fill"], "every_ms": 150},
        "turns": {"1": [order]}});
    let latency = ["--sim-latency-ms", "to=20,from=10"];
    let mut run = Run::scripted(&Capture::wandering(4), &script).with(&latency);
    let report = run.succeed();
    // Sent at 150; at the venue at 170, and its fill, which wakes the strategy, is here at 180.
    assert_eq!(turns(&run), [(150, true), (180, false), (300, true)]);
    let heard = run.lines("heard");
    let answer = heard.iter().find(|line| line["event"] == "answer").expect("an answer");
    assert_eq!(answer["data"]["body"]["status"], json!("FILLED"));
    assert_eq!(report["pairs"][0]["taker"], json!(1));
}

/// What is on its way when the data ends does arrive, and its answer with it.
#[test]
fn what_is_on_its_way_at_the_end_arrives() {
    let order = json!({"id": 1, "order": {"client_order_id": "a", "symbol": "BTCUSDT", "side": "BUY",
        "qty": "1", "price": "90"}});
    let script = json!({"hello": {"types": ["order_update"], "wake": [], "every_ms": 350},
        "turns": {"1": [order]}});
    let latency = ["--sim-latency-ms", "to=500,from=500"];
    let mut run = Run::scripted(&Capture::wandering(4), &script).with(&latency);
    let report = run.succeed();
    assert_eq!(report["orders"]["open"][0]["status"], json!("ACCEPTED"));
    assert_eq!(report["last_ts_ns"], json!(1_700_000_001_350_000_000_i64));
    let names: Vec<_> = run.lines("heard").iter().map(|line| line["event"].clone()).collect();
    assert_eq!(names, ["start", "turn", "order_update", "answer", "end"].map(|name| json!(name)));
}

#[test]
fn a_turn_comes_after_what_wakes_and_never_twice_at_once() {
    let buy = |id: &str| {
        json!({"id": id, "order": {"client_order_id": id, "symbol": "BTCUSDT",
        "side": "BUY", "qty": "1", "type": "MARKET"}})
    };
    let script = json!({
        "hello": {"types": ["market", "fill"], "wake": ["market", "fill"]},
        "turns": {"1": [buy("a")], "2": [buy("b")]},
    });
    let mut run = Run::scripted(&Capture::wandering(4), &script);
    run.succeed();
    // Its own fills wake it too, but the market goes on first.
    assert_eq!(turns(&run), [100, 200, 300, 400].map(|ms| (ms, false)));
    let names: Vec<_> = run.lines("heard").iter().map(|l| l["event"].clone()).collect();
    let turn = ["market", "turn", "fill", "answer", "market", "turn", "fill", "answer", "market"];
    assert_eq!(names[1..10], turn.map(|name| json!(name)));
}

/// What a strategy hears is what the live stream sends, byte for byte.
#[test]
fn events_have_the_form_of_the_stream() {
    let capture = Capture::wandering(30);
    let script = json!({"hello": {"wake": [], "book": ["BTCUSDT"], "every_ms": 500}});
    let mut run = Run::scripted(&capture, &script);
    run.succeed();
    let gateway = capture.play();
    gateway.step(30);
    let newest = gateway.json("/api/events")["newest"].as_u64().expect("a number");
    assert!(newest > 30);
    let mut stream = gateway.stream("?last_id=0&format=ndjson");
    let lines = (0..newest).map(|_| stream.line().expect("a line") + "\n");
    let reply = lines.collect::<String>();
    assert_eq!(run.text("events"), reply);
    let heard: Vec<_> =
        run.text("heard").lines().filter(|l| l.starts_with("{\"id\"")).map(str::to_owned).collect();
    assert_eq!(heard.join("\n") + "\n", reply);
    let book =
        run.lines("heard").into_iter().rfind(|line| line["event"] == "book").expect("a book");
    let shown = gateway.json("/api/book");
    assert_eq!((&book["data"]["bids"], &book["data"]["type"]), (&shown["bids"], &json!("book")));
}

/// The same bodies are refused with the same status and the same words as over HTTP.
#[test]
fn commands_are_answered_as_over_http() {
    let order = |more: Value| {
        let mut order = json!({"client_order_id": "o", "symbol": "BTCUSDT", "side": "BUY", "qty": "1",
            "price": "90"});
        order.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        order
    };
    let bodies = [
        ("order", order(json!({}))),
        ("order", order(json!({"qty": "2"}))),
        ("order", order(json!({"client_order_id": "p", "price": "90.001"}))),
        ("order", order(json!({"client_order_id": "q", "qty": "1000000"}))),
        ("order", order(json!({"client_order_id": "r", "price": "NaN"}))),
        ("order", order(json!({"client_order_id": "s", "colour": "red"}))),
        ("order", order(json!({"client_order_id": "t", "type": "MARKET", "price": null}))),
        ("amend", json!({"client_order_id": "o", "price": "91.001"})),
        ("amend", json!({"client_order_id": "o", "price": "91"})),
        ("cancel", json!({"client_order_id": "nobody"})),
        ("cancel", json!({"client_order_id": "o"})),
        ("cancel", json!([])),
        (
            "oco",
            json!({"client_order_id": "u", "symbol": "BTCUSDT", "side": "SELL", "qty": "0.1",
            "price": "110", "stop_price": "90"}),
        ),
        ("cancel_all", json!({})),
        ("risk", json!({"state": "HALTED", "max_open_orders": 5})),
        ("order", order(json!({"client_order_id": "v"}))),
    ];
    let command = |(n, (name, body)): (usize, &(&str, Value))| {
        let mut command = json!({"id": n});
        command[*name] = body.clone();
        command
    };
    let commands: Vec<_> = bodies.iter().enumerate().map(command).collect();
    let script = json!({"hello": {"types": ["market"]}, "turns": {"1": commands}});
    let capture = Capture::wandering(2);
    let mut run = Run::scripted(&capture, &script);
    let report = run.succeed();
    let gateway = capture.play();
    gateway.step(1);
    let answers = run.lines("heard").into_iter().filter(|line| line["event"] == "answer");
    let answers: Vec<_> = answers.map(|line| line["data"].clone()).collect();
    assert_eq!(answers.len(), bodies.len());
    for (n, ((name, body), answer)) in bodies.iter().zip(&answers).enumerate() {
        let reply = gateway.post(&format!("/api/{name}"), body);
        assert_eq!(answer["id"], json!(n));
        assert_eq!(answer["command"], json!(name));
        assert_eq!(
            (&answer["status"], &answer["body"]),
            (&json!(reply.status), &reply.json()),
            "{body}"
        );
    }
    let refused = answers.iter().filter(|answer| answer["status"] != json!(200)).count();
    let told = report["refused"].as_object().expect("codes").values();
    assert_eq!(told.map(|count| count.as_u64().expect("a count")).sum::<u64>(), refused as u64);
    assert!(refused > 6, "{report}");
}

#[test]
fn orders_that_stand_at_the_end_are_told() {
    let order = json!({"order": {"client_order_id": "late", "symbol": "BTCUSDT", "side": "BUY", "qty": "2",
        "price": "90"}});
    let script = json!({"hello": {"types": ["market"]}, "turns": {"2": [order]}});
    let report = Run::scripted(&Capture::wandering(3), &script).succeed();
    let open = json!([{"client_order_id": "late", "symbol": "BTCUSDT", "side": "BUY", "status": "ACCEPTED",
        "qty": "2.0", "executed_qty": "0.0", "price": "90.0"}]);
    assert_eq!((&report["orders"]["open"], &report["complete"]), (&open, &json!(true)));
}

/// It need not read what it is answered while it writes: one turn here, whose answers fill no pipe.
#[test]
fn a_turn_may_have_thousands_of_commands() {
    let script = r#"echo '{"hello":{"types":[],"every_ms":150}}'; read start; read turn;
        yes '{"cancel":{"client_order_id":"x"}}' | head -5000; echo '{"done":1}'; cat > heard"#;
    let mut run = Run::shell(&Capture::wandering(3), script).with(&["--timeout", "10"]);
    let report = run.succeed();
    assert_eq!(report["refused"], json!({"not_found": 5_000}));
    assert_eq!(run.lines("heard").len(), 5_001, "the answers and the end");
}

#[test]
fn a_line_that_cannot_be_read_is_told_and_left_out() {
    let capture = Capture::wandering(3).broken("{\"e\":\"trade\",").trade("BUY", "101.00", "1");
    let mut run = Run::scripted(&capture, &json!({"hello": {"types": ["error"]}}));
    let report = run.succeed();
    assert_eq!((&report["played"]["faults"], &report["complete"]), (&json!(1), &json!(true)));
    let error = run.lines("heard").into_iter().find(|line| line["event"] == "error").expect("told");
    assert_eq!(error["data"]["message"], "market_source_error");
    assert!(error["data"]["detail"].as_str().expect("why").starts_with("line 5 "), "{error}");
}

#[test]
fn a_capture_that_is_cut_off_is_played_as_far_as_it_goes() {
    let Some(whole) = recorded(ETH) else { return };
    let mut run =
        Run::scripted(&Capture::wandering(1), &json!({"hello": {"types": [], "every_ms": 1000}}));
    let bytes = std::fs::read(whole).expect("the capture");
    std::fs::write(run.path("capture"), &bytes[..bytes.len() / 2]).expect("written");
    let ended = run.end();
    assert_eq!(ended.code, Some(1), "{}", ended.complaints);
    assert!(ended.complaints.contains("the capture cannot be read on"), "{}", ended.complaints);
    let report = ended.report.expect("a report");
    assert_eq!(report["complete"], json!(false));
    assert!(report["played"]["turns"].as_u64().expect("a count") > 50, "{report}");
    let last = run.lines("heard").pop().expect("a last word");
    assert_eq!((&last["event"], &last["data"]["reason"]), (&json!("end"), &json!("failed")));
}

#[test]
fn wrong_usage_is_told() {
    let check = |args: &[&str], code: i32, told: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        let output = command.arg("replay").args(args).output().expect("runs");
        let ended = Ended::of(&output);
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.complaints);
        assert!(ended.complaints.contains(told), "{args:?}: {}", ended.complaints);
    };
    check(&[], 2, "--strategy");
    check(&["capture", "--strategy", "'bot"], 2, "each quote closed");
    check(&["capture", "--strategy", "bot", "--timeout", "0"], 2, "1..=86400");
    check(&["capture", "--strategy", "bot", "--plot", "a", "--no-plot"], 2, "cannot be used with");
    check(&["/nonexistent", "--strategy", "true"], 1, "/nonexistent");
    check(&["/nonexistent", "--strategy", "true", "--sim-fees", "2"], 1, "VELOZ_SIM_FEES");
    let dir = tempfile::tempdir().expect("a directory");
    let capture = dir.path().join("capture");
    std::fs::write(&capture, Capture::wandering(1).bytes()).expect("written");
    let capture = capture.display().to_string();
    check(&[&capture, "--strategy", "true", "--quote", "EUR"], 1, "--quote EUR: no pair");
    check(&[&capture, "--strategy", "true", "--events", "/nonexistent/e"], 1, "cannot write");
}

/// The table is for people: the figures of the JSON are in it.
#[test]
fn the_table_tells_the_same() {
    let script = json!({"hello": {"types": ["market"]}, "turns": {"1": [{"order": {
        "symbol": "BTCUSDT", "side": "BUY", "qty": "1", "type": "MARKET"}}]}});
    let report = Run::scripted(&Capture::wandering(3), &script).succeed();
    let mut run = Run::scripted(&Capture::wandering(3), &script);
    let args: Vec<_> = run.command.get_args().map(|arg| arg.to_owned()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
    command.args(args.iter().filter(|arg| *arg != "--json")).current_dir(run.dir.path());
    std::mem::swap(&mut run.command, &mut command);
    let ended = run.end();
    for figure in
        [&report["equity"]["pnl"], &report["pairs"][0]["unrealised"], &report["assets"][0]["end"]]
    {
        let figure = figure.as_str().expect("a figure");
        assert!(ended.printed.contains(&format!("\t{figure}\t")), "{figure}: {}", ended.printed);
    }
    assert!(ended.printed.contains("no price: not counted"), "{}", ended.printed);
    assert!(ended.complaints.contains("market messages in "), "{}", ended.complaints);
}

/// The session of the document happens, line by line, and its program is the one in the examples.
#[test]
fn the_document_is_true() {
    let document = std::fs::read_to_string(needed("docs/strategies.md")).expect("it");
    let block = |language: &str| {
        let rest = document.split(&format!("```{language}\n")).nth(1).expect("a block");
        rest.split("```").next().expect("its end").to_owned()
    };
    let example = std::fs::read_to_string(needed("examples/strategies/first.py")).expect("it");
    assert!(example.ends_with(&block("py")), "the block is {example}");
    let session = block("replay");
    let (mut expected, mut turns, mut hello) = (Vec::new(), serde_json::Map::new(), Value::Null);
    let mut waiting = Vec::new();
    for line in session.lines() {
        match line.split_at(2) {
            ("< ", line) => expected.push(line),
            ("> ", line) => {
                let said: Value = serde_json::from_str(line).expect("JSON");
                if said["hello"].is_object() {
                    hello = said["hello"].clone();
                } else if let Some(turn) = said["done"].as_u64() {
                    turns.insert(turn.to_string(), std::mem::take(&mut waiting).into());
                } else {
                    waiting.push(said);
                }
            }
            _ => panic!("{line}"),
        }
    }
    let mut run = Run::scripted(&Capture::wandering(4), &json!({"hello": hello, "turns": turns}));
    run.succeed();
    let heard = run.text("heard");
    let instruments = |line: &str| line.split(",\"instruments\":").next().map(str::to_owned);
    let heard: Vec<_> = heard.lines().map(|line| instruments(line).expect("text")).collect();
    let expected: Vec<_> =
        expected.into_iter().map(|line| instruments(line).expect("text")).collect();
    assert_eq!(heard, expected);
}

#[test]
fn a_gateway_is_not_needed() {
    // One that runs keeps its port and its data directory to itself.
    let _gateway = Gateway::start(Options::default());
    Run::scripted(&Capture::wandering(2), &json!({"hello": {}})).succeed();
}
