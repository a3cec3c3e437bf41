//! Balances: what is free and what open orders lock.
//!
//! Contract: every change moves money between free and locked, or is an execution: what is paid leaves,
//! what is received less its fee comes in. Nothing else adds or takes. Amounts saturate at the range of
//! [`Money`] (1.7e22 units), which no balance that can be configured comes near.
//!
//! A balance may only go below zero by an execution at an external venue: one that it reports late, after its lock
//! was given back, a MARKET BUY that cost more than the best or last price it was locked at, and a fee in a third
//! asset. The venue's word counts, and it is shown.

use serde::{Deserialize, Serialize};

use crate::event::Balance;
use crate::types::{Asset, Money};

/// The place of an asset in a [`Ledger`].
pub type AssetIndex = usize;

/// The balances of one account, in the order in which the assets became known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    balances: Vec<Balance>,
    /// What was free and what was locked before the first change since [`Ledger::clear_changes`]: no part of the
    /// state.
    #[serde(skip)]
    before: Vec<(AssetIndex, [Money; 2])>,
}

impl Ledger {
    /// Every balance.
    pub fn balances(&self) -> &[Balance] {
        &self.balances
    }

    /// The place of an asset, made if it is new.
    pub fn index_of(&mut self, asset: Asset) -> AssetIndex {
        if let Some(index) = self.find(&asset) {
            return index;
        }
        self.balances.push(Balance { asset, free: Money::ZERO, locked: Money::ZERO });
        self.balances.len() - 1
    }

    /// The place of an asset that is known.
    pub fn find(&self, asset: &Asset) -> Option<AssetIndex> {
        self.balances.iter().position(|balance| balance.asset == *asset)
    }

    /// What of an asset is not locked.
    pub fn free(&self, index: AssetIndex) -> Money {
        self.balances.get(index).map(|balance| balance.free).unwrap_or_default()
    }

    /// Puts a balance as a whole, as the venue or the configuration tells it.
    pub fn set(&mut self, balance: &Balance) {
        let index = self.index_of(balance.asset);
        // Of most it is what they are already: the engine tells what it has applied.
        if self.balances.get(index) != Some(balance) {
            self.change(index, |old| *old = *balance);
        }
    }

    /// Moves from free to locked.
    pub fn lock(&mut self, index: AssetIndex, amount: Money) {
        self.change(index, |balance| {
            balance.free = balance.free.saturating_sub(amount);
            balance.locked = balance.locked.saturating_add(amount);
        });
    }

    /// Moves from locked to free.
    pub fn release(&mut self, index: AssetIndex, amount: Money) {
        self.change(index, |balance| {
            balance.locked = balance.locked.saturating_sub(amount);
            balance.free = balance.free.saturating_add(amount);
        });
    }

    /// Adds to free.
    pub fn credit(&mut self, index: AssetIndex, amount: Money) {
        self.change(index, |balance| balance.free = balance.free.saturating_add(amount));
    }

    /// Takes from free.
    pub fn debit(&mut self, index: AssetIndex, amount: Money) {
        self.change(index, |balance| balance.free = balance.free.saturating_sub(amount));
    }

    /// Forgets what has changed so far.
    pub fn clear_changes(&mut self) {
        self.before.clear();
    }

    /// The balances that are not what they were at [`Ledger::clear_changes`], in the ledger's order.
    pub fn changes(&self) -> impl Iterator<Item = Balance> {
        self.balances.iter().enumerate().filter_map(|(index, now)| {
            let (_, before) = self.before.iter().find(|(changed, _)| *changed == index)?;
            (*before != [now.free, now.locked]).then_some(*now)
        })
    }

    fn change(&mut self, index: AssetIndex, f: impl FnOnce(&mut Balance)) {
        let Some(balance) = self.balances.get_mut(index) else { return };
        if !self.before.iter().any(|(changed, _)| *changed == index) {
            self.before.push((index, [balance.free, balance.locked]));
        }
        f(balance);
    }
}
