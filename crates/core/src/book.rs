//! The market's book of one instrument, as the source tells it.
//!
//! Contract: the book is empty until it is known. It becomes known by a snapshot, goes on by contiguous
//! depth updates (those that came before the snapshot are buffered and applied as Binance's procedure
//! says), and is unknown again after a gap or an update that would cross it, until the next snapshot. A
//! quote older than the book is ignored; a newer one corrects the top, and older depth updates that come
//! after it leave the top alone. So the book is never crossed.
//!
//! What the simulated venue took of a level stays taken until it leaves the level or the level leaves:
//! the source does not know of it, and the same liquidity must not fill twice. (Unless it only borrows it.)
//!
//! What others have traded is gone too, from the trade on: the update that shows it may come later. One that came
//! before, a quote, is not counted again, until a depth update has told all that quotes told.
//!
//! Known limit: a side keeps its best [`limits::BOOK_SIDE_LEVELS_COUNT`] levels.

use std::collections::{BTreeMap, VecDeque};

use crate::limits;
use crate::types::{Price, Qty, Side, TsNs};

/// A level of a book: its price and its quantity.
pub type PriceLevel = (Price, Qty);

/// The market's book of one instrument: empty while it is not known.
#[derive(Debug, Clone, Default)]
pub struct Book {
    known: bool,
    /// The last update number that it holds all of.
    last_id: u64,
    ts_ns: TsNs,
    bids: Levels,
    asks: Levels,
    /// The newest quote, while it is newer than the book.
    quote: Option<Quote>,
    waiting: VecDeque<Depth>,
    changes: Vec<LevelChange>,
    /// Where the simulated venue took since the last time that it gave back.
    taken_at: Vec<(Side, i64)>,
    /// Levels with something that was traded or shown, until an update has told all of it.
    unsettled: Vec<(Side, i64)>,
}

/// A level that an update changed: whose side, its price, its quantity now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// The side it is on.
    pub side: Side,
    /// Its price.
    pub price: Price,
    /// Its quantity now; zero when it is gone.
    pub qty: Qty,
}

/// The order of prices on one side, best first: a lower rank is better.
pub(crate) const fn rank(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => price.raw().saturating_neg(),
        Side::Sell => price.raw(),
    }
}

/// The price of a rank.
pub(crate) const fn price_at(side: Side, rank: i64) -> Price {
    match side {
        Side::Buy => Price::from_raw(rank.saturating_neg()),
        Side::Sell => Price::from_raw(rank),
    }
}

type Levels = BTreeMap<i64, Level>;

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    qty: Qty,
    /// What the simulated venue took of it.
    taken: Qty,
    /// What others traded of it that no update has shown yet.
    traded: Qty,
    /// By how much quotes have shown it to shrink, where no trade has told why yet.
    shown: Qty,
}

impl Level {
    fn offered(self) -> Qty {
        self.qty.saturating_sub(self.taken).saturating_sub(self.traded).max(Qty::ZERO)
    }
}

#[derive(Debug, Clone, Copy)]
struct Quote {
    id: u64,
    bid: PriceLevel,
    ask: PriceLevel,
}

#[derive(Debug, Clone)]
struct Depth {
    first_id: u64,
    last_id: u64,
    bids: Vec<PriceLevel>,
    asks: Vec<PriceLevel>,
}

impl Book {
    /// The best levels, `depth` at most of each side: bids, asks. What the simulated venue took is gone.
    pub fn top(&self, depth: usize) -> (Vec<PriceLevel>, Vec<PriceLevel>) {
        let side = |side| self.offers(side).take(depth).collect();
        (side(Side::Buy), side(Side::Sell))
    }

    /// When it last changed.
    pub fn ts_ns(&self) -> TsNs {
        self.ts_ns
    }

    /// Whether the source has told it.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// The number of the last update in it; `None` while it is not known.
    pub fn last_id(&self) -> Option<u64> {
        self.known.then_some(self.last_id)
    }

    /// The market's best price of a side.
    pub fn best(&self, side: Side) -> Option<Price> {
        let best = if self.known { self.levels(side).first_key_value() } else { None };
        best.map(|(&rank, _)| price_at(side, rank))
    }

    /// What is still offered on a side, best first.
    pub fn offers(&self, side: Side) -> impl Iterator<Item = PriceLevel> {
        let levels = self.known.then(|| self.levels(side).iter());
        levels.into_iter().flatten().filter_map(move |(&rank, level)| {
            let offered = level.offered();
            (!offered.is_zero()).then(|| (price_at(side, rank), offered))
        })
    }

    /// What is still offered at a price.
    pub fn offered_at(&self, side: Side, price: Price) -> Qty {
        let level = if self.known { self.levels(side).get(&rank(side, price)) } else { None };
        level.map(|level| level.offered()).unwrap_or_default()
    }

    /// Takes liquidity: `qty` of what is offered at a price.
    pub fn take(&mut self, side: Side, price: Price, qty: Qty) {
        if let Some(level) = self.levels_mut(side).get_mut(&rank(side, price)) {
            level.taken = level.taken.saturating_add(qty).min(level.qty);
        }
    }

    /// Others have traded on a side at a price.
    pub fn trade(&mut self, side: Side, price: Price, qty: Qty) {
        let rank = rank(side, price);
        let Some(level) = self.levels_mut(side).get_mut(&rank) else { return };
        let shown = level.shown.min(qty);
        level.shown = level.shown.saturating_sub(shown);
        let traded = level.traded.saturating_add(qty.saturating_sub(shown));
        level.traded = traded.min(level.qty);
        self.unsettle(side, rank);
    }

    /// What quotes have shown to be gone at a price, where no trade has told why yet.
    pub fn shown_at(&self, side: Side, price: Price) -> Qty {
        let level = self.levels(side).get(&rank(side, price));
        level.map(|level| level.shown).unwrap_or_default()
    }

    /// Whether trades or quotes have told what depth updates have yet to tell.
    pub fn is_ahead(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Whether depth updates have told all that quotes told.
    pub fn is_settled(&self) -> bool {
        self.quote.is_none()
    }

    /// The same, until [`Book::give_back`].
    pub fn borrow(&mut self, side: Side, price: Price, qty: Qty) {
        self.take(side, price, qty);
        self.taken_at.push((side, rank(side, price)));
    }

    /// Offers again what was borrowed.
    pub fn give_back(&mut self) {
        while let Some((side, rank)) = self.taken_at.pop() {
            if let Some(level) = self.levels_mut(side).get_mut(&rank) {
                level.taken = Qty::ZERO;
            }
        }
    }

    /// The levels that the last update changed.
    pub fn changes(&self) -> &[LevelChange] {
        &self.changes
    }

    /// The whole book at update `last_id`. One that is older than the book is ignored.
    pub fn snapshot(&mut self, now: TsNs, last_id: u64, bids: &[PriceLevel], asks: &[PriceLevel]) {
        self.changes.clear();
        if self.known && last_id < self.last_id {
            return;
        }
        self.replace(Side::Buy, bids);
        self.replace(Side::Sell, asks);
        (self.known, self.last_id, self.ts_ns) = (true, last_id, now);
        match self.quote.take() {
            Some(quote) if quote.id > last_id => self.correct(quote),
            _ => {}
        }
        self.settle();
        self.close_if_crossed();
        self.apply_waiting(now);
    }

    /// Changed levels, of the updates `ids` (first, last), with absolute quantities.
    pub fn depth(&mut self, now: TsNs, ids: (u64, u64), bids: &[PriceLevel], asks: &[PriceLevel]) {
        self.changes.clear();
        if self.known {
            self.depth_at(now, ids, bids, asks);
        } else {
            self.wait_for_snapshot(ids, bids, asks);
        }
    }

    /// The best bid and ask at update `id`. Ignored while the book is unknown, and when it is newer.
    pub fn quote(&mut self, now: TsNs, id: u64, bid: PriceLevel, ask: PriceLevel) {
        self.changes.clear();
        let newest = self.quote.map_or(self.last_id, |quote| quote.id.max(self.last_id));
        if !self.known || id <= newest || bid.0 <= Price::ZERO || bid.0 >= ask.0 {
            return;
        }
        self.ts_ns = now;
        self.correct(Quote { id, bid, ask });
    }

    fn levels(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn levels_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn set(&mut self, side: Side, price: Price, qty: Qty) {
        let levels = self.levels_mut(side);
        if qty.raw() <= 0 {
            levels.remove(&rank(side, price));
        } else {
            let level = levels.entry(rank(side, price)).or_default();
            *level = Level { qty, taken: level.taken.min(qty), traded: Qty::ZERO, ..*level };
            if levels.len() > limits::BOOK_SIDE_LEVELS_COUNT {
                levels.pop_last();
            }
        }
        self.changes.push(LevelChange { side, price, qty });
    }

    fn replace(&mut self, side: Side, new: &[PriceLevel]) {
        let old = std::mem::take(self.levels_mut(side));
        for &(price, qty) in new.iter().filter(|(price, _)| price.raw() > 0) {
            self.set(side, price, qty);
        }
        for (rank, old) in old {
            match self.levels_mut(side).get_mut(&rank) {
                Some(level) => {
                    level.taken = old.taken.min(level.qty);
                    level.shown = old.shown;
                }
                None => {
                    let price = price_at(side, rank);
                    self.changes.push(LevelChange { side, price, qty: Qty::ZERO });
                }
            }
        }
    }

    fn depth_at(
        &mut self,
        now: TsNs,
        (first_id, last_id): (u64, u64),
        bids: &[PriceLevel],
        asks: &[PriceLevel],
    ) {
        if last_id <= self.last_id {
            return;
        }
        if first_id > self.last_id.saturating_add(1) {
            self.known = false;
            self.quote = None;
            return self.wait_for_snapshot((first_id, last_id), bids, asks);
        }
        // A quote that is newer than this update knows the top better.
        self.quote = self.quote.filter(|quote| quote.id > last_id);
        let best = |side| {
            self.quote.map(|q| rank(side, if side == Side::Buy { q.bid.0 } else { q.ask.0 }))
        };
        for (side, best, levels) in
            [(Side::Buy, best(Side::Buy), bids), (Side::Sell, best(Side::Sell), asks)]
        {
            for &(price, qty) in levels {
                if price.raw() > 0 && best.is_none_or(|best| rank(side, price) > best) {
                    self.set(side, price, qty);
                }
            }
        }
        (self.last_id, self.ts_ns) = (last_id, now);
        self.settle();
        self.close_if_crossed();
    }

    /// The updates that came before the snapshot. Those that it does not reach wait for a newer one.
    fn apply_waiting(&mut self, now: TsNs) {
        while self.known
            && let Some(depth) = self.waiting.pop_front()
        {
            if depth.first_id > self.last_id.saturating_add(1) {
                self.known = false;
                self.quote = None;
                self.waiting.push_front(depth);
            } else {
                self.depth_at(now, (depth.first_id, depth.last_id), &depth.bids, &depth.asks);
            }
        }
    }

    fn correct(&mut self, quote: Quote) {
        self.quote = Some(quote);
        for (side, (price, qty)) in [(Side::Buy, quote.bid), (Side::Sell, quote.ask)] {
            while let Some((&best, _)) = self.levels(side).first_key_value()
                && best < rank(side, price)
            {
                self.set(side, price_at(side, best), Qty::ZERO);
            }
            self.show(side, price, qty);
        }
    }

    /// A level is as a quote says: what of it is gone may be told by a trade that comes later.
    fn show(&mut self, side: Side, price: Price, qty: Qty) {
        let rank = rank(side, price);
        let old = self.levels(side).get(&rank).copied().unwrap_or_default();
        self.set(side, price, qty);
        let gone = old.qty.saturating_sub(old.traded).saturating_sub(qty).max(Qty::ZERO);
        if let Some(level) = self.levels_mut(side).get_mut(&rank).filter(|_| !gone.is_zero()) {
            level.shown = level.shown.saturating_add(gone);
            self.unsettle(side, rank);
        }
    }

    fn unsettle(&mut self, side: Side, rank: i64) {
        if self.unsettled.len() >= limits::BOOK_UNSETTLED_COUNT {
            self.forget_unsettled();
        }
        if self.unsettled.last() != Some(&(side, rank)) {
            self.unsettled.push((side, rank));
        }
    }

    /// Whatever was traded before, the book has it, unless a quote is still newer.
    fn settle(&mut self) {
        if self.is_settled() {
            self.forget_unsettled();
        }
    }

    fn forget_unsettled(&mut self) {
        while let Some((side, rank)) = self.unsettled.pop() {
            if let Some(level) = self.levels_mut(side).get_mut(&rank) {
                (level.traded, level.shown) = (Qty::ZERO, Qty::ZERO);
            }
        }
    }

    fn wait_for_snapshot(&mut self, ids: (u64, u64), bids: &[PriceLevel], asks: &[PriceLevel]) {
        if self.waiting.len() >= limits::BUFFERED_DEPTH_UPDATES_COUNT {
            self.waiting.pop_front();
        }
        let (first_id, last_id) = ids;
        self.waiting.push_back(Depth { first_id, last_id, bids: bids.into(), asks: asks.into() });
    }

    /// A source that tells a crossed book is wrong somewhere: nothing is known until it tells the whole.
    fn close_if_crossed(&mut self) {
        let best = (self.best(Side::Buy), self.best(Side::Sell));
        if let (Some(bid), Some(ask)) = best
            && bid >= ask
        {
            self.known = false;
            self.quote = None;
            self.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Vec<PriceLevel> {
        let level = |level: &str| {
            let (price, qty) = level.split_once('x').unwrap();
            (price.parse().unwrap(), qty.parse().unwrap())
        };
        text.split_whitespace().map(level).collect()
    }

    /// What a source says: `S` snapshot at an id, `D` depth of ids, `Q` quote at an id.
    enum Say {
        S(u64, &'static str, &'static str),
        D(u64, u64, &'static str, &'static str),
        Q(u64, &'static str, &'static str),
    }
    use Say::{D, Q, S};

    fn tell(book: &mut Book, say: &Say) {
        match say {
            S(id, bids, asks) => book.snapshot(1, *id, &levels(bids), &levels(asks)),
            D(from, to, bids, asks) => book.depth(1, (*from, *to), &levels(bids), &levels(asks)),
            Q(id, bid, ask) => book.quote(1, *id, levels(bid)[0], levels(ask)[0]),
        }
    }

    /// After all is said, the book is `bids | asks`, or `?` when it is not known.
    fn check(says: &[Say], expected: &str) {
        let mut book = Book::default();
        says.iter().for_each(|say| tell(&mut book, say));
        let (bids, asks) = book.top(10);
        let text = |levels: Vec<PriceLevel>| {
            let levels: Vec<_> = levels.iter().map(|(p, q)| format!("{p}x{q}")).collect();
            levels.join(" ")
        };
        let shown = format!("{} | {}", text(bids), text(asks));
        assert_eq!(if book.is_known() { shown } else { "?".into() }, expected);
    }

    #[test]
    fn a_book_is_known_by_its_snapshot_and_goes_on_without_a_gap() {
        check(&[], "?");
        check(&[D(1, 5, "9x1", "11x1"), Q(6, "9x1", "11x1")], "?");
        check(&[S(5, "9x1 8x2", "11x1")], "9.0x1.0 8.0x2.0 | 11.0x1.0");
        // Buffered: the old one is dropped, the one that spans the snapshot is applied.
        let early = [D(1, 4, "7x7", ""), D(5, 6, "9x3", ""), D(7, 7, "", "11x0 12x1")];
        let [a, b, c] = early;
        check(&[a, b, c, S(5, "9x1", "11x1")], "9.0x3.0 | 12.0x1.0");
        // The snapshot is older than what is buffered: wait for a newer one.
        check(&[D(7, 8, "9x3", ""), S(5, "9x1", "11x1")], "?");
        check(
            &[D(7, 8, "9x3", ""), S(5, "9x1", "11x1"), D(9, 9, "8x1", ""), S(6, "9x1", "11x1")],
            "9.0x3.0 8.0x1.0 | 11.0x1.0",
        );
    }

    #[test]
    fn gaps_and_old_updates() {
        let start = || S(5, "9x1", "11x1");
        check(&[start(), D(3, 5, "9x9", ""), D(1, 2, "9x8", "")], "9.0x1.0 | 11.0x1.0");
        check(&[start(), D(4, 6, "9x2", "")], "9.0x2.0 | 11.0x1.0");
        check(&[start(), D(7, 7, "9x2", "")], "?");
        check(&[start(), D(7, 7, "9x2", ""), S(4, "9x1", "11x1")], "?");
        check(
            &[start(), D(7, 7, "9x2", ""), D(8, 8, "8x1", ""), S(6, "9x1", "11x1")],
            "9.0x2.0 8.0x1.0 | 11.0x1.0",
        );
        // Older than a book that is known: ignored.
        check(&[start(), S(4, "5x1", "6x1")], "9.0x1.0 | 11.0x1.0");
        check(&[start(), S(8, "5x1", "6x1")], "5.0x1.0 | 6.0x1.0");
    }

    #[test]
    fn quotes_correct_the_top_and_never_cross_it() {
        let start = || S(5, "9x1 8x2", "11x1 12x2");
        check(&[start(), Q(5, "8x9", "12x9")], "9.0x1.0 8.0x2.0 | 11.0x1.0 12.0x2.0");
        check(&[start(), Q(6, "8x9", "10x1")], "8.0x9.0 | 10.0x1.0 11.0x1.0 12.0x2.0");
        check(&[start(), Q(7, "8x9", "12x1"), Q(6, "9x1", "11x1")], "8.0x9.0 | 12.0x1.0");
        check(&[start(), Q(6, "11x9", "11x1")], "9.0x1.0 8.0x2.0 | 11.0x1.0 12.0x2.0");
        // The update is older than the quote: the top stays, what is behind it follows.
        check(
            &[start(), Q(9, "8x9", "10x1"), D(6, 7, "9x5 8x4 7x1", "11x0 10x7")],
            "8.0x9.0 7.0x1.0 | 10.0x1.0 12.0x2.0",
        );
        check(
            &[start(), Q(9, "8x9", "10x1"), D(6, 10, "9x5", "10x7")],
            "9.0x5.0 8.0x9.0 | 10.0x7.0 11.0x1.0 12.0x2.0",
        );
        // A source that crosses itself is not believed until it tells the whole.
        check(&[start(), D(6, 6, "11x1", "")], "?");
        check(&[start(), D(6, 6, "11x1", ""), S(7, "9x1", "10x1")], "9.0x1.0 | 10.0x1.0");
    }

    #[test]
    fn what_waits_and_what_is_held_is_bounded() {
        let mut book = Book::default();
        for id in 1..10_000 {
            tell(&mut book, &D(id, id, "9x1", ""));
        }
        assert_eq!(book.waiting.len(), limits::BUFFERED_DEPTH_UPDATES_COUNT);
        let raw = |i| (Price::from_raw(i), Qty::from_raw(1));
        let many: Vec<_> = (1..=30_000).map(raw).collect();
        book.snapshot(1, 20_000, &many, &[]);
        assert_eq!(book.bids.len(), limits::BOOK_SIDE_LEVELS_COUNT);
        assert_eq!(book.best(Side::Buy), Some(Price::from_raw(30_000)));
    }
}
