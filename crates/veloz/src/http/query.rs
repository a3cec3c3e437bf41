//! Query strings: percent-decoded pairs, each name at most once.

use std::borrow::Cow;
use std::str::FromStr;

use http::Uri;

use super::body::refused;
use super::error::ApiError;

/// The parameters of a request. Unknown ones are ignored: proxies and caches add their own.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// The parameters in `uri`.
    pub(super) fn of(uri: &'a Uri) -> Query<'a> {
        let query = uri.query().unwrap_or_default();
        Query { pairs: form_urlencoded::parse(query.as_bytes()).collect() }
    }

    /// The value of `name`, refused when it is given twice.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        let first = values.next();
        if values.next().is_some() {
            return Err(ApiError::bad_params(format!("{name}: given twice")));
        }
        Ok(first.map(|(_, value)| value.as_ref()))
    }

    /// The value of `name`, read by `parse`, whose refusal is the rule for the message.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        parse(text).map(Some).map_err(|rule| refused(name, &format!("{text:?}"), &rule))
    }

    /// A whole number in `min..=max`.
    pub(super) fn number<T>(&self, name: &str, default: T, min: T, max: T) -> Result<T, ApiError>
    where
        T: FromStr + PartialOrd + Copy + std::fmt::Display,
    {
        let number = self.parsed(name, |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            match text.parse() {
                Ok(number) if digits && number >= min && number <= max => Ok(number),
                _ => Err(format!("must be a whole number from {min} to {max}")),
            }
        })?;
        Ok(number.unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<u64, &str>) {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        match (Query::of(&uri).number("n", 7_u64, 1, 1000), expected) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{query}"),
            (Err(error), Err(wanted)) => {
                let text = String::from_utf8(error.body()).unwrap();
                assert!(text.contains(wanted), "{query}: {text}");
            }
            (got, wanted) => panic!("{query}: {got:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn numbers_are_strict() {
        check("", Ok(7));
        check("m=3", Ok(7));
        check("n=1000", Ok(1000));
        check("n=%31%30", Ok(10));
        check("n=", Err("from 1 to 1000"));
        check("n=0", Err("from 1 to 1000"));
        check("n=1001", Err("from 1 to 1000"));
        check("n=-1", Err("from 1 to 1000"));
        check("n=%2B1", Err("from 1 to 1000"));
        check("n=1e2", Err("from 1 to 1000"));
        check("n=99999999999999999999", Err("from 1 to 1000"));
        check("n=1&n=1", Err("n: given twice"));
    }
}
