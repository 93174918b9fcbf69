//! The rules of the code: which crate may know which, and what every file owes its reader.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each crate may depend on. Dependencies point one way.
const MAY_KNOW: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("platform", &[]),
    ("schemas", &["domain"]),
    ("command-side", &["domain", "schemas", "platform"]),
    ("projections", &["domain", "schemas", "platform"]),
    ("query-api", &["domain", "schemas", "platform"]),
    ("gateway", &["domain", "schemas", "platform"]),
    ("reactors", &["domain", "schemas", "platform", "command-side", "projections"]),
    ("server", &["domain", "schemas", "platform", "command-side", "projections", "reactors", "query-api", "gateway"]),
    ("bench", &["domain", "schemas", "platform", "command-side", "projections", "reactors", "server"]),
    ("tests", &["domain", "schemas", "platform", "command-side", "projections", "reactors", "gateway", "server"]),
];

/// What the domain may use of others: it knows no wire, no clock and no waiting.
const DOMAIN_MAY_USE: [&str; 5] = ["isbn", "iso_currency", "oxilangtag", "thiserror", "uuid"];

/// Where the project lies.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of each crate's dependencies, those of its tests excepted.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies.filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), of(package))).collect()
}

fn rust_files() -> Vec<PathBuf> {
    fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                collect(&path, files);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(&root(), &mut files);
    files
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = dependencies();
    let ours: Vec<_> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    for name in dependencies.keys() {
        assert!(ours.contains(&name.as_str()), "{name} has no rule yet");
    }
    for (name, may_know) in MAY_KNOW {
        for known in dependencies[name].iter().filter(|known| ours.contains(&known.as_str())) {
            assert!(may_know.contains(&known.as_str()), "{name} must not know {known}");
        }
    }
}

#[test]
fn the_domain_is_pure() {
    for used in &dependencies()["domain"] {
        assert!(DOMAIN_MAY_USE.contains(&used.as_str()), "domain must not use {used}");
    }
    for path in rust_files().iter().filter(|path| path.starts_with(root().join("domain"))) {
        let text = std::fs::read_to_string(path).unwrap();
        for word in ["async ", "serde", "SystemTime", "Instant::now", "std::fs", "std::net", "std::thread"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_one_idea() {
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with what it is for", path.display());
        let tests = path.ends_with("tests.rs") || path.starts_with(root().join("tests"));
        let lines = text.lines().count();
        assert!(tests || lines <= 500, "{} has {lines} lines: two ideas", path.display());
    }
}

#[test]
fn main_only_hands_over() {
    let main = std::fs::read_to_string(root().join("server/src/main.rs")).unwrap();
    assert!(main.lines().count() <= 40);
}
