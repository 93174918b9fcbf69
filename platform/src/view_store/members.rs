//! The generations of a view that a store has open, and who is told when they change.

use super::{Generation, Stage, StoreError, ViewStore};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};
use tokio::sync::watch;

/// By number, with their stages.
pub(crate) type ByNumber<S> = BTreeMap<u32, (Stage, Arc<S>)>;

/// The generations.
pub(crate) struct Members<S> {
    view: &'static str,
    all: RwLock<ByNumber<S>>,
    announced: watch::Sender<Vec<Generation>>,
    /// The last number that was given. None is given twice, so that nobody takes a new generation for one that is gone.
    last: AtomicU32,
}

impl<S: ViewStore + 'static> Members<S> {
    /// The generations of a view as they were left.
    pub(crate) fn new(view: &'static str, all: ByNumber<S>) -> Self {
        let last = AtomicU32::new(all.keys().max().copied().unwrap_or(0));
        let members = Self { view, all: RwLock::default(), announced: watch::Sender::default(), last };
        members.replace(all);
        members
    }

    /// All of them.
    pub(crate) fn all(&self) -> ByNumber<S> {
        self.all.read().expect("nothing panics while it holds the generations").clone()
    }

    /// One of them.
    pub(crate) fn get(&self, number: u32) -> Result<Arc<S>, StoreError> {
        let all = self.all.read().expect("nothing panics while it holds the generations");
        let found = all.get(&number).map(|(_, store)| Arc::clone(store));
        found.ok_or(StoreError::NoGeneration { view: self.view, number })
    }

    /// The one that readers see.
    pub(crate) fn live(&self) -> Arc<S> {
        let all = self.all.read().expect("nothing panics while it holds the generations");
        let live = all.values().find(|(stage, _)| *stage == Stage::Live);
        Arc::clone(&live.expect("there is always a live generation").1)
    }

    /// One of them, if it may be dropped.
    pub(crate) fn get_to_drop(&self, number: u32) -> Result<Arc<S>, StoreError> {
        let store = self.get(number)?;
        if store.is_live() { Err(StoreError::Live { view: self.view, number }) } else { Ok(store) }
    }

    /// Nobody feeds it until its stage is set again.
    pub(crate) fn hold(&self, number: u32) -> Result<(), StoreError> {
        let (mut all, store) = (self.all(), self.get(number)?);
        all.insert(number, (Stage::Building, store));
        self.replace(all);
        Ok(())
    }

    /// A number for a new one.
    pub(crate) fn next_number(&self) -> u32 {
        self.last.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// From now on there are these, and whoever listens is told.
    pub(crate) fn replace(&self, all: ByNumber<S>) {
        let generation = |(number, (stage, store)): (&u32, &(Stage, Arc<S>))| Generation {
            number: *number,
            stage: *stage,
            store: Arc::clone(store) as Arc<dyn ViewStore>,
        };
        let announced = all.iter().map(generation).collect();
        *self.all.write().expect("nothing panics while it holds the generations") = all;
        self.announced.send_replace(announced);
    }

    /// Told when there are others, or their stages change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Vec<Generation>> {
        self.announced.subscribe()
    }
}

/// Has `number` be the live one, and the one before it kept. What was kept so far is for nobody any more.
pub(crate) fn make_live<S>(all: &mut ByNumber<S>, number: u32) {
    for (member, (stage, _)) in all.iter_mut() {
        *stage = match *stage {
            _ if *member == number => Stage::Live,
            Stage::Live => Stage::Kept,
            Stage::Kept => Stage::Building,
            other => other,
        }
    }
}
