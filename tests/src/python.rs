//! What is written in Python has tests in Python: the example consumer, and the files that start a deployment.

use crate::architecture::root;
use crate::colophon::said;
use std::ffi::OsString;
use std::process::Command;

/// The interpreter that has the packages of the example consumer; none where no services are to be had either.
pub fn interpreter() -> Option<OsString> {
    let python = std::env::var_os("COLOPHON_TEST_PYTHON");
    let may_lack = std::env::var_os("COLOPHON_TEST_SERVICES").is_none();
    assert!(python.is_some() || may_lack, "COLOPHON_TEST_PYTHON is not set");
    python
}

fn tested(directory: &str) {
    let Some(python) = interpreter() else { return };
    let root = root();
    let output = Command::new(python)
        .args(["-B", "-m", "unittest", "discover"])
        .arg(root.join(directory))
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // It succeeds also where there was no test to be found, or where some were skipped, and says so.
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("\nOK\n") && !told.contains("Ran 0 tests"), "{}", said(&output));
}

#[test]
fn the_example_consumer_passes_its_tests() {
    if std::env::var_os("KAFKA_BROKERS").is_some() {
        tested("examples/consumer");
    }
}

#[test]
fn the_files_that_start_a_deployment_agree() {
    tested("deploy");
}
