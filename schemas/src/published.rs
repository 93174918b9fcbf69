//! What was published once stays as it is: golden files and JSON Schemas against the list of their digests.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Digest by file, as `sha256sum` writes and checks it.
const LIST: &str = "published.sha256";

/// Where what is published lies.
const DIRECTORIES: [&str; 2] = ["golden", "json-schema"];

type Digests = BTreeMap<String, String>;

fn collect(root: &Path, directory: &Path, found: &mut Digests) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let mut digest = String::new();
            for byte in Sha256::digest(std::fs::read(&path).unwrap()) {
                write!(digest, "{byte:02x}").unwrap();
            }
            found.insert(name, digest);
        }
    }
}

fn published(root: &Path) -> Digests {
    let list = std::fs::read_to_string(root.join(LIST)).unwrap_or_default();
    list.lines().map(|line| line.split_once("  ").unwrap()).map(|(digest, name)| (name.into(), digest.into())).collect()
}

/// Compares the files with the list, and adds to it what is new if that is asked for.
fn check(root: &Path, publish: Publish) -> Result<(), String> {
    let (mut published, mut found) = (published(root), Digests::new());
    DIRECTORIES.iter().for_each(|directory| collect(root, &root.join(directory), &mut found));
    for (name, digest) in &published {
        let wrong = match found.get(name) {
            Some(now) if now == digest => continue,
            Some(_) => "is not as it was published: put it back, and add the next version beside it",
            None => "is gone, and was published: put it back, for somebody has data of that version",
        };
        return Err(format!("{name} {wrong} (see docs/schemas.md)"));
    }
    found.retain(|name, _| !published.contains_key(name));
    if let (Some((name, _)), Publish::Nothing) = (found.first_key_value(), &publish) {
        return Err(format!(
            "{name} is not published yet: once it is as it has to stay for ever, run \
             `PUBLISH=1 cargo test -p schemas published` and commit {LIST} (see docs/schemas.md)"
        ));
    }
    if !found.is_empty() {
        published.append(&mut found);
        let lines: String = published.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        std::fs::write(root.join(LIST), lines).unwrap();
    }
    Ok(())
}

enum Publish {
    Nothing,
    WhatIsNew,
}

#[test]
fn what_is_published_stays_as_it_is() {
    let publish = if std::env::var_os("PUBLISH").is_some() { Publish::WhatIsNew } else { Publish::Nothing };
    check(Path::new(env!("CARGO_MANIFEST_DIR")), publish).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn only_new_files_are_ever_published() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
    let list = || std::fs::read_to_string(root.path().join(LIST)).unwrap_or_default();
    let refusals = |reason: &str| {
        let before = list();
        for publish in [Publish::Nothing, Publish::WhatIsNew] {
            let wrong = check(root.path(), publish).unwrap_err();
            assert!(wrong.contains(reason), "{wrong}");
        }
        assert_eq!(list(), before);
    };
    std::fs::create_dir_all(root.path().join("golden/fold")).unwrap();
    std::fs::create_dir_all(root.path().join("json-schema")).unwrap();
    write("golden/fold/A.v1.json", "a");
    assert!(check(root.path(), Publish::Nothing).unwrap_err().contains("golden/fold/A.v1.json is not published yet"));
    check(root.path(), Publish::WhatIsNew).unwrap();
    write("json-schema/A.v1.json", "b");
    check(root.path(), Publish::WhatIsNew).unwrap();
    check(root.path(), Publish::Nothing).unwrap();
    assert_eq!(
        list(),
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  golden/fold/A.v1.json\n\
         3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  json-schema/A.v1.json\n"
    );
    write("golden/fold/A.v1.json", "c");
    refusals("golden/fold/A.v1.json is not as it was published");
    std::fs::remove_file(root.path().join("golden/fold/A.v1.json")).unwrap();
    refusals("golden/fold/A.v1.json is gone");
}
