use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::{sentences, *};

fn ids(allowed: &[&str]) -> Vec<ActionId> {
    allowed.iter().map(|id| id.parse().unwrap()).collect()
}

fn plan_of(prompt: &str) -> Value {
    plan(prompt, &ids(&["gmail.send", "outlook.send"]))
}

/// A plan in a line: `gmail a@x.com,b@x.com cc:c@x.com | Subject | Text`, or `ask`, or `none`.
fn told(plan: &Value) -> Vec<String> {
    let list = |params: &Value, field: &str| {
        let people = params[field].as_array().map(Vec::as_slice).unwrap_or_default();
        people.iter().map(|a| a.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
    };
    let mail = |action: &Value| {
        let params = &action["params"];
        let mut line =
            format!("{} {}", action["action"].as_str().unwrap().trim_end_matches(".send"), list(params, "to"));
        for field in ["cc", "bcc", "reply_to"] {
            if !params[field].is_null() {
                line = format!("{line} {field}:{}", list(params, field));
            }
        }
        format!("{line} | {} | {}", params["subject"].as_str().unwrap(), params["text"].as_str().unwrap())
    };
    let actions = plan["actions"].as_array().unwrap();
    match (actions.is_empty(), plan["questions"].as_array().unwrap().is_empty()) {
        (false, _) => actions.iter().map(mail).collect(),
        (true, false) => vec!["ask".to_owned()],
        (true, true) => vec!["none".to_owned()],
    }
}

fn check(cases: &[(&str, &[&str])]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(prompt, expected)| {
            let plan = plan_of(prompt);
            (told(&plan) != *expected).then(|| format!("{prompt:?}\n  wanted {expected:?}\n  got    {plan}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mails_that_are_asked_for_are_planned() {
    check(sentences::SEND);
}

#[test]
fn what_lacks_something_is_asked_about() {
    check(sentences::ASK);
}

#[test]
fn what_is_no_mail_is_left_alone() {
    check(sentences::NONE);
}

#[test]
fn an_account_that_is_not_allowed_is_never_replaced_by_another() {
    for (allowed, prompt, expected, note) in [
        (&["gmail.send"][..], "Use Outlook to tell ana@example.com hello", "none", "outlook.send is not allowed"),
        (&["outlook.send"], "mail ana@example.com via gmail saying hello", "none", "gmail.send is not allowed"),
        (&["outlook.send"], "mail ana@example.com: hello", "outlook ana@example.com | Hello | Hello.", ""),
        (
            &["gmail.send", "outlook.send"],
            "mail ana@example.com with Thunderbird saying hi",
            "none",
            "Gmail or Outlook",
        ),
        (&["files.list"], "mail ana@example.com: hello", "none", "No action that sends mail is allowed"),
    ] {
        let plan = plan(prompt, &ids(allowed));
        assert_eq!(told(&plan), [expected], "{prompt}");
        assert!(plan["notes"].as_str().unwrap_or_default().contains(note), "{plan}");
    }
}

#[test]
fn questions_name_what_is_missing() {
    for (prompt, question) in [
        ("mail Nora that I am on my way", "What is Nora's address?"),
        ("send Nora a thank-you for the meeting", "What is Nora's address?"),
        ("send my accountant an email saying the form is signed", "Which address do you mean by “my accountant”?"),
        ("email ana@example.com", "What should the mail to ana@example.com say?"),
        ("tell per@ that we won", "“per@” is not a whole address. What is the address?"),
        (
            "send ana@example.com the slides",
            "What should the mail to ana@example.com say? I can write text, but I do not have the slides.",
        ),
        (
            "mail ana@example.com and Finn that we won",
            "What is Finn's address? Until then nothing goes to ana@example.com.",
        ),
        (
            "tell ana@example.com to call bo@example.com",
            "bo@example.com stands in the text, and no mail goes to it. Is that right?",
        ),
        ("email ana@example.com but not bo@example.com saying hi", "Is it right that nothing goes to bo@example.com?"),
        (
            "send from ada@example.com to ana@example.com saying hi",
            "I cannot choose ada@example.com as the sender: mail goes out from the connected account. Is that all right? Until then nothing goes to ana@example.com.",
        ),
    ] {
        assert_eq!(plan_of(prompt)["questions"], json!([question]), "{prompt}");
    }
}

#[test]
fn what_is_left_out_or_doubtful_is_noted() {
    let said = |prompt: &str| plan_of(prompt)["notes"].as_str().unwrap_or_default().to_owned();
    assert!(said("Water the plants and email ana@example.com that I did").contains("Water the plants"));
    assert!(said("tell ana@example.com that I sent it via Outlook").contains("via Outlook"));
    assert!(said("Turn the radio on").contains("send a mail"));
}

#[test]
fn more_recipients_than_a_mail_may_have_are_asked_about() {
    let people: Vec<String> = (0..51).map(|i| format!("p{i}@example.com")).collect();
    let plan = plan_of(&format!("tell {} that we moved", people.join(", ")));
    assert_eq!(told(&plan), ["ask"]);
    assert_eq!(told(&plan_of(&format!("tell {} that we moved", people[1..].join(", ")))).len(), 1);
}

#[test]
fn long_prompts_take_no_time_to_speak_of() {
    let pieces = [
        "@",
        "a@b.co ",
        "a@b.co,",
        "cc ",
        "cc a@b.co ",
        "\"",
        "“",
        "'",
        "a ",
        "and ",
        "tomorrow ",
        "email a@b.co hi. ",
        "Then mail ",
        "to ",
        "via outlook ",
        "\n\n",
        "if ",
        "send ",
        "x",
        "saying ",
        "about ",
        "subject: ",
        "<",
        "not ",
        "let a@b.co ",
        "word-",
        "İ",
        "ﬁ",
        "at x dot ",
    ];
    for piece in pieces {
        for head in ["", "email a@example.com saying ", "send "] {
            let begun = Instant::now();
            plan_of(&format!("{head}{}", piece.repeat(32 * 1024 / piece.len())));
            // Mostly some ten milliseconds in a debug build; what grows with the square takes minutes.
            assert!(begun.elapsed() < Duration::from_secs(10), "{head}{piece}… takes {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn it_answers_as_a_model_does() {
    let planner = OfflinePlanner::new();
    let request = ModelRequest {
        instructions: String::new(),
        prompt: "mail ana@example.com: the kettle is on".to_owned(),
        message: String::new(),
        schema: json!({}),
        actions: ids(&["gmail.send"]),
        timeout: Duration::from_secs(1),
    };
    let answer = planner.ask(&request).await.unwrap();
    let Finish::Text(text) = answer.finish else { panic!("no text") };
    let plan: Value = serde_json::from_str(&text).unwrap();
    let params = json!({ "to": ["ana@example.com"], "subject": "The kettle is on", "text": "The kettle is on.",
        "html": null, "cc": null, "bcc": null, "reply_to": null });
    assert_eq!(
        plan,
        json!({ "intent": "send_email", "confidence": 0.9, "questions": [], "notes": null,
            "actions": [{ "provider": "google", "action": "gmail.send", "params": params }] })
    );
    assert_eq!((planner.name(), planner.max_output_tokens(), answer.usage), ("offline-rules", None, Usage::default()));
}

/// What must hold of any plan: its mails are valid, its addresses stand in the prompt, and every
/// address of the prompt is in a mail or a question, if there is any.
fn holds(prompt: &str) -> Result<(), TestCaseError> {
    let plan = plan_of(prompt);
    let spec = |address: &Address| address.addr_spec().to_ascii_lowercase();
    let named: Vec<String> = mentions(prompt).iter().map(|m| spec(&m.address)).collect();
    let mut placed: Vec<String> = Vec::new();
    for action in plan["actions"].as_array().unwrap() {
        let mail = domain::Mail::parse(&action["params"]);
        prop_assert!(mail.is_ok(), "{prompt:?} gives {mail:?}");
        for (_, people) in mail.unwrap().address_fields() {
            placed.extend(people.iter().map(spec));
        }
    }
    for address in &placed {
        prop_assert!(named.contains(address), "{address} is not in {prompt:?}");
    }
    let questions: Vec<&str> = plan["questions"].as_array().unwrap().iter().map(|q| q.as_str().unwrap()).collect();
    placed.extend(questions.iter().flat_map(|q| mentions(q)).map(|m| spec(&m.address)));
    let planned = !plan["actions"].as_array().unwrap().is_empty();
    prop_assert!(
        !planned || named.len() > 10 || questions.len() > 20 || named.iter().all(|address| placed.contains(address)),
        "{prompt:?} loses an address: {plan}"
    );
    Ok(())
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "send",
        "email",
        "Mail",
        "tell",
        "let",
        "know",
        "ask",
        "remind",
        "thank",
        "reply",
        "to",
        "that",
        "saying",
        "about",
        "and",
        "then",
        ",",
        ".",
        ":",
        ";",
        "?",
        "\n",
        "\n\n",
        "\"",
        "'",
        "“",
        "”",
        "a@example.com",
        "b@contoso.com",
        "<c@example.com>",
        "Zoë",
        "d@",
        "@",
        "cc",
        "bcc",
        "copy",
        "reply-to",
        "subject",
        "subject:",
        "body:",
        "with",
        "the",
        "an",
        "another one",
        "via",
        "outlook",
        "gmail",
        "Outlook:",
        "if",
        "tomorrow",
        "not",
        "don't",
        "me",
        "everyone",
        "report.pdf",
        "attach",
        "same",
        "hi",
        "lunch is off",
        "dass",
        "que",
        "qu'il",
        "à",
        "an",
        "Schicke",
        "Envía",
        "at",
        "dot",
        "com",
        "(",
        ")",
        "#",
        "ß",
        "İ",
        "ŉ",
        "🙂",
        "\u{0}",
        "\u{2028}",
        "\u{301}",
        "from",
        "my",
        "in copy",
        "1.",
        "-",
        "use",
        "it",
        "for",
        "please",
        "draft",
        "forward",
        "To:",
        "should be",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_text_gives_a_plan(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn any_salad_of_its_words_gives_a_plan(words in prop::collection::vec(word(), 0..24), space in prop::bool::weighted(0.9)) {
        holds(&words.join(if space { " " } else { "" }))?;
    }
}
