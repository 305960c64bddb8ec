//! From a sentence to a sent mail.

use fakes::Fakes;
use serde_json::{Value, json};

use crate::support::{GMAIL_COMPOSE, GMAIL_SEND, Server, gmail};

const PROMPT: &str = "Send email to john@example.com saying thanks for the meeting";

#[tokio::test]
async fn a_sentence_becomes_a_mail_in_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);

    let planned = server.post("/ai/plan2", &json!({ "prompt": PROMPT })).await;
    assert_eq!(planned.status, 200, "{}", planned.body);
    assert_eq!(planned.body["meta"]["model"], "offline-rules");
    assert_eq!(planned.body["meta"]["tokens_in"], 0);
    let plan = &planned.body["plan"];
    assert_eq!((&plan["intent"], &plan["questions"]), (&json!("send_email"), &json!([])));

    let accepted = server.post("/ai/execute", &json!({ "plan_id": plan["plan_id"] })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let id = accepted.body["job_ids"][0].as_str().unwrap();
    assert_eq!(accepted.headers["location"], format!("/ai/jobs/{id}"));
    assert_eq!(accepted.body["jobs"][0]["client_request_id"], plan["actions"][0]["client_request_id"]);

    let job = server.ended(id).await;
    assert_eq!(job["status"], "completed", "{job}");
    let outbox = server.get("/dev/outbox").await.body;
    assert_eq!((&outbox["data"][0]["job_id"], &outbox["data"][0]["to"]), (&json!(id), &json!("john@example.com")));

    let again = server.post("/ai/execute", &json!({ "plan_id": plan["plan_id"] })).await;
    assert_eq!((&again.body["job_ids"][0], &again.body["jobs"][0]["replayed"]), (&json!(id), &json!(true)));
    assert_eq!(server.get("/dev/outbox").await.body["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_live_mail_goes_out_once_and_is_what_the_preview_showed() {
    for (scope, operations) in
        [(GMAIL_SEND, vec!["gmail.messages.send"]), (GMAIL_COMPOSE, vec!["gmail.drafts.create", "gmail.drafts.send"])]
    {
        let fakes = Fakes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_live(folder.path(), &fakes, scope, &[]);
        let action = gmail("once", "Hello");
        let preview = json!({ "action": action["action"], "params": action["params"] });
        let preview = server.post("/actions/preview", &preview).await.body;

        let id = server.execute(action.clone()).await;
        let job = server.ended(&id).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["result"]["content_sha256"], preview["sha256"]);
        assert_eq!(server.execute(action).await, id);
        assert_eq!((fakes.count("job:once"), fakes.operations()), (1, operations));
        let body: &Value = &preview["body"];
        assert!(body.as_str().unwrap().contains("Subject: Hello\r\n"), "{body}");
    }
}
