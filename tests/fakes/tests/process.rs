//! The fakes as a process: how strict they are, and their control plane.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start() -> Self {
        let mut child =
            Command::new(env!("CARGO_BIN_EXE_fakes")).args(["--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("it prints its URL").to_owned();
        let process = Self { child, address };
        let google = ["https://www.googleapis.com/auth/gmail.send", "https://www.googleapis.com/auth/gmail.compose"];
        for token in [
            json!({ "token": "g", "provider": "google", "scopes": google, "address": "ana@example.com" }),
            json!({ "token": "m", "provider": "microsoft", "scopes": ["Mail.Send", "Mail.ReadWrite"] }),
            json!({ "token": "late", "provider": "microsoft", "scopes": ["Mail.Send"], "expires_in_s": 0 }),
        ] {
            assert_eq!(process.control("POST", "tokens", &token).0, 204);
        }
        process
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request(method, &format!("/_fakes/{path}"), "", "application/json", &body.to_string())
    }

    fn gmail(&self, path: &str, body: &Value) -> u16 {
        self.request("POST", &format!("/gmail/v1/users/me/{path}"), "g", "application/json", &body.to_string()).0
    }

    fn graph(&self, path: &str, body: &Value) -> u16 {
        self.request("POST", &format!("/v1.0/me/{path}"), "m", "application/json", &body.to_string()).0
    }

    /// Status and JSON body; status 0 when the connection closes without an answer.
    fn request(&self, method: &str, path: &str, token: &str, content_type: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { return (0, Value::Null) };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn gmail_takes_good_mails_only() {
    let process = Process::start();
    let raw = |mime: &str| json!({ "raw": URL_SAFE.encode(mime) });
    let mail = |headers: &str| raw(&format!("{headers}Subject: s\r\n\r\njob:7 hi\r\n"));
    assert_eq!(process.gmail("messages/send", &mail("From: ana@example.com\r\nTo: z@example.org\r\n")), 200);
    for (what, body) in [
        ("no recipient", mail("From: ana@example.com\r\n")),
        ("another's From", mail("From: eve@example.com\r\nTo: z@example.org\r\n")),
        ("no address", mail("To: nobody\r\n")),
        ("two To headers", mail("To: z@example.org\r\nTo: y@example.org\r\n")),
        ("a bare LF", raw("To: z@example.org\nSubject: s\r\n\r\nhi")),
        ("a raw header", raw("To: z@example.org\r\nSubject: ä\r\n\r\nhi")),
        ("a long line", raw(&format!("To: z@example.org\r\n\r\n{}", "x".repeat(999)))),
        ("other Base64", json!({ "raw": "+/+/" })),
        ("an unknown key", json!({ "raw": "", "to": "z@example.org" })),
    ] {
        assert_eq!(process.gmail("messages/send", &body), 400, "{what}");
    }
    let path = "/gmail/v1/users/me/messages/send";
    assert_eq!(process.request("POST", path, "g", "text/plain", "{}").0, 400);
    assert_eq!(process.request("POST", path, "m", "application/json", "{}").0, 401, "Graph's token");
    assert_eq!(process.request("GET", path, "g", "application/json", "").0, 404);

    let (_, seen) = process.control("GET", "deliveries", &Value::Null);
    assert_eq!((&seen["total"], &seen["counts"]), (&json!(1), &json!({ "job:7": 1 })));
    assert_eq!(seen["deliveries"][0]["account"], "ana@example.com");
}

#[test]
fn graph_takes_good_messages_only() {
    let process = Process::start();
    let to = |address: &str| json!([{ "emailAddress": { "address": address } }]);
    let message = || json!({ "subject": "s", "body": { "contentType": "Text", "content": "hi" }, "toRecipients": to("z@example.org") });
    let changed = |key: &str, value: Value| {
        let mut message = message();
        message[key] = value;
        json!({ "message": message })
    };
    assert_eq!(process.graph("sendMail", &json!({ "message": message(), "saveToSentItems": true })), 202);
    for (what, body) in [
        ("no recipient", changed("toRecipients", json!([]))),
        ("no address", changed("toRecipients", to("z@"))),
        ("an unknown key", changed("to", json!("z@example.org"))),
        ("an unknown type", changed("body", json!({ "contentType": "Markdown", "content": "" }))),
        ("no message", json!({})),
    ] {
        assert_eq!(process.graph("sendMail", &body), 400, "{what}");
    }
    let send = |token: &str, kind: &str| process.request("POST", "/v1.0/me/sendMail", token, kind, "{}").0;
    assert_eq!(
        (send("m", "text/html"), send("late", "application/json"), send("", "application/json")),
        (415, 401, 401)
    );
    assert_eq!(send("m", "text/plain"), 400, "a MIME text comes in base64");
    assert_eq!(process.graph("messages/none/send", &Value::Null), 404);
    assert_eq!(process.control("GET", "deliveries", &Value::Null).1["counts"], json!({ "s": 1 }));
}

#[test]
fn faults_come_over_the_control_plane() {
    let process = Process::start();
    let body =
        json!({ "message": { "subject": "s", "toRecipients": [{ "emailAddress": { "address": "z@example.org" } }] } });
    let next =
        json!({ "next": [{ "fault": "accept-then-close", "on": "graph.sendMail" }, { "fault": "close-before" }] });
    assert_eq!(process.control("POST", "faults", &next).0, 204);
    assert_eq!((process.graph("sendMail", &body), process.graph("sendMail", &body)), (0, 0));
    assert_eq!(process.control("GET", "deliveries", &Value::Null).1["total"], 1);

    let random = json!({ "random": { "seed": 1, "percent": 100, "faults": [{ "fault": "fail-500" }] } });
    assert_eq!(process.control("POST", "faults", &random).0, 204);
    assert_eq!(process.graph("sendMail", &body), 500);
    assert_eq!(process.control("POST", "faults", &json!({ "next": [{ "fault": "no-such" }] })).0, 422);

    assert_eq!(process.control("POST", "reset", &Value::Null).0, 204);
    assert_eq!(process.graph("sendMail", &body), 401);
    assert_eq!(process.control("GET", "deliveries", &Value::Null).1["total"], 0);
}

#[test]
fn the_person_and_the_tokens_are_steered_too() {
    let process = Process::start();
    assert_eq!(process.control("POST", "consents", &json!({ "expires_in_s": 1 })).0, 204);
    assert_eq!(process.control("POST", "consents", &json!({ "expires": 1 })).0, 422, "an unknown field");
}
