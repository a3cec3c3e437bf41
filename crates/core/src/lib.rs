//! The pure part of VeloZ: no I/O, no clock, no randomness of its own, no threads.
//!
//! `engine` is where to start reading: it is told one [`input::Input`] at a time and says what
//! happened, as [`event::Event`]s for everyone and [`state::Fact`]s for itself.

mod fields;
mod store;
mod wire;

pub mod book;
pub mod digits;
pub mod engine;
pub mod event;
pub mod exchange_info;
pub mod input;
pub mod instrument;
pub mod latency;
pub mod ledger;
pub mod limits;
pub mod order;
pub mod risk;
pub mod sim;
pub mod state;
pub mod types;
