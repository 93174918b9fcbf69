//! A topic of its own for a test, on the cluster that `KAFKA_BROKERS` names.

use super::Settings;
use crate::seam::Seam;

/// The variable that names the cluster, such as `127.0.0.1:9092`.
const CLUSTER: &str = "KAFKA_BROKERS";

/// The variable that, where it is set, makes a missing cluster a failure: a test that is skipped proves nothing.
const REQUIRED: &str = "COLOPHON_TEST_SERVICES";

/// Settings with a new name for a topic; none where no cluster is named. Topics of tests that are gone are left to
/// whoever ends the cluster.
#[expect(clippy::print_stderr, reason = "who runs the tests is told that this one proves nothing")]
pub(crate) fn settings(partitions: u16) -> Option<Settings> {
    let Ok(brokers) = std::env::var(CLUSTER) else {
        assert!(std::env::var_os(REQUIRED).is_none(), "{CLUSTER} is not set; `make test` sets it");
        eprintln!("skipped: no {CLUSTER}");
        return None;
    };
    let topic = format!("scratch-{}", Seam::system().random_uuid());
    Some(Settings { topic, partitions, ..Settings::new(&brokers) })
}
