//! Reads an event in exactly the form that the encoder writes (see [`crate::fields`]).

use super::{
    Account, Balance, ErrorEvent, Event, EventKind, Fill, Market, OrderState, OrderUpdate,
};
use crate::fields::{Fields, exact, int, parsed, text};

/// The event, if it is written so.
pub(super) fn read(kind: EventKind, json: &[u8]) -> Option<Event> {
    let rest = std::str::from_utf8(json).ok()?;
    let rest = rest.strip_prefix("{\"type\":\"")?.strip_prefix(kind.as_str())?.strip_prefix('"')?;
    let mut fields = Fields { rest };
    let event = match kind {
        EventKind::Market => Event::Market(fields.market()?),
        EventKind::OrderUpdate => Event::OrderUpdate(fields.order_update()?),
        EventKind::Fill => Event::Fill(fields.fill()?),
        EventKind::OrderState => Event::OrderState(fields.order_state()?),
        EventKind::Account => Event::Account(fields.account()?),
        EventKind::Error => Event::Error(fields.error()?),
    };
    (fields.rest == "}").then_some(event)
}

impl Fields<'_> {
    fn market(&mut self) -> Option<Market> {
        Some(Market {
            symbol: self.named("symbol", parsed)?,
            ts_ns: self.numbered("ts_ns", int)?,
            price: self.numbered("price", parsed)?,
            trade_id: self.opt_numbered("trade_id", int)?,
            qty: self.opt_numbered("qty", parsed)?,
            side: self.opt_named("side", exact)?,
            bid: self.opt_numbered("bid", parsed)?,
            ask: self.opt_numbered("ask", parsed)?,
        })
    }

    fn order_update(&mut self) -> Option<OrderUpdate> {
        Some(OrderUpdate {
            ts_ns: self.numbered("ts_ns", int)?,
            client_order_id: self.named("client_order_id", parsed)?,
            venue_order_id: self.opt_named("venue_order_id", parsed)?,
            status: self.named("status", exact)?,
            symbol: self.opt_named("symbol", parsed)?,
            side: self.opt_named("side", exact)?,
            qty: self.opt_numbered("qty", parsed)?,
            price: self.opt_numbered("price", parsed)?,
            reason: self.opt_named("reason", text)?,
        })
    }

    fn fill(&mut self) -> Option<Fill> {
        Some(Fill {
            ts_ns: self.numbered("ts_ns", int)?,
            client_order_id: self.named("client_order_id", parsed)?,
            symbol: self.named("symbol", parsed)?,
            qty: self.numbered("qty", parsed)?,
            price: self.numbered("price", parsed)?,
            trade_id: self.opt_numbered("trade_id", int)?,
            fee: self.opt_numbered("fee", parsed)?,
            fee_asset: self.opt_named("fee_asset", parsed)?,
            liquidity: self.opt_named("liquidity", exact)?,
            side: self.opt_named("side", exact)?,
            reconciled: self.opt_flag("reconciled")?.unwrap_or_default(),
        })
    }

    fn order_state(&mut self) -> Option<OrderState> {
        Some(OrderState {
            client_order_id: self.named("client_order_id", parsed)?,
            status: self.opt_named("status", exact)?,
            symbol: self.opt_named("symbol", parsed)?,
            side: self.opt_named("side", exact)?,
            order_qty: self.opt_numbered("order_qty", parsed)?,
            limit_price: self.opt_numbered("limit_price", parsed)?,
            venue_order_id: self.opt_named("venue_order_id", parsed)?,
            executed_qty: self.numbered("executed_qty", parsed)?,
            avg_price: self.numbered("avg_price", parsed)?,
            reason: self.opt_named("reason", text)?,
            last_ts_ns: self.numbered("last_ts_ns", int)?,
            cum_quote: self.numbered("cum_quote", parsed)?,
            order_type: self.opt_named("order_type", exact)?,
            time_in_force: self.opt_named("time_in_force", exact)?,
            stop_price: self.opt_numbered("stop_price", parsed)?,
            triggered: self.opt_flag("triggered")?,
            expire_ts_ns: self.opt_numbered("expire_ts_ns", int)?,
            oco_with: self.opt_named("oco_with", parsed)?,
            adopted: self.opt_flag("adopted")?.unwrap_or_default(),
        })
    }

    fn account(&mut self) -> Option<Account> {
        let ts_ns = self.numbered("ts_ns", int)?;
        self.past(",\"balances\":[")?;
        let mut balances = Vec::new();
        while !self.rest.starts_with(']') {
            if !balances.is_empty() {
                self.past(",")?;
            }
            self.past("{\"asset\":")?;
            let asset = parsed(self.string()?)?;
            let free = self.numbered("free", parsed)?;
            let locked = self.numbered("locked", parsed)?;
            self.past("}")?;
            balances.push(Balance { asset, free, locked });
        }
        self.past("]")?;
        Some(Account { ts_ns, balances })
    }

    fn error(&mut self) -> Option<ErrorEvent> {
        Some(ErrorEvent {
            ts_ns: self.numbered("ts_ns", int)?,
            message: self.named("message", text)?,
            detail: self.opt_named("detail", text)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read is what the general reader gives; what it refuses is not read.
    fn check(kind: EventKind, json: &str, is_read: bool) {
        let read = read(kind, json.as_bytes());
        assert_eq!(read.is_some(), is_read, "{json}");
        if read.is_some() {
            assert_eq!(read, Event::decode_any(kind, json.as_bytes()).ok(), "{json}");
        }
    }

    /// Every kind with all that it can have, and with no more than it must.
    #[test]
    fn whatever_the_encoder_writes_is_read() {
        let all = [
            r#"{"type":"market","symbol":"BTCUSDT","ts_ns":5,"price":1.5,"trade_id":7,"qty":0.02,"side":"SELL","bid":1.0,"ask":2.0}"#,
            r#"{"type":"market","symbol":"BTCUSDT","ts_ns":-5,"price":1.5}"#,
            r#"{"type":"order_update","ts_ns":5,"client_order_id":"a-1","venue_order_id":"9","status":"REJECTED","symbol":"ETHUSDT","side":"BUY","qty":1.0,"price":2.0,"reason":""}"#,
            r#"{"type":"order_update","ts_ns":5,"client_order_id":"a-1","status":"ACCEPTED"}"#,
            r#"{"type":"fill","ts_ns":5,"client_order_id":"a-1","symbol":"ETHUSDT","qty":1.0,"price":2.0,"trade_id":3,"fee":0.0000000000000001,"fee_asset":"ETH","liquidity":"TAKER","side":"BUY","reconciled":true}"#,
            r#"{"type":"fill","ts_ns":5,"client_order_id":"a-1","symbol":"ETHUSDT","qty":1.0,"price":2.0}"#,
            r#"{"type":"order_state","client_order_id":"a-1","status":"FILLED","symbol":"ETHUSDT","side":"SELL","order_qty":1.0,"limit_price":2.0,"venue_order_id":"9","executed_qty":1.0,"avg_price":2.0,"reason":"x","last_ts_ns":5,"cum_quote":2.0,"order_type":"LIMIT","time_in_force":"GTC","stop_price":1.0,"triggered":false,"expire_ts_ns":9,"oco_with":"b","adopted":true}"#,
            r#"{"type":"order_state","client_order_id":"a-1","executed_qty":0.0,"avg_price":0.0,"last_ts_ns":5,"cum_quote":0.0}"#,
            r#"{"type":"account","ts_ns":5,"balances":[{"asset":"USDT","free":17014118346046923173168.3,"locked":-0.5},{"asset":"BTC","free":0.0,"locked":0.0}]}"#,
            r#"{"type":"account","ts_ns":5,"balances":[]}"#,
            r#"{"type":"error","ts_ns":5,"message":"engine_exited","detail":"again"}"#,
            r#"{"type":"error","ts_ns":5,"message":"engine_exited"}"#,
        ];
        for json in all {
            let kind = EventKind::ALL
                .into_iter()
                .find(|kind| json.split('"').nth(3).is_some_and(|name| name == kind.as_str()));
            let kind = kind.expect("a kind");
            let event = Event::decode_any(kind, json.as_bytes()).expect("an event");
            let mut written = Vec::new();
            event.encode(&mut written);
            assert_eq!(String::from_utf8_lossy(&written), json);
            check(kind, json, true);
        }
    }

    #[test]
    fn only_the_encoders_form_is_read() {
        let market = |price: &str, more: &str| {
            format!(
                "{{\"type\":\"market\",\"symbol\":\"BTCUSDT\",\"ts_ns\":5,\"price\":{price}{more}}}"
            )
        };
        let check = |json: String, is_read| check(EventKind::Market, &json, is_read);
        check(market("50000.0", ""), true);
        check(market("-1.5", ",\"trade_id\":7,\"side\":\"BUY\",\"ask\":2.0"), true);
        check(market("50000", ",\"qty\":0.00000001"), true);
        check(market("92233720368.0", ",\"bid\":0.0"), true);
        // Another order, an unknown key, blanks, escapes, strings for numbers: not the encoder's.
        check(market("1.0", ",\"side\":\"BUY\",\"qty\":1.0"), false);
        check(market("1.0", ",\"unknown\":1"), false);
        check(market(" 1.0", ""), false);
        check(market("\"1.0\"", ""), false);
        check(market("1.0", ",\"side\":\"buy\""), false);
        check(market("1.0", ",\"side\":\"B\\u0055Y\""), false);
        check(market("1.0", ",\"snapshot\":true"), false);
        // No JSON.
        check(market("01.0", ""), false);
        check(market("+1.0", ""), false);
        check(market("1.", ""), false);
        check(market("", ""), false);
        check(market("92233720369.0", ""), false);
        check(market("1.0", "") + " ", false);
        check(market("1.0", ",\"trade_id\":-1"), false);
    }
}
