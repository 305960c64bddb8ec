//! Python's email package as a reader.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use adapters::mime;
use domain::{Address, Mail};
use engine::ports::RenderContext;
use serde_json::{Value, json};

/// Renders the mails, has Python read them, and compares everything.
pub fn reads_the_same(mails: &[Mail], stamp: &RenderContext) {
    let rendered: Vec<String> = mails.iter().map(|mail| mime::render(mail, stamp).unwrap()).collect();
    let read = read(&rendered);
    assert_eq!(read.len(), mails.len());
    for ((mail, rendered), read) in mails.iter().zip(&rendered).zip(read) {
        let wanted = json!({
            "headers": super::expected_names(mail, stamp),
            "from": mailboxes(stamp.from.as_slice()),
            "to": mailboxes(&mail.to),
            "cc": mailboxes(&mail.cc),
            "bcc": mailboxes(&mail.bcc),
            "reply_to": mailboxes(&mail.reply_to),
            "subject": mail.subject,
            "in_reply_to": mail.in_reply_to.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "references": mail.referenced().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "text": with_crlf(&mail.text),
            "html": mail.html.as_deref().map(with_crlf),
            "parts": if mail.html.is_some() { 3 } else { 1 },
            "defects": [],
        });
        assert_eq!(read, wanted, "{rendered}");
    }
}

fn read(rendered: &[String]) -> Vec<Value> {
    let mut python = Command::new("python3")
        .args(["-c", include_str!("read.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    // The script reads all of its input before it writes, so neither pipe can block the other.
    python.stdin.take().unwrap().write_all(&serde_json::to_vec(rendered).unwrap()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the reader failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn mailboxes(list: &[Address]) -> Value {
    list.iter().map(|a| json!([a.name().unwrap_or_default(), a.addr_spec()])).collect()
}

fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}
