//! Places by instrument.

use std::cell::Cell;

use rustc_hash::FxHashMap;

use crate::types::Symbol;

/// The place of each instrument in a list. The one that was looked up last is found again without a hash:
/// a step is about one, and asks several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct SymbolIndex {
    places: FxHashMap<Symbol, usize>,
    last: Cell<Option<(Symbol, usize)>>,
}

impl SymbolIndex {
    /// The place of an instrument.
    #[inline]
    pub(crate) fn get(&self, symbol: &Symbol) -> Option<usize> {
        if let Some((_, place)) = self.last.get().filter(|(last, _)| last == symbol) {
            return Some(place);
        }
        let place = self.places.get(symbol).copied()?;
        self.last.set(Some((*symbol, place)));
        Some(place)
    }

    /// Notes the place of an instrument that is new.
    pub(crate) fn insert(&mut self, symbol: Symbol, place: usize) {
        self.places.insert(symbol, place);
        self.last.set(None);
    }
}

impl FromIterator<(Symbol, usize)> for SymbolIndex {
    fn from_iter<I: IntoIterator<Item = (Symbol, usize)>>(places: I) -> SymbolIndex {
        SymbolIndex { places: places.into_iter().collect(), last: Cell::default() }
    }
}
