//! Reads an object in exactly the form in which it is written: what a replay reads is nothing else.
//!
//! Contract: what is read here is what the general reader gives, several times as fast. Any other form, valid or
//! not, is none of this module's: it gives nothing, and the general reader has the word.

use std::str::FromStr;

use crate::types::Text;
use crate::wire::Named;

/// What is not read yet: each field with the comma before it.
pub(crate) struct Fields<'a> {
    pub(crate) rest: &'a str,
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

    /// Goes past a text that has to be there.
    pub(crate) fn past(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
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
            if self.past(text).is_some() {
                return Some(Some(value));
            }
        }
        None
    }
}

/// A whole number: `-0`, which a decimal may be, is none.
pub(crate) fn int<T: FromStr>(text: &str) -> Option<T> {
    if text == "-0" { None } else { text.parse().ok() }
}

/// A decimal or a name, whose text says all of it.
pub(crate) fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// The value of exactly that name.
pub(crate) fn exact<T: Named>(text: &str) -> Option<T> {
    T::ALL.iter().copied().find(|value| value.as_str() == text)
}

pub(crate) fn text(text: &str) -> Option<Text> {
    Some(text.to_owned().into())
}
