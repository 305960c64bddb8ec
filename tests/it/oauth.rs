//! Accounts are connected in a browser, send, are renewed and are disconnected.

use std::path::Path;

use contracts::Emulate;
use fakes::{Fakes, Fault, oauth::Consents};
use reqwest::Url;
use serde_json::{Value, json};

use crate::support::{Client, GMAIL_SEND, Reply, Server, gmail, reply, run, until};

const OWNER: &str = "owner@contoso.com";

/// The program, with clients registered at the fakes.
pub fn start(folder: &Path, fakes: &Fakes, more: &[(&str, &str)]) -> Server {
    let mut variables = fakes.oauth_variables();
    variables.push(("GMAIL_BASE_URL".to_owned(), fakes.gmail_url()));
    variables.push(("GRAPH_BASE_URL".to_owned(), fakes.graph_url()));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Server::start(folder, &[variables.as_slice(), more].concat())
}

pub fn owner(expires_in_s: u64) -> Consents {
    Consents { address: OWNER.to_owned(), expires_in_s, ..Consents::default() }
}

/// A way that was begun: where to consent, and what the browser keeps.
pub struct Way {
    pub page: Url,
    pub cookie: String,
}

pub async fn begin(client: &Client, provider: &str, body: Value) -> Way {
    let started = client.post(&format!("/oauth/{provider}/start"), &body).await;
    assert_eq!(started.status, 200, "{}", started.body);
    let cookie = started.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Path=/; Max-Age=600"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(cookie.split_once('=').unwrap().1.len(), 64, "256 bits");
    Way { page: started.body["authorization_url"].as_str().unwrap().parse().unwrap(), cookie }
}

/// What the provider sends the browser back with, as a path of the program.
pub async fn consent(client: &Client, way: &Way) -> String {
    let answer = client.request_url("GET", way.page.as_str()).send().await.unwrap();
    assert_eq!(answer.status(), 302, "the provider takes the way as it is");
    let location = answer.headers()["location"].to_str().unwrap();
    location[location.find("/oauth/").expect("back to where it came from")..].to_owned()
}

pub async fn back(client: &Client, path: &str, cookie: Option<&str>) -> Reply {
    let request = client.request("GET", path).header("accept", "text/html,*/*");
    reply(cookie.into_iter().fold(request, |request, cookie| request.header("cookie", cookie))).await
}

pub async fn connect(client: &Client, provider: &str, body: Value) -> Reply {
    let way = begin(client, provider, body).await;
    let path = consent(client, &way).await;
    back(client, &path, Some(&way.cookie)).await
}

async fn status(client: &Client, provider: &str) -> Value {
    client.get(&format!("/oauth/{provider}/status")).await.body
}

pub fn mail(provider: &str, key: &str) -> Value {
    let mut action = gmail(key, "Hello");
    if provider == "microsoft" {
        (action["provider"], action["action"]) = (json!("microsoft"), json!("outlook.send"));
    }
    action
}

fn fifty() -> Vec<Value> {
    let tens = (0..5).map(|ten| (0..10).map(|one| gmail(&format!("k{ten}{one}"), "Hello")).collect::<Vec<_>>());
    tens.map(|actions| json!({ "actions": actions, "actor_id": "service" })).collect()
}

#[tokio::test]
async fn an_account_is_connected_sends_and_is_disconnected() {
    for (provider, drafts, revoked) in [("google", false, true), ("google", true, true), ("microsoft", true, false)] {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        fakes.consents(owner(3600));
        let server = start(folder.path(), &fakes, &[("RUST_LOG", "debug")]);
        let before = status(&server, provider).await;
        assert_eq!((&before["mode"], &before["can_connect"]), (&json!("sandbox"), &json!(true)));

        let page = connect(&server, provider, json!({ "drafts": drafts })).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.as_str().unwrap().contains(OWNER) && page.header("content-type").starts_with("text/html"));
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
        assert!(page.header("set-cookie").contains("Max-Age=0"), "the cookie is good once");

        let now = status(&server, provider).await;
        assert_eq!((&now["mode"], &now["address"], &now["drafts"]), (&json!("live"), &json!(OWNER), &json!(drafts)));
        let id = mail(provider, "x")["action"].clone();
        let actions = server.get("/actions").await.body;
        let action = actions["data"].as_array().unwrap().iter().find(|action| action["id"] == id).unwrap();
        assert_eq!((&action["address"], &action["connected"]), (&json!(OWNER), &json!(true)));
        let preview = server.post("/actions/preview", &mail(provider, "p")).await;
        assert_eq!(preview.body["from"], OWNER);
        let prompt = if provider == "google" { "Send email" } else { "Use Outlook to send an email" };
        let plan =
            server.post("/ai/plan2", &json!({ "prompt": format!("{prompt} to john@example.com saying hi") })).await;
        assert_eq!(plan.body["accounts"], json!([{ "provider": provider, "mode": "live", "address": OWNER }]));

        let job = server.ended(&server.execute(mail(provider, "sent")).await).await;
        assert_eq!((&job["status"], &job["result"]["from"]), (&json!("completed"), &json!(OWNER)), "{job}");
        assert_eq!(fakes.count("job:sent"), 1);
        assert!(job["result"]["draft_id"].is_string() || provider == "google", "by draft: {job}");

        let ended = reply(server.request("DELETE", &format!("/oauth/{provider}"))).await.body;
        assert_eq!((&ended["disconnected"], &ended["revoked"]), (&json!(true), &json!(revoked)));
        assert_eq!(ended["revoke_at"].is_null(), revoked);
        assert_eq!(fakes.revoked(), usize::from(revoked));
        let again = reply(server.request("DELETE", &format!("/oauth/{provider}"))).await.body;
        assert_eq!(again["disconnected"], false);
        assert_eq!(status(&server, provider).await, before);

        let log = server.into_log();
        let ledger =
            ["ledger.db", "ledger.db-wal"].map(|file| std::fs::read(folder.path().join(file)).unwrap_or_default());
        let ledger = String::from_utf8_lossy(&ledger.concat()).into_owned();
        for secret in ["fake-access", "fake-refresh", "code-", fakes::oauth::CLIENT_SECRET, OWNER] {
            assert!(!log.contains(secret), "{secret} is in the log: {log}");
            let shown = secret == OWNER && job["result"]["from"] == OWNER;
            assert!(shown || !ledger.contains(secret), "{secret} is in the ledger");
        }
    }
}

#[tokio::test]
async fn a_way_is_good_once_in_its_browser_for_its_provider() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(owner(3600));
    let server = start(folder.path(), &fakes, &[]);
    let refused = async |path: &str, cookie: Option<&str>, what: &str| {
        let page = back(&server, path, cookie).await;
        assert_eq!(page.status, 400, "{what}: {}", page.body);
        assert!(page.header("content-type").starts_with("text/html"), "{what}");
        let program = server.request("GET", path).header("accept", "application/problem+json");
        let problem = reply(cookie.into_iter().fold(program, |request, cookie| request.header("cookie", cookie))).await;
        assert_eq!((problem.status, problem.code()), (400, &json!("authorization-invalid")), "{what}");
        for provider in ["google", "microsoft"] {
            assert_eq!(status(&server, provider).await["mode"], "sandbox", "{what}: nothing is stored");
        }
    };
    let (ours, theirs) = (begin(&server, "google", json!({})).await, begin(&server, "google", json!({})).await);
    let path = consent(&server, &ours).await;
    refused(&path, None, "no cookie, as of a link scanner").await;
    for wrong in [&*theirs.cookie, "orchestrator-google=", "orchestrator-google=0", "other=1"] {
        refused(&path, Some(wrong), "another browser").await;
    }
    let swapped = consent(&server, &theirs).await.replace("/google/", "/microsoft/");
    let cookie = theirs.cookie.replace("google", "microsoft");
    refused(&swapped, Some(&cookie), "another provider").await;
    let (first, second) = (begin(&server, "google", json!({})).await, begin(&server, "google", json!({})).await);
    let (one, two) = (consent(&server, &first).await, consent(&server, &second).await);
    let state = |path: &str| path.split("state=").nth(1).unwrap().to_owned();
    refused(&one.replace(&state(&one), &state(&two)), Some(&first.cookie), "swapped states").await;
    let code = |path: &str| path.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    refused(&one.replace(&code(&one), &code(&two)), Some(&first.cookie), "another way's code, without its verifier")
        .await;
    for path in ["/oauth/google/callback", "/oauth/google/callback?state=&code=x", "/oauth/google/callback?state=%00"] {
        refused(path, Some(&first.cookie), path).await;
    }

    // None of these tries used the first one up.
    assert_eq!(back(&server, &path, Some(&ours.cookie)).await.status, 200);
    let connected = status(&server, "google").await;
    assert_eq!(back(&server, &path, Some(&ours.cookie)).await.status, 400, "replayed");
    assert_eq!(status(&server, "google").await, connected);
}

#[tokio::test]
async fn what_was_not_granted_is_not_connected() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = start(folder.path(), &fakes, &[]);
    fakes.consents(Consents { refuses: true, ..owner(3600) });
    let page = connect(&server, "google", json!({})).await;
    assert_eq!(page.status, 403);
    let text = page.body.as_str().unwrap();
    assert!(text.contains("consent was refused") && !text.contains("<script"), "{text}");
    fakes.consents(Consents { but: Some(GMAIL_SEND.to_owned()), ..owner(3600) });
    let page = connect(&server, "google", json!({})).await;
    assert!(page.status == 403 && page.body.as_str().unwrap().contains("gmail.send"), "it says what is missing");
    fakes.consents(owner(3600));
    fakes.script(Fault::Fail500.on("google.token"));
    assert_eq!(connect(&server, "google", json!({})).await.status, 503);
    assert_eq!(status(&server, "google").await["mode"], "sandbox");

    // Without a client there is nothing to begin, and without an action nothing to begin it for.
    let plain = tempfile::tempdir().unwrap();
    let plain = Server::start(plain.path(), &[]);
    assert_eq!(plain.post("/oauth/google/start", &json!({})).await.code(), "not-found");
    let folder = tempfile::tempdir().unwrap();
    let none = start(folder.path(), &fakes, &[("ALLOW_ACTIONS_DEFAULT", "outlook.send")]);
    assert_eq!(none.post("/oauth/google/start", &json!({})).await.code(), "action-not-allowed");
    let unknown = none.post("/oauth/microsoft/start", &json!({ "scopes": ["all"] })).await;
    assert_eq!(unknown.code(), "invalid-request");
    let asked = begin(&none, "microsoft", json!({})).await.page;
    assert!(
        asked.query_pairs().any(|(name, scopes)| name == "scope" && scopes == "openid email offline_access Mail.Send")
    );
}

#[tokio::test]
async fn what_is_granted_and_not_stored_is_revoked_at_the_provider() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = start(folder.path(), &fakes, &[]);
    let other = Consents { address: "other@contoso.com".to_owned(), ..owner(3600) };
    let without_scope = |consents| Consents { but: Some(GMAIL_SEND.to_owned()), ..consents };
    for (consents, status, revoked, what) in [
        (without_scope(owner(3600)), 403, 1, "a scope is missing"),
        (Consents { forged: true, ..owner(3600) }, 400, 1, "nobody knows whose account it is"),
        (owner(3600), 200, 1, "it is stored"),
        (without_scope(owner(3600)), 403, 1, "that would end the stored grant of the same account"),
        (other.clone(), 409, 2, "another account is connected"),
        (without_scope(other), 403, 3, "a scope is missing, and the account another one"),
    ] {
        fakes.consents(consents);
        let page = connect(&server, "google", json!({})).await;
        assert_eq!((page.status, fakes.revoked()), (status, revoked), "{what}: {}", page.body);
    }
    let job = server.ended(&server.execute(gmail("a", "Hello")).await).await;
    assert_eq!((&job["status"], &job["result"]["from"]), (&json!("completed"), &json!(OWNER)), "{job}");
}

#[tokio::test]
async fn a_grant_lives_until_the_last_workspace_with_its_account_disconnects() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(owner(3600));
    let key = |workspace: &str| {
        let scopes = "actions:preview,actions:execute,connections:write";
        run(folder.path(), &[], &["keys", "create", "--workspace", workspace, "--scopes", scopes])
    };
    let keys = ["one", "two", "three"].map(key);
    let server = start(folder.path(), &fakes, &[]);
    let [one, two, three] = keys.each_ref().map(|key| server.with_key(key));
    for client in [&one, &two] {
        assert_eq!(connect(client, "google", json!({})).await.status, 200);
    }
    fakes.consents(Consents { address: "other@contoso.com".to_owned(), ..owner(3600) });
    assert_eq!(connect(&three, "google", json!({})).await.status, 200);
    let disconnect = async |client: &Client| {
        let ended = reply(client.request("DELETE", "/oauth/google")).await.body;
        assert_eq!(ended["disconnected"], true);
        assert_eq!(ended["revoke_at"].is_null(), ended["revoked"] == true, "{ended}");
        ended["revoked"] == true
    };
    assert!(!disconnect(&one).await, "another workspace still has it");
    assert_eq!((fakes.revoked(), status(&one, "google").await["mode"].as_str()), (0, Some("sandbox")));
    let job = two.ended(&two.execute(gmail("a", "Hello")).await).await;
    assert_eq!(job["status"], "completed", "{job}");

    // A place that another account takes is no reason, either.
    assert_eq!(connect(&one, "google", json!({})).await.status, 200);
    assert!(!disconnect(&three).await, "the first has this one, too");
    fakes.consents(owner(3600));
    assert_eq!(connect(&one, "google", json!({ "replace": true })).await.status, 200);
    assert_eq!(fakes.revoked(), 1, "nobody has the other account any more");
    assert!(!disconnect(&two).await);
    assert!(disconnect(&one).await, "it was the last one");
    assert_eq!(fakes.revoked(), 2);
}

#[tokio::test]
async fn an_id_token_that_its_issuer_has_not_signed_connects_nothing() {
    for provider in ["google", "microsoft"] {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let server = start(folder.path(), &fakes, &[]);
        fakes.script(Fault::Fail500.on("oauth.keys"));
        fakes.consents(owner(3600));
        assert_eq!(connect(&server, provider, json!({})).await.status, 503, "without keys nobody is let in");
        fakes.consents(Consents { forged: true, ..owner(3600) });
        let page = connect(&server, provider, json!({})).await;
        assert_eq!(page.status, 400, "{}", page.body);
        assert_eq!(status(&server, provider).await["mode"], "sandbox");
        fakes.consents(owner(3600));
        assert_eq!(connect(&server, provider, json!({})).await.status, 200);
    }
}

#[tokio::test]
async fn another_account_takes_no_place_unasked_and_no_job_of_the_one_before() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(owner(3600));
    let server = start(folder.path(), &fakes, &[]);
    assert_eq!(connect(&server, "google", json!({})).await.status, 200);
    assert_eq!(connect(&server, "google", json!({})).await.status, 200, "the same account again asks nobody");
    fakes.script(Fault::TooManyRequests { retry_after_s: Some(3) }.on("gmail.messages.send"));
    let job = server.execute(gmail("waits", "Hello")).await;
    until("the job is not tried", || fakes.operations().contains(&"gmail.messages.send")).await;

    fakes.consents(Consents { address: "other@contoso.com".to_owned(), ..owner(3600) });
    assert_eq!(connect(&server, "google", json!({})).await.status, 409);
    assert_eq!(status(&server, "google").await["address"], OWNER);
    assert_eq!(connect(&server, "google", json!({ "replace": true })).await.status, 200);
    assert_eq!(status(&server, "google").await["address"], "other@contoso.com");

    let job = server.ended(&job).await;
    assert_eq!(job["error"]["code"], "connection-required", "it was accepted for the other account: {job}");
    assert!(fakes.deliveries().is_empty());
    let job = server.ended(&server.execute(gmail("new", "Hello")).await).await;
    assert_eq!(job["result"]["from"], "other@contoso.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_jobs_with_an_ended_token_renew_it_once() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(owner(0));
    let server = start(folder.path(), &fakes, &[]);
    assert_eq!(connect(&server, "google", json!({})).await.status, 200);
    fakes.consents(owner(3600));
    fifty_at_once(&[server.client()], &fakes).await;
    assert_eq!((fakes.refreshes(), fakes.deliveries().len()), (1, 50));

    // The provider refuses what should still be good: it is renewed once more.
    fakes.end_access_tokens();
    let job = server.ended(&server.execute(gmail("again", "Hello")).await).await;
    assert_eq!((job["status"].as_str(), fakes.refreshes()), (Some("completed"), 2), "{job}");
}

async fn fifty_at_once(clients: &[Client], fakes: &Fakes) {
    let mut running = Vec::new();
    for (place, request) in fifty().into_iter().enumerate() {
        let client = clients[place % clients.len()].clone();
        running.push(tokio::spawn(async move { client.post("/ai/execute", &request).await }));
    }
    let mut ids = Vec::new();
    for accepted in running {
        let accepted = accepted.await.unwrap();
        assert_eq!(accepted.status, 202, "{}", accepted.body);
        ids.extend(accepted.body["job_ids"].as_array().unwrap().clone());
    }
    for id in ids {
        let job = clients[0].ended(id.as_str().unwrap()).await;
        assert_eq!(job["status"], "completed", "{job}; {:?}", fakes.operations());
    }
}

#[tokio::test]
async fn only_an_ended_grant_asks_for_consent_again() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(owner(0));
    let server = start(folder.path(), &fakes, &[]);
    assert_eq!(connect(&server, "google", json!({})).await.status, 200);
    fakes.consents(owner(3600));
    for fault in [Fault::Fail500, Fault::CloseBefore] {
        fakes.script(fault.on("google.token"));
    }
    let job = server.ended(&server.execute(gmail("waits", "Hello")).await).await;
    assert_eq!((&job["status"], &job["attempts"]), (&json!("completed"), &json!(3)), "it waits, whatever fails: {job}");

    fakes.end_refresh_tokens();
    fakes.end_access_tokens();
    let waiting = server.execute(gmail("ended", "Hello")).await;
    let job = server.ended(&waiting).await;
    assert_eq!((&job["error"]["code"], &job["error"]["retriable"]), (&json!("reauth-required"), &json!(true)), "{job}");
    let link = format!("{}/oauth/google/start", server.url);
    assert!(job["error"]["remediation"].as_str().unwrap().contains(&link), "{job}");
    let now = status(&server, "google").await;
    assert_eq!(
        (&now["mode"], &now["needs_reauth"], &now["address"]),
        (&json!("needs_reauth"), &json!(true), &json!(OWNER))
    );
    let refused = server.post("/ai/execute", &json!({ "actions": [gmail("next", "Hi")], "actor_id": "a" })).await;
    assert_eq!(
        (refused.status, refused.code(), &refused.body["connect_url"]),
        (409, &json!("reauth-required"), &json!(link))
    );
    assert!(fakes.count("job:ended") == 0 && fakes.refreshes() == 2, "asked once: {}", fakes.refreshes());

    assert_eq!(connect(&server, "google", json!({})).await.status, 200);
    assert_eq!(server.post(&format!("/ai/jobs/{waiting}/retry"), &json!({})).await.status, 200);
    assert_eq!(server.ended(&waiting).await["status"], "completed");
}

#[tokio::test]
async fn accounts_are_connected_at_servers_that_others_wrote() {
    // The redirect URI is registered before the program has its port.
    let public_url = "http://127.0.0.1:8787";
    for (provider, auth, token) in [
        ("google", "/o/oauth2/v2/auth", "/oauth2/token"),
        ("microsoft", "/oauth2/v2.0/authorize", "/oauth2/v2.0/token"),
    ] {
        let redirect_uri = format!("{public_url}/oauth/{provider}/callback");
        let seed = json!({ provider: {
            "users": [{ "email": OWNER, "name": "Owner" }],
            "oauth_clients": [{
                "client_id": "us", "client_secret": "hush", "name": "Us", "redirect_uris": [redirect_uri],
            }],
        } });
        let other = Emulate::start(provider, &seed);
        let (url, folder, fakes) = (other.url(), tempfile::tempdir().unwrap(), Fakes::start().await.unwrap());
        let upper = provider.to_ascii_uppercase();
        let variables = [
            ("PUBLIC_URL".to_owned(), public_url.to_owned()),
            (format!("{upper}_CLIENT_ID"), "us".to_owned()),
            (format!("{upper}_CLIENT_SECRET"), "hush".to_owned()),
            (format!("{upper}_AUTH_URL"), format!("{url}{auth}")),
            (format!("{upper}_TOKEN_URL"), format!("{url}{token}")),
            ("GOOGLE_REVOKE_URL".to_owned(), format!("{url}/oauth2/revoke")),
            ("GMAIL_BASE_URL".to_owned(), fakes.gmail_url()),
            ("GRAPH_BASE_URL".to_owned(), fakes.graph_url()),
        ];
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let server = Server::start(folder.path(), &variables);

        let way = begin(&server, provider, json!({})).await;
        assert_eq!(reply(server.request_url("GET", way.page.as_str())).await.status, 200);
        let mut form = way.page.clone();
        form.set_path(&format!("{auth}/callback"));
        form.query_pairs_mut().append_pair("email", OWNER);
        let body = form.query().unwrap().to_owned();
        form.set_query(None);
        let chosen = server.request_url("POST", form.as_str()).body(body);
        let chosen = reply(chosen.header("content-type", "application/x-www-form-urlencoded")).await;
        let path = chosen.header("location").strip_prefix(public_url).expect("back to us").to_owned();
        assert_eq!(back(&server, &path, Some(&way.cookie)).await.status, 200);
        assert_eq!(status(&server, provider).await["address"], OWNER);
        assert_eq!(back(&server, &path, Some(&way.cookie)).await.status, 400, "replayed");

        // No mailbox here knows that server's tokens: it is asked for another one, once, and then a person is.
        let job = server.ended(&server.execute(mail(provider, "x")).await).await;
        assert_eq!(job["error"]["code"], "reauth-required", "{job}");
        assert_eq!(fakes.operations().len(), 2);
        let ended = reply(server.request("DELETE", &format!("/oauth/{provider}"))).await.body;
        assert_eq!((&ended["disconnected"], &ended["revoked"]), (&json!(true), &json!(provider == "google")));
    }
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_connect_together_and_renew_once() {
    use crate::support::command;

    let (redis, aws) = (contracts::servers::RedisServer::start(false), contracts::Ministack::shared());
    let (fakes, folders) =
        (Fakes::start().await.unwrap(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    let (redis_url, aws_url, key) = (redis.url(), aws.url(), "17".repeat(32));
    let variables = [
        ("REDIS_URL", redis_url.as_str()),
        ("QUEUE_URL", "redis"),
        ("LEDGER_TABLE", "connected"),
        ("AWS_ENDPOINT_URL", &aws_url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("TOKEN_KEY", &key),
        ("PUBLIC_URL", "http://127.0.0.1:8787"),
    ];
    let made = command(folders[0].path(), &variables).arg("create-table").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let [one, two] = folders.each_ref().map(|folder| start(folder.path(), &fakes, &variables));

    fakes.consents(owner(0));
    let late = begin(&one, "google", json!({})).await;
    let path = consent(&one, &late).await;
    let kept = redis.command("EVAL \"return redis.call('GET', redis.call('KEYS', '*:consent')[1])\" 0");
    for secret in ["verifier", "actor", &late.cookie[late.cookie.len() - 64..]] {
        assert!(!kept.contains(secret), "{secret} lies open: {kept}");
    }
    let ended = redis.command("EVAL \"return redis.call('PEXPIRE', redis.call('KEYS', '*:consent')[1], 0)\" 0");
    assert_eq!(ended, ":1");
    assert_eq!(back(&two, &path, Some(&late.cookie)).await.status, 400, "ten minutes are over");
    assert_eq!(status(&two, "google").await["mode"], "sandbox");

    let way = begin(&one, "google", json!({})).await;
    let path = consent(&one, &way).await;
    assert_eq!(back(&two, &path, Some(&way.cookie)).await.status, 200, "begun at one, ended at the other");
    assert_eq!(back(&one, &path, Some(&way.cookie)).await.status, 400, "replayed at the other");
    fakes.consents(owner(3600));
    fifty_at_once(&[one.client(), two.client()], &fakes).await;
    assert_eq!((fakes.refreshes(), fakes.deliveries().len()), (1, 50));
}
