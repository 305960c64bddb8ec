//! The few pages that this API writes itself: no script, and every text escaped.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use crate::files::POLICY;

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
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · AI Orchestrator</title>\n\
         <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/assets/base.css\">\n\
         <header class=\"top\"><div class=\"brand\"><img src=\"/assets/icon.svg\" alt=\"\" width=\"40\" height=\"40\">\
         <h1>{title}</h1></div></header>\n\
         <main><div class=\"card stack\">\n{paragraphs}{link}</div></main>\n</html>\n",
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
