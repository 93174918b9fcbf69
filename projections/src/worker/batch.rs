//! A batch of deliveries, folded into the rows that they touch.

use crate::view::{Fact, Poison, View};
use domain::Event;
use platform::bus::Delivery;
use platform::event_log::RecordedEvent;
use platform::view_store::{Key, Parked, StoreError, ViewStore};
use schemas::stream::Owner;
use schemas::views::Row;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Rows as they were and as they are after the batch.
pub(super) struct Batch<V: View> {
    rows: HashMap<Key, Changed<V::Row>>,
    /// Streams that cannot go on, by name.
    pub(super) parked: HashMap<String, Parked>,
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
    keys: Vec<Key>,
}

impl<'a> Taken<'a> {
    fn by<V: View>(owner: Owner, event: Event, recorded: &'a RecordedEvent, partition: u16) -> Self {
        let keys = V::keys(&Fact { owner: &owner, event: &event, recorded, partition });
        Self { owner, event, recorded, partition, keys }
    }

    fn fact(&self) -> Fact<'_> {
        Fact { owner: &self.owner, event: &self.event, recorded: self.recorded, partition: self.partition }
    }
}

impl<V: View> Batch<V> {
    /// Loads the rows that the deliveries touch, and folds. Events of streams that are parked are left aside.
    pub(super) async fn fold(
        deliveries: &[&Delivery],
        parked: &HashSet<String>,
        store: &impl ViewStore,
    ) -> Result<Self, StoreError> {
        let mut batch = Self { rows: HashMap::new(), parked: HashMap::new() };
        let mut taken = Vec::new();
        for delivery in deliveries {
            let Some(recorded) = &delivery.event else { continue };
            let stream = recorded.stream.as_str();
            let Some(owner) = schemas::stream::parse(stream).filter(V::takes) else { continue };
            if parked.contains(stream) || batch.parked.contains_key(stream) {
                continue;
            }
            let envelope = &recorded.envelope;
            match schemas::events::decode(&envelope.event_type, envelope.version, &recorded.data) {
                Ok(event) => taken.push(Taken::by::<V>(owner, event, recorded, delivery.partition)),
                Err(error) => batch.park(recorded, error.to_string()),
            }
        }
        batch.load(&taken, store).await?;
        for taken in &taken {
            // An event that could not be read has parked its stream already: those ahead of it still count.
            let parked = batch.parked.get(taken.recorded.stream.as_str());
            if parked.is_some_and(|parked| parked.position < taken.recorded.position) {
                continue;
            }
            if let Err(Poison(reason)) = batch.take(taken) {
                batch.park(taken.recorded, reason);
            }
        }
        Ok(batch)
    }

    /// Sets a stream aside from this event on.
    fn park(&mut self, recorded: &RecordedEvent, reason: String) {
        let (stream, position) = (recorded.stream.to_string(), recorded.position);
        tracing::error!(view = V::Row::NAME, %stream, position = position.0, reason, "the view cannot take this event, and sets the stream aside");
        self.parked.insert(stream.clone(), Parked { stream, position, reason });
    }

    async fn load(&mut self, taken: &[Taken<'_>], store: &impl ViewStore) -> Result<(), StoreError> {
        let keys: HashSet<&Key> = taken.iter().flat_map(|taken| &taken.keys).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for row in store.load::<V::Row>(V::Row::NAME, &keys.into_iter().collect::<Vec<_>>()).await? {
            let values = serde_json::to_value(&row)?;
            let key = V::Row::KEY.iter().map(|field| values[*field].clone()).collect();
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
