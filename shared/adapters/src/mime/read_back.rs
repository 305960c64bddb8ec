//! The check before a send: another library must read the same mail in the rendered text.

use domain::{Address, Mail, MessageId};
use engine::ports::{RenderContext, RenderError};
use mail_parser::{Addr, HeaderValue, Message, MessageParser, MessagePart, PartType};

use super::message_id;

/// Fails if `body` differs from the mail in any recipient, name, subject, text or header.
pub(super) fn check(
    body: &str,
    mail: &Mail,
    text: &str,
    html: Option<&str>,
    context: &RenderContext,
    names: impl Iterator<Item = &'static str>,
) -> Result<(), RenderError> {
    let lines_hold = body.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n']));
    must(body.is_ascii() && lines_hold, "lines")?;
    let message = MessageParser::new().parse(body.as_bytes()).ok_or_else(|| differs("message"))?;

    let mut found: Vec<&str> = message.headers().iter().map(mail_parser::Header::name).collect();
    // A single body has its transfer encoding beside its type.
    if html.is_none() {
        must(found.pop() == Some("Content-Transfer-Encoding"), "headers")?;
    }
    must(found.into_iter().eq(names.chain(["Content-Type"])), "headers")?;

    let from = context.from.as_slice();
    let fields: [(&str, &[Address], Option<&mail_parser::Address<'_>>); 5] = [
        ("from", from, message.from()),
        ("to", &mail.to, message.to()),
        ("cc", &mail.cc, message.cc()),
        ("bcc", &mail.bcc, message.bcc()),
        ("reply_to", &mail.reply_to, message.reply_to()),
    ];
    for (field, wanted, found) in fields {
        must(same_addresses(wanted, found), field)?;
    }
    must(message.subject().unwrap_or_default() == mail.subject, "subject")?;
    must(
        message.date().map(mail_parser::DateTime::to_timestamp) == context.date.map(jiff::Timestamp::as_second),
        "date",
    )?;
    let id = context.id.as_deref().map(|id| message_id(id, context.from.as_ref())).transpose()?;
    must(message.message_id() == id.as_deref(), "message id")?;
    must(same_ids(mail.in_reply_to.as_slice(), message.in_reply_to()), "in_reply_to")?;
    must(same_ids(mail.referenced(), message.references()), "references")?;
    must(same_bodies(&message, text, html), "body")
}

fn same_ids(wanted: &[MessageId], found: &HeaderValue<'_>) -> bool {
    let found = found.as_text_list().unwrap_or_default();
    found.iter().map(AsRef::as_ref).eq(wanted.iter().map(MessageId::bare))
}

fn same_addresses(wanted: &[Address], found: Option<&mail_parser::Address<'_>>) -> bool {
    let found = found.map_or(Some(&[][..]), mail_parser::Address::as_list);
    found.is_some_and(|found| {
        let same = |(wanted, found): (&Address, &Addr<'_>)| {
            found.address() == Some(wanted.addr_spec().as_str()) && found.name() == wanted.name()
        };
        wanted.len() == found.len() && wanted.iter().zip(found).all(same)
    })
}

fn same_bodies(message: &Message<'_>, text: &str, html: Option<&str>) -> bool {
    let is_text = |part: &MessagePart<'_>| matches!(&part.body, PartType::Text(found) if *found == text);
    let is_html = |part: &MessagePart<'_>, html: &str| matches!(&part.body, PartType::Html(found) if *found == html);
    match (html, message.parts.as_slice()) {
        (None, [part]) => is_text(part),
        (Some(html), [_, first, second]) => {
            let frame = ["Content-Type", "Content-Transfer-Encoding"];
            let framed = |part: &MessagePart<'_>| part.headers.iter().map(mail_parser::Header::name).eq(frame);
            is_text(first) && is_html(second, html) && framed(first) && framed(second)
        }
        _ => false,
    }
}

fn must(holds: bool, what: &str) -> Result<(), RenderError> {
    if holds { Ok(()) } else { Err(differs(what)) }
}

/// Names the field, never its content.
fn differs(what: &str) -> RenderError {
    RenderError(format!("its {what} would not arrive as written"))
}
