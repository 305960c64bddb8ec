use crate::{Address, address::is_atext};

/// An address that stands in a text as a whole, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The address, without a display name.
    pub address: Address,
    /// The byte offset of its first character.
    pub start: usize,
    /// The byte offset after its last character.
    pub end: usize,
}

/// Every address that stands in `text` as a whole, in order, each as often as it stands there.
///
/// `john@example.com` is not in `xjohn@example.com`, nor in `john@example.com.evil.org`, nor in
/// `john@example.com@evil.org`: what runs on to the left or right is part of the word, and a word
/// that is not an address is none. A full stop, comma or bracket around it is punctuation. Scripts
/// that are written without spaces (Han, kana, hangul) end the word.
pub fn mentions(text: &str) -> Vec<Mention> {
    text.match_indices('@').filter_map(|(at, _)| mention_at(text, at)).collect()
}

/// No address has a longer part than this, so nobody needs to look further.
const LONGEST: usize = 300;

fn mention_at(text: &str, at: usize) -> Option<Mention> {
    let left = text[..at].chars().rev().take(LONGEST).take_while(|&c| in_word(c)).map(char::len_utf8).sum::<usize>();
    let right =
        text[at + 1..].chars().take(LONGEST).take_while(|&c| in_word(c) || c == '@').map(char::len_utf8).sum::<usize>();
    let before = &text[at - left..at];
    // A quote or other mark in front of the word is punctuation, though RFC 5322 would let it be part of it.
    let local = before.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '+');
    let domain = text[at + 1..at + 1 + right].trim_end_matches(|c: char| !c.is_alphanumeric());
    let start = at - local.len();
    let end = at + 1 + domain.len();
    let address = text[start..end].parse().ok()?;
    // `a@b@example.com`: the word goes on to the left over another @.
    let joined = text[..at - left].ends_with('@');
    (!joined).then_some(Mention { address, start, end })
}

/// Whether a character continues the word that an address stands in.
fn in_word(c: char) -> bool {
    const WRITTEN_WITHOUT_SPACES: u32 = 0x2E80;
    is_atext(c) || c == '.' || (c.is_alphanumeric() && u32::from(c) < WRITTEN_WITHOUT_SPACES)
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
    fn a_mention_says_where_it_stands() {
        let text = "é <a@b.co>";
        let mention = &mentions(text)[0];
        assert_eq!(&text[mention.start..mention.end], "a@b.co");
    }
}
