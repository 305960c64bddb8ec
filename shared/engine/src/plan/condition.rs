//! How sentences of a request begin: with a condition (`If it rains, …`), or as a request for something else
//! (`Book a room and …`).

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
/// Words that may precede an opening.
const LEADS: [&str; 4] = [
    "please, and, but, also, then, so, first, now, just, kindly, can you, could you, would you, will you, i want you to, i need you to",
    "bitte, und, aber, dann, zuerst, kannst du, könntest du, können sie, könnten sie",
    "y, pero, por favor, puedes, podrías, puede, podría",
    "et, mais, puis, peux-tu, pourrais-tu, pouvez-vous, pourriez-vous, veuillez",
];

/// Whether the sentence around `at` begins with a condition.
pub(super) fn is_conditional(text: &str, at: usize) -> bool {
    let opening = opening(&text[sentence_start(text, at)..at]);
    after(&opening, &CONDITIONS).is_some() && after(&opening, &COURTESIES).is_none()
}

/// Whether a sentence that begins before `at` asks for something else, by one of these openings.
pub(super) fn asks_for_more(text: &str, at: usize, openings: &[&str]) -> bool {
    let mut end = at;
    while end > 0 {
        let start = sentence_start(text, end);
        if after(&opening(&text[start..]), openings).is_some() {
            return true;
        }
        end = text[..start].trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    }
    false
}

/// The first words of a sentence in lower case, without marks, courtesies and conjunctions in front.
fn opening(sentence: &str) -> String {
    const LONGEST: usize = 80;
    let words = |text: &str| text.trim_start_matches(|c: char| !c.is_alphabetic()).to_owned();
    let opening: String = sentence.trim_start().chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let mut opening = words(&opening.replace('’', "'"));
    while let Some(rest) = after(&opening, &LEADS) {
        opening = words(rest);
    }
    opening
}

/// The text after a phrase, if it begins with one of them as whole words.
fn after<'a>(text: &'a str, phrases: &[&str]) -> Option<&'a str> {
    let mut rests =
        phrases.iter().flat_map(|phrases| phrases.split(", ")).filter_map(|phrase| text.strip_prefix(phrase));
    rests.find(|rest| rest.starts_with(|c: char| c.is_whitespace() || c == ','))
}

fn sentence_start(text: &str, at: usize) -> usize {
    let mut space = false;
    for (i, c) in text[..at].char_indices().rev() {
        if c == '\n' || c == ';' || (space && matches!(c, '.' | '!' | '?')) {
            return i + c.len_utf8();
        }
        space = c.is_whitespace();
    }
    0
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
    fn a_sentence_before_the_address_that_asks_for_something_else_is_found() {
        let others = &["book, cancel, update my, is", "buche"];
        let more = |text: &str| asks_for_more(text, text.find('@').expect("an address"), others);
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
