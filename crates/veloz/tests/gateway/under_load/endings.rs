//! Clients that end in every state of their connection: killed, with a reset, and half closed. They are processes, so
//! that it is the system that closes what they had.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{ClientProcess, Gateway, PATIENCE, eventually, needed, root};

use super::{FOLLOWERS, Loaded, under_load};

/// Of the clients that end in `CALM_ROUNDS`, half of what one buffer of a read (256 KiB) left behind by each would be. Rounds,
/// because what a calm gateway has of the system's memory swings by as much as one of them would leave: seen over ten
/// rounds, it did not grow. How exactly memory returns is shown by the churn of 20,000 connections.
const GROWTH_KIB: u64 = CALM_ROUNDS * 8 * 1024;
const CALM_ROUNDS: u64 = 2;
pub(super) const REASONS: [&str; 7] =
    ["peer", "stalled", "input", "log", "seam", "snapshot", "shutdown"];

/// How a client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its process is killed: the system closes in good order, or with a reset when something was not read.
    Killed,
    /// The same, with a reset in any case.
    Reset,
    /// It closes its own direction, reads on to the end, and only then is killed.
    HalfClosed,
}

pub(super) const ENDS: [End; 3] = [End::Killed, End::Reset, End::HalfClosed];

/// What a client does to come into a state.
#[derive(Clone)]
pub(super) enum Step {
    Send(String),
    Until(String),
}

/// A state of a connection, and how it shows at the gateway.
struct State {
    name: &'static str,
    steps: Vec<Step>,
    /// The gateway is held meanwhile: it finds all that the client did, its end too, at once.
    unseen: bool,
    shown: Shown,
}

/// Of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Not as a stream: it has none yet, or none any more.
    No,
    /// Reading the log or level, whichever: what it was given of the log may reach beyond the seam.
    Open,
    Level,
    LevelBlocked,
    BehindBlocked,
}

/// The streams as the gateway counts them.
#[derive(Debug, PartialEq, Eq)]
struct Streams {
    connections: u64,
    level: u64,
    behind: u64,
    blocked: u64,
    /// Opened and not closed again.
    left: u64,
}

impl Streams {
    fn of(gateway: &Gateway) -> Streams {
        let page = gateway.metrics();
        let count = |line: &str| page.value(line) as u64;
        let closed = |reason| format!("veloz_stream_closes_total{{reason=\"{reason}\"}}");
        // What these stand for must never come about here.
        for reason in ["log", "seam", "snapshot", "stalled"] {
            assert_eq!(count(&closed(reason)), 0, "{reason}");
        }
        let closes: u64 = REASONS.iter().map(|reason| count(&closed(reason))).sum();
        Streams {
            connections: count("veloz_stream_connections"),
            level: count("veloz_stream_level"),
            behind: count("veloz_stream_behind"),
            blocked: count("veloz_stream_blocked"),
            left: count("veloz_stream_attached_total") - closes,
        }
    }

    /// With so many clients besides the followers.
    fn with(clients: usize, shown: Shown) -> Streams {
        let (clients, followers) = (clients as u64, FOLLOWERS as u64);
        let of = |is: &[Shown]| if is.contains(&shown) { clients } else { 0 };
        let all = followers + if shown == Shown::No { 0 } else { clients };
        Streams {
            connections: all,
            level: followers + of(&[Shown::Open, Shown::Level, Shown::LevelBlocked]),
            behind: of(&[Shown::BehindBlocked]),
            blocked: of(&[Shown::LevelBlocked, Shown::BehindBlocked]),
            left: all,
        }
    }
}

/// Waits until the streams are these. Those who read nothing more may be blocked soon, or not yet.
fn eventually_streams(gateway: &Gateway, what: &str, clients: usize, shown: Shown) {
    let (wanted, deadline) = (Streams::with(clients, shown), Instant::now() + PATIENCE);
    loop {
        let mut now = Streams::of(gateway);
        if let Shown::Open | Shown::Level = shown {
            now.blocked = 0;
        }
        if shown == Shown::Open {
            now.level += std::mem::take(&mut now.behind);
        }
        if now == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {now:?}, not {wanted:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The head of a request for a stream.
pub(super) fn head(gateway: &Gateway, query: &str) -> Step {
    let host = gateway.address();
    Step::Send(format!("GET /api/stream{query} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

pub(super) fn until(text: &str) -> Step {
    Step::Until(text.to_owned())
}

fn states(gateway: &Gateway, seam: u64) -> Vec<State> {
    let host = gateway.address();
    let (newest, ahead) = (gateway.newest(), u64::MAX / 4);
    let near = format!("?last_id={}", seam - 20);
    let half = Step::Send(format!("GET /api/stream HTTP/1.1\r\nHost: {host}\r\nX-Half: "));
    let page = format!("GET /api/openapi.json HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let behind = Step::Send(page.repeat(20));
    let talk = Step::Send("x".repeat(200_000));
    let seen = |name, steps, shown| State { name, steps, unseen: false, shown };
    let unseen = |name, query: &str| State {
        name,
        steps: vec![head(gateway, query)],
        unseen: true,
        shown: Shown::No,
    };
    let id = |id: u64| until(&format!("id: {id}\n"));
    vec![
        seen("before the head", vec![], Shown::No),
        seen("in the head", vec![half], Shown::No),
        seen("behind answers that it does not take", vec![behind, head(gateway, "")], Shown::No),
        // What is done behind the gateway's back is found when the stream's thread has the socket already.
        unseen("handed over, live", ""),
        unseen("a read of the log under way", "?last_id=0"),
        unseen("a filtered read under way", "?last_id=0&types=fill&format=ndjson"),
        unseen("a read up to the seam under way", &format!("?last_id={}", seam - 1)),
        unseen("just behind the seam", &format!("?last_id={seam}")),
        unseen("waiting for its snapshot", "?snapshot=1"),
        unseen("told of a gap, waiting for its snapshot", &format!("?last_id={ahead}&snapshot=1")),
        unseen("watching a book", "?book=BTCUSDT"),
        seen("in the answer's head", vec![head(gateway, ""), until("HTTP/1.1 200")], Shown::Level),
        seen(
            "in its snapshot",
            vec![head(gateway, "?snapshot=1"), until("\"snapshot\":true")],
            Shown::BehindBlocked,
        ),
        seen(
            "blocked in catching up",
            vec![head(gateway, "?last_id=0"), id(1)],
            Shown::BehindBlocked,
        ),
        seen("at the seam", vec![head(gateway, &near), id(seam), until("\n\n")], Shown::Open),
        seen(
            "behind the seam",
            vec![head(gateway, &near), id(seam + 1), until("\n\n")],
            Shown::Open,
        ),
        seen("level", vec![head(gateway, ""), until("event: market\n")], Shown::Level),
        seen(
            "in the middle of an event",
            vec![head(gateway, &format!("?last_id={newest}")), until("\"price\":")],
            Shown::Level,
        ),
        seen("blocked at the tail", vec![head(gateway, ""), until("data: ")], Shown::LevelBlocked),
        seen(
            "told of a gap",
            vec![head(gateway, &format!("?last_id={ahead}")), until("event: gap\n")],
            Shown::Level,
        ),
        seen("closed for what it said", vec![head(gateway, ""), talk], Shown::No),
    ]
}

pub(super) fn client(gateway: &Gateway) -> ClientProcess {
    let mut command = Command::new(needed(".venv/bin/python"));
    command.arg(root().join("tests/clients/held.py")).arg(gateway.address().to_string());
    let client = ClientProcess::start(&mut command);
    eventually("it is connected", || (!client.lines().is_empty()).then_some(()));
    client
}

pub(super) fn go(client: &mut ClientProcess, steps: &[Step]) {
    for step in steps {
        let (word, text) = match step {
            Step::Send(text) => ("send", text),
            Step::Until(text) => ("until", text),
        };
        client.ask(&format!("{word} {}", json!(text)));
    }
}

/// Ends a client, but for what it still reads of a connection that is half closed.
pub(super) fn begin_to_end(mut client: ClientProcess, end: End) -> Option<ClientProcess> {
    match end {
        End::Killed => None,
        End::Reset => {
            client.ask("abrupt");
            None
        }
        End::HalfClosed => {
            client.ask("leave");
            Some(client)
        }
    }
}

fn go_through(gateway: &Gateway, state: &State) {
    let bring = |_: &End| {
        let mut client = client(gateway);
        go(&mut client, &state.steps);
        client
    };
    if state.unseen {
        gateway.hold();
    }
    let clients: Vec<_> = ENDS.iter().map(bring).collect();
    if !state.unseen {
        // A later connection is answered: these were looked at before it.
        assert_eq!(gateway.get("/health").status, 200);
        eventually_streams(gateway, state.name, ENDS.len(), state.shown);
    }
    let leaving: Vec<_> =
        clients.into_iter().zip(ENDS).filter_map(|(c, end)| begin_to_end(c, end)).collect();
    if state.unseen {
        gateway.go_on();
    }
    for mut client in leaving {
        client.ask("rest");
    }
    eventually_streams(gateway, state.name, 0, Shown::No);
}

/// A client of each end in each state, one state after another.
fn go_through_all(Loaded { gateway, seam, rng, .. }: &mut Loaded) {
    eventually_streams(gateway, "all are level", 0, Shown::No);
    let mut states = states(gateway, *seam);
    rng.shuffle(&mut states);
    for state in &states {
        go_through(gateway, state);
    }
}

#[test]
fn who_ends_in_any_state_leaves_nothing_behind() {
    under_load("endings", go_through_all, |loaded| {
        // Again, while nothing else makes memory grow than a calm market.
        let (handles, memory_kib) = (loaded.gateway.handles(), loaded.gateway.memory_kib());
        for _ in 0..CALM_ROUNDS {
            go_through_all(loaded);
        }
        let gateway = &loaded.gateway;
        eventually("the handles are back", || (gateway.handles() <= handles).then_some(()));
        let grown = gateway.memory_kib().saturating_sub(memory_kib);
        assert!(grown < GROWTH_KIB, "{grown} KiB more");
    });
}
