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

/// How the quotes of a capture are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Left,
    AsRecorded,
    /// So late that the book has gone on.
    Late,
}

/// The messages with their quotes told so.
fn with_quotes(messages: &[MarketData], quotes: Quotes) -> Vec<&MarketData> {
    const LATE: usize = 300;
    let is_quote = |data: &MarketData| matches!(data.body, MarketBody::Quote { .. });
    let mut told: Vec<_> = messages.iter().enumerate().collect();
    match quotes {
        Quotes::Left => told.retain(|(_, data)| !is_quote(data)),
        Quotes::AsRecorded => {}
        Quotes::Late => told.sort_by_key(|(at, data)| at + if is_quote(data) { LATE } else { 0 }),
    }
    told.into_iter().map(|(_, data)| data).collect()
}

/// After every update of the exchange's book the simulated one is the same, level by level, whatever
/// quotes come in between. A quote that is older than the book changes nothing.
#[test]
fn the_simulated_book_is_the_exchanges() {
    each_capture("the_simulated_book_is_the_exchanges", |name, messages| {
        for quotes in [Quotes::Left, Quotes::AsRecorded, Quotes::Late] {
            let (compared, old_quotes) = compare_books(name, &with_quotes(messages, quotes));
            let least = if quotes == Quotes::AsRecorded { 100 } else { 3_000 };
            assert!(compared > least, "{name}: {compared} compared, quotes {quotes:?}");
            let is_late = quotes == Quotes::Late;
            assert!(!is_late || old_quotes > 10_000, "{name}: {old_quotes} old quotes");
        }
    });
}

/// How many updates were compared, and how many quotes were older than the book.
fn compare_books(name: &str, messages: &[&MarketData]) -> (usize, usize) {
    let mut play = Play::new(name);
    let mut exchange = NaiveBook::default();
    let (mut compared, mut old_quotes, mut newest_quote) = (0, 0, 0);
    for data in messages {
        let book = play.engine.book(&play.symbol).unwrap();
        let (known, before) = (book.last_id(), book.top(20));
        play.tell(data);
        exchange.apply(&data.body);
        let book = play.engine.book(&play.symbol).unwrap();
        match data.body {
            MarketBody::Quote { update_id, .. } if known.is_some_and(|last| update_id <= last) => {
                old_quotes += 1;
                assert!(book.top(20) == before, "{name}: an old quote, {update_id}");
            }
            MarketBody::Quote { update_id, .. } => newest_quote = newest_quote.max(update_id),
            MarketBody::Depth { last_id, .. } if book.is_known() && newest_quote <= last_id => {
                assert!(book.top(ALL_LEVELS) == exchange.levels(), "{name}, update {last_id}");
                compared += 1;
            }
            _ => {}
        }
    }
    (compared, old_quotes)
}

/// A resting order and what was seen at its price since it came.
struct Resting {
    id: ClientOrderId,
    side: Side,
    price: Price,
    /// The least that has stood there since it came, and what has traded there.
    least: Qty,
    traded: Qty,
    filled: bool,
}

impl Resting {
    /// Whether a price is the order's own or beyond it.
    fn is_reached(&self, price: Price) -> bool {
        match self.side {
            Side::Buy => price <= self.price,
            Side::Sell => price >= self.price,
        }
    }

    /// Checks a fill of it, by what the source has just said.
    fn check(&mut self, fill: &Fill, by: &MarketBody, best: Option<Price>) {
        assert_eq!((fill.liquidity, fill.price), (Some(Liquidity::Maker), self.price));
        match *by {
            MarketBody::Trade { price, side, .. } => {
                assert!(side != self.side && self.is_reached(price), "{fill:?} by {by:?}");
                // What stood before it has traded, or left.
                let waited = self.filled || price != self.price || self.traded > self.least;
                let (traded, least) = (self.traded, self.least);
                assert!(waited, "{fill:?}: {traded} traded, {least} stood there all the time");
            }
            // The other side has come to its price: it would have met the order.
            _ => assert!(best.is_some_and(|best| self.is_reached(best)), "{fill:?} by {by:?}"),
        }
        self.filled = true;
    }
}

/// Two orders at the best bid and two at the best ask.
fn rest_at_the_touch(play: &mut Play) -> Vec<Resting> {
    let mut resting = Vec::new();
    for (side, lots) in
        [(Side::Buy, 300), (Side::Buy, 2_000), (Side::Sell, 300), (Side::Sell, 2_000)]
    {
        let Some(price) = play.best(side) else { continue };
        let least = play.offered(side, price);
        let (id, fills) = play.place(side, lots, price, TimeInForce::Gtc);
        assert!(fills.is_empty());
        resting.push(Resting { id, side, price, least, traded: Qty::ZERO, filled: false });
    }
    resting
}

/// Orders at the touch for the whole capture. Each fills at first only when the volume that stood before it
/// has traded or left; all together get no more of a trade than it had, and nothing but at or through
/// their price.
#[test]
fn a_resting_order_waits_for_the_volume_before_it() {
    each_capture("a_resting_order_waits_for_the_volume_before_it", |name, messages| {
        let mut play = Play::new(name);
        let mut resting: Vec<Resting> = Vec::new();
        let (mut filled, mut total, mut tape) = (0, 0, 0);
        for (at, data) in messages.iter().enumerate() {
            if let MarketBody::Trade { price, qty, side, .. } = data.body {
                for order in resting.iter_mut().filter(|o| o.side != side && o.price == price) {
                    order.traded = order.traded.checked_add(qty).unwrap();
                }
                let met = resting.iter().any(|o| o.side != side && o.is_reached(price));
                tape += if met { qty.raw() } else { 0 };
            }
            let fills = play.tell(data);
            for order in &mut resting {
                order.least = order.least.min(play.offered(order.side, order.price));
            }
            for fill in &fills {
                let order = resting.iter_mut().find(|o| o.id == fill.client_order_id).unwrap();
                order.check(fill, &data.body, play.best(order.side.opposite()));
            }
            if let MarketBody::Trade { qty, .. } = data.body {
                let of_trade: i64 = fills.iter().map(|fill| fill.qty.raw()).sum();
                assert!(of_trade <= qty.raw(), "{fills:?} by {data:?}");
                total += of_trade;
            }
            filled += fills.len();
            if at % 400 == 300 {
                for order in resting.drain(..) {
                    play.cancel(order.id);
                }
                resting = rest_at_the_touch(&mut play);
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
