//! Containers of the orders. Contract: one more entry never costs more than a bounded amount of work, however
//! many there are: nothing is copied or hashed anew as a whole when they grow.

mod blocks;
mod keys;
mod look;
mod symbols;
mod table;

pub(crate) use blocks::Blocks;
pub(crate) use keys::KeySet;
pub(crate) use look::look;
pub(crate) use symbols::SymbolIndex;
pub(crate) use table::Table;
