//! The lookups of an answer. The request says what to look for. Until the account is read, samples replace the references;
//! then the found values do. Both pass the same checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use async_trait::async_trait;
use domain::{
    Address, ChoiceOption, ClarificationKind, ClockTime, Evidence, Find, Lookup, LookupId, Mention, Part,
    QUOTATION_MARKS, Question, Reference, Source, Violation, When, is_hidden, places_of_name, quotations, sha256_hex,
};
use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::{Reading, invalid, shown},
    request::Request,
    sentence::free_time_condition,
};
use crate::{
    Object, Problem,
    ports::{
        Access, Book, Call, Done, FoundEvent, FoundPerson, ParamAddress, ProviderError, RenderContext, RenderError,
        Rendered,
    },
    texts::{Holds, Looked, looked_up_fields},
};

/// The most lookups of one plan.
pub(super) const MAX_LOOKUPS: usize = 5;
/// The most characters of a name or of a title that is looked for.
const MAX_NAME: usize = 100;
/// The topics of questions about a lookup begin with this. A model is told neither these questions nor their answers:
/// they depend on the account.
const TOPIC: &str = "lookup-";
/// Endings that make an owner of a word.
const OWNERS: [&str; 2] = ["'s", "’s"];
/// The domain of the addresses that stand for those to look up. It can never exist (RFC 2606).
const SAMPLE_DOMAIN: &str = "lookup.invalid";
/// The most characters of a name from an account that are shown.
const MAX_SHOWN_NAME: usize = 80;

/// A lookup as a planner writes it.
#[derive(Deserialize)]
#[serde(tag = "find", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawLookup {
    Contact { id: LookupId, name: String },
    Event { id: LookupId, day: String, at: Option<String>, title: Option<String> },
    FreeTime { id: LookupId, day: String, minutes: u16, from: Option<String>, to: Option<String> },
}

/// What an account holds for each lookup of a plan.
pub(crate) type Findings = BTreeMap<LookupId, Finding>;

/// What an account holds for one lookup. It is sealed with the plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    /// People who may be meant: those with the whole name, if there are any.
    People { matches: Vec<FoundPerson>, is_whole: bool, more: usize },
    /// The account's own events that may be meant.
    Events { matches: Vec<FoundEvent>, more: usize },
    /// The first time that is free.
    FreeTime { start: Option<Timestamp> },
}

/// A lookup of an answer.
pub(super) struct Wanted {
    pub lookup: Lookup,
    /// The request says what it looks for.
    is_said: bool,
    /// The request's words for it.
    pub label: String,
    /// Where the prompt has them; none where an answer has.
    pub mention: Option<Mention>,
}

/// An address in the place of a reference.
pub(super) struct Derived {
    pub address: Address,
    /// None for a sample.
    pub source: Option<Source>,
    /// The place of the lookup among the answer's.
    pub wanted: usize,
}

/// What a reference stands for.
enum Stand {
    /// The account was not read yet.
    Unread,
    Addresses(Vec<(Address, Source)>),
    Start(Timestamp),
    /// A person has to say.
    Open(Box<Question>),
}

/// What became of the references in one action's params.
#[derive(Default)]
pub(super) struct Filled {
    /// The lookups.
    pub lookups: BTreeSet<LookupId>,
    /// References that samples stand for.
    pub references: Vec<Reference>,
    /// The fields of times among them.
    pub times: Vec<(String, Reference)>,
    /// Something that was found stands in the place of others.
    pub has_found: bool,
    /// What has to be asked first.
    pub questions: Vec<Question>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Whether a question is about a lookup.
pub(super) fn is_about_lookup(question: &Question) -> bool {
    question.topic.starts_with(TOPIC)
}

/// The lookups of an answer, each with an id of its own and with a reference to it.
pub(super) fn read(
    raw: Vec<Object<RawLookup>>,
    actions: &[&Value],
    request: Request<'_>,
    now: &Zoned,
) -> Result<Vec<Wanted>, Problem> {
    let refused = |place: usize, why: &str| {
        let pointer = format!("/lookups/{place}");
        invalid(&format!("lookup {place} {why}"), &pointer, why)
    };
    if raw.len() > MAX_LOOKUPS {
        let why = format!("{} lookups, where {MAX_LOOKUPS} are the most", raw.len());
        return Err(invalid(&why, "/lookups", &why));
    }
    let mut referred = BTreeSet::new();
    for params in actions {
        collect(params, &mut referred);
    }
    let words = Words::of(request, now);
    let mut wanted: Vec<Wanted> = Vec::new();
    for (place, Object(raw)) in raw.into_iter().enumerate() {
        let next = words.wanted(raw).map_err(|why| refused(place, why))?;
        if wanted.iter().any(|known| known.lookup.id == next.lookup.id) {
            return Err(refused(place, "has the id of another one"));
        }
        if !referred.contains(&next.lookup.id) {
            return Err(refused(place, "is not referred to by any action"));
        }
        wanted.push(next);
    }
    Ok(wanted)
}

/// The lookups that params refer to.
fn collect(value: &Value, referred: &mut BTreeSet<LookupId>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, referred)),
        Value::Object(fields) => match Reference::read(value) {
            Some(Ok(reference)) => {
                referred.insert(reference.lookup);
            }
            _ => fields.values().for_each(|field| collect(field, referred)),
        },
        _ => {}
    }
}

/// The person's own words: the prompt without what it quotes, and answers in words.
struct Words<'a> {
    prompt: &'a str,
    quoted: Vec<Range<usize>>,
    answers: Vec<&'a str>,
    times: Vec<(When, Said)>,
    today: Date,
}

/// Where a request says what a lookup looks for.
#[derive(Debug, Clone)]
enum Said {
    /// In this place of the prompt, which may be in quoted text.
    Here { place: Range<usize>, quoted: bool },
    /// In an answer, or by saying nothing else.
    Otherwise,
}

impl<'a> Words<'a> {
    fn of(request: Request<'a>, now: &Zoned) -> Self {
        let quoted = quotations(request.prompt);
        let own = request.answers.iter().filter(|answered| answered.question.kind == ClarificationKind::Text);
        let answers: Vec<&str> =
            own.filter(|own| !is_about_lookup(&own.question)).filter_map(|own| own.value.text()).collect();
        let is_own = |start: usize| !quoted.iter().any(|quotation| quotation.contains(&start));
        // `tomorrow's meeting`, with every byte in its place.
        let text =
            OWNERS.iter().fold(request.prompt.to_owned(), |text, owner| text.replace(owner, &" ".repeat(owner.len())));
        let times = When::find(&text).into_iter().filter(|time| is_own(time.place.start));
        let said = answers.iter().flat_map(|answer| When::find(answer)).map(|time| (time.when, Said::Otherwise));
        let here = |place| Said::Here { place, quoted: false };
        let times = times.map(|time| (time.when, here(time.place))).chain(said).collect();
        Self { prompt: request.prompt, quoted, answers, times, today: now.date() }
    }

    /// The lookup, with the place where the request says what it looks for. An error says what is wrong with its form.
    fn wanted(&self, raw: RawLookup) -> Result<Wanted, &'static str> {
        let day_of = |text: &str| {
            let exact = text.parse::<Date>().ok();
            exact.or_else(|| When::read(text)?.day(self.today)).ok_or("has a day that is none, as 2026-12-01 is")
        };
        let time_of = |text: Option<String>| {
            let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
            let exact = text.parse::<ClockTime>().ok();
            let read = || When::read(&text).or_else(|| When::read(&format!("at {text}")))?.time().map(ClockTime);
            exact.or_else(read).map(Some).ok_or("has a time that is none, as 10:00 is")
        };
        match raw {
            RawLookup::Contact { id, name } => {
                let name = short(&name)?;
                let said = self.name(&name);
                let name = match &said {
                    Some(Said::Here { place, .. }) => self.prompt[place.clone()].to_owned(),
                    _ => name,
                };
                Ok(self.found(Lookup { id, find: Find::Contact { name: name.clone() } }, said, shown(&name)))
            }
            RawLookup::Event { id, day, at, title } => {
                let (day, at) = (day_of(&day)?, time_of(at)?);
                let title = title.filter(|title| !title.trim().is_empty()).map(|title| short(&title)).transpose()?;
                let mut said = vec![self.day(day, at.is_some())];
                said.extend(at.map(|ClockTime(at)| self.time(at)));
                said.extend(title.as_ref().map(|title| self.name(title)));
                let label = label(day, at, title.as_deref());
                Ok(self.found(Lookup { id, find: Find::Event { day, at, title } }, together(said), label))
            }
            RawLookup::FreeTime { id, day, minutes, from, to } => {
                if !(5..=24 * 60).contains(&minutes) {
                    return Err("has minutes that are not 5 to 1440");
                }
                let (day, from, to) = (day_of(&day)?, time_of(from)?, time_of(to)?);
                let said = self.day(day, false);
                // Hours that the request does not name narrow nothing.
                let [from, to] = [from, to].map(|time| time.filter(|ClockTime(time)| self.names_hour(*time)));
                let label = label(day, from, None);
                Ok(self.found(Lookup { id, find: Find::FreeTime { day, minutes, from, to } }, said, label))
            }
        }
    }

    /// The lookup where the request says what it looks for.
    fn found(&self, lookup: Lookup, said: Option<Said>, label: String) -> Wanted {
        let is_said = said.is_some();
        let place =
            said.and_then(|said| if let Said::Here { place, quoted } = said { Some((place, quoted)) } else { None });
        let mention = place.map(|(Range { start, mut end }, quoted)| {
            if !matches!(lookup.find, Find::Contact { .. }) {
                let rest = &self.prompt[end..];
                end += OWNERS.iter().find(|owner| rest.starts_with(**owner)).map_or(0, |owner| owner.len());
            }
            let address = sample(&Reference { lookup: lookup.id.clone(), part: Part::Address });
            Mention { address, quoted, start, end }
        });
        let label = mention.as_ref().map_or(label, |mention| shown(&self.prompt[mention.start..mention.end]));
        Wanted { lookup, is_said, label, mention }
    }

    /// Whether a name is in quoted text. Between quotation marks of its own it is not.
    fn is_quoted(&self, name: &Range<usize>) -> bool {
        let mut others = self.quoted.iter().filter(|quotation| {
            let opening = self.prompt.get(quotation.start..name.start).unwrap_or_default();
            let marks = QUOTATION_MARKS.iter().find(|(mark, _)| opening.chars().eq([*mark]));
            let is_closed = |(_, closing): &(char, &[char])| self.prompt[name.end..].starts_with(*closing);
            !(quotation.end == name.end && marks.is_some_and(is_closed))
        });
        others.any(|quotation| quotation.contains(&name.start))
    }

    /// Where the request has a name: in its own words, else in quoted ones, else in an answer.
    fn name(&self, name: &str) -> Option<Said> {
        let places = places_of_name(name, self.prompt).into_iter();
        let places = places.map(|place| (self.is_quoted(&place), place)).min_by_key(|(quoted, _)| *quoted);
        let answered = || self.answers.iter().any(|answer| !places_of_name(name, answer).is_empty());
        places.map(|(quoted, place)| Said::Here { place, quoted }).or_else(|| answered().then_some(Said::Otherwise))
    }

    /// Where the request names a day. A request that names hours and no day is about today.
    fn day(&self, day: Date, has_hour: bool) -> Option<Said> {
        let said = self.times.iter().find(|(when, _)| when.may_be_on(day, self.today)).map(|(_, said)| said.clone());
        let is_dated = self.times.iter().any(|(when, _)| when.has_day());
        said.or_else(|| (has_hour && day == self.today && !is_dated).then_some(Said::Otherwise))
    }

    fn time(&self, time: Time) -> Option<Said> {
        self.times.iter().find(|(when, _)| when.may_be_at(time)).map(|(_, said)| said.clone())
    }

    fn names_hour(&self, time: Time) -> bool {
        let is_half = |when: &When| match when.is_after_noon() {
            Some(true) => time.hour() >= 12,
            Some(false) => time.hour() <= 12,
            None => false,
        };
        self.time(time).is_some() || self.times.iter().any(|(when, _)| is_half(when))
    }
}

/// One place for all that a lookup looks for; none if a part of it is said nowhere.
fn together(said: Vec<Option<Said>>) -> Option<Said> {
    let mut all = Said::Otherwise;
    for said in said {
        all = match (all, said?) {
            (Said::Here { place: one, quoted: first }, Said::Here { place: other, quoted: second }) => Said::Here {
                quoted: if one.start <= other.start { first } else { second },
                place: one.start.min(other.start)..one.end.max(other.end),
            },
            (Said::Otherwise, said) | (said, Said::Otherwise) => said,
        };
    }
    Some(all)
}

fn label(day: Date, at: Option<ClockTime>, title: Option<&str>) -> String {
    let at = at.map(|at| format!(", {at}")).unwrap_or_default();
    let title = title.map(|title| format!(", {}", shown(title))).unwrap_or_default();
    format!("{}{at}{title}", day.strftime("%-d %B %Y"))
}

/// A name of bearable length with a letter or digit and without an @.
fn short(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    let is_name = name.chars().any(char::is_alphanumeric) && !name.contains('@') && name.chars().count() <= MAX_NAME;
    if is_name { Ok(name.to_owned()) } else { Err("has a name that is none") }
}

/// The address that stands for one to look up.
fn sample(reference: &Reference) -> Address {
    format!("{reference}@{SAMPLE_DOMAIN}").parse().expect("an id, a dot and a word are a local part")
}

impl Reading<'_> {
    /// Puts what references stand for in their place.
    pub(super) fn fill(&mut self, schema: &Value, place: usize, params: &mut Value) -> Result<Filled, Problem> {
        let mut filled = Filled::default();
        for Looked { name, holds } in looked_up_fields(schema) {
            let zone = match &holds {
                Holds::Time { zone: Some(zone) } => {
                    // A time is of the person's own zone, unless the request names another one.
                    if let Some(fields) = params.as_object_mut() {
                        let own = || self.now.time_zone().iana_name().unwrap_or("UTC").into();
                        fields.entry(zone.as_str()).or_insert_with(own);
                    }
                    params.get(zone).and_then(|zone| TimeZone::get(zone.as_str()?).ok())
                }
                _ => None,
            };
            let Some(value) = params.get_mut(&name) else { continue };
            let pointer = format!("/actions/{place}/params/{name}");
            if matches!(holds, Holds::Time { .. }) {
                if let Some(reference) = Reference::read(value) {
                    let zone = zone.unwrap_or_else(|| self.now.time_zone().clone());
                    *value = self.start(reference, &name, &pointer, &zone, &mut filled)?.into();
                }
                continue;
            }
            let items = match value {
                Value::Array(items) => std::mem::take(items),
                Value::Object(_) => vec![value.take()],
                _ => continue,
            };
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                match Reference::read(&item) {
                    Some(reference) => list.extend(self.people(reference, &pointer, &mut filled)?),
                    None => list.push(item),
                }
            }
            *value = Value::Array(list);
        }
        Ok(filled)
    }

    /// The place of the lookup that a reference names, if it finds such a part.
    fn referred(
        &self,
        reference: Result<Reference, domain::InvalidId>,
        pointer: &str,
        fits: impl Fn(Part) -> bool,
    ) -> Result<(usize, Reference), Problem> {
        let refused = |why: &str| invalid(&format!("a reference {why}"), pointer, why);
        let reference = reference.map_err(|error| refused(error.0))?;
        let is_known = |wanted: &Wanted| wanted.lookup.id == reference.lookup;
        let wanted = self.wanted.iter().position(is_known).ok_or_else(|| refused("names no lookup of the plan"))?;
        if !fits(reference.part) || !reference.part.is_of(self.wanted[wanted].lookup.find.kind()) {
            return Err(refused("does not fit its lookup and its field"));
        }
        Ok((wanted, reference))
    }

    /// The addresses that a reference stands for.
    fn people(
        &mut self,
        reference: Result<Reference, domain::InvalidId>,
        pointer: &str,
        filled: &mut Filled,
    ) -> Result<Vec<Value>, Problem> {
        let (wanted, reference) = self.referred(reference, pointer, |part| part != Part::Start)?;
        filled.lookups.insert(reference.lookup.clone());
        let found: Vec<(Address, Option<Source>)> = match self.stand(wanted, reference.part) {
            Stand::Addresses(found) => {
                filled.has_found = true;
                found.into_iter().map(|(address, source)| (address, Some(source))).collect()
            }
            Stand::Open(question) => {
                filled.questions.push(question.with_field(pointer));
                vec![(sample(&reference), None)]
            }
            Stand::Unread | Stand::Start(_) => {
                filled.references.push(reference.clone());
                vec![(sample(&reference), None)]
            }
        };
        let values = found.iter().map(|(address, _)| Value::String(address.addr_spec())).collect();
        self.derived.extend(found.into_iter().map(|(address, source)| Derived { address, source, wanted }));
        Ok(values)
    }

    /// The wall time that a reference stands for.
    fn start(
        &self,
        reference: Result<Reference, domain::InvalidId>,
        field: &str,
        pointer: &str,
        zone: &TimeZone,
        filled: &mut Filled,
    ) -> Result<String, Problem> {
        let (place, reference) = self.referred(reference, pointer, |part| part == Part::Start)?;
        filled.lookups.insert(reference.lookup.clone());
        let wanted = &self.wanted[place];
        let at = match self.stand(place, reference.part) {
            Stand::Start(start) => {
                filled.has_found = true;
                let start = start.to_zoned(zone.clone());
                let shown = start.strftime("%A, %-d %B %Y, %H:%M");
                filled.notes.push(match wanted.lookup.find {
                    Find::FreeTime { minutes, .. } => {
                        format!("The account's calendar is free for {minutes} minutes from {shown}.")
                    }
                    _ => format!("“{}” begins {shown}.", wanted.label),
                });
                return Ok(wall_time(start.datetime()));
            }
            Stand::Open(question) => {
                filled.questions.push(question.with_field(pointer));
                wanted.sample_start()
            }
            Stand::Unread | Stand::Addresses(_) => {
                filled.references.push(reference.clone());
                filled.times.push((field.to_owned(), reference));
                wanted.sample_start()
            }
        };
        Ok(wall_time(at))
    }

    fn stand(&self, place: usize, part: Part) -> Stand {
        let wanted = &self.wanted[place];
        let kind = wanted.lookup.find.kind();
        let ask = |asks, text: String| Question::new(asks, Some(&wanted.label), &format!("{TOPIC}{kind}-{part}"), text);
        let label = &wanted.label;
        let asks = if part == Part::Start { ClarificationKind::Text } else { ClarificationKind::Address };
        let open = |why: &str| {
            let what = if part == Part::Start {
                "When should it begin? Give a time."
            } else {
                "Which address is meant? Separate several by commas."
            };
            Stand::Open(Box::new(ask(asks, format!("{why} {what}"))))
        };
        let asked = ask(asks, String::new());
        if part != Part::Start
            && let Some(addresses) = self.addresses(&asked)
        {
            return Stand::Addresses(addresses.into_iter().map(|address| (bare(&address), Source::Answer)).collect());
        }
        if part == Part::Start
            && let Some(answer) = self.answer(&asked).and_then(domain::AnswerValue::text)
        {
            return match wanted.start_of(answer, &self.now) {
                Some(start) => Stand::Start(start),
                None => open(&format!("I cannot read “{}” as one time.", shown(answer))),
            };
        }
        if !wanted.is_said {
            return open(&format!("The request does not say “{label}”."));
        }
        let chosen = |options: Vec<ChoiceOption>, text: String| {
            let question = Question { options: Some(options), ..ask(ClarificationKind::Choice, text) };
            let answer = self.answer(&question).and_then(domain::AnswerValue::text).map(str::to_owned);
            let known = answer.filter(|answer| question.options.iter().flatten().any(|known| known.value == *answer));
            known.ok_or_else(|| Stand::Open(Box::new(question)))
        };
        match self.request.findings.get(&wanted.lookup.id) {
            None => Stand::Unread,
            Some(Finding::People { matches, is_whole, more }) => {
                let found = |person: &FoundPerson| {
                    let source = if person.book == Book::Contacts { Source::Contact } else { Source::Directory };
                    Stand::Addresses(vec![(person.address.clone(), source)])
                };
                match matches.as_slice() {
                    [] => open(&format!("No contact of the account is called “{label}”.")),
                    [person] if *is_whole => found(person),
                    several => {
                        let options = several.iter().map(|person| ChoiceOption {
                            value: person.address.addr_spec(),
                            label: named(&person.name, &person.address),
                        });
                        let more = and_more(*more, "write the address into the request if it is another one");
                        let text = format!("Which “{label}” is meant?{more}");
                        match chosen(options.collect(), text) {
                            Err(open) => open,
                            Ok(value) => several
                                .iter()
                                .find(|person| person.address.addr_spec() == value)
                                .map_or_else(|| open("That contact is gone."), found),
                        }
                    }
                }
            }
            Some(Finding::Events { matches, more }) => {
                let found = |event: &FoundEvent| match part {
                    Part::Start => Stand::Start(event.time.from),
                    _ if event.attendees.is_empty() => {
                        open(&format!("Nobody else is invited to “{}”.", plain(&event.title)))
                    }
                    _ => {
                        let all = event.attendees.iter().map(|address| (bare(address), Source::Event));
                        Stand::Addresses(all.collect())
                    }
                };
                match matches.as_slice() {
                    [] => open(&format!(
                        "The account's calendar has no event for “{label}” that it organises or has accepted."
                    )),
                    [event] => found(event),
                    several => {
                        let zone = self.now.time_zone();
                        let options = several.iter().map(|event| ChoiceOption {
                            value: key(event),
                            label: format!(
                                "{}, {}, {} invited",
                                plain(&event.title),
                                event.time.from.to_zoned(zone.clone()).strftime("%H:%M"),
                                event.attendees.len()
                            ),
                        });
                        let text = format!("Which event is meant by “{label}”?{}", and_more(*more, "name its time"));
                        match chosen(options.collect(), text) {
                            Err(open) => open,
                            Ok(value) => several
                                .iter()
                                .find(|event| key(event) == value)
                                .map_or_else(|| open("That event is gone."), found),
                        }
                    }
                }
            }
            Some(Finding::FreeTime { start: Some(start) }) => Stand::Start(*start),
            Some(Finding::FreeTime { start: None }) => open(&format!("Nothing long enough is free for “{label}”.")),
        }
    }

    /// Whether a free time that was looked up for an action decides the condition of the sentence around `at`: it begins at the
    /// hour of the condition, if that names one. What is not looked up yet may still do so.
    pub(super) fn is_decided(&self, lookups: &BTreeSet<LookupId>, at: usize) -> bool {
        let Some(condition) = free_time_condition(self.request.prompt, at) else { return false };
        let names_hour = When::find(condition).iter().any(|time| time.when.has_hour());
        let decides = |Wanted { lookup, .. }: &Wanted| {
            let Find::FreeTime { day, from, .. } = lookup.find else { return false };
            let is_meant = |start: Timestamp| {
                let start = start.to_zoned(self.now.time_zone().clone()).datetime();
                !names_hour || from.is_some_and(|ClockTime(from)| start == day.to_datetime(from))
            };
            match self.request.findings.get(&lookup.id) {
                None => true,
                Some(Finding::FreeTime { start }) => start.is_some_and(is_meant),
                Some(_) => false,
            }
        };
        self.wanted.iter().any(|wanted| lookups.contains(&wanted.lookup.id) && decides(wanted))
    }

    /// The lookup that an address was derived by.
    pub(super) fn derived_by(&self, address: &Address) -> Option<&Wanted> {
        let derived = self.derived.iter().find(|derived| derived.address == *address)?;
        Some(&self.wanted[derived.wanted])
    }
}

impl Wanted {
    fn day(&self) -> Date {
        match self.lookup.find {
            Find::Event { day, .. } | Find::FreeTime { day, .. } => day,
            Find::Contact { .. } => Date::default(),
        }
    }

    /// A time that may stand for the one to look up.
    fn sample_start(&self) -> DateTime {
        let at = match self.lookup.find {
            Find::Event { at, .. } => at,
            Find::FreeTime { from, .. } => from,
            Find::Contact { .. } => None,
        };
        self.day().to_datetime(at.map_or(Time::constant(12, 0, 0, 0), |ClockTime(at)| at))
    }

    /// The time that an answer names, on the day of the lookup unless it names another one.
    fn start_of(&self, answer: &str, now: &Zoned) -> Option<Timestamp> {
        let read = |text: &str| When::read(text);
        let said = read(answer).or_else(|| read(&format!("at {answer}")))?;
        let day = if said.has_day() { said.day(now.date())? } else { self.day() };
        let start = day.to_datetime(said.time()?);
        let start = now.time_zone().to_ambiguous_zoned(start).unambiguous().ok()?;
        Some(start.timestamp())
    }
}

/// An address without a display name.
pub(super) fn bare(address: &Address) -> Address {
    address.addr_spec().parse().expect("an address without its name is an address")
}

fn wall_time(at: DateTime) -> String {
    at.strftime("%Y-%m-%dT%H:%M").to_string()
}

fn and_more(more: usize, instead: &str) -> String {
    if more > 0 { format!(" There are {more} more: {instead}.") } else { String::new() }
}

/// Names an event in an answer.
fn key(event: &FoundEvent) -> String {
    let attendees: Vec<String> = event.attendees.iter().map(Address::addr_spec).collect();
    let text = format!("{}\n{}\n{}", event.time.from, event.title, attendees.join("\n"));
    format!("event-{}", &sha256_hex(text.as_bytes())[..12])
}

/// A text of an account as a person may be shown it, in one line: nothing in it is hidden or turns the rest around.
pub(super) fn plain(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_hidden(*c)).take(MAX_SHOWN_NAME).collect();
    shown(&visible)
}

/// A person for a list: a name that looks like an address is left out.
fn named(name: &str, address: &Address) -> String {
    let name = plain(name);
    if name.is_empty() || name.contains(['@', '\u{FF20}', '\u{FE6B}', '<', '>']) {
        return address.shown();
    }
    format!("{name} <{}>", address.shown())
}

/// An action that still refers to lookups. Samples stand in their place for what checks it; nobody carries it out.
pub(super) struct Template {
    call: Box<dyn Call>,
    references: Vec<Reference>,
    times: Vec<(String, Reference)>,
}

impl Template {
    /// The call with its references. One without references is itself.
    pub(super) fn of(call: Box<dyn Call>, filled: &Filled) -> Box<dyn Call> {
        if filled.references.is_empty() {
            return call;
        }
        Box::new(Self { call, references: filled.references.clone(), times: filled.times.clone() })
    }

    fn reference(&self, address: &Address) -> Option<&Reference> {
        self.references.iter().find(|reference| sample(reference) == *address)
    }
}

#[async_trait]
impl Call for Template {
    fn params(&self) -> Value {
        let mut params = self.call.params();
        for ParamAddress { pointer, address, .. } in self.call.addresses() {
            if let (Some(reference), Some(value)) = (self.reference(address), params.pointer_mut(&pointer)) {
                *value = reference.to_value();
            }
        }
        for (field, reference) in &self.times {
            params[field] = reference.to_value();
        }
        params
    }

    fn addresses(&self) -> Vec<ParamAddress<'_>> {
        let mut known = self.call.addresses();
        known.retain(|param| self.reference(param.address).is_none());
        known
    }

    fn title(&self) -> String {
        self.call.title()
    }

    fn warnings(&self) -> Vec<domain::Warning> {
        self.call.warnings()
    }

    fn render(&self, _: &RenderContext) -> Result<Rendered, RenderError> {
        Err(RenderError("something in it has to be looked up first".to_owned()))
    }

    async fn perform(&self, _: &Rendered, _: &Access, _: Option<&Evidence>) -> Result<Done, ProviderError> {
        Err(ProviderError::Rejected("something in it has to be looked up first".into()))
    }
}

/// What is wrong with params that hold what was found, in a sentence.
pub(super) fn wrong_with_found(violations: &[Violation]) -> String {
    let why: Vec<String> = violations.iter().map(|wrong| format!("{} {}", wrong.pointer, wrong.detail)).collect();
    format!("Not planned, since what was looked up does not fit: {}.", shown(&why.join("; ")))
}
