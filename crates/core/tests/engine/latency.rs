//! A simulated venue that is away: what arrives when, and what may happen in between.

use std::collections::BTreeMap;

use crate::common::{Rig, config, depth, id, order, snapshot, trade};
use veloz_core::engine::{Engine, EngineConfig, Venue};
use veloz_core::input::{AmendOrder, Answer, Input, Refusal, ReportBody, RiskChange, TradingState};
use veloz_core::latency::Latency;
use veloz_core::order::OrderStatus;
use veloz_core::risk::Reason;
use veloz_core::state::OrderRef;
use veloz_core::types::Money;

const TO: i64 = 50;
const FROM: i64 = 20;

/// A known book, 100 the last price; the next input comes at 2000.
fn rig() -> Rig {
    let mut rig = Rig::away(50, 20);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig.market(trade("BUY 1 @ 100"));
    rig.now = 1_999;
    rig
}

fn send(rig: &mut Rig, text: &str) {
    let sent = order(text);
    let pending = Ok(Answer::Pending(sent.client_order_id));
    assert_eq!(rig.input(&Input::NewOrder(sent)), pending);
}

/// An order of 2 at 90, accepted; the next input comes at 3000.
fn resting() -> Rig {
    let mut rig = rig();
    send(&mut rig, "a BUY 2 @ 90");
    assert_eq!(rig.until(2_999), ["2070: a ACCEPTED; =a"]);
    rig
}

fn known<'a>(rig: &'a Rig, name: &str) -> OrderRef<'a> {
    rig.engine.state().order(&id(name)).unwrap()
}

fn same_when_replayed(rig: &Rig) {
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert!(bytes(&rig.replayed()) == bytes(rig.engine.state()), "replayed it is another state");
}

#[test]
fn an_order_arrives_after_the_way_there_and_its_report_after_the_way_back() {
    let mut rig = rig();
    send(&mut rig, "a BUY 3 @ 102");
    assert_eq!(rig.shown(), "account", "what it locks is locked when it leaves");
    assert_eq!(known(&rig, "a").status, None, "nobody knows yet");
    assert_eq!(rig.engine.due_ns(), Some(2_000 + TO));
    assert!(rig.until(2_000 + TO - 1).is_empty());
    let offered = |rig: &Rig| rig.engine.book(&order("a BUY 1 @ 1").symbol).unwrap().top(9).1.len();
    assert_eq!(offered(&rig), 2);
    assert!(rig.until(2_000 + TO).is_empty(), "it is there, and that is not known here");
    assert_eq!(offered(&rig), 1, "the venue has traded");
    assert_eq!(rig.engine.due_ns(), Some(2_000 + TO + FROM));
    let told = "2070: a ACCEPTED; a 2.0@101.0; a 1.0@102.0; a FILLED; =a; account";
    assert_eq!(rig.until(9_000), [told]);
    assert_eq!(known(&rig, "a").last_ts_ns, 2_070);
    assert_eq!(rig.engine.due_ns(), None);
    same_when_replayed(&rig);
}

#[test]
fn it_meets_the_book_of_the_moment_when_it_arrives() {
    for (moves_at, told) in [
        (2_040, "2070: a ACCEPTED; =a"),
        (2_051, "2070: a ACCEPTED; a 2.0@101.0; a FILLED; =a; account"),
    ] {
        let mut rig = rig();
        send(&mut rig, "a BUY 2 @ 101");
        rig.now = moves_at - 1;
        rig.market(depth(11, 11, "", "101 0, 103 4"));
        assert_eq!(rig.until(3_000), [told], "the offer leaves at {moves_at}");
    }
    let mut rig = rig();
    send(&mut rig, "a BUY 2 MARKET");
    rig.market(depth(11, 11, "", "101 0, 102 0, 103 4"));
    let told = "2070: a ACCEPTED; a 2.0@103.0; a FILLED; =a; account";
    assert_eq!(rig.until(3_000), [told], "at any price is at that of the moment");
}

#[test]
fn what_depends_on_the_moment_of_arrival_is_judged_there() {
    let mut rig = rig();
    send(&mut rig, "post BUY 1 @ 100 POST");
    send(&mut rig, "stop SELL 1 STOP 95");
    rig.market(depth(11, 11, "", "100 1"));
    rig.market(trade("SELL 1 @ 94"));
    let told = [
        "2070: post REJECTED would_take; =post; account",
        "2071: stop REJECTED would_trigger; =stop; account",
    ];
    assert_eq!(rig.until(3_000), told);
    // The other way round: what would be refused now is not, when that is over on arrival.
    send(&mut rig, "late SELL 1 STOP 95");
    rig.market(trade("BUY 1 @ 100"));
    assert_eq!(rig.until(4_000), ["3071: late ACCEPTED; =late"]);
    let answer = rig.input(&Input::NewOrder(order("post BUY 1 @ 100 POST")));
    let Ok(Answer::Order(answer)) = answer else { panic!("{answer:?}") };
    assert_eq!((answer.status, &*answer.reason), (OrderStatus::Rejected, "would_take"));
}

#[test]
fn a_cancel_that_arrives_before_the_trade_wins() {
    let mut rig = resting();
    assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
    assert!(rig.step.is_empty() || rig.step.events.is_empty());
    rig.now = 3_000 + TO;
    rig.market(trade("SELL 5 @ 89"));
    assert_eq!(rig.until(4_000), ["3070: a CANCELLED; =a; account"]);
    assert!(known(&rig, "a").executed_qty.is_zero());
}

#[test]
fn a_cancel_that_arrives_after_the_trade_loses() {
    let mut rig = resting();
    assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
    rig.now = 3_000 + TO - 2;
    rig.market(trade("SELL 5 @ 89"));
    assert_eq!(rig.shown(), "market 89.0", "the fill is at the venue, and not known here");
    assert_eq!(rig.until(4_000), ["3069: a 2.0@90.0; a FILLED; =a; account"]);
    assert_eq!(rig.cancel("a"), Err(Refusal::OrderClosed(id("a"), OrderStatus::Filled)));
    same_when_replayed(&rig);
}

#[test]
fn a_part_may_be_filled_before_the_cancel() {
    let mut rig = resting();
    rig.cancel("a").unwrap();
    rig.market(trade("SELL 1 @ 89"));
    let told =
        ["3021: a 1.0@90.0; a PARTIALLY_FILLED; =a; account", "3070: a CANCELLED; =a; account"];
    assert_eq!(rig.until(4_000), told);
}

#[test]
fn nothing_overtakes() {
    let latency = Latency { to_ns: 10, from_ns: 10, jitter_ns: 1_000, seed: 3 };
    let mut rig = Rig::begin(Venue::Simulated, latency);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    for number in 0..50 {
        send(&mut rig, &format!("o{number} BUY 0.1 @ 90"));
        rig.cancel(&format!("o{number}")).unwrap();
    }
    rig.until(1_000_000);
    let orders: Vec<_> = rig.engine.state().orders().collect();
    assert!(orders.iter().all(|order| order.status == Some(OrderStatus::Cancelled)));
    let names: Vec<_> = orders.iter().map(|o| o.venue_order_id.unwrap().to_string()).collect();
    assert_eq!(names, (1..=50).map(|n| n.to_string()).collect::<Vec<_>>(), "in the order sent");
}

#[test]
fn of_a_pair_the_other_is_gone_at_the_moment_of_the_fill() {
    let mut rig = rig();
    let pending = rig.pair("a SELL 1 @ 110", "b SELL 1 STOP 90");
    assert_eq!(pending, Ok(Answer::Pending(id("a"))));
    let told = "2070: a ACCEPTED; =a; b ACCEPTED; =b";
    assert_eq!(rig.until(2_999), [told]);
    // The limit order is filled, and one nanosecond later the price is at the stop.
    rig.market(trade("BUY 5 @ 111"));
    rig.market(trade("SELL 5 @ 90"));
    assert_eq!(rig.until(4_000), ["3020: a 1.0@110.0; a FILLED; =a; b EXPIRED oco; =b; account"]);
    assert!(known(&rig, "b").executed_qty.is_zero());
    // The other way round.
    rig.now = 4_999;
    rig.market(trade("BUY 1 @ 100"));
    rig.pair("c SELL 1 @ 110", "d SELL 1 STOP 95").unwrap();
    rig.until(5_999);
    rig.market(trade("SELL 5 @ 94"));
    rig.market(trade("BUY 5 @ 111"));
    let told = "6020: c EXPIRED oco; =c; d 1.0@99.0; d FILLED; =d; account";
    assert_eq!(rig.until(7_000), [told]);
    assert!(known(&rig, "d").triggered);
    // Taken back together, and refused together.
    rig.now = 7_999;
    rig.market(trade("BUY 1 @ 100"));
    rig.pair("e SELL 1 @ 110", "f SELL 1 STOP 95").unwrap();
    rig.until(8_500);
    rig.cancel("f").unwrap();
    assert_eq!(rig.until(8_999), ["8571: f CANCELLED; =f; e CANCELLED; =e; account"]);
    rig.pair("g SELL 1 @ 110", "h SELL 1 STOP 95").unwrap();
    rig.market(trade("SELL 1 @ 94"));
    let told = "9070: g REJECTED would_trigger; =g; h REJECTED would_trigger; =h; account";
    assert_eq!(rig.until(10_000), [told]);
    same_when_replayed(&rig);
}

#[test]
fn an_amendment_changes_what_is_left_when_it_arrives() {
    let amend = |rig: &mut Rig, qty: &str| {
        rig.input(&Input::Amend(AmendOrder {
            client_order_id: id("a"),
            qty: Some(qty.parse().unwrap()),
            price: None,
        }))
    };
    let mut rig = resting();
    assert_eq!(amend(&mut rig, "1"), Ok(Answer::Pending(id("a"))));
    assert_eq!(known(&rig, "a").qty, "2".parse().unwrap(), "it is as it was until it is known");
    assert_eq!(rig.until(3_999), ["3070: =a; account"]);
    assert_eq!(known(&rig, "a").qty, "1".parse().unwrap());
    // The trade comes before an amendment to less than what it has filled.
    amend(&mut rig, "0.5").unwrap();
    rig.market(trade("SELL 0.7 @ 89"));
    let told = ["4021: a 0.7@90.0; a PARTIALLY_FILLED; =a; account"];
    assert_eq!(rig.until(4_069), told);
    rig.until(4_070);
    assert_eq!(rig.step.amended.unwrap().refused, Some(Reason::AmendQty));
    assert_eq!(known(&rig, "a").qty, "1".parse().unwrap(), "it stands as it did");
    amend(&mut rig, "1").unwrap();
    rig.until(5_000);
    assert_eq!(rig.step.amended.unwrap().refused, None, "what changes nothing is answered too");
    same_when_replayed(&rig);
}

/// 100 BTC are held, and `a` and `b` would each bring 0.5 at 90; the next input comes at 3000.
fn limited(position: &str, notional: &str) -> Rig {
    let mut rig = rig();
    send(&mut rig, "a BUY 0.5 @ 90");
    send(&mut rig, "b BUY 0.5 @ 90");
    rig.until(2_998);
    let most = BTreeMap::from([("BTC".parse().unwrap(), position.parse().ok())]);
    let change = RiskChange {
        max_position: Some(Some(most)),
        max_symbol_notional: Some(notional.parse().ok()),
        ..RiskChange::default()
    };
    rig.input(&Input::Risk(change)).unwrap();
    rig
}

/// What an amendment comes to that is sent: `""` where it leaves, else why not.
fn amended(rig: &mut Rig, name: &str, qty: &str, price: &str) -> &'static str {
    let (qty, price) = (qty.parse().ok(), price.parse().ok());
    match rig.input(&Input::Amend(AmendOrder { client_order_id: id(name), qty, price })) {
        Ok(Answer::Pending(_)) => "",
        Err(Refusal::Rejected(_, reason)) => reason.as_str(),
        other => panic!("{other:?}"),
    }
}

/// The position and what the open orders are worth, as the limits count them; after a restart they are the same.
fn used(rig: &mut Rig) -> (Money, Money) {
    let used = rig.engine.risk_use();
    rig.restart();
    assert_eq!(rig.engine.risk_use(), used, "replayed");
    rig.restart_from_archive();
    assert_eq!(rig.engine.risk_use(), used, "from a snapshot");
    rig.now -= 1;
    rig.market(snapshot(11, "99 2, 98 5", "101 2, 102 5"));
    let one = |sums: Vec<Money>| <[Money; 1]>::try_from(sums).unwrap()[0];
    let position = one(used.position.into_values().collect());
    let notional = one(used.symbol_notional.into_values().collect());
    (position, notional)
}

fn sums(position: &str, notional: &str) -> (Money, Money) {
    (position.parse().unwrap(), notional.parse().unwrap())
}

#[test]
fn an_amendment_counts_for_the_limits_from_when_it_leaves() {
    // On its way there, at the venue and on its way back, and known.
    for at in [3_000, 3_055, 3_080] {
        let mut rig = limited("102", "1000");
        assert_eq!(amended(&mut rig, "a", "1.5", ""), "");
        rig.until(at);
        assert_eq!(used(&mut rig), sums("102", "180"), "{at}");
        assert_eq!(amended(&mut rig, "b", "0.6", ""), "max_position", "{at}");
        assert_eq!(rig.order("c BUY 0.1 @ 90"), "c REJECTED max_position; =c", "{at}");
        assert_eq!(known(&rig, "a").qty == "1.5".parse().unwrap(), at == 3_080, "{at}");
    }
    // The limit is part of what orders are worth: of sales too.
    let mut rig = limited("200", "300");
    send(&mut rig, "s SELL 1 @ 110");
    rig.until(3_999);
    assert_eq!(amended(&mut rig, "s", "", "210"), "");
    assert_eq!(used(&mut rig), sums("101", "300"));
    assert_eq!(amended(&mut rig, "a", "", "90.01"), "max_symbol_notional");
    assert!(rig.order("c SELL 1 @ 110").contains("c REJECTED max_symbol_notional"));
    rig.until(4_999);
    assert_eq!(used(&mut rig), sums("101", "300"));
}

#[test]
fn an_order_counts_once_however_often_it_is_amended() {
    let mut rig = limited("102.5", "1000");
    assert_eq!(amended(&mut rig, "a", "1.5", ""), "");
    assert_eq!(amended(&mut rig, "a", "2.1", ""), "max_position");
    assert_eq!(amended(&mut rig, "a", "2", ""), "", "in the place of the first");
    assert_eq!(amended(&mut rig, "a", "0.6", "80"), "");
    assert_eq!(
        used(&mut rig),
        sums("102.5", "225"),
        "until the last is known, what it may be before"
    );
    assert_eq!(amended(&mut rig, "b", "0.6", ""), "max_position");
    rig.until(3_999);
    assert_eq!(used(&mut rig), sums("101.1", "93"));
    // What is not named is as it may be by then.
    let mut rig = limited("200", "300");
    assert_eq!(amended(&mut rig, "a", "2", ""), "");
    assert_eq!(amended(&mut rig, "a", "", "128"), "max_symbol_notional");
    assert_eq!(amended(&mut rig, "a", "", "101"), "");
    assert_eq!(used(&mut rig), sums("102.5", "247"));
    rig.until(3_999);
    assert_eq!(known(&rig, "a").executed_qty, "2".parse().unwrap());
}

#[test]
fn an_amendment_that_the_venue_refuses_or_comes_too_late_counts_no_more() {
    let mut rig = limited("2000", "200000");
    // The account can pay one of them: that the venue knows.
    assert_eq!(amended(&mut rig, "a", "600", ""), "");
    assert_eq!(amended(&mut rig, "b", "600", ""), "");
    assert_eq!(used(&mut rig), sums("1300", "108000"));
    rig.until(3_999);
    let outcome = rig.step.amended.unwrap();
    assert_eq!(outcome.client_order_id, id("b"));
    assert_eq!(outcome.refused, Some(Reason::InsufficientBalance));
    assert_eq!(used(&mut rig), sums("700.5", "54045"));
    let mut rig = limited("102.5", "1000");
    rig.cancel("a").unwrap();
    assert_eq!(amended(&mut rig, "a", "2", ""), "");
    assert_eq!(used(&mut rig), sums("102.5", "225"), "the cancel may come too late");
    rig.until(3_999);
    assert_eq!(known(&rig, "a").status, Some(OrderStatus::Cancelled));
    assert_eq!(used(&mut rig), sums("100.5", "45"));
    assert_eq!(amended(&mut rig, "b", "0.5", ""), "");
    rig.until(4_999);
    assert_eq!(used(&mut rig), sums("100.5", "45"), "what changes nothing leaves nothing");
}

/// Another quantity leaves for the venue: the number of its mail.
fn amend_to(rig: &mut Rig, qty: &str) -> u64 {
    assert_eq!(amended(rig, "a", qty, ""), "");
    rig.engine.state().last_mail()
}

/// What became of amendments, as it arrives here: their numbers, and the quantity from then on.
fn outcomes(rig: &mut Rig, until: i64) -> Vec<(u64, String)> {
    let mut heard = Vec::new();
    while let Some(due) = rig.engine.due_ns().filter(|due| *due <= until) {
        rig.until(due);
        let qty = known(rig, "a").qty.to_string();
        heard.extend(rig.step.amended.map(|outcome| (outcome.mail, qty)));
    }
    heard
}

fn restart_from(rig: &mut Rig, snapshot: &str) {
    let latency = Latency { to_ns: 50, from_ns: 20, ..Latency::default() };
    let config = EngineConfig { latency, ..config(Venue::Simulated) };
    rig.engine = Engine::restore(config, serde_json::from_str(snapshot).unwrap());
}

#[test]
fn what_became_of_an_amendment_has_its_number_after_a_restart_too() {
    // When both are on their way, when one and when both are there, and when one is known here.
    for at in [3_001, 3_050, 3_051, 3_070] {
        let mut rig = resting();
        assert_eq!((amend_to(&mut rig, "1"), amend_to(&mut rig, "3")), (2, 3), "a was the first");
        let mut heard = outcomes(&mut rig, at);
        let snapshot = serde_json::to_string(rig.engine.state()).unwrap();
        restart_from(&mut rig, &snapshot);
        heard.extend(outcomes(&mut rig, 4_000));
        assert_eq!(heard, [(2, "1.0".into()), (3, "3.0".into())], "a restart at {at}");
        rig.now = 4_000;
        let third = amend_to(&mut rig, "3");
        assert_eq!((third, outcomes(&mut rig, 5_000)), (4, vec![(4, "3.0".into())]));
        same_when_replayed(&rig);
    }
}

#[test]
fn a_snapshot_from_before_amendments_had_numbers_is_read() {
    let mut rig = resting();
    amend_to(&mut rig, "1");
    rig.until(3_050);
    let snapshot = serde_json::to_string(rig.engine.state()).unwrap();
    let before = snapshot.replace(",\"mail\":2", "").replace(",\"arrived\":2", "");
    assert_eq!(before.len(), snapshot.len() - ",\"mail\":2,\"arrived\":2".len());
    restart_from(&mut rig, &before);
    let second = amend_to(&mut rig, "3");
    assert_eq!(outcomes(&mut rig, 4_000), [(second, "3.0".into())], "the first is nobody's");
}

#[test]
fn a_quote_amount_is_worked_out_where_it_is_spent() {
    let mut rig = rig();
    send(&mut rig, "a BUY 202 QUOTE");
    rig.market(depth(11, 11, "", "101 0, 102 0, 103 4"));
    let told = "2070: a ACCEPTED; a 1.96116@103.0; a FILLED; =a; account";
    assert_eq!(rig.until(3_000), [told]);
    let order = known(&rig, "a");
    assert!(order.cum_quote <= "202".parse().unwrap());
    assert_eq!((order.qty, order.locked), (order.executed_qty, "0".parse().unwrap()));
    same_when_replayed(&rig);
}

#[test]
fn what_costs_more_than_it_locked_is_paid_and_what_cannot_be_paid_is_refused() {
    let mut rig = rig();
    rig.market(depth(11, 11, "", "101 900"));
    rig.now = 1_999;
    // They lock 90,900 and 9,000 of the 100,000; the first costs 98,960 when it is there.
    send(&mut rig, "a BUY 900 MARKET");
    send(&mut rig, "b BUY 90 @ 100");
    rig.market(depth(12, 12, "", "101 0, 110 950"));
    let told = rig.until(3_000);
    assert!(told[0].contains("a 895.0@110.0; a FILLED"), "{told:?}");
    assert_eq!(told[1], "2071: b REJECTED insufficient_balance; =b; account");
    let usdt = rig.engine.state().account().balances[0];
    assert_eq!((usdt.free, usdt.locked), ("1040".parse().unwrap(), "0".parse().unwrap()));
}

#[test]
fn an_order_stands_at_the_venue_until_its_time() {
    let mut rig = rig();
    send(&mut rig, "a BUY 1 @ 90 UNTIL 2100");
    send(&mut rig, "late BUY 1 @ 90 UNTIL 2030");
    rig.market(trade("BUY 1 @ 100"));
    assert_eq!(
        rig.until(2_099),
        ["2070: a ACCEPTED; =a", "2071: late REJECTED gtd; =late; account"]
    );
    rig.now = 2_100;
    rig.market(trade("SELL 5 @ 89"));
    assert_eq!(rig.until(3_000), ["2120: a EXPIRED gtd; =a; account"]);
}

#[test]
fn a_halt_reaches_the_stops_of_the_venue() {
    let set = |rig: &mut Rig, state| {
        let change = RiskChange { state: Some(state), ..RiskChange::default() };
        rig.input(&Input::Risk(change)).unwrap();
    };
    let mut rig = rig();
    send(&mut rig, "a SELL 1 STOP 95");
    rig.until(2_999);
    set(&mut rig, TradingState::Halted);
    assert_eq!(rig.order("b BUY 1 @ 90"), "b REJECTED halted; =b");
    rig.now = 3_060;
    rig.market(trade("SELL 1 @ 94"));
    assert!(rig.until(3_999).is_empty());
    set(&mut rig, TradingState::Active);
    assert_eq!(rig.until(5_000), ["4070: a 1.0@99.0; a FILLED; =a; account"]);
    same_when_replayed(&rig);
}

#[test]
fn what_is_on_its_way_at_the_end_of_a_run_arrives_in_the_next() {
    // A restart at each time from the order to the last report.
    for at in 2_000..2_080 {
        let mut rig = rig();
        send(&mut rig, "a BUY 2 @ 101");
        send(&mut rig, "b BUY 2 @ 90");
        rig.cancel("b").unwrap();
        let mut told = rig.until(at.max(2_002));
        rig.restart();
        rig.now -= 1;
        rig.market(snapshot(11, "99 2, 98 5", "101 2, 102 5"));
        told.extend(rig.until(3_000));
        let filled = "2070: a ACCEPTED; a 2.0@101.0; a FILLED; =a; account";
        let others = ["2071: b ACCEPTED; =b", "2072: b CANCELLED; =b; account"];
        assert_eq!(told[0], filled, "a restart at {at}");
        assert_eq!(told[told.len() - 2..], others, "a restart at {at}");
        same_when_replayed(&rig);
    }
}

#[test]
fn orders_of_a_log_without_latency_go_on_with_it() {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig.market(trade("BUY 1 @ 100"));
    rig.order("gone BUY 1 MARKET");
    rig.order("a BUY 2 @ 90");
    rig.order("b SELL 1 STOP 95");
    rig.restart_at(Latency { to_ns: 50, from_ns: 20, ..Latency::default() });
    rig.now = 1_999;
    rig.market(trade("SELL 1 @ 89"));
    assert_eq!(rig.shown(), "market 89.0");
    let told = rig.until(2_999);
    let a = "2020: a 1.0@90.0; a PARTIALLY_FILLED; =a";
    assert!(told[0].starts_with(a) && told[0].contains("b EXPIRED self_trade"), "{told:?}");
    rig.cancel("a").unwrap();
    assert_eq!(rig.until(3_999), ["3070: a CANCELLED; =a; account"]);
    // And without it again: what was away stays so, at no distance.
    rig.restart_at(Latency::default());
    rig.market(snapshot(20, "99 2, 98 5", "101 2, 102 5"));
    send(&mut rig, "c BUY 1 @ 101");
    let told = format!("{}: c ACCEPTED; c 1.0@101.0; c FILLED; =c; account", rig.now);
    assert_eq!(rig.until(rig.now), [told]);
    same_when_replayed(&rig);
}

#[test]
fn an_order_that_is_not_answered_in_time_is_in_doubt_until_its_report_is_here() {
    let mut rig = rig();
    send(&mut rig, "a BUY 2 @ 90");
    assert_eq!(rig.report("a", ReportBody::Unanswered), "=a");
    assert!(known(&rig, "a").is_in_doubt());
    assert_eq!(rig.until(2_999), ["2070: a ACCEPTED; =a"]);
    assert!(!known(&rig, "a").is_in_doubt());
    let qty = "1".parse().ok();
    let amend = AmendOrder { client_order_id: id("a"), qty, price: None };
    rig.input(&Input::Amend(amend)).unwrap();
    rig.report("a", ReportBody::Unanswered);
    assert!(known(&rig, "a").is_in_doubt());
    assert_eq!(rig.until(3_500), ["3070: =a; account"]);
    assert!(!known(&rig, "a").is_in_doubt(), "an amendment that is known ends it too");
    rig.cancel("a").unwrap();
    rig.report("a", ReportBody::Unanswered);
    assert_eq!(rig.until(3_999), ["3571: a CANCELLED; =a; account"]);
    assert_eq!(known(&rig, "a").reason, "");
}

#[test]
fn a_venue_that_is_here_has_no_ways() {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig.order("a BUY 1 MARKET");
    let _: &Engine = &rig.engine;
    assert_eq!(rig.engine.due_ns(), None);
    let state = serde_json::to_string(rig.engine.state()).unwrap();
    assert!(!state.contains("\"venue\":"), "{state}");
}
