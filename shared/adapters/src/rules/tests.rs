use domain::{Address, AnswerValue, ClarificationKind};
use proptest::prelude::*;

use super::*;

mod sentences;

fn ids(allowed: &[&str]) -> Vec<ActionId> {
    allowed.iter().map(|id| id.parse().unwrap()).collect()
}

fn both() -> Vec<ActionId> {
    ids(&["gmail.send", "outlook.send"])
}

fn plan_of(prompt: &str) -> Value {
    plan(prompt, &both(), &[])
}

/// Somebody of a plan: an address, `?` and the name that is looked up, or `@` and day, hour and title of an event.
fn who(plan: &Value, person: &Value) -> String {
    let Some(reference) = person["$ref"].as_str() else { return person.as_str().unwrap().to_owned() };
    let (id, part) = reference.split_once('.').unwrap();
    let found = plan["lookups"].as_array().unwrap().iter().find(|lookup| lookup["id"] == id).unwrap();
    let said = |field: &str| found[field].as_str().unwrap_or("null").to_owned();
    match (part, found["find"].as_str().unwrap()) {
        ("address", "contact") => format!("?{}", said("name")),
        ("attendees", "event") => format!("@{},{},{}", said("day"), said("at"), said("title")),
        _ => panic!("{reference} is no part of {found}"),
    }
}

/// A plan with a line for each mail: `gmail a@x.com cc:c@x.com | Subject | Text @ tomorrow at 9`; or `ask`, or `none`.
fn told(plan: &Value) -> Vec<String> {
    let mail = |action: &Value| {
        let params = &action["params"];
        if let Some(calendar) = action["action"].as_str().unwrap().strip_suffix(".create_event") {
            let people = params["attendees"].as_array().unwrap().iter().map(|to| who(plan, to));
            let people = people.collect::<Vec<_>>().join(",");
            let said = |field: &str| params[field].as_str().unwrap();
            let line = format!("{calendar} {people} | {} | {} | {}", said("title"), said("start"), params["minutes"]);
            return line.replace("  ", " ");
        }
        let mut line = action["action"].as_str().unwrap().trim_end_matches(".send").to_owned();
        for (field, label) in [("to", ""), ("cc", "cc:"), ("bcc", "bcc:"), ("reply_to", "reply_to:")] {
            let people: Vec<String> = params[field].as_array().into_iter().flatten().map(|to| who(plan, to)).collect();
            if !people.is_empty() {
                line = format!("{line} {label}{}", people.join(","));
            }
        }
        let at = action["send_at"].as_str().map(|at| format!(" @ {at}")).unwrap_or_default();
        format!("{line} | {} | {}{at}", params["subject"].as_str().unwrap(), params["text"].as_str().unwrap())
    };
    let actions = plan["actions"].as_array().unwrap();
    match (actions.is_empty(), plan["questions"].as_array().unwrap().is_empty()) {
        (false, _) => actions.iter().map(mail).collect(),
        (true, false) => vec!["ask".to_owned()],
        (true, true) => vec!["none".to_owned()],
    }
}

fn check<'a>(cases: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) {
    let mut wrong = Vec::new();
    for (prompt, expected) in cases {
        let plan = plan_of(prompt);
        let complete = plan["actions"] == json!([]) || (plan["questions"] == json!([]) && plan["confidence"] == 1.0);
        if told(&plan) != expected || !complete {
            wrong.push(format!("{prompt:?}\n  wanted {expected:?}\n  got    {plan}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_request_that_is_understood_to_the_last_word_is_planned() {
    check(sentences::PLANNED.iter().map(|(prompt, mails)| (*prompt, mails.split(" ++ ").collect())));
}

#[test]
fn an_event_is_planned_if_every_word_of_its_request_is_understood() {
    let planned = sentences::EVENTS.iter().map(|(prompt, _)| told(&plan(prompt, &all(), &[])));
    let wanted = sentences::EVENTS.iter().map(|(_, line)| vec![(*line).to_owned()]);
    assert_eq!(planned.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    for prompt in sentences::NO_EVENTS {
        assert_ne!(plan(prompt, &all(), &[])["intent"], "create_event", "{prompt}");
    }
    let (prompt, _) = sentences::EVENTS[0];
    assert_ne!(plan_of(prompt)["intent"], "create_event", "it is not allowed");
    let outlook = plan(prompt, &ids(&["outlook.create_event"]), &[]);
    assert_eq!((&outlook["actions"][0]["provider"], told(&outlook).len()), (&json!("microsoft"), 1));
}

#[test]
fn a_request_that_is_not_understood_to_the_last_word_is_a_question() {
    check(sentences::ASKED.iter().map(|prompt| (*prompt, vec!["ask"])));
}

#[test]
fn a_prompt_that_asks_for_no_mail_gets_a_note() {
    check(sentences::NOT_A_MAIL.iter().map(|prompt| (*prompt, vec!["none"])));
    assert!(plan_of("Turn the radio on")["notes"].as_str().unwrap().contains("English requests"));
    assert!(plan_of("Don't email ana@example.com")["notes"].as_str().unwrap().contains("English requests"));
}

#[test]
fn an_account_that_is_not_allowed_is_never_replaced_by_another() {
    for (allowed, prompt, expected, note) in [
        (&["gmail.send"][..], "Use Outlook to tell ana@example.com: hello", "none", "outlook.send is not allowed"),
        (&["outlook.send"], "mail ana@example.com via gmail saying hello", "none", "gmail.send is not allowed"),
        (&["outlook.send"], "mail ana@example.com: hello", "outlook ana@example.com | hello | hello", ""),
        (&["files.list"], "mail ana@example.com: hello", "none", "Sending mail is not allowed"),
    ] {
        let plan = plan(prompt, &ids(allowed), &[]);
        assert_eq!(told(&plan), [expected], "{prompt}");
        assert!(plan["notes"].as_str().unwrap_or_default().contains(note), "{plan}");
    }
}

#[test]
fn a_mail_that_no_provider_takes_is_not_planned() {
    let people: Vec<String> = (0..51).map(|i| format!("p{i}@example.com")).collect();
    assert_eq!(told(&plan_of(&format!("tell {} that we moved", people.join(", ")))), ["none"]);
    assert_eq!(told(&plan_of(&format!("tell {} that we moved", people[1..].join(", ")))).len(), 1);
    let separately = format!("email {} separately saying \"hi\"", people[..11].join(", "));
    let answers = [answered(&plan_of(&separately)["questions"][0], AnswerValue::Text("each".to_owned()))];
    let plan = plan(&separately, &both(), &answers);
    assert_eq!((told(&plan), plan["notes"].is_string()), (vec!["none".to_owned()], true));
}

#[test]
fn the_confidence_is_the_share_of_words_that_were_understood() {
    for (prompt, confidence) in [
        ("mail ana@example.com: hi", 1.0),
        ("Send an email to max@example.com", 1.0),
        ("email ana@example.com strawberry fields saying \"hi\"", 4.0 / 6.0),
        ("Play some jazz", 0.0),
    ] {
        let got = plan_of(prompt)["confidence"].as_f64().unwrap();
        assert!((got - confidence).abs() < 1e-9, "{prompt}: {got}");
    }
}

#[tokio::test]
async fn it_answers_as_a_model_does() {
    let planner = RulesPlanner;
    let request = ModelRequest {
        instructions: String::new(),
        prompt: "mail ana@example.com saying the kettle is on".to_owned(),
        message: String::new(),
        schema: json!({}).into(),
        actions: ids(&["gmail.send"]),
        answers: Vec::new(),
        timeout: std::time::Duration::from_secs(1),
    };
    let answer = planner.ask(&request).await.unwrap();
    let Finish::Text(text) = answer.finish else { panic!("no text") };
    let plan: Value = serde_json::from_str(&text).unwrap();
    let params = json!({ "to": ["ana@example.com"], "subject": "The kettle is on", "text": "the kettle is on",
        "html": null, "cc": null, "bcc": null, "reply_to": null });
    assert_eq!(
        plan,
        json!({ "intent": "send_email", "confidence": 1.0, "lookups": [], "questions": [], "notes": null,
            "actions": [{ "provider": "google", "action": "gmail.send", "params": params, "send_at": null }] })
    );
    assert_eq!((planner.name(), planner.max_output_tokens(), answer.usage), ("offline-rules", None, Usage::default()));
}

// Answers

fn answered(question: &Value, value: AnswerValue) -> Answered {
    Answered { question: serde_json::from_value(question.clone()).unwrap(), value }
}

/// An answer that its kind allows; `yes` says which of two.
fn any_answer(question: &Value, yes: bool) -> AnswerValue {
    match serde_json::from_value(question["kind"].clone()).unwrap() {
        ClarificationKind::Address => AnswerValue::Text("zora@example.net".to_owned()),
        ClarificationKind::Text => AnswerValue::Text("zebra stripes".to_owned()),
        ClarificationKind::Confirm => AnswerValue::Bool(yes),
        ClarificationKind::Choice => {
            let options = question["options"].as_array().unwrap();
            AnswerValue::Text(options[usize::from(!yes)]["value"].as_str().unwrap().to_owned())
        }
    }
}

fn identity(question: &Value) -> String {
    json!([question["kind"], question["about"], question["topic"]]).to_string()
}

/// Every word of `text`, in lower case and without marks.
fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Answers every question until none is left; gives the last plan and the topics.
fn answer_all(prompt: &str, yes: bool) -> (Value, Vec<String>) {
    let (mut answers, mut topics, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let plan = plan(prompt, &both(), &answers);
        let Some(question) = plan["questions"].as_array().unwrap().first().cloned() else { return (plan, topics) };
        assert!(!seen.contains(&identity(&question)), "{prompt:?} asks twice: {question}");
        seen.push(identity(&question));
        topics.push(question["topic"].as_str().unwrap().to_owned());
        answers.push(answered(&question, any_answer(&question, yes)));
    }
}

#[test]
fn every_question_can_be_answered_and_then_the_plan_stands_or_says_why_not() {
    let mut topics: Vec<String> = Vec::new();
    for prompt in sentences::ASKED {
        for yes in [true, false] {
            let (plan, asked) = answer_all(prompt, yes);
            topics.extend(asked);
            let actions = plan["actions"].as_array().unwrap();
            assert!(!actions.is_empty() || plan["notes"].is_string(), "{prompt:?}: {plan}");
            assert!(
                !(yes && actions.is_empty()) || plan["notes"].as_str().unwrap().contains("only"),
                "{prompt:?}: {plan}"
            );
            // No word of ours in a mail: all of them are in the prompt or in an answer.
            let allowed = words_of(&format!("{prompt} zebra stripes"));
            for action in actions {
                let said = format!("{} {}", action["params"]["subject"], action["params"]["text"]);
                let said: String = serde_json::from_str(&format!("[{}]", said.replace("\" \"", "\",\"")))
                    .map(|list: Vec<String>| list.join(" "))
                    .unwrap();
                assert!(words_of(&said).iter().all(|word| allowed.contains(word)), "{prompt:?}: {plan}");
            }
        }
    }
    topics.sort();
    topics.dedup();
    assert_eq!(
        topics,
        [
            "at-once",
            "attachment",
            "condition",
            "mention",
            "not-understood",
            "one-or-each",
            "part-of-text",
            "recipient",
            "text",
        ],
        "every question that the planner can ask is among the sentences"
    );
}

#[test]
fn an_answer_is_used_where_it_was_asked_for() {
    for (prompt, answers, expected) in [
        (
            "Send my sister a mail saying I am late",
            vec![json!("maria@example.com")],
            "gmail maria@example.com | I am late | I am late",
        ),
        (
            "mail ana@example.com, cc me, saying it works",
            vec![json!("me@example.com")],
            "gmail ana@example.com cc:me@example.com | It works | it works",
        ),
        (
            "email ana@example.com",
            vec![json!("The keys: under the mat")],
            "gmail ana@example.com | The keys: under the mat | The keys: under the mat",
        ),
        (
            "email ana@example.com apologizing for the delay",
            vec![json!("sorry")],
            "gmail ana@example.com | sorry | sorry",
        ),
        (
            "Email ana@example.com with report.pdf attached saying it is done",
            vec![json!(true)],
            "gmail ana@example.com | It is done | it is done",
        ),
        ("Email ana@example.com with report.pdf attached saying it is done", vec![json!(false)], "none"),
        (
            "Email a@example.com and b@example.com separately saying hello",
            vec![json!("each")],
            "gmail a@example.com | Hello | hello ++ gmail b@example.com | Hello | hello",
        ),
        (
            "Email a@example.com and b@example.com separately saying hello",
            vec![json!("one")],
            "gmail a@example.com,b@example.com | Hello | hello",
        ),
        (
            "Tell dev@example.com: all green. Copy ops@example.com",
            vec![json!("instruction")],
            "gmail dev@example.com cc:ops@example.com | all green | all green.",
        ),
        (
            "Tell dev@example.com: all green. Copy ops@example.com",
            vec![json!("text"), json!(true)],
            "gmail dev@example.com | all green. Copy ops@example.com | all green. Copy ops@example.com",
        ),
        (
            "Email ana@example.com saying hello via Outlook",
            vec![json!("instruction")],
            "outlook ana@example.com | Hello | hello",
        ),
        (
            "Email ana@example.com saying hello via Outlook",
            vec![json!("text")],
            "gmail ana@example.com | Hello via Outlook | hello via Outlook",
        ),
        (
            "Email ana@example.com via gmail and outlook saying hello",
            vec![json!(true)],
            "gmail ana@example.com | Hello | hello",
        ),
        (
            "If it rains, email ana@example.com that we stay",
            vec![json!(true)],
            "gmail ana@example.com | We stay | we stay",
        ),
        (
            "mail john@example.com--say",
            vec![json!("john@example.com"), json!("hi")],
            "gmail john@example.com | hi | hi",
        ),
    ] {
        let mut given: Vec<Answered> = Vec::new();
        for value in answers {
            let question = plan(prompt, &both(), &given)["questions"][0].clone();
            given.push(answered(&question, serde_json::from_value(value).unwrap()));
        }
        let plan = plan(prompt, &both(), &given);
        assert_eq!(told(&plan), expected.split(" ++ ").collect::<Vec<_>>(), "{prompt}: {plan}");
    }
}

// Any text

/// Every action that the rules plan.
fn all() -> Vec<ActionId> {
    ids(&["gmail.send", "outlook.send", "calendar.create_event", "outlook.create_event"])
}

/// What must hold of any plan: its mails are valid, their addresses are whole ones of the prompt, and so are the names that
/// it looks up. So are the people of its events.
fn holds(prompt: &str) -> Result<(), TestCaseError> {
    let plan = plan(prompt, &all(), &[]);
    let sample: Address = SAMPLE.parse().unwrap();
    for lookup in plan["lookups"].as_array().unwrap() {
        let said = ["name", "title"].into_iter().filter_map(|field| lookup[field].as_str());
        let mut words = said.flat_map(str::split_whitespace);
        prop_assert!(words.all(|word| prompt.contains(word)), "{prompt:?} gives {lookup}");
    }
    let named: Vec<Address> = mentions(prompt).into_iter().map(|mention| mention.address).collect();
    for action in plan["actions"].as_array().unwrap() {
        let mut params = action["params"].clone();
        for person in params.as_object_mut().unwrap().values_mut().filter_map(Value::as_array_mut).flatten() {
            if person.is_object() {
                prop_assert!(who(&plan, person).starts_with(['?', '@']));
                *person = json!(SAMPLE);
            }
        }
        if let Some(attendees) = params["attendees"].as_array() {
            let mut attendees = attendees.iter().map(|person| person.as_str().unwrap().parse().unwrap());
            prop_assert!(
                attendees.all(|address| named.contains(&address) || address == sample),
                "{prompt:?}: {action}"
            );
            let mut words = ["title", "start"].into_iter().flat_map(|field| params[field].as_str().unwrap().split(' '));
            let is_said = |word: &str| prompt.to_lowercase().contains(&word.trim_end_matches(',').to_lowercase());
            prop_assert!(words.all(is_said), "{prompt:?} gives {action}");
            continue;
        }
        let mail = Mail::parse(&params, &Mail::FIELDS);
        prop_assert!(mail.is_ok(), "{prompt:?} gives {mail:?}");
        let mail = mail.unwrap();
        for address in mail.address_fields().into_iter().flat_map(|(_, people)| people) {
            prop_assert!(named.contains(address) || *address == sample, "{address} is not in {prompt:?}");
        }
        prop_assert!(prompt.contains(&mail.text), "{prompt:?} gives {}", mail.text);
        prop_assert_eq!(&plan["questions"], &json!([]));
    }
    Ok(())
}

/// Pieces of requests, glued in any order.
fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(sentences::PIECES.split('|').map(str::to_owned).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(800) })]

    #[test]
    fn any_text_gives_a_plan(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn any_salad_of_known_words_gives_a_plan(words in prop::collection::vec(piece(), 0..24), spaces in prop::bool::weighted(0.9)) {
        holds(&words.join(if spaces { " " } else { "" }))?;
    }
}

#[test]
fn a_prompt_of_the_greatest_length_is_planned_whatever_it_repeats() {
    for piece in sentences::PIECES.split('|') {
        for head in ["", "email a@example.com saying "] {
            holds(&format!("{head}{}", format!("{piece} ").repeat(32 * 1024 / (piece.len() + 1)))).unwrap();
        }
    }
}
