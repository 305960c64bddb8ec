//! The commands that call a running server.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
};

use fakes::{Fakes, Fault};
use serde_json::{Value, json};

use crate::support::{GMAIL_SEND, Server, gmail};

/// The program with a server's address, and nothing else in its environment.
fn asks(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    command.env_clear().env("ORCHESTRATOR_URL", url).args(arguments);
    command
}

/// Its exit code and its output. It does not block the fakes of this process.
async fn ask(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = asks(url, arguments);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().expect("the program starts")).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("its output is text");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// Runs until it is dropped.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const THANKS: &str = "Send email to john@example.com saying thanks for the meeting";

#[tokio::test]
async fn a_sentence_becomes_a_plan_and_a_mail() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (code, out, _) = ask(&server.url, &["plan", THANKS, "--json"]).await;
    assert_eq!(code, 0);
    let plan_id = json_of(&out)["plan"]["plan_id"].as_str().unwrap().to_owned();

    let (code, out, _) = ask(&server.url, &["execute", &plan_id]).await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("completed  gmail.send"), "{out}");
    let job_id = out.split_whitespace().next().unwrap();

    let (code, out, _) = ask(&server.url, &["job", job_id, "--json"]).await;
    assert_eq!((code, &json_of(&out)["status"]), (0, &json!("completed")));
    let (code, out, _) = ask(&server.url, &["jobs", "--status", "completed"]).await;
    assert!(code == 0 && out.starts_with(job_id), "{out}");
    // The same plan is the same job.
    let (code, out, _) = ask(&server.url, &["execute", &plan_id, "--no-wait"]).await;
    assert!(code == 0 && out.contains(job_id) && out.contains("the same job as before"), "{out}");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn a_plan_at_once_stops_where_it_would_have_to_guess() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (code, out, _) = ask(&server.url, &["plan", THANKS, "--execute"]).await;
    assert!(code == 0 && out.contains("john@example.com") && out.contains("completed"), "{out}");
    let (code, out, _) = ask(&server.url, &["plan", "Send John a thank-you for the meeting", "--execute"]).await;
    assert!(code == 3 && out.contains("? "), "{code}: {out}");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn a_question_is_answered_by_its_id_with_the_same_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let prompt = "Send Maria a mail saying I am running late";
    let (code, out, _) = ask(&server.url, &["plan", prompt]).await;
    assert!(code == 3 && out.contains("(address): --answer q_"), "{code}: {out}");
    let (code, out, _) = ask(&server.url, &["plan", prompt, "--json"]).await;
    let question = json_of(&out)["plan"]["clarifications"][0].clone();
    assert_eq!((code, &question["kind"]), (3, &json!("address")));
    let id = question["id"].as_str().unwrap();

    let usable = format!("{id}=maria@example.com");
    let (code, out, _) = ask(&server.url, &["plan", prompt, "--answer", &usable, "--execute"]).await;
    assert!(code == 0 && out.contains("maria@example.com") && out.contains("completed"), "{code}: {out}");
    let (code, out, _) = ask(&server.url, &["plan", prompt, "--answer", &format!("{id}=maria")]).await;
    assert!(code == 3 && out.contains(id), "it is asked again: {out}");
    let (code, _, says) = ask(&server.url, &["plan", prompt, "--answer", "q_0000000000000000=maria"]).await;
    assert!(code == 1 && says.contains("/answers/0/id"), "{code}: {says}");
    let (code, _, says) = ask(&server.url, &["plan", prompt, "--answer", "maria@example.com"]).await;
    assert!(code == 2 && says.contains("ID=VALUE"), "{code}: {says}");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn text_by_somebody_else_comes_from_a_file_and_names_no_recipient() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let context = folder.path().join("mail.txt");
    std::fs::write(&context, "From: bo@example.com\nWhen do we meet?").unwrap();
    let file = context.to_str().unwrap();
    let (code, out, _) = ask(&server.url, &["plan", THANKS, "--context", file]).await;
    assert!(code == 0 && out.contains("john@example.com") && !out.contains("bo@example.com"), "{code}: {out}");
    std::fs::write(&context, "x".repeat(32 * 1024 + 1)).unwrap();
    let (code, _, says) = ask(&server.url, &["plan", THANKS, "--context", file]).await;
    assert!(code == 1 && says.contains("/context"), "{code}: {says}");
    let (code, _, says) = ask(&server.url, &["plan", THANKS, "--context", "no such file"]).await;
    assert!(code == 1 && says.contains("no such file"), "{code}: {says}");
}

#[tokio::test]
async fn exit_codes_tell_failed_from_unknown_and_unreachable() {
    let (folder, fakes) = (tempfile::tempdir().unwrap(), Fakes::start().await.unwrap());
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    let actions = folder.path().join("actions.json");
    std::fs::write(&actions, json!([gmail("once", "Hi")]).to_string()).unwrap();
    let file = actions.to_str().unwrap();

    fakes.script(Fault::AcceptThenClose);
    let (code, out, _) = ask(&server.url, &["execute", "--actor", "ana@example.com", "--file", file]).await;
    assert!(code == 4 && out.contains("outcome-unknown"), "{code}: {out}");
    let job_id = out.split_whitespace().next().unwrap();
    let (code, out, _) = ask(&server.url, &["job", job_id, "--act", "resolve-sent"]).await;
    assert!(code == 0 && out.contains("completed"), "{code}: {out}");

    let (code, _, says) = ask(&server.url, &["job", "no-id"]).await;
    assert!(code == 1 && says.contains("job-not-found"), "{code}: {says}");
    let (code, _, _) = ask(&server.url, &["jobs", "--limit", "0"]).await;
    assert_eq!(code, 2);
    let (code, _, says) = ask("http://127.0.0.1:1", &["actions"]).await;
    assert!(code == 1 && says.contains("ORCHESTRATOR_URL"), "{code}: {says}");
}

#[tokio::test]
async fn health_is_one_line_and_an_exit_code() {
    let (folder, fakes) = (tempfile::tempdir().unwrap(), Fakes::start().await.unwrap());
    let server = Server::start(folder.path(), &[]);
    let running = server.url.clone();
    let port = running.rsplit(':').next().unwrap();
    for (name, value) in [("ORCHESTRATOR_URL", running.as_str()), ("PORT", port), ("SETTINGS", &format!("PORT={port}"))]
    {
        let mut command = asks("", &["health"]);
        let Output { status, stdout, .. } = command.env(name, value).env("HOST", "0.0.0.0").output().unwrap();
        assert!(status.success() && stdout == format!("{running} runs\n").as_bytes(), "{name}: {status}");
    }
    drop(server);
    // Its backlog accepts a connection, and nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    for url in [&running, &silent, &fakes.gmail_url(), "http://127.0.0.1:1", "nowhere"] {
        let (code, out, says) = ask(url, &["health"]).await;
        assert!(code == 1 && out.is_empty() && says.lines().count() == 1, "{url}: {code}: {out}{says}");
    }
}

#[tokio::test]
async fn actions_come_from_standard_input_and_a_watch_tells_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut watch = Watch(asks(&server.url, &["jobs", "--watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();

    let mut execute = asks(&server.url, &["execute", "--actor", "ana@example.com", "--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A whole plan is accepted like its list of actions.
    let plan = json!({ "actions": [gmail("one", "Hi"), gmail("two", "Hi again")] });
    execute.stdin.take().unwrap().write_all(plan.to_string().as_bytes()).unwrap();
    assert!(execute.wait_with_output().unwrap().status.success());

    let mut told = Vec::new();
    while told.len() < 2 {
        let job = json_of(&lines.next().expect("the watch goes on").unwrap());
        if job["status"] == "completed" {
            told.push(job["client_request_id"].clone());
        }
    }
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["one", "two"]);
    drop(watch);

    let (code, out, _) = ask(&server.url, &["actions"]).await;
    assert!(code == 0 && out.contains("gmail.send") && out.contains("sandbox"), "{out}");
    let (code, _, says) = ask(&server.url, &["connect", "google", "--no-wait"]).await;
    assert!(code == 3 && says.contains("/dev/action-runner.html"), "{code}: {says}");
}

#[tokio::test]
async fn a_held_job_is_shown_and_then_approved_or_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("REQUIRE_APPROVAL", "all")]);
    let (_, out, _) = ask(&server.url, &["plan", THANKS, "--json"]).await;
    let plan_id = json_of(&out)["plan"]["plan_id"].as_str().unwrap().to_owned();
    // A job that a person has to approve is not waited for.
    let (code, out, _) = ask(&server.url, &["execute", &plan_id]).await;
    assert_eq!((code, out.contains("waits for approval until ")), (0, true), "{out}");
    let (_, out, _) = ask(&server.url, &["jobs", "--waiting", "approval"]).await;
    let id = out.split_whitespace().next().unwrap().to_owned();
    let (_, timed, _) = ask(&server.url, &["jobs", "--waiting", "time"]).await;
    assert_eq!((out.lines().count(), timed.as_str()), (1, ""));

    // Without a terminal nobody is asked.
    let (code, out, error) = ask(&server.url, &["approve", &id]).await;
    assert_eq!((code, out.as_str(), error.contains("--yes")), (2, "", true), "{error}");
    assert_eq!(server.get(&format!("/ai/jobs/{id}")).await.body["waiting_for"], "approval");

    let (code, out, error) = ask(&server.url, &["approve", &id, "--yes"]).await;
    assert_eq!((code, out.starts_with(&id)), (0, true), "{out}{error}");
    for shown in ["john@example.com", "Thanks for the meeting", "thanks for the meeting", "held because: all; expires "]
    {
        assert!(error.contains(shown), "{shown}: {error}");
    }
    assert_eq!(server.ended(&id).await["status"], "completed");
    let (code, _, error) = ask(&server.url, &["reject", &id, "--yes"]).await;
    assert_eq!((code, error.contains("not-held")), (1, true), "{error}");

    let held = server.execute(gmail("rejected", "No")).await;
    let (code, out, _) = ask(&server.url, &["reject", &held, "--yes", "--json"]).await;
    let job = json_of(&out);
    assert_eq!((code, &job["error"]["code"]), (0, &json!("approval-rejected")), "{out}");
    let (code, _, error) = ask(&server.url, &["approve", "018f4e7e-7d4c-7a3b-8a52-0b7d2c9d3f10", "--yes"]).await;
    assert_eq!((code, error.contains("job-not-found")), (1, true), "{error}");
}

#[tokio::test]
async fn a_plan_goes_at_the_time_that_a_person_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (_, out, _) = ask(&server.url, &["plan", THANKS, "--json"]).await;
    let plan_id = json_of(&out)["plan"]["plan_id"].as_str().unwrap().to_owned();
    for (at, why) in [
        ("soon", "is not a time"),
        ("tomorrow", "at what time"),
        ("in 91 days", "90 days"),
        ("1 January 2020 at 9", "is past"),
        ("every Monday at 9", "is not a time"),
    ] {
        let (code, out, error) = ask(&server.url, &["execute", &plan_id, "--at", at]).await;
        assert_eq!((code, out.as_str(), error.contains(why)), (2, "", true), "{at}: {error}");
    }
    let (code, _, error) =
        ask(&server.url, &["execute", &plan_id, "--at", "tomorrow 9:00", "--timezone", "Mars/Base"]).await;
    assert_eq!((code, error.contains("Mars/Base")), (2, true), "{error}");
    let arguments = ["execute", &plan_id, "--at", "tomorrow 9:00", "--timezone", "Asia/Tokyo"];
    let (code, out, error) = ask(&server.url, &arguments).await;
    assert_eq!((code, out.contains("waits for time until ")), (0, true), "{out}{error}");
    let (_, out, _) = ask(&server.url, &["jobs", "--waiting", "time", "--json"]).await;
    let jobs = json_of(&out);
    let send_at: jiff::Timestamp = jobs["data"][0]["send_at"].as_str().unwrap().parse().unwrap();
    let tokyo = send_at.to_zoned(jiff::tz::TimeZone::get("Asia/Tokyo").unwrap());
    assert_eq!((tokyo.hour(), tokyo.minute()), (9, 0), "{tokyo}");
    let (_, out, _) =
        ask(&server.url, &["plan", "Email john@example.com tomorrow at 9 saying hi", "--timezone", "Asia/Tokyo"]).await;
    assert!(out.contains("send at   ") && out.contains("T09:00:00+09:00"), "{out}");
}
