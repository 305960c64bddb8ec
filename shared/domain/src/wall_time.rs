//! Times as a clock on the wall shows them.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp, civil,
    tz::{AmbiguousOffset, TimeZone},
};

use crate::serde_text::serde_as_text;

/// A day and a time without an offset, such as `2026-12-01T10:00`, from 1970 to 2199. A time zone tells which moment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime(civil::DateTime);

/// The text is not a wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a day and a time without an offset, such as 2026-12-01T10:00")]
pub struct InvalidWallTime;

impl WallTime {
    /// The time that clocks in a zone show at a moment.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        Self(zone.to_datetime(at))
    }

    /// Its parts.
    pub const fn civil(self) -> civil::DateTime {
        self.0
    }

    /// This day at this hour and minute; none if there is no such time.
    pub fn on(day: civil::Date, hour: i8, minute: i8) -> Option<Self> {
        Some(Self(day.to_datetime(civil::Time::new(hour, minute, 0, 0).ok()?)))
    }

    /// The one moment of it in a zone; else why it is none, as the rest of a sentence about it.
    pub fn moment(self, zone: &TimeZone) -> Result<Timestamp, String> {
        let ambiguous = zone.to_ambiguous_timestamp(self.0);
        let (what, why) = match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => ("does not exist", "the clocks go forward over it"),
            AmbiguousOffset::Fold { .. } => ("exists twice", "the clocks go back over it"),
            AmbiguousOffset::Unambiguous { .. } => {
                return ambiguous.unambiguous().map_err(|_| "is out of range".to_owned());
            }
        };
        Err(format!("{what} in {}: {why}", zone.iana_name().unwrap_or("UTC")))
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.0.second() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
        self.0.strftime(format).fmt(f)
    }
}

serde_as_text!(WallTime);

impl FromStr for WallTime {
    type Err = InvalidWallTime;

    fn from_str(text: &str) -> Result<Self, InvalidWallTime> {
        let read = |format| civil::DateTime::strptime(format, text).ok().map(Self);
        // jiff takes more than this form, such as an hour of one digit.
        let is_whole = |time: &Self, seconds: &str| {
            time.to_string() == text.strip_suffix(seconds).unwrap_or(text) && (1970..2200).contains(&time.0.year())
        };
        let short = read("%Y-%m-%dT%H:%M").filter(|time| is_whole(time, ""));
        short.or_else(|| read("%Y-%m-%dT%H:%M:%S").filter(|time| is_whole(time, ":00"))).ok_or(InvalidWallTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_is_a_day_and_a_time_and_nothing_else() {
        for (text, canonical) in [
            ("2026-12-01T10:00", "2026-12-01T10:00"),
            ("2026-12-01T10:00:00", "2026-12-01T10:00"),
            ("2028-02-29T23:59:59", "2028-02-29T23:59:59"),
            ("1970-01-01T00:00", "1970-01-01T00:00"),
        ] {
            assert_eq!(text.parse::<WallTime>().unwrap().to_string(), canonical);
        }
        for text in [
            "",
            "2026-12-01",
            "10:00",
            "2026-12-01 10:00",
            "2026-12-01T10:00Z",
            "2026-12-01T10:00+01:00",
            "2026-12-01T10:00:00.5",
            "2026-12-01T24:00",
            "2026-12-01T10:60",
            "2026-12-01T10:00:60",
            "2026-02-29T10:00",
            "2026-13-01T10:00",
            "2026-12-1T10:00",
            "2026-12-01T9:00",
            "26-12-01T10:00",
            "+2026-12-01T10:00",
            "-2026-12-01T10:00",
            "1969-12-31T10:00",
            "2200-01-01T10:00",
            "12026-12-01T10:00",
            "2026-12-01t10:00",
            " 2026-12-01T10:00",
            "2026-12-01T10:00:00:00",
            "2026-12-01T10:00[Europe/Berlin]",
            "tomorrow at 10",
        ] {
            assert_eq!(text.parse::<WallTime>(), Err(InvalidWallTime), "{text}");
        }
    }
}
