//! Plans on record: executed as they were shown, by whom they were shown to, in time; and replayed.

use std::time::Duration;

use engine::{ProblemCode, catalogue::RequestedAction, execute::ExecuteRequest};
use serde_json::json;

use crate::{
    inside::{Inside, Says, action, answer, caller},
    support::{Server, command},
};

const PROMPT: &str = "Send email to john@example.com saying thanks for the meeting";

fn john() -> Says {
    answer(&[action(&["john@example.com"])]).into()
}

#[tokio::test]
async fn a_plan_is_found_in_time_by_whom_it_was_made_for_and_by_nobody_else() {
    let inside = Inside::new(&[]);
    let id = inside.when(john(), PROMPT).await.unwrap().plan.plan_id;
    let foreign = caller("other");
    let problem = inside
        .execute_as(&foreign, ExecuteRequest { plan_id: Some(id), ..ExecuteRequest::default() })
        .await
        .unwrap_err();
    assert_eq!(problem.code, ProblemCode::PlanNotFound, "another workspace's");
    inside.clock.advance(Duration::from_secs(15 * 60 - 1));
    let first = inside.execute(id).await.unwrap();
    let again = inside.execute(id).await.unwrap();
    assert_eq!((first[0].job.job_id, first[0].replayed), (again[0].job.job_id, false));
    assert!(again[0].replayed, "executed twice: the same jobs");
    inside.clock.advance(Duration::from_secs(1));
    let problem = inside.execute(id).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::PlanNotFound, "too old");

    inside.model.say(john());
    let id = inside.plan(PROMPT, Some("ana@example.com")).await.unwrap().plan.plan_id;
    let actor_id = Some("eve@example.com".parse().unwrap());
    let eves = ExecuteRequest { plan_id: Some(id), actor_id, ..ExecuteRequest::default() };
    let problem = inside.execute_as(&inside.caller, eves).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::PlanNotFound, "another actor's");
    let job = inside.execute(id).await.unwrap().remove(0).job;
    let ana = domain::ActorHash::of(&inside.caller.workspace, &"ana@example.com".parse().unwrap());
    assert_eq!(job.actor, ana, "it acts for whom it was planned for");
    assert_eq!(inside.jobs().await, 2);
}

#[tokio::test]
async fn nothing_changes_between_plan_and_execute_but_what_is_allowed() {
    let mut inside = Inside::new(&[]);
    let shown = inside.when(john(), PROMPT).await.unwrap().plan;
    let other = inside.when(answer(&[action(&["eve@example.com"])]), "To eve@example.com").await.unwrap().plan;
    // Whoever can write to the ledger cannot put one plan in another's place.
    let ledger = inside.parts.ledger.plans.clone();
    let now = engine::ports::Clock::now(&*inside.clock);
    let workspace = inside.caller.workspace.clone();
    let mut stolen = ledger.plan(&workspace, other.plan_id, now).await.unwrap().unwrap();
    let mine = ledger.plan(&workspace, shown.plan_id, now).await.unwrap().unwrap();
    stolen.plan_id = domain::PlanId(uuid(9));
    let entry = inside.engine.auditor.entry_of(&inside.caller, domain::AuditEvent::PlanMade);
    ledger.put_plans(std::slice::from_ref(&stolen), &entry).await.unwrap();
    assert_eq!(inside.execute(stolen.plan_id).await.unwrap_err().code, ProblemCode::Internal);
    assert!(!mine.sealed.0.contains("john"), "it is sealed");

    // The same params and keys as were shown.
    let job = inside.execute(shown.plan_id).await.unwrap().remove(0).job;
    assert_eq!(job.client_request_id, shown.actions[0].client_request_id);
    let hash = domain::payload_hash(shown.actions[0].provider, &shown.actions[0].action, &shown.actions[0].params);
    assert_eq!(job.payload_hash, hash);

    // What is forbidden meanwhile is not done, though it was planned.
    let later = inside.when(john(), PROMPT).await.unwrap().plan;
    inside.change(|parts| parts.options.allowlist = Some(std::iter::empty().collect()));
    assert_eq!(inside.execute(later.plan_id).await.unwrap_err().code, ProblemCode::ActionNotAllowed);
    assert_eq!(inside.jobs().await, 1);
}

fn uuid(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

#[tokio::test]
async fn where_a_plan_is_required_nothing_else_is_executed() {
    let inside = Inside::new(&[("REQUIRE_PLAN", "true")]);
    let action = RequestedAction {
        provider: None,
        action: "gmail.send".to_owned(),
        params: json!({ "to": "john@example.com", "subject": "a", "text": "b" }),
        client_request_id: Some("a".parse().unwrap()),
        send_at: None,
        recipients: None,
        sources: domain::Sources::default(),
    };
    let actor_id = Some("ana@example.com".parse().unwrap());
    let request = ExecuteRequest { actions: Some(vec![action]), actor_id, ..ExecuteRequest::default() };
    let problem = inside.execute_as(&inside.caller, request).await.unwrap_err();
    assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (ProblemCode::InvalidRequest, "/plan_id"));
    let id = inside.when(john(), PROMPT).await.unwrap().plan.plan_id;
    assert_eq!(inside.execute(id).await.unwrap().len(), 1);
    assert_eq!(inside.jobs().await, 1);
}

#[tokio::test]
async fn over_http_a_plan_id_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("REQUIRE_PLAN", "true")]);
    let plan = server.post("/ai/plan2", &json!({ "prompt": PROMPT })).await.body["plan"].clone();
    let id = &plan["plan_id"];
    let mut changed = plan["actions"].clone();
    changed[0]["params"]["to"] = json!("eve@example.com");
    for body in [
        json!({ "plan_id": id, "actions": changed }),
        json!({ "actions": plan["actions"], "actor_id": "ana@example.com" }),
        json!({ "plan_id": id, "params": { "to": "eve@example.com" } }),
    ] {
        let reply = server.post("/ai/execute", &body).await;
        assert_eq!((reply.status, reply.code()), (422, &json!("invalid-request")), "{body}: {}", reply.body);
    }
    assert_eq!(server.counts().await, (0, 0));
    assert_eq!(server.post("/ai/execute", &json!({ "plan_id": id })).await.status, 202);
}

#[tokio::test]
async fn a_replay_shows_what_todays_code_makes_of_an_answer() {
    let mut inside = Inside::new(&[]);
    let two = answer(&[action(&["john@example.com"]), action(&["eve@evil.example"])]);
    let prompt = "Write to john@example.com and eve@evil.example";
    let plan = inside.when(two, prompt).await.unwrap().plan;
    let workspace = inside.caller.workspace.clone();
    let replay = inside.engine.planner.replay(&workspace, plan.plan_id).await.unwrap();
    assert_eq!((replay.differences.as_slice(), replay.catalogue_changed), (&[][..], false));

    inside.change(|parts| {
        parts.options.recipient_domains = domain::RecipientDomains::Only(["example.com".to_owned()].into());
    });
    let replay = inside.engine.planner.replay(&workspace, plan.plan_id).await.unwrap();
    let pointers: Vec<&str> = replay.differences.iter().map(|difference| difference.pointer.as_str()).collect();
    assert_eq!(pointers, ["/actions/1", "/notes"]);
    assert_eq!(replay.differences[0].then["params"]["to"], "eve@evil.example");

    inside.change(|parts| parts.catalogue = engine::catalogue::Catalogue::new(Vec::new(), Vec::new()));
    let replay = inside.engine.planner.replay(&workspace, plan.plan_id).await.unwrap();
    assert!(replay.catalogue_changed);
    assert!(replay.differences.iter().any(|d| d.pointer == "/problem" && d.now == "planner-invalid-answer"));

    assert_eq!(inside.model.count(), 1, "the model is not asked again");
    let problem = inside.engine.planner.replay(&"other".parse().unwrap(), plan.plan_id).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::PlanNotFound);
    inside.clock.advance(Duration::from_hours(24));
    let problem = inside.engine.planner.replay(&workspace, plan.plan_id).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::PlanNotFound, "it is kept for a day");
}

#[tokio::test]
async fn the_command_replays_beside_a_server_and_its_exit_code_says_whether_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let plan = server.post("/ai/plan2", &json!({ "prompt": PROMPT })).await.body["plan"].clone();
    let id = plan["plan_id"].as_str().unwrap();
    let replay = |variables: &[(&str, &str)], arguments: &[&str]| {
        command(folder.path(), variables).arg("replay").args(arguments).output().unwrap()
    };
    let same = replay(&[], &[id]);
    assert!(same.status.code() == Some(0) && same.stdout.starts_with(b"{"), "{same:?}");
    let other = replay(&[("ALLOW_RECIPIENT_DOMAINS", "contoso.com")], &[id]);
    let told: serde_json::Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!((other.status.code(), &told["differences"][0]["pointer"]), (Some(1), &json!("/actions/0")), "{told}");
    for arguments in [&[id, "--workspace", "other"][..], &["018f4e7e-7d4c-7a3b-8a52-0b7d2c9d3f10"]] {
        let gone = replay(&[], arguments);
        assert_eq!((gone.status.code(), gone.stdout.len()), (Some(2), 0), "{gone:?}");
    }
}

/// Evaluates a file of cases with the rules planner, in this process.
async fn evaluated(file: &str) -> engine::evaluation::Report {
    let mut inside = Inside::new(&[]);
    inside.change(|parts| parts.model = std::sync::Arc::new(adapters::rules::RulesPlanner));
    let path = format!("{}/../../tests/fixtures/eval/{file}", env!("CARGO_MANIFEST_DIR"));
    let cases = engine::evaluation::Case::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let report = inside.engine.planner.evaluate(&inside.caller.workspace, &cases, None).await;
    println!("{file}\n{}", report.table());
    report
}

#[tokio::test]
async fn the_rules_planner_is_right_or_asks() {
    for file in ["plain.jsonl", "plain_english.jsonl"] {
        let report = evaluated(file).await;
        let counts = &report.counts;
        assert_eq!(["cases", "valid", "invented", "stopped"].map(|name| counts[name]), [40, 40, 0, 0]);
        assert_eq!(counts["wrong_actions"], 0, "{file}: what is not right is a question or a refusal");
        assert!(counts["right_actions"] * 100 >= counts["to_send"] * 75, "{file}");
    }
}

#[tokio::test]
async fn every_sentence_that_we_show_is_planned_or_asks_for_its_address() {
    let mut inside = Inside::new(&[]);
    inside.change(|parts| parts.model = std::sync::Arc::new(adapters::rules::RulesPlanner));
    let root = format!("{}/../..", env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(format!("{root}/{file}")).unwrap();
    let mut sentences: Vec<String> = Vec::new();
    for (file, before, after) in [
        ("README.md", "-- plan \"", '"'),
        ("README.md", "\"prompt\": \"", '"'),
        ("static/dev/action-runner.html", "placeholder=\"Send", '"'),
        ("static/dev/action-runner.js", "  'Send", '\''),
        ("static/dev/action-runner.js", "  'Use", '\''),
        ("static/dev/action-runner.js", "  'Email", '\''),
        ("functions/local/src/ask/plans.rs", "such as \"", '"'),
        ("shared/web/src/endpoints/plan2.json", "\"prompt\": \"", '"'),
        ("shared/engine/src/plan/request.rs", "example = \"Send", '"'),
    ] {
        let text = read(file);
        let verb = before.rsplit(['"', '\'']).next().unwrap();
        let found = text.split(before).skip(1).map(|rest| format!("{verb}{}", rest.split(after).next().unwrap()));
        let count = sentences.len();
        sentences.extend(found);
        assert!(sentences.len() > count, "{file} shows no sentence after {before}");
    }
    for sentence in sentences {
        let plan = inside.plan(&sentence, None).await.unwrap().plan;
        let looks_up = sentence.contains("Maria");
        let is_planned = plan.actions.len() == 1 && plan.questions.is_empty() && plan.lookups.is_empty() != looks_up;
        assert!(is_planned, "{sentence}: {plan:?}");
    }
}

#[tokio::test]
async fn an_evaluation_counts_what_a_model_invents() {
    let inside = Inside::new(&[]);
    let case = |prompt: &str| {
        format!(
            r#"{{"id":"a","prompt":"{prompt}","expect":"send","actions":[{{"action":"gmail.send","to":["john@example.com"]}}]}}"#
        )
    };
    let file = ["Thank john@example.com", "Thank john@example.com", "Thank john@example.com"].map(case).join("\n");
    let cases = engine::evaluation::Case::read(&file).unwrap();
    inside.model.say(answer(&[action(&["John@example.com"])]));
    inside.model.say(answer(&[action(&["eve@example.com"])]));
    inside.model.say("no plan".to_owned());
    let report = inside.engine.planner.evaluate(&inside.caller.workspace, &cases, None).await;
    let counts = ["right", "valid", "stopped", "invented"].map(|name| report.counts[name]);
    assert_eq!(counts, [1, 2, 1, 0], "{}", report.table());
    assert_eq!((report.counts["tokens_in"], report.counts["tokens_out"]), (400, 80), "the last is asked twice");
    assert_eq!((inside.jobs().await, report.verdicts[2].problem), (0, Some("planner-invalid-answer")));
}

#[test]
fn the_command_evaluates_a_file_and_says_what_is_wrong_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let eval = |arguments: &[&str]| command(folder.path(), &[]).arg("eval").args(arguments).output().unwrap();
    let file = folder.path().join("cases.jsonl");
    let path = file.to_str().unwrap();
    std::fs::write(&file, r#"{"id":"a","prompt":"Tell Ana hi","expect":"ask"}"#).unwrap();
    let output = eval(&[path, "--json", "--price-in", "1", "--price-out", "2"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["asked"] == 1 && report["dollars"] == 0.0, "{report}");
    assert!(String::from_utf8(eval(&[path]).stdout).unwrap().contains("| right in everything | 1 of 1 |"));
    std::fs::write(&file, "{}").unwrap();
    let output = eval(&[path]);
    assert!(!output.status.success() && String::from_utf8(output.stderr).unwrap().contains("line 1"));
}

#[tokio::test]
async fn more_mails_than_a_plan_holds_are_told_of_and_are_nobodys_fault() {
    let mut inside = Inside::new(&[]);
    inside.change(|parts| parts.model = std::sync::Arc::new(adapters::rules::RulesPlanner));
    let prompts = [
        ("tell a@b.co x. ", 11),
        ("tell a@b.co x. ", 12),
        ("tell a@b.co x. ", 200),
        ("tell a@b.co x.\n", 30),
        ("Send email to john@example.com saying hi. ", 11),
        ("Email ana@example.com saying one, then ", 25),
        ("tell a@b.co x and tell c@d.co y. ", 6),
        ("Tell Sam x. ", 40),
        ("ask a@b.co y? ", 15),
    ];
    let people: Vec<String> = (0..12).map(|n| format!("Send email to p{n}@example.com saying hello {n}.")).collect();
    let prompts = prompts.map(|(sentence, times)| sentence.repeat(times)).into_iter();
    for prompt in prompts.chain([people.join(" "), people.join("\n"), people[..11].join(" Then ")]) {
        let planned = inside.plan(&prompt, None).await;
        let plan = planned.unwrap_or_else(|problem| panic!("{prompt}: {problem}")).plan;
        assert!(plan.actions.len() <= 10, "{prompt}");
        let says = plan.notes.is_some() || !plan.questions.is_empty() || !plan.actions.is_empty();
        assert!(says, "{prompt}: {plan:?}");
    }
}
