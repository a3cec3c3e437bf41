//! Money, for any sequence of orders, cancels, prices and restarts: per asset, what is free, locked, paid
//! in fees and paid to the market is what there was; nothing is executed beyond what was ordered or at a
//! worse price than the limit; and the journal's bytes give the same state, byte for byte.

use std::collections::BTreeMap;

use crate::common::{Rig, id, market, symbol};
use proptest::prelude::*;
use veloz_core::engine::Venue;
use veloz_core::event::{Event, Fill, Liquidity};
use veloz_core::input::{
    AmendOrder, Input, MarketBody, NewOrder, NewPair, RiskChange, TradingState,
};
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::state::State;
use veloz_core::types::{ClientOrderId, Money, Price, Qty, Side};

/// What may happen, in small numbers so that things meet.
#[derive(Debug, Clone)]
enum Action {
    Order { name: u8, pair: usize, side: Side, kind: u8, qty: i64, price: i64, stop: i64 },
    Pair { name: u8, pair: usize, side: Side, qty: i64, middle: i64, limit: bool },
    Amend { name: u8, qty: Option<i64>, price: Option<i64> },
    Tick,
    Cancel { name: u8 },
    CancelAll,
    Halt(bool),
    Trade { pair: usize, side: Side, qty: i64, price: i64 },
    Depth { pair: usize, bids: Vec<(i64, i64)>, asks: Vec<(i64, i64)> },
    Quote { pair: usize, bid: i64, qty: i64 },
    Gap { pair: usize },
    Snapshot { pair: usize, middle: i64 },
    Restart,
}

const PAIRS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "ETHBTC"];
/// A price step of the test, in units of `10^-8`: on every pair's tick.
const STEP: i64 = 1_000_000;
/// A quantity step of the test that is off no lot, and one that is.
const LOT: i64 = 10_000_000;

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn action() -> impl Strategy<Value = Action> {
    let level = || (90_i64..110, 0_i64..40);
    let levels = move || prop::collection::vec(level(), 0..6);
    let order = (any::<u8>(), 0..3_usize, side(), 0..16_u8, 0_i64..60, 90_i64..110, 90_i64..110);
    let two = (any::<u8>(), 0..3_usize, side(), 0_i64..60, 92_i64..108, any::<bool>());
    let amend = (any::<u8>(), prop::option::of(0_i64..60), prop::option::of(90_i64..110));
    prop_oneof![
        8 => order.prop_map(|(name, pair, side, kind, qty, price, stop)| {
            Action::Order { name, pair, side, kind, qty, price, stop }
        }),
        3 => two.prop_map(|(name, pair, side, qty, middle, limit)| {
            Action::Pair { name, pair, side, qty, middle, limit }
        }),
        4 => amend.prop_map(|(name, qty, price)| Action::Amend { name, qty, price }),
        1 => Just(Action::Tick),
        2 => any::<u8>().prop_map(|name| Action::Cancel { name }),
        1 => Just(Action::CancelAll),
        1 => any::<bool>().prop_map(Action::Halt),
        6 => (0..3_usize, side(), 1_i64..40, 90_i64..110).prop_map(|(pair, side, qty, price)| {
            Action::Trade { pair, side, qty, price }
        }),
        6 => (0..3_usize, levels(), levels()).prop_map(|(pair, bids, asks)| {
            Action::Depth { pair, bids, asks }
        }),
        3 => (0..3_usize, 90_i64..110, 1_i64..40).prop_map(|(pair, bid, qty)| {
            Action::Quote { pair, bid, qty }
        }),
        1 => (0..3_usize).prop_map(|pair| Action::Gap { pair }),
        3 => (0..3_usize, 95_i64..105).prop_map(|(pair, middle)| Action::Snapshot { pair, middle }),
        1 => Just(Action::Restart),
    ]
}

fn price(steps: i64) -> Price {
    Price::from_raw(steps * STEP)
}

fn qty(lots: i64) -> Qty {
    Qty::from_raw(lots * LOT)
}

/// Few names, so that an amendment or a cancel often finds its order.
fn name_of(name: u8) -> ClientOrderId {
    id(&format!("o{}", name % 64))
}

fn new_order(action: &Action, now: i64) -> Option<NewOrder> {
    let Action::Order { name, pair, side, kind, qty: lots, price: steps, stop } = *action else {
        return None;
    };
    let (order_type, time_in_force) = match kind {
        0 | 8 => (OrderType::Market, TimeInForce::Ioc),
        1 => (OrderType::Limit, TimeInForce::Ioc),
        2 => (OrderType::Limit, TimeInForce::Fok),
        3 => (OrderType::LimitMaker, TimeInForce::Gtc),
        9 => (OrderType::StopLoss, TimeInForce::Ioc),
        10 => (OrderType::TakeProfit, TimeInForce::Ioc),
        11 => (OrderType::StopLossLimit, TimeInForce::Gtc),
        12 => (OrderType::TakeProfitLimit, TimeInForce::Fok),
        13 => (OrderType::StopLossLimit, TimeInForce::Gtd),
        14 => (OrderType::Limit, TimeInForce::Gtd),
        _ => (OrderType::Limit, TimeInForce::Gtc),
    };
    let by_quote = kind == 8;
    Some(NewOrder {
        order_type,
        time_in_force,
        qty: if by_quote { Qty::ZERO } else { qty(lots) },
        quote_qty: by_quote.then(|| Money::from(qty(lots * 3))),
        price: order_type.has_limit().then(|| price(steps)),
        stop_price: order_type.has_stop().then(|| price(stop)),
        expire_ts_ns: (time_in_force == TimeInForce::Gtd).then_some(now + stop - 85),
        reduce_only: kind == 7,
        ..NewOrder::market(name_of(name), symbol(PAIRS[pair]), side, Qty::ZERO)
    })
}

/// A limit two steps beyond a middle and a stop three steps before it, of neighbouring names.
fn new_pair(action: &Action) -> Option<NewPair> {
    let Action::Pair { name, pair, side, qty: lots, middle, limit } = *action else { return None };
    let away = if side == Side::Sell { 1 } else { -1 };
    let order = |name| NewOrder::market(name_of(name), symbol(PAIRS[pair]), side, qty(lots));
    let profit = NewOrder {
        order_type: OrderType::LimitMaker,
        time_in_force: TimeInForce::Gtc,
        price: Some(price(middle + 2 * away)),
        ..order(name)
    };
    let (order_type, time_in_force) = match limit {
        true => (OrderType::StopLossLimit, TimeInForce::Gtc),
        false => (OrderType::StopLoss, TimeInForce::Ioc),
    };
    let stop = NewOrder {
        order_type,
        time_in_force,
        price: limit.then(|| price(middle - 4 * away)),
        stop_price: Some(price(middle - 3 * away)),
        ..order(name.wrapping_add(1))
    };
    Some(NewPair::new(profit, stop))
}

fn input(action: &Action, last_id: u64, now: i64) -> Option<Input> {
    let level = |&(p, q): &(i64, i64)| (price(p), qty(q));
    Some(match action {
        Action::Order { .. } => Input::NewOrder(new_order(action, now)?),
        Action::Pair { .. } => Input::NewPair(Box::new(new_pair(action)?)),
        Action::Amend { name, qty: lots, price: steps } => Input::Amend(AmendOrder {
            client_order_id: name_of(*name),
            qty: lots.map(qty),
            price: steps.map(price),
        }),
        Action::Tick => Input::Tick,
        Action::Cancel { name } => Input::Cancel(veloz_core::input::CancelOrder {
            client_order_id: name_of(*name),
            symbol: None,
        }),
        Action::CancelAll => Input::CancelAll { symbol: None },
        Action::Halt(on) => {
            let state = if *on { TradingState::Halted } else { TradingState::Active };
            Input::Risk(RiskChange { state: Some(state), ..RiskChange::default() })
        }
        Action::Trade { pair, side, qty: lots, price: steps } => {
            let (ts_ns, price, qty, side) = (1, price(*steps), qty(*lots), *side);
            market(PAIRS[*pair], MarketBody::Trade { ts_ns, price, qty, side, trade_id: 1 })
        }
        Action::Depth { pair, bids, asks } => market(
            PAIRS[*pair],
            MarketBody::Depth {
                first_id: last_id + 1,
                last_id: last_id + 1,
                bids: bids.iter().map(level).collect(),
                asks: asks.iter().map(level).collect(),
            },
        ),
        Action::Quote { pair, bid, qty: lots } => market(
            PAIRS[*pair],
            MarketBody::Quote {
                update_id: last_id + 2,
                bid: (price(*bid), qty(*lots)),
                ask: (price(*bid + 1), qty(*lots)),
            },
        ),
        Action::Gap { pair } => {
            let (first_id, last_id) = (last_id + 5, last_id + 6);
            let (bids, asks) = (vec![], vec![]);
            market(PAIRS[*pair], MarketBody::Depth { first_id, last_id, bids, asks })
        }
        Action::Snapshot { pair, middle } => market(
            PAIRS[*pair],
            MarketBody::Snapshot {
                last_id: last_id + 10,
                bids: (1..6).map(|i| (price(middle - i), qty(i * 7))).collect(),
                asks: (1..6).map(|i| (price(middle + i), qty(i * 7))).collect(),
            },
        ),
        Action::Restart => return None,
    })
}

/// Sums by asset, from the fills alone.
#[derive(Default)]
struct Flows(BTreeMap<String, i128>);

impl Flows {
    fn add(&mut self, asset: &str, amount: i128) {
        *self.0.entry(asset.into()).or_default() += amount;
    }

    /// What the account got and paid by a fill, its fee apart.
    fn fill(&mut self, fill: &Fill) {
        let name = fill.symbol.as_str();
        let (base, quote) = if name == "ETHBTC" { ("ETH", "BTC") } else { (&name[..3], "USDT") };
        let cost = Money::notional(fill.price, fill.qty).raw();
        let amount = Money::from(fill.qty).raw();
        let sign = if fill.side == Some(Side::Buy) { 1 } else { -1 };
        self.add(base, sign * amount);
        self.add(quote, -sign * cost);
        self.add(fill.fee_asset.unwrap().as_str(), -fill.fee.unwrap().raw());
    }
}

fn totals(rig: &Rig) -> BTreeMap<String, i128> {
    let account = rig.engine.state().account();
    let total = |b: &veloz_core::event::Balance| b.free.raw() + b.locked.raw();
    account.balances.iter().map(|b| (b.asset.to_string(), total(b))).collect()
}

fn check(actions: &[Action]) {
    let mut rig = Rig::new(Venue::Simulated);
    let mut flows = Flows(totals(&rig));
    let mut last_id = 0;
    for action in actions {
        let Some(input) = input(action, last_id, rig.now) else {
            match rig.journal.len().is_multiple_of(2) {
                true => rig.restart(),
                false => rig.restart_from_archive(),
            }
            continue;
        };
        let _ = rig.input(&input);
        last_id += match action {
            Action::Gap { .. } => 6,
            Action::Snapshot { .. } => 10,
            Action::Depth { .. } | Action::Quote { .. } => 1,
            _ => 0,
        };
        for event in &rig.step.events {
            let Event::Fill(fill) = event else { continue };
            flows.fill(fill);
            let order = rig.engine.state().order(&fill.client_order_id).unwrap();
            let limit = order.price;
            if let Some(limit) = limit {
                let worse = match order.request.side {
                    Side::Buy => fill.price > limit,
                    Side::Sell => fill.price < limit,
                };
                assert!(!worse, "{fill:?} is worse than {limit}");
            }
        }
        check_volume(&rig, &input);
        check_pairs(&rig);
        assert_eq!(totals(&rig), flows.0, "after {action:?}");
    }
    let json = |state: &State| serde_json::to_string(state).unwrap();
    let live = json(&rig.engine.state().with_all_in_memory());
    assert_eq!(live, json(&rig.replayed()), "the journal gives another state");
    let stored: State = serde_json::from_str(&live).unwrap();
    assert_eq!(live, json(&stored), "the snapshot reads back as another state");
}

/// Of a pair one at most is executed, and both are open or none is untouched.
fn check_pairs(rig: &Rig) {
    let state = rig.engine.state();
    for order in state.orders() {
        let Some(other) = order.request.oco_with.and_then(|id| state.order(&id)) else { continue };
        let executed = |order: &veloz_core::order::Order| !order.executed_qty.is_zero();
        assert!(!(executed(&order) && executed(&other)), "{order:?} {other:?}");
        assert!(!executed(&order) || !other.is_open(), "{order:?} {other:?}");
        assert!(order.is_open() || !other.is_dormant(), "{order:?} {other:?}");
    }
}

/// A trade of others fills no more of what rests than was traded, whatever the number of orders. (A stop
/// that it wakes takes from the book.)
fn check_volume(rig: &Rig, input: &Input) {
    let Input::Market(data) = input else { return };
    let MarketBody::Trade { qty, .. } = data.body else { return };
    let filled = rig.step.events.iter().map(|event| match event {
        Event::Fill(fill) if fill.liquidity == Some(Liquidity::Maker) => fill.qty.raw(),
        _ => 0,
    });
    let filled: i64 = filled.sum();
    assert!(filled <= qty.raw(), "{filled} filled of {qty} traded");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn money_is_conserved(actions in prop::collection::vec(action(), 1..120)) {
        check(&actions);
    }
}
