//! The races of a gateway with a venue that answers when it likes, one test each: the list is in
//! `docs/order-lifecycle.md`.

use crate::common::{Rig, id, order, price, qty, trade};
use veloz_core::engine::{Venue, VenueCommand};
use veloz_core::event::Event;
use veloz_core::input::{Answer, Input, Refusal, ReportBody, VenueOrder};
use veloz_core::order::OrderStatus;
use veloz_core::state::Fact;
use veloz_core::types::{Money, Price, Side, Symbol};

use ReportBody::{Accepted, Cancelled, Filled, NotFound, Unanswered};

const MINUTE_NS: i64 = 60_000_000_000;

/// A venue that was told of an order of 3 at 99.
fn rig() -> Rig {
    let mut rig = Rig::new(Venue::External);
    let answer = rig.input(&Input::NewOrder(order("a BUY 3 @ 99")));
    assert_eq!(answer, Ok(Answer::Pending(id("a"))));
    assert!(rig.step.events.iter().all(|event| matches!(event, Event::Account(_))));
    assert_eq!(rig.step.commands, vec![VenueCommand::Place(Box::new(order("a BUY 3 @ 99")))]);
    rig
}

fn accepted() -> Rig {
    let mut rig = rig();
    assert_eq!(rig.report("a", Accepted), "a ACCEPTED; =a");
    rig
}

fn at(trade_id: u64, amount: &str, limit: &str) -> ReportBody {
    let (qty, price) = (qty(amount), price(limit));
    ReportBody::Fill {
        trade_id: Some(trade_id),
        qty,
        price,
        symbol: None,
        side: None,
        fee: None,
        liquidity: None,
    }
}

fn fill(trade_id: u64, amount: &str) -> ReportBody {
    at(trade_id, amount, "99")
}

fn rejected() -> ReportBody {
    ReportBody::Rejected { reason: "no".into() }
}

fn expired() -> ReportBody {
    ReportBody::Expired { reason: "gone".into() }
}

/// How the venue says that `a` stands: `("CANCELLED", "1", "98")`.
fn state(status: &str, executed: &str, cum_quote: &str) -> ReportBody {
    ReportBody::State(Box::new(VenueOrder {
        status: OrderStatus::parse(status).unwrap(),
        executed_qty: qty(executed),
        cum_quote: cum_quote.parse().unwrap(),
        reason: "".into(),
        request: Some(order("a BUY 3 @ 99")),
    }))
}

/// Each report shows what it should, the order ends as it should, and the journal gives the same.
#[track_caller]
fn check(mut rig: Rig, reports: &[(ReportBody, &str)], status: &str, executed: &str) -> Rig {
    for (body, shown) in reports {
        assert_eq!(rig.report("a", body.clone()), *shown, "{body:?}");
    }
    let order = rig.engine.state().order(&id("a")).unwrap();
    let status = OrderStatus::parse(status);
    assert_eq!((order.status, order.executed_qty), (status, qty(executed)));
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert_eq!(bytes(&rig.replayed()), bytes(rig.engine.state()));
    rig
}

fn asks(rig: &Rig) -> bool {
    rig.step.commands == [VenueCommand::Query { client_order_id: id("a") }]
}

fn detail(rig: &Rig) -> String {
    match rig.step.events.first() {
        Some(Event::Error(error)) => error.detail.as_deref().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fill_after_a_cancel_counts() {
    let reports = [
        (fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account"),
        (Cancelled, "a CANCELLED; =a; account"),
        (fill(2, "1"), "a 1.0@99.0; a CANCELLED; =a; account"),
    ];
    let rig = check(accepted(), &reports, "CANCELLED", "2");
    check(rig, &[(fill(3, "1"), "a 1.0@99.0; a FILLED; =a; account")], "FILLED", "3");
}

#[test]
fn a_refused_cancel_changes_nothing() {
    let mut rig = accepted();
    assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
    // The venue says nothing of the cancel, or that the order stands as it did.
    let unknown = (Unanswered, "=a");
    let rig = check(rig, &[(state("ACCEPTED", "0", "0"), ""), unknown], "ACCEPTED", "0");
    let rig = check(rig, &[(state("ACCEPTED", "0", "0"), "=a")], "ACCEPTED", "0");
    assert_eq!(rig.engine.state().order(&id("a")).unwrap().reason, "");
}

#[test]
fn a_cancel_of_a_finished_or_unknown_order_changes_nothing() {
    let mut rig = check(accepted(), &[(expired(), "a EXPIRED gone; =a; account")], "EXPIRED", "0");
    assert_eq!(rig.cancel("a"), Err(Refusal::OrderClosed(id("a"), OrderStatus::Expired)));
    assert_eq!(rig.cancel("b"), Err(Refusal::NotFound(id("b"))));
    assert!(rig.step.commands.is_empty());
    let reports = [(Cancelled, ""), (expired(), ""), (Accepted, "")];
    check(rig, &reports, "EXPIRED", "0");
}

#[test]
fn the_same_trade_id_is_one_execution() {
    let first = (fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    check(accepted(), &[first, (fill(1, "1"), ""), (Accepted, "")], "PARTIALLY_FILLED", "1");
}

#[test]
fn the_same_trade_id_with_other_data_is_told_and_not_counted() {
    let first = (fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    let other = (fill(1, "2"), "error conflicting_execution");
    let rig = check(accepted(), &[first, other], "PARTIALLY_FILLED", "1");
    assert_eq!(detail(&rig), "a: execution 1 of 2.0 at 99.0 was told before as 1.0 at 99.0");
    let other = (at(1, "1", "98"), "error conflicting_execution");
    check(rig, &[other], "PARTIALLY_FILLED", "1");
}

#[test]
fn more_than_was_ordered_is_told_and_not_counted() {
    let reports = [
        (fill(1, "4"), "error unexpected_execution"),
        (fill(2, "3"), "a 3.0@99.0; a FILLED; =a; account"),
        (fill(3, "1"), "error unexpected_execution"),
    ];
    let rig = check(accepted(), &reports, "FILLED", "3");
    assert_eq!(detail(&rig), "a: execution 3 of 1.0 at 99.0 cannot be");
}

#[test]
fn a_fill_after_the_order_closed_counts() {
    let reports = [
        (expired(), "a EXPIRED gone; =a; account"),
        (fill(1, "1"), "a 1.0@99.0; a EXPIRED gone; =a; account"),
        (fill(2, "2"), "a 2.0@99.0; a FILLED; =a; account"),
    ];
    check(accepted(), &reports, "FILLED", "3");
}

#[test]
fn a_fill_of_a_refused_order_is_told() {
    let reports = [
        (rejected(), "a REJECTED no; =a; account"),
        (rejected(), ""),
        (fill(1, "1"), "error unexpected_execution"),
    ];
    let rig = check(rig(), &reports, "REJECTED", "0");
    assert!(asks(&rig), "{:?}", rig.step.commands);
    let mut rig = check(rig, &[(Accepted, "error unexpected_report")], "REJECTED", "0");
    assert!(asks(&rig), "{:?}", rig.step.commands);
    // It stands there, though its owner was told otherwise: it is taken back.
    assert_eq!(rig.report("a", state("ACCEPTED", "0", "0")), "error unexpected_report");
    assert!(matches!(rig.step.commands[..], [_, VenueCommand::Cancel { .. }]));
}

#[test]
fn a_fill_of_another_instrument_or_side_is_told_and_not_counted() {
    let of = |symbol: &str, side| match fill(1, "1") {
        ReportBody::Fill { trade_id, qty, price, fee, liquidity, .. } => {
            let (symbol, side) = (Symbol::parse(symbol).ok().map(Box::new), Some(side));
            ReportBody::Fill { trade_id, qty, price, symbol, side, fee, liquidity }
        }
        other => other,
    };
    let other = (of("ETHUSDT", Side::Buy), "error unexpected_execution");
    let rig = check(accepted(), &[other], "ACCEPTED", "0");
    assert!(asks(&rig), "{:?}", rig.step.commands);
    assert_eq!(detail(&rig), "a: BUY of 1.0 ETHUSDT at 99.0 is none of it");
    let other = (of("BTCUSDT", Side::Sell), "error unexpected_execution");
    let own = (of("BTCUSDT", Side::Buy), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    check(rig, &[other, own], "PARTIALLY_FILLED", "1");
}

#[test]
fn a_fill_beyond_the_limit_counts_and_is_told() {
    let dear = "error execution_beyond_limit; a 1.0@99.5; a PARTIALLY_FILLED; =a; account";
    let cheap = "a 1.0@98.0; a PARTIALLY_FILLED; =a; account";
    let reports = [(at(1, "1", "99.5"), dear), (at(2, "1", "98"), cheap)];
    check(accepted(), &reports, "PARTIALLY_FILLED", "2");
}

#[test]
fn a_refusal_after_the_order_was_accepted_is_told_and_asked_about() {
    let rig = check(accepted(), &[(rejected(), "error unexpected_report")], "ACCEPTED", "0");
    assert_eq!(detail(&rig), "a: the venue says REJECTED, it was ACCEPTED");
    assert!(asks(&rig));
    check(rig, &[(state("REJECTED", "0", "0"), "a EXPIRED; =a; account")], "EXPIRED", "0");
}

#[test]
fn filled_before_its_fills_waits_for_them() {
    let rig = check(accepted(), &[(Filled, "")], "ACCEPTED", "0");
    assert!(asks(&rig));
    let fills = [
        (fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account"),
        (fill(2, "2"), "a 2.0@99.0; a FILLED; =a; account"),
        (Filled, ""),
    ];
    let rig = check(rig, &fills, "FILLED", "3");
    assert!(!asks(&rig));
    // Or the answer comes first.
    let answer = (state("FILLED", "3", "297"), "a 3.0@99.0; a FILLED; =a; account");
    let rig = check(accepted(), &[(Filled, ""), answer], "FILLED", "3");
    check(rig, &[(fill(1, "1"), ""), (fill(2, "2"), "")], "FILLED", "3");
}

#[test]
fn a_fill_before_accepted_shows_that_it_is() {
    let first = (fill(1, "1"), "a ACCEPTED; a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    check(rig(), &[first, (Accepted, "")], "PARTIALLY_FILLED", "1");
    check(rig(), &[(Cancelled, "a ACCEPTED; a CANCELLED; =a; account")], "CANCELLED", "0");
}

#[test]
fn an_unanswered_order_is_unknown_and_not_refused() {
    let mut rig = rig();
    assert_eq!(rig.report("a", Unanswered), "=a");
    let order = rig.engine.state().order(&id("a")).unwrap().clone();
    assert_eq!((order.status, order.reason.as_ref()), (None, "unknown_outcome"));
    assert!(order.is_open() && order.is_in_doubt() && !order.locked.is_zero());
    // Sent again it is asked about, and not sent twice.
    let again = rig.input(&Input::NewOrder(crate::common::order("a BUY 3 @ 99")));
    assert_eq!((again, rig.step.commands.len()), (Ok(Answer::Pending(id("a"))), 0));
    check(rig, &[(Unanswered, "")], "", "0");
}

#[test]
fn a_late_answer_ends_the_doubt() {
    for (answer, status) in [(Accepted, "ACCEPTED"), (state("ACCEPTED", "0", "0"), "ACCEPTED")] {
        let rig = check(rig(), &[(Unanswered, "=a"), (answer, "a ACCEPTED; =a")], status, "0");
        assert!(!rig.engine.state().order(&id("a")).unwrap().is_in_doubt());
    }
    let refused = [(Unanswered, "=a"), (rejected(), "a REJECTED no; =a; account")];
    check(rig(), &refused, "REJECTED", "0");
    let first = (fill(1, "1"), "a ACCEPTED; a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    let mut rig = check(rig(), &[(Unanswered, "=a"), first], "PARTIALLY_FILLED", "1");
    assert_eq!(rig.report("a", Unanswered), "=a");
    let next = (fill(2, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    let rig = check(rig, &[next], "PARTIALLY_FILLED", "2");
    assert!(!rig.engine.state().order(&id("a")).unwrap().is_in_doubt());
}

#[test]
fn not_found_proves_nothing_while_the_order_is_young() {
    let mut rig = check(rig(), &[(NotFound, ""), (Unanswered, "=a"), (NotFound, "")], "", "0");
    rig.now += MINUTE_NS;
    let rig = check(rig, &[(NotFound, "a REJECTED not_taken; =a; account")], "REJECTED", "0");
    check(rig, &[(NotFound, "")], "REJECTED", "0");
}

#[test]
fn what_the_venue_had_and_lost_has_expired() {
    let first = (fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account");
    let mut rig = check(accepted(), &[first, (NotFound, "")], "PARTIALLY_FILLED", "1");
    rig.now += MINUTE_NS;
    check(rig, &[(NotFound, "a EXPIRED lost_by_venue; =a; account")], "EXPIRED", "1");
}

#[test]
fn a_pending_cancel_stays_pending_until_something_is_known() {
    let mut rig = accepted();
    assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
    assert!(matches!(rig.step.commands[..], [VenueCommand::Cancel { .. }]));
    assert!(rig.step.events.is_empty());
    let reports = [
        (Unanswered, "=a"),
        (NotFound, ""),
        (fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account"),
    ];
    let mut rig = check(rig, &reports, "PARTIALLY_FILLED", "1");
    assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))), "asked for again");
    let mut rig = check(rig, &[(Cancelled, "a CANCELLED; =a; account")], "CANCELLED", "1");
    assert_eq!(rig.cancel("a"), Ok(Answer::Cancelled(id("a"))));
}

/// What the venue may not have heard is known from the log alone, until it says what became of it.
#[test]
fn a_cancel_is_wanted_until_something_is_known() {
    let is_wanted = |rig: &Rig| {
        let commands: Vec<_> = rig.engine.unanswered_cancels().collect();
        match &commands[..] {
            [] => false,
            [VenueCommand::Cancel { client_order_id, .. }] => *client_order_id == id("a"),
            other => panic!("{other:?}"),
        }
    };
    let wanted = || {
        let mut rig = accepted();
        assert!(!is_wanted(&rig));
        assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
        assert_eq!(rig.step.facts, [Fact::Cancel { client_order_id: id("a"), wanted: true }]);
        assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
        assert_eq!(rig.step.facts, [], "stored once");
        let rig = check(rig, &[(Unanswered, "=a"), (NotFound, "")], "ACCEPTED", "0");
        assert!(is_wanted(&rig));
        rig
    };
    assert!(!is_wanted(&check(
        wanted(),
        &[(Cancelled, "a CANCELLED; =a; account")],
        "CANCELLED",
        "0"
    )));
    // The venue did not do it: so it stays, and is not taken back by a later start.
    let open = [(state("ACCEPTED", "0", "0"), "=a")];
    assert!(!is_wanted(&check(wanted(), &open, "ACCEPTED", "0")));
    let mut rig = wanted();
    rig.input(&Input::CancelAll { symbol: None }).unwrap();
    assert!(is_wanted(&rig));
    let part = "a 1.0@99.0; a PARTIALLY_FILLED; =a; account";
    assert!(is_wanted(&check(rig, &[(fill(1, "1"), part)], "PARTIALLY_FILLED", "1")));
}

#[test]
fn an_order_placed_elsewhere_is_adopted_and_marked() {
    let mut rig = Rig::new(Venue::External);
    for unheard in [Accepted, fill(7, "1")] {
        assert_eq!(rig.report("a", unheard), "");
        assert!(asks(&rig), "who is it?");
    }
    let adopted = (
        state("PARTIALLY_FILLED", "1", "99"),
        "a ACCEPTED; a 1.0@99.0; a PARTIALLY_FILLED; =a; account",
    );
    let mut rig = check(rig, &[adopted, (fill(7, "1"), "")], "PARTIALLY_FILLED", "1");
    let order = rig.engine.state().order(&id("a")).unwrap();
    assert!(order.adopted && order.external && order.state_event().adopted);
    assert_eq!(order.locked, "198".parse::<Money>().unwrap());
    assert_eq!(rig.cancel("a"), Ok(Answer::Pending(id("a"))));
    // One that has ended is none of ours; one that the venue does not explain is told.
    let mut rig = Rig::new(Venue::External);
    assert_eq!(rig.report("a", state("FILLED", "3", "297")), "");
    assert!(rig.engine.state().order(&id("a")).is_none());
    assert_eq!(rig.report("a", NotFound), "error unknown_order");
}

#[test]
fn made_up_trade_ids_are_the_same_in_every_run() {
    let made_up = || {
        let mut rig = accepted();
        rig.restart_with(Venue::External);
        rig.report("a", state("PARTIALLY_FILLED", "2", "197.00000001"));
        let fills = rig.step.events.iter().filter_map(|event| match event {
            Event::Fill(fill) => Some((fill.trade_id, fill.qty, fill.price, fill.reconciled)),
            _ => None,
        });
        let fills: Vec<_> = fills.collect();
        assert_eq!(rig.report("a", state("PARTIALLY_FILLED", "2", "197.00000001")), "");
        rig.restart_with(Venue::External);
        assert_eq!(rig.report("a", state("PARTIALLY_FILLED", "2", "197.00000001")), "");
        let order = rig.engine.state().order(&id("a")).unwrap();
        assert_eq!(order.cum_quote, "197.00000001".parse().unwrap(), "exact");
        fills
    };
    let fills = made_up();
    assert_eq!(fills, made_up());
    let (low, high) = ("98.5".parse::<Price>().unwrap(), "98.50000001".parse().unwrap());
    assert_eq!(
        fills.iter().map(|fill| (fill.1, fill.2)).collect::<Vec<_>>(),
        [(qty("1"), low), (qty("1"), high)]
    );
    assert!(fills.iter().all(|fill| fill.3 && fill.0.is_some_and(|id| id < 1 << 53)));
    assert_ne!(fills[0].0, fills[1].0);
}

#[test]
fn a_venue_that_is_gone_does_not_end_the_tracking() {
    let mut rig = accepted();
    let fault = Input::Fault { code: "engine_exited".into(), detail: "".into() };
    rig.input(&fault).unwrap();
    rig.restart_with(Venue::External);
    assert_eq!(rig.engine.state().open_order_count(), 1);
    check(rig, &[(fill(1, "3"), "a 3.0@99.0; a FILLED; =a; account")], "FILLED", "3");
}

#[test]
fn an_order_at_any_price_can_expire_with_fills() {
    let mut rig = Rig::new(Venue::External);
    rig.market(trade("BUY 1 @ 99"));
    rig.input(&Input::NewOrder(order("a BUY 3 MARKET"))).unwrap();
    let reports = [
        (fill(1, "1"), "a ACCEPTED; a 1.0@99.0; a PARTIALLY_FILLED; =a; account"),
        (expired(), "a EXPIRED gone; =a; account"),
    ];
    check(rig, &reports, "EXPIRED", "1");
}

#[test]
fn a_look_at_the_venue_brings_back_what_was_lost() {
    let lost = (
        state("CANCELLED", "2", "197"),
        "a 2.0@98.5; a PARTIALLY_FILLED; a CANCELLED; =a; account",
    );
    let shown = "a 2.0@98.5; a CANCELLED; =a; account";
    let rig = check(accepted(), &[(lost.0, shown)], "CANCELLED", "2");
    // What is told one by one later is part of that.
    let later = [(at(1, "1", "98"), ""), (at(2, "1", "99"), "")];
    check(rig, &later, "CANCELLED", "2");
}

#[test]
fn what_a_look_told_too_early_changes_nothing() {
    let reports = [
        (fill(1, "2"), "a 2.0@99.0; a PARTIALLY_FILLED; =a; account"),
        (state("PARTIALLY_FILLED", "1", "99"), ""),
        (Cancelled, "a CANCELLED; =a; account"),
        (state("PARTIALLY_FILLED", "2", "198"), ""),
    ];
    check(accepted(), &reports, "CANCELLED", "2");
}

#[test]
fn an_answer_that_an_execution_overtook_is_asked_for_again() {
    let first = (at(2, "1", "80"), "a 1.0@80.0; a PARTIALLY_FILLED; =a; account");
    let old = (state("PARTIALLY_FILLED", "2", "80"), "");
    let rig = check(accepted(), &[first, old], "PARTIALLY_FILLED", "1");
    assert!(asks(&rig));
    check(rig, &[(at(1, "2", "40"), "a 2.0@40.0; a FILLED; =a; account")], "FILLED", "3");
}

#[test]
fn a_purchase_at_a_price_that_nobody_knows_is_refused() {
    let mut rig = Rig::new(Venue::External);
    assert_eq!(rig.order("a BUY 3 MARKET"), "a REJECTED no_price; =a");
    assert!(rig.step.commands.is_empty());
    rig.order("b SELL 3 MARKET");
    assert_eq!(rig.step.commands.len(), 1, "what a sale locks is known");
    rig.market(trade("BUY 1 @ 99"));
    rig.order("c BUY 3 MARKET");
    assert_eq!(rig.engine.state().order(&id("c")).unwrap().locked, "297".parse().unwrap());
}

#[test]
fn a_venue_without_trade_numbers_is_taken_at_its_word() {
    let nameless = || ReportBody::Fill {
        trade_id: None,
        qty: qty("1"),
        price: price("99"),
        symbol: None,
        side: None,
        fee: None,
        liquidity: None,
    };
    let part = "a 1.0@99.0; a PARTIALLY_FILLED; =a; account";
    let reports = [(nameless(), part), (nameless(), part)];
    let rig = check(accepted(), &reports, "PARTIALLY_FILLED", "2");
    check(rig, &[(nameless(), "a 1.0@99.0; a FILLED; =a; account")], "FILLED", "3");
}

#[test]
fn the_venues_clock_is_not_believed() {
    let mut rig = accepted();
    let before = rig.engine.state().last_ts_ns();
    rig.now -= 500;
    let rig = check(
        rig,
        &[(fill(1, "1"), "a 1.0@99.0; a PARTIALLY_FILLED; =a; account")],
        "PARTIALLY_FILLED",
        "1",
    );
    assert_eq!(rig.engine.state().last_ts_ns(), before, "time stands still rather than going back");
}

#[test]
fn every_race_of_the_document_has_its_test() {
    let document = include_str!("../../../../docs/order-lifecycle.md");
    let tests = concat!(
        include_str!("amend.rs"),
        include_str!("latency.rs"),
        include_str!("races.rs"),
        include_str!("reports.rs")
    );
    let names: Vec<_> = document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.matches('_').count() > 2 && !name.contains(char::is_uppercase))
        .collect();
    assert!(names.len() > 25, "{names:?}");
    let missing: Vec<_> =
        names.iter().filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
