//! A hash table that never pauses.

use super::{Blocks, look};

/// Entries in a bucket: with how many there are and which bucket goes on, a line of a processor's cache.
const WIDTH: usize = 7;
/// Entries that a bucket holds on average, until one more bucket is made.
const LOAD: usize = 4;
/// Buckets that are near to each other: together they fit the nearest of a processor's caches.
const GROUP: usize = 512;

/// From hashes to numbers. It grows by one bucket at a time, which shares the entries of one other (linear
/// hashing). It keeps no keys: whoever looks something up says which of the numbers of its hash is meant.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// The buckets, and behind those that are too full others.
    buckets: Blocks<Bucket>,
    /// How many there were when they were shared out last, all of them: a power of two.
    half: usize,
    overflow: Blocks<Bucket>,
    /// Of the overflow, what is not in use.
    spare: Vec<u32>,
    len: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    hash: u32,
    value: u32,
}

/// Hashes and numbers apart, so that all hashes are compared at once.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket {
    hashes: [u32; WIDTH],
    values: [u32; WIDTH],
    used: u32,
    /// The place in the overflow, from 1, where it goes on; 0: nowhere.
    more: u32,
}

impl Bucket {
    /// The places of the entries of a hash, as bits: without a branch that the processor could mispredict
    /// while it waits for the bucket.
    fn places_of(&self, hash: u32) -> u32 {
        let same = self.hashes.iter().enumerate();
        let same = same.fold(0, |bits, (at, known)| bits | u32::from(*known == hash) << at);
        same & ((1 << self.used) - 1)
    }

    /// The place of the entry of that hash for which `is_it` holds.
    fn find(&self, hash: u32, is_it: &mut impl FnMut(u32) -> bool) -> Option<usize> {
        let mut places = self.places_of(hash);
        while places != 0 {
            let at = index(places.trailing_zeros());
            if self.values.get(at).is_some_and(|value| is_it(*value)) {
                return Some(at);
            }
            places &= places - 1;
        }
        None
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        Some(Entry { hash: *self.hashes.get(at)?, value: *self.values.get(at)? })
    }

    fn set(&mut self, at: usize, entry: Entry) -> Option<()> {
        *self.hashes.get_mut(at)? = entry.hash;
        *self.values.get_mut(at)? = entry.value;
        Some(())
    }

    /// Whether there was room.
    fn push(&mut self, entry: Entry) -> bool {
        let had_room = self.set(index(self.used), entry).is_some();
        self.used += u32::from(had_room);
        had_room
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..index(self.used)).filter_map(|at| self.entry(at))
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Default for Table {
    fn default() -> Table {
        Table::for_entries(0)
    }
}

impl Table {
    /// One with as many buckets as it would have grown to with so many entries.
    pub(crate) fn for_entries(count: usize) -> Table {
        let mut buckets = Blocks::default();
        let needed = count.div_ceil(LOAD).max(1);
        for _ in 0..needed {
            buckets.push(Bucket::default());
        }
        let (overflow, spare) = (Blocks::default(), Vec::new());
        Table { buckets, half: 1 << needed.ilog2(), overflow, spare, len: 0 }
    }

    /// One that holds 0, 1, 2, … under these hashes, with as many buckets as for so many entries. They are put in
    /// in the order of their buckets, for a bucket that is far from the processor takes most of an entry's time.
    pub(crate) fn filled(hashes: impl Iterator<Item = u32> + Clone, count: usize) -> Table {
        let mut table = Table::for_entries(count);
        let group_of = |hash| table.bucket_of(hash) / GROUP;
        let mut ends = vec![0; table.buckets.len() / GROUP + 1];
        for hash in hashes.clone() {
            if let Some(end) = ends.get_mut(group_of(hash)) {
                *end += 1;
            }
        }
        let mut len = 0;
        for end in &mut ends {
            len += std::mem::replace(end, len);
        }
        let mut sorted = vec![Entry::default(); len];
        for (value, hash) in (0..).zip(hashes) {
            let Some(end) = ends.get_mut(group_of(hash)) else { continue };
            if let Some(entry) = sorted.get_mut(*end) {
                *entry = Entry { hash, value };
            }
            *end += 1;
        }
        for entry in sorted {
            table.put(entry);
        }
        table.len = len;
        table
    }

    /// The number of that hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut bucket = self.buckets.get(self.bucket_of(hash))?;
        loop {
            if let Some(at) = bucket.find(hash, &mut is_it) {
                return bucket.values.get(at).copied();
            }
            bucket = self.behind(bucket)?;
        }
    }

    /// The bucket where another goes on.
    fn behind(&self, bucket: &Bucket) -> Option<&Bucket> {
        self.overflow.get(index(bucket.more.checked_sub(1)?))
    }

    /// The bucket that the next new one takes a part of.
    fn shared(&self) -> usize {
        self.buckets.len() - self.half
    }

    /// A number of that hash, most likely the one that is meant.
    pub(crate) fn guess(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Has a look at where numbers of those hashes are, and at what as many more would share out.
    pub(crate) fn look_at(&self, hashes: &[u32]) {
        let buckets = || hashes.iter().filter_map(|hash| self.buckets.get(self.bucket_of(*hash)));
        look(buckets().map(|bucket| index(bucket.used)));
        look(buckets().filter_map(|bucket| Some(index(self.behind(bucket)?.used))));
        let shared = (self.shared()..).take(hashes.len() / LOAD);
        look(shared.filter_map(|at| self.buckets.get(at)).map(|bucket| index(bucket.used)));
    }

    /// Puts a number in, whether or not there is one of that hash.
    pub(crate) fn insert(&mut self, hash: u32, value: u32) {
        self.put(Entry { hash, value });
        self.len += 1;
        if self.len > self.buckets.len() * LOAD {
            self.grow();
        }
    }

    /// Takes out the number of that hash for which `is_it` holds.
    pub(crate) fn remove(&mut self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut bucket = self.buckets.get_mut(self.bucket_of(hash))?;
        loop {
            if let Some(at) = bucket.find(hash, &mut is_it) {
                let value = bucket.values.get(at).copied();
                let last = index(bucket.used.saturating_sub(1));
                bucket.set(at, bucket.entry(last)?)?;
                bucket.used -= 1;
                self.len -= 1;
                return value;
            }
            let more = bucket.more.checked_sub(1)?;
            bucket = self.overflow.get_mut(index(more))?;
        }
    }

    /// With n buckets and 2^k <= n < 2^(k+1): the last k+1 bits of the hash, or k where there is no such
    /// bucket yet.
    fn bucket_of(&self, hash: u32) -> usize {
        let at = index(hash) & (2 * self.half - 1);
        if at < self.buckets.len() { at } else { at - self.half }
    }

    #[inline]
    fn put(&mut self, entry: Entry) {
        let at = self.bucket_of(entry.hash);
        let Some(first) = self.buckets.get_mut(at) else { return };
        if !first.push(entry) {
            let more = first.more;
            self.put_behind(at, more, entry);
        }
    }

    /// Puts an entry behind a bucket that is full, and goes on there.
    #[inline(never)]
    fn put_behind(&mut self, at: usize, behind: u32, entry: Entry) {
        let mut more = behind;
        while let Some(next) = more.checked_sub(1).and_then(|m| self.overflow.get_mut(index(m))) {
            if next.push(entry) {
                return;
            }
            more = next.more;
        }
        // All are full: one more goes between the first and the others.
        let mut bucket = Bucket { more: behind, ..Bucket::default() };
        bucket.push(entry);
        let place = match self.spare.pop() {
            Some(place) => {
                if let Some(slot) = self.overflow.get_mut(index(place - 1)) {
                    *slot = bucket;
                }
                place
            }
            None => {
                self.overflow.push(bucket);
                u32::try_from(self.overflow.len()).unwrap_or_default()
            }
        };
        if let Some(first) = self.buckets.get_mut(at) {
            first.more = place;
        }
    }

    /// Makes one more bucket, for a part of what another holds.
    fn grow(&mut self) {
        let shared = self.shared();
        let Some(bucket) = self.buckets.get_mut(shared) else { return };
        let mut bucket = std::mem::take(bucket);
        self.buckets.push(Bucket::default());
        if self.shared() == self.half {
            self.half = self.buckets.len();
        }
        loop {
            bucket.entries().for_each(|entry| self.put(entry));
            let Some(next) = bucket.more.checked_sub(1) else { break };
            // Read before it is free: what it holds may go to where it was.
            self.spare.push(bucket.more);
            bucket = self.overflow.get(index(next)).copied().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What a plain map says to the same. `bits` of the hash differ: with few there are many of a hash.
    fn check(bits: u32, entries: u32, mut table: Table) {
        let mut random = fastrand::Rng::with_seed(u64::from(bits));
        let mut plain = BTreeMap::new();
        let hash = |value: u32| value.wrapping_mul(0x9e37_79b1) >> (32 - bits);
        for round in 0..entries * 3 {
            let value = random.u32(..entries);
            let is_it = |found: u32| found == value;
            let known = plain.contains_key(&value);
            assert_eq!(table.find(hash(value), is_it), known.then_some(value), "{round}");
            if known && random.bool() {
                plain.remove(&value);
                assert_eq!(table.remove(hash(value), is_it), Some(value));
                assert_eq!(table.remove(hash(value), is_it), None);
            } else if !known {
                plain.insert(value, ());
                table.insert(hash(value), value);
            }
            assert_eq!(table.len, plain.len());
        }
        for value in 0..entries {
            let known = plain.contains_key(&value).then_some(value);
            assert_eq!(table.find(hash(value), |found| found == value), known);
        }
    }

    #[test]
    fn it_finds_what_was_put_in_and_not_taken_out() {
        for (bits, entries) in [(32, 100_000), (32, 50), (8, 3_000), (1, 300)] {
            check(bits, entries, Table::default());
            check(bits, entries, Table::for_entries(index(entries) / 4));
        }
    }

    /// A search looks at a bucket and little more, whatever the size: no hash is far from its bucket.
    #[test]
    fn chains_are_short_at_every_size() {
        let mut grown = Table::default();
        let mut made = Table::for_entries(200_000);
        for value in 0..200_000_u32 {
            grown.insert(value.wrapping_mul(0x9e37_79b1), value);
            made.insert(value.wrapping_mul(0x9e37_79b1), value);
        }
        let hashes = (0..200_000_u32).map(|value| value.wrapping_mul(0x9e37_79b1));
        let filled = Table::filled(hashes, 200_000);
        for value in 0..200_000_u32 {
            let found = filled.find(value.wrapping_mul(0x9e37_79b1), |found| found == value);
            assert_eq!(found, Some(value));
        }
        for table in [&grown, &made, &filled] {
            assert_eq!(table.buckets.len(), table.len.div_ceil(LOAD));
            assert!(table.overflow.len() <= table.buckets.len() / 4, "{}", table.overflow.len());
        }
    }
}
