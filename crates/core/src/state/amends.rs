//! Amendments that a venue that is away was sent, and of which it is not known here what became.
//!
//! Contract: they follow from what is on both ways, and are kept for speed. Until it is known, an order comes to the
//! most of what it is and of what it may become: so the limits hold whatever becomes of its amendments.

use std::collections::BTreeMap;

use super::index::OpenOrders;
use super::{Fact, VenueMail};
use crate::order::Order;
use crate::types::{ClientOrderId, Price, Qty};

/// What an amendment asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amend {
    /// Another quantity.
    qty: Option<Qty>,
    /// Another limit.
    price: Option<Price>,
    /// The venue has done it: the report is on its way back.
    done: bool,
}

impl Amend {
    /// Of what is sent there.
    pub(super) fn sent(mail: &VenueMail) -> Option<(ClientOrderId, Amend)> {
        match *mail {
            VenueMail::Amend { client_order_id, qty, price } => {
                Some((client_order_id, Amend { qty, price, done: false }))
            }
            _ => None,
        }
    }

    /// Of what was done there in one step: one at most.
    pub(super) fn done(facts: &[Fact]) -> Option<(ClientOrderId, Amend)> {
        facts.iter().find_map(|fact| match *fact {
            Fact::Amended { client_order_id, qty, price, .. } => {
                Some((client_order_id, Amend { qty: Some(qty), price, done: true }))
            }
            _ => None,
        })
    }
}

/// By order, in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Amends(BTreeMap<ClientOrderId, Vec<Amend>>);

impl Amends {
    /// One is on its way.
    pub(super) fn push(&mut self, id: ClientOrderId, amend: Amend) {
        self.0.entry(id).or_default().push(amend);
    }

    /// The oldest that was on its way there is there, and is done or not.
    pub(super) fn arrived(&mut self, id: ClientOrderId, done: Option<Amend>) {
        self.replace(id, false, done);
    }

    /// The oldest that is done is known.
    pub(super) fn known(&mut self, id: ClientOrderId) {
        self.replace(id, true, None);
    }

    fn replace(&mut self, id: ClientOrderId, done: bool, by: Option<Amend>) {
        let Some(amends) = self.0.get_mut(&id) else { return };
        if let Some(at) = amends.iter().position(|amend| amend.done == done) {
            amends.splice(at..=at, by);
        }
        if amends.is_empty() {
            self.0.remove(&id);
        }
    }

    /// The most that an order comes to.
    #[inline]
    pub(super) fn most(&self, order: &Order) -> OpenOrders {
        let known = OpenOrders::of(order);
        if self.0.is_empty() { known } else { self.most_asked(order, known) }
    }

    fn most_asked(&self, order: &Order, known: OpenOrders) -> OpenOrders {
        let (mut most, mut largest) = (known, (order.qty, order.price));
        for amend in self.of(order) {
            // What it does not name is as one before may have left it.
            let asked = (amend.qty.unwrap_or(largest.0), amend.price.or(largest.1));
            most = most.or(OpenOrders::at(order, asked));
            largest = (largest.0.max(asked.0), largest.1.max(asked.1));
        }
        most
    }

    /// The largest quantity and the highest limit that an order may have when what is sent now is there.
    pub(super) fn largest(&self, order: &Order) -> (Qty, Option<Price>) {
        self.of(order).iter().fold((order.qty, order.price), |(qty, price), amend| {
            (qty.max(amend.qty.unwrap_or(qty)), price.max(amend.price))
        })
    }

    fn of(&self, order: &Order) -> &[Amend] {
        self.0.get(&order.client_order_id()).map_or(&[], Vec::as_slice)
    }
}
