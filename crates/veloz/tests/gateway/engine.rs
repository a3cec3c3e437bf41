//! `veloz engine` over its pipes: the sessions of `docs/engine-protocol.md`, lines that nobody should
//! send, and readers that go away.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::support::{eventually, needed, root};

/// A running engine; killed when dropped.
struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
}

impl Engine {
    fn start(args: &str) -> Engine {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        command.arg("engine").args(args.split_whitespace()).current_dir(root());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Engine { input: child.stdin.take(), output: Some(output), child }
    }

    fn say(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("open");
        input.write_all(bytes).and_then(|()| input.flush()).expect("it reads");
    }

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let output = self.output.as_mut().expect("open");
        (output.read_line(&mut line).expect("UTF-8") > 0)
            .then(|| serde_json::from_str(&line).expect("JSON"))
    }

    fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a child of ours");
    }

    fn end(&mut self) -> ExitStatus {
        eventually("the engine ends", || self.child.try_wait().expect("a child of ours"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Times differ from run to run.
fn timeless(mut event: Value) -> Value {
    for key in ["ts_ns", "last_ts_ns", "version"] {
        if let Some(value) = event.get_mut(key) {
            *value = json!(1);
        }
    }
    event
}

#[test]
fn the_sessions_of_the_document_happen() {
    let document = std::fs::read_to_string(root().join("docs/engine-protocol.md")).expect("it");
    let sessions: Vec<_> = document.split("```engine ").skip(1).collect();
    assert!(sessions.len() >= 2);
    for session in sessions {
        let session = session.split("```").next().expect("a block");
        let mut lines = session.lines();
        let mut engine = Engine::start(lines.next().expect("arguments"));
        for line in lines {
            match line.split_at(2) {
                ("> ", command) => engine.say(format!("{command}\n").as_bytes()),
                ("< ", expected) => {
                    let expected: Value = serde_json::from_str(expected).expect("JSON");
                    let said = engine.next().expect("more");
                    assert_eq!(timeless(said), timeless(expected));
                }
                _ => panic!("{line:?}"),
            }
        }
        engine.input = None;
        assert_eq!(engine.rest().len(), 1, "only its end");
        assert_eq!(engine.end().code(), Some(0));
    }
}

#[test]
fn each_broken_line_is_one_error_and_nothing_else() {
    let mut engine = Engine::start("--market-source none");
    engine.say(b"BUY BTCUSDT 0.001 50000 first\n");
    let long = vec![b'x'; 10 << 20];
    let broken: [&[u8]; 6] =
        [&long, b"CANCEL a\0b", b"\xff\xfe", b"BUY", b"CANCEL nobody", b"BUY BTCUSDT 1 1 first"];
    for line in broken {
        engine.say(line);
        engine.say(b"\n");
    }
    engine.say(b"\r\n  \n# fine\nQUERY orders\nCANCEL fir");
    engine.input = None;
    let said: Vec<_> = engine.rest().into_iter().map(|event| event["type"].clone()).collect();
    let mut expected = vec!["engine_started", "account", "order_update", "order_state", "account"];
    expected.extend(["error"; 6]);
    expected.extend(["order_state", "query_done", "error", "engine_stopped"]);
    assert_eq!(said, expected);
    assert_eq!(engine.end().code(), Some(0));
}

#[test]
fn a_signal_ends_it_in_order() {
    let mut engine = Engine::start("--market-source none");
    engine.say(b"BUY BTCUSDT 0.001 50000 a\n");
    let last = std::iter::from_fn(|| engine.next()).nth(4);
    assert_eq!(last.expect("the account")["type"], "account");
    engine.terminate();
    assert_eq!(engine.rest(), [json!({"type": "engine_stopped", "commands_processed": 1})]);
    assert_eq!(engine.end().code(), Some(0));
}

#[test]
fn a_reader_that_is_gone_ends_it() {
    let mut engine = Engine::start("--sim-interval-ms 1");
    engine.next().expect("it has started");
    engine.output = None;
    assert_eq!(engine.end().code(), Some(0));
}

/// Its output is full: it ends on a signal all the same, and says that it lost something.
#[test]
fn a_reader_that_does_not_read_cannot_keep_it() {
    let mut engine = Engine::start("--sim-interval-ms 0");
    engine.next().expect("it has started");
    eventually("its output is full", || {
        let pipe = engine.output.as_ref().expect("open").get_ref();
        (rustix::io::ioctl_fionread(pipe).expect("a pipe") > 60_000).then_some(())
    });
    engine.terminate();
    assert_eq!(engine.end().code(), Some(1));
}

/// The first VeloZ's gateway used its engine so: line by line, from Python.
#[test]
fn a_python_gateway_works_with_it() {
    let mut command = Command::new("python3");
    command.arg(needed("tests/clients/engine_gateway.py")).arg(env!("CARGO_BIN_EXE_veloz"));
    let output = command.output().expect("python3 starts");
    let (text, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{complaints}");
    assert!(text.contains("FILLED") && text.contains("CANCELLED"), "{text}{complaints}");
}
