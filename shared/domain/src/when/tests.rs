use jiff::{civil::DateTime, tz::TimeZone};

use super::*;

/// Saturday, 28 November 2026, ten o'clock in Berlin, unless a case has another now.
const NOW: &str = "2026-11-28T10:00";

fn now(local: &str, zone: &str) -> Zoned {
    local.parse::<DateTime>().unwrap().to_zoned(TimeZone::get(zone).unwrap()).unwrap()
}

fn shown(moment: &Zoned) -> String {
    moment.strftime("%Y-%m-%dT%H:%M%:z").to_string()
}

/// What a text means: a moment, or why not with the moments to choose from.
fn meaning(text: &str, now: &Zoned) -> String {
    let Some(when) = When::read(text) else { return "no time".to_owned() };
    match when.resolve(now) {
        Ok(moment) => shown(&moment),
        Err(Doubt { why, options }) => {
            let options: Vec<String> = options.iter().map(shown).collect();
            format!("{why:?} {}", options.join(" ")).trim_end().to_owned()
        }
    }
}

fn check(cases: &[(&str, &str)], now: &Zoned) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, wanted)| (text, wanted, meaning(text, now)))
        .filter(|(_, wanted, got)| **wanted != got)
        .map(|(text, wanted, got)| format!("{text:?}\n  wanted {wanted}\n  got    {got}"))
        .collect();
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_time_in_words_is_one_moment() {
    check(
        &[
            ("tomorrow at 9", "2026-11-29T09:00+01:00"),
            ("tomorrow at nine", "2026-11-29T09:00+01:00"),
            ("tomorrow at nine thirty", "2026-11-29T09:30+01:00"),
            ("tomorrow at ten forty-five pm", "2026-11-29T22:45+01:00"),
            ("morgen um 9 Uhr 30", "2026-11-29T09:30+01:00"),
            ("at 9 tomorrow", "2026-11-29T09:00+01:00"),
            ("Tomorrow, at 9 a.m.", "2026-11-29T09:00+01:00"),
            ("tomorrow 9:00", "2026-11-29T09:00+01:00"),
            ("tomorrow 9am", "2026-11-29T09:00+01:00"),
            ("tomorrow morning at 9", "2026-11-29T09:00+01:00"),
            ("tomorrow at 9 in the evening", "2026-11-29T21:00+01:00"),
            ("tomorrow at noon", "2026-11-29T12:00+01:00"),
            ("at 12pm tomorrow", "2026-11-29T12:00+01:00"),
            ("the day after tomorrow at 17:30", "2026-11-30T17:30+01:00"),
            ("today at 5pm", "2026-11-28T17:00+01:00"),
            ("tonight at 8", "2026-11-28T20:00+01:00"),
            ("this evening at 7:15", "2026-11-28T19:15+01:00"),
            ("at 11", "2026-11-28T11:00+01:00"),
            ("at 3", "2026-11-28T15:00+01:00"),
            ("at 3pm", "2026-11-28T15:00+01:00"),
            ("at midnight", "2026-11-29T00:00+01:00"),
            ("Friday 3pm", "2026-12-04T15:00+01:00"),
            ("on Friday at 3:30 pm", "2026-12-04T15:30+01:00"),
            ("fri 3pm", "2026-12-04T15:00+01:00"),
            ("next Monday 8:30", "2026-11-30T08:30+01:00"),
            ("this Sunday at 8am", "2026-11-29T08:00+01:00"),
            ("Friday next week at noon", "2026-12-04T12:00+01:00"),
            ("next week Tuesday at 10", "2026-12-01T10:00+01:00"),
            ("in two hours", "2026-11-28T12:00+01:00"),
            ("in 90 minutes", "2026-11-28T11:30+01:00"),
            ("in half an hour", "2026-11-28T10:30+01:00"),
            ("in an hour", "2026-11-28T11:00+01:00"),
            ("three days from now", "2026-12-01T10:00+01:00"),
            ("in 3 days at 8:00", "2026-12-01T08:00+01:00"),
            ("in a week", "2026-12-05T10:00+01:00"),
            ("in 2 months at 9am", "2027-01-28T09:00+01:00"),
            ("3 December at 14:00", "2026-12-03T14:00+01:00"),
            ("on December 3rd, 2026 at 2 pm", "2026-12-03T14:00+01:00"),
            ("on the 3rd of December at 2pm", "2026-12-03T14:00+01:00"),
            ("on the 5th at 10:00", "2026-12-05T10:00+01:00"),
            ("on the 28th at 18:00", "2026-11-28T18:00+01:00"),
            ("Friday, 4 December at 9", "2026-12-04T09:00+01:00"),
            ("Dec. 3 at 9", "2026-12-03T09:00+01:00"),
            ("2026-12-03T09:00", "2026-12-03T09:00+01:00"),
            ("2026-12-03 09:00", "2026-12-03T09:00+01:00"),
            ("12/25 at noon", "2026-12-25T12:00+01:00"),
            ("1/1/2027 at 09:00", "2027-01-01T09:00+01:00"),
            ("morgen um 9 Uhr", "2026-11-29T09:00+01:00"),
            ("morgen früh um 8", "2026-11-29T08:00+01:00"),
            ("heute Abend um 8", "2026-11-28T20:00+01:00"),
            ("übermorgen um 14:30 Uhr", "2026-11-30T14:30+01:00"),
            ("am Freitag um 15 Uhr", "2026-12-04T15:00+01:00"),
            ("am 3. Dezember um 14 Uhr", "2026-12-03T14:00+01:00"),
            ("am 3.12. um 14.30 Uhr", "2026-12-03T14:30+01:00"),
            ("am 3.12.2026 um 14 Uhr", "2026-12-03T14:00+01:00"),
            ("nächsten Montag um 8:30", "2026-11-30T08:30+01:00"),
            ("in zwei Stunden", "2026-11-28T12:00+01:00"),
            ("mañana a las 9", "2026-11-29T09:00+01:00"),
            ("el viernes a las 15:00", "2026-12-04T15:00+01:00"),
            ("el 3 de diciembre a las 14:00", "2026-12-03T14:00+01:00"),
            ("en dos horas", "2026-11-28T12:00+01:00"),
            ("demain à 9h", "2026-11-29T09:00+01:00"),
            ("vendredi à 15h30", "2026-12-04T15:30+01:00"),
            ("lundi prochain à 8 h", "2026-11-30T08:00+01:00"),
            ("dans deux heures", "2026-11-28T12:00+01:00"),
        ],
        &now(NOW, "Europe/Berlin"),
    );
}

#[test]
fn a_time_that_is_not_one_moment_to_come_is_in_doubt() {
    check(
        &[
            ("at 9", "Past 2026-11-28T21:00+01:00 2026-11-29T09:00+01:00"),
            ("at 9am", "Past 2026-11-29T09:00+01:00"),
            ("at 08:30", "Past 2026-11-29T08:30+01:00"),
            ("today at 8", "Past"),
            ("on 27 November 2026 at 9", "Past"),
            ("Saturday at noon", "Several 2026-11-28T12:00+01:00 2026-12-05T12:00+01:00"),
            ("Saturday at 8am", "Several 2026-12-05T08:00+01:00"),
            ("tomorrow at 3", "Several 2026-11-29T03:00+01:00 2026-11-29T15:00+01:00"),
            ("tomorrow at midnight", "Several 2026-11-29T00:00+01:00 2026-11-30T00:00+01:00"),
            ("on 12/1 at 9", "Several 2026-12-01T09:00+01:00 2027-01-12T09:00+01:00"),
            ("on 3/4 at 9", "TooFar"),
            ("tomorrow", "NoHour"),
            ("Friday", "NoHour"),
            ("tonight", "NoHour"),
            ("on 3 December", "NoHour"),
            ("tomorrow morning", "NoHour"),
            ("next week", "Loose"),
            ("next week at 9", "Loose"),
            ("in 5 months at 9", "TooFar"),
            ("1 April at 9", "TooFar"),
            ("28 October at 9", "TooFar"),
            ("on 31 November at 9", "NoSuchDay"),
            ("Friday, 5 December at 9", "NoSuchDay"),
            ("Mondays at 9", "Repeats"),
            ("tomorrow at 9 UTC", "Loose"),
            ("tomorrow at 9 London time", "Loose"),
            ("at 9am PST", "Loose"),
            ("tomorrow at 9 New York time", "Loose"),
            ("morgen um 9 Uhr Londoner Zeit", "Loose"),
            ("tomorrow at 9 her time", "Loose"),
        ],
        &now(NOW, "Europe/Berlin"),
    );
    // `next Friday` on a Wednesday, and the bounds of 90 days.
    check(
        &[
            ("next Friday at 9", "Several 2026-12-04T09:00+01:00 2026-12-11T09:00+01:00"),
            ("next Monday at 9", "2026-12-07T09:00+01:00"),
            ("next Wednesday at 9", "2026-12-09T09:00+01:00"),
            ("in 90 days", "2027-03-02T10:00+01:00"),
            ("in 91 days", "TooFar"),
            ("2 March at 10:01", "TooFar"),
        ],
        &now("2026-12-02T10:00", "Europe/Berlin"),
    );
}

#[test]
fn a_change_of_the_clocks_is_not_guessed() {
    let spring = now("2027-03-27T12:00", "Europe/Berlin");
    check(
        &[
            ("tomorrow at 2:30", "Skipped 2027-03-28T01:30+01:00 2027-03-28T03:30+02:00"),
            ("tomorrow at 9", "2027-03-28T09:00+02:00"),
            ("tomorrow at 1:59", "2027-03-28T01:59+01:00"),
            ("tomorrow at 03:00", "2027-03-28T03:00+02:00"),
            ("in 24 hours", "2027-03-28T13:00+02:00"),
            ("in a day", "2027-03-28T12:00+02:00"),
        ],
        &spring,
    );
    let autumn = now("2027-10-30T12:00", "Europe/Berlin");
    check(
        &[
            ("tomorrow at 2:30", "Several 2027-10-31T02:30+02:00 2027-10-31T02:30+01:00"),
            ("tomorrow at 3:00", "2027-10-31T03:00+01:00"),
            ("in 24 hours", "2027-10-31T11:00+01:00"),
        ],
        &autumn,
    );
    check(
        &[("tomorrow at 1:30 am", "Several 2026-11-01T01:30-04:00 2026-11-01T01:30-05:00")],
        &now("2026-10-31T12:00", "America/New_York"),
    );
    check(
        &[("tomorrow at 2:15", "Skipped 2027-10-03T01:45+10:30 2027-10-03T02:45+11:00")],
        &now("2027-10-02T12:00", "Australia/Lord_Howe"),
    );
}

#[test]
fn what_is_no_time_is_none() {
    for text in [
        "",
        "9",
        "at",
        "now",
        "soon",
        "the sun",
        "sun",
        "a",
        "one",
        "at home",
        "in the morning",
        "in two",
        "two hours",
        "tomorrow's",
        "3.5",
        "2026",
        "may",
        "on the table",
        "at 25",
        "at 9:75",
        "13pm",
        "at 5 Main Street",
        "monday@example.com",
        "um 20 Minuten",
        "hours",
        "tomorrow at 9 and a half",
        "tomorrow at 9\nat 10",
    ] {
        assert_eq!(When::read(text), None, "{text}");
    }
}

#[test]
fn times_are_found_where_they_stand() {
    for (text, wanted) in [
        ("Tomorrow at 9, email ana@example.com that lunch is at 1pm", vec!["Tomorrow at 9", "at 1pm"]),
        ("Send it on Friday. At 9 we meet", vec!["on Friday", "At 9"]),
        ("Mail ana@example.com in two hours saying the bus leaves in 5 minutes", vec!["in two hours", "in 5 minutes"]),
        ("I am an optimist about the future", vec![]),
        ("Schreib lena@example.de morgen um 9, dass ich um 20 Minuten verspätet bin", vec!["morgen um 9"]),
        ("see monday@example.com", vec![]),
    ] {
        let found: Vec<&str> = When::find(text).into_iter().map(|time| &text[time.place]).collect();
        assert_eq!(found, wanted, "{text}");
    }
    // What comes again, or is no moment, is known by the words around it.
    for (text, why) in [
        ("every Monday at 9", Why::Repeats),
        ("each Friday at 3pm", Why::Repeats),
        ("jeden Montag um 9", Why::Repeats),
        ("by Friday 5pm", Why::Loose),
        ("before 11:00", Why::Loose),
        ("between 11:00 and 12:00", Why::Loose),
        ("at 11 or 12", Why::Loose),
        ("tomorrow at 11 to 12:30", Why::Loose),
        ("mañana a las nueve y media", Why::Loose),
        ("demain à neuf heures moins le quart", Why::Loose),
        ("tomorrow at half past nine", Why::NoHour),
        ("tomorrow at 1700", Why::NoHour),
    ] {
        let doubts = When::find(text)
            .into_iter()
            .map(|time| time.when.resolve(&now(NOW, "Europe/Berlin")).map_err(|doubt| doubt.why));
        let doubts: Vec<_> = doubts.collect();
        assert!(doubts.contains(&Err(why)), "{text}: {doubts:?}");
    }
}

#[test]
fn a_day_and_an_hour_from_two_texts_make_one_time() {
    let now = now(NOW, "Europe/Berlin");
    for (answer, first, wanted) in [
        ("at 9", "tomorrow", "2026-11-29T09:00+01:00"),
        ("9:15", "on Friday", "2026-12-04T09:15+01:00"),
        ("Monday at 10", "tomorrow at 9", "2026-11-30T10:00+01:00"),
        ("in two hours", "tomorrow", "2026-11-28T12:00+01:00"),
    ] {
        let when = When::read(answer).unwrap().or(When::read(first).unwrap());
        assert_eq!(shown(&when.resolve(&now).unwrap()), wanted, "{answer} of {first}");
    }
}

#[test]
fn any_text_is_read_quickly_and_without_a_fault() {
    for piece in ["at ", "in ", "9 ", "tomorrow ", "on the 3rd of ", "ß.", "İ:9/", "\u{2028}3.12.", "a a ", "9-9-9 "]
    {
        let _ = When::find(&piece.repeat(4000));
    }
}

#[test]
fn a_moment_keeps_the_offset_that_it_was_written_with() {
    for (text, shown) in [
        ("2026-12-03T09:00:00+01:00", "2026-12-03T09:00:00+01:00"),
        ("2026-12-03T09:00:00-03:30", "2026-12-03T09:00:00-03:30"),
        ("2026-12-03T09:00:00Z", "2026-12-03T09:00:00+00:00"),
    ] {
        assert_eq!(text.parse::<Moment>().unwrap().to_string(), shown);
    }
    for text in ["tomorrow at 9", "2026-12-03T09:00:00", "2026-12-03T09:00:00+01:00[Europe/Berlin]"] {
        assert!(text.parse::<Moment>().is_err(), "{text}");
    }
}
