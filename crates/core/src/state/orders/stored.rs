//! The orders as a snapshot holds them.
//!
//! A list of all of them; where an archive has some: how many, from the first on, are there but for those that are
//! kept; those that are kept, with their positions; the rest.

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OrderRef, Orders, Packed};
use crate::order::Order;
use crate::store::Blocks;
use crate::types::Symbol;

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        if self.archived == 0 {
            return From(self, 0).serialize(ser);
        }
        let mut all = ser.serialize_struct("Orders", 3)?;
        all.serialize_field("archived", &self.archived)?;
        all.serialize_field("kept", &Kept(self))?;
        all.serialize_field("rest", &From(self, self.archived))?;
        all.end()
    }
}

/// The orders from a position on.
struct From<'a>(&'a Orders, usize);

impl Serialize for From<'_> {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        let From(orders, from) = *self;
        let mut seq = ser.serialize_seq(Some(orders.len() - from))?;
        let mut line = String::new();
        for key in from..orders.len() {
            if let Some(order) = Written::of(orders, key, &mut line) {
                seq.serialize_element(&order)?;
            }
        }
        seq.end()
    }
}

/// An order as [`Stored`] reads it.
enum Written<'a> {
    Packed(&'a str),
    Whole(OrderRef<'a>),
}

impl<'a> Written<'a> {
    /// The order at a position; a line that it is written as goes to `line`.
    fn of(orders: &'a Orders, key: usize, line: &'a mut String) -> Option<Written<'a>> {
        let Some((packed, symbol)) = orders.packed_at(key) else {
            return orders.get(key).map(Written::Whole);
        };
        line.clear();
        packed.write(symbol, line);
        Some(Written::Packed(line))
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        match self {
            Written::Packed(line) => line.serialize(ser),
            Written::Whole(order) => order.serialize(ser),
        }
    }
}

/// The orders that are kept where others are in the archive.
struct Kept<'a>(&'a Orders);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        let Kept(orders) = *self;
        let (mut seq, mut line) = (ser.serialize_seq(None)?, String::new());
        for key in orders.in_memory().take_while(|key| *key < orders.archived) {
            if let Some(order) = Written::of(orders, key, &mut line) {
                seq.serialize_element(&(key, order))?;
            }
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Orders {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Orders, D::Error> {
        struct OrdersVisitor;

        impl<'de> Visitor<'de> for OrdersVisitor {
            type Value = Orders;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of orders")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Orders, A::Error> {
                let mut orders = Orders::default();
                while let Some(stored) = seq.next_element()? {
                    orders.take(stored);
                }
                Ok(orders)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Orders, A::Error> {
                let parts = Parts::deserialize(MapAccessDeserializer::new(map))?;
                let archived = usize::try_from(parts.archived).unwrap_or(usize::MAX);
                let mut orders = Orders {
                    packed: Blocks::from(archived, Packed::GONE),
                    archived,
                    ..Orders::default()
                };
                for (key, stored) in parts.kept {
                    if key >= archived {
                        return Err(serde::de::Error::custom(
                            "an order that is kept is not before the others",
                        ));
                    }
                    let order = match stored {
                        Stored::Packed(packed, symbol) => Box::new(packed.unpack(symbol)),
                        Stored::Whole(order) => order,
                    };
                    orders.whole.insert(key, order);
                }
                parts.rest.into_iter().for_each(|stored| orders.take(stored));
                Ok(orders)
            }
        }

        de.deserialize_any(OrdersVisitor)
    }
}

impl Orders {
    fn take(&mut self, stored: Stored) {
        match stored {
            Stored::Packed(packed, symbol) => self.push_packed(packed, symbol),
            Stored::Whole(order) => self.push(*order),
        }
    }
}

/// The fields where an archive is in use.
#[derive(Deserialize)]
struct Parts {
    /// As many as there can be orders.
    archived: u32,
    kept: Vec<(usize, Stored)>,
    rest: Vec<Stored>,
}

/// An order in a snapshot: a line where it lies packed, otherwise an object. Snapshots of earlier versions hold
/// objects only.
enum Stored {
    Packed(Packed, Symbol),
    Whole(Box<Order>),
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Stored, D::Error> {
        struct StoredVisitor;

        impl<'de> Visitor<'de> for StoredVisitor {
            type Value = Stored;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an order")
            }

            fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<Stored, E> {
                let read =
                    Packed::read(line).map(|(packed, symbol)| Stored::Packed(packed, symbol));
                read.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(line), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Stored, A::Error> {
                let order = Order::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Stored::Whole(Box::new(order)))
            }
        }

        de.deserialize_any(StoredVisitor)
    }
}
