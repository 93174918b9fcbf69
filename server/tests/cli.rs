//! The command line by itself: what it teaches, and what it says of a configuration.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

fn colophon(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_colophon"));
    command.env_clear().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_names_every_command() {
    let help = text(&colophon(&["--help"]).stdout);
    for word in ["serve", "token", "import", "config", "--data-dir", "--config"] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
    for command in [&["serve"][..], &["token"], &["import", "books"], &["import", "stock"], &["config", "check"]] {
        let help = colophon(&[command, &["--help"]].concat());
        assert!(help.status.success() && text(&help.stdout).contains("--data-dir"), "{command:?}");
    }
}

#[test]
fn the_example_is_a_valid_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("colophon.toml");
    let path = path.to_str().unwrap();
    std::fs::write(path, colophon(&["config", "example"]).stdout).unwrap();
    let checked = colophon(&["config", "check", "--config", path]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[test]
fn a_wrong_configuration_is_named_before_anything_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("colophon.yaml");
    std::fs::write(&path, "server:\n  listen: \"nowhere\"\n").unwrap();
    let data = directory.path().join("data");
    let arguments = ["--config", path.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    for command in [&["serve"][..], &["config", "check"], &["token", "--subject", "me", "--role", "admin"]] {
        let failed = colophon(&[command, &arguments].concat());
        let error = text(&failed.stderr);
        assert!(!failed.status.success() && error.contains("`server.listen`"), "{command:?}: {error}");
        assert!(error.contains("colophon.yaml"), "{error}");
    }
    assert!(!data.exists());

    let mut command = Command::new(env!("CARGO_BIN_EXE_colophon"));
    let failed =
        command.env_clear().env("COLOPHON_QUERIES__WAIT_MS", "soon").args(["config", "check"]).output().unwrap();
    let error = text(&failed.stderr);
    assert!(error.contains("COLOPHON_QUERIES__WAIT_MS") && error.contains("`queries.wait_ms`"), "{error}");

    let failed = colophon(&["config", "check", "--config", "absent.toml"]);
    assert!(!failed.status.success() && text(&failed.stderr).contains("absent.toml cannot be read"));
}

#[test]
fn a_token_has_known_roles_and_a_lifetime() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let token = |arguments: &[&str]| {
        colophon(&[&["token", "--data-dir", data.to_str().unwrap(), "--subject", "me"], arguments].concat())
    };
    let good = token(&["--role", "admin", "--role", "user", "--ttl", "15m"]);
    assert!(good.status.success() && text(&good.stdout).trim().split('.').count() == 3, "{}", text(&good.stderr));
    for (arguments, part) in [
        (&["--role", "root"][..], "admin, manager, user"),
        (&[], "--role"),
        (&["--role", "admin", "--ttl", "soon"], "such as 90s"),
    ] {
        let failed = token(arguments);
        assert!(!failed.status.success() && text(&failed.stderr).contains(part), "{}", text(&failed.stderr));
    }
}
