//! The stream over real sockets: what a client receives, byte for byte.

// For the generator of events, which the unit tests share.
use veloz::frame;

mod faults;
mod gap;
mod life;
mod model;
mod rig;
#[path = "../../src/stream/testing.rs"]
mod testing;
