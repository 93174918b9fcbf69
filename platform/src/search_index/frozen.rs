//! The rows of an index as one commit left them.

use super::{Fields, SearchIndex, Snapshot, Waiting, beside};
use crate::bus::Checkpoint;
use crate::view_store::{self, Frozen, Key, StoreError};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value as Json;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet, TERMINATED, TantivyError};

/// A commit, to be read row by row.
pub(super) struct FrozenIndex {
    snapshot: Snapshot,
    fields: Fields,
}

impl SearchIndex {
    /// What is taken now, as soon as it is committed, if it can be.
    pub(super) async fn freeze(&self) -> Result<FrozenIndex, StoreError> {
        let taken = self.pending().checkpoints();
        let _waiting = Waiting::at(self, view_store::position(&taken));
        let mut snapshots = self.snapshot.subscribe();
        self.news.notify_one();
        // A stream that was taken up again changes rows without moving the position.
        let reached =
            |at: &Checkpoint, taken: &Checkpoint| at.position >= taken.position && at.amended >= taken.amended;
        let all_reached =
            |snapshot: &Snapshot| snapshot.checkpoints.iter().zip(&taken).all(|(at, taken)| reached(at, taken));
        let committed = snapshots.wait_for(|snapshot| all_reached(snapshot) || snapshot.failure.is_some()).await;
        let snapshot = committed.expect("the index, which is borrowed, holds the sender").clone();
        if !all_reached(&snapshot) {
            snapshot.can_be_written()?;
        }
        Ok(FrozenIndex { snapshot, fields: self.fields.clone() })
    }
}

impl Frozen for FrozenIndex {
    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.snapshot.checkpoints.clone()
    }

    fn rows<'a>(
        &'a mut self,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Json)>, StoreError>> {
        let (snapshot, fields) = (self.snapshot.clone(), self.fields.clone());
        let after = after.and_then(|key| key.first()?.as_str()).map(str::to_owned);
        beside(move || snapshot.rows(&fields, after.as_deref(), limit)).boxed()
    }
}

impl Snapshot {
    /// The rows behind a key, by key.
    fn rows(&self, fields: &Fields, after: Option<&str>, limit: usize) -> Result<Vec<(Key, Json)>, StoreError> {
        let row = |(key, at): (String, DocAddress)| Ok((vec![Json::from(key)], self.row_at(fields, at)?));
        self.places(fields, after, limit)?.into_iter().map(row).collect()
    }

    /// Where the rows behind a key are, by key.
    fn places(
        &self,
        fields: &Fields,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, DocAddress)>, TantivyError> {
        let mut places = Vec::new();
        // Each segment has its keys in order, and a key whose row is no more may still be among them.
        for (segment, reader) in (0..).zip(self.searcher.segment_readers()) {
            let index = reader.inverted_index(fields.key)?;
            // No key is empty.
            let mut keys = index.terms().range().gt(after.unwrap_or_default().as_bytes()).into_stream()?;
            let mut found = 0;
            while found < limit && keys.advance() {
                let mut documents = index.read_postings_from_terminfo(keys.value(), IndexRecordOption::Basic)?;
                let mut document = documents.doc();
                while document != TERMINATED {
                    if !reader.is_deleted(document) {
                        let key = String::from_utf8_lossy(keys.key()).into_owned();
                        places.push((key, DocAddress::new(segment, document)));
                        found += 1;
                    }
                    document = documents.advance();
                }
            }
        }
        places.sort_by(|(one, _), (other, _)| one.cmp(other));
        places.truncate(limit);
        Ok(places)
    }
}
