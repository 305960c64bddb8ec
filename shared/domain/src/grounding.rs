//! Addresses in a text: whole addresses, and words that only look like one.

use std::ops::Range;

use crate::{
    Address,
    address::is_atext,
    quotations,
    unicode::{is_hidden, reorders},
};

/// A whole address in a text, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The address, without a display name.
    pub address: Address,
    /// The byte offset of its first character.
    pub start: usize,
    /// The byte offset after its last character.
    pub end: usize,
    /// It is part of a quotation, a quoted line or a forwarded mail, so not the author's own words.
    pub quoted: bool,
}

/// Every whole address in `text`, in order, with repetitions.
///
/// `xjohn@example.com`, `john@example.com.evil.org` and `john@example.com@evil.org` do not contain `john@example.com`:
/// the word extends to both sides, and it is an address as a whole or not at all. A full stop, comma or bracket around a
/// word is punctuation. Scripts without spaces (Han, kana, hangul) end a word; lookalike letters, combining marks and
/// invisible characters do not.
pub fn mentions(text: &str) -> Vec<Mention> {
    let quotations = quotations(text);
    let found = words(text).into_iter().filter_map(|word| match word {
        Word::Address(mention) => Some(mention),
        Word::Doubtful(_) => None,
    });
    let within = |mention: &Mention| quotations.iter().any(|q| q.contains(&mention.start));
    found.map(|mention| Mention { quoted: within(&mention), ..mention }).collect()
}

/// The words of `text` that look like an address but are none: they contain letters of other scripts or invisible
/// characters, or follow a character that reverses the text. Each is escaped to ASCII, so that it cannot deceive.
pub fn doubtful_addresses(text: &str) -> Vec<String> {
    let doubtful = words(text).into_iter().filter_map(|word| match word {
        Word::Address(_) => None,
        Word::Doubtful(place) => Some(in_ascii(&text[place])),
    });
    doubtful.collect()
}

/// The text with its doubtful addresses escaped to ASCII.
pub fn disarmed(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut from = 0;
    for word in words(text) {
        if let Word::Doubtful(place) = word
            && place.start >= from
        {
            safe.push_str(&text[from..place.start]);
            safe.push_str(&in_ascii(&text[place.clone()]));
            from = place.end;
        }
    }
    safe.push_str(&text[from..]);
    safe
}

/// The text with every control and every character outside ASCII escaped: `j\u{f6}hn`.
pub fn in_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            c => ascii.extend(c.escape_default()),
        }
    }
    ascii
}

/// The search around an @ ends here: no part of an address is longer.
const LONGEST: usize = 300;

/// A word with an @.
enum Word {
    Address(Mention),
    Doubtful(Range<usize>),
}

fn words(text: &str) -> Vec<Word> {
    // The text after such a character is shown in another order.
    let turned = text.find(['\u{202D}', '\u{202E}']).unwrap_or(text.len());
    text.match_indices(['@', '\u{FF20}', '\u{FE6B}']).filter_map(|(at, mark)| word_at(text, at, mark, turned)).collect()
}

fn word_at(text: &str, at: usize, mark: &str, turned: usize) -> Option<Word> {
    let behind = at + mark.len();
    let is_mark = |c: char| matches!(c, '@' | '\u{FF20}' | '\u{FE6B}');
    let left = text[..at].chars().rev().take(LONGEST).take_while(|&c| in_word(c)).map(char::len_utf8).sum::<usize>();
    let mut right = 0;
    let mut following = text[behind..].chars().take(LONGEST).peekable();
    while let Some(c) = following.next() {
        // A full stop of another script belongs to a domain only before an ASCII letter or digit.
        let stop = is_other_stop(c) && following.peek().is_some_and(char::is_ascii_alphanumeric);
        if !(in_word(c) || is_mark(c) || stop) {
            break;
        }
        right += c.len_utf8();
    }
    let before = &text[at - left..at];
    // A leading quote or other mark is punctuation, although RFC 5322 allows it in a local part.
    let local = before.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '+' && !reorders(c));
    let domain = text[behind..behind + right].trim_end_matches(|c: char| !c.is_alphanumeric());
    // Emphasis and isolates (UAX #9) around the whole word are no part of it: they change nothing inside.
    let (mut local, mut after) = (local, &text[behind + domain.len()..behind + right]);
    let around = [('_', '_'), ('\u{2066}', '\u{2069}'), ('\u{2068}', '\u{2069}')];
    while let Some((inner, rest)) =
        around.iter().find_map(|(open, close)| Some((local.strip_prefix(*open)?, after.strip_prefix(*close)?)))
    {
        (local, after) = (inner, rest);
    }
    let place = at - local.len()..behind + domain.len();
    let word = &text[place.clone()];
    let is_whole = !local.is_empty() && !domain.is_empty();
    if is_whole && (!word.is_ascii() || place.start > turned) {
        return Some(Word::Doubtful(place));
    }
    let address = word.parse().ok()?;
    // `a@b@example.com`: the word continues to the left, across another @.
    let joined = text[..at - left].ends_with(is_mark);
    (!joined).then_some(Word::Address(Mention { address, start: place.start, end: place.end, quoted: false }))
}

/// Whether a character continues the word around an @.
fn in_word(c: char) -> bool {
    is_atext(c) || c == '.' || is_hidden(c) || (c.is_alphanumeric() && !is_written_without_spaces(c))
}

/// Han, kana, hangul and similar scripts, without the fullwidth forms of Latin letters and digits.
fn is_written_without_spaces(c: char) -> bool {
    matches!(u32::from(c), 0x2E80..=0xA4CF | 0xA960..=0xA97F | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFFDC
        | 0x1B000..=0x1B16F | 0x20000..=0x3FFFF)
}

/// Full stops of other scripts, which some software accepts as the dot of a domain (RFC 3490, section 3.1).
const fn is_other_stop(c: char) -> bool {
    matches!(c, '\u{3002}' | '\u{FF0E}' | '\u{FF61}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        mentions(text).into_iter().map(|m| m.address.addr_spec()).collect()
    }

    #[test]
    fn whole_addresses_are_found_among_punctuation() {
        for (text, expected) in [
            ("Send email to john@example.com saying thanks", vec!["john@example.com"]),
            ("tell ana@contoso.com, bo@contoso.com.", vec!["ana@contoso.com", "bo@contoso.com"]),
            ("\"Zoë\" <zoe@example.org>", vec!["zoe@example.org"]),
            ("'john@example.com'", vec!["john@example.com"]),
            ("(john@example.com)!", vec!["john@example.com"]),
            ("mailto:john@example.com?", vec!["john@example.com"]),
            ("o'brien+news@sub.example.co.uk: hi", vec!["o'brien+news@sub.example.co.uk"]),
            ("john@example.comに送って", vec!["john@example.com"]),
            ("a@example.com's b", vec![]),
            ("Write _john@example.com_ a hello", vec!["john@example.com"]),
            ("__john@example.com__ and _jane@example.com", vec!["john@example.com", "_jane@example.com"]),
            ("\u{2068}john@example.com\u{2069} saying hi", vec!["john@example.com"]),
            ("john@example.com--say hi", vec![]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn a_part_of_a_word_is_not_an_address() {
        for text in [
            "john@",
            "@example.com",
            "john at example dot com",
            "john@example.com@evil.org",
            "john@exämple.com",
            "jоhn@example.com",
            "john@example.comé",
            "john@localhost",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(found("xjohn@example.com"), ["xjohn@example.com"]);
        assert_eq!(found("john@example.com.evil.org"), ["john@example.com.evil.org"]);
    }

    #[test]
    fn a_lookalike_of_an_address_is_none_and_is_escaped_to_ascii() {
        for (text, shown) in [
            ("mail j\u{43e}hn@example.com", r"j\u{43e}hn@example.com"),
            ("mail john@ex\u{430}mple.com.", r"john@ex\u{430}mple.com"),
            ("mail \u{ff41}na@example.com", r"\u{ff41}na@example.com"),
            ("mail ana@example.c\u{1d428}m", r"ana@example.c\u{1d428}m"),
            ("mail ana\u{ff20}example.com", r"ana\u{ff20}example.com"),
            ("mail ana@example\u{3002}com", r"ana@example\u{3002}com"),
            ("mail ana@exam\u{200b}ple.com", r"ana@exam\u{200b}ple.com"),
            ("mail ana@example.com\u{200b}.evil.org", r"ana@example.com\u{200b}.evil.org"),
            ("mail ana@example.co\u{308}m", r"ana@example.co\u{308}m"),
            ("mail \u{202e}moc.elpmaxe@ana", r"\u{202e}moc.elpmaxe@ana"),
            ("\u{202e}mail ana@example.com", "ana@example.com"),
            ("mail j\u{f6}hn@example.com", r"j\u{f6}hn@example.com"),
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
            assert_eq!(doubtful_addresses(text), [shown], "{text}");
            assert!(disarmed(text).contains(shown), "{text}");
        }
        let harmless = "“ana@example.com”, Zoë <bo@example.com>… 田中 c@example.comに送る。次は 100 @ 3€, é@";
        assert_eq!(found(harmless), ["ana@example.com", "bo@example.com", "c@example.com"]);
        assert!(doubtful_addresses(harmless).is_empty(), "{:?}", doubtful_addresses(harmless));
        assert_eq!(disarmed(harmless), harmless);
        assert_eq!(found("ana@example.com\u{200b} and \u{feff}bo@example.com"), ["ana@example.com", "bo@example.com"]);
    }

    #[test]
    fn a_mention_has_its_place() {
        let text = "é <a@b.co>";
        let mention = &mentions(text)[0];
        assert_eq!(&text[mention.start..mention.end], "a@b.co");
    }
}
