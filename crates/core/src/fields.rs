//! Reads an object in exactly the form in which it is written: what a replay reads is nothing else.
//!
//! Contract: what is read here is what the general reader gives, several times as fast. Any other form, valid or
//! not, is none of this module's: it gives nothing, and the general reader has the word.

use crate::order::{OrderStatus, OrderType, TimeInForce};
use crate::types::{Asset, ClientOrderId, Money, Price, Qty, Side, Symbol, Text, VenueOrderId};

/// What is not read yet: each field with the comma before it.
pub(crate) struct Fields<'a> {
    pub(crate) rest: &'a str,
}

impl<'a> Fields<'a> {
    /// Goes past a key. False when another one comes, or none.
    #[inline(always)]
    pub(crate) fn key(&mut self, key: &str) -> bool {
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
    pub(crate) fn number(&mut self) -> Option<&'a str> {
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
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        let text = self.rest.strip_prefix('"')?;
        let end = text.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (text, rest) = text.split_at_checked(end)?;
        self.rest = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A field that has to be there; its value by `parse`.
    #[inline(always)]
    pub(crate) fn numbered<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.key(key) { parse(self.number()?) } else { None }
    }

    #[inline(always)]
    pub(crate) fn named<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.key(key) { parse(self.string()?) } else { None }
    }

    /// A field that may be left out.
    #[inline(always)]
    pub(crate) fn opt_numbered<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.key(key) { parse(self.number()?).map(Some) } else { Some(None) }
    }

    #[inline(always)]
    pub(crate) fn opt_named<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.key(key) { parse(self.string()?).map(Some) } else { Some(None) }
    }

    /// `true` or `false`, if it is there.
    pub(crate) fn opt_flag(&mut self, key: &str) -> Option<Option<bool>> {
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
}

pub(crate) fn int<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text == "-0" { None } else { text.parse().ok() }
}

pub(crate) fn price(text: &str) -> Option<Price> {
    Price::parse(text).ok()
}

pub(crate) fn qty(text: &str) -> Option<Qty> {
    Qty::parse(text).ok()
}

pub(crate) fn money(text: &str) -> Option<Money> {
    Money::parse(text).ok()
}

pub(crate) fn symbol(text: &str) -> Option<Symbol> {
    Symbol::parse(text).ok()
}

pub(crate) fn asset(text: &str) -> Option<Asset> {
    Asset::parse(text).ok()
}

pub(crate) fn order_id(text: &str) -> Option<ClientOrderId> {
    ClientOrderId::parse(text).ok()
}

pub(crate) fn venue_order_id(text: &str) -> Option<VenueOrderId> {
    VenueOrderId::parse(text).ok()
}

pub(crate) fn side(text: &str) -> Option<Side> {
    exact(Side::ALL, |side| side.as_str(), text)
}

pub(crate) fn status(text: &str) -> Option<OrderStatus> {
    exact(OrderStatus::ALL, |status| status.as_str(), text)
}

pub(crate) fn order_type(text: &str) -> Option<OrderType> {
    exact(OrderType::ALL, |order_type| order_type.as_str(), text)
}

pub(crate) fn time_in_force(text: &str) -> Option<TimeInForce> {
    exact(TimeInForce::ALL, |time_in_force| time_in_force.as_str(), text)
}

pub(crate) fn text(text: &str) -> Option<Text> {
    Some(text.to_owned().into())
}

/// The value of exactly that name.
pub(crate) fn exact<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|&value| name(value) == text)
}
