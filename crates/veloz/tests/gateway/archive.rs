//! Closed orders leave memory and snapshots for the archive: they are all there still, none can be placed again, and
//! where one cannot be read, nothing is made up.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::startup::refused;
use crate::support::{Gateway, Options, Reply, eventually, exchange, parse};

/// Twice as many as there must be before any leaves.
const ORDERS: usize = 20_000;
/// Of the first of them, all have left when the names of so many are in their file.
const LEFT: u64 = 10_000;
/// Bytes that an order's record has in the archive.
const PLACE_BYTES: usize = 132;

/// A market of nobody, and a snapshot as often as can be.
pub(crate) fn options() -> Options {
    Options::quiet().env("VELOZ_RETENTION_BYTES", "64MiB")
}

pub(crate) fn order(number: usize) -> Value {
    json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000", "time_in_force": "IOC",
           "client_order_id": format!("f-{number}")})
}

/// Places orders that end at once.
pub(crate) fn flood(gateway: &Gateway, numbers: std::ops::Range<usize>) {
    let numbers: Vec<_> = numbers.collect();
    for some in numbers.chunks(200) {
        let mut requests = String::new();
        for number in some {
            let body = order(*number).to_string();
            let close = if Some(number) == some.last() { "Connection: close\r\n" } else { "" };
            requests.push_str(&format!(
                "POST /api/order HTTP/1.1\r\nHost: {}\r\n{close}Content-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                gateway.address(),
                body.len()
            ));
        }
        let answers = exchange(gateway.address(), requests.as_bytes());
        let taken = memchr::memmem::find_iter(&answers, b"HTTP/1.1 200").count();
        assert_eq!(taken, some.len(), "{:?}", parse(&answers));
    }
}

fn archive(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("orders.archive")
}

fn names(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("orders.names")
}

/// The newest last.
fn snapshots(gateway: &Gateway) -> Vec<PathBuf> {
    let files = std::fs::read_dir(gateway.dir()).expect("a directory");
    let paths = files.map(|file| file.expect("an entry").path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "snap")).collect();
    found.sort();
    found
}

/// Waits until orders have left, and a snapshot knows.
fn archived(gateway: &Gateway) {
    let snapshot_knows = || {
        let knows = |path: &PathBuf| std::fs::read(path).is_ok_and(|b| b.get(8) == Some(&2));
        snapshots(gateway).into_iter().find(knows)
    };
    eventually("closed orders leave", || {
        let len = std::fs::metadata(names(gateway)).ok()?.len();
        snapshot_knows().filter(|_| len >= 4 * LEFT)
    });
}

/// A gateway of which thousands of orders are in the archive, one that is open among them.
fn flooded(options: Options) -> Gateway {
    let gateway = Gateway::start(options);
    let open = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.002", "price": "10000", "client_order_id": "open"});
    assert_eq!(gateway.post("/api/order", &open).status, 200);
    flood(&gateway, 0..ORDERS);
    archived(&gateway);
    gateway
}

fn look(gateway: &Gateway, name: &str) -> Reply {
    gateway.get(&format!("/api/order_state?client_order_id={name}"))
}

/// All that can be asked of orders is answered as if none had left.
#[track_caller]
fn all_is_there(gateway: &Gateway) {
    for number in [0, 1, 511, 512, 5_000, 9_000, ORDERS - 1] {
        let seen = look(gateway, &format!("f-{number}")).json();
        assert_eq!(
            (&seen["status"], &seen["limit_price"]),
            (&json!("EXPIRED"), &json!(20_000.0)),
            "{seen}"
        );
        let again = gateway.post("/api/order", &order(number));
        assert_eq!((again.status, &again.json()["status"]), (200, &json!("EXPIRED")), "{number}");
        let mut another = order(number);
        another["qty"] = json!("0.5");
        let refused = gateway.post("/api/order", &another);
        assert_eq!(refused.error(), "duplicate_client_order_id", "{number}");
        let cancel =
            gateway.post("/api/cancel", &json!({"client_order_id": format!("f-{number}")}));
        assert_eq!(cancel.error(), "order_closed", "{number}");
    }
    assert_eq!(look(gateway, "f-none").status, 404);
    let mut seen = Vec::new();
    loop {
        let page = gateway.json(&format!("/api/orders_state?limit=1000&after={}", seen.len()));
        let items = page["items"].as_array().expect("items");
        seen.extend(items.iter().map(|item| item["client_order_id"].clone()));
        if items.is_empty() {
            break;
        }
    }
    let flooded = (0..ORDERS).map(|number| json!(format!("f-{number}")));
    assert!(seen.iter().eq([json!("open")].iter().chain(&flooded.collect::<Vec<_>>())));
    assert_eq!(gateway.json("/api/orders_state?status=open")["items"].as_array().unwrap().len(), 1);
}

fn verify(dir: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
    let Output { status, stdout, stderr } =
        command.args(["journal", "verify"]).arg(dir).output().expect("it starts");
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn flip(file: &Path, offset: usize) {
    let mut bytes = std::fs::read(file).expect("it is there");
    bytes[offset] ^= 1;
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn orders_in_the_archive_are_all_there() {
    let mut gateway = flooded(options());
    all_is_there(&gateway);
    gateway.kill();
    let mut gateway = gateway.again();
    all_is_there(&gateway);
    // What was open when others left goes when it ends.
    assert_eq!(gateway.post("/api/cancel", &json!({"client_order_id": "open"})).status, 200);
    assert!(gateway.terminate().success());
    let (ok, said) = verify(gateway.dir());
    assert!(ok && said.contains("is what the replay leads to"), "{said}");
    let first = std::fs::read(archive(&gateway)).expect("there");
    assert_ne!(first[..PLACE_BYTES], [0; PLACE_BYTES], "the one that was open has its place");
    let gateway = gateway.again();
    assert_eq!(look(&gateway, "open").json()["status"], "CANCELLED");
}

/// Neither the names nor, while the log is whole, the archive is missed.
#[test]
fn what_is_missing_is_made_anew() {
    let mut gateway = flooded(options());
    for (broken, told) in
        [(names(&gateway), "names of closed orders"), (archive(&gateway), "passed over")]
    {
        gateway.kill();
        std::fs::remove_file(&broken).expect("it is there");
        gateway = gateway.again();
        assert!(gateway.said().contains(told), "{}", gateway.said());
        all_is_there(&gateway);
    }
    assert!(gateway.terminate().success());
    flip(&names(&gateway), 4_000);
    gateway = gateway.again();
    all_is_there(&gateway);
    assert!(gateway.terminate().success());
    assert!(verify(gateway.dir()).0);
}

#[test]
fn a_snapshot_that_the_disk_does_not_give_is_passed_over() {
    let gateway = flooded(options());
    // The next one is made from the one before; but one that is under way has read its own already.
    let mut placed = ORDERS;
    let broken = eventually("one is passed over", || {
        let newest = snapshots(&gateway).pop()?;
        std::fs::remove_file(&newest).ok()?;
        // The system gives an error for a link to itself.
        std::os::unix::fs::symlink(&newest, &newest).expect("a link");
        flood(&gateway, placed..placed + 2_000);
        placed += 2_000;
        gateway.said().contains("cannot be read is passed over").then_some(newest)
    });
    eventually("another snapshot", || snapshots(&gateway).pop().filter(|next| *next > broken));
    assert_eq!(gateway.json("/health"), json!({"ok": true}));
    assert_eq!(look(&gateway, "f-7").json()["status"], "EXPIRED");
}

/// It is no reason to stop, but somebody has to know: the log grows, and starts take longer.
#[test]
fn upkeep_that_fails_is_told_until_it_works() {
    let gateway = Gateway::start(options());
    std::fs::create_dir(archive(&gateway)).expect("in the archive's place");
    flood(&gateway, 0..ORDERS);
    eventually("it is told", || {
        let health = gateway.json("/health");
        let warning = health["warnings"].get(0)?.clone();
        assert_eq!(
            (&health["ok"], &warning["code"]),
            (&json!(true), &json!("journal_upkeep_failed"))
        );
        let message = warning["message"].as_str()?;
        assert!(message.contains("orders.archive"), "{message}");
        Some(())
    });
    std::fs::remove_dir(archive(&gateway)).expect("still empty");
    flood(&gateway, ORDERS..ORDERS + 8_000);
    eventually("it is over", || (gateway.json("/health") == json!({"ok": true})).then_some(()));
    archived(&gateway);
}

#[test]
fn a_flipped_byte_is_told_and_nothing_made_up() {
    let mut gateway = flooded(options());
    assert!(gateway.terminate().success());
    let (file, offset) = (archive(&gateway), 101 * PLACE_BYTES);
    flip(&file, offset + 90);
    let (ok, said) = verify(gateway.dir());
    assert!(!ok && said.contains(&file.display().to_string()), "{said}");
    assert!(said.contains(&format!("\t{offset}\t")), "{said}");
    let told = |text: String| {
        for word in [file.display().to_string(), format!("offset {offset}")] {
            assert!(text.contains(&word), "{word}: {text}");
        }
    };
    // A look is answered with an error, and trading goes on: whatever does not need that order.
    gateway = gateway.again();
    for path in ["/api/order_state?client_order_id=f-100", "/api/orders_state?limit=1000"] {
        assert_eq!(look(&gateway, "f-99").json()["status"], "EXPIRED", "the others are there");
        let answer = gateway.get(path);
        assert_eq!((answer.status, answer.error().as_str()), (503, "archive_unreadable"));
        told(answer.text());
        let health = gateway.get("/health");
        assert_eq!(health.status, 503);
        told(health.text());
        let again = gateway.post("/api/order", &order(99));
        assert_eq!((again.status, &again.json()["status"]), (200, &json!("EXPIRED")));
    }
    assert_eq!(gateway.post("/api/order", &order(ORDERS)).status, 200);
    gateway.kill();
    // What cannot be decided without it stops the service.
    let asked: [fn(&Gateway) -> Reply; 2] = [
        |gateway| gateway.post("/api/order", &order(100)),
        |gateway| gateway.post("/api/cancel", &json!({"client_order_id": "f-100"})),
    ];
    for ask in asked {
        gateway = gateway.again();
        // Nor does an earlier look that failed make its name free.
        assert_eq!(look(&gateway, "f-100").status, 503);
        let answer = ask(&gateway);
        assert!(answer.status >= 500, "{}", answer.text());
        let health = gateway.get("/health");
        assert_eq!(health.status, 503);
        assert!(health.text().contains("journal_failed"), "{}", health.text());
        told(health.text());
        assert!(
            gateway.post("/api/order", &order(ORDERS + 1)).status >= 500,
            "nothing is taken any more"
        );
        gateway.kill();
    }
    flip(&file, offset + 90);
    let gateway = gateway.again();
    assert_eq!(look(&gateway, "f-100").json()["status"], "EXPIRED");
    assert_eq!(gateway.post("/api/order", &order(100)).json()["status"], "EXPIRED");
    assert_eq!(gateway.get("/health").status, 200);
}

#[test]
fn a_backup_has_them() {
    let gateway = flooded(options());
    let copy = gateway.dir().with_file_name("copy");
    let mut backup = Command::new(env!("CARGO_BIN_EXE_veloz"));
    backup.args(["journal", "backup"]).arg(gateway.dir()).arg(&copy);
    assert!(backup.status().expect("it starts").success());
    let mut restored = gateway.on_copy(&copy, options());
    all_is_there(&restored);
    assert!(restored.terminate().success());
    let mut reset = Command::new(env!("CARGO_BIN_EXE_veloz"));
    reset.arg("reset").arg(&copy).arg("--yes");
    assert!(reset.output().expect("it starts").status.success());
    let left: Vec<_> =
        std::fs::read_dir(&copy).expect("there").map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

/// What retention has taken from the log is in no other place.
#[test]
fn retention_takes_no_order() {
    let options = || Options::quiet().env("VELOZ_RETENTION_BYTES", "8MiB");
    let mut gateway = flooded(options());
    flood(&gateway, ORDERS..2 * ORDERS);
    eventually("the log is trimmed", || {
        let oldest = gateway.json("/api/events?limit=1")["oldest"].as_u64()?;
        (oldest > 1).then_some(())
    });
    gateway.kill();
    let mut gateway = gateway.again();
    let again = gateway.post("/api/order", &order(0));
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("EXPIRED")));
    assert_eq!(look(&gateway, "f-7").json()["status"], "EXPIRED");
    assert!(gateway.terminate().success());
    assert!(verify(gateway.dir()).0);
    std::fs::remove_file(archive(&gateway)).expect("there");
    refused(&options(), gateway.dir(), &["orders.archive", "missing"]);
}
