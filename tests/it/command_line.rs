//! The commands that call a running server.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
};

use fakes::{Fakes, Fault, Holdings, Provider};
use serde_json::{Value, json};

use crate::{
    sentences::{INVITE, LATE, MOVES, PEOPLE, at, contacts},
    support::{GMAIL_SEND, Server, command, gmail, run},
};

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
    let prompt = "Send my sister a mail saying I am running late";
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
    let (code, out, _) = ask(&server.url, &["job", "resolve", job_id, "--sent"]).await;
    assert!(code == 0 && out.contains("completed"), "{code}: {out}");

    let nobodys = "018f4e7e-7d4c-7a3b-8a52-0b7d2c9d3f10";
    let (code, _, says) = ask(&server.url, &["job", nobodys]).await;
    assert!(code == 1 && says.contains("job-not-found"), "{code}: {says}");
    for (wrong, hint) in [
        (&["job", "no-id"][..], "not a UUID"),
        (&["execute", "nonsense"], "not a UUID"),
        (&["approve", "1", "--yes"], "not a UUID"),
        (&["jobs", "--limit", "0"], "1..=100"),
        (&["jobs", "--status", "bogus"], "completed"),
        (&["jobs", "--waiting", "god"], "approval"),
        (&["job", "resolve", nobodys], "--not-sent"),
        (&["job", "resolve", nobodys, "--sent", "--not-sent"], "cannot be used"),
        (&["job"], "<JOB_ID>"),
        (&["pln", "x"], "'plan'"),
        (&["jobs", "--statsu", "error"], "'--status'"),
        (&["completions", "tcsh"], "bash"),
        (&["keys", "list", "--url", "http://127.0.0.1:1"], "--url and --key"),
    ] {
        let (code, out, says) = ask(&server.url, wrong).await;
        assert!(code == 2 && out.is_empty() && says.contains(hint), "{wrong:?}: {code}: {says}");
    }
    let (code, _, says) = ask("http://127.0.0.1:1", &["actions"]).await;
    assert!(code == 1 && says.contains("ORCHESTRATOR_URL"), "{code}: {says}");
}

#[tokio::test]
async fn a_job_that_needs_somebody_says_what_to_type_and_that_works() {
    let (folder, fakes) = (tempfile::tempdir().unwrap(), Fakes::start().await.unwrap());
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    let typed = |out: &str| -> Vec<String> {
        let line = out.lines().find_map(|line| line.trim_start().strip_prefix("orchestrator ")).expect("a command");
        line.split('#').next().unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let follow = async |out: &str| {
        let arguments = typed(out);
        ask(&server.url, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let (code, out, _) = ask(&server.url, &["plan", THANKS]).await;
    assert!(code == 0 && out.contains("# 1 action, live as "), "{out}");
    fakes.script(Fault::AcceptThenClose);
    let (code, out, _) = follow(&out).await;
    assert!(code == 4 && out.contains("outcome-unknown"), "{code}: {out}");
    let (code, out, _) = follow(&out).await;
    assert!(code == 0 && out.contains("completed"), "what was sent is completed: {out}");

    let (_, out, _) = ask(&server.url, &["plan", "Email amy@example.com saying hello", "--json"]).await;
    let plan_id = json_of(&out)["plan"]["plan_id"].as_str().unwrap().to_owned();
    let (code, out, _) = ask(&server.url, &["execute", &plan_id, "--at", "tomorrow 9:00"]).await;
    assert!(code == 0 && out.contains("orchestrator job cancel "), "{out}");
    let (code, out, _) = follow(&out).await;
    assert!(code == 0 && out.contains("cancelled") && out.contains("orchestrator job retry "), "{out}");
    let (code, out, _) = follow(&out).await;
    assert!(code == 0 && out.contains("pending"), "it waits for its time again: {out}");
    let (_, _, says) = ask(&server.url, &["execute", &plan_id, "--at", "tomorrow 9:00"]).await;
    assert!(says.contains("the same job as before"), "{says}");
}

#[tokio::test]
async fn a_key_says_whose_it_is_from_the_environment_or_an_argument() {
    let folder = tempfile::tempdir().unwrap();
    let create = |workspace: &str, more: &[&str]| {
        let always = ["keys", "create", "--workspace", workspace, "--scopes", "actions:preview,actions:execute"];
        run(folder.path(), &[], &[&always, more].concat())
    };
    let acme = create("acme", &[]);
    let agent = create("globex", &["--agent", "--actor", "ana", "--allow", "gmail.send"]);
    let server = Server::start(folder.path(), &[]);
    let whoami = ["whoami", "--key", &acme, "--url", &server.url];
    let (code, out, _) = ask("http://127.0.0.1:1", &whoami).await;
    assert_eq!(code, 0, "an argument counts before the environment: {out}");
    for told in [
        "workspace  acme",
        "expires    20",
        "actions:preview, actions:execute",
        &server.url,
        acme.split('_').nth(1).unwrap(),
    ] {
        assert!(out.contains(told), "{told}: {out}");
    }
    assert!(!out.contains(acme.split('_').nth(2).unwrap()) && !out.contains("agent"), "{out}");
    let mut command = asks(&server.url, &["whoami", "--json"]);
    let Output { stdout, .. } = command.env("ORCHESTRATOR_KEY", &agent).output().unwrap();
    let told = json_of(&String::from_utf8(stdout).unwrap());
    let actor = domain::ActorHash::of(&"globex".parse().unwrap(), &"ana".parse().unwrap());
    assert_eq!(
        told,
        json!({ "workspace_id": "globex", "scopes": ["actions:preview", "actions:execute"],
            "key_id": agent.split('_').nth(1), "key_name": null, "expires_at": told["expires_at"], "actor_sha256": actor.as_str(), "actions": ["gmail.send"],
            "agent": true, "draft_only": false })
    );
    // A key has an end of its own accord.
    assert!(told["expires_at"].is_string(), "{told}");
    for wrong in [vec!["whoami"], vec!["whoami", "--key", "orc_x_y"]] {
        let (code, out, says) = ask(&server.url, &wrong).await;
        assert!(code == 1 && out.is_empty(), "{wrong:?}: {out}");
        assert!(says.contains("unauthenticated") && says.contains("set ORCHESTRATOR_KEY, or give --key"), "{says}");
    }
    let metrics = run(folder.path(), &[], &["keys", "create", "--workspace", "acme", "--scopes", "metrics:read"]);
    assert_eq!(ask(&server.url, &["whoami", "--key", &metrics]).await.0, 0, "any key may ask");

    let open = tempfile::tempdir().unwrap();
    let open = Server::start(open.path(), &[]);
    let (code, out, _) = ask(&open.url, &["whoami"]).await;
    assert!(code == 0 && out.contains("workspace  local") && out.contains("this server has no keys"), "{out}");
}

#[tokio::test]
async fn without_arguments_beside_a_running_server_there_is_help() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let port = server.url.rsplit(':').next().unwrap();
    for (name, value) in
        [("ORCHESTRATOR_URL", server.url.as_str()), ("PORT", port), ("SETTINGS", &format!("PORT={port}"))]
    {
        // A server that starts instead would run for ever.
        let mut command = Command::new("timeout");
        command
            .args(["20", env!("CARGO_BIN_EXE_orchestrator")])
            .env_clear()
            .env(name, value)
            .env("PATH", "/usr/bin:/bin");
        let Output { status, stdout, stderr } = command.env("ORCHESTRATOR_DATA", folder.path()).output().unwrap();
        let (out, says) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(
            status.success() && out.contains("Usage: orchestrator") && out.contains("completions"),
            "{name}: {out}"
        );
        assert!(says.contains(&server.url), "{name}: {says}");
    }
    // Who wants a server here in spite of that hears why there is none.
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    let Output { status, stderr, .. } = command.env_clear().env("PORT", port).arg("serve").output().unwrap();
    assert!(!status.success() && String::from_utf8(stderr).unwrap().contains("cannot be used"));
}

#[tokio::test]
async fn a_new_ledger_is_never_made_silently() {
    let folder = tempfile::tempdir().unwrap();
    let create = ["keys", "create", "--workspace", "acme", "--scopes", "actions:preview"];
    let data = folder.path().join("data");
    let told = |arguments: &[&str]| {
        let output = command(&data, &[]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let says = String::from_utf8(output.stderr).unwrap();
        says.contains("no ledger") && says.contains(data.to_str().unwrap()) && says.contains("ORCHESTRATOR_DATA")
    };
    assert!(told(&create) && !told(&create) && !told(&["keys", "list"]));
    std::fs::remove_dir_all(&data).unwrap();
    assert!(told(&["keys", "list"]), "whichever command it is");
    std::fs::remove_dir_all(&data).unwrap();
    drop(Server::start(&data, &[]));
    assert!(!told(&create), "a server has made it");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let commands = ["plan", "execute", "job", "jobs", "outbox", "whoami", "health", "keys", "completions"];
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef orchestrator"), ("fish", "complete -c orchestrator")]
    {
        let output = asks("nowhere", &["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains(sign), "{shell}");
        for command in commands.iter().chain(&["--url", "--not-sent"]) {
            assert!(script.contains(command.trim_start_matches("--")), "{shell} does not know {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(asks("nowhere", &["man", folder.path().to_str().unwrap()]).status().unwrap().success());
    for command in commands {
        let page = std::fs::read_to_string(folder.path().join(format!("orchestrator-{command}.1"))).unwrap();
        assert!(page.contains(".TH"), "{command}");
    }
    let page = std::fs::read_to_string(folder.path().join("orchestrator.1")).unwrap();
    assert!(page.contains("Exit codes"), "{page}");
}

/// What a person at a terminal types and sees: exit code, and what the terminal shows.
fn at_terminal(url: &str, arguments: &[&str], typed: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let words = [env!("CARGO_BIN_EXE_orchestrator")].iter().chain(arguments).map(|word| format!("'{word}'"));
    let line = words.collect::<Vec<_>>().join(" ");
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh"), ("TERM", "xterm"), ("ORCHESTRATOR_URL", url)])
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is `script`, of bsdutils");
    let mut keyboard = terminal.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let output = terminal.wait_with_output().unwrap();
    drop(keyboard);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_terminal_is_asked_before_anything_is_sent() {
    let (folder, fakes) = (tempfile::tempdir().unwrap(), Fakes::start().await.unwrap());
    let live = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    let (code, seen) = at_terminal(&live.url, &["plan", THANKS], "n\n", &[]);
    assert!(code == 3 && seen.contains("Send? [y/N]") && seen.contains("Nothing was sent."), "{code}: {seen}");
    let (code, seen) = at_terminal(&live.url, &["plan", THANKS], "\n", &[]);
    assert!(code == 3 && fakes.deliveries().is_empty(), "everything but a yes is a no: {seen}");
    let (code, seen) = at_terminal(&live.url, &["plan", THANKS, "--json"], "", &[]);
    assert!(code == 0 && !seen.contains("Send?"), "{seen}");
    let asks = ["plan", "Send my sister a mail saying I am running late"];
    let (code, seen) = at_terminal(&live.url, &asks, "maria@example.com\ny\n", &[]);
    assert!(code == 0 && seen.contains("Which address") && seen.contains("completed"), "{code}: {seen}");
    assert_eq!(fakes.deliveries().len(), 1);

    let folder = tempfile::tempdir().unwrap();
    let sandbox = Server::start(folder.path(), &[]);
    let (code, seen) = at_terminal(&sandbox.url, &["plan", THANKS], "", &[]);
    assert!(code == 0 && !seen.contains("Send?") && seen.contains("into the sandbox's outbox"), "{code}: {seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_looked_up_shown_with_its_source_and_asked_for_where_several_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (code, out, says) = ask(&server.url, &["plan", "Email Sam that I am late"]).await;
    assert!(code == 0 && out.contains("  found     ") && out.contains("(contact"), "{code}: {out}{says}");
    let plan_id = out.lines().find_map(|line| line.strip_prefix("plan ")).unwrap().split(',').next().unwrap();
    let (code, shown, _) = ask(&server.url, &["preview", plan_id]).await;
    assert!(
        code == 0 && shown.contains("\nTo: ") && shown.contains("I am late") && shown.contains("sha256"),
        "{shown}"
    );
    assert_eq!(server.counts().await, (0, 0), "a preview sends nothing");
    let (code, out, _) = ask(&server.url, &["execute", plan_id]).await;
    assert!(code == 0 && out.contains("completed"), "{out}");
    let (code, _, says) = ask(&server.url, &["preview", "018f4e7e-7d4c-7a3b-8a52-0b7d2c9d3f10"]).await;
    assert!(code == 1 && says.contains("plan-not-found"), "{code}: {says}");

    // Two in the sandbox's address book are called so.
    let ana = ["plan", "Email Ana that I am late"];
    let (code, out, _) = ask(&server.url, &ana).await;
    assert!(code == 3 && out.contains("(choice), one of:"), "{code}: {out}");
    let answer = out.lines().find_map(|line| line.trim().strip_prefix("--answer ")).unwrap();
    let answer = answer.split_whitespace().next().unwrap();
    let (code, out, says) = ask(&server.url, &[&ana[..], &["--answer", answer, "--execute"]].concat()).await;
    assert!(code == 0 && out.contains("completed"), "{code}: {out}{says}");
    let (code, seen) = at_terminal(&server.url, &ana, "2\n", &[]);
    assert!(code == 0 && seen.contains("orchestrator execute"), "{code}: {seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_and_a_mail_to_everyone_in_a_meeting_are_typed_as_sentences() {
    let fakes = Fakes::start().await.unwrap();
    fakes.hold(Provider::Google, Holdings { contacts: contacts(Provider::Google, &PEOPLE), ..Holdings::default() });
    for is_live in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let server = if is_live {
            at(folder.path(), &fakes, "gmail.send,calendar.create_event", &[])
        } else {
            Server::start(folder.path(), &[])
        };
        let (code, out, says) = ask(&server.url, &["plan", LATE, "--execute"]).await;
        assert!(code == 0 && out.contains("sam@example.com") && out.contains("completed"), "{code}: {out}{says}");

        let invite = ["plan", INVITE, "--timezone", "Europe/Berlin"];
        let (code, out, _) = ask(&server.url, &invite).await;
        assert!(code == 3 && out.contains("(choice), one of:") && out.contains("ana.silva@"), "{code}: {out}");
        let answer = out.lines().find_map(|line| line.trim().strip_prefix("--answer ")).unwrap();
        let answer = answer.split_whitespace().next().unwrap();
        let (code, out, says) = ask(&server.url, &[&invite[..], &["--answer", answer, "--execute"]].concat()).await;
        assert!(code == 0 && out.contains("calendar.create_event") && out.contains("completed"), "{code}: {out}{says}");
        for told in ["T10:00", "Europe/Berlin", "(contact", "Ana"] {
            assert!(out.contains(told), "{told}: {out}");
        }

        let moves = ["plan", MOVES, "--timezone", "Europe/Berlin", "--execute"];
        let (code, out, says) = ask(&server.url, &moves).await;
        assert!(code == 0 && out.contains("(event") && out.contains("completed"), "{code}: {out}{says}");
        if is_live {
            let reached: Vec<_> = fakes.deliveries().into_iter().map(|delivery| delivery.mail.to.len()).collect();
            assert_eq!(reached, [1, 1, 1]);
            continue;
        }
        // At a terminal, the choice is a number.
        let (code, seen) = at_terminal(&server.url, &invite, "1\n", &[]);
        assert!(code == 0 && seen.contains("orchestrator execute"), "{code}: {seen}");
        let (_, out, _) = ask(&server.url, &["outbox", "--json"]).await;
        let outbox = json_of(&out);
        let sent = |place: usize, field: &str| outbox["data"][place][field].clone();
        assert_eq!(sent(0, "recipients").as_array().unwrap().len(), 3, "{out}");
        assert_eq!((sent(0, "title"), sent(1, "effect")), (json!("It moves to 11"), json!("change")), "{out}");
        assert_eq!(server.counts().await, (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_has_a_head_colours_and_distances_at_a_terminal_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (_, nothing, says) = ask(&server.url, &["outbox"]).await;
    assert!(nothing.is_empty() && says.contains("The outbox is empty."), "{says}");
    let job = server.execute(gmail("one", "Hi there")).await;
    server.ended(&job).await;
    for table in ["jobs", "outbox"] {
        let (_, out, _) = ask(&server.url, &[table]).await;
        assert!(
            out.starts_with(&job) && out.lines().count() == 1 && out.contains("Hi there to john@example.com"),
            "{out}"
        );
        assert!(!out.contains('\u{1b}') && out.contains("Z  "), "a program gets times as they are: {out}");
        let (_, seen) = at_terminal(&server.url, &[table], "", &[]);
        assert!(seen.contains("JOB") && seen.contains("WHAT") && seen.contains("\u{1b}[1m"), "{seen}");
        assert!(["now", "second", "minute"].iter().any(|word| seen.contains(word)), "{seen}");
        let (_, plain) = at_terminal(&server.url, &[table], "", &[("NO_COLOR", "1")]);
        assert!(plain.contains("JOB") && !plain.contains('\u{1b}'), "{plain}");
    }
    let (_, seen) = at_terminal(&server.url, &["--help"], "", &[]);
    assert!(seen.contains("\u{1b}["), "{seen}");
    let (_, plain) = at_terminal(&server.url, &["--help"], "", &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
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
    assert!(code == 3 && says.contains("GOOGLE_CLIENT_ID"), "nobody could connect an account: {says}");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("GOOGLE_CLIENT_ID", "x"), ("GOOGLE_CLIENT_SECRET", "y")]);
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
