//! A disk that is filled to the last byte, and emptied again; a directory that is moved, removed.
//!
//! The disk is a file system of 64 MB in memory, in a mount namespace of its own: that needs no rights.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use memchr::memmem;
use serde_json::{Value, json};

use crate::support::{
    Events, Follower, Frame, Gateway, Options, Reply, eventually, fixed_port, seeded,
};
use crate::venue::options as engine;

/// A small file system, there as long as this is.
struct SmallDisk {
    /// Whoever keeps the namespace; it ends when its standard input does.
    keeper: Child,
    root: PathBuf,
}

impl SmallDisk {
    fn mount() -> SmallDisk {
        let mount = "mount -t tmpfs -o size=64m,mode=700 none /mnt && echo mounted && exec cat";
        let mut keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("`unshare` of util-linux is needed: {e}"));
        let mut line = String::new();
        let mut out = BufReader::new(keeper.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        if line != "mounted\n" {
            let output = keeper.wait_with_output().expect("its end");
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            panic!("a user and mount namespace with a tmpfs is needed and not allowed here: {why}");
        }
        let root = Path::new("/proc").join(keeper.id().to_string()).join("root").join("mnt");
        SmallDisk { keeper, root }
    }

    fn filler(&self) -> PathBuf {
        self.root.join("filler")
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.filler()).expect("made");
        for size in [1 << 20, 4096, 1] {
            let bytes = vec![b'x'; size];
            while file.write(&bytes).is_ok_and(|n| n > 0) {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It has ended if the test has failed to mount.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn order(id: &str) -> Value {
    json!({"client_order_id": id, "side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "1000"})
}

fn cancel(gateway: &Gateway, id: &str) -> Reply {
    gateway.post("/api/cancel", &json!({"client_order_id": id}))
}

/// The code of each `error` event, oldest first.
fn errors(gateway: &Gateway) -> Vec<String> {
    let (mut codes, mut after) = (Vec::new(), 0);
    loop {
        let page = gateway.json(&format!("/api/events?types=error&limit=1000&after={after}"));
        for item in page["items"].as_array().expect("items") {
            codes.push(item["data"]["message"].as_str().expect("a code").to_owned());
        }
        after = page["next_after"].as_u64().expect("an id");
        if after >= page["newest"].as_u64().expect("an id") {
            return codes;
        }
    }
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let page = gateway.get("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().expect("a number")
}

/// Places orders until one is refused: those that were taken, and the refusal.
fn place_until_refused(gateway: &Gateway, name: &str) -> (Vec<String>, Reply) {
    let (mut taken, mut number) = (Vec::new(), 0);
    let refusal = eventually("an order is refused", || {
        number += 1;
        let id = format!("{name}-{number}");
        let reply = gateway.post("/api/order", &order(&id));
        if reply.status != 200 {
            return Some(reply);
        }
        taken.push(id);
        None
    });
    (taken, refusal)
}

fn check_refusal(refusal: &Reply, code: &str, advice: &str) {
    assert_eq!((refusal.status, refusal.error().as_str()), (503, code), "{}", refusal.text());
    assert!(refusal.header("retry-after").is_some(), "{}", refusal.head);
    assert!(refusal.text().contains(advice), "{}", refusal.text());
}

fn check_health(gateway: &Gateway, code: &str) {
    let health = gateway.get("/health");
    assert_eq!((health.status, health.error().as_str()), (503, code), "{}", health.text());
    assert_eq!(health.json()["ok"], json!(false), "{}", health.text());
}

#[test]
fn filled_to_the_last_byte_and_emptied_again() {
    let disk = SmallDisk::mount();
    // A market at full speed: it takes what is left of the space in a moment.
    let busy = Options::default()
        .env("VELOZ_PORT", fixed_port(&mut seeded("full disk")))
        .env("VELOZ_SIM_INTERVAL_MS", 0);
    let mut gateway = Gateway::start_on(&disk.root.join("data"), busy);
    let follower = Follower::start(gateway.address());
    eventually("health warns: 64 MB are little", || {
        (gateway.json("/health")["warnings"][0]["code"] == "storage_low").then_some(())
    });
    for id in ["first", "second", "third"] {
        assert_eq!(gateway.post("/api/order", &order(id)).status, 200);
    }
    disk.fill();
    let (taken, refusal) = place_until_refused(&gateway, "before");
    check_refusal(&refusal, "storage_full", "free some");
    eventually("health tells it", || (gateway.get("/health").status == 503).then_some(()));
    check_health(&gateway, "storage_full");
    assert!(metric(&gateway, "veloz_journal_free_bytes") < 1e6);
    eventually("an event tells it", || {
        errors(&gateway).contains(&"storage_full".to_owned()).then_some(())
    });
    // What was taken is there, and is answered as before; a cancel works.
    for id in &taken {
        assert_eq!(gateway.post("/api/order", &order(id)).json()["client_order_id"], json!(id));
    }
    assert_eq!(cancel(&gateway, "first").status, 200);
    let amend = json!({"client_order_id": "second", "price": "1001"});
    check_refusal(&gateway.post("/api/amend", &amend), "storage_full", "free some");
    let newest = gateway.newest();
    eventually("a subscriber sees all of it", || (follower.newest() >= newest).then_some(()));

    // Killed and started on the full disk: nothing is lost, and a cancel works there too.
    gateway.kill();
    let gateway = gateway.again();
    let (none, refusal) = place_until_refused(&gateway, "between");
    check_refusal(&refusal, "storage_full", "free some");
    for id in taken.iter().chain(&none).map(String::as_str).chain(["second", "third"]) {
        let state = gateway.json(&format!("/api/order_state?client_order_id={id}"));
        assert_eq!(state["status"], "ACCEPTED", "{state}");
    }
    assert_eq!(cancel(&gateway, "first").status, 200, "it is cancelled already");
    assert_eq!(cancel(&gateway, "second").status, 200);

    disk.empty();
    eventually("orders are taken again", || {
        (gateway.post("/api/order", &order("after")).status == 200).then_some(())
    });
    eventually("health tells it", || (gateway.get("/health").status == 200).then_some(()));
    // Without the market, which would fill what is left by itself.
    let port = gateway.address().port();
    let quiet = Options::quiet().env("VELOZ_PORT", port).flag("--cancel-open");
    let gateway = gateway.again_with(quiet);
    let told = errors(&gateway);
    let expected = ["storage_low", "storage_full", "storage_recovered"];
    for code in expected {
        assert!(told.contains(&code.to_owned()), "{code} in {told:?}");
    }
    assert!(told.len() < 15, "not told over and over: {told:?}");
    let cancelled = gateway.json("/api/order_state?client_order_id=after");
    assert_eq!(cancelled["status"], "CANCELLED", "{cancelled}");
    let newest = gateway.newest();
    eventually("the subscriber sees the end", || (follower.newest() >= newest).then_some(()));
    assert_eq!(follower.newest(), newest, "it saw every event once");
    verify(gateway.dir());
}

/// Places that many orders over one connection, many requests at a time; all of them are taken.
fn place_many(gateway: &Gateway, count: usize) {
    const AT_ONCE: usize = 100;
    let mut connection = TcpStream::connect(gateway.address()).expect("connects");
    let host = gateway.address();
    let (mut answers, mut chunk, mut answered) = (Vec::new(), vec![0; 1 << 16], 0);
    for first in (0..count).step_by(AT_ONCE) {
        let mut requests = String::new();
        for number in first..first + AT_ONCE {
            let body = order(&format!("many-{number}")).to_string();
            requests += &format!(
                "POST /api/order HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        connection.write_all(requests.as_bytes()).expect("sent");
        while answered < first + AT_ONCE {
            let read = connection.read(&mut chunk).expect("an answer");
            assert!(read > 0, "closed after {answered} answers");
            answers.extend_from_slice(&chunk[..read]);
            answered = memmem::find_iter(&answers, "HTTP/1.1 ").count();
        }
    }
    let accepted = memmem::find_iter(&answers, "HTTP/1.1 200 ").count();
    assert_eq!((accepted, answered), (count, count));
}

fn open_orders(gateway: &Gateway) -> usize {
    let page = gateway.json("/api/orders_state?status=open&limit=1000");
    page["items"].as_array().expect("items").len()
}

/// The reserve grows with what is open: on a full disk every order that was taken can be taken back, at once too.
#[test]
fn on_a_full_disk_all_that_was_taken_is_cancelled() {
    const MANY: usize = 20_000;
    let disk = SmallDisk::mount();
    let port = fixed_port(&mut seeded("full disk, many orders"));
    let quiet = Options::quiet().env("VELOZ_PORT", port).env("VELOZ_SIM_BALANCES", "USDT=10000000");
    let mut gateway = Gateway::start_on(&disk.root.join("data"), quiet);
    let any_number = json!({"max_open_orders": null, "max_order_notional": null});
    assert_eq!(gateway.post("/api/risk", &any_number).status, 200);
    place_many(&gateway, MANY);
    disk.fill();
    let (more, refusal) = place_until_refused(&gateway, "late");
    check_refusal(&refusal, "storage_full", "free some");
    // Killed and started there: the reserve is still its own.
    gateway.kill();
    let gateway = gateway.again();
    assert_eq!(open_orders(&gateway), 1_000, "a page of them");
    let cancelled = gateway.post("/api/cancel_all", &json!({}));
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let ids = cancelled.json()["cancelled"].as_array().expect("ids").len();
    assert_eq!(ids, MANY + more.len());
    assert_eq!(open_orders(&gateway), 0);
    disk.empty();
    eventually("orders are taken again", || {
        (gateway.post("/api/order", &order("after")).status == 200).then_some(())
    });
    verify(gateway.dir());
}

/// The reserve is kept through a stop as long as an order is open, so that it can be taken back whoever fills the disk
/// meanwhile; without one a stop gives it back.
#[test]
fn a_stop_keeps_the_reserve_for_open_orders_only() {
    let disk = SmallDisk::mount();
    let port = fixed_port(&mut seeded("full disk, stopped"));
    let quiet = Options::quiet().env("VELOZ_PORT", port);
    let mut gateway = Gateway::start_on(&disk.root.join("data"), quiet);
    let segment = gateway.dir().join("00000000000000000001.vlz");
    let size = || std::fs::metadata(&segment).expect("there").len();
    assert_eq!(gateway.post("/api/order", &order("stays")).status, 200);
    assert!(gateway.terminate().success());
    assert!(size() >= 8 << 20, "{} bytes", size());
    disk.fill();
    let mut gateway = gateway.again();
    let cancelled = cancel(&gateway, "stays");
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    assert!(gateway.terminate().success());
    assert!(size() < 64 << 10, "{} bytes", size());
    verify(gateway.dir());
}

/// Of an exchange that is away the end of an order comes back after the cancel: the reserve holds that as well.
#[test]
fn on_a_full_disk_a_cancel_gets_to_an_exchange_that_is_away() {
    const MANY: usize = 100;
    let disk = SmallDisk::mount();
    let port = fixed_port(&mut seeded("full disk, away"));
    let away = Options::quiet()
        .env("VELOZ_PORT", port)
        .env("VELOZ_SIM_BALANCES", "USDT=10000000")
        // An answer waits for both, and it takes many orders until there is no room for one more.
        .env("VELOZ_SIM_LATENCY_MS", "to=2,from=2");
    let mut gateway = Gateway::start_on(&disk.root.join("data"), away);
    let any_number = json!({"max_open_orders": null, "max_order_notional": null});
    assert_eq!(gateway.post("/api/risk", &any_number).status, 200);
    assert_eq!(gateway.post("/api/order", &order("first")).status, 200);
    place_many(&gateway, MANY);
    disk.fill();
    let (more, refusal) = place_until_refused(&gateway, "late");
    check_refusal(&refusal, "storage_full", "free some");
    let state = |gateway: &Gateway, id: &str| {
        gateway.json(&format!("/api/order_state?client_order_id={id}"))["status"].clone()
    };
    let cancelled = cancel(&gateway, "first");
    assert_eq!((cancelled.status, state(&gateway, "first")), (200, json!("CANCELLED")));
    gateway.kill();
    let gateway = gateway.again();
    let cancelled = gateway.post("/api/cancel_all", &json!({}));
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    eventually("all are cancelled", || (open_orders(&gateway) == 0).then_some(()));
    for id in &more {
        assert_eq!(state(&gateway, id), "CANCELLED", "{id}");
    }
    disk.empty();
    eventually("orders are taken again", || {
        (gateway.post("/api/order", &order("after")).status == 200).then_some(())
    });
    verify(gateway.dir());
}

fn verify(dir: &Path) {
    let done = Command::new(env!("CARGO_BIN_EXE_veloz"))
        .args(["journal", "verify"])
        .arg(dir)
        .output()
        .expect("the program starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// A directory that is moved away is missed before the next file is needed; put back, all goes on.
#[test]
fn a_data_directory_that_is_moved_and_put_back() {
    let gateway = Gateway::start(Options::busy());
    for id in ["first", "second", "third"] {
        assert_eq!(gateway.post("/api/order", &order(id)).status, 200);
    }
    let elsewhere = gateway.dir().with_file_name("elsewhere");
    std::fs::rename(gateway.dir(), &elsewhere).expect("moved");
    let (_, refusal) = place_until_refused(&gateway, "moved");
    check_refusal(&refusal, "storage_unavailable", "cancels are");
    assert_eq!(cancel(&gateway, "first").status, 200);
    let cancelled = gateway.post("/api/cancel_all", &json!({}));
    assert_eq!(cancelled.status, 200, "the reserve holds it: {}", cancelled.text());
    assert!(cancelled.text().contains("third"), "{}", cancelled.text());
    eventually("health tells it", || (gateway.get("/health").status == 503).then_some(()));
    check_health(&gateway, "storage_unavailable");
    std::fs::rename(&elsewhere, gateway.dir()).expect("put back");
    eventually("orders are taken again", || {
        (gateway.post("/api/order", &order("after")).status == 200).then_some(())
    });
    eventually("health tells it", || (gateway.get("/health").status == 200).then_some(()));
}

/// What is written into files that were removed is gone with the process: nothing is accepted from then on,
/// and whoever follows the stream is shown why, though it cannot be stored.
#[test]
fn a_data_directory_that_is_removed() {
    let mut gateway = Gateway::start(Options::busy());
    let mut events = gateway.stream("");
    let mut only_fills = gateway.stream("?types=fill");
    assert_eq!(gateway.post("/api/order", &order("first")).status, 200);
    std::fs::remove_dir_all(gateway.dir()).expect("removed");
    let (_, refusal) = place_until_refused(&gateway, "late");
    assert!([500, 503].contains(&refusal.status), "{}", refusal.text());
    eventually("health tells it", || {
        (gateway.get("/health").text().contains("journal_failed")).then_some(())
    });
    let shown = |frame: &Frame| frame.id.is_none() && frame.json()["message"] == "journal_failed";
    while !shown(&events.next_of("error")) {}
    // Whoever comes later is shown it too; not one that wants no errors.
    let mut later = Events::open(gateway.address(), "/api/stream?format=ndjson", &[]);
    let shown = "{\"event\":\"error\",\"data\":{\"type\":\"error\"";
    while !later.line().expect("a line").starts_with(shown) {}
    assert_eq!(gateway.terminate().code(), Some(1), "a supervisor hears of it");
    assert_eq!(only_fills.next(), None);
}

/// Prices that an external engine tells are let go: what is reserved is for its reports, and for cancels.
#[test]
fn prices_of_an_engine_take_nothing_of_what_is_reserved() {
    // Of prices alone several times what is reserved.
    const LINES: f64 = 150_000.0;
    let (disk, home) = (SmallDisk::mount(), tempfile::tempdir().expect("a directory"));
    let gateway = Gateway::start_on(&disk.root.join("data"), engine(home.path(), "flood"));
    assert_eq!(gateway.post("/api/order", &order("first")).status, 200);
    disk.fill();
    eventually("health tells it", || (gateway.get("/health").status == 503).then_some(()));
    check_health(&gateway, "storage_full");
    let lines = || metric(&gateway, "veloz_engine_lines_total{kind=\"taken\"}");
    let before = lines();
    eventually("as many lines", || (lines() > before + LINES).then_some(()));
    check_health(&gateway, "storage_full");
    assert_eq!(cancel(&gateway, "first").status, 200);
}
