//! The HTTP API: who may ask, what may be asked, and how it is answered.
//!
//! Contract: JSON in and out; an error is always `{"error":"stable_code","message":"for a person"}`.
//! Every request passes the checks of its head, then its body is read whole within limits, and only
//! then is it routed. `GET /api/stream` is checked here; its socket then goes to the stream's own loop.
//!
//! Known limit: HTTP/1 only.

mod account;
mod body;
mod command;
mod connection;
mod error;
mod events;
mod gateway;
mod guard;
mod market;
mod metrics;
mod oco;
mod openapi;
mod order_request;
mod orders;
mod page;
mod plain;
mod query;
mod router;
mod rules;
mod server;
mod system;
mod unread;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde::Serialize;
use veloz_core::limits::{HTTP_BODY_MS, HTTP_HEAD_MS, HTTP_IDLE_MS};
use veloz_core::types::Symbol;

use crate::journal::Lineage;
use crate::service::ServiceHandle;
use crate::stream::StreamHandle;
use crate::stream::page::Pages;

/// The bodies of requests, read and answered as the handlers do.
pub mod bodies {
    pub use super::command::{Command, Outcome};
    pub use super::error::ApiError;
    pub use super::order_request::{parse_amend, parse_order};
    pub use super::rules::Rules;
}

pub use metrics::HttpMetrics;
pub use server::{HttpError, HttpServer, bind, max_connections_by_handles};

/// How the server is set.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Names by which the gateway may be asked, besides the loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may ask, besides the gateway's own.
    pub allowed_origins: Vec<String>,
    /// The most connections, streams included.
    pub max_connections: usize,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// The symbol that is meant when none is named.
    pub symbol: Symbol,
    /// What `GET /api/config` shows.
    pub view: ConfigView,
    /// Which log the events are of.
    pub log: Lineage,
}

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a request's head.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
    /// Between requests.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_millis(HTTP_HEAD_MS),
            body: Duration::from_millis(HTTP_BODY_MS),
            idle: Duration::from_millis(HTTP_IDLE_MS),
        }
    }
}

/// The settings that anyone may see: there is no place for a secret in it.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigView {
    /// `sim`, `replay`, `none`.
    pub market_source: &'static str,
    /// The default symbol.
    pub market_symbol: Symbol,
    /// All symbols.
    pub market_symbols: Vec<Symbol>,
    /// Where Binance's market data comes from.
    pub binance_base_url: String,
    /// `sim_engine`.
    pub execution_mode: &'static str,
    /// Whether orders go to Binance.
    pub binance_trade_enabled: bool,
    /// Where they go.
    pub binance_trade_base_url: String,
}

/// The market source, as far as the API asks it.
pub trait MarketControl: Send + Sync {
    /// `running`, `finished` or `failed`.
    fn state(&self) -> &'static str;

    /// Lets a paused replay run.
    ///
    /// # Errors
    /// When there is no replay to run: why.
    fn run(&self) -> Result<(), String>;

    /// Plays the next `lines` lines of a paused replay; returns when they were handed over.
    ///
    /// # Errors
    /// When there is no paused replay: why.
    fn step(&self, lines: u64) -> Result<(), String>;
}

/// The other parts of the program that the server speaks to.
pub struct HttpParts {
    /// The engine, behind its queue.
    pub service: ServiceHandle,
    /// The log.
    pub pages: Pages,
    /// Where streams go.
    pub stream: StreamHandle,
    /// The market source.
    pub market: Arc<dyn MarketControl>,
    /// What `GET /metrics` shows.
    pub registry: Arc<Registry>,
    /// The server's own counters, registered there.
    pub metrics: HttpMetrics,
}
