//! What the mail says: where the message begins and ends, and the subject that is given.

use super::{
    reading::{Account, Hindrance, Reader, Role},
    tokens::Kind,
    vocabulary::{self as words, Tongue, Verb},
    wording,
};

/// The words of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    raw: String,
    lead: Lead,
    /// As the text goes out.
    pub text: String,
}

/// Words of courtesy that make a message of what the request only describes: `ask … to come` says `Please come`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    None,
    About,
    Please,
    PleaseDoNot,
    MayIAsk,
    ThankYou,
    Congratulations,
    IWishYou,
    IApologise,
    PleaseRemember,
    Reminder,
}

impl Lead {
    const fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::About => "About ",
            Self::Please => "Please ",
            Self::PleaseDoNot => "Please do not ",
            Self::MayIAsk => "May I ask ",
            Self::ThankYou => "Thank you ",
            Self::Congratulations => "Congratulations ",
            Self::IWishYou => "I wish you ",
            Self::IApologise => "I apologise ",
            Self::PleaseRemember => "Please remember to ",
            Self::Reminder => "A reminder ",
        }
    }
}

impl Message {
    /// A message given in passing: it becomes a sentence. `asked` says that a question mark at its
    /// end belongs to the request. None when there are no words in it.
    pub(super) fn spoken(raw: &str, lead: Lead, asked: bool) -> Option<Self> {
        let raw = wording::trim(raw);
        let text =
            wording::sentence(&format!("{}{raw}", lead.words()), asked && lead != Lead::MayIAsk, lead == Lead::MayIAsk);
        (!raw.is_empty()).then(|| Self { raw: raw.to_owned(), lead, text })
    }

    /// What stood between quotation marks: one line is a sentence, more stay as they are.
    fn quoted(raw: &str) -> Option<Self> {
        if raw.trim().contains('\n') { Self::verbatim(raw) } else { Self::spoken(raw, Lead::None, false) }
    }

    /// A message that was written out: it stays as it is.
    pub(super) fn verbatim(raw: &str) -> Option<Self> {
        let text = raw.trim().replace('\0', "");
        (!text.is_empty()).then(|| Self { raw: text.clone(), lead: Lead::None, text })
    }

    /// A subject of the message's own first words.
    pub(super) fn subject(&self) -> String {
        wording::subject(if self.lead == Lead::About { &self.raw } else { &self.text })
    }

    pub(super) fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether it goes on with what stood before: `for the flowers`.
    pub(super) fn continues(&self) -> bool {
        self.lead == Lead::None
            && self.raw.split_whitespace().next().is_some_and(|word| words::CONTINUING.has_word(&word.to_lowercase()))
    }
}

/// A part of the command that stands behind the message.
enum Tail {
    People(Role, Vec<usize>),
    Subject(usize),
    Account(Account),
    Attachment,
}

impl Reader<'_> {
    /// What opens a message at `at`: where the message begins, and what leads it in.
    pub(super) fn opener_at(&self, at: usize) -> Option<(usize, Lead)> {
        let token = self.token(at).filter(|t| t.is_word())?;
        let label = words::BODY_LABELS
            .at(self.tokens, at)
            .filter(|n| self.token(at + n).is_some_and(|t| t.is_mark(":=") || matches!(t.kind, Kind::Quote { .. })));
        if let Some(n) = words::BODY.at(self.tokens, at).max(label) {
            return Some((at + n, Lead::None));
        }
        if let Some(n) = words::THANKING.at(self.tokens, at) {
            return Some((at + n - 1, Lead::ThankYou));
        }
        if let Some(n) = words::REMINDING.at(self.tokens, at) {
            return Some(self.lead(Verb::Remind, at + n));
        }
        if let Some(n) = words::ASKING.at(self.tokens, at) {
            return Some(self.lead(Verb::Ask, at + n));
        }
        let plain = words::SAYING.at(self.tokens, at).max(words::ASKING_ELSEWHERE.at(self.tokens, at));
        if let Some(n) = plain.max(words::THAT.at(self.tokens, at)) {
            return Some((at + n, Lead::None));
        }
        if token.folded.starts_with("qu'") && self.reading.tongue == Tongue::Romance {
            return Some((at, Lead::None));
        }
        words::ABOUT.at(self.tokens, at).map(|n| (at + n, Lead::About))
    }

    /// The message that follows the verb's person directly.
    pub(super) fn lead_of_verb(&self, at: usize) -> (usize, Lead) {
        self.lead(self.reading.verb, at)
    }

    fn lead(&self, verb: Verb, at: usize) -> (usize, Lead) {
        let Some(token) = self.token(at) else { return (at, Lead::None) };
        let to = token.is(&["to"]);
        let not_to = token.is(&["not"]) && self.token(at + 1).is_some_and(|t| t.is(&["to"]));
        let english = self.reading.tongue == Tongue::English;
        match verb {
            _ if not_to && english => (at + 2, Lead::PleaseDoNot),
            Verb::Tell if english && token.is(&["of"]) => (at + 1, Lead::About),
            Verb::Remind if to => (at + 1, Lead::PleaseRemember),
            Verb::Remind if english => (at, Lead::Reminder),
            Verb::Ask if english && words::ASKED_FOR.has(token) => (at, Lead::MayIAsk),
            Verb::Ask | Verb::Tell | Verb::Ping | Verb::Let if to => (at + 1, Lead::Please),
            Verb::Thank => (at, Lead::ThankYou),
            Verb::Congratulate => (at, Lead::Congratulations),
            Verb::Wish => (at, Lead::IWishYou),
            Verb::Apologise => (at, Lead::IApologise),
            _ => (at, Lead::None),
        }
    }

    /// Takes an opener and its message. `about` may only name the topic of a message that comes later.
    pub(super) fn open_message(&mut self, next: usize, lead: Lead) -> bool {
        const LOOKAHEAD: usize = 20;
        let asked = matches!(self.reading.verb, Verb::Ask | Verb::Remind) && self.has_recipient();
        if lead == Lead::About && !asked {
            let reach = (next + 1..self.tokens.len().min(next + LOOKAHEAD))
                .take_while(|&i| !self.tokens[i].ends_sentence() || self.tokens[i].is_break());
            let mut ends = reach.filter(|&i| self.ends_topic(i));
            if let Some(end) = ends.next() {
                self.topic = Some(wording::trim(self.between(next, end)).to_owned());
                self.at = end;
                return true;
            }
        }
        if asked && lead != Lead::MayIAsk {
            let (start, lead) = if lead == Lead::None { (next, lead) } else { self.lead_of_verb(self.at) };
            return self.take_message(start, lead);
        }
        self.take_message(next, lead)
    }

    fn ends_topic(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let opener = self.opener_at(at).is_some_and(|(_, lead)| lead != Lead::About) && !words::THAT.has(token);
        let to = !self.has_recipient() && self.is_to(at) && self.address_within(at, 4).is_some();
        opener
            || to
            || token.is_mark(":")
            || token.is_break()
            || self.role_at(at).is_some()
            || self.account_at(at).is_some()
    }

    /// Takes the message that begins at `start`. True when more of the command may follow it.
    pub(super) fn take_message(&mut self, start: usize, lead: Lead) -> bool {
        let mut start = start;
        while let Some(token) = self.token(start) {
            let chained = words::CHAIN.at(self.tokens, start).filter(|_| lead == Lead::None);
            match chained {
                Some(n) => start += n,
                None if token.is_mark(",:=-–—") => start += 1,
                None => break,
            }
        }
        let Some(token) = self.token(start) else {
            self.at = self.tokens.len();
            return false;
        };
        if let Kind::Quote { inner_start, inner_end } = token.kind
            && self.command_goes_on(start + 1)
        {
            self.reading.message = Message::quoted(&self.text[inner_start..inner_end]);
            self.at = start + 1;
            return true;
        }
        let below = token.is_break();
        let end = if below { self.tokens.len() } else { self.take_tails(start) };
        self.at = self.tokens.len();
        let mut raw = self.between(start, end);
        if token.folded.starts_with("qu'") {
            raw = raw.split_once(['\'', '’']).map_or(raw, |(_, rest)| rest);
        }
        let paragraphs = self.tokens[start..end].iter().any(|t| matches!(t.kind, Kind::BlankLine));
        self.reading.message =
            if below || paragraphs { Message::verbatim(raw) } else { Message::spoken(raw, lead, self.asked) };
        if !below {
            self.reading.account_in_text = self.account_at_end(start, end);
        }
        false
    }

    /// Whether what follows a quotation is part of the command again, not of the message.
    fn command_goes_on(&self, at: usize) -> bool {
        self.token(at).is_none_or(|t| {
            t.ends_sentence() || t.is_mark(",;") || words::AND.has(t) || self.is_to(at) || self.later_at(at).is_some()
        }) || self.role_at(at).is_some()
            || self.account_at(at).is_some()
            || self.subject_at(at).is_some()
            || self.opener_at(at).is_some()
    }

    /// A quotation that nothing introduced.
    pub(super) fn take_quote(&mut self) -> bool {
        let at = self.at;
        let quoted_name = !self.has_recipient() && self.opener_at(at + 1).is_some();
        if self.reading.message.is_some() {
            self.reading.left_out.push(self.between(at, at + 1).to_owned());
        } else if quoted_name {
            self.object.push(at);
        } else {
            return self.take_message(at, Lead::None);
        }
        self.at += 1;
        true
    }

    /// `via outlook` as the last words of a message: they stay in it, but a person should know.
    fn account_at_end(&self, start: usize, end: usize) -> Option<String> {
        const MOST_WORDS: usize = 6;
        let mut last = end;
        while last > start && self.tokens[last - 1].ends_sentence() {
            last -= 1;
        }
        let from = last.saturating_sub(MOST_WORDS).max(start + 1);
        let by = |&at: &usize| {
            self.tokens[at].is(&["via", "using", "through", "from"])
                && self.account_at(at).is_some_and(|(_, n)| at + n == last)
        };
        (from..last).find(by).map(|at| self.between(at, last).to_owned())
    }

    /// Where the value of a subject begins that is named at `at`.
    pub(super) fn subject_at(&self, at: usize) -> Option<usize> {
        let quoted_or = |next: usize, marks: &str| {
            self.token(next).is_some_and(|t| t.is_mark(marks) || matches!(t.kind, Kind::Quote { .. }))
        };
        let known = self.has_recipient() && self.token(at).is_some_and(|t| t.is(&["subject"]));
        let label = words::SUBJECT_LABELS.at(self.tokens, at).filter(|n| known || quoted_or(at + n, ":="));
        let mut next = at + words::SUBJECT.at(self.tokens, at).max(label)?;
        while self.token(next).is_some_and(|t| t.is_mark(":=") || t.is(&["is", "of"])) {
            next += 1;
        }
        Some(next)
    }

    pub(super) fn take_subject(&mut self, value: usize) {
        let labelled = value > 0 && self.tokens[value - 1].is_mark(":=");
        if let Some(Kind::Quote { inner_start, inner_end }) = self.token(value).map(|t| &t.kind) {
            self.reading.subject = Some(self.text[*inner_start..*inner_end].to_owned());
            self.at = value + 1;
            return;
        }
        let mut end = value;
        while end < self.tokens.len() && !self.ends_subject(end, labelled) {
            end += 1;
        }
        let mut last = end;
        while last > value && self.is_separator(last - 1) {
            last -= 1;
        }
        self.reading.subject = Some(self.between(value, last).to_owned());
        self.at = end.max(self.at + 1);
    }

    fn ends_subject(&self, at: usize, labelled: bool) -> bool {
        let token = &self.tokens[at];
        // A comma ends it only before more of the command.
        let opens = |at: usize| {
            self.opener_at(at).is_some_and(|(_, lead)| lead != Lead::About) && !words::THAT.has(&self.tokens[at])
        };
        token.ends_sentence()
            || token.is_mark(";")
            || (token.is_mark(":") && !labelled)
            || matches!(token.kind, Kind::Quote { .. })
            || opens(at)
            || self.role_at(at).is_some()
            || self.account_at(at).is_some_and(|(_, n)| words::BY.at(self.tokens, at).is_some_and(|by| by < n))
            || (!self.has_recipient() && self.is_to(at) && self.is_address_like(at + 1))
    }

    /// Finds copies, a subject and the like behind the message that begins at `start`, takes them,
    /// and says where the message ends.
    fn take_tails(&mut self, start: usize) -> usize {
        for at in start + 1..self.tokens.len() {
            let Some(tails) = self.tails_at(at) else { continue };
            let mut end = at;
            while end > start + 1 && (self.is_separator(end - 1) || self.tokens[end - 1].is_mark("(")) {
                end -= 1;
            }
            for tail in tails {
                match tail {
                    Tail::People(role, people) => self.add_people(role, people),
                    Tail::Subject(value) => {
                        self.reading.subject = Some(wording::trim(self.between(value, self.tokens.len())).to_owned());
                    }
                    Tail::Account(account) => self.use_account(account),
                    Tail::Attachment => self.reading.hinder(Hindrance::Attachment),
                }
            }
            return end;
        }
        self.tokens.len()
    }

    /// What stands from `at` to the end, if all of it is part of the command.
    fn tails_at(&self, start: usize) -> Option<Vec<Tail>> {
        const MOST_TOKENS: usize = 200;
        let before = &self.tokens[start - 1];
        if words::AND.has(&self.tokens[start]) {
            return None;
        }
        let new_sentence = before.ends_sentence() || before.is_mark("(");
        let boundary = new_sentence || before.is_mark(",;–—-") || words::AND.has(before);
        let marked =
            self.tokens[start].is(&["cc", "bcc", "with", "mit", "con", "avec", "reply-to", "bcc'ing", "cc'ing"]);
        let to = !self.has_recipient() && self.is_to(start) && self.is_address_like(start + 1);
        if !boundary && !marked && !to {
            return None;
        }
        let mut found: Vec<Tail> = Vec::new();
        let mut addressed = self.has_recipient();
        let mut at = start;
        while at < self.tokens.len() && at < start + MOST_TOKENS {
            let token = &self.tokens[at];
            if let Some((role, people, end)) = self.role_at(at) {
                found.push(Tail::People(role, people));
                at = end;
            } else if let Some(value) = self.tail_subject_at(at, new_sentence) {
                found.push(Tail::Subject(value));
                return Some(found);
            } else if !addressed && self.is_to(at) && self.is_address_like(at + 1) {
                let (people, end) = self.list_at(at + 1);
                found.push(Tail::People(Role::To, people));
                addressed = true;
                at = end;
            } else if let Some((account, n)) = self.account_at(at).filter(|_| new_sentence || !found.is_empty()) {
                found.push(Tail::Account(account));
                at += n;
            } else if new_sentence && at == start && token.is(&["attach", "enclose"]) {
                found.push(Tail::Attachment);
                while self.token(at).is_some_and(|t| !t.ends_sentence()) {
                    at += 1;
                }
            } else if token.is_mark(".,;!()")
                || token.is_break()
                || words::AND.has(token)
                || token.is(&["please", "also", "too"])
            {
                at += 1;
            } else if new_sentence && let Some(n) = words::SEND_IT.at(self.tokens, at) {
                at += n;
            } else {
                return None;
            }
        }
        (at >= self.tokens.len() && !found.is_empty()).then_some(found)
    }

    fn tail_subject_at(&self, at: usize, new_sentence: bool) -> Option<usize> {
        let with = self.tokens[at].is(&["with", "mit", "con", "avec"]);
        let value = self.subject_at(at).filter(|_| self.reading.subject.is_none() && (with || new_sentence))?;
        (value < self.tokens.len()).then_some(value)
    }
}
