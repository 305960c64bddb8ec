//! Holds the arrows of docs/ARCHITECTURE.md: who may import whom, and who may touch the world.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

/// What each crate may import of the workspace.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &[]),
    ("engine", &["domain", "telemetry"]),
    // The metrics' store is a port of telemetry's own, which the engine need not know.
    ("adapters", &["domain", "engine", "telemetry"]),
    ("web", &["domain", "engine", "telemetry"]),
    ("app", &["adapters", "domain", "engine", "telemetry", "web"]),
];

/// What only adapters may import.
const WORLD: &[&str] = &["redis", "reqwest", "rusqlite"];

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        let path = package["manifest_path"].as_str().expect("a package has a path");
        if path.contains("/tests/") {
            continue;
        }
        let dependencies = package["dependencies"].as_array().expect("a package has dependencies");
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
            let dependency = dependency["name"].as_str().expect("a dependency has a name");
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

/// A file that is longer holds two things.
const MOST_LINES: usize = 600;

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                let lines = fs::read_to_string(&path).expect("Rust is text").lines().count();
                assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
            }
        }
    }
    assert!(files > 100, "only {files} files were found");
}
