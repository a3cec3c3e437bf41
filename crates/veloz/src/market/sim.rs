//! The simulated market: several instruments, each with a book around a price that wanders.
//!
//! Contract: pure but for [`run`]; the same seed and configuration give the same market, byte for byte,
//! whatever the time it is told. Each instrument has its own stream of chance, so that another beside it
//! changes nothing. A [`MarketBody::Snapshot`] comes first; then each tick gives one to three trades at
//! the touch of the book as it was told, each of which eats what it trades, and one depth update that shows it and what the others
//! did since. Books are never crossed, on ticks and lots, with [`LEVELS`] levels a side or more and no hole
//! between the best of them, so that a price moves by steps and never jumps; update numbers have no gap and
//! trade numbers grow by one. All arithmetic is on integers.
//!
//! Limits: prices stay between about half and double the start. No quotes and no trades away from the
//! touch. The market is not the same after an upgrade that changes `fastrand`'s generator; a test tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use veloz_core::input::{MarketBody, MarketData};
use veloz_core::instrument::Instrument;
use veloz_core::limits::MARKET_BATCH_MESSAGES;
use veloz_core::types::{Price, Qty, Side, Symbol, TsNs};

use super::{Link, Stopped};

/// The fewest levels of a side.
pub const LEVELS: usize = 25;

/// Above so many levels of a side the farthest leave.
const MOST_LEVELS: usize = 60;

/// Two neighbours among the best [`LEVELS`] are at most so many usual distances apart.
const WIDEST_GAP_STEPS: i64 = 2;

/// The market to make.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// What makes it this market and no other.
    pub seed: u64,
    /// Between two ticks of an instrument; zero is as fast as they are taken.
    pub interval: Duration,
    /// The instruments, each once.
    pub symbols: Vec<SimSymbol>,
}

/// One simulated instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimSymbol {
    /// Its name.
    pub symbol: Symbol,
    /// Prices are multiples of this, above zero.
    pub tick: Price,
    /// Quantities are multiples of this, above zero.
    pub lot: Qty,
    /// Where the price starts: the last one, after a restart.
    pub price: Price,
    /// The number of the last trade before: the next has this plus 1. It is part of the seed, so that a
    /// restart goes on instead of repeating itself.
    pub last_trade_id: u64,
}

impl SimSymbol {
    /// An instrument that starts at its usual price.
    pub fn new(instrument: &Instrument) -> SimSymbol {
        let Instrument { symbol, tick, lot, .. } = *instrument;
        SimSymbol { symbol, tick, lot, price: usual_price(symbol, tick), last_trade_id: 0 }
    }

    /// The same, but going on from its last trade.
    #[must_use]
    pub fn after(mut self, price: Price, trade_id: u64) -> SimSymbol {
        (self.price, self.last_trade_id) = (price, trade_id);
        self
    }
}

/// The whole part and the fraction of usual prices, the latter in units of `10^-8`.
const USUAL_PRICES: &[(&str, i64, i64)] = &[
    ("BTC", 50_000, 0),
    ("ETH", 3_000, 0),
    ("BNB", 500, 0),
    ("SOL", 150, 0),
    ("LTC", 80, 0),
    ("AVAX", 30, 0),
    ("LINK", 15, 0),
    ("DOT", 6, 0),
    ("XRP", 0, 50_000_000),
    ("ADA", 0, 40_000_000),
    ("DOGE", 0, 15_000_000),
    ("TRX", 0, 12_000_000),
    ("SHIB", 0, 2_000),
    ("PEPE", 0, 1_000),
];

/// Quote assets that are not worth about a dollar: what one is worth.
const QUOTE_WORTH: &[(&str, i64)] = &[("BTC", 50_000), ("ETH", 3_000), ("BNB", 500)];

/// What a level of the book is worth, in dollars.
const LEVEL_WORTH: i64 = 20_000;

const UNIT: i64 = 100_000_000;

fn quote_worth(symbol: Symbol) -> i64 {
    let of = |(quote, _): &&(&str, i64)| {
        symbol.as_str().strip_suffix(quote).is_some_and(|base| !base.is_empty())
    };
    QUOTE_WORTH.iter().find(of).map_or(1, |(_, worth)| *worth)
}

/// About what its base asset is worth; 1 when unknown. On the tick, and 1,000 ticks or more.
fn usual_price(symbol: Symbol, tick: Price) -> Price {
    let known = USUAL_PRICES.iter().find(|(base, ..)| symbol.as_str().starts_with(base));
    let dollars = known.map_or(UNIT, |(_, whole, fraction)| whole * UNIT + fraction);
    let raw = match known {
        Some(_) => dollars / quote_worth(symbol),
        None => dollars,
    };
    let tick = tick.raw().max(1);
    Price::from_raw((raw / tick).max(1_000).saturating_mul(tick))
}

/// Makes the market: pure.
#[derive(Debug, Clone)]
pub struct Generator {
    books: Vec<SimBook>,
}

impl Generator {
    /// The market at its start.
    pub fn new(config: &SimConfig) -> Generator {
        Generator {
            books: config.symbols.iter().map(|symbol| SimBook::new(config.seed, symbol)).collect(),
        }
    }

    /// The books as they stand.
    pub fn snapshots(&self, out: &mut Vec<MarketData>) {
        out.extend(self.books.iter().map(SimBook::snapshot));
    }

    /// What happens next, in every instrument, at `ts_ns`.
    pub fn tick(&mut self, ts_ns: TsNs, out: &mut Vec<MarketData>) {
        for book in &mut self.books {
            book.tick(ts_ns, out);
        }
    }
}

/// One instrument's market. Prices are in ticks, quantities in lots.
#[derive(Debug, Clone)]
struct SimBook {
    symbol: Symbol,
    tick: i64,
    lot: i64,
    rng: Rng,
    bids: Half,
    asks: Half,
    start: i64,
    /// About the distance of two levels, and the quantity of one.
    step: i64,
    size: i64,
    update_id: u64,
    trade_id: u64,
}

/// One side of a book. The key is the price, below zero for bids: the best is the first on both sides.
#[derive(Debug, Clone, Default)]
struct Half {
    levels: BTreeMap<i64, i64>,
    changed: BTreeSet<i64>,
}

impl Half {
    fn best(&self) -> Option<(i64, i64)> {
        self.levels.first_key_value().map(|(key, qty)| (*key, *qty))
    }

    fn set(&mut self, key: i64, qty: i64) {
        self.changed.insert(key);
        if qty > 0 {
            self.levels.insert(key, qty);
        } else {
            self.levels.remove(&key);
        }
    }
}

/// The least start, in ticks: below half of it there is still room for all levels.
const LEAST_START_TICKS: i64 = 200;

impl SimBook {
    fn new(seed: u64, of: &SimSymbol) -> SimBook {
        let (tick, lot) = (of.tick.raw().max(1), of.lot.raw().max(1));
        let start = (of.price.raw() / tick).max(LEAST_START_TICKS);
        let worth = i128::from(LEVEL_WORTH / quote_worth(of.symbol).max(1)).max(1);
        let worth = worth * i128::from(UNIT) * i128::from(UNIT);
        let lots = worth / i128::from(of.price.raw().max(1)) / i128::from(lot);
        let most_lots = i64::MAX / lot / 64;
        let size = i64::try_from(lots).unwrap_or(most_lots).clamp(1, most_lots.max(1));
        let mut book = SimBook {
            symbol: of.symbol,
            tick,
            lot,
            rng: Rng::with_seed(seed_of(seed, of)),
            bids: Half::default(),
            asks: Half::default(),
            start,
            step: (start / 100_000).max(1),
            size,
            update_id: 1,
            trade_id: of.last_trade_id,
        };
        let (bid, bid_qty) = (-start, book.some_qty());
        book.bids.set(bid, bid_qty);
        let (ask, ask_qty) = (start + book.some_distance(), book.some_qty());
        book.asks.set(ask, ask_qty);
        book.refill();
        book.bids.changed.clear();
        book.asks.changed.clear();
        book
    }

    fn tick(&mut self, ts_ns: TsNs, out: &mut Vec<MarketData>) {
        let side = self.some_side();
        for _ in 0..1 + self.rng.u8(..3) {
            self.trade(side, ts_ns, out);
        }
        self.follow(side);
        for _ in 0..2 + self.rng.u8(..5) {
            self.others();
        }
        self.refill();
        out.push(self.diff());
    }

    /// A price far from the start draws back: the farther, the more; at half and double always.
    fn some_side(&mut self) -> Side {
        let price = self.asks.best().map_or(self.start, |(key, _)| key);
        let off = (i128::from(self.start) - i128::from(price)) * 1_000 / i128::from(self.start);
        let buys_in_1000 = match off {
            500.. => 1_000,
            ..=-1_000 => 0,
            off => 500 + i64::try_from(off / 2).unwrap_or_default(),
        };
        if self.rng.i64(0..1_000) < buys_in_1000 { Side::Buy } else { Side::Sell }
    }

    /// Somebody takes from the touch: a part of it, or all.
    fn trade(&mut self, side: Side, ts_ns: TsNs, out: &mut Vec<MarketData>) {
        let half = match side {
            Side::Buy => &mut self.asks,
            Side::Sell => &mut self.bids,
        };
        let Some((key, offered)) = half.best() else { return };
        let all = self.rng.u8(..4) == 0;
        let qty = if all { offered } else { self.rng.i64(1..=(offered / 3).max(1)) };
        half.set(key, offered - qty);
        self.trade_id += 1;
        let body = MarketBody::Trade {
            ts_ns,
            price: self.price(key),
            qty: self.qty(qty),
            side,
            trade_id: self.trade_id,
        };
        out.push(self.message(body));
    }

    /// When the touch has moved away, one side closes the spread again: the price moves, or it does not.
    fn follow(&mut self, taken_by: Side) {
        let (Some((bid, _)), Some((ask, _))) = (self.bids.best(), self.asks.best()) else { return };
        let (wanted, qty) = (self.some_distance(), self.some_qty());
        // Keys: a bid of key -10 and an ask of key 12 are 2 apart.
        if bid + ask <= wanted {
            return;
        }
        let moves = self.rng.u8(..3) > 0;
        match (taken_by, moves) {
            (Side::Buy, true) | (Side::Sell, false) => self.bids.set(wanted - ask, qty),
            (Side::Sell, true) | (Side::Buy, false) => self.asks.set(wanted - bid, qty),
        }
    }

    /// Somebody changes a level behind the touch.
    fn others(&mut self) {
        let (bids, behind) = (self.rng.bool(), 1 + usize::from(self.rng.u8(..24)));
        let (leaves, qty) = (self.rng.u8(..5) == 0, self.some_qty());
        let half = if bids { &mut self.bids } else { &mut self.asks };
        if let Some(key) = half.levels.keys().nth(behind).copied() {
            half.set(key, if leaves { 0 } else { qty });
        }
    }

    /// Levels enough on both sides without a hole near the touch, and not too many.
    fn refill(&mut self) {
        for bids in [true, false] {
            self.mend(bids);
            while self.half(bids).levels.len() < LEVELS {
                let (distance, qty) = (self.some_distance(), self.some_qty());
                let half = self.half(bids);
                let Some((farthest, _)) = half.levels.last_key_value() else { break };
                let key = *farthest + distance;
                half.set(key, qty);
            }
            let half = self.half(bids);
            while half.levels.len() > MOST_LEVELS {
                let Some((farthest, _)) = half.levels.last_key_value() else { break };
                let key = *farthest;
                half.set(key, 0);
            }
        }
    }

    /// Puts levels where others have left a hole behind the touch.
    fn mend(&mut self, bids: bool) {
        let widest = self.step.saturating_mul(WIDEST_GAP_STEPS);
        let near: Vec<_> = self.half(bids).levels.keys().copied().take(LEVELS).collect();
        let mut missing = Vec::new();
        let mut last = None;
        for key in near {
            while let Some(before) = last.filter(|before| key - before > widest) {
                let between = before + self.some_distance();
                missing.push((between, self.some_qty()));
                last = Some(between);
            }
            last = Some(key);
        }
        for (key, qty) in missing {
            self.half(bids).set(key, qty);
        }
    }

    fn half(&mut self, bids: bool) -> &mut Half {
        if bids { &mut self.bids } else { &mut self.asks }
    }

    /// What changed since the last one: at least the level that was traded.
    fn diff(&mut self) -> MarketData {
        let (bids, asks) = (self.changes(true), self.changes(false));
        let count = u64::try_from(bids.len() + asks.len()).unwrap_or_default().max(1);
        let first_id = self.update_id + 1;
        self.update_id += count;
        self.message(MarketBody::Depth { first_id, last_id: self.update_id, bids, asks })
    }

    fn changes(&mut self, bids: bool) -> Vec<(Price, Qty)> {
        let changed = std::mem::take(&mut self.half(bids).changed);
        let half = if bids { &self.bids } else { &self.asks };
        let qty_at = |key: &i64| half.levels.get(key).copied().unwrap_or_default();
        changed.iter().map(|key| (self.price(*key), self.qty(qty_at(key)))).collect()
    }

    fn snapshot(&self) -> MarketData {
        let all = |half: &Half| {
            half.levels.iter().map(|(key, qty)| (self.price(*key), self.qty(*qty))).collect()
        };
        let (bids, asks) = (all(&self.bids), all(&self.asks));
        self.message(MarketBody::Snapshot { last_id: self.update_id, bids, asks })
    }

    fn some_distance(&mut self) -> i64 {
        self.rng.i64(1..=self.step)
    }

    fn some_qty(&mut self) -> i64 {
        self.rng.i64(1..=self.size.saturating_mul(2))
    }

    fn price(&self, key: i64) -> Price {
        Price::from_raw(key.saturating_abs().saturating_mul(self.tick))
    }

    fn qty(&self, lots: i64) -> Qty {
        Qty::from_raw(lots.saturating_mul(self.lot))
    }

    fn message(&self, body: MarketBody) -> MarketData {
        MarketData { symbol: self.symbol, position: None, body }
    }
}

/// FNV-1a over all that makes an instrument's market its own.
fn seed_of(seed: u64, of: &SimSymbol) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let parts =
        [of.symbol.as_str().as_bytes(), &seed.to_le_bytes(), &of.last_trade_id.to_le_bytes()];
    for byte in parts.concat() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// The thread: ticks at the interval. Ticks that were missed are left out, not made up for.
pub(super) fn run(config: &SimConfig, mut link: Link) {
    let mut generator = Generator::new(config);
    generator.snapshots(&mut link.batch);
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let ts_ns = i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX);
            generator.tick(ts_ns, &mut link.batch);
            due = (due + config.interval).max(Instant::now());
        }
        // At full speed a message carries as much as it may.
        let full = link.batch.len() >= MARKET_BATCH_MESSAGES;
        if (full || !config.interval.is_zero()) && link.flush() == Err(Stopped) {
            return;
        }
        if !config.interval.is_zero() && link.sleep_until(due) == Err(Stopped) {
            return;
        }
    }
}
