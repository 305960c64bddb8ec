//! HTML pages without scripts. All text is escaped.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// The content security policy of every page: only our own scripts and styles, and only this API. Trusted Types keep
/// text from becoming markup or script.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                 img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                                 require-trusted-types-for 'script'; trusted-types 'none'";

/// Marks a response, as an extension: a person reads it in a browser, so a problem becomes a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsPage;

/// A page with a heading, paragraphs, and a link (target and text).
pub(crate) fn page(title: &str, paragraphs: &[&str], (target, text): (&str, &str)) -> Response {
    let paragraphs: Vec<String> = paragraphs.iter().map(|text| format!("<p>{}</p>\n", escaped(text))).collect();
    framed(title, &format!("{}<p><a href=\"{}\">{}</a></p>\n", paragraphs.concat(), escaped(target), escaped(text)))
}

/// An entry of an [`index`].
pub(crate) struct Entry {
    pub target: String,
    pub text: &'static str,
    pub about: &'static str,
}

/// A page of lists, each with a heading.
pub(crate) fn index(title: &str, lists: &[(&str, Vec<Entry>)]) -> Response {
    let entry = |Entry { target, text, about }: &Entry| {
        format!("<li><a class=\"mono\" href=\"{}\">{}</a> {}</li>\n", escaped(target), escaped(text), escaped(about))
    };
    let list = |(heading, entries): &(&str, Vec<Entry>)| {
        let entries: String = entries.iter().map(entry).collect();
        format!("<h2>{}</h2>\n<ul class=\"stack\">\n{entries}</ul>\n", escaped(heading))
    };
    framed(title, &lists.iter().map(list).collect::<String>())
}

/// A page with this heading and these parts, whose text is escaped.
fn framed(title: &str, parts: &str) -> Response {
    let title = escaped(title);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · AI Orchestrator</title>\n\
         <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/assets/base.css\">\n\
         <header class=\"top\"><div class=\"brand\"><img src=\"/assets/icon.svg\" alt=\"\" width=\"40\" height=\"40\">\
         <h1>{title}</h1></div>\
         <nav><a href=\"/docs\">Docs</a> <a href=\"/problems\">Problems</a></nav></header>\n\
         <main><div class=\"card stack\">\n{parts}</div></main>\n</html>\n"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)], page)
        .into_response()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        assert_eq!(escaped(r#"<a href='x' b="&">é"#), "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;é");
    }
}
