//! Reads an event in exactly the form that the encoder writes: what a replay reads is nothing else.
//!
//! Contract: what is read here is what the general reader gives, several times as fast. Any other form, valid or
//! not, is none of this module's: it gives nothing, and the general reader has the word.

use super::{
    Account, Balance, ErrorEvent, Event, EventKind, Fill, Liquidity, Market, OrderState,
    OrderUpdate,
};
use crate::order::{OrderStatus, OrderType, TimeInForce};
use crate::types::{
    Asset, AvgPrice, ClientOrderId, Money, Price, Qty, Side, Symbol, Text, VenueOrderId,
};

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

/// What is not read yet: each field with the comma before it.
struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    /// Goes past a key. False when another one comes, or none.
    #[inline(always)]
    fn key(&mut self, key: &str) -> bool {
        let value = self.rest.strip_prefix(",\"").and_then(|rest| rest.strip_prefix(key));
        match value.and_then(|rest| rest.strip_prefix("\":")) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The text of a number.
    #[inline(always)]
    fn number(&mut self) -> Option<&'a str> {
        let end = self.rest.bytes().position(|byte| matches!(byte, b',' | b'}' | b']'))?;
        let (number, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        // Another one than the encoder's: JSON has no such number, or it is a string.
        let digits = number.strip_prefix('-').unwrap_or(number).as_bytes();
        match digits {
            [b'0', b'0'..=b'9', ..] => None,
            [b'0'..=b'9', ..] => Some(number),
            _ => None,
        }
    }

    /// A string in which nothing is escaped.
    #[inline(always)]
    fn string(&mut self) -> Option<&'a str> {
        let text = self.rest.strip_prefix('"')?;
        let end = text.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (text, rest) = text.split_at_checked(end)?;
        self.rest = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A field that has to be there; its value by `parse`.
    #[inline(always)]
    fn numbered<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        if self.key(key) { parse(self.number()?) } else { None }
    }

    #[inline(always)]
    fn named<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        if self.key(key) { parse(self.string()?) } else { None }
    }

    /// A field that may be left out.
    #[inline(always)]
    fn opt_numbered<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.key(key) { parse(self.number()?).map(Some) } else { Some(None) }
    }

    #[inline(always)]
    fn opt_named<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.key(key) { parse(self.string()?).map(Some) } else { Some(None) }
    }

    /// `true` or `false`, if it is there.
    fn opt_flag(&mut self, key: &str) -> Option<Option<bool>> {
        if !self.key(key) {
            return Some(None);
        }
        for (text, value) in [("true", true), ("false", false)] {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Some(Some(value));
            }
        }
        None
    }

    fn market(&mut self) -> Option<Market> {
        Some(Market {
            symbol: self.named("symbol", symbol)?,
            ts_ns: self.numbered("ts_ns", int)?,
            price: self.numbered("price", price)?,
            trade_id: self.opt_numbered("trade_id", int)?,
            qty: self.opt_numbered("qty", qty)?,
            side: self.opt_named("side", side)?,
            bid: self.opt_numbered("bid", price)?,
            ask: self.opt_numbered("ask", price)?,
        })
    }

    fn order_update(&mut self) -> Option<OrderUpdate> {
        Some(OrderUpdate {
            ts_ns: self.numbered("ts_ns", int)?,
            client_order_id: self.named("client_order_id", order_id)?,
            venue_order_id: self.opt_named("venue_order_id", venue_order_id)?,
            status: self.named("status", status)?,
            symbol: self.opt_named("symbol", symbol)?,
            side: self.opt_named("side", side)?,
            qty: self.opt_numbered("qty", qty)?,
            price: self.opt_numbered("price", price)?,
            reason: self.opt_named("reason", text)?,
        })
    }

    fn fill(&mut self) -> Option<Fill> {
        Some(Fill {
            ts_ns: self.numbered("ts_ns", int)?,
            client_order_id: self.named("client_order_id", order_id)?,
            symbol: self.named("symbol", symbol)?,
            qty: self.numbered("qty", qty)?,
            price: self.numbered("price", price)?,
            trade_id: self.opt_numbered("trade_id", int)?,
            fee: self.opt_numbered("fee", money)?,
            fee_asset: self.opt_named("fee_asset", asset)?,
            liquidity: self
                .opt_named("liquidity", |text| exact(Liquidity::ALL, |v| v.as_str(), text))?,
            side: self.opt_named("side", side)?,
            reconciled: self.opt_flag("reconciled")?.unwrap_or_default(),
        })
    }

    fn order_state(&mut self) -> Option<OrderState> {
        Some(OrderState {
            client_order_id: self.named("client_order_id", order_id)?,
            status: self.opt_named("status", status)?,
            symbol: self.opt_named("symbol", symbol)?,
            side: self.opt_named("side", side)?,
            order_qty: self.opt_numbered("order_qty", qty)?,
            limit_price: self.opt_numbered("limit_price", price)?,
            venue_order_id: self.opt_named("venue_order_id", venue_order_id)?,
            executed_qty: self.numbered("executed_qty", qty)?,
            avg_price: self.numbered("avg_price", |text| AvgPrice::parse(text).ok())?,
            reason: self.opt_named("reason", text)?,
            last_ts_ns: self.numbered("last_ts_ns", int)?,
            cum_quote: self.numbered("cum_quote", money)?,
            order_type: self
                .opt_named("order_type", |text| exact(OrderType::ALL, |v| v.as_str(), text))?,
            time_in_force: self
                .opt_named("time_in_force", |text| exact(TimeInForce::ALL, |v| v.as_str(), text))?,
            stop_price: self.opt_numbered("stop_price", price)?,
            triggered: self.opt_flag("triggered")?,
            expire_ts_ns: self.opt_numbered("expire_ts_ns", int)?,
            oco_with: self.opt_named("oco_with", order_id)?,
            adopted: self.opt_flag("adopted")?.unwrap_or_default(),
        })
    }

    fn account(&mut self) -> Option<Account> {
        let ts_ns = self.numbered("ts_ns", int)?;
        self.rest = self.rest.strip_prefix(",\"balances\":[")?;
        let mut balances = Vec::new();
        while !self.rest.starts_with(']') {
            if !balances.is_empty() {
                self.rest = self.rest.strip_prefix(',')?;
            }
            self.rest = self.rest.strip_prefix("{\"asset\":")?;
            let asset = asset(self.string()?)?;
            let free = self.numbered("free", money)?;
            let locked = self.numbered("locked", money)?;
            self.rest = self.rest.strip_prefix('}')?;
            balances.push(Balance { asset, free, locked });
        }
        self.rest = self.rest.strip_prefix(']')?;
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

fn int<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text == "-0" { None } else { text.parse().ok() }
}

fn price(text: &str) -> Option<Price> {
    Price::parse(text).ok()
}

fn qty(text: &str) -> Option<Qty> {
    Qty::parse(text).ok()
}

fn money(text: &str) -> Option<Money> {
    Money::parse(text).ok()
}

fn symbol(text: &str) -> Option<Symbol> {
    Symbol::parse(text).ok()
}

fn asset(text: &str) -> Option<Asset> {
    Asset::parse(text).ok()
}

fn order_id(text: &str) -> Option<ClientOrderId> {
    ClientOrderId::parse(text).ok()
}

fn venue_order_id(text: &str) -> Option<VenueOrderId> {
    VenueOrderId::parse(text).ok()
}

fn side(text: &str) -> Option<Side> {
    exact(Side::ALL, |side| side.as_str(), text)
}

fn status(text: &str) -> Option<OrderStatus> {
    exact(OrderStatus::ALL, |status| status.as_str(), text)
}

fn text(text: &str) -> Option<Text> {
    Some(text.to_owned().into())
}

/// The value of exactly that name.
fn exact<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|&value| name(value) == text)
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
