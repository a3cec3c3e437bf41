//! Events for the tests of the stream.

use veloz_core::event::{
    Account, Balance, ErrorEvent, Event, Fill, Market, OrderState, OrderUpdate,
};
use veloz_core::order::OrderStatus;
use veloz_core::types::{AvgPrice, ClientOrderId, EventId, Money, Price, Qty, Symbol, TsNs};

use crate::frame::write_frame;

/// The event of a number: every kind comes by, with two symbols and three orders.
pub(crate) fn event(id: EventId) -> Event {
    let ts_ns = TsNs::try_from(id).expect("a small id");
    let symbol = if id % 4 < 2 { "AAA" } else { "BBB" }.parse().expect("a symbol");
    let client_order_id = format!("o-{}", id / 6 % 3).parse().expect("an id");
    match id % 6 {
        0 => Event::OrderUpdate(OrderUpdate {
            ts_ns,
            client_order_id,
            venue_order_id: None,
            status: OrderStatus::Accepted,
            symbol: Some(symbol),
            side: None,
            qty: None,
            price: None,
            reason: None,
        }),
        1 => Event::Fill(Fill {
            ts_ns,
            client_order_id,
            symbol,
            qty: Qty::from_raw(1),
            price: Price::from_raw(2),
            trade_id: Some(id),
            fee: None,
            fee_asset: None,
            liquidity: None,
            side: None,
            reconciled: false,
        }),
        2 => Event::OrderState(order_state(ts_ns, client_order_id, symbol)),
        3 => Event::Account(Account {
            ts_ns,
            balances: vec![Balance {
                asset: "USDT".parse().expect("an asset"),
                free: Money::ZERO,
                locked: Money::ZERO,
            }],
        }),
        4 => Event::Error(ErrorEvent { ts_ns, message: "engine_exited".into(), detail: None }),
        _ => Event::Market(Market {
            symbol,
            ts_ns,
            price: Price::from_raw(ts_ns),
            trade_id: None,
            qty: None,
            side: None,
            bid: None,
            ask: None,
        }),
    }
}

/// The frames of those events.
pub(crate) fn log_bytes(ids: impl IntoIterator<Item = EventId>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in ids {
        write_frame(&mut bytes, id, &event(id));
    }
    bytes
}

fn order_state(ts_ns: TsNs, client_order_id: ClientOrderId, symbol: Symbol) -> OrderState {
    OrderState {
        client_order_id,
        status: None,
        symbol: Some(symbol),
        side: None,
        order_qty: None,
        limit_price: None,
        venue_order_id: None,
        executed_qty: Qty::ZERO,
        avg_price: AvgPrice::ZERO,
        reason: None,
        last_ts_ns: ts_ns,
        cum_quote: Money::ZERO,
        order_type: None,
        stop_price: None,
        triggered: None,
        expire_ts_ns: None,
        oco_with: None,
        time_in_force: None,
        adopted: false,
    }
}
