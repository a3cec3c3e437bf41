//! The log: events stored in segments, read back by position.
//!
//! Everything outside this folder knows only its small face: append a batch of steps, read from an id,
//! the oldest and the newest id. Nothing outside knows about files.

mod log;

pub use log::{Bounds, LogError, LogReader, Read};
