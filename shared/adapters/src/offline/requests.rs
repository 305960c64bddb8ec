//! Splits a prompt into its requests.

use std::ops::Range;

use super::{
    phrases::is_pronoun,
    reading::Reader,
    tokens::{Kind, Token},
    vocabulary::{self as words, Verb},
};

/// The tokens of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub tokens: Range<usize>,
    /// It goes on with the sentence of the request before, so that what is said there of both counts here, too.
    pub continues: bool,
}

/// The requests of a prompt, in order: a new one begins behind the end of a sentence, a comma or an
/// `and`, where a verb that asks for a mail stands close before an address.
pub(super) fn split(prompt: &str, tokens: &[Token]) -> Vec<Request> {
    let mut starts = vec![(0, false)];
    let end_of_commands = first_verbatim(tokens);
    let mut addressed = false;
    let mut at = 0;
    while at < end_of_commands {
        let start = starts.last().map_or(0, |&(start, _)| start);
        // What stands before is a request, too, not only a copy or a remark that belongs to this one.
        if addressed
            && at > start
            && let Some((next, continues)) = begins_request(tokens, at)
            && Reader::new(prompt, &tokens[start..at]).open()
        {
            starts.push((at, continues));
            addressed = false;
            at = next;
        }
        addressed |= tokens.get(at).is_some_and(Token::is_address_like);
        at += 1;
    }
    let ends = starts.iter().skip(1).map(|&(start, _)| start).chain([tokens.len()]);
    let ranges = starts.iter().zip(ends);
    ranges
        .map(|(&(start, continues), end)| Request { tokens: start..without_link(tokens, start, end), continues })
        .collect()
}

/// Where a text begins that is to be taken as it is: behind a blank line, unless the message came before it.
fn first_verbatim(tokens: &[Token]) -> usize {
    let blank = tokens.iter().position(|t| matches!(t.kind, Kind::BlankLine)).unwrap_or(tokens.len());
    let said = (0..blank).any(|at| {
        let colon = tokens[at].is_mark(":") && at + 1 < blank;
        colon
            || words::SAYING.at(tokens, at).is_some()
            || words::THAT.has(&tokens[at])
            || matches!(tokens[at].kind, Kind::Quote { .. })
    });
    if said { tokens.len() } else { blank }
}

/// Whether a request begins at `at`: behind its verb, and whether it goes on with the sentence.
fn begins_request(tokens: &[Token], at: usize) -> Option<(usize, bool)> {
    let before = at.checked_sub(1).map(|i| &tokens[i])?;
    let new_sentence = before.ends_sentence() || before.is_mark(";");
    let linked = before.is_mark(",") || words::AND.has(before);
    if !new_sentence && !linked {
        return None;
    }
    let mut verb = at;
    let (mut next_request, mut please) = (false, false);
    while let Some(token) = tokens.get(verb).filter(|_| verb < at + 5) {
        let word = words::NEXT_REQUEST.has(token);
        let numbering = token.folded.bytes().all(|b| b.is_ascii_digit()) && token.is_word();
        next_request |= word || numbering;
        please |= token.is(&["please", "bitte"]);
        if !(word || words::AND.has(token) || token.is(&["please", "bitte"]) || token.is_mark(".)-,") || numbering) {
            break;
        }
        verb += 1;
    }
    // `… by Friday. Please mail a@example.com the rest`: said to the reader of the mail, for all we know.
    if please && new_sentence && !next_request {
        return None;
    }
    if let Some(n) = words::ANOTHER.at(tokens, verb) {
        let to = tokens.get(verb + n)?;
        let person = tokens.get(verb + n + 1).is_some_and(Token::is_address_like);
        return (person && (words::TO.has(to) || to.is(&["an", "a"]))).then_some((verb + n, true));
    }
    let (kind, _, n) = words::verb_at(tokens, verb)?;
    let next = verb + n;
    let object = tokens.get(next)?;
    let opens = matches!(object.kind, Kind::Quote { .. }) && !new_sentence;
    if words::SELF.has(object) || is_pronoun(object) || kind == Verb::Say || opens {
        return None;
    }
    let person = (next..tokens.len().min(next + 9)).find(|&i| tokens[i].is_address_like());
    let close = person.is_some_and(|person| (next..person).all(|i| belongs_to_command(tokens, i, new_sentence)));
    let named = next_request && matches!(kind, Verb::Mail | Verb::Send) && object.is_word();
    (close || named).then_some((next, !new_sentence))
}

/// Whether a token may stand between a verb and its address: else both are words of a message.
fn belongs_to_command(tokens: &[Token], at: usize, new_sentence: bool) -> bool {
    let token = &tokens[at];
    let small = words::DETERMINERS.has(token)
        || words::ADJECTIVES.has(token)
        || words::MAIL_NOUNS.has(token)
        || words::SMALL_WORDS.has(token)
        || words::TO.has(token)
        || words::TO_GERMAN.has(token);
    let other =
        token.is_word() && !words::CONDITIONS.has(token) && !words::FINITE.has(token) && !words::THAT.has(token);
    small || matches!(token.kind, Kind::Quote { .. }) || (new_sentence && other)
}

/// The end of a request without the `and` that leads to the next one.
fn without_link(tokens: &[Token], start: usize, end: usize) -> usize {
    let mut end = end;
    while end < tokens.len() && end > start + 1 && (words::AND.has(&tokens[end - 1]) || tokens[end - 1].is_mark(",;")) {
        end -= 1;
    }
    end
}
