//! Whether a text says that something is attached to it.

/// How languages say so, in lower case. A phrase begins at the beginning of a word and ends at the end of one, or with `*`
/// wherever the word goes on.
const PHRASES: &str = "attached|attachment*|attaching|i attach|we attach|enclosed|enclosure*|im anhang|anhang|anhänge|angehängt*|\
    anbei|beigefügt*|beiliegend*|angefügt*|in der anlage|als anlage|beigelegt*|ci-joint*|ci joint*|ci-annexé*|ci-inclus*|pièce jointe|pièces jointes|piece jointe|pieces jointes|en annexe|\
    adjunt*|anexo|anexos|anexa|anexas|anexei|anexado*|anexamos|allegat*|allego|\
    bijlage*|bijgevoegd*|bijgesloten|bifoga*|bilaga*|bilag|vedlagt*|vedlegg*|vedhæft*|liitteenä|liitteessä|oheisena|załącz*|\
    v příloze|přiloz*|přilož*|v prílohe|mellékel*|csatol*|atașa*|ataşa*|во вложени*|вложени*|прикреп*|прилага*|прилож*|\
    у вкладенні|прикріп*|ekte*|ekli|συνημμέν*|επισυνάπτ*|đính kèm|terlampir|lampiran*|संलग्न*";
/// The same in scripts where particles touch the word.
const PARTS: &str = "添付|同封|附件|附上|附档|附檔|随信附|隨信附|첨부|مرفق|المرفق|مصورف|מצורפ|מצורף|پیوست|בצרופה|แนบ";
/// What makes another thing of it: words right in front, and words right behind.
const OTHERWISE: (&str, &str) = (
    "no|without|any|strings|ohne|kein|keine|keinen|sans|sin|sem|senza|geen|zonder|emotionally",
    "to the|to a|to an|to its|to my|to our|to his|to her|to their|by",
);

/// The words of a text that say so, in lower case, if it does.
pub fn says_attached(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let places = |phrase: &str| lower.match_indices(phrase).map(|(at, found)| (at, found.len())).collect::<Vec<_>>();
    let phrase_at = |phrase: &str| {
        let stem = phrase.trim_end_matches('*');
        places(stem).into_iter().find_map(|(at, length)| {
            let (before, behind) = (&lower[..at], &lower[at + length..]);
            if before.ends_with(char::is_alphanumeric) {
                return None;
            }
            let rest = behind.find(|c: char| !c.is_alphanumeric()).unwrap_or(behind.len());
            let is_whole = rest == 0 || stem != phrase;
            let (before, behind) = (before.trim_end(), behind[rest..].trim_start());
            let is_other = OTHERWISE.0.split('|').any(|word| ends_with_word(before, word))
                || OTHERWISE.1.split('|').any(|word| starts_with_word(behind, word) && !names_itself(behind, word));
            (is_whole && !is_other).then_some(at..at + length + rest)
        })
    };
    let part_at = |part: &str| places(part).first().map(|(at, length)| *at..*at + *length);
    let found = PHRASES.split('|').find_map(phrase_at).or_else(|| PARTS.split('|').find_map(part_at));
    found.map(|place| lower[place].to_owned())
}

/// Whether a text ends with this word as a whole.
pub(crate) fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Whether what follows is the mail itself: `attached to the mail`.
fn names_itself(text: &str, word: &str) -> bool {
    let rest = text.strip_prefix(word).unwrap_or_default().trim_start();
    ["mail", "email", "e-mail", "message"].iter().any(|name| rest.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_says_so_is_found_in_many_languages() {
        for text in [
            "Please find attached the report.",
            "See the attachment.",
            "The invoice is attached.",
            "Attached: report.pdf",
            "It is attached to this mail.",
            "It is attached to the mail.",
            "I have enclosed the form.",
            "I am attaching it.",
            "Die Rechnung finden Sie im Anhang.",
            "Anbei die Rechnung.",
            "Der Bericht ist beigefügt.",
            "Vous trouverez ci-joint le rapport.",
            "Voir la pièce jointe.",
            "Adjunto el informe.",
            "Te mando el archivo adjunto.",
            "In allegato la fattura.",
            "Segue em anexo o relatório.",
            "Anexo o relatório.",
            "Le contrat est ci-annexé.",
            "Die Unterlagen sind beigelegt.",
            "It is attached to my mail.",
            "Zie de bijlage.",
            "Bifogar rapporten.",
            "W załączniku faktura.",
            "Отчёт во вложении.",
            "Rapor ektedir, ekte bulabilirsiniz.",
            "資料を添付します。",
            "请见附件。",
            "파일을 첨부합니다.",
            "مرفق التقرير",
            "הקובץ מצורף",
        ] {
            assert!(says_attached(text).is_some(), "{text}");
        }
        assert_eq!(says_attached("See the Attachments below."), Some("attachments".to_owned()));
    }

    #[test]
    fn other_words_are_not_taken_for_it() {
        for text in [
            "Thanks for the meeting.",
            "The shelf is attached to the wall.",
            "He is attached to his habits.",
            "No strings attached.",
            "There is no attachment.",
            "Send it without attachments.",
            "Ohne Anhang, bitte.",
            "He is unattached.",
            "The yard is enclosed by a fence.",
            "The attaché called.",
        ] {
            assert_eq!(says_attached(text), None, "{text}");
        }
    }
}
