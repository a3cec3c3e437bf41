//! Takes the plainest of JSON objects apart, at less than a general parser's cost.
//!
//! Contract: what is taken here, the general parser takes too, with the same fields. Whatever is not plain
//! (an escape, an exponent, a value within a value, anything wrong) is left to that one, and its words.

use std::borrow::Cow;

/// Name and text of each field, a string's with its quotes, as they stand.
pub(super) type RawFields<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// The fields of a plain object; `None` leaves the text to the general parser.
pub(super) fn fields(text: &str, most: usize) -> Option<RawFields<'_>> {
    let mut rest = Rest(text);
    let mut fields = Vec::with_capacity(8);
    rest.token(b'{')?;
    if rest.token(b'}').is_none() {
        loop {
            rest.skip_space();
            let name = rest.string()?;
            rest.token(b':')?;
            rest.skip_space();
            if fields.len() == most {
                return None;
            }
            fields.push((Cow::Borrowed(name.get(1..name.len() - 1)?), rest.value()?));
            if rest.token(b'}').is_some() {
                break;
            }
            rest.token(b',')?;
        }
    }
    rest.skip_space();
    rest.0.is_empty().then_some(fields)
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\n', '\r', '\t']);
    }

    /// That byte, behind any space.
    fn token(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.take((self.0.as_bytes().first() == Some(&byte)).then_some(1)?).map(drop)
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn value(&mut self) -> Option<&'a str> {
        match self.0.as_bytes().first()? {
            b'"' => self.string(),
            b't' | b'n' => self.word(4),
            b'f' => self.word(5),
            _ => self.number(),
        }
    }

    /// With its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let (b'"', bytes) = self.0.as_bytes().split_first()? else { return None };
        let end = bytes.iter().position(|&byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
        (bytes.get(end) == Some(&b'"')).then(|| self.take(end + 2)).flatten()
    }

    fn word(&mut self, bytes: usize) -> Option<&'a str> {
        self.take(bytes).filter(|word| matches!(*word, "true" | "false" | "null"))
    }

    fn number(&mut self) -> Option<&'a str> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let len = self.0.bytes().take_while(is_part).count();
        let number = self.take(len)?;
        let digits = number.strip_prefix('-').unwrap_or(number);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_plain = are_digits(whole) && are_digits(fraction);
        (is_plain && (whole == "0" || !whole.starts_with('0'))).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    const MOST: usize = 64;

    /// Whether it is plain; if so, the general parser must see the same.
    fn check(text: &str) -> bool {
        let Some(found) = fields(text, MOST) else { return false };
        let general: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect(text);
        let general: Vec<_> =
            general.iter().map(|(name, raw)| (name.as_str(), raw.get())).collect();
        // Of a name that is given twice the general map keeps the last.
        let found: BTreeMap<_, _> = found.iter().map(|(name, raw)| (&**name, *raw)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), general, "{text}");
        true
    }

    #[test]
    fn plain_objects_and_no_others() {
        for text in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            "{\n  \"a\": -0.50,\r\n\t\"b\" : \"x y\" , \"c\":true, \"d\":false,\"e\":null }\n",
            r#"{"ß":"ö","":""}"#,
        ] {
            assert!(check(text), "{text}");
        }
        for text in [
            "",
            "{",
            "}",
            "[]",
            "{}x",
            "{}{}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,}"#,
            r#"{"a":01}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":1e3}"#,
            r#"{"a":+1}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":{}}"#,
            r#"{"a":[1]}"#,
            r#"{"a":tru}"#,
            r#"{"a":nulL}"#,
            r#"{"a":truex}"#,
            r#"{"a":"b}"#,
            r#"{a:1}"#,
            "{\u{a0}}",
        ] {
            assert!(!check(text), "{text}");
        }
        let many = |count: usize| {
            let fields: Vec<_> = (0..count).map(|i| format!("\"{i}\":{i}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(check(&many(MOST)));
        assert!(!check(&many(MOST + 1)));
    }

    #[test]
    fn the_general_parser_agrees_on_random_texts() {
        let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7_u64);
        let mut random = fastrand::Rng::with_seed(seed);
        let whole = r#"{"side":"BUY", "qty":0.001,"price":-50000,"flag":true,"none":null}"#;
        let others: Vec<char> = r#"{}[]",:.-+eE0129 \u	tfn"#.chars().collect();
        let mut plain = 0;
        for _ in 0..20_000 {
            let mut text: Vec<char> = whole.chars().collect();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(..text.len());
                let other = others[random.usize(..others.len())];
                match random.u8(..3) {
                    0 => text[at] = other,
                    1 => text.insert(at, other),
                    _ => drop(text.remove(at)),
                }
            }
            let text: String = text.into_iter().collect();
            plain += u32::from(check(&text));
        }
        assert!((3_000..18_000).contains(&plain), "SEED={seed}: {plain} were plain");
    }
}
