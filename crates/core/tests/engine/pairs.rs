//! Pairs of orders of which one at most is executed.

use crate::common::{Rig, id, pair, snapshot, trade};
use veloz_core::engine::Venue;
use veloz_core::input::{Answer, CancelOrder, Input, Refusal};
use veloz_core::order::OrderStatus;
use veloz_core::risk::Reason;
use veloz_core::types::Money;

const SELL: (&str, &str) = ("a SELL 1 @ 110", "b SELL 1 STOP 90");
const BUY: (&str, &str) = ("a BUY 1 @ 90", "b BUY 1 @ 112 STOP 110");

/// A market whose last price is 100, and with it a restart from the journal before each step if wanted.
fn rig() -> Rig {
    let mut rig = Rig::new(Venue::Simulated);
    tell(&mut rig);
    rig.market(trade("BUY 1 @ 100"));
    rig
}

fn tell(rig: &mut Rig) {
    rig.market(snapshot(10, "99 2, 89 5", "101 2, 109 5"));
}

fn locked(rig: &Rig, asset: &str) -> String {
    let account = rig.engine.state().account();
    account.balances.iter().find(|b| b.asset.as_str() == asset).unwrap().locked.to_string()
}

/// A pair is placed, the trades of others come: the last step is `expected`, and nothing stays locked.
fn check(orders: (&str, &str), trades: &[&str], expected: &str) {
    for restarts in [false, true] {
        let mut rig = rig();
        rig.pair(orders.0, orders.1).unwrap();
        assert_eq!(rig.shown(), "a ACCEPTED; =a; b ACCEPTED; =b; account");
        let mut shown = String::new();
        for text in trades {
            if restarts {
                rig.restart();
                tell(&mut rig);
            }
            shown = rig.market(trade(text));
        }
        assert_eq!(shown, expected, "{orders:?} {trades:?}, restarts: {restarts}");
        assert_eq!(rig.engine.state().open_order_count(), 0);
        for asset in ["USDT", "BTC"] {
            assert_eq!(locked(&rig, asset), "0.0", "{orders:?} {trades:?}");
        }
        let bytes = |state| serde_json::to_string(state).unwrap();
        assert_eq!(bytes(rig.engine.state()), bytes(&rig.replayed()));
    }
}

#[test]
fn what_is_executed_or_woken_first_ends_the_other() {
    check(
        SELL,
        &["BUY 3 @ 111"],
        "market 111.0; a 1.0@110.0; a FILLED; =a; b EXPIRED oco; =b; account",
    );
    check(
        SELL,
        &["SELL 1 @ 95", "SELL 1 @ 90"],
        "market 90.0; a EXPIRED oco; =a; b 1.0@99.0; b FILLED; =b; account",
    );
    check(
        BUY,
        &["SELL 3 @ 89"],
        "market 89.0; a 1.0@90.0; a FILLED; =a; b EXPIRED oco; =b; account",
    );
    check(
        BUY,
        &["BUY 1 @ 110"],
        "market 110.0; a EXPIRED oco; =a; b 1.0@101.0; b FILLED; =b; account",
    );
    check(
        ("a BUY 1 @ 90", "b BUY 1 STOP 110"),
        &["BUY 1 @ 110"],
        "market 110.0; a EXPIRED oco; =a; b 1.0@101.0; b FILLED; =b; account",
    );
}

#[test]
fn a_part_of_the_limit_order_is_enough() {
    let mut rig = rig();
    rig.pair(SELL.0, SELL.1).unwrap();
    assert_eq!(
        rig.market(trade("BUY 0.4 @ 111")),
        "market 111.0; a 0.4@110.0; a PARTIALLY_FILLED; =a; b EXPIRED oco; =b; account"
    );
    assert_eq!(rig.market(trade("SELL 1 @ 80")), "market 80.0", "nothing is left to wake");
    assert_eq!(locked(&rig, "BTC"), "0.6");
    rig.amend("a", "@ 105").unwrap();
}

#[test]
fn a_pair_locks_once() {
    let mut rig = rig();
    rig.pair("a SELL 100 @ 110", "b SELL 100 STOP 90").unwrap();
    assert_eq!(locked(&rig, "BTC"), "100.0", "all there is, for both");
    rig.cancel("b").unwrap();
    assert_eq!(locked(&rig, "BTC"), "0.0");
    rig.pair("c BUY 2 @ 90", "d BUY 2 @ 112 STOP 110").unwrap();
    assert_eq!(locked(&rig, "USDT"), "224.0", "what the dearer needs");
    rig.restart();
    assert_eq!(locked(&rig, "USDT"), "224.0");
    rig.engine.check_invariants().unwrap();
}

#[test]
fn taking_back_one_takes_back_both() {
    for name in ["a", "b"] {
        let mut rig = rig();
        rig.pair(SELL.0, SELL.1).unwrap();
        rig.restart();
        assert_eq!(rig.cancel(name), Ok(Answer::Cancelled(id(name))));
        let other = if name == "a" { "b" } else { "a" };
        let expected = format!("{name} CANCELLED; ={name}; {other} CANCELLED; ={other}; account");
        assert_eq!(rig.shown(), expected);
        assert_eq!(rig.cancel(other), Ok(Answer::Cancelled(id(other))));
        assert_eq!(rig.shown(), "", "it is gone already");
    }
    let mut rig = rig();
    rig.pair(SELL.0, SELL.1).unwrap();
    let all = rig.input(&Input::CancelAll { symbol: None });
    assert_eq!(all, Ok(Answer::CancelledAll(vec![id("a"), id("b")])));
    rig.pair("c SELL 1 @ 110", "d SELL 1 STOP 90").unwrap();
    rig.market(trade("BUY 3 @ 111"));
    let closed = Err(Refusal::OrderClosed(id("d"), OrderStatus::Expired));
    assert_eq!(
        rig.input(&Input::Cancel(CancelOrder { client_order_id: id("d"), symbol: None })),
        closed
    );
}

#[test]
fn both_are_accepted_or_none() {
    let refused = |orders: (&str, &str), reason: &str| {
        let mut rig = rig();
        let answer = rig.pair(orders.0, orders.1).unwrap();
        let shown = format!("a REJECTED {reason}; =a; b REJECTED {reason}; =b");
        assert_eq!(rig.shown(), shown, "{orders:?}");
        let Answer::Pair(answers) = answer else { panic!("{answer:?}") };
        assert!(answers.iter().all(|answer| answer.status == OrderStatus::Rejected));
        assert_eq!(rig.engine.state().open_order_count(), 0);
    };
    refused(("a SELL 1 @ 105", "b SELL 1 STOP 100"), "would_trigger");
    refused(("a SELL 1 @ 100", "b SELL 1 STOP 90"), "oco_prices");
    refused(("a BUY 1 @ 100", "b BUY 1 STOP 110"), "oco_prices");
    refused(("a SELL 101 @ 110", "b SELL 101 STOP 90"), "insufficient_balance");
    refused(("a BUY 1000 @ 90", "b BUY 1000 STOP 110"), "insufficient_balance");
    refused(("a SELL 1 @ 110.001", "b SELL 1 STOP 90"), "price_tick");
    refused(("a SELL 1 @ 110", "b SELL 1 STOP 90.001"), "price_tick");
    // The last price is lower than what is asked now: only the book knows that the limit would take.
    let mut rig = rig();
    rig.market(snapshot(20, "120 2", "121 2"));
    rig.pair(SELL.0, SELL.1).unwrap();
    assert_eq!(rig.shown(), "a REJECTED would_take; =a; b REJECTED would_take; =b");
}

#[test]
fn a_pair_is_answered_the_same_again_and_is_one_request() {
    let mut rig = rig();
    let first = rig.pair(SELL.0, SELL.1);
    assert!(matches!(first, Ok(Answer::Pair(_))));
    rig.restart();
    assert_eq!(rig.pair(SELL.0, SELL.1), first);
    assert_eq!(rig.shown(), "");
    let mut check = |orders: (&str, &str), wrong: &str| {
        let refused = Err(Refusal::DuplicateClientOrderId(id(wrong)));
        assert_eq!(rig.pair(orders.0, orders.1), refused, "{orders:?}");
    };
    check(("a SELL 1 @ 111", "b SELL 1 STOP 90"), "a");
    check(("a SELL 1 @ 110", "b SELL 1 STOP 91"), "b");
    check(("a SELL 1 @ 110", "c SELL 1 STOP 90"), "a");
    let alone = crate::common::order("b SELL 1 STOP 90");
    let refused = Err(Refusal::DuplicateClientOrderId(id("b")));
    assert_eq!(rig.input(&Input::NewOrder(alone)), refused);
    // An order of its own that says it is one of a pair.
    let linked = pair("x SELL 1 @ 110", "y SELL 1 STOP 90").limit;
    assert!(matches!(rig.input(&Input::NewOrder(linked)), Err(Refusal::BadParams { .. })));
}

#[test]
fn what_is_no_pair() {
    let mut rig = rig();
    let mut check = |orders: (&str, &str), wrong: &str| match rig.pair(orders.0, orders.1) {
        Err(Refusal::BadParams { field, .. }) => assert_eq!(field, wrong, "{orders:?}"),
        other => panic!("{orders:?}: {other:?}"),
    };
    check(("a SELL 1 @ 90", "b SELL 1 STOP 90"), "stop_price");
    check(("a BUY 1 @ 110", "b BUY 1 STOP 90"), "stop_price");
    check(("a SELL 1 @ 110", "a SELL 1 STOP 90"), "stop_client_order_id");
    check(("a SELL 1 @ 110", "b SELL 2 STOP 90"), "type");
    check(("a SELL 1 @ 110", "b BUY 1 STOP 120"), "type");
    check(("a SELL 1 @ 110", "b SELL 1 TAKE 120"), "type");
    check(("a SELL 0 @ 110", "b SELL 0 STOP 90"), "qty");
    check(("a SELL 1 @ 110", "b SELL 1 @ 0 STOP 90"), "stop_limit_price");
    check(("a SELL 1 @ 110", "b SELL 1 @ 89 STOP 90 UNTIL 9000"), "stop_limit_time_in_force");
}

#[test]
fn while_both_stand_neither_can_be_amended() {
    let mut rig = rig();
    rig.pair(SELL.0, SELL.1).unwrap();
    for name in ["a", "b"] {
        assert_eq!(rig.amend(name, "0.5"), Err(Refusal::Rejected(id(name), Reason::Oco)));
    }
    let state = rig.engine.state().order(&id("a")).unwrap().state_event();
    assert_eq!(state.oco_with, Some(id("b")));
}

#[test]
fn a_woken_stop_that_cannot_be_paid_for_leaves_nothing_locked() {
    let mut rig = rig();
    rig.pair("a BUY 900 @ 90", "b BUY 900 STOP 110").unwrap();
    rig.market(snapshot(20, "99 2", "120 900"));
    assert_eq!(
        rig.market(trade("BUY 1 @ 110")),
        "market 110.0; a EXPIRED oco; =a; b EXPIRED insufficient_balance; =b; account"
    );
    assert_eq!(locked(&rig, "USDT"), Money::ZERO.to_string());
}

#[test]
fn an_external_venue_has_no_words_for_a_pair() {
    let mut rig = Rig::new(Venue::External);
    rig.pair(SELL.0, SELL.1).unwrap();
    let reason = "unsupported_by_engine";
    assert_eq!(rig.shown(), format!("a REJECTED {reason}; =a; b REJECTED {reason}; =b"));
    assert!(rig.step.commands.is_empty());
}
