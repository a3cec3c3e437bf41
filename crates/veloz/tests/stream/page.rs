//! Pages of the log against what is in it.

use std::sync::Arc;

use serde_json::Value;
use veloz::stream::filter::{Filter, Kinds};
use veloz::stream::page::Pages;
use veloz_core::event::EventKind;
use veloz_core::types::{EventId, Symbol};

use crate::rig::MemoryLog;
use crate::testing::event;

/// Pages behind `after` to the end: their ids, and the reasons of their gaps.
fn pages(
    log: &Arc<MemoryLog>,
    after: EventId,
    limit: usize,
    filter: &Filter,
) -> (Vec<EventId>, Vec<String>) {
    let pages = Pages::new(log.clone());
    let (mut ids, mut gaps, mut after) = (Vec::new(), Vec::new(), after);
    loop {
        let page = pages.read(after, limit, filter).expect("a page");
        let page: Value = serde_json::from_slice(&page).expect("JSON");
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= limit);
        ids.extend(items.iter().map(|item| item["id"].as_u64().expect("an id")));
        if let Some(gap) = page.get("gap") {
            assert_eq!(gap["requested"], after);
            gaps.push(gap["reason"].as_str().expect("a reason").to_owned());
        }
        let next = page["next_after"].as_u64().expect("a number");
        if next == after || next == page["newest"] {
            return (ids, gaps);
        }
        after = next;
    }
}

fn check(log: &Arc<MemoryLog>, after: EventId, kinds: Kinds, reasons: &[&str]) {
    check_filter(log, after, &Filter { kinds, ..Filter::default() }, reasons);
}

fn check_filter(log: &Arc<MemoryLog>, after: EventId, filter: &Filter, reasons: &[&str]) {
    let passes = |id: EventId| {
        let symbol = event(id).symbol();
        filter.kinds.has(event(id).kind())
            && (filter.symbols.is_empty() || symbol.is_none_or(|s| filter.symbols.contains(&s)))
    };
    let ids = log.ids().into_iter().filter(|id| *id > after && passes(*id));
    let ids: Vec<EventId> = ids.collect();
    for limit in [1, 2, 7, 1000] {
        let (got, gaps) = pages(log, after, limit, filter);
        assert_eq!(got, ids, "after {after}, limit {limit}");
        // Each page tells of its own hole.
        assert!(gaps.iter().all(|gap| reasons.contains(&gap.as_str())), "{limit}: {gaps:?}");
        assert_eq!(gaps.is_empty(), reasons.is_empty(), "after {after}, limit {limit}");
    }
}

#[test]
fn pages_show_what_is_there_and_tell_what_is_not() {
    let log = MemoryLog::new();
    check(&log, 0, Kinds::ALL, &[]);
    check(&log, 3, Kinds::ALL, &["ahead"]);
    log.append(100);
    let fills = Kinds::NONE.with(EventKind::Fill);
    for kinds in [Kinds::ALL, fills] {
        check(&log, 0, kinds, &[]);
        check(&log, 42, kinds, &[]);
        check(&log, 100, kinds, &[]);
        check(&log, 101, kinds, &["ahead"]);
    }
    let symbols = vec![Symbol::parse("AAA").expect("a symbol")];
    check_filter(&log, 42, &Filter { symbols, ..Filter::default() }, &[]);
    // Events 5, 11, … 47 are the market's.
    log.compact(0..50);
    check(&log, 0, Kinds::ALL, &["compacted"]);
    check(&log, 0, fills, &[]);
    check(&log, 46, Kinds::ALL, &["compacted"]);
    check(&log, 47, Kinds::ALL, &[]);
    log.trim(20);
    check(&log, 5, fills, &["trimmed"]);
    check(&log, 5, Kinds::ALL, &["trimmed", "compacted"]);
    check(&log, 0, fills, &[]);
    check(&log, 19, fills, &[]);
}
