//! docs/CONFIGURATION.md says of the environment what the program reads.

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path};

use app::{Config, Runtime};

const SOURCE: &str = include_str!("../../shared/app/src/config.rs");

/// A variable, or several with one meaning, as the doc comments of `config.rs` describe it.
struct Variable {
    names: String,
    default: String,
    meaning: String,
}

/// The variables of `config.rs`, under the first line of the comment that they stand in.
fn described() -> Vec<(String, Vec<Variable>)> {
    let comment =
        |line: &str| Some(line.trim_start().strip_prefix("///")?.strip_prefix(' ').unwrap_or_default().to_owned());
    let comments: Vec<Option<String>> = SOURCE.lines().map(comment).collect();
    let mut groups: Vec<(String, Vec<Variable>)> = Vec::new();
    let mut item = String::new();
    for (place, line) in comments.iter().enumerate() {
        let line = line.as_deref().unwrap_or_default();
        if let Some(more) = line.strip_prefix("  ").filter(|_| !item.is_empty()) {
            item.extend([" ", more]);
            continue;
        }
        if let Some(variable) = variable(&std::mem::take(&mut item)) {
            groups.last_mut().expect("a list has a heading").1.push(variable);
        }
        let is_heading = line.ends_with(char::is_alphanumeric) && comments.get(place + 1) == Some(&Some(String::new()));
        match line.strip_prefix("- ") {
            Some(start) => start.clone_into(&mut item),
            None if is_heading => groups.push((line.to_owned(), Vec::new())),
            None => {}
        }
    }
    groups.retain(|(_, variables)| !variables.is_empty());
    groups
}

/// "`NAME`, `NAME` (default): meaning"; none for an item of another list.
fn variable(item: &str) -> Option<Variable> {
    let (names, rest) = item.split_once(" (").filter(|(names, _)| names.starts_with('`'))?;
    let (default, meaning) = rest.split_once("): ")?;
    Some(Variable {
        names: names.to_owned(),
        default: if default == "none" { "–" } else { default }.to_owned(),
        meaning: meaning.to_owned(),
    })
}

fn document() -> String {
    let mut text = "# Configuration\n\n\
        The program reads its environment once, at the start. If something in it is wrong, the program names all mistakes together and does \
        not start. An empty variable counts as unset, except `ALLOW_ACTIONS_DEFAULT`: empty, it allows no action.\n\n\
        With `--features aws`, any secret but a pasted token may be the ARN of a secret in Secrets Manager, with `:FIELD::` at its end for a \
        field of a JSON object. It is read when it is first needed, and again every five minutes. AWS's own variables (`AWS_REGION`, \
        `AWS_ENDPOINT_URL` and so on) are as in every AWS SDK.\n\n\
        Every provider has the variables that begin with `GOOGLE_` or have it in their name; write `MICROSOFT_` for the other one.\n\n\
        On AWS Lambda, `REDIS_URL`, `QUEUE_URL`, `LEDGER_TABLE` and one of `TOKEN_KEY` and `KMS_KEY_ID` are required, and every request needs \
        a credential. [OPERATIONS.md](OPERATIONS.md) says how the template sets them.\n\n\
        <!-- Made of the comments in shared/app/src/config.rs by: UPDATE=1 cargo test -p orchestrator --test it configuration -->\n"
        .to_owned();
    for (heading, variables) in described() {
        text.extend(["\n## ", &heading, "\n\n| variable | meaning | default |\n| --- | --- | --- |\n"]);
        for Variable { names, default, meaning } in variables {
            text.extend(["| ", &names, " | ", &meaning, " | ", &default, " |\n"]);
        }
    }
    text
}

#[test]
fn the_configurations_document_is_made_of_the_comments_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    let text = document();
    #[expect(clippy::disallowed_methods, reason = "a switch of the test, not of the program")]
    if std::env::var("UPDATE").is_ok() {
        fs::write(&path, &text).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let differs = known.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(
        known == text,
        "docs/CONFIGURATION.md is stale, first at {differs:#?}; to write it: UPDATE=1 cargo test -p orchestrator --test it configuration"
    );
}

#[test]
fn every_variable_that_the_program_reads_is_described_and_no_other() {
    let read = RefCell::new(BTreeSet::new());
    for (runtime, set) in [
        (Runtime::Local, vec![]),
        (Runtime::Lambda, vec![]),
        (Runtime::Local, vec![("OPENAI_API_KEY", "sk-x"), ("GOOGLE_ACCESS_TOKEN", "t"), ("SSL_CERT_FILE", "/nowhere")]),
        (Runtime::Local, vec![("AI_PROVIDER", "bedrock"), ("AWS_REGION", "eu-central-1")]),
    ] {
        // Valid or not: what is looked up counts.
        let _ = Config::read(runtime, &|name| {
            // Every provider has the same variables; a tenant is Microsoft's alone. A proxy's name may be in lower case.
            let name = if name == "MICROSOFT_TENANT" { name.to_owned() } else { name.replace("MICROSOFT_", "GOOGLE_") };
            read.borrow_mut().insert(name.to_ascii_uppercase());
            set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        });
    }
    // AWS's own, and what only Lambda sets; the command line reads its two beside those of a server.
    let mut read = read.into_inner();
    read.retain(|name| !name.starts_with("AWS_") && name != "_HANDLER");
    read.extend(["ORCHESTRATOR_URL", "ORCHESTRATOR_KEY"].map(str::to_owned));
    let groups = described();
    let names = groups.iter().flat_map(|(_, variables)| variables).flat_map(|variable| variable.names.split('`'));
    let described: BTreeSet<String> = names.filter(|name| name.len() > 2).map(str::to_owned).collect();
    assert_eq!(read, described, "left: read by the program; right: described in config.rs");
}
