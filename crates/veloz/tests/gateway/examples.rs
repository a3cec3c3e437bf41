//! The examples run, and so do the snippets of the documents: what a reader copies works.
//!
//! In `README.md` and `docs/`, every block marked `sh`, `bash` or `python` is run against a gateway, and
//! so is each `$` line of one marked `console`, with the gateway's address in the place of
//! `127.0.0.1:8080`. It must end with 0, or go on printing as a stream does. Blocks of another kind
//! (`text`, `json`) only show something.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Capture, ClientProcess, Gateway, Options, eventually, needed, root};

/// How long a snippet that prints and does not end is watched.
const WATCH: Duration = Duration::from_secs(2);

fn market_order(gateway: &Gateway) {
    // A snippet may have pulled the kill switch or lowered a limit.
    let open = json!({"state": "ACTIVE", "max_order_notional": null, "max_open_orders": null});
    assert_eq!(gateway.post("/api/risk", &open).status, 200);
    let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET"});
    let reply = gateway.post("/api/order", &order);
    assert_eq!(reply.json()["status"], "FILLED", "{}", reply.text());
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}{complaints}", output.status);
    text
}

#[test]
fn a_python_program_of_ten_lines_trades() {
    let gateway = Gateway::trading();
    let mut command = Command::new(needed(".venv/bin/python"));
    command.arg(root().join("examples/python/trade.py")).env("VELOZ_URL", gateway.url(""));
    let text = output(&mut command);
    assert!(text.contains("executed 0.001 at "), "{text}");
}

#[test]
fn curl_places_and_cancels() {
    let gateway = Gateway::trading();
    let mut command = Command::new(needed("examples/curl/order.sh"));
    let text = output(command.env("VELOZ_URL", gateway.url("")));
    assert_eq!(gateway.json("/api/orders_state")["items"][0]["status"], "CANCELLED", "{text}");
}

#[test]
fn curl_and_jq_show_fills() {
    let gateway = Gateway::trading();
    let mut command = Command::new(needed("examples/curl/fills.sh"));
    let client = ClientProcess::start(command.env("VELOZ_URL", gateway.url("")));
    eventually("the stream is open and shows a fill", || {
        market_order(&gateway);
        client.lines().first().cloned()
    });
    for line in client.lines() {
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&event["event"], &event["data"]["type"]), (&json!("fill"), &json!("fill")));
    }
}

/// Each way to follow the stream shows market events and fills. (That they resume is `resume.rs`.)
#[test]
fn every_client_shows_a_fill() {
    let gateway = Gateway::trading();
    let url = gateway.url("/api/stream");
    for (program, script) in [
        (needed(".venv/bin/python"), "examples/python/stream.py"),
        ("node".into(), "examples/js/stream.mjs"),
        ("bash".into(), "examples/curl/resume.sh"),
    ] {
        let mut command = Command::new(program);
        let client = ClientProcess::start(command.arg(root().join(script)).arg(&url));
        eventually(&format!("{script} shows a fill"), || {
            market_order(&gateway);
            client.lines().into_iter().find(|line| line.contains(" fill {"))
        });
    }
}

/// A page of another origin, which the gateway was told to allow, in a real browser.
#[test]
fn a_browser_shows_the_stream() {
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]);
    let pages = ClientProcess::start(command.current_dir(root().join("examples/js")));
    let origin = eventually("the page is served", || {
        let lines = pages.lines();
        let line = lines.first()?;
        Some(format!("http://127.0.0.1:{}", line.split("port ").nth(1)?.split(' ').next()?))
    });
    let gateway = Gateway::start(Options::busy().env("VELOZ_ALLOWED_ORIGINS", &origin));
    let page = format!("{origin}/browser.html?gateway={}", gateway.url(""));
    let text = browse(&page, "#events li", "5");
    assert!(text.contains("\"type\":\"market\""), "{text}");
}

/// The gateway's own page, under its strict content policy.
#[test]
fn a_browser_shows_the_dashboard() {
    let gateway = Gateway::start(Options::busy());
    let text = browse(&gateway.url("/"), "#trades tbody time", "5");
    assert!(text.contains(':'), "{text}");
}

/// What Chromium shows of a page; an error on its console is a failure.
fn browse(url: &str, selector: &str, count: &str) -> String {
    needed("tests/clients/node_modules/playwright-core");
    let script = root().join("tests/clients/browser_page.mjs");
    output(Command::new("node").arg(script).args([url, selector, count]))
}

#[test]
fn snippets_of_the_documents_work() {
    let gateway = Gateway::trading();
    let mut documents = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).expect("docs") {
        documents.push(entry.expect("an entry").path());
    }
    let mut run = 0;
    for document in documents.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(document).expect("a document");
        for (language, code) in blocks(&text) {
            market_order(&gateway);
            let python = || Command::new(needed(".venv/bin/python"));
            match language {
                "sh" | "bash" => snippet(&gateway, document, Command::new("bash").arg("-c"), code),
                "python" => snippet(&gateway, document, python().arg("-uc"), code),
                "console" => {
                    for line in code.lines().filter_map(|line| line.strip_prefix("$ ")) {
                        snippet(&gateway, document, Command::new("bash").arg("-c"), line);
                    }
                }
                _ => continue,
            }
            run += 1;
        }
    }
    assert!(run > 10, "only {run} snippets");
}

/// The fenced blocks of a document: language and text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

fn snippet(gateway: &Gateway, document: &Path, command: &mut Command, code: &str) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let address = gateway.address().to_string();
    let code = code.replace("127.0.0.1:8080", &address);
    let program = Path::new(env!("CARGO_BIN_EXE_veloz")).parent().expect("its folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    command.arg(&code).env("PATH", path).current_dir(home.path());
    command.env("VELOZ_URL", gateway.url("")).env("VELOZ_PORT", "0");
    // The reader's own data directory is the gateway's.
    let state = home.path().join(".local/state");
    std::fs::create_dir_all(&state).expect("a directory");
    std::os::unix::fs::symlink(gateway.dir(), state.join("veloz")).expect("a link");
    // What the documents replay.
    std::fs::write(home.path().join("capture.gz"), Capture::wandering(50).bytes()).expect("a file");
    std::os::unix::fs::symlink(root().join("examples"), home.path().join("examples"))
        .expect("a link");
    command.env("HOME", home.path()).env("VELOZ_DATA_DIR", home.path().join("data"));
    let mut client = ClientProcess::start(command);
    let start = Instant::now();
    let mut traded = start;
    let status = eventually(&format!("{}: {code}", document.display()), || {
        // A stream of fills needs some.
        if traded.elapsed() > WATCH / 4 {
            market_order(gateway);
            traded = Instant::now();
        }
        match client.ended() {
            Some(status) => Some(Some(status)),
            None => (start.elapsed() > WATCH && !client.lines().is_empty()).then_some(None),
        }
    });
    let fine = status.is_none_or(|status| status.success());
    assert!(fine, "{}: {status:?}: {:?}\n{code}", document.display(), client.complaints());
}
