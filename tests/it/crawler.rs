//! GET and HEAD change nothing: a crawler asks for every address that the program gives out, in its document, its
//! answers and its pages, and nobody finds a difference in the ledger, or a call at the providers.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
};

use adapters::system::SystemClock;
use engine::ports::Clock as _;
use fakes::{Fakes, Fault, oauth::Consents};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    oauth::{connect, start},
    support::{Client, gmail, run},
};

const SCOPES: &str =
    "actions:preview,actions:execute,actions:approve,connections:write,webhooks:write,metrics:read,audit:read";
const TEN_MINUTES: Fault = Fault::TooManyRequests { retry_after_s: Some(600) };

/// Every record but the days on which keys were used.
fn ledger(folder: &Path) -> Vec<String> {
    let file = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    let columns = "partition, kind, body, version, expires_at, list, status, place, due_at, waits_since";
    let query = format!("SELECT json_array({columns}) FROM records WHERE kind != 'USED' ORDER BY partition, kind");
    let mut query = file.prepare(&query).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What stands in a place of a path: all that there is, and what there is not.
fn values(name: &str, jobs: &[String], plan: &str) -> Vec<String> {
    let mut values: Vec<String> = match name {
        "job_id" => jobs.to_vec(),
        "plan_id" => vec![plan.to_owned()],
        "provider" => vec!["google".to_owned(), "microsoft".to_owned()],
        "code" => vec!["invalid-request".to_owned(), "outcome-unknown".to_owned()],
        _ => vec!["00000000-0000-8000-8000-000000000000".to_owned()],
    };
    values.push("x".to_owned());
    values
}

/// The addresses of the document's routes of any verb.
fn routes(document: &Value, jobs: &[String], plan: &str) -> Vec<String> {
    let mut all = Vec::new();
    for route in document["paths"].as_object().unwrap().keys() {
        let mut paths = vec![route.clone()];
        while let Some((begin, end)) = paths[0].find('{').zip(paths[0].find('}')) {
            let place = paths[0][begin..=end].to_owned();
            let values = values(&place[1..place.len() - 1], jobs, plan);
            paths = paths.iter().flat_map(|path| values.iter().map(|value| path.replace(&place, value))).collect();
        }
        all.extend(paths);
    }
    all
}

/// What looks like an address of this server in a text, seen from where the text is.
fn addresses(at: &str, text: &str, own: &str) -> Vec<String> {
    let base = reqwest::Url::parse(own).unwrap().join(at).unwrap();
    let mut found = Vec::new();
    for piece in text.split(['"', '\'', '`', '(', ')', '<', '>', ' ', '\n', '\\', ',', '|']) {
        let is_path = piece.starts_with('/') || piece.starts_with("./") || piece.starts_with("../");
        if piece.len() > 300 || piece.contains(['{', '}', '$', '*', '…']) || !(is_path || piece.starts_with(own)) {
            continue;
        }
        let url = base.join(piece.trim_end_matches(['.', ';', ':'])).ok();
        found.extend(url.and_then(|url| url.as_str().strip_prefix(own).map(str::to_owned)));
    }
    found
}

/// Asks for everything that it is led to, by both verbs and as whoever; gives back what was there.
async fn crawl(client: &Client, seeds: Vec<String>) -> BTreeSet<String> {
    let (mut known, mut there) = (BTreeSet::new(), BTreeSet::new());
    let mut left = VecDeque::from(seeds);
    while let Some(path) = left.pop_front() {
        let path = path.split('#').next().unwrap().to_owned();
        if !known.insert(path.clone()) {
            continue;
        }
        for (verb, accept) in
            [("HEAD", "*/*"), ("GET", "text/html,*/*;q=0.5"), ("GET", "application/json"), ("HEAD", "text/html")]
        {
            let answer = client.request(verb, &path).header("accept", accept).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!(status < 500, "{verb} {path}: {status}");
            let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
            left.extend(location.into_iter().flat_map(|location| addresses(&path, location, &client.url)));
            if status < 300 {
                there.insert(path.clone());
            }
            let text = answer.text().await.unwrap();
            left.extend(addresses(&path, &text, &client.url));
        }
        assert!(known.len() < 5_000, "the way does not end: {path}");
    }
    there
}

/// A key's and nobody's view of a deployment with jobs of every kind.
#[tokio::test]
async fn get_and_head_of_every_address_that_is_given_out_change_nothing() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let key = ["keys", "create", "--workspace", "local", "--scopes", SCOPES];
    let key = run(folder.path(), &[], &key);
    fakes.consents(Consents { address: "owner@contoso.com".to_owned(), expires_in_s: 3600, ..Consents::default() });
    let variables = [
        ("LIMIT_REQUESTS_PER_KEY", "100000"),
        ("LIMIT_REQUESTS_PER_WORKSPACE", "100000"),
        ("REQUIRE_APPROVAL", "external"),
        ("INTERNAL_DOMAINS", "example.com"),
    ];
    let server = start(folder.path(), &fakes, &variables);
    let client = server.with_key(&key);
    assert_eq!(connect(&client, "google", json!({})).await.status, 200);
    let mut jobs = Vec::new();
    fakes.script(Fault::AcceptThenClose.on("gmail.messages.send"));
    for (key, outcome) in [("unknown", "outcome-unknown"), ("sent", "")] {
        let job = client.ended(&client.execute(gmail(key, "Hello")).await).await;
        assert_eq!(job["error"]["code"].as_str().unwrap_or_default(), outcome, "{job}");
        jobs.push(job["job_id"].as_str().unwrap().to_owned());
    }
    fakes.script(TEN_MINUTES.on("gmail.messages.send"));
    for key in ["waits", "cancelled"] {
        let id = client.execute(gmail(key, "Hello")).await;
        client.job_when(&id, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        jobs.push(id);
    }
    assert_eq!(client.post(&format!("/ai/jobs/{}/cancel", jobs[3]), &json!({})).await.status, 200);
    let mut outlook = gmail("sandbox", "Hello");
    (outlook["provider"], outlook["action"]) = (json!("microsoft"), json!("outlook.send"));
    let id = client.execute(outlook).await;
    client.ended(&id).await;
    jobs.push(id);
    let mut held = gmail("held", "Hello");
    held["params"]["to"] = json!("john@example.org");
    let id = client.execute(held).await;
    client.job_when(&id, "held", |job| job["waiting_for"] == "approval").await;
    let hash = client.get(&format!("/ai/jobs/{id}")).await.body["payload_sha256"].as_str().unwrap().to_owned();
    let decisions = ["approve", "reject"].map(|verb| format!("/ai/jobs/{id}/{verb}?payload_sha256={hash}"));
    jobs.push(id);
    let send_at = SystemClock.now() + SignedDuration::from_hours(1);
    let later = json!({ "actions": [gmail("later", "Hello")], "actor_id": "a", "send_at": send_at });
    let later = client.post("/ai/execute", &later).await;
    assert_eq!((later.status, &later.body["jobs"][0]["waiting_for"]), (202, &json!("time")), "{}", later.body);
    jobs.push(later.body["job_ids"][0].as_str().unwrap().to_owned());
    let prompt = "Send email to john@example.com saying thanks for the meeting";
    let plan = client.post("/ai/plan2", &json!({ "prompt": prompt })).await.body;
    let plan = plan["plan"]["plan_id"].as_str().unwrap();
    // A consent that was begun: whoever has its address and not the browser's cookie ends nothing.
    let begun = client.post("/oauth/google/start", &json!({})).await.body["authorization_url"].clone();
    let begun: reqwest::Url = begun.as_str().unwrap().parse().unwrap();
    let state = begun.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();

    let document = client.get("/openapi.json").await.body;
    let mut seeds = routes(&document, &jobs, plan);
    seeds.extend(["/", "/docs", "/dev/action-runner.html"].map(str::to_owned));
    seeds.push(format!("/oauth/google/callback?state={state}&code=x"));
    seeds.extend(decisions);
    seeds.extend(["approval", "time"].map(|what| format!("/ai/jobs?waiting_for={what}")));
    seeds.extend(jobs.iter().map(|id| format!("/ai/jobs/{id}?wait=0")));
    let (before, calls) = (ledger(folder.path()), fakes.operations().len());
    let there = crawl(&client, seeds.clone()).await;
    for path in [
        "/ai/jobs",
        "/ai/jobs?waiting_for=approval",
        "/audit",
        "/metrics",
        "/dev/outbox",
        "/dev/address-book",
        "/actions",
        "/docs",
        "/problems/outcome-unknown",
        "/dev/action-runner.html",
        "/oauth/google/status",
        &format!("/ai/jobs/{}/content", jobs[0]),
    ] {
        assert!(there.contains(path), "{path} was not looked at: {there:?}");
    }
    assert!(there.iter().any(|path| path.contains(".js")), "the page's own files are looked at, too: {there:?}");
    assert_eq!(fakes.operations().len(), calls, "nobody is asked");
    let after = ledger(folder.path());
    let changed: Vec<&String> = after.iter().filter(|record| !before.contains(record)).collect();
    assert!(changed.is_empty() && after.len() == before.len(), "changed: {changed:?}");
}
