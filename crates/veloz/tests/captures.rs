//! The simulated venue on real captures: it shows the exchange's book, and no fill is one that could not
//! have happened.
//!
//! The captures are not part of the project; a test that needs one is skipped, by name, without it.

#![cfg(test)]
#![allow(dead_code, reason = "the support is shared with other tests")]

mod market_support;

use std::collections::BTreeMap;

use market_support::{NaiveBook, capture, naive_messages, symbol, text_of};
use veloz_core::engine::{Engine, EngineConfig, Step};
use veloz_core::event::{Event, Fill, Liquidity};
use veloz_core::input::{CancelOrder, Input, MarketBody, MarketData, NewOrder};
use veloz_core::instrument::Instrument;
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::{ClientOrderId, Price, Qty, Side, Symbol};

const CAPTURES: [(&str, &str); 2] = [
    ("binance_spot_btcusdt_20240808.gz", "BTCUSDT"),
    ("binance_spot_ethusdt_20240808.gz", "ETHUSDT"),
];
const ALL_LEVELS: usize = 100_000;

/// A capture played to an engine, message by message.
struct Play {
    engine: Engine,
    step: Step,
    symbol: Symbol,
    now: i64,
    orders: usize,
}

impl Play {
    fn new(name: &str) -> Play {
        let instrument = Instrument::for_symbol(symbol(name)).unwrap();
        let much = "10000000".parse().unwrap();
        let balances = vec![(instrument.base, much), (instrument.quote, much)];
        let config =
            EngineConfig { instruments: vec![instrument], balances, ..EngineConfig::default() };
        let (mut engine, mut step) = (Engine::new(config), Step::default());
        engine.start(1, &mut step);
        Play { engine, step, symbol: symbol(name), now: 1, orders: 0 }
    }

    fn input(&mut self, input: &Input) -> Vec<Fill> {
        self.now += 1;
        self.engine.step(self.now, input, &mut self.step).unwrap();
        let fills = self.step.events.iter().filter_map(|event| match event {
            Event::Fill(fill) => Some(fill.clone()),
            _ => None,
        });
        fills.collect()
    }

    fn tell(&mut self, data: &MarketData) -> Vec<Fill> {
        self.input(&Input::Market(data.clone()))
    }

    fn place(
        &mut self,
        side: Side,
        lots: i64,
        price: Price,
        tif: TimeInForce,
    ) -> (ClientOrderId, Vec<Fill>) {
        self.orders += 1;
        let id = ClientOrderId::parse(&format!("o-{}", self.orders)).unwrap();
        let order_type = match tif {
            TimeInForce::Gtc => OrderType::LimitMaker,
            _ => OrderType::Limit,
        };
        let lot = self.engine.instrument(&self.symbol).unwrap().lot;
        let qty = Qty::from_raw(lot.raw() * lots);
        let order = NewOrder {
            order_type,
            time_in_force: tif,
            ..NewOrder::limit(id, self.symbol, side, qty, price)
        };
        (id, self.input(&Input::NewOrder(order)))
    }

    fn cancel(&mut self, id: ClientOrderId) {
        let _ = self.engine.step(
            self.now,
            &Input::Cancel(CancelOrder { client_order_id: id, symbol: None }),
            &mut self.step,
        );
    }

    fn offered(&self, side: Side, price: Price) -> Qty {
        self.engine.book(&self.symbol).unwrap().offered_at(side, price)
    }

    fn best(&self, side: Side) -> Option<Price> {
        self.engine.book(&self.symbol).unwrap().best(side)
    }
}

fn each_capture(test: &str, mut run: impl FnMut(&str, &[MarketData])) {
    for (file, name) in CAPTURES {
        let Some(path) = capture(test, file) else { return };
        run(name, &naive_messages(&text_of(&path), name));
    }
}

/// After every update of the exchange's book the simulated one is the same, level by level: with the quotes
/// in between, and without. A quote that is older than the book changes nothing.
#[test]
fn the_simulated_book_is_the_exchanges() {
    each_capture("the_simulated_book_is_the_exchanges", |name, messages| {
        for with_quotes in [false, true] {
            let mut play = Play::new(name);
            let mut exchange = NaiveBook::default();
            let (mut compared, mut old_quotes, mut newest_quote) = (0, 0, 0);
            for data in messages {
                if let MarketBody::Quote { update_id, .. } = data.body {
                    let book = play.engine.book(&play.symbol).unwrap();
                    let is_old = book.last_id().is_some_and(|last| update_id <= last);
                    if !with_quotes {
                        continue;
                    }
                    let before = is_old.then(|| book.top(50));
                    play.tell(data);
                    if let Some(before) = before {
                        old_quotes += 1;
                        assert_eq!(play.engine.book(&play.symbol).unwrap().top(50), before);
                    } else {
                        newest_quote = newest_quote.max(update_id);
                    }
                    continue;
                }
                exchange.apply(&data.body);
                play.tell(data);
                let book = play.engine.book(&play.symbol).unwrap();
                let MarketBody::Depth { last_id, .. } = data.body else { continue };
                if book.is_known() && newest_quote <= last_id {
                    assert!(book.top(ALL_LEVELS) == exchange.levels(), "{name}, update {last_id}");
                    compared += 1;
                }
            }
            let least = if with_quotes { 100 } else { 3_000 };
            assert!(compared > least, "{name}: {compared} compared, with quotes: {with_quotes}");
            assert!(!with_quotes || old_quotes > 10, "{name}: {old_quotes} old quotes");
        }
    });
}

/// A resting order and what was seen at its price since it came.
struct Resting {
    id: ClientOrderId,
    side: Side,
    price: Price,
    /// What stood there when it came, and the least that has stood there since.
    ahead: Qty,
    least: Qty,
    /// What traded there since.
    traded: Qty,
    filled: bool,
}

/// Orders at the best bid and ask, two at a time, for the whole capture. Each fills at first only when the
/// volume that stood before it has traded or left; all together get no more of a trade than it had, and
/// nothing but at or through their price.
#[test]
fn a_resting_order_waits_for_the_volume_before_it() {
    each_capture("a_resting_order_waits_for_the_volume_before_it", |name, messages| {
        let mut play = Play::new(name);
        let mut resting: Vec<Resting> = Vec::new();
        let (mut filled, mut total, mut tape) = (0, 0_i64, 0_i64);
        for (at, data) in messages.iter().enumerate() {
            let reached = |order: &Resting, price: Price| match order.side {
                Side::Buy => price <= order.price,
                Side::Sell => price >= order.price,
            };
            if let MarketBody::Trade { price, qty, side, .. } = data.body {
                for order in resting.iter_mut().filter(|o| o.side != side && o.price == price) {
                    order.traded = order.traded.checked_add(qty).unwrap();
                }
                if resting.iter().any(|order| order.side != side && reached(order, price)) {
                    tape += qty.raw();
                }
            }
            let fills = play.tell(data);
            for order in &mut resting {
                order.least = order.least.min(play.offered(order.side, order.price));
            }
            let mut of_step = 0;
            for fill in &fills {
                assert_eq!(fill.liquidity, Some(Liquidity::Maker));
                let order = resting.iter_mut().find(|o| o.id == fill.client_order_id).unwrap();
                of_step += fill.qty.raw();
                match data.body {
                    MarketBody::Trade { price, side, .. } => {
                        assert!(side != order.side && reached(order, price), "{fill:?} {data:?}");
                        if !order.filled && price == order.price {
                            assert!(
                                order.traded > order.least,
                                "{fill:?}: {} stood there, {} \
                                traded, {} were left",
                                order.ahead,
                                order.traded,
                                order.least
                            );
                        }
                    }
                    // The other side has come to its price: it would have met the order.
                    _ => {
                        let other = play.best(order.side.opposite()).unwrap();
                        assert!(reached(order, other), "{fill:?} {data:?}");
                    }
                }
                assert_eq!(fill.price, order.price);
                order.filled = true;
            }
            if let MarketBody::Trade { qty, .. } = data.body {
                assert!(of_step <= qty.raw(), "{fills:?} by {data:?}");
                total += of_step;
            }
            filled += fills.len();
            if at % 400 == 300 {
                for order in resting.drain(..) {
                    play.cancel(order.id);
                }
                for side in [Side::Buy, Side::Sell] {
                    let Some(price) = play.best(side) else { continue };
                    for lots in [300, 2_000] {
                        let ahead = play.offered(side, price);
                        let (id, fills) = play.place(side, lots, price, TimeInForce::Gtc);
                        assert!(fills.is_empty());
                        let traded = Qty::ZERO;
                        let least = ahead;
                        resting.push(Resting {
                            id,
                            side,
                            price,
                            ahead,
                            least,
                            traded,
                            filled: false,
                        });
                    }
                }
            }
        }
        assert!(filled > 50, "{name}: {filled} fills try little");
        assert!(total <= tape, "{name}: {total} filled by trades, {tape} traded at or through");
        play.engine.check_invariants().unwrap();
    });
}

/// Orders that take, all along the capture, often twice before the book changes: never more than is shown
/// at a level, never worse than the limit, and what was taken is gone until the level leaves.
#[test]
fn a_taker_takes_no_more_than_is_shown() {
    each_capture("a_taker_takes_no_more_than_is_shown", |name, messages| {
        let mut play = Play::new(name);
        let mut taken: BTreeMap<(bool, Price), i64> = BTreeMap::new();
        let (mut fills_seen, mut partial) = (0, 0);
        for (at, data) in messages.iter().enumerate() {
            play.tell(data);
            let book = play.engine.book(&play.symbol).unwrap();
            let gone = |side: Side, price: Price| book.offered_at(side, price).is_zero();
            if let MarketBody::Depth { bids, asks, .. } = &data.body {
                for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
                    for (price, qty) in levels {
                        let key = (side == Side::Buy, *price);
                        if qty.is_zero() && gone(side, *price) {
                            taken.remove(&key);
                        } else if let Some(taken) = taken.get_mut(&key) {
                            *taken = (*taken).min(qty.raw());
                        }
                    }
                }
            }
            if at % 25 > 1 || !book.is_known() {
                continue;
            }
            let side = if at % 50 < 25 { Side::Buy } else { Side::Sell };
            let maker = side.opposite();
            let (bids, asks) = play.engine.book(&play.symbol).unwrap().top(10);
            let shown = if maker == Side::Buy { bids } else { asks };
            let Some((limit, _)) = shown.get(2).copied() else { continue };
            let lots = 200 + i64::try_from(at % 7).unwrap() * 9_000;
            let (_, fills) = play.place(side, lots, limit, TimeInForce::Ioc);
            for (fill, (price, offered)) in fills.iter().zip(&shown) {
                assert_eq!(fill.price, *price, "best first");
                assert!(fill.qty <= *offered, "{fill:?} of {offered}");
                let left = play.offered(maker, *price);
                assert_eq!(left.checked_add(fill.qty), Some(*offered), "what is taken is gone");
                *taken.entry((maker == Side::Buy, *price)).or_default() += fill.qty.raw();
            }
            assert!(fills.len() <= 3, "none is worse than the limit");
            fills_seen += fills.len();
            partial += usize::from(fills.len() == 3);
        }
        assert!(
            fills_seen > 500 && partial > 10,
            "{name}: {fills_seen} fills, {partial} through three"
        );
        play.engine.check_invariants().unwrap();
    });
}
