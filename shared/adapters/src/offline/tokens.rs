//! A prompt as tokens: words, addresses, quotes, marks and breaks, each with its place in the text.

use domain::{Address, mentions};

use super::vocabulary;

/// A piece of the prompt.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    /// Byte offsets of the piece in the prompt.
    pub start: usize,
    pub end: usize,
    /// A word in lower case without accents, for comparison only; empty for what is no word.
    pub folded: String,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Word,
    /// A whole address, perhaps with a display name around it.
    Address(Address),
    /// What is meant as an address but is none: `john@`, `ana at example dot com`.
    HalfAddress,
    /// A quotation; the offsets of what stands between its marks.
    Quote {
        inner_start: usize,
        inner_end: usize,
    },
    Mark(char),
    LineBreak,
    BlankLine,
}

impl Token {
    fn new(kind: Kind, start: usize, end: usize) -> Self {
        Self { kind, start, end, folded: String::new() }
    }

    pub(super) fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Word)
    }

    pub(super) fn is(&self, words: &[&str]) -> bool {
        self.is_word() && words.contains(&self.folded.as_str())
    }

    pub(super) fn is_mark(&self, marks: &str) -> bool {
        matches!(self.kind, Kind::Mark(c) if marks.contains(c))
    }

    pub(super) fn ends_sentence(&self) -> bool {
        self.is_mark(".!?。！？") || self.is_break()
    }

    pub(super) fn is_break(&self) -> bool {
        matches!(self.kind, Kind::LineBreak | Kind::BlankLine)
    }

    pub(super) fn is_address_like(&self) -> bool {
        matches!(self.kind, Kind::Address(_) | Kind::HalfAddress)
    }
}

/// Cuts a prompt into tokens, in one pass, and joins what belongs together.
pub(super) fn tokenise(text: &str) -> Vec<Token> {
    let mut tokens = Cutter { text, at: 0, addresses: whole_addresses(text), next: 0, never_closed: Vec::new() }.cut();
    tokens = join_spelled_out(&tokens);
    join_display_names(text, tokens)
}

/// The whole addresses of a text with their places.
///
/// A run without spaces that holds hundreds of `@` is no list of addresses anybody wrote; leaving
/// it out keeps the search from growing with the square of its length.
fn whole_addresses(text: &str) -> Vec<(Address, usize, usize)> {
    const MOST_IN_ONE_RUN: usize = 200;
    let mut found = Vec::new();
    for run in text.split_whitespace() {
        if run.contains('@') && run.matches('@').count() <= MOST_IN_ONE_RUN {
            // `split_whitespace` yields slices of `text`, so this difference is the run's offset.
            let offset = run.as_ptr().addr() - text.as_ptr().addr();
            found.extend(mentions(run).into_iter().map(|m| (m.address, offset + m.start, offset + m.end)));
        }
    }
    found
}

struct Cutter<'a> {
    text: &'a str,
    at: usize,
    addresses: Vec<(Address, usize, usize)>,
    /// The first of `addresses` that has not been passed.
    next: usize,
    /// Closing marks that do not occur any more.
    never_closed: Vec<char>,
}

impl Cutter<'_> {
    fn cut(mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(c) = self.text[self.at..].chars().next() {
            if let Some((address, end)) = self.address_here() {
                tokens.push(Token::new(Kind::Address(address), self.at, end));
                self.at = end;
            } else if c.is_whitespace() {
                tokens.extend(self.white_space());
            } else if let Some(quote) = self.quote(c) {
                self.at = quote.end;
                tokens.push(quote);
            } else if c.is_alphanumeric() || c == '_' || c == '@' {
                let token = self.word();
                self.at = token.end;
                tokens.push(token);
            } else {
                tokens.push(Token::new(Kind::Mark(c), self.at, self.at + c.len_utf8()));
                self.at += c.len_utf8();
            }
        }
        tokens
    }

    fn address_here(&mut self) -> Option<(Address, usize)> {
        while self.addresses.get(self.next).is_some_and(|(_, start, _)| *start < self.at) {
            self.next += 1;
        }
        let (address, start, end) = self.addresses.get(self.next)?;
        (*start == self.at).then(|| (address.clone(), *end))
    }

    fn white_space(&mut self) -> Option<Token> {
        let start = self.at;
        let rest = &self.text[start..];
        let space = &rest[..rest.len() - rest.trim_start().len()];
        self.at += space.len();
        let kind = match space.matches('\n').count() {
            0 => return None,
            1 => Kind::LineBreak,
            _ => Kind::BlankLine,
        };
        Some(Token::new(kind, start, self.at))
    }

    /// A quotation that opens here and is closed somewhere.
    fn quote(&mut self, open: char) -> Option<Token> {
        let closers: &[char] = match open {
            '"' => &['"', '”'],
            '“' => &['”', '"', '“'],
            '„' => &['“', '”', '"'],
            '«' => &['»'],
            '»' => &['«'],
            '‘' => &['’'],
            '\'' => &['\''],
            _ => return None,
        };
        let single = matches!(open, '\'' | '‘');
        let before = self.text[..self.at].chars().next_back();
        if (single && before.is_some_and(char::is_alphanumeric))
            || closers.iter().all(|c| self.never_closed.contains(c))
        {
            return None;
        }
        let inner_start = self.at + open.len_utf8();
        let rest = &self.text[inner_start..];
        // An apostrophe within a word closes nothing.
        let is_closing = |&(i, c): &(usize, char)| {
            closers.contains(&c)
                && !(single && rest[i + c.len_utf8()..].chars().next().is_some_and(char::is_alphanumeric))
        };
        let Some((length, close)) = rest.char_indices().find(is_closing) else {
            self.never_closed.extend(closers);
            return None;
        };
        let inner_end = inner_start + length;
        let end = inner_end + close.len_utf8();
        let inner = &self.text[inner_start..inner_end];
        let kind = match inner.parse() {
            Ok(address) if mentions(inner).len() == 1 => Kind::Address(address),
            _ => Kind::Quote { inner_start, inner_end },
        };
        Some(Token::new(kind, self.at, end))
    }

    /// A word, with the marks that stand inside words; or half an address, when an `@` is in it.
    fn word(&self) -> Token {
        let limit = self.addresses.get(self.next).map_or(self.text.len(), |(_, start, _)| *start);
        let rest = &self.text[self.at..limit];
        let mut end = 0;
        let mut chars = rest.char_indices().peekable();
        let mut before = None;
        while let Some((i, c)) = chars.next() {
            let after = chars.peek().map(|(_, c)| *c);
            let inside = before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric);
            let digits = before.is_some_and(|c| c.is_ascii_digit()) && after.is_some_and(|c| c.is_ascii_digit());
            if !(c.is_alphanumeric()
                || matches!(c, '_' | '@')
                || (inside && "'’-.".contains(c))
                || (digits && c == ':'))
            {
                break;
            }
            // Combining marks and the like are no letters but belong to the word before them; they end it, which is harmless.
            end = i + c.len_utf8();
            before = Some(c);
        }
        let word = &rest[..end];
        let mut token = Token::new(Kind::Word, self.at, self.at + end);
        if word.contains('@') {
            token.kind = Kind::HalfAddress;
        } else {
            token.folded = fold(word);
        }
        token
    }
}

/// Lower case without the accents of Western European languages. Its length may differ from the word's.
pub(super) fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len());
    for c in word.chars().flat_map(char::to_lowercase) {
        match c {
            'á' | 'à' | 'â' | 'ä' | 'ã' => folded.push('a'),
            'é' | 'è' | 'ê' | 'ë' => folded.push('e'),
            'í' | 'ì' | 'î' | 'ï' => folded.push('i'),
            'ó' | 'ò' | 'ô' | 'ö' | 'õ' => folded.push('o'),
            'ú' | 'ù' | 'û' | 'ü' => folded.push('u'),
            'ç' => folded.push('c'),
            'ñ' => folded.push('n'),
            'ß' => folded.push_str("ss"),
            '’' => folded.push('\''),
            c => folded.push(c),
        }
    }
    if let Some(rest) = folded.strip_prefix("e-mail") { format!("email{rest}") } else { folded }
}

/// `ana at example dot com`, `ana (at) example (dot) com`: one half address.
fn join_spelled_out(tokens: &[Token]) -> Vec<Token> {
    /// Past the word, which may stand in brackets.
    fn past(tokens: &[Token], at: usize, word: &str) -> Option<usize> {
        let bracket = usize::from(tokens.get(at)?.is_mark("(["));
        let found = tokens.get(at + bracket)?.is(&[word]);
        let closed = bracket == 0 || tokens.get(at + 2)?.is_mark(")]");
        (found && closed).then_some(at + 1 + 2 * bracket)
    }
    fn past_name(tokens: &[Token], at: usize) -> Option<usize> {
        tokens.get(at)?.is_word().then_some(at + 1)
    }
    fn spelled_out(tokens: &[Token], at: usize) -> Option<usize> {
        let host = past(tokens, past_name(tokens, at)?, "at")?;
        let mut end = past_name(tokens, past(tokens, past_name(tokens, host)?, "dot")?)?;
        while let Some(next) = past(tokens, end, "dot").and_then(|dot| past_name(tokens, dot)) {
            end = next;
        }
        Some(end)
    }
    let mut joined = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = spelled_out(tokens, at) {
            joined.push(Token::new(Kind::HalfAddress, tokens[at].start, tokens[end - 1].end));
            at = end;
        } else {
            joined.push(tokens[at].clone());
            at += 1;
        }
    }
    joined
}

/// `"Zoë Groß" <zoe@example.org>` and `Zoë Groß <zoe@example.org>`: one address with a name.
fn join_display_names(text: &str, tokens: Vec<Token>) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(mut token) = tokens.next() {
        let opened = joined.last().is_some_and(|t| t.is_mark("<")) && tokens.peek().is_some_and(|t| t.is_mark(">"));
        if let (true, Kind::Address(address)) = (opened, &token.kind) {
            let spec = address.addr_spec();
            let open = joined.len() - 1;
            let first = name_start(text, &joined[..open]);
            let name = joined[first..open].first().zip(joined[first..open].last()).map(|(a, b)| match a.kind {
                Kind::Quote { inner_start, inner_end } => &text[inner_start..inner_end],
                _ => &text[a.start..b.end],
            });
            let named = name.and_then(|name| {
                let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{escaped}\" <{spec}>").parse().ok()
            });
            token.start = joined.get(first).map_or(token.start, |t| t.start);
            token.end = tokens.next().map_or(token.end, |close| close.end);
            token.kind = Kind::Address(named.unwrap_or_else(|| address.clone()));
            joined.truncate(first);
        }
        joined.push(token);
    }
    joined
}

/// Where the display name begins that ends where the tokens end: a quotation, or words with capitals.
fn name_start(text: &str, before: &[Token]) -> usize {
    const MOST_WORDS: usize = 6;
    let end = before.len();
    if before.last().is_some_and(|t| matches!(t.kind, Kind::Quote { .. })) {
        return end - 1;
    }
    let is_name = |t: &Token| {
        t.is_word()
            && !vocabulary::is_command_word(&t.folded)
            && text[t.start..].chars().next().is_some_and(|c| c.is_alphabetic() && !c.is_lowercase())
    };
    end - before.iter().rev().take(MOST_WORDS).take_while(|t| is_name(t)).count()
}
