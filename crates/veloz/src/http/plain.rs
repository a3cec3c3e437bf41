//! Takes the plainest of JSON objects apart, at less than a general parser's cost.
//!
//! Contract: what is taken here, the general parser takes too, with the same fields. Whatever is not plain
//! (an escape, an exponent, a value within a value, anything wrong) is left to that one, and its words.

/// Gives the fields of a plain object, `most` of them at most, to `take`: name and text of each, a string's with its
/// quotes, as they stand. `None` leaves the text to the general parser, and whatever was taken is void.
pub(super) fn fields<'a>(
    text: &'a str,
    most: usize,
    mut take: impl FnMut(&'a str, &'a str),
) -> Option<()> {
    let mut rest = Rest { text, at: 0 };
    let mut taken = 0;
    rest.token(b'{')?;
    if rest.token(b'}').is_none() {
        loop {
            rest.skip_space();
            let name = rest.string()?;
            rest.token(b':')?;
            rest.skip_space();
            if taken == most {
                return None;
            }
            taken += 1;
            take(name.get(1..name.len() - 1)?, rest.value()?);
            if rest.token(b'}').is_some() {
                break;
            }
            rest.token(b',')?;
        }
    }
    rest.skip_space();
    (rest.at == text.len()).then_some(())
}

/// A text, and how far it is read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// That byte, behind any space.
    fn token(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.next() == Some(byte)).then(|| self.at += 1)
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let taken = self.text.get(self.at..self.at.checked_add(bytes)?)?;
        self.at += bytes;
        Some(taken)
    }

    fn value(&mut self) -> Option<&'a str> {
        match self.next()? {
            b'"' => self.string(),
            b't' | b'n' => self.word(4),
            b'f' => self.word(5),
            _ => self.number(),
        }
    }

    /// With its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let (b'"', bytes) = self.text.as_bytes().get(self.at..)?.split_first()? else {
            return None;
        };
        let end = bytes.iter().position(|&byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
        (bytes.get(end) == Some(&b'"')).then(|| self.take(end + 2)).flatten()
    }

    fn word(&mut self, bytes: usize) -> Option<&'a str> {
        self.take(bytes).filter(|word| matches!(*word, "true" | "false" | "null"))
    }

    /// `-?digits[.digits]`, without a zero before other digits.
    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.next() == Some(b'-') {
            self.at += 1;
        }
        let leads_with_zero = self.next() == Some(b'0');
        let whole = self.digits()?;
        if leads_with_zero && whole > 1 {
            return None;
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        self.text.get(start..self.at)
    }

    /// How many there are: one at least.
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(self.at - start)
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
        let mut found = Vec::new();
        if fields(text, MOST, |name, raw| found.push((name, raw))).is_none() {
            return false;
        }
        let general: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect(text);
        let general: Vec<_> =
            general.iter().map(|(name, raw)| (name.as_str(), raw.get())).collect();
        // Of a name that is given twice the general map keeps the last.
        let found: BTreeMap<_, _> = found.into_iter().collect();
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
