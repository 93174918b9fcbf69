//! The example is the defaults, and what is wrong is named.

use super::*;
use std::collections::HashMap;

fn load(toml: &str) -> Result<Settings, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("colophon.toml");
    std::fs::write(&path, toml).unwrap();
    platform::configuration::load_with(Some(&path), HashMap::new()).map_err(|error| error.to_string())
}

#[test]
fn the_example_is_the_defaults() {
    let defaults = Settings { data_dir: Some("colophon-data".into()), ..Settings::default() };
    assert_eq!(load(EXAMPLE), Ok(defaults));
    // The commented key is one, too.
    let all = EXAMPLE.replace("# signing_key_file", "signing_key_file").replace("# webhook_secret", "webhook_secret");
    let all = load(&all).unwrap();
    assert_eq!(all.auth.signing_key_file, Some("/etc/colophon/signing.pem".into()));
    let Some(Hidden(secret)) = &all.payments.webhook_secret else { panic!("no secret") };
    assert!(Secret::parse(secret).is_ok());
    assert!(!format!("{all:?}").contains(secret.as_str()), "secrets are shown nowhere");
}

#[test]
fn a_wrong_key_or_value_is_named() {
    for (toml, named) in [
        ("[server]\nlisten = \"nowhere\"", "`server.listen`"),
        ("[server]\nlisten_on = \"127.0.0.1:1\"", "`server.listen_on`"),
        ("[server]\nconnections = 0", "`server.connections`"),
        ("[servers]\n", "`servers`"),
        ("[logging]\nformat = \"xml\"", "`logging.format`"),
        ("[catalogue]\ncurrency = \"yuan\"", "`catalogue.currency`"),
        ("[queries]\nwait_ms = -1", "`queries.wait_ms`"),
        ("[orders]\nhold_s = 0", "`orders.hold_s`"),
        ("[payments]\nsandbox = \"often\"", "`payments.sandbox`"),
        ("[auth]\npublic_reads = \"perhaps\"", "`auth.public_reads`"),
    ] {
        let error = load(toml).unwrap_err();
        assert!(error.contains(named), "{toml}: {error}");
    }
}
