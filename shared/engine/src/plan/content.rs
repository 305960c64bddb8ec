//! Requests that only name what they hand over: `Send ana@example.com the figures of last week`. Nobody here has the
//! figures, so a planner would make them up.

use domain::Mention;

use super::sentence::{after, holds, is_joint, is_mark, opening, sentence_end, sentence_start, word_starts};
use crate::ports::Instructions;

/// Words before a thing that is only named, in English, German, Spanish and French.
const NAMED: [&str; 5] = [
    "the, my, our, your, his, her, their, last, this, these, those, it, them, all, every, yesterday's, today's, tomorrow's",
    "a copy of, a summary of, an overview of, a recap of, a breakdown of, a translation of, a transcript of, a screenshot of, \
     a photo of, a picture of, a report on, a report of, a report about, a link to, a list of",
    "die, der, das, den, dem, mein, meine, meinen, unser, unsere, unseren, alle, eine liste, eine kopie, eine übersicht, \
     eine zusammenfassung, es, sie, ihn",
    "el, la, los, las, mi, mis, nuestro, nuestra, nuestros, nuestras, todos, todas, una lista de, una copia de, un resumen de",
    "le, la, les, mon, ma, mes, notre, nos, tous, toutes, une liste des, une copie de, une copie du, un résumé de, un résumé du",
];
/// Questions that would have to be answered first.
const ASKED: [&str; 4] = [
    "how many, how much it, how much is, how much money, how much we owe, how long, how often, how the, how my, how our, how to, what, \
     which, who, whose, where, why, when the, when my, when our, when is, whatever, everything, anything",
    "wie viel, wie viele, was, welche, welcher, welches, wer, wo, warum, wann",
    "cuántos, cuántas, cuánto, qué, quién, dónde, cuándo, por qué",
    "combien, ce que, qui, où, quand, pourquoi",
];
/// Things that are said by being named, and words that begin a clause with what is said.
const SAID: [&str; 4] = [
    "thanks, thank, thank-you, hi, hello, hey, regards, wishes, greetings, greeting, love, kisses, best, apology, apologies, \
     congratulations, congrats, condolences, sympathy, gratitude, birthday, luck, welcome, following, saying, say, says, telling, \
     tell, asking, ask, write, because, since",
    "grüße, gruß, hallo, dank, danke, glückwünsche, wünsche, beileid, entschuldigung, folgende, folgenden, dass, sag, sage, schreib, \
     schreibe, weil",
    "saludos, saludo, hola, gracias, felicitaciones, condolencias, disculpas, siguiente, diciendo, di, dile, porque, pregunta, escribe",
    "salutations, bonjour, merci, remerciements, félicitations, condoléances, excuses, vœux, suivant, disant, dis, car, demande, écris",
];
/// Words for a text, which is said where a clause follows (`the news that we won`), or where it is one of several
/// (`a note about lunch`).
const TOLD: [&str; 4] = [
    "news, message, info, information, reminder, word, note, line, letter, invitation, invite, notice, update, \
     text, answer, question, request, fact, feedback, heads-up, heads",
    "nachricht, info, notiz, hinweis, antwort, erinnerung, einladung",
    "noticia, mensaje, aviso, nota, respuesta, recordatorio, invitación",
    "nouvelle, message, info, rappel, note, réponse, mot, invitation",
];
const RELATIVE: [&str; 4] = ["that, who, which, whom, whose", "die, der, das", "que, quien", "que, qui, dont"];
/// Words that say which text is meant: it is a certain one.
const CERTAIN: [&str; 4] = [
    "the, that, last, latest, my, our, your, his, her, their",
    "die, der, das, letzte",
    "el, la, último",
    "le, la, dernier",
];
/// Verbs that make a sentence of a name: `Email ana@example.com the demo is off`.
pub(super) const VERBS: [&str; 4] = [
    "is, are, was, were, will, would, has, have, had, can, cannot, could, should, must, may, might, does, do, did, needs, isn't, \
     aren't, wasn't, weren't, won't, can't, hasn't, haven't, doesn't, didn't, moved, changed, failed, started, ended, works",
    "ist, sind, war, waren, wird, werden, hat, haben, kann, können, muss, müssen, soll, sollen, fällt",
    "es, está, están, son, fue, será, ha, han, hay, puede, llega",
    "est, sont, était, sera, ont, peut, doit, arrive",
];
/// Verbs that hand over a thing, and no sentence.
const SENDING: [&str; 4] = [
    "send, forward, share, give, get, pass, show, copy",
    "schick, schicke, sende, leite, gib",
    "envía, envíe, envíale, manda, mande, mándale, reenvía, comparte",
    "envoie, envoyez, transfère, transférez, partage, donne",
];

/// Words before a thing that comes with a mail: `with the results of the survey`.
const ENCLOSED: [&str; 6] = ["with the ", "with my ", "with our ", "with a list ", "with a summary ", "with what "];
/// Things with which a text is given.
const TEXTS: [&str; 1] = [
    "subject, title, text, body, message, words, following, heading, line, headline, sentence, good news, bad news, news",
];

/// The most characters behind an address that are looked at: a prompt may hold thousands of addresses in one sentence.
const LONGEST_THING: usize = 300;

/// Whether the sentence around an address names what it hands over, and no text of the request says what that is.
/// A sentence that tells is often followed by a clause, which says it.
pub(super) fn is_only_named(text: &str, mention: &Mention, asks: &Instructions) -> bool {
    let Instructions { handing_over: handing, telling, nouns, .. } = *asks;
    let start = sentence_start(text, mention.start);
    let opening = opening(&text[start..mention.start]);
    let is_verb = |at: &usize| (*at == 0 || is_joint(&opening[..*at])) && after(&opening[*at..], handing).is_some();
    let hands = word_starts(&opening).filter(is_verb).last();
    let (verb, tells, between) = match (hands, after(&opening, telling)) {
        (Some(at), _) => (&opening[at..], false, after(&opening[at..], handing).unwrap_or_default()),
        (None, Some(rest)) => ("", true, rest),
        (None, None) => return false,
    };
    let end = sentence_end(text, mention.end);
    let is_more = |other: &str| !other.contains('@') && other.split_whitespace().count() > 2;
    if is_more(&text[..start]) || is_more(&text[end..]) {
        return false;
    }
    let behind: String = text[mention.end..end].chars().take(LONGEST_THING).flat_map(char::to_lowercase).collect();
    let behind = behind.replace('’', "'");
    let behind = behind.trim_start_matches(|c: char| !c.is_alphabetic() && !is_mark(c));
    let behind = after(behind, &["know, wissen"]).unwrap_or(behind).trim_start();
    let between = between.trim();
    let is_sent_to = ["to", "an", "a", "à"].iter().any(|to| between.split_whitespace().next_back() == Some(to));
    let says =
        |named: &str| named.contains(is_mark) || named.contains("http") || holds(named, &SAID) || is_told(named, nouns);
    let clause = [" once ", " when ", " after ", " as soon "].iter().filter_map(|word| behind.find(word)).min();
    let is_clause = || holds(&behind[..clause.unwrap_or(behind.len())], &VERBS) && !holds(behind, &RELATIVE);
    let encloses = |part: &str| {
        let mut things = ENCLOSED.iter().filter_map(|words| part.split_once(words).map(|(_, thing)| thing));
        things.any(|thing| after(thing, &TEXTS).is_none() && !thing.contains(is_mark) && !holds(thing, &["that"]))
    };
    if encloses(between) || encloses(behind) {
        return !holds(behind, &SAID);
    }
    let sends = after(verb, &SENDING).is_some();
    // `Send the figures to ana@example.com`
    if is_sent_to && between.contains(' ') {
        return !tells && (sends || after(between, &NAMED).is_some()) && !says(between) && !says(behind);
    }
    // `Send ana@example.com the figures`
    if sends {
        let is_next = behind.is_empty() || behind.starts_with('@');
        return !is_next && !says(between) && !says(behind);
    }
    if after(behind, &NAMED).is_some() {
        let is_thing = || holds(behind, &["of, für, von, de, du, des"]) || behind.split_whitespace().count() == 2;
        return !says(behind) && !is_clause() && (!tells || is_thing());
    }
    let about = after(behind, &["of, about, on"]).unwrap_or(behind).trim_start();
    after(about, &ASKED).is_some() && !says(behind)
}

/// Whether a text is spoken of that a clause gives, or that is not a certain one.
fn is_told(named: &str, nouns: &[&str]) -> bool {
    const NEAR: usize = 3;
    let words: Vec<&str> = named.split_whitespace().collect();
    let place = words.iter().position(|word| holds(word, &TOLD) || holds(word, nouns));
    place.is_some_and(|at| {
        let is_certain = words[at.saturating_sub(NEAR)..at].iter().any(|word| holds(word, &CERTAIN));
        !is_certain || words[at..].iter().any(|word| holds(word, &RELATIVE))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_named(text: &str) -> bool {
        const HANDING: [&str; 4] = ["send, email, mail, forward, share", "schick, schicke", "envía", "envoie"];
        const TELLING: [&str; 4] = ["tell, let", "sag, schreib", "dile a", "dis à"];
        let asks =
            Instructions { handing_over: &HANDING, telling: &TELLING, nouns: &["email"], ..Instructions::default() };
        domain::mentions(text).iter().any(|mention| is_only_named(text, mention, &asks))
    }

    #[test]
    fn a_thing_that_is_only_named_lacks_its_content() {
        for text in [
            "Send ana@example.com the number of new customers of this month",
            "Email ana@example.com the password of the staging server",
            "Please forward our latest invoice to ana@example.com",
            "Could you send the minutes of Monday to ana@example.com, please?",
            "Send ana@example.com and bo@example.com my flight details",
            "Share the list of people that signed up with Bo to ana@example.com",
            "Mail ana@example.com a summary of yesterday's meeting",
            "Email ana@example.com how many seats are left",
            "Tell ana@example.com who won the match",
            "Let ana@example.com know the results of the survey",
            "Send ana@example.com the list of guests who are coming",
            "Tell bo@example.com that I am late. Send ana@example.com the contract. Thanks!",
            "Schick ana@example.com die Zahlen der letzten Woche",
            "Send ana@example.com directions to the office",
            "Please send flowers to ana@example.com",
            "Mail it to ana@example.com",
            "Tell ana@example.com the answer",
            "Let ana@example.com know how the match ended",
            "Email ana@example.com whatever is left",
            "Send ana@example.com the latest news",
            "From my work account, mail ana@example.com the seating plan",
            "I want to send ana@example.com our price list",
            "Bitte schicke das Protokoll an ana@example.com",
            "Sag ana@example.com, wie viele Plätze frei sind",
            "Envía a ana@example.com el número de clientes nuevos",
            "Envoie le rapport de mars à ana@example.com",
        ] {
            assert!(only_named(text), "{text}");
        }
    }

    #[test]
    fn a_thing_with_its_content_lacks_nothing() {
        for text in [
            "Send ana@example.com the minutes: we meet again on Monday",
            "Send the following to ana@example.com\n\nDear all, we open on 1 May.",
            "Email ana@example.com the demo is off",
            "Email ana@example.com the demo moved to Friday",
            "Send ana@example.com my regards",
            "Send a short note about lunch to ana@example.com",
            "Send ana@example.com, bo@example.com and cy@example.com a mail saying hi",
            "Send hi to ana@example.com",
            "Send an email to ana@example.com and bo@example.com",
            "Send ana@example.com an apology for the delay",
            "Tell ana@example.com the build failed",
            "Send our best wishes to ana@example.com",
            "Send ana@example.com the news that we won",
            "Send ana@example.com the text \"On my way\"",
            "Send ana@example.com the link https://example.com/a",
            "We sold twelve units in May. Send the figure to ana@example.com",
            "Send the minutes to ana@example.com and tell her we meet on Monday",
            "Send an email to ana@example.com saying the report is late",
            "Email my boss ana@example.com that I am late",
            "Tell ana@example.com the train leaves at nine",
            "Tell ana@example.com how much I like the book",
            "Ask ana@example.com how many seats are left",
            "Let ana@example.com know the report is ready",
            "Schick ana@example.com die Nachricht, dass ich komme",
            "Envía a ana@example.com mis saludos",
            "Envoie à ana@example.com mes remerciements",
        ] {
            assert!(!only_named(text), "{text}");
        }
    }
}
