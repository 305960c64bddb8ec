use std::ops::Range;

use crate::{Address, address::is_atext, quotations};

/// An address that stands in a text as a whole, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The address, without a display name.
    pub address: Address,
    /// The byte offset of its first character.
    pub start: usize,
    /// The byte offset after its last character.
    pub end: usize,
    /// It stands in a quotation, a quoted line or a forwarded mail: in somebody else's words.
    pub quoted: bool,
}

/// Every address that stands in `text` as a whole, in order, each as often as it stands there.
///
/// `john@example.com` is not in `xjohn@example.com`, nor in `john@example.com.evil.org`, nor in
/// `john@example.com@evil.org`: what runs on to the left or right is part of the word, and a word
/// that is not an address is none. A full stop, comma or bracket around it is punctuation. Scripts
/// that are written without spaces (Han, kana, hangul) end the word; letters that look like others, marks on
/// letters and characters that nobody sees do not.
pub fn mentions(text: &str) -> Vec<Mention> {
    let quotations = quotations(text);
    let found = words(text).into_iter().filter_map(|word| match word {
        Word::Address(mention) => Some(mention),
        Word::Doubtful(_) => None,
    });
    let within = |mention: &Mention| quotations.iter().any(|q| q.contains(&mention.start));
    found.map(|mention| Mention { quoted: within(&mention), ..mention }).collect()
}

/// The words of `text` that look like an address to a person, and are none: with letters of other scripts, with
/// characters that nobody sees, behind one that turns the text around. Each is written in ASCII, so that it cannot
/// deceive.
pub fn doubtful_addresses(text: &str) -> Vec<String> {
    let doubtful = words(text).into_iter().filter_map(|word| match word {
        Word::Address(_) => None,
        Word::Doubtful(place) => Some(in_ascii(&text[place])),
    });
    doubtful.collect()
}

/// A text with its doubtful addresses written in ASCII.
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

/// A text with every character outside ASCII, and every control, as an escape: `j\u{f6}hn`.
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

/// No address has a longer part than this, so nobody needs to look further.
const LONGEST: usize = 300;

/// A word with an @ in it.
enum Word {
    Address(Mention),
    Doubtful(Range<usize>),
}

fn words(text: &str) -> Vec<Word> {
    // What stands behind such a character is shown the other way round.
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
        // A full stop of another script is one of a domain only before a letter that may be a domain's.
        let stop = is_other_stop(c) && following.peek().is_some_and(char::is_ascii_alphanumeric);
        if !(in_word(c) || is_mark(c) || stop) {
            break;
        }
        right += c.len_utf8();
    }
    let before = &text[at - left..at];
    // A quote or other mark in front of the word is punctuation, though RFC 5322 would let it be part of it.
    let local = before.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '+' && !reorders(c));
    let domain = text[behind..behind + right].trim_end_matches(|c: char| !c.is_alphanumeric());
    let place = at - local.len()..behind + domain.len();
    let word = &text[place.clone()];
    let is_whole = !local.is_empty() && !domain.is_empty();
    if is_whole && (!word.is_ascii() || place.start > turned) {
        return Some(Word::Doubtful(place));
    }
    let address = word.parse().ok()?;
    // `a@b@example.com`: the word goes on to the left over another @.
    let joined = text[..at - left].ends_with(is_mark);
    (!joined).then_some(Word::Address(Mention { address, start: place.start, end: place.end, quoted: false }))
}

/// Whether a character continues the word that an address stands in.
fn in_word(c: char) -> bool {
    is_atext(c) || c == '.' || is_hidden(c) || (c.is_alphanumeric() && !is_written_without_spaces(c))
}

/// Han, kana, hangul and their like, but for the wide forms of Latin letters and digits.
fn is_written_without_spaces(c: char) -> bool {
    matches!(u32::from(c), 0x2E80..=0xA4CF | 0xA960..=0xA97F | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFFDC
        | 0x1B000..=0x1B16F | 0x20000..=0x3FFFF)
}

/// The full stops of other scripts, which some readers of a domain take for a dot (RFC 3490, section 3.1).
const fn is_other_stop(c: char) -> bool {
    matches!(c, '\u{3002}' | '\u{FF0E}' | '\u{FF61}')
}

/// Characters that show a text in another order than it is written (Unicode UAX #9).
const fn reorders(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters that have no width of their own: format characters, and marks on the letter before.
fn is_hidden(c: char) -> bool {
    reorders(c)
        || matches!(u32::from(c), 0xAD | 0x300..=0x36F | 0x483..=0x489 | 0x115F..=0x1160 | 0x17B4..=0x17B5
            | 0x180B..=0x180F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x200B..=0x200D | 0x2060..=0x2064 | 0x206A..=0x206F
            | 0x20D0..=0x20FF | 0x3164 | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0xFEFF | 0xFFA0 | 0xFFF9..=0xFFFB
            | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        mentions(text).into_iter().map(|m| m.address.addr_spec()).collect()
    }

    #[test]
    fn whole_addresses_are_found_amid_punctuation() {
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
    fn what_only_looks_like_an_address_is_none_and_is_shown_in_ascii() {
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
    fn a_mention_says_where_it_stands() {
        let text = "é <a@b.co>";
        let mention = &mentions(text)[0];
        assert_eq!(&text[mention.start..mention.end], "a@b.co");
    }
}
