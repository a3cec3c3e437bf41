//! Clients cut off at random points end with every id from 1 to N exactly once.
//!
//! Each kind of client follows its own gateway through a proxy. The proxy cuts its connection after a
//! random number of bytes (a close or a reset, in the middle of a frame as well), or the gateway is
//! killed with -9, or stopped and started again. `VELOZ_CUTS` sets how often: 40 without it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use serde_json::json;

use crate::support::{
    ClientProcess, Cut, Events, Gateway, Options, PATIENCE, Proxy, eventually, needed, root, seeded,
};

fn cuts() -> u64 {
    std::env::var("VELOZ_CUTS").map_or(40, |n| n.parse().expect("VELOZ_CUTS is a number"))
}

#[test]
fn curl() {
    check("curl", |url| {
        let mut command = Command::new(needed("examples/curl/resume.sh"));
        command.args([url, "0"]);
        command
    });
}

#[test]
fn sseclient_py() {
    check("sseclient-py", |url| {
        let mut command = Command::new(needed(".venv/bin/python"));
        command.arg(root().join("examples/python/stream.py")).args([url, "0"]);
        command
    });
}

#[test]
fn npm_eventsource() {
    needed("examples/js/node_modules/eventsource");
    check("eventsource", |url| {
        let mut command = Command::new("node");
        command.arg(root().join("examples/js/stream.mjs")).arg(format!("{url}?last_id=0"));
        command
    });
}

#[test]
fn chromium_eventsource() {
    needed("tests/clients/node_modules/playwright-core");
    check("Chromium", |url| {
        let mut command = Command::new("node");
        command.arg(root().join("tests/clients/browser_resume.mjs"));
        command.arg(format!("{url}?last_id=0"));
        command
    });
}

#[test]
fn own_client() {
    check("veloz tail", |url| {
        let base = url.strip_suffix("/api/stream").expect("a stream's address");
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        command.args(["--url", base, "tail", "--json", "--since", "0"]);
        command
    });
}

/// Two symbols, a trade of each every few milliseconds.
fn market() -> Options {
    Options::busy().env("VELOZ_MARKET_SYMBOLS", "BTCUSDT,ETHUSDT")
}

/// Cut off before its first event, on a stream that is quiet: what happened meanwhile comes all the same.
#[test]
fn a_cut_before_the_first_event() {
    let mut gateway = Gateway::start(Options::quiet());
    let proxy = Proxy::start(gateway.address(), true);
    let base = format!("http://{}", proxy.address());
    let url = format!("{base}/api/stream?types=order_update");
    let script = |program: &str, script: &str| {
        let mut command = Command::new(program);
        command.arg(root().join(script)).arg(&url);
        command
    };
    let mut curl = Command::new(needed("examples/curl/resume.sh"));
    curl.arg(&url);
    let python = needed(".venv/bin/python");
    let mut tail = Command::new(env!("CARGO_BIN_EXE_veloz"));
    tail.args(["--url", &base, "tail", "--json", "--types", "order_update"]);
    let mut commands = [
        curl,
        script(&python.to_string_lossy(), "examples/python/stream.py"),
        script("node", "examples/js/stream.mjs"),
        script("node", "tests/clients/browser_resume.mjs"),
        tail,
    ];
    let clients = commands.each_mut().map(ClientProcess::start);
    let streams = || gateway.metrics().value("veloz_stream_connections");
    eventually("all of them are there", || (streams() >= 5.0).then_some(()));
    // An end in order: what was sent arrives, which is where the stream starts.
    let nowhere = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    proxy.set_target(nowhere);
    assert!(gateway.terminate().success(), "exit code after SIGTERM");
    let gateway = gateway.again();
    place_order(&gateway, "meanwhile", 0);
    proxy.set_target(gateway.address());
    for (client, command) in clients.iter().zip(&commands) {
        let seen = eventually(&format!("{command:?} shows it"), || client.lines().first().cloned());
        assert!(seen.contains("order_update"), "{command:?}: {seen}");
    }
}

fn check(client: &str, command: impl Fn(&str) -> Command) {
    let mut rng = seeded(client);
    let mut gateway = Gateway::start(market());
    // Chromium takes half a response head for a whole one, finds half a content type and gives up.
    let proxy = Proxy::start(gateway.address(), client == "Chromium");
    let mut process =
        ClientProcess::start(&mut command(&format!("http://{}/api/stream", proxy.address())));
    // A first connection that fails may end a client: nobody has anything to lose yet.
    eventually(&format!("{client} sees a first event"), || (process.seen().0 > 0).then_some(()));
    for round in 0..cuts() {
        let (before, _) = process.seen();
        place_order(&gateway, client, round);
        match rng.u8(..8) {
            0 => {
                gateway.kill();
                gateway = gateway.again();
                proxy.set_target(gateway.address());
            }
            1 => {
                assert!(gateway.terminate().success(), "{client}: exit code after SIGTERM");
                gateway = gateway.again();
                proxy.set_target(gateway.address());
            }
            _ => {
                let cut = if rng.bool() { Cut::Close } else { Cut::Reset };
                let done = proxy.cuts();
                proxy.cut_after(rng.usize(1..6000), cut);
                eventually("the connection is cut", || (proxy.cuts() > done).then_some(()));
            }
        }
        eventually(&format!("{client} goes on after cut {round}"), || {
            (process.seen().0 > before).then_some(())
        });
    }
    let newest = gateway.newest();
    eventually(&format!("{client} sees event {newest}"), || {
        (process.seen().1 >= newest).then_some(())
    });
    let ids = process.ids();
    let wrong = ids.iter().zip(1_u64..).find(|&(&id, expected)| id != expected);
    assert_eq!(wrong, None, "{client}: (id seen, id expected) of {} events", ids.len());
    println!("{client}: {} cuts, {} events, each once", cuts(), ids.len());
}

/// Something besides market events, so that a fill too is cut in the middle.
fn place_order(gateway: &Gateway, client: &str, round: u64) {
    let order = json!({
        "client_order_id": format!("{}-{round}", client.replace(' ', "-")),
        "side": if round.is_multiple_of(2) { "BUY" } else { "SELL" },
        "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET",
    });
    let reply = gateway.post("/api/order", &order);
    assert!([200, 422].contains(&reply.status), "{} {}", reply.status, reply.text());
}

/// The response is as the user's document has it, and a first comment goes out at once.
#[test]
fn the_head_is_as_promised() {
    let gateway = Gateway::start(Options::quiet());
    let mut events = gateway.stream("");
    let head = events.head().to_lowercase();
    for line in [
        "content-type: text/event-stream; charset=utf-8\r\n",
        "cache-control: no-cache\r\n",
        "connection: keep-alive\r\n",
        "x-accel-buffering: no\r\n",
    ] {
        assert!(head.contains(line), "{line:?} is not in {head}");
    }
    assert!(!head.contains("content-encoding"), "{head}");
    let first = events.block().expect("something at once");
    assert!(first.comment.is_some() && first.data.is_none(), "{first:?}");
}

/// The header is newer than the URL when a browser comes back, so it wins.
#[test]
fn header_wins_over_query() {
    let gateway = Gateway::start(Options::busy());
    eventually("some events", || (gateway.newest() > 40).then_some(()));
    let path = "/api/stream?last_id=3";
    let mut events = Events::open(gateway.address(), path, &[("Last-Event-ID", "30")]);
    assert_eq!(events.next().and_then(|frame| frame.id), Some(31));
    let mut events = Events::open(gateway.address(), path, &[]);
    assert_eq!(events.next().and_then(|frame| frame.id), Some(4));
}

/// A connection that ends soon, in one of many ways.
fn visit(address: SocketAddr, number: usize) {
    let query = ["", "?last_id=0", "?snapshot=1", "?types=fill&format=ndjson"][number / 4 % 4];
    let request = format!("GET /api/stream{query} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut socket = TcpStream::connect(address).expect("the port is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let sent = if number.is_multiple_of(4) { request.len() / 2 } else { request.len() };
    socket.write_all(&request.as_bytes()[..sent]).expect("sent");
    match number % 4 {
        // Within its head, or before the answer.
        0 | 1 => {}
        // With most of the answer unread: a reset.
        2 => socket.read_exact(&mut [0]).expect("an answer"),
        // Half closed, which counts as closed.
        _ => {
            socket.shutdown(Shutdown::Write).expect("a socket");
            socket.read_to_end(&mut Vec::new()).expect("an end");
        }
    }
}

/// Twenty thousand connections come and go, and leave no handle and no memory behind.
#[test]
fn churn_leaves_nothing_behind() {
    // More than one read brings. Nothing is added to it, or memory would grow by the events kept in it.
    let gateway = Gateway::start(Options::default().env("VELOZ_SIM_INTERVAL_MS", 1));
    eventually("a log", || (gateway.newest() > 3_000).then_some(()));
    let gateway = gateway.again_with(Options::quiet());
    let (mut handles, mut memory_kib) = (0, 0);
    for number in 1..=20_000 {
        visit(gateway.address(), number);
        if number % 4_000 == 0 {
            eventually("the streams are freed", || {
                let open = gateway.metrics().value("veloz_stream_connections");
                (open == 0.0).then_some(())
            });
        }
        // What is held once (the buffers of reads, the threads) is there by then.
        if number == 4_000 {
            (handles, memory_kib) = (gateway.handles(), gateway.memory_kib());
        }
    }
    eventually("the handles are freed", || (gateway.handles() <= handles + 2).then_some(()));
    let growth = gateway.memory_kib().saturating_sub(memory_kib);
    assert!(growth < 4 * 1024, "{growth} KiB more than after 4,000 connections");
}

/// A stopped gateway ends its streams with whole frames, and the last events are among them.
#[test]
fn sigterm_drains_the_streams() {
    let mut gateway = Gateway::start(Options::busy());
    let mut events = gateway.stream("?last_id=0");
    events.next().expect("a first event");
    let newest = gateway.newest();
    let pid = gateway.pid();
    let reader = std::thread::spawn(move || {
        let mut last = 0;
        // `block` panics on half a frame.
        while let Some(frame) = events.block() {
            last = frame.id.unwrap_or(last);
        }
        last
    });
    assert!(gateway.terminate().success(), "exit code of {pid}");
    let last = reader.join().expect("whole frames only");
    let gateway = gateway.again_with(Options::quiet());
    let stored = gateway.json(&format!("/api/events?after={newest}&limit=1000"));
    assert!(last >= newest && last <= stored["newest"].as_u64().expect("an id"), "{last}");
}
