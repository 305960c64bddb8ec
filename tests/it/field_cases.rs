//! Inputs that users of such products really have, each with what comes out of it. A row stands for its whole kind, and
//! its neighbours stand beside it.

use domain::Plan;
use serde_json::{Value, json};

use crate::{
    inside::{Inside, action, answer},
    support::{self, Server, gmail},
};

const JOHN: &str = "john@example.com";

/// The mail of an action with these changes, as preview shows it.
async fn previewed(server: &Server, action: &str, changes: &Value) -> Value {
    let mut params = json!({ "to": JOHN, "subject": "Hello", "text": "The numbers are below." });
    for (field, value) in changes.as_object().expect("an object") {
        params[field] = value.clone();
    }
    let provider = if action.starts_with("gmail") { "google" } else { "microsoft" };
    let asked = json!({ "provider": provider, "action": action, "params": params, "client_request_id": "k" });
    let reply = server.post("/actions/preview", &asked).await;
    assert_eq!(reply.status, 200, "{changes}: {}", reply.body);
    reply.body
}

#[tokio::test]
async fn a_blank_optional_field_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for action in ["gmail.send", "outlook.send"] {
        let plain = previewed(&server, action, &json!({})).await;
        for changes in [
            json!({ "html": "" }),
            json!({ "html": " " }),
            json!({ "html": "\n" }),
            json!({ "html": null }),
            json!({ "cc": "" }),
            json!({ "cc": [] }),
            json!({ "cc": [""] }),
            json!({ "bcc": ["", "  "] }),
            json!({ "reply_to": "" }),
            json!({ "reply_to": ["", " "] }),
            json!({ "to": [JOHN, ""] }),
            json!({ "to": [JOHN, JOHN] }),
            json!({ "to": JOHN, "cc": "John <john@example.com>", "bcc": [JOHN] }),
        ] {
            let same = previewed(&server, action, &changes).await;
            assert_eq!(same["sha256"], plain["sha256"], "{action} {changes}");
            assert_eq!(same["warnings"], json!([]), "{action} {changes}");
        }
    }
}

#[tokio::test]
async fn addresses_are_taken_as_people_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for (to, expected) in [
        (json!("john@example.com, jane@example.com"), vec![JOHN, "jane@example.com"]),
        (json!("john@example.com; jane@example.com;"), vec![JOHN, "jane@example.com"]),
        (
            json!(["john@example.com,jane@example.com", "bo@example.com"]),
            vec![JOHN, "jane@example.com", "bo@example.com"],
        ),
        (json!("\"Doe, John\" <john@example.com>; Jane <jane@example.com>"), vec![JOHN, "jane@example.com"]),
        (json!("Doe, John <john@example.com>"), vec![JOHN]),
        (json!("info@münchen.example"), vec!["info@xn--mnchen-3ya.example"]),
        (json!("info@MÜNCHEN.example"), vec!["info@xn--mnchen-3ya.example"]),
        (json!("post@пример.рф"), vec!["post@xn--e1afmkfd.xn--p1ai"]),
        (json!("post@例え.jp"), vec!["post@xn--r8jz45g.jp"]),
        (json!("x@straße.example"), vec!["x@xn--strae-oqa.example"]),
        (json!("\"john..doe\"@example.com"), vec!["\"john..doe\"@example.com"]),
        (json!("\"john doe\"@example.com"), vec!["\"john doe\"@example.com"]),
        (json!("J <\"a,b\"@example.com>"), vec!["\"a,b\"@example.com"]),
    ] {
        for action in ["gmail.send", "outlook.send"] {
            let mail = previewed(&server, action, &json!({ "to": to })).await.to_string();
            for address in &expected {
                let written = address.replace('"', "\\\"");
                assert!(
                    mail.contains(&written) || mail.contains(&written.replace('\\', "\\\\\\")),
                    "{action} {to}: {mail}"
                );
            }
        }
    }
    for (to, why) in [
        ("john@\u{200b}", "invisible"),
        ("john@exam\u{ad}ple.com", "invisible"),
        ("john@example.com, jane", "no @"),
        ("jöhn@example.com", "local part outside ASCII"),
        ("\"john@example.com", "malformed part"),
        ("john@exa mple.com", "malformed domain"),
        ("john@ex\u{2044}ample.com", "characters that no domain may have"),
        ("john@💌.example", "characters that no domain may have"),
        ("john@example\u{3002}com", "characters that no domain may have"),
    ] {
        let asked = json!({ "provider": "google", "action": "gmail.send", "client_request_id": "k",
            "params": { "to": to, "subject": "s", "text": "t" } });
        let reply = server.post("/actions/preview", &asked).await;
        let detail = reply.body["errors"][0]["detail"].as_str().unwrap_or_default().to_owned();
        assert!(reply.status == 422 && detail.contains(why), "{to}: {}", reply.body);
    }
}

/// The plan of a prompt when the model answers rightly, to John.
async fn planned(inside: &Inside, prompt: &str) -> Plan {
    inside.when(answer(&[action(&[JOHN])]), prompt).await.unwrap().plan
}

#[tokio::test]
async fn an_address_is_found_whatever_touches_it() {
    let inside = Inside::new(&[]);
    for prompt in [
        "john@example.com'a toplantı için teşekkür eden bir e-posta gönder",
        "john@example.com’a yaz",
        "john@example.com'dan önce ona sor",
        "John's mail is john@example.com's, write there",
        "שלח מייל ל-john@example.com עם תודה",
        "שלח מייל לjohn@example.com",
        "أرسل إلىjohn@example.com شكرا",
        "john@example.comको धन्यवाद भेजो",
        "เขียนถึงjohn@example.comว่าขอบคุณ",
        "john@example.com에게 감사 메일을 보내",
        "mailto:john@example.com?subject=Lunch",
        "mailto:john@example.com?subject=Lunch&body=Hi",
        "<mailto:john@example.com|john@example.com> says hi, answer",
        "[John](mailto:john@example.com) needs the report",
        "Write to recipient=john@example.com",
        "Write to to=john@example.com&x=1",
        "\u{2068}john@example.com\u{2069} saying hi",
        "\u{2066}john@example.com\u{2069} saying hi",
        "Send an email to john@example.com--say hi",
        "Write _john@example.com_ a hello",
        "Write **john@example.com** a hello",
        "john@example.com, saying hi",
    ] {
        let plan = planned(&inside, prompt).await;
        assert_eq!(plan.questions, [""; 0], "{prompt}");
        assert_eq!(plan.actions[0].params["to"], JOHN, "{prompt}");
    }
    for prompt in ["Thank john@example.com/jane@example.com", "Thank john@example.com|jane@example.com"] {
        let both = answer(&[action(&[JOHN, "jane@example.com"])]);
        let plan = inside.when(both, prompt).await.unwrap().plan;
        assert!(plan.questions.is_empty() && plan.actions.len() == 1, "{prompt}: {:?}", plan.questions);
    }
    let munich = "info@münchen.example";
    let plan = inside.when(answer(&[action(&[munich])]), "Schreib an info@münchen.example").await.unwrap().plan;
    assert_eq!((plan.actions.len(), plan.questions.len()), (1, 0), "{:?}", plan.questions);
    for prompt in [
        "Write to @john@example.com@",
        "Write to john%40example.com",
        "Write to john&#64;example.com",
        "Write to jоhn@example.com",
        "Write to john@exаmple.com",
        "Write to xjohn@example.com",
        "Write to john@example.com.evil.example",
        "Write to john@example.com@evil.example",
        "Write to j\u{200b}ohn@example.com",
        "Write to ｊohn@example.com",
        "Write to j٥john@example.com",
        "Write to john at example dot com",
    ] {
        let plan = planned(&inside, prompt).await;
        assert!(plan.actions.is_empty() && !plan.questions.is_empty(), "{prompt}: {plan:?}");
    }
}

#[tokio::test]
async fn the_same_action_twice_is_one_and_a_note() {
    let inside = Inside::new(&[]);
    let mut again = action(&[JOHN, JOHN]);
    (again["params"]["cc"], again["params"]["html"]) = (json!([]), json!(" "));
    for actions in [vec![action(&[JOHN]); 2], vec![action(&[JOHN]); 5], vec![action(&[JOHN]), again]] {
        let plan = inside.when(answer(&actions), "Thank john@example.com").await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (1, 0));
        assert!(plan.notes.as_deref().is_some_and(|notes| notes.contains("planned once")), "{:?}", plan.notes);
    }
    let mut other = action(&[JOHN]);
    other["params"]["text"] = json!("Another text.");
    let plan = inside.when(answer(&[action(&[JOHN]), other]), "Thank john@example.com").await.unwrap().plan;
    assert_eq!((plan.actions.len(), plan.notes), (2, None));
}

#[tokio::test]
async fn an_answer_is_unwrapped_and_a_word_for_nothing_is_nothing() {
    let inside = Inside::new(&[]);
    let bare = answer(&[action(&[JOHN])]).to_string();
    for wrapped in [
        format!("```json\n{bare}\n```"),
        format!("```\n{bare}\n```"),
        format!("<think>Is it {{}}? No.</think>\n{bare}"),
        format!("Here is the plan:\n{bare}"),
        format!("{bare}\n\nLet me know if you need more."),
        format!("\u{feff}{bare}"),
    ] {
        let plan = inside.when(wrapped.clone(), "Thank john@example.com").await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (1, 0), "{wrapped}");
    }
    for broken in ["", "no plan", "{", "}{", "```json\n```", "{\"intent\": \"x\"} {\"intent\": \"y\"}"] {
        assert!(inside.when(broken.to_owned(), "Thank john@example.com").await.is_err(), "{broken}");
    }
    for nothing in [json!([""]), json!(["none"]), json!(["null"]), json!(["N/A"]), json!([]), json!(null)] {
        for field in ["cc", "bcc", "reply_to"] {
            let mut says = action(&[JOHN]);
            says["params"][field] = nothing.clone();
            says["params"]["html"] = json!("");
            let plan = inside.when(answer(&[says]), "Thank john@example.com").await.unwrap().plan;
            let params = plan.actions[0].params.as_object().expect("an object");
            let params: Vec<&str> = params.keys().map(String::as_str).collect();
            assert_eq!((params, plan.questions.len()), (vec!["to", "subject", "text"], 0), "{field} {nothing}");
        }
    }
}

#[tokio::test]
async fn bodies_and_headers_are_taken_as_clients_send_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let body = json!({ "action": "gmail.send", "params": { "to": JOHN, "subject": "s", "text": "t" } }).to_string();
    let post = |path: &str| server.request("POST", path).header("content-type", "application/json");
    for (coding, status) in
        [("gzip", 415), ("br", 415), ("deflate, gzip", 415), ("x-unknown", 415), ("identity", 200), ("Identity", 200)]
    {
        let request = post("/actions/preview").header("content-encoding", coding).body(body.clone());
        let reply = support::reply(request).await;
        assert_eq!(reply.status, status, "{coding}: {}", reply.body);
        let refused = status == 415;
        assert_eq!(*reply.code() == "unsupported-media-type", refused, "{coding}");
        assert_eq!(reply.header("accept-encoding"), if refused { "identity" } else { "" }, "{coding}");
    }
    let plain = support::reply(
        server.request("POST", "/actions/preview").header("content-type", "text/plain").body(body.clone()),
    )
    .await;
    assert_ne!(plain.header("accept-encoding"), "identity", "a refused type is no refused coding");
    for (bytes, status) in [
        (format!("\u{feff}{body}"), 200),
        (format!("\u{feff}\u{feff}{body}"), 400),
        (format!("{body}\u{feff}"), 400),
        ("\u{feff}".to_owned(), 400),
        (format!(" \u{feff}{body}"), 400),
    ] {
        let reply = support::reply(post("/actions/preview").body(bytes.clone())).await;
        assert_eq!(reply.status, status, "{bytes:?}: {}", reply.body);
    }
    let mut action = gmail("x", "s");
    action.as_object_mut().unwrap().remove("client_request_id");
    let body = json!({ "actions": [action], "actor_id": "ana@example.com" }).to_string();
    for (keys, status) in
        [(vec!["a"], 202), (vec!["a", "a"], 422), (vec!["a", "b"], 422), (vec![""], 422), (vec!["ä"], 422)]
    {
        let request = keys.iter().fold(post("/ai/execute"), |request, key| request.header("idempotency-key", *key));
        let reply = support::reply(request.body(body.clone())).await;
        assert_eq!(reply.status, status, "{keys:?}: {}", reply.body);
        let detail = reply.body["detail"].as_str().unwrap_or("fine");
        assert!(!detail.starts_with([':', ' ']) && (status == 202 || detail.contains("Idempotency-Key")), "{detail}");
    }
}

#[tokio::test]
async fn a_reused_key_is_named_by_the_place_of_its_action() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    server.execute(gmail("known", "Known")).await;
    let [a, b, other] = [gmail("a", "A"), gmail("b", "B"), gmail("known", "Other")];
    for (actions, place) in [
        (vec![other.clone()], 0),
        (vec![a.clone(), other.clone()], 1),
        (vec![a.clone(), a.clone(), other.clone()], 2),
        (vec![a.clone(), a.clone(), b.clone(), b.clone(), other.clone()], 4),
        (vec![a.clone(), a.clone(), other.clone(), other.clone()], 2),
        (vec![a.clone(), a.clone(), gmail("a", "Another")], 2),
    ] {
        let reply = server.post("/ai/execute", &json!({ "actions": actions, "actor_id": "ana@example.com" })).await;
        assert_eq!(reply.code(), "idempotency-key-reused", "{}", reply.body);
        assert_eq!(reply.pointers(), [format!("/actions/{place}/client_request_id")]);
    }
}
