//! The engine protocol: commands as lines of words on the engine's standard input, events as lines of
//! JSON on its standard output. `docs/engine-protocol.md` is its document.
//!
//! Contract: both halves of it, and nothing that does I/O of its own but [`Lines`]. What cannot be read is
//! an error that names what was wrong; no line, however long or broken, changes how the next is read.

mod command;
mod lines;
mod report;

pub use command::{Command, ProtocolError, Query, parse, write_command};
pub use lines::{Line, Lines};
pub use report::{Said, Unread, read_said};
