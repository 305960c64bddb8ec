//! Keys and workspaces whose sends end after their drafts: nothing of theirs is ever sent. And agents' keys.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use domain::{Address, Effect, Evidence, Provider as Service, Violation};
use engine::{
    Caller,
    catalogue::Catalogue,
    execute::ExecuteRequest,
    ports::{
        Access, Action, ActionSpec, Call, Done, Instructions, OAuthScopes, ParamAddress, ProviderError, RenderContext,
        RenderError, Rendered, Wording,
    },
};
use fakes::{Fakes, Fault, Provider, Token, oauth::Consents};
use serde_json::{Value, json};

use crate::{
    inside::Inside,
    oauth::{begin, connect, start},
    support::{Client, GMAIL_COMPOSE, GMAIL_SEND, Reply, Server, command, gmail, run},
};

const SCOPES: &str = "actions:preview,actions:execute,connections:write,audit:read";
const PROMPTS: [(&str, &str); 2] = [
    ("google", "Send email to john@example.com saying hello"),
    ("microsoft", "Use Outlook to send an email to john@example.com saying hello"),
];

fn make_key(folder: &Path, more: &[&str]) -> String {
    run(folder, &[], &[&["keys", "create", "--workspace", "local", "--scopes", SCOPES], more].concat())
}

fn draft_only(folder: &Path, more: &[&str]) -> String {
    run(folder, &[], &[&["workspaces", "draft-only", "local"], more].concat())
}

/// The program with accounts of both providers that were granted these scopes.
fn live(folder: &Path, fakes: &Fakes, google: &[&str], microsoft: &[&str]) -> Server {
    fakes.add_token(Token::new(Provider::Google, "t-google", google));
    fakes.add_token(Token::new(Provider::Microsoft, "t-microsoft", microsoft));
    let (google, microsoft) = (google.join(" "), microsoft.join(" "));
    let variables = [
        ("GMAIL_BASE_URL", fakes.gmail_url()),
        ("GRAPH_BASE_URL", fakes.graph_url()),
        ("GOOGLE_ACCESS_TOKEN", "t-google".to_owned()),
        ("GOOGLE_ACCESS_TOKEN_SCOPES", google),
        ("MICROSOFT_ACCESS_TOKEN", "t-microsoft".to_owned()),
        ("MICROSOFT_ACCESS_TOKEN_SCOPES", microsoft),
    ];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start(folder, &variables)
}

fn mail(provider: &str, key: &str) -> Value {
    let mut action = gmail(key, "Hello");
    if provider == "microsoft" {
        (action["provider"], action["action"]) = (json!("microsoft"), json!("outlook.send"));
    }
    action
}

async fn execute(client: &Client, action: &Value) -> Reply {
    client.post("/ai/execute", &json!({ "actions": [action], "actor_id": "ana@example.com" })).await
}

async fn plan(client: &Client, prompt: &str) -> Reply {
    client.post("/ai/plan2", &json!({ "prompt": prompt })).await
}

/// The codes of warnings.
fn codes(warnings: &Value) -> Vec<&str> {
    warnings.as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

/// Calls that reach people.
fn sends(fakes: &Fakes) -> Vec<&'static str> {
    let mut operations = fakes.operations();
    operations.retain(|operation| operation.ends_with("send") || operation.ends_with("sendMail"));
    operations
}

#[track_caller]
fn is_draft(job: &Job<'_>) {
    let Job(job, draft) = job;
    let done = (&job["status"], &job["result"]["done"], &job["effect"]);
    assert_eq!(done, (&json!("completed"), &json!("Left among the drafts."), &json!("draft")), "{job}");
    assert!(job["result"]["draft_id"].as_str().is_some_and(|id| !id.is_empty()), "{job}");
    assert_eq!(job["summary"]["draft"], *draft, "{job}");
}

/// A job, and where its draft lies.
struct Job<'a>(&'a Value, &'a str);

#[tokio::test]
async fn a_draft_only_key_plans_shows_and_leaves_drafts_and_never_sends() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let (drafts, other) = (make_key(folder.path(), &["--draft-only"]), make_key(folder.path(), &[]));
    // An account that may not even send is enough.
    let server = live(folder.path(), &fakes, &[GMAIL_COMPOSE], &["Mail.ReadWrite"]);
    let (drafts, other) = (server.with_key(&drafts), server.with_key(&other));
    for (provider, prompt) in PROMPTS {
        let planned = plan(&drafts, prompt).await.body["plan"].take();
        assert_eq!(
            (&planned["draft_only"], codes(&planned["warnings"])),
            (&json!(true), vec!["draft-only"]),
            "{planned}"
        );
        assert_eq!(planned["warnings"][0]["field"], "/actions/0/params");
        let preview = drafts.post("/actions/preview", &planned["actions"][0]).await.body;
        assert_eq!(
            (&preview["draft_only"], codes(&preview["warnings"])),
            (&json!(true), vec!["draft-only"]),
            "{preview}"
        );
        let sent = plan(&other, prompt).await.body["plan"].take();
        assert_eq!((&sent["draft_only"], codes(&sent["warnings"])), (&json!(false), vec![]), "{sent}");

        // Whoever executes the plan, it is what was shown.
        let accepted = other.post("/ai/execute", &json!({ "plan_id": planned["plan_id"] })).await;
        assert_eq!(accepted.status, 202, "{}", accepted.body);
        let shown = other.ended(accepted.body["job_ids"][0].as_str().unwrap()).await;
        let own = drafts.ended(&drafts.execute(mail(provider, &format!("own-{provider}"))).await).await;
        let account = if provider == "google" { "Gmail" } else { "Outlook" };
        for job in [&shown, &own] {
            is_draft(&Job(job, &format!("Among the drafts of the connected {account} account.")));
        }
        // Nothing went out, so the same is no duplicate.
        let mut again = mail(provider, &format!("own-{provider}"));
        again["client_request_id"] = json!("another");
        assert_eq!(codes(&other.post("/actions/preview", &again).await.body["warnings"]), Vec::<&str>::new());
    }
    assert_eq!((sends(&fakes), fakes.deliveries().len()), (vec![], 0));
    let create = ["gmail.drafts.create", "gmail.drafts.create", "graph.messages.create", "graph.messages.create"];
    assert_eq!(fakes.operations(), create);
    let audit = drafts.get("/audit?limit=100").await.body;
    let told: Vec<&Value> =
        audit["data"].as_array().unwrap().iter().filter(|entry| entry["job_id"].is_string()).collect();
    assert!(told.len() == 8 && told.iter().all(|entry| entry["value"] == "draft-only"), "{audit}");
    assert!(audit.to_string().contains("audit:read; draft-only"), "{audit}");
}

#[tokio::test]
async fn a_workspace_becomes_draft_only_before_the_send_and_a_draft_stays_one() {
    for (provider, send, create) in [
        ("google", "gmail.drafts.send", "gmail.drafts.create"),
        ("microsoft", "graph.messages.send", "graph.messages.create"),
    ] {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let server = live(folder.path(), &fakes, &[GMAIL_COMPOSE], &["Mail.ReadWrite", "Mail.Send"]);
        let retry = async |id: &str| server.post(&format!("/ai/jobs/{id}/retry"), &json!({})).await;
        let cancel = async |id: &str| server.post(&format!("/ai/jobs/{id}/cancel"), &json!({})).await;
        // Accepted as sends: one has its draft already, one has none yet, and one is tried again.
        let cancelled = server.execute(mail(provider, "cancelled")).await;
        let sent = server.ended(&cancelled).await;
        assert_eq!((&sent["status"], &sent["effect"]), (&json!("completed"), &json!("send")), "{sent}");
        let before = fakes.operations().len();
        assert_eq!(fakes.deliveries().len(), 1);
        fakes.script(Fault::TooManyRequests { retry_after_s: Some(3) }.on(send));
        let prepared = server.execute(mail(provider, "prepared")).await;
        server.job_when(&prepared, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        let queued = server.execute(mail(provider, "queued")).await;
        server.job_when(&queued, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        let retried = server.execute(mail(provider, "retried")).await;
        server.job_when(&retried, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        assert_eq!(cancel(&retried).await.status, 200);
        assert_eq!(draft_only(folder.path(), &[]), "all\tdraft-only");
        let accepted = server.execute(mail(provider, "accepted")).await;
        assert_eq!(retry(&retried).await.status, 200);
        let place = if provider == "google" { "Gmail" } else { "Outlook" };
        let place = format!("Among the drafts of the connected {place} account.");
        for id in [&prepared, &queued, &retried] {
            is_draft(&Job(&server.ended(id).await, &place));
        }
        is_draft(&Job(&server.ended(&accepted).await, &place));
        let after = &fakes.operations()[before..];
        assert_eq!(after.iter().filter(|operation| **operation == send).count(), 1, "the refused one: {after:?}");
        assert_eq!(after.iter().filter(|operation| **operation == create).count(), 4, "{after:?}");

        // What was accepted as a draft stays one.
        fakes.script(Fault::TooManyRequests { retry_after_s: Some(2) }.on(create));
        let later = server.execute(mail(provider, "later")).await;
        server.job_when(&later, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        assert_eq!(draft_only(folder.path(), &["--off"]), "all");
        assert_eq!(run(folder.path(), &[], &["workspaces", "show", "local"]), "all");
        is_draft(&Job(&server.ended(&later).await, &place));
        assert_eq!(fakes.deliveries().len(), 1, "{:?}", fakes.operations());
        let open = server.ended(&server.execute(mail(provider, "open")).await).await;
        assert_eq!((&open["effect"], fakes.count("job:open")), (&json!("send"), 1), "{open}");
    }
}

#[tokio::test]
async fn without_the_scope_for_drafts_a_draft_only_caller_is_refused_when_planning_executing_and_working() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = live(folder.path(), &fakes, &[GMAIL_SEND], &["Mail.Send"]);
    let waiting = ["google", "microsoft"].map(|provider| mail(provider, &format!("waits-{provider}")));
    let mut ids = Vec::new();
    for (action, operation) in waiting.iter().zip(["gmail.messages.send", "graph.sendMail"]) {
        fakes.script(Fault::TooManyRequests { retry_after_s: Some(3) }.on(operation));
        let id = server.execute(action.clone()).await;
        server.job_when(&id, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        ids.push(id);
    }
    let before = fakes.operations().len();
    draft_only(folder.path(), &[]);
    for (provider, prompt) in PROMPTS {
        let connect = json!(format!("{}/oauth/{provider}/start", server.url));
        for refused in [plan(&server, prompt).await, execute(&server, &mail(provider, "refused")).await] {
            assert_eq!((refused.status, refused.code()), (409, &json!("reauth-required")), "{}", refused.body);
            assert_eq!(refused.body["connect_url"], connect);
            assert!(refused.body["detail"].as_str().unwrap().contains("permission for drafts"), "{}", refused.body);
        }
        assert_eq!(execute(&server, &mail(provider, "refused")).await.pointers(), ["/actions/0/provider"]);
        let preview = server.post("/actions/preview", &mail(provider, "preview")).await.body;
        assert_eq!(codes(&preview["warnings"]), ["draft-only", "needs-reauth"], "{preview}");
    }
    for id in &ids {
        let job = server.ended(id).await;
        let error = (&job["error"]["code"], &job["error"]["retriable"]);
        assert_eq!(error, (&json!("reauth-required"), &json!(true)), "{job}");
    }
    assert_eq!(fakes.operations().len(), before, "the provider is not asked");
    let jobs = server.get("/ai/jobs").await.body;
    assert_eq!(jobs["data"].as_array().map(Vec::len), Some(2), "what is refused leaves no job");
}

#[tokio::test]
async fn a_draft_whose_answer_is_lost_is_made_again_and_never_sent() {
    for fault in
        [Fault::AcceptThenClose, Fault::AcceptThen500, Fault::AcceptThenGarbage, Fault::CloseBefore, Fault::Fail500]
    {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let key = make_key(folder.path(), &["--draft-only"]);
        let server = live(folder.path(), &fakes, &[GMAIL_COMPOSE], &["Mail.ReadWrite"]);
        let client = server.with_key(&key);
        for (provider, create) in [("google", "gmail.drafts.create"), ("microsoft", "graph.messages.create")] {
            fakes.script(fault.on(create));
            let job = client.ended(&client.execute(mail(provider, provider)).await).await;
            assert_eq!(
                (&job["status"], &job["result"]["done"]),
                (&json!("completed"), &json!("Left among the drafts."))
            );
            let made = fakes.operations().iter().filter(|operation| **operation == create).count();
            assert_eq!(made, 2, "{fault:?} {provider}");
        }
        assert_eq!((sends(&fakes), fakes.deliveries().len()), (vec![], 0), "{fault:?}");
    }
}

#[tokio::test]
async fn the_sandbox_shows_drafts_as_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let (drafts, other) = (make_key(folder.path(), &["--draft-only"]), make_key(folder.path(), &[]));
    let server = Server::start(folder.path(), &[]);
    let (drafts, other) = (server.with_key(&drafts), server.with_key(&other));
    for provider in ["google", "microsoft"] {
        let id = drafts.execute(mail(provider, &format!("draft-{provider}"))).await;
        let job = drafts.ended(&id).await;
        is_draft(&Job(&job, "In the outbox, as a draft."));
        assert_eq!((&job["result"]["outbox"], &job["result"]["draft_id"]), (&json!(true), &json!(id)));
        other.ended(&other.execute(mail(provider, &format!("send-{provider}"))).await).await;
    }
    let outbox = other.get("/dev/outbox").await.body;
    let effects: Vec<&Value> = outbox["data"].as_array().unwrap().iter().map(|entry| &entry["effect"]).collect();
    assert_eq!(effects, ["send", "draft", "send", "draft"], "{outbox}");
}

#[tokio::test]
async fn a_draft_only_caller_connects_with_the_scope_for_drafts() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(Consents { address: "owner@contoso.com".to_owned(), ..Consents::default() });
    let (key, other) = (make_key(folder.path(), &["--draft-only"]), make_key(folder.path(), &[]));
    let server = start(folder.path(), &fakes, &[]);
    let (client, other) = (server.with_key(&key), server.with_key(&other));
    for (provider, scope, sends) in
        [("google", "gmail.compose", "gmail.send"), ("microsoft", "Mail.ReadWrite", "Mail.Send")]
    {
        let asks = async |client: &Client| {
            let page = begin(client, provider, json!({})).await.page;
            [scope, sends].map(|scope| page.as_str().contains(scope))
        };
        // The account is the workspace's, whose other keys send with it.
        assert_eq!(asks(&client).await, [true, provider == "microsoft"], "{provider}");
        assert_eq!(asks(&other).await, [false, true], "{provider}");
        draft_only(folder.path(), &[]);
        assert_eq!(asks(&other).await, [true, false], "{provider}");
        assert_eq!(connect(&client, provider, json!({})).await.status, 200);
        draft_only(folder.path(), &["--off"]);
        let job = client.ended(&client.execute(mail(provider, provider)).await).await;
        is_draft(&Job(&job, "Among the drafts of owner@contoso.com."));
    }
    assert!(sends(&fakes).is_empty());
}

#[tokio::test]
async fn a_key_tells_what_kind_it_is_and_an_agent_gets_none_that_approves() {
    let folder = tempfile::tempdir().unwrap();
    for (more, kinds) in [
        (&["--name", "Plain"][..], "-"),
        (&["--agent"], "agent"),
        (&["--draft-only"], "draft-only"),
        (&["--agent", "--draft-only"], "agent,draft-only"),
    ] {
        let key = make_key(folder.path(), more);
        let listed = run(folder.path(), &[], &["keys", "list"]);
        let line = listed.lines().find(|line| line.starts_with(key.split('_').nth(1).unwrap())).unwrap();
        assert_eq!(line.split('\t').next_back(), Some(kinds), "{line}");
    }
    for scopes in ["actions:approve", "actions:preview,actions:approve", "actions:approve,actions:execute,audit:read"] {
        let create = |more: &[&str]| {
            let arguments = ["keys", "create", "--workspace", "local", "--scopes", scopes];
            command(folder.path(), &[]).args(arguments).args(more).output().unwrap()
        };
        for more in [&["--agent"][..], &["--agent", "--draft-only"]] {
            let refused = create(more);
            let says = String::from_utf8(refused.stderr).unwrap();
            assert!(!refused.status.success() && refused.stdout.is_empty(), "{scopes}");
            assert!(says.contains("an agent's key cannot have the scope actions:approve"), "{says}");
        }
        assert!(create(&[]).status.success(), "{scopes}");
    }
    assert_eq!(run(folder.path(), &[], &["keys", "list"]).lines().count(), 7, "what is refused makes no key");
}

#[tokio::test]
async fn settings_of_a_workspace_do_not_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(draft_only(folder, &[]), "all\tdraft-only");
    assert_eq!(run(folder, &[], &["workspaces", "allow", "local", "gmail.send"]), "gmail.send\tdraft-only");
    assert_eq!(run(folder, &[], &["workspaces", "show", "local"]), "gmail.send\tdraft-only");
    assert_eq!(draft_only(folder, &["--off"]), "gmail.send");
    assert_eq!(draft_only(folder, &[]), "gmail.send\tdraft-only");
    assert_eq!(run(folder, &[], &["workspaces", "reset", "local"]), "all\tdraft-only");
    assert_eq!(run(folder, &[], &["workspaces", "show", "other"]), "all", "each workspace has its own");
    let told = run(folder, &[], &["audit", "--workspace", "local"]);
    assert_eq!(told.matches(r#""event":"workspace.changed""#).count(), 5, "{told}");
    assert!(told.contains(r#""value":"gmail.send; draft-only""#), "{told}");
}

/// An action with a recipient that leaves no draft.
struct Other(ActionSpec);

struct OtherCall(Option<Address>);

impl Other {
    fn action(id: &'static str, effect: Effect) -> Arc<dyn Action> {
        Arc::new(Self(ActionSpec {
            id,
            title: "Test",
            provider: Service::Google,
            effect,
            description: "Reaches its recipient.",
            scopes: OAuthScopes { required: &["other"], draft: &[] },
            instructions: Instructions::default(),
            wording: Wording { noun: "it", ask_recipients: "", ask_text: "", look: "Look" },
        }))
    }
}

impl Action for Other {
    fn spec(&self) -> &ActionSpec {
        &self.0
    }

    fn params_schema(&self) -> &Value {
        static SCHEMA: LazyLock<Value> = LazyLock::new(|| json!({ "type": "object" }));
        &SCHEMA
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(OtherCall(params["to"].as_str().map(|to| to.parse().unwrap()))))
    }
}

#[async_trait]
impl Call for OtherCall {
    fn params(&self) -> Value {
        json!({ "to": self.0.as_ref().map(Address::addr_spec) })
    }

    fn addresses(&self) -> Vec<ParamAddress<'_>> {
        let param = |address| ParamAddress { pointer: "/to".to_owned(), address, is_recipient: true };
        self.0.iter().map(param).collect()
    }

    fn title(&self) -> String {
        "test".to_owned()
    }

    fn render(&self, _: &RenderContext) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "text/plain", body: self.params().to_string() })
    }

    async fn perform(&self, _: &Rendered, _: &Access, _: Option<&Evidence>) -> Result<Done, ProviderError> {
        unreachable!("the sandbox performs nothing")
    }
}

#[tokio::test]
async fn what_reaches_people_and_leaves_no_draft_is_refused() {
    let mut inside = Inside::new(&[]);
    inside.change(|parts| {
        let provider = parts.catalogue.provider(Service::Google);
        let more = [Other::action("test.change", Effect::Change), Other::action("test.send", Effect::Send)];
        let actions = parts.catalogue.iter().cloned().chain(more).collect();
        let providers = [provider, parts.catalogue.provider(Service::Microsoft)].to_vec();
        parts.catalogue = Catalogue::new(providers, actions);
    });
    let drafts = Caller { draft_only: true, ..inside.caller.clone() };
    for (place, (action, params, refused)) in [
        ("test.change", json!({ "to": "john@example.com" }), true),
        ("test.change", json!({}), false),
        ("test.send", json!({ "to": "john@example.com" }), true),
        ("test.send", json!({}), true),
        ("gmail.send", json!({ "to": "john@example.com", "subject": "Hi", "text": "Hi" }), false),
    ]
    .into_iter()
    .enumerate()
    {
        for (who, caller) in [("drafts", &drafts), ("anybody", &inside.caller)] {
            let key = format!("{who}-{place}");
            let action = json!([{ "action": action, "params": params, "client_request_id": key }]);
            let actions = Some(serde_json::from_value(action).unwrap());
            let request = ExecuteRequest { actions, actor_id: "a".parse().ok(), ..ExecuteRequest::default() };
            let code = inside.execute_as(caller, request).await.err().map(|problem| problem.code.to_string());
            let wanted = (refused && who == "drafts").then(|| "action-not-allowed".to_owned());
            assert_eq!(code, wanted, "{key}");
        }
    }
}
