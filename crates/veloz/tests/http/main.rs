//! The HTTP layer over real sockets, with a real engine behind it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::print_stdout)]

mod api;
mod harness;
mod hostile;
mod sockets;
