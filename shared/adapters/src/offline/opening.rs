//! The beginning of a request: what a person wants done, and whether that is a mail.

use super::{
    reading::{Hindrance, Reader, Role},
    vocabulary::{self as words, Tongue, Verb},
};

/// How far from a verb an address may stand to show that a mail is meant.
const NEAR: usize = 40;

impl Reader<'_> {
    /// Finds the verb that asks for a mail and stops after it. Courtesies, conditions, times,
    /// accounts and copies may stand before it; clauses that are something else are left out.
    pub(super) fn open(&mut self) -> bool {
        let mut first_clause = true;
        while let Some(token) = self.token(self.at) {
            if !token.is_word() {
                if self.ends_with_verb() {
                    return true;
                }
                self.at += 1;
            } else if self.is_numbering() {
                self.at += 2;
            } else if self.opens_with_header() {
                return true;
            } else if let Some((role, found, end)) = self.role_at(self.at) {
                self.add_people(role, found);
                self.at = end;
            } else if self.takes_account() {
            } else if let Some(n) = self.courtesy() {
                self.at += n;
            } else if words::NEGATIONS.at(self.tokens, self.at).is_some() {
                self.skip_negation();
                first_clause = false;
            } else if let Some(n) = words::CONDITIONS.at(self.tokens, self.at) {
                self.reading.hinder(Hindrance::Condition);
                self.at += n;
                self.skip_condition();
            } else if let Some(n) = self.later_at(self.at) {
                self.reading.hinder(Hindrance::Later);
                self.at += n;
            } else if self.takes_verb(first_clause) || self.opens_with_noun() || self.ends_with_verb() {
                return true;
            } else if words::QUESTION_WORDS.at(self.tokens, self.at).is_some() {
                self.skip_sentence();
                first_clause = false;
            } else {
                let start = self.at;
                self.skip_clause();
                let left_out = self.between(start, self.at).trim().to_owned();
                self.reading.left_out.push(left_out);
                first_clause = false;
            }
        }
        false
    }

    /// `1.` or `2)`, of a list.
    fn is_numbering(&self) -> bool {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        self.token(self.at).is_some_and(|t| digits(&t.folded))
            && self.token(self.at + 1).is_some_and(|t| t.is_mark(".)"))
    }

    /// `To: a@example.com`
    fn opens_with_header(&mut self) -> bool {
        let colon = usize::from(self.token(self.at + 1).is_some_and(|t| t.is_mark(":")));
        let opens = self.token(self.at).is_some_and(|t| t.is(&["to", "an", "para", "a"]))
            && self.is_address_like(self.at + 1 + colon);
        if opens {
            self.reading.verb = Verb::Header;
            self.at += 1 + colon;
        }
        opens
    }

    /// `Use Outlook to …`, `Outlook: …`; and `gmail sue@example.com`, where the name stays to be taken as the verb.
    fn takes_account(&mut self) -> bool {
        if let Some((account, n)) = self.account_at(self.at) {
            self.use_account(account);
            let end = self.at + n;
            // `Via Outlook mail a@example.com: …`: the noun is the verb.
            let noun = words::MAIL_NOUNS.has(&self.tokens[end - 1]);
            let verb = noun && self.token(end).is_some_and(|t| t.is_address_like() || (t.is_word() && !t.is(&["to"])));
            self.at = end - usize::from(verb);
            return true;
        }
        let Some((account, n)) = self.account_name_at(self.at) else { return false };
        let n = n + usize::from(self.token(self.at + n).is_some_and(|t| t.is(&["please", "bitte"])));
        let Some(next) = self.token(self.at + n) else { return false };
        let verb_follows = next.is(&["to"]) || words::verb_at(self.tokens, self.at + n).is_some();
        let taken = verb_follows || next.is_mark(",:-–—");
        if taken || next.is_address_like() {
            self.use_account(account);
        }
        if taken {
            self.at += n;
        }
        taken
    }

    fn courtesy(&mut self) -> Option<usize> {
        let n = words::COURTESIES.at(self.tokens, self.at)?;
        self.asked |= self.token(self.at).is_some_and(|t| words::ASKS.has(t));
        Some(n)
    }

    fn takes_verb(&mut self, first_clause: bool) -> bool {
        let named = words::verb_at(self.tokens, self.at);
        // `gmail sue@example.com`: the account's name was taken already.
        let account = self.account_name_at(self.at).filter(|(_, n)| self.is_address_like(self.at + n));
        let Some((verb, tongue, n)) = named.or(account.map(|(_, n)| (Verb::Mail, Tongue::English, n))) else {
            return false;
        };
        if !self.means_mail(verb, self.at, self.at + n, first_clause) {
            return false;
        }
        (self.reading.verb, self.reading.tongue) = (verb, tongue);
        self.at += n;
        true
    }

    /// Whether a verb, with what follows it, asks for a mail. `write to kim` does, `write a poem` does not.
    fn means_mail(&self, verb: Verb, start: usize, next: usize, first_clause: bool) -> bool {
        let near = self.address_within(next, NEAR).is_some();
        let within = |limit: usize, test: &dyn Fn(usize) -> bool| {
            (next..self.tokens.len().min(next + limit)).take_while(|&i| !self.tokens[i].ends_sentence()).any(test)
        };
        let mail_noun = within(7, &|i| words::MAIL_NOUNS.has(&self.tokens[i]));
        let speech = within(10, &|i| words::SPEECH.has(&self.tokens[i]));
        let following = self.token(next);
        let to_self = following.is_some_and(|t| words::SELF.has(t));
        if to_self
            && !(matches!(verb, Verb::Mail | Verb::Send | Verb::Write)
                && (near || (first_clause && (mail_noun || verb == Verb::Mail))))
        {
            return false;
        }
        let indefinite =
            following.is_some_and(|t| t.is(&["a", "an", "un", "une", "una", "ein", "eine", "it", "stories", "jokes"]));
        let capital = following
            .is_some_and(|t| t.is_word() && self.text[t.start..].chars().next().is_some_and(char::is_uppercase));
        let person = following.is_some_and(|t| t.is_word() && !words::FINITE.has(t)) && !indefinite;
        let definite = following.is_some_and(|t| words::DETERMINERS.has(t)) && !indefinite;
        let said = within(8, &|i| words::THAT.has(&self.tokens[i]) || words::SAYING.at(self.tokens, i).is_some());
        match verb {
            // `give a@example.com a call` is something else.
            Verb::Send if self.token(start).is_some_and(|t| t.is(&["give"])) => near && (mail_noun || speech),
            Verb::Mail => {
                let of_something_else = following.is_some_and(|t| words::FINITE.has(t) || words::MAIL_SYSTEMS.has(t));
                !of_something_else && (first_clause || near)
            }
            Verb::Send if self.token(start).is_some_and(|t| words::MANY_MEANINGS.has(t)) => {
                near || (first_clause && mail_noun)
            }
            Verb::Send | Verb::Forward => first_clause || near,
            Verb::Write | Verb::Reply => {
                let to = following.is_some_and(|t| words::TO.has(t) || t.is(&["back", "an", "a"]));
                near || (first_clause && (mail_noun || to || (said && capital)))
            }
            Verb::Draft | Verb::Schedule => mail_noun && (first_clause || near),
            Verb::Tell if self.token(start).is_some_and(|t| words::MANY_MEANINGS.has(t)) => {
                near && (said || self.address_within(next, 2).is_some())
            }
            Verb::Tell => near || (first_clause && person),
            Verb::Let => within(NEAR, &|i| words::KNOWING.at(self.tokens, i).is_some()) && (near || first_clause),
            Verb::Ping => near || (first_clause && person && (capital || said)),
            Verb::Ask | Verb::Remind => near || (first_clause && (capital || definite)),
            Verb::Thank | Verb::Congratulate | Verb::Wish | Verb::Apologise | Verb::Invite | Verb::Say => near,
            Verb::Header => true,
        }
    }

    /// `An email to a@example.com saying …`, `and another one to b@example.com`.
    fn opens_with_noun(&mut self) -> bool {
        const MOST_WORDS: usize = 5;
        let mut next = self.at;
        while next < self.at + MOST_WORDS
            && self.token(next).is_some_and(|t| words::DETERMINERS.has(t) || words::ADJECTIVES.has(t))
        {
            next += 1;
        }
        let noun = self.token(next).is_some_and(|t| words::MAIL_NOUNS.has(t));
        let another = words::ANOTHER.at(self.tokens, self.at).map(|n| self.at + n);
        let Some(end) = (if noun { Some(next + 1) } else { another }) else { return false };
        let to = self.token(end).is_some_and(|t| words::TO.has(t) || t.is(&["an", "a"]));
        let opens = to && self.address_within(end, 8).is_some();
        if opens {
            self.reading.verb = Verb::Send;
            self.at = end;
        }
        opens
    }

    /// `Kannst du lena@example.com eine Mail schicken`: German may keep the verb for the end.
    fn ends_with_verb(&mut self) -> bool {
        let end = self.tokens.len().min(self.at + 12);
        let opens = self.at > 0
            && self.address_within(self.at, 6).is_some()
            && (self.at..end).any(|i| words::VERB_AT_END.has(&self.tokens[i]));
        if opens {
            (self.reading.verb, self.reading.tongue) = (Verb::Send, Tongue::German);
        }
        opens
    }

    fn skip_clause(&mut self) {
        self.at += 1;
        while let Some(token) = self.token(self.at) {
            let link = token.is(&["and", "so", "then", "but", "und", "y", "et"]);
            let verb = link && words::verb_at(self.tokens, self.at + 1).is_some();
            if verb || token.ends_sentence() || token.is_mark(",;:") || token.is(&["but"]) {
                break;
            }
            self.at += 1;
        }
    }

    /// Past all that a `don't` denies: `don't mail a@example.com and tell b@example.com` denies both.
    fn skip_negation(&mut self) {
        while self.token(self.at).is_some_and(|t| !t.ends_sentence() && !t.is_mark(",;") && !t.is(&["but"])) {
            self.at += 1;
        }
    }

    fn skip_sentence(&mut self) {
        while self.token(self.at).is_some_and(|t| !t.ends_sentence()) {
            self.at += 1;
        }
    }

    /// Past the condition to what depends on it: behind its comma, or at the verb with an address.
    fn skip_condition(&mut self) {
        while let Some(token) = self.token(self.at) {
            let verb = words::verb_at(self.tokens, self.at)
                .is_some_and(|(verb, _, n)| verb != Verb::Let && self.address_within(self.at + n, 3).is_some());
            if verb || token.ends_sentence() || token.is_mark(",:;") || token.is(&["then"]) {
                break;
            }
            self.at += 1;
        }
    }

    /// Who is named without an address, if nobody is with one.
    pub(super) fn someone(&self) -> Option<String> {
        const MOST_WORDS: usize = 8;
        // "send Nora a thank-you for the meeting" names Nora, not what she gets nor what for.
        let given = self.object.iter().skip(1).position(|&i| self.token(i).is_some_and(|t| t.is(&["a", "an"])));
        let named = match given {
            Some(at) => &self.object[..=at],
            None if self.after_to => &self.described,
            None => &self.object[..],
        };
        let mut named: Vec<usize> = named.iter().copied().take(MOST_WORDS).collect();
        while named.last().is_some_and(|&i| self.is_separator(i)) {
            named.pop();
        }
        let (first, last) = (*named.first()?, *named.last()?);
        if self.token(first).is_some_and(|t| words::SELF.has(t)) {
            return Some("you".to_owned());
        }
        let name = self.between(first, last + 1);
        (name.len() <= 80 && !self.reading.with_role(Role::To).any(|_| true)).then(|| name.to_owned())
    }
}
