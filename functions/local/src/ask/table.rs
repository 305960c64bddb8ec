//! Tables and times: exact and without a head for programs, for a person at a terminal with a head, colours and times
//! such as "2 minutes ago".

use std::io::{self, IsTerminal as _, Result, Write};

use adapters::system::SystemClock;
use clap::builder::styling::{AnsiColor, Effects, Style};
use engine::ports::Clock as _;
use jiff::{SignedDuration, Timestamp};

/// The longest text of a cell at a terminal.
const LONGEST: usize = 40;

/// A cell and its colour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

impl Cell {
    /// A status, in the colour of its meaning.
    pub fn status(status: &str) -> Self {
        let style = match status {
            "completed" | "delivered" | "active" | "live" | "allowed" => AnsiColor::Green.on_default(),
            "error" | "failed" | "disabled" | "not allowed" => AnsiColor::Red.on_default(),
            _ => AnsiColor::Yellow.on_default(),
        };
        Self { text: status.to_owned(), style }
    }

    /// The same, at least so wide.
    pub fn at_least(mut self, width: usize) -> Self {
        self.text = format!("{:width$}", self.text);
        self
    }
}

/// Who reads what is printed.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// A person at a terminal, who reads it at this time; else a program.
    at: Option<Timestamp>,
}

impl Reader {
    /// The reader of standard output.
    pub fn of_output() -> Self {
        Self { at: io::stdout().is_terminal().then(|| SystemClock.now()) }
    }

    /// A program.
    #[cfg(test)]
    pub const PROGRAM: Self = Self { at: None };

    /// A time of the API.
    pub fn time(self, text: &str) -> String {
        let then = self.at.and_then(|now| Some((now, text.parse::<Timestamp>().ok()?)));
        then.map_or_else(|| text.to_owned(), |(now, then)| relative(then.duration_since(now)))
    }

    /// A text that may be long.
    pub fn short(self, text: &str) -> String {
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) if self.at.is_some() => format!("{}…", &text[..end]),
            _ => text.to_owned(),
        }
    }

    /// Prints rows, a person's with these heads. Columns at the end that are empty in every row are left out.
    pub fn table(self, out: &mut dyn Write, heads: &[&str], rows: &[Vec<Cell>]) -> Result<()> {
        let used = |row: &[Cell]| row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
        let shown = if self.at.is_some() { rows.iter().map(|row| used(row)).max().unwrap_or_default() } else { 0 };
        let bold = Style::new().effects(Effects::BOLD);
        let head: Vec<Cell> =
            heads.iter().take(shown).map(|head| Cell { text: (*head).to_owned(), style: bold }).collect();
        let all = || std::iter::once(&head).filter(|head| !head.is_empty()).chain(rows);
        let wide = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max();
        for row in all() {
            let used = used(row);
            for (column, Cell { text, style }) in row[..used].iter().enumerate() {
                let (is_last, width) = (column + 1 == used, wide(column).unwrap_or_default());
                let pad = if is_last { 0 } else { width.saturating_sub(text.chars().count()) + 2 };
                write!(out, "{style}{text}{style:#}{:pad$}", "")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// "2 minutes ago", "in 3 hours".
fn relative(from_now: SignedDuration) -> String {
    let seconds = from_now.unsigned_abs().as_secs();
    let (count, unit) = match seconds {
        0..5 => return "now".to_owned(),
        5..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let count = format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    if from_now.is_negative() { format!("{count} ago") } else { format!("in {count}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Reader {
        Reader { at: Some("2026-11-28T10:00:00Z".parse().unwrap()) }
    }

    #[test]
    fn a_person_reads_times_as_distances_and_a_program_as_they_are() {
        for (time, shown) in [
            ("2026-11-28T09:59:58Z", "now"),
            ("2026-11-28T09:59:01Z", "59 seconds ago"),
            ("2026-11-28T09:58:59.5Z", "1 minute ago"),
            ("2026-11-28T12:00:00+01:00", "in 1 hour"),
            ("2026-11-27T09:00:00Z", "1 day ago"),
            ("2027-02-26T10:00:00Z", "in 90 days"),
            ("soon", "soon"),
        ] {
            assert_eq!((person().time(time).as_str(), Reader::PROGRAM.time(time).as_str()), (shown, time));
        }
    }

    #[test]
    fn only_a_persons_table_has_a_head_colours_and_short_texts() {
        let rows =
            [vec![Cell::from("a"), Cell::status("error"), Cell::from("x")], vec!["long".into(), "b".into(), "".into()]];
        let printed = |reader: Reader| {
            let mut out = Vec::new();
            reader.table(&mut out, &["ID", "STATUS", "WHAT", "NOTE"], &rows).unwrap();
            String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap()
        };
        assert_eq!(printed(Reader::PROGRAM), "a     error  x\nlong  b\n");
        assert_eq!(printed(person()), "ID    STATUS  WHAT\na     error   x\nlong  b\n");
        let long = "ä".repeat(41);
        assert_eq!(
            (person().short(&long), Reader::PROGRAM.short(&long)),
            (format!("{}…", "ä".repeat(40)), long.clone())
        );
    }
}
