//! Whatever the order in which a venue's reports come, however often each, and whichever are lost: the
//! order ends as the venue's own history says. The oracle knows that history and looks at nothing else.

use crate::common::{Rig, id, order};
use proptest::prelude::*;
use veloz_core::engine::Venue;
use veloz_core::event::Event;
use veloz_core::input::{Input, ReportBody, VenueOrder};
use veloz_core::order::OrderStatus;
use veloz_core::types::{Money, Price, Qty};

/// What happened to one order on its venue: executions (lots, price), then its end.
#[derive(Debug, Clone)]
struct History {
    fills: Vec<(i64, i64)>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It stands, or everything of it was executed.
    None,
    Cancelled,
    Expired,
    Rejected,
}

const LOT: i64 = 100_000_000;
const STEP: i64 = 1_000_000;

fn history() -> impl Strategy<Value = History> {
    let fills = prop::collection::vec((1_i64..50, 9_000_i64..9_901), 0..6);
    let end = prop::sample::select(vec![End::None, End::Cancelled, End::Expired, End::Rejected]);
    (fills, end).prop_map(|(fills, end)| match end {
        End::Rejected => History { fills: Vec::new(), end },
        _ => History { fills, end },
    })
}

impl History {
    fn executed(&self, fills: usize) -> Qty {
        Qty::from_raw(self.fills[..fills].iter().map(|(lots, _)| lots * LOT).sum())
    }

    fn paid(&self, fills: usize) -> Money {
        let paid = self.fills[..fills].iter();
        paid.fold(Money::ZERO, |sum, (lots, steps)| {
            let (qty, price) = (Qty::from_raw(lots * LOT), Price::from_raw(steps * STEP));
            sum.saturating_add(Money::notional(price, qty))
        })
    }

    /// What an order that is closed before it is filled had left, one lot; else nothing.
    fn ordered(&self) -> Qty {
        let all = self.executed(self.fills.len());
        let closed = self.end != End::None || self.fills.is_empty();
        if closed { all.saturating_add(Qty::from_raw(LOT)) } else { all }
    }

    fn status(&self) -> OrderStatus {
        match self.end {
            End::Cancelled => OrderStatus::Cancelled,
            End::Expired => OrderStatus::Expired,
            End::Rejected => OrderStatus::Rejected,
            End::None if self.fills.is_empty() => OrderStatus::Accepted,
            End::None => OrderStatus::Filled,
        }
    }

    /// Everything that the venue says while it happens.
    fn reports(&self) -> Vec<ReportBody> {
        if self.end == End::Rejected {
            return vec![ReportBody::Rejected { reason: "no".into() }];
        }
        let fill = |(trade_id, (lots, steps)): (u64, &(i64, i64))| ReportBody::Fill {
            trade_id: Some(trade_id),
            qty: Qty::from_raw(lots * LOT),
            price: Price::from_raw(steps * STEP),
            symbol: None,
            side: None,
            fee: None,
            liquidity: None,
        };
        let mut reports = vec![ReportBody::Accepted];
        reports.extend((1..).zip(&self.fills).map(fill));
        match self.status() {
            OrderStatus::Filled => reports.push(ReportBody::Filled),
            OrderStatus::Cancelled => reports.push(ReportBody::Cancelled),
            OrderStatus::Expired => reports.push(ReportBody::Expired { reason: "gone".into() }),
            _ => {}
        }
        reports
    }

    /// What the venue answered when it was asked after so many executions.
    fn answer_after(&self, fills: usize) -> ReportBody {
        let status = match (fills == self.fills.len(), fills) {
            (true, _) => self.status(),
            (false, 0) => OrderStatus::Accepted,
            (false, _) => OrderStatus::PartiallyFilled,
        };
        ReportBody::State(Box::new(VenueOrder {
            status,
            executed_qty: self.executed(fills),
            cum_quote: self.paid(fills),
            reason: "".into(),
            request: None,
        }))
    }

    fn answer(&self) -> ReportBody {
        self.answer_after(self.fills.len())
    }
}

fn placed(history: &History) -> Rig {
    let mut rig = Rig::new(Venue::External);
    let mut new = order("a BUY 1 @ 99.01");
    new.qty = history.ordered();
    rig.input(&Input::NewOrder(new)).unwrap();
    rig
}

/// The order is as the history says, its events add up to it, and the journal gives the same.
fn check(rig: &Rig, history: &History, is_exact: bool) -> Result<(), TestCaseError> {
    let order = rig.engine.state().order(&id("a")).unwrap();
    let all = history.fills.len();
    prop_assert_eq!(order.status, Some(history.status()));
    prop_assert_eq!(order.executed_qty, history.executed(all));
    if is_exact {
        prop_assert_eq!(order.cum_quote, history.paid(all));
    }
    let mut shown = Qty::ZERO;
    for record in &rig.journal {
        for (kind, json) in &record.events {
            match Event::decode(*kind, json).unwrap() {
                Event::Fill(fill) => shown = shown.saturating_add(fill.qty),
                Event::Error(error) => prop_assert!(false, "{error:?}"),
                _ => {}
            }
        }
    }
    prop_assert_eq!(shown, order.executed_qty);
    let replayed = serde_json::to_string(&rig.replayed()).unwrap();
    prop_assert_eq!(replayed, serde_json::to_string(rig.engine.state()).unwrap());
    Ok(())
}

proptest! {
    #[test]
    fn shuffled_and_doubled_reports_end_in_the_right_state(
        history in history(),
        shuffle in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut rig = placed(&history);
        let reports = history.reports();
        let doubled: Vec<_> = shuffle.iter().map(|index| index.get(&reports).clone()).collect();
        for report in doubled.into_iter().chain(reports) {
            rig.report("a", report);
        }
        check(&rig, &history, true)?;
    }

    /// What is lost is had by asking: exactly, when the answer comes after what was told before it.
    #[test]
    fn dropped_reports_are_made_up_for_by_one_answer(
        history in history(),
        kept in prop::collection::vec(any::<bool>(), 12),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut rig = placed(&history);
        let reports = history.reports();
        for (report, _) in reports.iter().zip(&kept).filter(|(_, kept)| **kept) {
            rig.report("a", report.clone());
        }
        rig.report("a", history.answer());
        check(&rig, &history, true)?;
        // And nothing that comes late changes that.
        for index in again {
            rig.report("a", index.get(&reports).clone());
        }
        check(&rig, &history, true)?;
    }

    /// Answers of any age between shuffled reports, some of which are lost; restarts too. Never more than
    /// the venue's own sum counts, and in the end exactly that.
    #[test]
    fn answers_of_any_age_never_count_twice(
        history in history(),
        script in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..40),
    ) {
        let mut rig = placed(&history);
        let reports = history.reports();
        for (index, kind) in script {
            let fills = index.index(history.fills.len() + 1);
            match kind {
                0 if history.end != End::Rejected => {
                    rig.report("a", history.answer_after(fills));
                }
                1 => rig.restart_with(Venue::External),
                _ => {
                    rig.report("a", index.get(&reports).clone());
                }
            }
            let order = rig.engine.state().order(&id("a")).unwrap();
            prop_assert!(order.executed_qty <= history.executed(history.fills.len()));
        }
        rig.report("a", history.answer());
        check(&rig, &history, false)?;
    }
}
