//! What answers about people and events are read into. Strangers write parts of them, so every part is bounded and
//! checked by itself, and an entry that cannot be used is left out.

use std::collections::BTreeSet;

use domain::{Address, reorders};
use engine::ports::{Book, FoundEvent, FoundPerson, ProviderError, Span};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most pages of one list.
pub(super) const MAX_PAGES: usize = 4;
/// The most attendees of an event.
const MAX_ATTENDEES: usize = 500;
/// The most characters of a name or a title.
const MAX_SHOWN: usize = 255;
/// The most characters of a name that are searched for.
const MAX_SOUGHT: usize = 100;

/// The entries of a list.
pub(super) struct List {
    pub(super) items: Vec<Value>,
    /// There are no more.
    pub(super) is_whole: bool,
}

impl List {
    /// The entries that can be read.
    pub(super) fn read<T: DeserializeOwned>(self) -> impl Iterator<Item = T> {
        self.items.into_iter().filter_map(|item| serde_json::from_value(item).ok())
    }

    /// The list, unless there is more: where a missing entry would mean something.
    pub(super) fn whole(self) -> Result<Self, ProviderError> {
        if self.is_whole { Ok(self) } else { Err(ProviderError::Rejected("there is too much to read".into())) }
    }
}

/// A text as one line for a person, without characters that change how it is shown.
pub(super) fn shown(text: &str) -> String {
    let plain: String = text.chars().filter(|&c| !reorders(c)).collect();
    let words = plain.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_SHOWN).collect()
}

/// A name as it is searched for.
pub(super) fn sought(name: &str) -> String {
    shown(name).chars().take(MAX_SOUGHT).collect()
}

/// An address that stands alone.
pub(super) fn address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|address: &Address| address.name().is_none())
}

/// Each address once, in order; too many are none, since the rest would be missing.
pub(super) fn each_once(addresses: impl Iterator<Item = Address>) -> Vec<Address> {
    let mut known = BTreeSet::new();
    let each: Vec<_> = addresses.filter(|address| known.insert(address.addr_spec().to_ascii_lowercase())).collect();
    if each.len() > MAX_ATTENDEES { Vec::new() } else { each }
}

/// A person of a book, once for each address.
pub(super) fn entries<'a>(name: &str, addresses: impl Iterator<Item = &'a str>, book: Book) -> Vec<FoundPerson> {
    let name = shown(name);
    let addresses = if name.is_empty() { Vec::new() } else { each_once(addresses.filter_map(address)) };
    addresses.into_iter().map(|address| FoundPerson { name: name.clone(), address, book }).collect()
}

/// What a directory holds. An account without one, or whose organisation does not show it, has nobody there.
pub(super) fn in_directory(found: Result<List, ProviderError>) -> Result<Option<List>, ProviderError> {
    match found {
        Ok(list) => Ok(Some(list)),
        Err(
            error @ (ProviderError::Rejected(_)
            | ProviderError::Account(_)
            | ProviderError::Setup(_)
            | ProviderError::Forbidden(_)),
        ) => {
            tracing::info!(%error, "an account has no directory");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether an event begins in this time. Providers also list those that only touch it.
pub(super) fn begins_in(event: &FoundEvent, time: Span) -> bool {
    (time.from..time.to).contains(&event.time.from) && event.time.from <= event.time.to
}

/// Times in order, joined where they meet, as far as they are within another one.
pub(super) fn joined(mut times: Vec<Span>, within: Span) -> Vec<Span> {
    times.sort_by_key(|time| time.from);
    let mut joined: Vec<Span> = Vec::new();
    for time in times {
        let time = Span { from: time.from.max(within.from), to: time.to.min(within.to) };
        match joined.last_mut() {
            _ if time.from >= time.to => {}
            Some(last) if time.from <= last.to => last.to = last.to.max(time.to),
            _ => joined.push(time),
        }
    }
    joined
}

/// The URL with this query. A blank is `%20`, which every server reads as one.
pub(super) fn with_query(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_text_is_one_short_line_in_its_own_order() {
        for (text, line) in [
            ("Sam Lee", "Sam Lee"),
            ("  Sam\r\nBcc: eve@evil.example\u{0}", "Sam Bcc: eve@evil.example"),
            ("Sam\u{2028}Lee\u{85}\t!", "Sam Lee !"),
            ("\u{202E}maS\u{202C}", "maS"),
            ("\u{1B}[31mred", "[31mred"),
            ("Zoë 田中", "Zoë 田中"),
            ("\u{7f}\u{0}", ""),
        ] {
            assert_eq!(shown(text), line, "{text:?}");
        }
        assert_eq!(shown(&"x".repeat(100_000)).len(), MAX_SHOWN);
    }

    #[test]
    fn only_an_address_alone_counts() {
        assert_eq!(address(" ana@example.com ").unwrap().addr_spec(), "ana@example.com");
        for text in [
            "",
            "ana",
            "Eve <eve@evil.example>",
            "eve@evil.example, ana@example.com",
            "ana@example.com\r\nBcc: eve@evil.example",
            "/O=EXCHANGE/OU=GROUP/CN=ANA",
            "ana@example",
            "аna@example.com",
        ] {
            assert_eq!(address(text), None, "{text:?}");
        }
    }

    #[test]
    fn too_many_attendees_are_none() {
        let numbered = |count: usize| (0..count).map(|n| format!("a{n}@example.com").parse().unwrap());
        assert_eq!(each_once(numbered(MAX_ATTENDEES)).len(), MAX_ATTENDEES);
        assert_eq!(each_once(numbered(MAX_ATTENDEES + 1)).len(), 0);
        assert_eq!(each_once(numbered(3).chain(numbered(3))).len(), 3);
    }

    #[test]
    fn busy_times_are_in_order_apart_and_within_what_was_asked() {
        let at = |hour: i8| format!("2026-12-01T{hour:02}:00:00Z").parse().unwrap();
        let span = |from, to| Span { from: at(from), to: at(to) };
        for (times, expected) in [
            (vec![], vec![]),
            (vec![span(12, 13), span(10, 11)], vec![span(10, 11), span(12, 13)]),
            (vec![span(10, 12), span(11, 13)], vec![span(10, 13)]),
            (vec![span(10, 11), span(11, 12)], vec![span(10, 12)]),
            (vec![span(10, 14), span(11, 12)], vec![span(10, 14)]),
            (vec![span(1, 9), span(17, 23)], vec![span(8, 9), span(17, 18)]),
            (vec![span(1, 8), span(18, 20), span(12, 12), span(13, 12)], vec![]),
        ] {
            assert_eq!(joined(times.clone(), span(8, 18)), expected, "{times:?}");
        }
    }

    #[test]
    fn a_query_cannot_leave_its_place() {
        let url = with_query("https://example.com/v1/people".parse().unwrap(), &[("query", "a b&c=d#e+f'")]);
        assert_eq!(url.as_str(), "https://example.com/v1/people?query=a%20b%26c%3Dd%23e%2Bf%27");
    }
}
