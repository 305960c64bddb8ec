//! Blanks that somebody should have filled in, such as `[Your Name]`. They are told by their shape, whatever the language.

use crate::unicode::is_written_without_spaces;

/// The most bytes of a blank, and the most blanks that are looked for.
const LONGEST: usize = 240;
const MOST: usize = 20;
/// The marks of a blank, opening and closing, and the shape of what is between them.
const MARKS: &[(&str, &str, Shape)] = &[
    ("{{", "}}", Shape::Any),
    ("${", "}", Shape::Name),
    ("*|", "|*", Shape::Any),
    ("<%", "%>", Shape::Any),
    ("{", "}", Shape::Name),
    ("[", "]", Shape::Words),
    ("［", "］", Shape::Words),
    ("【", "】", Shape::Known),
    ("<", ">", Shape::Element),
    ("%", "%", Shape::Identifier),
];

/// What stands between the marks of a blank.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Anything on one line.
    Any,
    /// Words or an identifier, right behind the mark.
    Name,
    /// Words.
    Words,
    /// Words, one of them of [`KNOWN`].
    Known,
    /// Words that are no element of HTML.
    Element,
    /// One word of letters and underscores.
    Identifier,
}

/// Beginnings of words that people leave blanks for.
const KNOWN: &str = "name|nom|nombre|nome|naam|navn|namn|imię|имя|your|ihr|dein|votre|insert|recipient|empfänger|destinat|company|\
    firma|entreprise|empresa|azienda|bedrijf|date|datum|fecha|time|uhrzeit|title|position|phone|telefon|address|adresse|\
    placeholder|subject|link|amount|topic|お名前|氏名|名前|会社名|姓名|名字|公司|日付|日時|日期|住所|地址|電話|电话|金額|金额|이름|회사";
/// What stands in brackets for good.
const EDITORIAL: &str = "sic|sic!|ok|ext|external|extern|fyi|wip|rfc|urgent|update|re|fw|fwd|spam|draft|translated|redacted|emphasis added|\
    citation needed|edited|edit|applause|laughter|true|false|null|none";
/// Elements of HTML, which a text may show.
const ELEMENTS: &str = "a abbr article aside b base blockquote body br button canvas caption code col dd details div dl dt em footer form \
    h1 h2 h3 h4 h5 h6 head header hr html i iframe img input label li link main meta nav object ol option p pre s script section \
    select small span strong style sub summary sup svg table tbody td template textarea th thead title tr u ul video";
/// A line of its own in place of the sender's name.
const SIGNATURES: &str = "your name|ihr name|dein name|votre nom|su nombre|tu nombre|il tuo nome|seu nome|uw naam|あなたの名前|您的姓名|你的名字";

/// The blanks of a text, as they stand there. `is_line`: the text is a line such as a subject, which may begin with a tag
/// in brackets.
pub fn placeholders(text: &str, is_line: bool) -> Vec<&str> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    let start = text.len() - text.trim_start().len();
    for (open, close, shape) in MARKS {
        for (at, _) in text.match_indices(open) {
            let inner = &text[at + open.len()..];
            let inner = &inner[..inner.floor_char_boundary(LONGEST)];
            let Some(inner) = inner.find(close).map(|end| &inner[..end]) else { continue };
            let end = at + open.len() + inner.len() + close.len();
            let is_tag = is_line && at == start && !text[end..].trim().is_empty();
            let shape = if is_tag && *shape == Shape::Words { Shape::Known } else { *shape };
            let inside = found.iter().any(|(start, known)| (*start..start + known.len()).contains(&at));
            if found.len() < MOST && !inside && is_blank(inner, shape) && !is_markup(&text[..at], &text[end..], shape) {
                found.push((at, &text[at..end]));
            }
        }
    }
    for line in text.lines() {
        if found.len() >= MOST {
            break;
        }
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '(' | ')'));
        // A line of underscores alone is a rule.
        let is_rule = line.chars().all(|c| c == '_' || c.is_whitespace());
        let words = words.map(|word| word.trim_matches(|c: char| !(c.is_alphanumeric() || c == '_')));
        let runs = words.filter(|word| {
            let is =
                |mark: char| word.matches(mark).count() >= 3 && word.chars().all(|c| c == mark || "-./".contains(c));
            is('X') || (is('_') && !is_rule)
        });
        found.extend(runs.take(MOST).map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word)));
        let said = line.trim_matches(|c: char| !c.is_alphabetic());
        let is_found = found.iter().any(|(_, known)| known.contains(said));
        if !said.is_empty() && !is_found && SIGNATURES.split('|').any(|known| known == said.to_lowercase()) {
            found.push((said.as_ptr() as usize - text.as_ptr() as usize, said));
        }
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    found.truncate(MOST);
    found.into_iter().map(|(_, blank)| blank).collect()
}

fn is_blank(inner: &str, shape: Shape) -> bool {
    const LONGEST: usize = 60;
    let is_word = |c: char| c.is_alphanumeric() || !c.is_ascii() || " '_-/.,|:()&".contains(c);
    let trimmed = inner.trim();
    let lower = trimmed.to_lowercase();
    let letters = trimmed.chars().filter(|c| c.is_alphabetic()).count();
    if inner.contains(['\n', '\r']) || inner.chars().count() > LONGEST || letters < 2 {
        return false;
    }
    let is_one_of = |list: &str, separator: char| list.split(separator).any(|known| known == lower);
    let is_known = || {
        lower
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| !word.is_empty() && KNOWN.split('|').any(|known| begins(word, known)))
    };
    let is_text = trimmed.starts_with(char::is_alphabetic) && trimmed.chars().all(is_word);
    let is_identifier = |text: &str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    match shape {
        Shape::Any => true,
        Shape::Name => trimmed == inner && is_text && !inner.contains([',', ':', '(']),
        Shape::Words => is_text && !is_one_of(EDITORIAL, '|'),
        Shape::Known => is_text && is_known(),
        Shape::Element => trimmed == inner && is_text && !inner.contains([':', '/', '|']) && !is_one_of(ELEMENTS, ' '),
        Shape::Identifier => is_identifier(inner) && inner.starts_with(char::is_alphabetic),
    }
}

/// Whether a word is a known one, or begins with a long one; in a script without spaces it may stand anywhere.
fn begins(word: &str, known: &str) -> bool {
    word == known
        || (known.len() > 5 && word.starts_with(known))
        || (known.starts_with(is_written_without_spaces) && word.contains(known))
}

/// Whether what looks like a blank is a link, a footnote or a part of code.
fn is_markup(before: &str, behind: &str, shape: Shape) -> bool {
    match shape {
        Shape::Any => false,
        Shape::Words if behind.starts_with(['(', '[']) || behind.starts_with(": http") => true,
        _ => before.ends_with([']', '!']) || is_code(before),
    }
}

fn is_code(before: &str) -> bool {
    before.ends_with(|c: char| c.is_alphanumeric() && !is_written_without_spaces(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_is_found_by_its_shape() {
        for (text, blank) in [
            ("Best regards,\n[Your Name]", "[Your Name]"),
            ("Dear [Recipient],", "[Recipient]"),
            ("Mit freundlichen Grüßen\n[Ihr Name]", "[Ihr Name]"),
            ("Cordialement, [Nom]", "[Nom]"),
            ("Saludos, [Tu nombre]", "[Tu nombre]"),
            ("С уважением, [Ваше имя]", "[Ваше имя]"),
            ("よろしくお願いします。【お名前】", "【お名前】"),
            ("[姓名] 您好", "[姓名]"),
            ("On [date] at [insert the time here]", "[date]"),
            ("Hi {{name}}", "{{name}}"),
            ("Hi {{ user.first_name }}", "{{ user.first_name }}"),
            ("Hi ${name}", "${name}"),
            ("Hi {first_name}", "{first_name}"),
            ("Hi {Your Name}", "{Your Name}"),
            ("Hi *|FNAME|*", "*|FNAME|*"),
            ("Dear <name>,", "<name>"),
            ("At <Your Company>", "<Your Company>"),
            ("Hi %NAME%", "%NAME%"),
            ("Hi %first_name%,", "%first_name%"),
            ("The amount is XXX euros", "XXX"),
            ("Call XXX-XXXX", "XXX-XXXX"),
            ("Am XX.XX.XXXX um 9", "XX.XX.XXXX"),
            ("Hi <%= name %>", "<%= name %>"),
            ("Regards,\n(Your Name)", "Your Name"),
            ("Name: ____", "____"),
            ("Regards,\nYour Name", "Your Name"),
            ("Gruß\n  Ihr Name  \n", "Ihr Name"),
        ] {
            assert_eq!(placeholders(text, false).first(), Some(&blank), "{text}");
        }
        assert_eq!(placeholders("Meeting with [Client Name]", true), ["[Client Name]"]);
        assert_eq!(placeholders("[Company Name] Offer", true), ["[Company Name]"]);
        assert_eq!(placeholders("[Your Name] and {{x_y}} and [Your Name]", false).len(), 3);
    }

    #[test]
    fn brackets_with_a_meaning_are_no_blanks() {
        for text in [
            "as shown in [1] and [12, 13]",
            "[x] done, [ ] open",
            "he said \"teh\" [sic]",
            "and so on […] and [...]",
            "see [the page](https://example.com) and ![alt text](x.png)",
            "see [the page][1] and [ref]: https://example.com",
            "{\"json\": 1}, {\"a\": {\"b\": [true]}}",
            "Vec<String> and a[index] and map{key}",
            "<b>bold</b> and <br>",
            "Ana <ana@example.com>, <https://example.com>",
            "100% sure, 50% of it",
            "f(x) { return x; }",
            "a < b and c > d",
            "XXL, XX, xxx",
            "__init__",
            "________________",
            "Super, your name is on the list",
            "set {a, b}",
            "【重要】お知らせ",
        ] {
            assert_eq!(placeholders(text, false), [""; 0], "{text}");
        }
        for subject in ["[EXT] Hello", "[Project Apollo] Status", "[URGENT] Reply", "【重要】会議"] {
            assert_eq!(placeholders(subject, true), [""; 0], "{subject}");
        }
    }
    /// What costs the square of a text's length does not end in this test.
    #[test]
    fn a_long_text_costs_no_more_than_its_length() {
        const LONG: usize = 128 * 1024;
        let spaces = " ".repeat(LONG / 2);
        let parts = "[|[a] |{|<|%|XXX |XXX\n|attached |attached|i attach|www.|http://|a.|a.com |@|<a href=x.com>|<svg>|</b>|&amp";
        for part in parts.split('|') {
            let text = spaces.clone() + &part.repeat(LONG / 2 / part.len());
            assert!(placeholders(&text, true).len() <= MOST, "{part}");
            let _ = (crate::says_attached(&text), crate::known_hosts(&text), crate::clean_html(&text));
            let _ = crate::Html::read(&text).says(&text);
        }
    }
}
