//! Instruments: what may be traded, in which steps, and at what fee.
//!
//! Contract: [`Instrument::for_symbol`] knows the common pairs with the filters that Binance has for
//! them, and splits any other name by its quote asset, with the finest steps there are. A name that
//! ends in no known quote asset is no instrument: a guess would put money into a wrong asset.

use serde::{Deserialize, Serialize};

use crate::types::{Asset, Money, Price, Qty, Symbol};

/// What may be traded, and under which filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its name.
    pub symbol: Symbol,
    /// What is bought and sold.
    pub base: Asset,
    /// What is paid with.
    pub quote: Asset,
    /// Prices are multiples of this.
    pub tick: Price,
    /// Quantities are multiples of this.
    pub lot: Qty,
    /// The smallest quantity of an order.
    pub min_qty: Qty,
    /// The largest quantity of an order.
    pub max_qty: Qty,
    /// The smallest notional of an order.
    pub min_notional: Money,
    /// Digits after the point of the base asset: a fee in it rounds up there.
    pub base_decimals: u32,
    /// Digits after the point of the quote asset.
    pub quote_decimals: u32,
    /// The part of what is received that a resting order pays: 0.001 is ten basis points.
    pub maker_fee: Qty,
    /// The part of what is received that a taking order pays.
    pub taker_fee: Qty,
}

/// Binance's fee for a new account: ten basis points.
const DEFAULT_FEE: Qty = Qty::from_raw(100_000);
/// Binance counts every asset in units of `10^-8`.
const DEFAULT_DECIMALS: u32 = 8;
/// The finest price and quantity step there is.
const FINEST: i64 = 1;

/// Quote assets, those first whose name ends in another's.
const QUOTES: &[&str] = &[
    "FDUSD", "TUSD", "BUSD", "USDT", "USDC", "USDP", "USDS", "BIDR", "IDRT", "BKRW", "BVND", "DAI",
    "PAX", "VAI", "EUR", "TRY", "BRL", "AUD", "GBP", "RUB", "NGN", "UAH", "ZAR", "JPY", "PLN",
    "USD", "BTC", "ETH", "BNB", "XRP", "TRX",
];

/// Raw filters of a pair: base, quote, tick, lot (also the least quantity), most, least notional.
type Filters = (&'static str, &'static str, i64, i64, i64, i64);

const UNIT: i64 = 100_000_000;

/// The common pairs: tick, lot and largest quantity in units of `10^-8`, least notional likewise.
const COMMON: &[Filters] = &[
    ("BTC", "USDT", 1_000_000, 1_000, 9_000 * UNIT, 5 * UNIT),
    ("ETH", "USDT", 1_000_000, 10_000, 9_000 * UNIT, 5 * UNIT),
    ("BNB", "USDT", 1_000_000, 100_000, 900_000 * UNIT, 5 * UNIT),
    ("SOL", "USDT", 1_000_000, 100_000, 90_000 * UNIT, 5 * UNIT),
    ("XRP", "USDT", 10_000, 10_000_000, 9_222_449 * UNIT, 5 * UNIT),
    ("ADA", "USDT", 10_000, 10_000_000, 900_000 * UNIT, 5 * UNIT),
    ("DOGE", "USDT", 1_000, UNIT, 9_000_000 * UNIT, UNIT),
    ("TRX", "USDT", 10_000, 10_000_000, 9_000_000 * UNIT, 5 * UNIT),
    ("LTC", "USDT", 1_000_000, 100_000, 90_000 * UNIT, 5 * UNIT),
    ("AVAX", "USDT", 1_000_000, 1_000_000, 90_000 * UNIT, 5 * UNIT),
    ("LINK", "USDT", 1_000_000, 1_000_000, 90_000 * UNIT, 5 * UNIT),
    ("DOT", "USDT", 100_000, 1_000_000, 90_000 * UNIT, 5 * UNIT),
    ("SHIB", "USDT", 1, UNIT, 46_116_860_414 * UNIT, UNIT),
    ("PEPE", "USDT", 1, UNIT, 46_116_860_414 * UNIT, UNIT),
    ("BTC", "USDC", 1_000_000, 1_000, 9_000 * UNIT, 5 * UNIT),
    ("ETH", "USDC", 1_000_000, 10_000, 9_000 * UNIT, 5 * UNIT),
    ("BTC", "EUR", 1_000_000, 1_000, 9_000 * UNIT, 5 * UNIT),
    ("ETH", "BTC", 1_000, 10_000, 100_000 * UNIT, 10_000),
    ("BNB", "BTC", 100, 100_000, 100_000 * UNIT, 10_000),
    ("SOL", "BTC", 10, 1_000_000, 90_000_000 * UNIT, 10_000),
];

impl Instrument {
    /// The instrument of that name: a common pair, or one split by its quote asset.
    pub fn for_symbol(symbol: Symbol) -> Option<Instrument> {
        Instrument::common(symbol).or_else(|| Instrument::split(symbol))
    }

    /// Every built-in instrument.
    pub fn all_common() -> impl Iterator<Item = Instrument> {
        COMMON.iter().filter_map(Instrument::from_filters)
    }

    /// The same with other fees, as fractions of what is received.
    #[must_use]
    pub fn with_fees(mut self, maker: Qty, taker: Qty) -> Instrument {
        self.maker_fee = maker;
        self.taker_fee = taker;
        self
    }

    fn common(symbol: Symbol) -> Option<Instrument> {
        let named = |&&(base, quote, ..): &&Filters| {
            symbol.as_str().strip_prefix(base).is_some_and(|rest| rest == quote)
        };
        COMMON.iter().find(named).and_then(Instrument::from_filters)
    }

    fn from_filters(
        &(base, quote, tick, lot, max_qty, min_notional): &Filters,
    ) -> Option<Instrument> {
        Some(Instrument {
            symbol: Symbol::parse(&format!("{base}{quote}")).ok()?,
            base: Asset::parse(base).ok()?,
            quote: Asset::parse(quote).ok()?,
            tick: Price::from_raw(tick),
            lot: Qty::from_raw(lot),
            min_qty: Qty::from_raw(lot),
            max_qty: Qty::from_raw(max_qty),
            min_notional: Qty::from_raw(min_notional).into(),
            base_decimals: DEFAULT_DECIMALS,
            quote_decimals: DEFAULT_DECIMALS,
            maker_fee: DEFAULT_FEE,
            taker_fee: DEFAULT_FEE,
        })
    }

    fn split(symbol: Symbol) -> Option<Instrument> {
        let text = symbol.as_str();
        let (base, quote) = QUOTES
            .iter()
            .filter_map(|quote| text.strip_suffix(quote).map(|base| (base, *quote)))
            .find(|(base, _)| !base.is_empty())?;
        Some(Instrument {
            symbol,
            base: Asset::parse(base).ok()?,
            quote: Asset::parse(quote).ok()?,
            tick: Price::from_raw(FINEST),
            lot: Qty::from_raw(FINEST),
            min_qty: Qty::from_raw(FINEST),
            max_qty: Qty::MAX,
            min_notional: Money::ZERO,
            base_decimals: DEFAULT_DECIMALS,
            quote_decimals: DEFAULT_DECIMALS,
            maker_fee: DEFAULT_FEE,
            taker_fee: DEFAULT_FEE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(symbol: &str, parts: Option<(&str, &str, &str, &str)>) {
        let found = Instrument::for_symbol(Symbol::parse(symbol).unwrap());
        let shown = found.map(|i| {
            (
                i.base.to_string(),
                i.quote.to_string(),
                i.tick.to_string(),
                i.min_notional.to_string(),
            )
        });
        let parts = parts.map(|(b, q, t, n)| (b.into(), q.into(), t.into(), n.into()));
        assert_eq!(shown, parts, "{symbol}");
    }

    #[test]
    fn names_are_split_into_the_right_assets() {
        check("BTCUSDT", Some(("BTC", "USDT", "0.01", "5.0")));
        check("ETHBTC", Some(("ETH", "BTC", "0.00001", "0.0001")));
        check("SHIBUSDT", Some(("SHIB", "USDT", "0.00000001", "1.0")));
        check("WIFUSDT", Some(("WIF", "USDT", "0.00000001", "0.0")));
        check("BTCFDUSD", Some(("BTC", "FDUSD", "0.00000001", "0.0")));
        check("BTCTUSD", Some(("BTC", "TUSD", "0.00000001", "0.0")));
        check("USDTTRY", Some(("USDT", "TRY", "0.00000001", "0.0")));
        check("USDT", None);
        check("ABC", None);
    }

    #[test]
    fn every_common_pair_is_found_by_its_name() {
        assert_eq!(Instrument::all_common().count(), COMMON.len());
        for instrument in Instrument::all_common() {
            assert_eq!(Instrument::for_symbol(instrument.symbol), Some(instrument));
        }
    }
}
