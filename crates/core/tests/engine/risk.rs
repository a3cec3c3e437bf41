//! The limits in front of the venue, the kill switch, and the loss of a day.

use std::collections::BTreeMap;

use crate::common::{Rig, config, id, market, price, qty, snapshot, symbol, trade};
use veloz_core::engine::{EngineConfig, Venue};
use veloz_core::input::{Answer, AssetLimits, Input, Refusal, RiskChange, TradingState};
use veloz_core::instrument::Instrument;
use veloz_core::latency::Latency;
use veloz_core::risk::Reason;
use veloz_core::types::{Asset, Money};

fn rig(change: RiskChange) -> Rig {
    let mut rig = Rig::new(Venue::Simulated);
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig.market(trade("BUY 1 @ 100"));
    set(&mut rig, change);
    rig
}

fn set(rig: &mut Rig, change: RiskChange) -> String {
    rig.input(&Input::Risk(change)).unwrap();
    rig.shown()
}

fn state(state: TradingState) -> RiskChange {
    RiskChange { state: Some(state), ..RiskChange::default() }
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn by_asset(asset: &str, amount: &str) -> Option<Option<AssetLimits>> {
    let asset: Asset = asset.parse().unwrap();
    Some(Some(BTreeMap::from([(asset, Some(money(amount)))])))
}

/// Under the limits, orders end as told: each with its reason, empty when it is taken.
fn check(change: &RiskChange, orders: &[(&str, &str)]) {
    for restarts in [false, true] {
        let mut rig = rig(change.clone());
        for (order, expected) in orders {
            if restarts {
                rig.restart();
                rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
            }
            rig.order(order);
            let name = order.rsplit(':').next().unwrap().split(' ').next().unwrap();
            let known = rig.engine.state().order(&id(name)).unwrap();
            assert_eq!(known.reason, *expected, "{order}, restarts: {restarts}");
        }
        let bytes = |state| serde_json::to_string(state).unwrap();
        assert_eq!(bytes(rig.engine.state()), bytes(&rig.replayed()));
    }
}

/// Of several rules that are broken the one that stands first in [`Reason::ALL`] is told.
#[test]
fn the_first_rule_that_is_broken_is_the_reason() {
    let first = |of: &str| {
        let place = |reason: &&str| Reason::ALL.iter().position(|known| known.as_str() == *reason);
        let broken: Vec<_> = of.split(' ').collect();
        assert!(broken.iter().all(|reason| place(reason).is_some()), "{of}");
        broken.into_iter().min_by_key(place).unwrap().to_owned()
    };
    let halted = state(TradingState::Halted);
    let poor = RiskChange { max_order_notional: Some(Some(money("1"))), ..RiskChange::default() };
    for (change, order, broken) in [
        (&halted, "a BUY 1 @ 90.001 UNTIL 1", "halted price_tick gtd"),
        (&halted, "a BUY 1 MARKET REDUCE", "halted reduce_only"),
        (&poor, "a BUY 5000 @ 90", "max_order_notional insufficient_balance"),
        (&RiskChange::default(), "a BUY 5000 @ 90 UNTIL 1", "insufficient_balance gtd"),
        (&RiskChange::default(), "a SELL 1 @ 90 STOP 105 UNTIL 1", "would_trigger gtd"),
        (&RiskChange::default(), "a BUY 5000 @ 105 POST", "insufficient_balance would_take"),
    ] {
        check(change, &[(order, &first(broken))]);
    }
    let mut rig = self::rig(RiskChange::default());
    rig.pair("a SELL 1 @ 99", "b SELL 1 STOP 95").unwrap();
    let refused = rig.engine.state().order(&id("a")).unwrap().reason.clone();
    assert_eq!(refused, *first("oco_prices would_take"));
    for (order, change, broken) in [
        ("a SELL 1 STOP 90", &halted, "unsupported_by_engine halted"),
        ("a BUY 1 MARKET", &halted, "no_price halted"),
    ] {
        let mut rig = Rig::new(Venue::External);
        set(&mut rig, change.clone());
        rig.order(order);
        assert_eq!(rig.engine.state().order(&id("a")).unwrap().reason, *first(broken), "{order}");
    }
    let mut rig = Rig::new(Venue::Simulated);
    set(&mut rig, halted.clone());
    rig.order("a BUY 500 QUOTE");
    let unpriced = rig.engine.state().order(&id("a")).unwrap().reason.clone();
    assert_eq!(unpriced, *first("no_liquidity halted lot_size"));
    let mut rig = self::rig(RiskChange::default());
    rig.pair("a SELL 1 @ 110", "b SELL 1 STOP 90").unwrap();
    set(&mut rig, halted);
    let refused = rig.amend("a", "1 @ 110.001").unwrap_err();
    assert_eq!(
        refused,
        Refusal::Rejected(id("a"), Reason::parse(&first("oco halted price_tick")).unwrap())
    );
}

#[test]
fn what_the_open_orders_of_a_symbol_are_worth() {
    let change =
        RiskChange { max_symbol_notional: Some(Some(money("1000"))), ..RiskChange::default() };
    check(
        &change,
        &[
            ("a BUY 5 @ 90", ""),
            ("b SELL 5 @ 110", ""),
            ("c BUY 1 @ 90", "max_symbol_notional"),
            ("stop SELL 1 STOP 90", "max_symbol_notional"),
            ("market BUY 1 MARKET", "max_symbol_notional"),
            ("ETHUSDT:d BUY 5 @ 90", ""),
        ],
    );
    let mut rig = rig(change);
    rig.order("a SELL 5 @ 110");
    rig.order("b SELL 5 @ 110");
    assert!(rig.shown().contains("max_symbol_notional"));
    rig.market(trade("BUY 2 @ 111"));
    rig.order("c SELL 6 @ 110");
    assert!(rig.shown().contains("c ACCEPTED"), "what is filled is not open: {}", rig.shown());
    rig.cancel("c").unwrap();
    assert!(rig.amend("a", "12 @ 110").is_err(), "an amended order counts as it would be");
    rig.amend("a", "11 @ 110").unwrap();
    rig.cancel("a").unwrap();
    rig.pair("x SELL 8 @ 112", "y SELL 8 STOP 90").unwrap();
    assert!(rig.shown().contains("y ACCEPTED"), "of a pair one counts: {}", rig.shown());
}

#[test]
fn how_much_of_an_asset_there_may_be() {
    let change = RiskChange { max_position: by_asset("BTC", "103"), ..RiskChange::default() };
    check(
        &change,
        &[
            ("a BUY 2 @ 90", ""),
            ("b BUY 1.1 MARKET", "max_position"),
            ("c BUY 1 MARKET", ""),
            ("d BUY 0.1 @ 90", "max_position"),
            ("ETHUSDT:e BUY 50 @ 90", ""),
            ("f SELL 50 @ 110", ""),
            ("g SELL 5 MARKET", ""),
            ("h BUY 4.9 @ 90", ""),
        ],
    );
}

/// Open orders may bring more of a token than one order can be for.
#[test]
fn a_position_is_counted_beyond_the_largest_quantity() {
    let instruments = vec![Instrument::for_symbol(symbol("PEPEUSDT")).unwrap()];
    let mut rig = Rig::of(EngineConfig { instruments, ..config(Venue::Simulated) });
    let max_position = by_asset("PEPE", "184400000001");
    set(&mut rig, RiskChange { max_position, ..RiskChange::default() });
    let pepe: Asset = "PEPE".parse().unwrap();
    let mut used = vec![("", "0")];
    for (name, sum) in
        [("a", "46100000000"), ("b", "92200000000"), ("c", "138300000000"), ("d", "184400000000")]
    {
        rig.order(&format!("PEPEUSDT:{name} BUY 46100000000 @ 0.00000001"));
        assert_eq!(rig.engine.risk_use().position[&pepe], money(sum), "{name}");
        used.push((name, sum));
    }
    let refused = rig.order("PEPEUSDT:e BUY 1000000000 @ 0.00000001");
    assert!(refused.contains("max_position"), "{refused}");
    for names in used.windows(2).rev() {
        let [(_, left), (name, _)] = names else { panic!() };
        rig.cancel(name).unwrap();
        assert_eq!(rig.engine.risk_use().position[&pepe], money(left), "{name}");
    }
}

#[test]
fn how_far_beyond_the_last_price_an_order_may_trade() {
    let change = RiskChange { price_collar: Some(Some(qty("0.015"))), ..RiskChange::default() };
    check(
        &change,
        &[
            ("a BUY 1 @ 101.51", "price_collar"),
            ("b BUY 1 @ 101.5", ""),
            ("c BUY 1 @ 50", ""),
            ("d SELL 1 @ 98.49", "price_collar"),
            ("e SELL 1 @ 98.5", ""),
            ("f SELL 1 @ 500", ""),
            ("g BUY 3 MARKET", "price_collar"),
            ("h BUY 1 MARKET", ""),
            ("i SELL 1 @ 88 STOP 90", "price_collar"),
            ("j SELL 1 @ 89 STOP 90", ""),
            ("k SELL 1 STOP 90", ""),
        ],
    );
    let mut blind = Rig::new(Venue::Simulated);
    set(&mut blind, change);
    assert_eq!(blind.order("a BUY 1 @ 90"), "a REJECTED price_collar; =a");
}

/// A stop that was woken is measured as the plain order that it is by now, by the last price.
#[test]
fn how_far_a_woken_stop_may_be_amended() {
    let collar = RiskChange { price_collar: Some(Some(qty("0.05"))), ..RiskChange::default() };
    let woken = |stop: &str, reached: &str, last: &str| {
        let mut rig = rig(RiskChange::default());
        rig.order(stop);
        rig.market(trade(reached));
        rig.market(trade(last));
        let order = rig.engine.state().order(&id("a")).unwrap();
        assert!(order.triggered && order.is_open(), "{stop}");
        set(&mut rig, collar.clone());
        rig
    };
    let refused = Err(Refusal::Rejected(id("a"), Reason::PriceCollar));
    let taken = Ok("=a".to_owned());
    // Beyond the collar of the last price, though within that of the stop.
    let mut rig = woken("a SELL 5 @ 110 STOP 96", "SELL 1 @ 96", "BUY 1 @ 105");
    assert_eq!(rig.order("b SELL 5 @ 98"), "b REJECTED price_collar; =b");
    assert_eq!(rig.amend("a", "@ 98"), refused);
    assert_eq!(rig.amend("a", "@ 106"), taken);
    let mut rig = woken("a BUY 5 @ 92 STOP 104", "BUY 1 @ 104", "SELL 1 @ 95");
    assert_eq!(rig.order("b BUY 5 @ 102"), "b REJECTED price_collar; =b");
    assert_eq!(rig.amend("a", "@ 102"), refused);
    // At the last price, that far from the stop.
    let mut rig = woken("a SELL 5 @ 110 STOP 99.5", "SELL 1 @ 99.5", "SELL 1 @ 94");
    rig.market(snapshot(11, "80 1", "120 1"));
    assert_eq!(rig.amend("a", "@ 94"), taken);
    // One that is dormant is measured by its stop as before.
    rig.order("c SELL 1 @ 85 STOP 86");
    assert_eq!(rig.amend("c", "@ 82"), Ok("=c".to_owned()));
    let refused = Err(Refusal::Rejected(id("c"), Reason::PriceCollar));
    assert_eq!(rig.amend("c", "@ 81"), refused);
}

#[test]
fn how_many_orders_a_second_may_have() {
    let change = RiskChange { max_orders_per_second: Some(Some(2)), ..RiskChange::default() };
    check(
        &change,
        &[
            ("a BUY 1 @ 90", ""),
            ("refused BUY 1 @ 90.001", "price_tick"),
            ("b BUY 1 @ 90", ""),
            ("c BUY 1 @ 90", "order_rate"),
        ],
    );
    let mut rig = rig(change);
    let at = |rig: &mut Rig, now: i64, order: &str| {
        rig.now = now - 1;
        rig.order(order)
    };
    at(&mut rig, 1_000_000_000, "a BUY 1 @ 90");
    at(&mut rig, 1_900_000_000, "b BUY 1 @ 90");
    let refused = "c REJECTED order_rate; =c";
    assert_eq!(at(&mut rig, 1_999_999_999, "c BUY 1 @ 90"), refused);
    let taken = "d ACCEPTED; =d; account";
    assert_eq!(at(&mut rig, 2_000_000_000, "d BUY 1 @ 90"), taken, "a has left the second");
    rig.now = 2_899_999_998;
    assert!(rig.amend("d", "2").is_err(), "an amendment is an order");
    rig.cancel("d").unwrap();
    assert!(rig.pair("x SELL 1 @ 110", "y SELL 1 STOP 90").is_ok());
    assert_eq!(rig.shown(), "x REJECTED order_rate; =x; y REJECTED order_rate; =y");
    rig.now = 2_899_999_999 + 1_000_000_000;
    rig.pair("v SELL 1 @ 110", "w SELL 1 STOP 90").unwrap();
    assert!(rig.shown().contains("w ACCEPTED"), "{}", rig.shown());
    let most = RiskChange { max_orders_per_second: Some(Some(10_001)), ..RiskChange::default() };
    assert!(matches!(rig.input(&Input::Risk(most)), Err(Refusal::BadParams { .. })));
}

#[test]
fn an_amended_order_does_not_count_beside_itself() {
    let mut rig = rig(RiskChange { max_open_orders: Some(Some(2)), ..RiskChange::default() });
    rig.order("a BUY 1 @ 90");
    rig.order("b BUY 1 @ 90");
    assert_eq!(rig.order("c BUY 1 @ 90"), "c REJECTED max_open_orders; =c");
    rig.amend("a", "2 @ 91").unwrap();
    set(&mut rig, RiskChange { max_open_orders: Some(Some(1)), ..RiskChange::default() });
    assert!(rig.amend("a", "3 @ 91").is_err(), "of more than may be none grows");
}

const DAY: i64 = 86_400_000_000_000;

#[test]
fn the_loss_of_a_day_is_what_the_account_is_worth_less_than_at_its_beginning() {
    let mut rig = rig(RiskChange::default());
    // 100 BTC at 100, ETH without a price, 100,000 USDT.
    set(&mut rig, RiskChange { max_daily_loss: by_asset("USDT", "100"), ..RiskChange::default() });
    let buy = |rig: &mut Rig, name: &str| {
        rig.order(&format!("{name} BUY 1 @ 90"));
        rig.engine.state().order(&id(name)).unwrap().reason.to_string()
    };
    rig.market(trade("SELL 1 @ 99.01"));
    assert_eq!(buy(&mut rig, "a"), "", "99 lost");
    rig.market(trade("SELL 1 @ 99"));
    assert_eq!(buy(&mut rig, "b"), "daily_loss", "100 lost");
    assert!(rig.order("s SELL 1 @ 120").contains("ACCEPTED"), "what is held can be sold");
    rig.restart();
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    assert_eq!(buy(&mut rig, "c"), "daily_loss", "a restart forgets nothing");
    rig.market(trade("BUY 1 @ 99.5"));
    assert_eq!(buy(&mut rig, "d"), "", "it has come back");
    // A fee is a loss too: 2 BTC at 101 cost 0.002 BTC of fees, and are worth 3 less at 99.5.
    rig.order("e BUY 2 @ 101");
    rig.market(trade("SELL 1 @ 99.06"));
    assert_eq!(
        buy(&mut rig, "f"),
        "",
        "94 for the price, 3.88 for the spread, 0.19812 for the fee"
    );
    rig.market(trade("SELL 1 @ 99.04"));
    assert_eq!(buy(&mut rig, "g"), "daily_loss");
    rig.now = DAY;
    assert!(rig.engine.is_due(DAY));
    assert_eq!(buy(&mut rig, "h"), "", "a new day begins with what there is");
    rig.market(trade("SELL 1 @ 98"));
    assert_eq!(buy(&mut rig, "i"), "daily_loss");
    assert_eq!(
        rig.engine.state().market(&crate::common::symbol("BTCUSDT")).unwrap().price,
        price("98")
    );
    set(&mut rig, RiskChange { max_daily_loss: Some(None), ..RiskChange::default() });
    assert_eq!(buy(&mut rig, "j"), "");
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert_eq!(bytes(rig.engine.state()), bytes(&rig.replayed()));
}

/// A run that trades other instruments than the one before: neither gains nor loses what their assets are worth.
fn check_other_instruments(latency: Latency) {
    let with = |names: &[&str]| {
        let mut config = EngineConfig { latency, ..config(Venue::Simulated) };
        config.instruments.retain(|instrument| names.contains(&instrument.symbol.as_str()));
        config
    };
    let mut rig = Rig::of(with(&["BTCUSDT"]));
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig.market(trade("BUY 1 @ 100"));
    set(&mut rig, RiskChange { max_daily_loss: by_asset("USDT", "200"), ..RiskChange::default() });
    rig.market(trade("SELL 1 @ 99"));
    let lost = |rig: &Rig| rig.engine.risk_use().daily_loss.into_values().collect::<Vec<_>>();
    assert_eq!(lost(&rig), [money("100")], "100 BTC fell by 1");
    rig.restart_as(with(&["BTCUSDT", "ETHUSDT"]));
    assert_eq!(lost(&rig), [money("100")], "1000 ETH have no price yet");
    rig.input(&market("ETHUSDT", trade("BUY 1 @ 10"))).unwrap();
    assert_eq!(lost(&rig), [money("100")], "a first price is no gain");
    rig.input(&market("ETHUSDT", trade("SELL 1 @ 9.95"))).unwrap();
    assert_eq!(lost(&rig), [money("150")], "from then on they count");
    rig.restart_as(with(&["BTCUSDT"]));
    assert_eq!(lost(&rig), [money("150")], "without them nothing is lost");
    rig.restart_as(with(&["BTCUSDT"]));
    assert_eq!(rig.step.facts, [], "the same as before");
    rig.restart_as(with(&["BTCUSDT", "ETHUSDT"]));
    assert_eq!(lost(&rig), [money("150")], "with them nothing is won");
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert_eq!(bytes(rig.engine.state()), bytes(&rig.replayed()));
}

#[test]
fn the_loss_of_a_day_is_the_same_whichever_instruments_are_traded() {
    check_other_instruments(Latency::default());
    check_other_instruments(Latency { to_ns: 1, from_ns: 1, ..Latency::default() });
}

#[test]
fn a_limit_of_the_loss_that_is_set_anew_counts_from_then() {
    let mut rig = rig(RiskChange::default());
    let limit = || RiskChange { max_daily_loss: by_asset("USDT", "500"), ..RiskChange::default() };
    let lost = |rig: &Rig| rig.engine.risk_use().daily_loss.into_values().collect::<Vec<_>>();
    set(&mut rig, limit());
    rig.market(trade("SELL 1 @ 99"));
    assert_eq!(lost(&rig), [money("100")]);
    set(&mut rig, RiskChange { max_daily_loss: Some(None), ..RiskChange::default() });
    set(&mut rig, limit());
    assert_eq!(lost(&rig), [money("0")]);
}

#[test]
fn what_has_no_price_yet_loses_nothing_and_hides_no_loss() {
    let mut rig = Rig::new(Venue::Simulated);
    // 100 BTC without a price, 100,000 USDT.
    set(&mut rig, RiskChange { max_daily_loss: by_asset("USDT", "100"), ..RiskChange::default() });
    let lost = |rig: &Rig| {
        let [(_, lost)] = rig.engine.risk_use().daily_loss.into_iter().collect::<Vec<_>>()[..]
        else {
            panic!("one loss is limited")
        };
        lost
    };
    let bytes = |state| serde_json::to_string(state).unwrap();
    assert_eq!(lost(&rig), money("0"));
    rig.restart();
    rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
    rig.market(trade("BUY 1 @ 100"));
    assert_eq!(lost(&rig), money("0"), "a first price is no gain");
    rig.market(trade("SELL 1 @ 99"));
    assert_eq!(lost(&rig), money("100"));
    assert_eq!(rig.order("a BUY 1 @ 90"), "a REJECTED daily_loss; =a");
    // Another limit of the same day leaves what is known of the first.
    let both = RiskChange { max_daily_loss: by_asset("BTC", "5"), ..RiskChange::default() };
    set(&mut rig, both);
    assert_eq!(rig.engine.risk_use().daily_loss.len(), 2);
    rig.market(trade("SELL 1 @ 98"));
    assert_eq!(rig.engine.risk_use().daily_loss.values().max(), Some(&money("200")));
    assert_eq!(bytes(rig.engine.state()), bytes(&rig.replayed()));
}

#[test]
fn stops_do_not_wake_into_a_halt() {
    for restarts in [false, true] {
        let mut rig = rig(RiskChange::default());
        rig.order("gone SELL 1 STOP 95");
        rig.order("still SELL 1 STOP 96");
        set(&mut rig, state(TradingState::Halted));
        assert_eq!(rig.market(trade("SELL 1 @ 94")), "market 94.0");
        assert_eq!(rig.market(trade("SELL 1 @ 95.5")), "market 95.5");
        if restarts {
            rig.restart();
            rig.market(snapshot(10, "99 2, 98 5", "101 2, 102 5"));
        }
        let woken = "still 1.0@99.0; still FILLED; =still; account";
        assert_eq!(set(&mut rig, state(TradingState::Active)), woken, "restarts: {restarts}");
        assert!(rig.market(trade("SELL 1 @ 95")).contains("gone FILLED"));
    }
}

#[test]
fn a_stop_that_buys_does_not_wake_while_only_sales_are_taken() {
    let mut rig = rig(RiskChange::default());
    rig.order("short BUY 1 STOP 105");
    rig.order("long SELL 1 TAKE 106");
    set(&mut rig, state(TradingState::ReduceOnly));
    assert_eq!(
        rig.market(trade("BUY 1 @ 106")),
        "market 106.0; long 1.0@99.0; long FILLED; =long; account"
    );
    let woken = "short 1.0@101.0; short FILLED; =short; account";
    assert_eq!(set(&mut rig, state(TradingState::Active)), woken);
}

#[test]
fn the_settings_change_one_by_one() {
    let mut rig = rig(RiskChange { max_position: by_asset("BTC", "5"), ..RiskChange::default() });
    set(&mut rig, RiskChange { max_position: by_asset("ETH", "7"), ..RiskChange::default() });
    let lifted = BTreeMap::from([("BTC".parse().unwrap(), None)]);
    let change = RiskChange { max_position: Some(Some(lifted)), ..RiskChange::default() };
    let Ok(Answer::Risk(settings)) = rig.input(&Input::Risk(change)) else { panic!() };
    let left: Vec<_> = settings.max_position.keys().map(Asset::as_str).collect();
    assert_eq!(left, ["ETH"]);
    rig.restart();
    assert_eq!(*rig.engine.state().risk(), *settings);
    for wrong in [
        RiskChange { price_collar: Some(Some(qty("-0.1"))), ..RiskChange::default() },
        RiskChange { max_daily_loss: by_asset("USDT", "-1"), ..RiskChange::default() },
        RiskChange { max_daily_loss: by_asset("USTD", "1"), ..RiskChange::default() },
        RiskChange { max_position: by_asset("BTX", "1"), ..RiskChange::default() },
        RiskChange { max_symbol_notional: Some(Some(money("-1"))), ..RiskChange::default() },
    ] {
        assert!(matches!(rig.input(&Input::Risk(wrong)), Err(Refusal::BadParams { .. })));
    }
}
