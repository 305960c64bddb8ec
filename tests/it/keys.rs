//! With API keys: who comes in, to what, and for whom.

use std::path::Path;

use serde_json::json;

use crate::support::{Reply, Server, command, gmail, refused, reply, run};

/// Runs `orchestrator keys …` in a folder and gives back what it prints.
fn keys(folder: &Path, arguments: &[&str]) -> String {
    run(folder, &[], &[&["keys"], arguments].concat())
}

async fn get(server: &Server, path: &str, key: &str) -> Reply {
    reply(server.request("GET", path).bearer_auth(key)).await
}

async fn execute(server: &Server, key: &str, body: &serde_json::Value) -> Reply {
    reply(server.request("POST", "/ai/execute").bearer_auth(key).json(body)).await
}

#[tokio::test]
async fn with_a_key_in_the_ledger_every_route_with_a_scope_wants_one() {
    let folder = tempfile::tempdir().unwrap();
    let key = keys(folder.path(), &["create", "--workspace", "acme", "--scopes", "actions:preview"]);
    let server = Server::start(folder.path(), &[]);
    for path in ["/actions", "/ai/jobs", "/metrics", "/dev/outbox", "/oauth/google/status"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, &reply.body["code"]), (401, &json!("unauthenticated")), "{path}");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
    // The credential is looked at before the body.
    let broken = reply(server.request("POST", "/ai/plan2").header("content-type", "text/plain").body("{")).await;
    assert_eq!(broken.status, 401);
    for open in ["/healthz", "/readyz", "/openapi.json", "/problems/unauthenticated", "/dev/action-runner.html"] {
        assert_eq!(server.get(open).await.status, 200, "{open}");
    }
    let mut changed = key.clone();
    changed.replace_range(key.len() - 1.., if key.ends_with('0') { "1" } else { "0" });
    for wrong in ["", "x", "orc_a_b", &key[..key.len() - 1], &changed] {
        assert_eq!(get(&server, "/actions", wrong).await.status, 401, "{wrong}");
    }
    assert_eq!(get(&server, "/actions", &key).await.status, 200);
    let lacking = get(&server, "/metrics", &key).await;
    assert_eq!((lacking.status, &lacking.body["code"]), (403, &json!("forbidden-scope")));
    let body = json!({ "actions": [gmail("k1", "Hi")], "actor_id": "ana" });
    assert_eq!(execute(&server, &key, &body).await.status, 403);
}

#[tokio::test]
async fn a_key_made_beside_an_open_server_comes_with_the_advice_to_restart_it() {
    let folder = tempfile::tempdir().unwrap();
    let create = || {
        let arguments = ["keys", "create", "--workspace", "acme", "--scopes", "actions:preview"];
        let output = command(folder.path(), &[]).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"orc_"));
        String::from_utf8(output.stderr).unwrap().contains("restart")
    };
    let open = Server::start(folder.path(), &[]);
    for which in ["first", "second"] {
        assert!(create(), "the {which} key");
        assert_eq!(open.get("/actions").await.status, 200, "it is still open");
    }
    drop(open);
    assert!(!create(), "no server is running");
    let closed = Server::start(folder.path(), &[]);
    assert!(!create(), "the server requires keys");
    assert_eq!(closed.get("/actions").await.status, 401);
}

#[tokio::test]
async fn a_key_whose_output_was_lost_is_replaced_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let create = |workspace: &str, more: &[&str]| {
        let always = ["create", "--workspace", workspace, "--scopes", "actions:preview"];
        keys(folder.path(), &[&always, more].concat())
    };
    let [unnamed, lost, other_name, other_workspace, used] = [
        create("acme", &[]),
        create("acme", &["--name", "backend"]),
        create("acme", &["--name", "Backend"]),
        create("globex", &["--name", "backend"]),
        create("acme", &["--name", "backend"]),
    ];
    let server = Server::start(folder.path(), &[]);
    let is_good = async |key: &str| get(&server, "/actions", key).await.status == 200;
    assert!(is_good(&used).await);
    // The day of its use is recorded beside the request.
    let is_recorded = || {
        let listed = keys(folder.path(), &["list"]);
        let line = listed.lines().find(|line| line.starts_with(used.split('_').nth(1).unwrap())).unwrap();
        line.split('\t').nth(8) != Some("-")
    };
    while !is_recorded() {
        assert!(is_good(&used).await);
    }
    let made = create("acme", &["--name", "backend", "--replace-unused"]);
    for (key, good) in
        [(&lost, false), (&unnamed, true), (&other_name, true), (&other_workspace, true), (&used, true), (&made, true)]
    {
        assert_eq!(is_good(key).await, good, "{key}");
    }
    let nameless = ["keys", "create", "--workspace", "acme", "--scopes", "actions:preview", "--replace-unused"];
    assert!(!command(folder.path(), &[]).args(nameless).output().unwrap().status.success(), "it needs a name");
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_what_does_not_work() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("REDIS_URL", "redis://127.0.0.1:1")]);
    let reply = server.get("/readyz").await;
    assert_eq!((reply.status, &reply.body["code"]), (503, &json!("store-unavailable")));
    assert_eq!(reply.body["failing"], json!(["the cache does not answer"]), "{}", reply.body);
    assert!(reply.body.get("detail").is_none() && reply.body.get("errors").is_none(), "{}", reply.body);
}

#[tokio::test]
async fn a_workspace_sees_its_own_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let scopes = ["--scopes", "actions:preview,actions:execute"];
    let make = |workspace| keys(folder.path(), &[&["create", "--workspace", workspace], &scopes[..]].concat());
    let (a, b) = (make("a"), make("b"));
    let server = Server::start(folder.path(), &[]);
    let body = json!({ "actions": [gmail("same-key", "Hello")], "actor_id": "ana" });
    let of_a = execute(&server, &a, &body).await.body["job_ids"][0].as_str().unwrap().to_owned();
    let of_b = execute(&server, &b, &body).await.body["job_ids"][0].as_str().unwrap().to_owned();
    assert_ne!(of_a, of_b, "the same key in another workspace is another job");

    let path = format!("/ai/jobs/{of_a}?wait=10");
    assert_eq!(get(&server, &path, &a).await.body["status"], "completed");
    let without_id = |mut reply: Reply| {
        reply.body["correlation_id"].take();
        (reply.status, reply.body)
    };
    let foreign = without_id(get(&server, &path, &b).await);
    let unknown = without_id(get(&server, "/ai/jobs/00000000-0000-8000-8000-000000000000?wait=10", &b).await);
    assert_eq!(foreign, unknown);
    assert_eq!(foreign.0, 404);
    for action in ["cancel", "retry"] {
        let path = format!("/ai/jobs/{of_a}/{action}");
        let reply = reply(server.request("POST", &path).bearer_auth(&b).json(&json!({}))).await;
        assert_eq!(reply.status, 404, "{action}");
    }
    let listed = get(&server, "/ai/jobs", &b).await.body;
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["data"][0]["job_id"]), (Some(1), &json!(of_b)));
    get(&server, &format!("/ai/jobs/{of_b}?wait=10"), &b).await;
    assert_eq!(get(&server, "/dev/outbox", &b).await.body["data"].as_array().map(Vec::len), Some(1));

    let mismatch = json!({ "actions": [gmail("k2", "Hi")], "actor_id": "ana", "workspace_id": "a" });
    let refused = execute(&server, &b, &mismatch).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("workspace-mismatch")));
}

#[tokio::test]
async fn a_bound_key_acts_for_its_actor_alone_and_a_revoked_one_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let create = ["create", "--workspace", "a", "--scopes", "actions:preview,actions:execute", "--actor", "ana"];
    let key = keys(folder.path(), &create);
    let server = Server::start(folder.path(), &[]);
    let foreign = json!({ "actions": [gmail("k1", "Hi")], "actor_id": "bo" });
    let refused = execute(&server, &key, &foreign).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("actor-mismatch")));
    let unnamed = json!({ "actions": [gmail("k1", "Hi")] });
    assert_eq!(execute(&server, &key, &unnamed).await.status, 202, "its actor is known");
    drop(server);

    let id = key.split('_').nth(1).unwrap();
    let listed = keys(folder.path(), &["list"]);
    assert!(listed.contains(id) && !listed.contains(key.split('_').nth(2).unwrap()), "{listed}");
    keys(folder.path(), &["revoke", id]);
    let server = Server::start(folder.path(), &[]);
    assert_eq!(get(&server, "/actions", &key).await.status, 401);
    assert_eq!(server.get("/actions").await.status, 401, "a server that had keys does not open without them");
}

/// Listens on every network.
const EVERYWHERE: [(&str, &str); 1] = [("HOST", "0.0.0.0")];

#[tokio::test]
async fn without_a_key_a_server_listens_on_loopback_alone() {
    let folder = tempfile::tempdir().unwrap();
    for made in ["no key yet", "still none"] {
        let output = refused(folder.path(), &EVERYWHERE);
        let says = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{made}");
        assert!(says.contains("HOST is 0.0.0.0") && says.contains("orchestrator keys create"), "{made}: {says}");
    }
    for loopback in ["localhost", "127.0.0.2"] {
        let server = Server::start(folder.path(), &[("HOST", loopback)]);
        assert_eq!(server.get("/actions").await.status, 200, "{loopback}");
        let foreign = reply(server.request("GET", "/actions").header("host", "api.example.com")).await;
        assert_eq!(foreign.status, 403, "{loopback}");
    }
}

#[tokio::test]
async fn with_a_key_a_server_may_listen_everywhere_and_never_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let key = keys(folder.path(), &["create", "--workspace", "acme", "--scopes", "actions:preview"]);
    let server = Server::start(folder.path(), &EVERYWHERE);
    let own = &server.url;
    assert!(own.starts_with("http://127.0.0.1:"), "{own}: a browser can open it");
    // Another address of this machine, and the name and the page of another one.
    let elsewhere = format!("{}/actions", own.replace("127.0.0.1", "127.0.0.3"));
    for (credential, status) in [(key.as_str(), 200), ("none", 401)] {
        let request = server.request_url("GET", &elsewhere).bearer_auth(credential);
        let request = request.header("host", "api.example.com").header("origin", "https://app.example.com");
        assert_eq!(reply(request).await.status, status, "{credential}");
    }
    keys(folder.path(), &["revoke", key.split('_').nth(1).unwrap()]);
    assert_eq!(get(&server, "/actions", &key).await.status, 401, "its last key is revoked");
    assert_eq!(server.get("/actions").await.status, 401);
    drop(server);
    let server = Server::start(folder.path(), &EVERYWHERE);
    assert_eq!(server.get("/actions").await.status, 401, "a revoked key closes it too");
}
