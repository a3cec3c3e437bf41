//! The simulated venue through the engine: what fills, at what price, and in which order it is told.

use crate::common::{Rig, config, depth, id, quote, snapshot, symbol, trade};
use veloz_core::engine::{Engine, EngineConfig, Venue};
use veloz_core::input::{Input, MarketBody, MarketData};
use veloz_core::sim::Taken;

/// What is done: an order, or something the market says.
enum Do {
    Order(&'static str),
    Market(MarketBody),
}
use Do::{Market, Order};

fn check(name: &str, steps: Vec<(Do, &str)>) {
    let mut rig = Rig::new(Venue::Simulated);
    for (at, (what, expected)) in steps.into_iter().enumerate() {
        let shown = match what {
            Order(text) => rig.order(text),
            Market(body) => rig.market(body),
        };
        assert_eq!(shown, expected, "{name}, step {at}");
    }
    let (live, replayed) = (rig.engine.state(), rig.replayed());
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert_eq!(bytes(live), bytes(&replayed), "{name}, replayed");
}

fn book() -> (Do, &'static str) {
    (Market(snapshot(10, "99 2, 98 5", "101 2, 102 5")), "")
}

#[test]
fn a_taker_walks_what_is_shown_and_no_further() {
    check(
        "within one level",
        vec![
            book(),
            (Order("a BUY 1 @ 101"), "a ACCEPTED; a 1.0@101.0; a FILLED; =a; account"),
            (Order("b BUY 5 @ 101"), "b ACCEPTED; b 1.0@101.0; b PARTIALLY_FILLED; =b; account"),
            (Order("c BUY 1 @ 101 IOC"), "c ACCEPTED; c EXPIRED ioc_remainder; =c"),
        ],
    );
    check(
        "through levels, never past the limit",
        vec![
            book(),
            (
                Order("a BUY 9 @ 101.5 IOC"),
                "a ACCEPTED; a 2.0@101.0; a EXPIRED ioc_remainder; =a; account",
            ),
            (
                Order("b SELL 9 @ 98 IOC"),
                "b ACCEPTED; b 2.0@99.0; b 5.0@98.0; b EXPIRED ioc_remainder; =b; account",
            ),
        ],
    );
    check(
        "a market order takes what there is",
        vec![
            book(),
            (
                Order("a BUY 9 MARKET"),
                "a ACCEPTED; a 2.0@101.0; a 5.0@102.0; a EXPIRED no_liquidity; =a; account",
            ),
            (Order("b BUY 1 MARKET"), "b ACCEPTED; b EXPIRED no_liquidity; =b"),
            (Order("c BUY 1 @ 200 IOC"), "c ACCEPTED; c EXPIRED no_liquidity; =c"),
            (Order("d SELL 1 MARKET"), "d ACCEPTED; d 1.0@99.0; d FILLED; =d; account"),
        ],
    );
    check(
        "all or nothing",
        vec![
            book(),
            (Order("a BUY 8 @ 102 FOK"), "a ACCEPTED; a EXPIRED fok_unfilled; =a"),
            (
                Order("b BUY 7 @ 102 FOK"),
                "b ACCEPTED; b 2.0@101.0; b 5.0@102.0; b FILLED; =b; account",
            ),
        ],
    );
    check(
        "post-only",
        vec![
            book(),
            (Order("a BUY 1 @ 101 POST"), "a REJECTED would_take; =a"),
            (Order("b BUY 1 @ 100.99 POST"), "b ACCEPTED; =b; account"),
            (Order("c SELL 1 @ 100.99 POST"), "c REJECTED would_take; =c"),
        ],
    );
}

#[test]
fn what_was_taken_stays_taken_until_it_leaves() {
    check(
        "an update of the same liquidity brings none",
        vec![
            book(),
            (Order("a BUY 2 @ 101 IOC"), "a ACCEPTED; a 2.0@101.0; a FILLED; =a; account"),
            (Market(depth(11, 11, "", "101 1.5")), ""),
            (Order("b BUY 2 @ 101 IOC"), "b ACCEPTED; b EXPIRED ioc_remainder; =b"),
            (Market(depth(12, 12, "", "101 2.5")), ""),
            (
                Order("c BUY 2 @ 101 IOC"),
                "c ACCEPTED; c 1.0@101.0; c EXPIRED ioc_remainder; =c; account",
            ),
            (Market(depth(13, 13, "", "101 0")), ""),
            (Market(depth(14, 14, "", "101 2")), ""),
            (Order("d BUY 2 @ 101 IOC"), "d ACCEPTED; d 2.0@101.0; d FILLED; =d; account"),
        ],
    );
}

#[test]
fn a_resting_order_waits_for_the_queue_ahead() {
    check(
        "the volume ahead trades first",
        vec![
            book(),
            (Order("a BUY 3 @ 99"), "a ACCEPTED; =a; account"),
            (Market(trade("SELL 1.5 @ 99")), "market 99.0"),
            (Market(trade("BUY 9 @ 101")), "market 101.0"),
            (
                Market(trade("SELL 1.5 @ 99")),
                "market 99.0; a 1.0@99.0; a PARTIALLY_FILLED; =a; account",
            ),
            (Market(trade("SELL 9 @ 99")), "market 99.0; a 2.0@99.0; a FILLED; =a; account"),
        ],
    );
    check(
        "the volume ahead leaves",
        vec![
            book(),
            (Order("a BUY 3 @ 99"), "a ACCEPTED; =a; account"),
            (Market(depth(11, 11, "99 0.5", "")), ""),
            (Market(depth(12, 12, "99 7", "")), ""),
            (
                Market(trade("SELL 1 @ 99")),
                "market 99.0; a 0.5@99.0; a PARTIALLY_FILLED; =a; account",
            ),
        ],
    );
    check(
        "a better quote means that the level has gone",
        vec![
            book(),
            (Order("a BUY 1 @ 99"), "a ACCEPTED; =a; account"),
            (Market(quote(11, "98 5", "101 2")), ""),
            (Market(depth(11, 11, "99 0", "")), ""),
            (Market(trade("SELL 1 @ 99")), "market 99.0; a 1.0@99.0; a FILLED; =a; account"),
        ],
    );
    check(
        "a quote is there before the trade that it shows: what left the queue leaves it once",
        vec![
            book(),
            (Order("a BUY 1 @ 99"), "a ACCEPTED; =a; account"),
            (Market(quote(11, "99 0.5", "101 2")), ""),
            (Order("b BUY 1 @ 99"), "b ACCEPTED; =b; account"),
            (Market(trade("SELL 1.5 @ 99")), "market 99.0"),
            (Market(quote(12, "98 5", "101 2")), ""),
            (Market(trade("SELL 0.5 @ 99")), "market 99.0"),
            (Market(trade("SELL 1.5 @ 99")), TWO_IN_TURN),
        ],
    );
    check(
        "a trade through the price",
        vec![
            book(),
            (Order("a BUY 3 @ 99"), "a ACCEPTED; =a; account"),
            (
                Market(trade("SELL 2 @ 98.5")),
                "market 98.5; a 2.0@99.0; a PARTIALLY_FILLED; =a; account",
            ),
            (Market(trade("SELL 1 @ 99")), "market 99.0; a 1.0@99.0; a FILLED; =a; account"),
        ],
    );
}

const TWO_IN_TURN: &str =
    "market 99.0; a 1.0@99.0; a FILLED; =a; b 0.5@99.0; b PARTIALLY_FILLED; =b; account";

#[test]
fn what_others_traded_is_not_there_to_be_taken() {
    check(
        "a stop that a trade wakes meets what that trade has left",
        vec![
            book(),
            (Market(trade("BUY 1 @ 100")), "market 100.0"),
            (Order("s BUY 1 STOP 101"), "s ACCEPTED; =s; account"),
            (Market(trade("BUY 2 @ 101")), "market 101.0; s 1.0@102.0; s FILLED; =s; account"),
            (Order("m BUY 1 MARKET"), "m ACCEPTED; m 1.0@102.0; m FILLED; =m; account"),
            (Market(depth(11, 11, "", "101 0.5")), ""),
            (
                Order("n BUY 1 @ 101 IOC"),
                "n ACCEPTED; n 0.5@101.0; n EXPIRED ioc_remainder; =n; account",
            ),
        ],
    );
    check(
        "what a quote has shown already is not gone twice",
        vec![
            book(),
            (Market(quote(11, "99 2", "101 1.5")), ""),
            (Market(trade("BUY 0.5 @ 101")), "market 101.0"),
            (Order("a BUY 9 @ 101 FOK"), "a ACCEPTED; a EXPIRED fok_unfilled; =a"),
            (Order("b BUY 1.5 @ 101 FOK"), "b ACCEPTED; b 1.5@101.0; b FILLED; =b; account"),
        ],
    );
    check(
        "an update that tells all puts the level as it says",
        vec![
            book(),
            (Market(trade("BUY 2 @ 101")), "market 101.0"),
            (Market(depth(11, 11, "98 4", "")), ""),
            (Order("a BUY 2 @ 101 FOK"), "a ACCEPTED; a 2.0@101.0; a FILLED; =a; account"),
        ],
    );
}

#[test]
fn one_volume_fills_once() {
    check(
        "shared by price, then time",
        vec![
            book(),
            (Order("a BUY 1 @ 100"), "a ACCEPTED; =a; account"),
            (Order("b BUY 1 @ 100.5"), "b ACCEPTED; =b; account"),
            (Order("c BUY 1 @ 100"), "c ACCEPTED; =c; account"),
            (
                Market(trade("SELL 2.5 @ 100")),
                "market 100.0; b 1.0@100.5; b FILLED; =b; a 1.0@100.0; a FILLED; =a; \
             c 0.5@100.0; c PARTIALLY_FILLED; =c; account",
            ),
        ],
    );
    check(
        "what a level showed fills one order, once",
        vec![
            book(),
            (Order("a BUY 3 @ 100"), "a ACCEPTED; =a; account"),
            (Market(depth(11, 11, "", "99.5 1")), "a 1.0@100.0; a PARTIALLY_FILLED; =a; account"),
            (Market(quote(12, "99 2", "99.5 1")), ""),
            (Market(trade("BUY 1 @ 99.5")), "market 99.5"),
            (Order("b BUY 1 @ 99.5 IOC"), "b ACCEPTED; b EXPIRED ioc_remainder; =b"),
            (
                Market(depth(12, 13, "", "99.5 1.25")),
                "a 0.25@100.0; a PARTIALLY_FILLED; =a; account",
            ),
        ],
    );
}

#[test]
fn own_orders_never_trade_with_each_other() {
    check(
        "the incoming one expires",
        vec![
            book(),
            (Order("a SELL 1 @ 100"), "a ACCEPTED; =a; account"),
            (Order("b BUY 1 @ 100"), "b ACCEPTED; b EXPIRED self_trade; =b"),
            (Order("c BUY 1 MARKET"), "c ACCEPTED; c EXPIRED self_trade; =c"),
            (Order("d BUY 1 @ 100 FOK"), "d ACCEPTED; d EXPIRED self_trade; =d"),
            (Order("e BUY 1 @ 100 POST"), "e REJECTED would_take; =e"),
            (Order("f BUY 1 @ 99.5"), "f ACCEPTED; =f; account"),
        ],
    );
    check(
        "what is better, or before it in the queue, can be had",
        vec![
            book(),
            (Order("a SELL 1 @ 102"), "a ACCEPTED; =a; account"),
            (Market(depth(11, 11, "", "102 9")), ""),
            (
                Order("b BUY 20 @ 103"),
                "b ACCEPTED; b 2.0@101.0; b 5.0@102.0; b EXPIRED self_trade; =b; account",
            ),
            // All that is left stands behind the own order.
            (Order("c BUY 1 @ 103"), "c ACCEPTED; c EXPIRED self_trade; =c"),
            (
                Market(trade("BUY 0.5 @ 102")),
                "market 102.0; a 0.5@102.0; a PARTIALLY_FILLED; =a; account",
            ),
        ],
    );
}

#[test]
fn a_book_that_is_not_known_offers_nothing() {
    check(
        "until its snapshot",
        vec![
            (Order("a BUY 1 MARKET"), "a ACCEPTED; a EXPIRED no_liquidity; =a"),
            (Order("b BUY 1 @ 100 IOC"), "b ACCEPTED; b EXPIRED no_liquidity; =b"),
            (Order("c BUY 1 @ 99"), "c ACCEPTED; =c; account"),
            (Market(trade("SELL 5 @ 99")), "market 99.0"),
            (Market(depth(9, 11, "99 3", "")), ""),
            (Market(snapshot(10, "99 2, 98 5", "101 2, 102 5")), ""),
            (
                Market(trade("SELL 3.5 @ 99")),
                "market 99.0; c 0.5@99.0; c PARTIALLY_FILLED; =c; account",
            ),
        ],
    );
    check(
        "trades through the price fill all the same",
        vec![
            (Order("a BUY 1 @ 99"), "a ACCEPTED; =a; account"),
            (
                Market(trade("BUY 0.5 @ 98")),
                "market 98.0; a 0.5@99.0; a PARTIALLY_FILLED; =a; account",
            ),
            (Market(trade("SELL 5 @ 98")), "market 98.0; a 0.5@99.0; a FILLED; =a; account"),
        ],
    );
    check(
        "a snapshot that has passed the price fills at the price",
        vec![
            (Order("a BUY 1 @ 105"), "a ACCEPTED; =a; account"),
            (Market(snapshot(10, "99 2", "101 2")), "a 1.0@105.0; a FILLED; =a; account"),
        ],
    );
}

#[test]
fn a_restart_puts_orders_back_at_the_end_of_the_queue() {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2", "101 2"));
    rig.order("a BUY 3 @ 99");
    rig.market(trade("SELL 3 @ 99"));
    rig.restart();
    assert_eq!(rig.engine.state().order(&id("a")).unwrap().executed_qty.to_string(), "1.0");
    rig.market(snapshot(10, "99 4", "101 2"));
    assert_eq!(rig.market(trade("SELL 4 @ 99")), "market 99.0");
    assert_eq!(rig.market(trade("SELL 4 @ 99")), "market 99.0; a 2.0@99.0; a FILLED; =a; account");
    rig.order("b BUY 1 @ 101");
    let ids = |name| rig.engine.state().order(&id(name)).unwrap().venue_order_id.unwrap();
    assert_eq!([ids("a"), ids("b")].map(|id| id.to_string()), ["1", "2"]);
}

#[test]
fn a_restart_fills_nothing_with_what_was_taken_before() {
    let mut rig = Rig::new(Venue::Simulated);
    let tell = |rig: &mut Rig, position, body| {
        let (symbol, position) = (symbol("BTCUSDT"), Some(position));
        rig.input(&Input::Market(MarketData { symbol, position, body })).unwrap();
        rig.shown()
    };
    tell(&mut rig, 5, snapshot(10, "99 2", "101 2, 102 4"));
    let filled = "a ACCEPTED; a 2.0@101.0; a PARTIALLY_FILLED; =a; account";
    assert_eq!(rig.order("a BUY 3 @ 101"), filled);
    rig.restart();
    assert_eq!(tell(&mut rig, 5, snapshot(10, "99 2", "101 2, 102 4")), "");
    assert_eq!(tell(&mut rig, 6, depth(11, 11, "99 1", "")), "");
    assert_eq!(
        tell(&mut rig, 7, depth(12, 12, "", "101 2.5")),
        "a 0.5@101.0; a PARTIALLY_FILLED; =a; account"
    );
}

#[test]
fn a_source_that_is_wrong_fills_nothing() {
    let least = "-92233720368.54775808";
    check(
        "prices and quantities that cannot be",
        vec![
            book(),
            (Order("a BUY 1 @ 100"), "a ACCEPTED; =a; account"),
            (Order("b SELL 1 @ 100.5"), "b ACCEPTED; =b; account"),
            (Market(trade("SELL -5 @ 99")), "market 99.0"),
            (Market(trade("BUY 0 @ 102")), "market 102.0"),
            (Market(trade(&format!("SELL 1 @ {least}"))), "market -92233720368.54775808"),
            (Market(quote(11, &format!("{least} 1"), "101 1")), ""),
            (Market(quote(12, "101 1", "99 1")), ""),
            (Market(depth(11, 12, "-1 5, 0 5, 99 -3", &format!("{least} 1, 0 1"))), ""),
            (Order("c SELL 1 @ 98 IOC"), "c ACCEPTED; c EXPIRED self_trade; =c"),
        ],
    );
}

/// One order takes no more than is shown; the next finds it again, whether it takes or rests.
#[test]
fn liquidity_may_be_replenished() {
    let mut rig = Rig::new(Venue::Simulated);
    let replenished = EngineConfig { taken: Taken::IsReplenished, ..config(Venue::Simulated) };
    rig.engine = Engine::restore(replenished, rig.replayed());
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    for name in ["a", "b"] {
        let shown = rig.order(&format!("{name} BUY 5 @ 101 IOC"));
        let expected = format!(
            "{name} ACCEPTED; {name} 2.0@101.0; {name} EXPIRED ioc_remainder; ={name}; account"
        );
        assert_eq!(shown, expected);
    }
    rig.order("c BUY 1 @ 100");
    rig.order("d BUY 3 @ 100");
    assert_eq!(
        rig.market(depth(11, 11, "", "100 2")),
        "c 1.0@100.0; c FILLED; =c; d 1.0@100.0; d PARTIALLY_FILLED; =d; account",
        "one word of the source fills no more than it shows"
    );
    assert_eq!(
        rig.market(depth(12, 12, "97 1", "")),
        "d 2.0@100.0; d FILLED; =d; account",
        "the next one all of it"
    );
}
