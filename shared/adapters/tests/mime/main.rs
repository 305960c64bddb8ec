//! What is rendered is what was asked for, in the eyes of two other readers: mail-parser, which
//! every rendering asks anyway, and Python's email package.

mod python;

use adapters::{mime, providers::render_graph_message};
use domain::Mail;
use engine::ports::RenderContext;
use proptest::prelude::*;
use serde_json::{Value, json};

fn stamp() -> RenderContext {
    RenderContext {
        from: Some("Ana Ünal <ana@example.com>".parse().unwrap()),
        date: Some("2026-11-05T09:08:07Z".parse().unwrap()),
        id: Some("0b7d2c9d-3f10-4e7e-8a52-018f4e7e7d4c".to_owned()),
    }
}

fn no_stamp() -> RenderContext {
    RenderContext { from: None, date: None, id: None }
}

/// Names of the headers before the first empty line, by nothing but the rules of folding.
fn header_names(body: &str) -> Vec<&str> {
    let head = body.split_once("\r\n\r\n").unwrap().0;
    head.split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').expect("every unfolded line is a header").0)
        .collect()
}

fn expected_names(mail: &Mail, stamp: &RenderContext) -> Vec<&'static str> {
    let mut names = Vec::new();
    names.extend(stamp.from.as_ref().map(|_| "From"));
    names.push("To");
    names.extend((!mail.cc.is_empty()).then_some("Cc"));
    names.extend((!mail.bcc.is_empty()).then_some("Bcc"));
    names.extend((!mail.reply_to.is_empty()).then_some("Reply-To"));
    names.push("Subject");
    names.extend(mail.in_reply_to.as_ref().map(|_| "In-Reply-To"));
    names.extend((!mail.referenced().is_empty()).then_some("References"));
    names.extend(stamp.date.map(|_| "Date"));
    names.extend(stamp.id.as_ref().map(|_| "Message-ID"));
    names.extend(["MIME-Version", "Content-Type"]);
    names.extend(mail.html.is_none().then_some("Content-Transfer-Encoding"));
    names
}

/// Texts of the kinds that break mails.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,12}",
        "[ -~]{0,40}",
        Just("=?utf-8?q?=42cc:_x=40example.com?=".to_owned()),
        Just("=?utf-8?B?QmNj?=".to_owned()),
        Just("\r\nBcc: eve@example.com\r\n".to_owned()),
        Just("\r\n\r\n--part-of-this-mail\r\nContent-Type: text/html\r\n\r\n".to_owned()),
        Just("part-0b7d2c9d-3f10-4e7e-8a52-018f4e7e7d4c".to_owned()),
        Just("eve@example.com, <eve@example.com>; \"eve\"".to_owned()),
        Just("Zoë 田中 👩‍💻 é".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\n.\nFrom here\n".to_owned()),
        Just("  \t ".to_owned()),
        Just("=".to_owned()),
        Just("\u{feff}\u{200b}\u{2028}\u{85}".to_owned()),
        Just("\u{1b}\u{8}\u{b}\u{c}".to_owned()),
        "x{70,200}",
        "(é ){30,60}",
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn address() -> impl Strategy<Value = String> {
    let spec = "[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}@[a-z]{1,6}\\.(com|example)";
    prop_oneof![
        spec,
        (hostile(), spec)
            .prop_map(|(name, spec)| { format!("\"{}\" <{spec}>", name.replace('\\', "\\\\").replace('"', "\\\"")) }),
    ]
}

/// Message-IDs, some of them with more than one.
fn message_id() -> impl Strategy<Value = String> {
    let id = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~.:-]{1,80}@(\\[[0-9.]{3,9}\\]|[a-z.@-]{1,30})";
    prop_oneof![9 => id.prop_map(|id| format!("<{id}>")), 1 => hostile()]
}

/// Params that [`Mail::parse`] may take or refuse.
fn params() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(address(), 0..3);
    let subject = hostile().prop_map(|text| text.replace(char::is_control, " "));
    let thread = (prop::option::of(message_id()), prop::collection::vec(message_id(), 0..4));
    let people = (prop::collection::vec(address(), 1..4), list(), list(), list());
    (people, subject, hostile(), prop::option::of(hostile()), thread).prop_map(
        |((to, cc, bcc, reply_to), subject, text, html, (in_reply_to, references))| {
            let mut params = json!({ "to": to, "subject": subject, "text": text });
            for (field, list) in [("cc", cc), ("bcc", bcc), ("reply_to", reply_to)] {
                if !list.is_empty() {
                    params[field] = json!(list);
                }
            }
            if let Some(html) = html {
                params["html"] = json!(html);
            }
            if let Some(in_reply_to) = in_reply_to {
                params["in_reply_to"] = json!(in_reply_to);
            }
            if !references.is_empty() {
                params["references"] = json!(references);
            }
            params
        },
    )
}

fn mail(params: &Value) -> Mail {
    Mail::parse(params, &Mail::FIELDS).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_header_or_a_recipient(params in params()) {
        let Ok(mail) = Mail::parse(&params, &Mail::FIELDS) else { return Err(TestCaseError::reject("not a mail")) };
        for stamp in [stamp(), no_stamp()] {
            // That names and values are the mail's is checked in the rendering itself.
            let body = mime::render(&mail, &stamp).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(header_names(&body), expected_names(&mail, &stamp));
            prop_assert!(body.split("\r\n").all(|line| line.len() <= 998), "line length");
            prop_assert_eq!(&body, &mime::render(&mail, &stamp).unwrap());
        }
        prop_assert!(render_graph_message(&mail).is_ok());
    }
}

#[test]
fn a_mail_of_every_kind_of_text_reads_in_python_as_it_was_meant() {
    let one_line = "x".repeat(5000);
    let long_subject = "Ergebnis der Prüfung ".repeat(40);
    let mails: Vec<Mail> = [
        json!({
            "to": "\"Groß, Zoë (HR)\" <zoe@example.org>",
            "cc": ["Bob <bob@example.com>", "田中 <t@example.jp>"],
            "bcc": "quiet@example.net",
            "reply_to": "Desk \\\"One\\\" <desk@example.com>".replace("Desk \\\"One\\\"", "\"Desk \\\"One\\\"\""),
            "subject": "会議のお知らせ: 来週の月曜日に東京オフィスで行われる定例会議について",
            "text": "Hello 👩‍💻\nsee you",
            "html": "<p>Hello 👩‍💻</p>",
        }),
        json!({ "to": "a@example.com", "subject": one_line, "text": one_line }),
        json!({ "to": "a@example.com", "subject": long_subject, "text": "From here\n.\n..\n From\n>From" }),
        json!({ "to": "a@example.com", "subject": "", "text": "" }),
        json!({ "to": "a@example.com", "subject": "Re: s", "text": "t", "in_reply_to": "<a@b@[192.0.2.1]>" }),
        json!({ "to": "a@example.com", "subject": "Re: s", "text": "t", "in_reply_to": "b$%&@example.com",
                "references": [format!("<{}@example.com>", "a".repeat(480)), "<b$%&@example.com>"] }),
        json!({ "to": "a@example.com", "subject": "  spaces  and\u{a0}more ", "text": "trailing \t\n  \n\nend\n\n" }),
        json!({ "to": "=?utf-8?q?Eve?= <a@example.com>", "subject": "=?utf-8?q?look=2Dalike?=", "text": "a\rb\r\nc\n\rd" }),
        json!({ "to": "a@example.com", "subject": "s", "text": "--part-of-this-mail--\npart-of-this-mail-1", "html": "--part-of-this-mail" }),
    ]
    .iter()
    .map(mail)
    .collect();
    python::reads_the_same(&mails, &stamp());
    python::reads_the_same(&mails, &no_stamp());
}

#[test]
fn python_reads_hostile_mails_as_they_were_meant() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut mails = Vec::new();
    while mails.len() < 300 {
        let params = params().new_tree(&mut runner).unwrap().current();
        mails.extend(Mail::parse(&params, &Mail::FIELDS));
    }
    python::reads_the_same(&mails, &stamp());
}

#[test]
fn an_id_that_could_end_its_header_is_refused() {
    let mail = mail(&json!({ "to": "a@example.com", "subject": "s", "text": "t" }));
    for id in ["", "a\r\nBcc: eve@example.com", "a>", "a b", "ä"] {
        assert!(mime::render(&mail, &RenderContext { id: Some(id.to_owned()), ..stamp() }).is_err(), "{id:?}");
    }
}

#[test]
fn a_plain_mail_reads_plainly() {
    let mail =
        mail(&json!({ "to": ["Bob <bob@example.com>", "c@example.com"], "subject": "Thanks", "text": "Hi\nBob" }));
    let body = mime::render(&mail, &no_stamp()).unwrap();
    let expected = "To: \"Bob\" <bob@example.com>,\r\n <c@example.com>\r\nSubject: Thanks\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHi\r\nBob";
    assert_eq!(body, expected);
}
