//! Held jobs: until a person approves them, nothing of them reaches a provider.

use std::{path::Path, time::Duration};

use domain::{Job, JobErrorCode, State, WaitingFor};
use engine::{ProblemCode, ports::Purpose};
use fakes::{Fakes, Fault};
use serde_json::{Value, json};

use crate::{
    inside::Inside,
    stage::{MINUTE, Stage},
    support::{Client, GMAIL_COMPOSE, GMAIL_SEND, Reply, Server, gmail, refused, run},
};

const ALL: [(&str, &str); 1] = [("REQUIRE_APPROVAL", "all")];

async fn decide(client: &Client, job: &Value, verb: &str) -> Reply {
    let (id, hash) = (job["job_id"].as_str().unwrap(), &job["payload_sha256"]);
    client.post(&format!("/ai/jobs/{id}/{verb}"), &json!({ "payload_sha256": hash })).await
}

async fn act(client: &Client, id: &str, verb: &str) -> Reply {
    client.post(&format!("/ai/jobs/{id}/{verb}"), &json!({})).await
}

async fn job(client: &Client, id: &str) -> Value {
    client.get(&format!("/ai/jobs/{id}")).await.body
}

async fn listed(client: &Client, what: &str) -> Vec<String> {
    let list = client.get(&format!("/ai/jobs?waiting_for={what}&limit=100")).await.body;
    list["data"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_held_job_goes_once_it_is_approved_and_no_byte_of_it_before() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &ALL);
    let reply = server
        .post("/ai/execute", &json!({ "actions": [gmail("held", "Hello")], "actor_id": "ana@example.com" }))
        .await;
    assert_eq!((reply.status, &reply.body["jobs"][0]["waiting_for"]), (202, &json!("approval")), "{}", reply.body);
    let id = reply.body["job_ids"][0].as_str().unwrap();
    let held = job(&server, id).await;
    assert_eq!((&held["status"], &held["waiting_for"]), (&json!("pending"), &json!("approval")), "{held}");
    assert_eq!((&held["because"], held["attempts"].as_u64()), (&json!(["all"]), Some(0)));
    assert!(held["waiting_until"].as_str() > held["created_at"].as_str(), "{held}");
    assert_eq!(held["summary"]["title"], "Hello");
    assert_eq!(listed(&server, "approval").await, [id]);
    assert!(listed(&server, "time").await.is_empty());
    assert_eq!(fakes.operations().len(), 0);

    let approved = decide(&server, &held, "approve").await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    let done = server.ended(id).await;
    assert_eq!((&done["status"], &done["because"]), (&json!("completed"), &json!(["all"])), "{done}");
    assert_eq!(done["payload_sha256"], held["payload_sha256"], "approving changes nothing");
    assert_eq!(fakes.count("job:held"), 1);
    for verb in ["approve", "reject"] {
        let again = decide(&server, &held, verb).await;
        assert_eq!((again.status, again.code()), (409, &json!("not-held")), "{verb}");
    }
    assert_eq!(fakes.count("job:held"), 1);
    assert!(listed(&server, "approval").await.is_empty());
}

#[tokio::test]
async fn a_rejected_a_cancelled_job_sends_nothing_and_its_retry_is_held_again() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &ALL);
    for (verb, code) in [("reject", "approval-rejected"), ("cancel", "cancelled")] {
        let before = fakes.operations().len();
        let id = server.execute(gmail(verb, "Hello")).await;
        let ended = act(&server, &id, verb).await;
        assert_eq!((ended.status, &ended.body["error"]["code"]), (200, &json!(code)), "{}", ended.body);
        assert_eq!((&ended.body["status"], &ended.body["waiting_for"]), (&json!("error"), &json!(null)));
        assert_eq!(job(&server, &id).await, ended.body);
        assert_eq!(decide(&server, &ended.body, "approve").await.code(), "not-held", "{verb}");

        let retried = act(&server, &id, "retry").await;
        assert_eq!((retried.status, &retried.body["waiting_for"]), (200, &json!("approval")), "{}", retried.body);
        assert_eq!(job(&server, &id).await, retried.body, "no poll shows the end of before");
        assert_eq!(fakes.operations().len(), before);
        assert_eq!(decide(&server, &retried.body, "approve").await.status, 200);
        assert_eq!(server.ended(&id).await["status"], "completed");
        assert_eq!(fakes.count(&format!("job:{verb}")), 1);
    }
}

#[tokio::test]
async fn a_decision_names_the_hash_of_the_job_that_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &ALL);
    let held = job(&server, &server.execute(gmail("hash", "Hello")).await).await;
    let path = |verb: &str| format!("/ai/jobs/{}/{verb}", held["job_id"].as_str().unwrap());
    let other = job(&server, &server.execute(gmail("other", "Hello")).await).await["payload_sha256"].clone();
    let upper = held["payload_sha256"].as_str().unwrap().to_uppercase();
    for wrong in [other, json!(""), json!(upper), json!("0".repeat(64))] {
        for verb in ["approve", "reject"] {
            let refused = server.post(&path(verb), &json!({ "payload_sha256": wrong })).await;
            assert_eq!((refused.status, refused.code()), (409, &json!("approval-mismatch")), "{verb} {wrong}");
        }
    }
    for wrong in
        [json!({}), json!({ "payload_sha256": null }), json!({ "payload_sha256": 1 }), json!({ "approve": true })]
    {
        assert_eq!(server.post(&path("approve"), &wrong).await.status, 422, "{wrong}");
    }
    assert_eq!(job(&server, held["job_id"].as_str().unwrap()).await, held, "none of it decided anything");
}

fn to(key: &str, params: &Value) -> Value {
    let mut action = gmail(key, "Hello");
    let fields = action["params"].as_object_mut().unwrap();
    fields.extend(params.as_object().unwrap().clone());
    action
}

#[tokio::test]
async fn the_operator_says_which_jobs_are_held() {
    let own = ("INTERNAL_DOMAINS", "example.com,example.org");
    let external = ("REQUIRE_APPROVAL", "external");
    let outside = json!({ "to": "ana@example.com", "bcc": ["bob@example.org", "eve@example.net"] });
    let inside = json!({ "to": ["Ana <ana@EXAMPLE.com>"], "cc": "bob@example.org", "reply_to": "eve@example.net" });
    let below = json!({ "to": "ana@mail.example.com" });
    let eve = json!(["eve@example.net"]);
    for (variables, params, because, external_recipients) in [
        (vec![], &outside, json!([]), json!([])),
        (vec![own], &outside, json!([]), eve.clone()),
        (vec![own, ("REQUIRE_APPROVAL", "none")], &outside, json!([]), eve.clone()),
        (vec![own, external], &outside, json!(["external"]), eve),
        (vec![own, external], &inside, json!([]), json!([])),
        (vec![own, external], &below, json!(["external"]), json!(["ana@mail.example.com"])),
        // Nobody is inside where no domain is the operator's own, and nobody is said to be outside.
        (vec![external], &inside, json!(["external"]), json!([])),
        (vec![own, ("REQUIRE_APPROVAL", "all")], &inside, json!(["all"]), json!([])),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &variables);
        let action = to("one", params);
        let preview = json!({ "action": action["action"], "params": action["params"] });
        let preview = server.post("/actions/preview", &preview).await.body;
        assert_eq!(preview["because"], because, "the preview says so before: {variables:?} {params}");
        let id = server.execute(action).await;
        let told = job(&server, &id).await;
        assert_eq!(told["because"], because, "{variables:?} {params}");
        let is_held = because != json!([]);
        assert_eq!(told["waiting_for"] == "approval", is_held, "{told}");
        assert_eq!(listed(&server, "approval").await.len(), usize::from(is_held));
        let content = server.get(&format!("/ai/jobs/{id}/content")).await.body;
        let recipients = content["recipients"].as_array().unwrap().iter();
        let told: Value = recipients.filter(|one| one["external"] == true).map(|one| one["address"].clone()).collect();
        assert_eq!(told, external_recipients, "{variables:?} {content}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("REQUIRE_APPROVAL", "some"),
        ("REQUIRE_APPROVAL", "External"),
        ("APPROVAL_HOURS", "0"),
        ("APPROVAL_HOURS", "1.5"),
        ("SECOND_PERSON", "yes"),
        ("UNDO_SECONDS", "-1"),
        ("UNDO_SECONDS", "3601"),
    ] {
        let says = String::from_utf8(refused(folder.path(), &[(name, value)]).stderr).unwrap();
        assert!(says.contains(&format!("{name} must be")), "{says}");
    }
}

const EVERYTHING: &str = "actions:preview,actions:execute,actions:approve,audit:read";

fn make_key(folder: &Path, scopes: &str, more: &[&str]) -> String {
    run(folder, &[], &[&["keys", "create", "--workspace", "local", "--scopes", scopes], more].concat())
}

#[tokio::test]
async fn the_one_who_asked_does_not_approve_where_a_second_person_has_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [ann, bob] = ["ann", "bob"].map(|actor| make_key(folder, EVERYTHING, &["--actor", actor]));
    let [one, other] = [(); 2].map(|()| make_key(folder, EVERYTHING, &[]));
    let server = Server::start(folder, &[("REQUIRE_APPROVAL", "all"), ("SECOND_PERSON", "true")]);
    let [ann, bob, one, other] = [ann, bob, one, other].map(|key| server.with_key(&key));
    // A key without an actor asks for one: then neither the key nor that actor is a second person.
    for (n, (asks, actor, refused, approves)) in [
        (&ann, "ann", vec![&ann], &bob),
        (&bob, "bob", vec![&bob], &one),
        (&one, "ann", vec![&one, &ann], &other),
        (&one, "carl", vec![&one], &ann),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "actions": [gmail(&format!("second-{n}"), "Hello")], "actor_id": actor });
        let id = asks.post("/ai/execute", &body).await.body["job_ids"][0].as_str().unwrap().to_owned();
        let held = job(asks, &id).await;
        for who in refused {
            let refused = decide(who, &held, "approve").await;
            assert_eq!((refused.status, refused.code()), (403, &json!("second-person-required")), "{n}");
        }
        assert_eq!(job(asks, &id).await, held, "{n}");
        let approved = decide(approves, &held, "approve").await;
        assert_eq!(approved.status, 200, "{n}: {}", approved.body);
        assert_eq!(asks.ended(&id).await["status"], "completed");
    }
    let audit = ann.get("/audit?limit=100").await.body;
    let refusal =
        audit["data"].as_array().unwrap().iter().find(|entry| entry["event"] == "job.decide-refused").unwrap();
    assert_eq!((&refusal["rules"], &refusal["code"]), (&json!(["second_person"]), &json!("second-person-required")));
    // To reject one's own job harms nobody.
    let accepted = ann.post("/ai/execute", &json!({ "actions": [gmail("own", "Hello")] })).await;
    let own = act(&ann, accepted.body["job_ids"][0].as_str().unwrap(), "reject").await;
    assert_eq!(own.body["error"]["code"], "approval-rejected", "{}", own.body);
}

#[tokio::test]
async fn a_key_that_approves_knows_the_held_jobs_of_all_actors_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [ann, bob] =
        ["ann", "bob"].map(|actor| make_key(folder, "actions:preview,actions:execute", &["--actor", actor]));
    let boss = make_key(folder, EVERYTHING, &["--actor", "boss"]);
    let stranger = run(folder, &[], &["keys", "create", "--workspace", "other", "--scopes", EVERYTHING]);
    let server = Server::start(folder, &[("REQUIRE_APPROVAL", "external"), ("INTERNAL_DOMAINS", "example.org")]);
    let [ann, bob, boss, stranger] = [ann, bob, boss, stranger].map(|key| server.with_key(&key));
    let execute = async |action: Value| {
        let accepted = bob.post("/ai/execute", &json!({ "actions": [action] })).await;
        accepted.body["job_ids"][0].as_str().unwrap().to_owned()
    };
    let held = execute(gmail("held", "Hello")).await;
    let rejected = execute(gmail("rejected", "Hello")).await;
    let sent = execute(to("sent", &json!({ "to": "ana@example.org" }))).await;
    bob.ended(&sent).await;
    let own = job(&bob, &held).await;
    assert_eq!(job(&boss, &held).await, own);
    let content = boss.get(&format!("/ai/jobs/{held}/content")).await;
    assert_eq!((content.status, &content.body["text"]), (200, &json!("job:held")));
    for list in ["/ai/jobs", "/ai/jobs?waiting_for=approval", "/ai/jobs?status=pending"] {
        let ids: Vec<_> =
            boss.get(list).await.body["data"].as_array().unwrap().iter().map(|job| job["job_id"].clone()).collect();
        assert_eq!(ids, [json!(rejected), json!(held)], "{list}");
    }
    for (who, id) in [(&boss, &sent), (&ann, &held), (&stranger, &held)] {
        for path in ["", "/content"] {
            assert_eq!(who.get(&format!("/ai/jobs/{id}{path}")).await.code(), "job-not-found");
        }
    }
    // Neither workspace nor scope nor a job that was never held lets anybody decide.
    for (who, status, code) in
        [(&stranger, 404, "job-not-found"), (&ann, 403, "forbidden-scope"), (&bob, 403, "forbidden-scope")]
    {
        for verb in ["approve", "reject"] {
            let refused = decide(who, &own, verb).await;
            assert_eq!((refused.status, refused.code()), (status, &json!(code)), "{verb}");
        }
    }
    assert_eq!(act(&boss, &sent, "reject").await.code(), "job-not-found");
    assert_eq!(job(&bob, &held).await, own);

    assert_eq!(act(&boss, &rejected, "reject").await.body["error"]["code"], "approval-rejected");
    let approved = decide(&boss, &own, "approve").await;
    assert_eq!((approved.status, &approved.body["job_id"]), (200, &json!(held)));
    assert_eq!(bob.ended(&held).await["status"], "completed");
    for id in [&held, &rejected] {
        assert_eq!(boss.get(&format!("/ai/jobs/{id}")).await.code(), "job-not-found", "it is bob's alone again");
        assert_eq!(act(&boss, id, "reject").await.code(), "not-held", "who decided may hear that it is decided");
    }
}

#[tokio::test]
async fn what_a_revoked_or_draft_only_key_approved_is_not_sent() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let own = make_key(folder, EVERYTHING, &[]);
    let (stolen, drafts) = (make_key(folder, EVERYTHING, &[]), make_key(folder, EVERYTHING, &["--draft-only"]));
    let server = Server::start_live(folder, &fakes, GMAIL_COMPOSE, &ALL);
    let id_of = |key: &str| key.split('_').nth(1).unwrap().to_owned();
    let thief = id_of(&stolen);
    let [own, stolen, drafts] = [own, stolen, drafts].map(|key| server.with_key(&key));
    let held = async |name: &str| {
        let accepted = own.post("/ai/execute", &json!({ "actions": [gmail(name, "Hello")], "actor_id": "ana" })).await;
        job(&own, accepted.body["job_ids"][0].as_str().unwrap()).await
    };
    fakes.script(Fault::TooManyRequests { retry_after_s: Some(2) }.on("gmail.drafts.create"));
    let mail = held("stolen").await;
    assert_eq!(decide(&stolen, &mail, "approve").await.status, 200);
    let id = mail["job_id"].as_str().unwrap();
    own.job_when(id, "waiting", |job| job["waiting_for"] == "rate-limit").await;
    run(folder, &[], &["keys", "revoke", &thief]);
    assert_eq!(own.ended(id).await["error"]["code"], "action-not-allowed");
    let mail = held("draft").await;
    assert_eq!(decide(&drafts, &mail, "approve").await.status, 200);
    let ended = own.ended(mail["job_id"].as_str().unwrap()).await;
    assert_eq!((&ended["status"], &ended["effect"]), (&json!("completed"), &json!("draft")), "{ended}");
    assert_eq!(fakes.deliveries().len(), 0);
}

#[tokio::test]
async fn of_many_decisions_at_once_one_counts() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder_path = folder.path();
    let key = make_key(folder_path, EVERYTHING, &[]);
    let limits = [("LIMIT_REQUESTS_PER_KEY", "100000"), ("LIMIT_REQUESTS_PER_WORKSPACE", "100000")];
    let server = Server::start_live(folder_path, &fakes, GMAIL_SEND, &[&ALL[..], &limits].concat());
    let client = server.with_key(&key);
    for round in 0..6 {
        let key = format!("many-{round}");
        let id = client.execute(gmail(&key, "Hello")).await;
        let held = job(&client, &id).await;
        let decisions = (0..64).map(|n| {
            let verb = if (n + round) % 2 == 0 { "approve" } else { "reject" };
            let (client, held) = (&client, &held);
            async move { (verb, decide(client, held, verb).await) }
        });
        let replies = futures_util::future::join_all(decisions).await;
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(_, reply)| reply.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 63), "{round}");
        assert!(lost.iter().all(|(_, reply)| (reply.status, reply.code()) == (409, &json!("not-held"))));
        let ended = client.ended(&id).await;
        let says = if won[0].0 == "approve" { "approved already" } else { "rejected already" };
        for (_, reply) in &lost {
            assert!(reply.body["detail"].as_str().unwrap().contains(says), "{}", reply.body);
        }
        let sent = usize::from(won[0].0 == "approve");
        assert_eq!((ended["status"] == "completed", fakes.count(&format!("job:{key}"))), (sent == 1, sent));
        let audit = client.get("/audit?limit=100").await.body;
        let of_job = audit["data"].as_array().unwrap().iter().filter(|entry| entry["job_id"] == id.as_str());
        let events: Vec<&str> = of_job.clone().map(|entry| entry["event"].as_str().unwrap()).collect();
        let expected = if sent == 1 {
            vec!["job.completed", "job.approved", "job.accepted"]
        } else {
            vec!["job.rejected", "job.accepted"]
        };
        assert_eq!(events, expected);
        let decision = of_job.clone().find(|entry| entry["event"] != "job.completed").unwrap();
        assert_eq!((&decision["by"], &decision["sha256"]), (&json!("key"), &held["payload_sha256"]));
        assert!(decision["key_id"].is_string() && decision["by_actor_sha256"].is_string(), "{decision}");
        assert_eq!(of_job.clone().next_back().unwrap()["value"], "held: all");
    }
}

#[tokio::test]
async fn a_job_that_nobody_decides_about_expires() {
    for hours in [1, 24, 720] {
        let stage = Stage::new(&[("REQUIRE_APPROVAL", "all"), ("APPROVAL_HOURS", &hours.to_string())]);
        let expires = stage.at(hours * 60 * MINUTE);
        let held = stage.execute("expires", None).await;
        assert_eq!((held.waiting_until(), stage.messages().await), (Some(expires), 0));
        let wait = Duration::from_secs((hours * 60 * MINUTE - 5 * MINUTE).unsigned_abs());
        stage.inside.clock.advance(wait);
        stage.pass_minutes(4).await;
        stage.pass(MINUTE - 1).await;
        assert!(stage.job(held.job_id).await.is_held(), "{hours} h");
        stage.pass(2).await;
        let ended = stage.job(held.job_id).await;
        assert_eq!(ended.error.as_ref().unwrap().code, JobErrorCode::ApprovalExpired, "{hours} h");
        assert_eq!((ended.attempts, stage.messages().await), (0, 0));

        // What was never approved is held again, for as long.
        let (jobs, caller) = (&stage.inside.engine.jobs, &stage.inside.caller);
        let again = jobs.retry(caller, held.job_id).await.unwrap();
        assert_eq!((again.state, again.waiting_until()), (State::Held, Some(stage.at(hours * 60 * MINUTE))));
        // Too late is too late, whether or not anybody has looked at the job since.
        stage.inside.clock.advance(Duration::from_secs((hours * 60 * MINUTE).unsigned_abs()));
        let hash = Some(again.payload_hash.as_str());
        for approved in [true, false] {
            let refused = jobs.decide(caller, held.job_id, approved, hash).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::NotHeld);
        }
        stage.pass_minutes(3).await;
        stage.pass(1).await;
        assert_eq!(stage.job(held.job_id).await.error.unwrap().code, JobErrorCode::ApprovalExpired);
    }
}

#[tokio::test]
async fn an_approval_does_not_outlive_a_cancellation_and_waits_for_the_time_that_was_asked_for() {
    let stage = Stage::new(&[("REQUIRE_APPROVAL", "all"), ("UNDO_SECONDS", "10")]);
    let (jobs, caller) = (&stage.inside.engine.jobs, &stage.inside.caller);
    let approve = async |job: &Job| {
        let approved = jobs.decide(caller, job.job_id, true, Some(job.payload_hash.as_str())).await.unwrap();
        assert_eq!((approved.state, approved.waiting_for), (State::Queued, Some(WaitingFor::Time)));
        approved
    };
    // Approved before its time: it waits for that. After it: for the undo alone.
    for (send_at, approved_after, waits) in
        [(3 * 60 * MINUTE, MINUTE, 179 * MINUTE), (MINUTE, 30 * MINUTE, 10), (0, MINUTE, 10)]
    {
        let held = stage.execute(&format!("{send_at}"), (send_at > 0).then(|| stage.at(send_at))).await;
        stage.pass_minutes(approved_after / MINUTE).await;
        assert!(stage.job(held.job_id).await.is_held());
        assert_eq!(approve(&held).await.waiting_until(), Some(stage.at(waits)), "{send_at}");
        let most = (waits - 1) / MINUTE;
        stage.pass_minutes(most).await;
        stage.pass(waits - 1 - most * MINUTE).await;
        assert_eq!(stage.job(held.job_id).await.state, State::Queued, "{send_at}");
        stage.pass(1).await;
        assert_eq!(stage.job(held.job_id).await.state, State::Completed, "{send_at}");
    }
    let held = stage.execute("cancelled", None).await;
    approve(&held).await;
    jobs.cancel(caller, held.job_id).await.unwrap();
    stage.pass_minutes(2).await;
    let again = jobs.retry(caller, held.job_id).await.unwrap();
    assert_eq!((again.state, again.decision), (State::Held, None));
    approve(&stage.job(held.job_id).await).await;
    stage.pass(10).await;
    assert_eq!(stage.job(held.job_id).await.state, State::Completed);
}

#[tokio::test]
async fn contents_that_somebody_changed_in_the_ledger_are_not_sent() {
    for variables in [vec![], vec![("REQUIRE_APPROVAL", "all")]] {
        let stage = Stage::new(&variables);
        let Inside { parts, caller, engine, .. } = &stage.inside;
        let job = stage.execute("changed", None).await;
        // By somebody who has the key: other contents, sealed as these were.
        let page = parts.ledger.sealed_texts.sealed_texts(None).await.unwrap();
        let text = page.texts.iter().find(|text| text.purpose == Purpose::JobParams).unwrap();
        let mut params = gmail("changed", "Hello")["params"].clone();
        params["to"] = json!("eves@example.org");
        let sealed = parts.vault.seal_json(&caller.workspace, Purpose::JobParams, job.job_id, &params).await.unwrap();
        assert!(parts.ledger.sealed_texts.replace_sealed(text, &sealed).await.unwrap());
        if job.is_held() {
            engine.jobs.decide(caller, job.job_id, true, Some(job.payload_hash.as_str())).await.unwrap();
        }
        stage.pass(1).await;
        let ended = stage.job(job.job_id).await;
        let error = ended.error.unwrap();
        assert_eq!((error.code, error.retriable), (JobErrorCode::PayloadChanged, false));
        assert!(error.message.contains("changed"), "{}", error.message);
        assert!(engine.jobs.outbox(caller).await.unwrap().is_empty());
        assert!(engine.jobs.retry(caller, job.job_id).await.is_err());
    }
}

#[tokio::test]
async fn every_gate_is_asked_again_before_an_approved_job_goes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [asks, approves] = [(); 2].map(|()| make_key(folder, EVERYTHING, &[]));
    let narrow = [("REQUIRE_APPROVAL", "all"), ("ALLOW_RECIPIENT_DOMAINS", "example.org")];
    for (n, (variables, change, code)) in [
        (&ALL[..], vec!["keys", "revoke", asks.split('_').nth(1).unwrap()], "action-not-allowed"),
        (&ALL, vec!["workspaces", "allow", "local", "outlook.send"], "action-not-allowed"),
        (&ALL, vec!["rollout", "set", "google", "0"], "rollout-denied"),
        (&narrow, vec![], "recipient-not-allowed"),
    ]
    .into_iter()
    .enumerate()
    .rev()
    {
        let mut server = Server::start(folder, &ALL);
        let id = server.with_key(&asks).execute(gmail(&format!("gate-{n}"), "Hello")).await;
        let held = job(&server.with_key(&approves), &id).await;
        server.kill();
        if !change.is_empty() {
            run(folder, &[], &change);
        }
        let server = Server::start(folder, variables);
        let approves = server.with_key(&approves);
        assert_eq!(decide(&approves, &held, "approve").await.status, 200, "{code}");
        let ended = approves.ended(&id).await;
        assert_eq!(ended["error"]["code"], code, "{ended}");
        assert!(approves.get("/dev/outbox").await.body["data"].as_array().unwrap().is_empty());
        match n {
            2 => drop(run(folder, &[], &["rollout", "set", "google", "100"])),
            1 => drop(run(folder, &[], &["workspaces", "reset", "local"])),
            _ => {}
        }
    }
}

#[tokio::test]
async fn held_jobs_are_measured_and_wait_for_no_worker() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("REQUIRE_APPROVAL", "all"), ("APPROVAL_HOURS", "2")]);
    let value = async |name: &str| {
        let text = server.get("/metrics").await.body;
        let text = text.as_str().unwrap().to_owned();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name)).map(str::to_owned);
        line.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    assert_eq!((value("ai_held_jobs").await, value("ai_held_oldest_age_seconds").await), (Some(0.0), Some(0.0)));
    assert_eq!(value("ai_held_expires_seconds").await, None);
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(server.execute(gmail(&format!("measured-{n}"), "Hello")).await);
    }
    let enqueued = "ai_jobs_total{provider=\"google\",action=\"gmail.send\",status=\"enqueued\"}";
    assert_eq!((value("ai_held_jobs").await, value(enqueued).await), (Some(4.0), Some(0.0)));
    assert!(value("ai_held_oldest_age_seconds").await.is_some_and(|age| age < 60.0));
    assert!(value("ai_held_expires_seconds").await.is_some_and(|left| (7_000.0..=7_200.0).contains(&left)));
    assert_eq!(value("ai_queue_oldest_age_seconds").await, Some(0.0));
    assert_eq!(act(&server, &ids[0], "reject").await.status, 200);
    assert_eq!(act(&server, &ids[1], "cancel").await.status, 200);
    assert_eq!(decide(&server, &job(&server, &ids[2]).await, "approve").await.status, 200);
    assert_eq!(server.ended(&ids[2]).await["status"], "completed");
    assert_eq!((value("ai_held_jobs").await, value(enqueued).await), (Some(1.0), Some(1.0)));
    for (outcome, count) in [("approved", 1.0), ("rejected", 1.0), ("cancelled", 1.0), ("expired", 0.0)] {
        assert_eq!(value(&format!("ai_approvals_total{{outcome=\"{outcome}\"}}")).await, Some(count), "{outcome}");
    }
}
