//! Places by instrument.

use std::cell::Cell;

use rustc_hash::FxHashMap;

use crate::types::Symbol;

/// The place of each instrument in a list. The one that was looked up last is found again without a hash:
/// a step is about one, and asks several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct SymbolIndex {
    /// In the order in which they became known.
    places: Vec<(Symbol, usize)>,
    /// Which of these is an instrument's.
    by_symbol: FxHashMap<Symbol, usize>,
    last: Cell<usize>,
}

impl SymbolIndex {
    /// The place of an instrument.
    #[inline]
    pub(crate) fn get(&self, symbol: &Symbol) -> Option<usize> {
        match self.places.get(self.last.get()) {
            Some((last, place)) if last == symbol => Some(*place),
            _ => self.look_up(symbol),
        }
    }

    #[inline(never)]
    fn look_up(&self, symbol: &Symbol) -> Option<usize> {
        let at = self.by_symbol.get(symbol).copied()?;
        self.last.set(at);
        self.places.get(at).map(|(_, place)| *place)
    }

    /// Notes the place of an instrument that is new.
    pub(crate) fn insert(&mut self, symbol: Symbol, place: usize) {
        self.by_symbol.insert(symbol, self.places.len());
        self.places.push((symbol, place));
    }
}

impl FromIterator<(Symbol, usize)> for SymbolIndex {
    fn from_iter<I: IntoIterator<Item = (Symbol, usize)>>(places: I) -> SymbolIndex {
        let mut index = SymbolIndex::default();
        places.into_iter().for_each(|(symbol, place)| index.insert(symbol, place));
        index
    }
}
