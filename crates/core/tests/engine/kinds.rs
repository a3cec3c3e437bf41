//! Orders by quote amount, until a time, reducing only, and with a stop.

use crate::common::{Rig, config, id, market, order, price, snapshot, trade};
use veloz_core::engine::{Engine, Venue};
use veloz_core::event::Event;
use veloz_core::input::{Answer, Input, MarketBody, NewOrder, Refusal};
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::Money;

/// What is done: an order, a trade of others, the time that it becomes.
enum Do {
    Order(&'static str),
    Trade(&'static str),
    Clock(i64),
}
use Do::{Clock, Order, Trade};

fn rig() -> Rig {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig
}

fn check(name: &str, steps: &[(Do, &str)]) {
    check_run(name, steps, false);
}

/// The same, and again with a start from the journal before each step.
fn check_with_restarts(name: &str, steps: &[(Do, &str)]) {
    check_run(name, steps, false);
    check_run(name, steps, true);
}

fn check_run(name: &str, steps: &[(Do, &str)], restarts: bool) {
    let mut rig = rig();
    for (at, (what, expected)) in steps.iter().enumerate() {
        if restarts {
            rig.restart();
            rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
        }
        let shown = match what {
            Order(text) => rig.order(text),
            Trade(text) => rig.market(trade(text)),
            Clock(now) => {
                rig.now = now - 1;
                rig.input(&Input::Tick).unwrap();
                rig.shown()
            }
        };
        assert_eq!(shown, *expected, "{name}, step {at}, restarts: {restarts}");
    }
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert_eq!(bytes(rig.engine.state()), bytes(&rig.replayed()), "{name}, replayed");
}

fn free(rig: &Rig, asset: &str) -> String {
    let account = rig.engine.state().account();
    account.balances.iter().find(|b| b.asset.as_str() == asset).unwrap().free.to_string()
}

#[test]
fn a_quote_amount_buys_whole_lots_for_no_more_than_it_is() {
    let done = "a ACCEPTED; a 2.0@101.0; a 0.96078@102.0; a FILLED; =a; account";
    check("through two levels", &[(Order("a BUY 300 QUOTE"), done)]);
    let done = "a ACCEPTED; a 2.0@99.0; a 1.04081@98.0; a FILLED; =a; account";
    check("sold, too", &[(Order("a SELL 300 QUOTE"), done)]);
    let done = "a ACCEPTED; a 2.0@101.0; a 5.0@102.0; a EXPIRED no_liquidity; =a; account";
    check("the book is not enough", &[(Order("a BUY 5000 QUOTE"), done)]);
    check("too little", &[(Order("a BUY 4.99 QUOTE"), "a REJECTED min_notional; =a")]);
    let refused = "a REJECTED insufficient_balance; =a";
    check("too much", &[(Order("a BUY 100000.01 QUOTE"), refused)]);
    let mut rig = rig();
    rig.order("a BUY 300 QUOTE");
    assert_eq!(free(&rig, "USDT"), "99700.00044");
    let mut unknown = Rig::new(Venue::Simulated);
    assert_eq!(unknown.order("a BUY 300 QUOTE"), "a REJECTED no_liquidity; =a");
}

#[test]
fn a_quote_amount_is_part_of_what_an_order_is() {
    let mut rig = rig();
    let input = Input::NewOrder(order("a BUY 300 QUOTE"));
    let first = rig.input(&input).unwrap();
    assert_eq!(rig.input(&input), Ok(first));
    for text in ["a BUY 301 QUOTE", "a BUY 2.96078 MARKET"] {
        let refused = Err(Refusal::DuplicateClientOrderId(id("a")));
        assert_eq!(rig.input(&Input::NewOrder(order(text))), refused, "{text}");
    }
}

#[test]
fn an_order_stands_until_its_time() {
    check(
        "with what it got",
        &[
            (
                Order("a BUY 3 @ 101 UNTIL 5000"),
                "a ACCEPTED; a 2.0@101.0; a PARTIALLY_FILLED; =a; account",
            ),
            (Clock(4_999), ""),
            (Clock(5_000), "a EXPIRED gtd; =a; account"),
            (Clock(6_000), ""),
            (Order("b BUY 3 @ 90 UNTIL 6000"), "b REJECTED gtd; =b"),
        ],
    );
    let mut rig = rig();
    rig.order("later BUY 1 @ 90 UNTIL 5002");
    rig.order("soon BUY 1 @ 90 UNTIL 5001");
    rig.order("taken BUY 1 @ 90 UNTIL 5000");
    rig.cancel("taken").unwrap();
    assert!(!rig.engine.is_due(5_000));
    assert!(rig.engine.is_due(5_001));
    let snapshot = serde_json::to_vec(rig.engine.state()).unwrap();
    let restored = serde_json::from_slice(&snapshot).unwrap();
    rig.engine = Engine::restore(config(Venue::Simulated), restored);
    assert!(rig.engine.is_due(5_001), "a snapshot knows it too");
    rig.now = 5_009;
    rig.input(&Input::Tick).unwrap();
    assert_eq!(rig.shown(), "soon EXPIRED gtd; =soon; later EXPIRED gtd; =later; account");
}

#[test]
fn reduce_only_sells_what_is_free_and_no_more() {
    check_with_restarts(
        "cut to what is held",
        &[
            (Order("a SELL 60 @ 110"), "a ACCEPTED; =a; account"),
            (Order("b SELL 500 @ 120 REDUCE"), "b ACCEPTED; =b; account"),
            (Order("c SELL 1 @ 120 REDUCE"), "c REJECTED reduce_only; =c"),
            (Order("d BUY 1 @ 90 REDUCE"), "d REJECTED reduce_only; =d"),
        ],
    );
    let mut rig = rig();
    rig.order("a SELL 99.5 @ 110");
    rig.order("b SELL 3 MARKET REDUCE");
    let Some(Event::Fill(fill)) = rig.step.events.get(1) else { panic!("{}", rig.shown()) };
    assert_eq!(fill.qty.to_string(), "0.5");
    // Of one that is cut to nothing it is told what it asked for.
    rig.order("c SELL 2 @ 120 REDUCE");
    assert_eq!(rig.shown(), "c REJECTED reduce_only; =c");
    let Some(Event::OrderState(state)) = rig.step.events.get(1) else { panic!("{}", rig.shown()) };
    assert_eq!(state.order_qty.map(|qty| qty.to_string()).as_deref(), Some("2.0"));
}

#[test]
fn a_stop_wakes_when_the_price_reaches_it() {
    check_with_restarts(
        "a loss is stopped at what the book offers",
        &[
            (Trade("BUY 1 @ 100"), "market 100.0"),
            (Order("a SELL 3 STOP 95"), "a ACCEPTED; =a; account"),
            (Trade("SELL 1 @ 95.01"), "market 95.01"),
            (Trade("SELL 1 @ 95"), "market 95.0; a 2.0@99.0; a 1.0@98.0; a FILLED; =a; account"),
            (Trade("SELL 1 @ 94"), "market 94.0"),
        ],
    );
    check(
        "with a limit it rests where it does not take",
        &[
            (Trade("BUY 1 @ 100"), "market 100.0"),
            (Order("a BUY 3 @ 101 STOP 105"), "a ACCEPTED; =a; account"),
            (Trade("BUY 1 @ 104.99"), "market 104.99"),
            (Trade("BUY 1 @ 105"), "market 105.0; a 2.0@101.0; a PARTIALLY_FILLED; =a; account"),
            (Trade("SELL 1 @ 100.5"), "market 100.5; a 1.0@101.0; a FILLED; =a; account"),
        ],
    );
    check_with_restarts(
        "profit is taken the other way, sold and bought",
        &[
            (Trade("BUY 1 @ 100"), "market 100.0"),
            (Order("a SELL 1 TAKE 105"), "a ACCEPTED; =a; account"),
            (Order("b BUY 1 @ 50 TAKE 95"), "b ACCEPTED; =b; account"),
            (Trade("BUY 1 @ 105"), "market 105.0; a 1.0@99.0; a FILLED; =a; account"),
            (Trade("SELL 1 @ 95"), "market 95.0; =b"),
            (Trade("SELL 1 @ 49"), "market 49.0; b 1.0@50.0; b FILLED; =b; account"),
        ],
    );
    check_with_restarts(
        "in the order in which the price reached them",
        &[
            (Trade("BUY 1 @ 100"), "market 100.0"),
            (Order("far SELL 1 STOP 90"), "far ACCEPTED; =far; account"),
            (Order("near SELL 1 STOP 95"), "near ACCEPTED; =near; account"),
            (
                Trade("SELL 1 @ 80"),
                "market 80.0; near 1.0@99.0; near FILLED; =near; far 1.0@99.0; far FILLED; =far; account",
            ),
        ],
    );
}

#[test]
fn a_stop_that_is_reached_already_is_refused() {
    let mut rig = rig();
    rig.market(trade("BUY 1 @ 100"));
    for text in ["SELL 1 STOP 100", "BUY 1 STOP 100", "SELL 1 TAKE 100", "BUY 1 @ 50 TAKE 101"] {
        let name = text.replace([' ', '@'], "-");
        assert_eq!(
            rig.order(&format!("{name} {text}")),
            format!("{name} REJECTED would_trigger; ={name}")
        );
    }
}

#[test]
fn a_dormant_order_locks_and_is_taken_back() {
    let mut rig = rig();
    rig.market(trade("BUY 1 @ 100"));
    rig.order("a BUY 2 STOP 110");
    assert_eq!(free(&rig, "USDT"), "99780.0");
    let state = rig.engine.state().order(&id("a")).unwrap().state_event();
    assert_eq!((state.stop_price, state.triggered), (Some(price("110")), Some(false)));
    rig.cancel("a").unwrap();
    assert_eq!(free(&rig, "USDT"), "100000.0");
    assert_eq!(rig.market(trade("BUY 1 @ 110")), "market 110.0");
    // Until a time, too.
    rig.order("b SELL 2 @ 80 STOP 90 UNTIL 9000");
    rig.now = 9_000;
    rig.input(&Input::Tick).unwrap();
    assert_eq!(rig.shown(), "b EXPIRED gtd; =b; account");
}

#[test]
fn a_woken_buy_pays_from_what_is_free_or_expires() {
    let mut rig = rig();
    rig.market(trade("BUY 1 @ 50"));
    // Locks 60 a piece, and the book asks 101.
    rig.order("a BUY 1 STOP 60");
    rig.order("b BUY 2 STOP 61");
    rig.order("rest BUY 997 @ 100");
    assert_eq!(free(&rig, "USDT"), "118.0");
    assert_eq!(
        rig.market(trade("BUY 1 @ 70")),
        "market 70.0; a 1.0@101.0; a FILLED; =a; b EXPIRED insufficient_balance; =b; account"
    );
    assert_eq!(free(&rig, "USDT"), "199.0");
}

#[test]
fn a_stop_is_no_business_of_an_external_venue() {
    let mut rig = Rig::new(Venue::External);
    for text in ["a SELL 1 STOP 90", "b BUY 300 QUOTE", "c BUY 1 @ 90 UNTIL 9000"] {
        let name = &text[..1];
        rig.input(&market("BTCUSDT", MarketBody::Price { ts_ns: 1, price: price("100") })).unwrap();
        let shown = rig.order(text);
        assert_eq!(shown, format!("{name} REJECTED unsupported_by_engine; ={name}"));
        assert!(rig.step.commands.is_empty());
    }
}

#[test]
fn what_does_not_go_together_is_named() {
    let check = |text: &str, field: &str, change: fn(&mut NewOrder)| {
        let mut wrong = order(text);
        change(&mut wrong);
        match rig().input(&Input::NewOrder(wrong)) {
            Err(Refusal::BadParams { field: named, .. }) => assert_eq!(named, field, "{text}"),
            other => panic!("{field}: {other:?}"),
        }
    };
    check("a BUY 300 QUOTE", "quote_qty", |o| o.qty = order("a BUY 1 MARKET").qty);
    check("a BUY 300 QUOTE", "quote_qty", |o| o.quote_qty = Some(Money::ZERO));
    check("a BUY 300 QUOTE @ 99", "quote_qty", |_| {});
    check("a BUY 300 QUOTE STOP 200", "quote_qty", |_| {});
    check("a BUY 1 MARKET", "qty", |o| o.qty = order("a BUY 300 QUOTE").qty);
    check("a SELL 1 STOP 90", "stop_price", |o| o.stop_price = None);
    check("a SELL 1 STOP 0", "stop_price", |_| {});
    check("a SELL 1 STOP 90", "price", |o| o.price = o.stop_price);
    check("a SELL 1 @ 90 STOP 90", "price", |o| o.price = None);
    check("a SELL 1 @ 90 STOP 90", "stop_price", |o| o.order_type = OrderType::Limit);
    check("a SELL 1 @ 90 UNTIL 0", "expire_ts_ns", |_| {});
    check("a SELL 1 @ 90 UNTIL 9", "expire_ts_ns", |o| o.time_in_force = TimeInForce::Gtc);
    check("a SELL 1 @ 90", "expire_ts_ns", |o| o.time_in_force = TimeInForce::Gtd);
    check("a SELL 1 @ 90 POST UNTIL 9", "time_in_force", |_| {});
    let answer = rig().input(&Input::NewOrder(order("a SELL 1 @ 90 FOK STOP 95")));
    assert!(matches!(answer, Ok(Answer::Order(_))), "{answer:?}");
}
