//! Real data that lie beside the project, where they do.

use std::path::PathBuf;

/// A file of the real data; tests that need it say so where it is missing, and pass.
pub fn file(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(path);
    if file.exists() {
        return Some(file);
    }
    skipped();
    None
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests should know")]
fn skipped() {
    eprintln!("skipped: no ../shared");
}
