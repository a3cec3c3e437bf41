//! The account's resting orders of one side, by price, then time.
//!
//! Contract: an order comes, goes and is found at the same cost, however many rest at its price or beside it.
//! (One that goes before others at its price, as only a restart puts it, has to pass them. A price at which none
//! rested costs a search among the prices at which some do.)

use std::collections::BTreeMap;

use super::Ticket;
use crate::store::{Blocks, Table};
use crate::types::Qty;

/// No place.
const NONE: u32 = u32::MAX;

/// A ticket that no order has.
const NOBODY: Ticket = Ticket { queued_at: 0, key: usize::MAX };

/// Where a resting order is kept, until it is removed.
pub(super) type NodeId = u32;

/// Where an order rests: what is kept of it, so that it is found again without a search. It holds until the
/// order is gone; of an order that is gone it finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestId(pub(super) NodeId);

impl RestId {
    /// Nowhere.
    pub const NONE: RestId = RestId(NONE);

    /// Has a look at it.
    pub(crate) fn look(&self) -> usize {
        index(self.0)
    }
}

/// Where the orders of a price are kept, while there are any.
type LevelId = u32;

/// A resting order's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) remaining: Qty,
    /// What must trade or leave before it at its price; `None` while the book is not known.
    pub(super) ahead: Option<Qty>,
    /// What of that has left by the word of a quote alone: the trade that took it may be told yet.
    pub(super) left: Qty,
}

/// A resting order, between its neighbours at the same price: a line of a processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Node {
    pub(super) ticket: Ticket,
    pub(super) place: Place,
    level: LevelId,
    before: NodeId,
    after: NodeId,
}

/// The order that comes first of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    pub(super) id: NodeId,
    /// The rank of its price.
    pub(super) rank: i64,
    pub(super) ticket: Ticket,
    pub(super) place: Place,
}

/// A price at which orders rest, and the first and the last of them.
#[derive(Debug, Clone, Copy)]
struct Level {
    rank: i64,
    first: NodeId,
    last: NodeId,
}

/// Resting orders: at each price a chain, the earliest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Resting {
    nodes: Blocks<Node>,
    /// Of the nodes, those that are free.
    spare_nodes: Vec<NodeId>,
    levels: Blocks<Level>,
    /// Of the levels, those that are free.
    spare_levels: Vec<LevelId>,
    /// The levels from the best price to the worst.
    in_order: BTreeMap<i64, LevelId>,
    /// The levels by the hash of their rank: an order that comes is one more at a known price, as a rule.
    by_rank: Table,
}

fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// Spreads the ranks, which are multiples of a tick.
fn hash_of(rank: i64) -> u32 {
    let [a, b, c, d, ..] = rank.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Keeps an entry where one is free, or else at the end.
fn keep<T>(entries: &mut Blocks<T>, spare: &mut Vec<u32>, entry: T) -> Option<u32> {
    if let Some(id) = spare.pop() {
        *entries.get_mut(index(id))? = entry;
        return Some(id);
    }
    let id = u32::try_from(entries.len()).ok().filter(|id| *id != NONE)?;
    entries.push(entry);
    Some(id)
}

impl Resting {
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.spare_nodes.len()
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(index(id))
    }

    pub(super) fn place_mut(&mut self, id: NodeId) -> Option<&mut Place> {
        self.nodes.get_mut(index(id)).map(|node| &mut node.place)
    }

    /// Whether the order is kept there.
    pub(super) fn is_at(&self, id: NodeId, ticket: Ticket) -> bool {
        self.node(id).is_some_and(|node| node.ticket == ticket)
    }

    /// The order that comes first of all.
    pub(super) fn first(&self) -> Option<First> {
        let (&rank, &level) = self.in_order.first_key_value()?;
        let id = self.level(level)?.first;
        let &Node { ticket, place, .. } = self.node(id)?;
        Some(First { id, rank, ticket, place })
    }

    /// The rank of the price at which a kept order rests.
    pub(super) fn rank_of(&self, node: &Node) -> Option<i64> {
        self.level(node.level).map(|level| level.rank)
    }

    /// The order that comes first at a price.
    pub(super) fn first_at(&self, rank: i64) -> Option<NodeId> {
        self.find(rank).and_then(|id| self.level(id)).map(|level| level.first)
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
        let in_order = std::mem::take(&mut self.in_order);
        for (&rank, &level) in &in_order {
            let mut next = self.level(level).map(|level| level.first);
            while let Some(place) = next.and_then(|id| self.place_mut(id)) {
                f(rank, place);
                next = next.and_then(|id| self.after(id));
            }
        }
        self.in_order = in_order;
    }

    /// Has a look at those beside an order.
    pub(super) fn look_beside(&self, id: NodeId) -> usize {
        let Some(node) = self.node(id) else { return 0 };
        [node.before, node.after]
            .into_iter()
            .filter_map(|id| self.node(id))
            .fold(0, |sum, beside| sum ^ beside.ticket.key)
    }

    /// The order that comes last at a price.
    pub(super) fn last_at(&self, rank: i64) -> Option<NodeId> {
        self.find(rank).and_then(|id| self.level(id)).map(|level| level.last)
    }

    /// An order comes, to its place among those at its price. Where it is kept from then on.
    pub(super) fn insert(&mut self, rank: i64, ticket: Ticket, place: Place) -> Option<NodeId> {
        let level = self.find(rank).or_else(|| self.open(rank))?;
        let &Level { first, last, .. } = self.level(level)?;
        let mut before = last;
        while let Some(node) = self.node(before).filter(|node| node.ticket > ticket) {
            before = node.before;
        }
        let after = self.node(before).map_or(first, |node| node.after);
        let node = Node { ticket, place, level, before, after };
        let id = keep(&mut self.nodes, &mut self.spare_nodes, node)?;
        self.link(level, before, after, [id, id]);
        Some(id)
    }

    /// An order goes. What its place was.
    pub(super) fn remove(&mut self, id: NodeId) -> Option<Place> {
        let node = self.nodes.get_mut(index(id))?;
        let Node { place, level, before, after, .. } = *node;
        node.ticket = NOBODY;
        self.spare_nodes.push(id);
        self.link(level, before, after, [after, before]);
        if before == NONE && after == NONE {
            self.close(level);
        }
        Some(place)
    }

    fn level(&self, id: LevelId) -> Option<&Level> {
        self.levels.get(index(id))
    }

    fn find(&self, rank: i64) -> Option<LevelId> {
        let is_it = |id| self.level(id).is_some_and(|level| level.rank == rank);
        self.by_rank.find(hash_of(rank), is_it)
    }

    /// A price at which an order will rest.
    fn open(&mut self, rank: i64) -> Option<LevelId> {
        let level = Level { rank, first: NONE, last: NONE };
        let id = keep(&mut self.levels, &mut self.spare_levels, level)?;
        self.in_order.insert(rank, id);
        self.by_rank.insert(hash_of(rank), id);
        Some(id)
    }

    /// A price at which no order rests any more.
    fn close(&mut self, id: LevelId) {
        let Some(&Level { rank, .. }) = self.level(id) else { return };
        self.in_order.remove(&rank);
        self.by_rank.remove(hash_of(rank), |known| known == id);
        self.spare_levels.push(id);
    }

    /// Behind `before` stands `first` now, and in front of `after` stands `last`; where there is no such
    /// neighbour they are the ends of the chain.
    fn link(&mut self, level: LevelId, before: NodeId, after: NodeId, [first, last]: [NodeId; 2]) {
        if before != NONE
            && let Some(node) = self.nodes.get_mut(index(before))
        {
            node.after = first;
        }
        if after != NONE
            && let Some(node) = self.nodes.get_mut(index(after))
        {
            node.before = last;
        }
        if before != NONE && after != NONE {
            return;
        }
        let Some(level) = self.levels.get_mut(index(level)) else { return };
        if before == NONE {
            level.first = first;
        }
        if after == NONE {
            level.last = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_line_of_a_cache() {
        assert_eq!(size_of::<Node>(), 64);
    }

    /// What a sorted map says to the same: orders come in any order of age, go from anywhere.
    #[test]
    fn orders_stand_by_price_then_time() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut resting, mut plain) = (Resting::default(), BTreeMap::new());
        let mut ids = BTreeMap::new();
        for key in 0..30_000 {
            let ticket = Ticket { queued_at: random.u64(..50), key };
            let (rank, remaining) = (random.i64(-5..5), Qty::from_raw(random.i64(1..)));
            let place = Place { remaining, ahead: None, left: Qty::ZERO };
            let id = resting.insert(rank, ticket, place).unwrap();
            ids.insert(key, id);
            plain.insert((rank, ticket), remaining);
            while plain.len() > 200 || (!plain.is_empty() && random.bool()) {
                let at = random.usize(..plain.len());
                let (&(rank, ticket), &remaining) = plain.iter().nth(at).unwrap();
                let id = ids[&ticket.key];
                assert!(resting.is_at(id, ticket));
                assert_eq!(resting.remove(id).unwrap().remaining, remaining);
                assert!(!resting.is_at(id, ticket));
                plain.remove(&(rank, ticket));
            }
            assert_eq!(resting.len(), plain.len());
            let first = resting.first().map(|first| (first.rank, first.ticket));
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
