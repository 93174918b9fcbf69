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
use schemas::views::Row;
use schemas::views::search::SearchRow;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The embedded log is delivered whole.
const PARTITIONS: u16 = 1;

/// The views that are tables.
const TABLES: fn() -> [Table; 7] = || {
    [
        table::<Books>(),
        table::<Stock>(),
        table::<StockLedger>(),
        table::<Orders>(),
        table::<OrderHistory>(),
        table::<Bestsellers>(),
        table::<Purchases>(),
    ]
};

/// The views of a process.
#[derive(Clone)]
pub struct Views {
    /// Those that are tables.
    pub store: Arc<ReadStore>,
    /// The one that is searched, where this process answers searches.
    pub search: Option<Arc<SearchIndexes>>,
}

impl Views {
    /// Opens what there is of the views of a log. What does not fit begins anew.
    pub async fn open(layout: &Layout, log: &dyn EventLog) -> anyhow::Result<Self> {
        let source = Source { log: log.id(), head: log.head().await?, partitions: PARTITIONS };
        let store = ReadStore::open(&layout.views(), &TABLES(), source).await.context("the views cannot be opened")?;
        Ok(Self { store: Arc::new(store), search: Some(index(layout, source)?) })
    }

    /// Opens the views that several processes share in a database, and an index of this process's own in a data directory,
    /// where one is named.
    pub async fn open_shared(
        url: &str,
        index_in: Option<&Layout>,
        source: Source,
        access: platform::read_store::Access<'_>,
    ) -> anyhow::Result<Self> {
        let store = ReadStore::open_postgres(url, &TABLES(), source, access).await;
        let search = index_in.map(|layout| index(layout, source)).transpose()?;
        Ok(Self { store: Arc::new(store.context("the views cannot be opened")?), search })
    }

    /// The generations of a view that this process has.
    pub fn generations(&self, view: &dyn AnyView) -> anyhow::Result<Arc<dyn Generations>> {
        if view.name() != SearchRow::NAME {
            return Ok(self.store.generations(view.name()));
        }
        Ok(self.searched()? as Arc<dyn Generations>)
    }

    /// The view that is searched.
    pub fn searched(&self) -> anyhow::Result<Arc<SearchIndexes>> {
        let search = self.search.clone();
        search.context("this process answers no searches: ask one with the role `query`, which has an index of its own")
    }

    /// How far reads of a view are.
    pub fn position(&self, view: &dyn AnyView) -> Option<Position> {
        if view.name() != SearchRow::NAME {
            return Some(self.store.position(view.name()));
        }
        self.search.as_ref().map(|search| search.position())
    }

    /// Every view that this process has, with its generations.
    pub fn all(&self) -> Vec<Watched> {
        any_view::ALL.into_iter().filter_map(|view| Some((view, self.generations(view).ok()?))).collect()
    }

    /// Starts what keeps the views level with the log.
    pub fn feed(&self, log: &Arc<dyn EventLog>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let log = Arc::clone(log);
        let source = projector::Source { deliveries: Recent::of(Arc::clone(&log)), log };
        self.feed_from(&source, |_| true, tasks, stop);
        self.keep(tasks, stop);
    }

    /// Starts what keeps some of the views level with what is delivered.
    pub fn feed_from(
        &self,
        source: &projector::Source,
        which: impl Fn(&dyn AnyView) -> bool,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        for (view, generations) in self.all().into_iter().filter(|(view, _)| which(*view)) {
            tasks.spawn(projector::run(view, generations, source.clone(), stop.clone()));
        }
    }

    /// Starts what commits what the search index takes.
    pub fn keep(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        if let Some(search) = &self.search {
            tasks.spawn(Arc::clone(search).keep(stop.clone()));
        }
    }
}

fn index(layout: &Layout, source: Source) -> anyhow::Result<Arc<SearchIndexes>> {
    let search = SearchIndexes::open(&layout.search(), &search::LAYOUT, source);
    Ok(Arc::new(search.context("the search index cannot be opened")?))
}
