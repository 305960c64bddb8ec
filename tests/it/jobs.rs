//! What becomes of a job, and what a person can do about it.

use std::time::Instant;

use adapters::system::SystemClock;
use engine::ports::Clock as _;
use fakes::{Fakes, Fault, Provider, Token};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Client, GMAIL_COMPOSE, GMAIL_SEND, Reply, Server, gmail, reply, until};

const SEND: &str = "gmail.messages.send";
/// What a job waits for as good as forever.
const TEN_MINUTES: Fault = Fault::TooManyRequests { retry_after_s: Some(600) };

async fn act(client: &Client, id: &str, verb: &str) -> Reply {
    client.post(&format!("/ai/jobs/{id}/{verb}"), &json!({})).await
}

async fn resolve(client: &Client, id: &str, outcome: &str) -> Reply {
    client.post(&format!("/ai/jobs/{id}/resolve"), &json!({ "outcome": outcome })).await
}

/// A page of the jobs that have these words.
async fn search(client: &Client, words: &str, more: &str) -> Reply {
    let url = reqwest::Url::parse_with_params(&format!("{}/ai/jobs", client.url), [("search", words)]).unwrap();
    reply(client.request_url("GET", &format!("{url}{more}"))).await
}

/// A job that was tried once and waits.
async fn waiting(client: &Client, id: &str) -> Value {
    client.job_when(id, "waiting", |job| job["attempts"] == 1 && job["status"] == "pending").await
}

#[tokio::test]
async fn pages_hold_every_job_once_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut ids = Vec::new();
    // Others lie in between: those that failed, and those that wait.
    let in_an_hour = SystemClock.now() + SignedDuration::from_hours(1);
    for i in 0..45 {
        ids.push(server.execute(gmail(&format!("page-{i}"), "Hello")).await);
        if i % 4 == 0 {
            let later =
                json!({ "actions": [gmail(&format!("later-{i}"), "Hello")], "actor_id": "a", "send_at": in_an_hour });
            let id = server.post("/ai/execute", &later).await.body["job_ids"][0].clone();
            if i % 8 == 0 {
                assert_eq!(act(&server, id.as_str().unwrap(), "cancel").await.status, 200);
            }
        }
    }
    for id in &ids {
        server.ended(id).await;
    }
    let newest_first: Vec<&String> = ids.iter().rev().collect();
    for limit in [1, 7, 20, 45, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/ai/jobs?limit={limit}&status=completed{cursor}")).await.body;
            let data = page["data"].as_array().unwrap();
            seen.extend(data.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
            assert_eq!(page["has_more"].as_bool().unwrap(), page["next_cursor"].is_string());
            let Some(next) = page["next_cursor"].as_str() else { break };
            assert_eq!(data.len(), limit);
            cursor = format!("&cursor={next}");
            if limit == 7 && seen.len() == 7 {
                // What comes meanwhile is newer than every later page.
                let id = server.execute(gmail("late", "Hello")).await;
                server.ended(&id).await;
            }
        }
        let late = usize::from(limit > 7);
        assert_eq!(seen[late..].iter().collect::<Vec<_>>(), newest_first, "limit {limit}");
    }
    assert_eq!(server.get("/ai/jobs").await.body["data"].as_array().map(Vec::len), Some(20));
    for (status, count) in [("completed", 46), ("pending", 6), ("running", 0), ("error", 6)] {
        let page = server.get(&format!("/ai/jobs?limit=100&status={status}")).await.body;
        assert_eq!(page["data"].as_array().map(Vec::len), Some(count), "{status}");
    }
}

#[tokio::test]
async fn a_search_finds_every_job_by_all_that_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut oldest = gmail("oldest-key", "Grüße vom Markt");
    oldest["params"]["to"] = json!((0..9).map(|i| format!("guest-{i}@contoso.com")).collect::<Vec<_>>());
    let oldest = server.execute(oldest).await;
    for round in 0..23 {
        let ten: Vec<Value> = (0..10).map(|i| gmail(&format!("n-{round}-{i}"), &format!("Number r{round}x"))).collect();
        let accepted = server.post("/ai/execute", &json!({ "actions": ten, "actor_id": "a" })).await;
        assert_eq!(accepted.status, 202, "{}", accepted.body);
    }
    for (words, count) in [
        ("guest-8@contoso.com", 1),
        ("guest-0", 1),
        ("grüße", 1),
        ("GRÜSSE", 0),
        ("MARKT contoso", 1),
        ("markt number", 0),
        (oldest.as_str(), 1),
        ("oldest-key gmail.send", 1),
        ("google guest", 1),
        ("outlook", 0),
        ("Number r22x", 10),
        ("22", 10),
        ("NUMBER 1x", 30),
        ("oldest", 0),
        ("   ", 231),
    ] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = search(&server, words, &format!("&limit=7{cursor}")).await;
            assert_eq!(page.status, 200, "{}", page.body);
            let data = page.body["data"].as_array().unwrap();
            assert!(data.len() <= 7);
            found.extend(data.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found.len(), count, "{words}");
        assert!(pages <= count / 7 + 2, "{words}: {pages} requests");
        assert!(count != 1 || found == [oldest.as_str()], "{words}");
    }
    // One request looks through no more than two hundred.
    let first = server.get("/ai/jobs?search=markt&limit=100").await.body;
    assert_eq!((&first["data"], &first["has_more"]), (&json!([]), &json!(true)));
    let status = server.get("/ai/jobs?search=number+r22x&status=error").await.body;
    assert_eq!(status["data"], json!([]));
    for long in ["x".repeat(201), "é".repeat(201), "a ".repeat(150)] {
        let refused = search(&server, &long, "").await;
        assert_eq!((refused.status, refused.pointers()), (422, vec!["/search"]));
    }
    assert_eq!(search(&server, &"é".repeat(200), "").await.status, 200);
}

#[tokio::test]
async fn a_job_tells_all_that_the_contract_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let id = server.execute(gmail("told", "Hello")).await;
    let job = server.ended(&id).await;
    for field in ["result", "error", "duration_ms", "created_at", "started_at", "finished_at"] {
        assert!(job.get(field).is_some(), "{field} is missing in {job}");
    }
    assert_eq!((&job["job_id"], &job["status"], &job["error"]), (&json!(id), &json!("completed"), &json!(null)));
    assert_eq!((&job["provider"], &job["action"]), (&json!("google"), &json!("gmail.send")));
    assert_eq!((&job["client_request_id"], &job["attempts"]), (&json!("told"), &json!(1)));
    assert!(job["duration_ms"].is_u64());
    let time = |field: &str| job[field].as_str().filter(|time| time.ends_with('Z')).unwrap().to_owned();
    assert!(time("created_at") <= time("started_at") && time("started_at") <= time("finished_at"), "{job}");
}

#[tokio::test]
async fn a_wait_ends_with_the_job_or_its_seconds() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    fakes.script(Fault::Slow { ms: 600 });
    let began = Instant::now();
    let id = server.execute(gmail("slow", "Hello")).await;
    let now = server.get(&format!("/ai/jobs/{id}")).await.body;
    assert!(now["status"] == "pending" || now["status"] == "running", "{now}");
    assert_eq!((&now["result"], &now["finished_at"]), (&json!(null), &json!(null)));
    let job = server.get(&format!("/ai/jobs/{id}?wait=20")).await.body;
    assert_eq!(job["status"], "completed");
    let took = began.elapsed().as_millis();
    assert!((600..12_000).contains(&took), "{took} ms");

    fakes.script(TEN_MINUTES);
    let id = server.execute(gmail("waits", "Hello")).await;
    let began = Instant::now();
    let job = server.get(&format!("/ai/jobs/{id}?wait=1")).await.body;
    assert_eq!(job["status"], "pending", "{job}");
    let took = began.elapsed().as_millis();
    assert!((1_000..8_000).contains(&took), "{took} ms");
}

#[tokio::test]
async fn a_pending_job_is_cancelled_and_sent_after_all_when_it_is_retried() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    fakes.script(TEN_MINUTES);
    let id = server.execute(gmail("cancelled", "Hello")).await;
    waiting(&server, &id).await;
    assert_eq!(act(&server, &id, "retry").await.code(), "job-not-retriable");
    let cancelled = act(&server, &id, "cancel").await;
    assert_eq!((cancelled.status, &cancelled.body["error"]["code"]), (200, &json!("cancelled")));
    assert_eq!(server.get(&format!("/ai/jobs/{id}")).await.body, cancelled.body);
    assert_eq!(act(&server, &id, "cancel").await.status, 409);
    assert_eq!(server.get("/ai/jobs?status=error").await.body["data"][0]["job_id"], id);
    assert_eq!((fakes.count("job:cancelled"), fakes.operations().len()), (0, 1));

    let again = server.post("/ai/execute", &json!({ "actions": [gmail("cancelled", "Hello")], "actor_id": "a" })).await;
    assert_eq!(again.body["jobs"][0]["status"], "error", "the same request does not revive it");
    let retried = act(&server, &id, "retry").await;
    assert_eq!((retried.status, &retried.body["error"]), (200, &json!(null)));
    assert_eq!(server.ended(&id).await["status"], "completed");
    assert_eq!(fakes.count("job:cancelled"), 1);
    assert_eq!(act(&server, &id, "retry").await.status, 409);
}

#[tokio::test]
async fn what_the_provider_rejects_is_not_retried() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The fakes answer 404 to a path that they do not know.
    let nowhere = format!("{}/nowhere", fakes.base_url());
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[("GMAIL_BASE_URL", &nowhere)]);
    let id = server.execute(gmail("rejected", "Hello")).await;
    let job = server.ended(&id).await;
    let error = &job["error"];
    assert_eq!((&job["status"], &error["code"]), (&json!("error"), &json!("provider-rejected")), "{job}");
    assert_eq!(error["retriable"], false);
    for field in ["message", "remediation"] {
        assert!(error[field].as_str().is_some_and(|text| !text.is_empty()));
    }
    assert_eq!(act(&server, &id, "retry").await.code(), "job-not-retriable");
    assert_eq!(resolve(&server, &id, "sent").await.status, 409);
}

#[tokio::test]
async fn a_lost_answer_without_a_draft_is_a_persons_to_resolve() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    for (key, fault, outcome, deliveries) in [
        ("closed", Fault::AcceptThenClose, "sent", 1),
        ("garbage", Fault::AcceptThenGarbage, "sent", 1),
        ("redirect", Fault::AcceptThenRedirect, "sent", 1),
        ("500", Fault::AcceptThen500, "not_sent", 1),
        ("never", Fault::CloseBefore, "not_sent", 0),
    ] {
        let key_of_mail = format!("job:{key}");
        fakes.script(fault.on(SEND));
        let id = server.execute(gmail(key, "Hello")).await;
        let job = server.ended(&id).await;
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("error"), &json!("outcome-unknown")),
            "{key}: {job}"
        );
        assert_eq!(job["error"]["retriable"], false);
        for verb in ["retry", "cancel"] {
            assert_eq!(act(&server, &id, verb).await.status, 409, "{verb}");
        }
        assert_eq!(fakes.count(&key_of_mail), deliveries, "{key}");
        let resolved = resolve(&server, &id, outcome).await;
        assert_eq!(resolved.status, 200, "{}", resolved.body);
        assert_eq!(resolve(&server, &id, outcome).await.status, 409, "once");
        if outcome == "sent" {
            assert_eq!((&resolved.body["status"], &resolved.body["error"]), (&json!("completed"), &json!(null)));
            assert_eq!(act(&server, &id, "retry").await.status, 409);
        } else {
            assert_eq!(
                (&resolved.body["status"], &resolved.body["error"]["code"]),
                (&json!("error"), &json!("not-sent"))
            );
            assert_eq!(fakes.count(&key_of_mail), deliveries, "resolving sends nothing");
            assert_eq!(act(&server, &id, "retry").await.status, 200);
            assert_eq!(server.ended(&id).await["status"], "completed");
            assert_eq!(fakes.count(&key_of_mail), deliveries + 1, "the retry sends, once");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_draft_is_found_out() {
    let fakes = Fakes::start().await.unwrap();
    fakes.add_token(Token::new(Provider::Microsoft, "t-microsoft", &["Mail.Send", "Mail.ReadWrite"]));
    let folder = tempfile::tempdir().unwrap();
    let graph_url = fakes.graph_url();
    let more = [
        ("GRAPH_BASE_URL", graph_url.as_str()),
        ("MICROSOFT_ACCESS_TOKEN", "t-microsoft"),
        ("MICROSOFT_ACCESS_TOKEN_SCOPES", "https://graph.microsoft.com/Mail.Send Mail.ReadWrite"),
    ];
    let server = Server::start_live(folder.path(), &fakes, GMAIL_COMPOSE, &more);
    let mut jobs = Vec::new();
    for fault in
        [Fault::AcceptThenClose, Fault::AcceptThen500, Fault::AcceptThenGarbage, Fault::CloseBefore, Fault::Fail500]
    {
        for (provider, action, send) in
            [("google", "gmail.send", "gmail.drafts.send"), ("microsoft", "outlook.send", "graph.messages.send")]
        {
            // Graph's answer to a send has no body, so garbage in a 200 is no 202 either.
            let key = format!("{send}-{}", jobs.len());
            fakes.script(fault.on(send));
            let mut mail = gmail(&key, "Hello");
            (mail["provider"], mail["action"]) = (json!(provider), json!(action));
            let id = server.execute(mail).await;
            server.job_when(&id, "taken up", |job| job["attempts"].as_u64() >= Some(1)).await;
            // The fault is for this job: the next one is asked for when this one's send was struck.
            until("the send was not tried", || {
                fakes.operations().iter().filter(|operation| **operation == send).count() > jobs.len() / 2
            })
            .await;
            jobs.push((id, key, matches!(fault, Fault::CloseBefore | Fault::Fail500)));
        }
    }
    for (id, key, sent_anew) in jobs {
        let job = server.ended(&id).await;
        assert_eq!(job["status"], "completed", "{key}: {job}");
        let presumed = if sent_anew { json!(null) } else { json!(true) };
        assert_eq!(job["result"]["presumed"], presumed, "{key}: {job}");
        assert_eq!(fakes.count(&format!("job:{key}")), 1, "{key}");
    }
}

#[tokio::test]
async fn a_refused_token_is_tried_once_more_and_then_a_person_is_asked() {
    for (scope, send) in [(GMAIL_SEND, SEND), (GMAIL_COMPOSE, "gmail.drafts.send")] {
        let fakes = Fakes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_live(folder.path(), &fakes, scope, &[]);
        fakes.script(Fault::Unauthorized.on(send));
        let id = server.execute(gmail("once", "Hello")).await;
        assert_eq!(server.ended(&id).await["status"], "completed");
        assert_eq!(fakes.count("job:once"), 1);

        fakes.script(Fault::Unauthorized.on(send));
        fakes.script(Fault::Unauthorized.on(send));
        let id = server.execute(gmail("twice", "Hello")).await;
        if scope == GMAIL_SEND {
            let job = server.ended(&id).await;
            assert_eq!(
                (&job["error"]["code"], &job["error"]["retriable"]),
                (&json!("reauth-required"), &json!(true)),
                "{job}"
            );
            assert_eq!(fakes.count("job:twice"), 0);
            assert_eq!(act(&server, &id, "retry").await.status, 200);
        } else {
            // Its draft is known, so it waits.
            server.job_when(&id, "waiting", |job| job["waiting_for"] == "reauth").await;
        }
        assert_eq!(server.ended(&id).await["status"], "completed");
        assert_eq!(fakes.count("job:twice"), 1);
    }
}

#[tokio::test]
async fn a_permission_that_is_missing_is_asked_for() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    // The provider has taken the scope away meanwhile.
    fakes.add_token(Token::new(Provider::Google, "t-google", &["openid"]));
    let id = server.execute(gmail("forbidden", "Hello")).await;
    let job = server.ended(&id).await;
    assert_eq!(job["error"]["code"], "reauth-required", "{job}");
}

#[tokio::test]
async fn what_limits_the_rate_is_waited_for() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    let mut ids = Vec::new();
    for (i, fault) in [
        Fault::RateLimit403,
        Fault::TooManyRequests { retry_after_s: Some(1) },
        Fault::TooManyRequests { retry_after_s: None },
        Fault::Unavailable { retry_after_s: Some(1) },
    ]
    .into_iter()
    .enumerate()
    {
        fakes.script(fault);
        ids.push(server.execute(gmail(&format!("limited-{i}"), "Hello")).await);
        until("the fault has not struck", || fakes.operations().len() > i).await;
    }
    for (i, id) in ids.iter().enumerate() {
        let job = server.ended(id).await;
        assert_eq!((&job["status"], &job["attempts"]), (&json!("completed"), &json!(2)), "{job}");
        assert_eq!(fakes.count(&format!("job:limited-{i}")), 1);
    }
}

#[tokio::test]
async fn a_provider_that_is_not_reached_is_tried_again_and_nothing_is_unknown() {
    // Nothing listens on the discard port, and nothing gets it by chance.
    let nowhere = "http://127.0.0.1:9";
    let fakes = Fakes::start().await.unwrap();
    for scope in [GMAIL_SEND, GMAIL_COMPOSE] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start_live(folder.path(), &fakes, scope, &[("GMAIL_BASE_URL", nowhere)]);
        let id = server.execute(gmail(scope, "Hello")).await;
        // A kill within a try would leave it unknown whether that one went.
        let tried = |job: &Value| job["attempts"].as_u64() >= Some(3) && job["status"] == "pending";
        let job = server.job_when(&id, "tried again", tried).await;
        assert_eq!(job["error"], json!(null), "{job}");
        // It waits across a restart, and goes when the provider is there.
        server.kill();
        let server = Server::start_live(folder.path(), &fakes, scope, &[]);
        let job = server.ended(&id).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(fakes.count(&format!("job:{scope}")), 1);
    }
}

#[tokio::test]
async fn the_rollout_gate_is_asked_when_accepting_and_when_working() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    fakes.script(TEN_MINUTES);
    let id = server.execute(gmail("early", "Hello")).await;
    waiting(&server, &id).await;
    assert_eq!(act(&server, &id, "cancel").await.status, 200);
    server.kill();

    let mut server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[("FLAGS_GOOGLE_ROLLOUT_PERCENT", "0")]);
    let refusal = server
        .post("/ai/execute", &json!({ "actions": [gmail("late", "Hello")], "actor_id": "ana@example.com" }))
        .await;
    assert_eq!((refusal.status, refusal.code()), (403, &json!("rollout-denied")));
    assert_eq!(refusal.pointers(), ["/actions/0/provider"]);
    assert_eq!(act(&server, &id, "retry").await.status, 200);
    let job = server.ended(&id).await;
    assert_eq!(job["error"]["code"], "rollout-denied", "{job}");
    assert_eq!(server.get("/ai/jobs").await.body["data"].as_array().map(Vec::len), Some(1));
    server.kill();

    // The allowlist, in the same way.
    let mut server =
        Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[("ALLOW_ACTIONS_DEFAULT", "outlook.send")]);
    let refused = act(&server, &id, "retry").await;
    assert_eq!((refused.status, refused.code()), (403, &json!("action-not-allowed")));
    assert_eq!(fakes.deliveries().len(), 0);
    server.kill();

    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    assert_eq!(act(&server, &id, "retry").await.status, 200);
    assert_eq!(server.ended(&id).await["status"], "completed");
    assert_eq!(fakes.count("job:early"), 1);
}

#[tokio::test]
async fn a_mail_for_the_outbox_stays_there_when_an_account_is_connected() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let id = server.execute(gmail("sandbox", "Hello")).await;
    assert_eq!(server.ended(&id).await["result"]["via"], "sandbox");
    server.kill();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    assert_eq!(server.execute(gmail("sandbox", "Hello")).await, id);
    let live = server.execute(gmail("live", "Hello")).await;
    assert_eq!(server.ended(&live).await["result"]["via"], "live");
    assert_eq!((fakes.count("job:sandbox"), fakes.count("job:live")), (0, 1));
}

#[tokio::test]
async fn live_without_an_account_says_where_to_connect_one() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PROVIDER_MODE", "live"), ("PUBLIC_URL", "https://mail.example.com/")];
    let server = Server::start(folder.path(), &variables);
    let request = json!({ "actions": [gmail("a", "Hello")], "actor_id": "ana@example.com" });
    let refusal = server.post("/ai/execute", &request).await;
    assert_eq!((refusal.status, refusal.code()), (409, &json!("connection-required")), "{}", refusal.body);
    assert_eq!(refusal.body["connect_url"], "https://mail.example.com/oauth/google/start");
    assert_eq!(refusal.pointers(), ["/actions/0/provider"]);
    assert_eq!(server.counts().await, (0, 0));
    let status = reply(server.request("GET", "/oauth/google/status")).await.body;
    assert_eq!((&status["connected"], &status["mode"]), (&json!(false), &json!("not_connected")));
}
