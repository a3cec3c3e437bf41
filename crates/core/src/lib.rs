//! The pure part of VeloZ: no I/O, no clock, no randomness of its own, no threads.

pub mod event;
pub mod input;
pub mod limits;
pub mod order;
pub mod types;
