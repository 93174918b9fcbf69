//! The generations of an index: a directory each, and a file that says which of them is searched.

use super::{Layout, SearchIndex};
use crate::event_log::Position;
use crate::view_store::members::{self, ByNumber, Members};
use crate::view_store::{Frozen, Generation, Generations, SetAside, Source, Stage, StoreError, Switch, ViewStore};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tempfile::NamedTempFile;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// All generations of one index.
pub struct SearchIndexes {
    path: PathBuf,
    layout: &'static Layout,
    source: Source,
    members: Members<SearchIndex>,
    /// Held while a generation comes, goes, or becomes the live one.
    changing: Mutex<()>,
}

impl SearchIndexes {
    /// Opens the generations in a directory of theirs, as far as they can go on. If the live one cannot, the view begins
    /// anew.
    pub fn open(path: &Path, layout: &'static Layout, source: Source) -> Result<Self, StoreError> {
        let mut members = ByNumber::new();
        let mut stages = read_stages(path);
        // Whoever was building one is gone, and may have been another version of this program.
        stages.retain(|_, stage| *stage != Stage::Building);
        if !stages.values().any(|stage| *stage == Stage::Live) {
            stages = BTreeMap::from([(1, Stage::Live)]);
        }
        for (number, stage) in stages {
            let directory = path.join(number.to_string());
            let index = match stage {
                Stage::Live => Some(SearchIndex::open(&directory, layout, source)?),
                // What cannot go on is built anew when somebody asks for it again.
                _ => SearchIndex::go_on(&directory, layout, source).unwrap_or_default(),
            };
            if let Some(index) = index {
                index.live.store(stage == Stage::Live, Ordering::SeqCst);
                members.insert(number, (stage, Arc::new(index)));
            }
        }
        let members = Members::new(layout.name, members);
        let indexes = Self { path: path.to_owned(), layout, source, members, changing: Mutex::new(()) };
        write_stages(path, &indexes.members.all())
            .and_then(|()| indexes.tidy())
            .map_err(|source| indexes.io(source))?;
        Ok(indexes)
    }

    /// The one that is searched.
    pub fn live(&self) -> Arc<SearchIndex> {
        self.members.live()
    }

    /// The view's name.
    pub fn name(&self) -> &'static str {
        self.layout.name
    }

    /// How far searches are.
    pub fn position(&self) -> Position {
        self.live().position()
    }

    /// Reads the one that is searched. Once it is not any more, what it goes on to is no longer shown: the other one may not
    /// be as far yet, and readers would go back in time.
    pub fn read<T>(&self, read: impl Fn(&SearchIndex) -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let index = self.live();
            let found = read(&index)?;
            if index.is_live() {
                return Ok(found);
            }
        }
    }

    /// Returns once searches are as far as `position`; as soon as the events are there, they are committed for it.
    pub async fn wait_for(&self, position: Position) -> Position {
        let mut all = self.members.subscribe();
        loop {
            all.mark_unchanged();
            let index = self.live();
            tokio::select! {
                reached = index.wait_for(position) => if index.is_live() {
                    return reached;
                },
                // Perhaps another one is searched now.
                _ = all.changed() => {}
            }
        }
    }

    /// Commits what is to be committed in every generation, until it is stopped, and once more then.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut all = self.members.subscribe();
        let mut kept: BTreeMap<u32, CancellationToken> = BTreeMap::new();
        let mut keepers = JoinSet::new();
        while !stop.is_cancelled() {
            all.mark_unchanged();
            let members = self.members.all();
            kept.retain(|number, token| {
                let stays = members.contains_key(number);
                if !stays {
                    token.cancel();
                }
                stays
            });
            for (number, (_, index)) in members {
                kept.entry(number).or_insert_with(|| {
                    let token = stop.child_token();
                    keepers.spawn(index.keep(token.clone()));
                    token
                });
            }
            let _ = stop.run_until_cancelled(all.changed()).await;
        }
        while keepers.join_next().await.is_some() {}
    }

    /// Changes which generations there are, in the file first: what is not there is not opened again.
    fn change(&self, change: impl FnOnce(&mut ByNumber<SearchIndex>)) -> Result<(), StoreError> {
        let mut members = self.members.all();
        change(&mut members);
        write_stages(&self.path, &members).map_err(|source| self.io(source))?;
        for (stage, index) in members.values() {
            index.live.store(*stage == Stage::Live, Ordering::SeqCst);
        }
        self.members.replace(members);
        Ok(())
    }

    /// Removes what belongs to no generation.
    fn tidy(&self) -> std::io::Result<()> {
        let members = self.members.all();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_string_lossy().parse().ok();
            if name == STAGES || number.is_some_and(|number| members.contains_key(&number)) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path)?
            } else {
                std::fs::remove_file(path)?
            };
        }
        Ok(())
    }

    fn io(&self, source: std::io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source }
    }
}

impl Generations for SearchIndexes {
    fn view(&self) -> &'static str {
        self.layout.name
    }

    fn all(&self) -> watch::Receiver<Vec<Generation>> {
        self.members.subscribe()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Generation, StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            let number = self.members.next_number();
            let left_out = SetAside { skipped: self.live().set_aside().skipped, ..SetAside::default() };
            let directory = self.path.join(number.to_string());
            let index = Arc::new(SearchIndex::create(&directory, self.layout, self.source, left_out)?);
            index.live.store(false, Ordering::SeqCst);
            let store = Arc::clone(&index) as Arc<dyn ViewStore>;
            self.change(|members| drop(members.insert(number, (Stage::Building, index))))?;
            Ok(Generation { number, stage: Stage::Building, store })
        }
        .boxed()
    }

    fn mark(&self, number: u32, stage: Stage) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            let index = self.members.get(number)?;
            self.change(|members| drop(members.insert(number, (stage, index))))
        }
        .boxed()
    }

    fn hold(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            self.members.hold(number)
        }
        .boxed()
    }

    fn switch(&self, number: u32) -> BoxFuture<'_, Result<Switch, StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            let (live, other) = (self.live(), self.members.get(number)?);
            // Until searches see the other one, they see nothing newer of this one.
            let _still = live.writer.lock().await;
            // What is taken may be ahead of what is committed: searches see only the latter.
            if other.position() < live.position() {
                return Ok(Switch::Behind);
            }
            self.change(|members| members::make_live(members, number))?;
            Ok(Switch::Done)
        }
        .boxed()
    }

    fn drop_generation(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            let index = self.members.get_to_drop(number)?;
            self.change(|members| drop(members.remove(&number)))?;
            if let Err(error) = index.discard().await {
                tracing::warn!(%error, "a search index that is dropped ended badly");
            }
            std::fs::remove_dir_all(self.path.join(number.to_string())).map_err(|source| self.io(source))
        }
        .boxed()
    }

    fn freeze(&self, number: u32) -> BoxFuture<'_, Result<Box<dyn Frozen>, StoreError>> {
        async move { Ok(Box::new(self.members.get(number)?.freeze().await?) as Box<dyn Frozen>) }.boxed()
    }
}

/// The file that says which generations there are.
const STAGES: &str = "generations.json";

/// None if there is no such file, or it cannot be read: then the view begins anew.
fn read_stages(path: &Path) -> BTreeMap<u32, Stage> {
    let text = std::fs::read(path.join(STAGES)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes the file beside its place and moves it there, so that there is always a whole one.
fn write_stages(path: &Path, members: &ByNumber<SearchIndex>) -> std::io::Result<()> {
    let stages: BTreeMap<_, _> = members.iter().map(|(number, (stage, _))| (*number, *stage)).collect();
    std::fs::create_dir_all(path)?;
    let mut file = NamedTempFile::new_in(path)?;
    file.write_all(&serde_json::to_vec(&stages)?)?;
    file.as_file().sync_all()?;
    file.persist(path.join(STAGES))?;
    std::fs::File::open(path)?.sync_all()
}
