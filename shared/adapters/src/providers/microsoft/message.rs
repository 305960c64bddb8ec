//! A mail as the body of Microsoft Graph's `sendMail`.

use domain::{Address, Mail};
use engine::ports::RenderError;
use serde_json::{Value, json};

/// Renders a mail: its HTML if it has one, else its text.
pub fn render(mail: &Mail) -> Result<String, RenderError> {
    let (content_type, content) = mail.html.as_ref().map_or(("Text", &mail.text), |html| ("HTML", html));
    let mut message = json!({ "subject": mail.subject, "body": { "contentType": content_type, "content": content } });
    for (field, list) in [
        ("toRecipients", &mail.to),
        ("ccRecipients", &mail.cc),
        ("bccRecipients", &mail.bcc),
        ("replyTo", &mail.reply_to),
    ] {
        if !list.is_empty() {
            message[field] = list.iter().map(recipient).collect();
        }
    }
    let body = json!({ "message": message, "saveToSentItems": true }).to_string();
    match difference(&body, mail) {
        None => Ok(body),
        Some(field) => Err(RenderError(format!("its {field} would not arrive as written"))),
    }
}

/// The message alone, for a draft.
pub(crate) fn message_of(body: &str) -> Option<Value> {
    let mut body: Value = serde_json::from_str(body).ok()?;
    body.get_mut("message").map(Value::take)
}

fn recipient(address: &Address) -> Value {
    let mut email = json!({ "address": address.addr_spec() });
    if let Some(name) = address.name() {
        email["name"] = json!(name);
    }
    json!({ "emailAddress": email })
}

/// Reads the body back: the field that differs from the mail, if one does.
fn difference(body: &str, mail: &Mail) -> Option<&'static str> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let message = &body["message"];
    let same = |found: &Value, wanted: &[Address]| {
        let found = found.as_array().map_or(&[][..], Vec::as_slice);
        found.len() == wanted.len()
            && found.iter().zip(wanted).all(|(found, wanted)| {
                let email = &found["emailAddress"];
                email["address"] == wanted.addr_spec() && email["name"].as_str() == wanted.name()
            })
    };
    let content = mail.html.as_ref().unwrap_or(&mail.text);
    let content_type = if mail.html.is_some() { "HTML" } else { "Text" };
    let lists = [&mail.to, &mail.cc, &mail.bcc, &mail.reply_to];
    let fields = 2 + lists.iter().filter(|list| !list.is_empty()).count();
    let checks = [
        ("to", same(&message["toRecipients"], &mail.to)),
        ("cc", same(&message["ccRecipients"], &mail.cc)),
        ("bcc", same(&message["bccRecipients"], &mail.bcc)),
        ("reply_to", same(&message["replyTo"], &mail.reply_to)),
        ("subject", message["subject"] == mail.subject),
        ("body", message["body"] == json!({ "contentType": content_type, "content": content })),
        ("fields", message.as_object().is_some_and(|message| message.len() == fields)),
        ("saveToSentItems", body["saveToSentItems"] == true),
    ];
    checks.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
}
