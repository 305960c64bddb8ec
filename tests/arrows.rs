//! Enforces the arrows of docs/ARCHITECTURE.md: which crate may import which, and which may touch the world. Also finds
//! unused dependencies, and mails where any action should do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The workspace crates that each crate may import.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &[]),
    ("engine", &["domain", "telemetry"]),
    // The metrics store is a port of telemetry that the engine does not need to know.
    ("adapters", &["domain", "engine", "telemetry"]),
    ("web", &["domain", "engine", "telemetry"]),
    ("app", &["adapters", "domain", "engine", "telemetry", "web"]),
];

/// The crates that only adapters may import.
const WORLD: &[&str] = &["redis", "reqwest", "rusqlite"];

/// The sources that work for any action.
const ANY_ACTION: &[&str] = &["shared/engine/src", "shared/web/src", "shared/domain/src/job.rs"];

/// The files among them that may name a mail.
const NAME_A_MAIL: &[&str] = &[
    // The claim `email` of an id token.
    "shared/engine/src/ports/provider.rs",
    // Prompts of tests.
    "shared/engine/src/evaluation.rs",
    "shared/engine/src/plan/sentence.rs",
    "shared/engine/src/plan/content.rs",
    // Examples of the OpenAPI document.
    "shared/engine/src/catalogue.rs",
    "shared/engine/src/plan/request.rs",
    "shared/web/src/endpoints/job_view.rs",
    "shared/web/src/endpoints/preview_action.rs",
];

#[test]
fn only_the_named_files_that_work_for_any_action_name_a_mail() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for source in ANY_ACTION {
        for file in files(&root.join(source), &["rs", "txt"]) {
            let text = fs::read_to_string(&file).expect("a source is text").to_lowercase();
            if ["mail", "outlook"].iter().any(|word| text.contains(word)) {
                found.push(file.strip_prefix(&root).expect("it is below the root").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    let mut named: Vec<String> = NAME_A_MAIL.iter().map(|file| (*file).to_owned()).collect();
    named.sort();
    assert_eq!(found, named);
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let packages = packages();
    let names: Vec<&str> = packages.iter().map(|package| text(&package["name"])).collect();
    for package in &packages {
        let (name, path) = (text(&package["name"]), text(&package["manifest_path"]));
        if path.contains("/tests/") {
            continue;
        }
        for dependency in dependencies(package).filter(|dependency| dependency["kind"].is_null()) {
            let dependency = text(&dependency["name"]);
            if names.contains(&dependency) {
                let allowed = ARROWS.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
                let function = path.contains("/functions/") && ARROWS.iter().any(|(to, _)| *to == dependency);
                assert!(function || allowed.is_some_and(|to| to.contains(&dependency)), "{name} imports {dependency}");
            }
            let world = WORLD.contains(&dependency) || dependency.starts_with("aws-");
            assert!(!world || name == "adapters", "{name} imports {dependency}, which only adapters may");
        }
    }
    assert!(ARROWS.iter().all(|(name, _)| names.contains(name)), "a crate of the architecture is missing");
}

#[test]
fn every_crate_uses_its_dependencies_and_the_workspace_lints() {
    for package in packages() {
        let (name, manifest) = (text(&package["name"]), Path::new(text(&package["manifest_path"])));
        let lints =
            fs::read_to_string(manifest).expect("a manifest can be read").contains("[lints]\nworkspace = true\n");
        assert!(lints, "{name} does not use the lints of the workspace");

        let mut sources = files(manifest.parent().expect("a manifest is in a folder"), &["rs"]);
        for target in package["targets"].as_array().expect("a package has targets") {
            let path = PathBuf::from(text(&target["src_path"]));
            match path.parent() {
                Some(folder) if path.ends_with("main.rs") => sources.extend(files(folder, &["rs"])),
                _ => sources.push(path),
            }
        }
        let code: String = sources.iter().map(|file| fs::read_to_string(file).expect("Rust is text")).collect();
        for dependency in dependencies(&package) {
            let path = format!("{}::", text(&dependency["name"]).replace('-', "_"));
            let used = code
                .match_indices(&path)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            assert!(used, "{name} declares {} but does not use it", dependency["name"]);
        }
    }
}

/// The crates of the workspace, from cargo metadata.
fn packages() -> Vec<Value> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("there are packages").clone()
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().expect("a package has dependencies").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has text here")
}

/// The files with one of these extensions: the path itself, or all below it except in hidden and target folders.
fn files(path: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known)) {
            found.push(path);
        }
    }
    found
}
