//! Addresses in a text: whole addresses, and words that only look like one.

use std::ops::Range;

use crate::{
    Address,
    address::is_atext,
    quotation::{ADDRESS_FIELDS, quotations},
    unicode::{is_hidden, is_written_without_spaces, reorders},
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
    let found = words(text).filter_map(|Word { place, address }| {
        let quoted = quotations.iter().any(|q| q.contains(&place.start));
        Some(Mention { address: address?, start: place.start, end: place.end, quoted })
    });
    found.collect()
}

/// The words of `text` that look like an address but are none: they contain letters of other scripts or invisible
/// characters, or follow a character that reverses the text. Each is escaped to ASCII, so that it cannot deceive.
pub fn doubtful_addresses(text: &str) -> Vec<String> {
    words(text).filter(|word| word.address.is_none()).map(|word| in_ascii(&text[word.place])).collect()
}

/// The text with its doubtful addresses escaped to ASCII.
pub fn disarmed(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut from = 0;
    for Word { place, address } in words(text) {
        if address.is_none() && place.start >= from {
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
    let escaped = |c: char| if matches!(c, ' '..='~') { c.to_string() } else { c.escape_default().to_string() };
    text.chars().map(escaped).collect()
}

/// The search around an @ ends here: no part of an address is longer.
const LONGEST: usize = 300;
/// The @ and its lookalikes.
const MARKS: &[char] = &['@', '\u{FF20}', '\u{FE6B}'];

/// Full stops of other scripts, which some software accepts as the dot of a domain (RFC 3490, section 3.1).
pub(crate) const OTHER_STOPS: &[char] = &['\u{3002}', '\u{FF0E}', '\u{FF61}'];

/// A word with an @.
struct Word {
    place: Range<usize>,
    /// None if it only looks like an address.
    address: Option<Address>,
}

fn words(text: &str) -> impl Iterator<Item = Word> {
    // The text after such a character is shown in another order.
    let turned = text.find(['\u{202D}', '\u{202E}']).unwrap_or(text.len());
    text.match_indices(MARKS).filter_map(move |(at, mark)| word_at(text, at, mark, turned))
}

fn word_at(text: &str, at: usize, mark: &str, turned: usize) -> Option<Word> {
    let behind = at + mark.len();
    let left = text[..at].chars().rev().take(LONGEST).take_while(|&c| in_word(c)).map(char::len_utf8).sum::<usize>();
    let mut right = 0;
    let mut following = text[behind..].chars().take(LONGEST).peekable();
    while let Some(c) = following.next() {
        // A full stop of another script belongs to a domain only before an ASCII letter or digit.
        let stop = OTHER_STOPS.contains(&c) && following.peek().is_some_and(char::is_ascii_alphanumeric);
        let ends = right > 0 && BEHIND.contains(&c);
        if ends || !(in_word(c) || MARKS.contains(&c) || stop) {
            break;
        }
        right += c.len_utf8();
    }
    let before = &text[at - left..at];
    // `a@b@example.com`: the word continues to the left, across another @, unless that address ends in between.
    let joined = text[..at - left].ends_with(MARKS);
    let local = match before.rfind(BETWEEN) {
        Some(end) if joined => &before[end + 1..],
        _ if joined => return None,
        _ => before,
    };
    let local = local.rsplit_once('=').filter(|(key, _)| names_an_address(key)).map_or(local, |(_, local)| local);
    // A leading quote or other mark is punctuation, although RFC 5322 allows it in a local part.
    let local = local.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '+' && !reorders(c));
    let domain = text[behind..behind + right].trim_end_matches(|c: char| !c.is_alphanumeric());
    // No top-level domain has two hyphens, but for those in Punycode: they are a dash.
    let top = domain.rfind('.').map_or(domain.len(), |dot| dot + 1);
    let dash = domain[top..].find("--").filter(|_| !domain[top..].to_ascii_lowercase().starts_with("xn--"));
    let domain = dash.map_or(domain, |dash| &domain[..top + dash]);
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
    let before = &text[..place.start];
    let is_cut = cuts(before.chars().rev()) || cuts(text[place.end..].chars()) || ends_in_strokes(before);
    let is_plain = local.is_ascii() && mark == "@" && is_plain_domain(domain);
    if is_whole && (!is_plain || is_cut || place.start > turned) {
        return Some(Word { place, address: None });
    }
    Some(Word { address: Some(word.parse().ok()?), place })
}

/// Marks behind a domain that end its address: a suffix's apostrophe, the rest of a link, the next of several.
const BEHIND: &[char] = &['\'', '?', '|', '/', '=', '&', '#'];
/// Marks that end the address before the next one.
const BETWEEN: &[char] = &['/', '|', '?', '&'];

/// Whether a text ends with the name of a field for an address, as in `to=ana@example.com`.
fn names_an_address(text: &str) -> bool {
    let name = text.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ADDRESS_FIELDS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether nobody takes a domain for another one: its letters outside ASCII are Latin ones with marks, or all of it is
/// Cyrillic or Greek, the top-level domain too. No top-level domain has such a Latin letter.
fn is_plain_domain(domain: &str) -> bool {
    let marked = |c: char| matches!(c, '\u{DF}'..='\u{17E}') && !matches!(c, '×' | '÷' | 'ı' | 'ĸ' | 'ŉ' | 'ſ');
    let one_script =
        |script: fn(&char) -> bool| domain.chars().filter(|c| !matches!(c, '.' | '-' | '0'..='9')).all(|c| script(&c));
    let (names, top) = domain.rsplit_once('.').unwrap_or(("", domain));
    (top.is_ascii() && names.chars().all(|c| c.is_ascii() || c.to_lowercase().all(marked)))
        || one_script(|c| matches!(c, '\u{400}'..='\u{4FF}'))
        || one_script(|c| matches!(c, '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}'))
}

/// Whether a character continues the word around an @.
fn in_word(c: char) -> bool {
    is_atext(c)
        || c == '.'
        || is_hidden(c)
        || (c.is_alphanumeric() && !is_written_without_spaces(c) && !is_unlike_latin(c))
}

/// Hebrew, Arabic, the scripts of India and others whose words nobody takes for a part of a Latin word.
fn is_unlike_latin(c: char) -> bool {
    matches!(u32::from(c), 0x590..=0x7BF | 0x840..=0xDFF | 0xF00..=0xFFF | 0x10A0..=0x10FF | 0x1200..=0x139F
        | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFC)
}

/// Whether a run of letters unlike Latin ones stands between a word and more ASCII letters, as a digit might in place of
/// an `o`.
fn cuts(around: impl Iterator<Item = char>) -> bool {
    let mut around = around.peekable();
    around.peek().is_some_and(|&c| is_unlike_latin(c))
        && around.find(|&c| !is_unlike_latin(c)).is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
}

/// Han, kana and hangul that pass for a Latin letter, a digit or a mark: `l`, `-`, `/`, `o`, `I`, `T`, `t`.
const STROKES: &[char] =
    &['丨', 'ㅣ', 'ㄧ', '一', 'ー', 'ㅡ', 'ノ', '丿', '〇', 'ㅇ', 'ロ', '口', '工', 'エ', '丁', '卜', 'ト'];

/// Whether a text ends in such strokes and no other letter of these scripts, as the rest of a word might.
fn ends_in_strokes(text: &str) -> bool {
    let mut run = text.chars().rev().take(LONGEST).take_while(|c| is_written_without_spaces(*c)).peekable();
    run.peek().is_some() && run.all(|c| STROKES.contains(&c))
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
            ("a@example.com's b", vec!["a@example.com"]),
            ("Write _john@example.com_ a hello", vec!["john@example.com"]),
            ("__john@example.com__ and _jane@example.com", vec!["john@example.com", "_jane@example.com"]),
            ("\u{2068}john@example.com\u{2069} saying hi", vec!["john@example.com"]),
            ("john@example.com--say hi", vec!["john@example.com"]),
            ("john@example.com--", vec!["john@example.com"]),
            ("john@my--shop.example", vec!["john@my--shop.example"]),
            ("john@example.com'a gönder", vec!["john@example.com"]),
            ("john@example.com’a gönder", vec!["john@example.com"]),
            ("שלח ל-john@example.com תודה", vec!["john@example.com"]),
            ("כתוב לjohn@example.com", vec!["john@example.com"]),
            ("اكتب لjohn@example.comالآن", vec!["john@example.com"]),
            ("john@example.comको लिखो", vec!["john@example.com"]),
            ("เขียนถึงjohn@example.comว่า", vec!["john@example.com"]),
            ("mailto:john@example.com?subject=Lunch", vec!["john@example.com"]),
            ("mailto:john@example.com?cc=jane@example.com&subject=x", vec!["john@example.com", "jane@example.com"]),
            ("<mailto:john@example.com|john@example.com>", vec!["john@example.com", "john@example.com"]),
            ("[john@example.com](mailto:john@example.com)", vec!["john@example.com", "john@example.com"]),
            ("john@example.com/jane@example.com", vec!["john@example.com", "jane@example.com"]),
            ("john@example.com|jane@example.com", vec!["john@example.com", "jane@example.com"]),
            ("recipient=john@example.com", vec!["john@example.com"]),
            ("?to=john.doe@example.com&cc=a@example.com", vec!["john.doe@example.com", "a@example.com"]),
            ("bounce+john=example.com@lists.example.org", vec!["bounce+john=example.com@lists.example.org"]),
            ("a/b@example.com", vec!["a/b@example.com"]),
            ("Schreib info@münchen.example, bitte", vec!["info@xn--mnchen-3ya.example"]),
            ("Напиши на post@пример.рф", vec!["post@xn--e1afmkfd.xn--p1ai"]),
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
            ("mail j\u{665}hn@example.com", "hn@example.com"),
            ("mail ana@example.c\u{665}m", "ana@example.c"),
            ("mail 丨ohn@example.com", "ohn@example.com"),
            ("mail ㅣohn@example.com", "ohn@example.com"),
            ("mail aーnn@example.com", "nn@example.com"),
            ("mail bㅇb@example.com", "b@example.com"),
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
            assert_eq!(doubtful_addresses(text), [shown], "{text}");
            assert!(disarmed(text).contains(shown), "{text}");
        }
        let harmless = "“ana@example.com”, Zoë <bo@example.com>… 田中 c@example.comに送る。メンバーd@example.com 次は 100 @ 3€, é@";
        assert_eq!(found(harmless), ["ana@example.com", "bo@example.com", "c@example.com", "d@example.com"]);
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
