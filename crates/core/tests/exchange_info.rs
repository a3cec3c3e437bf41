//! Instruments read from an exchange's own list.

#![cfg(test)]

use std::io::{Read, Write};
use std::path::Path;

use veloz_core::exchange_info::ExchangeInfo;
use veloz_core::instrument::{Instrument, SymbolStatus};
use veloz_core::types::{Qty, Symbol};

fn listed(filters: &str) -> String {
    symbol("BTCUSDT", "BTC", "USDT", filters)
}

fn symbol(name: &str, base: &str, quote: &str, filters: &str) -> String {
    format!(
        r#"{{"symbols":[{{"symbol":"{name}","status":"TRADING","baseAsset":"{base}","quoteAsset":"{quote}","more":[1],"filters":[{filters}]}}]}}"#
    )
}

fn one(json: &str) -> Instrument {
    let info = ExchangeInfo::parse(json.as_bytes()).unwrap();
    assert_eq!(info.refused(), []);
    info.instruments()[0].clone()
}

#[test]
fn every_filter_is_read() {
    let filters = r#"{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00","tickSize":"0.01000000"},
        {"filterType":"LOT_SIZE","minQty":"0.00010000","maxQty":"9000","stepSize":"0.00010000"},
        {"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"120.5","stepSize":"0.00000000"},
        {"filterType":"NOTIONAL","minNotional":"5","applyMinToMarket":true,"maxNotional":"9000000","applyMaxToMarket":false,"avgPriceMins":5},
        {"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"1.1","bidMultiplierDown":"0.2","askMultiplierUp":"5","askMultiplierDown":"0.9","avgPriceMins":5},
        {"filterType":"MAX_NUM_ORDERS","maxNumOrders":200},
        {"filterType":"SOMETHING_NEW","limit":[10]}"#;
    let i = one(&listed(filters));
    assert_eq!((i.tick.to_string(), i.min_price.to_string()), ("0.01".into(), "0.01".into()));
    assert_eq!(i.max_price.unwrap().to_string(), "1000000.0");
    assert_eq!((i.lot.to_string(), i.min_qty.to_string()), ("0.0001".into(), "0.0001".into()));
    let market = i.market.unwrap();
    assert_eq!((market.min_qty, market.lot), (Qty::ZERO, Qty::from_raw(1)));
    assert_eq!(market.max_qty.to_string(), "120.5");
    assert_eq!((i.min_notional.to_string(), i.min_notional_of_market), ("5.0".into(), true));
    assert_eq!(i.max_notional.unwrap().to_string(), "9000000.0");
    assert!(!i.max_notional_of_market);
    let percent = i.percent_price.unwrap();
    assert_eq!(
        (percent.bid_up.to_string(), percent.ask_down.to_string()),
        ("1.1".into(), "0.9".into())
    );
    assert_eq!(i.max_open_orders, Some(200));
    let bare = one(&listed(
        r#"{"filterType":"PRICE_FILTER","minPrice":"0","maxPrice":"0","tickSize":"0"}"#,
    ));
    assert_eq!((bare.tick.raw(), bare.max_price), (1, None));
}

#[test]
fn what_cannot_be_held_is_named_and_nothing_is_rounded() {
    let check = |json: String, wanted: &str| {
        let info = ExchangeInfo::parse(json.as_bytes()).unwrap();
        assert_eq!(info.instruments(), []);
        assert_eq!(info.refused()[0].reason, wanted);
    };
    let fine =
        r#"{"filterType":"PRICE_FILTER","minPrice":"0","maxPrice":"1","tickSize":"0.0000000001"}"#;
    check(listed(fine), "its tickSize 0.0000000001 has more than 8 decimals");
    let fine = r#"{"filterType":"LOT_SIZE","minQty":"0","maxQty":"1","stepSize":"0.000000001"}"#;
    check(listed(fine), "its stepSize 0.000000001 has more than 8 decimals");
    let wrong = r#"{"filterType":"LOT_SIZE","minQty":"-1","maxQty":"1","stepSize":"1"}"#;
    check(listed(wrong), "its minQty -1 is negative");
    check(
        symbol("币 USDT", "币", "USDT", ""),
        "its name must be 1 to 32 letters (upper case) and digits",
    );
    let large = r#"{"filterType":"LOT_SIZE","minQty":"1","maxQty":"900000000000","stepSize":"1"}"#;
    assert_eq!(one(&listed(large)).max_qty, Qty::MAX, "no larger order can be written");
    let info = ExchangeInfo::parse(listed(fine).as_bytes()).unwrap();
    let name = Symbol::parse("BTCUSDT").unwrap();
    let told = info.instrument(&name).unwrap_err();
    assert!(told.starts_with("BTCUSDT cannot be traded here: its stepSize"), "{told}");
    assert!(ExchangeInfo::parse(b"{}").is_err());
    assert!(ExchangeInfo::parse(b"[").is_err());
}

#[test]
fn names_beyond_ascii_are_names() {
    let i = one(&symbol("币安人生USDT", "币安人生", "USDT", ""));
    assert_eq!((i.symbol.as_str(), i.base.as_str()), ("币安人生USDT", "币安人生"));
}

/// The list of a real day: every symbol, each with the assets and filters that it names, read a second
/// time by a general JSON reader.
#[test]
fn all_symbols_of_a_real_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/binance_exchange_info_20211012.json.gz");
    let Ok(file) = std::fs::read(&path) else {
        // Past the test's capture of output, so that it is seen.
        let told = "skipped: all_symbols_of_a_real_list: needs ../shared/data\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    };
    let mut json = String::new();
    flate2::read::GzDecoder::new(file.as_slice()).read_to_string(&mut json).unwrap();
    let info = ExchangeInfo::parse(json.as_bytes()).unwrap();
    assert_eq!((info.instruments().len(), info.refused()), (1_695, [].as_slice()));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mut stopped = 0;
    for listed in value["symbols"].as_array().unwrap() {
        let text = |key: &str| listed[key].as_str().unwrap();
        let i = info.instrument(&Symbol::parse(text("symbol")).unwrap()).unwrap();
        assert_eq!((i.base.as_str(), i.quote.as_str()), (text("baseAsset"), text("quoteAsset")));
        assert_eq!(i.status.as_str(), text("status"));
        stopped += usize::from(i.status != SymbolStatus::Trading);
        let precision = |key: &str| listed[key].as_u64().unwrap();
        let decimals = (u64::from(i.base_decimals), u64::from(i.quote_decimals));
        assert_eq!(
            decimals,
            (precision("baseCommissionPrecision"), precision("quoteCommissionPrecision"))
        );
        for filter in listed["filters"].as_array().unwrap() {
            let qty = |key: &str| filter[key].as_str().unwrap().parse::<Qty>().unwrap().raw();
            match filter["filterType"].as_str().unwrap() {
                "PRICE_FILTER" => {
                    assert_eq!(i.tick.raw(), qty("tickSize"), "{}", i.symbol);
                    assert_eq!(i.min_price.raw(), qty("minPrice"), "{}", i.symbol);
                    assert_eq!(i.max_price.unwrap().raw(), qty("maxPrice"), "{}", i.symbol);
                }
                "LOT_SIZE" => {
                    assert_eq!(i.lot.raw(), qty("stepSize"), "{}", i.symbol);
                    assert_eq!(i.min_qty.raw(), qty("minQty"), "{}", i.symbol);
                    assert_eq!(i.max_qty.raw(), qty("maxQty"), "{}", i.symbol);
                }
                "MARKET_LOT_SIZE" => assert_eq!(i.market.unwrap().max_qty.raw(), qty("maxQty")),
                "MIN_NOTIONAL" => {
                    let least = filter["minNotional"].as_str().unwrap().parse().unwrap();
                    assert_eq!(i.min_notional, least, "{}", i.symbol);
                }
                "PERCENT_PRICE" => {
                    assert_eq!(i.percent_price.unwrap().bid_up.raw(), qty("multiplierUp"));
                    assert_eq!(i.percent_price.unwrap().ask_down.raw(), qty("multiplierDown"));
                }
                "MAX_NUM_ORDERS" => assert_eq!(i.max_open_orders, Some(200)),
                _ => {}
            }
        }
    }
    assert_eq!(stopped, 433);
    let check = |name: &str, base: &str, quote: &str, lot: &str| {
        let i = info.instrument(&Symbol::parse(name).unwrap()).unwrap();
        let shown = (i.base.as_str(), i.quote.as_str(), i.lot.to_string());
        assert_eq!(shown, (base, quote, lot.to_owned()), "{name}");
    };
    check("SHIBUSDT", "SHIB", "USDT", "1.0");
    check("BTCDOWNUSDT", "BTCDOWN", "USDT", "0.01");
    check("EURUSDT", "EUR", "USDT", "0.1");
    check("USDTTRY", "USDT", "TRY", "1.0");
    check("BTCBIDR", "BTC", "BIDR", "0.00001");
}
