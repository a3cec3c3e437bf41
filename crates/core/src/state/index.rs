//! What follows from the state's data, kept for speed.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::Data;
use super::amends::Amends;
use crate::order::Order;
use crate::sim::OrderKey;
use crate::store::{KeySet, SymbolIndex, Table};
use crate::types::{ClientOrderId, Money, Price, Qty, Side, TsNs};

/// Places in the state's data.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// From the names of the orders to their keys.
    pub(super) orders: Table,
    pub(super) open: KeySet,
    /// The open orders that stand until a time, by that time.
    pub(super) expiring: BTreeSet<(TsNs, usize)>,
    pub(super) markets: SymbolIndex,
    pub(super) pairs: SymbolIndex,
    /// The order that was looked up last: the one that the next look is about, as a rule.
    pub(super) last_looked_up: Cell<usize>,
    /// The orders that are most likely to be looked up next, in this order; and how many of them were.
    pub(super) expected: Vec<OrderKey>,
    pub(super) met: Cell<usize>,
    /// The name that was looked up last of those of no order, and its hash: that of a new one, as a rule, which is
    /// about to be.
    pub(super) last_missed: Cell<Option<(ClientOrderId, u32)>>,
    /// What the open orders of each pair come to at the most.
    pub(super) open_of_pair: Vec<OpenOrders>,
    /// What they are asked to become, and it is not known yet whether they are.
    pub(super) amends: Amends,
}

/// What open orders come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OpenOrders {
    /// How many they are.
    pub(crate) count: usize,
    /// What they would be worth, each at its limit or else its stop. Of two of which one is executed the
    /// limit order counts, until the other is woken.
    pub(crate) notional: Money,
    /// What the BUY orders among them would bring: more than a [`Qty`] holds, of what is counted in billions.
    pub(crate) bought: Money,
}

impl OpenOrders {
    /// What one order comes to, as far as it is known.
    pub(crate) fn of(order: &Order) -> OpenOrders {
        OpenOrders::at(order, (order.qty, order.price))
    }

    /// The same with that quantity and limit.
    pub(super) fn at(order: &Order, (qty, price): (Qty, Option<Price>)) -> OpenOrders {
        if !order.is_open() {
            return OpenOrders::default();
        }
        if order.request.oco_with.is_some() && order.is_dormant() {
            return OpenOrders { count: 1, ..OpenOrders::default() };
        }
        let remaining = qty.checked_sub(order.executed_qty).unwrap_or_default();
        let price = price.or(order.request.stop_price);
        let is_buy = order.request.side == Side::Buy;
        OpenOrders {
            count: 1,
            notional: price.map(|price| Money::notional(price, remaining)).unwrap_or_default(),
            bought: if is_buy { remaining.into() } else { Money::ZERO },
        }
    }

    /// Without what one order comes to.
    #[must_use]
    pub(crate) fn without(self, order: OpenOrders) -> OpenOrders {
        OpenOrders {
            count: self.count.saturating_sub(order.count),
            notional: self.notional.saturating_sub(order.notional),
            bought: self.bought.saturating_sub(order.bought),
        }
    }

    /// The larger of two that one order may come to.
    pub(super) fn or(self, other: OpenOrders) -> OpenOrders {
        OpenOrders {
            count: self.count,
            notional: self.notional.max(other.notional),
            bought: self.bought.max(other.bought),
        }
    }

    fn with(self, order: OpenOrders) -> OpenOrders {
        OpenOrders {
            count: self.count.saturating_add(order.count),
            notional: self.notional.saturating_add(order.notional),
            bought: self.bought.saturating_add(order.bought),
        }
    }
}

impl Index {
    /// `archived`: the hashes of the names of the orders that had their turn to leave for the archive, 4 bytes each.
    pub(super) fn of(data: &Data, archived: &[u8]) -> Index {
        let names = archived.chunks_exact(4).filter_map(|bytes| bytes.first_chunk());
        let names = names.map(|bytes| u32::from_le_bytes(*bytes));
        let orders = Table::filled(names, data.orders.len());
        let mut index = Index { orders, ..Index::default() };
        index.open_of_pair.resize(data.pairs.len(), OpenOrders::default());
        for (id, amend) in data.venue.iter().flat_map(|venue| venue.amends()) {
            index.amends.push(id, amend);
        }
        for key in data.orders.in_memory() {
            // Of most only the name counts: they are closed.
            if let Some(id) = data.orders.closed(key) {
                index.insert(hash_of(&id), key);
                continue;
            }
            let Some(order) = data.orders.get(key) else { continue };
            if key >= data.orders.archived_count() {
                index.insert(hash_of(&order.client_order_id()), key);
            }
            if order.is_open() {
                index.open.insert(key);
                index.expiring.extend(order.request.expire_ts_ns.map(|at| (at, key)));
                index.changed(order.pair, OpenOrders::default(), index.amends.most(&order));
            }
        }
        index.markets = data.markets.iter().enumerate().map(|(i, m)| (m.symbol, i)).collect();
        index.pairs = data.pairs.iter().enumerate().map(|(i, p)| (p.symbol, i)).collect();
        index
    }

    /// The key of the order whose name has that hash, and for which `is_it` holds.
    pub(super) fn order_key(
        &self,
        hash: u32,
        is_it: impl Fn(OrderKey) -> bool,
    ) -> Option<OrderKey> {
        let found = |key| usize::try_from(key).is_ok_and(&is_it);
        self.orders.find(hash, found).and_then(|key| usize::try_from(key).ok())
    }

    /// The hash of a name of which it is known that no order has it.
    #[inline]
    pub(super) fn missed(&self, id: &ClientOrderId) -> Option<u32> {
        self.last_missed.get().filter(|(missed, _)| missed.is(id)).map(|(_, hash)| hash)
    }

    /// The hash of a name, to ask for the key of later.
    pub(super) fn hash_of(id: &ClientOrderId) -> u32 {
        hash_of(id)
    }

    /// Notes the key of a name of that hash. `false`: there are as many orders as there may be.
    pub(super) fn insert(&mut self, hash: u32, key: OrderKey) -> bool {
        let Ok(key) = u32::try_from(key) else { return false };
        self.orders.insert(hash, key);
        self.last_missed.set(None);
        true
    }

    /// An order of a pair comes to something else than before.
    pub(super) fn changed(&mut self, pair: usize, before: OpenOrders, now: OpenOrders) {
        if let Some(open) = self.open_of_pair.get_mut(pair) {
            *open = open.without(before).with(now);
        }
    }
}

/// Not keyed: who may place orders could make many of one hash, and slow down a gateway that he may as well
/// flood or halt. It is on the disk (see [`super::OrderSink::name`]): another one is another format.
fn hash_of(id: &ClientOrderId) -> u32 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = 0_u64;
    let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = id.padded().as_chunks();
    words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    rest.first_chunk().into_iter().for_each(|rest| add(u32::from_le_bytes(*rest).into()));
    // The upper half: every bit counts there.
    let [.., a, b, c, d] = (hash >> 32).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As archives hold them: they outlive versions.
    #[test]
    fn the_hashes_of_names_stay_what_they_are() {
        let hash = |name: &str| hash_of(&ClientOrderId::parse(name).unwrap());
        let names = ["a", "order-1", "order-2", "0123456789-0123456789-0123456789-abc"];
        assert_eq!(names.map(hash), [406_040_664, 1_734_587_711, 1_802_714_606, 2_908_459_692]);
    }
}
