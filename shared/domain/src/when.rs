//! Times that people name in words: `tomorrow at 9`, `am 3. Dezember um 14 Uhr`, `in two hours`.
//!
//! A phrase is read once ([`When`]). It becomes a moment only beside "now" in a time zone ([`When::resolve`]), and only if
//! it can mean no other one. The words are in `when.txt`.

use std::{collections::HashMap, fmt, ops::Range, str::FromStr, sync::LazyLock};

use jiff::{
    SignedDuration, Span, Timestamp, Zoned,
    civil::{Date, DateTime, Time, Weekday},
    fmt::temporal::Pieces,
    tz::{AmbiguousOffset, Offset},
};

use crate::{InvalidId, SendAt, WallTime, serde_text::serde_as_text};

/// How far ahead a send may be planned.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A time of sending as its time zone shows it: RFC 3339, with the zone's own offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    at: SendAt,
    offset: Offset,
}

serde_as_text!(Moment);

/// A time as a text names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct When {
    day: Option<Day>,
    /// The weekday beside a date, as in `Friday, 4 December`.
    weekday: Option<Weekday>,
    clock: Option<Clock>,
    /// Whether it names the half of the day that begins at noon.
    after_noon: Option<bool>,
    wait: Option<(i32, Unit)>,
    /// It names more than a moment, as in `before 9` or `at 9 London time`.
    is_loose: bool,
    /// It names no single day, as in `every Monday`.
    repeats: bool,
}

/// A time in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTime {
    /// Its bytes.
    pub place: Range<usize>,
    /// What it says.
    pub when: When,
}

/// Why a time is not certain, with the moments that it may mean: all of them can still be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// What is wrong.
    pub why: Why,
    /// Moments to choose from, the earliest first.
    pub options: Vec<Zoned>,
}

/// What is wrong with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It comes again and again.
    Repeats,
    /// It is no moment of the person's own time zone.
    Loose,
    /// It names a day and no hour.
    NoHour,
    /// There is no such day.
    NoSuchDay,
    /// It is past.
    Past,
    /// It is further ahead than [`MAX_AHEAD`].
    TooFar,
    /// The clocks go forward over it.
    Skipped,
    /// It may mean several moments.
    Several,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    Ahead(i8),
    Weekday(Weekday, Which),
    Date(Option<i16>, i8, i8),
    /// `3/4`: either may be the month.
    Slashed(Option<i16>, i8, i8),
    OfMonth(i8),
    NextWeek,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Coming,
    This,
    Next,
    NextWeek,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// 24 is midnight, which is the beginning of a day or its end.
    hour: i8,
    minute: i8,
    /// A bare number: the other half of the day may be meant.
    is_bare: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Minutes,
    Hours,
    Days,
    Weeks,
    Months,
}

/// Words that name a unit.
const UNITS: [(&str, Unit); 5] = [
    ("minutes", Unit::Minutes),
    ("hours", Unit::Hours),
    ("days", Unit::Days),
    ("weeks", Unit::Weeks),
    ("months", Unit::Months),
];

/// A part of a time.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Day(Day, Option<bool>),
    Clock(Clock),
    Moment(Day, Clock),
    Half(bool),
    Wait(i32, Unit),
    Repeats,
}

impl When {
    /// The times of a text, in its order.
    pub fn find(text: &str) -> Vec<NamedTime> {
        let words = words(text);
        let (mut found, mut at) = (Vec::new(), 0);
        while at < words.len() {
            match named(&words, at) {
                Some((time, end)) => {
                    found.push(time);
                    at = end;
                }
                None => at += 1,
            }
        }
        found
    }

    /// A text that is a time and nothing else.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches(['.', '!']);
        let [time] = <[NamedTime; 1]>::try_from(Self::find(text)).ok()?;
        (time.place == (0..text.len())).then_some(time.when)
    }

    /// Its parts, and those of another time where it has none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let has_day = self.has_day();
        Self {
            day: if has_day { self.day } else { other.day },
            wait: if has_day { self.wait } else { other.wait },
            weekday: if has_day { self.weekday } else { other.weekday },
            clock: self.clock.or(other.clock),
            after_noon: self.after_noon.or(other.after_noon),
            is_loose: self.is_loose || (!has_day && other.is_loose),
            repeats: self.repeats || (!has_day && other.repeats),
        }
    }

    /// Whether it names a day, or a wait.
    pub const fn has_day(self) -> bool {
        self.day.is_some() || self.wait.is_some()
    }

    /// Whether it names an hour.
    pub const fn has_hour(self) -> bool {
        self.clock.is_some()
    }

    /// Whether it is a moment, and not a deadline or what comes again and again.
    pub const fn is_moment(self) -> bool {
        !self.is_loose && !self.repeats
    }

    /// Whether it says how long to wait, as `in two hours`.
    pub const fn is_wait(self) -> bool {
        self.wait.is_some()
    }

    /// The time of a clock that it means: of this day if it names none.
    pub fn wall_time(self, day: Option<WallTime>, now: &Zoned) -> Option<WallTime> {
        let clock = self.clock.filter(|_| self.is_moment())?;
        let day = match &self.days(now.date())[..] {
            _ if !self.has_day() => day?.civil().date(),
            [day] => *day,
            _ => return None,
        };
        WallTime::on(day, clock.hour, clock.minute)
    }

    /// Whether everything that it names is in another time too.
    pub fn is_part_of(self, whole: Self) -> bool {
        fn is_in<T: PartialEq + Copy>(part: Option<T>, whole: Option<T>) -> bool {
            part.is_none() || part == whole
        }
        is_in(self.day, whole.day)
            && is_in(self.weekday, whole.weekday)
            && is_in(self.clock, whole.clock)
            && is_in(self.after_noon, whole.after_noon)
            && is_in(self.wait, whole.wait)
    }

    /// Whether it may mean this day, said on `today`.
    pub fn may_be_on(self, day: Date, today: Date) -> bool {
        self.has_day() && !self.repeats && self.days(today).contains(&day)
    }

    /// The one day that it means, said on `today`.
    pub fn day(self, today: Date) -> Option<Date> {
        let [day] = <[Date; 1]>::try_from(self.days(today)).ok().filter(|_| self.has_day() && !self.repeats)?;
        Some(day)
    }

    /// The one time of a day that it means.
    pub fn time(self) -> Option<Time> {
        let [(_, time)] = <[(i64, Time); 1]>::try_from(self.clock_hours()).ok()?;
        Some(time)
    }

    /// The one time of one day that it means, said on `today`.
    pub fn certain_wall_time(self, today: Date) -> Option<WallTime> {
        let time = self.time().filter(|_| self.is_moment())?;
        WallTime::on(self.day(today)?, time.hour(), time.minute())
    }

    /// Whether it may mean this time of a day.
    pub fn may_be_at(self, time: Time) -> bool {
        let is_other_half =
            |clock: Clock| clock.is_bare && clock.minute == time.minute() && clock.hour + 12 == time.hour();
        self.clock_hours().iter().any(|(_, hour)| *hour == time) || self.clock.is_some_and(is_other_half)
    }

    /// Whether it names the half of the day that begins at noon, or the other one.
    pub const fn is_after_noon(self) -> Option<bool> {
        self.after_noon
    }

    /// The moment that it means now, in the time zone of `now`.
    pub fn resolve(self, now: &Zoned) -> Result<Zoned, Doubt> {
        let doubt = |why| Err(Doubt { why, options: Vec::new() });
        if self.repeats {
            return doubt(Why::Repeats);
        }
        if self.is_loose || self.day == Some(Day::NextWeek) {
            return doubt(Why::Loose);
        }
        if let Some((count, unit @ (Unit::Minutes | Unit::Hours))) = self.wait {
            let minutes = i64::from(count) * if unit == Unit::Hours { 60 } else { 1 };
            let at = now.checked_add(SignedDuration::from_mins(minutes)).into_iter().collect();
            return chosen(now, at, false);
        }
        let days = self.days(now.date());
        if days.is_empty() {
            return doubt(Why::NoSuchDay);
        }
        let hours = self.hours(now);
        if hours.is_empty() {
            return doubt(Why::NoHour);
        }
        let (mut moments, mut is_skipped) = (Vec::new(), false);
        for (day, (after, time)) in days.iter().flat_map(|day| hours.iter().map(move |hour| (day, hour))) {
            let Ok(day) = day.checked_add(Span::new().days(*after)) else { continue };
            let local = now.time_zone().to_ambiguous_zoned(day.to_datetime(*time));
            match local.offset() {
                AmbiguousOffset::Unambiguous { .. } => moments.extend(local.compatible()),
                AmbiguousOffset::Gap { .. } | AmbiguousOffset::Fold { .. } => {
                    is_skipped |= matches!(local.offset(), AmbiguousOffset::Gap { .. });
                    moments.extend([local.clone().earlier(), local.later()].into_iter().flatten());
                }
            }
        }
        if !self.has_day() && !is_skipped {
            // `at 9` is the next one of today, if there is one.
            if moments.iter().any(|moment| moment > now) {
                moments.retain(|moment| moment > now);
            } else {
                return Err(Doubt { why: Why::Past, options: self.instead(now, &moments) });
            }
        }
        chosen(now, moments, is_skipped)
    }

    /// What an hour of today that is past may mean: the same of tomorrow, or twelve hours later today.
    fn instead(self, now: &Zoned, past: &[Zoned]) -> Vec<Zoned> {
        let is_bare = self.clock.is_some_and(|clock| clock.is_bare);
        let hours: &[i64] = if is_bare { &[12] } else { &[] };
        let today = hours.iter().filter_map(|hours| past.first()?.checked_add(SignedDuration::from_hours(*hours)).ok());
        let tomorrow = past.iter().filter_map(|moment| moment.checked_add(Span::new().days(1)).ok());
        today.chain(tomorrow).filter(|moment| moment > now).collect()
    }

    /// The days that it may mean; none where there is no such day.
    fn days(self, today: Date) -> Vec<Date> {
        let ahead = |span: Span| today.checked_add(span).into_iter().collect::<Vec<_>>();
        let coming = |weekday: Weekday| i64::from(weekday.since(today.weekday()));
        let left = i64::from(Weekday::Sunday.since(today.weekday()));
        let dated = |year: Option<i16>, month, day| match year {
            Some(year) => Date::new(year, month, day).ok(),
            // Far enough to meet a 29 February.
            None => {
                (0..=8).filter_map(|more| Date::new(today.year() + more, month, day).ok()).find(|day| *day >= today)
            }
        };
        let mut days = match (self.wait, self.day) {
            (Some((count, unit)), _) => ahead(match unit {
                Unit::Weeks => Span::new().weeks(count),
                Unit::Months => Span::new().months(count),
                _ => Span::new().days(count),
            }),
            (None, None | Some(Day::NextWeek)) => vec![today],
            (None, Some(Day::Ahead(days))) => ahead(Span::new().days(days)),
            (None, Some(Day::Weekday(weekday, which))) => {
                let in_days = coming(weekday);
                let counts = match which {
                    Which::Coming if in_days == 0 => vec![0, 7],
                    Which::Next if in_days == 0 => vec![7],
                    // `next Friday` on a Monday: people mean either.
                    Which::Next if in_days <= left => vec![in_days, in_days + 7],
                    Which::Coming | Which::This | Which::Next => vec![in_days],
                    Which::NextWeek => vec![left + i64::from(weekday.to_monday_one_offset())],
                };
                counts.into_iter().flat_map(|count| ahead(Span::new().days(count))).collect()
            }
            (None, Some(Day::Date(year, month, day))) => dated(year, month, day).into_iter().collect(),
            (None, Some(Day::Slashed(year, one, two))) => {
                dated(year, one, two).into_iter().chain(dated(year, two, one)).collect()
            }
            (None, Some(Day::OfMonth(day))) => {
                let months =
                    (0..=2).filter_map(|more| today.first_of_month().checked_add(Span::new().months(more)).ok());
                let mut days = months.filter_map(|first| Date::new(first.year(), first.month(), day).ok());
                days.find(|day| *day >= today).into_iter().collect()
            }
        };
        days.retain(|day| self.weekday.is_none_or(|weekday| day.weekday() == weekday));
        days.dedup();
        days
    }

    /// The hours that it may mean, each with the days that it is later.
    fn hours(self, now: &Zoned) -> Vec<(i64, Time)> {
        if self.clock.is_some() {
            return self.clock_hours();
        }
        // `in three days` is at this hour.
        let same = self.wait.map(|_| (0, now.time()));
        same.into_iter().collect()
    }

    fn clock_hours(self) -> Vec<(i64, Time)> {
        let Some(Clock { hour, minute, is_bare }) = self.clock else { return Vec::new() };
        let is_named = self.has_day();
        let hours: &[(i64, i8)] = match (hour, self.after_noon) {
            (24, None) if is_named => &[(0, 0), (1, 0)],
            (24, _) => &[(1, 0)],
            (1..12, Some(true)) => &[(0, hour + 12)],
            // In a plan of the day, 9 is in the morning, and 3 may be either.
            (1..7, None) if is_bare => &[(0, hour), (0, hour + 12)],
            _ => &[(0, hour)],
        };
        hours.iter().filter_map(|(days, hour)| Some((*days, Time::new(*hour, minute, 0, 0).ok()?))).collect()
    }

    /// Takes a part, unless it has one already.
    fn add(&mut self, piece: Piece) -> bool {
        let is_dated = self.has_day();
        match piece {
            Piece::Day(date @ (Day::Date(..) | Day::Slashed(..) | Day::OfMonth(_)), _)
                if let Some(Day::Weekday(weekday, Which::Coming)) = self.day =>
            {
                (self.day, self.weekday) = (Some(date), Some(weekday));
            }
            Piece::Day(Day::NextWeek, _) if let Some(Day::Weekday(weekday, Which::Coming)) = self.day => {
                self.day = Some(Day::Weekday(weekday, Which::NextWeek));
            }
            Piece::Day(Day::Weekday(weekday, Which::Coming), _) if self.day == Some(Day::NextWeek) => {
                self.day = Some(Day::Weekday(weekday, Which::NextWeek));
            }
            Piece::Day(day, half) if !is_dated => {
                (self.day, self.after_noon) = (Some(day), half.or(self.after_noon));
            }
            Piece::Clock(clock)
                if self.clock.is_none() && !matches!(self.wait, Some((_, Unit::Minutes | Unit::Hours))) =>
            {
                self.clock = Some(clock);
            }
            Piece::Moment(day, clock) if !is_dated && self.clock.is_none() => {
                (self.day, self.clock) = (Some(day), Some(clock));
            }
            Piece::Half(half) if self.after_noon.is_none() => self.after_noon = Some(half),
            Piece::Wait(count, unit)
                if !is_dated && (self.clock.is_none() || !matches!(unit, Unit::Minutes | Unit::Hours)) =>
            {
                self.wait = Some((count, unit));
            }
            Piece::Repeats => self.repeats = true,
            _ => return false,
        }
        true
    }
}

/// The one moment that is meant, if it is certain and can be planned.
fn chosen(now: &Zoned, mut moments: Vec<Zoned>, is_skipped: bool) -> Result<Zoned, Doubt> {
    moments.sort();
    moments.dedup();
    let (many, all_past) = (moments.len() > 1, moments.iter().all(|moment| moment <= now));
    let latest = now.timestamp() + MAX_AHEAD;
    moments.retain(|moment| moment > now && moment.timestamp() <= latest);
    let why = match moments.as_slice() {
        [moment] if !many => return Ok(moment.clone()),
        _ if is_skipped => Why::Skipped,
        [] if all_past => Why::Past,
        [] => Why::TooFar,
        _ => Why::Several,
    };
    Err(Doubt { why, options: moments })
}

/// The time that begins at a word, and the word behind it.
fn named(words: &[Word<'_>], from: usize) -> Option<(NamedTime, usize)> {
    // Every part of a time has a digit or is known.
    if words[from].phrases.is_empty() && !words[from].text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mut when, mut at, mut end) = (When::default(), from, from);
    while at < words.len() {
        let mut after_at = false;
        // Few small words stand together: `on the`, `a las`.
        for _ in 0..2 {
            if at + 1 < words.len()
                && piece(words, at, after_at).is_none()
                && words[at].is("lead")
                && words[at].is_joined
            {
                after_at = words[at].is("at");
                at += 1;
            }
        }
        let Some((part, count)) = piece(words, at, after_at) else { break };
        if !when.add(part) {
            break;
        }
        at += count;
        end = at;
        let last = &words[at - 1];
        if !(last.is_joined || (last.has_dot && (last.text.contains('.') || last.is("month")))) {
            break;
        }
    }
    let is_time = when.day.is_some() || when.clock.is_some() || when.wait.is_some() || when.repeats;
    if !is_time {
        return None;
    }
    // `sun` and `wed` are weekdays only beside an hour.
    if when.clock.is_none() && words[end - 1].is("weekday") && words[end - 1].text.len() < 5 {
        return None;
    }
    let before = from.checked_sub(1).map(|before| &words[before]);
    if let Some(before) = before.filter(|before| before.is_joined) {
        when.repeats |= before.is("every");
        when.is_loose |= before.is("loose");
    }
    let mut last = end - 1;
    if words[last].is_joined && words.get(end).is_some() {
        let zone = zone(words, end).filter(|_| when.clock.is_some());
        let range = known(words, end, "range").map_or(0, |(_, count)| count);
        let goes_on = range > 0 && piece(words, end + range, true).is_some();
        // `nueve y media`, `neuf heures moins le quart`
        let is_more = when.clock.is_some() && known(words, end + range, "fraction").is_some();
        when.is_loose |= zone.is_some() || goes_on || is_more;
        last += zone.unwrap_or_default();
    }
    let place = words[from].place.start..words[last].place.end;
    Some((NamedTime { place, when }, last + 1))
}

/// How many words name a time zone here: `UTC`, `New York time`.
fn zone(words: &[Word<'_>], at: usize) -> Option<usize> {
    let is_upper = |word: &Word<'_>| word.raw.chars().all(char::is_uppercase);
    if words.get(at).is_some_and(|word| word.is("zone") && is_upper(word)) {
        return Some(1);
    }
    let is_name = |word: &&Word<'_>| !word.is("time") && (word.is("whose") || word.raw.starts_with(char::is_uppercase));
    let names = words.get(at..)?.iter().take(3).take_while(is_name).count();
    (names > 0 && words.get(at + names)?.is("time")).then_some(names + 1)
}

/// The part of a time that begins at a word, and how many words it has.
fn piece(words: &[Word<'_>], at: usize, after_at: bool) -> Option<(Piece, usize)> {
    wait(words, at)
        .or_else(|| date(words, at).map(|(day, count)| (Piece::Day(day, None), count)))
        .or_else(|| moment(words, at))
        .or_else(|| clock(words, at, after_at).map(|(clock, count)| (Piece::Clock(clock), count)))
        .or_else(|| day(words, at))
        .or_else(|| {
            let (half, count) = known(words, at, "part")?;
            Some((Piece::Half(half == 1), count))
        })
        .or_else(|| known(words, at, "weekdays").map(|(_, count)| (Piece::Repeats, count)))
}

/// `in two hours`, `in half an hour`, `three days from now`.
fn wait(words: &[Word<'_>], at: usize) -> Option<(Piece, usize)> {
    let lead = known(words, at, "in").map(|(_, count)| count);
    let from = at + lead.unwrap_or_default();
    if let Some((_, count)) = known(words, from, "half-hour").filter(|_| lead.is_some()) {
        return Some((Piece::Wait(30, Unit::Minutes), from + count - at));
    }
    let (count, n) = number(words, from, 3)?;
    let (unit, m) = UNITS.iter().find_map(|(name, unit)| Some((*unit, known(words, from + n, name)?.1)))?;
    let end = from + n + m;
    let end = if lead.is_some() { end } else { end + known(words, end, "from-now")?.1 };
    Some((Piece::Wait(count, unit), end - at))
}

/// `9:30`, `9am`, `9 p.m.`, `14 Uhr`, `14h30`, `noon`; behind `at`, `9` and `nine`.
fn clock(words: &[Word<'_>], at: usize, after_at: bool) -> Option<(Clock, usize)> {
    if let Some((hour, count)) = known(words, at, "clock") {
        return Some((Clock { hour, minute: 0, is_bare: false }, count));
    }
    let word = &words.get(at)?.text;
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (hour, rest, mut count) = match digits {
        0 => {
            let (hour, count) = known(words, at, "number").filter(|_| after_at)?;
            (hour, "", count)
        }
        1 | 2 => (word[..digits].parse().ok()?, &word[digits..], 1),
        _ => return None,
    };
    let (mark, minutes) = match rest.split_at_checked(1) {
        Some((mark @ (":" | "." | "h"), rest)) if rest.starts_with(|c: char| c.is_ascii_digit()) => (mark, rest),
        _ => ("", ""),
    };
    let (minute, suffix) = match minutes.split_at_checked(2) {
        Some((minute, suffix)) => (Some(minute.parse::<i8>().ok().filter(|minute| *minute < 60)?), suffix),
        None if minutes.is_empty() => (None, rest),
        None => return None,
    };
    // Seconds are read and are none.
    let suffix = suffix.strip_prefix(":00").unwrap_or(suffix);
    let (mut half, mut is_marked) = (None, mark == ":" || mark == "h");
    let is_joined = |count: usize| words[at + count - 1].is_joined;
    // `nine thirty`, `9 Uhr 30`
    let minutes = |count: usize| {
        let spoken =
            number(words, at + count, 2).filter(|(minute, _)| is_joined(count) && (10..60).contains(minute))?;
        Some((i8::try_from(spoken.0).ok()?, spoken.1))
    };
    let mut minute = minute;
    match suffix {
        "" => {
            if let Some((spoken, n)) = minutes(count).filter(|_| minute.is_none()) {
                (minute, count) = (Some(spoken), count + n);
            }
            let next = |meaning| known(words, at + count, meaning).filter(|_| is_joined(count)).map(|(_, n)| n);
            if let Some(n) = next("am") {
                (half, count) = (Some(false), count + n);
            } else if let Some(n) = next("pm") {
                (half, count) = (Some(true), count + n);
            } else if let Some(n) = next("hour-mark") {
                (is_marked, count) = (true, count + n);
                if let Some((spoken, n)) = minutes(count).filter(|_| minute.is_none()) {
                    (minute, count) = (Some(spoken), count + n);
                }
            } else if let Some(n) = next("o-clock") {
                return hour_of(hour, minute, None, !is_marked).map(|clock| (clock, count + n));
            }
        }
        "am" | "a.m" | "a" => half = Some(false),
        "pm" | "p.m" | "p" => half = Some(true),
        "h" => is_marked = true,
        _ => return None,
    }
    if half.is_none() && !is_marked {
        // `um 20 Minuten` and `at 3 May` are no hours; nor is `14.30` without `Uhr`.
        let is_other =
            UNITS.iter().map(|(unit, _)| *unit).chain(["month"]).any(|other| known(words, at + count, other).is_some());
        if !after_at || is_other || mark == "." {
            return None;
        }
    }
    hour_of(hour, minute, half, !is_marked && half.is_none() && minute.is_none()).map(|clock| (clock, count))
}

fn hour_of(hour: i8, minute: Option<i8>, half: Option<bool>, is_bare: bool) -> Option<Clock> {
    let hour = match half {
        None => Some(hour).filter(|hour| (0..24).contains(hour)),
        Some(after_noon) => Some(hour % 12 + if after_noon { 12 } else { 0 }).filter(|_| (1..=12).contains(&hour)),
    }?;
    Some(Clock { hour, minute: minute.unwrap_or_default(), is_bare })
}

/// `2026-12-03T09:00`.
fn moment(words: &[Word<'_>], at: usize) -> Option<(Piece, usize)> {
    let raw = words.get(at)?.raw;
    // Without an offset, which would be read over.
    let local: DateTime = raw.parse().ok().filter(|_| raw.contains(['T', 't']) && raw.len() <= 19)?;
    let day = Day::Date(Some(local.year()), local.month(), local.day());
    Some((Piece::Moment(day, Clock { hour: local.hour(), minute: local.minute(), is_bare: false }), 1))
}

/// `3 December 2026`, `December 3rd`, `3.12.`, `2026-12-03`, `3/4`, `the 5th`.
fn date(words: &[Word<'_>], at: usize) -> Option<(Day, usize)> {
    let year = |at: usize| {
        let word = words.get(at).filter(|_| at > 0 && words[at - 1].is_joined)?;
        word.text.parse::<i16>().ok().filter(|year| (2000..2200).contains(year))
    };
    let dated = |month: i8, day: i8, end: usize| match year(end) {
        Some(year) => (Day::Date(Some(year), month, day), end + 1 - at),
        None => (Day::Date(None, month, day), end - at),
    };
    let word = words.get(at)?;
    if let Some((month, count)) = known(words, at, "month") {
        let day = ordinal(&words.get(at + count)?.text)?;
        return Some(dated(month, day, at + count + 1));
    }
    if let Some(day) = ordinal(&word.text) {
        let of = at + 1 + known(words, at + 1, "of").map_or(0, |(_, count)| count);
        if let Some((month, count)) = known(words, of, "month").filter(|_| word.is_joined || word.has_dot) {
            return Some(dated(month, day, of + count));
        }
        let is_ordinal = !word.text.bytes().all(|c| c.is_ascii_digit());
        return is_ordinal.then_some((Day::OfMonth(day), 1));
    }
    let parts = |mark: char| -> Option<Vec<i16>> { word.text.split(mark).map(|part| part.parse().ok()).collect() };
    let small = |number: i16| i8::try_from(number).ok();
    let full = |year: i16| if (0..100).contains(&year) { year + 2000 } else { year };
    match (parts('-').as_deref(), parts('.').as_deref(), parts('/').as_deref()) {
        (Some(&[year, month, day]), ..) if year >= 2000 => Some((Day::Date(Some(year), small(month)?, small(day)?), 1)),
        (_, Some(&[day, month, year]), _) => Some((Day::Date(Some(full(year)), small(month)?, small(day)?), 1)),
        (_, Some(&[day, month]), _) if word.has_dot => Some((Day::Date(None, small(month)?, small(day)?), 1)),
        (.., Some(&[one, two, year])) => Some((Day::Slashed(Some(full(year)), small(one)?, small(two)?), 1)),
        (.., Some(&[one, two])) => Some((Day::Slashed(None, small(one)?, small(two)?), 1)),
        _ => None,
    }
}

/// `tomorrow`, `Friday`, `next Monday`, `next week`.
fn day(words: &[Word<'_>], at: usize) -> Option<(Piece, usize)> {
    if let Some((ahead, count)) = known(words, at, "day") {
        let half = known(words, at, "part").filter(|(_, n)| *n == count).map(|(half, _)| half == 1);
        return Some((Piece::Day(Day::Ahead(ahead), half), count));
    }
    if let Some((_, count)) = known(words, at, "next-week") {
        return Some((Piece::Day(Day::NextWeek, None), count));
    }
    let which = [("next", Which::Next), ("this", Which::This)];
    let lead = which.iter().find_map(|(name, which)| Some((*which, known(words, at, name)?.1)));
    let (mut which, count) = lead.unwrap_or((Which::Coming, 0));
    let (weekday, n) = known(words, at + count, "weekday")?;
    let weekday = Weekday::from_monday_one_offset(weekday).ok()?;
    let mut end = at + count + n;
    // `lundi prochain`
    if let Some((_, n)) = known(words, end, "next").filter(|_| count == 0 && words[end].text != "next") {
        (which, end) = (Which::Next, end + n);
    }
    Some((Piece::Day(Day::Weekday(weekday, which), None), end - at))
}

/// A number in at most so many digits, or in words.
fn number(words: &[Word<'_>], at: usize, digits: usize) -> Option<(i32, usize)> {
    let text = &words.get(at)?.text;
    let written = text.parse().ok().filter(|_| text.len() <= digits && text.bytes().all(|c| c.is_ascii_digit()));
    let named = || known(words, at, "count").or_else(|| known(words, at, "number"));
    written.map(|number| (number, 1)).or_else(|| named().map(|(number, count)| (number.into(), count)))
}

/// The day of a month: `3`, `3rd`.
fn ordinal(word: &str) -> Option<i8> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let is_suffix = matches!(&word[digits..], "" | "st" | "nd" | "rd" | "th" | "er" | "º");
    word[..digits].parse().ok().filter(|day| is_suffix && digits <= 2 && (1..=31).contains(day))
}

/// A word of a text, with what may follow it within one time.
struct Word<'a> {
    place: Range<usize>,
    raw: &'a str,
    /// In lower case.
    text: String,
    /// The phrases that begin here, each with its value and how many words it has.
    phrases: Vec<(&'static str, i8, usize)>,
    /// Only white space or a comma stands between it and the next word.
    is_joined: bool,
    /// A full stop follows.
    has_dot: bool,
}

impl Word<'_> {
    fn is(&self, meaning: &str) -> bool {
        self.phrases.iter().any(|(name, _, count)| (*name, *count) == (meaning, 1))
    }
}

/// The words of a text. `9:30`, `3.12.2026`, `o'clock` and an address are one word.
fn words(text: &str) -> Vec<Word<'_>> {
    // No word of a time is longer.
    const LONGEST_WORD: usize = 40;
    const LONGEST_PHRASE: usize = 4;
    let (mut words, mut at) = (Vec::<Word<'_>>::new(), 0);
    while let Some(start) = text[at..].find(is_in_word).map(|gap| at + gap) {
        if let Some(last) = words.last_mut() {
            let gap = &text[at..start];
            last.has_dot = gap.starts_with('.');
            last.is_joined = gap.strip_prefix(',').unwrap_or(gap).chars().all(|c| c.is_whitespace() && c != '\n');
        }
        for (i, c) in text[start..].char_indices().take(LONGEST_WORD) {
            let next = start + i + c.len_utf8();
            let follows = || text[next..].starts_with(char::is_alphanumeric);
            let is_inside = ":./-'’".contains(c) && follows();
            if !is_in_word(c) && !is_inside {
                break;
            }
            at = next;
        }
        let raw = &text[start..at];
        let (text, phrases) = (raw.to_lowercase().replace('’', "'"), Vec::new());
        words.push(Word { place: start..at, raw, text, phrases, is_joined: false, has_dot: false });
    }
    if let Some(last) = words.last_mut() {
        last.has_dot = text[at..].starts_with('.');
    }
    for at in 0..words.len() {
        let mut phrase = String::new();
        for n in 1..=LONGEST_PHRASE.min(words.len() - at) {
            phrase.push_str(&words[at + n - 1].text);
            let known = MEANINGS.get(phrase.as_str()).into_iter().flatten();
            words[at].phrases.extend(known.map(|(name, value)| (*name, *value, n)));
            if !words[at + n - 1].is_joined {
                break;
            }
            phrase.push(' ');
        }
    }
    words
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || "@_+".contains(c)
}

/// The longest phrase of a meaning that begins at a word: its value, and how many words it has.
fn known(words: &[Word<'_>], at: usize, meaning: &str) -> Option<(i8, usize)> {
    let phrases = words.get(at)?.phrases.iter().filter(|(name, ..)| *name == meaning);
    phrases.max_by_key(|(.., count)| *count).map(|(_, value, count)| (*value, *count))
}

/// By phrase, its meanings with their values.
static MEANINGS: LazyLock<HashMap<&str, Vec<(&'static str, i8)>>> = LazyLock::new(|| {
    let mut meanings: HashMap<&str, Vec<(&'static str, i8)>> = HashMap::new();
    let lines = include_str!("when.txt").lines().filter(|line| !line.starts_with('#'));
    for (meaning, phrases) in lines.filter_map(|line| line.split_once(": ")) {
        let Some((name, Ok(value))) = meaning.split_once(' ').map(|(name, value)| (name, value.parse())) else {
            continue;
        };
        phrases.split(" | ").for_each(|phrase| meanings.entry(phrase).or_default().push((name, value)));
    }
    meanings
});

impl Moment {
    /// The same without its time zone.
    pub const fn send_at(self) -> SendAt {
        self.at
    }
}

impl From<&Zoned> for Moment {
    /// In whole seconds.
    fn from(moment: &Zoned) -> Self {
        let at = moment.timestamp();
        Self { at: SendAt(Timestamp::from_second(at.as_second()).unwrap_or(at)), offset: moment.offset() }
    }
}

impl FromStr for Moment {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let offset = Pieces::parse(text).ok().and_then(|pieces| pieces.to_numeric_offset());
        Ok(Self { at: text.parse()?, offset: offset.unwrap_or(Offset::UTC) })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.0.display_with_offset(self.offset).fmt(f)
    }
}

#[cfg(test)]
mod tests;
