//! A set of small numbers, in their order.

use super::Blocks;

/// Numbers in a word.
const WORD: usize = 64;

/// A set of numbers as bits, with a bit for each word that is not empty above it, and so on: one more, one
/// less and the next one cost a look at a word or two of each level, and a bit of memory each number.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet {
    levels: Vec<Blocks<u64>>,
    len: usize,
}

impl KeySet {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Has a look at where a number is, or would be.
    pub(crate) fn look_at(&self, key: usize) -> usize {
        let word = self.levels.first().and_then(|words| words.get(key / WORD));
        word.map_or(0, |word| usize::from(*word == 0))
    }

    /// Puts a number in.
    pub(crate) fn insert(&mut self, key: usize) {
        let word = self.levels.first_mut().and_then(|words| words.get_mut(key / WORD));
        match word.filter(|word| **word != 0) {
            // As a rule: it is known above that the word is not empty.
            Some(word) => {
                let bit = 1 << (key % WORD);
                self.len += usize::from(*word & bit == 0);
                *word |= bit;
            }
            None => self.insert_in_levels(key),
        }
    }

    fn insert_in_levels(&mut self, key: usize) {
        let mut at = key;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Blocks::default());
                self.carry_up(level);
            }
            let Some(words) = self.levels.get_mut(level) else { return };
            while words.len() <= at / WORD {
                words.push(0);
            }
            let Some(word) = words.get_mut(at / WORD) else { return };
            let (before, bit) = (*word, 1 << (at % WORD));
            *word |= bit;
            if level == 0 {
                self.len += usize::from(before & bit == 0);
            }
            let is_top = words.len() == 1 && level + 1 == self.levels.len();
            if is_top || (before != 0 && level + 1 < self.levels.len()) {
                return;
            }
            at /= WORD;
        }
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, key: usize) {
        let mut at = key;
        for (level, words) in self.levels.iter_mut().enumerate() {
            let Some(word) = words.get_mut(at / WORD) else { return };
            let (before, bit) = (*word, 1 << (at % WORD));
            *word &= !bit;
            if level == 0 {
                self.len -= usize::from(before & bit != 0);
            }
            if *word != 0 {
                return;
            }
            at /= WORD;
        }
    }

    /// The numbers from one on, in their order.
    pub(crate) fn iter_from(&self, from: usize) -> impl Iterator<Item = usize> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let found = self.first_from(next?);
            next = found.and_then(|key| key.checked_add(1));
            found
        })
    }

    /// All of them, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.iter_from(0)
    }

    fn first_from(&self, from: usize) -> Option<usize> {
        let mut at = from;
        for (level, words) in self.levels.iter().enumerate() {
            let word = *words.get(at / WORD)?;
            let rest = word & (u64::MAX << (at % WORD));
            if rest != 0 {
                return Some(self.down(level, at / WORD * WORD + bit_of(rest)));
            }
            at = at / WORD + 1;
        }
        None
    }

    /// The first number below an entry of a level.
    fn down(&self, level: usize, mut at: usize) -> usize {
        for words in self.levels.iter().take(level).rev() {
            at = at * WORD + bit_of(words.get(at).copied().unwrap_or_default());
        }
        at
    }

    /// Fills a new level from the one below.
    fn carry_up(&mut self, level: usize) {
        let Some((below, above)) =
            level.checked_sub(1).and_then(|below| self.levels.get_mut(below..)?.split_first_mut())
        else {
            return;
        };
        let Some(above) = above.first_mut() else { return };
        above.push(u64::from(below.get(0).is_some_and(|word| *word != 0)));
    }
}

/// The place of the lowest bit.
fn bit_of(word: u64) -> usize {
    usize::try_from(word.trailing_zeros()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a plain set says to the same, at every size at which a level is added.
    #[test]
    fn it_is_a_set_in_order() {
        for most in [2, 64, 65, 4_096, 4_097, 300_000] {
            let mut random = fastrand::Rng::with_seed(most);
            let (mut set, mut plain) = (KeySet::default(), BTreeSet::new());
            let most = usize::try_from(most).unwrap();
            for round in 0..20_000 {
                let key = random.usize(..most.min(round + 2));
                if random.bool() {
                    set.insert(key);
                    plain.insert(key);
                } else {
                    set.remove(key);
                    plain.remove(&key);
                }
                assert_eq!(set.len(), plain.len());
                let from = random.usize(..most + 2);
                assert_eq!(set.iter_from(from).next(), plain.range(from..).next().copied());
            }
            assert!(set.iter().eq(plain.iter().copied()));
        }
    }
}
