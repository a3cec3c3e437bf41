//! What the engine's tests share: short ways to write inputs and to read steps.

use std::collections::BTreeMap;
use std::convert::Infallible;

use veloz_core::engine::{Engine, EngineConfig, Step, Venue};
use veloz_core::event::Event;
use veloz_core::input::{
    AmendOrder, Answer, CancelOrder, Input, MarketBody, MarketData, NewOrder, NewPair, Refusal,
    ReportBody, VenueReport,
};
use veloz_core::instrument::Instrument;
use veloz_core::latency::Latency;
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::state::{
    OrderArchive, OrderRecord, OrderSink, State, facts_from_json, facts_to_json,
};
use veloz_core::types::{Asset, ClientOrderId, Price, Qty, Side, Symbol};

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::parse(text).unwrap()
}

pub(crate) fn id(text: &str) -> ClientOrderId {
    ClientOrderId::parse(text).unwrap()
}

pub(crate) fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub(crate) fn qty(text: &str) -> Qty {
    text.parse().unwrap()
}

/// `"99 2, 98 5"` as levels.
pub(crate) fn levels(text: &str) -> Vec<(Price, Qty)> {
    let level = |level: &str| {
        let (p, q) = level.trim().split_once(' ').unwrap();
        (price(p), qty(q))
    };
    text.split(',').filter(|level| !level.trim().is_empty()).map(level).collect()
}

pub(crate) fn config(venue: Venue) -> EngineConfig {
    let instruments = ["BTCUSDT", "ETHUSDT", "ETHBTC"];
    let balance = |asset, amount: &str| (Asset::parse(asset).unwrap(), amount.parse().unwrap());
    EngineConfig {
        instruments: instruments
            .iter()
            .map(|name| Instrument::for_symbol(symbol(name)).unwrap())
            .collect(),
        balances: vec![balance("USDT", "100000"), balance("BTC", "100"), balance("ETH", "1000")],
        venue,
        ..EngineConfig::default()
    }
}

/// An order in words: `"a BUY 2 @ 100"`, `"a SELL 1 MARKET"`, `"a BUY 500 QUOTE"`; then what else there is
/// to it: `IOC`, `FOK`, `POST`, `REDUCE`, `UNTIL 2000`, `STOP 95` or `TAKE 105` (with a limit or without).
/// Another symbol by `ETHBTC:` in front.
pub(crate) fn order(text: &str) -> NewOrder {
    let (name, text) = text.split_once(':').unwrap_or(("BTCUSDT", text));
    let words: Vec<_> = text.split_whitespace().collect();
    let after = |name| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    let has = |word| words.contains(&word);
    let (limit, is_quote) = (after("@").map(price), has("QUOTE"));
    let order_type = match (after("STOP"), after("TAKE"), limit) {
        (Some(_), _, None) => OrderType::StopLoss,
        (Some(_), _, Some(_)) => OrderType::StopLossLimit,
        (_, Some(_), None) => OrderType::TakeProfit,
        (_, Some(_), Some(_)) => OrderType::TakeProfitLimit,
        (_, _, None) => OrderType::Market,
        _ if has("POST") => OrderType::LimitMaker,
        _ => OrderType::Limit,
    };
    NewOrder {
        client_order_id: id(words[0]),
        symbol: symbol(name),
        side: Side::parse(words[1]).unwrap(),
        order_type,
        time_in_force: match (has("IOC") || limit.is_none(), has("FOK"), has("UNTIL")) {
            (true, ..) => TimeInForce::Ioc,
            (_, true, _) => TimeInForce::Fok,
            (.., true) => TimeInForce::Gtd,
            _ => TimeInForce::Gtc,
        },
        qty: if is_quote { Qty::ZERO } else { qty(words[2]) },
        quote_qty: is_quote.then(|| words[2].parse().unwrap()),
        price: limit,
        stop_price: after("STOP").or(after("TAKE")).map(price),
        expire_ts_ns: after("UNTIL").map(|at| at.parse().unwrap()),
        reduce_only: has("REDUCE"),
        oco_with: None,
    }
}

/// A post-only order and a stop as a pair.
pub(crate) fn pair(limit: &str, stop: &str) -> NewPair {
    let limit = NewOrder { order_type: OrderType::LimitMaker, ..order(limit) };
    NewPair::new(limit, order(stop))
}

pub(crate) fn market(name: &str, body: MarketBody) -> Input {
    Input::Market(MarketData { symbol: symbol(name), position: None, body })
}

pub(crate) fn snapshot(last_id: u64, bids: &str, asks: &str) -> MarketBody {
    MarketBody::Snapshot { last_id, bids: levels(bids), asks: levels(asks) }
}

pub(crate) fn depth(first_id: u64, last_id: u64, bids: &str, asks: &str) -> MarketBody {
    MarketBody::Depth { first_id, last_id, bids: levels(bids), asks: levels(asks) }
}

pub(crate) fn quote(update_id: u64, bid: &str, ask: &str) -> MarketBody {
    MarketBody::Quote { update_id, bid: levels(bid)[0], ask: levels(ask)[0] }
}

/// `"SELL 2 @ 99"`: a trade whose taker sold.
pub(crate) fn trade(text: &str) -> MarketBody {
    let words: Vec<_> = text.split_whitespace().collect();
    let side = Side::parse(words[0]).unwrap();
    MarketBody::Trade { ts_ns: 5, price: price(words[3]), qty: qty(words[1]), side, trade_id: 7 }
}

/// An engine whose every step is checked and written down as a journal would.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) step: Step,
    pub(crate) journal: Vec<Record>,
    pub(crate) now: i64,
    latency: Latency,
}

/// A step as it is stored: its facts and its events, as bytes.
pub(crate) struct Record {
    pub(crate) facts: Vec<u8>,
    pub(crate) events: Vec<(veloz_core::event::EventKind, Vec<u8>)>,
}

impl Rig {
    pub(crate) fn new(venue: Venue) -> Rig {
        Rig::begin(venue, Latency::default())
    }

    /// A simulated venue that is away: so many nanoseconds there, and so many back.
    pub(crate) fn away(to_ns: u64, from_ns: u64) -> Rig {
        Rig::begin(Venue::Simulated, Latency { to_ns, from_ns, ..Latency::default() })
    }

    pub(crate) fn begin(venue: Venue, latency: Latency) -> Rig {
        Rig::of(EngineConfig { latency, ..config(venue) })
    }

    pub(crate) fn of(config: EngineConfig) -> Rig {
        let latency = config.latency;
        let engine = Engine::new(config);
        let (step, journal) = (Step::default(), Vec::new());
        let mut rig = Rig { engine, step, journal, now: 1_000, latency };
        rig.engine.start(rig.now, &mut rig.step);
        rig.write();
        rig
    }

    pub(crate) fn input(&mut self, input: &Input) -> Result<Answer, Refusal> {
        self.now += 1;
        self.until(self.now);
        if self.engine.is_due(self.now) && *input != Input::Tick {
            self.step_checked(&Input::Tick).unwrap();
        }
        self.step_checked(input)
    }

    /// Lets time pass, and what is on its way arrive: each step that shows anything, with its time.
    pub(crate) fn until(&mut self, now: i64) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(at) = self.engine.due_ns().filter(|at| *at <= now) {
            self.now = at;
            self.step_checked(&Input::Tick).unwrap();
            if !self.step.events.is_empty() {
                shown.push(format!("{at}: {}", self.shown()));
            }
        }
        self.now = now;
        shown
    }

    fn step_checked(&mut self, input: &Input) -> Result<Answer, Refusal> {
        let before = serde_json::to_string(self.engine.state()).unwrap();
        let answer = self.engine.step(self.now, input, &mut self.step);
        if answer.is_err() {
            assert!(self.step.is_empty() && self.step.commands.is_empty());
            assert_eq!(before, serde_json::to_string(self.engine.state()).unwrap());
        }
        self.engine.check_invariants().unwrap();
        self.write();
        answer
    }

    pub(crate) fn market(&mut self, body: MarketBody) -> String {
        self.input(&market("BTCUSDT", body)).unwrap();
        self.shown()
    }

    pub(crate) fn order(&mut self, text: &str) -> String {
        self.input(&Input::NewOrder(order(text))).unwrap();
        self.shown()
    }

    /// A pair: `pair("a SELL 1 @ 110", "b SELL 1 STOP 90")`; what it is answered with.
    pub(crate) fn pair(&mut self, limit: &str, stop: &str) -> Result<Answer, Refusal> {
        self.input(&Input::NewPair(Box::new(pair(limit, stop))))
    }

    /// Another quantity or limit: `"2 @ 99"`, `"@ 99"` or `"2"`.
    pub(crate) fn amend(&mut self, name: &str, to: &str) -> Result<String, Refusal> {
        let (amount, limit) = to.split_once('@').unwrap_or((to, ""));
        let amend = AmendOrder {
            client_order_id: id(name),
            qty: (!amount.trim().is_empty()).then(|| qty(amount.trim())),
            price: (!limit.trim().is_empty()).then(|| price(limit.trim())),
        };
        match self.input(&Input::Amend(amend))? {
            Answer::Amended(state) => {
                let known = self.engine.state().order(&id(name)).map(|order| order.state_event());
                assert_eq!(Some(*state), known);
                Ok(self.shown())
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn cancel(&mut self, name: &str) -> Result<Answer, Refusal> {
        self.input(&Input::Cancel(CancelOrder { client_order_id: id(name), symbol: None }))
    }

    pub(crate) fn report(&mut self, name: &str, body: ReportBody) -> String {
        let client_order_id = id(name);
        let venue_order_id = "v1".parse().ok();
        self.input(&Input::Report(VenueReport { client_order_id, venue_order_id, body })).unwrap();
        self.shown()
    }

    /// The step in short: `a ACCEPTED; a 2.0@100.0; a FILLED; =a; account`.
    pub(crate) fn shown(&self) -> String {
        let shown: Vec<_> = self.step.events.iter().map(show).collect();
        shown.join("; ")
    }

    /// The state that the journal gives.
    pub(crate) fn replayed(&self) -> State {
        let mut state = State::default();
        let mut event_id = 0;
        for record in &self.journal {
            for fact in facts_from_json(&record.facts).unwrap() {
                state.apply_fact(&fact);
            }
            for (kind, json) in &record.events {
                event_id += 1;
                state.apply_event(event_id, &Event::decode(*kind, json).unwrap());
            }
        }
        state
    }

    /// Starts again from the journal.
    pub(crate) fn restart(&mut self) {
        self.restart_with(Venue::Simulated);
    }

    /// Starts again from a snapshot, which leaves every closed order that may go to an archive.
    pub(crate) fn restart_from_archive(&mut self) {
        let mut state = self.replayed();
        let mut sink = MemoryArchive::default();
        state.archive_closed(&mut sink).unwrap();
        let (snapshot, names) =
            (serde_json::to_vec(&state).unwrap(), std::mem::take(&mut sink.names));
        let archive = std::sync::Arc::new(sink);
        let state = State::of_snapshot(&snapshot, archive.clone(), Some(&names)).unwrap();
        let read = State::of_snapshot(&snapshot, archive, None).unwrap();
        assert_eq!(names, read.archived_names(), "the archive says them too");
        self.engine = Engine::restore(
            EngineConfig { latency: self.latency, ..config(Venue::Simulated) },
            state,
        );
    }

    /// The same, at another distance from the venue.
    pub(crate) fn restart_at(&mut self, latency: Latency) {
        self.latency = latency;
        self.restart_as(EngineConfig { latency, ..config(Venue::Simulated) });
    }

    /// The same, made of that.
    pub(crate) fn restart_as(&mut self, config: EngineConfig) {
        self.engine = Engine::restore(config, self.replayed());
        self.engine.begin_source("", false, &mut self.step);
        self.write();
    }

    /// The same, with that venue.
    pub(crate) fn restart_with(&mut self, venue: Venue) {
        let config = EngineConfig { latency: self.latency, ..config(venue) };
        self.engine = Engine::restore(config, self.replayed());
    }

    fn write(&mut self) {
        let mut facts = Vec::new();
        facts_to_json(&self.step.facts, &mut facts).unwrap();
        let encode = |event: &Event| {
            let mut json = Vec::new();
            event.encode(&mut json);
            (event.kind(), json)
        };
        let events = self.step.events.iter().map(encode).collect();
        self.journal.push(Record { facts, events });
    }
}

/// An archive, and where its orders come from.
#[derive(Debug, Default)]
pub(crate) struct MemoryArchive {
    names: Vec<u8>,
    records: BTreeMap<usize, OrderRecord>,
}

impl OrderSink for MemoryArchive {
    type Error = Infallible;

    fn name(&mut self, hash: u32) -> Result<(), Infallible> {
        self.names.extend(hash.to_le_bytes());
        Ok(())
    }

    fn order(&mut self, position: usize, record: &OrderRecord) -> Result<(), Infallible> {
        self.records.insert(position, *record);
        Ok(())
    }
}

impl OrderArchive for MemoryArchive {
    fn read(&self, position: usize) -> Option<OrderRecord> {
        Some(*self.records.get(&position).expect("only what was archived is asked for"))
    }

    fn refuse(&self, position: usize) {
        panic!("{position} is refused");
    }

    fn failure(&self) -> Option<String> {
        None
    }

    fn take_failure(&self) -> Option<String> {
        None
    }
}

fn show(event: &Event) -> String {
    match event {
        Event::Market(e) => format!("market {}", e.price),
        Event::OrderUpdate(e) => {
            let reason = e.reason.as_deref().unwrap_or("?");
            let space = if reason.is_empty() { "" } else { " " };
            format!("{} {}{space}{reason}", e.client_order_id, e.status.as_str())
        }
        Event::Fill(e) => format!("{} {}@{}", e.client_order_id, e.qty, e.price),
        Event::OrderState(e) => format!("={}", e.client_order_id),
        Event::Account(_) => "account".into(),
        Event::Error(e) => format!("error {}", e.message),
    }
}
