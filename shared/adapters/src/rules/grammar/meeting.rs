//! Everyone in a meeting of the calendar: `everyone in tomorrow's 10:00 meeting`.

use domain::{FindKind, Part, When};
use serde_json::json;

use super::{Grammar, LONGEST, Person, is_text};
use crate::rules::vocabulary::means;

impl Grammar<'_, '_> {
    /// The people of a meeting with a day or an hour, and where its words end.
    pub(super) fn meeting(&self, at: usize) -> Option<(Person, usize)> {
        let p = self.prompt;
        let from = at + p.phrase("everyone", at)?;
        let ends = |i: &usize| !p.means(*i, "word") || self.clause(*i).is_some_and(|(clause, _)| is_text(clause));
        let end = (from..from + LONGEST).find(ends)?;
        let mut rest = p.slice(from, end).replace(['’', '\''], "'").replace("'s ", " ");
        let times: Vec<_> = When::find(&rest).into_iter().map(|time| time.place).collect();
        let said = times.iter().map(|place| &rest[place.clone()]).collect::<Vec<_>>().join(" ");
        let when = When::read(&said).filter(|when| when.is_moment())?;
        for place in times.into_iter().rev() {
            rest.replace_range(place, " ");
        }
        let is = |word: &str, meaning| means(&word.to_lowercase(), meaning);
        if !rest.split_whitespace().any(|word| is(word, "meeting")) {
            return None;
        }
        let is_name = |word: &&str| !["meeting", "article", "whose", "link-of"].iter().any(|other| is(word, other));
        let title = rest.split_whitespace().filter(is_name).collect::<Vec<_>>().join(" ");
        let find = json!({
            "find": FindKind::Event,
            "day": if when.has_day() { &said } else { "today" },
            "at": when.has_hour().then_some(&said),
            "title": Some(title).filter(|title| !title.is_empty()),
        });
        Some((Person::Lookup { find, part: Part::Attendees, words: p.slice(at, end).to_owned() }, end))
    }
}
