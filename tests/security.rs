//! Every test that docs/SECURITY.md names is there.

use std::{fs, path::Path};

#[test]
fn the_tests_that_the_document_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    for folder in ["shared", "functions", "tests"] {
        gather(&root.join(folder), &mut sources);
    }
    let document = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let mut named = 0;
    for name in
        document.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2))
    {
        if let Some(script) = name.strip_prefix("scripts/") {
            assert!(root.join("scripts").join(script).is_file(), "there is no {name}");
        } else if name.matches('_').count() > 2
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 25, "{named}");
}

fn gather(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
