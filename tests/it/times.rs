//! Times in prompts: both planners point at the same words, and the same moment comes of them, or a question.

use std::{fs, path::Path, sync::Arc};

use domain::{AnswerValue, Clarification, ClarificationKind, Plan};
use engine::plan::{GivenAnswer, PlanRequest};
use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    inside::{Inside, action, answer},
    support::Server,
};

/// A prompt with what becomes of it: a moment, `now`, or `ask`.
struct Case {
    now: DateTime,
    zone: String,
    prompt: String,
    /// What the model writes for the time.
    says: Option<String>,
    model: String,
    /// None where the rules do not read the language.
    rules: Option<String>,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/eval/times.jsonl");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let case = |line: &str| {
        let case: Value = serde_json::from_str(line).unwrap();
        Case {
            now: case["now"].as_str().unwrap().parse().unwrap(),
            zone: text(&case["zone"]).unwrap(),
            prompt: text(&case["prompt"]).unwrap(),
            says: text(&case["says"]),
            model: text(&case["model"]).unwrap(),
            rules: text(&case["rules"]),
        }
    };
    fs::read_to_string(path).unwrap().lines().map(case).collect()
}

/// The plan of a case at its time, in its time zone.
async fn planned(inside: &Inside, case: &Case, answers: Vec<GivenAnswer>) -> Plan {
    let now = case.now.to_zoned(TimeZone::get(&case.zone).unwrap()).unwrap();
    inside.clock.set(now.timestamp());
    let request = PlanRequest {
        prompt: case.prompt.clone(),
        context: None,
        answers,
        workspace_id: None,
        actor_id: None,
        timezone: Some(case.zone.clone()),
        deadline: None,
        trace: None,
    };
    inside.engine.planner.plan(&inside.caller, request).await.unwrap().plan
}

fn outcome(plan: &Plan) -> String {
    match &plan.actions[..] {
        [] => if plan.questions.is_empty() { "none" } else { "ask" }.to_owned(),
        [action] => match action.params["start"].as_str() {
            Some(start) => format!("begins {start}"),
            None => action.send_at.map_or("now".to_owned(), |at| at.to_string()),
        },
        _ => "several".to_owned(),
    }
}

/// Says what a model that reads the prompt so would say.
fn model_says(inside: &Inside, says: Option<&str>) {
    let mut mail = action(&["ana@example.com"]);
    mail["send_at"] = json!(says);
    inside.model.say(answer(&[mail]));
}

#[tokio::test]
async fn a_model_points_at_a_time_and_the_program_reads_it() {
    let (inside, mut wrong) = (Inside::new(&[]), Vec::new());
    for case in cases() {
        model_says(&inside, case.says.as_deref());
        let plan = planned(&inside, &case, Vec::new()).await;
        if outcome(&plan) != case.model {
            wrong.push(format!(
                "{} ({:?}): wanted {}, got {} {:?}",
                case.prompt,
                case.says,
                case.model,
                outcome(&plan),
                plan.questions
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn the_rules_point_at_the_same_times() {
    let (mut inside, mut wrong) = (Inside::new(&[]), Vec::new());
    inside.change(|parts| parts.model = Arc::new(adapters::rules::RulesPlanner));
    for case in cases() {
        let Some(wanted) = &case.rules else { continue };
        let plan = planned(&inside, &case, Vec::new()).await;
        if outcome(&plan) != *wanted {
            wrong.push(format!("{}: wanted {wanted}, got {} {:?}", case.prompt, outcome(&plan), plan.questions));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn plan_preview_and_job_tell_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let prompt = "Email john@example.com tomorrow at 9 saying hi";
    let plan = server.post("/ai/plan2", &json!({ "prompt": prompt, "timezone": "Asia/Kathmandu" })).await.body;
    let action = &plan["plan"]["actions"][0];
    assert!(action["send_at"].as_str().is_some_and(|at| at.ends_with("T09:00:00+05:45")), "{plan}");
    let shown = server.post("/actions/preview", action).await.body;
    let accepted = server.post("/ai/execute", &json!({ "plan_id": plan["plan"]["plan_id"] })).await.body;
    let job = server.get(&format!("/ai/jobs/{}", accepted["job_ids"][0].as_str().unwrap())).await.body;
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at(&shown["send_at"]), at(&action["send_at"]), "{shown}");
    assert_eq!((&job["waiting_for"], at(&job["send_at"])), (&json!("time"), at(&action["send_at"])), "{job}");
}

/// Plans, answers the one question, and plans again.
async fn answered(prompt: &str, says: &str, value: &str) -> (Clarification, Plan) {
    let inside = Inside::new(&[]);
    let case = Case {
        now: "2026-11-28T10:00".parse().unwrap(),
        zone: "Europe/Berlin".to_owned(),
        prompt: prompt.to_owned(),
        says: Some(says.to_owned()),
        model: String::new(),
        rules: None,
    };
    model_says(&inside, Some(says));
    let plan = planned(&inside, &case, Vec::new()).await;
    let [question] = &plan.clarifications[..] else { panic!("{prompt}: {plan:?}") };
    let given = GivenAnswer { id: question.id.clone(), value: AnswerValue::Text(value.to_owned()) };
    model_says(&inside, Some(says));
    (question.clone(), planned(&inside, &case, vec![given]).await)
}

#[tokio::test]
async fn an_answer_says_when_to_send() {
    for (prompt, says, value, wanted) in [
        (
            "Email ana@example.com on Saturday at noon saying hi",
            "Saturday at noon",
            "2026-12-05T12:00:00+01:00",
            "2026-12-05T12:00:00+01:00",
        ),
        ("Email ana@example.com on Saturday at noon saying hi", "Saturday at noon", "now", "now"),
        ("Email ana@example.com tomorrow saying hi", "tomorrow", "at 9", "2026-11-29T09:00:00+01:00"),
        ("Email ana@example.com tomorrow saying hi", "tomorrow", "9:15", "2026-11-29T09:15:00+01:00"),
        ("Email ana@example.com tomorrow saying hi", "tomorrow", "on Monday at 10", "2026-11-30T10:00:00+01:00"),
        ("Email ana@example.com tomorrow saying hi", "tomorrow at 9", "9", "2026-11-29T09:00:00+01:00"),
        ("Email ana@example.com soon saying hi", "soon", "in two hours", "2026-11-28T12:00:00+01:00"),
        ("Email ana@example.com soon saying hi", "soon", "Now", "now"),
        ("Email ana@example.com saying hi tomorrow at 9", "tomorrow at 9", "send", "2026-11-29T09:00:00+01:00"),
        ("Email ana@example.com saying hi tomorrow at 9", "tomorrow at 9", "text", "now"),
    ] {
        let (question, plan) = answered(prompt, says, value).await;
        let kind = if question.options.is_some() { ClarificationKind::Choice } else { ClarificationKind::Text };
        assert_eq!(question.kind, kind);
        assert_eq!(outcome(&plan), wanted, "{prompt} {says} {value}: {:?}", plan.questions);
    }
    // Labels are for people, in their own time zone.
    let (question, _) =
        answered("Email ana@example.com on Saturday at noon saying hi", "Saturday at noon", "now").await;
    let labels: Vec<String> = question.options.unwrap().into_iter().map(|option| option.label).collect();
    assert_eq!(labels, ["Saturday, 28 November 2026, 12:00", "Saturday, 5 December 2026, 12:00", "Now"]);
}

#[tokio::test]
async fn an_answer_about_the_text_names_no_time_of_sending() {
    let (prompt, text) = ("Send an email to ana@example.com", "see you tomorrow at 9");
    let inside = Inside::new(&[]);
    let case = Case {
        now: "2026-11-28T10:00".parse().unwrap(),
        zone: "Europe/Berlin".to_owned(),
        prompt: prompt.to_owned(),
        says: None,
        model: String::new(),
        rules: None,
    };
    let says = |inside: &Inside, mail_text: &str, send_at: Option<&str>| {
        let mut mail = action(&["ana@example.com"]);
        (mail["params"]["text"], mail["send_at"]) = (json!(mail_text), json!(send_at));
        inside.model.say(answer(&[mail]));
    };
    says(&inside, "", None);
    let plan = planned(&inside, &case, Vec::new()).await;
    let given = GivenAnswer { id: plan.clarifications[0].id.clone(), value: AnswerValue::Text(text.to_owned()) };
    says(&inside, text, Some("tomorrow at 9"));
    let plan = planned(&inside, &case, vec![given]).await;
    assert_eq!(outcome(&plan), "ask", "{plan:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_time_is_asked_once_more_with_the_reason() {
    for (value, why) in [
        ("when the cows come home", "cannot read"),
        ("yesterday", "cannot read"),
        ("in five months", "90 days"),
        ("today at 8am", "past"),
        ("on Monday", "at what time"),
    ] {
        let (first, plan) = answered("Email ana@example.com in 91 days saying hi", "in 91 days", value).await;
        let [again] = &plan.clarifications[..] else { panic!("{value}: {plan:?}") };
        assert!(plan.actions.is_empty() && again.text.contains(why), "{value}: {}", again.text);
        assert_eq!(again.about, first.about, "{value}");
    }
}
