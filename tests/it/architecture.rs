//! The code map of ARCHITECTURE.md: every file that it names is there, and every file is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What needs no line of its own: it says the same in every folder.
const COMMON: [&str; 6] = ["mod.rs", "lib.rs", "main.rs", "error.rs", "tests.rs", "testing.rs"];

#[test]
fn the_code_map_and_the_code_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("there is an ARCHITECTURE.md");
    let map = text.split("\n## ").find(|part| part.starts_with("Code map")).expect("it has a code map");
    let named: BTreeSet<String> = map.split('`').skip(1).step_by(2).flat_map(expand).collect();
    let mut files = BTreeSet::new();
    for folder in ["sdk-rust/src", "daemon/src", "cli/src"] {
        collect(root, &root.join(folder), &mut files);
    }
    let is_named = |file: &&String| {
        named.iter().any(|name| match name.strip_suffix('/') {
            Some(folder) => file.starts_with(&format!("{folder}/")) || file.contains(&format!("/{folder}/")),
            None => **file == *name || file.ends_with(&format!("/{name}")),
        })
    };
    let unnamed: Vec<_> = files.iter().filter(|file| !is_common(file)).filter(|file| !is_named(file)).collect();
    assert!(unnamed.is_empty(), "ARCHITECTURE.md does not name {unnamed:#?}");
    let is_there = |name: &&String| files.iter().any(|file| file == *name || file.ends_with(&format!("/{name}")));
    let missing: Vec<_> = named.iter().filter(|name| name.ends_with(".rs")).filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:#?}");
}

/// `wire/{peer,host}.rs` names two files.
fn expand(name: &str) -> Vec<String> {
    match name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (names, after))) => names.split(',').map(|name| format!("{before}{name}{after}")).collect(),
        None => vec![name.to_owned()],
    }
}

fn is_common(file: &str) -> bool {
    file.split('/').any(|part| COMMON.contains(&part) || part == "tests")
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(root).expect("below the root");
            files.insert(path.to_str().expect("our names are UTF-8").to_owned());
        }
    }
}
