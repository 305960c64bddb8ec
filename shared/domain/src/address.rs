//! Mail addresses.

use std::{fmt, str::FromStr};

use crate::{
    link::shown_host,
    serde_text::serde_as_text,
    unicode::{is_hidden, reorders},
};

/// A mailbox: an ASCII addr-spec (RFC 5322, section 3.4.1, as a dot-atom or a quoted string) and an optional display name in any script.
///
/// Written `john@example.com` or `Zoë Groß <zoe@example.org>`. Two addresses are equal if their local parts are equal
/// and their domains differ at most in case. Equality ignores the display name.
#[derive(Debug, Clone)]
pub struct Address {
    name: Option<String>,
    local: String,
    domain: String,
}

/// Why a text is not an address that we send to. Its message quotes the text and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" {why}")]
pub struct InvalidAddress {
    shown: String,
    why: &'static str,
}

impl InvalidAddress {
    /// The reason, without the text.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

/// RFC 5321, section 4.5.3.1: the most octets of a local part, and of a path without its brackets.
const MAX_LOCAL: usize = 64;
const MAX_ADDRESS: usize = 254;
const MAX_NAME: usize = 255;

impl Address {
    /// The addresses of a text, separated by commas or semicolons outside quotes; none if it is blank.
    pub fn list(text: &str) -> Result<Vec<Self>, InvalidAddress> {
        let (mut quoted, mut escaped) = (false, false);
        let parts = text.split(|c| {
            (quoted, escaped) = (quoted ^ (c == '"' && !escaped), quoted && c == '\\' && !escaped);
            !quoted && matches!(c, ',' | ';')
        });
        let several: Result<Vec<_>, _> = parts.filter(|part| !part.trim().is_empty()).map(str::parse).collect();
        // The name in front of one address may hold a comma.
        several.or_else(|error| text.parse().map(|one| vec![one]).map_err(|_| error))
    }

    /// The address without its name, `local@domain`, as written.
    pub fn addr_spec(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// The address without its name for a person: an international domain in both forms.
    pub fn shown(&self) -> String {
        format!("{}@{}", self.local, shown_host(&self.domain()))
    }

    /// The display name, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The part before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part after the `@`, in lower case.
    pub fn domain(&self) -> String {
        self.domain.to_ascii_lowercase()
    }

    /// Whether two addresses differ at most in case. Some providers ignore the case of the local part, so both may reach
    /// the same person.
    pub fn same_but_for_case(&self, other: &Self) -> bool {
        self.addr_spec().eq_ignore_ascii_case(&other.addr_spec())
    }

    /// The address as `other` spells it, with the display name of `self`.
    #[must_use]
    pub fn spelled_as(self, other: &Self) -> Self {
        Self { name: self.name, local: other.local.clone(), domain: other.domain.clone() }
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.local == other.local && self.domain.eq_ignore_ascii_case(&other.domain)
    }
}

impl Eq for Address {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "{}@{}", self.local, self.domain),
            Some(name) if name.chars().any(|c| "()<>[]:;@\\,.\"".contains(c)) => {
                let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "\"{quoted}\" <{}@{}>", self.local, self.domain)
            }
            Some(name) => write!(f, "{name} <{}@{}>", self.local, self.domain),
        }
    }
}

serde_as_text!(Address);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.chars().any(breaks_a_header) {
            return Err(refuse(text, "has a control character or line break"));
        }
        let text = text.trim();
        let (name, spec) = match text.strip_suffix('>') {
            Some(rest) => {
                let (name, spec) = rest.rsplit_once('<').ok_or_else(|| refuse(text, "has a > without a <"))?;
                (display_name(name).map_err(|why| refuse(text, why))?, spec)
            }
            None => (None, text),
        };
        let (local, domain) = spec.rsplit_once('@').ok_or_else(|| refuse(text, "has no @"))?;
        if spec.chars().any(is_hidden) {
            return Err(refuse(text, "has an invisible character"));
        }
        if !local.is_ascii() {
            return Err(refuse(text, "has a local part outside ASCII, which cannot be sent to"));
        }
        if !(is_dot_atom(local) || is_quoted(local)) || local.len() > MAX_LOCAL {
            return Err(refuse(text, "has a malformed part before the @"));
        }
        // A domain outside ASCII is written as its A-labels (RFC 5891, UTS #46).
        let in_labels = || if domain.contains(is_symbol) { None } else { idna::domain_to_ascii_strict(domain).ok() };
        let domain = if domain.is_ascii() { Some(domain.to_owned()) } else { in_labels() };
        let domain = domain.ok_or_else(|| refuse(text, "has a domain with characters that no domain may have"))?;
        if !is_domain(&domain) {
            return Err(refuse(text, "has a malformed domain: it needs two or more labels, such as example.com"));
        }
        if local.len() + 1 + domain.len() > MAX_ADDRESS {
            return Err(refuse(text, "is longer than 254 characters"));
        }
        Ok(Self { name, local: local.to_owned(), domain })
    }
}

/// Whether a character ends a header line for some reader: controls, line and paragraph separators.
pub(crate) fn breaks_a_header(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn display_name(text: &str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    let name = match text.strip_prefix('"').map(|rest| rest.strip_suffix('"')) {
        Some(Some(quoted)) => unescape(quoted)?,
        Some(None) => return Err("has a display name with an unclosed quote"),
        None if !text.contains(['"', '<', '>', '\\']) => text.to_owned(),
        None => return Err("has a display name with a special character outside quotes"),
    };
    if name.chars().any(reorders) {
        return Err("has a display name with a character that changes the order of its text");
    }
    if name.chars().count() > MAX_NAME {
        return Err("has a display name longer than 255 characters");
    }
    let name = name.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn unescape(quoted: &str) -> Result<String, &'static str> {
    let mut name = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => name.push(chars.next().ok_or("has a display name that ends in a backslash")?),
            '"' => return Err("has a display name with a quote inside its quotes"),
            c => name.push(c),
        }
    }
    Ok(name)
}

/// `atext` of RFC 5322, section 3.2.3.
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// Symbols and marks outside ASCII, which UTS #46 maps or lets through and no domain may have (RFC 5892, section 2.6).
const fn is_symbol(c: char) -> bool {
    matches!(c, '\u{A0}'..='\u{B6}' | '\u{B8}'..='\u{BF}' | '×' | '÷' | '\u{2000}'..='\u{2BFF}' | '\u{2E00}'..='\u{2E7F}'
        | '\u{3000}'..='\u{3004}' | '\u{3008}'..='\u{3020}' | '\u{FE10}'..='\u{FE6F}' | '\u{1F000}'..='\u{1FAFF}')
}

/// A quoted local part (RFC 5321, section 4.1.2): `"john..doe"`.
fn is_quoted(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.is_empty() && !inner.contains(['<', '>']) && unescape(inner).is_ok())
}

fn is_domain(text: &str) -> bool {
    let is_in_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_label =
        |l: &str| (1..=63).contains(&l.len()) && l.chars().all(is_in_label) && !l.starts_with('-') && !l.ends_with('-');
    let (_, top) = text.rsplit_once('.').unwrap_or_default();
    // No top-level domain has a hyphen, but for those in Punycode (RFC 3696, section 2, and RFC 5890).
    let is_plain = !top.contains('-') || top.to_ascii_lowercase().starts_with("xn--");
    is_plain && top.contains(|c: char| !c.is_ascii_digit()) && text.split('.').all(is_label)
}

fn refuse(text: &str, why: &'static str) -> InvalidAddress {
    // The text comes from outside: escaped, it cannot deceive; cut, it cannot flood a log.
    let shown: String = text.chars().take(100).flat_map(char::escape_debug).collect();
    InvalidAddress { shown, why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_named_and_quoted_addresses_parse() {
        for (text, name, spec) in [
            ("john@example.com", None, "john@example.com"),
            (" john@example.com ", None, "john@example.com"),
            ("<john@example.com>", None, "john@example.com"),
            ("Zoë Groß <zoe@example.org>", Some("Zoë Groß"), "zoe@example.org"),
            ("\"Zoë Groß\" <zoe@example.org>", Some("Zoë Groß"), "zoe@example.org"),
            (r#""a \"b\" \\ c" <x@example.org>"#, Some(r#"a "b" \ c"#), "x@example.org"),
            ("o'brien+news@sub.example.co.uk", None, "o'brien+news@sub.example.co.uk"),
            ("a@example.xn--p1ai", None, "a@example.xn--p1ai"),
            ("田中 <t@example.jp>", Some("田中"), "t@example.jp"),
            ("info@münchen.example", None, "info@xn--mnchen-3ya.example"),
            ("Zoë <info@MÜNCHEN.example>", Some("Zoë"), "info@xn--mnchen-3ya.example"),
            ("post@пример.рф", None, "post@xn--e1afmkfd.xn--p1ai"),
            ("post@例え.jp", None, "post@xn--r8jz45g.jp"),
            ("\"john..doe\"@example.com", None, "\"john..doe\"@example.com"),
            ("J <\"john doe\"@example.com>", Some("J"), "\"john doe\"@example.com"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.name(), address.addr_spec().as_str()), (name, spec), "{text}");
        }
    }

    #[test]
    fn a_text_may_hold_several_addresses_and_blanks_between_them() {
        let specs =
            |text: &str| Address::list(text).map(|list| list.iter().map(Address::addr_spec).collect::<Vec<_>>());
        let both = Ok(vec!["a@example.com".to_owned(), "b@example.com".to_owned()]);
        for text in [
            "a@example.com, b@example.com",
            "a@example.com;b@example.com;",
            " , a@example.com ,, \"Doe, B\" <b@example.com>",
            "\"Doe; \\\"A\\\"\" <a@example.com>; B <b@example.com>",
        ] {
            assert_eq!(specs(text), both, "{text}");
        }
        assert_eq!(specs("Doe, A <a@example.com>"), Ok(vec!["a@example.com".to_owned()]));
        assert_eq!((specs(""), specs(" ; ")), (Ok(Vec::new()), Ok(Vec::new())));
        assert!(specs("a@example.com, b").unwrap_err().to_string().contains("\"b\""));
    }

    #[test]
    fn an_invalid_address_is_refused_and_quoted() {
        for text in [
            "",
            "john",
            "john@",
            "@example.com",
            "john@localhost",
            "john@-a.com",
            "john@a-.com",
            "a b@example.com",
            "a..b@example.com",
            ".a@example.com",
            "a@example..com",
            "a@1.2.3.4",
            "a@example.com--say",
            "a@b@example.com",
            "\"a\"b\"@example.com",
            "\"\"@example.com",
            "zoë@example.com",
            "zoe@exa\u{200b}mple.com",
            "zoe@ex ämple.com",
            "a@example.com\r\nBcc: b@example.com",
            "a\u{0}@example.com",
            "A\u{202E}moc <a@example.com>",
            "A\u{200F}moc <a@example.com>",
            "A\u{61C}moc <a@example.com>",
            "a\" <a@example.com>",
            "a <b> <c@example.com>",
            "a@example.com>",
            "a@example.com, b@example.com",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        let said = "zoë@example.com".parse::<Address>().unwrap_err().to_string();
        assert!(said.contains("zoë@example.com") && said.contains("outside ASCII"), "{said}");
    }

    #[test]
    fn equality_ignores_the_case_of_the_domain_and_the_display_name() {
        let a: Address = "A <john@Example.COM>".parse().unwrap();
        assert_eq!(a, "john@example.com".parse().unwrap());
        assert_ne!(a, "John@example.com".parse().unwrap());
        assert!(a.same_but_for_case(&"John@example.com".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_parsed_address_reads_back_as_itself(text in "\\PC{0,60}|[a-z<>\"@. \\\\,]{0,30}") {
            if let Ok(address) = text.parse::<Address>() {
                let again: Address = address.to_string().parse().unwrap();
                prop_assert_eq!(again.name(), address.name());
                prop_assert_eq!(again, address);
            }
        }
    }
}
