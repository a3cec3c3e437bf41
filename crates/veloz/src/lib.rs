//! VeloZ: a self-hosted trading gateway. The library half of the program, so that tests, benches and
//! fuzz targets can reach its parts.
pub mod backtest;
pub mod cli;
pub mod config;
pub mod engine;
pub mod frame;
pub mod gateway;
mod histogram;
pub mod http;
pub mod journal;
pub mod market;
mod metrics;
mod plan;
mod process;
pub mod protocol;
pub mod restore;
pub mod service;
pub mod stream;
pub mod venue;
