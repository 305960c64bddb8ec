//! Access tokens of a trusted issuer, as credentials on every route.

use adapters::system::SystemClock;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use engine::ports::Clock as _;
use fakes::{
    Fakes,
    oauth::{KEY_ID, signed},
};
use serde_json::{Value, json};

use crate::{
    mcp,
    support::{Client, Server, gmail, refused, run},
};

const AUDIENCE: &str = "https://orchestrator.example.com";
const SCOPES: &str = "openid actions:preview actions:execute audit:read";

fn now() -> u64 {
    u64::try_from(SystemClock.now().as_second()).unwrap()
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": KEY_ID, "typ": "at+jwt" })
}

fn claims(fakes: &Fakes, change: &Value) -> Value {
    let mut claims = json!({
        "iss": fakes.base_url(), "sub": "ana", "aud": AUDIENCE, "exp": now() + 600, "iat": now(), "scope": SCOPES,
        "org": "acme",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

fn token(fakes: &Fakes, change: &Value) -> String {
    signed(&header(), &claims(fakes, change))
}

async fn start(folder: &std::path::Path, more: &[(&str, &str)]) -> (Fakes, Server) {
    let fakes = Fakes::start().await.unwrap();
    let issuer = fakes.base_url().to_owned();
    let mut variables = vec![("OIDC_ISSUER", issuer.as_str()), ("PUBLIC_URL", AUDIENCE)];
    variables.extend(more);
    let server = Server::start(folder, &variables);
    (fakes, server)
}

async fn status(client: &Client) -> (u16, Value) {
    let reply = client.get("/ai/jobs").await;
    (reply.status, reply.code().clone())
}

#[tokio::test]
async fn a_token_of_the_issuer_opens_every_route_for_one_actor_of_one_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let (fakes, server) = start(folder.path(), &[("OIDC_WORKSPACE_CLAIM", "org")]).await;
    let with = |change: Value| server.with_key(&token(&fakes, &change));
    let ana = with(json!({}));
    // Without a credential nothing is open, although there is no key.
    assert_eq!(status(&server).await, (401, json!("unauthenticated")));
    let accepted = ana.post("/ai/execute", &json!({ "actions": [gmail("a", "Hello")] })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let id = accepted.body["job_ids"][0].as_str().unwrap().to_owned();
    assert_eq!(ana.ended(&id).await["status"], "completed");
    for path in ["/ai/jobs", "/actions", "/audit", "/dev/outbox", "/oauth/google/status"] {
        assert_eq!(ana.get(path).await.status, 200, "{path}");
    }
    let refused = ana.get("/metrics").await;
    assert_eq!((refused.status, refused.code()), (403, &json!("forbidden-scope")));
    // Somebody else of the workspace, and somebody of another one.
    for other in [with(json!({ "sub": "bo" })), with(json!({ "org": "globex" }))] {
        assert_eq!(other.get(&format!("/ai/jobs/{id}")).await.status, 404);
        assert_eq!(other.get("/ai/jobs").await.body["data"], json!([]));
    }
    let mismatch = ana.post("/ai/plan2", &json!({ "prompt": "x", "workspace_id": "globex" })).await;
    assert_eq!((mismatch.status, mismatch.code()), (403, &json!("workspace-mismatch")));
    let actor = json!({ "actions": [gmail("b", "Hello")], "actor_id": "bo@example.com" });
    assert_eq!(ana.post("/ai/execute", &actor).await.code(), "actor-mismatch");
    // Over MCP it is an agent's, whatever its scopes.
    let ana = with(json!({ "scope": "actions:preview actions:execute actions:approve" }));
    let plan = mcp::call(&ana, "plan", json!({ "prompt": "Send email to john@example.com saying hi" })).await;
    let plan_id = &plan["structuredContent"]["plan"]["plan_id"];
    let held = mcp::call(&ana, "execute_plan", json!({ "plan_id": plan_id })).await;
    assert_eq!(held["structuredContent"]["waiting_for"], "approval", "{held}");
    let metadata = server.get("/.well-known/oauth-protected-resource").await.body;
    assert_eq!(metadata["authorization_servers"], json!([fakes.base_url()]));
}

#[tokio::test]
async fn what_a_token_may_say_and_what_not() {
    let folder = tempfile::tempdir().unwrap();
    let (fakes, server) = start(folder.path(), &[("OIDC_WORKSPACE_CLAIM", "org")]).await;
    for good in [
        json!({}),
        json!({ "aud": format!("{AUDIENCE}/mcp") }),
        json!({ "aud": ["others", AUDIENCE] }),
        json!({ "scope": ["actions:preview", "other"] }),
        json!({ "nbf": now() - 1 }),
        json!({ "exp": 4_000_000_000.5 }),
        json!({ "sub": "auth0|1 2" }),
    ] {
        let client = server.with_key(&token(&fakes, &good));
        assert_eq!(status(&client).await, (200, Value::Null), "{good}");
    }
    let wrong_claims = [
        json!({ "iss": "https://accounts.example.com" }),
        json!({ "iss": format!("{}/", fakes.base_url()) }),
        json!({ "iss": null }),
        json!({ "aud": "https://other.example.com" }),
        json!({ "aud": format!("{AUDIENCE}/") }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": { "a": AUDIENCE } }),
        json!({ "exp": now() - 60 }),
        json!({ "exp": 0 }),
        json!({ "exp": "tomorrow" }),
        json!({ "exp": null }),
        json!({ "nbf": now() + 60 }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "org": null }),
        json!({ "org": "No Workspace" }),
        json!({ "org": ["acme"] }),
    ];
    let tokens = wrong_claims.iter().map(|change| (change.to_string(), token(&fakes, change)));
    let keys: Value = server
        .request_url("GET", &format!("{}/oauth/keys", fakes.base_url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let good = claims(&fakes, &json!({}));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |header: Value, signature: &str| format!("{}.{}.{signature}", part(&header), part(&good));
    // The public key as the secret of an HMAC.
    let confused = {
        let secret = ring_hmac(keys["keys"][0]["n"].as_str().unwrap().as_bytes());
        let text = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": KEY_ID })), part(&good));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(secret(text.as_bytes())))
    };
    let forged = token(&fakes, &json!({}));
    let (text, signature) = forged.rsplit_once('.').unwrap();
    let other = token(&fakes, &json!({ "sub": "bo" }));
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    let headers = [
        json!({ "alg": "none" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "kid": "other" }),
        json!({ "alg": "RS512", "kid": KEY_ID }),
        json!({ "alg": "ES256", "kid": KEY_ID }),
        json!({ "alg": "RS256", "kid": KEY_ID, "crit": ["b64"] }),
        json!({ "kid": KEY_ID }),
    ];
    let by_header = headers.iter().map(|header| (header.to_string(), signed(header, &good)));
    let others = [
        ("unsigned".to_owned(), unsigned(json!({ "alg": "none" }), "")),
        ("unsigned RS256".to_owned(), unsigned(header(), "")),
        ("HS256".to_owned(), confused),
        ("swapped".to_owned(), swapped),
        ("cut".to_owned(), text.to_owned()),
        ("longer".to_owned(), format!("{forged}A")),
        ("long".to_owned(), format!("{forged}{}", "A".repeat(20_000))),
        ("garbage".to_owned(), "e30.e30.e30".to_owned()),
        ("empty".to_owned(), "..".to_owned()),
    ];
    for (what, token) in tokens.chain(by_header).chain(others) {
        let refused = server.with_key(&token).get("/ai/jobs").await;
        assert_eq!((refused.status, refused.code()), (401, &json!("unauthenticated")), "{what}: {}", refused.body);
        let over_mcp = mcp::rpc(&server.with_key(&token), "tools/list", json!({})).await;
        assert_eq!(over_mcp.status, 401, "{what}");
        assert!(over_mcp.header("www-authenticate").starts_with("Bearer resource_metadata="), "{what}");
    }
    // Unknown scopes are none.
    for scope in [json!(null), json!(""), json!("all"), json!(7), json!({ "actions:preview": true })] {
        let client = server.with_key(&token(&fakes, &json!({ "scope": scope })));
        assert_eq!(status(&client).await, (403, json!("forbidden-scope")), "{scope}");
    }
    let log = server.log();
    for reason in ["malformed", "unknown", "audience", "expired", "not_yet_valid", "wrong_secret", "scope"] {
        assert!(log.contains(&format!("auth.reason=\"{reason}\"")), "{reason}");
    }
    assert!(!log.contains("eyJ"), "no token is in the log");
}

/// An HMAC by this secret.
fn ring_hmac(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let secret = secret.to_vec();
    move |text| {
        // RFC 2104 with SHA-256, since nothing here has it.
        let mut block = [0_u8; 64];
        let hashed = domain::sha256(&secret);
        let short = if secret.len() > 64 { &hashed[..] } else { &secret };
        block[..short.len()].copy_from_slice(short);
        let pad = |with: u8| block.map(|byte| byte ^ with).to_vec();
        let inner = domain::sha256(&[pad(0x36), text.to_vec()].concat());
        domain::sha256(&[pad(0x5c), inner.to_vec()].concat()).to_vec()
    }
}

#[tokio::test]
async fn the_operator_says_whose_the_tokens_are_and_what_their_claims_mean() {
    let folder = tempfile::tempdir().unwrap();
    let more = [("OIDC_WORKSPACE", "initech"), ("OIDC_AUDIENCE", "api://orchestrator"), ("OIDC_SCOPES_CLAIM", "roles")];
    let key = run(folder.path(), &[], &["keys", "create", "--workspace", "initech", "--scopes", "actions:preview"]);
    let (fakes, server) = start(folder.path(), &more).await;
    let with = |change: Value| server.with_key(&token(&fakes, &change));
    let good = json!({ "aud": "api://orchestrator", "roles": ["actions:preview", "actions:execute"], "scope": null });
    let client = with(good.clone());
    assert_eq!(status(&client).await, (200, Value::Null));
    assert_eq!(client.post("/ai/plan2", &json!({ "prompt": "x", "workspace_id": "initech" })).await.status, 200);
    for (name, value) in [("aud", json!(AUDIENCE)), ("aud", json!(format!("{AUDIENCE}/mcp")))] {
        let mut change = good.clone();
        change[name] = value;
        assert_eq!(status(&with(change)).await.0, 401);
    }
    assert_eq!(status(&server.with_key(&key)).await, (200, Value::Null), "keys are good, too");
}

#[tokio::test]
async fn a_bearer_is_limited_like_a_key_and_an_issuer_is_asked_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [("OIDC_WORKSPACE", "acme"), ("LIMIT_REQUESTS_PER_KEY", "5"), ("LIMIT_OPEN_JOBS", "2")];
    let (fakes, server) = start(folder.path(), &limits).await;
    let with = |sub: &str| server.with_key(&token(&fakes, &json!({ "sub": sub })));
    for _ in 0..5 {
        assert_eq!(status(&with("ana")).await.0, 200);
    }
    assert_eq!(status(&with("ana")).await, (429, json!("rate-limited")), "another token of hers changes nothing");
    assert_eq!(status(&with("bo")).await.0, 200);
    let mut actions = Vec::new();
    for n in 0..3 {
        let mut action = gmail(&format!("open-{n}"), "Hello");
        action["send_at"] = json!("2027-02-01T00:00:00Z");
        actions.push(action);
    }
    let many = with("cy").post("/ai/execute", &json!({ "actions": actions })).await;
    assert!(many.status >= 400, "{}", many.body);
    // Tokens with made-up keys do not make the server ask again and again.
    for n in 0..20 {
        let forged = signed(&json!({ "alg": "RS256", "kid": format!("made-up-{n}") }), &claims(&fakes, &json!({})));
        assert_eq!(status(&server.with_key(&forged)).await.0, 401);
    }
    assert_eq!(status(&with("dee")).await.0, 200);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let fakes = Fakes::start().await.unwrap();
    // Nobody listens there.
    let issuer = "http://127.0.0.1:9";
    let variables = [("OIDC_ISSUER", issuer), ("OIDC_WORKSPACE", "acme"), ("OIDC_AUDIENCE", AUDIENCE)];
    let server = Server::start(folder.path(), &variables);
    let client = server.with_key(&token(&fakes, &json!({ "iss": issuer })));
    for _ in 0..3 {
        assert_eq!(status(&client).await, (503, json!("store-unavailable")));
    }
}

#[test]
fn an_issuer_that_cannot_be_trusted_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let good = [("OIDC_ISSUER", "https://login.example.com/tenant/"), ("OIDC_WORKSPACE", "acme")];
    for (more, says) in [
        (&[("OIDC_ISSUER", "http://login.example.com")][..], "OIDC_ISSUER"),
        (&[("OIDC_ISSUER", "http://10.0.0.1")], "OIDC_ISSUER"),
        (&[("OIDC_ISSUER", "login.example.com")], "OIDC_ISSUER"),
        (&[("OIDC_ISSUER", "https://")], "OIDC_ISSUER"),
        (&[("OIDC_ISSUER", "https://login.example.com?x=1")], "OIDC_ISSUER"),
        (&[("OIDC_ISSUER", "http://10.0.0.1"), ("ALLOW_PLAINTEXT", "true")], "OIDC_ISSUER"),
        (&[("OIDC_WORKSPACE", "")], "OIDC_WORKSPACE_CLAIM"),
        (&[("OIDC_WORKSPACE_CLAIM", "org")], "OIDC_WORKSPACE_CLAIM"),
        (&[("OIDC_WORKSPACE", "No Workspace")], "OIDC_WORKSPACE"),
        (&[("OIDC_ISSUER", "")], "needs OIDC_ISSUER"),
    ] {
        // All mistakes are told together, and the wrong port keeps it from starting.
        let variables = [&good[..], more, &[("PORT", "none")]].concat();
        let output = refused(folder.path(), &variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("PORT") && said.contains(says), "{more:?}: {said}");
    }
    let output = refused(folder.path(), &[&good[..], &[("PORT", "none")]].concat());
    assert!(!String::from_utf8_lossy(&output.stderr).contains("OIDC"), "a good one");
}
