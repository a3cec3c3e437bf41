//! A second simulated venue, written from the contract of the first and not from its code: no ranks, no
//! maps, no plans. Everything is a list that is searched from its beginning, and every quantity moves one
//! lot at a time, so that each rule can be read off. It is slow.

use std::cmp::Ordering;

use veloz_core::event::Liquidity;
use veloz_core::risk::Reason;
use veloz_core::sim::{SimOutcome, SimReport};
use veloz_core::types::{Price, Qty, Side};

/// How an order that came is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rests with what it does not get.
    Gtc,
    /// Ends with what it does not get.
    Ioc,
    /// Gets all or nothing.
    Fok,
    /// Rests or is refused.
    PostOnly,
}

/// An order: lots at a price, or at any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming {
    pub(crate) key: usize,
    pub(crate) side: Side,
    pub(crate) kind: Kind,
    pub(crate) lots: i64,
    pub(crate) limit: Option<i64>,
}

/// Prices and lots of one side.
pub(crate) type Levels = Vec<(i64, i64)>;

#[derive(Debug, Clone)]
struct Level {
    side: Side,
    price: i64,
    lots: i64,
    /// What the account took of it.
    taken: i64,
    /// What others traded of it and nothing has shown yet.
    traded: i64,
    /// What quotes showed to be gone and no trade has explained yet.
    shown: i64,
}

#[derive(Debug, Clone)]
struct Own {
    key: usize,
    side: Side,
    price: i64,
    left: i64,
    /// The market's lots before it; unknown while the book is.
    ahead: Option<i64>,
    /// The lots that left before it by a quote, and may be told by a trade yet.
    left_by_quote: i64,
}

/// Its number, and price and lots of the best bid and ask.
type Quote = (u64, (i64, i64), (i64, i64));

#[derive(Debug, Clone)]
struct Depth {
    ids: (u64, u64),
    bids: Levels,
    asks: Levels,
}

/// Where the next lot of a taking order comes from.
enum Next {
    Offer(i64),
    OwnOrder,
    Nothing,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    known: bool,
    last_id: u64,
    /// A quote that is newer than the book.
    quote: Option<Quote>,
    waiting: Vec<Depth>,
    levels: Vec<Level>,
    /// In the order in which they came.
    own: Vec<Own>,
    told: Vec<SimReport>,
}

fn is_better(side: Side, price: i64, than: i64) -> bool {
    match side {
        Side::Buy => price > than,
        Side::Sell => price < than,
    }
}

impl Reference {
    /// What it has told since the last time it was asked.
    pub(crate) fn told(&mut self) -> Vec<SimReport> {
        std::mem::take(&mut self.told)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The account's resting orders: key, side, price, lots.
    pub(crate) fn resting(&self) -> impl Iterator<Item = (usize, Side, i64, i64)> + '_ {
        self.own.iter().map(|own| (own.key, own.side, own.price, own.left))
    }

    /// What a side offers, best first.
    pub(crate) fn offers(&self, side: Side) -> Levels {
        let mut offers: Levels = Vec::new();
        for level in self.levels.iter().filter(|level| self.known && level.side == side) {
            let offered = level.lots - level.taken - level.traded;
            if offered > 0 {
                offers.push((level.price, offered));
            }
        }
        offers.sort_by(
            |a, b| if is_better(side, a.0, b.0) { Ordering::Less } else { Ordering::Greater },
        );
        offers
    }

    pub(crate) fn place(&mut self, order: Incoming) {
        let Incoming { key, side, kind, lots, limit } = order;
        if kind == Kind::PostOnly && !matches!(self.next(side, limit), Next::Nothing) {
            return self.tell(key, SimOutcome::Rejected(Reason::WouldTake));
        }
        self.tell(key, SimOutcome::Accepted);
        if kind == Kind::Fok {
            let mut trial = self.clone();
            let (got, end) = trial.take(side, limit, lots, |_, _| {});
            if got < lots {
                let own = matches!(end, Next::OwnOrder);
                let reason = if own { Reason::SelfTrade } else { Reason::FokUnfilled };
                return self.tell(key, SimOutcome::Expired(reason));
            }
        }
        let (got, end) = self.take(side, limit, lots, |this, price| {
            this.fill(key, price, Liquidity::Taker);
        });
        if got == lots {
            return;
        }
        match (end, limit) {
            (Next::OwnOrder, _) => self.tell(key, SimOutcome::Expired(Reason::SelfTrade)),
            (_, Some(price)) if matches!(kind, Kind::Gtc | Kind::PostOnly) => {
                let offered = self.offered_at(side, price);
                let (mut ahead, mut left_by_quote) = (offered, 0);
                if self.known && self.quote.is_some() {
                    let same = |level: &&Level| (level.side, level.price) == (side, price);
                    left_by_quote = self.levels.iter().find(same).map_or(0, |level| level.shown);
                }
                // Nobody who came earlier waits for more than this one.
                for own in self.own.iter().filter(|own| (own.side, own.price) == (side, price)) {
                    ahead = ahead.max(own.ahead.unwrap_or(0));
                    let waits = own.ahead.unwrap_or(0) + own.left_by_quote;
                    left_by_quote = left_by_quote.max(waits - ahead);
                }
                let (ahead, left_by_quote) =
                    if self.known { (Some(ahead), left_by_quote) } else { (None, 0) };
                self.own.push(Own { key, side, price, left: lots - got, ahead, left_by_quote });
            }
            (_, limit) => {
                let nothing = got == 0 && self.offers(side.opposite()).is_empty();
                let no_liquidity = limit.is_none() || nothing;
                let reason = if no_liquidity { Reason::NoLiquidity } else { Reason::IocRemainder };
                self.tell(key, SimOutcome::Expired(reason));
            }
        }
    }

    pub(crate) fn cancel(&mut self, key: usize) {
        self.own.retain(|own| own.key != key);
    }

    pub(crate) fn shrink(&mut self, key: usize, lots: i64) {
        for own in self.own.iter_mut().filter(|own| own.key == key) {
            own.left = own.left.min(lots);
        }
    }

    /// A trade of others.
    pub(crate) fn trade(&mut self, price: i64, lots: i64, taker: Side) {
        self.find_places();
        for _ in 0..lots {
            let through =
                |side| move |own: &Own| own.side == side && is_better(side, own.price, price);
            let maker = taker.opposite();
            if let Some(at) = self.best_own(through(maker)) {
                self.give(at);
                continue;
            }
            let at_price = |own: &Own| own.side == maker && own.price == price;
            // Whoever stands at the front of the queue gets the lot.
            let front = self
                .own
                .iter()
                .position(|own| at_price(own) && own.ahead == Some(0) && own.left_by_quote == 0);
            if let Some(at) = front {
                self.give(at);
                continue;
            }
            for own in self.own.iter_mut().filter(|own| at_price(own) && own.ahead.is_some()) {
                if own.left_by_quote > 0 {
                    own.left_by_quote -= 1;
                } else {
                    own.ahead = own.ahead.map(|ahead| ahead - 1);
                }
            }
            if !self.known
                && let Some(at) = self.best_own(through(taker))
            {
                self.give(at);
            }
        }
        let same = |level: &&mut Level| (level.side, level.price) == (taker.opposite(), price);
        if let Some(level) = self.levels.iter_mut().find(same) {
            for _ in 0..lots {
                if level.shown > 0 {
                    level.shown -= 1;
                } else if level.traded < level.lots {
                    level.traded += 1;
                }
            }
        }
    }

    pub(crate) fn snapshot(&mut self, last_id: u64, bids: &Levels, asks: &Levels) {
        if self.known && last_id < self.last_id {
            return;
        }
        let old = std::mem::take(&mut self.levels);
        self.set_all(Side::Buy, bids);
        self.set_all(Side::Sell, asks);
        for level in &mut self.levels {
            let same = old.iter().find(|o| (o.side, o.price) == (level.side, level.price));
            level.taken = same.map_or(0, |old| old.taken.min(level.lots));
            level.shown = same.map_or(0, |old| old.shown);
        }
        (self.known, self.last_id) = (true, last_id);
        match self.quote {
            Some((id, bid, ask)) if id > last_id => self.correct(bid, ask),
            _ => self.quote = None,
        }
        self.settle();
        self.distrust_if_crossed();
        while self.known && !self.waiting.is_empty() {
            let depth = self.waiting.remove(0);
            if depth.ids.0 > self.last_id + 1 {
                (self.known, self.quote) = (false, None);
                self.waiting.insert(0, depth);
            } else {
                self.update(&depth);
            }
        }
        self.book_changed();
    }

    pub(crate) fn depth(&mut self, ids: (u64, u64), bids: &Levels, asks: &Levels) {
        let depth = Depth { ids, bids: bids.clone(), asks: asks.clone() };
        if !self.known {
            return self.waiting.push(depth);
        }
        self.update(&depth);
        self.book_changed();
    }

    pub(crate) fn quote(&mut self, id: u64, bid: (i64, i64), ask: (i64, i64)) {
        let newest = self.quote.map_or(self.last_id, |(id, ..)| id.max(self.last_id));
        if !self.known || id <= newest || bid.0 >= ask.0 {
            return;
        }
        self.quote = Some((id, bid, ask));
        self.correct(bid, ask);
        self.book_changed();
    }
}

impl Reference {
    fn tell(&mut self, key: usize, body: SimOutcome) {
        self.told.push(SimReport { key, body });
    }

    /// One lot is executed; lots of one order at one price are told together.
    fn fill(&mut self, key: usize, price: i64, liquidity: Liquidity) {
        let price = Price::from_raw(price);
        if let Some(SimReport { key: last, body }) = self.told.last_mut()
            && let SimOutcome::Fill { qty, price: at, .. } = body
            && (*last, *at) == (key, price)
        {
            *qty = Qty::from_raw(qty.raw() + 1);
            return;
        }
        self.tell(key, SimOutcome::Fill { qty: Qty::from_raw(1), price, liquidity });
    }

    /// A resting order gets one lot, at its own price.
    fn give(&mut self, at: usize) {
        let own = &mut self.own[at];
        own.left -= 1;
        (own.ahead, own.left_by_quote) = (Some(0), 0);
        let (key, price, left) = (own.key, own.price, own.left);
        self.fill(key, price, Liquidity::Maker);
        if left == 0 {
            self.own.remove(at);
        }
    }

    /// The best of the account's orders, of those that are meant: by price, then by time.
    fn best_own(&self, meant: impl Fn(&Own) -> bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (at, own) in self.own.iter().enumerate().filter(|(_, own)| meant(own)) {
            if best.is_none_or(|best| is_better(own.side, own.price, self.own[best].price)) {
                best = Some(at);
            }
        }
        best
    }

    fn offered_at(&self, side: Side, price: i64) -> i64 {
        let offers = self.offers(side);
        offers.iter().find(|(at, _)| *at == price).map_or(0, |(_, lots)| *lots)
    }

    /// Where the next lot of an order comes from that may pay so much.
    fn next(&self, side: Side, limit: Option<i64>) -> Next {
        let maker = side.opposite();
        // A price is within the limit when the limit is not better for the maker's side.
        let within = |price: i64| limit.is_none_or(|limit| !is_better(maker, limit, price));
        let own = self.best_own(|own| own.side == maker && within(own.price));
        let own = own.map(|at| &self.own[at]);
        let offer = self.offers(maker).first().map(|(price, _)| *price).filter(|p| within(*p));
        match (offer, own) {
            (None, None) => Next::Nothing,
            (None, Some(_)) => Next::OwnOrder,
            (Some(price), None) => Next::Offer(price),
            (Some(price), Some(own)) => {
                let before = is_better(maker, price, own.price)
                    || (price == own.price && own.ahead.unwrap_or(0) > 0);
                if before { Next::Offer(price) } else { Next::OwnOrder }
            }
        }
    }

    /// Takes so many lots at most. How many, and why it ended.
    fn take(
        &mut self,
        side: Side,
        limit: Option<i64>,
        lots: i64,
        mut got: impl FnMut(&mut Reference, i64),
    ) -> (i64, Next) {
        for taken in 0..lots {
            match self.next(side, limit) {
                Next::Offer(price) => {
                    self.take_lot(side.opposite(), price);
                    got(self, price);
                }
                end => return (taken, end),
            }
        }
        (lots, Next::Nothing)
    }

    /// One lot leaves the book: it stood before the account's own orders at that price.
    fn take_lot(&mut self, maker: Side, price: i64) {
        for level in &mut self.levels {
            if (level.side, level.price) == (maker, price) {
                level.taken += 1;
            }
        }
        for own in self.own.iter_mut().filter(|own| (own.side, own.price) == (maker, price)) {
            own.ahead = own.ahead.map(|ahead| (ahead - 1).max(0));
        }
    }

    fn set_all(&mut self, side: Side, levels: &Levels) {
        for &(price, lots) in levels {
            let known = self.levels.iter().position(|l| (l.side, l.price) == (side, price));
            match known {
                Some(at) if lots == 0 => {
                    self.levels.remove(at);
                }
                Some(at) => {
                    let level = &mut self.levels[at];
                    (level.lots, level.taken, level.traded) = (lots, level.taken.min(lots), 0);
                }
                None if lots == 0 => {}
                None => {
                    self.levels.push(Level { side, price, lots, taken: 0, traded: 0, shown: 0 });
                }
            }
        }
    }

    /// Changed levels of a known book; a quote that is newer knows the top better.
    fn update(&mut self, depth: &Depth) {
        let (first, last) = depth.ids;
        if last <= self.last_id {
            return;
        }
        if first > self.last_id + 1 {
            (self.known, self.quote) = (false, None);
            return self.waiting.push(depth.clone());
        }
        self.quote = self.quote.filter(|(id, ..)| *id > last);
        let top = self.quote;
        let behind = |side: Side, price: i64| {
            top.is_none_or(|(_, bid, ask)| {
                is_better(side, if side == Side::Buy { bid.0 } else { ask.0 }, price)
            })
        };
        for (side, levels) in [(Side::Buy, &depth.bids), (Side::Sell, &depth.asks)] {
            let levels = levels.iter().copied().filter(|(price, _)| behind(side, *price)).collect();
            self.set_all(side, &levels);
        }
        self.last_id = last;
        self.settle();
        self.distrust_if_crossed();
    }

    /// Nothing is better than the quote, and its own levels are as it says.
    fn correct(&mut self, bid: (i64, i64), ask: (i64, i64)) {
        self.levels.retain(|level| {
            let best = if level.side == Side::Buy { bid.0 } else { ask.0 };
            !is_better(level.side, level.price, best)
        });
        for (side, (price, lots)) in [(Side::Buy, bid), (Side::Sell, ask)] {
            let at = |level: &&mut Level| (level.side, level.price) == (side, price);
            let old = self.levels.iter_mut().find(at).map_or(0, |old| old.lots - old.traded);
            self.set_all(side, &vec![(price, lots)]);
            if let Some(level) = self.levels.iter_mut().find(at) {
                level.shown += (old - lots).max(0);
            }
        }
    }

    /// Without a quote that is newer the book has all that was traded.
    fn settle(&mut self) {
        for level in self.levels.iter_mut().filter(|_| self.quote.is_none()) {
            (level.traded, level.shown) = (0, 0);
        }
    }

    fn distrust_if_crossed(&mut self) {
        let of = |side| self.levels.iter().filter(move |l| l.side == side).map(|l| l.price);
        if let (Some(bid), Some(ask)) = (of(Side::Buy).max(), of(Side::Sell).min())
            && bid >= ask
        {
            (self.known, self.quote) = (false, None);
            self.waiting.clear();
        }
    }

    fn find_places(&mut self) {
        for at in 0..self.own.len() {
            if self.known && self.own[at].ahead.is_none() {
                let ahead = self.offered_at(self.own[at].side, self.own[at].price);
                self.own[at].ahead = Some(ahead);
            }
        }
    }

    /// The queue before an order is no longer than what stands at its price; what the other side offers at
    /// an order's price fills it.
    fn book_changed(&mut self) {
        if !self.known {
            return;
        }
        for at in 0..self.own.len() {
            // What was traded there has shortened it by itself.
            let (side, price) = (self.own[at].side, self.own[at].price);
            let level = self.levels.iter().find(|l| (l.side, l.price) == (side, price));
            let offered = level.map_or(0, |level| level.lots - level.taken);
            let own = &mut self.own[at];
            let Some(ahead) = own.ahead else { continue };
            own.ahead = Some(ahead.min(offered));
            match self.quote {
                Some(_) => own.left_by_quote += (ahead - offered).max(0),
                None => own.left_by_quote = 0,
            }
        }
        self.find_places();
        for side in [Side::Buy, Side::Sell] {
            while let Some(at) = self.best_own(|own| own.side == side) {
                let limit = self.own[at].price;
                let best = self.offers(side.opposite()).first().map(|(price, _)| *price);
                let Some(best) = best.filter(|best| !is_better(side.opposite(), limit, *best))
                else {
                    break;
                };
                for level in &mut self.levels {
                    if (level.side, level.price) == (side.opposite(), best) {
                        level.taken += 1;
                    }
                }
                self.give(at);
            }
        }
    }
}
