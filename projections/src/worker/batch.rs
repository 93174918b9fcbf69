//! A batch of deliveries, folded into the rows that they touch.

use crate::view::{Fact, Poison, View};
use domain::Event;
use platform::bus::Delivery;
use platform::event_log::RecordedEvent;
use platform::read_store::{Key, Parked, ReadStore, StoreError};
use schemas::stream::Owner;
use schemas::views::Row;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Rows as they were and as they are after the batch.
pub(super) struct Batch<V: View> {
    rows: HashMap<Key, Changed<V::Row>>,
    /// Streams that cannot go on.
    pub(super) parked: Vec<Parked>,
}

struct Changed<R> {
    before: Option<R>,
    after: Option<R>,
}

/// An event that a view takes.
struct Taken<'a> {
    owner: Owner,
    event: Event,
    recorded: &'a RecordedEvent,
    partition: u16,
}

impl Taken<'_> {
    fn fact(&self) -> Fact<'_> {
        Fact { owner: &self.owner, event: &self.event, recorded: self.recorded, partition: self.partition }
    }
}

impl<V: View> Batch<V> {
    /// Loads the rows that the deliveries touch, and folds. Events of streams that are parked are left aside.
    pub(super) async fn fold(
        deliveries: &[&Delivery],
        parked: &HashSet<String>,
        store: &ReadStore,
    ) -> Result<Self, StoreError> {
        let mut batch = Self { rows: HashMap::new(), parked: Vec::new() };
        let mut aside = parked.clone();
        let mut taken = Vec::new();
        for delivery in deliveries {
            let Some(recorded) = &delivery.event else { continue };
            let Some(owner) = schemas::stream::parse(recorded.stream.as_str()).filter(V::takes) else { continue };
            let envelope = &recorded.envelope;
            if aside.contains(recorded.stream.as_str()) {
                continue;
            }
            match schemas::events::decode(&envelope.event_type, envelope.version, &recorded.data) {
                Ok(event) => taken.push(Taken { owner, event, recorded, partition: delivery.partition }),
                Err(error) => batch.park(recorded, error.to_string(), &mut aside),
            }
        }
        batch.load(&taken, store).await?;
        // An event that could not be read parked its stream before the ones ahead of it are folded: those still count.
        for taken in &taken {
            let stream = taken.recorded.stream.as_str();
            let behind =
                batch.parked.iter().any(|parked| parked.stream == stream && parked.position < taken.recorded.position);
            if behind {
                continue;
            }
            if let Err(Poison(reason)) = batch.take(&taken.fact()) {
                batch.parked.retain(|parked| parked.stream != stream);
                batch.park(taken.recorded, reason, &mut aside);
            }
        }
        Ok(batch)
    }

    fn park(&mut self, recorded: &RecordedEvent, reason: String, aside: &mut HashSet<String>) {
        let (stream, position) = (recorded.stream.to_string(), recorded.position);
        tracing::error!(view = V::Row::NAME, %stream, position = position.0, reason, "the view cannot take this event, and sets the stream aside");
        aside.insert(stream.clone());
        self.parked.push(Parked { stream, position, reason });
    }

    async fn load(&mut self, taken: &[Taken<'_>], store: &ReadStore) -> Result<(), StoreError> {
        let keys: HashSet<Key> = taken.iter().flat_map(|taken| V::keys(&taken.fact())).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for row in store.load::<V::Row>(V::Row::NAME, &keys.iter().collect::<Vec<_>>()).await? {
            let values = serde_json::to_value(&row)?;
            let key = V::Row::COLUMNS[..V::Row::KEY].iter().map(|(column, _)| values[*column].clone()).collect();
            self.rows.insert(key, Changed { before: Some(row.clone()), after: Some(row) });
        }
        for key in keys {
            self.rows.entry(key).or_insert(Changed { before: None, after: None });
        }
        Ok(())
    }

    /// Folds one event into all its rows, or into none.
    fn take(&mut self, fact: &Fact<'_>) -> Result<(), Poison> {
        let evolved = |key: Key| {
            let row = self.rows.get(&key).and_then(|changed| changed.after.clone());
            V::evolve(row, &key, fact).map(|after| (key, after))
        };
        let evolved: Vec<_> = V::keys(fact).into_iter().map(evolved).collect::<Result<_, _>>()?;
        for (key, after) in evolved {
            self.rows.entry(key).or_insert(Changed { before: None, after: None }).after = after;
        }
        Ok(())
    }

    /// Rows that are new or other than before.
    pub(super) fn upserts(&self) -> Result<Vec<Value>, StoreError> {
        let changed = self.rows.values().filter(|row| row.before != row.after);
        changed.filter_map(|row| row.after.as_ref()).map(|row| Ok(serde_json::to_value(row)?)).collect()
    }

    /// Rows that were there and are no more.
    pub(super) fn deletes(&self) -> Vec<Key> {
        let gone = self.rows.iter().filter(|(_, row)| row.before.is_some() && row.after.is_none());
        gone.map(|(key, _)| key.clone()).collect()
    }
}
