//! Real data that lie beside the project, where they do.

use std::io::Write;
use std::path::PathBuf;

/// A file of the real data; tests that need it say so where it is missing, and pass.
pub fn file(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(path);
    if file.exists() {
        return Some(file);
    }
    // Past the capture of a test's output: whoever runs the tests should see it.
    let _ = writeln!(std::io::stderr(), "skipped: no ../shared");
    None
}
