//! Without keys the server is for its own machine and its own page: a page from elsewhere, a
//! rebound name or a plain form changes nothing and reads nothing.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use fakes::Fakes;
use serde_json::{Value, json};

use crate::support::{GMAIL_COMPOSE, GMAIL_SEND, Reply, Server, gmail, reply, run};

const GOOGLE_TOKEN: &str = "t-google";
const SECRETS: [(&str, &str); 6] = [
    ("OPENAI_API_KEY", "sk-canary-model-key"),
    ("GOOGLE_CLIENT_SECRET", "canary-google-secret"),
    ("MICROSOFT_CLIENT_SECRET", "canary-microsoft-secret"),
    ("MICROSOFT_ACCESS_TOKEN", "canary-microsoft-token"),
    ("GOOGLE_ACCESS_TOKEN", "canary-google-token"),
    ("TOKEN_KEY", "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"),
];

fn send() -> Value {
    json!({ "actions": [gmail("stolen", "Stolen")], "actor_id": "eve@example.com" })
}

#[tokio::test]
async fn nobody_else_can_send_cancel_or_read() {
    for live in [false, true] {
        let fakes = Fakes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = if live {
            Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[("PROVIDER_MODE", "live")])
        } else {
            Server::start(folder.path(), &[])
        };
        let own = server.url.strip_prefix("http://").unwrap().to_owned();
        let port = own.rsplit_once(':').unwrap().1.to_owned();
        let strangers = [
            ("host", "evil.example".to_owned()),
            ("host", format!("evil.example:{port}")),
            ("host", format!("127.0.0.1.evil.example:{port}")),
            ("host", format!("localhost.evil.example:{port}")),
            ("host", format!("evil.example@127.0.0.1:{port}")),
            ("host", format!("0.0.0.0:{port}")),
            ("host", format!("[::ffff:127.0.0.1]:{port}")),
            ("host", format!("2130706433:{port}")),
            ("origin", "https://evil.example".to_owned()),
            ("origin", "null".to_owned()),
            ("origin", "http://127.0.0.1".to_owned()),
            ("origin", format!("https://{own}")),
            ("origin", format!("http://127.0.0.1:{}", if port == "8787" { "8788" } else { "8787" })),
            ("origin", format!("http://localhost:{port}")),
            ("origin", format!("http://{own}.evil.example")),
            ("origin", format!("http://{own}, https://evil.example")),
        ];
        for (name, value) in &strangers {
            let refusals = [
                reply(server.request("POST", "/ai/execute").header(*name, value).json(&send())).await,
                reply(server.request("GET", "/ai/jobs").header(*name, value)).await,
                reply(server.request("GET", "/dev/outbox").header(*name, value)).await,
                reply(server.request("GET", "/dev/action-runner.html").header(*name, value)).await,
                reply(server.request("OPTIONS", "/ai/execute").header(*name, value)).await,
            ];
            for refusal in refusals {
                assert_eq!((refusal.status, refusal.code()), (403, &json!("forbidden-scope")), "{name}: {value}");
                allows_no_origin(&refusal);
            }
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
            let body = send().to_string();
            let plain = server.request("POST", "/ai/execute").header("content-type", content_type).body(body);
            let refusal = reply(plain).await;
            assert_eq!((refusal.status, refusal.code()), (415, &json!("unsupported-media-type")), "{content_type}");
            allows_no_origin(&refusal);
        }
        // Every route that writes, whatever it is sent.
        let document = server.get("/openapi.json").await.body;
        let mut writing = 0;
        for (route, operations) in document["paths"].as_object().unwrap() {
            for verb in ["post", "put", "patch", "delete"].into_iter().filter(|verb| operations.get(verb).is_some()) {
                let path =
                    route.replace("{job_id}", "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10").replace("{provider}", "google");
                let ask = || server.request(&verb.to_uppercase(), &path);
                for (name, value) in &strangers {
                    let refusal = reply(ask().header(*name, value).json(&send())).await;
                    assert_eq!(
                        (refusal.status, refusal.code()),
                        (403, &json!("forbidden-scope")),
                        "{path} {name}: {value}"
                    );
                }
                if verb == "post" {
                    let plain = reply(ask().header("content-type", "text/plain").body(send().to_string())).await;
                    assert_eq!((plain.status, plain.code()), (415, &json!("unsupported-media-type")), "{path}");
                }
                writing += 1;
            }
        }
        assert!(writing >= 6, "{writing}");
        assert_eq!(server.counts().await, (0, 0));
        assert_eq!(fakes.operations(), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn a_server_without_keys_says_who_can_send_through_its_account() {
    let fakes = Fakes::start().await.unwrap();
    let says = |log: &str| log.contains("every program of every user of this machine can send");
    for (mode, with_account, with_key, warns) in [
        ("", true, false, true),
        ("live", true, false, true),
        ("live", false, false, false),
        ("", false, false, false),
        ("sandbox", true, false, false),
        ("", true, true, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        if with_key {
            run(folder.path(), &[], &["keys", "create", "--workspace", "local", "--scopes", "actions:preview"]);
        }
        let variables = [("PROVIDER_MODE", mode)];
        let server = if with_account {
            Server::start_live(folder.path(), &fakes, GMAIL_SEND, &variables)
        } else {
            Server::start(folder.path(), &variables)
        };
        assert_eq!(server.get("/healthz").await.status, 200);
        let log = server.into_log();
        assert_eq!(says(&log), warns, "{mode} {with_account} {with_key}: {log}");
        let how = "orchestrator keys create --workspace local --scopes";
        assert_eq!(log.contains(how) && log.contains("Gmail"), warns, "{log}");
    }
}

#[tokio::test]
async fn a_browser_may_come_from_another_site_to_a_page_and_to_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let pages = ["/dev/action-runner.html", "/docs", "/problems/internal"];
    let data = ["/dev/outbox", "/ai/jobs", "/actions", "/audit", "/metrics", "/oauth/google/status"];
    for (site, mode, may_read_pages, may_read_data) in [
        ("same-origin", "cors", true, true),
        ("same-origin", "navigate", true, true),
        ("none", "navigate", true, true),
        ("cross-site", "navigate", true, false),
        ("same-site", "navigate", true, false),
        ("cross-site", "no-cors", false, false),
        ("same-site", "no-cors", false, false),
        ("cross-site", "cors", false, false),
        ("same-site", "websocket", false, false),
        ("cross-site", "", false, false),
        ("Cross-Site", "no-cors", false, false),
        ("", "no-cors", false, false),
    ] {
        let ask = |method: &str, path: &str| {
            server.request(method, path).header("sec-fetch-site", site).header("sec-fetch-mode", mode)
        };
        for (paths, may) in [(&pages[..], may_read_pages), (&data[..], may_read_data)] {
            for path in paths {
                let status = reply(ask("GET", path)).await.status;
                assert_eq!(status, if may { 200 } else { 403 }, "{path} {site} {mode}");
            }
        }
        let posted = reply(ask("POST", "/actions/preview").json(&gmail("a", "Hello"))).await;
        assert_eq!(posted.status, if may_read_data { 200 } else { 403 }, "{site} {mode}");
    }
    let twice = server.request("GET", "/ai/jobs").header("sec-fetch-site", "same-origin");
    assert_eq!(reply(twice.header("sec-fetch-site", "cross-site")).await.status, 403);
    // A provider's page leads the browser back to us.
    let back = server.request("GET", "/oauth/google/callback?state=x&code=y").header("sec-fetch-site", "cross-site");
    let back = reply(back.header("sec-fetch-mode", "navigate").header("accept", "application/json")).await;
    assert_eq!(back.code(), "authorization-invalid", "{}", back.body);
}

#[tokio::test]
async fn every_answer_has_its_fixed_headers_and_https_is_kept_where_it_is_spoken() {
    for (public_url, transport) in
        [(None, None), (Some("http://127.0.0.1:9"), None), (Some("https://api.example.com"), Some("max-age=31536000"))]
    {
        let folder = tempfile::tempdir().unwrap();
        let variables: Vec<_> = public_url.iter().map(|url| ("PUBLIC_URL", *url)).collect();
        let server = Server::start(folder.path(), &variables);
        let mut answers = Vec::new();
        for path in
            ["/healthz", "/metrics", "/openapi.json", "/ai/jobs", "/ai/jobs/x", "/nowhere", "/", "/docs", "/dev/dom.js"]
        {
            answers.push((path, server.get(path).await));
        }
        answers.push(("POST", server.post("/ai/plan2", &json!({})).await));
        answers.push(("405", reply(server.request("DELETE", "/ai/plan2")).await));
        answers.push(("403", reply(server.request("GET", "/ai/jobs").header("origin", "null")).await));
        for (path, answer) in answers {
            assert_eq!(answer.headers.get("strict-transport-security").map(|value| value.to_str().unwrap()), transport);
            assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
            assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
            let policy = answer.header("content-security-policy");
            if path == "/docs" || path == "/dev/dom.js" {
                assert!(policy.contains("script-src 'self'"), "{path}: {policy}");
            } else {
                assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{path}");
            }
        }
    }
}

fn allows_no_origin(reply: &Reply) {
    let allowing = reply.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
    assert_eq!(allowing, None);
}

#[tokio::test]
async fn a_request_with_two_hosts_or_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let own = server.url.strip_prefix("http://").unwrap().to_owned();
    let answer = move |hosts: &str| {
        let mut stream = TcpStream::connect(&own).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /ai/jobs HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let lines = tokio::task::spawn_blocking(move || {
        [
            "Host: 127.0.0.1\r\n",
            "",
            "Host: 127.0.0.1\r\nHost: evil.example\r\n",
            "Host: evil.example\r\nHost: 127.0.0.1\r\n",
        ]
        .map(answer)
    });
    let [own, none, second, first] = lines.await.unwrap();
    assert_eq!(own, "HTTP/1.1 200 OK");
    for refused in [none, second, first] {
        assert_eq!(refused, "HTTP/1.1 403 Forbidden");
    }
}

#[tokio::test]
async fn the_own_page_may_do_everything_and_only_on_the_loopback_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let port = server.url.rsplit_once(':').unwrap().1;
    for (key, host) in
        [("a", format!("127.0.0.1:{port}")), ("b", format!("localhost:{port}")), ("c", format!("LOCALHOST:{port}"))]
    {
        let body = json!({ "actions": [gmail(key, "Hello")], "actor_id": "ana@example.com" });
        let request = server.request("POST", "/ai/execute").header("host", &host);
        let accepted = reply(request.header("origin", format!("http://{host}")).json(&body)).await;
        assert_eq!(accepted.status, 202, "{host}: {}", accepted.body);
        let listed = reply(server.request("GET", "/ai/jobs").header("host", &host)).await;
        assert_eq!(listed.status, 200);
    }
    // All of 127.0.0.0/8 is this machine; the server is on one address of it.
    assert!(TcpStream::connect(format!("127.0.0.2:{port}")).is_err());
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let start = server.get("/").await;
    assert_eq!((start.status, start.header("location")), (307, "/dev/action-runner.html"));
    for (path, kind) in [
        ("/dev/action-runner.html", "text/html; charset=utf-8"),
        ("/dev/action-runner.js", "text/javascript; charset=utf-8"),
        ("/dev/style.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/docs", "text/html; charset=utf-8"),
        ("/problems/internal", "text/html; charset=utf-8"),
    ] {
        let file = server.get(path).await;
        assert_eq!((file.status, file.header("content-type")), (200, kind));
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert_eq!(file.header("referrer-policy"), "no-referrer");
        let policy: Vec<&str> = file.header("content-security-policy").split(';').map(str::trim).collect();
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"] {
            assert!(policy.contains(&rule), "{path}: {policy:?}");
        }
        for rule in
            ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]
        {
            assert!(policy.contains(&rule), "{path}: {policy:?}");
        }
        assert!(!policy.iter().any(|rule| rule.contains("unsafe-") || rule.contains("http") || rule.contains('*')));
    }
    for path in ["/dev/action-runner.html", "/docs", "/problems/internal"] {
        let page = server.get(path).await.body;
        let page = page.as_str().unwrap();
        for tag in page.split('<').filter(|tag| tag.starts_with("script")) {
            assert!(tag.contains("src=\"/") && tag.trim_end().ends_with('>'), "{path} has an inline script: {tag}");
        }
        for bad in
            ["<style", " style=", " onclick=", " onload=", " onsubmit=", "javascript:", "src=\"http", "href=\"http"]
        {
            assert!(!page.contains(bad), "{path} has {bad}");
        }
        // What a page names is there.
        for link in page.split(['"', '\'']).filter(|link| link.starts_with("/dev/") || link.starts_with("/assets/")) {
            assert_eq!(server.get(link).await.status, 200, "{path} names {link}");
        }
    }
}

#[tokio::test]
async fn a_problem_is_explained_to_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let page = reply(server.request("GET", "/problems/rate-limited").header("accept", "text/html,*/*;q=0.8")).await;
    assert!(page.body.as_str().unwrap().contains("<h1>Too many requests</h1>"), "{}", page.body);
    let told = reply(server.request("GET", "/problems/rate-limited").header("accept", "application/json")).await;
    assert_eq!((&told.body["code"], &told.body["status"]), (&json!("rate-limited"), &json!(429)));
    assert_eq!((told.header("content-type"), told.header("vary")), ("application/json", "accept"));
}

#[tokio::test]
async fn no_answer_and_no_log_line_tells_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut variables = SECRETS.to_vec();
    variables.extend([("GOOGLE_CLIENT_ID", "google-client"), ("MICROSOFT_CLIENT_ID", "microsoft-client")]);
    // Nothing listens there: every kind of failure is met too.
    let nowhere = "http://127.0.0.1:9/v1";
    variables.extend([("OPENAI_BASE_URL", nowhere), ("GMAIL_BASE_URL", nowhere), ("GRAPH_BASE_URL", nowhere)]);
    variables.push(("RUST_LOG", "trace"));
    let server = Server::start(folder.path(), &variables);
    let mut answers = Vec::new();
    for route in web::routes().into_keys() {
        for provider in ["google", "microsoft"] {
            let path = route.replace("{job_id}", "x").replace("{provider}", provider).replace("{code}", "internal");
            answers.push(server.get(&path).await);
            answers.push(server.post(&path, &json!({})).await);
        }
    }
    let failed = server.post("/ai/plan2", &json!({ "prompt": "Write to canary-person@example.com" })).await;
    assert_eq!((failed.status, failed.code()), (503, &json!("planner-unavailable")));
    answers.push(failed);
    let mail = json!({ "to": "canary-person@example.com", "subject": "canary-subject", "text": "canary-text" });
    for action in ["gmail.send", "outlook.send"] {
        let action = json!({ "action": action, "params": mail, "client_request_id": action });
        answers.push(server.post("/actions/preview", &action).await);
        let id = server.execute(action).await;
        server.job_when(&id, "tried", |job| job["attempts"].as_u64() >= Some(1) && job["status"] == "pending").await;
        answers.push(server.get(&format!("/ai/jobs/{id}")).await);
    }
    for answer in &answers {
        for (name, secret) in SECRETS {
            let headers = format!("{:?}", answer.headers);
            assert!(!answer.body.to_string().contains(secret) && !headers.contains(secret), "an answer tells {name}");
        }
    }
    let log = server.into_log();
    assert!(log.contains("answered"), "{log}");
    for (name, secret) in SECRETS {
        assert!(!log.contains(secret), "the log tells {name}");
    }
    for text in ["canary-person", "canary-subject", "canary-text"] {
        assert!(!log.contains(text), "the log tells {text}");
    }
}

#[tokio::test]
async fn a_stop_leaves_no_old_version_of_a_page_in_the_ledgers_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let id = server.execute(gmail("a", "Hello")).await;
    assert_eq!(server.ended(&id).await["status"], "completed");
    let log_bytes = || std::fs::metadata(folder.path().join("ledger.db-wal")).map_or(0, |file| file.len());
    assert!(log_bytes() > 0);
    server.terminate();
    assert!(server.ends_well().await);
    assert_eq!(log_bytes(), 0);
}

#[tokio::test]
async fn what_is_at_rest_and_what_is_logged_tells_nothing_of_a_mail() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_COMPOSE, &[("RUST_LOG", "debug")]);
    let mut action = gmail("canary", "canary-subject");
    action["params"]["to"] = json!("canary-person@example.com");
    let id = server.execute(action).await;
    assert_eq!(server.ended(&id).await["status"], "completed");
    let log = server.into_log();
    let mut texts = vec![("the log".to_owned(), log.into_bytes())];
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        texts.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    assert!(texts.len() > 2, "there is a ledger");
    for (place, bytes) in texts {
        for text in ["canary-person", "canary-subject", "job:canary", GOOGLE_TOKEN] {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{place} holds {text}");
        }
    }
}
