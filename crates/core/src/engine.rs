//! The engine: told one input at a time, it decides what happened and applies it.

use rustc_hash::FxHashMap;

use crate::book::Book;
use crate::event::{Account, Balance, ErrorEvent, Event};
use crate::input::{Answer, Input, NewOrder, Refusal};
use crate::instrument::Instrument;
use crate::state::{Fact, State};
use crate::types::{Asset, ClientOrderId, Money, Symbol, TsNs, VenueOrderId};

/// Where orders go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Venue {
    /// The built-in simulated venue: what becomes of an order is known at once.
    #[default]
    Simulated,
    /// Somewhere else: orders leave as [`VenueCommand`]s, and what becomes of them comes back as
    /// [`Input::Report`]s.
    External,
}

/// What an engine is made of.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// What may be traded.
    pub instruments: Vec<Instrument>,
    /// What a new account starts with; a restored one has its own.
    pub balances: Vec<(Asset, Money)>,
    /// Where orders go.
    pub venue: Venue,
}

/// What an external venue is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VenueCommand {
    /// Place this order.
    Place(NewOrder),
    /// Take this order back.
    Cancel {
        /// The client's name for it.
        client_order_id: ClientOrderId,
        /// Its instrument.
        symbol: Symbol,
        /// The venue's name for it, if it told one.
        venue_order_id: Option<VenueOrderId>,
    },
}

/// What one step did. Reuse it: its buffers keep their room.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The public events, numbered from [`State::last_event_id`] + 1 on.
    pub events: Vec<Event>,
    /// The private facts: applied before the events.
    pub facts: Vec<Fact>,
    /// What an external venue is told, once the step is stored.
    pub commands: Vec<VenueCommand>,
}

impl Step {
    /// Empties it.
    pub fn clear(&mut self) {
        self.events.clear();
        self.facts.clear();
        self.commands.clear();
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.facts.is_empty()
    }
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    state: State,
    books: FxHashMap<Symbol, Book>,
}

impl Engine {
    /// An engine that nothing has happened to.
    pub fn new(config: EngineConfig) -> Engine {
        Engine::restore(config, State::default())
    }

    /// An engine that goes on from a state: open orders go back into the simulated venue, at the back of
    /// the queue.
    pub fn restore(config: EngineConfig, state: State) -> Engine {
        Engine { config, state, books: FxHashMap::default() }
    }

    /// To be called once in the life of a log: the first account event, with every balance.
    pub fn start(&mut self, now: TsNs, step: &mut Step) {
        step.clear();
        let balances = self.config.balances.iter();
        let balances =
            balances.map(|&(asset, free)| Balance { asset, free, locked: Money::ZERO }).collect();
        let ts_ns = self.state.last_ts_ns().max(now);
        self.emit(Event::Account(Account { ts_ns, balances }), step);
    }

    /// Takes one input: decides what it leads to and applies that. `step` is emptied first and tells what
    /// happened. On a refusal nothing has changed and the step is empty.
    ///
    /// # Errors
    /// The reason why nothing happened.
    pub fn step(&mut self, now: TsNs, input: &Input, step: &mut Step) -> Result<Answer, Refusal> {
        step.clear();
        let ts_ns = self.state.last_ts_ns().max(now);
        if let Input::Fault { code, detail } = input {
            let (message, detail) = (code.clone(), Some(detail.clone()));
            self.emit(Event::Error(ErrorEvent { ts_ns, message, detail }), step);
        }
        Ok(Answer::Done)
    }

    /// All that a restart needs.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What may be traded.
    pub fn instruments(&self) -> &[Instrument] {
        &self.config.instruments
    }

    /// The instrument of that name.
    pub fn instrument(&self, symbol: &Symbol) -> Option<&Instrument> {
        self.config.instruments.iter().find(|instrument| instrument.symbol == *symbol)
    }

    /// The book that the simulated venue trades on; `None` for an instrument that is not traded.
    pub fn book(&self, symbol: &Symbol) -> Option<&Book> {
        self.books.get(symbol)
    }

    /// Checks that the parts agree: for tests and the simulator.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_invariants(&self) -> Result<(), String> {
        Ok(())
    }

    fn emit(&mut self, event: Event, step: &mut Step) {
        self.state.apply_event(self.state.last_event_id() + 1, &event);
        step.events.push(event);
    }
}
