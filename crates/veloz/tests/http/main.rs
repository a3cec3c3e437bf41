//! The HTTP layer over real sockets, with a real engine, journal and stream behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod api;
mod docs;
mod harness;
mod hostile;
mod refusals;
mod sockets;
