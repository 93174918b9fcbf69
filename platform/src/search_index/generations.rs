//! The generations of an index: a directory each, and a file that says which of them is searched.

use super::{Layout, SearchIndex};
use crate::event_log::Position;
use crate::view_store::{Frozen, Generation, Generations, SetAside, Source, Stage, StoreError, Switch, ViewStore};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use tempfile::NamedTempFile;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// All generations of one index.
pub struct SearchIndexes {
    path: PathBuf,
    layout: &'static Layout,
    source: Source,
    members: RwLock<Members>,
    announced: watch::Sender<Vec<Generation>>,
    /// Held while a generation comes, goes, or becomes the live one: the last number that was given. None is given twice, so
    /// that nobody takes a new generation for one that is gone.
    changing: Mutex<u32>,
}

type Members = BTreeMap<u32, (Stage, Arc<SearchIndex>)>;

impl SearchIndexes {
    /// Opens the generations in a directory of theirs, as far as they can go on. If the live one cannot, the view begins
    /// anew.
    pub fn open(path: &Path, layout: &'static Layout, source: Source) -> Result<Self, StoreError> {
        let mut members = Members::new();
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
        let changing = Mutex::new(members.keys().max().copied().unwrap_or(0));
        let (members, announced) = (RwLock::new(members), watch::Sender::default());
        let indexes = Self { path: path.to_owned(), layout, source, members, announced, changing };
        indexes.remember().and_then(|()| indexes.tidy()).map_err(|source| indexes.io(source))?;
        indexes.announce();
        Ok(indexes)
    }

    /// The one that is searched.
    pub fn live(&self) -> Arc<SearchIndex> {
        let members = self.members.read().expect("nothing panics while it holds the generations");
        let live = members.values().find(|(stage, _)| *stage == Stage::Live);
        Arc::clone(&live.expect("there is always a live generation").1)
    }

    /// The view's name.
    pub fn name(&self) -> &'static str {
        self.layout.name
    }

    /// How far searches are.
    pub fn position(&self) -> Position {
        self.live().position()
    }

    /// Returns once searches are as far as `position`; as soon as the events are there, they are committed for it.
    pub async fn wait_for(&self, position: Position) -> Position {
        self.live().wait_for(position).await
    }

    /// Commits what is to be committed in every generation, until it is stopped, and once more then.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut all = self.announced.subscribe();
        let mut kept: BTreeMap<u32, CancellationToken> = BTreeMap::new();
        let mut keepers = JoinSet::new();
        while !stop.is_cancelled() {
            all.mark_unchanged();
            let members: BTreeMap<_, _> = {
                let members = self.members.read().expect("nothing panics while it holds the generations");
                members.iter().map(|(number, (_, index))| (*number, Arc::clone(index))).collect()
            };
            kept.retain(|number, token| {
                let stays = members.contains_key(number);
                if !stays {
                    token.cancel();
                }
                stays
            });
            for (number, index) in members {
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

    fn member(&self, number: u32) -> Result<Arc<SearchIndex>, StoreError> {
        let members = self.members.read().expect("nothing panics while it holds the generations");
        let index = members.get(&number).map(|(_, index)| Arc::clone(index));
        index.ok_or(StoreError::NoGeneration { view: self.layout.name, number })
    }

    /// Changes which generations there are, in the file first: what is not there is not opened again.
    fn change(&self, change: impl FnOnce(&mut Members)) -> Result<(), StoreError> {
        let mut members = self.members.read().expect("nothing panics while it holds the generations").clone();
        change(&mut members);
        write_stages(&self.path, &members).map_err(|source| self.io(source))?;
        for (stage, index) in members.values() {
            index.live.store(*stage == Stage::Live, Ordering::SeqCst);
        }
        *self.members.write().expect("nothing panics while it holds the generations") = members;
        self.announce();
        Ok(())
    }

    fn remember(&self) -> std::io::Result<()> {
        write_stages(&self.path, &self.members.read().expect("nothing panics while it holds the generations"))
    }

    /// Removes what belongs to no generation.
    fn tidy(&self) -> std::io::Result<()> {
        let members = self.members.read().expect("nothing panics while it holds the generations");
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

    fn announce(&self) {
        let members = self.members.read().expect("nothing panics while it holds the generations");
        let generation = |(number, (stage, index)): (&u32, &(Stage, Arc<SearchIndex>))| Generation {
            number: *number,
            stage: *stage,
            store: Arc::clone(index) as Arc<dyn ViewStore>,
        };
        self.announced.send_replace(members.iter().map(generation).collect());
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
        self.announced.subscribe()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Generation, StoreError>> {
        async move {
            let mut last = self.changing.lock().await;
            *last += 1;
            let number = *last;
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
            let index = self.member(number)?;
            self.change(|members| drop(members.insert(number, (stage, index))))
        }
        .boxed()
    }

    fn switch(&self, number: u32) -> BoxFuture<'_, Result<Switch, StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            let (live, other) = (self.live(), self.member(number)?);
            // What is taken may be ahead of what is committed: searches see only the latter.
            if other.position() < live.position() {
                return Ok(Switch::Behind);
            }
            self.change(|members| {
                for (member, (stage, _)) in members.iter_mut() {
                    if *stage == Stage::Live {
                        *stage = Stage::Kept;
                    }
                    if *member == number {
                        *stage = Stage::Live;
                    }
                }
            })?;
            Ok(Switch::Done)
        }
        .boxed()
    }

    fn drop_generation(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let _changing = self.changing.lock().await;
            let index = self.member(number)?;
            if index.is_live() {
                return Err(StoreError::Live { view: self.layout.name, number });
            }
            self.change(|members| drop(members.remove(&number)))?;
            index.discard();
            std::fs::remove_dir_all(self.path.join(number.to_string())).map_err(|source| self.io(source))
        }
        .boxed()
    }

    fn freeze(&self, number: u32) -> BoxFuture<'_, Result<Box<dyn Frozen>, StoreError>> {
        async move { Ok(Box::new(self.member(number)?.freeze().await) as Box<dyn Frozen>) }.boxed()
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
fn write_stages(path: &Path, members: &Members) -> std::io::Result<()> {
    let stages: BTreeMap<_, _> = members.iter().map(|(number, (stage, _))| (*number, *stage)).collect();
    std::fs::create_dir_all(path)?;
    let mut file = NamedTempFile::new_in(path)?;
    file.write_all(&serde_json::to_vec(&stages)?)?;
    file.as_file().sync_all()?;
    file.persist(path.join(STAGES))?;
    std::fs::File::open(path)?.sync_all()
}
