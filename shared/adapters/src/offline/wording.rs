//! Makes sentences and subjects of a person's own words.

const LONGEST_SUBJECT: usize = 60;

/// Without the spaces, separators and quotation marks around it.
pub(super) fn trim(text: &str) -> &str {
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '\0'));
    let quoted = |open: char, close: char| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains(open) && !inner.contains(close)).then_some(inner)
    };
    let pairs = [('"', '"'), ('“', '”'), ('„', '“'), ('«', '»'), ('\'', '\'')];
    pairs.into_iter().find_map(|(open, close)| quoted(open, close)).unwrap_or(text).trim()
}

/// With a capital at its beginning and a mark at its end. A question mark that belongs to the
/// request is none of the text's; a `question` gets one.
pub(super) fn sentence(text: &str, request_asks: bool, question: bool) -> String {
    let mut text = capitalised(&text.replace('\0', ""));
    if request_asks && text.ends_with('?') {
        text.truncate(text.trim_end_matches('?').trim_end().len());
    }
    if question {
        text.truncate(text.trim_end_matches(['.', '?']).trim_end().len());
        text.push('?');
    } else if text.ends_with(char::is_alphanumeric) || text.ends_with(')') {
        text.push('.');
    }
    text
}

/// At most 60 characters of the first line that says something, without a mark at its end.
pub(super) fn subject(text: &str) -> String {
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = line.clone().find(|line| !is_salutation(line)).or(line.clone().next()).unwrap_or_default();
    let sentence_end = line
        .char_indices()
        .find(|&(i, c)| "!?.".contains(c) && line[i + c.len_utf8()..].starts_with(char::is_whitespace) && i > 0);
    let first = sentence_end.map_or(line, |(i, _)| &line[..i]);
    let short = clean(&shortened(first));
    let bare = short.trim_end_matches(|c: char| c.is_whitespace() || ".,;:!?…-–—(\"".contains(c));
    capitalised(if bare.is_empty() { &short } else { bare })
}

/// On one line, without characters that a header cannot hold.
pub(super) fn clean(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect();
    plain.trim().to_owned()
}

fn is_salutation(line: &str) -> bool {
    line.ends_with(',') && line.split_whitespace().count() <= 5
}

/// Cut behind a word, or within one that is too long by itself.
fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST_SUBJECT {
        return text.to_owned();
    }
    let cut = text.char_indices().nth(LONGEST_SUBJECT).map_or(text.len(), |(i, _)| i);
    let head = &text[..cut];
    let whole_words = head.rfind(char::is_whitespace).map_or(head, |space| &head[..space]);
    if whole_words.trim().is_empty() { head.to_owned() } else { whole_words.to_owned() }
}

fn capitalised(text: &str) -> String {
    let text = text.trim_start();
    let mut chars = text.chars();
    // `iPhone` keeps its letters, and so do addresses and links.
    let word = text.split_whitespace().next().unwrap_or_default();
    let odd = word.chars().nth(1).is_some_and(char::is_uppercase) || word.contains(['@', '/']);
    match chars.next() {
        Some(first) if !odd => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_short_one_line_and_without_a_mark_at_its_end() {
        assert_eq!(subject("thanks for the meeting."), "Thanks for the meeting");
        assert_eq!(subject("Dear all,\n\nthe shop opens on 1 May. Come!"), "The shop opens on 1 May");
        assert_eq!(subject("Why? Because."), "Why");
        assert_eq!(subject("😀"), "😀");
        assert_eq!(subject("ß"), "SS");
        let long = subject(&"word ".repeat(40));
        assert!(long.chars().count() <= 60 && long.ends_with("word"), "{long}");
        assert_eq!(subject(&"ö".repeat(100)).chars().count(), 60);
    }

    #[test]
    fn a_sentence_has_a_capital_and_a_mark() {
        assert_eq!(sentence("lunch is off", false, false), "Lunch is off.");
        assert_eq!(sentence("dinner is at eight?", true, false), "Dinner is at eight.");
        assert_eq!(sentence("are you in?", false, false), "Are you in?");
        assert_eq!(sentence("May I ask for the key", false, true), "May I ask for the key?");
        assert_eq!(sentence("bo@example.com is new", false, false), "bo@example.com is new.");
        assert_eq!(sentence("ok 👍", false, false), "Ok 👍");
    }
}
