//! The venue's name for an order.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::NameError;
use crate::digits::write_number;
use crate::event::write_json_string;

name! {
    /// What a venue may call an order.
    pub(super) Name, max 36, "visible ASCII characters", |c| c.is_ascii_graphic()
}

/// The venue's name for an order: 1 to 36 visible ASCII characters. Nearly always they are a number's
/// digits, and then it is kept as that number: it becomes text when it is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VenueOrderId(Kept);

/// What is written as a number is one is never kept as a text, so that equal names are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kept {
    Number(u64),
    Text(Name),
}

impl VenueOrderId {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = Name::MAX_BYTES;

    /// Checks and copies a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that is not allowed.
    pub fn parse(text: &str) -> Result<VenueOrderId, NameError> {
        let name = Name::parse(text)?;
        Ok(VenueOrderId(number_of(text).map_or(Kept::Text(name), Kept::Number)))
    }

    /// A number as a name.
    pub(crate) const fn of_number(number: u64) -> VenueOrderId {
        VenueOrderId(Kept::Number(number))
    }

    /// The number that it is the name of, written as a number is.
    pub(crate) const fn number(&self) -> Option<u64> {
        match self.0 {
            Kept::Number(number) => Some(number),
            Kept::Text(_) => None,
        }
    }

    /// Appends the name as a JSON string.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Kept::Number(number) => {
                out.push(b'"');
                write_number(out, *number);
                out.push(b'"');
            }
            Kept::Text(name) => write_json_string(out, name.as_str()),
        }
    }

    /// Lends the name as text.
    pub fn with_str<T>(&self, f: impl FnOnce(&str) -> T) -> T {
        match &self.0 {
            Kept::Number(number) => f(itoa::Buffer::new().format(*number)),
            Kept::Text(name) => f(name.as_str()),
        }
    }
}

/// The number that is written so: no sign, no zero before it.
fn number_of(text: &str) -> Option<u64> {
    let number = text.parse().ok()?;
    (itoa::Buffer::new().format(number) == text).then_some(number)
}

impl fmt::Display for VenueOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.pad(text))
    }
}

impl fmt::Debug for VenueOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| fmt::Debug::fmt(text, f))
    }
}

impl std::str::FromStr for VenueOrderId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<VenueOrderId, NameError> {
        VenueOrderId::parse(text)
    }
}

impl Serialize for VenueOrderId {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        self.with_str(|text| ser.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for VenueOrderId {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<VenueOrderId, D::Error> {
        let name = Name::deserialize(de)?;
        VenueOrderId::parse(name.as_str()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_text_again_however_it_is_kept() {
        let most = u64::MAX.to_string();
        for text in ["0", "7", &most, "007", "+7", "18446744073709551616", "x-7", "7x"] {
            let id = VenueOrderId::parse(text).unwrap();
            assert_eq!(id.to_string(), text);
            let is_number = ["0", "7", &most].contains(&text);
            assert_eq!(id.number().is_some(), is_number, "{text}");
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<VenueOrderId>(&json).unwrap(), id);
        }
        assert_eq!(VenueOrderId::parse("42").unwrap(), VenueOrderId::of_number(42));
    }
}
