//! What a data directory admits, and what it says when it does not.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_directory_is_one_process_s_at_a_time() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/data");
    let held = DataDirectory::open(&path).unwrap();
    let error = DataDirectory::open(&path).unwrap_err().to_string();
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
    drop(held);
    DataDirectory::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let path = tempfile::tempdir().unwrap();
    std::fs::write(path.path().join("thesis.tex"), "x").unwrap();
    let error = DataDirectory::open(path.path()).unwrap_err().to_string();
    assert!(error.contains("is not empty and not a data directory"), "{error}");
    assert_eq!(std::fs::read_dir(path.path()).unwrap().count(), 1);

    let file = path.path().join("thesis.tex");
    let error = DataDirectory::open(&file).unwrap_err().to_string();
    assert!(error.contains("cannot be used"), "{error}");
}

#[test]
fn a_newer_format_is_refused_and_a_broken_one_too() {
    let path = tempfile::tempdir().unwrap();
    drop(DataDirectory::open(path.path()).unwrap());
    std::fs::write(path.path().join("format"), "2\n").unwrap();
    let error = DataDirectory::open(path.path()).unwrap_err().to_string();
    assert!(error.contains("has format 2, this program knows up to 1"), "{error}");
    std::fs::write(path.path().join("format"), "?").unwrap();
    assert!(matches!(DataDirectory::open(path.path()), Err(DataDirectoryError::Foreign { .. })));
}

#[test]
fn a_first_start_that_was_cut_off_is_taken_up() {
    let path = tempfile::tempdir().unwrap();
    std::fs::write(path.path().join("lock"), "4711\n").unwrap();
    std::fs::write(path.path().join(".formatAbc"), "").unwrap();
    DataDirectory::open(path.path()).unwrap();
    assert_eq!(std::fs::read_to_string(path.path().join("format")).unwrap(), "1\n");
}

#[test]
fn a_directory_that_is_being_filled_is_nobody_s_until_it_is_done() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let unfinished = Unfinished::begin(&path).unwrap();
    std::fs::write(unfinished.layout().log(), "half of a log").unwrap();
    let holder = Some(std::process::id());
    for taken in [DataDirectory::open(&path).map(drop), DataDirectory::check(&path)] {
        assert!(matches!(taken, Err(DataDirectoryError::InUse { holder: it, .. }) if it == holder));
    }
    assert_eq!(DataDirectory::holder(&path), holder);
    // As after a crash: neither a data directory, nor a place for a new one.
    drop(unfinished);
    let (opened, checked) = (DataDirectory::open(&path).map(drop), DataDirectory::check(&path));
    for refused in [opened, checked, Unfinished::begin(&path).map(drop)] {
        assert!(matches!(refused, Err(DataDirectoryError::CutOff { .. })));
    }
    std::fs::remove_dir_all(&path).unwrap();
    let directory = Unfinished::begin(&path).unwrap().finish().unwrap();
    assert!(matches!(Unfinished::begin(&path), Err(DataDirectoryError::InUse { holder: Some(_), .. })));
    drop(directory);
    assert!(matches!(Unfinished::begin(&path), Err(DataDirectoryError::NotEmpty { .. })));
    DataDirectory::open(&path).unwrap();
    DataDirectory::check(&path).unwrap();
}

#[test]
fn a_refusal_writes_nothing() {
    let path = tempfile::tempdir().unwrap();
    drop(DataDirectory::open(path.path()).unwrap());
    std::fs::write(path.path().join("format"), "2\n").unwrap();
    std::fs::write(path.path().join("lock"), "as it was").unwrap();
    assert!(DataDirectory::open(path.path()).is_err() && Unfinished::begin(path.path()).is_err());
    assert_eq!(std::fs::read_to_string(path.path().join("lock")).unwrap(), "as it was");
}
