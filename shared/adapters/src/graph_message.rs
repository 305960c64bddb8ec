//! A mail as the body of Microsoft Graph's `sendMail`.

use domain::{Address, Mail};
use engine::ports::RenderError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Renders a mail: the HTML if there is one, else the text.
pub fn render(mail: &Mail) -> Result<String, RenderError> {
    let (content_type, content) = mail.html.as_ref().map_or(("Text", &mail.text), |html| ("HTML", html));
    let mut message = Map::new();
    message.insert("subject".to_owned(), json!(mail.subject));
    message.insert("body".to_owned(), json!({ "contentType": content_type, "content": content }));
    for (field, list) in [
        ("toRecipients", &mail.to),
        ("ccRecipients", &mail.cc),
        ("bccRecipients", &mail.bcc),
        ("replyTo", &mail.reply_to),
    ] {
        if !list.is_empty() {
            message.insert(field.to_owned(), list.iter().map(recipient).collect());
        }
    }
    let body = json!({ "message": message, "saveToSentItems": true }).to_string();
    read_back(&body, mail, content_type, content)?;
    Ok(body)
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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendMail {
    message: Message,
    save_to_sent_items: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    subject: String,
    body: ItemBody,
    #[serde(default)]
    to_recipients: Vec<Recipient>,
    #[serde(default)]
    cc_recipients: Vec<Recipient>,
    #[serde(default)]
    bcc_recipients: Vec<Recipient>,
    #[serde(default)]
    reply_to: Vec<Recipient>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ItemBody {
    content_type: String,
    content: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recipient {
    email_address: EmailAddress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmailAddress {
    address: String,
    name: Option<String>,
}

/// Reads the text back into types of its own and compares.
fn read_back(body: &str, mail: &Mail, content_type: &str, content: &str) -> Result<(), RenderError> {
    let SendMail { message, save_to_sent_items } =
        serde_json::from_str(body).map_err(|_| RenderError("it is not a Graph message".to_owned()))?;
    let same = |wanted: &[Address], found: &[Recipient]| {
        wanted.len() == found.len()
            && wanted.iter().zip(found).all(|(wanted, Recipient { email_address: found })| {
                found.address == wanted.addr_spec() && found.name.as_deref() == wanted.name()
            })
    };
    let checks = [
        ("to", same(&mail.to, &message.to_recipients)),
        ("cc", same(&mail.cc, &message.cc_recipients)),
        ("bcc", same(&mail.bcc, &message.bcc_recipients)),
        ("reply_to", same(&mail.reply_to, &message.reply_to)),
        ("subject", mail.subject == message.subject),
        ("body", message.body.content_type == content_type && message.body.content == content),
        ("saveToSentItems", save_to_sent_items),
    ];
    match checks.into_iter().find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((field, _)) => Err(RenderError(format!("its {field} would not arrive as written"))),
    }
}
