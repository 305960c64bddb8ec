//! Characters that can deceive a reader, and quotation marks.

/// Quotation marks of all scripts: each opening mark with the marks that close it.
pub const QUOTATION_MARKS: &[(char, &[char])] = &[
    ('"', &['"', '”']),
    ('“', &['”', '“']),
    ('”', &['”']),
    ('„', &['“', '”', '"']),
    ('‟', &['”']),
    ('«', &['»']),
    ('»', &['«', '»']),
    ('‹', &['›']),
    ('›', &['‹', '›']),
    ('\'', &['\'']),
    ('‘', &['’']),
    ('’', &['’']),
    ('‚', &['‘', '’']),
    ('`', &['`']),
    ('「', &['」']),
    ('『', &['』']),
    ('《', &['》']),
    ('〈', &['〉']),
    ('〝', &['〞', '〟']),
    ('＂', &['＂']),
    ('＇', &['＇']),
    ('｢', &['｣']),
];

/// Whether a character changes the order in which text is shown: the directional formatting characters of UAX #9,
/// section 2.
pub const fn reorders(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character has no width of its own: the Default_Ignorable_Code_Points, which UTS #39 restricts in identifiers
/// (section 3.1), interlinear annotations, musical format controls, and combining marks.
pub fn is_hidden(c: char) -> bool {
    reorders(c)
        || matches!(u32::from(c), 0xAD | 0x300..=0x36F | 0x483..=0x489 | 0x115F..=0x1160 | 0x17B4..=0x17B5
            | 0x180B..=0x180F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x200B..=0x200D | 0x2060..=0x206F
            | 0x20D0..=0x20FF | 0x3164 | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether a character of a text serves to hide or to reorder it: the embeddings, overrides and isolates of UAX #9, controls,
/// spaces without width, and tags. Not so what words and emoji need: joiners, variation selectors, and plain direction marks.
pub fn deceives(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200B}' | '\u{2060}'..='\u{2064}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Han, kana, hangul, Thai and similar scripts, without the fullwidth forms of Latin letters and digits.
pub fn is_written_without_spaces(c: char) -> bool {
    matches!(u32::from(c), 0xE00..=0xEFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0xA4CF | 0xA960..=0xA97F
        | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFFDC | 0x1B000..=0x1B16F | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_ignorable_character_is_hidden_and_no_visible_one_is() {
        // DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
        for (first, last) in [
            (0xAD, 0xAD),
            (0x34F, 0x34F),
            (0x61C, 0x61C),
            (0x115F, 0x1160),
            (0x17B4, 0x17B5),
            (0x180B, 0x180F),
            (0x200B, 0x200F),
            (0x202A, 0x202E),
            (0x2060, 0x206F),
            (0x3164, 0x3164),
            (0xFE00, 0xFE0F),
            (0xFEFF, 0xFEFF),
            (0xFFA0, 0xFFA0),
            (0xFFF0, 0xFFF8),
            (0x1_BCA0, 0x1_BCA3),
            (0x1_D173, 0x1_D17A),
            (0xE_0000, 0xE_0FFF),
        ] {
            for c in (first..=last).filter_map(char::from_u32) {
                assert!(is_hidden(c), "U+{:04X}", u32::from(c));
            }
        }
        assert!(!"aZ0@. …–“”éß田に🙂".chars().any(is_hidden));
    }
}
