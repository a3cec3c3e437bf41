//! Orders on their way to the archive, and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Orders, Packed, READY};
use crate::order::Order;
use crate::state::archive::{ArchivedOrders, OrderArchive, OrderRecord, OrderSink};
use crate::types::{ClientOrderId, Symbol};

impl Orders {
    /// How many, from the first on, are in the archive, but for those that are kept.
    pub(in crate::state) fn archived_count(&self) -> usize {
        self.archived
    }

    pub(in crate::state) fn archive(&self) -> Option<&Arc<dyn OrderArchive>> {
        self.archive.as_ref()
    }

    pub(in crate::state) fn read_from(&mut self, archive: Arc<dyn OrderArchive>) {
        self.archive = Some(archive);
    }

    /// The instruments, by pair: an order in the archive has its pair only.
    pub(in crate::state) fn know_symbols(&mut self, symbols: impl Iterator<Item = Symbol>) {
        self.symbols = symbols.map(Some).collect();
    }

    /// The positions of those that are in memory.
    pub(in crate::state) fn in_memory(&self) -> impl Iterator<Item = usize> {
        let ready = self.ready_keys.iter().copied().filter(|key| {
            *key < self.archived && self.ready_at(*key).is_some_and(|ready| ready.changed)
        });
        let kept = self.whole.range(..self.archived).map(|(key, _)| *key);
        let kept: BTreeSet<_> = kept.chain(ready).collect();
        kept.into_iter().chain(self.archived..self.len())
    }

    /// The order at a position in the archive. `None`, where there is one: the archive says why.
    #[cold]
    pub(super) fn in_archive(&self, key: usize) -> Option<Order> {
        let archive = self.archive.as_ref().filter(|_| key < self.archived)?;
        let record = archive.read(key)?;
        let order = Packed::of_record(&record).and_then(|packed| self.unpack(&packed));
        if order.is_none() {
            archive.refuse(key);
        }
        order
    }

    /// Gives all that can go to the archive, and forgets it. What goes follows from the orders alone: all that are
    /// over for good and lie packed.
    pub(in crate::state) fn archive_closed<S: OrderSink>(
        &mut self,
        name_of: impl Fn(&ClientOrderId) -> u32,
        sink: &mut S,
    ) -> Result<ArchivedOrders, S::Error> {
        self.settle();
        let mut done = ArchivedOrders { from: self.archived, to: self.len(), ..Default::default() };
        for key in self.whole.range(..done.from).map(|(key, _)| *key) {
            if let Some(record) = self.record_at(key) {
                sink.order(key, &record)?;
                done.late.push(key);
            }
        }
        for key in done.from..done.to {
            let name = self.packed.get(key).map(Packed::client_order_id);
            sink.name(name.map(|name| name_of(&name)).unwrap_or_default())?;
            match self.record_at(key) {
                Some(record) => sink.order(key, &record)?,
                None => done.kept.push(key),
            }
        }
        self.forget_archived(&done);
        Ok(done)
    }

    /// Forgets what the archive has.
    pub(in crate::state) fn forget_archived(&mut self, done: &ArchivedOrders) {
        if done.from > self.archived || done.to < self.archived || done.to > self.len() {
            return;
        }
        self.settle();
        for key in done.kept.iter().copied().filter(|key| *key >= self.archived) {
            let packed = self.packed.get(key).filter(|packed| !packed.is_elsewhere());
            if let Some(order) = packed.and_then(|packed| self.unpack(packed)) {
                self.whole.insert(key, Box::new(order));
            }
        }
        for key in &done.late {
            self.whole.remove(key);
        }
        self.packed.forget(self.archived, done.to, Packed::GONE);
        self.archived = done.to;
    }

    /// The record of an order that can go.
    fn record_at(&self, key: usize) -> Option<OrderRecord> {
        let (packed, symbol) =
            self.packed_at(key).filter(|(packed, _)| packed.may_be_archived())?;
        packed.record().filter(|_| self.symbol_of(&packed) == Some(symbol))
    }

    /// Puts away what lies ready.
    fn settle(&mut self) {
        let keys = std::mem::replace(&mut self.ready_keys, [usize::MAX; READY]);
        for (key, ready) in keys.into_iter().zip(std::mem::take(&mut self.ready)) {
            if let Some(ready) = ready.filter(|ready| ready.changed) {
                self.put_away(key, ready.order);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::tests::any_order;
    use super::*;
    use crate::order::{FirstAnswer, OrderStatus};
    use crate::types::{Qty, Text};

    #[derive(Debug, Default)]
    struct Memory {
        records: BTreeMap<usize, OrderRecord>,
        failed: AtomicBool,
    }

    impl OrderArchive for Memory {
        fn read(&self, position: usize) -> Option<OrderRecord> {
            let record = self.records.get(&position).copied();
            self.failed.fetch_or(record.is_none(), Ordering::Relaxed);
            record
        }

        fn refuse(&self, _: usize) {
            self.failed.store(true, Ordering::Relaxed);
        }

        fn failure(&self) -> Option<String> {
            self.failed.load(Ordering::Relaxed).then(|| "it failed".to_owned())
        }

        fn take_failure(&self) -> Option<String> {
            self.failed.swap(false, Ordering::Relaxed).then(|| "it failed".to_owned())
        }
    }

    #[derive(Debug, Default)]
    struct Sink {
        names: Vec<u32>,
        records: BTreeMap<usize, OrderRecord>,
    }

    impl OrderSink for Sink {
        type Error = Infallible;

        fn name(&mut self, hash: u32) -> Result<(), Infallible> {
            self.names.push(hash);
            Ok(())
        }

        fn order(&mut self, position: usize, record: &OrderRecord) -> Result<(), Infallible> {
            let known = self.records.insert(position, *record);
            assert_eq!(known, None, "it goes once");
            Ok(())
        }
    }

    /// Archives what can go; `orders` and `copy`, which is further on, forget it.
    fn archive(orders: &mut Orders, copy: &mut Orders, sink: &mut Sink) {
        let done = orders.archive_closed(|id| u32::from(id.as_bytes()[0]), sink).unwrap();
        copy.forget_archived(&done);
        let archive = read_from(orders, sink.records.clone());
        copy.read_from(archive);
    }

    /// From here on `orders` reads these.
    fn read_from(orders: &mut Orders, records: BTreeMap<usize, OrderRecord>) -> Arc<Memory> {
        let archive = Arc::new(Memory { records, failed: AtomicBool::new(false) });
        orders.read_from(Arc::<Memory>::clone(&archive));
        archive
    }

    /// One that most likely can go.
    fn closed_order(random: &mut fastrand::Rng, number: usize) -> Order {
        let first = FirstAnswer {
            status: OrderStatus::Accepted,
            executed_qty: Qty::ZERO,
            reason: Text::Borrowed(""),
        };
        let status = Some(OrderStatus::Cancelled);
        let order = any_order(random, number);
        Order { external: false, status, first: Some(first), venue_order_id: None, ..order }
    }

    fn is_archived(orders: &Orders, key: usize) -> bool {
        !orders.in_memory().any(|known| known == key)
    }

    /// Of each order that there is in memory one, changed at will; what is archived is closed and does not change.
    #[test]
    fn an_order_is_the_same_when_it_is_archived() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut orders, mut copy, mut plain) = (Orders::default(), Orders::default(), Vec::new());
        let mut sink = Sink::default();
        for number in 0..3_000 {
            let order = any_order(&mut random, number);
            orders.push(order.clone());
            copy.push(order.clone());
            plain.push(order);
            let key = random.usize(..=number);
            if is_archived(&orders, key) {
                assert_eq!(orders.get_mut(key), None);
            } else {
                let changed = match random.bool() {
                    true => closed_order(&mut random, key),
                    false => any_order(&mut random, key),
                };
                *orders.get_mut(key).unwrap() = changed.clone();
                *copy.get_mut(key).unwrap() = changed.clone();
                plain[key] = changed;
            }
            if random.u16(..400) == 0 {
                archive(&mut orders, &mut copy, &mut sink);
                assert_eq!(sink.names.len(), plain.len());
            }
            let key = random.usize(..=number);
            for orders in [&mut orders, &mut copy] {
                assert!(orders.is_named(key, &plain[key].client_order_id()));
                let another = ClientOrderId::parse("another").unwrap();
                assert!(is_archived(orders, key) || !orders.is_named(key, &another));
                assert_eq!(*orders.get(key).unwrap(), plain[key]);
                assert_eq!(*orders.ready(key).unwrap(), plain[key]);
            }
        }
        archive(&mut orders, &mut copy, &mut sink);
        assert!((300..2_700).contains(&sink.records.len()), "{}", sink.records.len());
        assert!(orders.packed.get(0).is_none(), "blocks are given back");
        for orders in [&orders, &copy] {
            assert!(orders.iter().map(|order| (*order).clone()).eq(plain.iter().cloned()));
            assert_eq!(orders.in_memory().count(), plain.len() - sink.records.len());
        }
        // As a snapshot holds them.
        let json = serde_json::to_string(&orders).unwrap();
        let mut read: Orders = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(serde_json::to_string(&copy).unwrap(), json);
        read.know_symbols(orders.symbols.iter().map(|symbol| symbol.unwrap()).take(3));
        read.read_from(Arc::clone(orders.archive().unwrap()));
        assert!(read == orders);
        read.push(any_order(&mut random, plain.len()));
        assert_eq!(read.len(), plain.len() + 1);
        assert_eq!(orders.archive().unwrap().failure(), None);
    }

    /// A file of another log is sound in itself, and would make a name free again.
    #[test]
    fn a_record_of_another_order_is_refused() {
        let mut random = fastrand::Rng::with_seed(6);
        let (mut orders, mut sink) = (Orders::default(), Sink::default());
        (0..200).for_each(|number| orders.push(closed_order(&mut random, number)));
        archive(&mut orders, &mut Orders::default(), &mut sink);
        let (key, record) = sink.records.first_key_value().unwrap();
        let other = *sink.records.last_key_value().unwrap().1;
        for (stored, fails) in [(*record, false), (other, true)] {
            let archive = read_from(&mut orders, BTreeMap::from([(*key, stored)]));
            let id = Packed::of_record(record).unwrap().client_order_id();
            assert_eq!(orders.is_named(*key, &id), !fails);
            assert_eq!(archive.failure().is_some(), fails);
        }
    }

    #[test]
    fn a_record_that_is_none_is_refused() {
        let mut random = fastrand::Rng::with_seed(5);
        let (mut orders, mut sink) = (Orders::default(), Sink::default());
        (0..200).for_each(|number| orders.push(closed_order(&mut random, number)));
        archive(&mut orders, &mut Orders::default(), &mut sink);
        for (key, record) in &sink.records {
            let packed = Packed::of_record(record).unwrap();
            assert_eq!(packed.record(), Some(*record));
            for (at, byte) in [(82, 0x80), (82, 0x42), (83, 0), (83, 7), (85, 0), (86, 9), (127, 0)]
            {
                let mut bad = *record;
                bad[at] = byte;
                assert!(Packed::of_record(&bad).is_none(), "{at} {byte} {packed:?}");
                let archive = read_from(&mut orders, BTreeMap::from([(*key, bad)]));
                assert!(orders.get(*key).is_none() && archive.failure().is_some());
            }
        }
    }
}
