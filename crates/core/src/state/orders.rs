//! Every order there was, in the order of creation.
//!
//! Contract: what most orders consist of lies packed, two lines of a processor's cache each, and never moves;
//! an order that has more to it (a stop, a time, a pair, executions of an external venue) is kept whole besides.
//! The few orders that were touched last lie ready, and are packed when others take their place. Closed ones may
//! have left for the archive. That is nowhere to be seen: an order is the same wherever it lies.
//!
//! Known limit: 2^32 orders.

mod archived;
mod packed;
mod record;
mod stored;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use packed::Packed;

use super::archive::OrderArchive;
use super::index::Index;
use crate::input::NewOrder;
use crate::order::Order;
use crate::store::{Blocks, look};
use crate::types::{ClientOrderId, Side, Symbol};

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
    /// The orders that have more to them, and those that stay when others leave for the archive, by position.
    whole: BTreeMap<usize, Box<Order>>,
    /// Of the orders before this position, all that are not kept whole are in the archive.
    archived: usize,
    archive: Option<Arc<dyn OrderArchive>>,
    /// The positions of those that lie ready; `usize::MAX`: none.
    ready_keys: [usize; READY],
    /// Each in the place that follows from its position.
    ready: [Option<Ready>; READY],
}

#[derive(Debug, Clone)]
struct Ready {
    order: Box<Order>,
    /// It is not what lies packed any more.
    changed: bool,
}

impl Ready {
    /// Puts an order into a place, where it begins as that request: it is long to be made elsewhere and moved.
    #[inline(always)]
    fn begin<'a>(place: &'a mut Option<Ready>, changed: bool, request: &NewOrder) -> &'a mut Order {
        match place {
            Some(ready) => {
                ready.order.begin(request);
                ready.changed = changed;
                &mut ready.order
            }
            None => {
                let order = Box::new(Order::new(request.clone()));
                &mut place.insert(Ready { order, changed }).order
            }
        }
    }
}

impl Default for Orders {
    fn default() -> Orders {
        Orders {
            packed: Blocks::default(),
            symbols: Vec::new(),
            whole: BTreeMap::new(),
            archived: 0,
            archive: None,
            ready_keys: [usize::MAX; READY],
            ready: Default::default(),
        }
    }
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    pub(super) fn get(&self, key: usize) -> Option<OrderRef<'_>> {
        if let Some(ready) = self.ready_at(key) {
            return Some(OrderRef(Held::Lent(&ready.order)));
        }
        Some(OrderRef(match self.packed.get(key) {
            Some(packed) if !packed.is_elsewhere() => Held::Made(Box::new(self.unpack(packed)?)),
            _ => match self.whole.get(&key) {
                Some(order) => Held::Lent(order),
                None => Held::Made(Box::new(self.in_archive(key)?)),
            },
        }))
    }

    /// The same, which lies ready from then on.
    #[inline]
    pub(super) fn ready(&mut self, key: usize) -> Option<&Order> {
        self.make_ready(key).map(|ready| &*ready.order)
    }

    /// One that is in the archive is over, and stays as it is: there is none to change.
    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Order> {
        let archived = self.archived;
        let ready = self.make_ready(key)?;
        if key < archived && !ready.changed {
            return None;
        }
        ready.changed = true;
        Some(&mut ready.order)
    }

    /// Whether the order at that position has that name; the hash of its name is that of the name. A record in the
    /// archive of which it is not is another log's, and refused: an order that is there is never taken for none.
    pub(super) fn is_named(&self, key: usize, id: &ClientOrderId) -> bool {
        match self.packed.get(key) {
            Some(packed) if packed.client_order_id().is(id) => return true,
            Some(packed) if !packed.is_gone() => return false,
            _ => {}
        }
        let Some(name) = self.name_at(key) else { return false };
        if Index::hash_of(&name) != Index::hash_of(id)
            && let Some(archive) = self.archive()
        {
            archive.refuse(key);
        }
        name == *id
    }

    /// The same, as far as that is known without a look at the archive.
    #[inline]
    pub(super) fn is_known_as(&self, key: usize, id: &ClientOrderId) -> bool {
        self.packed.get(key).is_some_and(|packed| packed.client_order_id().is(id))
    }

    /// The name of an order that had its turn to leave for the archive.
    fn name_at(&self, key: usize) -> Option<ClientOrderId> {
        let order = if key < self.archived { self.get(key) } else { None };
        order.map(|order| order.client_order_id())
    }

    pub(super) fn push(&mut self, order: Order) {
        if let Some(new) = self.push_new(&order.request) {
            *new = order;
        }
    }

    /// A new order, where it lies ready.
    #[inline]
    pub(super) fn push_new(&mut self, request: &NewOrder) -> Option<&mut Order> {
        let key = self.packed.len();
        self.packed.push(Packed::named(request.client_order_id.dense()));
        self.make_room(key);
        *self.ready_keys.get_mut(key % READY)? = key;
        Some(Ready::begin(self.ready.get_mut(key % READY)?, true, request))
    }

    /// The name of an order that lies packed, and nowhere else, and is closed.
    pub(super) fn closed(&self, key: usize) -> Option<ClientOrderId> {
        let packed = self.packed.get(key).filter(|packed| packed.is_closed())?;
        self.ready_at(key).is_none().then_some(packed.client_order_id())
    }

    /// Has a look at where orders lie packed.
    pub(super) fn look_at(&self, keys: &[usize]) {
        look(keys.iter().map(|key| self.packed.get(*key).map_or(0, Packed::look)));
    }

    /// The instrument of an order that lies packed, and which way it goes.
    pub(super) fn instrument_of(&self, key: usize) -> Option<(Symbol, Side)> {
        let packed = self.packed.get(key)?;
        Some((self.symbol_of(packed)?, packed.side()))
    }

    /// From a position on.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = OrderRef<'_>> {
        (from..self.len()).filter_map(|key| self.get(key))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = OrderRef<'_>> {
        self.iter_from(0)
    }

    fn ready_at(&self, key: usize) -> Option<&Ready> {
        let is_it = *self.ready_keys.get(key % READY)? == key;
        self.ready.get(key % READY).filter(|_| is_it)?.as_ref()
    }

    #[inline]
    fn make_ready(&mut self, key: usize) -> Option<&mut Ready> {
        if *self.ready_keys.get(key % READY)? != key {
            self.fetch(key)?;
        }
        self.ready.get_mut(key % READY)?.as_mut()
    }

    /// Makes an order ready that lies elsewhere.
    #[inline(never)]
    fn fetch(&mut self, key: usize) -> Option<()> {
        match self.packed.get(key) {
            Some(packed) if !packed.is_elsewhere() => {
                let symbol = self.symbol_of(packed)?;
                self.make_room(key);
                *self.ready_keys.get_mut(key % READY)? = key;
                let (packed, place) = (self.packed.get(key)?, self.ready.get_mut(key % READY)?);
                packed.unpack_into(Ready::begin(place, false, &packed.request(symbol)));
            }
            _ => {
                let (order, changed) = match self.whole.remove(&key) {
                    Some(order) => (order, true),
                    None => (Box::new(self.in_archive(key)?), false),
                };
                self.make_room(key);
                *self.ready_keys.get_mut(key % READY)? = key;
                *self.ready.get_mut(key % READY)? = Some(Ready { order, changed });
            }
        }
        Some(())
    }

    /// Puts away what lies ready in the place of an order.
    fn make_room(&mut self, key: usize) {
        let Some(&old_key) = self.ready_keys.get(key % READY) else { return };
        let Some(place) = self.ready.get_mut(key % READY) else { return };
        let lies = (&mut self.packed, &mut self.symbols);
        if let Some(old) = place.as_ref().filter(|old| old.changed)
            && !Self::pack(lies, self.archived, old_key, &old.order)
        {
            self.whole.extend(place.take().map(|old| (old_key, old.order)));
        }
    }

    /// Puts an order where it lies when it does not lie ready.
    fn put_away(&mut self, key: usize, order: Box<Order>) {
        let lies = (&mut self.packed, &mut self.symbols);
        if !Self::pack(lies, self.archived, key, &order) {
            self.whole.insert(key, order);
        }
    }

    /// Whether an order fits where it lies packed; then it lies there. Otherwise it is known there to lie elsewhere.
    fn pack(
        (packed, symbols): (&mut Blocks<Packed>, &mut Vec<Option<Symbol>>),
        archived: usize,
        key: usize,
        order: &Order,
    ) -> bool {
        let fits = key >= archived && is_of(symbols, order.pair, &order.request.symbol);
        let Some(slot) = packed.get_mut(key) else { return false };
        let fits = fits && slot.set(order).is_some();
        if !fits {
            slot.set_elsewhere();
        }
        fits
    }

    /// The order as it lies packed, or would, and its instrument. `None`: there is more to it.
    fn packed_at(&self, key: usize) -> Option<(Packed, Symbol)> {
        let order = match (self.ready_at(key), self.packed.get(key)) {
            (Some(ready), _) => &ready.order,
            (None, Some(packed)) if !packed.is_elsewhere() => {
                return Some((*packed, self.symbol_of(packed)?));
            }
            (None, _) => self.whole.get(&key)?,
        };
        Some((Packed::of(order)?, order.request.symbol))
    }

    /// An order that was packed before.
    fn push_packed(&mut self, packed: Packed, symbol: Symbol) {
        if is_of(&mut self.symbols, packed.pair(), &symbol) {
            self.packed.push(packed);
        } else {
            self.push(packed.unpack(symbol));
        }
    }

    fn unpack(&self, packed: &Packed) -> Option<Order> {
        self.symbol_of(packed).map(|symbol| packed.unpack(symbol))
    }

    /// The instrument of an order that is packed.
    fn symbol_of(&self, packed: &Packed) -> Option<Symbol> {
        self.symbols.get(packed.pair()).copied().flatten()
    }
}

/// Whether the instrument of an order follows from its pair. (It does.)
fn is_of(symbols: &mut Vec<Option<Symbol>>, pair: usize, symbol: &Symbol) -> bool {
    if symbols.len() <= pair {
        symbols.resize(pair + 1, None);
    }
    symbols.get_mut(pair).is_some_and(|slot| slot.get_or_insert(*symbol) == symbol)
}

impl PartialEq for Orders {
    fn eq(&self, other: &Orders) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(one, two)| *one == *two)
    }
}

impl Eq for Orders {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{FirstAnswer, OrderStatus, Trade};
    use crate::types::{Money, Price, Qty, Side, Text, VenueOrderId};

    /// An order of which anything may be unusual, or nothing.
    pub(super) fn any_order(random: &mut fastrand::Rng, number: usize) -> Order {
        let pair = random.usize(..3);
        let symbol = Symbol::parse(["BTCUSDT", "ETHUSDT", "BNBUSDT"][pair]).unwrap();
        let id = ClientOrderId::parse(&format!("order-{number}")).unwrap();
        let (qty, price) = (Qty::from_raw(random.i64(1..100)), Price::from_raw(random.i64(1..100)));
        let mut request = NewOrder::limit(id, symbol, Side::Sell, qty, price);
        let rarely = |random: &mut fastrand::Rng| random.u8(..20) == 0;
        request.quote_qty = rarely(random).then_some(Money::from_raw(5));
        request.stop_price = rarely(random).then_some(price);
        request.expire_ts_ns = rarely(random).then_some(7);
        request.oco_with = rarely(random).then_some(id);
        request.reduce_only = random.bool();
        let reasons = ["", "gtd", "self_trade", "lost_by_venue", "a venue's own words"];
        let reason = |random: &mut fastrand::Rng| Text::Borrowed(reasons[random.usize(..5)]);
        let names = ["1", "18446744073709551615", "18446744073709551616", "01", "0", "+1", "x"];
        let name = random.bool().then(|| names[random.usize(..names.len())]);
        let status = |random: &mut fastrand::Rng| OrderStatus::ALL[random.usize(..6)];
        Order {
            qty: if rarely(random) { Qty::from_raw(1) } else { qty },
            price: if rarely(random) { None } else { request.price },
            request,
            triggered: rarely(random),
            queued_at: random.u64(..),
            venue_order_id: name.map(|name| VenueOrderId::parse(name).unwrap()),
            status: random.bool().then(|| status(random)),
            executed_qty: Qty::from_raw(random.i64(..3)),
            cum_quote: Money::from_raw(random.i128(..)),
            locked: Money::from_raw(random.i128(..2)),
            reason: reason(random),
            last_ts_ns: random.i64(..),
            external: random.bool(),
            adopted: random.bool(),
            sent_ts_ns: rarely(random).then_some(3),
            trades: if rarely(random) { vec![Trade { id: 1, qty, price }] } else { Vec::new() },
            first: random.bool().then(|| FirstAnswer {
                status: status(random),
                executed_qty: Qty::from_raw(random.i64(0..3)),
                reason: reason(random),
            }),
            pair: if rarely(random) { 70_000 } else { pair },
        }
    }

    #[test]
    fn an_order_is_the_same_wherever_it_lies() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut orders, mut plain) = (Orders::default(), Vec::new());
        for number in 0..20_000 {
            let order = any_order(&mut random, number);
            orders.push(order.clone());
            plain.push(order);
            let key = random.usize(..=number);
            let changed = any_order(&mut random, key);
            *orders.get_mut(key).unwrap() = changed.clone();
            plain[key] = changed;
            let key = random.usize(..=number);
            assert_eq!(*orders.get(key).unwrap(), plain[key]);
            assert_eq!(*orders.ready(key).unwrap(), plain[key]);
            assert!(orders.is_named(key, &plain[key].client_order_id()));
        }
        assert!(orders.iter().map(|order| (*order).clone()).eq(plain.iter().cloned()));
        // As a snapshot holds them: each way to write them leads back, and to the same bytes.
        let json = serde_json::to_string(&orders).unwrap();
        let read: Orders = serde_json::from_str(&json).unwrap();
        assert!(read == orders);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let objects: Orders =
            serde_json::from_str(&serde_json::to_string(&plain).unwrap()).unwrap();
        assert!(objects == orders);
        assert_eq!(serde_json::to_string(&objects).unwrap(), json);
        assert!(json.len() < serde_json::to_string(&plain).unwrap().len());
        let whole = orders.whole.len();
        assert!((2_000..18_000).contains(&whole), "{whole} of 20,000 are kept whole");
    }
}
