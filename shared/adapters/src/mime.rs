//! A mail as RFC 5322 text.
//!
//! The headers are written here, not by mail-builder, which writes text that looks like an encoded word (RFC 2047)
//! unchanged, so readers would decode it. Such a name or subject, and any that is not plain ASCII, becomes encoded
//! words here. mail-builder writes the bodies. mail-parser reads the result back, and any difference is an error.

mod read_back;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{Address, Mail, sha256_hex};
use engine::ports::{RenderContext, RenderError};
use jiff::tz::TimeZone;
use mail_builder::{headers::content_type::ContentType, mime::MimePart};

/// The longest header line with encoded words (RFC 2047, section 2). RFC 5322 allows 998.
const LINE: usize = 76;

/// Renders a mail. Line endings of the bodies become CRLF.
pub fn render(mail: &Mail, context: &RenderContext) -> Result<String, RenderError> {
    let headers = headers(mail, context)?;
    let text = with_crlf(&mail.text);
    let html = mail.html.as_deref().map(with_crlf);

    let mut bytes = Vec::new();
    for (name, value) in &headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let text_part = MimePart::new("text/plain", text.as_str());
    match &html {
        None => text_part.write_part(&mut bytes),
        Some(html) => {
            let alternative =
                ContentType::new("multipart/alternative").attribute("boundary", boundary(context, &text, html));
            MimePart::new(alternative, vec![text_part, MimePart::new("text/html", html.as_str())])
                .write_part(&mut bytes);
        }
    }
    let body = String::from_utf8(bytes).map_err(|_| RenderError("it is not UTF-8".to_owned()))?;
    read_back::check(&body, mail, &text, html.as_deref(), context, headers.iter().map(|(name, _)| *name))?;
    Ok(body)
}

/// Header names and their folded values, in order.
fn headers(mail: &Mail, context: &RenderContext) -> Result<Vec<(&'static str, String)>, RenderError> {
    let mut headers = Vec::new();
    if let Some(from) = &context.from {
        headers.push(("From", mailbox(from)));
    }
    for (name, list) in [("To", &mail.to), ("Cc", &mail.cc), ("Bcc", &mail.bcc), ("Reply-To", &mail.reply_to)] {
        if !list.is_empty() {
            headers.push((name, list.iter().map(mailbox).collect::<Vec<_>>().join(",\r\n ")));
        }
    }
    headers.push(("Subject", subject(&mail.subject)));
    headers.extend(mail.in_reply_to.iter().map(|id| ("In-Reply-To", id.to_string())));
    if !mail.referenced().is_empty() {
        // Each on a line of its own.
        let ids: Vec<String> = mail.referenced().iter().map(ToString::to_string).collect();
        headers.push(("References", ids.join("\r\n ")));
    }
    if let Some(date) = context.date {
        let date = jiff::fmt::rfc2822::to_string(&date.to_zoned(TimeZone::UTC));
        headers.push(("Date", date.map_err(|_| RenderError("the date is before year 0".to_owned()))?));
    }
    if let Some(id) = &context.id {
        headers.push(("Message-ID", format!("<{}>", message_id(id, context.from.as_ref())?)));
    }
    headers.push(("MIME-Version", "1.0".to_owned()));
    Ok(headers)
}

fn mailbox(address: &Address) -> String {
    let spec = format!("<{}>", address.addr_spec());
    let Some(name) = address.name() else { return spec };
    let phrase = if is_plain(name) {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        encoded_words(name)
    };
    // Room for the longest header name and a comma.
    let fits = !phrase.contains('\n') && phrase.len() + spec.len() + "Reply-To: ,".len() < LINE;
    format!("{phrase}{}{spec}", if fits { " " } else { "\r\n " })
}

fn subject(subject: &str) -> String {
    if is_plain(subject) || subject.is_empty() { subject.to_owned() } else { encoded_words(subject) }
}

/// Whether a header may contain a text unchanged: short, printable ASCII, without white space that a reader could
/// drop, and without anything that looks like an encoded word.
fn is_plain(text: &str) -> bool {
    (1..=60).contains(&text.len())
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && !text.contains("=?")
        && !text.contains("  ")
        && text.trim() == text
}

/// Encoded words (RFC 2047, section 2), each with whole characters and on its own line.
fn encoded_words(text: &str) -> String {
    /// 39 bytes are 52 in Base64 and 64 with the delimiters, which leaves room for a header's name.
    const MOST: usize = 39;
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(MOST));
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

/// `id@domain`, without brackets. An id that could end the header line is refused.
fn message_id(id: &str, from: Option<&Address>) -> Result<String, RenderError> {
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(RenderError("the message's id is not alphanumeric".to_owned()));
    }
    // Without a sender, a reserved domain (RFC 2606); Gmail sets its own anyway.
    Ok(format!("{id}@{}", from.map_or_else(|| "orchestrator.invalid".to_owned(), Address::domain)))
}

/// A boundary that neither body contains, always the same for the same mail and context.
fn boundary(context: &RenderContext, text: &str, html: &str) -> String {
    let fixed = format!("part-{}", context.id.as_deref().unwrap_or("of-this-mail"));
    if text.contains(&fixed) || html.contains(&fixed) {
        // A text cannot contain its own digest.
        let digest = sha256_hex(format!("{}\0{text}\0{html}", text.len()).as_bytes());
        return format!("part-{}", &digest[..40]);
    }
    fixed
}

/// Every CRLF, CR and LF as CRLF.
fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}
