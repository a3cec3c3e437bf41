//! The order: its fields, its states, and the ways between them.

use serde::{Deserialize, Serialize};

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of the documents.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// Reads a name in any case.
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|v| v.as_str().eq_ignore_ascii_case(text))
            }
        }
    };
}

wire_enum! {
    /// The state of an order.
    OrderStatus {
        /// On the venue, nothing executed.
        Accepted = "ACCEPTED",
        /// On the venue, some executed.
        PartiallyFilled = "PARTIALLY_FILLED",
        /// All executed.
        Filled = "FILLED",
        /// Taken back by its owner.
        Cancelled = "CANCELLED",
        /// Never taken by the venue.
        Rejected = "REJECTED",
        /// The rest ended by the venue: IOC, FOK, GTD, MARKET, self-trade prevention.
        Expired = "EXPIRED",
    }
}

wire_enum! {
    /// What an order asks for.
    OrderType {
        /// At its limit or better.
        Limit = "LIMIT",
        /// At what the book offers.
        Market = "MARKET",
        /// Post-only: rejected when it would take.
        LimitMaker = "LIMIT_MAKER",
    }
}

wire_enum! {
    /// How long an order stands.
    TimeInForce {
        /// Until cancelled.
        Gtc = "GTC",
        /// What it gets at once; the rest expires.
        Ioc = "IOC",
        /// All at once or nothing.
        Fok = "FOK",
    }
}

impl OrderStatus {
    /// Whether nothing more is expected of the order.
    pub const fn is_final(self) -> bool {
        match self {
            OrderStatus::Accepted | OrderStatus::PartiallyFilled => false,
            OrderStatus::Filled
            | OrderStatus::Cancelled
            | OrderStatus::Rejected
            | OrderStatus::Expired => true,
        }
    }
}
