//! The account's resting orders of one side, by price, then time.
//!
//! Contract: an order comes, goes and is found at the same cost, however many rest at its price or beside it.
//! (One that goes before others at its price, as only a restart puts it, has to pass them.)

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{OrderKey, Ticket};
use crate::store::{Blocks, Table};
use crate::types::Qty;

/// No place.
const NONE: u32 = u32::MAX;

/// Where a resting order is kept, until it is removed.
pub(super) type NodeId = u32;

/// A resting order's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) remaining: Qty,
    /// What must trade or leave before it at its price; `None` while the book is not known.
    pub(super) ahead: Option<Qty>,
    /// What of that has left by the word of a quote alone: the trade that took it may be told yet.
    pub(super) left: Qty,
}

/// A resting order, between its neighbours at the same price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// The rank of its price.
    pub(super) rank: i64,
    pub(super) ticket: Ticket,
    pub(super) place: Place,
    before: NodeId,
    after: NodeId,
}

/// Resting orders: at each price a chain, the earliest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Resting {
    levels: BTreeMap<i64, Ends>,
    nodes: Blocks<Node>,
    /// Of the nodes, those that are free.
    spare: Vec<NodeId>,
    by_key: Table,
}

/// The first and the last order at a price.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: NodeId,
    last: NodeId,
}

fn index(id: NodeId) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// Spreads the keys, which are consecutive.
fn hash_of(key: OrderKey) -> u32 {
    let [.., a, b, c, d] = key.to_be_bytes();
    u32::from_be_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1).rotate_left(16)
}

impl Resting {
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.spare.len()
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(index(id))
    }

    pub(super) fn place_mut(&mut self, id: NodeId) -> Option<&mut Place> {
        self.nodes.get_mut(index(id)).map(|node| &mut node.place)
    }

    /// The order that comes first of all.
    pub(super) fn first(&self) -> Option<(NodeId, &Node)> {
        let id = self.levels.first_key_value()?.1.first;
        Some((id, self.node(id)?))
    }

    /// The order that comes first at a price.
    pub(super) fn first_at(&self, rank: i64) -> Option<NodeId> {
        self.levels.get(&rank).map(|ends| ends.first)
    }

    /// The order that comes last at a price.
    pub(super) fn last_at(&self, rank: i64) -> Option<&Node> {
        self.levels.get(&rank).and_then(|ends| self.node(ends.last))
    }

    /// The order behind another at the same price.
    pub(super) fn after(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).map(|node| node.after).filter(|after| *after != NONE)
    }

    /// Changes the places of all orders at a price, in their order.
    pub(super) fn for_each_at(&mut self, rank: i64, mut f: impl FnMut(&mut Place)) {
        let mut next = self.first_at(rank);
        while let Some(place) = next.and_then(|id| self.place_mut(id)) {
            f(place);
            next = next.and_then(|id| self.after(id));
        }
    }

    /// Changes the places of all orders, by the ranks of their prices.
    pub(super) fn for_each(&mut self, mut f: impl FnMut(i64, &mut Place)) {
        let levels = std::mem::take(&mut self.levels);
        for (&rank, ends) in &levels {
            let mut next = Some(ends.first);
            while let Some(place) = next.and_then(|id| self.place_mut(id)) {
                f(rank, place);
                next = next.and_then(|id| self.after(id));
            }
        }
        self.levels = levels;
    }

    /// Where the order rests, if it does so at that price.
    pub(super) fn find(&self, rank: i64, ticket: Ticket) -> Option<NodeId> {
        self.by_key.find(hash_of(ticket.key), |id| self.is_it(id, rank, ticket))
    }

    fn is_it(&self, id: NodeId, rank: i64, ticket: Ticket) -> bool {
        self.node(id).is_some_and(|node| (node.rank, node.ticket) == (rank, ticket))
    }

    /// Has a look at the entry of a key, then at the place where its order most likely rests, then at those
    /// beside it.
    pub(super) fn look_at(&self, key: OrderKey, depth: usize) -> usize {
        let hash = hash_of(key);
        if depth == 0 {
            return self.by_key.look_at(hash);
        }
        let Some(node) = self.by_key.guess(hash).and_then(|id| self.node(id)) else { return 0 };
        if depth == 1 {
            return index(node.before);
        }
        [node.before, node.after]
            .into_iter()
            .filter_map(|id| self.node(id))
            .fold(0, |sum, beside| sum ^ beside.ticket.key)
    }

    /// An order comes, to its place among those at its price.
    pub(super) fn insert(&mut self, rank: i64, ticket: Ticket, place: Place) {
        let last = self.levels.get(&rank).map(|ends| ends.last);
        let mut before = last.unwrap_or(NONE);
        while let Some(node) = self.node(before).filter(|node| node.ticket > ticket) {
            before = node.before;
        }
        let after = match self.node(before) {
            Some(node) => node.after,
            None => self.first_at(rank).unwrap_or(NONE),
        };
        let Some(id) = self.keep(Node { rank, ticket, place, before, after }) else { return };
        self.by_key.insert(hash_of(ticket.key), id);
        self.link(rank, before, after, [id, id]);
    }

    /// An order goes. What its place was.
    pub(super) fn remove(&mut self, id: NodeId) -> Option<Place> {
        let Node { rank, ticket, place, before, after } = *self.node(id)?;
        self.by_key.remove(hash_of(ticket.key), |known| known == id)?;
        self.link(rank, before, after, [after, before]);
        self.spare.push(id);
        Some(place)
    }

    fn keep(&mut self, node: Node) -> Option<NodeId> {
        if let Some(id) = self.spare.pop() {
            *self.nodes.get_mut(index(id))? = node;
            return Some(id);
        }
        let id = NodeId::try_from(self.nodes.len()).ok().filter(|id| *id != NONE)?;
        self.nodes.push(node);
        Some(id)
    }

    /// Behind `before` stands `first` now, and in front of `after` stands `last`; where there is no such
    /// neighbour they are the ends of the chain.
    fn link(&mut self, rank: i64, before: NodeId, after: NodeId, [first, last]: [NodeId; 2]) {
        if let Some(node) = self.nodes.get_mut(index(before)) {
            node.after = first;
        }
        if let Some(node) = self.nodes.get_mut(index(after)) {
            node.before = last;
        }
        if before != NONE && after != NONE {
            return;
        }
        match self.levels.entry(rank) {
            Entry::Vacant(entry) => {
                entry.insert(Ends { first, last });
            }
            Entry::Occupied(mut entry) => {
                let ends = entry.get_mut();
                if before == NONE {
                    ends.first = first;
                }
                if after == NONE {
                    ends.last = last;
                }
                if ends.first == NONE {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sorted map says to the same: orders come in any order of age, go from anywhere.
    #[test]
    fn orders_stand_by_price_then_time() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut resting, mut plain) = (Resting::default(), BTreeMap::new());
        for key in 0..30_000 {
            let ticket = Ticket { queued_at: random.u64(..50), key };
            let (rank, remaining) = (random.i64(-5..5), Qty::from_raw(random.i64(1..)));
            resting.insert(rank, ticket, Place { remaining, ahead: None, left: Qty::ZERO });
            plain.insert((rank, ticket), remaining);
            while plain.len() > 200 || (!plain.is_empty() && random.bool()) {
                let at = random.usize(..plain.len());
                let (&(rank, ticket), &remaining) = plain.iter().nth(at).unwrap();
                let id = resting.find(rank, ticket).unwrap();
                assert_eq!(resting.find(rank + 1, ticket), None);
                assert_eq!(resting.remove(id).unwrap().remaining, remaining);
                assert_eq!(resting.find(rank, ticket), None);
                plain.remove(&(rank, ticket));
            }
            assert_eq!(resting.len(), plain.len());
            let first = resting.first().map(|(_, node)| (node.rank, node.ticket));
            assert_eq!(first, plain.first_key_value().map(|(&first, _)| first));
            if key % 100 == 0 {
                let (mut one, mut two) = (Vec::new(), Vec::new());
                resting.for_each(|rank, place| one.push((rank, place.remaining)));
                two.extend(plain.iter().map(|(&(rank, _), &remaining)| (rank, remaining)));
                assert_eq!(one, two);
                let (mut one, level) = (Vec::new(), |(r, _): &(i64, Qty)| *r == rank);
                resting.for_each_at(rank, |place| one.push((rank, place.remaining)));
                assert_eq!(one, two.into_iter().filter(level).collect::<Vec<_>>());
            }
        }
        assert!(resting.nodes.len() <= 201);
    }
}
