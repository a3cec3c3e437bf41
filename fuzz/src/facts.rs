//! What a record holds for the state: facts in the first line, frames behind it. Whatever they say, applying them
//! fails with a word or not at all, and the state survives its way into a snapshot and back.

use veloz::frame::frames;
use veloz_core::event::Event;
use veloz_core::state::{State, facts_from_json, facts_to_json};

/// See the module.
pub fn check(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (facts, events) = data.split_at(at);
    let mut state = State::default();
    if let Ok(facts) = facts_from_json(facts) {
        let mut json = Vec::new();
        facts_to_json(&facts, &mut json).expect("facts are JSON");
        assert_eq!(facts_from_json(&json).expect("reads back"), facts);
        facts.iter().for_each(|fact| state.apply_fact(fact));
    }
    for frame in frames(events.strip_prefix(b"\n").unwrap_or_default()) {
        if let Ok(event) = Event::decode(frame.kind, frame.data) {
            state.apply_event(frame.id, &event);
        }
    }
    let json = serde_json::to_string(&state).expect("a state is JSON");
    let again: State = serde_json::from_str(&json).expect("reads back");
    assert_eq!(serde_json::to_string(&again).expect("a state is JSON"), json);
}
