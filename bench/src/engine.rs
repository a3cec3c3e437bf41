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

use crate::engine_load::{self, EngineLoad, LEVELS, Operation, Venue};

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

    fn limit(&mut self, id: u64, price: Price) -> Result<NewOrder> {
        Ok(NewOrder::limit(self.id(id)?, self.symbol, Side::Buy, self.qty, price))
    }
}

impl Venue for Ours {
    type Request = Input;

    fn request(&mut self, operation: Operation) -> Result<Input> {
        Ok(match operation {
            Operation::Place { id, level } => {
                let price = self.levels.get(usize::try_from(level)?).copied().unwrap_or_default();
                Input::NewOrder(self.limit(id, price)?)
            }
            Operation::Cancel { id } => {
                Input::Cancel(CancelOrder { client_order_id: self.id(id)?, symbol: None })
            }
            Operation::Take { id } => {
                let time_in_force = TimeInForce::Ioc;
                Input::NewOrder(NewOrder { time_in_force, ..self.limit(id, self.ask)? })
            }
        })
    }

    fn look_ahead(&mut self, inputs: &[Input]) {
        self.engine.look_ahead(inputs.iter());
    }

    fn perform(&mut self, input: &Input) -> Result<()> {
        self.now_ns += 1_000;
        self.engine.step(self.now_ns, input, &mut self.step)?;
        let takes = matches!(input, Input::NewOrder(o) if o.time_in_force == TimeInForce::Ioc);
        let told = |event: &Event| match event {
            Event::Fill(_) => takes,
            Event::OrderUpdate(of) if !takes => {
                matches!(of.status, OrderStatus::Accepted | OrderStatus::Cancelled)
            }
            _ => false,
        };
        if !self.step.events.iter().any(told) {
            let name = match input {
                Input::NewOrder(order) => order.client_order_id,
                Input::Cancel(cancel) => cancel.client_order_id,
                _ => bail!("no such operation"),
            };
            let wrong = if takes { "did not fill" } else { "does not rest" };
            bail!("{name} {wrong}: {:?}", self.step.events);
        }
        Ok(())
    }
}
