//! Instruments: what may be traded, in which steps, and at what fee.
//!
//! Contract: [`Instrument::for_symbol`] knows the common pairs with the filters that Binance has for
//! them, and splits any other name by its quote asset, with the finest steps there are. A name that
//! ends in no known quote asset is no instrument: a guess would put money into a wrong asset.

use serde::{Deserialize, Serialize};

use crate::types::{Asset, Money, Price, Qty, Side, Symbol};
use crate::wire::wire_enum;

wire_enum! {
    /// What the exchange says of a symbol.
    SymbolStatus {
        /// Orders are taken.
        Trading = "TRADING",
        /// The day is over.
        EndOfDay = "END_OF_DAY",
        /// Trading is halted.
        Halt = "HALT",
        /// Trading is interrupted, often for good.
        Break = "BREAK",
        /// Orders can be taken back or amended, and no more.
        CancelOnly = "CANCEL_ONLY",
        /// A word of the exchange that is not known here.
        Other = "OTHER",
    }
}

/// The quantities that an order may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QtyRange {
    /// They are multiples of this.
    pub lot: Qty,
    /// The smallest.
    pub min_qty: Qty,
    /// The largest.
    pub max_qty: Qty,
}

/// How far from the last price a limit may be, as factors of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PercentPrice {
    /// The highest of a BUY.
    pub bid_up: Qty,
    /// The lowest of a BUY.
    pub bid_down: Qty,
    /// The highest of a SELL.
    pub ask_up: Qty,
    /// The lowest of a SELL.
    pub ask_down: Qty,
}

impl PercentPrice {
    /// Whether a limit is near enough to the last price.
    pub fn allows(&self, side: Side, price: Price, last: Price) -> bool {
        let (up, down) = match side {
            Side::Buy => (self.bid_up, self.bid_down),
            Side::Sell => (self.ask_up, self.ask_down),
        };
        // Both sides in units of 10^-16, exact.
        let price = Money::notional(price, UNIT_QTY);
        price <= Money::notional(last, up) && price >= Money::notional(last, down)
    }
}

/// One.
const UNIT_QTY: Qty = Qty::from_raw(UNIT);

/// What may be traded, and under which filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its name.
    pub symbol: Symbol,
    /// What is bought and sold.
    pub base: Asset,
    /// What is paid with.
    pub quote: Asset,
    /// Whether the exchange trades it.
    pub status: SymbolStatus,
    /// Prices are multiples of this.
    pub tick: Price,
    /// The lowest price.
    pub min_price: Price,
    /// The highest price, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Price>,
    /// How far from the last price a limit may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_price: Option<PercentPrice>,
    /// Quantities are multiples of this.
    pub lot: Qty,
    /// The smallest quantity of an order.
    pub min_qty: Qty,
    /// The largest quantity of an order.
    pub max_qty: Qty,
    /// What a MARKET order's quantity must be besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market: Option<QtyRange>,
    /// The smallest notional of an order.
    pub min_notional: Money,
    /// Whether that holds for MARKET orders, too.
    pub min_notional_of_market: bool,
    /// The largest notional of an order, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_notional: Option<Money>,
    /// Whether that holds for MARKET orders, too.
    pub max_notional_of_market: bool,
    /// The most orders of it that may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_open_orders: Option<u32>,
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

/// Quote assets. A name may end in two of them: in USD, and in one whose own name ends in it.
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
    /// The instrument of that name: a common pair, or one split by its quote asset. `None` for a name that can be split
    /// in more than one way, unless only one of them has a base that is known: a guess would put money into a wrong asset.
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
        let symbol = Symbol::parse(&format!("{base}{quote}")).ok()?;
        let (base, quote) = (Asset::parse(base).ok()?, Asset::parse(quote).ok()?);
        Some(Instrument {
            tick: Price::from_raw(tick),
            lot: Qty::from_raw(lot),
            min_qty: Qty::from_raw(lot),
            max_qty: Qty::from_raw(max_qty),
            min_notional: Qty::from_raw(min_notional).into(),
            ..Instrument::unfiltered(symbol, base, quote)
        })
    }

    fn split(symbol: Symbol) -> Option<Instrument> {
        let text = symbol.as_str();
        let mut ways = QUOTES
            .iter()
            .filter_map(|quote| text.strip_suffix(quote).map(|base| (base, *quote)))
            .filter(|(base, _)| !base.is_empty());
        let first = ways.next()?;
        let (base, quote) = match ways.next() {
            None => first,
            Some(second) => match (is_known(first.0), is_known(second.0)) {
                (true, false) => first,
                (false, true) => second,
                _ => return None,
            },
        };
        let (base, quote) = (Asset::parse(base).ok()?, Asset::parse(quote).ok()?);
        Some(Instrument::unfiltered(symbol, base, quote))
    }

    /// An instrument with the finest steps there are and no other filter.
    pub(crate) fn unfiltered(symbol: Symbol, base: Asset, quote: Asset) -> Instrument {
        Instrument {
            symbol,
            base,
            quote,
            status: SymbolStatus::Trading,
            tick: Price::from_raw(FINEST),
            min_price: Price::ZERO,
            max_price: None,
            percent_price: None,
            lot: Qty::from_raw(FINEST),
            min_qty: Qty::from_raw(FINEST),
            max_qty: Qty::MAX,
            market: None,
            min_notional: Money::ZERO,
            min_notional_of_market: true,
            max_notional: None,
            max_notional_of_market: false,
            max_open_orders: None,
            base_decimals: DEFAULT_DECIMALS,
            quote_decimals: DEFAULT_DECIMALS,
            maker_fee: DEFAULT_FEE,
            taker_fee: DEFAULT_FEE,
        }
    }
}

/// Whether an asset is one of the common pairs', or a quote.
fn is_known(asset: &str) -> bool {
    QUOTES.contains(&asset) || COMMON.iter().any(|(base, ..)| *base == asset)
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
        check("BNBUSD", Some(("BNB", "USD", "0.00000001", "0.0")));
        check("SHIBUSD", Some(("SHIB", "USD", "0.00000001", "0.0")));
        check("DOTUSD", Some(("DOT", "USD", "0.00000001", "0.0")));
        check("USDTUSD", None);
        check("SHIBBUSD", Some(("SHIB", "BUSD", "0.00000001", "0.0")));
        check("ARBUSD", None);
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
