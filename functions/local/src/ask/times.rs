//! `--at`: a time in words, in the zone of this machine or a named one.

use adapters::system::SystemClock;
use domain::{Doubt, Moment, When, Why};
use engine::ports::Clock as _;
use jiff::{Zoned, tz::TimeZone};

/// This machine's time zone, if it has a name.
pub fn local_zone() -> Option<String> {
    TimeZone::try_system().ok()?.iana_name().map(str::to_owned)
}

/// The moment that a text names, or why it names none.
pub fn send_at(text: &str, timezone: Option<&str>) -> Result<Moment, String> {
    let zone = match timezone {
        Some(name) => TimeZone::get(name).map_err(|_| format!("{name} is no IANA time zone, such as Europe/Berlin"))?,
        None => TimeZone::try_system().unwrap_or(TimeZone::UTC),
    };
    read(text, &SystemClock.now().to_zoned(zone))
}

fn read(text: &str, now: &Zoned) -> Result<Moment, String> {
    if let Ok(moment) = text.trim().parse() {
        return Ok(moment);
    }
    let when = When::read(text).or_else(|| When::read(&format!("at {text}")));
    let when = when.ok_or_else(|| format!("“{text}” is not a time such as \"tomorrow 9:00\" or \"in two hours\""))?;
    when.resolve(now).map(|moment| Moment::from(&moment)).map_err(|Doubt { why, options }| {
        let why = match why {
            Why::Repeats => "comes again and again",
            Why::Loose => "is not one certain time",
            Why::NoHour => "does not say at what time",
            Why::NoSuchDay => "is no day",
            Why::Past => "is past",
            Why::TooFar => "is more than 90 days ahead",
            Why::Skipped => "does not exist: the clocks go forward then",
            Why::Several => "may mean more than one time",
        };
        let options = options.iter().map(|option| Moment::from(option).to_string()).collect::<Vec<_>>().join(" or ");
        let instead = if options.is_empty() { String::new() } else { format!("; give one, such as {options}") };
        format!("“{text}” {why}{instead}")
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;

    use super::*;

    #[test]
    fn a_time_is_read_as_a_planner_reads_it() {
        let now: DateTime = "2026-11-28T10:00".parse().unwrap();
        let now = now.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).unwrap();
        for (text, wanted) in [
            ("tomorrow 9:00", "2026-11-29T09:00:00+01:00"),
            ("18:00", "2026-11-28T18:00:00+01:00"),
            ("in two hours", "2026-11-28T12:00:00+01:00"),
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00+00:00"),
            (" 2026-12-01T09:00 ", "2026-12-01T09:00:00+01:00"),
        ] {
            assert_eq!(read(text, &now).map(|at| at.to_string()).as_deref(), Ok(wanted), "{text}");
        }
        for (text, why) in [
            ("soon", "is not a time"),
            ("tomorrow", "at what time"),
            ("9am", "such as 2026-11-29T09:00:00+01:00"),
            ("every Monday at 9", "is not a time"),
            ("in 91 days", "90 days"),
        ] {
            assert!(read(text, &now).is_err_and(|error| error.contains(why)), "{text}: {:?}", read(text, &now));
        }
        assert!(send_at("18:00", Some("Mars/Base")).is_err());
    }
}
