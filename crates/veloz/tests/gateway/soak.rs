//! A long run under load: more than 5,000 events a second, orders, and subscribers that come, go, stall and
//! return. Memory, file handles and threads stay as they are once it is under way; they are sampled, and
//! plotted into `target/soak.svg`. `VELOZ_SOAK_S` sets how many seconds: 10 without it, `make soak` half an hour.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Events, Follower, Gateway, Habit, Options, Plot, StopOnDrop, eventually, fixed_port, number,
    root, seeded,
};

/// Six symbols, each moved a thousand times a second, by one or more trades.
const SYMBOLS: &str = "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,ADAUSDT";
const EVENTS_PER_S: f64 = 5_000.0;
const EVENTS_BETWEEN_ORDERS: u64 = 50_000;
const SAMPLES: u32 = 120;
/// The log holds some ten samples' time of events.
const IDLE_ROUNDS: u32 = 3;
/// Those who follow all the time, those who stall, those who go away and return.
const STEADY: usize = 2;
const STALLING: usize = 4;
const RETURNING: usize = 4;
/// A run this long is judged by its figures; a shorter one shows that all of it works.
const JUDGED: Duration = Duration::from_secs(300);

fn duration() -> Duration {
    let seconds = std::env::var("VELOZ_SOAK_S");
    Duration::from_secs(seconds.map_or(10, |n| n.parse().expect("VELOZ_SOAK_S is a number")))
}

/// What the gateway takes at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    second: f64,
    events: u64,
    memory_kib: u64,
    handles: usize,
    threads: usize,
}

impl Sample {
    fn of(gateway: &Gateway, began: Instant) -> Sample {
        Sample {
            second: began.elapsed().as_secs_f64(),
            events: gateway.newest(),
            memory_kib: gateway.memory_kib(),
            handles: gateway.handles(),
            threads: gateway.threads(),
        }
    }
}

/// Waits for a moment.
fn wait_for(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// New streams all the time, each for a few events.
fn come_and_go(gateway: &Gateway, stop: &AtomicBool, visits: &AtomicU64) {
    while !stop.load(Ordering::SeqCst) {
        let mut events = Events::open(gateway.address(), "/api/stream", &[]);
        let first = events.next().and_then(|frame| frame.id).expect("an event");
        assert_eq!(events.ids_to(first + 200).last(), Some(&(first + 200)));
        visits.fetch_add(1, Ordering::SeqCst);
    }
}

/// Orders that are placed, filled and taken back.
fn trade(gateway: &Gateway, stop: &AtomicBool, watch: &Follower) {
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let side = if number.is_multiple_of(2) { "BUY" } else { "SELL" };
        let (market, resting) = (format!("m{number}"), format!("r{number}"));
        let order = json!({"client_order_id": market, "side": side, "symbol": "BTCUSDT", "qty": "0.001",
            "type": "MARKET"});
        assert_eq!(gateway.post("/api/order", &order).status, 200);
        let order = json!({"client_order_id": resting, "side": "BUY", "symbol": "BTCUSDT", "qty": "0.01",
            "price": "1000"});
        assert_eq!(gateway.post("/api/order", &order).status, 200);
        let cancel = json!({"client_order_id": resting});
        assert_eq!(gateway.post("/api/cancel", &cancel).status, 200);
        // Few enough: the state keeps every order there ever was.
        let seen = watch.newest();
        while watch.newest() < seen + EVENTS_BETWEEN_ORDERS && !stop.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// Waits until a follower has seen that event. It may be far behind, on a machine that has other work too: what
/// must not happen is that it stands still.
fn come_to(follower: &Follower, newest: u64) {
    while follower.newest() < newest {
        let before = follower.newest();
        eventually("a follower goes on", || (follower.newest() > before).then_some(()));
    }
}

#[test]
fn under_load_for_long() {
    let (duration, mut rng) = (duration(), seeded("soak"));
    let port = fixed_port(&mut rng);
    let options = Options::default()
        .env("VELOZ_PORT", port)
        .env("VELOZ_MARKET_SYMBOLS", SYMBOLS)
        .env("VELOZ_SIM_INTERVAL_MS", 1)
        .env("VELOZ_RETENTION_BYTES", "384MiB");
    let gateway = Gateway::start(options);
    let follow = |count| (0..count).map(|_| Follower::start(gateway.address())).collect::<Vec<_>>();
    let (steady, stalling, returning) = (follow(STEADY), follow(STALLING), follow(RETURNING));
    eventually("everyone is there", || {
        let mut all = steady.iter().chain(&stalling).chain(&returning);
        all.all(|follower| follower.newest() > 0).then_some(())
    });
    let (stop, visits) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let mut samples = vec![Sample::of(&gateway, began)];
    std::thread::scope(|scope| {
        let _stopped = StopOnDrop(&stop);
        scope.spawn(|| come_and_go(&gateway, &stop, &visits));
        scope.spawn(|| come_and_go(&gateway, &stop, &visits));
        scope.spawn(|| trade(&gateway, &stop, &steady[0]));
        let mut idle = [0; STALLING + RETURNING];
        for n in 1..=SAMPLES {
            let stalling = stalling.iter().map(|follower| (follower, Habit::Stall));
            let returning = returning.iter().map(|follower| (follower, Habit::StayAway));
            for ((follower, habit), rounds) in stalling.chain(returning).zip(&mut idle) {
                // Not so long that retention takes what it has not seen: that would be told as a gap.
                *rounds = if *rounds < IDLE_ROUNDS && rng.bool() { *rounds + 1 } else { 0 };
                follower.set_habit(if *rounds > 0 { habit } else { Habit::Follow });
            }
            wait_for(began + duration * n / SAMPLES);
            samples.push(Sample::of(&gateway, began));
        }
    });
    let gateway = gateway.again_with(Options::quiet().env("VELOZ_PORT", port));
    let newest = gateway.newest();
    draw(&samples, newest);
    for follower in steady.iter().chain(&stalling).chain(&returning) {
        follower.set_habit(Habit::Follow);
        come_to(follower, newest);
        assert_eq!((follower.newest(), follower.hash()), (newest, steady[0].hash()));
    }
    let seconds = samples.last().map_or(1.0, |sample| sample.second);
    let rate = newest as f64 / seconds;
    let visits = visits.load(Ordering::SeqCst);
    println!("soak: {seconds:.0} s, {newest} events ({rate:.0} a second), {visits} visits");
    assert!(visits > 0);
    if duration >= JUDGED {
        assert!(rate >= EVENTS_PER_S, "{rate:.0} events a second");
        judge(&samples);
    }
}

/// The last third takes no more than the one before it: by then retention is at work.
fn judge(samples: &[Sample]) {
    let third = samples.len() / 3;
    let (middle, last) = (&samples[third..2 * third], &samples[2 * third..]);
    let median = |samples: &[Sample], of: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    for (what, of, slack) in [
        ("KiB of memory", (|s| s.memory_kib) as fn(&Sample) -> u64, 16 * 1024),
        ("file handles", |s| s.handles as u64, 8),
        ("threads", |s| s.threads as u64, 2),
    ] {
        let (before, after) = (median(middle, of), median(last, of));
        println!("soak: {what}: {before}, then {after}");
        assert!(
            after <= before + slack,
            "{what}: {before} in the second third, {after} in the last"
        );
    }
}

fn draw(samples: &[Sample], newest: u64) {
    let column = |of: fn(&Sample) -> f64| samples.iter().map(of).collect::<Vec<f64>>();
    let minutes = samples.last().map_or(0.0, |sample| sample.second / 60.0);
    let title = format!(
        "{} events in {} minutes, to subscribers that come, go, stall and return",
        number(newest as f64),
        number(minutes)
    );
    let mut plot = Plot::new(title, column(|s| s.second));
    let rates = samples.windows(2).map(|pair| {
        (pair[1].events - pair[0].events) as f64 / (pair[1].second - pair[0].second).max(1e-9)
    });
    let rates: Vec<f64> = rates.collect();
    plot.panel("events/s", std::iter::once(rates[0]).chain(rates.iter().copied()).collect());
    plot.panel("resident memory, MiB", column(|s| s.memory_kib as f64 / 1024.0));
    plot.panel("file handles", column(|s| s.handles as f64));
    plot.panel("threads", column(|s| s.threads as f64));
    std::fs::write(root().join("target/soak.svg"), plot.svg()).expect("target can be written");
}
