//! How sentences of a request begin: with a condition (`If it rains, …`), or as a request for something else
//! (`Book a room and …`).

use domain::Mention;

/// Openings of a conditional sentence in English, German, Spanish and French.
const CONDITIONS: [&str; 4] = [
    "if, only if, when, whenever, unless, once, as soon as, in case, provided, as long as, assuming, should it, should the",
    "wenn, falls, sobald, sofern, solange",
    "si, cuando, en cuanto, a menos que",
    "si, s'il, s'ils, quand, lorsque, dès que, à moins que",
];
/// Openings that sound conditional but are only polite.
const COURTESIES: [&str; 5] = [
    "if possible, if it is possible, if it's possible, if you can, if you could, if you have, if you would, if you get",
    "if you don't mind, if you do not mind, if i may, when you can, when you get, when you have, once you have time",
    "wenn möglich, wenn du kannst, wenn sie können, wenn es geht, falls möglich",
    "si es posible, si puedes, cuando puedas",
    "si possible, si tu peux, si vous pouvez, s'il te plaît, s'il vous plaît, s'il te plait, s'il vous plait, quand tu peux",
];
/// Words for a calendar that has nothing at a time, and openings that refer to such a sentence before.
const FREE: [&str; 4] = [
    "i am free, i'm free, am i free, we are free, we're free, are we free, i am available, i'm available, am i available, i have time, \
     do i have time, calendar is free, is my calendar free",
    "ich frei, wir frei, ich zeit, wir zeit, kalender frei",
    "estoy libre, estamos libres, tengo tiempo",
    "je suis libre, suis-je libre, nous sommes libres, j'ai le temps",
];
const IF_SO: [&str; 4] =
    ["if so, if yes, if i am, if it is", "wenn ja, falls ja", "si es así, si sí", "si oui, si c'est le cas"];
/// Words that may precede an opening.
const LEADS: [&str; 4] = [
    "please, and, but, also, then, so, first, now, just, kindly, quickly, possibly, maybe, perhaps, hi, hey, hello, can you, could you, \
     would you, will you, can we, could we, let's, i want you to, i need you to, i'd like you to, i would like you to, i want to, i need to, \
     i have to, i must, i'd like to, i would like to, we need to, we have to, help me, remember to, don't forget to, make sure to, \
     be sure to, go ahead",
    "bitte, und, aber, dann, zuerst, kannst du, könntest du, können sie, könnten sie",
    "y, pero, por favor, puedes, podrías, puede, podría",
    "et, mais, puis, peux-tu, pourrais-tu, pouvez-vous, pourriez-vous, veuillez",
];

/// Words that tell an English sentence from one in another language.
const ENGLISH: [&str; 1] = [
    "the, your, our, their, his, and, with, from, that, please, this, you, who, what, when, they, will, it, has, i'm, about, some, \
     something, would, could, should, into, there, once, does, did",
];
/// First words of an English sentence whose request comes later: of what is said first, and of how or when to do it.
const STATEMENTS: [&str; 1] = [
    "i, i'm, i've, i'll, we, we're, we've, we'll, the, my, our, this, that, it, it's, there, he, she, they, thanks, thank you, sorry, \
     since, because, as, yes, ok, okay, great, good, due to, dear",
];
const ADVERBIALS: [&str; 1] =
    ["use, using, from, via, with, by, through, on, in, at, for, today, tomorrow, tonight, next, after, before"];
/// What stands between a statement and a request.
const JOINTS: [&str; 1] = ["so, please, to, then, kindly, just, also, therefore, and"];

/// Whether the sentence around `at` begins with a condition.
pub(super) fn is_conditional(text: &str, at: usize) -> bool {
    let opening = opening(&text[sentence_start(text, at)..at]);
    after(&opening, &CONDITIONS).is_some() && after(&opening, &COURTESIES).is_none()
}

/// The condition of the sentence around `at` if it is that the person is free, which a calendar tells: `If I am free at 12, …`, or
/// `Am I free at 12? If so, …`.
pub(super) fn free_time_condition(text: &str, at: usize) -> Option<&str> {
    let is_free = |text: &str| {
        let words = text.to_lowercase().replace('’', "'");
        FREE.iter().flat_map(|list| list.split(", ")).any(|words_of_it| words.contains(words_of_it))
    };
    let start = sentence_start(text, at);
    let condition = &text[start..at];
    if is_free(condition) {
        return Some(condition);
    }
    let before = text[..start].trim_end_matches(|c: char| !c.is_alphanumeric());
    let before = &before[sentence_start(before, before.len())..];
    (after(&opening(condition), &IF_SO).is_some() && is_free(before)).then_some(before)
}

/// Whether a sentence that begins before `at` asks for something else, by one of these openings. Those that are `served`
/// do not.
pub(super) fn asks_for_more(text: &str, at: usize, openings: &[&str], served: &[&str]) -> bool {
    let mut end = at;
    while end > 0 {
        let start = sentence_start(text, end);
        let opening = opening(&text[start..]);
        if after(&opening, openings).is_some() && after(&opening, served).is_none() {
            return true;
        }
        end = text[..start].trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    }
    false
}

/// Whether the sentence with this address is English and does not ask for what begins with one of `requests`, if only behind
/// what is `served`.
pub(super) fn is_another_request(text: &str, mention: &Mention, requests: &[&str], served: &[&str]) -> bool {
    let (start, end) = (sentence_start(text, mention.start), sentence_end(text, mention.end));
    let behind = &text[mention.end..end];
    let is_owner = behind.starts_with("'s ") || behind.starts_with("’s ");
    let is_english = is_owner || [&text[start..mention.start], behind].iter().any(|part| holds(part, &ENGLISH));
    if requests.is_empty() || !is_english || is_followed(behind, requests) {
        return false;
    }
    let opening = opening(&text[start..mention.start]);
    if is_owner || opening.is_empty() {
        return !behind.starts_with(is_mark);
    }
    let opening = format!("{opening}@");
    let is_asked = |at: usize| {
        let lead = opening[..at].trim_end();
        let is_free = lead.is_empty()
            || lead.ends_with(':')
            || (is_joint(lead)
                && [&STATEMENTS[..], &CONDITIONS, served].iter().any(|leads| after(lead, leads).is_some()))
            || after(lead, &ADVERBIALS).is_some();
        is_free && after(&opening[at..], requests).is_some()
    };
    !word_starts(&opening).any(is_asked)
}

/// Whether a request begins behind an address, after what is said of it: `is Ana's, write there`.
fn is_followed(behind: &str, requests: &[&str]) -> bool {
    const WANTS: [&str; 1] = ["needs, need, wants, should"];
    let behind = behind.to_lowercase();
    holds(&behind, &WANTS)
        || word_starts(&behind).any(|at| is_joint(&behind[..at]) && after(&behind[at..], requests).is_some())
}

/// Whether another part of a sentence may follow a text.
pub(super) fn is_joint(lead: &str) -> bool {
    let lead = lead.trim_end();
    let last = lead.split_whitespace().next_back();
    lead.ends_with(|c: char| c.is_ascii_punctuation()) || last.is_some_and(|last| holds(last, &JOINTS))
}

/// The offsets of the words of a text.
pub(super) fn word_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let words = text.split_inclusive(|c: char| c.is_whitespace() || c == '(');
    words.scan(0, |at, word| Some(std::mem::replace(at, *at + word.len())))
}

/// Whether a text has one of these words.
pub(super) fn holds(text: &str, lists: &[&str]) -> bool {
    let text = text.to_lowercase().replace('’', "'");
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.any(|word| lists.iter().any(|list| list.split(", ").any(|known| known == word)))
}

/// Marks between a request and the words that it wants said.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, ':' | '"' | '“' | '”' | '„' | '«' | '»' | '「' | '\n')
}

/// The first words of a sentence in lower case, without marks, courtesies and conjunctions in front.
pub(super) fn opening(sentence: &str) -> String {
    const LONGEST: usize = 200;
    let words = |text: &str| text.trim_start_matches(|c: char| !c.is_alphabetic()).to_owned();
    let opening: String = sentence.trim_start().chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let mut opening = words(&opening.replace('’', "'"));
    while let Some(rest) = after(&opening, &LEADS) {
        opening = words(rest);
    }
    opening
}

/// The text after a phrase, if it begins with one of them as whole words.
pub(super) fn after<'a>(text: &'a str, phrases: &[&str]) -> Option<&'a str> {
    let mut rests =
        phrases.iter().flat_map(|phrases| phrases.split(", ")).filter_map(|phrase| text.strip_prefix(phrase));
    rests.find(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || matches!(c, ',' | ':')))
}

/// The offset of the sentence around `at`.
pub(super) fn sentence_start(text: &str, at: usize) -> usize {
    let mut space = false;
    for (i, c) in text[..at].char_indices().rev() {
        if c == '\n' || c == ';' || (space && matches!(c, '.' | '!' | '?')) {
            return i + c.len_utf8();
        }
        space = c.is_whitespace();
    }
    0
}

/// The offset behind the sentence around `at`. A line break ends no sentence here: a text may follow it.
pub(super) fn sentence_end(text: &str, at: usize) -> usize {
    let mut ends = text[at..].char_indices().zip(text[at..].chars().skip(1));
    let end = ends.find(|((_, c), next)| *c == ';' || (matches!(c, '.' | '!' | '?') && next.is_whitespace()));
    end.map_or(text.len(), |((i, c), _)| at + i + c.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditional(text: &str) -> bool {
        is_conditional(text, text.find('@').expect("an address"))
    }

    #[test]
    fn a_sentence_that_begins_with_a_condition_is_conditional() {
        for text in [
            "If it rains tomorrow, email ana@example.com that we stay home",
            "Please, if the build fails, mail ana@example.com",
            "Water the plants. When Bo calls, write to ana@example.com",
            "Unless I say otherwise, tell ana@example.com that I come",
            "- as soon as the report is in, mail ana@example.com",
            "Should it rain, mail ana@example.com",
            "Falls es regnet, schreib an ana@example.com",
            "Wenn der Zug zu spät kommt, sag ana@example.com Bescheid",
            "Si llueve, escribe a ana@example.com",
            "S’il pleut, écris à ana@example.com",
            "Dès que le train part, écris à ana@example.com",
        ] {
            assert!(conditional(text), "{text}");
        }
    }

    #[test]
    fn a_polite_opening_or_a_later_condition_is_not_conditional() {
        for text in [
            "Email ana@example.com that we stay home if it rains",
            "Ask ana@example.com if she can come",
            "If possible, email ana@example.com that we won",
            "If you can, please tell ana@example.com that we won",
            "S'il te plaît, écris à ana@example.com",
            "If it rains I stay home. Email ana@example.com that",
            "Wendy says hi; tell ana@example.com",
            "When: Friday\nTell ana@example.com",
            "Iffy or not, tell ana@example.com",
        ] {
            assert!(!conditional(text), "{text}");
        }
    }

    #[test]
    fn a_condition_that_the_calendar_decides_is_told_from_others() {
        let condition = |text: &'static str| free_time_condition(text, text.find('@').expect("an address"));
        for (text, expected) in [
            ("If I am free at 12, invite ana@example.com", "If I am free at 12, invite ana"),
            ("Am I free at 12? If so, invite ana@example.com", "Am I free at 12"),
            ("Hi! Are we free on Friday?\nIf yes, invite ana@example.com", "Are we free on Friday"),
            ("Bin ich frei? Wenn ja, lade ana@example.com ein", "Bin ich frei"),
            ("When I’m free tomorrow, invite ana@example.com", "When I’m free tomorrow, invite ana"),
            ("Suis-je libre lundi ? Si oui, invite ana@example.com", "Suis-je libre lundi"),
        ] {
            assert_eq!(condition(text).map(str::trim), Some(expected), "{text}");
        }
        for text in [
            "If Bo is free at 12, invite ana@example.com",
            "Am I free at 12? If it rains, invite ana@example.com",
            "Did Bo pay? If so, invite ana@example.com",
            "Am I free at 12? Did Bo pay? If so, invite ana@example.com",
            "If the room is free, invite ana@example.com",
            "Invite ana@example.com. If so, am I free?",
        ] {
            assert_eq!(condition(text), None, "{text}");
        }
    }

    #[test]
    fn a_sentence_before_the_address_that_asks_for_something_else_is_found() {
        let others = &["book, cancel, update my, is", "buche"];
        let more = |text: &str| asks_for_more(text, text.find('@').expect("an address"), others, &[]);
        for text in [
            "Book a room and email ana@example.com that it is booked",
            "Could you please cancel my order, and tell ana@example.com",
            "Please, first update my calendar. Then write to ana@example.com",
            "1. Book a room\n2. Email ana@example.com",
            "Is ana@example.com still there?",
            "Kannst du bitte\nbuche einen Tisch; schreib an ana@example.com",
        ] {
            assert!(more(text), "{text}");
        }
        for text in [
            "Email ana@example.com that I book a room",
            "Tell ana@example.com: book a room. Cancel the other one.",
            "The book club meets at eight, tell ana@example.com",
            "Booking is done. Email ana@example.com",
            "Update ana@example.com on the room",
            "Email\nana@example.com",
            "@",
        ] {
            assert!(!more(text), "{text}");
        }
    }
}
