//! The market of the simulation: what it says at a position follows from the position alone, so that a
//! source that begins again says the same.

use fastrand::Rng;
use veloz_core::input::{MarketBody, MarketData};
use veloz_core::types::{Price, Qty, Side, Symbol, TsNs};

const UNIT: i64 = 100_000_000;

/// What is traded.
pub(crate) const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

pub(crate) fn symbol(at: u64) -> Symbol {
    let name = if at.is_multiple_of(2) { "BTCUSDT" } else { "ETHUSDT" };
    name.parse().expect("a symbol")
}

/// Whole dollars around which a symbol is traded at a position.
pub(crate) fn middle(symbol: Symbol, position: u64) -> i64 {
    let base = if symbol.as_str() == "BTCUSDT" { 50_000 } else { 3_000 };
    // Up and down again, so that what rests is met now and then.
    let phase = i64::try_from(position % 40).expect("small");
    base + (phase - 20).abs()
}

pub(crate) fn price(dollars: i64) -> Price {
    Price::from_raw(dollars * UNIT)
}

pub(crate) fn qty(thousandths: i64) -> Qty {
    Qty::from_raw(thousandths * UNIT / 1000)
}

/// What the source says at a position, from 1 on.
pub(crate) fn message(seed: u64, position: u64, now: TsNs) -> MarketData {
    let mut rng = Rng::with_seed(seed ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let symbol = symbol(position);
    let middle = middle(symbol, position);
    let mut level = |dollars| (price(dollars), qty(rng.i64(1..3000)));
    let body = match position % 8 {
        0 | 1 => MarketBody::Snapshot {
            last_id: position,
            bids: (1..=5).map(|n| level(middle - n)).collect(),
            asks: (1..=5).map(|n| level(middle + n)).collect(),
        },
        2 | 3 => MarketBody::Quote {
            update_id: position,
            bid: level(middle - 1),
            ask: level(middle + 1),
        },
        _ => {
            let (price, qty) = level(middle);
            let side = if position.is_multiple_of(3) { Side::Buy } else { Side::Sell };
            // A venue's clock is its own, and goes back at times.
            let ts_ns = now - rng.i64(0..2_000_000_000);
            MarketBody::Trade { ts_ns, price, qty, side, trade_id: position }
        }
    };
    MarketData { symbol, position: Some(position), body }
}
