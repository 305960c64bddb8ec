//! Mails as they are read, strictly, and kept.

use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser};
use serde::Serialize;

use crate::state::Token;

/// A mail that went out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// What copies are counted by: the word `job:…` of the text, else the subject.
    pub key: String,
    /// The address of the account, where its token tells.
    pub account: Option<String>,
    /// The mail.
    #[serde(flatten)]
    pub mail: ReadMail,
}

/// A mail as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ReadMail {
    /// The addresses of the From header, without names; empty where there is none.
    pub from: Vec<String>,
    /// Those of To.
    pub to: Vec<String>,
    /// Those of Cc.
    pub cc: Vec<String>,
    /// Those of Bcc.
    pub bcc: Vec<String>,
    /// Those of Reply-To.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The plain text, if there is one.
    pub text: Option<String>,
    /// The HTML, if there is one.
    pub html: Option<String>,
    /// The id of In-Reply-To, without its brackets.
    pub in_reply_to: Option<String>,
    /// Those of References.
    pub references: Vec<String>,
    /// Gmail's id of the conversation.
    pub thread_id: Option<String>,
    /// What came over the wire: the MIME text, or the JSON of a Graph message.
    pub raw: String,
}

impl Delivery {
    pub(crate) fn of(mail: ReadMail, account: &Token) -> Self {
        let bodies = [mail.text.as_deref(), mail.html.as_deref()];
        let key = bodies
            .into_iter()
            .flatten()
            .flat_map(|body| body.split(|c: char| c.is_whitespace() || c == '<'))
            .find(|word| word.starts_with("job:"))
            .unwrap_or(&mail.subject)
            .to_owned();
        Self { key, account: account.address.clone(), mail }
    }
}

impl ReadMail {
    /// Everyone whom it reaches.
    pub fn recipients(&self) -> impl Iterator<Item = &String> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    /// Reads a MIME text; says what is wrong with it.
    pub(crate) fn of_mime(bytes: &[u8], account: &Token) -> Result<Self, String> {
        let raw = std::str::from_utf8(bytes).map_err(|_| "the message is not UTF-8")?;
        let head = raw.split_once("\r\n\r\n").ok_or("the message has no empty line after its headers")?.0;
        if raw.split("\r\n").any(|line| line.len() > 998 || line.contains(['\r', '\n'])) {
            return Err("the message has a bare CR or LF, or a line over 998 octets".to_owned());
        }
        if !head.is_ascii() {
            return Err("a header has octets outside ASCII".to_owned());
        }
        let message = MessageParser::new().parse(bytes).ok_or("the message cannot be read")?;
        at_most_once(&message)?;
        let mail = Self {
            from: mailboxes(message.from())?,
            to: mailboxes(message.to())?,
            cc: mailboxes(message.cc())?,
            bcc: mailboxes(message.bcc())?,
            reply_to: mailboxes(message.reply_to())?,
            subject: message.subject().unwrap_or_default().to_owned(),
            text: message.text_part(0).filter(|part| part.is_text() && !part.is_text_html()).and_then(text_of),
            html: message.html_part(0).filter(|part| part.is_text_html()).and_then(text_of),
            in_reply_to: ids(message.in_reply_to()).pop(),
            references: ids(message.references()),
            thread_id: None,
            raw: raw.to_owned(),
        };
        if mail.from.len() > 1 {
            return Err("Invalid From header".to_owned());
        }
        if let (Some(from), Some(own)) = (mail.from.first(), &account.address)
            && !from.eq_ignore_ascii_case(own)
        {
            return Err("the From header is not the account's".to_owned());
        }
        if mail.recipients().next().is_none() {
            return Err("Recipient address required".to_owned());
        }
        Ok(mail)
    }
}

/// RFC 5322, section 3.6.
fn at_most_once(message: &Message<'_>) -> Result<(), String> {
    use HeaderName::{
        Bcc, Cc, ContentType, Date, From, InReplyTo, MessageId, MimeVersion, References, ReplyTo, Subject, To,
    };
    let once = [From, To, Cc, Bcc, ReplyTo, Subject, InReplyTo, References, Date, MessageId, MimeVersion, ContentType];
    for name in once {
        if message.headers().iter().filter(|header| header.name == name).count() > 1 {
            return Err(format!("the header {} stands twice", name.as_str()));
        }
    }
    Ok(())
}

fn mailboxes(header: Option<&Address<'_>>) -> Result<Vec<String>, String> {
    header.into_iter().flat_map(Address::iter).map(|addr| checked(addr.address().unwrap_or_default())).collect()
}

fn ids(header: &HeaderValue<'_>) -> Vec<String> {
    header.as_text_list().into_iter().flatten().map(ToString::to_string).collect()
}

fn text_of(part: &mail_parser::MessagePart<'_>) -> Option<String> {
    part.text_contents().map(str::to_owned)
}

/// An address, if its syntax is one that a server sends to.
pub(crate) fn checked(address: &str) -> Result<String, String> {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let valid = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && local.len() <= 64
            && local.chars().all(atext)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && domain.contains('.')
            && domain.split('.').all(label)
    });
    if valid { Ok(address.to_owned()) } else { Err(format!("{address:?} is not an address")) }
}
