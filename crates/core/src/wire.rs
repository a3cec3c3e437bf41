//! Macros for what goes over the wire: closed sets of names, and the keys of objects.

/// A closed set of names.
pub(crate) trait Named: Copy + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The name on the wire.
    fn as_str(self) -> &'static str;
}

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $vdoc:literal])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[doc = $vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of the documents.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The same as bytes.
            pub const fn as_bytes(self) -> &'static [u8] {
                self.as_str().as_bytes()
            }

            /// What it means, as the documents have it.
            pub const fn about(self) -> &'static str {
                match self { $($name::$variant => concat!($($vdoc),*)),+ }
            }

            /// Reads a name in any case.
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|v| v.as_str().eq_ignore_ascii_case(text))
            }
        }

        impl $crate::wire::Named for $name {
            const ALL: &'static [$name] = $name::ALL;

            fn as_str(self) -> &'static str {
                $name::as_str(self)
            }
        }
    };
}

pub(crate) use wire_enum;

/// A key of an object that is not its first, and all around it: copied as one constant.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// `,"key":`
    pub(crate) plain: &'static str,
    /// `,"key":"`
    pub(crate) of_text: &'static str,
}

macro_rules! key {
    ($key:literal) => {
        $crate::wire::Key {
            plain: concat!(",\"", $key, "\":"),
            of_text: concat!(",\"", $key, "\":\""),
        }
    };
}
pub(crate) use key;
