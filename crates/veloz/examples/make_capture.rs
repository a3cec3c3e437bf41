//! Writes a capture: `make_capture LINES [MICROSECONDS] [--trades-only] > capture`, a line each so many of them.
//!
//! The lines are those of Binance's combined streams, as `replay` reads them: a depth snapshot first, then
//! trades, bookTickers and depth updates of one instrument, made by the simulated market, in about the
//! mix of a real capture. The same arguments give the same bytes. As it is for benches, there are 100 lines a
//! millisecond unless told otherwise.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use veloz::market::sim::Generator;
use veloz::market::{SimConfig, SimSymbol};
use veloz_core::input::{MarketBody, MarketData};
use veloz_core::instrument::Instrument;
use veloz_core::types::{Price, Qty, Side, Symbol};

const START_NS: i64 = 1_700_000_000_000_000_000;
const LINE_US: i64 = 10;

fn main() -> Result<()> {
    let usage = "usage: make_capture LINES [MICROSECONDS] [--trades-only]";
    let (flags, numbers): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let trades_only = match flags.as_slice() {
        [] => false,
        [flag] if flag == "--trades-only" => true,
        _ => bail!(usage),
    };
    let (lines, line_us) = match numbers.as_slice() {
        [lines] => (lines, LINE_US),
        [lines, line_us] => (lines, line_us.parse().context(usage)?),
        _ => bail!(usage),
    };
    let lines: u64 = lines.parse().context(usage)?;
    let symbol = Symbol::parse("BTCUSDT")?;
    let instrument = Instrument::for_symbol(symbol).context("BTCUSDT is built in")?;
    let symbols = vec![SimSymbol::new(&instrument)];
    let mut generator = Generator::new(&SimConfig { seed: 1, interval: Duration::ZERO, symbols });
    let out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut writer = Writer {
        out,
        time_ns: START_NS,
        line_ns: line_us * 1_000,
        left: lines,
        bids: BTreeMap::new(),
        asks: BTreeMap::new(),
    };
    let mut batch = Vec::new();
    generator.snapshots(&mut batch);
    while writer.left > 0 {
        for data in batch.drain(..) {
            if !trades_only || matches!(data.body, MarketBody::Trade { .. }) {
                writer.write(&data)?;
            }
        }
        generator.tick(writer.time_ns, &mut batch);
    }
    Ok(writer.out.flush()?)
}

/// Writes messages as lines, and the quotes that a book with these changes has on the way.
struct Writer<W> {
    out: W,
    time_ns: i64,
    line_ns: i64,
    left: u64,
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
}

type Levels = [(Price, Qty)];

impl<W: Write> Writer<W> {
    fn write(&mut self, data: &MarketData) -> Result<()> {
        match &data.body {
            MarketBody::Snapshot { last_id, bids, asks } => {
                self.bids = bids.iter().copied().collect();
                self.asks = asks.iter().copied().collect();
                let json = format!(
                    r#"{{"lastUpdateId":{last_id},"bids":{},"asks":{}}}"#,
                    levels(bids),
                    levels(asks)
                );
                self.line(&json)
            }
            MarketBody::Trade { price, qty, side, trade_id, .. } => {
                let (ms, maker) = (self.time_ns / 1_000_000, *side == Side::Sell);
                let json = format!(
                    r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{trade_id},"p":"{}","q":"{}","T":{ms},"m":{maker},"M":true}}}}"#,
                    eight(price.raw()),
                    eight(qty.raw())
                );
                self.line(&json)
            }
            MarketBody::Depth { first_id, last_id, bids, asks } => {
                self.quotes(*first_id, bids, asks)?;
                let ms = self.time_ns / 1_000_000;
                let json = format!(
                    r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first_id},"u":{last_id},"b":{},"a":{}}}}}"#,
                    levels(bids),
                    levels(asks)
                );
                self.line(&json)
            }
            MarketBody::Quote { .. } | MarketBody::Price { .. } => Ok(()),
        }
    }

    /// One change has one update number; what leaves goes first, so that the book is never crossed.
    fn quotes(&mut self, first_id: u64, bids: &Levels, asks: &Levels) -> Result<()> {
        let all = || {
            let of = |bid: bool| move |&(price, qty): &(Price, Qty)| (bid, price, qty);
            bids.iter().map(of(true)).chain(asks.iter().map(of(false)))
        };
        let leaving = all().filter(|(.., qty)| qty.is_zero());
        let staying = all().filter(|(.., qty)| !qty.is_zero());
        for (id, (bid, price, qty)) in (first_id..).zip(leaving.chain(staying)) {
            let before = self.touch();
            let side = if bid { &mut self.bids } else { &mut self.asks };
            if qty.is_zero() {
                side.remove(&price);
            } else {
                side.insert(price, qty);
            }
            let after = self.touch();
            if let (true, Some((bid, ask))) = (before != after, after) {
                let json = format!(
                    r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{id},"s":"BTCUSDT","b":"{}","B":"{}","a":"{}","A":"{}"}}}}"#,
                    eight(bid.0.raw()),
                    eight(bid.1.raw()),
                    eight(ask.0.raw()),
                    eight(ask.1.raw())
                );
                self.line(&json)?;
            }
        }
        Ok(())
    }

    fn touch(&self) -> Option<((Price, Qty), (Price, Qty))> {
        let (bid, ask) = (self.bids.last_key_value()?, self.asks.first_key_value()?);
        Some(((*bid.0, *bid.1), (*ask.0, *ask.1)))
    }

    fn line(&mut self, json: &str) -> Result<()> {
        if self.left > 0 {
            writeln!(self.out, "{} {json}", self.time_ns)?;
            self.left -= 1;
            self.time_ns += self.line_ns;
        }
        Ok(())
    }
}

fn levels(levels: &Levels) -> String {
    let each: Vec<String> = levels
        .iter()
        .map(|(price, qty)| format!(r#"["{}","{}"]"#, eight(price.raw()), eight(qty.raw())))
        .collect();
    format!("[{}]", each.join(","))
}

/// Eight decimals, as Binance writes them.
fn eight(raw: i64) -> String {
    format!("{}.{:08}", raw / 100_000_000, raw % 100_000_000)
}
