//! Instruments as Binance lists them: the answer of `GET /api/v3/exchangeInfo`.
//!
//! Contract: a symbol's base and quote are those that the answer names, never guessed from its name. A
//! filter that is absent or zero is none. A symbol whose steps are finer than prices and quantities are
//! here (8 decimals), or whose name cannot be held, is not traded and told with the reason; nothing is
//! rounded. A most that is beyond the range is the end of the range.
//!
//! Read are PRICE_FILTER, LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL, NOTIONAL, PERCENT_PRICE,
//! PERCENT_PRICE_BY_SIDE, MAX_NUM_ORDERS and the status.
//!
//! Known limits: the basis of the percent filters is the last market price, where Binance takes an average
//! over `avgPriceMins`; filters about icebergs, algorithmic orders and positions are not looked at.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::instrument::{Instrument, PercentPrice, QtyRange, SymbolStatus};
use crate::types::{Asset, DecimalError, Money, Price, Qty, Symbol};

/// The instruments of an exchange.
#[derive(Debug, Clone, Default)]
pub struct ExchangeInfo {
    instruments: Vec<Instrument>,
    index: FxHashMap<Symbol, usize>,
    refused: Vec<RefusedSymbol>,
}

/// A symbol that cannot be traded here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSymbol {
    /// Its name, as listed.
    pub symbol: String,
    /// What of it cannot be held, and why.
    pub reason: String,
}

impl ExchangeInfo {
    /// Reads an answer of the exchange.
    ///
    /// # Errors
    /// When it is not JSON, or not of that form.
    pub fn parse(json: &[u8]) -> Result<ExchangeInfo, serde_json::Error> {
        let listed: Listed<'_> = serde_json::from_slice(json)?;
        let mut info = ExchangeInfo::default();
        for symbol in &listed.symbols {
            match symbol.instrument() {
                Ok(instrument) => {
                    info.index.insert(instrument.symbol, info.instruments.len());
                    info.instruments.push(instrument);
                }
                Err(reason) => {
                    let symbol = symbol.symbol.to_string();
                    info.refused.push(RefusedSymbol { symbol, reason });
                }
            }
        }
        Ok(info)
    }

    /// Every instrument that can be traded here, as listed; those that the exchange has stopped, too.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The symbols that cannot.
    pub fn refused(&self) -> &[RefusedSymbol] {
        &self.refused
    }

    /// The instrument of that name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn instrument(&self, symbol: &Symbol) -> Result<&Instrument, String> {
        let found = self.index.get(symbol).and_then(|&index| self.instruments.get(index));
        found.ok_or_else(|| {
            match self.refused.iter().find(|refused| refused.symbol == symbol.as_str()) {
                Some(refused) => format!("{symbol} cannot be traded here: {}", refused.reason),
                None => format!("{symbol} is not listed"),
            }
        })
    }
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    symbols: Vec<ListedSymbol<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedSymbol<'a> {
    symbol: Cow<'a, str>,
    status: Cow<'a, str>,
    base_asset: Cow<'a, str>,
    quote_asset: Cow<'a, str>,
    /// Decimals of a fee in the asset.
    base_commission_precision: Option<u32>,
    quote_commission_precision: Option<u32>,
    filters: Vec<Filter<'a>>,
}

#[derive(Deserialize)]
#[serde(tag = "filterType", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
enum Filter<'a> {
    #[serde(rename = "PRICE_FILTER")]
    Price {
        min_price: Cow<'a, str>,
        max_price: Cow<'a, str>,
        tick_size: Cow<'a, str>,
    },
    LotSize {
        min_qty: Cow<'a, str>,
        max_qty: Cow<'a, str>,
        step_size: Cow<'a, str>,
    },
    MarketLotSize {
        min_qty: Cow<'a, str>,
        max_qty: Cow<'a, str>,
        step_size: Cow<'a, str>,
    },
    MinNotional {
        min_notional: Cow<'a, str>,
        apply_to_market: bool,
    },
    Notional {
        min_notional: Cow<'a, str>,
        apply_min_to_market: bool,
        max_notional: Cow<'a, str>,
        apply_max_to_market: bool,
    },
    PercentPrice {
        multiplier_up: Cow<'a, str>,
        multiplier_down: Cow<'a, str>,
    },
    PercentPriceBySide {
        bid_multiplier_up: Cow<'a, str>,
        bid_multiplier_down: Cow<'a, str>,
        ask_multiplier_up: Cow<'a, str>,
        ask_multiplier_down: Cow<'a, str>,
    },
    MaxNumOrders {
        max_num_orders: u32,
    },
    #[serde(other)]
    Other,
}

impl ListedSymbol<'_> {
    fn instrument(&self) -> Result<Instrument, String> {
        let name = |what: &str, error| format!("its {what} {error}");
        let symbol = Symbol::parse(&self.symbol).map_err(|e| name("name", e))?;
        let base = Asset::parse(&self.base_asset).map_err(|e| name("base asset", e))?;
        let quote = Asset::parse(&self.quote_asset).map_err(|e| name("quote asset", e))?;
        let mut instrument = Instrument::unfiltered(symbol, base, quote);
        instrument.status = SymbolStatus::parse(&self.status).unwrap_or(SymbolStatus::Other);
        if let Some(decimals) = self.base_commission_precision {
            instrument.base_decimals = decimals;
        }
        if let Some(decimals) = self.quote_commission_precision {
            instrument.quote_decimals = decimals;
        }
        for filter in &self.filters {
            filter.apply(&mut instrument)?;
        }
        Ok(instrument)
    }
}

impl Filter<'_> {
    fn apply(&self, to: &mut Instrument) -> Result<(), String> {
        match self {
            Filter::Price { min_price, max_price, tick_size } => {
                to.tick = step(tick_size, "tickSize").map(Price::from_raw)?;
                to.min_price = least(min_price, "minPrice").map(Price::from_raw)?;
                to.max_price = most(max_price, "maxPrice").map(|most| most.map(Price::from_raw))?;
            }
            Filter::LotSize { min_qty, max_qty, step_size } => {
                let range = quantities(min_qty, max_qty, step_size)?;
                (to.lot, to.min_qty, to.max_qty) = (range.lot, range.min_qty, range.max_qty);
            }
            Filter::MarketLotSize { min_qty, max_qty, step_size } => {
                to.market = Some(quantities(min_qty, max_qty, step_size)?);
            }
            Filter::MinNotional { min_notional, apply_to_market } => {
                to.min_notional = money(min_notional, "minNotional")?;
                to.min_notional_of_market = *apply_to_market;
            }
            Filter::Notional {
                min_notional,
                apply_min_to_market,
                max_notional,
                apply_max_to_market,
            } => {
                to.min_notional = money(min_notional, "minNotional")?;
                to.min_notional_of_market = *apply_min_to_market;
                to.max_notional =
                    Some(money(max_notional, "maxNotional")?).filter(|most| !most.is_zero());
                to.max_notional_of_market = *apply_max_to_market;
            }
            Filter::PercentPrice { multiplier_up, multiplier_down } => {
                let up = multiplier(multiplier_up, "multiplierUp")?;
                let down = multiplier(multiplier_down, "multiplierDown")?;
                to.percent_price =
                    Some(PercentPrice { bid_up: up, bid_down: down, ask_up: up, ask_down: down });
            }
            Filter::PercentPriceBySide {
                bid_multiplier_up,
                bid_multiplier_down,
                ask_multiplier_up,
                ask_multiplier_down,
            } => {
                to.percent_price = Some(PercentPrice {
                    bid_up: multiplier(bid_multiplier_up, "bidMultiplierUp")?,
                    bid_down: multiplier(bid_multiplier_down, "bidMultiplierDown")?,
                    ask_up: multiplier(ask_multiplier_up, "askMultiplierUp")?,
                    ask_down: multiplier(ask_multiplier_down, "askMultiplierDown")?,
                });
            }
            Filter::MaxNumOrders { max_num_orders } => to.max_open_orders = Some(*max_num_orders),
            Filter::Other => {}
        }
        Ok(())
    }
}

fn quantities(min_qty: &str, max_qty: &str, step_size: &str) -> Result<QtyRange, String> {
    Ok(QtyRange {
        lot: step(step_size, "stepSize").map(Qty::from_raw)?,
        min_qty: least(min_qty, "minQty").map(Qty::from_raw)?,
        max_qty: most(max_qty, "maxQty")?.map_or(Qty::MAX, Qty::from_raw),
    })
}

/// A step in units of `10^-8`; the finest there is when the exchange sets none.
fn step(text: &str, name: &str) -> Result<i64, String> {
    let raw = least(text, name)?;
    Ok(if raw == 0 { 1 } else { raw })
}

/// A least in units of `10^-8`.
fn least(text: &str, name: &str) -> Result<i64, String> {
    let value = Qty::parse(text).map_err(|error| wrong(text, name, error))?;
    if value < Qty::ZERO { Err(format!("its {name} {text} is negative")) } else { Ok(value.raw()) }
}

/// A most in units of `10^-8`, if there is one.
fn most(text: &str, name: &str) -> Result<Option<i64>, String> {
    match Qty::parse(text) {
        Err(DecimalError::Range) => Ok(None),
        _ => least(text, name).map(|raw| Some(raw).filter(|raw| *raw > 0)),
    }
}

fn multiplier(text: &str, name: &str) -> Result<Qty, String> {
    least(text, name).map(Qty::from_raw)
}

fn money(text: &str, name: &str) -> Result<Money, String> {
    Money::parse(text).map_err(|error| wrong(text, name, error))
}

fn wrong(text: &str, name: &str, error: DecimalError) -> String {
    format!("its {name} {text} {error}")
}
