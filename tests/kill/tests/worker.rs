//! The worker that dies: its points can be listed, and what is none is refused.

use std::process::{Command, Output};

fn dying_worker(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dying-worker")).args(arguments).output().expect("it runs")
}

#[test]
fn it_lists_its_points() {
    let output = dying_worker(&["--points"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2 * (kill::WORKER.len() + kill::API.len()));
    assert!(text.contains("work call.send:before\n") && text.contains("serve ledger.insert_jobs:after\n"), "{text}");
}

#[test]
fn it_refuses_what_is_no_point() {
    assert!(!dying_worker(&["work", "--kill-at", "call.sent:before"]).status.success());
}
