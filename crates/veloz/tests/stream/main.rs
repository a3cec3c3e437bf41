//! The stream over real sockets: what a client receives, byte for byte.

// For the generator of events, which the unit tests share.
#[cfg(test)]
use veloz::frame;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod gap;
#[cfg(test)]
mod life;
#[cfg(test)]
mod model;
#[cfg(test)]
mod page;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod ring;
#[cfg(test)]
#[path = "../../src/stream/testing.rs"]
mod testing;
