//! The hosts that a text names, as mail programs find them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    ops::Range,
};

use crate::{
    grounding::OTHER_STOPS,
    unicode::{is_hidden, is_written_without_spaces},
};

/// Marks that end a link in a text, beside white space.
const BEHIND: &[char] =
    &['<', '>', '"', '\'', '`', '(', ')', '[', ']', '{', '}', '|', '“', '”', '«', '»', '、', '，', '「', '」', '）'];
/// Top-level domains that a word without a scheme is taken for a domain by, beside those of two letters.
const TOPS: &str = "com net org edu gov mil int info biz name pro app dev page web site online store shop tech cloud \
    xyz top club vip live link click email blog news media digital agency company solutions group support services \
    center today world life work works team zone space website software systems network host press studio design bank \
    finance money loan credit help mobi asia cat jobs tel travel wiki icu review stream download win bid men party \
    trade science fun buzz cyou sbs cfd bond monster rest lol guru ninja rocks expert express technology museum foundation example test invalid local \
    internal corp onion рф укр бел срб 中国 中國 台湾 台灣 香港 한국 भारत";
/// Top-level domains that begin no sentence.
const NO_WORDS: &str = "com org edu gov";
/// Endings of files that are top-level domains, too.
const FILES: &str = "js ts py rs md sh cs kt hs pl rb go vb db gz xz bz ps so";

/// A host as it is compared: its A-labels (RFC 5890) in lower case, without `www.`.
pub(crate) fn host(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| !(c.is_alphanumeric() || is_hidden(c)));
    // A name with an invalid label is no less a host to a reader.
    let ascii = idna::domain_to_ascii(text).unwrap_or_else(|_| text.to_lowercase());
    let host = ascii.strip_prefix("www.").unwrap_or(&ascii);
    (!host.is_empty()).then(|| host.to_owned())
}

/// A host for a person. A name outside ASCII can be taken for another one, since most scripts have look-alikes, so it is
/// shown in both forms unless it is of the lowest restriction level of UTS #39 (section 5.2), ASCII-Only.
pub fn shown_host(host: &str) -> String {
    match idna::domain_to_unicode(host) {
        (name, Ok(())) if !name.is_ascii() => format!("{name} ({host})"),
        _ => host.to_owned(),
    }
}

/// The hosts of a text, each once: of links, after an `@`, and of words that mail programs make a link of.
pub fn hosts(text: &str) -> Vec<String> {
    let text = fanged(text);
    let links = links(&text);
    let mut rest = String::with_capacity(text.len());
    let mut end = 0;
    for (place, _) in &links {
        rest.extend([&text[end..place.start], " "]);
        end = place.end;
    }
    rest.push_str(&text[end..]);
    let named = runs(&rest).filter(Run::is_domain).filter_map(|run| host(run.word));
    let mut seen = BTreeSet::new();
    let all = links.into_iter().filter_map(|(_, host)| host).chain(named);
    all.filter(|host| seen.insert(host.clone())).collect()
}

/// Every word of a text that may name a host, `intranet` included.
pub fn known_hosts(text: &str) -> BTreeSet<String> {
    let words = fanged(text);
    let words = runs(&words).filter_map(|run| host(run.word));
    words.chain(hosts(text)).collect()
}

/// The text without its links.
pub(crate) fn without_links(text: &str) -> String {
    let (mut rest, mut end) = (String::with_capacity(text.len()), 0);
    for (place, _) in links(text) {
        rest.push_str(&text[end..place.start]);
        end = place.end;
    }
    rest + &text[end..]
}

/// The host of a link's target, as browsers find it (WHATWG URL, section 4.4); none where it names none.
pub(crate) fn target_hosts(target: &str) -> Vec<String> {
    let target = target_of(target);
    let (scheme, rest) = target.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", &target));
    let path = rest.trim_start_matches(['/', '\\']);
    let is_relative = scheme.is_empty() && rest.len() - path.len() < 2;
    match scheme.to_ascii_lowercase().as_str() {
        _ if is_relative => Vec::new(),
        "" | "http" | "https" | "ftp" | "ws" | "wss" => authority(path).into_iter().collect(),
        _ => hosts(&target),
    }
}

/// A target without the characters that browsers leave out.
pub(crate) fn target_of(target: &str) -> String {
    target.trim_matches(|c: char| c <= ' ').replace(['\t', '\r', '\n'], "")
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// A text in which `hxxp` and `[.]` are what they stand for.
fn fanged(text: &str) -> String {
    text.replace("[.]", ".").replace("(.)", ".").replace("[dot]", ".").replace("hxxp", "http")
}

/// The links of a text, which begin with a scheme or `www.`, with their hosts.
fn links(text: &str) -> Vec<(Range<usize>, Option<String>)> {
    let mut found: Vec<(Range<usize>, Option<String>)> = Vec::new();
    for (at, _) in text.match_indices("://").chain(www(text)).collect::<BTreeMap<_, _>>() {
        let is_www = !text[at..].starts_with(':');
        let scheme = text[..at].chars().rev().take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).count();
        let start = if is_www { at } else { at - scheme };
        let behind = if is_www { at } else { at + 3 };
        if (!is_www && scheme == 0) || found.last().is_some_and(|(last, _)| start < last.end) {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || BEHIND.contains(&c);
        // The brackets of an IPv6 address are part of it.
        let from = behind + if text[behind..].starts_with('[') { text[behind..].find(']').unwrap_or(0) } else { 0 };
        let end = text[from..].find(ends).map_or(text.len(), |length| from + length);
        found.push((start..end.max(behind), authority(&text[behind..end.max(behind)])));
    }
    found
}

/// Where `www.` begins a word.
fn www(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_first = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '/'));
    let places = text.match_indices(['w', 'W']).map(|(at, _)| at);
    let places = places.filter(|at| text.get(*at..*at + 4).is_some_and(|start| start.eq_ignore_ascii_case("www.")));
    places.filter(move |at| is_first(*at)).map(|at| (at, "www."))
}

/// The host of an authority: what stands behind the last `@` and in front of the port and the path.
fn authority(text: &str) -> Option<String> {
    let authority = text.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let named = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(address) = named.strip_prefix('[') {
        return address.split(']').next().map(str::to_lowercase);
    }
    let named = named.split(':').next().unwrap_or_default();
    let named = with_plain_stops(named);
    // Words in a script without spaces may follow a name in ASCII at once.
    let is_ascii = named.starts_with(|c: char| c.is_ascii_alphanumeric());
    host(named.split(|c| is_ascii && is_written_without_spaces(c)).next().unwrap_or_default())
}

/// A name in which the other full stops between ASCII labels are plain ones, as browsers read them (UTS #46).
fn with_plain_stops(name: &str) -> String {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    let stop = |(at, c): (usize, char)| {
        if OTHER_STOPS.contains(&c) && goes_on(&name[at + c.len_utf8()..]) { '.' } else { c }
    };
    name.char_indices().map(stop).collect()
}

/// A word of host characters in a text.
struct Run<'a> {
    word: &'a str,
    after_at: bool,
    /// A path follows.
    goes_on: bool,
}

fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let in_host =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.') || OTHER_STOPS.contains(&c) || is_hidden(c);
    let words = text.split(move |c| !in_host(c)).filter(|word| !word.is_empty());
    words.flat_map(move |word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let (after_at, behind) = (text[..start].ends_with('@'), &text[start + word.len()..]);
        let goes_on = behind.starts_with('/') && behind[1..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let parts = word.split(is_written_without_spaces).filter(move |part| part.len() < word.len());
        std::iter::once(word).chain(parts).map(move |word| Run { word, after_at, goes_on })
    })
}

impl Run<'_> {
    /// Whether it is a domain to mail programs.
    fn is_domain(&self) -> bool {
        let word = self.word.trim_matches(|c: char| !c.is_alphanumeric()).replace(OTHER_STOPS, ".");
        let Some((names, top)) = word.rsplit_once('.') else { return false };
        // A sentence may begin behind a full stop at once.
        let is_written_so = !top.chars().any(char::is_uppercase) || !word.chars().any(char::is_lowercase);
        let lower = top.to_lowercase();
        let is_known = |list: &str| list.split_whitespace().any(|known| known == lower);
        let is_alphabetic = lower.len() >= 2 && lower.chars().all(|c| c.is_ascii_alphabetic());
        let is_top =
            lower.starts_with("xn--") || is_known(TOPS) || (lower.len() == 2 && is_alphabetic && !is_known(FILES));
        let is_top = (is_top && (is_written_so || !top.is_ascii())) || is_known(NO_WORDS);
        let leads_on = self.goes_on && (is_alphabetic || word.parse::<Ipv4Addr>().is_ok());
        names.split('.').all(|label| !label.is_empty()) && (is_top || leads_on || (self.after_at && !lower.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_that_a_reader_can_follow_is_found() {
        for (text, expected) in [
            ("see https://evil.example/login", vec!["evil.example"]),
            ("see HTTPS://WWW.Evil.Example:8443/a?b#c.", vec!["evil.example"]),
            ("[click](http://evil.example)", vec!["evil.example"]),
            ("<https://evil.example>, ok", vec!["evil.example"]),
            ("https://good.example@evil.example/x", vec!["evil.example"]),
            ("https://good.example:pw@evil.example", vec!["evil.example"]),
            (r"https://good.example\@evil.example", vec!["good.example"]),
            ("www.evil.example/x", vec!["evil.example"]),
            ("go to evil.example now", vec!["evil.example"]),
            ("go to EVIL.EXAMPLE now", vec!["evil.example"]),
            ("mail eve@evil.zzz", vec!["evil.zzz"]),
            ("mailto:eve@evil.example?subject=x", vec!["evil.example"]),
            ("hxxps://evil[.]example/x", vec!["evil.example"]),
            ("https://exаmple.com", vec!["xn--exmple-4nf.com"]),
            ("https://xn--exmple-4nf.com", vec!["xn--exmple-4nf.com"]),
            ("http://127.0.0.1:8080/x and http://[::1]/", vec!["127.0.0.1", "::1"]),
            ("http://intranet/wiki", vec!["intranet"]),
            ("詳細はhttps://evil.exampleを見て", vec!["evil.example"]),
            ("https://good.example。evil.example/x", vec!["good.example.evil.example"]),
            ("https://evil．example｡com", vec!["evil.example.com"]),
            ("詳細はhttps://evil.example。次に", vec!["evil.example"]),
            ("evil.exampleを見て", vec!["evil.example"]),
            ("ev\u{200b}il.example", vec!["evil.example"]),
            ("evil.com, evil.com and EVIL.com", vec!["evil.com"]),
            ("Sign in at Secure-Bank.Com today", vec!["secure-bank.com"]),
            ("evil.sh/x and evil.zip/login", vec!["evil.sh", "evil.zip"]),
            ("evil.Zip/x", vec!["evil.zip"]),
            ("evil.xn--p1ai/login", vec!["evil.xn--p1ai"]),
            ("10.1.2.3/login.php", vec!["10.1.2.3"]),
            ("https://a.example/report.pdf?x=b.example", vec!["a.example"]),
            ("пиши на сайт.рф", vec!["xn--80aswg.xn--p1ai"]),
        ] {
            assert_eq!(hosts(text), expected, "{text}");
        }
        for none in [
            "e.g. at 5 p.m., i.e. 17.00",
            "report.pdf, Node.js, main.rs, v1.2.3",
            "Done.Next one",
            "3.14",
            "and/or",
            "...",
            "12:30://",
            "a@b",
        ] {
            assert_eq!(hosts(none), Vec::<String>::new(), "{none}");
        }
    }

    #[test]
    fn a_target_has_the_host_that_a_browser_goes_to() {
        for (target, expected) in [
            ("https://evil.example", vec!["evil.example"]),
            (" ht\ntps:\\\\evil.example\\x", vec!["evil.example"]),
            ("https:evil.example", vec!["evil.example"]),
            ("//evil.example/x", vec!["evil.example"]),
            (r"/\evil.example", vec!["evil.example"]),
            ("mailto:eve@evil.example", vec!["evil.example"]),
            ("/path", vec![]),
            ("#top", vec![]),
            ("report.html", vec![]),
            ("javascript:alert(1)", vec![]),
        ] {
            assert_eq!(target_hosts(target), expected, "{target}");
        }
    }

    #[test]
    fn words_of_a_person_name_hosts_and_a_part_of_a_name_does_not() {
        let known = known_hosts("Ask john@example.com about intranet and https://www.contoso.com/x");
        for host in ["example.com", "intranet", "contoso.com"] {
            assert!(known.contains(host), "{host}");
        }
        assert!(!known.contains("com") && !known.contains("login.example.com"));
    }

    #[test]
    fn an_international_host_is_shown_in_both_forms() {
        assert_eq!(shown_host("xn--mnchen-3ya.example"), "münchen.example (xn--mnchen-3ya.example)");
        assert_eq!(shown_host("xn--exmple-4nf.com"), "exаmple.com (xn--exmple-4nf.com)");
        assert_eq!(shown_host("example.com"), "example.com");
        assert_eq!(shown_host("xn--zzzzzz"), "xn--zzzzzz");
    }
}
