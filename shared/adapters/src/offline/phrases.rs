//! Lists of phrases, looked up at a place in the prompt.

use std::{collections::HashMap, sync::OnceLock};

use super::tokens::Token;

/// Phrases, separated by commas; words joined by a space; `~` stands for any pronoun.
pub(super) struct Phrases {
    text: &'static str,
    by_first_word: OnceLock<HashMap<&'static str, Vec<Vec<&'static str>>>>,
}

const PRONOUNS: &[&str] = &[
    "him",
    "her",
    "them",
    "it",
    "everyone",
    "everybody",
    "all",
    "both",
    "me",
    "us",
    "you",
    "ihm",
    "ihr",
    "ihnen",
    "ihn",
    "le",
    "les",
    "lui",
    "leur",
    "mir",
    "myself",
    "themselves",
];

impl Phrases {
    pub(super) const fn new(text: &'static str) -> Self {
        Self { text, by_first_word: OnceLock::new() }
    }

    /// How many tokens the longest of these phrases takes that stands at `at`.
    pub(super) fn at(&self, tokens: &[Token], at: usize) -> Option<usize> {
        let first = tokens.get(at).filter(|token| token.is_word())?;
        let phrases = self.index().get(first.folded.as_str())?;
        let matches = |phrase: &&Vec<&str>| {
            let rest = phrase.iter().enumerate().skip(1);
            rest.into_iter().all(|(i, word)| match tokens.get(at + i) {
                Some(token) if *word == "~" => token.is(PRONOUNS),
                Some(token) => token.is(&[word]),
                None => false,
            })
        };
        phrases.iter().filter(matches).map(Vec::len).max()
    }

    /// Whether a single word is one of them.
    pub(super) fn has(&self, token: &Token) -> bool {
        token.is_word() && self.has_word(&token.folded)
    }

    /// The same of a folded word.
    pub(super) fn has_word(&self, folded: &str) -> bool {
        self.index().get(folded).is_some_and(|phrases| phrases.iter().any(|phrase| phrase.len() == 1))
    }

    fn index(&self) -> &HashMap<&'static str, Vec<Vec<&'static str>>> {
        self.by_first_word.get_or_init(|| {
            let mut index: HashMap<_, Vec<Vec<_>>> = HashMap::new();
            for phrase in self.text.split(',') {
                let words: Vec<&str> = phrase.split_whitespace().collect();
                if let Some(first) = words.first() {
                    index.entry(*first).or_default().push(words);
                }
            }
            index
        })
    }
}

/// Whether a word means a person by standing for one.
pub(super) fn is_pronoun(token: &Token) -> bool {
    token.is(PRONOUNS)
}
