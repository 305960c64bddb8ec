//! Pages of a list: limit and cursor.

use engine::{Problem, ports::Position};
use jiff::Timestamp;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// How many entries a page holds.
pub(crate) fn limit(requested: Option<usize>) -> Result<usize, Problem> {
    match requested.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Problem::invalid("/limit", "must be 1 to 100")),
    }
}

/// The place of an entry in a list, as a caller gets and returns it: `<microseconds>.<id>`.
pub(crate) fn cursor(Position { at, id }: Position) -> String {
    format!("{}.{id}", at.as_microsecond())
}

/// Reads a [`cursor`].
pub(crate) fn read_cursor(cursor: Option<String>) -> Result<Option<Position>, Problem> {
    let read = |text: String| {
        let (at, id) = text.split_once('.')?;
        Some(Position { at: Timestamp::from_microsecond(at.parse().ok()?).ok()?, id: id.parse().ok()? })
    };
    let invalid = || Problem::invalid("/cursor", "must be the next_cursor of an earlier page");
    cursor.map(|text| read(text).ok_or_else(invalid)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let at = Timestamp::from_microsecond(1_800_000_000_123_456).unwrap();
        let place = Position { at, id: uuid::Uuid::from_u128(7) };
        assert_eq!(read_cursor(Some(cursor(place))).unwrap(), Some(place));
        assert_eq!(read_cursor(None).unwrap(), None);
        for bad in ["", "x", "1", "1.x", "x.00000000-0000-0000-0000-000000000007", "9999999999999999999999.7"] {
            assert!(read_cursor(Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
