//! The client of a VeloZ gateway: typed commands, and an event stream that resumes by itself.
//!
//! Contract: an order carries its id from the moment it is made, so sending it again can never place a
//! second one ([`Client::place_with_retry`]). An [`EventStream`] yields each event once, in the order
//! of its id; what it could not have is told ([`StreamItem::Gap`], [`StreamItem::Hole`]), never skipped.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use veloz_client::{Client, OrderRequest, Side};
//!
//! let client = Client::new("http://127.0.0.1:8080")?;
//! let order = OrderRequest::limit(Side::Buy, "BTCUSDT".parse()?, "0.001".parse()?, "30000".parse()?);
//! println!("{:?}", client.place_with_retry(&order).await?);
//! # Ok(())
//! # }
//! ```

mod backoff;
mod client;
mod cursor;
mod error;
mod model;
mod order;
mod pair;
pub mod sse;
mod stream;

pub use client::Client;
pub use error::{ApiError, Error, StreamFault};
pub use model::{
    AmendReply, Book, CancelledAll, Config, EventsPage, Gap, GapReason, Health, LogEvent,
    MarketPrice, OrderReply, OrdersPage, OrdersQuery, PairReply, RiskUpdate, View,
};
pub use order::{OrderRequest, Stop};
pub use pair::PairRequest;
pub use stream::{EventStream, StreamItem, StreamOptions};
pub use veloz_core::engine::RiskUse;
pub use veloz_core::event::{
    Account, Balance, ErrorEvent, Event, EventKind, Fill, Market, OrderState, OrderUpdate,
};
pub use veloz_core::input::{AssetLimits, RiskSettings, TradingState};
pub use veloz_core::instrument::Instrument;
pub use veloz_core::order::{OrderStatus, OrderType, TimeInForce};
pub use veloz_core::types::{Asset, ClientOrderId, EventId, Money, Price, Qty, Side, Symbol, TsNs};
