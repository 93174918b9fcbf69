//! Each way a configuration can be wrong is told with the key, its place and what was expected.

use super::{ConfigurationError, load_with};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt::Write;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Shop {
    http: Http,
    payments: Payments,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Http {
    listen: String,
    requests_max: u16,
    public_reads: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned(), requests_max: 256, public_reads: true }
    }
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Payments {
    webhook_secret: Option<String>,
    account: Option<Account>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Account {
    number: u64,
}

fn read(name: &str, text: &str, environment: &[(&str, &str)]) -> Result<Shop, ConfigurationError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    load_with(Some(&path), variables(environment))
}

fn variables(environment: &[(&str, &str)]) -> HashMap<String, String> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The message, and nothing in it that could be a secret.
fn refusal(name: &str, text: &str, environment: &[(&str, &str)]) -> String {
    let message = read(name, text, environment).unwrap_err().to_string();
    assert!(!message.contains("hunter2"), "{message}");
    message
}

fn says(message: &str, parts: &[&str]) {
    let mut missing = String::new();
    for part in parts.iter().filter(|part| !message.contains(**part)) {
        write!(missing, " `{part}`").unwrap();
    }
    assert!(missing.is_empty(), "{message}\nlacks{missing}");
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    assert_eq!(load_with::<Shop>(None, HashMap::new()).unwrap(), Shop::default());
    let toml = "[http]\nrequests_max = 7\nlisten = \"[::1]:1\"\n";
    let yaml = "http:\n  requests_max: 7\n  listen: '[::1]:1'\n";
    for (name, text) in [("shop.toml", toml), ("shop.yaml", yaml), ("shop.yml", yaml)] {
        let environment =
            [("COLOPHON_HTTP__REQUESTS_MAX", "9"), ("COLOPHON_HTTP__PUBLIC_READS", "false"), ("HTTP", "x")];
        let shop = read(name, text, &environment).unwrap();
        assert_eq!(shop.http, Http { listen: "[::1]:1".to_owned(), requests_max: 9, public_reads: false });
    }
    assert_eq!(read("empty.toml", "", &[]).unwrap(), Shop::default());
    assert_eq!(read("empty.yaml", "", &[]).unwrap(), Shop::default());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let absent = load_with::<Shop>(Some("/nowhere/shop.toml".as_ref()), HashMap::new()).unwrap_err();
    says(&absent.to_string(), &["/nowhere/shop.toml", "No such file"]);
    says(&refusal("shop.ini", "", &[]), &["shop.ini", ".toml", ".yaml"]);
    says(&refusal("shop", "", &[]), &[".toml"]);
}

#[test]
fn a_syntax_error_is_told_by_its_line_and_not_quoted() {
    says(&refusal("shop.toml", "[http]\nlisten = \"hunter2\" x\n", &[]), &["shop.toml", "line 2"]);
    says(&refusal("shop.toml", "[http]\na = 1\na = 2\n", &[]), &["shop.toml", "duplicate"]);
    says(&refusal("shop.yaml", "http:\n  listen: [hunter2\n", &[]), &["shop.yaml", "line"]);
    says(&refusal("shop.yaml", "- a list\n", &[]), &["shop.yaml"]);
}

#[test]
fn an_unknown_key_is_named_with_its_section_and_its_place() {
    says(
        &refusal("shop.toml", "[http]\nlisten_on = \"hunter2\"\n", &[]),
        &["shop.toml", "`http.listen_on`", "`listen`"],
    );
    says(&refusal("shop.yaml", "htp: {}\n", &[]), &["shop.yaml", "`htp`", "`http`"]);
    says(
        &refusal("shop.toml", "", &[("COLOPHON_HTTP__PORT", "hunter2")]),
        &["environment variable COLOPHON_HTTP__PORT", "`http.port`", "`listen`"],
    );
}

#[test]
fn a_value_of_another_kind_is_told_with_what_was_expected() {
    says(
        &refusal("shop.toml", "[http]\nrequests_max = \"hunter2\"\n", &[]),
        &["shop.toml", "`http.requests_max`", "integer", "string"],
    );
    says(&refusal("shop.yaml", "http:\n  requests_max: 65536\n", &[]), &["`http.requests_max`", "16"]);
    says(&refusal("shop.yaml", "http:\n  requests_max: -1\n", &[]), &["`http.requests_max`", "unsigned"]);
    says(&refusal("shop.toml", "[http]\npublic_reads = \"hunter2\"\n", &[]), &["`http.public_reads`", "boolean"]);
    says(&refusal("shop.toml", "http = \"hunter2\"\n", &[]), &["`http`", "struct Http"]);
    says(
        &refusal("shop.toml", "[payments]\nwebhook_secret = [\"hunter2\"]\n", &[]),
        &["`payments.webhook_secret`", "string"],
    );
    says(
        &refusal("shop.toml", "", &[("COLOPHON_HTTP__REQUESTS_MAX", "hunter2")]),
        &["environment variable COLOPHON_HTTP__REQUESTS_MAX", "`http.requests_max`", "integer"],
    );
}

#[test]
fn a_missing_key_is_named() {
    says(&refusal("shop.toml", "[payments.account]\n", &[]), &["shop.toml", "`payments.account.number`", "missing"]);
}
