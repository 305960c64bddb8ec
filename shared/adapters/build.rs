//! Lists `src/actions/*.rs`, so that adding an action is adding one file.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo says where the crate is")?)
        .join("src")
        .join("actions");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("an action's file has a plain name")?;
            let place = path.to_str().ok_or("the folder's name is UTF-8")?;
            files.push((name.to_owned(), place.to_owned()));
        }
    }
    files.sort();

    let mut code = String::new();
    for (name, path) in &files {
        writeln!(code, "#[path = {path:?}]\nmod {name};")?;
    }
    writeln!(code, "\n/// Every action of the catalogue, in the order of their files.")?;
    writeln!(code, "pub fn all(apis: &Apis) -> Vec<Arc<dyn Action>> {{\n    vec![")?;
    for (name, _) in &files {
        writeln!(code, "        {name}::action(apis),")?;
    }
    writeln!(code, "    ]\n}}")?;

    fs::write(Path::new(&env::var_os("OUT_DIR").ok_or("cargo names the output folder")?).join("actions.rs"), code)?;
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
