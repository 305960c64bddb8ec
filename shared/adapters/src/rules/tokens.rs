//! Splits a prompt into words, addresses, quotations and marks, each with its place and its meanings.

use std::ops::Range;

use domain::{Address, When, disarmed};

use super::vocabulary::meanings;

/// A prompt with its tokens.
pub(super) struct Prompt<'a> {
    text: &'a str,
    pub tokens: Vec<Token>,
}

/// A piece of the prompt.
pub(super) struct Token {
    pub address: Option<Address>,
    place: Range<usize>,
    /// Where the text between the quotation marks is.
    quoted: Range<usize>,
    /// A word or mark in lower case; empty for everything else.
    word: String,
    /// The meanings of the phrases that begin here, each with its number of tokens: those of the vocabulary, and what
    /// the token is: `word`, `address`, `unclear` (not an address beyond doubt), `quote`, `mark`, `break`, `paragraph`.
    meanings: Vec<(&'static str, usize)>,
    /// The token behind the time that begins here, and whether this time has an hour.
    time: Option<(usize, bool)>,
}

impl<'a> Prompt<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        // Marks that certainly have no closing mark in the rest of the prompt: nothing is searched twice.
        let (mut at, mut unclosed) = (0, Vec::new());
        while at < text.len() {
            let rest = &text[at..];
            let spaces = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
            let lines = rest[..spaces].matches('\n').count();
            let quoted = quotation(text, at, &mut unclosed).unwrap_or_default();
            let mark = rest.chars().next().filter(|&c| MARKS.contains(c) || c == '.').map_or(0, char::len_utf8);
            let word = word(rest);
            let place = at..match quoted.end {
                _ if spaces > 0 => at + spaces,
                0 => at + if mark > 0 { mark } else { word.len() },
                end => end + text[end..].chars().next().map_or(0, char::len_utf8),
            };
            at = place.end;
            let address = address(if quoted.is_empty() { word } else { &text[quoted.clone()] });
            let meaning = match () {
                () if spaces > 0 && lines == 0 => continue,
                () if spaces > 0 => "break",
                () if address.is_some() => "address",
                () if !quoted.is_empty() => "quote",
                () if mark > 0 || ["-", "--"].contains(&word) => "mark",
                () if word.contains('@') => "unclear",
                () => "word",
            };
            let is_word = ["word", "mark"].contains(&meaning);
            let word = if is_word { text[place.clone()].to_lowercase().replace('’', "'") } else { String::new() };
            let paragraph = (lines > 1).then_some(("paragraph", 1));
            let meanings = [(meaning, 1)].into_iter().chain(paragraph).collect();
            tokens.push(Token { address, place, quoted, word, meanings, time: None });
        }
        for at in 0..tokens.len() {
            let words: Vec<&str> = tokens[at..].iter().take(5).map(|token| token.word.as_str()).collect();
            let found: Vec<_> =
                (1..=words.len()).flat_map(|n| meanings(&words[..n].join(" ")).map(move |m| (m, n))).collect();
            tokens[at].meanings.extend(found);
        }
        for time in When::find(text).into_iter().filter(|time| time.when.is_moment()) {
            let first = tokens.binary_search_by_key(&time.place.start, |token| token.place.start);
            let last = tokens.binary_search_by_key(&time.place.end, |token| token.place.end);
            if let (Ok(first), Ok(last)) = (first, last) {
                tokens[first].time = Some((last + 1, time.when.has_hour() || time.when.is_wait()));
            }
        }
        Self { text, tokens }
    }

    pub const fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.word)
    }

    /// How many tokens the longest phrase of a meaning has at `at`.
    pub fn phrase(&self, meaning: &str, at: usize) -> Option<usize> {
        self.tokens.get(at)?.meanings.iter().filter(|(known, _)| *known == meaning).map(|(_, n)| *n).max()
    }

    /// Whether a token alone has a meaning.
    pub fn means(&self, at: usize, meaning: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.meanings.contains(&(meaning, 1)))
    }

    /// Where the time that begins at `at` ends; of one without an hour only if `whole` does not ask for it.
    pub fn time(&self, at: usize, whole: bool) -> Option<usize> {
        let (end, is_whole) = self.tokens.get(at)?.time?;
        (is_whole || !whole).then_some(end)
    }

    /// Where a few phrases of a meaning end.
    pub fn without(&self, meaning: &str, at: usize) -> usize {
        (0..6).fold(at, |end, _| end + self.phrase(meaning, end).unwrap_or_default())
    }

    /// The text between quotation marks.
    pub fn quoted(&self, at: usize) -> Option<&'a str> {
        self.tokens.get(at).filter(|_| self.means(at, "quote")).map(|token| &self.text[token.quoted.clone()])
    }

    /// The text of some tokens, as it stands in the prompt.
    pub fn slice(&self, at: usize, end: usize) -> &'a str {
        let tokens = self.tokens.get(at..end.min(self.len())).unwrap_or_default();
        tokens.first().zip(tokens.last()).map_or("", |(first, last)| &self.text[first.place.start..last.place.end])
    }
}

/// A short piece of a text in one line, to be shown; what only looks like an address is written in ASCII.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    let line = disarmed(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= LONGEST { line } else { line.chars().take(LONGEST).chain(['…']).collect() }
}

/// White space, and the isolates that some editors put around an address (UAX #9): they change nothing in a line of
/// one direction.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{2066}'..='\u{2069}')
}

const MARKS: &str = ",;:!?()<>[]{}\"“”„«»…–—•|";

/// The word at the beginning of a text. `10:30` and `1,000` are one word.
fn word(rest: &str) -> &str {
    let is_digit = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let inside = |at: usize, c| ":,".contains(c) && at > 0 && is_digit(at - 1) && is_digit(at + 1);
    let mut ends = rest.char_indices().filter(|&(at, c)| is_space(c) || (MARKS.contains(c) && !inside(at, c)));
    rest[..ends.next().map_or(rest.len(), |(at, _)| at)].trim_end_matches('.')
}

/// The text of a quotation that begins at `at`, without its marks.
fn quotation(text: &str, at: usize, unclosed: &mut Vec<char>) -> Option<Range<usize>> {
    const OPENING: &str = "\"“„«‘'`";
    const CLOSING: &str = "\"”“»’'`";
    let mark = text[at..].chars().next()?;
    let closing = CLOSING.chars().nth(OPENING.chars().position(|opening| opening == mark)?)?;
    // An apostrophe within a word opens nothing, and closes nothing.
    if unclosed.contains(&mark) || text[..at].ends_with(char::is_alphanumeric) {
        return None;
    }
    let start = at + mark.len_utf8();
    let mut ends = text[start..].match_indices(closing).map(|(length, mark)| (start + length, mark.len()));
    let end = ends.find(|(end, mark)| !text[end + mark..].starts_with(char::is_alphanumeric));
    if end.is_none() {
        unclosed.push(mark);
    }
    end.map(|(end, _)| start..end).filter(|inner| !inner.is_empty())
}

/// An address, if the whole word is one beyond doubt: emphasis around it is no part of it, and rare characters of a
/// local part are more likely something else.
fn address(word: &str) -> Option<Address> {
    let mut word = word;
    while let Some(inner) = ["_", "*", "~", "'"].iter().find_map(|mark| word.strip_prefix(mark)?.strip_suffix(mark)) {
        word = inner;
    }
    let (local, _) = word.split_once('@')?;
    let plain = local.starts_with(|c: char| c.is_ascii_alphanumeric())
        && local.chars().all(|c| c.is_ascii_alphanumeric() || "._+-'".contains(c));
    plain.then(|| word.parse().ok()).flatten()
}
