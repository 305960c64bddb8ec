//! Plans by models of Amazon Bedrock, whose keys are made from AWS's credentials.

use fakes::model::{FakeModel, Reply as Says, Vendor, bedrock};
use serde_json::json;

use crate::support::{Reply, Server};

const SECRET: &str = "canary/secret+access/key";
const PROMPT: &str = "Send email to john@example.com saying thanks for the meeting";

/// The program with Bedrock's fake in place of Bedrock, and these variables.
async fn start(folder: &std::path::Path, more: &[(&str, &str)]) -> (Server, FakeModel) {
    let model = FakeModel::of(Vendor::Bedrock, SECRET);
    let url = model.serve().await;
    let endpoint = url.trim_end_matches("/openai/v1");
    let variables = [
        ("AI_PROVIDER", "bedrock"),
        ("AWS_REGION", bedrock::REGION),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint),
        ("AWS_ACCESS_KEY_ID", bedrock::ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", bedrock::SESSION_TOKEN),
        ("OPENAI_API_KEY", "sk-canary-key"),
        ("RUST_LOG", "trace"),
    ];
    (Server::start(folder, &[&variables, more].concat()), model)
}

async fn plan(server: &Server) -> Reply {
    server.post("/ai/plan2", &json!({ "prompt": PROMPT })).await
}

#[tokio::test]
async fn bedrock_plans_by_a_key_of_the_credentials_which_serves_again_and_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let (server, model) = start(folder.path(), &[]).await;
    for _ in 0..2 {
        let reply = plan(&server).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["plan"]["actions"][0]["params"]["to"], "john@example.com");
        assert_eq!(reply.body["meta"]["model"], "openai.gpt-oss-120b-1:0");
    }
    let keys: Vec<_> = model.requests().iter().map(|request| request.headers["authorization"].clone()).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "one key serves both");

    // A key that Bedrock does not take any more is made again.
    model.script(Says::Status(
        403,
        vec![],
        json!({ "message": "The security token included in the request is expired" }),
    ));
    assert_eq!((plan(&server).await.status, plan(&server).await.status), (503, 200));

    let log = server.into_log();
    let key = keys[0].to_str().unwrap().trim_start_matches("Bearer ");
    for secret in [key, &key[16..80], SECRET, bedrock::SESSION_TOKEN, "canary"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[tokio::test]
async fn a_key_of_other_credentials_or_of_another_region_is_refused() {
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "ASIAOTHEREXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "another"),
        ("AWS_SESSION_TOKEN", "another"),
        ("AWS_SESSION_TOKEN", ""),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (server, _model) = start(folder.path(), &[(name, value)]).await;
        let reply = plan(&server).await;
        assert_eq!(
            (reply.status, reply.code()),
            (503, &json!("planner-unavailable")),
            "{name}={value}: {}",
            reply.body
        );
        let log = server.into_log();
        assert!(!log.contains("canary"), "{log}");
    }
}
