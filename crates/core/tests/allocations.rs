//! What the engine allocates once it is warm: nothing for an order, its events and its account included. The
//! tables that keep every order for ever grow by a block for hundreds of orders, and that is all.

#![cfg(test)]

use std::io::Write;

use veloz_core::engine::{Engine, EngineConfig, Step};
use veloz_core::input::{CancelOrder, Input, MarketBody, MarketData, NewOrder};
use veloz_core::instrument::Instrument;
use veloz_core::order::TimeInForce;
use veloz_core::types::{ClientOrderId, Price, Qty, Side, Symbol};

const RESTING: usize = 10_000;
const OPERATIONS: usize = 110_000;
const ASK: i64 = 50_000;

/// Orders that come, go and take, as many of each as of the others in a cycle of three.
struct Load {
    engine: Engine,
    step: Step,
    symbol: Symbol,
    random: fastrand::Rng,
    live: Vec<ClientOrderId>,
    placed: usize,
    now_ns: i64,
    events: usize,
}

impl Load {
    fn new() -> Load {
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let mut engine = Engine::new(EngineConfig {
            instruments: vec![Instrument::for_symbol(symbol).unwrap()],
            balances: vec![("USDT".parse().unwrap(), "1000000000000".parse().unwrap())],
            most_open_orders: usize::MAX,
            ..EngineConfig::default()
        });
        let mut step = Step::default();
        engine.start(1, &mut step);
        let asks = vec![(price(ASK), "1000000".parse().unwrap())];
        let body = MarketBody::Snapshot { last_id: 1, bids: vec![], asks };
        let book = MarketData { symbol, position: None, body };
        engine.step(2, &Input::Market(book), &mut step).unwrap();
        let random = fastrand::Rng::with_seed(1);
        let live = Vec::with_capacity(2 * RESTING);
        Load { engine, step, symbol, random, live, placed: 0, now_ns: 3, events: 0 }
    }

    fn order(&mut self, price: Price) -> NewOrder {
        self.placed += 1;
        let id = ClientOrderId::parse(&format!("order-{}", self.placed)).unwrap();
        NewOrder::limit(id, self.symbol, Side::Buy, Qty::from_raw(100_000), price)
    }

    fn rest(&mut self) -> Input {
        let below = price(ASK - self.random.i64(1..=1_000));
        let order = self.order(below);
        self.live.push(order.client_order_id);
        Input::NewOrder(order)
    }

    fn next(&mut self, number: usize) -> Input {
        match number % 3 {
            0 => self.rest(),
            1 => {
                let at = self.random.usize(..self.live.len());
                let client_order_id = self.live.swap_remove(at);
                Input::Cancel(CancelOrder { client_order_id, symbol: None })
            }
            _ => {
                let order = self.order(price(ASK));
                Input::NewOrder(NewOrder { time_in_force: TimeInForce::Ioc, ..order })
            }
        }
    }

    fn perform(&mut self, input: &Input) {
        self.now_ns += 1;
        self.engine.step(self.now_ns, input, &mut self.step).unwrap();
        self.events += self.step.events.len();
    }
}

fn price(whole: i64) -> Price {
    Price::from_raw(whole * 100_000_000)
}

#[test]
fn a_warm_engine_allocates_nothing_for_an_order() {
    let mut load = Load::new();
    for _ in 0..RESTING {
        let input = load.rest();
        load.perform(&input);
    }
    let (mut allocations, mut bytes, mut inputs) = (0, 0, Vec::with_capacity(64));
    for first in (0..2 * OPERATIONS).step_by(64) {
        inputs.clear();
        for number in first..first + 64 {
            let input = load.next(number);
            inputs.push(input);
        }
        let counted = allocation_counter::measure(|| {
            load.engine.look_ahead(inputs.iter());
            inputs.iter().for_each(|input| load.perform(input));
        });
        if first >= OPERATIONS {
            allocations += counted.count_total;
            bytes += counted.bytes_total;
        }
    }
    assert_eq!(load.engine.check_invariants(), Ok(()));
    assert!(load.events > 5 * OPERATIONS, "{} events: the load does nothing", load.events);
    let operations = u64::try_from(OPERATIONS).unwrap();
    let told = format!("{allocations} allocations, {bytes} bytes, in {operations} operations\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    assert!(allocations * 100 < operations, "{told}");
    // What is kept of each order for ever, and no more.
    assert!(bytes < operations * 200, "{told}");
}
