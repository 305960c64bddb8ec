//! The words that the rules know: `vocabulary.txt`, one meaning a line.

use std::{collections::HashMap, sync::LazyLock};

static MEANINGS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut meanings: HashMap<&str, Vec<&str>> = HashMap::new();
    let lines = include_str!("vocabulary.txt").lines().filter(|line| !line.starts_with('#'));
    for (meaning, phrases) in lines.filter_map(|line| line.split_once(": ")) {
        phrases.split(" | ").for_each(|phrase| meanings.entry(phrase).or_default().push(meaning));
    }
    meanings
});

/// The meanings of a phrase.
pub(super) fn meanings(phrase: &str) -> impl Iterator<Item = &'static str> + use<> {
    MEANINGS.get(phrase).into_iter().flatten().copied()
}

/// Whether a phrase has a meaning.
pub(super) fn means(phrase: &str, meaning: &str) -> bool {
    meanings(phrase).any(|known| known == meaning)
}
