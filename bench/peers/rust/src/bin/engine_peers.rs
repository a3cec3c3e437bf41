//! Matching engines of the Rust registry under the load that ours has. `engine_peers NAME [--resting N] ...`

#[path = "../../../../src/engine_load.rs"]
mod engine_load;

use anyhow::{Result, anyhow, bail};
use clap::{Parser, ValueEnum};
use engine_load::{EngineLoad, Operation, Venue};
use rust_ob::Decimal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// Which.
    engine: Name,
    #[command(flatten)]
    load: EngineLoad,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    OrderbookRs,
    RustOb,
}

/// The ask that everything takes from: deep enough for any load.
const ASK_ID: u64 = u64::MAX;
const ASK_LEVEL: u64 = 50_000;
const DEEPEST_LEVEL: u64 = 49_000;
const QTY: u32 = 1;
const ASK_QTY: u32 = u32::MAX;

fn main() -> Result<()> {
    let args = Args::parse();
    let figures = match args.engine {
        Name::OrderbookRs => engine_load::run(OrderbookRs::new()?, &args.load)?,
        Name::RustOb => engine_load::run(RustOb::new()?, &args.load)?,
    };
    println!("{figures}");
    Ok(())
}

/// What a peer does of the load's operations, which it takes as they are.
trait Book {
    fn place(&mut self, id: u64, level: u64) -> Result<()>;
    fn cancel(&mut self, id: u64) -> Result<()>;
    fn take(&mut self, id: u64) -> Result<()>;
}

impl<B: Book> Venue for B {
    type Request = Operation;

    fn request(&mut self, operation: Operation) -> Result<Operation> {
        Ok(operation)
    }

    fn perform(&mut self, request: &Operation) -> Result<()> {
        match *request {
            Operation::Place { id, level } => self.place(id, level),
            Operation::Cancel { id } => self.cancel(id),
            Operation::Take { id } => self.take(id),
        }
    }
}

/// Its book for one symbol, single-threaded here though it is made to be shared.
struct OrderbookRs(orderbook_rs::OrderBook<()>);

fn of_orderbook_rs(id: u64) -> pricelevel::Id {
    pricelevel::Id::from_u64(id)
}

impl OrderbookRs {
    fn new() -> Result<OrderbookRs> {
        let venue = OrderbookRs(orderbook_rs::OrderBook::new("BTCUSDT"));
        venue.add(ASK_ID, ASK_LEVEL, ASK_QTY, pricelevel::Side::Sell)?;
        Ok(venue)
    }

    fn add(&self, id: u64, level: u64, qty: u32, side: pricelevel::Side) -> Result<()> {
        let tif = pricelevel::TimeInForce::Gtc;
        self.0
            .add_limit_order(of_orderbook_rs(id), level.into(), qty.into(), side, tif, None)
            .map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }
}

impl Book for OrderbookRs {
    fn place(&mut self, id: u64, level: u64) -> Result<()> {
        self.add(id, DEEPEST_LEVEL + level, QTY, pricelevel::Side::Buy)
    }

    fn cancel(&mut self, id: u64) -> Result<()> {
        match self.0.cancel_order(of_orderbook_rs(id)) {
            Ok(Some(_)) => Ok(()),
            other => bail!("order {id} was not cancelled: {other:?}"),
        }
    }

    fn take(&mut self, id: u64) -> Result<()> {
        self.0
            .submit_market_order(of_orderbook_rs(id), QTY.into(), pricelevel::Side::Buy)
            .map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }
}

/// Its book, with decimals.
struct RustOb(rust_ob::OrderBook<u64>);

impl RustOb {
    fn new() -> Result<RustOb> {
        let mut venue = RustOb(rust_ob::OrderBook::new());
        venue.add(ASK_ID, ASK_LEVEL, ASK_QTY, rust_ob::Side::Sell)?;
        Ok(venue)
    }

    fn add(&mut self, id: u64, level: u64, qty: u32, side: rust_ob::Side) -> Result<()> {
        self.0
            .process_limit_order(id, side, Decimal::from(level), Decimal::from(qty))
            .map_err(|error| anyhow!("{error:?}"))?;
        Ok(())
    }
}

impl Book for RustOb {
    fn place(&mut self, id: u64, level: u64) -> Result<()> {
        self.add(id, DEEPEST_LEVEL + level, QTY, rust_ob::Side::Buy)
    }

    fn cancel(&mut self, id: u64) -> Result<()> {
        self.0.cancel_order(id).map_err(|error| anyhow!("{error:?}"))
    }

    fn take(&mut self, id: u64) -> Result<()> {
        let fills = self
            .0
            .process_market_order(id, rust_ob::Side::Buy, Decimal::from(QTY))
            .map_err(|error| anyhow!("{error:?}"))?;
        if fills.is_empty() {
            bail!("order {id} did not fill");
        }
        Ok(())
    }
}
