//! Names of people and things, as they are compared: word by word, without regard to case and accents.

use std::ops::Range;

use icu_normalizer::DecomposingNormalizerBorrowed;

use crate::unicode::is_written_without_spaces;

/// A word of a text.
struct Word {
    place: Range<usize>,
    folded: String,
}

/// The places where a text has all words of a name, one behind the other and each as a whole.
pub fn places_of_name(name: &str, text: &str) -> Vec<Range<usize>> {
    let (name, text) = (words(name), words(text));
    if name.is_empty() {
        return Vec::new();
    }
    let is_name = |found: &&[Word]| found.iter().zip(&name).all(|(found, wanted)| found.folded == wanted.folded);
    let found = text.windows(name.len()).filter(is_name);
    found.map(|found| found[0].place.start..found[found.len() - 1].place.end).collect()
}

/// Whether two names have the same words, in any order: `Miller, Sam` is `Sam Miller`.
pub fn is_same_name(one: &str, other: &str) -> bool {
    let (one, other) = (sorted(one), sorted(other));
    !one.is_empty() && one == other
}

/// Whether every word of a name is one of another name.
pub fn is_part_of_name(part: &str, whole: &str) -> bool {
    let (part, whole) = (sorted(part), sorted(whole));
    !part.is_empty() && part.iter().all(|word| whole.contains(word))
}

fn sorted(name: &str) -> Vec<String> {
    let mut words: Vec<String> = words(name).into_iter().map(|word| word.folded).collect();
    words.sort_unstable();
    words
}

/// The words of a text. In a script without spaces each character is one.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_open = false;
    for (at, c) in text.char_indices() {
        let place = at..at + c.len_utf8();
        let is_alone = is_written_without_spaces(c);
        let is_word = c.is_alphanumeric() || is_accent(c);
        match words.last_mut().filter(|_| is_open && is_word && !is_alone) {
            Some(word) => word.place.end = place.end,
            None if is_word && !is_accent(c) => words.push(Word { place, folded: String::new() }),
            None => {}
        }
        is_open = is_word && !is_alone;
    }
    for word in &mut words {
        word.folded = folded(&text[word.place.clone()]);
    }
    words
}

/// A word in lower case and without accents.
fn folded(word: &str) -> String {
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(word).to_lowercase();
    let mut folded = String::with_capacity(decomposed.len());
    for c in decomposed.chars().filter(|c| !is_accent(*c)) {
        // Letters that are written otherwise where they are missing, and have no accent to leave out.
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            'ı' => folded.push('i'),
            c => folded.push(c),
        }
    }
    folded
}

const fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_whole_words() {
        for (name, text, found) in [
            ("Sam", "Email Sam that I am late", vec!["Sam"]),
            ("sam", "Email SAM’s team", vec!["SAM"]),
            ("Zoe", "mail Zoë, then zoe", vec!["Zoë", "zoe"]),
            ("Zoe\u{308}", "mail Zoë", vec!["Zoë"]),
            ("Jean-Luc Picard", "to Jean Luc Picard!", vec!["Jean Luc Picard"]),
            ("O'Brien", "ask O’Brien", vec!["O’Brien"]),
            ("田中", "田中さんに送って", vec!["田中"]),
            ("Groß", "an Herrn Gross", vec!["Gross"]),
            ("Sam", "Email Samantha, Sammy and sam2", vec![]),
            ("Sam", "Email S\u{430}m", vec![]),
            ("Sam", "Email Sa\u{200b}m", vec![]),
            ("Sam Miller", "Sam and Miller", vec![]),
            ("", "Sam", vec![]),
            ("…", "Sam …", vec![]),
        ] {
            let places: Vec<&str> = places_of_name(name, text).into_iter().map(|place| &text[place]).collect();
            assert_eq!(places, found, "{name} in {text}");
        }
    }

    #[test]
    fn a_name_is_the_same_in_any_order_and_a_part_is_less() {
        for (one, other, is_same, is_part) in [
            ("Sam", "Sam", true, true),
            ("Sam", "SÁM", true, true),
            ("Sam Miller", "Miller, Sam", true, true),
            ("Sam", "Sam Miller", false, true),
            ("Lopez Ana", "Ana María López", false, true),
            ("Sam Miller", "Sam", false, false),
            ("Sam", "Samantha", false, false),
            ("Ana Ana", "Ana", false, true),
            ("", "", false, false),
        ] {
            assert_eq!((is_same_name(one, other), is_part_of_name(one, other)), (is_same, is_part), "{one}, {other}");
        }
    }
}
