//! The stream against a gateway and a network that do everything wrong: never twice, never lost.

use std::sync::Mutex;
use std::time::Duration;

use crate::gateway::{DEADLINE, Reply, Request, STREAM_HEAD, frame, frames, gateway};
use veloz_client::{
    Client, Error, EventKind, EventStream, Gap, GapReason, StreamFault, StreamItem, StreamOptions,
};

fn options(since: Option<u64>) -> StreamOptions {
    StreamOptions {
        since,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(20),
        ..StreamOptions::default()
    }
}

async fn open(
    options: StreamOptions,
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> EventStream {
    Client::new(&gateway(script).await).expect("an address").stream(options)
}

async fn next(stream: &mut EventStream) -> Option<Result<StreamItem, Error>> {
    tokio::time::timeout(DEADLINE, stream.next()).await.expect("an item in time")
}

/// What came up to event `last`: ids, and everything else by name.
async fn until(stream: &mut EventStream, last: u64) -> (Vec<u64>, Vec<String>) {
    tokio::time::timeout(DEADLINE, collect(stream, last)).await.expect("all of it in time")
}

async fn collect(stream: &mut EventStream, last: u64) -> (Vec<u64>, Vec<String>) {
    let (mut ids, mut notices) = (Vec::new(), Vec::new());
    while ids.last() != Some(&last) {
        match next(stream).await.expect("it goes on").expect("no fatal error") {
            StreamItem::Event(event) => {
                event.decode().expect("decodes").expect("a known type");
                ids.push(event.id);
            }
            StreamItem::View(view) => notices.push(format!("view {}", view.name)),
            StreamItem::Snapshot { last_id } => notices.push(format!("snapshot {last_id}")),
            StreamItem::Gap(gap) => notices.push(format!("gap {}", gap.reason.as_str())),
            StreamItem::Hole { after, next } => notices.push(format!("hole {after} {next}")),
            StreamItem::Connected { after } => notices.push(format!("connected {after:?}")),
            StreamItem::Disconnected { error, .. } => notices.push(format!("lost: {error}")),
        }
    }
    (ids, notices)
}

fn count(notices: &[String], start: &str) -> usize {
    notices.iter().filter(|n| n.starts_with(start)).count()
}

#[tokio::test]
async fn a_cut_at_every_byte_loses_nothing() {
    const LAST: u64 = 40;
    let whole = STREAM_HEAD.len() + frames(1, LAST).len();
    // Each connection is cut one byte later than the one before it.
    let mut stream = open(options(Some(0)), move |request| {
        let mut reply = Reply::stream(&frames(request.last_id().expect("a position") + 1, LAST));
        reply.bytes.truncate(request.number % whole);
        reply
    })
    .await;
    let (ids, notices) = until(&mut stream, LAST).await;
    assert_eq!(ids, (1..=LAST).collect::<Vec<_>>());
    assert!(count(&notices, "lost") > 200, "{}", notices.len());
}

#[tokio::test]
async fn random_faults_lose_nothing() {
    const LAST: u64 = 300;
    for seed in 0..8 {
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        let mut stream = open(options(Some(0)), move |request| {
            let mut rng = rng.lock().expect("not poisoned");
            let after = request.last_id().expect("a position");
            faulty_reply(&mut rng, after, LAST)
        })
        .await;
        let (ids, notices) = until(&mut stream, LAST).await;
        assert_eq!(ids, (1..=LAST).collect::<Vec<_>>(), "seed {seed}: {notices:?}");
        assert_eq!(count(&notices, "hole"), 0, "seed {seed}: {notices:?}");
    }
}

fn faulty_reply(rng: &mut fastrand::Rng, after: u64, last: u64) -> Reply {
    match rng.u8(..10) {
        0 => Reply::status("503 Service Unavailable", "Retry-After: 0\r\n", "{}"),
        1 => Reply::status("200 OK", "Content-Type: text/html\r\n", "<p>log in"),
        2 => Reply::status("204 No Content", "", ""),
        fault => {
            let mut body = String::new();
            let mut id = after.saturating_sub(rng.u64(..3)) + 1;
            for _ in 0..rng.u8(1..20) {
                match fault {
                    3 => id = id.saturating_sub(rng.u64(..4)).max(1),
                    4 if rng.u8(..8) == 0 => id += 2,
                    5 => body.push_str(": keep-alive\n\n"),
                    _ => {}
                }
                if id <= last {
                    body.push_str(
                        &frame(id).replace('\n', rng.choice(["\n", "\r\n"]).unwrap_or("\r")),
                    );
                }
                id += 1;
            }
            let mut reply = Reply::stream(&body);
            if fault > 6 {
                reply.bytes.truncate(rng.usize(STREAM_HEAD.len()..=reply.bytes.len()));
            }
            reply
        }
    }
}

#[tokio::test]
async fn a_hole_is_asked_for_again_and_then_told() {
    let mut stream = open(options(Some(0)), |request| {
        let after = request.last_id().expect("a position");
        if after < 5 {
            Reply::stream(&(frames(1, 3) + &frames(5, 6)))
        } else {
            Reply::stream(&frames(6, 8))
        }
    })
    .await;
    let (ids, notices) = until(&mut stream, 8).await;
    assert_eq!(ids, [1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(count(&notices, "lost: events between 3 and 5 are missing"), 3, "{notices:?}");
    assert_eq!(count(&notices, "hole 3 5"), 1, "{notices:?}");
}

#[tokio::test]
async fn a_filtered_stream_jumps_and_moves_by_bare_ids() {
    let mut filtered = options(Some(4));
    filtered.types = vec![EventKind::Market, EventKind::Fill];
    let mut stream = open(filtered, |request| {
        assert!(request.target.contains("types=market%2Cfill"), "{}", request.target);
        match request.last_id() {
            Some(4) => Reply::stream(&(frame(9) + "id: 20\n\n: keep-alive\n\nid: 30\n")),
            Some(20) => Reply::stream(&frame(31)),
            other => panic!("resumed from {other:?}"),
        }
    })
    .await;
    assert_eq!(until(&mut stream, 31).await.0, [9, 31]);
}

#[tokio::test]
async fn gaps_are_told_and_followed() {
    let gap = |reason: &str, id: u64| {
        format!(
            "id: {id}\nevent: gap\ndata: {{\"type\":\"gap\",\"reason\":\"{reason}\",\"requested\":10,\"oldest\":50,\"newest\":60}}\n\n"
        )
    };
    let check = async |reason: &'static str, id: u64, first: u64, body: String| {
        let text = gap(reason, id) + &body;
        let mut stream = open(options(Some(10)), move |request| match request.last_id() {
            Some(10) => Reply::stream(&text),
            Some(99) => Reply::stream(&frame(100)),
            other => panic!("resumed from {other:?}"),
        })
        .await;
        assert!(matches!(
            next(&mut stream).await,
            Some(Ok(StreamItem::Connected { after: Some(10) }))
        ));
        match next(&mut stream).await {
            Some(Ok(StreamItem::Gap(Gap {
                log: None,
                reason: told,
                requested: 10,
                oldest: 50,
                newest: 60,
            }))) => {
                assert_eq!(told.as_str(), reason);
            }
            other => panic!("{other:?} instead of the gap"),
        }
        let (ids, notices) = until(&mut stream, 100).await;
        assert_eq!(ids.first(), Some(&first), "{reason}");
        assert_eq!(count(&notices, "hole"), 0, "{notices:?}");
    };
    check(GapReason::Trimmed.as_str(), 49, 50, frames(50, 99)).await;
    check(GapReason::Ahead.as_str(), 5, 6, frames(6, 99)).await;
    check(GapReason::Compacted.as_str(), 10, 13, frame(13) + &frame(40) + &frames(61, 99)).await;
}

#[tokio::test]
async fn a_live_stream_knows_its_place_before_the_first_event() {
    let mut stream = open(options(None), |request| {
        if !request.is_stream() {
            return Reply::json(r#"{"items":[],"oldest":1,"newest":41,"next_after":0}"#);
        }
        assert_eq!(request.last_id(), Some(41));
        // The first connections die before anything is sent on them.
        if request.number < 3 { Reply::stream("") } else { Reply::stream(&frames(42, 43)) }
    })
    .await;
    assert_eq!(until(&mut stream, 43).await.0, [42, 43]);
    assert_eq!(stream.last_id(), Some(43));
}

#[tokio::test]
async fn a_snapshot_starts_over_until_it_is_whole() {
    let state = r#"event: account
data: {"type":"account","ts_ns":1,"balances":[],"snapshot":true}

"#;
    let mut with_snapshot = options(None);
    with_snapshot.snapshot = true;
    let mut stream =
        open(with_snapshot, move |request| match (request.number, request.last_id()) {
            (0, None) => Reply::stream(state),
            (1, None) => Reply::stream(&format!(
                "{state}id: 7\nevent: snapshot\ndata: {{\"type\":\"snapshot\",\"last_id\":7}}\n\n"
            )),
            (_, Some(7)) => Reply::stream(&frame(8)),
            other => panic!("{other:?}"),
        })
        .await;
    let (ids, notices) = until(&mut stream, 8).await;
    assert_eq!(ids, [8]);
    let views: Vec<_> = notices.iter().filter(|n| !n.starts_with("lost")).collect();
    assert_eq!(
        views,
        [
            "connected None",
            "view account",
            "connected None",
            "view account",
            "snapshot 7",
            "connected Some(7)"
        ]
    );
}

#[tokio::test]
async fn silence_is_noticed() {
    let mut impatient = options(Some(0));
    impatient.keep_alive = Duration::from_millis(30);
    let mut stream = open(impatient, |request| {
        if request.number == 0 {
            Reply::stream(&frame(1)).hanging()
        } else {
            Reply::stream(&frame(2))
        }
    })
    .await;
    let (ids, notices) = until(&mut stream, 2).await;
    assert_eq!(ids, [1, 2]);
    assert_eq!(count(&notices, "lost: nothing was heard"), 1, "{notices:?}");
}

#[tokio::test]
async fn a_block_without_end_is_given_up() {
    let mut stream = open(options(Some(0)), |request| {
        if request.number == 0 {
            Reply::stream(&format!("{}data: {}", frame(1), "x".repeat(2 << 20)))
        } else {
            Reply::stream(&frame(2))
        }
    })
    .await;
    let (ids, notices) = until(&mut stream, 2).await;
    assert_eq!(ids, [1, 2]);
    assert_eq!(count(&notices, "lost: a block is longer"), 1, "{notices:?}");
}

#[tokio::test]
async fn retry_after_is_obeyed_and_a_refusal_ends_it() {
    let mut stream = open(options(Some(0)), |request| match request.number {
        0 => Reply::status("503 Service Unavailable", "Retry-After: 1\r\n", r#"{"error":"full"}"#),
        _ => Reply::status("400 Bad Request", "", r#"{"error":"bad_params","message":"types"}"#),
    })
    .await;
    let started = std::time::Instant::now();
    match next(&mut stream).await {
        Some(Ok(StreamItem::Disconnected { error, retry_in })) => {
            assert!(retry_in >= Duration::from_secs(1), "{retry_in:?}");
            assert_eq!(error.api().map(|e| e.code.as_str()), Some("full"));
        }
        other => panic!("{other:?}"),
    }
    match next(&mut stream).await {
        Some(Err(error)) => assert_eq!(error.api().map(|e| e.status), Some(400)),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn an_unreadable_id_is_told() {
    let mut stream = open(options(Some(0)), |request| {
        if request.number == 0 {
            Reply::stream("id: x\ndata: y\n\n")
        } else {
            Reply::stream(&frame(1))
        }
    })
    .await;
    let (_, notices) = until(&mut stream, 1).await;
    let fault = StreamFault::Malformed("the id \"x\"".to_owned());
    assert!(notices.contains(&format!("lost: {fault}")), "{notices:?}");
}
