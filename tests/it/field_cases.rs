//! Inputs that users of such products really have, each with what comes out of it. A row stands for its whole kind, and
//! its neighbours stand beside it.

use domain::{AnswerValue, Plan, PlanId, PlannedAction, Warning};
use engine::{catalogue::RequestedAction, plan::GivenAnswer};
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
            json!({ "html": "\u{200b}" }),
            json!({ "html": "<p>&nbsp;</p>" }),
            json!({ "html": "<html><body><br></body></html>" }),
            json!({ "html": null }),
            json!({ "cc": "" }),
            json!({ "cc": [] }),
            json!({ "cc": [""] }),
            json!({ "bcc": ["", "  "] }),
            json!({ "bcc": [null] }),
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

/// An action to John with these changes, as a model writes it.
fn with(changes: &Value) -> Value {
    let mut says = action(&[JOHN]);
    for (field, value) in changes.as_object().expect("an object") {
        says["params"][field] = value.clone();
    }
    says
}

/// The codes and fields of warnings.
fn told(warnings: &[Warning]) -> Vec<(Value, String)> {
    warnings.iter().map(|warning| (json!(warning.code), warning.field.clone().unwrap_or_default())).collect()
}

/// The warnings of a planned action's preview.
async fn previews(inside: &Inside, planned: &PlannedAction, plan: Option<PlanId>) -> Vec<Warning> {
    let asked = RequestedAction {
        provider: None,
        action: planned.action.to_string(),
        params: planned.params.clone(),
        client_request_id: Some(planned.client_request_id.clone()),
        send_at: planned.send_at.map(domain::Moment::send_at),
        recipients: None,
        sources: domain::Sources::default(),
    };
    inside.engine.actions.preview(&inside.caller, &asked, plan).await.unwrap().warnings
}

#[tokio::test]
async fn what_was_not_meant_is_warned_of_in_a_plan_and_in_its_preview() {
    let inside = Inside::new(&[]);
    let thanks = "Thank john@example.com";
    for (prompt, changes, expected) in [
        (thanks, json!({}), vec![]),
        (thanks, json!({ "text": "Look: https://evil.example/x" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "Look at evil.example." }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "Look at www.evil.example" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "https://example.com@evil.example" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "https://login.example.com/" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "https://ex\u{430}mple.com/" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "Answer to eve@evil.example" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "text": "hxxps://evil[.]example" }), vec![("foreign-link", "text")]),
        (thanks, json!({ "subject": "See evil.example" }), vec![("foreign-link", "subject")]),
        (thanks, json!({ "text": "https://www.example.com/x and John@Example.com" }), vec![]),
        (
            "Send john@example.com the link https://docs.contoso.com/a",
            json!({ "text": "https://docs.contoso.com/b" }),
            vec![],
        ),
        ("Tell john@example.com about contoso.com", json!({ "text": "See https://www.contoso.com." }), vec![]),
        (thanks, json!({ "text": "Bye,\n[Your Name]" }), vec![("placeholder", "text")]),
        (thanks, json!({ "text": "Dear {{name}}, thanks" }), vec![("placeholder", "text")]),
        (thanks, json!({ "text": "Dear <name>, thanks" }), vec![("placeholder", "text")]),
        (thanks, json!({ "text": "Mit Gruß [Ihr Name]" }), vec![("placeholder", "text")]),
        (thanks, json!({ "text": "【お名前】より" }), vec![("placeholder", "text")]),
        (thanks, json!({ "text": "It costs XXX, %NAME% and ____" }), vec![("placeholder", "text")]),
        (thanks, json!({ "subject": "Offer for [Client]" }), vec![("placeholder", "subject")]),
        (thanks, json!({ "text": "\u{202E}sknahT" }), vec![("hidden-characters", "text")]),
        (thanks, json!({ "subject": "Tha\u{200B}nks" }), vec![("hidden-characters", "subject")]),
        (thanks, json!({ "text": "Thanks\u{1b}[8m" }), vec![("hidden-characters", "text")]),
        (thanks, json!({ "text": "Danke 👩‍💻, می‌خواهم" }), vec![]),
        (thanks, json!({ "subject": "[EXT] Offer", "text": "See [1] and [x] [sic] {\"json\": 1}" }), vec![]),
        ("Tell john@example.com: the tag is [Your Name]", json!({ "text": "The tag is [Your Name]" }), vec![]),
        (thanks, json!({ "text": "Please find attached the report." }), vec![("missing-attachment", "text")]),
        (thanks, json!({ "text": "Die Rechnung ist im Anhang." }), vec![("missing-attachment", "text")]),
        (thanks, json!({ "text": "Ci-joint la facture." }), vec![("missing-attachment", "text")]),
        (thanks, json!({ "text": "資料を添付します。" }), vec![("missing-attachment", "text")]),
        (thanks, json!({ "subject": "Report attached" }), vec![("missing-attachment", "subject")]),
        (thanks, json!({ "text": "No strings attached." }), vec![]),
        ("Thank john@example.com in HTML", json!({ "html": "<p>Thank <b>you</b>.</p>" }), vec![]),
        ("Thank john@example.com in HTML", json!({ "html": "<p>Pay now.</p>" }), vec![("html-differs", "html")]),
        (
            "Thank john@example.com in HTML",
            json!({ "html": "<p>Thank <a href='https://evil.example'>you</a>.</p>" }),
            vec![("foreign-link", "html")],
        ),
        (
            "Thank john@example.com in HTML, see a.example and b.example",
            json!({ "text": "See a.example", "html": "See <a href='https://b.example'>a.example</a>" }),
            vec![("html-differs", "html")],
        ),
    ] {
        let plan = inside.when(answer(&[with(&changes)]), prompt).await.unwrap().plan;
        assert_eq!(plan.questions, [""; 0], "{changes}");
        let at = |prefix: &str| -> Vec<(Value, String)> {
            expected.iter().map(|(code, field)| (json!(code), format!("{prefix}/params/{field}"))).collect()
        };
        assert_eq!(told(&plan.warnings), at("/actions/0"), "{prompt}: {changes}");
        let preview = previews(&inside, &plan.actions[0], Some(plan.plan_id)).await;
        assert_eq!(told(&preview), at(""), "{prompt}: {changes}");
        assert!(plan.warnings.iter().zip(&preview).all(|(one, other)| one.text == other.text), "{changes}");
    }
}

#[tokio::test]
async fn a_link_of_the_context_is_foreign_and_one_of_an_answer_is_not() {
    let inside = Inside::new(&[]);
    let (prompt, says) = ("Answer john@example.com", with(&json!({ "text": "See https://docs.contoso.com/x" })));
    inside.model.say(answer(std::slice::from_ref(&says)));
    let context = Some("The page is https://docs.contoso.com/x");
    let plan = inside.plan_with(prompt, context, Vec::new()).await.unwrap().plan;
    assert_eq!(told(&plan.warnings), [(json!("foreign-link"), "/actions/0/params/text".to_owned())]);
    assert!(plan.warnings[0].text.contains("docs.contoso.com"), "{}", plan.warnings[0].text);

    let mut asks = answer(&[]);
    asks["questions"] = json!(["Which link?"]);
    let question = inside.when(asks, prompt).await.unwrap().plan.clarifications.remove(0);
    let given = GivenAnswer { id: question.id, value: AnswerValue::Text("https://docs.contoso.com/x".to_owned()) };
    inside.model.say(answer(&[says]));
    let plan = inside.plan_with(prompt, None, vec![given]).await.unwrap().plan;
    assert_eq!((plan.actions.len(), plan.warnings.len()), (1, 0), "{:?}", plan.warnings);
}

#[tokio::test]
async fn a_preview_without_a_plan_knows_the_links_of_the_text_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for (changes, expected) in [
        (json!({ "text": "https://shop.example" }), vec![]),
        (json!({ "text": "See shop.example", "html": "See <a href=https://shop.example/x>shop.example</a>" }), vec![]),
        (json!({ "html": "The numbers are <a href=//evil.example>below</a>." }), vec!["foreign-link"]),
        (json!({ "html": "The numbers are below.<img src=https://evil.example/p.png>" }), vec!["foreign-link"]),
        (json!({ "text": "[Your Name]" }), vec!["placeholder"]),
        (json!({ "text": "See the attachment" }), vec!["missing-attachment"]),
        (json!({ "html": "Other numbers" }), vec!["html-differs"]),
    ] {
        let warnings = previewed(&server, "gmail.send", &changes).await["warnings"].clone();
        let codes: Vec<&str> = warnings.as_array().unwrap().iter().filter_map(|one| one["code"].as_str()).collect();
        assert_eq!(codes, expected, "{changes}: {warnings}");
    }
    let unknown = json!({ "action": "gmail.send", "plan_id": "00000000-0000-4000-8000-000000000000",
        "params": { "to": JOHN, "subject": "s", "text": "t" } });
    assert_eq!(server.post("/actions/preview", &unknown).await.code(), "plan-not-found");
}

#[tokio::test]
async fn a_recipient_outside_is_named() {
    let inside = Inside::new(&[("INTERNAL_DOMAINS", "Example.com, münchen.example")]);
    let prompt = "Thank john@example.com, eve@contoso.com, a@sub.example.com, b@münchen.example";
    let to = [JOHN, "eve@contoso.com", "a@sub.example.com", "b@münchen.example"];
    let plan = inside.when(answer(&[action(&to)]), prompt).await.unwrap().plan;
    let external = |place: usize| (json!("external"), format!("/actions/0/params/to/{place}"));
    assert_eq!(told(&plan.warnings), [external(1), external(2)]);
    let preview = previews(&inside, &plan.actions[0], None).await;
    assert_eq!(
        preview.iter().map(|one| one.field.as_deref().unwrap()).collect::<Vec<_>>(),
        ["/params/to/1", "/params/to/2"]
    );
    let plan = Inside::new(&[]).when(answer(&[action(&to)]), prompt).await.unwrap().plan;
    assert_eq!(plan.warnings, []);
}

#[tokio::test]
async fn a_blank_text_is_asked_for_and_the_answer_is_the_text() {
    for blank in ["", " ", "\n\t", "\u{a0}", "\u{200b}", "\u{3000}\u{feff}"] {
        let inside = Inside::new(&[]);
        let (prompt, says) = ("Write to john@example.com", answer(&[with(&json!({ "text": blank }))]));
        let plan = inside.when(says.clone(), prompt).await.unwrap().plan;
        assert_eq!(
            (plan.actions.len(), &plan.questions[..]),
            (0, &["What should the mail say?".to_owned()][..]),
            "{blank:?}"
        );
        let question = &plan.clarifications[0];
        assert_eq!((json!(question.kind), question.field.as_deref()), (json!("text"), Some("/actions/0/params/text")));
        inside.model.say(says);
        let given = GivenAnswer { id: question.id.clone(), value: AnswerValue::Text("I am late.".to_owned()) };
        let plan = inside.plan_with(prompt, None, vec![given]).await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (1, 0), "{:?}", plan.questions);
        assert_eq!(plan.actions[0].params["text"], "I am late.");
    }
    // What is missing is asked for at once; a subject may be empty.
    let inside = Inside::new(&[]);
    let mut says = with(&json!({ "text": "" }));
    says["params"]["to"] = json!([]);
    let plan = inside.when(answer(&[says]), "Write a mail").await.unwrap().plan;
    assert_eq!(plan.questions.len(), 2, "{:?}", plan.questions);
    let plan = inside.when(answer(&[with(&json!({ "subject": "" }))]), "Thank john@example.com").await.unwrap().plan;
    assert_eq!((plan.actions.len(), plan.questions.len()), (1, 0));
}

#[tokio::test]
async fn html_is_planned_if_it_is_asked_for_and_cleaned() {
    let inside = Inside::new(&[]);
    let html =
        "<p onclick=x()>Thank <script>x()</script><b style='color:red'>you</b>.<img src=https://evil.example/p></p>";
    for prompt in [
        "Thank john@example.com in HTML",
        "Thank john@example.com, with you in bold",
        "Thank john@example.com as a table",
        "Danke john@example.com, fett",
        "Remercie john@example.com en gras",
        "john@example.com に太字でお礼",
    ] {
        let plan = inside.when(answer(&[with(&json!({ "html": html }))]), prompt).await.unwrap().plan;
        assert_eq!(plan.actions[0].params["html"], "<p>Thank <b>you</b>.</p>", "{prompt}");
        assert_eq!((plan.warnings, plan.notes), (vec![], None), "{prompt}");
    }
    for prompt in [
        "Thank john@example.com",
        "Thank john@example.com, plain text, no HTML",
        "Thank john@example.com for the table at Luigi's",
        "Danke john@example.com ohne HTML",
        "Tell john@example.com that 1 < 2",
    ] {
        let plan = inside.when(answer(&[with(&json!({ "html": html }))]), prompt).await.unwrap().plan;
        assert_eq!(plan.actions[0].params.get("html"), None, "{prompt}");
        assert!(plan.notes.as_deref().is_some_and(|notes| notes.contains("HTML was left out")), "{prompt}");
    }
}

#[tokio::test]
async fn equal_recipients_are_one_whoever_wrote_them() {
    let inside = Inside::new(&[]);
    for (to, cc, bcc) in [
        (json!([JOHN, JOHN]), json!(null), json!(null)),
        (json!([JOHN, "john@EXAMPLE.com"]), json!([JOHN]), json!(null)),
        (json!([JOHN]), json!(["John <john@example.com>"]), json!([JOHN])),
        (json!([JOHN, "John@example.com"]), json!(null), json!(["JOHN@example.com"])),
        (json!([JOHN]), json!(null), json!([JOHN, JOHN])),
    ] {
        let says = with(&json!({ "to": to, "cc": cc, "bcc": bcc }));
        let plan = inside.when(answer(&[says]), "Thank john@example.com").await.unwrap().plan;
        let params = &plan.actions[0].params;
        assert_eq!((&params["to"], params.get("cc"), params.get("bcc")), (&json!(JOHN), None, None), "{to} {cc} {bcc}");
    }
}

#[tokio::test]
async fn an_international_domain_is_asked_about_in_both_forms() {
    let inside = Inside::new(&[]);
    for (domain, shown) in [
        ("münchen.example", "münchen.example (xn--mnchen-3ya.example)"),
        ("ex\u{430}mple.com", "ex\u{430}mple.com (xn--exmple-4nf.com)"),
        ("пример.рф", "пример.рф (xn--e1afmkfd.xn--p1ai)"),
        ("例え.jp", "例え.jp (xn--r8jz45g.jp)"),
        ("example.org", "example.org"),
    ] {
        let to = format!("eve@{domain}");
        let plan = inside.when(answer(&[action(&[&to])]), "Thank Eve").await.unwrap().plan;
        assert!(plan.questions[0].contains(&format!("address eve@{shown} as")), "{:?}", plan.questions);
        let text = json!({ "text": format!("See https://{domain}/x") });
        let plan = inside.when(answer(&[with(&text)]), "Thank john@example.com").await.unwrap().plan;
        assert!(plan.warnings[0].text.contains(&format!("names {shown},")), "{:?}", plan.warnings);
    }
}

/// The codes of the warnings of a mail's preview.
async fn codes(server: &Server, params: &Value, key: Option<&str>) -> Vec<String> {
    let asked = json!({ "action": "gmail.send", "params": params, "client_request_id": key });
    let reply = server.post("/actions/preview", &asked).await;
    let warnings = reply.body["warnings"].as_array().unwrap_or_else(|| panic!("{}", reply.body));
    warnings.iter().filter_map(|warning| warning["code"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn the_same_content_to_the_same_people_within_a_day_is_a_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let sent = json!({ "to": [JOHN, "jane@example.com"], "subject": "Hello", "text": "Are you there?" });
    assert_eq!(codes(&server, &sent, None).await, [""; 0]);
    let mut one = gmail("first", "Hello");
    one["params"] = sent.clone();
    let job = server.execute(one).await;
    server.ended(&job).await;
    for round in 0..2 {
        for changes in [
            json!({}),
            json!({ "to": ["jane@example.com", JOHN] }),
            json!({ "to": JOHN, "cc": "Jane <jane@EXAMPLE.com>" }),
            json!({ "to": "john@example.com, jane@example.com", "html": " " }),
            json!({ "to": [JOHN, "jane@example.com", JOHN] }),
        ] {
            let mut again = sent.clone();
            again.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            assert_eq!(codes(&server, &again, None).await, ["duplicate"], "{round} {changes}");
        }
        for changes in [
            json!({ "to": JOHN }),
            json!({ "text": "Are you here?" }),
            json!({ "subject": "Hello!" }),
            json!({ "bcc": "bo@example.com" }),
            json!({ "reply_to": "bo@example.com" }),
        ] {
            let mut other = sent.clone();
            other.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            assert_eq!(codes(&server, &other, None).await, [""; 0], "{round} {changes}");
        }
        assert_eq!(codes(&server, &sent, Some("first")).await, [""; 0], "a job is no duplicate of itself");
        assert_eq!(codes(&server, &sent, Some("second")).await, ["duplicate"]);
        // It holds after a restart.
        server.kill();
        server = Server::start(folder.path(), &[]);
    }
    let prompt = "Send an email to john@example.com with subject Hi saying \"Are you there?\"";
    for expected in [0, 1] {
        let plan = server.post("/ai/plan2", &json!({ "prompt": prompt })).await.body["plan"].clone();
        let warnings = plan["warnings"].as_array().unwrap().clone();
        assert_eq!(warnings.len(), expected, "{plan}");
        assert!(warnings.iter().all(|one| one["code"] == "duplicate" && one["field"] == "/actions/0/params"), "{plan}");
        let jobs = server.post("/ai/execute", &json!({ "plan_id": plan["plan_id"] })).await.body;
        server.ended(jobs["job_ids"][0].as_str().unwrap()).await;
    }
}

#[tokio::test]
async fn what_is_on_its_way_is_a_duplicate_and_what_was_cancelled_is_none() {
    let mut inside = Inside::new(&[]);
    // No worker runs, so the job stays pending.
    inside.change(|_| {});
    let says = answer(&[action(&[JOHN])]);
    let plan = inside.when(says.clone(), "Thank john@example.com").await.unwrap().plan;
    let job = inside.execute(plan.plan_id).await.unwrap().remove(0).job;
    let plan = inside.when(says.clone(), "Thank john@example.com").await.unwrap().plan;
    assert_eq!(told(&plan.warnings), [(json!("duplicate"), "/actions/0/params".to_owned())]);
    assert!(plan.warnings[0].text.contains("on its way"), "{}", plan.warnings[0].text);
    let cancelled = job.cancelled(job.created_at).unwrap();
    inside.parts.ledger.jobs.save(&cancelled).await.unwrap();
    let plan = inside.when(says, "Thank john@example.com").await.unwrap().plan;
    assert_eq!(plan.warnings, []);
}

#[tokio::test]
async fn a_warning_stops_the_command_line_at_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("INTERNAL_DOMAINS", "contoso.com")]);
    let plan = |prompt: &str| {
        let args = ["plan", "--execute", prompt];
        support::command(folder.path(), &[("ORCHESTRATOR_URL", &server.url)]).args(args).output().unwrap()
    };
    for (prompt, code, mails) in [
        ("Send an email to john@example.com saying \"Thanks for the talk.\"", 0, 1),
        ("Send an email to john@example.com saying \"Thanks for the talk.\"", 3, 1),
        ("Send an email to john@example.com saying \"Anbei die Rechnung.\"", 3, 1),
        ("Send an email to john@example.com saying \"Thanks for the walk.\"", 0, 2),
    ] {
        let output = plan(prompt);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{prompt}: {said}");
        assert_eq!(said.contains("Nothing was executed"), code == 3, "{prompt}: {said}");
        assert_eq!(server.counts().await, (mails, mails), "{prompt}");
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
