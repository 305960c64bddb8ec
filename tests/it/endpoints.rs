//! The same plan from endpoints that differ, through a proxy, and by a private certificate.

use std::fs;

use fakes::{
    Fakes,
    model::{FakeModel, Vendor},
    oauth::Consents,
    way::{self, Proxy},
};
use serde_json::{Value, json};

use crate::{
    oauth,
    support::{GMAIL_SEND, Reply, Server, gmail, refused},
};

const KEY: &str = "sk-canary-key";
const PROMPT: &str = "Send email to john@example.com saying thanks for the meeting";

async fn plan(server: &Server) -> Reply {
    server.post("/ai/plan2", &json!({ "prompt": PROMPT })).await
}

fn is_the_plan(reply: &Reply) {
    let actions = &reply.body["plan"]["actions"];
    let params = json!({ "to": "john@example.com", "subject": "A message", "text": PROMPT });
    assert_eq!((reply.status, &actions[0]["params"], &actions[1]), (200, &params, &Value::Null), "{}", reply.body);
}

#[tokio::test]
async fn every_endpoint_comes_to_the_same_plan() {
    for (vendor, name, adjusted, requests) in [
        (Vendor::OpenAi, "gpt-4o-mini", Value::Null, 1),
        (Vendor::OpenAi, "o4-mini", json!(["own_temperature"]), 2),
        (Vendor::Azure, "a-model", json!(["max_tokens"]), 2),
        (Vendor::Mistral, "a-model", json!(["max_tokens"]), 2),
        (Vendor::Gemini, "a-model", Value::Null, 1),
        (Vendor::Ollama, "a-model", Value::Null, 1),
        (Vendor::Vllm, "a-model", json!(["json_object"]), 3),
        (Vendor::OpenRouter, "a-model", json!(["no_response_format"]), 4),
        (Vendor::LlamaCpp, "a-model", json!(["no_system_role"]), 2),
    ] {
        let model = FakeModel::of(vendor, KEY);
        let folder = tempfile::tempdir().unwrap();
        let url = model.serve().await;
        let variables = [("OPENAI_BASE_URL", &*url), ("OPENAI_API_KEY", KEY), ("AI_MODEL", name)];
        let server = Server::start(folder.path(), &variables);
        for more in 0..2 {
            let reply = plan(&server).await;
            is_the_plan(&reply);
            assert_eq!(reply.body["meta"]["adjusted"], adjusted, "{vendor:?}");
            assert_eq!(model.requests().len(), requests + more, "{vendor:?}: what was learnt is kept");
        }
    }
}

#[tokio::test]
async fn a_proxy_is_used_but_for_its_exceptions() {
    let model = FakeModel::new(KEY);
    let url = model.serve().await;
    let address = url.trim_start_matches("http://").trim_end_matches("/v1");
    let far = "http://model.example.com/v1";
    for (variable, base, no_proxy, through) in [
        ("HTTP_PROXY", far, "", true),
        ("http_proxy", far, "example.org,.contoso.com", true),
        ("ALL_PROXY", far, "", true),
        ("HTTP_PROXY", &*url, "", true),
        ("HTTPS_PROXY", &*url, "", false),
        ("HTTP_PROXY", &*url, "127.0.0.1", false),
        ("HTTP_PROXY", &*url, "example.com, 127.0.0.0/8", false),
        ("ALL_PROXY", &*url, "*", false),
    ] {
        let proxy = Proxy::start(address).await;
        let with_credentials = format!("http://user:canary%40word@{}", proxy.address);
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(
            folder.path(),
            &[
                (variable, &*with_credentials),
                ("NO_PROXY", no_proxy),
                ("ALLOW_PLAINTEXT", "true"),
                ("OPENAI_BASE_URL", base),
                ("OPENAI_API_KEY", KEY),
                ("RUST_LOG", "trace"),
            ],
        );
        is_the_plan(&plan(&server).await);
        let heads = proxy.heads();
        assert_eq!(heads.len(), usize::from(through), "{variable} {base} {no_proxy}");
        if through {
            assert!(heads[0].starts_with(&format!("POST {base}/chat/completions HTTP/1.1")), "{}", heads[0]);
            // user:canary@word
            let credentials = "proxy-authorization: basic dxnlcjpjyw5hcnlad29yza==";
            assert!(heads[0].to_lowercase().contains(credentials), "{}", heads[0]);
        }
        let log = server.into_log();
        assert!(!log.contains("canary"), "{log}");
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_it_is_named_and_a_proxy_tunnels_to_it() {
    let model = FakeModel::new(KEY);
    let url = model.serve().await;
    let plain = url.trim_start_matches("http://").trim_end_matches("/v1");
    let (address, pem) = way::tls("model.example.com", plain).await;
    let proxy = Proxy::start(&address).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    fs::write(&file, pem).unwrap();
    let file = file.display().to_string();
    let variables = [
        ("HTTPS_PROXY", &*proxy.address),
        ("OPENAI_BASE_URL", "https://model.example.com/v1"),
        ("OPENAI_API_KEY", KEY),
        ("SSL_CERT_FILE", &*file),
    ];
    is_the_plan(&plan(&Server::start(&folder.path().join("a"), &variables)).await);
    assert!(proxy.heads()[0].starts_with("CONNECT model.example.com:443 "), "{:?}", proxy.heads());

    let reply = plan(&Server::start(&folder.path().join("b"), &variables[..3])).await;
    assert_eq!((reply.status, reply.code()), (503, &json!("planner-unavailable")), "{}", reply.body);
    assert_eq!(model.requests().len(), 1, "a certificate of nobody's is refused");
}

#[tokio::test]
async fn mails_go_through_the_proxy_too() {
    let fakes = Fakes::start().await.unwrap();
    let proxy = Proxy::start(fakes.base_url().trim_start_matches("http://")).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(
        folder.path(),
        &fakes,
        GMAIL_SEND,
        &[("HTTP_PROXY", &*proxy.address), ("ALLOW_PLAINTEXT", "true"), ("GMAIL_BASE_URL", "http://gmail.example.com")],
    );
    let id = server.execute(gmail("a", "Through a proxy")).await;
    assert_eq!(server.ended(&id).await["status"], "completed");
    assert!(proxy.heads()[0].starts_with("POST http://gmail.example.com/gmail/v1/"), "{:?}", proxy.heads());
}

/// Consent, the exchange of the code, a refresh and the mail itself: all through the proxy's tunnel, by TLS of a private
/// authority.
#[tokio::test]
async fn accounts_are_connected_and_mails_sent_through_a_proxy_and_by_a_private_authority() {
    for (provider, path, mail) in [("google", "gmail/v1", "gmail.send"), ("microsoft", "v1.0", "outlook.send")] {
        let fakes = Fakes::start().await.unwrap();
        // Its first token is refreshed before the mail.
        fakes.consents(Consents { address: "owner@contoso.com".to_owned(), expires_in_s: 1, ..Consents::default() });
        let (address, pem) = way::tls("provider.example.com", fakes.base_url().trim_start_matches("http://")).await;
        let proxy = Proxy::start(&address).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        fs::write(&file, pem).unwrap();
        let far = |url: String| url.replace(fakes.base_url(), "https://provider.example.com");
        let mut variables: Vec<(String, String)> = fakes.oauth_variables();
        variables.push(("GMAIL_BASE_URL".to_owned(), fakes.gmail_url()));
        variables.push(("GRAPH_BASE_URL".to_owned(), fakes.graph_url()));
        // The browser has a way of its own.
        for (name, url) in variables.iter_mut().filter(|(name, _)| !name.ends_with("AUTH_URL")) {
            *url = far(std::mem::take(url));
            assert!(!name.ends_with("URL") || url.starts_with("https://"), "{name}");
        }
        variables.push(("HTTPS_PROXY".to_owned(), proxy.address.clone()));
        variables.push(("SSL_CERT_FILE".to_owned(), file.display().to_string()));
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let server = Server::start(&folder.path().join("data"), &variables);
        let page = oauth::connect(&server, provider, json!({})).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let exchanged = proxy.heads().len();
        let mut action = gmail("a", "Through a proxy");
        (action["provider"], action["action"]) = (json!(provider), json!(mail));
        assert_eq!(server.ended(&server.execute(action).await).await["status"], "completed");
        assert_eq!((fakes.refreshes(), fakes.count("job:a")), (1, 1), "{path}");
        let heads = proxy.heads();
        assert!(exchanged >= 1 && heads.len() >= exchanged + 2, "the code; the refresh and the mail: {heads:?}");
        assert!(heads.iter().all(|head| head.starts_with("CONNECT provider.example.com:443 ")), "{heads:?}");
    }
}

#[tokio::test]
async fn a_way_that_cannot_be_is_refused_at_start_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "no certificate").unwrap();
    let empty = empty.display().to_string();
    for (name, value) in [
        ("HTTPS_PROXY", "socks5://user:canary@proxy.example.com:1080"),
        ("https_proxy", "ftp://user:canary@proxy.example.com"),
        ("HTTP_PROXY", "http://"),
        ("ALL_PROXY", "http://user:canary@proxy.example.com:port"),
        ("SSL_CERT_FILE", "/nowhere/canary.pem"),
        ("SSL_CERT_FILE", &*empty),
    ] {
        let output = refused(folder.path(), &[(name, value), ("PORT", "none")]);
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && says.contains("PORT"), "all mistakes together: {says}");
        assert!(says.contains(&name.to_uppercase()) && !says.contains("canary"), "{name}: {says}");
    }
}
