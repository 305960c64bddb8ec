//! Lookups: what a plan finds out in the account before it can be carried out, and the references to what is found.

use std::{fmt, str::FromStr};

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::{InvalidId, LookupId, serde_text::serde_as_text};

/// What a lookup finds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FindKind {
    /// A person's address.
    Contact,
    /// A meeting, with its attendees.
    Event,
    /// A time that nothing takes up yet.
    FreeTime,
}

/// One lookup of a plan. What it looks for stands in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Its id within the plan, such as `l1`.
    pub id: LookupId,
    /// What to find.
    #[serde(flatten)]
    pub find: Find,
}

/// What to find, by what the request says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "find", rename_all = "snake_case")]
pub enum Find {
    /// A person's address.
    Contact {
        /// The name, as the request has it.
        name: String,
    },
    /// A meeting of the account's own calendar.
    Event {
        /// The day on which it begins.
        day: Date,
        /// When it begins, if the request says so.
        at: Option<ClockTime>,
        /// Words of its title, if the request has some.
        title: Option<String>,
    },
    /// A time that nothing of the account's own calendar takes up.
    FreeTime {
        /// The day.
        day: Date,
        /// How long it has to last.
        minutes: u16,
        /// Not earlier, if the request says so.
        from: Option<ClockTime>,
        /// Not later, if the request says so.
        to: Option<ClockTime>,
    },
}

impl Find {
    /// What kind of thing it finds.
    pub const fn kind(&self) -> FindKind {
        match self {
            Self::Contact { .. } => FindKind::Contact,
            Self::Event { .. } => FindKind::Event,
            Self::FreeTime { .. } => FindKind::FreeTime,
        }
    }
}

/// A lookup as the API's description has it: one object, whatever it finds.
#[cfg(feature = "utoipa")]
#[derive(utoipa::ToSchema)]
#[schema(as = Lookup)]
#[expect(dead_code, reason = "describes a schema")]
pub(crate) struct WrittenLookup {
    /// Its id within the plan.
    #[schema(example = "l1")]
    id: String,
    /// What it finds, which decides what else is said.
    find: FindKind,
    /// Of a contact: the name, as the request has it.
    #[schema(required = false, example = "Sam")]
    name: Option<String>,
    /// Of an event or a free time: the day.
    #[schema(required = false, format = Date)]
    day: Option<String>,
    /// Of an event: when it begins, if the request says so.
    #[schema(required = false, example = "10:00")]
    at: Option<String>,
    /// Of an event: words of its title, if the request has some.
    #[schema(required = false)]
    title: Option<String>,
    /// Of a free time: how long it has to last.
    #[schema(required = false)]
    minutes: Option<u16>,
    /// Of a free time: not earlier, if the request says so.
    #[schema(required = false, example = "09:00")]
    from: Option<String>,
    /// Of a free time: not later, if the request says so.
    #[schema(required = false, example = "17:00")]
    to: Option<String>,
}

/// A time of a day to the minute, such as `10:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockTime(pub Time);

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl FromStr for ClockTime {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts = || -> Option<Time> {
            let (hour, minute) =
                text.strip_suffix(":00").filter(|_| text.len() == 8).unwrap_or(text).split_once(':')?;
            let is_number = |part: &str| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
            (is_number(hour) && is_number(minute)).then_some(())?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        parts().map(Self).ok_or(InvalidId("a time of a day is HH:MM, such as 10:00"))
    }
}

/// A reference in an action's params to what a lookup finds: `{ "$ref": "l1.address" }`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The lookup.
    pub lookup: LookupId,
    /// What of it.
    pub part: Part,
}

/// What a lookup gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Part {
    /// A person's address.
    Address,
    /// The addresses of an event's attendees.
    Attendees,
    /// When an event, or a free time, begins.
    Start,
}

impl Part {
    /// Whether what a lookup finds has this part.
    pub const fn is_of(self, kind: FindKind) -> bool {
        matches!(
            (self, kind),
            (Self::Address, FindKind::Contact)
                | (Self::Attendees, FindKind::Event)
                | (Self::Start, FindKind::Event | FindKind::FreeTime)
        )
    }
}

impl Reference {
    const KEY: &'static str = "$ref";

    /// Reads what may be a reference; none for any other value.
    pub fn read(value: &Value) -> Option<Result<Self, InvalidId>> {
        let fields = value.as_object().filter(|fields| fields.contains_key(Self::KEY))?;
        let text = fields[Self::KEY].as_str().filter(|_| fields.len() == 1).unwrap_or_default();
        Some(text.parse())
    }

    /// The reference as params hold it.
    pub fn to_value(&self) -> Value {
        json!({ Self::KEY: self.to_string() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.lookup, self.part)
    }
}

impl FromStr for Reference {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts = || {
            let (lookup, part) = text.split_once('.')?;
            Some(Self { lookup: lookup.parse().ok()?, part: part.parse().ok()? })
        };
        parts()
            .ok_or(InvalidId("a reference is the id of a lookup and address, attendees or start, such as l1.address"))
    }
}

serde_as_text!(ClockTime);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_reads_back_as_the_contract_writes_it() {
        for text in [
            r#"{"id":"l1","find":"contact","name":"Sam"}"#,
            r#"{"id":"l1","find":"event","day":"2026-12-01","at":"10:00","title":null}"#,
            r#"{"id":"l2","find":"event","day":"2026-12-01","at":null,"title":"Stand-up"}"#,
            r#"{"id":"l1","find":"free_time","day":"2026-12-01","minutes":30,"from":"09:00","to":null}"#,
        ] {
            let lookup: Lookup = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&lookup).unwrap(), text);
        }
    }

    #[test]
    fn a_reference_is_a_lookup_and_a_part_and_nothing_else() {
        for (text, fits) in [
            (r#"{"$ref":"l1.address"}"#, Some(true)),
            (r#"{"$ref":"l1.attendees"}"#, Some(true)),
            (r#"{"$ref":"l1.start"}"#, Some(true)),
            (r#"{"$ref":"l1"}"#, Some(false)),
            (r#"{"$ref":"l1.name"}"#, Some(false)),
            (r#"{"$ref":"l1.address.0"}"#, Some(false)),
            (r#"{"$ref":"l1.address","or":"a@example.com"}"#, Some(false)),
            (r#"{"$ref":null}"#, Some(false)),
            (r#"{"$ref":".address"}"#, Some(false)),
            (r#"{"ref":"l1.address"}"#, None),
            (r#""l1.address""#, None),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            let read = Reference::read(&value);
            assert_eq!(read.as_ref().map(Result::is_ok), fits, "{text}");
            if let Some(Ok(reference)) = read {
                assert_eq!(reference.to_value(), value);
            }
        }
    }

    #[test]
    fn a_time_of_a_day_is_two_digits_each() {
        for (text, is_time) in
            [("10:00", true), ("09:30:00", true), ("9:30", false), ("24:00", false), ("10:60", false), ("+1:00", false)]
        {
            assert_eq!(text.parse::<ClockTime>().is_ok(), is_time, "{text}");
        }
    }
}
