//! The stock with one generation in memory, so that time can be paused.

use crate::any_view::AnyView;
use crate::health::Watched;
use crate::stock::Stock;
use crate::test_history::History;
use crate::worker::Worker;
use futures_util::future::BoxFuture;
use platform::event_log::{EventLog, Position};
use platform::view_store::memory::MemoryStore;
use platform::view_store::{Frozen, Generation, Generations, SetAside, Stage, StoreError, Switch, ViewStore};
use std::sync::Arc;
use tokio::sync::watch;

/// The generations, of which there is one.
#[derive(Clone)]
pub struct OneGeneration {
    store: Arc<dyn ViewStore>,
    all: Arc<watch::Sender<Vec<Generation>>>,
}

impl OneGeneration {
    pub fn of(history: &History) -> Self {
        let store = MemoryStore::new(history.log.id(), AnyView::key(&Stock), SetAside::default());
        let store = Arc::new(store) as Arc<dyn ViewStore>;
        let live = Generation { number: 1, stage: Stage::Live, store: Arc::clone(&store) };
        Self { store, all: Arc::new(watch::Sender::new(vec![live])) }
    }

    pub fn watched(&self) -> Watched {
        (&Stock, Arc::new(self.clone()))
    }

    pub async fn catch_up(&self, history: &History, to: Position) {
        let mut worker = Worker::open(&Stock, Arc::clone(&self.store)).await.unwrap();
        let to = worker.everywhere(to);
        while worker.advance(history.log.as_ref(), &to).await.unwrap().is_some() {}
    }
}

impl Generations for OneGeneration {
    fn view(&self) -> &'static str {
        AnyView::name(&Stock)
    }

    fn all(&self) -> watch::Receiver<Vec<Generation>> {
        self.all.subscribe()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Generation, StoreError>> {
        unreachable!("there is one")
    }

    fn mark(&self, _: u32, _: Stage) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!("there is one")
    }

    fn hold(&self, _: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!("there is one")
    }

    fn switch(&self, _: u32) -> BoxFuture<'_, Result<Switch, StoreError>> {
        unreachable!("there is one")
    }

    fn drop_generation(&self, _: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!("there is one")
    }

    fn freeze(&self, _: u32) -> BoxFuture<'_, Result<Box<dyn Frozen>, StoreError>> {
        unreachable!("nobody compares it")
    }
}
