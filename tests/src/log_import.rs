//! `colophon log export` and `log import`: the same bytes, whole or nothing, and no trace of a refusal.

use crate::colophon::{Colophon, answer, command, command_on_full_disk, isbn, pipe, run, said, signal};
use crate::log_tools::{files, json, on, refusal, tool};
use flate2::Compression;
use flate2::write::GzEncoder;
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{
    Append, BodyHash, CommandId, Decision, Envelope, EventId, EventLog, NewEvent, Revision, StreamId,
};
use platform::seam::Seam;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A catalogue that was exported: by whom, and where to.
async fn exported() -> (Colophon, PathBuf) {
    let colophon = Colophon::start().await;
    for n in 0..20 {
        let book = colophon.register(&isbn(n)).await;
        colophon.adjust(&book, 5).await;
        colophon.adjust(&book, -1).await;
    }
    let file = colophon.directory.path().join("events.ndjson");
    tool(&colophon.data(), &["log", "export", file.to_str().unwrap()]);
    (colophon, file)
}

#[tokio::test]
async fn an_export_of_an_import_is_the_same_bytes() {
    let (colophon, file) = exported().await;
    let data = colophon.data();
    let name = file.to_str().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 60);
    assert_eq!(tool(&data, &["log", "export", "-"]).as_bytes(), bytes);
    let there = refusal(&data, &["log", "export", name]);
    assert!(there.contains("is there already") && there.contains("--force"), "{there}");
    tool(&data, &["log", "export", name, "--force"]);
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    let directory = colophon.stop();

    let packed = directory.path().join("events.ndjson.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&packed).unwrap(), Compression::fast());
    gzip.write_all(&bytes).unwrap();
    gzip.finish().unwrap();
    for (place, file) in [("plain", &file), ("packed", &packed)] {
        let copy = directory.path().join(place);
        let told = tool(&copy, &["log", "import", file.to_str().unwrap()]);
        assert!(told.contains("imported: 60 events, up to position 60"), "{told}");
        assert_eq!(tool(&copy, &["log", "export", "-"]).as_bytes(), bytes, "{place}");
        let refused = refusal(&copy, &["log", "import", name]);
        assert!(refused.contains("has events up to position 60"), "{refused}");
    }
    let piped = directory.path().join("piped");
    let mut import = command(&["log", "import", "-", "--data-dir", piped.to_str().unwrap()]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(import.wait().unwrap().success());
    assert_eq!(tool(&piped, &["log", "export", "-"]).as_bytes(), bytes);
}

#[tokio::test]
async fn a_log_is_imported_out_of_a_pipe_and_with_blank_lines_behind_it() {
    let (colophon, file) = exported().await;
    let directory = colophon.stop();
    let bytes = std::fs::read(&file).unwrap();
    let (named, data) = (directory.path().join("pipe"), directory.path().join("piped"));
    pipe(&named);
    let arguments = ["log", "import", named.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let importing = command(&arguments).stdout(Stdio::null()).spawn().unwrap();
    std::fs::write(&named, [&bytes[..], b"\n\r\n  \n"].concat()).unwrap();
    let imported = importing.wait_with_output().unwrap();
    assert!(imported.status.success(), "{}", said(&imported));
    assert_eq!(tool(&data, &["log", "export", "-"]).as_bytes(), bytes);
}

#[tokio::test]
async fn after_an_orderly_end_all_events_are_in_the_log_s_file() {
    let (colophon, file) = exported().await;
    let directory = colophon.stop();
    let imported = directory.path().join("imported");
    tool(&imported, &["log", "import", file.to_str().unwrap()]);
    for data in [directory.path().join("data"), imported] {
        assert!(!data.join("log.sqlite-wal").exists(), "{}", data.display());
        let alone = tempfile::tempdir().unwrap();
        std::fs::copy(data.join("log.sqlite"), alone.path().join("log.sqlite")).unwrap();
        assert!(tool(alone.path(), &["log", "stats"]).contains("last position:  60"), "{}", data.display());
    }
}

#[tokio::test]
async fn only_regular_files_are_written_over() {
    let (colophon, file) = exported().await;
    let directory = colophon.stop();
    let (data, bytes) = (directory.path().join("data"), std::fs::read(&file).unwrap());
    let table = crate::colophon::write(directory.path(), "stock.csv", format!("isbn,on_hand\n{},3\nbad,1\n", isbn(1)));
    let place = |name: &str| directory.path().join(name);
    pipe(&place("pipe"));
    for (link, target) in [("to-pipe", "pipe"), ("to-nothing", "nothing"), ("to-file", "file")] {
        std::os::unix::fs::symlink(place(target), place(link)).unwrap();
    }
    let write = |arguments: &[&str]| run(&[arguments, &["--data-dir", data.to_str().unwrap()]].concat());
    let export = |place: &Path| write(&["log", "export", place.to_str().unwrap(), "--force"]);
    let import = |place: &Path| write(&["import", "stock", &table, "--refused", place.to_str().unwrap()]);
    let is_pipe = |name: &str| std::fs::symlink_metadata(place(name)).unwrap().file_type().is_fifo();
    for write in [&export as &dyn Fn(&Path) -> Output, &import] {
        for (name, says) in
            [("pipe", "is a device, a pipe"), ("to-pipe", "is a device, a pipe"), ("to-nothing", "leads nowhere")]
        {
            let refused = write(&place(name));
            let error = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(refused.status.code() == Some(1) && error.contains(says), "{name}: {}", said(&refused));
            assert!(is_pipe("pipe") && !place("nothing").exists(), "{name}");
        }
        std::fs::write(place("file"), "as it was").unwrap();
        let written = write(&place("to-file"));
        assert!(written.status.success() && place("to-file").is_symlink(), "{}", said(&written));
        assert_ne!(std::fs::read(place("file")).unwrap(), b"as it was");
    }
    assert!(export(&place("file")).status.success());
    assert!(std::fs::read(place("file")).unwrap().starts_with(&bytes));
}

/// What is wrong with a file, and what is said of it.
fn broken(lines: &[&str]) -> Vec<(String, Vec<&'static str>)> {
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let with = |place: usize, line: &str| {
        let mut lines = lines.to_vec();
        lines[place - 1] = line;
        joined(&lines)
    };
    let without = |place: usize| {
        let mut lines = lines.to_vec();
        lines.remove(place - 1);
        joined(&lines)
    };
    let mut swapped = lines.to_vec();
    swapped.swap(10, 11);
    let mut doubled = lines.to_vec();
    doubled.insert(5, lines[4]);
    vec![
        (String::new(), vec!["holds no event"]),
        ("nonsense\n".to_owned(), vec!["line 1: expected an event"]),
        (with(7, ""), vec!["line 7: expected an event"]),
        (with(7, "{}"), vec!["line 7: expected an event", "missing field"]),
        (
            with(7, &lines[6].replace("A title", "B title")),
            vec!["line 7", "position 7", "stream ", "expected checksum", "found"],
        ),
        (with(8, &lines[7].replace("\"revision\":1", "\"revision\":2")), vec!["line 8", "expected checksum"]),
        (with(9, &lines[8][..lines[8].len() - 40]), vec!["line 9: expected an event"]),
        (without(1), vec!["line 1", "position 1", "the next one at position 2"]),
        (without(30), vec!["line 30", "position 30", "the next one at position 31"]),
        (joined(&swapped), vec!["line 11", "position 11"]),
        (joined(&doubled), vec!["line 6", "position 6", "the next one at position 5"]),
        (joined(lines) + "[", vec!["line 61: expected an event"]),
        (joined(lines) + "\n \n[", vec!["line 61: expected an event, found a blank line"]),
    ]
}

#[tokio::test]
async fn a_refused_import_names_the_line_and_leaves_no_trace() {
    let (colophon, file) = exported().await;
    let directory = colophon.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (absent, empty) = (directory.path().join("absent"), directory.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.tex"), "x").unwrap();
    let bad = directory.path().join("bad.ndjson");
    for (text, says) in broken(&lines) {
        std::fs::write(&bad, &text).unwrap();
        for data in [&absent, &empty] {
            let before = files(data);
            let error = refusal(data, &["log", "import", bad.to_str().unwrap()]);
            assert!(says.iter().all(|part| error.contains(part)), "{says:?}: {error}");
            assert!(!error.contains("column"), "the line is named once: {error}");
            assert_eq!(files(data), before);
        }
        assert!(!absent.exists());
    }
    for (name, says) in [("missing.ndjson", "cannot be read"), ("empty", "it is a directory")] {
        let name = directory.path().join(name);
        assert!(refusal(&absent, &["log", "import", name.to_str().unwrap()]).contains(says));
        assert!(!absent.exists());
    }
    let name = file.to_str().unwrap();
    assert!(refusal(&foreign, &["log", "import", name]).contains("not a data directory"));
    assert_eq!(files(&foreign).len(), 1);
    let data = directory.path().join("data");
    let before = files(&data);
    assert!(refusal(&data, &["log", "import", name]).contains("has events up to position 60"));
    assert_eq!(files(&data), before, "a log with events is not touched, nor is what lies beside it");
}

#[tokio::test]
async fn an_import_beside_a_server_is_read_and_written_on() {
    let (source, file) = exported().await;
    let name = file.to_str().unwrap().to_owned();
    let books = source.get("/v1/books?limit=100").await;
    let id = books.json()["items"][3]["id"].as_str().unwrap().to_owned();
    let stock = source.get_at(&format!("/v1/stock/{id}"), 60).await.body;
    let _directory = source.stop();

    let colophon = Colophon::start().await;
    // What the server has looked for in vain is there after the import.
    assert_eq!(colophon.get(&format!("/v1/books/{id}")).await.status, 404);
    assert_eq!(colophon.adjust(&id, 1).await.status, 404);
    let patch = colophon.manager(Method::PATCH, &format!("/v1/books/{id}")).header("If-Match", "\"1\"");
    assert_eq!(answer(patch.json(&json!({"title": "New"}))).await.status, 404);
    let told = tool(&colophon.data(), &["log", "import", &name]);
    assert!(told.contains("imported: 60 events"), "{told}");

    assert_eq!(colophon.get_at("/v1/books?limit=100", 60).await.body, books.body);
    assert_eq!(colophon.get_at(&format!("/v1/stock/{id}"), 60).await.body, stock);
    let adjusted = colophon.adjust(&id, 1).await;
    assert_eq!(
        (adjusted.status, adjusted.position(), &adjusted.json()["revision"]),
        (200, 61, &json!(3)),
        "{adjusted:?}"
    );
    let patch = colophon.manager(Method::PATCH, &format!("/v1/books/{id}")).header("If-Match", "\"1\"");
    assert_eq!(answer(patch.json(&json!({"title": "New"}))).await.status, 200);
    let taken = colophon.post("/v1/books", &crate::colophon::book(&isbn(3))).await;
    assert_eq!(taken.problem().0, 409);
    let refused = refusal(&colophon.data(), &["log", "import", &name]);
    assert!(refused.contains("has events up to position 62"), "{refused}");
    assert!(tool(&colophon.data(), &["log", "verify"]).contains("as it was written"));
    let directory = colophon.stop();
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    assert_eq!(colophon.get_at(&format!("/v1/books/{id}"), 62).await.json()["title"], "New");
    colophon.stop();
}

/// A file of so many events, which a log outside of any data directory brought forth.
async fn large(directory: &TempDir, events: u32) -> PathBuf {
    let seam = Seam::system();
    let data = directory.path().join("source");
    std::fs::create_dir(&data).unwrap();
    let log = SqliteLog::open(&data.join("log.sqlite"), &seam).await.unwrap();
    let one = |n: u32| {
        let command_id = CommandId(seam.uuid());
        let envelope = Envelope {
            id: EventId::of(command_id, 0),
            command_id,
            body_hash: BodyHash([7; 32]),
            event_type: "Happened".to_owned(),
            version: 1,
            recorded_at: seam.clock.now(),
            traceparent: String::new(),
        };
        let data = format!("{{\"text\":\"{}\"}}", "x".repeat(400)).into();
        let decisions = vec![Decision { command_id, events: vec![NewEvent { envelope, data }] }];
        Append { stream: StreamId::new(&format!("some-{n}")), expected: Revision(0), decisions }
    };
    for start in (0..events).step_by(1_000) {
        log.append((start..start + 1_000).map(one).collect()).await.unwrap();
    }
    let file = directory.path().join("large.ndjson");
    tool(&data, &["log", "export", file.to_str().unwrap()]);
    file
}

fn wal_bytes(data: &Path) -> u64 {
    std::fs::metadata(data.join("log.sqlite-wal")).map_or(0, |file| file.len())
}

#[tokio::test]
async fn an_import_that_is_killed_leaves_an_empty_log() {
    let directory = tempfile::tempdir().unwrap();
    let file = large(&directory, 60_000).await;
    let data = directory.path().join("data");
    let arguments = ["log", "import", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    for _ in 0..2 {
        let mut importing = command(&arguments).stdout(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        // Past what the writer keeps in memory, so that a part of the transaction is in the file.
        while wal_bytes(&data) < 4 << 20 {
            assert!(begun.elapsed() < Duration::from_secs(60) && importing.try_wait().unwrap().is_none());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        importing.kill().unwrap();
        importing.wait().unwrap();
        let stats = json(&tool(&data, &["log", "stats", "--json"])).remove(0);
        assert_eq!(stats["events"], Value::from(0));
    }
    // Where there is no room, it is that which is told.
    let full = command_on_full_disk(8_192, &arguments).output().unwrap();
    let error = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(full.status.code() == Some(1) && error.contains("full or read-only"), "{}", said(&full));
    let told = on(&data, &arguments[..3]);
    assert!(told.status.success(), "{}", said(&told));
    assert!(std::fs::read(&file).unwrap() == tool(&data, &["log", "export", "-"]).into_bytes());
}

/// What is hidden in a directory.
fn hidden(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[tokio::test]
async fn a_tool_that_is_interrupted_removes_what_is_unfinished() {
    let directory = tempfile::tempdir().unwrap();
    large(&directory, 20_000).await;
    let data = directory.path().join("source");
    std::fs::write(data.join("format"), "1\n").unwrap();
    let (out, named) = (directory.path().join("out"), directory.path().join("pipe"));
    std::fs::create_dir(&out).unwrap();
    pipe(&named);
    for (tool, sent, status) in [("export", "-INT", 130), ("export", "-TERM", 143), ("backup", "-INT", 130)] {
        let arguments = if tool == "export" { vec!["log", "export", "events"] } else { vec!["backup", "copy"] };
        let mut working = command(&arguments);
        let mut working = working.arg("--data-dir").arg(&data).current_dir(&out).spawn().unwrap();
        let begun = Instant::now();
        while hidden(&out).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60) && working.try_wait().unwrap().is_none());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        signal(&working, sent);
        assert_eq!(working.wait().unwrap().code(), Some(status), "{tool}");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "{tool}: {:?}", hidden(&out));
    }
    // Also one that waits for what does not come.
    let waiting = ["log", "import", named.to_str().unwrap(), "--data-dir", out.to_str().unwrap()];
    let mut waiting = command(&waiting).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal(&waiting, "-TERM");
    assert_eq!(waiting.wait().unwrap().code(), Some(143));
}
