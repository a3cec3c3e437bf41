//! The values that cannot be wrong: decimals, names and ids, parsed at the edge.
//!
//! Contract: a number that is not exactly representable is refused, never rounded; a printed number
//! parses back to the same value. The only rounding in the system is [`AvgPrice::of`] (half to even)
//! and [`Money::fee`] (up, at the asset's last decimal).
//!
//! Limits: prices and quantities have 8 decimals and are below 92,233,720,368.54775808 (as on
//! Binance); money has 16 decimals, so that a price times a quantity is always exact.

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub use venue_order_id::VenueOrderId;

use crate::digits::write_decimal;
use crate::wire::wire_enum;

/// Text that is usually a constant of the program (a reason code) but may come from a venue.
pub type Text = Cow<'static, str>;

/// Nanoseconds since the Unix epoch.
pub type TsNs = i64;

/// The number of an event in the log; the first is 1.
pub type EventId = u64;

/// Why a text is not a decimal that this system can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not `-?digits[.digits][e[+-]digits]`.
    #[error("is not a decimal number")]
    Syntax,
    /// More digits after the point than the type holds.
    #[error("has more than {0} decimals")]
    Precision(u32),
    /// Too large, or an exponent out of range.
    #[error("is out of range")]
    Range,
}

/// Parses a JSON number or a plain decimal into `mantissa * 10^-scale`, exactly.
pub fn parse_decimal(text: &str, scale: u32) -> Result<i128, DecimalError> {
    let bytes = text.as_bytes();
    if let Some(mantissa) = parse_short(bytes, scale) {
        return Ok(mantissa);
    }
    let (negative, mut rest) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    let mut mantissa: i128 = 0;
    let mut decimals: i64 = 0;
    let mut digits = 0_usize;
    let mut seen_point = false;
    while let Some((&b, tail)) = rest.split_first() {
        match b {
            b'0'..=b'9' => {
                mantissa = mantissa
                    .checked_mul(10)
                    .and_then(|m| m.checked_add(i128::from(b - b'0')))
                    .ok_or(DecimalError::Range)?;
                digits += 1;
                decimals += i64::from(seen_point);
            }
            b'.' if !seen_point && digits > 0 && tail.first().is_some_and(u8::is_ascii_digit) => {
                seen_point = true;
            }
            b'e' | b'E' if digits > 0 => {
                let exponent = std::str::from_utf8(tail).map_err(|_| DecimalError::Syntax)?;
                let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(DecimalError::Syntax);
                }
                let exponent: i64 = exponent.parse().map_err(|_| DecimalError::Range)?;
                decimals = decimals.checked_sub(exponent).ok_or(DecimalError::Range)?;
                break;
            }
            _ => return Err(DecimalError::Syntax),
        }
        rest = tail;
    }
    if digits == 0 {
        return Err(DecimalError::Syntax);
    }
    let mantissa = rescale(mantissa, decimals, scale)?;
    Ok(if negative { -mantissa } else { mantissa })
}

/// The same of `digits[.digits]` with at most 18 digits and no more decimals than `scale`: nearly every number,
/// and no step of it takes 128 bits.
fn parse_short(bytes: &[u8], scale: u32) -> Option<i128> {
    const DIGITS: usize = 18;
    let point = bytes.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = bytes.split_at_checked(point.unwrap_or(bytes.len()))?;
    let fraction = fraction.get(1..).unwrap_or_default();
    let is_long = whole.len() + fraction.len() > DIGITS;
    if is_long || whole.is_empty() || (point.is_some() && fraction.is_empty()) {
        return None;
    }
    let missing = scale.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let mut mantissa = 0_u64;
    for &byte in whole.iter().chain(fraction) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        mantissa = mantissa * 10 + u64::from(digit);
    }
    i128::from(mantissa).checked_mul(i128::from(10_u64.checked_pow(missing)?))
}

/// Brings a non-negative mantissa from `decimals` (which may be negative) to `scale`, exactly.
fn rescale(mut mantissa: i128, decimals: i64, scale: u32) -> Result<i128, DecimalError> {
    if mantissa == 0 {
        return Ok(0);
    }
    let mut missing = i64::from(scale).checked_sub(decimals).ok_or(DecimalError::Range)?;
    while missing < 0 {
        if mantissa % 10 != 0 {
            return Err(DecimalError::Precision(scale));
        }
        mantissa /= 10;
        missing += 1;
    }
    while missing > 0 {
        mantissa = mantissa.checked_mul(10).ok_or(DecimalError::Range)?;
        missing -= 1;
    }
    Ok(mantissa)
}

/// Deserializes a number, or a string of digits, from its text: it never passes through a float.
fn deserialize_decimal<'de, D: Deserializer<'de>>(de: D, scale: u32) -> Result<i128, D::Error> {
    let raw = <&RawValue>::deserialize(de)?.get();
    let text = raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(raw);
    parse_decimal(text, scale).map_err(|e| D::Error::custom(format_args!("{raw} {e}")))
}

fn serialize_decimal<S: Serializer, const SCALE: u32>(
    ser: S,
    mantissa: i128,
) -> Result<S::Ok, S::Error> {
    use serde::ser::Error as _;
    let mut out = Vec::with_capacity(24);
    write_decimal::<SCALE>(&mut out, mantissa);
    serde_json::from_slice::<&RawValue>(&out).map_err(S::Error::custom)?.serialize(ser)
}

macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident($repr:ty), scale $scale:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($repr);

        impl $name {
            /// Digits after the point.
            pub const SCALE: u32 = $scale;
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(<$repr>::MAX);

            /// From a count of the smallest unit, `10^-SCALE`.
            pub const fn from_raw(raw: $repr) -> Self {
                Self(raw)
            }

            /// The count of the smallest unit.
            pub const fn raw(self) -> $repr {
                self.0
            }

            /// Parses a decimal exactly.
            ///
            /// # Errors
            /// When the text is no decimal, has too many decimals, or is out of range.
            pub fn parse(text: &str) -> Result<Self, DecimalError> {
                let mantissa = parse_decimal(text, Self::SCALE)?;
                <$repr>::try_from(mantissa).map(Self).map_err(|_| DecimalError::Range)
            }

            /// Appends the shortest form with at least one digit after the point.
            pub fn write(self, out: &mut Vec<u8>) {
                write_decimal::<{ $scale }>(out, i128::from(self.0));
            }

            /// Whether this is nothing.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// `self + other`, or `None` past the range.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// `self - other`, or `None` past the range (below zero is in it).
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// `self + other`, held at the end of the range.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// `self - other`, held at the end of the range.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = Vec::with_capacity(24);
                self.write(&mut out);
                f.pad(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = DecimalError;

            fn from_str(text: &str) -> Result<Self, DecimalError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
                serialize_decimal::<S, { $scale }>(ser, i128::from(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                let mantissa = deserialize_decimal(de, Self::SCALE)?;
                <$repr>::try_from(mantissa).map(Self).map_err(|_| D::Error::custom("is out of range"))
            }
        }
    };
}

decimal! {
    /// A price: quote asset per one base asset, in units of `10^-8`.
    Price(i64), scale 8
}
decimal! {
    /// A quantity of the base asset, in units of `10^-8`.
    Qty(i64), scale 8
}
decimal! {
    /// An amount of any asset, in units of `10^-16`: balances, notionals, fees.
    Money(i128), scale 16
}
decimal! {
    /// The average price of an order's fills, rounded half to even to 12 decimals.
    AvgPrice(i128), scale 12
}

impl Money {
    const PER_QTY: i128 = 10_i128.pow(Money::SCALE - Qty::SCALE);

    /// `price * qty`, exact for every price and quantity.
    pub fn notional(price: Price, qty: Qty) -> Money {
        Money(i128::from(price.0) * i128::from(qty.0))
    }

    /// What `amount` of an asset is worth at `price`, rounded down at the last decimal: exact for amounts
    /// of no more than 8 decimals. Held at the end of the range.
    #[must_use]
    pub fn valued(amount: Money, price: Price) -> Money {
        let (price, unit) = (i128::from(price.0), Money::PER_QTY);
        // The whole part and the rest apart, so that no amount there is overflows.
        let whole = (amount.0 / unit).saturating_mul(price);
        Money(whole.saturating_add(amount.0 % unit * price / unit))
    }

    /// The fee on `amount` at `rate` (a fraction: 0.001 is ten basis points), rounded up at
    /// `decimals` digits, the last the asset has. `None` past the range.
    pub fn fee(amount: Money, rate: Qty, decimals: u32) -> Option<Money> {
        let unit = 10_i128.pow(Money::SCALE.saturating_sub(decimals.min(Money::SCALE)));
        let divisor = 10_i128.pow(Qty::SCALE);
        let rate = i128::from(rate.0);
        // The whole part and the rest apart, so that no amount there is overflows.
        let whole = (amount.0 / divisor).checked_mul(rate)?;
        let part = amount.0 % divisor * rate;
        let fee = whole.checked_add(part / divisor + i128::from(part % divisor > 0))?;
        let rest = fee % unit;
        if rest > 0 { fee.checked_add(unit - rest).map(Money) } else { Some(Money(fee)) }
    }
}

impl Qty {
    /// What `budget` buys at `price`, rounded down; nothing at no price.
    pub fn affordable(budget: Money, price: Price) -> Qty {
        Qty::held(budget.0.checked_div(i128::from(price.0)).unwrap_or_default())
    }

    /// An amount of the base asset as a quantity, rounded down.
    pub fn of(amount: Money) -> Qty {
        Qty::held(amount.0 / Money::PER_QTY)
    }

    /// The largest multiple of `lot` that is in it.
    #[must_use]
    pub fn floor_to(self, lot: Qty) -> Qty {
        Qty(self.0.saturating_sub(self.0.checked_rem(lot.0).unwrap_or_default()))
    }

    /// Within the range: no less than nothing.
    fn held(raw: i128) -> Qty {
        i64::try_from(raw.max(0)).map_or(Qty::MAX, Qty)
    }
}

impl From<Qty> for Money {
    fn from(qty: Qty) -> Money {
        Money(i128::from(qty.0) * Money::PER_QTY)
    }
}

impl AvgPrice {
    /// `cum_quote / executed`, half to even; zero without fills. `None` past the range.
    pub fn of(cum_quote: Money, executed: Qty) -> Option<AvgPrice> {
        if executed.0 == 0 {
            return Some(AvgPrice::ZERO);
        }
        // Units: 10^-16 / 10^-8 = 10^-8, so 10^4 more gives 10^-12: the whole part and the rest apart,
        // so that no price and quantity there is overflows.
        let divisor = i128::from(executed.0);
        let whole = (cum_quote.0 / divisor).checked_mul(10_000)?;
        let part = (cum_quote.0 % divisor).checked_mul(10_000)?;
        let quotient = whole.checked_add(part / divisor)?;
        let rest = part % divisor;
        let up = match (rest * 2).cmp(&divisor) {
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Equal => quotient & 1,
            std::cmp::Ordering::Less => 0,
        };
        Some(AvgPrice(quotient + up))
    }
}

impl AvgPrice {
    /// The amount that `executed` at this average came to, as near as the average tells: half to even.
    /// `None` past the range.
    pub fn times(self, executed: Qty) -> Option<Money> {
        // Units: 10^-12 * 10^-8 = 10^-20, so 10^4 less gives 10^-16.
        let product = self.0.checked_mul(i128::from(executed.0))?;
        let (whole, rest) = (product.div_euclid(10_000), product.rem_euclid(10_000));
        let up = rest > 5_000 || (rest == 5_000 && whole & 1 == 1);
        Some(Money(whole + i128::from(up)))
    }
}

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {max} {allowed}")]
pub struct NameError {
    /// The longest allowed, in bytes.
    pub max: usize,
    /// What it may be made of, for a person.
    pub allowed: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $vis:vis $name:ident, max $max:expr, $allowed:expr, $check:expr) => {
        $(#[$doc])*
        // Aligned, so that it is copied in parts that do not overlap: a part that was written as two, and is read at
        // once, has a processor wait.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(align(8))]
        $vis struct $name {
            bytes: [u8; $max],
            len: u8,
        }

        impl $name {
            /// The longest, in bytes.
            $vis const MAX_BYTES: usize = $max;

            /// Checks and copies a name.
            ///
            /// # Errors
            /// When it is empty, too long, or has a character that is not allowed.
            $vis fn parse(text: &str) -> Result<Self, NameError> {
                let error = NameError { max: $max, allowed: $allowed };
                let check: fn(char) -> bool = $check;
                let mut bytes = [0; $max];
                if text.is_empty() || !text.chars().all(check) {
                    return Err(error);
                }
                bytes.get_mut(..text.len()).ok_or(error)?.copy_from_slice(text.as_bytes());
                Ok(Self { bytes, len: u8::try_from(text.len()).map_err(|_| error)? })
            }

            /// The name as text.
            $vis fn as_str(&self) -> &str {
                // `parse` copied these bytes whole from a `str`; the default is never reached.
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }

            /// The name as UTF-8: cheaper than the text, which is looked at again.
            $vis fn as_bytes(&self) -> &[u8] {
                self.bytes.get(..usize::from(self.len)).unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
                ser.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                struct NameVisitor;

                impl serde::de::Visitor<'_> for NameVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "1 to {} {}", $max, $allowed)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }

                de.deserialize_str(NameVisitor)
            }
        }
    };
}

name! {
    /// An instrument's name, `BTCUSDT`. Upper case; letters beyond ASCII are allowed (Binance has such).
    pub Symbol, max 32, "letters (upper case) and digits", |c| c.is_alphanumeric() && !c.is_lowercase()
}
name! {
    /// An asset's name, `BTC`.
    pub Asset, max 24, "letters (upper case) and digits", |c| c.is_alphanumeric() && !c.is_lowercase()
}
name! {
    /// The client's own name for an order: 1 to 36 of `A-Z a-z 0-9 - _` (Binance's rule).
    pub ClientOrderId, max 36, "of A-Z a-z 0-9 - _", |c| c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl ClientOrderId {
    /// Whether it is that one: in a few instructions, where `==` calls a function for texts of any length.
    #[inline]
    pub(crate) fn is(&self, other: &ClientOrderId) -> bool {
        let ((one, one_end), (two, two_end)) = (self.bytes.as_chunks(), other.bytes.as_chunks());
        let differ = one.iter().zip(two).fold(0, |differ, (one, two)| {
            differ | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*two))
        });
        differ == 0 && one_end == two_end && self.len == other.len
    }

    /// The name, and zeros behind it.
    pub(crate) const fn padded(&self) -> &[u8; 36] {
        &self.bytes
    }

    /// The same without what aligns it, for what there are many of.
    pub(crate) const fn dense(&self) -> DenseId {
        DenseId { bytes: self.bytes, len: self.len }
    }
}

/// A [`ClientOrderId`] in no more room than it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DenseId {
    bytes: [u8; 36],
    len: u8,
}

impl DenseId {
    /// The name of no order.
    pub(crate) const NONE: DenseId = DenseId { bytes: [0; 36], len: 0 };

    /// Whether it is that.
    pub(crate) const fn is_none(&self) -> bool {
        self.len == 0
    }

    /// The name.
    #[inline]
    pub(crate) const fn id(&self) -> ClientOrderId {
        ClientOrderId { bytes: self.bytes, len: self.len }
    }
}

// Below the macro, which it uses.
mod venue_order_id;

wire_enum! {
    /// Which way an order goes.
    Side {
        /// Takes base, pays quote.
        Buy = "BUY",
        /// Gives base, receives quote.
        Sell = "SELL",
    }
}

impl Side {
    /// The other one.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}
