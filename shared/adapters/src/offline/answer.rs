//! From what was read to the plan: actions, questions, notes.

use std::collections::HashSet;

use domain::{ActionId, Address, Mail, Provider, mentions};
use serde_json::{Value, json};

use super::{
    message::Message,
    reading::{Account, Hindrance, Reading, Role},
    vocabulary::Verb,
    wording,
};

const UNSUPPORTED: &str = "Without a language model I understand requests to send a mail, such as: \
                           send an email to (address) saying (message). This seems to be something else.";

/// The plan as it grows, request by request.
pub(super) struct Planner<'a> {
    allowed: &'a [ActionId],
    actions: Vec<Value>,
    questions: Vec<String>,
    notes: Vec<String>,
    /// The message of the request before, for `the same to …`.
    last_message: Option<(String, Message)>,
    asked_for_mail: bool,
}

impl<'a> Planner<'a> {
    pub(super) const fn new(allowed: &'a [ActionId]) -> Self {
        Self {
            allowed,
            actions: Vec::new(),
            questions: Vec::new(),
            notes: Vec::new(),
            last_message: None,
            asked_for_mail: false,
        }
    }

    /// Plans one mail, or asks for what it lacks.
    pub(super) fn add(&mut self, reading: &Reading) {
        if reading.not_mail {
            self.note(UNSUPPORTED);
            return;
        }
        self.asked_for_mail = true;
        let Some((provider, action)) = self.account(reading) else { return };
        let mut questions = obstacles(reading);
        let (message, subject) = match &self.last_message {
            Some((subject, message)) if reading.same_message && reading.message.is_none() => {
                (Some(message.clone()), Some(subject.clone()))
            }
            _ => (reading.message.clone(), reading.subject.clone()),
        };
        if message.is_none() && questions.is_empty() {
            questions.push(ask_for_message(reading));
        }
        let (true, Some(message)) = (questions.is_empty(), message) else {
            if let Some(last) = questions.last_mut() {
                last.push_str(&waiting(reading, last));
            }
            self.questions.append(&mut questions);
            return;
        };
        let given = subject.map(|subject| wording::clean(&subject)).filter(|subject| !subject.is_empty());
        let subject = given.unwrap_or_else(|| message.subject());
        let list = |role| -> Option<Vec<&Address>> {
            let people: Vec<_> = reading.with_role(role).collect();
            (!people.is_empty()).then_some(people)
        };
        self.actions.push(json!({
            "provider": provider.as_str(),
            "action": action,
            "params": {
                "to": list(Role::To), "subject": subject, "text": message.text, "html": null,
                "cc": list(Role::Cc), "bcc": list(Role::Bcc), "reply_to": list(Role::ReplyTo),
            },
        }));
        self.last_message = Some((subject, message));
        let nobody: Vec<_> = reading.with_role(Role::Nobody).collect();
        if !nobody.is_empty() {
            self.questions.push(format!("Is it right that nothing goes to {}?", listed(&nobody)));
        }
        for piece in reading.left_out.iter().filter(|piece| piece.chars().any(char::is_alphanumeric)) {
            self.note(&format!("Not part of the mail: “{}”.", excerpt(piece)));
        }
        if let Some(words) = &reading.account_in_text {
            self.note(&format!("“{words}” was taken as a part of the text, not as the choice of an account."));
        }
        if reading.verb == Verb::Reply {
            self.note("It goes out as a new mail: I cannot see the mail that it answers.");
        }
    }

    /// The account to send with and its action; none, with the reason noted or asked, when there is none.
    fn account(&mut self, reading: &Reading) -> Option<(Provider, &'static str)> {
        const GMAIL: (Provider, &str) = (Provider::Google, "gmail.send");
        const OUTLOOK: (Provider, &str) = (Provider::Microsoft, "outlook.send");
        let allows = |(_, action): &(Provider, &str)| self.allowed.iter().any(|id| id.as_str() == *action);
        match reading.accounts.as_slice() {
            [] => {
                let found = [GMAIL, OUTLOOK].into_iter().find(allows);
                if found.is_none() {
                    self.note("No action that sends mail is allowed.");
                }
                found
            }
            [Account::Other] => {
                self.note("I can send with Gmail or Outlook only.");
                None
            }
            [account] => {
                let (named, action) = if *account == Account::Google { ("Gmail", GMAIL) } else { ("Outlook", OUTLOOK) };
                let found = Some(action).filter(allows);
                if found.is_none() {
                    self.note(&format!("The mail was to go with {named}, but {} is not allowed.", action.1));
                }
                found
            }
            [..] => {
                self.questions.push("Which account should send the mail? More than one is named.".to_owned());
                None
            }
        }
    }

    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// The whole answer, after every request was added. Addresses that found no place become a question.
    pub(super) fn finish(mut self, every_address: impl Iterator<Item = Address>) -> Value {
        const MOST_QUESTIONS: usize = 20;
        if self.asked_for_mail && !(self.actions.is_empty() && self.questions.is_empty()) {
            self.ask_about_the_rest(every_address);
        }
        if self.actions.is_empty() && self.questions.is_empty() && self.notes.is_empty() {
            self.note(UNSUPPORTED);
        }
        self.questions.dedup();
        if self.questions.len() > MOST_QUESTIONS {
            self.questions.truncate(MOST_QUESTIONS);
            self.questions.push("Could this be asked in smaller parts? Much of it is unclear.".to_owned());
        }
        let confidence = match (self.actions.is_empty(), self.questions.is_empty()) {
            (false, true) => 0.9,
            (false, false) => 0.7,
            (true, false) => 0.5,
            (true, true) => 0.2,
        };
        json!({
            "intent": if self.asked_for_mail { "send_email" } else { "unsupported" },
            "confidence": confidence,
            "actions": self.actions,
            "questions": self.questions,
            "notes": (!self.notes.is_empty()).then(|| self.notes.join(" ")),
        })
    }

    fn ask_about_the_rest(&mut self, every_address: impl Iterator<Item = Address>) {
        let spec = |address: &Address| address.addr_spec().to_ascii_lowercase();
        let fields = ["to", "cc", "bcc", "reply_to"];
        let planned = self.actions.iter().flat_map(|action| fields.map(|field| &action["params"][field]));
        let planned = planned.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        let mut known: HashSet<String> =
            planned.filter_map(|text| text.parse().ok()).map(|address: Address| spec(&address)).collect();
        known.extend(self.questions.iter().flat_map(|question| mentions(question)).map(|m| spec(&m.address)));
        let rest: Vec<Address> = every_address.filter(|address| known.insert(spec(address))).collect();
        if !rest.is_empty() {
            let rest: Vec<&Address> = rest.iter().collect();
            let (stands, gets) = if rest.len() == 1 { ("stands", "it") } else { ("stand", "them") };
            self.questions
                .push(format!("{} {stands} in the text, and no mail goes to {gets}. Is that right?", listed(&rest)));
        }
    }
}

/// What keeps the mail from being planned, as questions.
fn obstacles(reading: &Reading) -> Vec<String> {
    let to: Vec<_> = reading.with_role(Role::To).collect();
    let mail = if to.is_empty() { "the mail".to_owned() } else { format!("the mail to {}", listed(&to)) };
    let mut questions = Vec::new();
    for hindrance in &reading.hindrances {
        questions.push(match hindrance {
            Hindrance::Condition => format!("I cannot wait for something to happen. Should {mail} go out now?"),
            Hindrance::Later => format!("I cannot send later or repeatedly. Should {mail} go out now?"),
            Hindrance::Attachment => {
                format!("I cannot attach files. Should {mail} go out without, and what should it say?")
            }
            Hindrance::Calendar => {
                format!("I cannot send invitations from a calendar. What should {mail} say instead?")
            }
            Hindrance::Draft => format!("I cannot keep drafts. Should {mail} be sent?"),
            Hindrance::Unclear => {
                "I cannot tell who should get the mail and who is only mentioned. Who should get it?".to_owned()
            }
            Hindrance::OtherMail => "I cannot read the mailbox. What should the mail say?".to_owned(),
        });
    }
    questions.extend(reading.missing.iter().map(|name| ask_for_address(name)));
    if reading.missing.is_empty() && to.is_empty() {
        questions.push("Who should get the mail? I need the address.".to_owned());
    }
    let from: Vec<_> = reading.with_role(Role::From).collect();
    if !from.is_empty() {
        let from = listed(&from);
        questions.push(format!(
            "I cannot choose {from} as the sender: mail goes out from the connected account. Is that all right?"
        ));
    }
    let recipients = reading.people.iter().filter(|(role, _)| matches!(role, Role::To | Role::Cc | Role::Bcc)).count();
    if recipients > Mail::MAX_RECIPIENTS {
        questions.push(format!("One mail reaches at most {} recipients. Who should get it?", Mail::MAX_RECIPIENTS));
    }
    questions
}

/// Who is kept waiting by a question that does not name them.
fn waiting(reading: &Reading, question: &str) -> String {
    let named: Vec<Address> = mentions(question).into_iter().map(|mention| mention.address).collect();
    let people = reading.people.iter().map(|(_, address)| address);
    let people: Vec<&Address> = people.filter(|address| !named.contains(address)).collect();
    if people.is_empty() { String::new() } else { format!(" Until then nothing goes to {}.", listed(&people)) }
}

fn ask_for_message(reading: &Reading) -> String {
    let to: Vec<_> = reading.with_role(Role::To).collect();
    let to = listed(&to);
    match &reading.thing {
        Some(thing) => {
            format!("What should the mail to {to} say? I can write text, but I do not have {}.", excerpt(thing))
        }
        None => format!("What should the mail to {to} say?"),
    }
}

fn ask_for_address(name: &str) -> String {
    let name = excerpt(name);
    let first = name.split_whitespace().next().unwrap_or_default().to_lowercase();
    if name == "you" {
        "What is your address?".to_owned()
    } else if name.contains('@') {
        format!("“{name}” is not a whole address. What is the address?")
    } else if name.split_whitespace().count() == 1 && !["everyone", "everybody", "all"].contains(&first.as_str()) {
        format!("What is {name}'s address?")
    } else {
        format!("Which address do you mean by “{name}”?")
    }
}

fn listed(people: &[&Address]) -> String {
    const MOST: usize = 10;
    let mut shown: Vec<String> = people.iter().take(MOST).map(|address| address.addr_spec()).collect();
    if people.len() > MOST {
        shown.push(format!("{} more", people.len() - MOST));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "them".to_owned(),
    }
}

fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    let plain = wording::clean(text);
    if plain.chars().count() <= LONGEST {
        plain
    } else {
        format!("{}…", plain.chars().take(LONGEST).collect::<String>())
    }
}
