//! Every order there was, in the order of creation.
//!
//! Contract: what most orders consist of lies packed, two lines of a processor's cache each, and never moves;
//! an order that has more to it (a stop, a time, a pair, executions of an external venue) is kept whole besides.
//! The few orders that were touched last lie ready, and are packed when others take their place. That is
//! nowhere to be seen: an order is the same wherever it lies.
//!
//! Known limit: 2^32 orders.

mod packed;

use std::collections::BTreeMap;
use std::ops::Deref;

use packed::Packed;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::order::Order;
use crate::store::Blocks;
use crate::types::{ClientOrderId, Symbol};

/// How many orders lie ready.
const READY: usize = 8;

/// An order, lent where one lies, or made of what is packed.
#[derive(Debug)]
pub struct OrderRef<'a>(Held<'a>);

#[derive(Debug)]
enum Held<'a> {
    Lent(&'a Order),
    Made(Box<Order>),
}

impl Deref for OrderRef<'_> {
    type Target = Order;

    fn deref(&self) -> &Order {
        match &self.0 {
            Held::Lent(order) => order,
            Held::Made(order) => order,
        }
    }
}

/// A growing list of orders.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    packed: Blocks<Packed>,
    /// The instruments of those that lie packed, by pair.
    symbols: Vec<Option<Symbol>>,
    /// The orders that have more to them, by position.
    whole: BTreeMap<usize, Box<Order>>,
    /// The positions of those that lie ready; `usize::MAX`: none.
    ready_keys: [usize; READY],
    ready: Vec<Ready>,
    /// The place among them that is given up next.
    next: usize,
}

#[derive(Debug, Clone)]
struct Ready {
    order: Order,
    /// It is not what lies packed any more.
    changed: bool,
}

impl Default for Orders {
    fn default() -> Orders {
        Orders {
            packed: Blocks::default(),
            symbols: Vec::new(),
            whole: BTreeMap::new(),
            ready_keys: [usize::MAX; READY],
            ready: Vec::new(),
            next: 0,
        }
    }
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    pub(super) fn get(&self, key: usize) -> Option<OrderRef<'_>> {
        if let Some(ready) = self.ready_at(key).and_then(|at| self.ready.get(at)) {
            return Some(OrderRef(Held::Lent(&ready.order)));
        }
        let packed = self.packed.get(key)?;
        Some(OrderRef(if packed.is_elsewhere() {
            Held::Lent(self.whole.get(&key)?)
        } else {
            Held::Made(Box::new(self.unpack(packed)?))
        }))
    }

    /// The same, which lies ready from then on.
    pub(super) fn ready(&mut self, key: usize) -> Option<&Order> {
        self.make_ready(key).map(|ready| &ready.order)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Order> {
        let ready = self.make_ready(key)?;
        ready.changed = true;
        Some(&mut ready.order)
    }

    /// Whether the order at that position has that name.
    pub(super) fn is_named(&self, key: usize, id: &ClientOrderId) -> bool {
        self.packed.get(key).is_some_and(|packed| packed.client_order_id() == id)
    }

    pub(super) fn push(&mut self, order: Order) {
        let key = self.packed.len();
        self.packed.push(Packed::named(order.client_order_id()));
        self.admit(key, Ready { order, changed: true });
    }

    /// From a position on.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = OrderRef<'_>> {
        (from..self.len()).filter_map(|key| self.get(key))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = OrderRef<'_>> {
        self.iter_from(0)
    }

    fn ready_at(&self, key: usize) -> Option<usize> {
        self.ready_keys.iter().position(|known| *known == key)
    }

    fn make_ready(&mut self, key: usize) -> Option<&mut Ready> {
        if let Some(at) = self.ready_at(key) {
            return self.ready.get_mut(at);
        }
        let packed = self.packed.get(key)?;
        let ready = if packed.is_elsewhere() {
            Ready { order: *self.whole.remove(&key)?, changed: true }
        } else {
            Ready { order: self.unpack(packed)?, changed: false }
        };
        self.admit(key, ready)
    }

    /// Puts an order in the place of one that was touched long ago.
    fn admit(&mut self, key: usize, ready: Ready) -> Option<&mut Ready> {
        let at = self.next;
        self.next = (at + 1) % READY;
        let old_key = std::mem::replace(self.ready_keys.get_mut(at)?, key);
        if at == self.ready.len() {
            self.ready.push(ready);
        } else {
            let old = std::mem::replace(self.ready.get_mut(at)?, ready);
            if old.changed {
                self.put_away(old_key, old.order);
            }
        }
        self.ready.get_mut(at)
    }

    fn put_away(&mut self, key: usize, order: Order) {
        let packed = if self.has_symbol(&order) { Packed::of(&order) } else { None };
        let Some(slot) = self.packed.get_mut(key) else { return };
        match packed {
            Some(packed) => *slot = packed,
            None => {
                slot.set_elsewhere();
                self.whole.insert(key, Box::new(order));
            }
        }
    }

    /// Whether the instrument of an order follows from its pair. (It does.)
    fn has_symbol(&mut self, order: &Order) -> bool {
        if self.symbols.len() <= order.pair {
            self.symbols.resize(order.pair + 1, None);
        }
        let slot = self.symbols.get_mut(order.pair);
        slot.is_some_and(|slot| *slot.get_or_insert(order.request.symbol) == order.request.symbol)
    }

    fn unpack(&self, packed: &Packed) -> Option<Order> {
        let symbol = self.symbols.get(packed.pair())?;
        symbol.map(|symbol| packed.unpack(symbol))
    }
}

impl PartialEq for Orders {
    fn eq(&self, other: &Orders) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(one, two)| *one == *two)
    }
}

impl Eq for Orders {}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        let mut seq = ser.serialize_seq(Some(self.len()))?;
        for order in self.iter() {
            seq.serialize_element(&*order)?;
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
