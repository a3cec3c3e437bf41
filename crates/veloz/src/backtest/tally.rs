//! What a replay's account came to: from the events of the log, and from nothing else.
//!
//! Contract: every figure follows from the `market`, `fill` and `account` events, exactly:
//!
//! - An asset is worth what the last trade of its pair in the chosen quote asset says; until the first one,
//!   what that first one says (or an own fill before it). What has no price there is worth nothing, and
//!   is told as such.
//! - Equity is what the account holds, locked or not, at these prices.
//! - The result of a pair is by average cost, in its quote asset, before fees: realised where a fill closes
//!   what an earlier one opened, unrealised for what is open, at the last price. The position starts at
//!   nothing, whatever the account held. Only the split between the two is ever rounded, never their sum.
//!
//! Known limit: one price serves both directions, so an asset that is only the quote of a pair of the
//! chosen one (BTC of USDTBTC) has no price.

use std::collections::BTreeMap;

use veloz_core::event::{Event, Fill, Liquidity};
use veloz_core::instrument::Instrument;
use veloz_core::limits::REPLAY_SHOWN_FILLS;
use veloz_core::types::{Asset, Money, Price, Side, Symbol, TsNs};

use super::curve::Curve;

/// The account over a replay.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) quote: Asset,
    pub(super) holdings: Vec<Holding>,
    pub(super) pairs: Vec<PairTally>,
    pub(super) fees: BTreeMap<Asset, Money>,
    pub(super) equity: Curve,
    /// What the holdings of the start are worth.
    pub(super) held: Curve,
    pub(super) drawdown: Drawdown,
    /// The highest equity so far, and when it was.
    peak: Option<(Money, TsNs)>,
    /// The account has told of itself.
    is_open: bool,
    is_changed: bool,
}

/// What the account has of one asset.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) asset: Asset,
    pub(super) start: Money,
    pub(super) now: Money,
    /// Its first and its last price, unless it is the quote asset itself.
    pub(super) prices: Option<(Price, Price)>,
}

/// The deepest fall of the equity from a peak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Drawdown {
    pub(super) amount: Money,
    pub(super) peak: Money,
    pub(super) peak_ts_ns: TsNs,
    pub(super) trough_ts_ns: TsNs,
}

/// What was traded of one pair.
#[derive(Debug)]
pub(super) struct PairTally {
    pub(super) symbol: Symbol,
    pub(super) base: Asset,
    pub(super) quote: Asset,
    pub(super) last: Option<Price>,
    /// The market has traded.
    has_market: bool,
    pub(super) makers: u64,
    pub(super) takers: u64,
    pub(super) bought: Money,
    pub(super) sold: Money,
    /// In the quote asset.
    pub(super) volume: Money,
    /// Raw quantity of what own fills bought less what they sold.
    position: i128,
    /// What was paid for it; of a short one what was received, below zero.
    cost: Money,
    pub(super) realised: Money,
    pub(super) prices: Curve,
    pub(super) marks: Marks,
}

/// Own fills for a picture: all, or one of so many.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    /// One of how many is kept.
    pub(super) one_of: u64,
    /// Time, price and side of each.
    pub(super) kept: Vec<(TsNs, Price, Side)>,
    seen: u64,
}

impl Tally {
    /// A replay on which nothing has happened yet.
    pub(super) fn new(quote: Asset, instruments: &[Instrument]) -> Tally {
        let mut tally = Tally {
            quote,
            holdings: Vec::new(),
            pairs: instruments.iter().map(PairTally::new).collect(),
            fees: BTreeMap::new(),
            equity: Curve::default(),
            held: Curve::default(),
            drawdown: Drawdown::default(),
            peak: None,
            is_open: false,
            is_changed: false,
        };
        for instrument in instruments {
            tally.holding(instrument.base);
            tally.holding(instrument.quote);
        }
        tally
    }

    /// Takes an event that happened at `now`.
    pub(super) fn see(&mut self, now: TsNs, event: &Event) {
        match event {
            Event::Market(market) => {
                self.priced(now, market.symbol, market.price, true);
            }
            Event::Fill(fill) => self.fill(now, fill),
            Event::Account(account) => {
                let opens = !self.is_open;
                (self.is_open, self.is_changed) = (true, true);
                for balance in &account.balances {
                    let holding = self.holding(balance.asset);
                    holding.now = balance.free.saturating_add(balance.locked);
                    if opens {
                        holding.start = holding.now;
                    }
                }
            }
            Event::OrderUpdate(_) | Event::OrderState(_) | Event::Error(_) => {}
        }
    }

    /// To be called when a step is over: the equity as it is now.
    pub(super) fn settle(&mut self, now: TsNs) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let equity = self.worth(|holding| holding.now, Holding::last);
        self.equity.add(now, equity.raw());
        self.held.add(now, self.worth(|holding| holding.start, Holding::last).raw());
        let before = self.peak.filter(|(peak, _)| *peak >= equity);
        let (peak, peak_ts_ns) = before.unwrap_or((equity, now));
        self.peak = Some((peak, peak_ts_ns));
        let amount = peak.saturating_sub(equity);
        if amount > self.drawdown.amount {
            self.drawdown = Drawdown { amount, peak, peak_ts_ns, trough_ts_ns: now };
        }
    }

    /// What amounts come to at prices.
    pub(super) fn worth(
        &self,
        amount: impl Fn(&Holding) -> Money,
        price: impl Fn(&Holding) -> Option<Price>,
    ) -> Money {
        let each = self
            .holdings
            .iter()
            .filter_map(|holding| self.value(holding.asset, amount(holding), price(holding)));
        each.fold(Money::ZERO, Money::saturating_add)
    }

    /// What an amount of an asset is worth at its last price.
    pub(super) fn worth_of(&self, asset: Asset, amount: Money) -> Option<Money> {
        let holding = self.holdings.iter().find(|holding| holding.asset == asset);
        self.value(asset, amount, holding.and_then(Holding::last))
    }

    fn value(&self, asset: Asset, amount: Money, price: Option<Price>) -> Option<Money> {
        if asset == self.quote { Some(amount) } else { Some(Money::valued(amount, price?)) }
    }

    fn holding(&mut self, asset: Asset) -> &mut Holding {
        let at = self.holdings.iter().position(|holding| holding.asset == asset);
        let at = at.unwrap_or_else(|| {
            let (start, now) = (Money::ZERO, Money::ZERO);
            self.holdings.push(Holding { asset, start, now, prices: None });
            self.holdings.len() - 1
        });
        // It was found there, or is the last.
        #[expect(clippy::indexing_slicing, reason = "the place was just looked up")]
        &mut self.holdings[at]
    }

    /// Takes a price: the market's, or an own fill's as long as the market has none.
    fn priced(&mut self, now: TsNs, symbol: Symbol, price: Price, is_market: bool) {
        let Some(pair) = self.pairs.iter_mut().find(|pair| pair.symbol == symbol) else { return };
        if !is_market && pair.has_market {
            return;
        }
        pair.has_market |= is_market;
        pair.last = Some(price);
        pair.prices.add(now, i128::from(price.raw()));
        if pair.quote != self.quote {
            return;
        }
        let base = pair.base;
        let holding = self.holding(base);
        let first = holding.prices.map_or(price, |(first, _)| first);
        let was_unknown = holding.prices.replace((first, price)).is_none();
        let start = holding.start;
        self.is_changed = true;
        if was_unknown {
            // What it was worth before anybody told.
            let known = Money::valued(start, price);
            self.equity.shift(known.raw());
            self.held.shift(known.raw());
            self.peak = self.peak.map(|(peak, ts)| (peak.saturating_add(known), ts));
            self.drawdown.peak = self.drawdown.peak.saturating_add(known);
        }
    }

    fn fill(&mut self, now: TsNs, fill: &Fill) {
        self.priced(now, fill.symbol, fill.price, false);
        if let (Some(fee), Some(asset)) = (fill.fee, fill.fee_asset) {
            let sum = self.fees.entry(asset).or_default();
            *sum = sum.saturating_add(fee);
        }
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.symbol == fill.symbol) {
            pair.fill(now, fill);
        }
    }
}

impl Holding {
    /// Its last price.
    pub(super) fn last(&self) -> Option<Price> {
        self.prices.map(|(_, last)| last)
    }

    /// Its first price.
    pub(super) fn first(&self) -> Option<Price> {
        self.prices.map(|(first, _)| first)
    }
}

impl PairTally {
    fn new(instrument: &Instrument) -> PairTally {
        PairTally {
            symbol: instrument.symbol,
            base: instrument.base,
            quote: instrument.quote,
            last: None,
            has_market: false,
            makers: 0,
            takers: 0,
            bought: Money::ZERO,
            sold: Money::ZERO,
            volume: Money::ZERO,
            position: 0,
            cost: Money::ZERO,
            realised: Money::ZERO,
            prices: Curve::default(),
            marks: Marks { one_of: 1, kept: Vec::new(), seen: 0 },
        }
    }

    /// What own fills bought less what they sold, in the base asset.
    pub(super) fn position(&self) -> Money {
        self.bought.saturating_sub(self.sold)
    }

    /// What the position would bring at the last price, less what it cost.
    pub(super) fn unrealised(&self) -> Money {
        let last = self.last.map_or(0, |price| i128::from(price.raw()));
        Money::from_raw(self.position.saturating_mul(last)).saturating_sub(self.cost)
    }

    fn fill(&mut self, now: TsNs, fill: &Fill) {
        let side = fill.side.unwrap_or(Side::Buy);
        match fill.liquidity {
            Some(Liquidity::Maker) => self.makers += 1,
            Some(Liquidity::Taker) | None => self.takers += 1,
        }
        let sum = if side == Side::Buy { &mut self.bought } else { &mut self.sold };
        *sum = sum.saturating_add(fill.qty.into());
        self.volume = self.volume.saturating_add(Money::notional(fill.price, fill.qty));
        self.marks.add((now, fill.price, side));
        let signed = i128::from(fill.qty.raw()) * if side == Side::Buy { 1 } else { -1 };
        self.trade(signed, i128::from(fill.price.raw()));
    }

    /// Moves the position by a signed quantity at a price, both raw.
    fn trade(&mut self, signed: i128, price: i128) {
        let opposite = (self.position > 0) != (signed > 0) && self.position != 0;
        let closed = if opposite { signed.abs().min(self.position.abs()) } else { 0 };
        if closed > 0 {
            let cost = share(self.cost.raw(), closed, self.position.abs());
            let direction = self.position.signum();
            let gain = (price * closed * direction).saturating_sub(cost);
            self.realised = self.realised.saturating_add(Money::from_raw(gain));
            self.cost = self.cost.saturating_sub(Money::from_raw(cost));
            self.position -= closed * direction;
        }
        let opened = signed - closed * signed.signum();
        self.position += opened;
        self.cost = self.cost.saturating_add(Money::from_raw(price * opened));
    }
}

/// The part of an amount that `part` of `whole` has: all of it for all, otherwise rounded towards zero.
fn share(amount: i128, part: i128, whole: i128) -> i128 {
    if part == whole {
        return amount;
    }
    let (each, rest) = (amount / whole, amount % whole);
    // The product needs more than an i128 only at quantities of more than 19 digits: fewer digits do then.
    let (mut fewer_part, mut fewer_whole) = (part, whole);
    loop {
        if let Some(product) = rest.checked_mul(fewer_part) {
            return each * part + product / fewer_whole;
        }
        (fewer_part, fewer_whole) = (fewer_part >> 1, (fewer_whole >> 1).max(1));
    }
}

impl Marks {
    fn add(&mut self, mark: (TsNs, Price, Side)) {
        if self.kept.len() == REPLAY_SHOWN_FILLS {
            let mut at = 0;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.one_of *= 2;
        }
        if self.seen.is_multiple_of(self.one_of) {
            self.kept.push(mark);
        }
        self.seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::event::{Account, Balance, Market};

    fn pair() -> PairTally {
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        PairTally::new(&Instrument::for_symbol(symbol).unwrap())
    }

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    #[track_caller]
    fn check(trades: &[(&str, &str)], realised: &str, open: (&str, &str), last: &str) {
        let mut pair = pair();
        for (qty, price) in trades {
            let qty = veloz_core::types::Qty::parse(qty).unwrap();
            pair.trade(qty.raw().into(), Price::parse(price).unwrap().raw().into());
        }
        pair.last = Price::parse(last).ok();
        assert_eq!(pair.realised, money(realised), "{trades:?}");
        assert_eq!((pair.cost, pair.unrealised()), (money(open.0), money(open.1)), "{trades:?}");
    }

    #[test]
    fn average_cost() {
        check(&[("1", "100")], "0", ("100", "10"), "110");
        check(&[("1", "100"), ("1", "200"), ("-1", "180")], "30", ("150", "-30"), "120");
        check(&[("1", "100"), ("-1", "90")], "-10", ("0", "0"), "1");
        // Through nothing to the other side, and back.
        check(&[("1", "100"), ("-3", "110")], "10", ("-220", "20"), "100");
        check(&[("-2", "110"), ("1", "100")], "10", ("-110", "-10"), "120");
        check(&[("-2", "110"), ("3", "100")], "20", ("100", "5"), "105");
        // A third has no end: what is realised is rounded, and the rest stays with what is open.
        check(
            &[("0.00000003", "0.00000001"), ("-0.00000001", "1")],
            "0.0000000099999999",
            ("0.0000000000000002", "0.0000000199999998"),
            "1",
        );
    }

    #[test]
    fn nothing_is_lost_between_realised_and_unrealised() {
        let mut random = fastrand::Rng::with_seed(11);
        for round in 0..200 {
            let (mut pair, mut cash, mut held) = (pair(), 0, 0);
            let most = 10_i128.pow(random.u32(1..19));
            for _ in 0..50 {
                let (signed, price) = (random.i128(-most..=most), random.i128(1..=1_000_000_000));
                pair.trade(signed, price);
                (cash, held) = (cash - signed * price, held + signed);
                pair.last = Some(Price::from_raw(random.i64(1..1_000_000_000)));
                let worth = cash + held * i128::from(pair.last.unwrap().raw());
                let told = pair.realised.saturating_add(pair.unrealised());
                assert_eq!(told, Money::from_raw(worth), "round {round}");
                assert_eq!(pair.position, held);
                assert!(held != 0 || pair.cost.is_zero(), "round {round}");
            }
        }
    }

    fn trade_at(symbol: Symbol, now: TsNs, price: &str) -> Event {
        let price = Price::parse(price).unwrap();
        let (trade_id, qty, side, bid, ask) = (None, None, None, None, None);
        Event::Market(Market { symbol, ts_ns: now, price, trade_id, qty, side, bid, ask })
    }

    fn opening(holdings: &[(Asset, &str)]) -> Event {
        let balance = |&(asset, free): &(Asset, &str)| Balance {
            asset,
            free: money(free),
            locked: Money::ZERO,
        };
        let balances = holdings.iter().map(balance).collect();
        Event::Account(Account { ts_ns: 1, balances })
    }

    /// An account of 100 USDT and 1 BTC, whose price moves.
    #[track_caller]
    fn check_fall(prices: &[&str], amount: &str, peak: &str, times: (TsNs, TsNs)) {
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let instrument = Instrument::for_symbol(symbol).unwrap();
        let mut tally = Tally::new(instrument.quote, std::slice::from_ref(&instrument));
        tally.see(1, &opening(&[(instrument.quote, "100"), (instrument.base, "1")]));
        tally.settle(1);
        for (now, price) in (2..).zip(prices) {
            tally.see(now, &trade_at(symbol, now, price));
            tally.settle(now);
        }
        let (peak_ts_ns, trough_ts_ns) = times;
        let (amount, peak) = (money(amount), money(peak));
        let wanted = Drawdown { amount, peak, peak_ts_ns, trough_ts_ns };
        assert_eq!(tally.drawdown, wanted, "{prices:?}");
        assert_eq!(tally.equity, tally.held);
        let first = tally.equity.buckets().first().map(|bucket| bucket.first);
        assert_eq!(first, Some(money("100").raw() + money(prices[0]).raw()));
    }

    #[test]
    fn the_deepest_fall_is_from_a_peak_before_it() {
        check_fall(&["50", "60", "55", "80", "50", "70", "90", "61"], "30", "180", (5, 6));
        // The first price says what it was worth before.
        check_fall(&["50", "40"], "10", "150", (1, 3));
        check_fall(&["50", "50", "40", "45"], "10", "150", (1, 4));
    }

    /// What has no price yet was there when the equity fell, too.
    #[test]
    fn a_late_price_raises_the_peak_of_an_earlier_fall() {
        let pairs = ["BTCUSDT", "ETHUSDT"]
            .map(|name| Instrument::for_symbol(Symbol::parse(name).unwrap()).unwrap());
        let [btc, eth] = &pairs;
        let mut tally = Tally::new(btc.quote, &pairs);
        tally.see(1, &opening(&[(btc.quote, "100"), (btc.base, "1"), (eth.base, "2")]));
        tally.settle(1);
        for (now, symbol, price) in
            [(2, btc.symbol, "50"), (3, btc.symbol, "40"), (4, eth.symbol, "30")]
        {
            tally.see(now, &trade_at(symbol, now, price));
            tally.settle(now);
        }
        let (amount, peak) = (money("10"), money("210"));
        let wanted = Drawdown { amount, peak, peak_ts_ns: 1, trough_ts_ns: 3 };
        assert_eq!(tally.drawdown, wanted);
    }

    #[test]
    fn marks_are_thinned_out_evenly() {
        let mut marks = pair().marks;
        for ts in 0..5_000 {
            marks.add((ts, Price::ZERO, Side::Buy));
        }
        assert_eq!(marks.one_of, 8);
        assert!(marks.kept.iter().all(|(ts, ..)| ts % 8 == 0));
        assert_eq!(marks.kept.len(), 625);
    }
}
