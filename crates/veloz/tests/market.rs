//! Market sources through their public face: the real captures, damaged ones, the simulated market.
//!
//! The captures are not part of the project; a test that needs one is skipped, by name, without it.

#![cfg(test)]

mod market_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use market_support::{NaiveBook, Outcome, capture, collect, naive_messages, symbol, text_of};
use veloz::market::capture::{CaptureParser, Parsed, split_time};
use veloz::market::sim::Generator;
use veloz::market::{
    ControlError, ReplayConfig, ReplaySpeed, SimConfig, SimSymbol, SourceConfig, SourceError,
    SourceMessage, SourceState, capture_symbols, start,
};
use veloz_core::input::{MarketBody, MarketData};
use veloz_core::instrument::Instrument;
use veloz_core::limits::{MARKET_BATCH_MESSAGES, MAX_CAPTURE_LINE_BYTES, TOLD_BAD_LINES_COUNT};
use veloz_core::types::{Price, Qty, Symbol};

const BTC: (&str, &str) = ("binance_spot_btcusdt_20240808.gz", "BTCUSDT");
const ETH: (&str, &str) = ("binance_spot_ethusdt_20240808.gz", "ETHUSDT");

fn replay(path: &Path, start_after: Option<u64>) -> ReplayConfig {
    ReplayConfig {
        path: path.to_owned(),
        speed: ReplaySpeed::Max,
        paused: false,
        start_after,
        symbol: symbol("BTCUSDT"),
    }
}

fn play(path: &Path, start_after: Option<u64>) -> Outcome {
    collect(SourceConfig::Replay(replay(path, start_after)))
}

/// A file of these bytes, kept as long as the first value.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("capture");
    std::fs::write(&path, bytes).expect("writes");
    (dir, path)
}

fn is_trade(data: &MarketData) -> bool {
    matches!(data.body, MarketBody::Trade { .. })
}

#[test]
fn a_real_capture_is_read_to_the_last_digit() {
    for (name, symbol_name) in [BTC, ETH] {
        let Some(path) = capture("a_real_capture_is_read_to_the_last_digit", name) else { return };
        let outcome = play(&path, None);
        assert_eq!(outcome.faults, Vec::<String>::new());
        assert_eq!(outcome.end, Ok(()));
        assert_eq!(outcome.status.state, SourceState::Finished);
        let want = naive_messages(&text_of(&path), symbol_name);
        assert_eq!(outcome.status.lines, u64::try_from(want.len()).expect("fits"));
        assert_eq!(outcome.data.len(), want.len());
        for (got, want) in outcome.data.iter().zip(&want) {
            assert_eq!(got, want);
        }
        assert!(outcome.largest_batch <= MARKET_BATCH_MESSAGES);
        assert!(outcome.data.iter().filter(|d| is_trade(d)).count() > 6_000);
        assert_eq!(capture_symbols(&path, symbol("XYZ")).expect("reads"), [symbol(symbol_name)]);
    }
}

#[test]
fn the_recorded_book_has_no_gap_and_is_never_crossed() {
    for (name, _) in [BTC, ETH] {
        let test = "the_recorded_book_has_no_gap_and_is_never_crossed";
        let Some(path) = capture(test, name) else { return };
        let mut book = NaiveBook::default();
        for data in play(&path, None).data {
            book.apply(&data.body);
        }
        assert!(book.updates > 3_000, "{} updates", book.updates);
    }
}

#[test]
fn it_goes_on_after_any_line_with_the_right_book_and_no_old_trade() {
    let test = "it_goes_on_after_any_line_with_the_right_book_and_no_old_trade";
    let Some(path) = capture(test, BTC.0) else { return };
    let whole = play(&path, None).data;
    for after in [1, 7, 8, 9, 5_000, 20_001, 41_248, 41_249] {
        let outcome = play(&path, Some(after));
        assert_eq!(outcome.end, Ok(()), "after {after}");
        let (old, new): (Vec<_>, Vec<_>) =
            outcome.data.into_iter().partition(|d| d.position <= Some(after));
        let rest: Vec<_> = whole.iter().filter(|d| d.position > Some(after)).cloned().collect();
        assert!(new == rest, "after {after}: {} messages, {} expected", new.len(), rest.len());
        assert!(!old.iter().any(is_trade), "after {after}: an old trade");
        let (mut straight, mut resumed) = (NaiveBook::default(), NaiveBook::default());
        for data in whole.iter().filter(|d| d.position <= Some(after)) {
            straight.apply(&data.body);
        }
        for data in &old {
            resumed.apply(&data.body);
        }
        assert_eq!(resumed.levels(), straight.levels(), "after {after}");
        for data in &rest {
            straight.apply(&data.body);
            resumed.apply(&data.body);
        }
        assert_eq!(resumed.levels(), straight.levels(), "after {after}, at the end");
    }
    let end = play(&path, Some(41_250)).end.expect_err("there is no such line");
    assert!(end.contains("41249 lines, but 41250 were played before"), "{end}");
}

#[test]
fn captures_merged_by_time_keep_their_books_apart() {
    let test = "captures_merged_by_time_keep_their_books_apart";
    let (Some(btc), Some(eth)) = (capture(test, BTC.0), capture(test, ETH.0)) else { return };
    let (btc, eth) = (text_of(&btc), text_of(&eth));
    let mut lines: Vec<&str> = btc.lines().chain(eth.lines()).collect();
    lines.sort_by_key(|line| line[..19].parse::<i64>().expect("a time"));
    let (_dir, path) = file(lines.join("\n").as_bytes());
    let outcome = play(&path, None);
    assert_eq!((outcome.faults, outcome.end), (vec![], Ok(())));
    for (text, name) in [(btc, "BTCUSDT"), (eth, "ETHUSDT")] {
        let bodies = |all: Vec<MarketData>| -> Vec<_> {
            all.into_iter().filter(|d| d.symbol == symbol(name)).map(|d| d.body).collect()
        };
        assert!(bodies(outcome.data.clone()) == bodies(naive_messages(&text, name)), "{name}");
    }
    let both = [symbol("BTCUSDT"), symbol("ETHUSDT")];
    assert_eq!(capture_symbols(&path, symbol("XYZ")).expect("reads"), both);
}

fn trade_line(id: u64) -> String {
    format!(
        "{} {{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":{id},\"p\":\"5.00000000\",\
         \"q\":\"1.00000000\",\"T\":{id},\"m\":true,\"M\":true}}\n",
        1_000 + id
    )
}

fn trade_ids(data: &[MarketData]) -> Vec<u64> {
    let id = |d: &MarketData| match d.body {
        MarketBody::Trade { trade_id, .. } => Some(trade_id),
        _ => None,
    };
    data.iter().filter_map(id).collect()
}

#[test]
fn a_bad_line_is_told_and_left_out() {
    let long = "x".repeat(MAX_CAPTURE_LINE_BYTES + 1);
    let (one, two, three) = (trade_line(1), trade_line(2), trade_line(3));
    let text = format!("{one}garbage\n\n{two}{long}\r\n{}\r\n{}", three.trim_end(), &one[..30]);
    let (_dir, path) = file(text.as_bytes());
    let outcome = play(&path, None);
    assert_eq!(trade_ids(&outcome.data), [1, 2, 3]);
    assert_eq!(outcome.data.last().and_then(|d| d.position), Some(6));
    let want = ["line 2 does not start with", "line 5 is too long", "line 7 is cut off"];
    assert_eq!(outcome.faults.len(), want.len(), "{:?}", outcome.faults);
    for (told, want) in outcome.faults.iter().zip(want) {
        assert!(told.starts_with(want), "{told}");
    }
    assert_eq!((outcome.end, outcome.status.bad_lines), (Ok(()), 3));
}

#[test]
fn a_flood_of_bad_lines_is_told_in_the_end_as_a_number() {
    let (_dir, path) = file(format!("{}{}", "bad\n".repeat(5_000), trade_line(1)).as_bytes());
    let outcome = play(&path, None);
    let told = u64::try_from(outcome.faults.len()).expect("fits");
    assert_eq!(told, TOLD_BAD_LINES_COUNT + 1);
    let last = outcome.faults.last().map(String::as_str);
    assert_eq!(last, Some("5000 lines in all could not be read"));
    assert_eq!((trade_ids(&outcome.data), outcome.end), (vec![1], Ok(())));
}

#[test]
fn a_gzip_cut_in_the_middle_is_played_as_far_as_it_goes() {
    let test = "a_gzip_cut_in_the_middle_is_played_as_far_as_it_goes";
    let Some(path) = capture(test, BTC.0) else { return };
    let whole = std::fs::read(&path).expect("reads");
    let (_dir, cut) = file(&whole[..whole.len() / 2]);
    let outcome = play(&cut, None);
    assert!(outcome.data.len() > 15_000, "{} messages", outcome.data.len());
    assert_eq!(outcome.data[..], play(&path, None).data[..outcome.data.len()]);
    assert!(outcome.end.expect_err("it is damaged").contains("cannot be read on"));
    assert_eq!(outcome.status.state, SourceState::Failed);
}

#[test]
fn what_cannot_be_opened_is_said_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    for path in [dir.path().join("missing"), dir.path().to_owned()] {
        let (out, _messages) = crossbeam_channel::bounded(1);
        match start(SourceConfig::Replay(replay(&path, None)), out, || {}) {
            Err(SourceError::Capture { path: told, .. }) => assert_eq!(told, path),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_capture_without_a_snapshot_plays() {
    let Some(path) = capture("a_capture_without_a_snapshot_plays", BTC.0) else { return };
    let text = text_of(&path);
    let rest: Vec<&str> = text.lines().filter(|line| !line.contains("lastUpdateId")).collect();
    let (_dir, path) = file(rest.join("\n").as_bytes());
    let outcome = play(&path, None);
    assert_eq!((outcome.faults, outcome.end), (vec![], Ok(())));
    assert_eq!(outcome.data.iter().filter(|d| is_trade(d)).count(), 9_757);
}

#[test]
fn a_paused_replay_steps_runs_and_ends() {
    let text: String = (1..=2_000).map(trade_line).collect();
    let (_dir, path) = file(text.as_bytes());
    let config = ReplayConfig { paused: true, ..replay(&path, Some(10)) };
    let (out, messages) = crossbeam_channel::bounded(64);
    let source = start(SourceConfig::Replay(config), out, || {}).expect("starts");
    let control = source.replay().expect("a replay");
    let taken = || {
        let data = |message| match message {
            SourceMessage::Data(data) => data,
            other => panic!("{other:?}"),
        };
        trade_ids(&messages.try_iter().flat_map(data).collect::<Vec<_>>())
    };
    let stepped = control.step(3).expect("steps");
    assert_eq!((stepped.lines, stepped.position, stepped.finished), (3, 13, false));
    assert_eq!(taken(), [11, 12, 13]);
    let stepped = control.step(1_486).expect("steps");
    assert_eq!((stepped.lines, stepped.position, stepped.finished), (1_486, 1_499, false));
    assert_eq!(taken(), (14..=1_499).collect::<Vec<_>>());
    assert_eq!(source.monitor().status().state, SourceState::Running);
    control.run().expect("runs");
    let mut rest = Vec::new();
    loop {
        match messages.recv_timeout(Duration::from_secs(10)).expect("goes on to the end") {
            SourceMessage::Data(data) => rest.extend(data),
            SourceMessage::Finished => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(trade_ids(&rest), (1_500..=2_000).collect::<Vec<_>>());
    let status = source.monitor().status();
    assert_eq!((status.state, status.lines), (SourceState::Finished, 2_000));
    drop(source);
    assert_eq!(control.step(1), Err(ControlError::Ended));
}

#[test]
fn a_step_over_the_end_tells_so() {
    for steps in [5, 6] {
        let text: String = (1..=5).map(trade_line).collect();
        let (_dir, path) = file(text.as_bytes());
        let config = ReplayConfig { paused: true, ..replay(&path, None) };
        let (out, messages) = crossbeam_channel::bounded(64);
        let source = start(SourceConfig::Replay(config), out, || {}).expect("starts");
        let stepped = source.replay().expect("a replay").step(steps).expect("steps");
        assert_eq!((stepped.lines, stepped.finished), (5, true), "{steps}");
        assert_eq!(source.monitor().status().state, SourceState::Finished);
        assert!(matches!(messages.try_iter().last(), Some(SourceMessage::Finished)));
    }
}

#[test]
fn a_source_stops_at_once_whatever_it_waits_for() {
    let far = format!("{}{}", trade_line(1), trade_line(50_000_000_000));
    let (_dir, path) = file(far.as_bytes());
    let text: String = (1..=10_000).map(trade_line).collect();
    let (_other_dir, long) = file(text.as_bytes());
    let real_time = ReplaySpeed::Factor(Qty::parse("1").expect("a factor"));
    let sim = |interval| SourceConfig::Sim(SimConfig { interval, ..sim_config(1) });
    for config in [
        sim(Duration::ZERO),
        sim(Duration::from_secs(3_600)),
        SourceConfig::Replay(ReplayConfig { speed: real_time, ..replay(&path, None) }),
        SourceConfig::Replay(ReplayConfig { paused: true, ..replay(&long, None) }),
        SourceConfig::Replay(replay(&long, None)),
    ] {
        let shown = format!("{config:?}");
        // Nobody takes anything from this channel.
        let (out, messages) = crossbeam_channel::bounded(1);
        let source = start(config, out, || {}).expect("starts");
        let (done, stopped) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            drop(source);
            done.send(()).expect("somebody waits");
        });
        stopped.recv_timeout(Duration::from_secs(10)).expect(&shown);
        drop(messages);
    }
}

/// Whoever is told of a line may run at once, on the source's own core: the next one must not be late for it.
#[test]
fn a_line_comes_at_its_time_however_long_it_took_to_tell_of_the_last() {
    const LINES: u32 = 9;
    const APART: Duration = Duration::from_millis(100);
    const BUSY: Duration = Duration::from_millis(50);
    let times = (0..u64::from(LINES)).map(|line| 1 + line * 100_000_000);
    let (_dir, path) = file(times.map(trade_line).collect::<String>().as_bytes());
    let real_time = ReplaySpeed::Factor(Qty::parse("1").expect("a factor"));
    let config = ReplayConfig { speed: real_time, ..replay(&path, None) };
    let (out, _messages) = crossbeam_channel::bounded(64);
    let (tell, told) = crossbeam_channel::bounded(64);
    let busy = move || {
        let begun = Instant::now();
        tell.send(begun).expect("somebody hears");
        while begun.elapsed() < BUSY {
            std::hint::spin_loop();
        }
    };
    let _source = start(SourceConfig::Replay(config), out, busy).expect("starts");
    let next = || told.recv_timeout(Duration::from_secs(10)).expect("goes on");
    let first = next();
    let mut late: Vec<_> =
        (1..LINES).map(|line| next().saturating_duration_since(first + APART * line)).collect();
    late.sort();
    let median = late[late.len() / 2];
    assert!(median < BUSY / 2, "{late:?}");
}

fn sim_config(seed: u64) -> SimConfig {
    let of =
        |name: &str| SimSymbol::new(&Instrument::for_symbol(symbol(name)).expect("an instrument"));
    let symbols = ["BTCUSDT", "ETHUSDT", "PEPEUSDT", "ETHBTC", "NEWUSDT"].map(of).to_vec();
    SimConfig { seed, interval: Duration::ZERO, symbols }
}

/// The first messages of a market.
fn market(config: &SimConfig, ticks: i64) -> Vec<MarketData> {
    let mut generator = Generator::new(config);
    let mut out = Vec::new();
    generator.snapshots(&mut out);
    for tick in 0..ticks {
        generator.tick(tick * 1_000_000, &mut out);
    }
    out
}

#[test]
fn the_simulated_book_is_a_book() {
    for seed in 0..10 {
        let config = sim_config(seed);
        let steps: BTreeMap<Symbol, SimSymbol> =
            config.symbols.iter().map(|of| (of.symbol, *of)).collect();
        let mut books: BTreeMap<Symbol, (NaiveBook, u64)> = BTreeMap::new();
        for data in market(&config, 1_000) {
            let (book, last_trade) = books.entry(data.symbol).or_default();
            let of = &steps[&data.symbol];
            if let MarketBody::Trade { price, qty, side, trade_id, .. } = &data.body {
                assert_eq!(*trade_id, *last_trade + 1);
                *last_trade = *trade_id;
                book.take(*side, *price, *qty);
                continue;
            }
            book.apply(&data.body);
            let (bids, asks) = book.levels();
            assert!(bids.len() >= 20 && asks.len() >= 20, "{} {}", bids.len(), asks.len());
            for (price, qty) in bids.iter().chain(&asks) {
                assert!(price.raw() > 0 && price.raw() % of.tick.raw() == 0, "{price}");
                assert!(qty.raw() > 0 && qty.raw() % of.lot.raw() == 0, "{qty}");
            }
            // Two usual distances at most: a price that moves through the book moves by steps.
            let widest = 2 * (of.price.raw() / of.tick.raw() / 100_000).max(1) * of.tick.raw();
            for side in [&bids, &asks] {
                for two in side[..20].windows(2) {
                    let apart = two[0].0.raw().abs_diff(two[1].0.raw());
                    assert!(apart <= widest.unsigned_abs(), "seed {seed}: {} {two:?}", of.symbol);
                }
            }
            let (low, high) = (of.price.raw() / 3, of.price.raw() * 3);
            assert!((low..high).contains(&bids[0].0.raw()), "{} at {}", of.symbol, bids[0].0);
        }
        assert!(books.values().all(|(book, _)| book.updates == 1_000));
    }
}

#[test]
fn the_same_seed_makes_the_same_market() {
    let shown = |config: &SimConfig| format!("{:?}", market(config, 200));
    let one = shown(&sim_config(7));
    assert_eq!(one, shown(&sim_config(7)));
    assert_ne!(one, shown(&sim_config(8)));
    // A change of this number is a change of everybody's simulated market: say so in the changelog.
    assert_eq!(crc32c::crc32c(one.as_bytes()), 1_221_218_279);
    // Another instrument beside it changes nothing.
    let mut alone = sim_config(7);
    alone.symbols.truncate(1);
    let only: Vec<_> =
        market(&sim_config(7), 200).into_iter().filter(|d| d.symbol == symbol("BTCUSDT")).collect();
    assert_eq!(market(&alone, 200), only);
}

#[test]
fn a_simulated_market_goes_on_from_its_last_trade() {
    let mut config = sim_config(7);
    config.symbols.truncate(1);
    let trades = |config: &SimConfig| {
        let trade = |data: MarketData| match data.body {
            MarketBody::Trade { price, trade_id, .. } => Some((price, trade_id)),
            _ => None,
        };
        market(config, 50).into_iter().filter_map(trade).collect::<Vec<_>>()
    };
    let before = trades(&config);
    let (price, last_id) = *before.last().expect("trades");
    config.symbols[0] = config.symbols[0].after(price, last_id);
    let after = trades(&config);
    assert_eq!(after[0].1, last_id + 1);
    let near = Price::from_raw(price.raw() / 1_000).raw().unsigned_abs();
    assert!(after[0].0.raw().abs_diff(price.raw()) < near, "{price}, then {after:?}");
    // It does not walk the same way again.
    let moves = |trades: &[(Price, u64)]| -> Vec<i64> {
        trades.windows(2).take(20).map(|two| two[1].0.raw() - two[0].0.raw()).collect()
    };
    assert_ne!(moves(&after), moves(&before));
}

#[test]
fn usual_prices() {
    let check = |name: &str, want: &str| {
        let of = SimSymbol::new(&Instrument::for_symbol(symbol(name)).expect("an instrument"));
        assert_eq!(of.price.to_string(), want, "{name}");
    };
    check("BTCUSDT", "50000.0");
    check("ETHUSDT", "3000.0");
    check("XRPUSDT", "0.5");
    check("PEPEUSDT", "0.00001");
    check("ETHBTC", "0.06");
    check("NEWUSDT", "1.0");
}

/// Whatever is done to a line, it is read as what it is or refused.
#[test]
fn mutated_lines_never_change_their_kind_or_panic() {
    let lines = [
        trade_line(7),
        r#"17 {"stream":"btcusdt@trade","data":{"e":"trade","E":5,"s":"BTCUSDT","t":9,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#.to_owned(),
        r#"17 {"stream":"btcusdt@bookTicker","data":{"u":3,"s":"BTCUSDT","b":"1.50000000","B":"2.00000000","a":"1.60000000","A":"9.00000000"}}"#.to_owned(),
        r#"17 {"e":"depthUpdate","E":1,"s":"BTCUSDT","U":4,"u":6,"b":[["0.05","1"]],"a":[["0.06","0.00000000"]]}"#.to_owned(),
        r#"17 {"lastUpdateId":8,"bids":[["1.00000000","2.00000000"]],"asks":[]}"#.to_owned(),
    ];
    let read = |line: &[u8]| {
        let mut parser = CaptureParser::new(symbol("BTCUSDT"));
        split_time(line).and_then(|(_, message)| parser.parse(message, 1))
    };
    for seed in 0..100_000_u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let line = &lines[rng.usize(..lines.len())];
        let Ok(Parsed::Data(whole)) = read(line.as_bytes()) else { panic!("{line}") };
        let mut bytes = line.as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..5) {
                0 => bytes[at] = rng.u8(..),
                1 => bytes.insert(at, rng.u8(b' '..127)),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                3 => bytes.truncate(at + 1),
                _ => bytes[at] = *rng.choice(b"{}[]\",:0123456789.-eE".iter()).expect("one"),
            }
        }
        if let Ok(Parsed::Data(data)) = read(&bytes) {
            let kind = std::mem::discriminant(&data.body);
            let text = String::from_utf8_lossy(&bytes);
            assert_eq!(kind, std::mem::discriminant(&whole.body), "seed {seed}: {text}");
        }
    }
}
