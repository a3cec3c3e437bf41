//! A start that cannot work ends with one clear line that says what to do, and an exit code not 0.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Gateway, Options, eventually, skipped};

/// Starts it, expects it to end by itself, and looks for the words in the one line that it says.
#[track_caller]
pub(crate) fn refused(options: &Options, dir: &Path, words: &[&str]) {
    let output = run(options, dir);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it started: {text}");
    assert!(output.status.code().is_some(), "it was killed: {:?} {text}", output.status);
    // Besides it there may be the log of the settings, and where to look for help.
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors[..] else { panic!("one line: {text}") };
    for word in words {
        assert!(error.to_lowercase().contains(&word.to_lowercase()), "{word:?} is not in {error}");
    }
    assert!(error.matches("(os error").count() <= 1, "told twice: {error}");
    for noise in ["panicked", "RUST_BACKTRACE", "Os {", "Error("] {
        assert!(!text.contains(noise), "{noise:?} is in {text}");
    }
}

fn run(options: &Options, dir: &Path) -> Output {
    let mut child = options.command(dir).spawn().expect("the program starts");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("it ends by itself", || child.try_wait().expect("a child of ours"))
    }));
    if ended.is_err() {
        child.kill().expect("a child of ours");
    }
    let output = child.wait_with_output().expect("a child of ours");
    assert!(ended.is_ok(), "it runs on: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_wrong_variable_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    for (name, value, words) in [
        ("VELOZ_PORT", "http", &["65535"][..]),
        ("VELOZ_PORT", "70000", &["65535"]),
        ("VELOZ_HOST", "0.0.0.0", &["authentication"]),
        ("VELOZ_HOST", "nowhere", &[]),
        ("VELOZ_MARKET_SOURCE", "simm", &["sim", "replay", "none"]),
        ("VELOZ_MARKET_SOURCE", "replay", &["VELOZ_REPLAY_FILE"]),
        ("VELOZ_REPLAY_SPEED", "fast", &["max"]),
        ("VELOZ_REPLAY_SPEED", "0", &[]),
        ("VELOZ_REPLAY_SPEED", "-1", &[]),
        ("VELOZ_SIM_SEED", "x", &[]),
        ("VELOZ_SIM_INTERVAL_MS", "-5", &[]),
        ("VELOZ_SIM_BALANCES", "USDT", &["ASSET=AMOUNT"]),
        ("VELOZ_SIM_BALANCES", "USDT=NaN", &[]),
        ("VELOZ_SIM_FEES", "maker=2", &[]),
        ("VELOZ_SIM_LIQUIDITY", "endless", &["consumed", "replenished"]),
        ("VELOZ_MARKET_SYMBOL", "btc usdt", &[]),
        ("VELOZ_EXECUTION_MODE", "live", &["sim_engine"]),
        ("VELOZ_DURABILITY", "maybe", &["process", "disk"]),
        ("VELOZ_RETENTION_BYTES", "4XB", &[]),
        ("VELOZ_RETENTION_MARKET", "soon", &[]),
        ("VELOZ_KEEP_ALIVE_MS", "0", &[]),
        ("VELOZ_MAX_CONNECTIONS", "many", &[]),
        ("VELOZ_ALLOWED_ORIGINS", "desk.example", &["https://"]),
        ("VELOZ_LOG", "loud", &["info, debug"]),
        ("VELOZ_LOG", "veloz::stream=loud", &["veloz::stream=debug"]),
    ] {
        let words: Vec<&str> = [name].into_iter().chain(words.iter().copied()).collect();
        refused(&Options::default().env(name, value), &dir, &words);
        assert!(!dir.exists(), "{name}={value}: nothing is made before the settings are checked");
    }
}

/// Nothing else is opened, or emptied, in the place of a directory whose name cannot be read.
#[test]
fn a_variable_that_is_not_text_is_named() {
    let home = tempfile::tempdir().unwrap();
    for command in ["serve", "reset"] {
        let output = Command::new(env!("CARGO_BIN_EXE_veloz"))
            .arg(command)
            .env("XDG_STATE_HOME", home.path())
            .env("VELOZ_PORT", "0")
            .env("VELOZ_DATA_DIR", OsStr::from_bytes(b"d\xff"))
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("VELOZ_DATA_DIR"), "{command}: {said}");
        assert!(said.contains("UTF-8"), "{command}: {said}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{command}");
    }
}

#[test]
fn a_wrong_flag_or_file_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let output = run(&Options::default().flag("--no-such-flag"), &dir);
    assert_eq!(output.status.code(), Some(2), "usage errors");
    let file = home.path().join("veloz.toml");
    std::fs::write(&file, "market_sauce = \"sim\"\n").unwrap();
    let options = Options::default().flag("--config").flag(&file.display().to_string());
    refused(&options, &dir, &["veloz.toml", "market_sauce"]);
    let missing = home.path().join("missing.gz");
    let options = Options::default()
        .env("VELOZ_MARKET_SOURCE", "replay")
        .env("VELOZ_REPLAY_FILE", missing.display());
    refused(&options, &dir, &["missing.gz"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let home = tempfile::tempdir().unwrap();
    let options = Options::quiet().env("VELOZ_PORT", &port);
    refused(&options, &home.path().join("data"), &[&port, "VELOZ_PORT"]);
}

#[test]
fn a_data_directory_in_use_is_named() {
    let gateway = Gateway::start(Options::quiet());
    let words = [gateway.dir().display().to_string(), gateway.pid().to_string()];
    refused(&Options::quiet(), gateway.dir(), &words.each_ref().map(String::as_str));
    assert_eq!(gateway.get("/health").status, 200, "the first one goes on");
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let words = [&file.path().display().to_string(), "not a directory", "VELOZ_DATA_DIR"];
    refused(&Options::quiet(), file.path(), &words);
}

/// Runs the program in a mount namespace of its own, where a file system made for it is at `dir`.
fn mounted(dir: &Path, options: &str) -> Option<Options> {
    std::fs::create_dir_all(dir).unwrap();
    let probe =
        Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none"]).arg(dir).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skipped("`unshare -rm`, which this machine does not allow");
        return None;
    }
    let mount = format!("mount -t tmpfs -o {options} none {}", dir.display());
    let inside = format!("{mount}; exec \"$0\" \"$@\"");
    Some(Options::quiet().shell(&format!("exec unshare -rm sh -c '{inside}' \"$0\" \"$@\"")))
}

#[test]
fn a_read_only_data_directory_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("disk");
    let Some(options) = mounted(&dir, "ro,size=1m") else { return };
    refused(&options, &dir, &[&dir.display().to_string(), "read-only", "VELOZ_DATA_DIR"]);
}

#[test]
fn a_full_data_directory_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("disk");
    let Some(options) = mounted(&dir, "size=8k") else { return };
    refused(&options, &dir, &[&dir.display().to_string(), "space"]);
}

/// The journal of one account is not taken for another's.
#[test]
fn another_market_is_refused_while_orders_are_open() {
    let mut gateway = Gateway::start(Options::busy());
    let order =
        serde_json::json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000"});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
    assert!(gateway.terminate().success());
    refused(&Options::quiet(), gateway.dir(), &["--cancel-open"]);
    let gateway = gateway.again_with(Options::quiet().flag("--cancel-open"));
    assert_eq!(gateway.json("/api/orders_state?status=open")["items"], serde_json::json!([]));
}

/// An order of a symbol that is no longer traded would stand for ever, and nobody would be told.
#[test]
fn a_symbol_with_open_orders_stays_traded() {
    let both = || Options::quiet().env("VELOZ_MARKET_SYMBOLS", "BTCUSDT,ETHUSDT");
    let mut gateway = Gateway::start(both());
    let order = serde_json::json!({"side": "BUY", "symbol": "ETHUSDT", "qty": "1", "price": "100"});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
    assert!(gateway.terminate().success());
    refused(
        &Options::quiet(),
        gateway.dir(),
        &["ETHUSDT", "VELOZ_MARKET_SYMBOLS", "--cancel-open"],
    );
    let gateway = gateway.again_with(both());
    assert_eq!(gateway.json("/api/orders_state?status=open")["items"][0]["symbol"], "ETHUSDT");
    let gateway = gateway.again_with(Options::quiet().flag("--cancel-open"));
    assert_eq!(gateway.json("/api/orders_state?status=open")["items"], serde_json::json!([]));
}

/// A supervisor may stop it while it starts.
#[test]
fn a_signal_during_the_start_ends_it_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Options::quiet().command(&home.path().join("data")).spawn().unwrap();
    // It says its settings first of all.
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    log.read_line(&mut String::new()).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = eventually("it ends", || child.try_wait().expect("a child of ours"));
    assert!(status.success(), "{status}");
}
