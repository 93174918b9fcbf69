//! A batch of deliveries, folded into the rows that they touch.

use crate::any_view::owner;
use crate::view::{Fact, Poison, View};
use domain::Event;
use platform::bus::{Delivery, Tally};
use platform::event_log::RecordedEvent;
use platform::view_store::{Key, Parked, SetAside, Skipped, StoreError, ViewStore};
use schemas::stream::Owner;
use schemas::views::Row;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What a batch comes to.
#[derive(Debug, Default)]
pub struct Folded {
    /// Rows that are new or other than before.
    pub upserts: Vec<Value>,
    /// Rows that were there and are no more.
    pub deletes: Vec<Key>,
    /// Streams that cannot go on.
    pub parked: Vec<Parked>,
    /// Events that were for the view, those that it has set aside too.
    pub tally: Tally,
}

/// Loads the rows that the deliveries touch, and folds. Events that are set aside are left alone.
pub(crate) async fn fold<V: View>(
    deliveries: &[&Delivery],
    set_aside: &SetAside,
    store: &dyn ViewStore,
) -> Result<Folded, StoreError> {
    let mut batch = Batch::<V> { rows: HashMap::new(), parked: HashMap::new(), tally: Tally::default() };
    let mut taken = Vec::new();
    for delivery in deliveries {
        let Some(recorded) = &delivery.event else { continue };
        let Some(owner) = owner::<V>(recorded) else { continue };
        let stream = recorded.stream.as_str();
        let aside = set_aside.parked.contains_key(stream) || batch.parked.contains_key(stream);
        if aside || set_aside.skips(stream, recorded.revision) {
            batch.tally.add(recorded);
            continue;
        }
        let envelope = &recorded.envelope;
        match schemas::events::decode(&envelope.event_type, envelope.version, &recorded.data) {
            Ok(event) => {
                let skipped = set_aside.skipped.get(stream).map_or(&[][..], Vec::as_slice);
                taken.push(Taken::by::<V>(owner, event, recorded, delivery.partition, skipped));
            }
            Err(error) => {
                batch.tally.add(recorded);
                batch.park(recorded, delivery.partition, error.to_string());
            }
        }
    }
    batch.load(&taken, store).await?;
    for taken in &taken {
        batch.tally.add(taken.recorded);
        // An event that could not be read has parked its stream already: those ahead of it still count.
        let parked = batch.parked.get(taken.recorded.stream.as_str());
        if parked.is_some_and(|parked| parked.revision < taken.recorded.revision.0) {
            continue;
        }
        if let Err(Poison(reason)) = batch.take(taken) {
            batch.park(taken.recorded, taken.partition, reason);
        }
    }
    batch.folded()
}

/// Rows as they were and as they are after the batch.
struct Batch<V: View> {
    rows: HashMap<Key, Changed<V::Row>>,
    /// Streams that cannot go on, by name.
    parked: HashMap<String, Parked>,
    tally: Tally,
}

struct Changed<R> {
    before: Option<R>,
    after: Option<R>,
}

/// An event that a view takes, and the rows that it touches.
struct Taken<'a> {
    owner: Owner,
    event: Event,
    recorded: &'a RecordedEvent,
    partition: u16,
    skipped: &'a [Skipped],
    keys: Vec<Key>,
}

impl<'a> Taken<'a> {
    fn by<V: View>(
        owner: Owner,
        event: Event,
        recorded: &'a RecordedEvent,
        partition: u16,
        skipped: &'a [Skipped],
    ) -> Self {
        let keys = V::keys(&Fact { owner: &owner, event: &event, recorded, partition, skipped });
        Self { owner, event, recorded, partition, skipped, keys }
    }

    fn fact(&self) -> Fact<'_> {
        let Self { owner, event, recorded, partition, skipped, .. } = self;
        Fact { owner, event, recorded, partition: *partition, skipped }
    }
}

impl<V: View> Batch<V> {
    /// Sets a stream aside from this event on.
    fn park(&mut self, recorded: &RecordedEvent, partition: u16, reason: String) {
        let (stream, revision, position) = (recorded.stream.to_string(), recorded.revision.0, recorded.position.0);
        self.parked.insert(stream.clone(), Parked { stream, partition, revision, position, reason });
    }

    async fn load(&mut self, taken: &[Taken<'_>], store: &dyn ViewStore) -> Result<(), StoreError> {
        let keys: HashSet<&Key> = taken.iter().flat_map(|taken| &taken.keys).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for values in store.load(&keys.into_iter().collect::<Vec<_>>()).await? {
            let key = V::Row::KEY.iter().map(|field| values[*field].clone()).collect();
            let row: V::Row = serde_json::from_value(values)?;
            self.rows.insert(key, Changed { before: Some(row.clone()), after: Some(row) });
        }
        Ok(())
    }

    /// Folds one event into all its rows, or into none.
    fn take(&mut self, taken: &Taken<'_>) -> Result<(), Poison> {
        let fact = taken.fact();
        let evolved = |key: &Key| {
            let row = self.rows.get(key).and_then(|changed| changed.after.clone());
            V::evolve(row, key, &fact)
        };
        let evolved: Vec<_> = taken.keys.iter().map(evolved).collect::<Result<_, _>>()?;
        for (key, after) in taken.keys.iter().zip(evolved) {
            self.rows.entry(key.clone()).or_insert(Changed { before: None, after: None }).after = after;
        }
        Ok(())
    }

    fn folded(self) -> Result<Folded, StoreError> {
        let mut folded = Folded { parked: self.parked.into_values().collect(), tally: self.tally, ..Folded::default() };
        for (key, Changed { before, after }) in self.rows {
            match after {
                Some(row) if before.as_ref() != Some(&row) => folded.upserts.push(serde_json::to_value(row)?),
                None if before.is_some() => folded.deletes.push(key),
                _ => {}
            }
        }
        Ok(folded)
    }
}
