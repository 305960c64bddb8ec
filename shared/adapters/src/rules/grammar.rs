//! Reads requests: `verb → addresses → (subject) → "saying | that | :" text`, with copies, accounts and the like.
//!
//! Nothing is skipped. Words that no rule understands are kept as a doubt, and the end of a text that may mean something
//! else is asked about. Phrases are named by their meaning in `vocabulary.txt`.

mod event;
mod meeting;

use domain::{Address, ClarificationKind, FindKind, Part, Question};
use serde_json::{Value, json};

pub(super) use event::Event;

use super::{
    GMAIL, OUTLOOK,
    asker::Asker,
    tokens::{Prompt, excerpt},
    vocabulary::means,
};

/// What the rules understood of one request.
#[derive(Default)]
pub(super) struct Request {
    /// Its people, each with their field of the mail.
    pub people: Vec<(&'static str, Person)>,
    /// The words of the prompt for the recipients.
    pub named: String,
    /// The action of the account that is named.
    pub account: Option<&'static str>,
    pub subject: Option<String>,
    pub text: Option<String>,
    /// The text is part of a sentence: neither quoted nor behind a colon.
    pub text_is_clause: bool,
    pub separately: bool,
    /// The words for when to send it.
    pub send_at: Option<String>,
    /// Words that may change the request, each with its kind: `not-understood`, `attachment` or `condition`.
    pub doubts: Vec<(&'static str, String)>,
    names_a_mail: bool,
    /// Where it says `schedule`, which wants a time.
    schedule: Option<usize>,
}

/// Somebody whom a request names.
#[derive(Clone)]
pub(super) enum Person {
    /// By an address.
    Address(Address),
    /// In other words: a lookup without its id, and which part of it is meant.
    Lookup { find: Value, part: Part, words: String },
}

impl Person {
    /// Somebody by a name.
    fn named(name: &str) -> Self {
        let find = json!({ "find": FindKind::Contact, "name": name });
        Self::Lookup { find, part: Part::Address, words: name.to_owned() }
    }
}

const UNSUPPORTED: &str = "Without a language model I understand English requests to send a mail, such as: send an \
                           email to (address) saying (message). This seems to be something else.";

/// Clauses that a phrase alone begins. A clause has the name of its meaning, and these names beside: `quote`,
/// `verbatim` (a text behind a label with a colon), `when` and `next`.
const CLAUSES: &str = "paragraph text-mark telling titled saying that about separately courtesy pause break";
/// Behind these every byte is text; other texts are part of a sentence.
const LITERAL: [&str; 4] = ["quote", "paragraph", "text-mark", "verbatim"];
/// The fields of a mail that name people.
const ROLES: [&str; 4] = ["reply_to", "bcc", "cc", "to"];
/// No more tokens than these make up one name, time or list of small words.
const LONGEST: usize = 12;

/// Reads the tokens of a prompt from left to right.
pub(super) struct Grammar<'a, 'b> {
    prompt: &'a Prompt<'a>,
    asker: &'b mut Asker<'a>,
    at: usize,
    verb: &'static str,
    /// It is put as a question to us: `Can you …?`
    is_question: bool,
    /// It began with `two emails: one to …`.
    is_list: bool,
    /// How many requests came before.
    place: usize,
    /// How many tokens are not understood.
    pub unknown: usize,
}

impl<'a, 'b> Grammar<'a, 'b> {
    pub const fn new(prompt: &'a Prompt<'a>, asker: &'b mut Asker<'a>) -> Self {
        Self { prompt, asker, at: 0, verb: "send", is_question: false, is_list: false, place: 0, unknown: 0 }
    }

    /// Every request of the prompt, or why there is none.
    pub fn requests(&mut self) -> Result<Vec<Request>, &'static str> {
        let mut requests: Vec<Request> = Vec::new();
        while self.at < self.prompt.len() || requests.is_empty() {
            let mut request = Request::default();
            self.open(&mut request)?;
            self.clauses(&mut request);
            if let Some(at) = request.schedule.filter(|_| request.send_at.is_none()) {
                let end = self.at;
                self.doubt(&mut request, at, at + 1);
                self.at = end;
            }
            if request.named.is_empty() && request.text.is_none() && !request.names_a_mail {
                return Err(UNSUPPORTED);
            }
            request.account = request.account.or(requests.last().and_then(|last| last.account));
            requests.push(request);
            self.place += 1;
        }
        Ok(requests)
    }

    /// Reads up to the verb, and the verb.
    fn open(&mut self, request: &mut Request) -> Result<(), &'static str> {
        while self.at < self.prompt.len() {
            let (p, at) = (self.prompt, self.at);
            self.is_question |= p.phrase("request", at).is_some();
            self.is_list |= p.phrase("list", at).is_some();
            let polite = ["request", "list", "opening", "courtesy", "pause", "text-mark", "break"].into_iter();
            if let Some(n) = polite.filter_map(|meaning| p.phrase(meaning, at)).max() {
                self.at += n;
            } else if let Some(end) = self.opening_time(at).filter(|_| request.send_at.is_none()) {
                (request.send_at, self.at) = (Some(p.slice(at, end).to_owned()), end);
            } else if let Some((verb, n)) = self.verb(at) {
                (self.verb, self.at) = (verb, at + n);
                return self.begin(request, at);
            } else if let Some((account, end)) = self.account(at, true) {
                (request.account, self.verb, self.at) = (Some(account), "mail", end);
                self.at += usize::from(["to", "and"].contains(&p.word(end)));
                if p.means(self.at, "address") {
                    return Ok(());
                }
            } else {
                // Other words may stand before a request only where a comma, an `and` or a sentence separates them.
                let begins = |&i: &usize| self.is_connected(i) && self.verb(i).is_some();
                let end = (at + 1..p.len()).find(begins).ok_or(UNSUPPORTED)?;
                self.doubt(request, at, end);
            }
        }
        Err(UNSUPPORTED)
    }

    /// Reads what belongs to the verb, and tells `email is broken` and `tell me a joke` apart.
    fn begin(&mut self, request: &mut Request, at: usize) -> Result<(), &'static str> {
        let (p, gives) = (self.prompt, ["send", "other-verb"].contains(&self.verb));
        if p.word(at) == "schedule" {
            request.schedule = Some(at);
        } else if self.verb == "other-verb" {
            self.doubt(request, at, self.at);
        }
        if let Some(n) = p.phrase("noun", self.at).filter(|_| gives) {
            (request.names_a_mail, self.at) = (true, self.at + n);
        }
        request.names_a_mail |= p.means(at, "noun");
        let ours = p.means(self.at, "ourselves") && !p.means(at, "noun");
        let thing = p.phrase("pointer", self.at).is_some() || self.noun_phrase(self.at + 1).is_some();
        let is_mail = !ours || (gives && thing);
        if is_mail && !p.means(self.at, "finite") { Ok(()) } else { Err(UNSUPPORTED) }
    }

    /// Reads everything behind the verb.
    fn clauses(&mut self, request: &mut Request) {
        while self.at < self.prompt.len() {
            let (p, at, no_text) = (self.prompt, self.at, request.text.is_none());
            let addressed = !request.named.is_empty();
            let clause = self.clause(at);
            self.at = clause.map_or(at, |(_, end)| end);
            match clause {
                _ if no_text && let Some(end) = self.greeting(at) => {
                    (request.text, self.at) = (Some(p.slice(at, end).to_owned()), end);
                }
                Some(("when", _))
                    if request.send_at.is_none()
                        && let Some(end) = self.time(at) =>
                {
                    (request.send_at, self.at) = (Some(p.slice(at, end).to_owned()), end);
                }
                Some(("courtesy" | "pause" | "break", _)) => {}
                Some(("noun", _)) => request.names_a_mail = true,
                Some(("separately", _)) => request.separately = true,
                Some(("next", _)) => return,
                // `send that to …`
                Some(("that", _)) if !addressed && !request.names_a_mail => {}
                Some((account @ (GMAIL | OUTLOOK), _)) if request.account.is_none() => request.account = Some(account),
                Some(("subject" | "titled", end)) if request.subject.is_none() => self.subject(request, end, false),
                Some(("about", end)) if request.subject.is_none() => self.subject(request, end, true),
                Some((lead, end)) if no_text && is_text(lead) => self.text(request, lead, at, end),
                Some((role @ ("cc" | "bcc" | "reply_to"), end)) if self.people(request, role, end) => {}
                Some(("to", end)) if !addressed && self.people(request, "to", end) => {}
                None if no_text && addressed && self.verb == "tell" && self.is_clause(at) => {
                    self.text(request, "telling", at, at);
                }
                None if !addressed && let Some(n) = p.phrase("pointer", at) => self.at += n,
                None if !addressed && self.direct(request, at) => {}
                _ => {
                    let begun = self.at.max(at + 1);
                    let unknown = |i: &usize| self.clause(*i).is_none_or(|(clause, _)| clause == "when");
                    let end = begun + (begun..p.len()).take_while(unknown).count();
                    self.doubt(request, at, end);
                }
            }
        }
    }

    /// What begins at `at`, and where its value begins.
    fn clause(&self, at: usize) -> Option<(&'static str, usize)> {
        let p = self.prompt;
        if p.means(at, "quote") && p.word(at + 1) != "<" {
            return Some(("quote", at));
        }
        if p.time(at, true).is_some() {
            return Some(("when", at + 1));
        }
        if let Some(end) = self.label("body", at) {
            return Some((if (at..end).any(|i| p.word(i) == ":") { "verbatim" } else { "saying" }, end));
        }
        let phrase = CLAUSES.split(' ').filter_map(|clause| Some((p.phrase(clause, at)?, clause))).max();
        let spoken = p.without("adjective", at);
        (self.label("subject", at).map(|end| ("subject", end)))
            .or_else(|| phrase.map(|(n, clause)| (clause, at + n)))
            .or_else(|| self.is_next(at).then_some(("next", at)))
            .or_else(|| self.role(at))
            .or_else(|| self.account(at, false))
            .or_else(|| self.is_when(at).then_some(("when", at + 1)))
            .or_else(|| Some(("verbatim", spoken + p.phrase("spoken", spoken)?)))
            .or_else(|| self.noun_phrase(at).map(|end| ("noun", end)))
    }

    /// Keeps words that cannot be followed, with the kind of doubt.
    fn doubt(&mut self, request: &mut Request, at: usize, end: usize) {
        let doubt = match self.is_when(at) {
            _ if (at..end).any(|i| self.attaches(i)) => "attachment",
            true => "condition",
            false => "not-understood",
        };
        request.doubts.push((doubt, excerpt(self.prompt.slice(at, end))));
        (self.at, self.unknown) = (end, self.unknown + end - at);
    }

    /// Reads a list of people. Names are looked up; who is named in other words is asked for. False where nobody is named.
    fn people(&mut self, request: &mut Request, role: &'static str, at: usize) -> bool {
        let (p, mut next, mut found) = (self.prompt, at, false);
        loop {
            let (people, after) = match self.mailbox(next) {
                Some((address, after)) => (vec![Person::Address(address)], after),
                None if role != "reply_to"
                    && let Some((attendees, after)) = self.meeting(next) =>
                {
                    (vec![attendees], after)
                }
                None => match self.name(next).filter(|_| !found || p.word(next - 1) == "and") {
                    Some(after) if role != "reply_to" && is_proper_name(p.slice(next, after)) => {
                        (vec![Person::named(p.slice(next, after))], after)
                    }
                    Some(after) => {
                        let asked = self.ask_for_address(role, &excerpt(p.slice(next, after)));
                        (asked.into_iter().map(Person::Address).collect(), after)
                    }
                    None => return found,
                },
            };
            request.people.extend(people.into_iter().map(|person| (role, person)));
            if role == "to" {
                let comma = if request.named.is_empty() { "" } else { ", " };
                request.named.push_str(&(comma.to_owned() + &excerpt(p.slice(next, after))));
            }
            (self.at, found) = (after, true);
            next = p.without("list-mark", after);
            next += usize::from(next > after && p.word(next) == "to");
            let goes_on = next > after || (p.means(next, "address") && self.verb != "tell");
            if !goes_on || self.is_next(next) {
                return true;
            }
        }
    }

    fn ask_for_address(&mut self, role: &str, name: &str) -> Vec<Address> {
        let text = match name {
            _ if means(&name.to_lowercase(), "ourselves") => "What is your address?".to_owned(),
            _ if name.contains(['@', ' ']) => format!("Which address do you mean by “{name}”?"),
            _ => format!("What is {name}'s address?"),
        };
        let question = Question::new(ClarificationKind::Address, Some(name), "recipient", text);
        let question = question.with_field(format!("/actions/{}/params/{role}", self.place));
        self.asker.addresses(question).unwrap_or_default()
    }

    /// An address, perhaps with a name: `a@x.org`, `Zoë <z@x.org>`, `[Zoë](mailto:z@x.org)`, `the desk at d@x.org`.
    fn mailbox(&self, at: usize) -> Option<(Address, usize)> {
        let p = self.prompt;
        let is_name = |i: &usize| p.means(*i, "word") && self.begins_name(*i);
        let start = at + usize::from(p.word(at) == "[");
        let name = (start..start + 4).take_while(is_name).count().max(usize::from(p.means(start, "quote")));
        let open = start + name + usize::from(start > at && p.word(start + name) == "]");
        let close = match p.word(open) {
            "<" => ">",
            "(" => ")",
            "at" if name > 0 && at > 0 && ROLES.iter().any(|role| p.means(at - 1, role)) => "",
            _ if open == at => "",
            _ => return None,
        };
        let to = p.without("mailto", open + usize::from(open > at || !close.is_empty()));
        let address = p.tokens.get(to)?.address.clone()?;
        let (closed, end) = (p.word(to + 1) == close, to + 1 + usize::from(!close.is_empty()));
        let named = p.slice(at, end).parse().ok().filter(|_| close == ">" && !p.means(at, "whose"));
        (closed || close.is_empty()).then(|| (named.unwrap_or(address), end))
    }

    /// The end of a name without an address: `Anna`, `my boss`, `ana at example dot com`.
    fn name(&self, at: usize) -> Option<usize> {
        let part = |i: usize| self.prompt.means(i, "word") || self.prompt.means(i, "unclear");
        let mut rest = at + 1..at + LONGEST;
        let end = rest.find(|&i| !part(i) || self.prompt.means(i, "article") || self.clause(i).is_some());
        let end = end.unwrap_or(at + LONGEST);
        (part(at) && self.begins_name(at)).then_some(end)
    }

    fn begins_name(&self, at: usize) -> bool {
        let small = self.prompt.means(at, "whose") || self.prompt.means(at, "ourselves");
        small || (self.clause(at).is_none() && !self.prompt.means(at, "no-name"))
    }

    /// Reads recipients right behind the verb: `email Sam that …`, `send mom an email`.
    fn direct(&mut self, request: &mut Request, at: usize) -> bool {
        let (p, gives) = (self.prompt, ["send", "other-verb"].contains(&self.verb));
        let named = self.name(at).is_some_and(|end| match self.clause(end) {
            Some((clause, _)) if gives => clause == "noun",
            None if gives => p.means(end, "article"),
            clause => clause.is_none_or(|(clause, _)| clause != "to"),
        });
        (named || self.mailbox(at).is_some() || self.meeting(at).is_some()) && self.people(request, "to", at)
    }

    fn role(&self, at: usize) -> Option<(&'static str, usize)> {
        let field = |field| Some((field, at + self.prompt.phrase(field, at)?));
        let (field, end) = ROLES.into_iter().find_map(field)?;
        Some((field, self.prompt.without("role-link", end)))
    }

    /// `via Gmail`, `with my work Outlook account`; without a preposition only where it opens the request.
    fn account(&self, at: usize, opens: bool) -> Option<(&'static str, usize)> {
        let p = self.prompt;
        let by = p.phrase("by", at);
        let name = p.without("by-whose", at + by.unwrap_or_default());
        let named = [GMAIL, OUTLOOK].into_iter();
        let (n, account) = named.filter_map(|account| Some((p.phrase(account, name)?, account))).max()?;
        let end = p.without("account", name + n);
        let addressed = p.means(end, "address");
        let opens = opens && (addressed || p.means(end, "pause") || [":", "please"].contains(&p.word(end)));
        // `an Outlook mail`
        let described = by.is_some() || (name > at && end > name + n);
        (opens || (described && !addressed)).then_some((account, end))
    }

    /// `an email`, `a short note`, `a reminder`.
    fn noun_phrase(&self, at: usize) -> Option<usize> {
        let end = self.prompt.without("adjective", at);
        let noun = self.prompt.phrase("noun", end).filter(|_| end > at).map(|n| end + n);
        noun.or_else(|| (end > at + 1 && self.prompt.means(end - 1, "noun")).then_some(end))
    }

    /// Whether a time or a condition of sending begins at `at`.
    fn is_when(&self, at: usize) -> bool {
        let p = self.prompt;
        let number = p.word(at + 1).starts_with(|c: char| c.is_ascii_digit());
        let unit = (2..=3).any(|i| p.means(at + i, "time-unit"));
        let known = ["time", "condition"].iter().any(|meaning| p.phrase(meaning, at).is_some());
        known || (number && ["at", "by", "on"].contains(&p.word(at))) || (unit && p.word(at) == "in")
    }

    /// Where a time of sending ends that begins at `at`: something else of the request has to follow it.
    fn time(&self, at: usize) -> Option<usize> {
        let end = self.prompt.time(at, false)?;
        let follows = match self.clause(end) {
            Some((clause, _)) => clause != "when",
            None => end >= self.prompt.len() || self.mailbox(end).is_some() || self.greeting(end).is_some(),
        };
        follows.then_some(end)
    }

    /// The same before the verb: `Tomorrow at 9, email …`.
    fn opening_time(&self, at: usize) -> Option<usize> {
        let (p, end) = (self.prompt, self.prompt.time(at, false)?);
        let polite =
            ["request", "courtesy", "pause", "text-mark"].iter().any(|meaning| p.phrase(meaning, end).is_some());
        (polite || self.verb(end).is_some()).then_some(end)
    }

    /// `with subject`, `and body:`, `the text "…"`: where the value begins.
    fn label(&self, meaning: &'static str, at: usize) -> Option<usize> {
        let p = self.prompt;
        let noun = p.without("label-lead", at);
        let named = noun + p.phrase(meaning, noun)?;
        let end = p.without("label-link", named);
        let certain = match p.word(noun) {
            "subject" => true,
            "body" | "content" | "contents" => noun > at,
            _ => (at..noun).any(|i| p.means(i, "label-with")),
        };
        ((certain || end > named || p.means(end, "quote")) && !p.means(end, "address")).then_some(end)
    }

    /// Reads a subject: a quotation, or everything up to a word that certainly begins something else.
    fn subject(&mut self, request: &mut Request, at: usize, about: bool) {
        let (p, at) = (self.prompt, self.prompt.without("label-link", at));
        if let Some(quoted) = p.quoted(at) {
            (request.subject, self.at) = (Some(quoted.to_owned()), at + 1);
            return;
        }
        let ends = |&i: &usize| match self.clause(i) {
            _ if p.means(i, "break") || self.label("body", i).is_some() => true,
            Some(("text-mark", _)) => about && p.word(i) == ":",
            Some(("saying" | "telling", _)) => true,
            Some(("to" | "cc" | "bcc" | "reply_to", after)) => p.means(after, "address"),
            _ => false,
        };
        let end = (at + 1..p.len()).find(ends).unwrap_or(p.len());
        let certain = p.means(end, "break") || self.label("body", end).is_some() || p.phrase("to", end).is_some();
        // Of two words that may both begin the text, neither can be trusted; nor can a subject with other clauses in it.
        let again = !certain && (end + 1..p.len()).any(|i| ends(&i) && !p.means(i, "break"));
        let odd = |i| {
            let other = matches!(self.clause(i), Some((GMAIL | OUTLOOK | "separately" | "next" | "quote", _)));
            other || self.attaches(i)
        };
        if again || at >= p.len() || (at..=end).any(odd) {
            return self.doubt(request, at - 1, p.len());
        }
        self.at = end;
        // `Subject: Lunch. Body: Noon?`
        let (subject, next) = (p.slice(at, self.without_connectors(at, end)), p.slice(end, end + 1));
        let sentence = next.starts_with(char::is_uppercase);
        request.subject = Some(subject.strip_suffix('.').filter(|_| sentence).unwrap_or(subject).to_owned());
    }

    /// Reads a text from `at` on: a quotation, or all the rest of the prompt.
    fn text(&mut self, request: &mut Request, lead: &'static str, keyword: usize, at: usize) {
        let (p, mut lead, mut at) = (self.prompt, lead, at);
        if !LITERAL.contains(&lead) && p.word(at) == "that" {
            (lead, at) = ("that", at + 1);
        }
        if !LITERAL.contains(&lead) && (p.means(at, "text-mark") || p.word(at) == ",") {
            (lead, at) = (if p.word(at) == "," { lead } else { "text-mark" }, at + 1);
        }
        let literal = LITERAL.contains(&lead);
        at = (at..p.len()).find(|&i| !p.means(i, "break")).unwrap_or(p.len());
        self.at = at;
        let labelled = matches!(self.clause(at), Some(("subject" | "to" | "cc" | "bcc" | "reply_to", _)));
        if at == p.len() || (p.means(keyword, "paragraph") && labelled) {
            return;
        }
        if let Some(quoted) = p.quoted(at) {
            (request.text, self.at) = (Some(quoted.to_owned()), at + 1);
            return;
        }
        let (end, next) = self.tail(lead, at, !request.named.is_empty());
        self.at = next;
        let third = |i: usize| means(p.word(i).split('\'').next().unwrap_or_default(), "third");
        let reported = match lead {
            "saying" => ["to", "about", "whether"].contains(&p.word(at)),
            "that" => keyword > 0 && p.means(keyword - 1, "noun") && !self.is_clause(at),
            // `ana@example.com—say hi`
            "text-mark" => p.word(keyword) != ":" && p.phrase("saying", at).is_some(),
            _ => !literal && !self.is_clause(at),
        };
        if reported || (!literal && (at..end).any(third)) {
            self.doubt(request, at, end);
            self.at = next;
            return;
        }
        let text = p.slice(at, end).trim_end();
        // `Can you tell … that dinner is at eight?` asks us, not the recipient.
        let asks = lead == "saying" && (p.means(at, "finite") || p.means(at, "reported"));
        let ours = self.is_question && !literal && !asks;
        request.text = Some(text.strip_suffix('?').filter(|_| ours).unwrap_or(text).to_owned());
        request.text_is_clause = !literal;
    }

    /// The end of a text, and where to read on. If its last words may be something else, the user is asked.
    fn tail(&mut self, lead: &'static str, at: usize, addressed: bool) -> (usize, usize) {
        let (p, all) = (self.prompt, self.prompt.len());
        let mut is_clause = lead == "that";
        for i in at + 1..all {
            is_clause |= p.means(i - 1, "finite") || p.means(i - 1, "pronoun");
            let Some(clause) = self.tail_at(lead, i, is_clause, addressed) else { continue };
            let from = self.without_connectors(at, i);
            if from == at {
                continue;
            }
            let next = if clause == "farewell" { all } else { i };
            if clause == "next" && !LITERAL.contains(&lead) && self.is_certain(i) {
                return (from, next);
            }
            let part = excerpt(p.slice(from, all));
            let text = format!("Is “{part}” part of the text of the mail?");
            let question = Question::new(ClarificationKind::Choice, Some(&part), "part-of-text", text);
            let options = [("text", "It is part of the text"), ("instruction", "It is an instruction")];
            match self.asker.choice(question, &options) {
                Some(0) => {}
                Some(_) => return (from, next),
                None => return (all, all),
            }
        }
        (all, all)
    }

    /// What the words from `i` on may be instead of text.
    fn tail_at(&self, lead: &str, i: usize, is_clause: bool, addressed: bool) -> Option<&'static str> {
        let (p, literal, connected) = (self.prompt, LITERAL.contains(&lead), self.is_connected(i));
        let ends = |end: usize| (end..p.len()).all(|i| p.means(i, "pause") || p.word(i) == "please");
        let (clause, end) = self.clause(i).unwrap_or_default();
        let is_tail = match clause {
            "next" => true,
            "subject" => (!literal && connected) || (i..end).any(|i| p.word(i) == ":"),
            "to" => !addressed && p.means(end, "address"),
            "cc" | "bcc" | "reply_to" => connected && (p.means(end, "address") || self.name(end).is_some()),
            GMAIL | OUTLOOK | "separately" => !literal && ends(end),
            "when" => {
                let condition = p.phrase("late-condition", i).is_some_and(|n| p.word(i + n) != "you");
                let time = !is_clause && p.phrase("condition", i).is_none();
                !literal && (condition || time || p.phrase("recurring", i).is_some())
            }
            _ => false,
        };
        let farewell =
            p.phrase("farewell", i).is_some_and(|n| ends(i + n)) && (connected || p.phrase("aside", i).is_some());
        let other = farewell || (connected && p.phrase("other-work", i).is_some());
        is_tail.then_some(clause).or((other && !literal).then_some("farewell"))
    }

    /// Whether a clause begins at `at`, rather than a thing: `the report is ready`, but not `the report`.
    fn is_clause(&self, at: usize) -> bool {
        let p = self.prompt;
        let verb = (at + 1..at + LONGEST).find(|&i| p.means(i, "finite") || !p.means(i, "word")).unwrap_or(at);
        let relative = |i: usize| p.means(i, "relative") || p.means(i, "pronoun");
        let subject = !p.means(at, "reported") && !p.means(at, "finite") && !(at + 1..verb).any(relative);
        p.means(at, "pronoun") || (subject && p.means(verb, "finite"))
    }

    /// A greeting that is all of the text: `send hi to …`.
    fn greeting(&self, at: usize) -> Option<usize> {
        let end = at + self.prompt.phrase("greeting", at)?;
        let end = end + usize::from(self.prompt.word(end) == "!");
        let alone = end >= self.prompt.len() || self.clause(end).is_some();
        (alone && at > 0 && self.prompt.word(at - 1) != ",").then_some(end)
    }

    /// A verb that begins a request, `another one to a@x.org` included.
    fn verb(&self, at: usize) -> Option<(&'static str, usize)> {
        let p = self.prompt;
        let another = p.phrase("another", at).filter(|n| p.word(at + n) == "to" && p.means(at + n + 1, "address"));
        let form = (p.word(at) == "to" && p.word(at + 1) == ":").then_some(0);
        let verbs = ["send", "mail", "tell", "other-verb"].into_iter();
        let verb = verbs.filter_map(|verb| Some((p.phrase(verb, at)?, verb))).max();
        another.or(form).map(|n| ("send", n)).or(verb.map(|(n, verb)| (verb, n)))
    }

    /// Whether a further request begins at `at`, behind a comma, an `and` or a sentence.
    fn is_next(&self, at: usize) -> bool {
        let p = self.prompt;
        let filler = |i| ["adjective", "noun", "greeting", "to"].iter().any(|m| p.means(i, m)) || p.means(i, "quote");
        let recipient = |n: usize| (at + n..at + LONGEST).find(|&i| !filler(i));
        let verb = self.verb(at).and_then(|(_, n)| recipient(n));
        self.is_connected(at) && verb.is_some_and(|i| p.means(i, "address"))
    }

    /// Whether a further request at `at` is meant beyond doubt, and has a text of its own.
    fn is_certain(&self, at: usize) -> bool {
        let p = self.prompt;
        let said = (at..at + 3).any(|i| p.means(i, "further")) || (self.is_list && p.word(at) == "one");
        said && (at..p.len()).any(|i| self.clause(i).is_some_and(|(clause, _)| is_text(clause)))
    }

    fn is_connected(&self, at: usize) -> bool {
        at == 0 || self.prompt.means(at - 1, "break") || self.prompt.means(at - 1, "connector")
    }

    /// The end of words without the `, and` that leads to what follows them.
    fn without_connectors(&self, at: usize, end: usize) -> usize {
        let is_connector = |i: &usize| end < self.prompt.len() && self.prompt.means(i - 1, "link");
        (at + 1..=end).rev().find(|i| !is_connector(i)).unwrap_or(at)
    }

    /// Whether a word is a file's name or speaks of an attachment.
    fn attaches(&self, at: usize) -> bool {
        let ending = self.prompt.word(at).rsplit_once('.').map_or("", |(_, ending)| ending);
        means(ending, "file") || self.prompt.means(at, "attaching")
    }
}

/// Whether words are somebody's name: up to three, each with a capital letter.
fn is_proper_name(words: &str) -> bool {
    const MOST: usize = 3;
    let is_part = |c: char| c.is_alphabetic() || matches!(c, '-' | '\'' | '’' | '.');
    let is_name = |word: &str| word.starts_with(char::is_uppercase) && word.chars().all(is_part);
    let names: Vec<&str> = words.split_whitespace().collect();
    let is_other = |word: &str| ["ourselves", GMAIL, OUTLOOK].iter().any(|other| means(&word.to_lowercase(), other));
    names.len() <= MOST && names.iter().all(|word| is_name(word) && !is_other(word))
}

/// Whether a clause begins the text.
fn is_text(clause: &str) -> bool {
    LITERAL.contains(&clause) || ["saying", "that", "telling"].contains(&clause)
}
