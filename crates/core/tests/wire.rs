//! The wire form: the user's document, byte for byte, and everything written reads back.

#![cfg(test)]

use proptest::prelude::*;
use veloz_core::event::{
    Account, Balance, ErrorEvent, Event, EventKind, Fill, Liquidity, Market, OrderState,
    OrderUpdate,
};
use veloz_core::order::OrderStatus;
use veloz_core::types::{
    AvgPrice, ClientOrderId, DecimalError, Money, Price, Qty, Side, Symbol, VenueOrderId,
};

fn check(event: &Event, json: &str) {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    assert_eq!(String::from_utf8(bytes).unwrap(), json);
    assert_eq!(&Event::decode(event.kind(), json.as_bytes()).unwrap(), event);
    let stored = serde_json::to_string(event).unwrap();
    assert_eq!(&serde_json::from_str::<Event>(&stored).unwrap(), event);
}

const TS: i64 = 1_704_067_200_000_000_000;

fn symbol() -> Symbol {
    "BTCUSDT".parse().unwrap()
}

fn order_id() -> ClientOrderId {
    "web-1234567890".parse().unwrap()
}

fn market() -> Market {
    let (symbol, price) = (symbol(), "50000".parse().unwrap());
    let (trade_id, qty, side, bid, ask) = (None, None, None, None, None);
    Market { symbol, ts_ns: TS, price, trade_id, qty, side, bid, ask }
}

#[test]
fn the_documents_market_and_account_events() {
    check(
        &Event::Market(market()),
        r#"{"type":"market","symbol":"BTCUSDT","ts_ns":1704067200000000000,"price":50000.0}"#,
    );
    let more = Market {
        trade_id: Some(7),
        qty: "0.02".parse().ok(),
        side: Some(Side::Sell),
        bid: "49999.99".parse().ok(),
        ask: "50000.01".parse().ok(),
        ..market()
    };
    check(
        &Event::Market(more),
        r#"{"type":"market","symbol":"BTCUSDT","ts_ns":1704067200000000000,"price":50000.0,"trade_id":7,"qty":0.02,"side":"SELL","bid":49999.99,"ask":50000.01}"#,
    );
    let balance = |asset: &str, free: &str, locked: &str| Balance {
        asset: asset.parse().unwrap(),
        free: free.parse().unwrap(),
        locked: locked.parse().unwrap(),
    };
    let balances = vec![balance("USDT", "9500", "500"), balance("BTC", "0.01", "0")];
    check(
        &Event::Account(Account { ts_ns: TS, balances }),
        r#"{"type":"account","ts_ns":1704067200000000000,"balances":[{"asset":"USDT","free":9500.0,"locked":500.0},{"asset":"BTC","free":0.01,"locked":0.0}]}"#,
    );
    let message = "market_source_error".into();
    check(
        &Event::Error(ErrorEvent { ts_ns: TS, message, detail: None }),
        r#"{"type":"error","ts_ns":1704067200000000000,"message":"market_source_error"}"#,
    );
}

#[test]
fn the_documents_order_events() {
    let update = OrderUpdate {
        ts_ns: TS,
        client_order_id: order_id(),
        venue_order_id: "123456".parse().ok(),
        status: OrderStatus::Filled,
        symbol: Some(symbol()),
        side: Some(Side::Buy),
        qty: "0.001".parse().ok(),
        price: "50000".parse().ok(),
        reason: Some("".into()),
    };
    check(
        &Event::OrderUpdate(update),
        r#"{"type":"order_update","ts_ns":1704067200000000000,"client_order_id":"web-1234567890","venue_order_id":"123456","status":"FILLED","symbol":"BTCUSDT","side":"BUY","qty":0.001,"price":50000.0,"reason":""}"#,
    );
    let fill = Fill {
        ts_ns: TS,
        client_order_id: order_id(),
        symbol: symbol(),
        qty: "0.001".parse().unwrap(),
        price: "50000".parse().unwrap(),
        trade_id: Some(3),
        fee: "0.000001".parse().ok(),
        fee_asset: "BTC".parse().ok(),
        liquidity: Some(Liquidity::Taker),
        side: Some(Side::Buy),
        reconciled: false,
    };
    check(
        &Event::Fill(fill.clone()),
        r#"{"type":"fill","ts_ns":1704067200000000000,"client_order_id":"web-1234567890","symbol":"BTCUSDT","qty":0.001,"price":50000.0,"trade_id":3,"fee":0.000001,"fee_asset":"BTC","liquidity":"TAKER","side":"BUY"}"#,
    );
    let sum = Fill { trade_id: Some(1), fee: None, fee_asset: None, liquidity: None, ..fill };
    check(
        &Event::Fill(Fill { reconciled: true, ..sum }),
        r#"{"type":"fill","ts_ns":1704067200000000000,"client_order_id":"web-1234567890","symbol":"BTCUSDT","qty":0.001,"price":50000.0,"trade_id":1,"side":"BUY","reconciled":true}"#,
    );
    let state = OrderState {
        client_order_id: order_id(),
        status: Some(OrderStatus::Filled),
        symbol: Some(symbol()),
        side: Some(Side::Buy),
        order_qty: "0.001".parse().ok(),
        limit_price: "50000".parse().ok(),
        venue_order_id: "123456".parse().ok(),
        executed_qty: "0.001".parse().unwrap(),
        avg_price: "50000".parse().unwrap(),
        reason: Some("".into()),
        last_ts_ns: TS,
        cum_quote: "50".parse().unwrap(),
        order_type: None,
        stop_price: None,
        triggered: None,
        expire_ts_ns: None,
        oco_with: None,
        time_in_force: None,
        adopted: false,
    };
    check(
        &Event::OrderState(OrderState { adopted: true, ..state.clone() }),
        r#"{"type":"order_state","client_order_id":"web-1234567890","status":"FILLED","symbol":"BTCUSDT","side":"BUY","order_qty":0.001,"limit_price":50000.0,"venue_order_id":"123456","executed_qty":0.001,"avg_price":50000.0,"reason":"","last_ts_ns":1704067200000000000,"cum_quote":50.0,"adopted":true}"#,
    );
    check(
        &Event::OrderState(state),
        r#"{"type":"order_state","client_order_id":"web-1234567890","status":"FILLED","symbol":"BTCUSDT","side":"BUY","order_qty":0.001,"limit_price":50000.0,"venue_order_id":"123456","executed_qty":0.001,"avg_price":50000.0,"reason":"","last_ts_ns":1704067200000000000,"cum_quote":50.0}"#,
    );
}

#[test]
fn no_text_breaks_the_line() {
    let message = "a\"b\\c\r\n\u{0}\u{7f}é".into();
    check(
        &Event::Error(ErrorEvent { ts_ns: 1, message, detail: None }),
        "{\"type\":\"error\",\"ts_ns\":1,\"message\":\"a\\\"b\\\\c\\u000d\\u000a\\u0000\u{7f}é\"}",
    );
}

#[test]
fn decimals_are_exact_or_refused() {
    let check = |text: &str, expected: Result<&str, DecimalError>| {
        let parsed = text.parse::<Price>().map(|price| price.to_string());
        assert_eq!(parsed, expected.map(Into::into), "{text}");
    };
    check("50000", Ok("50000.0"));
    check("0.00000001", Ok("0.00000001"));
    check("1e-8", Ok("0.00000001"));
    check("5E4", Ok("50000.0"));
    check("10.10", Ok("10.1"));
    check("-0", Ok("0.0"));
    check("0.000000000", Ok("0.0"));
    check("92233720368.54775807", Ok("92233720368.54775807"));
    check("92233720368.54775808", Err(DecimalError::Range));
    check("0.000000001", Err(DecimalError::Precision(8)));
    check("1e400", Err(DecimalError::Range));
    check("1e99999999999999999999", Err(DecimalError::Range));
    for wrong in
        ["", "-", ".5", "5.", "NaN", "Infinity", "1 ", " 1", "+1", "0x1", "1e", "1e+", "1_0"]
    {
        check(wrong, Err(DecimalError::Syntax));
    }
}

#[test]
fn the_average_is_rounded_half_to_even() {
    let check = |quote: &str, executed: &str, average: &str| {
        let (quote, executed) = (quote.parse::<Money>().unwrap(), executed.parse::<Qty>().unwrap());
        assert_eq!(AvgPrice::of(quote, executed).unwrap().to_string(), average);
    };
    check("0", "0", "0.0");
    check("100", "3", "33.333333333333");
    check("200", "3", "66.666666666667");
    check("0.0000000000005", "1", "0.0");
    check("0.0000000000015", "1", "0.000000000002");
    check("8507059173023461.5842", "92233720368.54775807", "92233.720368547758");
    let most = Money::notional(Price::MAX, Qty::MAX);
    assert_eq!(AvgPrice::of(most, Qty::MAX).unwrap().to_string(), "92233720368.54775807");
}

#[test]
fn a_fee_rounds_up_at_the_last_decimal() {
    let check = |amount: &str, rate: &str, decimals, fee: &str| {
        let (amount, rate) = (amount.parse::<Money>().unwrap(), rate.parse::<Qty>().unwrap());
        assert_eq!(Money::fee(amount, rate, decimals).unwrap().to_string(), fee);
    };
    check("1", "0.001", 8, "0.001");
    check("0.00000001", "0.001", 8, "0.00000001");
    check("32.99967", "0.001", 8, "0.03299967");
    check("32.999671", "0.001", 8, "0.03299968");
    check("100", "0", 8, "0.0");
    check("0.0000000000000001", "0.00000001", 16, "0.0000000000000001");
    let most = Money::notional(Price::MAX, Qty::MAX);
    assert!(Money::fee(most, "0.001".parse().unwrap(), 8).is_some());
}

#[test]
fn names_are_refused_at_the_door() {
    for wrong in ["", "a b", "a\n", "a\0", "é", "a.b", "1234567890123456789012345678901234567"] {
        assert!(ClientOrderId::parse(wrong).is_err(), "{wrong:?}");
    }
    for wrong in ["btcusdt", "BTC-USDT", "BTC USDT", "BTC\nUSDT"] {
        assert!(Symbol::parse(wrong).is_err(), "{wrong:?}");
    }
    assert!(VenueOrderId::parse("a\r").is_err());
    assert_eq!(serde_json::from_str::<Symbol>(r#""BTC""#).unwrap().as_str(), "BTC");
    assert!(serde_json::from_str::<Symbol>("5").is_err());
}

proptest! {
    #[test]
    fn a_printed_number_parses_back(raw in any::<i64>(), wide in any::<i128>(), zeros in 0_u32..19) {
        let round = Price::from_raw(raw / 10_i64.pow(zeros) * 10_i64.pow(zeros));
        let text = round.to_string();
        prop_assert_eq!(text.parse(), Ok(round));
        prop_assert!(text.ends_with(".0") || !text.ends_with('0'), "{} is not the shortest", text);
        let price = Price::from_raw(raw);
        prop_assert_eq!(price.to_string().parse(), Ok(price));
        let json = serde_json::to_string(&price).unwrap();
        prop_assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price);
        let money = Money::from_raw(wide / 2);
        prop_assert_eq!(money.to_string().parse(), Ok(money));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,40}", number in "[-+.eE0-9]{0,60}") {
        let _ = (text.parse::<Price>(), text.parse::<Symbol>(), text.parse::<ClientOrderId>());
        let _ = (number.parse::<Price>(), number.parse::<Money>(), number.parse::<AvgPrice>());
        for kind in EventKind::ALL {
            let _ = Event::decode(kind, text.as_bytes());
        }
    }
}
