//! The views of a data directory: opened together, and kept level with the log.

use anyhow::Context;
use platform::bus::log_tail::Recent;
use platform::data_directory::Layout;
use platform::event_log::{EventLog, Position};
use platform::read_store::{ReadStore, Table};
use platform::search_index::SearchIndexes;
use platform::view_store::{Generations, Source};
use projections::any_view::{self, AnyView};
use projections::bestseller::Bestsellers;
use projections::book::Books;
use projections::health::Watched;
use projections::order::{OrderHistory, Orders};
use projections::projector;
use projections::purchase::Purchases;
use projections::search;
use projections::stock::{Stock, StockLedger};
use projections::view::table;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The embedded log is delivered whole.
const PARTITIONS: u16 = 1;

/// All views.
#[derive(Clone)]
pub struct Views {
    /// Those that are tables.
    pub store: Arc<ReadStore>,
    /// The one that is searched.
    pub search: Arc<SearchIndexes>,
}

impl Views {
    /// Opens what there is of the views of a log. What does not fit begins anew.
    pub async fn open(layout: &Layout, log: &dyn EventLog) -> anyhow::Result<Self> {
        let source = Source { log: log.id(), head: log.head().await?, partitions: PARTITIONS };
        let tables: [Table; 7] = [
            table::<Books>(),
            table::<Stock>(),
            table::<StockLedger>(),
            table::<Orders>(),
            table::<OrderHistory>(),
            table::<Bestsellers>(),
            table::<Purchases>(),
        ];
        let store = ReadStore::open(&layout.views(), &tables, source).await.context("the views cannot be opened")?;
        let search = SearchIndexes::open(&layout.search(), &search::LAYOUT, source);
        let search = search.context("the search index cannot be opened")?;
        Ok(Self { store: Arc::new(store), search: Arc::new(search) })
    }

    /// The generations of a view.
    pub fn generations(&self, view: &dyn AnyView) -> Arc<dyn Generations> {
        if view.name() == self.search.name() {
            return Arc::clone(&self.search) as Arc<dyn Generations>;
        }
        self.store.generations(view.name())
    }

    /// How far reads of a view are.
    pub fn position(&self, view: &dyn AnyView) -> Position {
        if view.name() == self.search.name() { self.search.position() } else { self.store.position(view.name()) }
    }

    /// Every view with its generations.
    pub fn all(&self) -> Vec<Watched> {
        any_view::ALL.into_iter().map(|view| (view, self.generations(view))).collect()
    }

    /// Starts what keeps the views level with the log.
    pub fn feed(&self, log: &Arc<dyn EventLog>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let recent = Recent::of(Arc::clone(log));
        for (view, generations) in self.all() {
            tasks.spawn(projector::run(view, generations, Arc::clone(&recent), stop.clone()));
        }
        self.keep(tasks, stop);
    }

    /// Starts what commits what the search index takes.
    pub fn keep(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        tasks.spawn(Arc::clone(&self.search).keep(stop.clone()));
    }
}
