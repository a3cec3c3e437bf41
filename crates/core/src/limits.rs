//! Every cap of the core, by name, with its unit last.

/// The recent order events that [`crate::state::State`] keeps for `GET /api/orders` and `/api/fills`.
pub const RECENT_ORDER_EVENTS_COUNT: usize = 1_000;

/// The most open orders there can be at once, whatever the risk settings allow.
pub const OPEN_ORDERS_COUNT: usize = 100_000;

/// The depth updates of one instrument that wait for its snapshot; the oldest go first.
pub const BUFFERED_DEPTH_UPDATES_COUNT: usize = 4_096;

/// The levels of one side of one book; the worst go first.
pub const BOOK_SIDE_LEVELS_COUNT: usize = 20_000;
