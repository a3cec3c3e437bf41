//! Orders that are changed while they stand.

use crate::common::{Rig, id, snapshot, trade};
use veloz_core::engine::Venue;
use veloz_core::input::{Input, Refusal, RiskChange, TradingState};
use veloz_core::order::OrderStatus;
use veloz_core::risk::Reason;
use veloz_core::types::Asset;

fn rig() -> Rig {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig
}

fn balance(rig: &Rig, asset: &str) -> (String, String) {
    let account = rig.engine.state().account();
    let balance = account.balances.iter().find(|b| b.asset.as_str() == asset).unwrap();
    (balance.free.to_string(), balance.locked.to_string())
}

#[test]
fn less_keeps_the_place_and_anything_else_loses_it() {
    let check = |to: &str, a_first: bool| {
        let mut rig = rig();
        rig.order("a BUY 2 @ 100");
        rig.order("b BUY 2 @ 100");
        rig.amend("a", to).unwrap();
        let first = rig.market(trade("SELL 1 @ 100"));
        let expected = if a_first { "a" } else { "b" };
        assert!(first.contains(&format!("{expected} 1.0@100.0")), "{to}: {first}");
    };
    check("1.5", true);
    check("2", true);
    check("3", false);
    check("1 @ 99.5", false);
}

#[test]
fn the_quantity_is_the_whole_one() {
    let mut rig = rig();
    rig.order("a BUY 5 @ 101");
    assert_eq!(balance(&rig, "USDT"), ("99495.0".into(), "303.0".into()));
    assert_eq!(rig.amend("a", "4"), Ok("=a; account".into()));
    assert_eq!(balance(&rig, "USDT"), ("99596.0".into(), "202.0".into()));
    assert_eq!(rig.amend("a", "6 @ 100"), Ok("=a; account".into()));
    assert_eq!(balance(&rig, "USDT"), ("99398.0".into(), "400.0".into()));
    for qty in ["2", "1"] {
        assert_eq!(rig.amend("a", qty), Err(Refusal::Rejected(id("a"), Reason::AmendQty)), "{qty}");
    }
    rig.restart();
    let order = rig.engine.state().order(&id("a")).unwrap();
    assert_eq!(
        (order.qty.to_string(), order.remaining().to_string()),
        ("6.0".into(), "4.0".into())
    );
    assert_eq!(rig.market(trade("SELL 9 @ 99")), "market 99.0; a 4.0@100.0; a FILLED; =a; account");
}

/// What is executed is held, and open no more: it uses up no limit twice.
#[test]
fn what_is_executed_counts_once() {
    let limited = |change: RiskChange| {
        let mut rig = rig();
        rig.order("a BUY 5 @ 101");
        rig.input(&Input::Risk(change)).unwrap();
        rig
    };
    let limits = [(Asset::parse("BTC").unwrap(), Some("105".parse().unwrap()))];
    let max_position = Some(Some(limits.into_iter().collect()));
    let mut rig = limited(RiskChange { max_position, ..RiskChange::default() });
    assert_eq!(rig.amend("a", "4"), Ok("=a; account".into()));
    assert_eq!(rig.amend("a", "5"), Ok("=a; account".into()));
    let refused = |reason| Err(Refusal::Rejected(id("a"), reason));
    assert_eq!(rig.amend("a", "5.1"), refused(Reason::MaxPosition));
    let max_symbol_notional = Some(Some("303".parse().unwrap()));
    let mut rig = limited(RiskChange { max_symbol_notional, ..RiskChange::default() });
    assert_eq!(rig.amend("a", "4"), Ok("=a; account".into()));
    assert_eq!(rig.amend("a", "5 @ 100"), Ok("=a; account".into()));
    assert_eq!(rig.amend("a", "5.1 @ 101"), refused(Reason::MaxSymbolNotional));
}

#[test]
fn what_an_order_locks_pays_for_what_it_becomes() {
    let mut rig = rig();
    rig.order("a BUY 1000 @ 99");
    rig.amend("a", "1010").unwrap();
    assert_eq!(balance(&rig, "USDT"), ("10.0".into(), "99990.0".into()));
    let refused = Refusal::Rejected(id("a"), Reason::InsufficientBalance);
    assert_eq!(rig.amend("a", "1011"), Err(refused));
}

#[test]
fn another_limit_may_take() {
    let mut rig = rig();
    rig.order("a BUY 3 @ 99");
    assert_eq!(rig.amend("a", "@ 101"), Ok("a 2.0@101.0; a PARTIALLY_FILLED; =a; account".into()));
    rig.order("own SELL 1 @ 103");
    assert_eq!(
        rig.amend("a", "@ 104"),
        Ok("a 1.0@102.0; a FILLED; =a; account".into()),
        "what stands before the own order is taken"
    );
    rig.order("post BUY 1 @ 99 POST");
    let refused = Err(Refusal::Rejected(id("post"), Reason::WouldTake));
    assert_eq!(rig.amend("post", "@ 102"), refused);
    assert_eq!(rig.amend("post", "@ 99.5"), Ok("=post; account".into()));
}

#[test]
fn what_is_refused_leaves_the_order_as_it_was() {
    let mut rig = rig();
    rig.order("a BUY 2 @ 99");
    rig.order("filled BUY 1 @ 101");
    let check = |rig: &mut Rig, to: &str, reason| {
        assert_eq!(rig.amend("a", to), Err(Refusal::Rejected(id("a"), reason)), "{to}");
    };
    check(&mut rig, "2.000001", Reason::LotSize);
    check(&mut rig, "@ 99.001", Reason::PriceTick);
    check(&mut rig, "0.01", Reason::MinNotional);
    check(&mut rig, "2000", Reason::InsufficientBalance);
    let halt = RiskChange { state: Some(TradingState::Halted), ..RiskChange::default() };
    rig.input(&Input::Risk(halt)).unwrap();
    check(&mut rig, "1", Reason::Halted);
    for (name, to, refusal) in [
        ("nobody", "1", Refusal::NotFound(id("nobody"))),
        ("filled", "1", Refusal::OrderClosed(id("filled"), OrderStatus::Filled)),
    ] {
        assert_eq!(rig.amend(name, to), Err(refusal));
    }
    for to in ["0", "@ 0", ""] {
        assert!(matches!(rig.amend("a", to), Err(Refusal::BadParams { .. })), "{to}");
    }
}

#[test]
fn a_dormant_order_stays_dormant() {
    let mut rig = rig();
    rig.market(trade("BUY 1 @ 100"));
    rig.order("a SELL 1 @ 90 STOP 95");
    assert_eq!(rig.amend("a", "2 @ 91"), Ok("=a; account".into()));
    assert_eq!(rig.amend("a", "2 @ 91"), Ok(String::new()), "nothing is new");
    rig.order("b SELL 1 STOP 95");
    assert!(matches!(rig.amend("b", "@ 91"), Err(Refusal::BadParams { .. })));
    rig.amend("b", "0.5").unwrap();
    assert_eq!(balance(&rig, "BTC").1, "2.5");
    rig.restart();
    assert_eq!(
        rig.market(trade("SELL 1 @ 95")),
        "market 95.0; =a; b EXPIRED no_liquidity; =b; account"
    );
}

#[test]
fn an_external_venue_has_no_words_for_it() {
    let mut rig = Rig::new(Venue::External);
    rig.order("a BUY 1 @ 90");
    let refused = Refusal::Rejected(id("a"), Reason::UnsupportedByEngine);
    assert_eq!(rig.amend("a", "2"), Err(refused));
}
