//! Pages of a list, of which a caller may see only some entries.

use jiff::SignedDuration;
use uuid::Uuid;

use crate::ports::Position;

/// How many entries of a list are read for one page. Another page goes on where this one stops.
const MOST_READ: usize = 1_000;
/// How many entries are read at once, where the first read was not enough.
const AT_ONCE: usize = 100;

/// A page that is being filled.
pub(crate) struct Paging<T> {
    /// The entries that the caller may see.
    kept: Vec<T>,
    limit: usize,
    /// The last entry that was read.
    after: Option<Position>,
    /// Where the next page begins if this one is not full.
    stop: Option<Position>,
    read: usize,
    asked: usize,
    /// How many entries are read at most.
    most: usize,
}

impl<T> Paging<T>
where
    for<'a> Position: From<&'a T>,
{
    /// A page of at most `limit` entries behind this one.
    pub(crate) fn new(after: Option<Position>, limit: usize) -> Self {
        Self { kept: Vec::new(), limit, after, stop: None, read: 0, asked: 0, most: MOST_READ }
    }

    /// The same, but it stops after this many entries, because each costs more than a look.
    pub(crate) fn looking_through(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// What to read next: the entries behind this one, and how many; none if the page is done.
    pub(crate) fn next(&mut self) -> Option<(Option<Position>, usize)> {
        let is_at_end = self.read < self.asked;
        if is_at_end || self.kept.len() > self.limit || self.read >= self.most {
            return None;
        }
        // One more tells whether there is another page.
        let more = if self.asked == 0 { self.limit + 1 } else { AT_ONCE };
        self.asked += more;
        Some((self.after, more))
    }

    /// Takes what was read, as far as the caller may see it.
    pub(crate) fn take(&mut self, entries: impl IntoIterator<Item = T>, may_see: impl Fn(&T) -> bool) {
        for entry in entries {
            let position = Position::from(&entry);
            self.read += 1;
            self.after = Some(position);
            if may_see(&entry) {
                self.stop = self.after;
                self.kept.push(entry);
            } else {
                // Just before it: its id is not the caller's to know.
                let at = position.at + SignedDuration::from_micros(1);
                self.stop = Some(Position { at, id: Uuid::nil() });
            }
        }
    }

    /// The entries, and where the next page begins, if there may be one.
    pub(crate) fn finish(mut self) -> (Vec<T>, Option<Position>) {
        let next = if self.kept.len() > self.limit {
            self.kept.truncate(self.limit);
            self.kept.last().map(Position::from)
        } else if self.read < self.asked {
            None
        } else {
            self.stop
        };
        (self.kept, next)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// An entry of a list of this many, newest first, by its place.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Entry(usize);

    impl From<&Entry> for Position {
        fn from(entry: &Entry) -> Self {
            let at = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(i64::try_from(entry.0).unwrap());
            Self { at, id: Uuid::max() }
        }
    }

    /// Reads all pages of a list with this many entries, of which the caller sees some; gives back how many pages
    /// there were, too.
    fn pages(count: usize, limit: usize, may_see: impl Fn(usize) -> bool) -> (Vec<usize>, usize) {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let mut paging = Paging::new(after, limit);
            while let Some((after, most)) = paging.next() {
                let place = |position: Position| (position.at, position.id);
                let list = (0..count).map(Entry);
                let behind = list.filter(|entry| after.is_none_or(|after| place(entry.into()) < place(after)));
                paging.take(behind.take(most), |entry| may_see(entry.0));
            }
            let (kept, next) = paging.finish();
            assert!(kept.len() <= limit);
            seen.extend(kept.iter().map(|entry| entry.0));
            pages += 1;
            assert!(pages <= count + 1, "paging comes to an end");
            after = next;
            let Some(next) = after else { return (seen, pages) };
            let is_own = |entry: &usize| Position::from(&Entry(*entry)) == next;
            assert!(next.id.is_nil() || seen.last().is_some_and(is_own), "a cursor names nothing that is hidden");
        }
    }

    #[test]
    fn pages_hold_what_the_caller_may_see_and_each_entry_once() {
        for (count, limit, every) in
            [(0, 5, 1), (5, 5, 1), (6, 5, 1), (50, 7, 1), (50, 7, 3), (50, 7, 50), (300, 1, 99)]
        {
            let (seen, pages) = pages(count, limit, |place| place % every == every - 1);
            let visible: Vec<usize> = (0..count).filter(|place| place % every == every - 1).collect();
            assert_eq!(seen, visible, "every {every}th of {count}");
            assert_eq!(pages, visible.len().div_ceil(limit).max(1), "as few pages as that takes");
        }
    }

    #[test]
    fn a_page_looks_through_no_more_than_a_thousand_entries() {
        let (seen, pages) = pages(5_500, 10, |place| place == 5_499);
        assert_eq!(seen, [5_499]);
        assert!((5..=6).contains(&pages), "{pages}");
    }
}
