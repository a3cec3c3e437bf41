//! A growing list whose entries never move.

/// How many entries lie together: a power of two, so that a place is a shift and a mask.
const BLOCK: usize = 512;

/// A growing list in blocks.
#[derive(Debug, Clone)]
pub(crate) struct Blocks<T> {
    blocks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks { blocks: Vec::new(), len: 0 }
    }
}

impl<T> Blocks<T> {
    /// One of so many entries, of which those of the last block are there, each of them `gone`.
    pub(crate) fn from(len: usize, gone: T) -> Blocks<T>
    where
        T: Copy,
    {
        let before = len.saturating_sub(1) / BLOCK;
        let mut blocks = Vec::with_capacity(before + 1);
        blocks.resize_with(before, Vec::new);
        if len > 0 {
            let mut last = Vec::with_capacity(BLOCK);
            last.resize(len - before * BLOCK, gone);
            blocks.push(last);
        }
        Blocks { blocks, len }
    }

    /// Forgets the entries between two places, which are then not there, or `gone`. All before are forgotten already.
    pub(crate) fn forget(&mut self, from: usize, to: usize, gone: T)
    where
        T: Copy,
    {
        let last = self.blocks.len().saturating_sub(1);
        let whole = (to / BLOCK).min(last);
        for block in self.blocks.iter_mut().take(whole).skip(from.saturating_sub(1) / BLOCK) {
            *block = Vec::new();
        }
        for index in from.max(whole * BLOCK)..to {
            if let Some(entry) = self.get_mut(index) {
                *entry = gone;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.blocks.get(index / BLOCK)?.get(index % BLOCK)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.blocks.get_mut(index / BLOCK)?.get_mut(index % BLOCK)
    }

    pub(crate) fn push(&mut self, entry: T) {
        self.len += 1;
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(entry),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(entry);
                self.blocks.push(block);
            }
        }
    }
}
