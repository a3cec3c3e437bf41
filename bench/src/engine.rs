//! The engine of VeloZ alone, on one thread: a step decides and applies, and its events are made, but nothing
//! is encoded, stored or sent.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use veloz_core::engine::{Engine, EngineConfig, Step};
use veloz_core::event::Event;
use veloz_core::input::{CancelOrder, Input, MarketBody, MarketData, NewOrder};
use veloz_core::instrument::Instrument;
use veloz_core::order::{OrderStatus, TimeInForce};
use veloz_core::types::{Asset, ClientOrderId, Money, Price, Qty, Side, Symbol};

use crate::engine_load::{self, EngineLoad, LEVELS, Venue};

const ASK: &str = "50000";
const DEEPEST: &str = "49000";

struct Ours {
    engine: Engine,
    step: Step,
    now_ns: i64,
    symbol: Symbol,
    qty: Qty,
    ask: Price,
    levels: Vec<Price>,
    name: String,
}

pub(crate) fn run(args: &EngineLoad) -> Result<Value> {
    engine_load::run(Ours::new()?, args)
}

impl Ours {
    fn new() -> Result<Ours> {
        let symbol = Symbol::parse("BTCUSDT")?;
        let ask = Price::parse(ASK)?;
        let deepest = Price::parse(DEEPEST)?;
        let step = (ask.raw() - deepest.raw()) / i64::try_from(LEVELS)?;
        let levels = (0..i64::try_from(LEVELS)?)
            .map(|level| Price::from_raw(deepest.raw() + level * step))
            .collect();
        let mut engine = Engine::new(EngineConfig {
            instruments: vec![
                Instrument::for_symbol(symbol).ok_or_else(|| anyhow!("BTCUSDT is built in"))?,
            ],
            balances: vec![(Asset::parse("USDT")?, Money::parse("1000000000000")?)],
            // A gateway's limit is what one record of its journal holds.
            most_open_orders: usize::MAX,
            ..EngineConfig::default()
        });
        let mut step = Step::default();
        engine.start(1, &mut step);
        let body = MarketBody::Snapshot {
            last_id: 1,
            bids: vec![],
            asks: vec![(ask, Qty::parse("1000000000")?)],
        };
        let book = MarketData { symbol, position: None, body };
        engine.step(2, &Input::Market(book), &mut step)?;
        let (qty, name) = (Qty::parse("0.001")?, String::new());
        Ok(Ours { engine, step, now_ns: 3, symbol, qty, ask, levels, name })
    }

    fn id(&mut self, id: u64) -> Result<ClientOrderId> {
        self.name.clear();
        write!(self.name, "order-{id}")?;
        Ok(ClientOrderId::parse(&self.name)?)
    }

    fn step(&mut self, input: &Input) -> Result<()> {
        self.now_ns += 1_000;
        self.engine.step(self.now_ns, input, &mut self.step)?;
        Ok(())
    }
}

impl Venue for Ours {
    fn place(&mut self, id: u64, level: u64) -> Result<()> {
        let price = self.levels.get(usize::try_from(level)?).copied().unwrap_or_default();
        let id = self.id(id)?;
        let order = NewOrder::limit(id, self.symbol, Side::Buy, self.qty, price);
        self.step(&Input::NewOrder(order))?;
        let first = self.step.events.first();
        if !matches!(first, Some(Event::OrderUpdate(of)) if of.status == OrderStatus::Accepted) {
            bail!("{id} does not rest: {:?}", self.step.events);
        }
        Ok(())
    }

    fn cancel(&mut self, id: u64) -> Result<()> {
        let client_order_id = self.id(id)?;
        self.step(&Input::Cancel(CancelOrder { client_order_id, symbol: None }))
    }

    fn take(&mut self, id: u64) -> Result<()> {
        let id = self.id(id)?;
        let mut order = NewOrder::limit(id, self.symbol, Side::Buy, self.qty, self.ask);
        order.time_in_force = TimeInForce::Ioc;
        self.step(&Input::NewOrder(order))?;
        if !self.step.events.iter().any(|event| matches!(event, Event::Fill(_))) {
            bail!("{id} did not fill: {:?}", self.step.events);
        }
        Ok(())
    }
}
