//! Every order there was, in the order of creation.
//!
//! Contract: an order never moves, so that one more costs the same whatever their number: no growth copies
//! what is there.

use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::order::Order;

/// How many lie together.
const BLOCK: usize = 1_024;

/// A growing list in blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Orders {
    blocks: Vec<Vec<Order>>,
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        let last = self.blocks.last().map_or(0, Vec::len);
        self.blocks.len().saturating_sub(1) * BLOCK + last
    }

    pub(super) fn get(&self, key: usize) -> Option<&Order> {
        self.blocks.get(key / BLOCK)?.get(key % BLOCK)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Order> {
        self.blocks.get_mut(key / BLOCK)?.get_mut(key % BLOCK)
    }

    pub(super) fn push(&mut self, order: Order) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(order),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(order);
                self.blocks.push(block);
            }
        }
    }

    /// From a position on.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = &Order> {
        let blocks = self.blocks.get(from / BLOCK..).unwrap_or_default();
        blocks.iter().flatten().skip(from % BLOCK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.iter_from(0)
    }
}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        let mut seq = ser.serialize_seq(Some(self.len()))?;
        for order in self.iter() {
            seq.serialize_element(order)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Orders {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Orders, D::Error> {
        struct OrdersVisitor;

        impl<'de> serde::de::Visitor<'de> for OrdersVisitor {
            type Value = Orders;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of orders")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Orders, A::Error> {
                let mut orders = Orders::default();
                while let Some(order) = seq.next_element()? {
                    orders.push(order);
                }
                Ok(orders)
            }
        }

        de.deserialize_seq(OrdersVisitor)
    }
}
