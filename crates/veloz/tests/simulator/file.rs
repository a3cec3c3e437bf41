//! A file with two sides: what a read sees (the page cache), and what is on the platter.

use std::collections::BTreeSet;

use fastrand::Rng;

pub(crate) const BLOCK_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    /// What a read sees.
    pub(crate) cached: Vec<u8>,
    /// What is on the platter.
    pub(crate) durable: Vec<u8>,
    /// Blocks in which the two sides may differ, and which the next sync carries over.
    dirty: BTreeSet<usize>,
    length_is_dirty: bool,
    /// Up to here it has its space, however long it is.
    pub(crate) reserved: usize,
}

impl File {
    pub(crate) fn space(&self) -> usize {
        self.cached.len().max(self.reserved)
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.set_len(self.cached.len().max(end));
        if let Some(place) = self.cached.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
        if !bytes.is_empty() {
            self.dirty.extend(offset / BLOCK_BYTES..=(end - 1) / BLOCK_BYTES);
        }
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        if len != self.cached.len() {
            self.cached.resize(len, 0);
            self.length_is_dirty = true;
            self.dirty.retain(|block| block * BLOCK_BYTES < len);
        }
    }

    pub(crate) fn sync(&mut self) {
        if std::mem::take(&mut self.length_is_dirty) {
            self.durable.resize(self.cached.len(), 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            self.carry(block, BLOCK_BYTES);
        }
    }

    /// Some blocks arrive, and which were dirty is forgotten.
    pub(crate) fn fail_sync(&mut self, rng: &mut Rng) {
        if std::mem::take(&mut self.length_is_dirty) {
            self.durable.resize(self.cached.len(), 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            if rng.bool() {
                self.carry(block, BLOCK_BYTES);
            }
        }
    }

    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        if std::mem::take(&mut self.length_is_dirty) && rng.bool() {
            self.durable.resize(self.cached.len(), 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            match rng.u8(0..8) {
                0..4 => {}
                4 => self.carry(block, rng.usize(0..BLOCK_BYTES)),
                _ => self.carry(block, BLOCK_BYTES),
            }
        }
        self.cached.clone_from(&self.durable);
    }

    /// Carries the first `bytes` of a block over to the platter, as far as the file is that long there.
    fn carry(&mut self, block: usize, bytes: usize) {
        let start = block * BLOCK_BYTES;
        let end = (start + bytes).min(self.cached.len()).min(self.durable.len());
        if let (Some(to), Some(from)) =
            (self.durable.get_mut(start..end), self.cached.get(start..end))
        {
            to.copy_from_slice(from);
        }
    }
}
