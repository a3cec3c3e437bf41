//! Request bodies: read with a limit, then taken apart field by field.
//!
//! Contract: a body of at most [`HTTP_BODY_BYTES`] that is one JSON object with known fields, each once.
//! A number never passes through a float. Whatever is refused is named: field, value, rule.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::str::FromStr;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use veloz_core::input::AssetLimits;
use veloz_core::limits::{HTTP_BODY_BYTES, HTTP_BODY_DRAIN_BYTES};
use veloz_core::types::Asset;

use super::error::ApiError;
use super::plain;

/// How the reading of a body ended.
pub(super) struct BodyRead {
    /// The body, or what is wrong with it.
    pub(super) body: Result<Bytes, ApiError>,
    /// Whether all of it was taken from the socket, so that the connection can go on.
    pub(super) whole: bool,
}

/// Reads a request's body. One that is too long is read on for a while and thrown away: a client that
/// is still sending would otherwise see a reset instead of the answer.
pub(super) async fn read(body: Incoming, limit: Duration) -> BodyRead {
    if body.is_end_stream() {
        return BodyRead { body: Ok(Bytes::new()), whole: true };
    }
    let mut reading = std::pin::pin!(read_limited(body));
    // Most are there already: those need no clock.
    let first_try = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    if let Poll::Ready(read) = first_try {
        return read;
    }
    match tokio::time::timeout(limit, reading).await {
        Ok(read) => read,
        Err(_) => BodyRead {
            body: Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                format!("the body did not arrive within {limit:?}"),
            )),
            whole: false,
        },
    }
}

async fn read_limited(mut body: Incoming) -> BodyRead {
    // Most bodies come in one piece, which is taken as it is.
    let (mut first, mut bytes) = (Bytes::new(), BytesMut::new());
    let mut seen_bytes = 0_usize;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(frame) = frame else {
            let error = ApiError::bad_params("the body broke off");
            return BodyRead { body: Err(error), whole: false };
        };
        let Ok(data) = frame.into_data() else { continue };
        seen_bytes = seen_bytes.saturating_add(data.len());
        if seen_bytes == data.len() {
            first = data;
        } else if seen_bytes <= HTTP_BODY_BYTES {
            bytes.extend_from_slice(&std::mem::take(&mut first));
            bytes.extend_from_slice(&data);
        } else if seen_bytes > HTTP_BODY_DRAIN_BYTES {
            return BodyRead { body: Err(too_large()), whole: false };
        }
    }
    let body = match seen_bytes {
        seen_bytes if seen_bytes > HTTP_BODY_BYTES => Err(too_large()),
        _ if bytes.is_empty() => Ok(first),
        _ => Ok(bytes.freeze()),
    };
    BodyRead { body, whole: true }
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("a body may have {HTTP_BODY_BYTES} bytes at most"),
    )
}

/// No object has more fields; one of 64 KiB could have thousands.
const FIELDS_MAX: usize = 64;

/// A field of a body: its own text, if it is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'static str,
    raw: Option<&'a str>,
}

/// Takes a body apart: one JSON object that has the fields of `known`, in whose order they are given back, each once
/// at most, and no other.
pub(super) fn fields<'a, const N: usize>(
    body: &'a [u8],
    known: [&'static str; N],
) -> Result<[Field<'a>; N], ApiError> {
    let wrong = |error: &dyn fmt::Display| {
        let message = format!("the body is not one JSON object: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "bad_json", message)
    };
    // Looked at once, and not again for each field.
    let text = std::str::from_utf8(body).map_err(|error| wrong(&error))?;
    let mut found = Found::new(known);
    if plain::fields(text, FIELDS_MAX, |name, raw| found.take(name, raw)).is_none() {
        found = Found::new(known);
        let object: RawObject = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        object.0.iter().for_each(|(name, raw)| found.take(name, raw));
    }
    found.wrong.map_or(Ok(found.fields), Err)
}

/// The known fields, as far as they are found.
struct Found<'a, const N: usize> {
    fields: [Field<'a>; N],
    /// What is wrong with the first that may not be there. What is no object at all is told before that.
    wrong: Option<ApiError>,
}

impl<'a, const N: usize> Found<'a, N> {
    fn new(known: [&'static str; N]) -> Found<'a, N> {
        Found { fields: known.map(|name| Field { name, raw: None }), wrong: None }
    }

    fn take(&mut self, name: &str, raw: &'a str) {
        let Some(field) = self.fields.iter_mut().find(|field| field.name == name) else {
            if self.wrong.is_none() {
                let (name, known) = (shown(name), self.fields.map(|field| field.name).join(", "));
                let message = format!("{name}: unknown field, known are {known}");
                self.wrong = Some(ApiError::bad_params(message));
            }
            return;
        };
        if field.raw.replace(raw).is_some() && self.wrong.is_none() {
            self.wrong = Some(ApiError::bad_params(format!("{name}: given twice")));
        }
    }
}

impl Field<'_> {
    /// Whether it is given as `null`.
    fn is_null(&self) -> bool {
        self.raw == Some("null")
    }

    /// A JSON string read by `parse`, whose refusal is the rule for the message.
    pub(super) fn text<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ApiError> {
        let Field { name, raw: Some(raw) } = *self else { return Ok(None) };
        // Without an escape the text is what stands between the quotes.
        let plain = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = match plain.filter(|text| text.bytes().all(|byte| byte != b'\\')) {
            Some(plain) => Cow::Borrowed(plain),
            None => serde_json::from_str::<Cow<str>>(raw)
                .map_err(|_| refused(name, raw, "must be a string"))?,
        };
        parse(&text).map(Some).map_err(|rule| refused(name, raw, &rule))
    }

    /// A decimal, as a number or as a string of its digits.
    pub(super) fn decimal<T>(&self) -> Result<Option<T>, ApiError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.raw.map(|raw| decimal(self.name, raw)).transpose()
    }

    /// A whole number that is not negative.
    pub(super) fn count<T: FromStr>(&self) -> Result<Option<T>, ApiError> {
        let Field { name, raw: Some(raw) } = *self else { return Ok(None) };
        raw.parse().map(Some).map_err(|_| refused(name, raw, "must be a whole number in range"))
    }

    /// A decimal that `null` lifts.
    pub(super) fn limit<T>(&self) -> Result<Option<Option<T>>, ApiError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        if self.is_null() { Ok(Some(None)) } else { Ok(self.decimal()?.map(Some)) }
    }

    /// A whole number that `null` lifts.
    pub(super) fn count_limit<T: FromStr>(&self) -> Result<Option<Option<T>>, ApiError> {
        if self.is_null() { Ok(Some(None)) } else { Ok(self.count()?.map(Some)) }
    }

    /// Amounts by asset, of which `null` lifts one; `null` in their place lifts all.
    pub(super) fn asset_limits(&self) -> Result<Option<Option<AssetLimits>>, ApiError> {
        let Field { name, raw: Some(raw) } = *self else { return Ok(None) };
        if raw == "null" {
            return Ok(Some(None));
        }
        let wrong = |_| refused(name, raw, "must be an object such as {\"BTC\":\"1.5\"}, or null");
        let amounts: RawObject = serde_json::from_str(raw).map_err(wrong)?;
        let mut limits = AssetLimits::new();
        for (key, raw) in &amounts.0 {
            let asset = Asset::parse(key).map_err(|rule| refused(name, key, &rule.to_string()))?;
            let amount = match *raw {
                "null" => None,
                raw => Some(decimal(key, raw).map_err(|error| error.within(name))?),
            };
            if limits.insert(asset, amount).is_some() {
                return Err(refused(name, key, "is given twice"));
            }
        }
        Ok(Some(Some(limits)))
    }

    /// `true` or `false`; one that is not given is false.
    pub(super) fn flag(&self) -> Result<bool, ApiError> {
        match self.raw {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(raw) => Err(refused(self.name, raw, "must be true or false")),
        }
    }
}

/// A decimal, as a number or as a string of its digits.
fn decimal<T>(name: &str, raw: &str) -> Result<T, ApiError>
where
    T: FromStr<Err: fmt::Display>,
{
    let text = raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(raw);
    text.parse().map_err(|rule: T::Err| refused(name, raw, &rule.to_string()))
}

/// The 400 for one value: which field, what it was, what it has to be.
pub(super) fn refused(name: &str, raw: &str, rule: &str) -> ApiError {
    ApiError::bad_params(format!("{name}: {} {rule}", shown(raw)))
}

/// The 400 for a field that must be there.
pub(super) fn missing(name: &str) -> ApiError {
    ApiError::bad_params(format!("{name}: is required"))
}

/// A client's text for a message: not longer than a line.
fn shown(text: &str) -> Cow<'_, str> {
    const SHOWN_MAX_CHARS: usize = 64;
    match text.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// The fields of a JSON object, by name, each as its own text.
struct RawObject<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawObject<'a>, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, raw)) = map.next_entry::<_, &RawValue>()? {
            if fields.len() == FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            fields.push((name, raw.get()));
        }
        Ok(RawObject(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::types::Qty;

    fn check(body: &str, expected: Result<&str, &str>) {
        let known = ["qty", "side", "flag"];
        let result = fields(body.as_bytes(), known).and_then(|[qty, side, flag]| {
            let qty: Option<Qty> = qty.decimal()?;
            let side = side.text(|s| Ok(s.to_owned()))?;
            Ok(format!("{qty:?} {side:?} {}", flag.flag()?))
        });
        match (result, expected) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{body}"),
            (Err(error), Err(wanted)) => {
                let text = String::from_utf8(error.body()).unwrap();
                assert!(text.contains(wanted), "{body}: {text}");
            }
            (got, wanted) => panic!("{body}: {got:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn fields_are_strict() {
        check("{}", Ok("None None false"));
        check(r#"{"qty":1,"flag":true}"#, Ok("Some(1.0) None true"));
        check(r#"{"qty":"0.00100000"}"#, Ok("Some(0.001) None false"));
        check(r#"{"qty":1e-3}"#, Ok("Some(0.001) None false"));
        check(r#"{"qty":0.1234567890}"#, Err("qty: 0.1234567890 has more than 8 decimals"));
        check(r#"{"qty":1e400}"#, Err("qty: 1e400 is out of range"));
        check(r#"{"qty":1e99999999999999999999}"#, Err("is out of range"));
        check(r#"{"qty":NaN}"#, Err("bad_json"));
        check(r#"{"qty":Infinity}"#, Err("bad_json"));
        check(r#"{"qty":"NaN"}"#, Err(r#"qty: \"NaN\" is not a decimal number"#));
        check(r#"{"qty":"\u0031"}"#, Err("is not a decimal number"));
        check(r#"{"qty":" 1"}"#, Err("is not a decimal number"));
        check(r#"{"qty":null}"#, Err("qty: null is not a decimal number"));
        check(r#"{"qty":[1]}"#, Err("qty: [1] is not a decimal number"));
        check(r#"{"side":1}"#, Err("side: 1 must be a string"));
        check(r#"{"side":"\u0042U\"Y"}"#, Ok(r#"None Some("BU\"Y") false"#));
        check(r#"{"flag":"yes"}"#, Err(r#"flag: \"yes\" must be true or false"#));
        check(r#"{"qty":1,"qty":1}"#, Err("qty: given twice"));
        check(r#"{"qty":1,"qt\u0079":1}"#, Err("qty: given twice"));
        check(r#"{"quantity":1}"#, Err("quantity: unknown field"));
        let many: Vec<_> = (0..=FIELDS_MAX).map(|i| format!("\"{i}\":{i}")).collect();
        check(&format!("{{{}}}", many.join(",")), Err("bad_json"));
        check(r#"{"qty":1"#, Err("bad_json"));
        check(r#"{"qty":1}x"#, Err("bad_json"));
        check("[]", Err("bad_json"));
        check("", Err("bad_json"));
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let body = format!(r#"{{"side":{}}}"#, "9".repeat(60_000));
        let error = fields(body.as_bytes(), ["side"])
            .and_then(|[side]| side.text(|s| Ok(s.to_owned())))
            .expect_err("no string");
        assert!(error.body().len() < 200);
    }
}
