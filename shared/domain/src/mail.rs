//! Mails: their params and what makes them valid.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    Address, Violation, address::breaks_a_header, html::is_blank_html, reader::Reader, serde_text::serde_as_text,
};

/// A mail: 1 to 50 recipients, no control character in any header field, at most 256 KiB in all.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Mail {
    /// Who receives the mail: one address or a list of 1 to 50, each `a@example.com` or `Name <a@example.com>`.
    #[serde(serialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany", title = "To", extend("x-kind" = "addresses", "x-lookup" = "addresses"))]
    pub to: Vec<Address>,
    /// Who gets a copy.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<OneOrMany>", title = "Cc", extend("x-kind" = "addresses", "x-lookup" = "addresses"))]
    pub cc: Vec<Address>,
    /// Who gets a copy without the others seeing it.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<OneOrMany>", title = "Bcc", extend("x-kind" = "addresses", "x-lookup" = "addresses"))]
    pub bcc: Vec<Address>,
    /// Where answers to the mail go.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<OneOrMany>", title = "Reply-To", extend("x-kind" = "addresses"))]
    pub reply_to: Vec<Address>,
    /// The subject line.
    #[schemars(title = "Subject", extend("x-kind" = "line"))]
    pub subject: String,
    /// The body as plain text.
    #[schemars(title = "Text", extend("x-kind" = "text"))]
    pub text: String,
    /// The body as HTML, beside the plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "HTML source", extend("x-kind" = "html"))]
    pub html: Option<String>,
    /// The Message-ID of the mail that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", title = "In reply to", extend("x-planned" = false))]
    pub in_reply_to: Option<MessageId>,
    /// The Message-IDs of the conversation, the oldest first; those of `in_reply_to` alone if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>", title = "References", extend("x-planned" = false))]
    pub references: Vec<MessageId>,
    /// The account's own id of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Conversation", extend("x-planned" = false))]
    pub thread_id: Option<String>,
}

/// A Message-ID (RFC 5322, section 3.6.4), written with its angle brackets. It holds no character that could end it, or the
/// header that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId(String);

impl MessageId {
    /// The id without its brackets.
    pub fn bare(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

serde_as_text!(MessageId);

/// The text is not a Message-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a Message-ID, such as <id@example.com>")]
pub struct InvalidMessageId;

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    /// The brackets may be left out.
    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        /// A header's line may have 998 octets.
        const LONGEST: usize = 500;
        let text = text.trim_matches(' ');
        let id = text.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(text);
        let is_known = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@[]:".contains(c);
        // Readers could take `=?` for an encoded word.
        let is_plain = id.len() <= LONGEST && id.chars().all(is_known) && !id.contains("=?");
        let has_parts = id.rsplit_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
        if is_plain && has_parts { Ok(Self(id.to_owned())) } else { Err(InvalidMessageId) }
    }
}

/// One address as a string, or several as a list.
#[derive(JsonSchema)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany {
    /// One address.
    One(String),
    /// 1 to 50 addresses.
    Many(#[schemars(length(min = 1, max = 50))] Vec<String>),
}

pub(crate) fn one_or_many<S: Serializer>(addresses: &[Address], serializer: S) -> Result<S::Ok, S::Error> {
    match addresses {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

impl Mail {
    /// The most recipients of one mail: to, cc and bcc together.
    pub const MAX_RECIPIENTS: usize = 50;
    /// The most bytes of one mail's params: all texts and addresses together.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// The most Message-IDs of a conversation that are named.
    pub const MAX_REFERENCES: usize = 100;
    /// The fields of its params.
    pub const FIELDS: [&str; 10] =
        ["to", "subject", "text", "html", "cc", "bcc", "reply_to", "in_reply_to", "references", "thread_id"];

    /// Parses params as a client or a model writes them. Only these fields are known. Reports every
    /// violation, each with a pointer to its field.
    pub fn parse(params: &Value, known: &[&str]) -> Result<Self, Vec<Violation>> {
        let mut reader = Reader::new(params)?;
        let mut mail = Self {
            to: reader.recipients("to"),
            subject: reader.text("subject", true).unwrap_or_default(),
            text: reader.text("text", true).unwrap_or_default(),
            // Forms and models fill in what they leave out, and a blank body must not replace the text.
            html: reader.text("html", false).filter(|html| !is_blank_html(html)),
            cc: reader.addresses("cc"),
            bcc: reader.addresses("bcc"),
            reply_to: reader.addresses("reply_to"),
            in_reply_to: reader.value("in_reply_to"),
            references: reader.values("references"),
            thread_id: reader.text("thread_id", false).filter(|id| !id.is_empty()),
        };
        mail.drop_repeats();
        let (recipients, most) = (mail.recipients().count(), Self::MAX_RECIPIENTS);
        let too_many = format!("names {recipients} recipients with cc and bcc; the most is {most}");
        let html = mail.html.as_deref().unwrap_or_default();
        let is_id =
            |id: &String| id.len() <= 200 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b));
        let checks = [
            ("/subject", "must not contain control characters or line breaks", mail.subject.contains(breaks_a_header)),
            ("/text", "must not contain NUL characters", mail.text.contains('\0')),
            ("/html", "must not contain NUL characters", html.contains('\0')),
            ("/to", &too_many, recipients > most),
            ("/reply_to", "must name at most 50 addresses", mail.reply_to.len() > most),
            ("/references", "must name at most 100 Message-IDs", mail.references.len() > Self::MAX_REFERENCES),
            ("/thread_id", "must be the conversation's id, letters and digits", !mail.thread_id.iter().all(is_id)),
            ("", "the mail is larger than 256 KiB", reader.bytes > Self::MAX_BYTES),
        ];
        reader.check(checks);
        reader.finish(known)?;
        Ok(mail)
    }

    /// The Message-IDs of the References header.
    pub fn referenced(&self) -> &[MessageId] {
        // A conversation is found by this header, also where only the last mail is named.
        if self.references.is_empty() { self.in_reply_to.as_slice() } else { &self.references }
    }

    /// Keeps the first of equal recipients: to before cc before bcc.
    fn drop_repeats(&mut self) {
        let mut seen: Vec<Address> = Vec::new();
        for list in [&mut self.to, &mut self.cc, &mut self.bcc] {
            list.retain(|address| {
                let is_new = !seen.contains(address);
                seen.extend(is_new.then(|| address.clone()));
                is_new
            });
        }
    }

    /// The canonical params: one address as a string, more as a list, empty fields left out.
    pub fn to_params(&self) -> Value {
        json!(self)
    }

    /// Everyone who receives the mail: to, cc and bcc.
    pub fn recipients(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    /// Every address of the mail by its field, `reply_to` included.
    pub fn address_fields(&self) -> [(&'static str, &[Address]); 4] {
        [("to", &self.to), ("cc", &self.cc), ("bcc", &self.bcc), ("reply_to", &self.reply_to)]
    }

    /// Replaces every address. Recipients that become equal are one.
    pub fn map_addresses(&mut self, change: &mut dyn FnMut(Address) -> Address) {
        for list in [&mut self.to, &mut self.cc, &mut self.bcc, &mut self.reply_to] {
            *list = list.drain(..).map(&mut *change).collect();
        }
        self.drop_repeats();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(params: &Value) -> Result<Mail, Vec<Violation>> {
        Mail::parse(params, &Mail::FIELDS)
    }

    fn pointers(params: &Value) -> Vec<String> {
        parse(params).unwrap_err().into_iter().map(|v| v.pointer).collect()
    }

    #[test]
    fn one_address_and_a_list_of_one_are_the_same_mail() {
        let one = parse(&json!({ "to": "a@example.com", "subject": "s", "text": "t", "cc": null })).unwrap();
        let list = parse(&json!({ "to": ["a@example.com"], "subject": "s", "text": "t" })).unwrap();
        assert_eq!(one.to_params(), list.to_params());
        assert_eq!(one.to_params()["to"], "a@example.com");
    }

    #[test]
    fn everything_wrong_is_reported_with_its_pointer() {
        assert_eq!(pointers(&json!([])), [""]);
        assert_eq!(pointers(&json!({ "subject": 1, "x/y": 2 })), ["/to", "/subject", "/text", "/x~1y"]);
        assert_eq!(
            pointers(&json!({ "to": ["a@example.com", 7, "b@"], "subject": "a\r\nBcc: x@example.com", "text": "" })),
            ["/to/1", "/to/2", "/subject"]
        );
        assert_eq!(pointers(&json!({ "to": [], "subject": "", "text": "" })), ["/to"]);
        assert_eq!(pointers(&json!({ "to": null, "subject": "", "text": "" })), ["/to"]);
        assert_eq!(pointers(&json!({ "to": ["", " ; "], "subject": "", "text": "" })), ["/to"]);
    }

    #[test]
    fn what_is_left_blank_is_absent_and_nobody_is_named_twice() {
        let full = json!({
            "to": "a@example.com, A <a@example.com>; b@example.com", "subject": "s", "text": "t", "html": "<p>&nbsp;</p>\n",
            "cc": [" ", null], "bcc": ["", "b@EXAMPLE.com", "c@example.com"], "reply_to": [],
        });
        let plain =
            json!({ "to": ["a@example.com", "b@example.com"], "subject": "s", "text": "t", "bcc": "c@example.com" });
        assert_eq!(parse(&full).unwrap().to_params(), plain);
    }

    #[test]
    fn fifty_recipients_in_all_and_a_quarter_mebibyte() {
        let many = |n: usize, at: &str| (0..n).map(|i| format!("a{i}@{at}.example")).collect::<Vec<_>>();
        let mail = |to: usize, cc: usize, text: usize| json!({ "to": many(to, "to"), "cc": many(cc, "cc"), "subject": "", "text": "x".repeat(text) });
        assert!(parse(&mail(25, 25, 1)).is_ok());
        assert_eq!(pointers(&mail(25, 26, 1)), ["/to"]);
        assert_eq!(pointers(&mail(51, 1, 1)), ["/to"]);
        assert!(parse(&mail(1, 1, Mail::MAX_BYTES - 100)).is_ok());
        assert_eq!(pointers(&mail(1, 1, Mail::MAX_BYTES)), [""]);
    }

    #[test]
    fn a_conversation_is_named_by_message_ids_that_cannot_leave_their_header() {
        let with = |field: &str, value: Value| {
            let mut params = json!({ "to": "a@example.com", "subject": "s", "text": "t" });
            params[field] = value;
            parse(&params)
        };
        let long = format!("<{}@example.com>", "a".repeat(500));
        for bad in [
            "",
            "<>",
            "<a>",
            "a",
            "<@example.com>",
            "<a@>",
            "<a b@example.com>",
            "<a@example.com> <b@example.com>",
            "<a@example.com>\r\nBcc: x@example.com",
            "<a@example.com\r\n Bcc: x@example.com>",
            "a@example.com\n",
            "<a@example.com\u{2028}x>",
            "<a@b>c@example.com>",
            "<=?utf-8?Q?a?=@example.com>",
            "<é@example.com>",
            "<a@example.com\0>",
            "\"a\"@example.com",
            "<a@example.com>,",
            long.as_str(),
        ] {
            assert!(with("references", json!(["<a@example.com>", bad])).is_err(), "{bad}");
            assert!(with("in_reply_to", json!(bad)).is_err() || bad.is_empty(), "{bad}");
        }
        for (given, canonical) in [
            ("<CAF+x=1@mail.example.com>", "<CAF+x=1@mail.example.com>"),
            (" a.b$c@example.com", "<a.b$c@example.com>"),
            ("<1234@[192.0.2.1]>", "<1234@[192.0.2.1]>"),
            ("<a@b@example.com>", "<a@b@example.com>"),
        ] {
            assert_eq!(with("in_reply_to", json!(given)).unwrap().to_params()["in_reply_to"], canonical);
            assert_eq!(with("references", json!([given])).unwrap().to_params()["references"], json!([canonical]));
        }
        let ids = |count: usize| (0..count).map(|n| format!("<{n}@example.com>")).collect::<Vec<_>>();
        assert!(with("references", json!(ids(100))).is_ok());
        assert_eq!(with("references", json!(ids(101))).unwrap_err()[0].pointer, "/references");
        assert_eq!(with("references", json!(["<a@example.com>", 7])).unwrap_err()[0].pointer, "/references/1");
        assert_eq!(with("in_reply_to", json!(["<a@example.com>"])).unwrap_err()[0].pointer, "/in_reply_to");
        for bad in ["a b", "a\r\nb", "ü", "x/../y"] {
            assert_eq!(with("thread_id", json!(bad)).unwrap_err()[0].pointer, "/thread_id");
        }
        assert_eq!(with("thread_id", json!("18c2f0a1b2c3d4e5")).unwrap().to_params()["thread_id"], "18c2f0a1b2c3d4e5");
        let params = json!({ "to": "a@example.com", "subject": "s", "text": "t", "thread_id": "1" });
        let refused = Mail::parse(&params, &Mail::FIELDS[..9]).unwrap_err();
        assert!(refused[0].pointer == "/thread_id" && refused[0].detail.starts_with("is not a field of this action"));
    }

    proptest! {
        #[test]
        fn canonical_params_parse_to_the_same_mail(
            to in prop::collection::vec("[a-z]{1,8}@[a-z]{1,8}\\.com", 1..4),
            cc in prop::collection::vec("[a-z]{1,8}@[a-z]{1,8}\\.com", 0..3),
            subject in "\\PC{0,40}", text in "\\PC{0,80}", html in prop::option::of("\\PC{0,40}"),
        ) {
            let mut params = json!({ "to": to, "subject": subject, "text": text });
            if !cc.is_empty() { params["cc"] = json!(cc); }
            if let Some(html) = html { params["html"] = json!(html); }
            if let Ok(mail) = parse(&params) {
                prop_assert_eq!(parse(&mail.to_params()).unwrap(), mail);
            }
        }
    }
}
