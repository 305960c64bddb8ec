//! The time that a request names for its actions.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use crate::{InvalidId, serde_text::serde_as_text};

/// When an action is to be carried out: a `date-time` of RFC 3339, section 5.6, with its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendAt(pub Timestamp);

serde_as_text!(SendAt);

impl FromStr for SendAt {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const SAYS: InvalidId = InvalidId("must be a time with its offset, such as 2026-12-01T09:00:00+01:00");
        // The parser of the library takes more than RFC 3339.
        let shape = text.as_bytes().iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte });
        let shape: Vec<u8> = shape.collect();
        let is_time =
            shape.get(..19).is_some_and(|time| matches!(time, b"0000-00-00T00:00:00" | b"0000-00-00t00:00:00"));
        let rest = shape.get(19..).unwrap_or_default();
        let digits = rest.strip_prefix(b".").map_or(0, |fraction| fraction.iter().take_while(|b| **b == b'0').count());
        let offset = if digits > 0 { &rest[digits + 1..] } else { rest };
        let is_offset = match offset {
            b"Z" | b"z" => true,
            b"+00:00" | b"-00:00" => text.get(text.len() - 5..).is_some_and(|offset| offset < "24"),
            _ => false,
        };
        // A leap second is as good as the second before.
        let parsed = text.parse().ok().filter(|_| is_time && is_offset && digits <= 9);
        parsed.map(Self).ok_or(SAYS)
    }
}

impl fmt::Display for SendAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_syntax_of_rfc_3339_and_an_offset() {
        for (text, second) in [
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
            ("2026-12-01t09:00:00z", "2026-12-01T09:00:00Z"),
            ("2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00Z"),
            ("2026-12-01T09:00:00-00:00", "2026-12-01T09:00:00Z"),
            ("2026-12-01T09:00:00-09:30", "2026-12-01T18:30:00Z"),
            ("2026-12-01T09:00:00.5+14:00", "2026-11-30T19:00:00.5Z"),
            ("2026-12-01T09:00:00.123456789Z", "2026-12-01T09:00:00.123456789Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            let time = text.parse::<SendAt>().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(time.0, second.parse::<Timestamp>().unwrap(), "{text}");
            assert_eq!(time.to_string().parse::<SendAt>(), Ok(time), "{text}");
        }
        for text in [
            "",
            "now",
            "tomorrow at 9",
            "2026-12-01",
            "2026-12-01T09:00:00",
            "2026-12-01T09:00Z",
            "2026-12-01 09:00:00Z",
            "2026-12-01T09:00:00 Z",
            " 2026-12-01T09:00:00Z",
            "2026-12-01T09:00:00Z ",
            "2026-12-01T09:00:00.Z",
            "2026-12-01T09:00:00,5Z",
            "2026-12-01T09:00:00.1234567890Z",
            "2026-12-01T09:00:00+01",
            "2026-12-01T09:00:00+0100",
            "2026-12-01T09:00:00+01:00[Europe/Berlin]",
            "2026-12-01T09:00:00Z[Europe/Berlin]",
            "2026-12-01T09:00:00+25:00",
            "2026-12-01T24:00:00Z",
            "2026-12-01T09:60:00Z",
            "2026-12-01T09:00:61Z",
            "2026-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "20261201T090000Z",
            "2026-W49-2T09:00:00Z",
            "+002026-12-01T09:00:00Z",
            "26-12-01T09:00:00Z",
            "1796115600",
            "２０２６-12-01T09:00:00Z",
            "2026‑12‑01T09:00:00Z",
        ] {
            assert!(text.parse::<SendAt>().is_err(), "{text}");
        }
    }
}
