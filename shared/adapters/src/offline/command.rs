//! What stands around the addresses: roles, account, subject, and where the message begins.

use super::{
    message::{Lead, Message},
    reading::{Hindrance, Reader, Role},
    tokens::Kind,
    vocabulary::{self as words, Tongue, Verb},
    wording,
};

impl Reader<'_> {
    /// Reads from behind the verb to the end of the request.
    pub(super) fn command(&mut self) {
        while self.at < self.tokens.len() {
            let before = self.at;
            if !self.step() {
                break;
            }
            debug_assert!(self.at > before, "every step takes a token");
        }
        self.settle();
    }

    /// Takes one thing. False when it took the message and all that follows.
    fn step(&mut self) -> bool {
        let at = self.at;
        let token = &self.tokens[at];
        match token.kind {
            Kind::BlankLine if self.reading.message.is_none() => return self.take_message(at, Lead::None),
            Kind::Quote { .. } => return self.take_quote(),
            Kind::Address(_) | Kind::HalfAddress => self.take_people(Role::To, at),
            Kind::Mark(':') if self.reading.message.is_none() && at + 1 < self.tokens.len() => {
                self.by_colon = true;
                return self.take_message(at + 1, Lead::None);
            }
            Kind::Mark('#') => {
                self.reading.not_mail |= self.reading.message.is_none();
                self.at += 1;
            }
            Kind::Mark(',' | ';' | '&' | '+') => return self.take_separator(),
            Kind::Mark('(') if self.has_recipient() && self.reading.message.is_none() => self.take_remark(),
            Kind::Word if words::AND.has(token) && !self.begins_known(at) => return self.take_separator(),
            Kind::Word => return self.take_word(),
            _ => self.at += 1,
        }
        true
    }

    fn take_people(&mut self, role: Role, at: usize) {
        if role == Role::To && !self.has_recipient() {
            self.miss_names_before(at);
        }
        let (found, end) = self.list_at(at);
        if role == Role::To && !self.has_recipient() && self.is_mentioned_only(at, end) {
            self.reading.hinder(Hindrance::Unclear);
            self.at = end;
            return;
        }
        let after = words::AFTER_BCC.at(self.tokens, end).map(|n| (Role::Bcc, n));
        let after = after.or_else(|| words::AFTER_CC.at(self.tokens, end).map(|n| (Role::Cc, n)));
        let (role, length) = if self.has_recipient() { after.unwrap_or((role, 0)) } else { (role, 0) };
        self.add_people(role, found);
        self.at = end + length;
    }

    /// `the address of bob@example.com`, `email Sam bob@example.com is down`: spoken of, not to.
    fn is_mentioned_only(&self, at: usize, end: usize) -> bool {
        let named = if self.after_to { &self.described } else { &self.object };
        let before = at.checked_sub(1).filter(|before| named.last() == Some(before));
        let of = before.is_some_and(|before| words::OF.has(&self.tokens[before]));
        of || (before.is_some() && self.token(end).is_some_and(|t| words::FINITE.has(t)))
    }

    /// `email Sam and ana@example.com`: Sam is meant, too, and has no address.
    fn miss_names_before(&mut self, at: usize) {
        let named = if self.after_to { &self.described } else { &self.object };
        let joined = at > 0 && named.last() == Some(&(at - 1)) && self.is_separator(at - 1);
        if let (true, Some(&first)) = (joined, named.first()) {
            let name = self.between(first, at - 1).to_owned();
            let said = matches!(self.reading.verb, Verb::Say | Verb::Send) && !self.after_to;
            if !said {
                self.reading.missing.push(name);
            }
        }
    }

    /// `ana@example.com (Ana)`: a remark that changes nothing.
    fn take_remark(&mut self) {
        const MOST_WORDS: usize = 6;
        let close = (self.at + 1..self.tokens.len()).take(MOST_WORDS).find(|&i| self.tokens[i].is_mark(")"));
        let known = self.begins_known(self.at + 1);
        self.at = if known { self.at + 1 } else { close.map_or(self.at + 1, |i| i + 1) };
    }

    /// A comma or `and`: more people, another part of the command, or the beginning of the message.
    fn take_separator(&mut self) -> bool {
        let start = self.at;
        let mut next = start;
        while self.is_separator(next) && (next == start || !self.begins_known(next)) {
            next += 1;
        }
        if !self.has_recipient() || self.reading.message.is_some() {
            self.place_word(start);
            self.at = next;
            return true;
        }
        self.at = next;
        if self.token(next).is_none_or(|t| !t.is_word()) || self.begins_known(next) {
            return true;
        }
        if let Some(person) = self.person_after_words(next) {
            self.at = person;
            return true;
        }
        // A word that is nothing known: somebody's name, or the message.
        let by_and = self.tokens[start..next].iter().any(|t| words::AND.has(t) || t.is_mark("&"));
        if let Some(end) = self.name_end(next, by_and) {
            let name = self.between(next, end).to_owned();
            self.reading.missing.push(name);
            self.at = end;
            return true;
        }
        self.implicit_message()
    }

    /// The address that `the list team@example.com` or `Bob bob@example.com` describes.
    fn person_after_words(&self, at: usize) -> Option<usize> {
        const MOST_WORDS: usize = 4;
        let person = (at..=at + MOST_WORDS).find(|&i| self.token(i).is_none_or(|t| !t.is_word()))?;
        let name = |i: usize| self.text[self.tokens[i].start..].chars().next().is_some_and(char::is_uppercase);
        let described = words::DETERMINERS.has(&self.tokens[at]) || (at..person).all(name);
        let plain = (at..person).all(|i| !words::FINITE.has(&self.tokens[i]) && !self.is_to(i));
        (self.is_address_like(person) && described && plain).then_some(person)
    }

    /// Where a name ends that begins at `at`: before the message, or before more people.
    fn name_end(&self, at: usize, by_and: bool) -> Option<usize> {
        let most = if by_and { 6 } else { 3 };
        let capital = self.text[self.tokens[at].start..].chars().next().is_some_and(char::is_uppercase);
        let group = words::DETERMINERS.has(&self.tokens[at]) || words::GROUPS.has(&self.tokens[at]);
        for end in at + 1..=at + 1 + most {
            let Some(token) = self.token(end) else { return by_and.then_some(end) };
            if words::FINITE.has(token) {
                return None;
            }
            if token.is_mark(":") || self.opener_at(end).is_some() || self.is_separator(end) || token.is_mark(",") {
                return (by_and || capital || group).then_some(end);
            }
            if token.ends_sentence() {
                return (by_and && capital && end == at + 1).then_some(end);
            }
        }
        None
    }

    /// Whether something stands at `at` that a command knows, so that it is neither a name nor a message.
    fn begins_known(&self, at: usize) -> bool {
        self.is_address_like(at)
            || self.token(at).is_some_and(|t| words::SMALL_WORDS.has(t))
            || self.opener_at(at).is_some()
            || self.role_at(at).is_some()
            || self.account_at(at).is_some()
            || self.subject_at(at).is_some()
            || words::NOT_TO.at(self.tokens, at).is_some_and(|n| self.address_within(at + n, 3).is_some())
            || self.noun_phrase_end(at).is_some()
            || self.later_at(at).is_some_and(|n| self.opener_at(at + n).is_some())
    }

    fn take_word(&mut self) -> bool {
        let at = self.at;
        let token = &self.tokens[at];
        let said = self.reading.message.is_some();
        if let Some(value) = self.subject_at(at) {
            self.take_subject(value);
        } else if let Some((role, found, end)) = self.role_at(at) {
            self.add_people(role, found);
            self.at = end;
        } else if let Some(end) = self.know_end() {
            if words::CONDITIONS.at(self.tokens, end).is_some() {
                self.reading.hinder(Hindrance::Condition);
            }
            return self.take_message(end, Lead::None);
        } else if let Some((account, n)) = self.account_at(at).filter(|_| !self.names_an_address(at)) {
            self.use_account(account);
            self.at += n;
        } else if let Some((next, lead)) = self.opener_at(at).filter(|_| !said && !self.is_plain_word(at)) {
            return self.open_message(next, lead);
        } else if self.takes_hindrance() {
        } else if let Some(n) =
            words::NOT_TO.at(self.tokens, at).filter(|n| self.is_address_like(at + n) || self.role_at(at + n).is_some())
        {
            let start = self.role_at(at + n).and_then(|(_, found, _)| found.first().copied()).unwrap_or(at + n);
            let (found, end) = self.list_at(start);
            self.add_people(Role::Nobody, found);
            self.at = end;
        } else if let Some(person) = self.sender_at(at) {
            self.add_person(Role::From, person);
            self.at = person + 1;
        } else if self.is_to(at) {
            return self.take_to();
        } else if token.is(&["mit"]) && self.token(at + 1).is_some_and(|t| t.is_mark(",") || words::THAT.has(t)) {
            // The second half of `mitteilen`.
            self.at += 1;
        } else if token.is(&["by", "via", "per", "par", "por"])
            && self.token(at + 1).is_some_and(|t| words::PLAIN_MAIL_NOUNS.has(t))
        {
            self.noun_seen = true;
            self.at += 2;
        } else if let Some(end) = self.noun_phrase_end(at) {
            self.noun_seen = true;
            self.at = end;
        } else if words::SMALL_WORDS.has(token) || (said && words::DETERMINERS.has(token)) {
            self.at += 1;
        } else if said {
            self.leave_out();
        } else if self.has_recipient() {
            return self.implicit_message();
        } else {
            self.reading.not_mail |= self.is_not_mail(at);
            self.place_word(at);
            self.at += 1;
        }
        true
    }

    fn place_word(&mut self, at: usize) {
        if self.after_to { self.described.push(at) } else { self.object.push(at) }
    }

    fn leave_out(&mut self) {
        let start = self.at;
        while self.at < self.tokens.len() && !self.tokens[self.at].ends_sentence() && !self.is_address_like(self.at) {
            self.at += 1;
        }
        self.at = self.at.max(start + 1);
        self.reading.left_out.push(self.between(start, self.at).to_owned());
    }

    /// `know` of `let … know`, with what follows it before the message.
    fn know_end(&self) -> Option<usize> {
        let knows = self.reading.verb == Verb::Let && self.reading.message.is_none();
        words::KNOWING.at(self.tokens, self.at).filter(|_| knows).map(|n| self.at + n)
    }

    /// `to my gmail address a@example.com` chooses no account.
    fn names_an_address(&self, at: usize) -> bool {
        let to = at > 0 && (words::TO.has(&self.tokens[at - 1]) || words::OWN.has(&self.tokens[at - 1]));
        to && words::BY.at(self.tokens, at).is_none() && self.after_to
    }

    fn sender_at(&self, at: usize) -> Option<usize> {
        let from = words::FROM.has(&self.tokens[at]);
        let person = (at + 1..at + 4).find(|&i| self.is_address_like(i))?;
        let between =
            (at + 1..person).all(|i| words::OWN.has(&self.tokens[i]) || words::ACCOUNT_NOUNS.has(&self.tokens[i]));
        (from && between).then_some(person)
    }

    /// Words that open a message elsewhere, but not here: `send that to …`, `the reading list`.
    fn is_plain_word(&self, at: usize) -> bool {
        let after_determiner = at > 0 && words::DETERMINERS.has(&self.tokens[at - 1]);
        let first = !self.has_recipient() && self.object.is_empty() && self.described.is_empty() && !self.noun_seen;
        let that = words::THAT.has(&self.tokens[at]);
        (after_determiner && !self.after_to) || (that && first)
    }

    fn is_not_mail(&self, at: usize) -> bool {
        if words::NOT_MAIL.at(self.tokens, at).is_none() {
            return false;
        }
        let before = at.checked_sub(1).map(|i| &self.tokens[i]);
        let first = self.object.is_empty() && !self.after_to;
        first
            || before.is_some_and(|t| {
                t.is(&[
                    "a", "an", "some", "no", "via", "by", "on", "in", "through", "un", "una", "une", "ein", "eine",
                    "einen",
                ]) || t.folded.starts_with(|c: char| c.is_ascii_digit())
                    || words::NUMBERS.has(t)
            })
            || self.object.last() == Some(&(at.saturating_sub(1)))
    }

    fn takes_hindrance(&mut self) -> bool {
        let at = self.at;
        let asks = matches!(self.reading.verb, Verb::Ask);
        let said = self.reading.message.is_some();
        if words::CONDITIONS.at(self.tokens, at).is_some() && !(asks && self.has_recipient()) {
            self.reading.hinder(Hindrance::Condition);
            self.at = self.tokens.len();
            return true;
        }
        if let Some(n) = self.later_at(at).filter(|n| self.is_time_of_sending(at + n)) {
            self.reading.hinder(Hindrance::Later);
            self.at += n;
            return true;
        }
        let ending = self.tokens[at]
            .folded
            .rfind('.')
            .is_some_and(|dot| words::FILE_ENDINGS.has_word(&self.tokens[at].folded[dot + 1..]));
        let attaching = words::ATTACHING.at(self.tokens, at).or(ending.then_some(1));
        if let Some(n) = attaching.filter(|_| !self.tells() || said) {
            self.reading.hinder(Hindrance::Attachment);
            self.at += n;
            return true;
        }
        if let Some(n) = words::CALENDAR.at(self.tokens, at).filter(|_| !self.has_recipient()) {
            self.reading.hinder(Hindrance::Calendar);
            self.at += n;
            return true;
        }
        // `on Slack`, after the people.
        let channel = self.tokens[at].is(&["on", "via", "in", "by", "over", "through", "using", "with"])
            && words::NOT_MAIL.at(self.tokens, at + 1).is_some();
        if channel {
            self.reading.not_mail = true;
            self.at += 2;
        }
        channel
    }

    fn tells(&self) -> bool {
        matches!(
            self.reading.verb,
            Verb::Tell | Verb::Let | Verb::Ask | Verb::Remind | Verb::Ping | Verb::Thank | Verb::Wish
        ) && self.has_recipient()
    }

    /// A time before more of the command is when to send; before other words it begins the message.
    fn is_time_of_sending(&self, next: usize) -> bool {
        let message = self.token(next).is_some_and(|t| t.is_word() || matches!(t.kind, Kind::Quote { .. }));
        !self.has_recipient()
            || self.reading.message.is_some()
            || !message
            || self.begins_known(next)
            || self.is_to(next)
    }

    pub(super) fn is_to(&self, at: usize) -> bool {
        let Some(token) = self.token(at) else { return false };
        let next_is_address = self.is_address_like(at + 1);
        match self.reading.tongue {
            _ if words::TO.has(token) => true,
            Tongue::German => words::TO_GERMAN.has(token),
            Tongue::Romance => words::TO_ROMANCE.has(token),
            Tongue::English => next_is_address && (words::TO_GERMAN.has(token) || words::TO_ROMANCE.has(token)),
        }
    }

    /// `to a@example.com`, `to my boss a@example.com`, `to the client`; else the purpose of a mail: `to confirm …`.
    fn take_to(&mut self) -> bool {
        if self.has_recipient() {
            // `tell a@example.com to call b@example.com`: b is no recipient.
            if self.is_address_like(self.at + 1) {
                self.reading.hinder(Hindrance::Unclear);
            } else if self.reading.message.is_none() {
                return self.implicit_message();
            }
            self.leave_out();
            return true;
        }
        self.after_to = true;
        self.described.clear();
        self.at += 1;
        true
    }

    /// The end of `a short email`, `the following message`, `mail`.
    pub(super) fn noun_phrase_end(&self, at: usize) -> Option<usize> {
        const MOST_WORDS: usize = 5;
        let mut next = at;
        while next < at + MOST_WORDS
            && self.token(next).is_some_and(|t| words::DETERMINERS.has(t) || words::ADJECTIVES.has(t))
        {
            next += 1;
        }
        let noun = self.token(next).is_some_and(|t| words::MAIL_NOUNS.has(t));
        // `the message board`, `the email list`: the noun belongs to another thing.
        (noun && (next > at || !self.has_recipient() || words::PLAIN_MAIL_NOUNS.has(&self.tokens[next])))
            .then_some(next + 1)
    }

    /// A message that nothing opens: `mail zoe@example.org happy birthday`.
    fn implicit_message(&mut self) -> bool {
        const LOOKAHEAD: usize = 6;
        let at = self.at;
        if self.tells() || self.reading.verb == Verb::Congratulate || self.reading.verb == Verb::Apologise {
            let (start, lead) = self.lead_of_verb(at);
            return self.take_message(start, lead);
        }
        // `mail cto@example.com the summary: …`, `email ana@example.com in my name saying …`
        for next in at + 1..(at + 1 + LOOKAHEAD).min(self.tokens.len()) {
            let token = &self.tokens[next];
            if words::FINITE.has(token) || token.is_break() || token.is_mark(".!?") {
                break;
            }
            let opener = (words::SAYING.at(self.tokens, next).is_some() || words::BODY.at(self.tokens, next).is_some())
                && next > at + 1;
            let thing = words::DETERMINERS.has(&self.tokens[at]);
            if opener || self.subject_at(next).is_some() || (thing && token.is_mark(":")) {
                let phrase = self.between(at, next).to_owned();
                if thing {
                    self.reading.thing = Some(phrase);
                } else {
                    self.reading.left_out.push(phrase);
                }
                self.at = next;
                return true;
            }
        }
        if let Some(thing) = self.thing_at(at) {
            self.reading.thing = Some(thing);
            self.at = self.tokens.len();
            return false;
        }
        self.take_message(at, Lead::None)
    }

    /// What is left is a thing, not words to say: `the quarterly report`.
    fn thing_at(&self, at: usize) -> Option<String> {
        const MOST_WORDS: usize = 7;
        let rest = &self.tokens[at..];
        let all_words = rest.iter().all(|t| t.is_word() || t.ends_sentence());
        let clause = rest.iter().any(|t| words::FINITE.has(t) || words::SPEECH.has(t));
        let thing = words::DETERMINERS.has(&self.tokens[at]) && rest.len() <= MOST_WORDS && all_words && !clause;
        thing.then(|| self.between(at, self.tokens.len()).trim_end_matches(['.', '!', '?']).to_owned())
    }

    /// What was left open at the end.
    fn settle(&mut self) {
        if self.reading.verb == Verb::Draft {
            self.reading.hinder(Hindrance::Draft);
        }
        if self.reading.verb == Verb::Schedule {
            self.reading.hinder(Hindrance::Later);
        }
        if self.reading.verb == Verb::Invite {
            self.reading.hinder(Hindrance::Calendar);
        }
        if self.has_recipient() && self.after_to {
            self.settle_object();
        }
        if !self.has_recipient() {
            self.reading.missing.extend(self.someone());
        }
        match (self.topic.take(), &self.reading.message) {
            (Some(topic), Some(_)) if self.reading.subject.is_none() => {
                self.reading.subject = Some(wording::subject(&topic));
            }
            (Some(topic), None) => self.reading.message = Message::spoken(&topic, Lead::About, false),
            _ => {}
        }
        // `send the report to … saying …`: the words can go out, the report cannot.
        let colon = self.by_colon;
        if self.reading.message.is_some() && self.reading.thing.is_some() && !colon {
            self.reading.hinder(Hindrance::Attachment);
        }
        let other_mail = matches!(self.reading.verb, Verb::Reply | Verb::Forward) && self.reading.thing.is_some();
        if other_mail || (self.reading.verb == Verb::Forward && self.reading.message.is_none()) {
            self.reading.hinder(Hindrance::OtherMail);
        }
    }

    /// What stood between the verb and `to`: the message itself, or a thing that is to be sent.
    fn settle_object(&mut self) {
        let (Some(&first), Some(&last)) = (self.object.first(), self.object.last()) else { return };
        let object = &self.tokens[first..=last];
        if object.iter().any(|t| t.is(&["same"])) {
            self.reading.same_message = true;
        } else if object.iter().all(|t| words::POINTERS.has(t) || words::DETERMINERS.has(t)) {
            // `the following`, `this`: what it points to is the message.
        } else if words::DETERMINERS.has(&object[0]) && !object.iter().any(|t| words::SPEECH.has(t)) {
            self.reading.thing = Some(self.between(first, last + 1).to_owned());
        } else {
            let phrase = self.between(first, last + 1).to_owned();
            match self.reading.message.take() {
                // `send thanks to ana@example.com for the flowers`
                Some(rest) if rest.continues() => {
                    self.reading.message = Message::spoken(&format!("{phrase} {}", rest.raw()), Lead::None, false);
                }
                Some(rest) => self.reading.message = Some(rest),
                None => self.reading.message = Message::spoken(&phrase, Lead::None, false),
            }
        }
    }
}
