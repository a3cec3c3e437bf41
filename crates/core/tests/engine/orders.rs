//! Orders as clients and venues see them: identity, cancels, refusals, and reports in any order.

use std::collections::HashSet;

use crate::common::{Rig, id, levels, order, price, qty, snapshot, symbol, trade};
use veloz_core::engine::Venue;
use veloz_core::event::Event;
use veloz_core::input::{
    Answer, CancelOrder, Input, MarketData, NewOrder, Refusal, RiskChange, TradingState,
};
use veloz_core::order::{OrderStatus, OrderType, TimeInForce};
use veloz_core::state::Fact;
use veloz_core::types::{Money, Symbol};

fn rig() -> Rig {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig
}

fn free_and_locked(rig: &Rig, asset: &str) -> (String, String) {
    let account = rig.engine.state().account();
    let balance = account.balances.iter().find(|b| b.asset.as_str() == asset).unwrap();
    (balance.free.to_string(), balance.locked.to_string())
}

fn money(amount: &str) -> Money {
    amount.parse().unwrap()
}

#[test]
fn the_first_event_is_the_whole_account() {
    let rig = Rig::new(Venue::Simulated);
    let Some(Event::Account(account)) = rig.step.events.first() else { panic!("no account") };
    assert_eq!(account.balances.len(), 3);
    assert_eq!(rig.engine.state().last_event_id(), 1);
}

#[test]
fn the_same_request_answers_the_same_and_places_nothing() {
    let mut rig = rig();
    for text in ["a BUY 3 @ 101", "b BUY 1 @ 0.001", "c BUY 1 MARKET", "d SELL 1 @ 105"] {
        let input = Input::NewOrder(order(text));
        let first = rig.input(&input).unwrap();
        rig.market(trade("SELL 50 @ 90"));
        let events = rig.engine.state().last_event_id();
        assert_eq!(rig.input(&input), Ok(first.clone()), "{text}");
        rig.restart();
        assert_eq!(rig.input(&input), Ok(first), "{text}, after a restart");
        assert_eq!(rig.engine.state().last_event_id(), events, "{text}");
    }
    let id = id("a");
    for text in ["a BUY 3 @ 102", "a SELL 3 @ 101", "a BUY 3.5 @ 101", "a BUY 3 @ 101 IOC"] {
        let answer = rig.input(&Input::NewOrder(order(text)));
        assert_eq!(answer, Err(Refusal::DuplicateClientOrderId(id)), "{text}");
    }
    // A market order is IOC, however it was asked for.
    let mut market = order("c BUY 1 MARKET");
    market.time_in_force = TimeInForce::Gtc;
    assert!(rig.input(&Input::NewOrder(market)).is_ok());
}

#[test]
fn what_is_out_of_its_domain_is_no_order() {
    let check = |field: &str, change: fn(&mut NewOrder)| {
        let mut rig = rig();
        let mut wrong = order("a BUY 1 @ 99");
        change(&mut wrong);
        match rig.input(&Input::NewOrder(wrong)) {
            Err(Refusal::BadParams { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
        assert!(rig.engine.state().orders().next().is_none());
    };
    check("qty", |o| o.qty = qty("0"));
    check("qty", |o| o.qty = qty("-1"));
    check("price", |o| o.price = None);
    check("price", |o| o.price = Some(price("0")));
    check("price", |o| o.price = Some(price("-5")));
    check("price", |o| o.order_type = OrderType::Market);
    check("symbol", |o| o.symbol = Symbol::parse("NOPEUSDT").unwrap());
    check("time_in_force", |o| {
        (o.order_type, o.time_in_force) = (OrderType::LimitMaker, TimeInForce::Fok);
    });
}

#[test]
fn a_refused_order_exists_as_rejected() {
    let check = |text: &str, risk: RiskChange, reason: &str| {
        let mut rig = rig();
        rig.input(&Input::Risk(risk)).unwrap();
        let before = rig.engine.state().account().balances;
        assert_eq!(rig.order(text), format!("a REJECTED {reason}; =a"), "{text}");
        let Ok(Answer::Order(answer)) = rig.input(&Input::NewOrder(order(text))) else { panic!() };
        assert_eq!((answer.status, &*answer.reason), (OrderStatus::Rejected, reason));
        assert_eq!(rig.engine.state().account().balances, before);
        assert_eq!(rig.cancel("a"), Err(Refusal::OrderClosed(id("a"), OrderStatus::Rejected)));
    };
    let free = RiskChange::default;
    check("a BUY 1 @ 99.001", free(), "price_tick");
    check("a BUY 1.000001 @ 99", free(), "lot_size");
    check("a BUY 9001 @ 1", free(), "lot_size");
    check("a BUY 0.05 @ 99", free(), "min_notional");
    check("a BUY 0.00001 MARKET", free(), "min_notional");
    check("a BUY 8000 @ 99", free(), "insufficient_balance");
    check("a SELL 100.1 @ 99", free(), "insufficient_balance");
    check("a SELL 101 MARKET", free(), "insufficient_balance");
    let state = |state| RiskChange { state: Some(state), ..free() };
    check("a SELL 1 @ 99", state(TradingState::Halted), "halted");
    check("a BUY 1 @ 99", state(TradingState::ReduceOnly), "reduce_only");
    let most = RiskChange { max_order_notional: Some(Some(money("98"))), ..free() };
    check("a BUY 1 @ 99", most, "max_order_notional");
    let none = RiskChange { max_open_orders: Some(Some(0)), ..free() };
    check("a BUY 1 @ 99", none, "max_open_orders");
}

#[test]
fn balances_follow_each_fill() {
    let mut rig = rig();
    rig.order("a BUY 3 @ 105");
    // 2 at 101 and 1 at 102, though it would have paid 105; the fee is a thousandth of what came in.
    assert_eq!(free_and_locked(&rig, "USDT"), ("99696.0".into(), "0.0".into()));
    assert_eq!(free_and_locked(&rig, "BTC"), ("102.997".into(), "0.0".into()));
    rig.order("b BUY 2 @ 99.5");
    assert_eq!(free_and_locked(&rig, "USDT"), ("99497.0".into(), "199.0".into()));
    rig.market(trade("SELL 0.5 @ 99.5"));
    assert_eq!(free_and_locked(&rig, "USDT"), ("99497.0".into(), "149.25".into()));
    rig.cancel("b").unwrap();
    assert_eq!(free_and_locked(&rig, "USDT"), ("99646.25".into(), "0.0".into()));
    rig.order("c SELL 0.33333 @ 99");
    let (usdt, _) = free_and_locked(&rig, "USDT");
    assert_eq!(usdt, "99679.21667033"); // 32.99967 less 0.03299967
}

#[test]
fn cancels_change_open_orders_only() {
    let mut rig = rig();
    rig.order("open BUY 1 @ 99");
    rig.order("filled BUY 1 @ 101");
    rig.order("expired BUY 5 @ 101 IOC");
    assert_eq!(rig.cancel("nobody"), Err(Refusal::NotFound(id("nobody"))));
    for (name, status) in [("filled", OrderStatus::Filled), ("expired", OrderStatus::Expired)] {
        assert_eq!(rig.cancel(name), Err(Refusal::OrderClosed(id(name), status)));
    }
    let other = CancelOrder { client_order_id: id("open"), symbol: Some(symbol("ETHUSDT")) };
    assert!(matches!(rig.input(&Input::Cancel(other)), Err(Refusal::BadParams { .. })));
    for shown in ["open CANCELLED; =open; account", ""] {
        assert_eq!(rig.cancel("open"), Ok(Answer::Cancelled(id("open"))));
        assert_eq!(rig.shown(), shown);
    }
}

#[test]
fn all_can_be_cancelled_at_once() {
    let mut rig = rig();
    for text in ["a BUY 1 @ 99", "ETHBTC:b SELL 1 @ 0.05", "c SELL 1 @ 105", "d BUY 1 @ 98"] {
        rig.order(text);
    }
    let symbol = Some(symbol("ETHBTC"));
    let answer = rig.input(&Input::CancelAll { symbol });
    assert_eq!(answer, Ok(Answer::CancelledAll(vec![id("b")])));
    let mistyped = Input::CancelAll { symbol: Some(crate::common::symbol("BTCUSTD")) };
    assert!(matches!(rig.input(&mistyped), Err(Refusal::BadParams { field: "symbol", .. })));
    let halt =
        RiskChange { state: Some(TradingState::Halted), cancel_all: true, ..RiskChange::default() };
    rig.input(&Input::Risk(halt)).unwrap();
    assert_eq!(rig.shown(), "a CANCELLED; =a; c CANCELLED; =c; d CANCELLED; =d; account");
    assert_eq!(rig.engine.state().open_order_count(), 0);
    rig.restart();
    assert_eq!(rig.engine.state().risk().state, TradingState::Halted);
}

#[test]
fn time_never_goes_back_but_the_markets_own() {
    let mut rig = rig();
    rig.order("a BUY 1 @ 99");
    rig.now = 0;
    rig.order("b BUY 1 @ 99");
    let stamps: Vec<_> = rig.engine.state().orders().map(|o| o.last_ts_ns).collect();
    assert_eq!(stamps[0], stamps[1]);
    rig.market(trade("SELL 1 @ 97"));
    let Some(Event::Market(market)) = rig.step.events.first() else { panic!() };
    assert_eq!((market.ts_ns, market.bid, market.ask), (5, Some(price("99")), Some(price("101"))));
}

#[test]
fn what_a_source_tells_again_makes_the_book_only() {
    let mut rig = Rig::new(Venue::Simulated);
    let tell = |rig: &mut Rig, position, body| {
        let symbol = symbol("BTCUSDT");
        rig.input(&Input::Market(MarketData { symbol, position: Some(position), body })).unwrap();
        rig.shown()
    };
    tell(&mut rig, 1, snapshot(10, "99 2", "101 2"));
    tell(&mut rig, 2, trade("SELL 1 @ 99"));
    assert!(matches!(rig.step.facts[..], [Fact::Position { position: 2, .. }]));
    tell(&mut rig, 3, crate::common::depth(11, 11, "99 0, 90 1", ""));
    rig.order("a BUY 1 @ 100");
    assert!(rig.step.facts.iter().any(|fact| matches!(fact, Fact::Position { position: 3, .. })));
    rig.restart();
    for (position, body, shown) in [
        (1, snapshot(10, "99 2", "100 2"), ""),
        (2, trade("SELL 1 @ 99"), ""),
        (3, crate::common::depth(11, 11, "", "100 0, 101 5"), ""),
        (4, trade("SELL 1 @ 100"), "market 100.0; a 1.0@100.0; a FILLED; =a; account"),
    ] {
        assert_eq!(tell(&mut rig, position, body), shown, "line {position}");
    }
    assert_eq!(rig.engine.state().position(&symbol("BTCUSDT")), Some(4));
    assert_eq!(rig.engine.book(&symbol("BTCUSDT")).unwrap().top(5).0, levels("99 2"));
}

/// Whatever is looked at ahead, in whatever order the inputs then come.
#[test]
fn a_look_ahead_changes_nothing() {
    let (mut rig, mut plain) = (rig(), rig());
    let mut random = fastrand::Rng::with_seed(1);
    for batch in 0..100 {
        let mut input = |number: usize| {
            let name = id(&format!("a{}", random.usize(..2 * batch + 20)));
            match number % 3 {
                0 => Input::Cancel(CancelOrder { client_order_id: name, symbol: None }),
                1 => Input::NewOrder(order(&format!("{name} BUY 1 @ {}", 97 + batch % 2))),
                _ => Input::NewOrder(order(&format!("{name} SELL 0.001 MARKET"))),
            }
        };
        let mut inputs: Vec<_> = (0..12).map(&mut input).collect();
        rig.engine.look_ahead(inputs.iter());
        if batch % 3 == 0 {
            random.shuffle(&mut inputs);
        }
        for input in &inputs {
            assert_eq!(rig.input(input), plain.input(input), "{input:?}");
            assert_eq!(rig.step.events, plain.step.events, "{input:?}");
            assert_eq!(rig.step.facts, plain.step.facts, "{input:?}");
        }
    }
    let statuses: HashSet<_> = plain.engine.state().orders().filter_map(|o| o.status).collect();
    assert!(statuses.len() >= 3, "{statuses:?}");
    assert_eq!(rig.engine.check_invariants(), Ok(()));
}
