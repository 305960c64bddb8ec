//! The rules planner: plans mails and events without a language model, in English.
//!
//! A request is `verb → addresses → (subject) → "saying | that | :" text`, or one event. A prompt passes through [`tokens`] and
//! [`grammar`], which knows the words of [`vocabulary`]. It is planned only if every word is understood. Everything
//! else is a question ([`asker`]), and the same prompt with the answers is planned again from the start.
//!
//! No word of ours becomes part of a mail or an event: subject, title and text are the user's words as they stand.

mod asker;
mod grammar;
mod tokens;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::{ActionId, Address, Answered, ClarificationKind as Kind, Mail, Provider, Question, mentions};
use engine::{
    catalogue::MAX_ACTIONS,
    ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage},
};
use serde_json::{Value, json};

use asker::Asker;
use grammar::{Event, Grammar, Person, Request};
use tokens::{Prompt, excerpt};
use vocabulary::means;

const GMAIL: &str = "gmail.send";
const OUTLOOK: &str = "outlook.send";
/// The actions that create events, each beside the one that sends mails from the same account.
const CALENDARS: [(&str, &str); 2] = [(GMAIL, "calendar.create_event"), (OUTLOOK, "outlook.create_event")];
/// How long an event takes of which nobody says how long.
const MINUTES: u32 = 60;
/// The most lookups of one plan.
const MAX_LOOKUPS: usize = 5;
/// Stands for an address that is looked up, where a mail is checked.
const SAMPLE: &str = "somebody@lookup.invalid";

/// Plans mails and events by rules, with no model and no network.
#[derive(Debug, Clone, Copy, Default)]
pub struct RulesPlanner;

#[async_trait]
impl Model for RulesPlanner {
    fn name(&self) -> &'static str {
        "offline-rules"
    }

    fn max_output_tokens(&self) -> Option<u32> {
        None
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        let plan = plan(&request.prompt, &request.actions, &request.answers);
        Ok(Answer { finish: Finish::Text(plan.to_string()), usage: Usage::default() })
    }
}

/// The plan for a prompt with the answers so far, in the shape of the model's schema.
#[expect(clippy::cast_precision_loss, reason = "a prompt has few enough words to be counted exactly")]
fn plan(prompt: &str, allowed: &[ActionId], answers: &[Answered]) -> Value {
    let prompt = Prompt::new(prompt);
    let mut asker = Asker { answers, questions: Vec::new() };
    let mut grammar = Grammar::new(&prompt, &mut asker);
    let event = grammar.event().and_then(|event| Some((event.action(allowed)?, event)));
    let requests = if event.is_some() { Ok(Vec::new()) } else { grammar.requests() };
    let understood = if requests.is_ok() { 1.0 - grammar.unknown as f64 / prompt.len() as f64 } else { 0.0 };
    let time = requests.iter().flatten().find_map(|request| request.send_at.as_deref());
    let mut planner = Planner { allowed, asker, time, lookups: Vec::new(), actions: Vec::new(), notes: Vec::new() };
    match &requests {
        Ok(requests) => requests.iter().enumerate().for_each(|(place, request)| planner.add(place, request)),
        Err(why) => planner.notes.push((*why).to_owned()),
    }
    if let Some((action, event)) = &event {
        planner.invite(action, event);
    }
    if planner.actions.len() > MAX_ACTIONS {
        planner.notes.push(format!("One plan has at most {MAX_ACTIONS} mails, so nothing is planned."));
        planner.actions.clear();
    }
    if planner.lookups.len() > MAX_LOOKUPS {
        planner.notes.push(format!("At most {MAX_LOOKUPS} people can be looked up at once, so nothing is planned."));
        planner.actions.clear();
    }
    // Where one mail is unclear, the others wait: words may belong to another mail than it seems.
    if !planner.asker.questions.is_empty() {
        planner.actions.clear();
    }
    planner.notes.dedup();
    if planner.actions.is_empty() {
        planner.lookups.clear();
    }
    for (place, lookup) in planner.lookups.iter_mut().enumerate() {
        lookup["id"] = id(place).into();
    }
    json!({
        "intent": match (&event, &requests) {
            (Some(_), _) => "create_event",
            (None, Ok(_)) => "send_email",
            (None, Err(_)) => "unsupported",
        },
        "confidence": understood,
        "lookups": planner.lookups,
        "actions": planner.actions,
        "questions": planner.asker.questions,
        "notes": (!planner.notes.is_empty()).then(|| planner.notes.join(" ")),
    })
}

/// A plan in the making.
struct Planner<'a> {
    allowed: &'a [ActionId],
    asker: Asker<'a>,
    /// The first time that one of the requests names.
    time: Option<&'a str>,
    /// Who is looked up, in the order of their ids.
    lookups: Vec<Value>,
    actions: Vec<Value>,
    notes: Vec<String>,
}

impl Planner<'_> {
    /// Plans one request, or asks for what it lacks, or notes why there is no mail.
    fn add(&mut self, place: usize, request: &Request) {
        let about = Some(excerpt(&request.named)).filter(|named| !named.is_empty());
        let mail = about.as_ref().map_or_else(|| "the mail".to_owned(), |to| format!("the mail to {to}"));
        let named = request.account.map_or(vec![GMAIL, OUTLOOK], |account| vec![account]);
        let is_allowed = |action: &&str| self.allowed.iter().any(|id| id.as_str() == *action);
        let Some(action) = named.into_iter().find(is_allowed) else {
            return self.notes.push(format!("{} is not allowed here.", request.account.unwrap_or("Sending mail")));
        };
        let mut people = request.people.clone();
        if request.named.is_empty() {
            let text = "Who should get the mail? I need the address.";
            let question = Question::new(Kind::Address, None, "recipient", text);
            let found =
                self.asker.addresses(question.with_field(format!("/actions/{place}/params/to"))).into_iter().flatten();
            people.extend(found.map(|address| ("to", Person::Address(address))));
        }
        let text = self.text(place, request, about.as_deref(), &mail);
        let mut may_go = true;
        for (doubt, words) in &request.doubts {
            may_go &= self.accepts(doubt, words, request.text.as_deref(), &mail);
        }
        if let Some(words) = self.time.filter(|_| request.send_at.is_none()) {
            may_go &= self.accepts("at-once", words, request.text.as_deref(), &mail);
        }
        let (Some(text), true, true) = (text, may_go, self.asker.questions.is_empty()) else { return };
        let subject = match request.subject.as_deref().map(in_one_line) {
            Some(subject) if !subject.is_empty() => subject,
            _ if request.text_is_clause => capitalised(&beginning(&text)),
            _ => beginning(&text),
        };
        let said = format!("{subject}\n{text}");
        let mut others = mentions(&said);
        let known = || people.iter().filter_map(|(_, person)| person.address());
        others.retain(|other| !known().any(|known| known.same_but_for_case(&other.address)));
        let others: BTreeSet<String> = others.iter().map(|other| other.address.addr_spec()).collect();
        let others = excerpt(&others.into_iter().collect::<Vec<_>>().join(", "));
        let attaches = said.split(|c: char| !c.is_alphabetic()).find(|word| means(&word.to_lowercase(), "attaching"));
        may_go &= others.is_empty() || self.accepts("mention", &others, None, &mail);
        may_go &= attaches.is_none_or(|word| self.accepts("attachment", word, Some(&text), &mail));
        let mut known = BTreeSet::new();
        people.retain(|(field, person)| known.insert((*field, person.shown().to_lowercase())));
        let list = |field| people.iter().filter(|(known, _)| *known == field).map(|(_, p)| p).collect::<Vec<_>>();
        let to = list("to");
        let each = request.separately && to.len() > 1;
        let options = [("one", "One mail that shows everyone"), ("each", "One mail for each")];
        let shown = format!("Should {mail} be one that shows everyone, or one for each?");
        let question = Question::new(Kind::Choice, None, "one-or-each", shown);
        let each = if each { self.asker.choice(question, &options) } else { Some(0) };
        let (Some(each), true) = (each, may_go) else { return };
        for to in to.chunks(if each == 1 { 1 } else { to.len() }) {
            let written = |write: &mut dyn FnMut(&Person) -> Value| {
                let mut all = |people: &[&Person]| people.iter().map(|person| write(person)).collect::<Value>();
                let mut mail = json!({ "to": all(to), "subject": subject, "text": text, "html": null });
                for field in ["cc", "bcc", "reply_to"] {
                    let people = list(field);
                    mail[field] = if people.is_empty() { Value::Null } else { all(&people) };
                }
                mail
            };
            let mut sample = |person: &Person| person.address().map_or_else(|| json!(SAMPLE), |address| json!(address));
            let checked = Mail::parse(&written(&mut sample), &Mail::FIELDS);
            if let Err(violations) = checked {
                let why: Vec<String> = violations.iter().map(|v| format!("{} {}", v.pointer, v.detail)).collect();
                return self.notes.push(format!("Nothing is planned for {mail}: {}.", why.join("; ")));
            }
            let params = written(&mut |person| self.written(person));
            let provider = if action == GMAIL { Provider::Google } else { Provider::Microsoft };
            let send_at = request.send_at.as_deref();
            self.actions
                .push(json!({ "provider": provider.as_str(), "action": action, "params": params, "send_at": send_at }));
        }
    }

    /// Somebody as params name them.
    fn written(&mut self, person: &Person) -> Value {
        let (find, part) = match person {
            Person::Address(address) => return json!(address),
            Person::Lookup { find, part, .. } => (find, part),
        };
        let place = self.lookups.iter().position(|known| known == find).unwrap_or_else(|| {
            self.lookups.push(find.clone());
            self.lookups.len() - 1
        });
        json!({ "$ref": format!("{}.{part}", id(place)) })
    }

    /// Plans an event.
    fn invite(&mut self, action: &str, event: &Event) {
        let attendees: Vec<Value> = event.people.iter().map(|person| self.written(person)).collect();
        let provider = if action == CALENDARS[0].1 { Provider::Google } else { Provider::Microsoft };
        let minutes = event.minutes.unwrap_or(MINUTES);
        let params = json!({ "title": event.title, "start": event.start, "minutes": minutes, "attendees": attendees });
        self.actions.push(json!({ "provider": provider.as_str(), "action": action, "params": params }));
    }

    /// The text as it is written, or the answer of the user.
    fn text(&mut self, place: usize, request: &Request, about: Option<&str>, mail: &str) -> Option<String> {
        let doubts: Vec<&str> = request.doubts.iter().map(|(_, words)| words.as_str()).collect();
        let unsure = format!("I am not sure about “{}”. ", excerpt(&doubts.join(" … ")));
        let unsure = if doubts.is_empty() { "" } else { &unsure };
        let question = Question::new(Kind::Text, about, "text", format!("{unsure}What should {mail} say?"));
        let question = question.with_field(format!("/actions/{place}/params/text"));
        request.text.clone().or_else(|| self.asker.text(question))
    }

    /// Whether the mail may go in spite of a doubt.
    fn accepts(&mut self, topic: &'static str, words: &str, text: Option<&str>, mail: &str) -> bool {
        let (why, instead) = match topic {
            // The text that was asked for is the answer to this, too.
            "not-understood" if text.is_none() => return true,
            "attachment" => (format!("I cannot attach files (“{words}”)"), "go out without one"),
            "condition" => (format!("I cannot wait for this (“{words}”)"), "go out now"),
            "at-once" => (format!("“{words}” is said of another mail"), "go out now"),
            "mention" => (format!("No mail goes to {words}"), "go out all the same"),
            _ => (format!("I did not understand “{words}”"), "go out without it"),
        };
        let text = text.map(|text| format!(" Its text is “{}”.", excerpt(text))).unwrap_or_default();
        let question = format!("{why}. Should {mail} {instead}?{text}");
        let answer = self.asker.confirm(Question::new(Kind::Confirm, Some(words), topic, question));
        if answer == Some(false) {
            self.notes.push(format!("Nothing is planned for {mail}: {why}."));
        }
        answer == Some(true)
    }
}

impl Person {
    const fn address(&self) -> Option<&Address> {
        match self {
            Self::Address(address) => Some(address),
            Self::Lookup { .. } => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Lookup { words, .. } => words.clone(),
        }
    }
}

impl Event {
    /// The action that creates it, if that is allowed.
    fn action(&self, allowed: &[ActionId]) -> Option<&'static str> {
        let named = |(account, _): &&(&str, &str)| self.account.is_none_or(|named| named == *account);
        let actions = CALENDARS.iter().filter(named).map(|(_, action)| *action);
        actions.into_iter().find(|action| allowed.iter().any(|id| id.as_str() == *action))
    }
}

/// The id of the lookup in this place.
fn id(place: usize) -> String {
    format!("l{}", place + 1)
}

/// A text with a capital letter.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// The first line of a text, up to a length that fits a subject.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 70;
    let line = in_one_line(text.trim().lines().next().unwrap_or_default().trim_end_matches(['.', ',', ';', ':']));
    let cut: String = line.chars().take(LONGEST).collect();
    if cut == line { line } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words).to_owned() }
}

/// A text without line breaks and other controls, which no subject may have.
fn in_one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect::<String>().trim().to_owned()
}
