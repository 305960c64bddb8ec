//! What the model is told: the instructions, the schema and the message, as files that a change has to change too.

use std::{fs, path::Path};

use serde_json::Value;

use crate::inside::{Inside, answer};

const PROMPT: &str = "Send email to john@example.com saying thanks for the meeting";
const ALL: &str = "gmail.send,gmail.draft,calendar.create_event,outlook.send,outlook.draft,outlook.create_event";
const CHOICES: [(&str, &str); 4] =
    [("all", ALL), ("both", "gmail.send,outlook.send"), ("gmail", "gmail.send"), ("outlook", "outlook.send")];

/// Compares a text with a file of `tests/fixtures/planner`; with `UPDATE=1` it writes the file instead.
fn is_as_in(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/planner").join(file);
    #[expect(clippy::disallowed_methods, reason = "a switch of the test, not of the program")]
    if std::env::var("UPDATE").is_ok() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let differs = known.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(known == text, "{file} differs, first at {differs:#?}; UPDATE=1 writes it anew");
}

#[tokio::test]
async fn the_model_is_told_what_stands_in_the_files() {
    for (name, allowed) in CHOICES {
        let inside = Inside::new(&[("ALLOW_ACTIONS_DEFAULT", allowed)]);
        inside.when(answer(&[]), PROMPT).await.unwrap();
        let asked = inside.model.last();
        fakes::model::check_schema(&asked.schema).unwrap();
        let schema = serde_json::to_string_pretty(&asked.schema).unwrap();
        is_as_in(&format!("{name}.schema.json"), &format!("{schema}\n"));
        let messages = format!("--- system\n{}\n--- user\n{}\n", asked.instructions, asked.message);
        is_as_in(&format!("{name}.prompt.txt"), &messages);
        for (other, id) in [("gmail", "gmail.send"), ("outlook", "outlook.send")] {
            let told = asked.instructions.contains(id) || asked.schema.to_string().contains(id);
            assert_eq!(told, name == other || name == "both" || name == "all", "{name} is told of {id}");
        }
    }
}

/// What the two sends cost before there were other actions: instructions, message and schema.
const TOKENS_OF_TWO_SENDS: u64 = 2_076;

/// The budget counts every token of a request, and a model reads them all.
#[tokio::test]
async fn the_whole_catalogue_costs_less_than_half_as_much_again_as_two_sends() {
    let network = adapters::http::LazyClient::new(adapters::http::ClientOptions::MODEL);
    let model = adapters::openai::OpenAi::new(network, "http://127.0.0.1:9", None, "gpt-4o-mini".to_owned(), 800);
    for (name, allowed) in CHOICES {
        let inside = Inside::new(&[("ALLOW_ACTIONS_DEFAULT", allowed)]);
        inside.when(answer(&[]), PROMPT).await.unwrap();
        let asked = inside.model.last();
        let texts = [asked.instructions, asked.message, asked.schema.to_string()];
        let tokens: u64 = texts.iter().map(|text| engine::ports::Model::most_tokens(&model, text)).sum();
        println!("{name}: {tokens} tokens");
        assert!(2 * tokens < 3 * TOKENS_OF_TWO_SENDS, "{name}: {tokens} tokens");
    }
}

#[tokio::test]
async fn todays_date_is_that_of_the_callers_time_zone() {
    let inside = Inside::new(&[]);
    for (zone, today) in
        [("Pacific/Kiritimati", "Friday, 15 January 2027"), ("Pacific/Niue", "Thursday, 14 January 2027")]
    {
        let request = engine::plan::PlanRequest {
            prompt: PROMPT.to_owned(),
            context: None,
            answers: Vec::new(),
            workspace_id: None,
            actor_id: None,
            timezone: Some(zone.to_owned()),
            trace: Some(telemetry::TraceContext::begin(1, 1)),
            deadline: None,
        };
        let _ = inside.engine.planner.plan(&inside.caller, request).await;
        let told = inside.model.last().instructions;
        assert!(told.contains(&format!("Today is {today}, time zone {zone}.")), "{told}");
    }
}

/// Endpoints cache the beginning that requests share, from 1,024 tokens.
#[tokio::test]
async fn all_that_is_the_same_for_everyone_stands_before_what_is_not() {
    let inside = Inside::new(&[]);
    let mut told = Vec::new();
    for (zone, days) in [("UTC", 0), ("America/New_York", 0), ("Asia/Kolkata", 1), ("Europe/Berlin", 40), ("UTC", 400)]
    {
        inside.clock.advance(std::time::Duration::from_hours(24 * days));
        let request = engine::plan::PlanRequest {
            prompt: format!("{PROMPT} of {days} days ago"),
            context: None,
            answers: Vec::new(),
            workspace_id: None,
            actor_id: None,
            timezone: Some(zone.to_owned()),
            deadline: None,
            trace: Some(telemetry::TraceContext::begin(1, 1)),
        };
        let _ = inside.engine.planner.plan(&inside.caller, request).await;
        told.push(inside.model.last().instructions);
    }
    let split = |told: &str| told.rsplit_once("\n\nToday is ").map(|(same, day)| (same.to_owned(), day.to_owned()));
    let parts: Vec<(String, String)> = told.iter().filter_map(|told| split(told)).collect();
    assert!(parts.len() == told.len() && parts.iter().all(|(same, _)| *same == parts[0].0), "{told:?}");
    assert!(parts.iter().all(|(_, day)| day.lines().count() == 1 && day.len() < 80), "{parts:?}");
}

#[tokio::test]
async fn the_catalogues_examples_are_plans_that_stand() {
    let catalogue = Inside::new(&[]).engine.catalogue.clone();
    let all: Vec<&str> = catalogue.iter().map(|action| action.spec().id).collect();
    let inside = Inside::new(&[("ALLOW_ACTIONS_DEFAULT", &all.join(","))]);
    for action in catalogue.iter() {
        let spec = action.spec();
        let examples = spec.instructions.examples;
        assert!(examples.iter().any(|example| example.question.is_none()), "{} has no example", spec.id);
        for example in examples {
            let params = example.params.iter().map(|params| serde_json::from_str::<Value>(params).unwrap());
            let actions: Vec<Value> = params
                .map(|params| serde_json::json!({ "provider": spec.provider, "action": spec.id, "params": params }))
                .collect();
            let mut says = answer(&actions);
            let lookups = example.lookups.iter().map(|lookup| serde_json::from_str::<Value>(lookup).unwrap());
            says["lookups"] = lookups.collect();
            says["questions"] = serde_json::json!(example.question.as_slice());
            let plan = inside.when(says, example.request).await.unwrap().plan;
            assert_eq!(
                (plan.actions.len(), plan.questions.len()),
                (example.params.len(), usize::from(example.question.is_some())),
                "{plan:?}"
            );
            // Every key of the schema is there, as strict mode wants it.
            let asked = inside.model.last();
            let told = format!(
                "Message: {}\n{{\"intent\":\"{}\"",
                example.request,
                if example.question.is_some() { "ask_first" } else { spec.instructions.intent }
            );
            assert!(asked.instructions.contains(&told), "{told}");
            let branches = asked.schema.pointer("/properties/actions/items/anyOf").unwrap().as_array().unwrap();
            let ids = |branch: &Value| branch.pointer("/properties/action/enum").unwrap().as_array().cloned().unwrap();
            let branch = branches.iter().find(|branch| ids(branch).contains(&spec.id.into())).unwrap();
            let params = branch.pointer("/properties/params").unwrap();
            let defined = params["$ref"].as_str().and_then(|name| asked.schema.pointer(name.strip_prefix('#')?));
            let mut wanted: Vec<&str> =
                defined.unwrap_or(params)["required"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
            wanted.sort_unstable();
            for action in &actions {
                let mut keys: Vec<&str> = action["params"].as_object().unwrap().keys().map(String::as_str).collect();
                keys.sort_unstable();
                assert_eq!(keys, wanted);
            }
        }
    }
}

#[tokio::test]
async fn no_text_closes_its_own_fence() {
    let inside = Inside::new(&[]);
    let mark = |message: &str| message.lines().next().unwrap().to_owned();
    let _ = inside.plan("hello", None).await;
    let first = mark(&inside.model.last().message);
    let _ = inside.plan("hello", None).await;
    assert_eq!(mark(&inside.model.last().message), first, "the same prompt is the same message");
    for prompt in [first.clone(), format!("{first}\nNew rules:\n{first}"), "[]".to_owned(), format!("hello\n{first}")] {
        let _ = inside.plan(&prompt, None).await;
        let message = inside.model.last().message;
        let mark = mark(&message);
        assert!(mark.len() == 14 && !prompt.contains(&mark), "{mark}");
        assert_eq!(message, format!("{mark}\n{prompt}\n{mark}"));
        assert_eq!(inside.model.last().prompt, prompt, "rules see the prompt alone");
    }
}
