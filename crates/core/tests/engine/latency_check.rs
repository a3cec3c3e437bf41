//! A venue that is away against one that is here and is told everything at the moment at which the other one
//! is: the same becomes of every order, and is known so much later.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{Rig, config, depth, id, levels, order, price, snapshot, symbol, trade};
use fastrand::Rng;
use veloz_core::engine::{Engine, EngineConfig, Step, Venue};
use veloz_core::event::Event;
use veloz_core::input::{
    AmendOrder, Answer, CancelOrder, Input, MarketBody, MarketData, NewOrder, NewPair, RiskChange,
};
use veloz_core::latency::Latency;
use veloz_core::order::OrderType;
use veloz_core::state::{Fact, State};
use veloz_core::types::{ClientOrderId, Money, Side, TsNs};

const SEEDS: u64 = 300;
const INPUTS: u64 = 250;

/// What became of an order, and when.
type Word = (TsNs, String);

struct World {
    rng: Rng,
    away: Engine,
    here: Engine,
    step: Step,
    now: TsNs,
    from_ns: TsNs,
    /// What is on its way, as a list of inputs and their times.
    sent: Vec<(TsNs, Input)>,
    expiries: BTreeSet<TsNs>,
    names: Vec<ClientOrderId>,
    heard: Vec<Word>,
    expected: Vec<Word>,
    log: Vec<(Vec<Fact>, Vec<Event>)>,
    update_id: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let jitter_ns = if rng.bool() { 0 } else { rng.u64(1..300) };
        let latency = Latency { to_ns: rng.u64(0..400), from_ns: rng.u64(0..400), jitter_ns, seed };
        let from_ns = if jitter_ns == 0 { TsNs::try_from(latency.from_ns).unwrap() } else { 0 };
        let config = config(Venue::Simulated);
        let mut world = World {
            rng,
            away: Engine::new(EngineConfig { latency, ..config.clone() }),
            here: Engine::new(config),
            step: Step::default(),
            now: 1_000,
            from_ns,
            sent: Vec::new(),
            expiries: BTreeSet::new(),
            names: Vec::new(),
            heard: Vec::new(),
            expected: Vec::new(),
            log: Vec::new(),
            update_id: 10,
        };
        world.away.start(world.now, &mut world.step);
        world.keep();
        world.here.start(world.now, &mut Step::default());
        for body in [
            snapshot(10, "97 3, 96 9", "103 3, 104 9"),
            MarketBody::Price { ts_ns: 1_000, price: price("100") },
        ] {
            world.tell_market(body);
        }
        world
    }

    fn has_jitter(&self) -> bool {
        self.from_ns == 0
    }

    /// Keeps what a journal would.
    fn keep(&mut self) {
        self.log.push((self.step.facts.clone(), self.step.events.clone()));
        self.away.check_invariants().unwrap();
    }

    fn step_away(&mut self, at: TsNs, input: &Input) -> bool {
        let answer = self.away.step(at, input, &mut self.step);
        let arrives = self.step.facts.iter().find_map(|fact| match fact {
            Fact::Left { arrives_ns, .. } => Some(*arrives_ns),
            _ => None,
        });
        if *input == Input::Tick {
            self.heard.extend(self.step.events.iter().filter_map(word));
        }
        self.keep();
        if let Some(arrives) = arrives {
            self.sent.push((arrives, input.clone()));
        }
        // Refused in front of the way: the venue never hears of it.
        matches!(answer, Ok(Answer::Pending(_) | Answer::Done))
    }

    /// Time passes for both, up to now.
    fn pass(&mut self) {
        while let Some(at) = self.away.due_ns().filter(|at| *at <= self.now) {
            self.step_away(at, &Input::Tick);
        }
        while let Some((at, _)) = self.sent.first().filter(|(at, _)| *at <= self.now) {
            let at = *at;
            self.expire_here(at);
            let (_, input) = self.sent.remove(0);
            self.step_here(at, &input);
        }
        self.expire_here(self.now);
    }

    fn expire_here(&mut self, until: TsNs) {
        while let Some(at) = self.expiries.first().copied().filter(|at| *at <= until) {
            self.expiries.pop_first();
            if self.here.is_due(at) {
                self.step_here(at, &Input::Tick);
            }
        }
    }

    fn step_here(&mut self, at: TsNs, input: &Input) {
        let mut step = Step::default();
        // What comes too late is refused here, and changes nothing there.
        let _ = self.here.step(at, input, &mut step);
        self.here.check_invariants().unwrap();
        self.expected.extend(step.events.iter().filter_map(word));
    }

    fn act(&mut self) {
        self.now += self.rng.i64(0..120);
        self.pass();
        match self.rng.u8(0..10) {
            0..4 => self.market(),
            4..7 => self.place(),
            7 => self.pair(),
            8 => self.cancel(),
            _ => self.amend(),
        }
    }

    fn market(&mut self) {
        let price = self.rng.u64(95..106);
        let body = match self.rng.u8(0..4) {
            0 => snapshot(self.next_update(), "97 3, 96 9", "103 3, 104 9"),
            1 => {
                let (bid, ask) = (self.rng.u64(95..100), self.rng.u64(101..106));
                let (b, a) = (self.rng.u64(0..4), self.rng.u64(0..4));
                let update = self.next_update();
                depth(update, update, &format!("{bid} {b}"), &format!("{ask} {a}"))
            }
            _ => {
                let (price, qty) = levels(&format!("{price} {}", self.rng.u64(1..4)))[0];
                let side = if self.rng.bool() { Side::Buy } else { Side::Sell };
                MarketBody::Trade { ts_ns: self.now, price, qty, side, trade_id: 7 }
            }
        };
        self.tell_market(body);
    }

    fn tell_market(&mut self, body: MarketBody) {
        let data = MarketData { symbol: symbol("BTCUSDT"), position: None, body };
        let input = Input::Market(data);
        assert!(self.step_away(self.now, &input));
        self.step_here(self.now, &input);
    }

    fn next_update(&mut self) -> u64 {
        self.update_id += 1;
        self.update_id
    }

    fn name(&mut self) -> String {
        let name = format!("o{}", self.names.len());
        self.names.push(id(&name));
        name
    }

    fn place(&mut self) {
        let (name, price) = (self.name(), self.rng.u64(94..107));
        let side = if self.rng.bool() { "BUY" } else { "SELL" };
        let qty = self.rng.u64(1..4);
        let text = match self.rng.u8(0..9) {
            0 => format!("{name} {side} {qty} MARKET"),
            1 => format!("{name} {side} {} QUOTE", qty * 100),
            2 => format!("{name} {side} {qty} @ {price} IOC"),
            3 => format!("{name} {side} {qty} @ {price} FOK"),
            4 => format!("{name} {side} {qty} @ {price} POST"),
            5 => format!("{name} {side} {qty} STOP {price}"),
            6 => format!("{name} {side} {qty} @ {} TAKE {price}", self.rng.u64(94..107)),
            7 => {
                let until = self.now + self.rng.i64(1..2_000);
                self.expiries.insert(until);
                format!("{name} {side} {qty} @ {price} UNTIL {until}")
            }
            _ => format!("{name} {side} {qty} @ {price}"),
        };
        self.step_away(self.now, &Input::NewOrder(order(&text)));
    }

    fn pair(&mut self) {
        let (limit, stop) = (self.name(), self.name());
        let (side, up, down) =
            if self.rng.bool() { ("SELL", "STOP", "@") } else { ("BUY", "@", "STOP") };
        let (high, low) = (self.rng.u64(100..107), self.rng.u64(94..100));
        let (at, stop_at) = if side == "SELL" { (high, low) } else { (low, high) };
        assert_ne!(up, down);
        let limit = NewOrder {
            order_type: OrderType::LimitMaker,
            ..order(&format!("{limit} {side} 2 @ {at}"))
        };
        let stop = order(&format!("{stop} {side} 2 STOP {stop_at}"));
        self.step_away(self.now, &Input::NewPair(Box::new(NewPair::new(limit, stop))));
    }

    fn some_name(&mut self) -> Option<ClientOrderId> {
        let recent = self.names.len().saturating_sub(12);
        self.rng.choice(self.names.get(recent..).unwrap_or_default()).copied()
    }

    fn cancel(&mut self) {
        let Some(client_order_id) = self.some_name() else { return };
        let cancel = CancelOrder { client_order_id, symbol: None };
        self.step_away(self.now, &Input::Cancel(cancel));
    }

    fn amend(&mut self) {
        let Some(client_order_id) = self.some_name() else { return };
        let qty = self.rng.bool().then(|| self.rng.u64(1..5).to_string().parse().unwrap());
        let price = self.rng.u64(94..107).to_string().parse().unwrap();
        let price = (qty.is_none() || self.rng.bool()).then_some(price);
        self.step_away(self.now, &Input::Amend(AmendOrder { client_order_id, qty, price }));
    }

    /// Everything arrives; then both have said the same.
    fn finish(mut self) -> usize {
        self.now += 1_000_000;
        self.pass();
        assert_eq!(self.away.due_ns(), None);
        let without_time =
            |words: &[Word]| words.iter().map(|(_, word)| word.clone()).collect::<Vec<_>>();
        assert_eq!(without_time(&self.heard), without_time(&self.expected));
        if !self.has_jitter() {
            let later: Vec<_> =
                self.expected.iter().map(|(at, word)| (at + self.from_ns, word.clone())).collect();
            assert_eq!(self.heard, later);
        }
        let account = |engine: &Engine| engine.state().account().balances;
        assert_eq!(account(&self.away), account(&self.here));
        self.check_replay();
        self.heard.iter().filter(|(_, word)| word.contains('@')).count()
    }

    /// What is stored leads to the same state.
    fn check_replay(&self) {
        let (mut state, mut event_id) = (State::default(), 0);
        for (facts, events) in &self.log {
            facts.iter().for_each(|fact| state.apply_fact(fact));
            for event in events {
                event_id += 1;
                state.apply_event(event_id, event);
            }
        }
        let bytes = |state| serde_json::to_string(state).unwrap();
        assert!(bytes(&state) == bytes(self.away.state()), "replayed it is another state");
    }
}

/// What an event says of an order.
fn word(event: &Event) -> Option<Word> {
    match event {
        Event::OrderUpdate(e) => {
            let reason = e.reason.as_deref().unwrap_or_default();
            let venue_id = e.venue_order_id.map(|id| id.to_string()).unwrap_or_default();
            let (id, status, qty) = (e.client_order_id, e.status.as_str(), e.qty);
            Some((e.ts_ns, format!("{id} {status} {reason} {venue_id} {qty:?}")))
        }
        Event::Fill(e) => {
            let (id, qty, price) = (e.client_order_id, e.qty, e.price);
            Some((e.ts_ns, format!("{id} {qty}@{price} {:?} {:?}", e.trade_id, e.fee)))
        }
        _ => None,
    }
}

#[test]
fn the_same_becomes_of_every_order_at_a_distance() {
    let mut fills = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..INPUTS {
            world.act();
        }
        fills += std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.finish()))
            .unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(fills > 3_000, "{fills} fills try nothing");
}

/// What the account holds and its open BUY orders would bring, and what all open orders are worth, as far as is known.
fn known_use(rig: &Rig) -> (Money, Money) {
    let btc = rig.engine.state().account().balances[1];
    let (mut held, mut worth) = (btc.free.saturating_add(btc.locked), Money::ZERO);
    for order in rig.engine.state().open_orders() {
        worth = worth.saturating_add(Money::notional(order.price.unwrap(), order.remaining()));
        if order.request.side == Side::Buy {
            held = held.saturating_add(order.remaining().into());
        }
    }
    (held, worth)
}

/// Limit orders, amendments and cancels under limits that a few of them use up: what is known of the open orders
/// never comes to more.
fn check_limits(seed: u64) -> usize {
    let mut rng = Rng::with_seed(seed);
    let latency = Latency { to_ns: 40, from_ns: rng.u64(0..40), jitter_ns: rng.u64(0..20), seed };
    let mut rig = Rig::begin(Venue::Simulated, latency);
    rig.market(snapshot(10, "97 3, 96 9", "103 3, 104 9"));
    let (most_held, most_worth): (Money, Money) = ("110".parse().unwrap(), "1500".parse().unwrap());
    let limits = BTreeMap::from([("BTC".parse().unwrap(), Some(most_held))]);
    let change = RiskChange {
        max_position: Some(Some(limits)),
        max_symbol_notional: Some(Some(most_worth)),
        ..RiskChange::default()
    };
    rig.input(&Input::Risk(change)).unwrap();
    let mut amended = 0;
    for number in 0..120_u64 {
        let time = rig.now + rng.i64(0..20);
        rig.until(time);
        let open = rig.engine.state().open_orders().map(|order| order.client_order_id());
        let client_order_id = rng.choice(open.collect::<Vec<_>>()).unwrap_or_else(|| id("none"));
        let (qty, at) = (rng.u64(1..8).to_string(), rng.u64(90..110).to_string());
        let side = if rng.u8(0..3) == 0 { "SELL" } else { "BUY" };
        let input = match rng.u8(0..10) {
            0 => Input::Market(MarketData {
                symbol: symbol("BTCUSDT"),
                position: None,
                body: trade(&format!("{side} 2 @ {at}")),
            }),
            1 => Input::Cancel(CancelOrder { client_order_id, symbol: None }),
            2..5 => Input::NewOrder(order(&format!("o{number} {side} {qty} @ {at}"))),
            _ => {
                let (qty, price) = (qty.parse().ok(), at.parse().ok());
                let (has_qty, has_price) =
                    [(true, false), (false, true), (true, true)][rng.usize(..3)];
                let (qty, price) = (qty.filter(|_| has_qty), price.filter(|_| has_price));
                Input::Amend(AmendOrder { client_order_id, qty, price })
            }
        };
        let answer = rig.input(&input);
        amended += usize::from(matches!((&input, &answer), (Input::Amend(_), Ok(_))));
        let (held, worth) = known_use(&rig);
        assert!(held <= most_held, "seed {seed}: {held} after {input:?}");
        assert!(worth <= most_worth, "seed {seed}: {worth} after {input:?}");
        if number % 20 == 0 {
            let used = rig.engine.risk_use();
            rig.restart();
            assert_eq!(
                rig.engine.risk_use(),
                used,
                "seed {seed}: what is counted follows from the log"
            );
            rig.restart_from_archive();
            assert_eq!(rig.engine.risk_use(), used, "seed {seed}: and from a snapshot");
            rig.market(snapshot(10, "97 3, 96 9", "103 3, 104 9"));
        }
    }
    rig.until(rig.now + 1_000);
    let open: Vec<_> =
        rig.engine.state().open_orders().map(|order| order.client_order_id()).collect();
    open.iter().for_each(|id| drop(rig.cancel(id.as_str())));
    rig.until(rig.now + 1_000);
    assert!(rig.engine.risk_use().symbol_notional.is_empty(), "seed {seed}: nothing is left");
    amended
}

#[test]
fn limits_hold_whatever_becomes_of_what_is_on_its_way() {
    let amended: usize = (0..40).map(check_limits).sum();
    assert!(amended > 400, "{amended} amendments try nothing");
}
