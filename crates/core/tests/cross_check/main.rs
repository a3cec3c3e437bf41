//! The simulated venue against a second one that is slow and obvious: the same random operations, the same
//! reports, the same books, the same orders resting: ten million of them. A failure names its seed
//! and operation.

#![cfg(test)]

mod reference;

use std::collections::BTreeMap;
use std::io::Write;

use reference::{Incoming, Kind, Levels, Reference};
use veloz_core::input::MarketBody;
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::sim::{self, RestId, SimMarket, SimReport, Ticket};
use veloz_core::types::{Price, Qty, Side};

const SEEDS: u64 = 1_000;
/// Of each seed.
const OPERATIONS: u64 = 10_000;
/// More than there are levels.
const ALL_LEVELS: usize = 1_000;

/// What is done to both.
#[derive(Debug, Clone)]
enum Operation {
    Place(Incoming),
    Cancel(usize),
    Shrink(usize, i64),
    Trade(i64, i64, Side),
    Depth((u64, u64), Levels, Levels),
    Snapshot(u64, Levels, Levels),
    Quote(u64, (i64, i64), (i64, i64)),
}

/// Makes operations up: mostly such as a market has, sometimes such as it must not have.
struct Generator {
    random: fastrand::Rng,
    middle: i64,
    /// The number of the last update that the source has made up.
    last_id: u64,
    keys: usize,
}

impl Generator {
    fn next(&mut self, reference: &Reference) -> Operation {
        let resting: Vec<_> = reference.resting().collect();
        let chosen = (!resting.is_empty()).then(|| resting[self.random.usize(..resting.len())]);
        match (self.random.u32(..100), chosen) {
            (0..40, _) => self.place(),
            (40..50, Some((key, ..))) => Operation::Cancel(key),
            (50..54, Some((key, _, _, left))) => Operation::Shrink(key, self.random.i64(1..=left)),
            (54..72, _) => {
                let (price, side) = (self.price(3), self.side());
                Operation::Trade(price, self.random.i64(1..10), side)
            }
            (72..78, _) => self.quote(),
            (78..82, _) => self.snapshot(),
            _ if !reference.is_known() && self.random.bool() => self.snapshot(),
            _ => self.depth(),
        }
    }

    fn side(&mut self) -> Side {
        if self.random.bool() { Side::Buy } else { Side::Sell }
    }

    fn price(&mut self, around: i64) -> i64 {
        self.middle + self.random.i64(-around..=around)
    }

    fn place(&mut self) -> Operation {
        self.keys += 1;
        let kind = match self.random.u32(..10) {
            0..6 => Kind::Gtc,
            6..8 => Kind::Ioc,
            8 => Kind::Fok,
            _ => Kind::PostOnly,
        };
        let any_price = kind == Kind::Ioc && self.random.bool();
        let limit = (!any_price).then(|| self.price(5));
        let (key, side, lots) = (self.keys, self.side(), self.random.i64(1..12));
        Operation::Place(Incoming { key, side, kind, lots, limit })
    }

    /// Levels on the right side of the middle, some to be removed; rarely on the wrong one.
    fn levels(&mut self, side: Side, count: usize) -> Levels {
        let mut levels = Levels::new();
        for _ in 0..self.random.usize(..=count) {
            let away = if self.random.u32(..200) == 0 { -2 } else { self.random.i64(1..7) };
            let price = if side == Side::Buy { self.middle - away } else { self.middle + away };
            let lots = if self.random.u32(..4) == 0 { 0 } else { self.random.i64(1..10) };
            levels.retain(|(known, _)| *known != price);
            levels.push((price, lots));
        }
        levels
    }

    /// The middle moves, and what stood on its other side goes.
    fn depth(&mut self) -> Operation {
        self.middle = (self.middle + self.random.i64(-1..=1)).clamp(50, 150);
        let (mut bids, mut asks) = (self.levels(Side::Buy, 4), self.levels(Side::Sell, 4));
        for away in 0..12 {
            bids.push((self.middle + away, 0));
            asks.push((self.middle - away, 0));
        }
        let first = match self.random.u32(..100) {
            0 => self.last_id + 1 + self.random.u64(1..3),
            1..5 => self.last_id.saturating_sub(1),
            _ => self.last_id + 1,
        };
        let last = match self.random.u32(..50) {
            0 => self.last_id,
            _ => first.max(self.last_id) + self.random.u64(..3),
        };
        self.last_id = self.last_id.max(last);
        Operation::Depth((first, last.max(first)), bids, asks)
    }

    fn snapshot(&mut self) -> Operation {
        let old = self.random.u32(..5) == 0;
        let id = if old { self.last_id.saturating_sub(2) } else { self.last_id };
        let some = |mut levels: Levels| {
            levels.retain(|(_, lots)| *lots > 0);
            levels
        };
        let (bids, asks) = (self.levels(Side::Buy, 7), self.levels(Side::Sell, 7));
        Operation::Snapshot(id, some(bids), some(asks))
    }

    fn quote(&mut self) -> Operation {
        let bid = self.price(2);
        let ask = bid + self.random.i64(0..3);
        let id = self.last_id + self.random.u64(..4);
        let lots = |random: &mut fastrand::Rng| random.i64(1..10);
        let (bid, ask) = ((bid, lots(&mut self.random)), (ask, lots(&mut self.random)));
        Operation::Quote(id, bid, ask)
    }
}

fn levels(levels: &Levels) -> Vec<(Price, Qty)> {
    levels.iter().map(|&(price, lots)| (Price::from_raw(price), Qty::from_raw(lots))).collect()
}

fn ticket(key: usize) -> Ticket {
    Ticket { queued_at: 0, key }
}

fn incoming(order: &Incoming) -> sim::Incoming {
    let (order_type, time_in_force) = match (order.kind, order.limit) {
        (_, None) => (OrderType::Market, TimeInForce::Ioc),
        (Kind::Gtc, _) => (OrderType::Limit, TimeInForce::Gtc),
        (Kind::Ioc, _) => (OrderType::Limit, TimeInForce::Ioc),
        (Kind::Fok, _) => (OrderType::Limit, TimeInForce::Fok),
        (Kind::PostOnly, _) => (OrderType::LimitMaker, TimeInForce::Gtc),
    };
    let price = order.limit.map(Price::from_raw);
    let (side, qty) = (order.side, Qty::from_raw(order.lots));
    sim::Incoming { side, order_type, time_in_force, qty, price }
}

/// Where the orders rest, by key.
type Rests = BTreeMap<usize, RestId>;

/// Does the same to both.
fn apply(
    what: &Operation,
    (sim, rests): (&mut SimMarket, &mut Rests),
    reference: &mut Reference,
    out: &mut Vec<SimReport>,
) {
    let side_of = |reference: &Reference, key: usize| {
        let found = reference.resting().find(|(known, ..)| *known == key);
        found.map(|(_, side, ..)| side).expect("it rests")
    };
    let body = match what {
        Operation::Place(order) => {
            reference.place(*order);
            let at = sim.place(ticket(order.key), &incoming(order), out);
            rests.extend(at.map(|at| (order.key, at)));
            return;
        }
        Operation::Cancel(key) => {
            let (at, side) = (rests[key], side_of(reference, *key));
            reference.cancel(*key);
            assert!(sim.cancel(at, ticket(*key), side), "it rests");
            assert!(!sim.cancel(at, ticket(*key), side), "it is gone");
            return;
        }
        Operation::Shrink(key, lots) => {
            let (at, side) = (rests[key], side_of(reference, *key));
            reference.shrink(*key, *lots);
            return sim.shrink(at, ticket(*key), side, Qty::from_raw(*lots));
        }
        Operation::Trade(price, lots, side) => {
            reference.trade(*price, *lots, *side);
            let (price, qty) = (Price::from_raw(*price), Qty::from_raw(*lots));
            MarketBody::Trade { ts_ns: 1, price, qty, side: *side, trade_id: 1 }
        }
        Operation::Depth(ids, bids, asks) => {
            reference.depth(*ids, bids, asks);
            let (bids, asks) = (levels(bids), levels(asks));
            MarketBody::Depth { first_id: ids.0, last_id: ids.1, bids, asks }
        }
        Operation::Snapshot(last_id, bids, asks) => {
            reference.snapshot(*last_id, bids, asks);
            let (bids, asks) = (levels(bids), levels(asks));
            MarketBody::Snapshot { last_id: *last_id, bids, asks }
        }
        Operation::Quote(id, bid, ask) => {
            reference.quote(*id, *bid, *ask);
            let level = |(price, lots)| (Price::from_raw(price), Qty::from_raw(lots));
            MarketBody::Quote { update_id: *id, bid: level(*bid), ask: level(*ask) }
        }
    };
    sim.market(1, &body, out);
}

/// One seed's operations; gives back how many fills there were.
fn check(seed: u64, operations: u64) -> usize {
    let random = fastrand::Rng::with_seed(seed);
    let mut generator = Generator { random, middle: 100, last_id: 10, keys: 0 };
    let (mut sim, mut reference) = (SimMarket::default(), Reference::default());
    let (mut rests, mut out) = (Rests::new(), Vec::new());
    let mut fills = 0;
    for number in 0..operations {
        let what = generator.next(&reference);
        out.clear();
        apply(&what, (&mut sim, &mut rests), &mut reference, &mut out);
        let at = || format!("seed {seed}, operation {number}: {what:?}");
        assert_eq!(out, reference.told(), "reports, {}", at());
        assert_eq!(sim.book().is_known(), reference.is_known(), "known, {}", at());
        let (bids, asks) = sim.book().top(ALL_LEVELS);
        assert_eq!(bids, levels(&reference.offers(Side::Buy)), "bids, {}", at());
        assert_eq!(asks, levels(&reference.offers(Side::Sell)), "asks, {}", at());
        assert_eq!(sim.resting_count(), reference.resting().count(), "resting, {}", at());
        for (key, side, price, left) in reference.resting() {
            let remaining = sim.remaining(rests[&key], ticket(key), side, Price::from_raw(price));
            assert_eq!(remaining, Some(Qty::from_raw(left)), "order {key}, {}", at());
        }
        let is_fill =
            |report: &&SimReport| matches!(report.body, veloz_core::sim::SimOutcome::Fill { .. });
        fills += out.iter().filter(is_fill).count();
        assert!(reference.last_id() <= generator.last_id + 4, "{}", at());
    }
    fills
}

#[test]
fn the_same_operations_give_the_same_fills_and_books() {
    let fills: usize = (0..SEEDS).map(|seed| check(seed, OPERATIONS)).sum();
    let total = usize::try_from(SEEDS * OPERATIONS).unwrap();
    let told = format!("{total} operations, {fills} fills\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    assert!(fills > total / 10, "{fills} fills of {total} operations try nothing");
}
