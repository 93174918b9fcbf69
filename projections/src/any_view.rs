//! All views, without their row types: what workers and tools need of one that they know by name only.

use crate::bestseller::Bestsellers;
use crate::book::Books;
use crate::order::{OrderHistory, Orders};
use crate::purchase::Purchases;
use crate::search::Search;
use crate::stock::{Stock, StockLedger};
use crate::view::{Fact, View};
use crate::worker::batch::{self, Folded};
use futures_util::future::{BoxFuture, FutureExt};
use platform::bus::Delivery;
use platform::event_log::RecordedEvent;
use platform::view_store::{Key, SetAside, StoreError, ViewStore};
use schemas::stream::Owner;
use schemas::views::Row;

/// Every view, in the order in which they are shown.
pub static ALL: [&dyn AnyView; 8] =
    [&Books, &Stock, &StockLedger, &Orders, &OrderHistory, &Bestsellers, &Purchases, &Search];

/// The view of a name.
pub fn named(name: &str) -> Option<&'static dyn AnyView> {
    ALL.into_iter().find(|view| view.name() == name)
}

/// A [`View`] of any row type.
pub trait AnyView: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The fields of a row that are its key.
    fn key(&self) -> &'static [&'static str];

    /// Whether an event is of a stream that is for this view at all.
    fn takes(&self, recorded: &RecordedEvent) -> bool;

    /// The keys of the rows that an event touches; none if it cannot be read.
    fn keys(&self, recorded: &RecordedEvent, partition: u16) -> Vec<Key>;

    /// What deliveries that follow on each other make of a generation's rows.
    fn fold<'a>(
        &'a self,
        deliveries: &'a [&'a Delivery],
        set_aside: &'a SetAside,
        store: &'a dyn ViewStore,
    ) -> BoxFuture<'a, Result<Folded, StoreError>>;
}

impl<V: View> AnyView for V {
    fn name(&self) -> &'static str {
        V::Row::NAME
    }

    fn key(&self) -> &'static [&'static str] {
        V::Row::KEY
    }

    fn takes(&self, recorded: &RecordedEvent) -> bool {
        owner::<V>(recorded).is_some()
    }

    fn keys(&self, recorded: &RecordedEvent, partition: u16) -> Vec<Key> {
        let Some(owner) = owner::<V>(recorded) else { return Vec::new() };
        let envelope = &recorded.envelope;
        let decoded = schemas::events::decode(&envelope.event_type, envelope.version, &recorded.data);
        decoded.map_or_else(
            |_| Vec::new(),
            |event| V::keys(&Fact { owner: &owner, event: &event, recorded, partition, skipped: &[] }),
        )
    }

    fn fold<'a>(
        &'a self,
        deliveries: &'a [&'a Delivery],
        set_aside: &'a SetAside,
        store: &'a dyn ViewStore,
    ) -> BoxFuture<'a, Result<Folded, StoreError>> {
        batch::fold::<V>(deliveries, set_aside, store).boxed()
    }
}

/// Whose event it is, if it is for this view.
pub(crate) fn owner<V: View>(recorded: &RecordedEvent) -> Option<Owner> {
    schemas::stream::parse(recorded.stream.as_str()).filter(V::takes)
}
