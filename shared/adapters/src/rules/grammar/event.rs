//! Events: `invite Ana tomorrow at 10 for half an hour`, `schedule a call with Ana on Friday at 15:00`. A prompt is one only if
//! every word of it is understood. Any other may still be a mail.

use domain::When;

use super::{Grammar, LONGEST, Person, is_proper_name};
use crate::rules::capitalised;

/// What the rules understood of an event.
#[derive(Default)]
pub(in crate::rules) struct Event {
    /// Who is invited.
    pub people: Vec<Person>,
    /// The person's own words for it.
    pub title: String,
    /// The words for when it begins.
    pub start: String,
    /// How long it takes.
    pub minutes: Option<u32>,
    /// The action that sends mails from the account that is named.
    pub account: Option<&'static str>,
    is_meeting: bool,
}

impl Grammar<'_, '_> {
    /// The event that the prompt asks for, if it asks for nothing else.
    pub fn event(&self) -> Option<Event> {
        let (p, mut event, mut at) = (self.prompt, Event::default(), 0);
        while p.phrase("calendar", at).is_none() {
            at = self.start(&mut event, at).or_else(|| self.polite(at))?;
        }
        let invites = p.word(at) == "invite";
        at += p.phrase("calendar", at)?;
        at = if invites { self.guests(&mut event, at) } else { self.thing(&mut event, at) }?;
        while at < p.len() {
            let next = self.start(&mut event, at).or_else(|| self.length(&mut event, at));
            let next = next.or_else(|| self.guests(&mut event, at + p.phrase("guests", at)?));
            let next = next.or_else(|| self.thing(&mut event, at + p.phrase("titled", at).or(p.phrase("thing", at))?));
            at = next.or_else(|| self.calendar(&mut event, at)).or_else(|| self.polite(at))?;
        }
        if event.title.is_empty() {
            event.title = event.people.iter().map(Person::shown).collect::<Vec<_>>().join(", ");
        }
        let has_hour = When::read(&event.start).is_some_and(When::has_hour);
        (has_hour && (invites || event.is_meeting)).then_some(event)
    }

    fn polite(&self, at: usize) -> Option<usize> {
        let polite = ["request", "opening", "courtesy", "pause", "break"].into_iter();
        polite.filter_map(|meaning| self.prompt.phrase(meaning, at)).max().map(|n| at + n)
    }

    /// Day and hour may stand apart.
    fn start(&self, event: &mut Event, at: usize) -> Option<usize> {
        let end = self.prompt.time(at, false)?;
        let said = [event.start.as_str(), self.prompt.slice(at, end)].join(" ");
        When::read(&said)?;
        said.trim().clone_into(&mut event.start);
        Some(end)
    }

    /// `for half an hour`, `for 45 minutes`, `for 2h`.
    fn length(&self, event: &mut Event, at: usize) -> Option<usize> {
        let p = self.prompt;
        let from = at + usize::from(p.word(at) == "for");
        let phrase = [("half-hour", 30), ("one-hour", 60)].into_iter();
        let phrase = phrase.filter_map(|(meaning, minutes)| Some((minutes, from + p.phrase(meaning, from)?)));
        let number = || {
            let (word, numbers) = (p.word(from), ["one", "two", "three", "four"]);
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            let spoken = numbers.iter().position(|number| *number == word).map(|place| (place + 1).to_string());
            let (count, unit) = spoken.as_deref().map_or_else(|| word.split_at(digits), |count| (count, ""));
            let (unit, end) = if unit.is_empty() { (p.word(from + 1), from + 2) } else { (unit, from + 1) };
            let minutes = match unit {
                "min" | "mins" | "minute" | "minutes" => 1,
                "h" | "hr" | "hrs" | "hour" | "hours" => 60,
                _ => return None,
            };
            Some((count.parse::<u32>().ok()?.checked_mul(minutes)?, end))
        };
        let (minutes, end) = phrase.max_by_key(|(_, end)| *end).or_else(number)?;
        event.minutes.replace(minutes).is_none().then_some(end)
    }

    fn guests(&self, event: &mut Event, at: usize) -> Option<usize> {
        let (p, mut next) = (self.prompt, at);
        loop {
            let address = self.mailbox(next).map(|(address, end)| (Person::Address(address), end));
            let Some((person, end)) = address.or_else(|| self.known_name(next)) else {
                return (next > at).then_some(next);
            };
            event.people.push(person);
            next = p.without("list-mark", end);
            if next == end || (self.mailbox(next).is_none() && self.known_name(next).is_none()) {
                return Some(end);
            }
        }
    }

    /// The longest name that begins here.
    fn known_name(&self, at: usize) -> Option<(Person, usize)> {
        let p = self.prompt;
        let is_part = |i| p.means(i, "word") && p.time(i, false).is_none();
        let is_name = |end: &usize| (at..*end).all(is_part) && is_proper_name(p.slice(at, *end));
        let end = (at + 1..=at + 3).rev().find(is_name)?;
        Some((Person::named(p.slice(at, end)), end))
    }

    /// What it is: a quotation, or words up to another part.
    fn thing(&self, event: &mut Event, at: usize) -> Option<usize> {
        let p = self.prompt;
        let from = p.without("article", at);
        let ends = |i: &usize| {
            let other = ["guests", "in-calendar", "connector", "relative", "condition"];
            !p.means(*i, "word")
                || p.time(*i, false).is_some()
                || other.iter().any(|meaning| p.phrase(meaning, *i).is_some())
                || self.account(*i, false).is_some()
                || self.length(&mut Event::default(), *i).is_some()
        };
        let (title, end) = if let Some(quoted) = p.quoted(from) {
            (quoted.trim().to_owned(), from + 1)
        } else {
            let end = (from..from + LONGEST).find(ends)?;
            (capitalised(p.slice(from, end)), end)
        };
        if title.is_empty() || !event.title.is_empty() || (from..end).any(|i| p.means(i, "noun")) {
            return None;
        }
        event.is_meeting |= p.quoted(from).is_some() || (from..end).any(|i| p.means(i, "meeting"));
        event.title = title;
        Some(end)
    }

    /// `in my Outlook calendar`
    fn calendar(&self, event: &mut Event, at: usize) -> Option<usize> {
        let p = self.prompt;
        if let Some((account, end)) = self.account(at + usize::from(p.word(at) == "into"), false) {
            event.account = Some(account);
            return Some(end);
        }
        event.is_meeting = true;
        Some(at + p.phrase("in-calendar", at)?)
    }
}
