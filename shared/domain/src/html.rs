//! HTML: whether a person asks for it, what a reader sees of it, and what may be planned of it.

use std::cell::RefCell;

use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, EndTag, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer,
    TokenizerOpts, states::RawKind,
};

use crate::{
    attachment::ends_with_word,
    link::{hosts, target_hosts, target_of, without_links},
    unicode::{is_hidden, is_written_without_spaces},
};

/// Elements that planned HTML may have.
const ALLOWED: &str = "a b blockquote br code div em h1 h2 h3 h4 h5 h6 hr i li ol p pre s span strong sub sup table \
    tbody td tfoot th thead tr u ul";
/// Elements without an end.
const VOID: &[&str] = &["br", "hr"];
/// Elements whose content is not for a reader, or belongs to a form or a frame.
const UNSEEN: &str = "iframe math noembed noframes object script select style svg template textarea title xmp";
/// Elements within a line.
const INLINE: &str = "a abbr b big code em font i mark s small span strong sub sup tt u";
/// Elements that end where the next one begins.
const SIBLINGS: &[&str] = &["p", "li", "tr", "td", "th"];
/// What a link of planned HTML may begin with.
const SCHEMES: &[&str] = &["http://", "https://", "mailto:"];
/// Elements within each other; what lies deeper loses its elements.
const DEEPEST: usize = 64;

/// Words of a request that ask for HTML, in lower case.
const FORMATS: &str = "html|formatted|formatting|rich text|rich-text|bold|italic|italics|as a table|in a table|with a table|\
    a table of|newsletter|formatiert|formatierung|fett|fettgedruckt|kursiv|als tabelle|mit tabelle|in einer tabelle|\
    mise en forme|mis en forme|en gras|en italique|tableau|con formato|negrita|cursiva|una tabla|formattato|grassetto|\
    corsivo|una tabella|formatado|negrito|itálico|uma tabela|opgemaakt|vetgedrukt|cursief|een tabel|太字|書式|表形式|粗体|斜体|表格|굵게|표로";
/// Words that refuse it, right in front of them.
const WITHOUT: &str =
    "no|not|without|don't|never|kein|keine|keinen|ohne|nicht|sans|pas de|pas|sin|senza|non|sem|não|geen|zonder";

/// Whether a request asks for HTML: it names it or a format, or holds an element.
pub fn asks_for_html(words: &str) -> bool {
    let words = words.to_lowercase().replace('’', "'");
    let asks = |format: &str, at: usize| {
        let (before, behind) = (&words[..at], &words[at + format.len()..]);
        // A Latin word may touch another script: `HTMLで`.
        let is_latin = |c: char| c < '\u{250}' && c.is_alphanumeric();
        let is_whole = format.starts_with(is_written_without_spaces)
            || !(before.ends_with(is_latin) || behind.starts_with(is_latin));
        let before = before.trim_end();
        is_whole && !WITHOUT.split('|').any(|word| ends_with_word(before, word))
    };
    words.contains("</") || FORMATS.split('|').any(|format| words.match_indices(format).any(|(at, _)| asks(format, at)))
}

/// HTML as its reader sees it.
pub struct Html {
    /// Its words, a line for each block.
    pub text: String,
    /// The hosts that it leads to or loads from.
    pub hosts: Vec<String>,
    /// The first link that shows another host than it leads to: what it shows, and the host.
    pub deceives: Option<(String, String)>,
}

impl Html {
    /// Reads HTML.
    pub fn read(html: &str) -> Self {
        let mut read = Self { text: String::new(), hosts: Vec::new(), deceives: None };
        let (mut unseen, mut link) = (Unseen::default(), None::<(usize, Vec<String>)>);
        for token in tokens(html) {
            if let TagToken(tag) = &token {
                let found = tag.attrs.iter().flat_map(|attribute| match &*attribute.name.local {
                    "href" | "src" | "action" | "formaction" | "background" | "poster" | "data" | "cite" => {
                        target_hosts(&attribute.value)
                    }
                    _ => hosts(&attribute.value),
                });
                read.hosts.extend(found);
            }
            if unseen.skips(&token) {
                // A style may load, too.
                if let CharacterTokens(text) = &token {
                    read.hosts.extend(hosts(text));
                }
                continue;
            }
            match token {
                CharacterTokens(text) => read.text.push_str(&text),
                TagToken(tag) => {
                    if !is_one_of(INLINE, &tag.name) {
                        read.text.push('\n');
                    }
                    if &*tag.name == "a" {
                        read.end_link(link.take());
                        let target = href(&tag).filter(|_| tag.kind == StartTag);
                        link = target.map(|target| (read.text.len(), target_hosts(target)));
                    }
                }
                _ => {}
            }
        }
        read.end_link(link);
        read.hosts.extend(hosts(&read.text));
        read
    }

    fn end_link(&mut self, link: Option<(usize, Vec<String>)>) {
        let Some((start, targets)) = link else { return };
        let shows = hosts(&self.text[start..]);
        let leads = |shown: &String| targets.iter().any(|host| host == shown || host.ends_with(&format!(".{shown}")));
        if let (Some(shown), Some(target), false) = (shows.first(), targets.first(), shows.iter().any(leads)) {
            self.deceives.get_or_insert_with(|| (shown.clone(), target.clone()));
        }
    }

    /// Whether it says the same as a text. Markup, white space, punctuation, the numbers of a list, links and case do not
    /// count.
    pub fn says(&self, text: &str) -> bool {
        letters(&self.text) == letters(text)
    }
}

/// Whether a reader sees nothing of it: no character, and no picture.
pub(crate) fn is_blank_html(html: &str) -> bool {
    let lower = html.to_ascii_lowercase();
    let has_picture =
        ["<img", "<svg", "<picture", "<video", "<hr", "background"].iter().any(|mark| lower.contains(mark));
    let mut unseen = Unseen::default();
    let shows_nothing = |token: &Token| match token {
        CharacterTokens(text) => text.chars().all(|c| c.is_whitespace() || is_hidden(c)),
        _ => true,
    };
    !has_picture && tokens(html).iter().filter(|token| !unseen.skips(token)).all(shows_nothing)
}

fn letters(text: &str) -> String {
    let mut said = String::new();
    for line in without_links(text).lines() {
        let line = line.trim_start();
        let unnumbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_item = unnumbered.len() < line.len() && unnumbered.starts_with(['.', ')']);
        let line = if is_item { unnumbered } else { line };
        let counts = |c: &char| (c.is_alphanumeric() || "$€£¥%".contains(*c)) && !is_hidden(*c);
        said.extend(line.chars().filter(counts).flat_map(char::to_lowercase));
    }
    said
}

/// HTML of the allowed elements alone: no script, style, form, event handler, image or frame.
pub fn clean_html(html: &str) -> String {
    let (mut clean, mut open) = (String::with_capacity(html.len()), Vec::<String>::new());
    let mut unseen = Unseen::default();
    for token in tokens(html) {
        if unseen.skips(&token) {
            continue;
        }
        match token {
            CharacterTokens(text) => clean.push_str(&escaped(&text)),
            TagToken(tag) if is_one_of(ALLOWED, &tag.name) => {
                let name = &*tag.name;
                match tag.kind {
                    StartTag if VOID.contains(&name) => clean.extend(["<", name, ">"]),
                    StartTag if open.len() < DEEPEST => {
                        if SIBLINGS.contains(&name) && open.last().is_some_and(|last| last == name) {
                            open.pop();
                            clean.extend(["</", name, ">"]);
                        }
                        clean.push_str(&start_tag(&tag));
                        open.push(name.to_owned());
                    }
                    EndTag if open.iter().any(|known| known == name) => {
                        while let Some(last) = open.pop() {
                            clean.extend(["</", &last, ">"]);
                            if last == name {
                                break;
                            }
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    clean.extend(open.iter().rev().map(|name| format!("</{name}>")));
    clean
}

/// An element's start with the attributes that it may have.
fn start_tag(tag: &Tag) -> String {
    let name = &*tag.name;
    let spans = tag.attrs.iter().filter(|_| matches!(name, "td" | "th")).filter_map(|attribute| {
        let (key, value) = (&*attribute.name.local, &*attribute.value);
        let is_span = matches!(key, "colspan" | "rowspan") && value.len() <= 2 && value.parse::<u8>().is_ok();
        is_span.then(|| format!(" {key}=\"{value}\""))
    });
    let target = href(tag).filter(|_| name == "a").map(target_of);
    let target = target.filter(|target| {
        let lower = target.to_ascii_lowercase();
        SCHEMES.iter().any(|scheme| lower.starts_with(scheme))
    });
    let target = target.map(|target| format!(" href=\"{}\"", escaped(&target)));
    format!("<{name}{}>", spans.chain(target).collect::<String>())
}

fn href(tag: &Tag) -> Option<&str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == "href").map(|attribute| &*attribute.value)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn is_one_of(list: &str, name: &str) -> bool {
    list.split(' ').any(|known| known == name)
}

/// The element of [`UNSEEN`] that is open, and how deep within itself.
#[derive(Default)]
struct Unseen(Option<(String, usize)>);

impl Unseen {
    /// Whether a token is part of such an element.
    fn skips(&mut self, token: &Token) -> bool {
        let TagToken(tag) = token else { return self.0.is_some() };
        match (&mut self.0, tag.kind) {
            (Some((name, depth)), kind) if **name == *tag.name => {
                *depth = if kind == StartTag { *depth + 1 } else { *depth - 1 };
                if *depth == 0 {
                    self.0 = None;
                }
                true
            }
            (Some(_), _) => true,
            (None, StartTag) if is_one_of(UNSEEN, &tag.name) && !tag.self_closing => {
                self.0 = Some((tag.name.to_string(), 1));
                true
            }
            (None, _) => false,
        }
    }
}

/// Keeps tokens, and tells the tokenizer where no tags are read.
#[derive(Default)]
struct Tokens(RefCell<Vec<Token>>);

impl TokenSink for Tokens {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let state = match &token {
            TagToken(tag) if tag.kind == StartTag => match &*tag.name {
                "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
                "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                "plaintext" => TokenSinkResult::Plaintext,
                _ => TokenSinkResult::Continue,
            },
            _ => TokenSinkResult::Continue,
        };
        self.0.borrow_mut().push(token);
        state
    }
}

/// The tokens of HTML by the rules of WHATWG HTML, section 13.2.5.
fn tokens(html: &str) -> Vec<Token> {
    let input = BufferQueue::default();
    input.push_back(html.into());
    let tokenizer = Tokenizer::new(Tokens::default(), TokenizerOpts::default());
    // A script or an encoding would interrupt it; the sink reports neither.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_html_has_allowed_elements_alone() {
        for (html, expected) in [
            ("<p>Hi <b>you</b></p>", "<p>Hi <b>you</b></p>"),
            ("<script>alert('<p>x</p>')</script>Hi", "Hi"),
            ("<SCRIPT SRC=//evil.example></SCRIPT >Hi", "Hi"),
            ("<style>p{background:url(//evil.example)}</style><p style='color:red' onclick=x()>Hi", "<p>Hi</p>"),
            ("<img src=https://evil.example/p.png onerror=x()>Hi", "Hi"),
            ("<form action=https://evil.example><input name=p><button>Go</button></form>", "Go"),
            (
                "<a href=\"https://a.example/?x=1&amp;y=2\" target=_blank>a</a>",
                "<a href=\"https://a.example/?x=1&amp;y=2\">a</a>",
            ),
            ("<a href=\"java\nscript:alert(1)\">a</a><a href='/x'>b</a>", "<a>a</a><a>b</a>"),
            ("<a href='data:text/html,x'>a</a>", "<a>a</a>"),
            ("<svg><p>x</p><svg></svg><a href=https://evil.example></svg>Hi", "Hi"),
            ("<iframe src=x></iframe><object data=x>y</object><math><mi>z</math>Hi", "Hi"),
            ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
            ("<table><tr><td colspan=2 background=x>a</table>", "<table><tr><td colspan=\"2\">a</td></tr></table>"),
            ("a</b></p><br/>1 < 2 &lt;script&gt; &copy;", "a<br>1 &lt; 2 &lt;script&gt; ©"),
            ("<!-- x --><!doctype html><meta http-equiv=refresh content='0;url=//evil.example'>Hi", "Hi"),
            ("<title>x</title><base href=//evil.example><link rel=stylesheet href=x>Hi", "Hi"),
            ("<p title='\"><script>x</script>'>Hi", "<p>Hi</p>"),
            ("<custom-tag onload=x>Hi</custom-tag>", "Hi"),
        ] {
            assert_eq!(clean_html(html), expected, "{html}");
            assert_eq!(clean_html(expected), expected, "{expected}");
        }
        let deep = "<b>".repeat(100_000) + &"</i></b>".repeat(100_000);
        assert_eq!(clean_html(&deep).matches("<b>").count(), DEEPEST);
    }

    #[test]
    fn a_reader_sees_words_and_where_links_lead() {
        let html = Html::read(
            "<style>@import url(https://css.example/x)</style><p>Hi&nbsp;<b>y</b>ou &amp; me</p>\
             <a href=https://a.example>b.example</a><img src=//c.example/x srcset='https://d.example/y 2x'>",
        );
        assert_eq!(html.text.split_whitespace().collect::<Vec<_>>(), ["Hi", "you", "&", "me", "b.example"]);
        for host in ["a.example", "b.example", "c.example", "d.example", "css.example"] {
            assert!(html.hosts.iter().any(|known| known == host), "{host}: {:?}", html.hosts);
        }
        assert_eq!(html.deceives, Some(("b.example".to_owned(), "a.example".to_owned())));
        for honest in [
            "<a href=https://www.a.example/x>a.example</a>",
            "<a href=https://login.a.example>https://a.example/login</a>",
            "<a href=https://a.example>here</a>",
            "<a href=mailto:ana@a.example>ana@a.example</a>",
            "<a name=x>b.example</a>",
        ] {
            assert_eq!(Html::read(honest).deceives, None, "{honest}");
        }
        for lie in ["<a href=https://a.example>Pay at https://bank.example", "<a href='//a.example'>bank.example</a>"] {
            assert!(Html::read(lie).deceives.is_some(), "{lie}");
        }
    }

    #[test]
    fn markup_is_no_difference_and_words_are() {
        let says = |html: &str, text: &str| Html::read(html).says(text);
        for (html, text) in [
            ("<p>Hi John,</p><p>thanks &amp; bye</p>", "Hi John,\n\nthanks & bye"),
            ("<h1>Hi</h1>you", "# Hi\nyou"),
            ("<ul><li>One</li><li>Two</li></ul>", "- One\n- Two"),
            ("<ol><li>One</li><li>Two</li></ol>", "1. One\n2) Two"),
            ("<b>B</b>old &euro;5", "*Bold* €5"),
            ("See <a href='https://a.example/x'>the page</a>.", "See the page: https://a.example/x"),
            ("<a href='https://a.example'>https://a.example</a>", "https://a.example"),
            ("ありがとう<br>ございます", "ありがとうございます"),
            ("<table><tr><td>A</td><td>1</td></tr></table>", "| A | 1 |"),
            ("Caf&eacute; – “ok”", "café - \"ok\""),
            ("<style>p{color:red}</style><title>x</title>Hi", "Hi"),
        ] {
            assert!(says(html, text), "{html} / {text}");
        }
        for (html, text) in [
            ("<p>Thanks. Sign in at the bank.</p>", "Thanks."),
            ("<p>Thanks.</p>", "Thanks. See you at 5."),
            ("<p>We do not agree</p>", "We do agree"),
            ("<p>$5</p>", "€5"),
            ("<p style='display:none'>Secret</p>Hi", "Hi"),
            ("<p>5 people</p>", "6 people"),
        ] {
            assert!(!says(html, text), "{html} / {text}");
        }
    }

    #[test]
    fn html_that_shows_nothing_is_blank() {
        for html in [
            "",
            " \n",
            "\u{200b}",
            "&nbsp;",
            "<p></p>",
            "<html><head><title>x</title></head><body> </body></html>",
            "<br>",
        ] {
            assert!(is_blank_html(html), "{html}");
        }
        for html in ["x", "<p>x</p>", "<img src=x>", "<hr>", "&lt;"] {
            assert!(!is_blank_html(html), "{html}");
        }
    }

    #[test]
    fn html_is_asked_for_by_name_or_by_format() {
        for words in [
            "Send it as HTML",
            "an html mail, please",
            "with the date in bold",
            "make it a table of prices",
            "als Tabelle",
            "en gras",
            "con negrita",
            "太字で",
            "メールをHTMLで送って",
            "בHTML",
            "send <b>hi</b>",
            "a newsletter to ana@example.com",
        ] {
            assert!(asks_for_html(words), "{words}");
        }
        for words in [
            "Send thanks to john@example.com",
            "the table at Luigi's is booked",
            "plain text, no HTML",
            "without formatting",
            "ohne HTML",
            "he was emboldened",
            "if a < b then tell him",
        ] {
            assert!(!asks_for_html(words), "{words}");
        }
    }
}
