//! The few pages that this API writes itself: no script, no style, and every text escaped.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// Nothing is loaded, nothing is sent, and no other page shows it in a frame.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whoever asked is a person: what went wrong is to be a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsPage;

/// A page of a heading and paragraphs, and a link on.
pub(crate) fn page(title: &str, paragraphs: &[&str], link: Option<(&str, &str)>) -> Response {
    let title = escaped(title);
    let paragraphs: Vec<String> = paragraphs.iter().map(|text| format!("<p>{}</p>\n", escaped(text))).collect();
    let paragraphs = paragraphs.concat();
    let link = link.map(|(target, text)| format!("<p><a href=\"{}\">{}</a></p>\n", escaped(target), escaped(text)));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<h1>{title}</h1>\n\
         {paragraphs}{link}</html>\n",
        link = link.unwrap_or_default(),
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)], page)
        .into_response()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped(r#"<a href='x' b="&">é"#), "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;é");
    }
}
