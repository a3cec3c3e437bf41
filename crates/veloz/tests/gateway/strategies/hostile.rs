//! Strategies that do what none should, and whoever does not want to wait: each is told, the report says what
//! was done until then, and nothing hangs.

use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::json;

use super::{Ended, Run};
use crate::support::{Capture, eventually};

const HELLO: &str = r#"echo '{"hello":{"types":["market"]}}'; read start; "#;

/// Until the first turn; then whatever follows.
fn at_turn(script: &str) -> String {
    format!("{HELLO} read market; read turn; {script}")
}

/// Runs a strategy that fails, and checks what is said of it; the report tells what was done, if it began.
#[track_caller]
fn check_failure(script: &str, told: &str, begins: bool) {
    let mut run = Run::shell(&Capture::wandering(3_000), script).with(&["--timeout", "1"]);
    let ended = run.end();
    assert_eq!(ended.code, Some(1), "{script}: {}", ended.complaints);
    assert!(ended.complaints.contains(told), "{script}: {}", ended.complaints);
    assert_eq!(ended.report.is_some(), begins, "{script}: {}", ended.printed);
    if let Some(report) = ended.report {
        let problem = report["problem"].as_str().expect("a problem");
        assert_eq!(report["complete"], json!(false), "{script}");
        assert!(problem.contains(told), "{script}: {problem}");
        assert!(run.text("plot.svg").contains("INCOMPLETE"), "{script}");
    }
}

#[test]
fn a_strategy_that_does_not_begin() {
    let check = |script: &str, told: &str| check_failure(script, told, false);
    check("true", "the strategy ended before the replay did (exit status: 0)");
    check(
        "exit 9",
        "first line is its hello: the strategy ended before the replay did (exit status: 9)",
    );
    check("sleep 1000", "has kept the replay waiting for 1s (--timeout)");
    check("echo Starting...", r#"line 1 of the strategy's output, "Starting...", is no line of a"#);
    check(r#"echo '{"done":1}'"#, "the first, must be its hello");
    check(r#"echo '{"hello":{"types":["fills"]}}'"#, r#"names "fills" in types"#);
    check(r#"echo '{"hello":{"symbols":["SOLUSDT"]}}'"#, "names SOLUSDT, which is not traded here");
    let mut run = Run::new(Path::new("capture"), "/nonexistent/bot --fast");
    std::fs::write(run.path("capture"), Capture::wandering(1).bytes()).expect("written");
    let ended = run.end();
    let told = "the strategy cannot be started: /nonexistent/bot --fast: No such file";
    assert!(ended.code == Some(1) && ended.complaints.contains(told), "{}", ended.complaints);
}

#[test]
fn a_strategy_that_fails_on_the_way() {
    let check = |script: &str, told: &str| check_failure(&at_turn(script), told, true);
    check("exit 7", "the strategy ended before the replay did (exit status: 7)");
    check("kill -9 $$", "the strategy ended before the replay did (signal: 9");
    // What it leaves behind holds its pipes open, and neither reads nor writes.
    check("sleep 1000 & exit 5", "the strategy ended before the replay did (exit status: 5)");
    check(
        "sleep 1000 & printf '{'; exit 6",
        "in the middle of line 2 of its output (exit status: 6)",
    );
    check("echo 'x = 5'; sleep 1000", r#"line 2 of the strategy's output, "x = 5", is no line of"#);
    check("printf '{\"done\"'", "ended in the middle of line 2 of its output (exit status: 0)");
    check(
        "head -c 200000 /dev/zero | tr '\\0' x; echo",
        "line 2 of the strategy's output is longer",
    );
    check("cat /dev/zero", "wrote more than 16777216 bytes in one turn");
    check("yes '{\"cancel_all\":{}}'", "gave more than 10000 commands in one turn");
    check("echo '{\"done\":2}'", "{\"done\":2}, is not the end of turn 1");
    check(
        "echo '{\"done\":1}'; echo '{\"done\":1}'; sleep 1000",
        "{\"done\":1}, is not the end of turn 2",
    );
    check("echo '{\"hello\":{}}'", "a hello, has its place at the start only");
    check("exec 1>&-; sleep 1000", "it has closed its input or output, and runs on");
    check(
        "sleep 1000",
        "has kept the replay waiting for 1s (--timeout): its hello, and {\"done\":TURN}",
    );
}

#[test]
fn a_strategy_that_does_not_read() {
    let script = r#"echo '{"hello":{"types":["market"],"wake":[]}}'; sleep 1000"#;
    check_failure(script, "has not read its input for 1s (--timeout)", true);
}

/// All was played, so the report is whole; that something is wrong is told all the same.
#[test]
fn a_strategy_that_fails_at_the_end() {
    let check = |script: &str, told: &str| {
        let mut run = Run::shell(&Capture::wandering(5), script).with(&["--timeout", "1"]);
        let ended = run.end();
        assert_eq!(ended.code, Some(1), "{}", ended.complaints);
        assert!(ended.complaints.contains(told), "{}", ended.complaints);
        assert_eq!(ended.report.expect("a report")["complete"], json!(true));
    };
    let listen = r#"echo '{"hello":{"types":[]}}'; cat > /dev/null; "#;
    check(&format!("{listen} exit 3"), "the strategy ended with exit status: 3");
    check(
        &format!("{listen} sleep 1000"),
        "has not ended within 1s (--timeout) after the replay did",
    );
}

/// A report of nothing is no success: whoever named the wrong file hears it.
#[test]
fn a_capture_that_says_nothing() {
    let bot = r#"bash -c 'echo "{\"hello\":{\"types\":[]}}"; cat > /dev/null'"#;
    for bytes in [&b""[..], b"name:x:0:0\n", b"1700000000000000000 {}\n"] {
        let mut run = Run::new(Path::new("capture"), bot);
        std::fs::write(run.path("capture"), bytes).expect("written");
        let ended = run.end();
        let told = "the capture holds no message of a market of BTCUSDT";
        assert!(ended.code == Some(1) && ended.complaints.contains(told), "{}", ended.complaints);
        let report = ended.report.expect("a report");
        assert_eq!((&report["complete"], &report["problem"]), (&json!(false), &json!(told)));
    }
}

/// What is written never takes the place of what is read.
#[test]
fn the_capture_is_not_written_over() {
    let check = |name: &str, told: &str, prepare: &dyn Fn(&Run)| {
        let mut run = Run::new(Path::new(name), "bash -c 'touch ran'");
        let capture = Capture::wandering(5);
        std::fs::write(run.path("events"), capture.bytes()).expect("written");
        prepare(&run);
        let ended = run.end();
        assert!(ended.code == Some(2) && ended.complaints.contains(told), "{}", ended.complaints);
        assert_eq!(run.text("events").as_bytes(), capture.bytes());
        assert!(!run.path("ran").exists());
    };
    let link = |name| {
        move |run: &Run| {
            std::fs::hard_link(run.path("events"), run.path(name)).expect("a link");
        }
    };
    check("events", "events is the capture itself", &|_| ());
    check("link", "events is the capture itself", &|run| {
        std::os::unix::fs::symlink("events", run.path("link")).expect("a link");
    });
    check("plot.svg", "plot.svg is the capture itself", &link("plot.svg"));
    check("capture", "plot.svg is where the events go", &link("plot.svg"));
}

/// What the strategy has started is gone with it, however it ended itself.
#[test]
fn nobody_is_left_behind() {
    // It holds none of the strategy's pipes.
    let begets = "sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > child;";
    let check = |script: &str, code: i32| {
        let mut run = Run::shell(&Capture::wandering(5), script).with(&["--timeout", "1"]);
        let ended = run.end();
        assert_eq!(ended.code, Some(code), "{script}: {}", ended.complaints);
        let child = PathBuf::from("/proc").join(run.text("child").trim());
        eventually("its child is gone", || {
            let status = std::fs::read_to_string(child.join("status"));
            status.map_or(true, |status| status.contains("State:\tZ")).then_some(())
        });
    };
    check(&at_turn(&format!("{begets} wait")), 1);
    check(&at_turn(&format!("{begets} exit 3")), 1);
    let listen = r#"echo '{"hello":{"types":[]}}';"#;
    check(&format!("{listen} {begets} cat > /dev/null"), 0);
    // Nor is it waited for when it holds them.
    let begets = "sleep 1000 & echo $! > child;";
    check(&at_turn(&format!("{begets} exit 3")), 1);
    check(&format!("{listen} {begets} cat > /dev/null"), 0);
}

/// Ctrl-C, or a terminal that is closed: the report tells what was done until then.
#[test]
fn it_can_be_interrupted() {
    use rustix::process::Signal;
    [Signal::INT, Signal::TERM, Signal::HUP].into_iter().for_each(check_interrupt);
}

#[track_caller]
fn check_interrupt(signal: rustix::process::Signal) {
    let script = at_turn("echo '{\"done\":1}'; touch began; sleep 1000");
    let mut run = Run::shell(&Capture::wandering(3), &script);
    let mut child: Child = run.command.spawn().expect("runs");
    eventually("the strategy has had a turn", || run.path("began").exists().then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, signal).expect("a child of ours");
    eventually("it ends", || child.try_wait().expect("a child of ours"));
    let ended = Ended::of(&child.wait_with_output().expect("its output"));
    assert_eq!(ended.code, Some(130), "{}", ended.complaints);
    let report = ended.report.expect("a report");
    assert_eq!((&report["complete"], &report["problem"]), (&json!(false), &json!("interrupted")));
}
