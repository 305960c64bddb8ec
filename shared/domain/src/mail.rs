//! Mails: their params and what makes them valid.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::{Address, Violation, address::breaks_a_header, html::is_blank_html, pointer_token};

/// A mail: 1 to 50 recipients, no control character in any header field, at most 256 KiB in all.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Mail {
    /// Who receives the mail: one address or a list of 1 to 50, each `a@example.com` or `Name <a@example.com>`.
    #[serde(serialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany", title = "To", extend("x-kind" = "addresses"))]
    pub to: Vec<Address>,
    /// Who gets a copy.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<OneOrMany>", title = "Cc", extend("x-kind" = "addresses"))]
    pub cc: Vec<Address>,
    /// Who gets a copy without the others seeing it.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<OneOrMany>", title = "Bcc", extend("x-kind" = "addresses"))]
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

fn one_or_many<S: Serializer>(addresses: &[Address], serializer: S) -> Result<S::Ok, S::Error> {
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

    /// Parses params as a client or a model writes them. Reports every violation, each with a pointer to its field.
    pub fn parse(params: &Value) -> Result<Self, Vec<Violation>> {
        let Value::Object(fields) = params else {
            return Err(vec![Violation::new("", "params must be an object")]);
        };
        let mut reader = Reader { fields, bytes: 0, violations: Vec::new() };
        let mut mail = Self {
            to: reader.addresses("to"),
            subject: reader.text("subject", true).unwrap_or_default(),
            text: reader.text("text", true).unwrap_or_default(),
            // Forms and models fill in what they leave out, and a blank body must not replace the text.
            html: reader.text("html", false).filter(|html| !is_blank_html(html)),
            cc: reader.addresses("cc"),
            bcc: reader.addresses("bcc"),
            reply_to: reader.addresses("reply_to"),
        };
        mail.drop_repeats();
        let (recipients, most) = (mail.recipients().count(), Self::MAX_RECIPIENTS);
        let too_many = format!("names {recipients} recipients with cc and bcc; the most is {most}");
        let html = mail.html.as_deref().unwrap_or_default();
        let checks = [
            ("/subject", "must not contain control characters or line breaks", mail.subject.contains(breaks_a_header)),
            ("/text", "must not contain NUL characters", mail.text.contains('\0')),
            ("/html", "must not contain NUL characters", html.contains('\0')),
            ("/to", &too_many, recipients > most),
            ("/reply_to", "must name at most 50 addresses", mail.reply_to.len() > most),
            ("", "the mail is larger than 256 KiB", reader.bytes > Self::MAX_BYTES),
        ];
        let wrong = checks.into_iter().filter(|(.., is_wrong)| *is_wrong);
        reader.violations.extend(wrong.map(|(pointer, detail, _)| Violation::new(pointer, detail)));
        let known = ["to", "subject", "text", "html", "cc", "bcc", "reply_to"];
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            let says = format!("is not a field of this action; its fields are {}", known.join(", "));
            reader.refuse(&pointer_token(key), &says);
        }
        if reader.violations.is_empty() { Ok(mail) } else { Err(reader.violations) }
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

/// Reads fields and collects their violations.
struct Reader<'a> {
    fields: &'a Map<String, Value>,
    bytes: usize,
    violations: Vec<Violation>,
}

impl Reader<'_> {
    fn refuse(&mut self, field: &str, detail: &str) {
        self.violations.push(Violation::new(format!("/{field}"), detail));
    }

    /// A null field counts as absent.
    fn text(&mut self, field: &str, required: bool) -> Option<String> {
        match self.fields.get(field) {
            Some(Value::String(text)) => {
                self.bytes += text.len();
                return Some(text.clone());
            }
            None | Some(Value::Null) if required => self.refuse(field, "is required: a string"),
            None | Some(Value::Null) => {}
            Some(_) => self.refuse(field, "must be a string"),
        }
        None
    }

    /// A null, a blank text and an empty list name nobody.
    fn addresses(&mut self, field: &str) -> Vec<Address> {
        let (list, is_list) = match self.fields.get(field) {
            None | Some(Value::Null) => (&[][..], true),
            Some(Value::Array(list)) => (list.as_slice(), true),
            Some(one) => (std::slice::from_ref(one), false),
        };
        let mut addresses = Vec::with_capacity(list.len());
        let refused = self.violations.len();
        for (place, value) in list.iter().enumerate().filter(|(_, value)| !value.is_null()) {
            let pointer = if is_list { format!("/{field}/{place}") } else { format!("/{field}") };
            let Some(text) = value.as_str() else {
                self.violations.push(Violation::new(pointer, "must be an address, as a string"));
                continue;
            };
            self.bytes += text.len();
            match Address::list(text) {
                Ok(some) => addresses.extend(some),
                // Errors are logged, so `detail` must not contain the address; `named` may.
                Err(invalid) => {
                    let refused = Violation::new(pointer, format!("the address {}", invalid.why()));
                    self.violations.push(refused.naming(invalid.to_string()));
                }
            }
        }
        if field == "to" && addresses.is_empty() && self.violations.len() == refused {
            let missing = Violation::new("/to", "is required: one address or a list of 1 to 50");
            self.violations.push(missing.asking_recipients());
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pointers(params: &Value) -> Vec<String> {
        Mail::parse(params).unwrap_err().into_iter().map(|v| v.pointer).collect()
    }

    #[test]
    fn one_address_and_a_list_of_one_are_the_same_mail() {
        let one = Mail::parse(&json!({ "to": "a@example.com", "subject": "s", "text": "t", "cc": null })).unwrap();
        let list = Mail::parse(&json!({ "to": ["a@example.com"], "subject": "s", "text": "t" })).unwrap();
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
        assert_eq!(Mail::parse(&full).unwrap().to_params(), plain);
    }

    #[test]
    fn fifty_recipients_in_all_and_a_quarter_mebibyte() {
        let many = |n: usize, at: &str| (0..n).map(|i| format!("a{i}@{at}.example")).collect::<Vec<_>>();
        let mail = |to: usize, cc: usize, text: usize| json!({ "to": many(to, "to"), "cc": many(cc, "cc"), "subject": "", "text": "x".repeat(text) });
        assert!(Mail::parse(&mail(25, 25, 1)).is_ok());
        assert_eq!(pointers(&mail(25, 26, 1)), ["/to"]);
        assert_eq!(pointers(&mail(51, 1, 1)), ["/to"]);
        assert!(Mail::parse(&mail(1, 1, Mail::MAX_BYTES - 100)).is_ok());
        assert_eq!(pointers(&mail(1, 1, Mail::MAX_BYTES)), [""]);
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
            if let Ok(mail) = Mail::parse(&params) {
                prop_assert_eq!(Mail::parse(&mail.to_params()).unwrap(), mail);
            }
        }
    }
}
