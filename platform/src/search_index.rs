//! The search index: a view's rows as documents in tantivy, and how far they have come in the same commit.
//!
//! A commit costs as much for one row as for a thousand, so rows wait for each other: up to half a second, or until
//! somebody waits for them. Nothing is lost by a crash: what was not committed is read from the log again.

mod alternatives;
mod analysis;
mod collect;
mod frozen;
mod generations;
mod highlight;
mod layout;
mod pending;
mod plan;
mod question;
mod search;
mod suggest;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use collect::{Counts, Order};
pub use generations::SearchIndexes;
pub use layout::{Described, Kind, Layout};
pub use question::TEXT_CHARS;
pub use search::{Asked, Filter, Found, Hit, Place, Request};

use crate::bus::{Checkpoint, Tally};
use crate::event_log::{LogId, Position};
use crate::view_store::{self, Change, Key, SetAside, Source, StoreError, ViewStore};
use futures_util::future::{BoxFuture, FutureExt};
use layout::Fields;
use pending::{Commit, Pending};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::query::TermQuery;
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::store::Compressor;
use tantivy::{
    DocAddress, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, TantivyError,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Memory for documents that are being indexed.
const WRITER_BYTES: usize = 20 << 20;

/// Segments of up to so many documents are of one size: what commits of a busy shop add.
const SMALL_DOCUMENTS: u32 = 100;

/// How much bigger the next size is, in powers of two: as many times as there are segments in a merge.
const SIZE_STEP_LOG2: f64 = 3.0;

/// From which share of documents that are replaced or deleted a segment is written anew.
const DEAD_RATIO: f32 = 0.5;

/// How long an index that cannot be written rests before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The index: one generation of a view.
pub struct SearchIndex {
    /// Whether it is the one that is searched.
    live: AtomicBool,
    layout: &'static Layout,
    fields: Fields,
    index: Index,
    reader: IndexReader,
    log: LogId,
    /// None after a failure: the next commit opens another one. While it is held, no files are written, and searches see
    /// nothing else.
    writer: Arc<tokio::sync::Mutex<Option<IndexWriter>>>,
    pending: Mutex<Pending>,
    /// Told when there may be something to commit.
    news: Notify,
    /// What searches see.
    snapshot: watch::Sender<Snapshot>,
}

/// The documents of one commit, and how far they are.
#[derive(Clone)]
struct Snapshot {
    searcher: Searcher,
    checkpoints: Vec<Checkpoint>,
    /// Why nothing newer could be committed.
    failure: Option<String>,
}

/// What a commit says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    log: Uuid,
    shape: String,
    checkpoints: BTreeMap<u16, Mark>,
    set_aside: SetAside,
}

/// How far a partition is.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    position: u64,
    events: u64,
    digest: u64,
    amended: u64,
}

impl Payload {
    fn checkpoints(&self, view: &str) -> Vec<Checkpoint> {
        let checkpoint = |(partition, mark): (&u16, &Mark)| Checkpoint {
            position: Position(mark.position),
            tally: Tally { events: mark.events, digest: mark.digest },
            amended: mark.amended,
            ..Checkpoint::start(LogId(self.log), view.to_owned(), *partition)
        };
        self.checkpoints.iter().map(checkpoint).collect()
    }
}

impl SearchIndex {
    /// Opens the index in a directory of its own.
    ///
    /// An index that does not fit (another log, another layout, ahead of the log) begins anew, and so does a damaged one.
    pub fn open(path: &Path, layout: &'static Layout, source: Source) -> Result<Self, StoreError> {
        match Self::go_on(path, layout, source) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "the search index is damaged and is built anew from the log");
            }
        }
        Self::create(path, layout, source, SetAside::default())
    }

    /// Makes a new index in a directory, whatever is there.
    fn create(path: &Path, layout: &'static Layout, source: Source, set_aside: SetAside) -> Result<Self, StoreError> {
        begin_anew(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        let (schema, fields) = layout.schema();
        // Rows are small, and read one by one: what compression saves, it costs with every hit.
        let settings = IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let directory = MmapDirectory::open(path).map_err(TantivyError::from)?;
        let index = Index::create(directory, schema, settings)?;
        let start = |partition| Checkpoint::start(source.log, layout.name.to_owned(), partition);
        let checkpoints = (0..source.partitions).map(start).collect();
        Self::with(index, layout, fields, source.log, Pending::new(checkpoints, set_aside))
    }

    /// The index as it was left, if it can go on.
    fn go_on(path: &Path, layout: &'static Layout, source: Source) -> Result<Option<Self>, StoreError> {
        if !path.join("meta.json").exists() {
            return Ok(None);
        }
        let index = Index::open_in_dir(path)?;
        let Some(payload) = index.load_metas()?.payload else { return Ok(None) };
        let payload: Payload = serde_json::from_str(&payload)?;
        let furthest = payload.checkpoints.values().map(|mark| mark.position).max().unwrap_or(0);
        let fits = payload.log == source.log.0
            && payload.shape == layout.shape()
            && payload.checkpoints.keys().copied().eq(0..source.partitions)
            && furthest <= source.head.0;
        if !fits {
            tracing::warn!(view = layout.name, "the search index is of another log or layout, and is built anew");
            return Ok(None);
        }
        if let Some(file) = index.validate_checksum()?.into_iter().next() {
            return Err(TantivyError::SystemError(format!("{} is not as it was written", file.display())).into());
        }
        let (_, fields) = layout.schema();
        let pending = Pending::new(payload.checkpoints(layout.name), payload.set_aside);
        Self::with(index, layout, fields, source.log, pending).map(Some)
    }

    fn with(
        index: Index,
        layout: &'static Layout,
        fields: Fields,
        log: LogId,
        pending: Pending,
    ) -> Result<Self, StoreError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let snapshot = Snapshot { searcher: reader.searcher(), checkpoints: pending.checkpoints(), failure: None };
        Ok(Self {
            live: AtomicBool::new(true),
            layout,
            fields,
            index,
            reader,
            log,
            writer: Arc::default(),
            pending: Mutex::new(pending),
            news: Notify::new(),
            snapshot: watch::Sender::new(snapshot),
        })
    }

    /// The view's name.
    pub fn name(&self) -> &'static str {
        self.layout.name
    }

    /// How far searches are.
    pub fn position(&self) -> Position {
        self.snapshot.borrow().position()
    }

    /// Returns once searches are as far as `position`; as soon as the events are there, they are committed for it.
    pub async fn wait_for(&self, position: Position) -> Position {
        let mut snapshots = self.snapshot.subscribe();
        let _waiting = Waiting::at(self, position);
        self.news.notify_one();
        let reached = snapshots.wait_for(|snapshot| snapshot.position() >= position).await;
        reached.expect("the index, which is borrowed, holds the sender").position()
    }

    /// Commits what is to be committed, until it is stopped, and once more then.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        // The dictionary takes a tenth of a second to read: that should not be the first search's.
        let preparing = tokio::task::spawn_blocking(analysis::prepare);
        loop {
            let due = self.pending().due(self.position());
            let now = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.news.notified() => {}
                () = now => {
                    if let Err(error) = self.commit().await {
                        tracing::error!(%error, "the search index cannot be written; trying again in a second");
                        metrics::counter!("search_commit_failures_total").increment(1);
                        stop.run_until_cancelled(tokio::time::sleep(RETRY_AFTER)).await;
                    }
                }
            }
        }
        if let Err(error) = self.commit().await {
            tracing::warn!(%error, "the search index does not keep its last events; it reads them again");
        }
        let _ = preparing.await;
        self.close();
    }

    /// There will be no commit any more: whoever waits for room would wait for ever.
    fn close(&self) {
        self.pending().close();
        self.snapshot.send_modify(|_| {});
    }

    /// Commits all that is pending. Only [`Self::keep`] calls it, so that there is one commit at a time.
    async fn commit(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let Some(commit) = self.pending().begin() else { return Ok(()) };
        let began_at = Instant::now();
        let (index, of) = (Arc::clone(self), commit.clone());
        match beside(move || Ok((index.write_out(&mut writer, &of)?, writer))).await {
            // The writer is held until searches see what it wrote.
            Ok((searcher, _writer)) => {
                self.snapshot.send_replace(Snapshot { searcher, checkpoints: commit.checkpoints, failure: None });
                self.pending().end(began_at);
                metrics::counter!("search_commits_total").increment(1);
                Ok(())
            }
            Err(error) => {
                self.pending().take_back();
                self.snapshot.send_modify(|snapshot| snapshot.failure = Some(error.to_string()));
                Err(error)
            }
        }
    }

    /// Writes documents and checkpoints in one commit, and opens it to searches.
    fn write_out(&self, slot: &mut Option<IndexWriter>, commit: &Commit) -> Result<Searcher, StoreError> {
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => self.open_writer()?,
        };
        if let Err(error) = self.write_with(&mut writer, commit) {
            // Its merges write files of the directory, in which another writer begins, or which is removed.
            let _ = writer.wait_merging_threads();
            return Err(error);
        }
        *slot = Some(writer);
        self.reader.reload()?;
        Ok(self.reader.searcher())
    }

    fn open_writer(&self) -> Result<IndexWriter, StoreError> {
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(WRITER_BYTES)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        let writer = self.index.writer_with_options(options)?;
        // By default all segments of up to 10,000 documents are of one size: of a shop with so many books, all would be
        // written anew at every eighth commit, of which there are two a second.
        let mut merges = LogMergePolicy::default();
        merges.set_min_layer_size(SMALL_DOCUMENTS);
        merges.set_level_log_size(SIZE_STEP_LOG2);
        merges.set_del_docs_ratio_before_merge(DEAD_RATIO);
        writer.set_merge_policy(Box::new(merges));
        Ok(writer)
    }

    fn write_with(&self, writer: &mut IndexWriter, commit: &Commit) -> Result<(), StoreError> {
        for (key, row) in commit.rows.iter() {
            writer.delete_term(self.fields.key_term(key));
            if let Some(row) = row {
                writer.add_document(self.layout.document(&self.fields, row)?)?;
            }
        }
        let mark = |Checkpoint { partition, position, tally, amended, .. }: &Checkpoint| {
            let (events, digest) = (tally.events, tally.digest);
            (*partition, Mark { position: position.0, events, digest, amended: *amended })
        };
        let payload = Payload {
            log: self.log.0,
            shape: self.layout.shape(),
            checkpoints: commit.checkpoints.iter().map(mark).collect(),
            set_aside: commit.set_aside.clone(),
        };
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(&serde_json::to_string(&payload)?);
        prepared.commit()?;
        Ok(())
    }

    /// Ends what writes its files, which are about to go: a commit or a merge under way would put some back.
    async fn discard(&self) -> Result<(), StoreError> {
        self.close();
        let writer = self.writer.lock().await.take();
        beside(move || Ok(writer.map_or(Ok(()), IndexWriter::wait_merging_threads)?)).await
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("nothing panics while it holds what is pending")
    }
}

impl Snapshot {
    fn position(&self) -> Position {
        view_store::position(&self.checkpoints)
    }

    fn can_be_written(&self) -> Result<(), StoreError> {
        self.failure.clone().map_or(Ok(()), |reason| Err(StoreError::NotWritten(reason)))
    }

    /// The row with a key, as it was committed.
    fn row(&self, fields: &Fields, key: &str) -> Result<Option<Json>, StoreError> {
        let query = TermQuery::new(fields.key_term(key), IndexRecordOption::Basic);
        let found = self.searcher.search(&query, &tantivy::collector::TopDocs::with_limit(1).order_by_score())?;
        found.first().map(|(_, at)| self.row_at(fields, *at)).transpose()
    }

    fn row_at(&self, fields: &Fields, at: DocAddress) -> Result<Json, StoreError> {
        let document: TantivyDocument = self.searcher.doc(at)?;
        let row = document.get_first(fields.row).and_then(|row| row.as_str()).unwrap_or_default();
        Ok(serde_json::from_str(row)?)
    }
}

/// Somebody who waits for a position, as long as this lives.
struct Waiting<'a> {
    index: &'a SearchIndex,
    position: Position,
}

impl<'a> Waiting<'a> {
    fn at(index: &'a SearchIndex, position: Position) -> Self {
        index.pending().waits(position);
        Self { index, position }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.index.pending().waits_no_more(self.position);
    }
}

impl ViewStore for SearchIndex {
    fn is_live(&self) -> bool {
        self.live.load(Ordering::SeqCst)
    }

    fn checkpoints(&self) -> BoxFuture<'_, Result<Vec<Checkpoint>, StoreError>> {
        std::future::ready(Ok(self.pending().checkpoints())).boxed()
    }

    fn set_aside(&self) -> SetAside {
        self.pending().set_aside.clone()
    }

    fn load<'a>(&'a self, keys: &'a [&'a Key]) -> BoxFuture<'a, Result<Vec<Json>, StoreError>> {
        async move {
            let mut rows = Vec::new();
            let mut committed = Vec::new();
            for key in keys.iter().filter_map(|key| key.first().and_then(Json::as_str)) {
                match self.pending().row(key) {
                    Some(row) => rows.extend(row),
                    None => committed.push(key.to_owned()),
                }
            }
            if !committed.is_empty() {
                // After what is pending was looked at: a row that was committed meanwhile is in this snapshot.
                let snapshot = self.snapshot();
                let fields = self.fields.clone();
                let read =
                    move || committed.iter().map(|key| snapshot.row(&fields, key)).collect::<Result<Vec<_>, _>>();
                rows.extend(beside(read).await?.into_iter().flatten());
            }
            Ok(rows)
        }
        .boxed()
    }

    fn write<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<bool, StoreError>> {
        async move {
            // Rows that nobody commits must not fill the memory.
            let mut commits = self.snapshot.subscribe();
            while self.pending().is_full() {
                self.news.notify_one();
                commits.changed().await.expect("the index, which is borrowed, holds the sender");
                commits.borrow().can_be_written()?;
            }
            let upserts = change.upserts.iter().map(|row| (self.layout.key_of(row).to_owned(), Some(row.clone())));
            let deletes = change.deletes.iter().filter_map(|key| Some((key.first()?.as_str()?.to_owned(), None)));
            let taken = change.from.log == self.log && self.pending().take(change, upserts.chain(deletes));
            self.news.notify_one();
            Ok(taken)
        }
        .boxed()
    }
}

/// Does what reads or writes files where nobody else waits for it.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(TantivyError::SystemError(panic.to_string()).into()))
}

fn begin_anew(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(path)
}
