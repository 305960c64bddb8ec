//! When a planned action is to be sent. A planner only points at the request's own words for it. What they mean, and whether
//! they mean one moment, is decided here.

use std::ops::Range;

use domain::{ChoiceOption, ClarificationKind, Doubt, MAX_AHEAD, Moment, NamedTime, Question, When, Why, quotations};
use jiff::Zoned;

use super::{
    answer::shown,
    content::VERBS,
    request::Request,
    sentence::{after, holds, opening, sentence_end, sentence_start},
};

/// The topic of the question when to send.
pub(super) const SEND_AT: &str = "send-at";
/// The topic of the question whether a time says when to send.
const IS_SEND_AT: &str = "is-send-at";
/// The options of that question.
const SEND: &str = "send";
const TEXT: &str = "text";
/// The option that sends at once.
const NOW: &str = "now";
/// Other words for it.
const AT_ONCE: &[&str] =
    &["now", "null", "none", "right now", "immediately", "at once", "asap", "jetzt", "sofort", "ahora", "maintenant"];
/// No more times of a request are looked at.
const MOST_TIMES: usize = 20;
/// Words behind which a sentence tells what is said.
const SAID: [&str; 4] = [
    "that, saying, says, say, stating, telling, whether, if, because, how, why, what, when, where, who",
    "dass, ob, weil, wann, wie, warum, was, wo, wer",
    "que, diciendo, cuándo, cómo, porque, qué",
    "disant, quand, comment, pourquoi, parce",
];
/// Words that give a time to a thing, as in `the meeting on Friday`.
const OF: [&str; 4] = [
    "of, about, for, regarding, concerning, to",
    "über, von, wegen, zum, zur, für",
    "sobre, del, para",
    "du, sur, pour",
];
/// Words behind a time that is part of a sentence of its own: `Friday 3pm works`, `tomorrow at 9 we meet`.
const GOES_ON: [&str; 4] = [
    "i, we, they, he, she, it, there, works, suits, fits, i'm, we're, i'll, we'll",
    "ich, wir, sie, er, es, passt, geht",
    "yo, nosotros, nos",
    "je, nous, on, ils, elle",
];

/// Finds the time of an action of one request.
pub(super) struct Timing<'a> {
    pub request: Request<'a>,
    pub now: &'a Zoned,
    /// What is sent, for questions.
    pub noun: &'a str,
    /// The addresses of the action.
    pub addresses: Vec<String>,
    /// How sentences begin that another action of the plan serves.
    pub served: &'a [&'static str],
}

/// A time of the request, as a planner points at it.
struct Pointed {
    /// Its words.
    about: String,
    when: When,
    /// It belongs to what is said, or may do so.
    is_said: bool,
}

impl Timing<'_> {
    /// The moment for which a planner's answer names these words, or the question for it. None is at once.
    pub fn send_at(&self, said: &str) -> Result<Option<Moment>, Box<Question>> {
        let said = said.trim();
        let is_at_once = said.is_empty() || is_at_once(said);
        let pointed = if is_at_once { self.passed_over() } else { self.pointed(said) };
        let Some(Pointed { about, when, is_said }) = pointed else {
            return if is_at_once { self.at_once() } else { self.elsewhere(said) };
        };
        if is_said {
            match self.answer(IS_SEND_AT, &about) {
                Some(SEND) => {}
                Some(_) => return Ok(None),
                None => {
                    let asks = format!("Is “{about}” when {} should go out, or is it part of the text?", self.noun);
                    let options = [(SEND, "When to send it"), (TEXT, "Part of the text")];
                    return Err(Box::new(choice(
                        IS_SEND_AT,
                        &about,
                        asks,
                        options.map(|(value, label)| (value.into(), label.into())),
                    )));
                }
            }
        }
        match self.answer(SEND_AT, &about) {
            Some(answer) => self.answered(answer, &about, when),
            // A moment that a person wrote or chose, as it stands.
            None if said.parse::<Moment>().is_ok() && about == said => self.answered(said, said, when),
            None => self.meant(when, &about),
        }
    }

    /// The request, and the answers that say nothing but a time.
    fn text(&self) -> String {
        let answers = self.request.answers.iter().filter_map(|answered| answered.value.text());
        let times = answers.filter(|answer| answer.parse::<Moment>().is_ok() || When::read(answer).is_some());
        std::iter::once(self.request.prompt).chain(times).collect::<Vec<_>>().join("\n")
    }

    /// No time: a request to schedule something wants one.
    fn at_once(&self) -> Result<Option<Moment>, Box<Question>> {
        const SCHEDULE: &str = "schedule";
        let prompt = self.request.prompt;
        let mut places = self.addresses.iter().filter_map(|address| prompt.find(address.as_str()));
        let wants_time = places.any(|at| {
            let opening = opening(&prompt[sentence_start(prompt, at)..]);
            after(&opening, &[SCHEDULE]).is_some() && after(&opening, self.served).is_none()
        });
        match self.answer(SEND_AT, SCHEDULE) {
            _ if !wants_time => Ok(None),
            Some(answer) => self.answered(answer, SCHEDULE, When::default()),
            None => Err(Box::new(self.question(SCHEDULE, "The request does not say for when to schedule it.", &[]))),
        }
    }

    /// A time that does not stand in the request: an answer may have named it in other words.
    fn elsewhere(&self, said: &str) -> Result<Option<Moment>, Box<Question>> {
        let moment = self.moment(said);
        let named = self.request.answers.iter().filter(|answered| answered.question.topic == SEND_AT);
        for (about, answer) in named.filter_map(|named| Some((named.question.about.as_deref()?, named.value.text()?))) {
            let answered = self.answered(answer, about, When::read(about).unwrap_or_default());
            let is_same = |at: &Option<Moment>| moment.is_some() && at.map(|at| at.send_at().0) == moment;
            if about == shown(said) || answered.as_ref().is_ok_and(is_same) {
                return answered;
            }
        }
        let about = shown(said);
        Err(Box::new(self.question(&about, &format!("The request does not say “{about}”."), &[])))
    }

    /// The time of a text that a planner means: in the same words, or in a part of them, or as the same moment.
    fn pointed(&self, said: &str) -> Option<Pointed> {
        let text = self.text();
        if let Some(start) = text.find(said).filter(|_| said.parse::<Moment>().is_ok()) {
            let is_said = is_said(&text, &(start..start + said.len()));
            return Some(Pointed { about: said.to_owned(), when: When::default(), is_said });
        }
        let wanted = When::find(said).first().map(|time| time.when);
        let moment = self.moment(said);
        let times: Vec<NamedTime> = When::find(&text).into_iter().take(MOST_TIMES).collect();
        // Day and hour may stand apart: `Tomorrow, write to ana@example.com at 9`.
        let apart = times.iter().flat_map(|day| times.iter().map(move |hour| (day, hour)));
        let apart = apart.filter(|(day, hour)| !day.when.has_hour() && !hour.when.has_day());
        let together = apart.map(|(day, hour)| (day.when.or(hour.when), vec![&day.place, &hour.place]));
        let all: Vec<_> = times.iter().map(|time| (time.when, vec![&time.place])).chain(together).collect();
        let is_part = |when: When| wanted.is_some_and(|wanted| wanted.is_part_of(when));
        let means = |when: When| {
            let moments = when.resolve(self.now).map_or_else(|doubt| doubt.options, |moment| vec![moment]);
            moments.iter().any(|known| Some(known.timestamp()) == moment)
        };
        let tests: [&dyn Fn(When) -> bool; 3] =
            [&|when| is_part(when) && wanted.is_some_and(|wanted| when.is_part_of(wanted)), &is_part, &means];
        tests.iter().find_map(|test| {
            let fitting = all.iter().filter(|(when, _)| test(*when)).map(|(when, places)| Pointed {
                about: shown(&places.iter().map(|place| &text[(*place).clone()]).collect::<Vec<_>>().join(" … ")),
                when: *when,
                is_said: places.iter().all(|place| is_said(&text, place)),
            });
            fitting.min_by_key(|pointed| pointed.is_said)
        })
    }

    /// A time beside one of the action's addresses, or at the beginning of its sentence, or behind `send it`, for which a
    /// planner has no use.
    fn passed_over(&self) -> Option<Pointed> {
        const SENDING: [&str; 5] = ["send it", "send this", "send them", "deliver it", "schedule it"];
        let prompt = self.request.prompt;
        let is_beside = |time: &NamedTime| {
            let start = sentence_start(prompt, time.place.start);
            let sentence = prompt[start..sentence_end(prompt, time.place.end)].to_lowercase();
            let before = prompt[start..time.place.start].trim_end();
            let last = before.split_whitespace().next_back().unwrap_or_default();
            let names = |text: &str| self.addresses.iter().any(|address| text.contains(&address.to_lowercase()));
            // Behind another address it is a time of that one's.
            SENDING.iter().any(|sending| before.to_lowercase().ends_with(sending))
                || names(&last.to_lowercase())
                || (!last.contains(char::is_alphanumeric) && names(&sentence))
        };
        let is_whole = |when: When| when.is_moment() && (when.has_hour() || when.is_wait());
        let mut times = When::find(prompt).into_iter().take(MOST_TIMES);
        let time = times.find(|time| is_whole(time.when) && !is_said(prompt, &time.place) && is_beside(time))?;
        Some(Pointed { about: shown(&prompt[time.place]), when: time.when, is_said: true })
    }

    /// The moment that a planner's words mean by themselves.
    fn moment(&self, said: &str) -> Option<jiff::Timestamp> {
        let exact = said.parse::<Moment>().map(|moment| moment.send_at().0);
        exact.ok().or_else(|| Some(When::read(said)?.resolve(self.now).ok()?.timestamp()))
    }

    /// The moment of an answer, of which `when` has the rest.
    fn answered(&self, answer: &str, about: &str, when: When) -> Result<Option<Moment>, Box<Question>> {
        if is_at_once(answer) {
            return Ok(None);
        }
        if let Ok(chosen) = answer.parse::<Moment>() {
            let (at, latest) = (chosen.send_at().0, self.now.timestamp() + MAX_AHEAD);
            let why = if at <= self.now.timestamp() { Why::Past } else { Why::TooFar };
            let is_usable = at > self.now.timestamp() && at <= latest;
            return if is_usable {
                Ok(Some(chosen))
            } else {
                Err(Box::new(self.ask(about, &Doubt { why, options: Vec::new() })))
            };
        }
        let said = When::read(answer).or_else(|| When::read(&format!("at {answer}")));
        match said {
            Some(said) => self
                .meant(said.or(when), &shown(answer))
                .map_err(|question| Box::new(Question { about: Some(about.to_owned()), ..*question })),
            None => Err(Box::new(self.question(about, &format!("I cannot read “{}” as a time.", shown(answer)), &[]))),
        }
    }

    fn meant(&self, when: When, about: &str) -> Result<Option<Moment>, Box<Question>> {
        match when.resolve(self.now) {
            Ok(moment) => Ok(Some(Moment::from(&moment))),
            Err(doubt) => Err(Box::new(self.ask(about, &doubt))),
        }
    }

    fn ask(&self, about: &str, Doubt { why, options }: &Doubt) -> Question {
        let zone = self.now.time_zone().iana_name().unwrap_or("UTC");
        let why = match why {
            Why::Repeats => format!("“{about}” comes again and again, and {} goes out once.", self.noun),
            Why::Loose => format!("“{about}” is not one certain time in {zone}."),
            Why::NoHour => format!("“{about}” does not say at what time."),
            Why::NoSuchDay => format!("There is no such day as “{about}”."),
            Why::Past => format!("“{about}” is past: it is {} in {zone}.", self.now.strftime("%H:%M")),
            Why::TooFar => format!("“{about}” is more than 90 days ahead."),
            Why::Skipped => format!("“{about}” does not exist in {zone}: the clocks go forward then."),
            Why::Several => format!("“{about}” may mean more than one time in {zone}."),
        };
        self.question(about, &why, options)
    }

    /// Asks when to send: which of some moments, or in the person's own words.
    fn question(&self, about: &str, why: &str, moments: &[Zoned]) -> Question {
        if moments.is_empty() {
            let asks = format!("{why} When should {} go out? Give a day and a time, or say now.", self.noun);
            return Question::new(ClarificationKind::Text, Some(about), SEND_AT, asks);
        }
        let is_twice =
            |moment: &Zoned| moments.iter().filter(|other| other.datetime() == moment.datetime()).count() > 1;
        let options = moments.iter().map(|moment| {
            let format = if is_twice(moment) { "%A, %-d %B %Y, %H:%M (UTC%:z)" } else { "%A, %-d %B %Y, %H:%M" };
            (Moment::from(moment).to_string(), moment.strftime(format).to_string())
        });
        let asks = format!("{why} When should {} go out?", self.noun);
        choice(SEND_AT, about, asks, options.chain([(NOW.to_owned(), "Now".to_owned())]))
    }

    fn answer(&self, topic: &str, about: &str) -> Option<&str> {
        let mut answers = self.request.answers.iter().rev();
        let answered = answers
            .find(|answered| answered.question.topic == topic && answered.question.about.as_deref() == Some(about));
        answered?.value.text()
    }
}

fn choice(topic: &str, about: &str, asks: String, options: impl IntoIterator<Item = (String, String)>) -> Question {
    let options = options.into_iter().map(|(value, label)| ChoiceOption { value, label }).collect();
    Question { options: Some(options), ..Question::new(ClarificationKind::Choice, Some(about), topic, asks) }
}

fn is_at_once(said: &str) -> bool {
    AT_ONCE.contains(&said.trim_end_matches('.').to_lowercase().as_str())
}

/// Whether the time at a place belongs to what is said, or may do so.
fn is_said(text: &str, place: &Range<usize>) -> bool {
    const MARKS: &[char] = &['"', '“', '”', '„', '«', '»'];
    let before = &text[sentence_start(text, place.start)..place.start];
    let marks = before.matches(MARKS).count();
    if marks % 2 == 1 || quotations(text).iter().any(|quotation| quotation.contains(&place.start)) {
        return true;
    }
    // Behind a whole quotation the request goes on.
    let before = before.rsplit(MARKS).next().unwrap_or(before);
    let behind_address =
        before.rsplit_once('@').map_or("", |(_, rest)| rest.split_once(' ').map_or("", |(_, rest)| rest));
    let next = text[place.end..].strip_prefix(' ').and_then(|behind| behind.split(' ').next()).unwrap_or_default();
    before.contains(':')
        || holds(before, &SAID)
        || [&OF[..], &VERBS[..]].iter().any(|list| holds(behind_address, list))
        || [&VERBS[..], &GOES_ON[..]].iter().any(|list| holds(next, list))
}
