//! A provider's own words, as people may read them.

/// The longest that is kept, in characters.
const MAX: usize = 200;
/// A run of letters and digits from this length on is taken for a secret, if it has both.
const SECRET: usize = 20;

/// What a provider said, in one line of at most 200 characters: without control characters, with its addresses masked,
/// and without anything like a token. None if nothing is left.
pub(super) fn provider_words(said: &str, token: &str) -> Option<String> {
    let mut text = said.replace(['\u{ff20}', '\u{fe6b}'], "@").replace("%40", "@");
    if !token.is_empty() {
        text = text.replace(token, "…");
    }
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text = text.chars().filter(|c| !domain::reorders(*c)).map(visible).collect();
    let text = masked(&text).split_whitespace().map(without_secrets).collect::<Vec<_>>().join(" ");
    let short = match text.char_indices().nth(MAX) {
        Some(_) => text.chars().take(MAX - 1).chain(['…']).collect(),
        None => text,
    };
    (!short.is_empty()).then_some(short)
}

/// Leaves only the first letter of each address before its @, quoted or not.
fn masked(text: &str) -> String {
    let ends_local = |c: char| c.is_whitespace() || "<>()[]:;,\\|\"'`=?&/".contains(c);
    let mut parts: Vec<&str> = text.split('@').collect();
    let last = parts.pop().unwrap_or_default();
    let mut masked = String::new();
    for part in parts {
        let quoted = part.strip_suffix('"');
        let (before, local) = match quoted {
            Some(quoted) => quoted.rsplit_once('"').unwrap_or(("", quoted)),
            None => part.split_at(part.rfind(ends_local).map_or(0, |at| part.ceil_char_boundary(at + 1))),
        };
        masked.push_str(before);
        masked.extend(local.chars().next());
        masked.push_str("***@");
    }
    masked + last
}

/// Replaces whatever looks like a token or an id: long, with letters and digits. The domain of an address is none.
fn without_secrets(word: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "_-+~".contains(c);
    let mut text = String::new();
    let mut rest = word;
    while let Some(begin) = rest.find(of_token) {
        let (before, from) = rest.split_at(begin);
        let (run, after) = from.split_at(from.find(|c| !of_token(c)).unwrap_or(from.len()));
        text.push_str(before);
        let mixed = run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic());
        let secret = run.len() >= SECRET && mixed && !text.ends_with('@');
        text.push_str(if secret { "…" } else { run });
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_and_secrets_are_left_out() {
        let token = "ya29.short";
        for (said, shown) in [
            ("Invalid To header", "Invalid To header"),
            ("Recipient ana@example.com is unknown", "Recipient a***@example.com is unknown"),
            ("<ana.maria+x@example.com>,bob@example.org;", "<a***@example.com>,b***@example.org;"),
            ("to=ana@example.com&cc=bob@example.com", "to=a***@example.com&cc=b***@example.com"),
            ("to \"Ana Maria\"@example.com", "to A***@example.com"),
            ("to:ana%40example.com", "to:a***@example.com"),
            ("ana\u{ff20}example.com", "a***@example.com"),
            ("jörg@bücher.example", "j***@bücher.example"),
            ("@example.com", "***@example.com"),
            ("ana@smtp-server-00000001.example.com", "a***@smtp-server-00000001.example.com"),
            ("one\r\ntwo\u{0}\tthree \u{1b}[2J \u{202e}four", "one two three [2J four"),
            ("Token ya29.short has expired", "Token … has expired"),
            ("Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2ln", "Bearer ….….c2ln"),
            ("trace 3f2b8c1e-8f7a-4c55-9a54-3f0c9be1d0aa", "trace …"),
            ("key=AIzaSyD-1234567890abcdefghijklmnopqrstu", "key=…"),
            (
                "Enable it by visiting https://console.example.com/apis/api/calendar.example.com/overview?project=123456789012",
                "Enable it by visiting https://console.example.com/apis/api/calendar.example.com/overview?project=123456789012",
            ),
            ("AADSTS7000222: the secret has expired", "AADSTS7000222: the secret has expired"),
        ] {
            assert_eq!(provider_words(said, token).as_deref(), Some(shown), "{said}");
        }
        assert_eq!((provider_words(" \n\u{202e}", token), provider_words("", "")), (None, None));
    }

    #[test]
    fn words_are_cut_after_they_are_cleaned() {
        let said = format!("{} ana@example.com", "ä".repeat(193));
        let cut = provider_words(&said, "").unwrap();
        assert_eq!((cut.chars().count(), cut.ends_with("a***@…")), (200, true), "{cut}");
        assert_eq!(provider_words(&"x ".repeat(100), "").unwrap().chars().count(), 199);
    }
}
