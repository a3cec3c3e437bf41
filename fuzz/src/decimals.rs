//! Numbers: what is read prints as what it reads from, and no float takes part.

use veloz_core::types::{Money, Price, Qty};

macro_rules! holds {
    ($type:ty, $text:expr) => {
        let text: &str = $text;
        let parsed = <$type>::parse(text);
        if let Ok(value) = parsed {
            let printed = value.to_string();
            assert_eq!(<$type>::parse(&printed), Ok(value), "{text:?} prints as {printed:?}");
            let json = serde_json::to_string(&value).expect("a number is JSON");
            assert_eq!(json, printed);
            assert_eq!(serde_json::from_str::<$type>(&json).expect("reads back"), value);
        }
        if let Ok(value) = serde_json::from_str::<$type>(text) {
            let bare = text.trim_matches([' ', '\t', '\n', '\r']);
            let bare = bare.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(bare);
            // Escapes in a string of digits are nobody's business but the reader's.
            if !bare.contains('\\') {
                assert_eq!(<$type>::parse(bare), Ok(value), "{text:?} in JSON");
            }
        }
    };
}

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    holds!(Price, text);
    holds!(Qty, text);
    holds!(Money, text);
}
