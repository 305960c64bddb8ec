//! Events of a calendar: their params and what makes them valid.

use std::{borrow::Cow, mem};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::EnumString;

use crate::{Address, Ask, Mail, Violation, WallTime, address::breaks_a_header, mail::one_or_many, reader::Reader};

/// An event: one moment at which it begins and a later one at which it ends, at most 500 attendees, 256 KiB in all.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Event {
    /// What the event is called.
    #[schemars(title = "Title", extend("x-kind" = "line"))]
    pub title: String,
    /// When it begins: local time, such as `2026-12-01T10:00`.
    #[schemars(with = "String", title = "Begins", extend("x-lookup" = "time", "x-time-zone" = "time_zone"))]
    pub start: WallTime,
    /// When it ends, in the same form; or else `minutes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", title = "Ends")]
    pub end: Option<WallTime>,
    /// How long it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Minutes", range(min = 1, max = 44640))]
    pub minutes: Option<u32>,
    /// The IANA time zone of `start` and `end`.
    #[schemars(title = "Time zone", extend("x-kind" = "line"))]
    pub time_zone: String,
    /// Who is invited: one address or a list.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        with = "Option<Attendees>",
        title = "Attendees",
        extend("x-kind" = "addresses", "x-lookup" = "addresses")
    )]
    pub attendees: Vec<Address>,
    /// Where it takes place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Place", extend("x-kind" = "line"))]
    pub location: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Text", extend("x-kind" = "text"))]
    pub text: Option<String>,
    /// Whether the attendees are written to; `all` unless it is `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Notify")]
    pub notify: Option<Notify>,
}

/// Which attendees are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Notify {
    /// All of them.
    All,
    /// None of them.
    None,
}

/// Derived, it would be an alternative with a description for each value.
impl JsonSchema for Notify {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Notify".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["all", "none"] })
    }
}

/// One address as a string, or several as a list.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "describes a schema")]
enum Attendees {
    One(String),
    Many(#[schemars(length(max = 500))] Vec<String>),
}

/// When an event begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// The moment.
    pub at: Timestamp,
    /// The time of its zone, which names this moment only where it `is_certain`.
    pub wall: WallTime,
    /// Whether the zone's clocks show this time once. The end of an event that takes so many minutes may be a time
    /// that they show twice.
    pub is_certain: bool,
}

/// The most attendees of one event.
const MAX_ATTENDEES: usize = 500;
/// The longest event: a month.
const MAX_MINUTES: u32 = 31 * 24 * 60;

impl Event {
    /// The fields of its params.
    pub const FIELDS: [&str; 9] =
        ["title", "start", "end", "minutes", "time_zone", "attendees", "location", "text", "notify"];

    /// Parses params as a client or a model writes them. Reports every violation, each with a pointer to its field.
    pub fn parse(params: &Value) -> Result<Self, Vec<Violation>> {
        let mut reader = Reader::new(params)?;
        let title = reader.text("title", true).unwrap_or_default();
        let zone = zone(&mut reader);
        let start = time(&mut reader, "start", zone.as_ref(), true);
        let mut minutes = minutes(&mut reader);
        let needs_end = reader.field("minutes").is_none();
        let end = time(&mut reader, "end", zone.as_ref(), needs_end);
        let (starts, ends) = (start.and_then(|(_, at)| at), end.and_then(|(_, at)| at));
        if let (Some(starts), Some(ends)) = (starts, ends) {
            let longest = SignedDuration::from_mins(i64::from(MAX_MINUTES));
            let taken = ends.duration_since(starts);
            if !taken.is_positive() {
                reader.add(Violation::new("/end", "must be later than the start").asking(Ask::Time));
            } else if taken > longest {
                reader.add(Violation::new("/end", "must be at most 31 days after the start").asking(Ask::Time));
            } else if minutes.take().is_some_and(|minutes| taken != SignedDuration::from_mins(minutes.into())) {
                reader.add(Violation::new("/minutes", "says something else than end: give one of the two"));
            }
        }
        let attendees = once(reader.addresses("attendees"));
        let filled = |text: &String| !text.trim().is_empty();
        let location = reader.text("location", false).filter(filled);
        let text = reader.text("text", false).filter(filled);
        let notify = reader.text("notify", false).filter(filled).map(|notify| notify.parse::<Notify>());
        let is_line = |line: &str| !line.contains(breaks_a_header);
        reader.check([
            ("/title", "must not be blank", reader.field("title").is_some_and(Value::is_string) && !filled(&title)),
            ("/title", "must not contain control characters or line breaks", !is_line(&title)),
            (
                "/location",
                "must not contain control characters or line breaks",
                !location.iter().all(|line| is_line(line)),
            ),
            ("/text", "must not contain NUL characters", text.as_ref().is_some_and(|text| text.contains('\0'))),
            ("/attendees", "must name at most 500 addresses", attendees.len() > MAX_ATTENDEES),
            ("/notify", "must be all or none", matches!(notify, Some(Err(_)))),
            ("", "the event is larger than 256 KiB", reader.bytes > Mail::MAX_BYTES),
        ]);
        let (Some((start, _)), Some(zone)) = (start, zone) else {
            reader.finish(&Self::FIELDS)?;
            return Err(vec![Violation::new("", "has no time")]);
        };
        reader.finish(&Self::FIELDS)?;
        let notify = notify.and_then(Result::ok).unwrap_or(Notify::All);
        let time_zone = zone.iana_name().unwrap_or("UTC").to_owned();
        let notify = (!attendees.is_empty()).then_some(notify);
        Ok(Self { title, start, end: end.map(|(end, _)| end), minutes, time_zone, attendees, location, text, notify })
    }

    /// The canonical params: one attendee as a string, more as a list, empty fields left out.
    pub fn to_params(&self) -> Value {
        json!(self)
    }

    /// When it begins and when it ends.
    pub fn times(&self) -> [EventTime; 2] {
        let zone = TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC);
        let certain = |wall: WallTime| {
            let at = wall.moment(&zone).unwrap_or_default();
            EventTime { at, wall, is_certain: true }
        };
        let start = certain(self.start);
        let after = || {
            let minutes = SignedDuration::from_mins(self.minutes.unwrap_or_default().into());
            let at = start.at.checked_add(minutes).unwrap_or(start.at);
            let wall = WallTime::of(at, &zone);
            EventTime { at, wall, is_certain: wall.moment(&zone).is_ok() }
        };
        [start, self.end.map_or_else(after, certain)]
    }

    /// Replaces every address. Attendees that become equal are one.
    pub fn map_addresses(&mut self, change: &mut dyn FnMut(Address) -> Address) {
        self.attendees = once(mem::take(&mut self.attendees).into_iter().map(change));
    }
}

/// Each address once, the first of equal ones.
fn once(addresses: impl IntoIterator<Item = Address>) -> Vec<Address> {
    let mut once: Vec<Address> = Vec::new();
    for address in addresses {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    once
}

fn zone(reader: &mut Reader<'_>) -> Option<TimeZone> {
    let name = reader.text("time_zone", true)?;
    let zone = TimeZone::get(&name).ok().filter(|zone| !zone.is_unknown() && zone.iana_name().is_some());
    if zone.is_none() {
        reader.add(Violation::new("/time_zone", "must be an IANA time zone, such as Europe/Berlin"));
    }
    zone
}

/// A time, and the one moment of it where the zone is known.
fn time(
    reader: &mut Reader<'_>,
    field: &str,
    zone: Option<&TimeZone>,
    required: bool,
) -> Option<(WallTime, Option<Timestamp>)> {
    let pointer = format!("/{field}");
    let wrong = match reader.field(field).map(|_| reader.text(field, false)) {
        None if required && field == "end" => "is required, or minutes".to_owned(),
        None if required => "is required: a day and a time, such as 2026-12-01T10:00".to_owned(),
        None | Some(None) => return None,
        Some(Some(text)) => match (text.parse::<WallTime>(), zone) {
            (Ok(wall), None) => return Some((wall, None)),
            (Ok(wall), Some(zone)) => match wall.moment(zone) {
                Ok(at) => return Some((wall, Some(at))),
                Err(why) => why,
            },
            (Err(invalid), _) => invalid.to_string(),
        },
    };
    reader.add(Violation::new(pointer, wrong).asking(Ask::Time));
    None
}

fn minutes(reader: &mut Reader<'_>) -> Option<u32> {
    let minutes = reader.field("minutes")?;
    let minutes = minutes.as_u64().and_then(|minutes| u32::try_from(minutes).ok());
    let minutes = minutes.filter(|minutes| (1..=MAX_MINUTES).contains(minutes));
    if minutes.is_none() {
        reader.add(Violation::new("/minutes", "must be a whole number from 1 to 44640"));
    }
    minutes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(more: &Value) -> Value {
        let mut params = json!({ "title": "Review", "start": "2026-12-01T10:00", "time_zone": "Europe/Berlin" });
        for (field, value) in more.as_object().unwrap() {
            params[field] = value.clone();
        }
        params
    }

    fn pointers(more: &Value) -> Vec<String> {
        Event::parse(&event(more)).unwrap_err().into_iter().map(|violation| violation.pointer).collect()
    }

    fn canonical(more: &Value) -> Value {
        Event::parse(&event(more)).unwrap().to_params()
    }

    #[test]
    fn everything_wrong_is_reported_with_its_pointer() {
        for (more, expected) in [
            (json!({}), vec!["/end"]),
            (json!({ "title": 7, "minutes": 30 }), vec!["/title"]),
            (json!({ "title": " ", "minutes": 30 }), vec!["/title"]),
            (
                json!({ "title": "a\r\nb", "location": "c\u{2028}d", "text": "e\0", "minutes": 30 }),
                vec!["/title", "/location", "/text"],
            ),
            (json!({ "start": null, "minutes": 30 }), vec!["/start"]),
            (json!({ "start": "2026-12-01T10:00+01:00", "minutes": 30 }), vec!["/start"]),
            (json!({ "start": 5, "minutes": 30 }), vec!["/start"]),
            (json!({ "end": "10:30" }), vec!["/end"]),
            (json!({ "end": "2026-12-01T10:00" }), vec!["/end"]),
            (json!({ "end": "2026-12-01T09:00" }), vec!["/end"]),
            (json!({ "end": "2027-01-01T10:01" }), vec!["/end"]),
            (json!({ "end": "2026-12-01T11:00", "minutes": 30 }), vec!["/minutes"]),
            (json!({ "minutes": 0 }), vec!["/minutes"]),
            (json!({ "minutes": -5 }), vec!["/minutes"]),
            (json!({ "minutes": 44_641 }), vec!["/minutes"]),
            (json!({ "minutes": 1.5 }), vec!["/minutes"]),
            (json!({ "minutes": "30" }), vec!["/minutes"]),
            (json!({ "time_zone": null, "minutes": 30 }), vec!["/time_zone"]),
            (json!({ "time_zone": "Berlin", "minutes": 30 }), vec!["/time_zone"]),
            (json!({ "time_zone": "+01:00", "minutes": 30 }), vec!["/time_zone"]),
            (json!({ "time_zone": "Etc/Unknown", "minutes": 30 }), vec!["/time_zone"]),
            (json!({ "attendees": ["a@example.com", "b@", 7], "minutes": 30 }), vec!["/attendees/1", "/attendees/2"]),
            (json!({ "notify": "some", "attendees": "a@example.com", "minutes": 30 }), vec!["/notify"]),
            (json!({ "notify": true, "minutes": 30 }), vec!["/notify"]),
            (json!({ "sendUpdates": "all", "minutes": 30 }), vec!["/sendUpdates"]),
        ] {
            assert_eq!(pointers(&more), expected, "{more}");
        }
        assert_eq!(Event::parse(&json!([])).unwrap_err()[0].pointer, "");
        let many = |count: usize| (0..count).map(|n| format!("a{n}@example.com")).collect::<Vec<_>>();
        assert!(Event::parse(&event(&json!({ "attendees": many(500), "minutes": 30 }))).is_ok());
        assert_eq!(pointers(&json!({ "attendees": many(501), "minutes": 30 })), ["/attendees"]);
        assert_eq!(pointers(&json!({ "text": "x".repeat(256 * 1024), "minutes": 30 })), [""]);
    }

    #[test]
    fn what_is_left_blank_is_absent_and_attendees_are_notified_unless_it_says_none() {
        let plain = event(&json!({ "minutes": 30 }));
        let full = json!({ "minutes": 30, "end": null, "attendees": [], "location": " ", "text": "", "notify": "none",
                           "start": "2026-12-01T10:00:00", "time_zone": "europe/berlin" });
        assert_eq!(canonical(&full), plain);
        let one = canonical(&json!({ "minutes": 30, "attendees": ["A <a@example.com>, a@EXAMPLE.com"] }));
        assert_eq!((one["attendees"].clone(), one["notify"].clone()), (json!("A <a@example.com>"), json!("all")));
        let two = canonical(&json!({ "minutes": 30, "attendees": "a@example.com; b@example.com", "notify": "none" }));
        assert_eq!(two["attendees"], json!(["a@example.com", "b@example.com"]));
        assert_eq!(two["notify"], "none");
        let both = canonical(&json!({ "minutes": 30, "end": "2026-12-01T10:30" }));
        assert_eq!(both, event(&json!({ "end": "2026-12-01T10:30" })));
        assert_eq!(Event::parse(&two).unwrap().to_params(), two);
    }

    #[test]
    fn times_on_the_days_on_which_clocks_change_are_those_of_pythons_zoneinfo() {
        let utc = |text: &str| format!("{text}:00Z").parse::<Timestamp>().unwrap();
        for row in include_str!("../../../tests/fixtures/wall-times/table.csv").lines().skip(1) {
            let [zone, start, moments, start_utc, minutes, end_utc, end, end_moments] =
                row.split(',').collect::<Vec<_>>().try_into().unwrap();
            let minutes: u32 = minutes.parse().unwrap_or(30);
            let params = |more: &Value| {
                let mut params = json!({ "title": "t", "start": start, "time_zone": zone });
                params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                params
            };
            let parsed = Event::parse(&params(&json!({ "minutes": minutes })));
            if moments != "1" {
                let refused = parsed.unwrap_err();
                assert_eq!((&*refused[0].pointer, refused[0].ask), ("/start", Some(Ask::Time)), "{row}");
                let says = if moments == "0" { "does not exist" } else { "exists twice" };
                assert!(refused.len() == 1 && refused[0].detail.contains(says), "{row}: {refused:?}");
                let wrong_end = json!({ "title": "t", "start": "2026-01-01T10:00", "end": start, "time_zone": zone });
                assert!(Event::parse(&wrong_end).unwrap_err()[0].detail.contains(says), "{row}");
                continue;
            }
            let [starts, ends] = parsed.unwrap().times();
            assert_eq!((starts.at, starts.is_certain, ends.at), (utc(start_utc), true, utc(end_utc)), "{row}");
            assert_eq!((ends.wall.to_string().as_str(), ends.is_certain), (end, end_moments == "1"), "{row}");
            let with_end = Event::parse(&params(&json!({ "end": end })));
            match end_moments {
                "1" => assert_eq!(with_end.unwrap().times()[1], ends, "{row}"),
                _ => assert_eq!(with_end.unwrap_err()[0].pointer, "/end", "{row}"),
            }
        }
    }
}
