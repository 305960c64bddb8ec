//! What one request says, as far as it is understood, and the reader that finds it out.

use domain::Address;

use super::{
    message::Message,
    tokens::{Kind, Token},
    vocabulary::{self as words, Tongue, Verb},
};

/// What one request for a mail says.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub verb: Verb,
    pub tongue: Tongue,
    /// Every address that has a role, in order.
    pub people: Vec<(Role, Address)>,
    /// People or groups that are named without a whole address.
    pub missing: Vec<String>,
    /// The accounts that are named, in order.
    pub accounts: Vec<Account>,
    /// What keeps the mail from going out as asked.
    pub hindrances: Vec<Hindrance>,
    pub subject: Option<String>,
    pub message: Option<Message>,
    /// It asks for what another request said.
    pub same_message: bool,
    /// A thing that is to be sent, rather than words.
    pub thing: Option<String>,
    /// It is about something that no mail can do.
    pub not_mail: bool,
    /// Pieces that were not understood.
    pub left_out: Vec<String>,
    /// Words at the end of the message that may have been meant as the choice of an account.
    pub account_in_text: Option<String>,
}

/// How an address is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    To,
    Cc,
    Bcc,
    ReplyTo,
    /// Where the mail is to come from.
    From,
    /// Who is not to get it.
    Nobody,
}

/// Whose service is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    Google,
    Microsoft,
    /// One that no action uses.
    Other,
}

/// What keeps a mail from going out as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hindrance {
    Condition,
    Later,
    Attachment,
    Calendar,
    Draft,
    /// It answers or forwards a mail that only the mailbox holds.
    OtherMail,
    /// An address stands where neither a recipient nor a message is expected.
    Unclear,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self {
            verb: Verb::Send,
            tongue: Tongue::English,
            people: Vec::new(),
            missing: Vec::new(),
            accounts: Vec::new(),
            hindrances: Vec::new(),
            subject: None,
            message: None,
            same_message: false,
            thing: None,
            not_mail: false,
            left_out: Vec::new(),
            account_in_text: None,
        }
    }

    pub(super) fn with_role(&self, role: Role) -> impl Iterator<Item = &Address> {
        self.people.iter().filter(move |(r, _)| *r == role).map(|(_, address)| address)
    }

    pub(super) fn hinder(&mut self, hindrance: Hindrance) {
        if !self.hindrances.contains(&hindrance) {
            self.hindrances.push(hindrance);
        }
    }

    /// Adds an address, once: its first role counts.
    pub(super) fn add(&mut self, role: Role, address: &Address) {
        if !self.people.iter().any(|(_, known)| known.same_but_for_case(address)) {
            self.people.push((role, address.clone()));
        }
    }
}

/// Reads one request from left to right: [`Reader::open`] finds its verb (`opening`),
/// [`Reader::command`] what stands around the addresses (`command`), and `message` what the mail says.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about what was read")]
pub(super) struct Reader<'a> {
    pub text: &'a str,
    pub tokens: &'a [Token],
    pub at: usize,
    /// It is put as a question (`can you …?`), so that a question mark at its end is not the message's.
    pub asked: bool,
    pub reading: Reading,
    /// Words before `to` that are neither people nor anything known: `send happy birthday to …`.
    pub object: Vec<usize>,
    /// The same after `to`.
    pub described: Vec<usize>,
    pub after_to: bool,
    /// A word such as `email` or `note` was there.
    pub noun_seen: bool,
    /// A colon opened the message.
    pub by_colon: bool,
    /// What the mail is about, when the message comes later.
    pub topic: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [Token]) -> Self {
        Self {
            text,
            tokens,
            at: 0,
            asked: false,
            reading: Reading::new(),
            object: Vec::new(),
            described: Vec::new(),
            after_to: false,
            noun_seen: false,
            by_colon: false,
            topic: None,
        }
    }

    pub(super) fn token(&self, at: usize) -> Option<&'a Token> {
        self.tokens.get(at)
    }

    /// What stands in the prompt from one token up to, without, another.
    pub(super) fn between(&self, from: usize, to: usize) -> &'a str {
        match self.tokens.get(from..to) {
            Some([first, .., last]) => &self.text[first.start..last.end],
            Some([only]) => &self.text[only.start..only.end],
            _ => "",
        }
    }

    pub(super) fn is_address_like(&self, at: usize) -> bool {
        self.token(at).is_some_and(Token::is_address_like)
    }

    /// Whether whom the mail goes to has been said, be it with half an address.
    pub(super) fn has_recipient(&self) -> bool {
        self.reading.with_role(Role::To).next().is_some() || !self.reading.missing.is_empty()
    }

    pub(super) fn is_separator(&self, at: usize) -> bool {
        self.token(at).is_some_and(|t| t.is_mark(",;&+") || words::AND.has(t))
    }

    pub(super) fn add_person(&mut self, role: Role, at: usize) {
        match self.token(at).map(|t| (&t.kind, t)) {
            Some((Kind::Address(address), _)) => self.reading.add(role, address),
            Some((Kind::HalfAddress, token)) => self.reading.missing.push(self.text[token.start..token.end].to_owned()),
            _ => {}
        }
    }

    pub(super) fn add_people(&mut self, role: Role, people: Vec<usize>) {
        for person in people {
            self.add_person(role, person);
        }
    }

    /// The list of addresses that begins at `at`: where each stands, and where the list ends.
    pub(super) fn list_at(&self, at: usize) -> (Vec<usize>, usize) {
        let (mut found, mut end, mut next) = (Vec::new(), at, at);
        while self.is_address_like(next) {
            found.push(next);
            end = next + 1;
            next = end;
            while self.is_separator(next) || self.token(next).is_some_and(|t| t.is(&["both", "to", "also"])) {
                next += 1;
            }
        }
        (found, end)
    }

    /// A role that is named at `at`, its addresses, and where they end: `cc a@example.com and b@example.com`.
    pub(super) fn role_at(&self, at: usize) -> Option<(Role, Vec<usize>, usize)> {
        const MOST_FILLERS: usize = 6;
        let roles = [(Role::Cc, &words::CC), (Role::Bcc, &words::BCC), (Role::ReplyTo, &words::REPLY_TO)];
        let named = roles.into_iter().filter_map(|(role, list)| list.at(self.tokens, at).map(|n| (role, at + n)));
        if let Some((role, mut next)) = named.max_by_key(|(_, end)| *end) {
            for _ in 0..MOST_FILLERS {
                if self.token(next).is_some_and(|t| t.is_mark(":=") || words::ROLE_FILLERS.has(t)) {
                    next += 1;
                }
            }
            let (found, end) = self.list_at(next);
            return (!found.is_empty()).then_some((role, found, end));
        }
        // `with a@example.com in copy`
        if !self.token(at)?.is(&[
            "with", "put", "have", "keep", "mit", "setze", "setz", "nimm", "con", "pon", "avec", "mets", "mettez",
        ]) {
            return None;
        }
        let (found, end) = self.list_at(at + 1);
        let cc = words::AFTER_CC.at(self.tokens, end).map(|n| (Role::Cc, n));
        let (role, n) = cc.or_else(|| words::AFTER_BCC.at(self.tokens, end).map(|n| (Role::Bcc, n)))?;
        (!found.is_empty()).then_some((role, found, end + n))
    }

    /// An account that is named at `at` as the one to use, and how many tokens that takes:
    /// `via outlook`, `from my gmail account`, `an outlook email`.
    pub(super) fn account_at(&self, at: usize) -> Option<(Account, usize)> {
        const MOST_FILLERS: usize = 3;
        // `via gmail and outlook` names both.
        let another = at >= 2 && words::AND.has(&self.tokens[at - 1]) && self.account_name_at(at - 2).is_some();
        let by = words::BY.at(self.tokens, at).unwrap_or(0);
        let mut next = at + by;
        if by > 0 {
            for _ in 0..MOST_FILLERS {
                if self.token(next).is_some_and(|t| words::OWN.has(t)) && self.account_name_at(next).is_none() {
                    next += 1;
                }
            }
        }
        let (account, length) = self.account_name_at(next)?;
        next += length;
        let bare_end = next;
        while let Some(n) = words::ACCOUNT_NOUNS.at(self.tokens, next) {
            next += n;
        }
        let of_a_mail = (bare_end..next).any(|i| words::MAIL_NOUNS.has(&self.tokens[i]));
        (by > 0 || another || of_a_mail).then_some((account, next - at))
    }

    pub(super) fn account_name_at(&self, at: usize) -> Option<(Account, usize)> {
        let names = [
            (Account::Google, &words::GOOGLE),
            (Account::Microsoft, &words::MICROSOFT),
            (Account::Other, &words::OTHER_ACCOUNTS),
        ];
        names
            .into_iter()
            .filter_map(|(account, list)| list.at(self.tokens, at).map(|n| (account, n)))
            .max_by_key(|(_, n)| *n)
    }

    pub(super) fn use_account(&mut self, account: Account) {
        if !self.reading.accounts.contains(&account) {
            self.reading.accounts.push(account);
        }
    }

    /// How many tokens say that something is to happen later: `tomorrow at 9`, `every Monday`, `in two hours`.
    pub(super) fn later_at(&self, at: usize) -> Option<usize> {
        const MOST_PARTS: usize = 5;
        let mut end = at;
        for _ in 0..MOST_PARTS {
            end += self.one_time_at(end).unwrap_or(0);
        }
        (end > at).then_some(end - at)
    }

    fn one_time_at(&self, at: usize) -> Option<usize> {
        let number = |i: usize| {
            self.token(i).is_some_and(|t| {
                t.is_word() && (t.folded.starts_with(|c: char| c.is_ascii_digit()) || words::NUMBERS.has(t))
            })
        };
        if let Some(n) = words::LATER.at(self.tokens, at) {
            return Some(n);
        }
        let token = self.token(at)?;
        if let Some(n) = words::EVERY.at(self.tokens, at) {
            let part = self.token(at + n)?;
            return (words::DAYS.has(part) || words::UNITS.has(part) || words::DAY_PARTS.has(part)).then_some(n + 1);
        }
        if words::DAYS.has(token) {
            return Some(1);
        }
        if token.is(&["on", "am", "el", "le", "this", "by"]) && self.token(at + 1).is_some_and(|t| words::DAYS.has(t)) {
            return Some(2);
        }
        if token.is(&["in", "en", "dans", "within"])
            && number(at + 1)
            && self.token(at + 2).is_some_and(|t| words::UNITS.has(t))
        {
            return Some(3);
        }
        if token.is(&["in", "on"]) && self.token(at + 1).is_some_and(|t| t.is(&["the"])) {
            return self.token(at + 2).filter(|t| words::DAY_PARTS.has(t)).map(|_| 3);
        }
        let las = usize::from(token.is(&["a"]) && self.token(at + 1).is_some_and(|t| t.is(&["las", "la"])));
        if (las > 0 || token.is(&["at", "um", "around"])) && number(at + 1 + las) {
            let suffix = self.token(at + 2 + las).is_some_and(|t| t.is(&["am", "pm", "o'clock", "uhr", "sharp"]));
            return Some(2 + las + usize::from(suffix));
        }
        None
    }

    /// Whether an address stands within the next tokens, before the sentence ends.
    pub(super) fn address_within(&self, from: usize, limit: usize) -> Option<usize> {
        let reach = self.tokens.iter().enumerate().skip(from).take(limit);
        reach.take_while(|(_, t)| !t.ends_sentence()).find(|(_, t)| t.is_address_like()).map(|(i, _)| i)
    }
}
