//! Streams that are taken up again: in order, whole, once, also while the view goes on.

use super::*;
use crate::book::Books;
use crate::rebuild::Then;
use crate::search::Search;
use crate::test_history::{History, Stores, Viewed, book_stream, catalogue, happen, keep_happening, until};
use crate::view::{Fact, Poison, View};
use domain::{Event, book};
use futures_util::future::{BoxFuture, FutureExt};
use platform::view_store::{Key, SetAside, StoreError};
use schemas::stream::Owner;
use serde_json::Value;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A view as an older program had it, which cannot take the thirteenth title.
struct Older<V>(PhantomData<fn() -> V>);

static OLDER_BOOKS: Older<Books> = Older(PhantomData);
static OLDER_SEARCH: Older<Search> = Older(PhantomData);

impl<V: View> View for Older<V> {
    type Row = V::Row;

    fn takes(owner: &Owner) -> bool {
        V::takes(owner)
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        V::keys(fact)
    }

    fn evolve(row: Option<V::Row>, key: &Key, fact: &Fact<'_>) -> Result<Option<V::Row>, Poison> {
        match fact.event {
            Event::Book(book::Event::Revised(description)) if description.title.as_str() == "title 13" => {
                Err(Poison("the thirteenth title".to_owned()))
            }
            _ => V::evolve(row, key, fact),
        }
    }
}

/// The catalogue and its search, as the older program had them, and as this one has them.
fn views(stores: &Stores, history: &History) -> [(Viewed, Viewed); 2] {
    let [books, _, _, search] = stores.views(history);
    let older: [&'static dyn AnyView; 2] = [&OLDER_BOOKS, &OLDER_SEARCH];
    let [of_books, of_search] = older;
    [(Viewed { view: of_books, ..books.clone() }, books), (Viewed { view: of_search, ..search.clone() }, search)]
}

async fn take(viewed: &Viewed, stream: &str, remedy: Remedy) -> Outcome {
    take_up(viewed.view, viewed.log.as_ref(), &viewed.live(), stream, remedy).await.unwrap()
}

/// Two books that the older program parks, one of them twice; the rest goes on.
async fn some_thirteens() -> History {
    let mut history = catalogue().await;
    for (place, n) in [(0, 1), (0, 13), (1, 13), (0, 2), (2, 3), (0, 13), (0, 4), (1, 5)] {
        happen(&mut history, place, 1, n).await;
        happen(&mut history, place, 2, n + 20).await;
    }
    history
}

/// The rows of the live generation, by way of the store rather than of what is committed.
async fn rows(viewed: &Viewed) -> BTreeMap<String, Value> {
    let keys: Vec<Key> = viewed.expected().await.into_iter().map(|(key, _)| key).collect();
    let rows = viewed.live().load(&keys.iter().collect::<Vec<_>>()).await.unwrap();
    rows.into_iter().map(|row| (row["id"].to_string(), row)).collect()
}

async fn are_as_expected(viewed: &Viewed) {
    let expected = viewed.expected().await.into_iter().map(|(_, row)| (row["id"].to_string(), row)).collect();
    assert_eq!(rows(viewed).await, expected, "{}", viewed.view.name());
}

#[tokio::test]
async fn a_poison_that_is_still_there_stays_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = some_thirteens().await;
    history.poison(&book_stream(3)).await;
    happen(&mut history, 3, 1, 4).await;
    let stores = Stores::open(directory.path(), &history).await;
    for (older, mended) in views(&stores, &history) {
        older.catch_up().await;
        let (set_aside, before) = (older.live().set_aside(), rows(&older).await);
        assert_eq!(set_aside.parked.len(), 3);
        are_as_expected(&older).await;
        for (stream, parked) in &set_aside.parked {
            assert_eq!(take(&older, stream, Remedy::Retry).await, Outcome::Parked(parked.clone()));
        }
        assert_eq!(take(&older, &book_stream(4), Remedy::Retry).await, Outcome::NotParked);
        assert_eq!(take(&older, &book_stream(4), Remedy::Skip).await, Outcome::NotParked);
        assert_eq!(older.live().set_aside(), set_aside);
        assert_eq!(rows(&older).await, before);
        let unreadable = &set_aside.parked[&book_stream(3)];
        assert_eq!(take(&mended, &book_stream(3), Remedy::Retry).await, Outcome::Parked(unreadable.clone()));
    }
    stores.close().await;
}

#[tokio::test]
async fn a_view_that_is_mended_takes_all_that_waited_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let history = some_thirteens().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (older, mended) in views(&stores, &history) {
        older.catch_up().await;
        let tally = older.live().checkpoints().await.unwrap()[0].tally;
        // The first of two poisons of book 0, and the seven that came after it.
        assert_eq!(take(&mended, &book_stream(0), Remedy::Retry).await, Outcome::TakenUp { events: 8 });
        assert_eq!(take(&mended, &book_stream(0), Remedy::Retry).await, Outcome::NotParked);
        are_as_expected(&mended).await;
        assert_eq!(take(&mended, &book_stream(1), Remedy::Retry).await, Outcome::TakenUp { events: 4 });
        assert_eq!(mended.live().set_aside(), SetAside::default());
        are_as_expected(&mended).await;
        let counted = mended.live().checkpoints().await.unwrap()[0].tally;
        assert_eq!(counted, tally, "they were counted when they were set aside");
    }
    stores.close().await;
}

#[tokio::test]
async fn an_event_that_is_skipped_is_left_out_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = some_thirteens().await;
    history.poison(&book_stream(2)).await;
    happen(&mut history, 2, 1, 6).await;
    let stores = Stores::open(directory.path(), &history).await;
    let mut left_out = Vec::new();
    for (older, _) in views(&stores, &history) {
        older.catch_up().await;
        let first = older.live().set_aside().parked[&book_stream(0)].clone();
        let Outcome::Parked(second) = take(&older, &book_stream(0), Remedy::Skip).await else { panic!() };
        assert!(second.revision > first.revision, "{second:?}: it goes on to the next that it cannot take");
        are_as_expected(&older).await;
        assert_eq!(take(&older, &book_stream(0), Remedy::Skip).await, Outcome::TakenUp { events: 3 });
        assert_eq!(take(&older, &book_stream(2), Remedy::Skip).await, Outcome::TakenUp { events: 1 });
        are_as_expected(&older).await;
        left_out.push(older.live().set_aside());
    }
    // The index commits it with the next event at the latest, and that is taken although a revision is left out.
    for place in [0, 2] {
        happen(&mut history, place, 1, 9).await;
    }
    for (older, _) in views(&stores, &history) {
        older.catch_up().await;
        are_as_expected(&older).await;
    }
    stores.close().await;

    let stores = Stores::open(directory.path(), &history).await;
    for ((older, _), left_out) in views(&stores, &history).into_iter().zip(left_out) {
        assert_eq!(older.live().set_aside(), left_out, "it survives");
        let (tell, mut told) = mpsc::channel(1_000);
        let rebuild = older.rebuild(tell);
        let rebuilt = rebuild.run(Then::SwitchIfEqual).await.unwrap();
        assert!(rebuilt.switched, "{rebuilt:?}, {:?}", told.recv().await);
        assert_eq!(older.live().set_aside(), left_out, "and is passed on");
        assert_eq!(older.live_rows().await, older.expected().await);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_program_that_can_take_it_does_so_when_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    let history = some_thirteens().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (older, mended) in views(&stores, &history) {
        older.catch_up().await;
        assert_eq!(older.live().set_aside().parked.len(), 2);
        let feeding = mended.feed();
        until(async || mended.live().set_aside() == SetAside::default()).await;
        feeding.end().await;
        are_as_expected(&mended).await;
    }
    stores.close().await;
}

/// While the view goes on, streams that it parks are taken up again and again, by one who can take them, by one who cannot,
/// and without the event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_taken_up_while_events_come_lose_nothing_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let history = some_thirteens().await;
    let stores = Stores::open(directory.path(), &history).await;
    let views = views(&stores, &history);
    let stop = CancellationToken::new();
    let feeding: Vec<_> = views.iter().map(|(older, _)| older.feed()).collect();
    let happening = keep_happening(history, stop.clone());
    let taking = |one_in_two: u64| {
        let views = views.clone();
        tokio::spawn(async move {
            let (mut taken_up, mut n) = (0, 0);
            while taken_up < 20 {
                for (older, mended) in &views {
                    for stream in older.live().set_aside().parked.into_keys() {
                        n += 1;
                        let outcome = match n % 3 {
                            0 => take(mended, &stream, Remedy::Retry).await,
                            one if one == one_in_two => take(older, &stream, Remedy::Skip).await,
                            _ => take(older, &stream, Remedy::Retry).await,
                        };
                        taken_up += u64::from(matches!(outcome, Outcome::TakenUp { .. }));
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let both = futures_util::future::try_join(taking(1), taking(2));
    tokio::time::timeout(Duration::from_mins(3), both).await.expect("both come to their end").unwrap();
    stop.cancel();
    let history = happening.await.unwrap();
    for ((older, mended), feeding) in views.iter().zip(feeding) {
        older.level().await;
        feeding.end().await;
        are_as_expected(older).await;
        for stream in older.live().set_aside().parked.into_keys() {
            assert!(matches!(take(mended, &stream, Remedy::Retry).await, Outcome::TakenUp { .. }));
        }
        are_as_expected(mended).await;
        let checkpoint = mended.live().checkpoints().await.unwrap().remove(0);
        let mut tally = platform::bus::Tally::default();
        history.events().await.iter().filter(|event| mended.view.takes(event)).for_each(|event| tally.add(event));
        assert_eq!(checkpoint.tally, tally);
    }
    stores.close().await;
}

/// A generation in which somebody else takes up a stream at the moment when it is asked how far it is, or written.
struct Contested {
    store: Arc<dyn ViewStore>,
    somebody_else: Mutex<Option<BoxFuture<'static, ()>>>,
    in_write: bool,
}

impl Contested {
    async fn lets_somebody_else(&self) {
        let first = self.somebody_else.lock().unwrap().take();
        if let Some(first) = first {
            first.await;
        }
    }
}

impl ViewStore for Contested {
    fn is_live(&self) -> bool {
        self.store.is_live()
    }

    fn checkpoints(&self) -> BoxFuture<'_, Result<Vec<Checkpoint>, StoreError>> {
        async move {
            if !self.in_write {
                self.lets_somebody_else().await;
            }
            self.store.checkpoints().await
        }
        .boxed()
    }

    fn set_aside(&self) -> SetAside {
        self.store.set_aside()
    }

    fn load<'a>(&'a self, keys: &'a [&'a Key]) -> BoxFuture<'a, Result<Vec<Value>, StoreError>> {
        self.store.load(keys)
    }

    fn write<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<bool, StoreError>> {
        async move {
            self.lets_somebody_else().await;
            self.store.write(change).await
        }
        .boxed()
    }
}

#[tokio::test]
async fn of_two_who_skip_an_event_at_once_neither_skips_another() {
    let directory = tempfile::tempdir().unwrap();
    let history = some_thirteens().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (older, _) in views(&stores, &history) {
        older.catch_up().await;
        let stream = book_stream(0);
        let other = older.clone();
        let first = async move { drop(take(&other, &book_stream(0), Remedy::Skip).await) }.boxed();
        let contested = Contested { store: older.live(), somebody_else: Mutex::new(Some(first)), in_write: true };
        let store = Arc::new(contested) as Arc<dyn ViewStore>;
        let second = take_up(older.view, older.log.as_ref(), &store, &stream, Remedy::Skip).await.unwrap();
        let SetAside { parked, skipped } = older.live().set_aside();
        assert_eq!(second, Outcome::Parked(parked[&stream].clone()));
        assert_eq!(skipped[&stream].len(), 1, "nobody has seen the second poison");
        are_as_expected(&older).await;
    }
    stores.close().await;
}

#[tokio::test]
async fn of_two_who_take_up_a_stream_at_once_one_does() {
    let directory = tempfile::tempdir().unwrap();
    let history = some_thirteens().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (older, mended) in views(&stores, &history) {
        older.catch_up().await;
        let other = mended.clone();
        let first = async move { drop(take(&other, &book_stream(0), Remedy::Retry).await) }.boxed();
        let contested = Contested { store: mended.live(), somebody_else: Mutex::new(Some(first)), in_write: false };
        let store = Arc::new(contested) as Arc<dyn ViewStore>;
        let second = take_up(mended.view, mended.log.as_ref(), &store, &book_stream(0), Remedy::Retry).await.unwrap();
        assert_eq!(second, Outcome::NotParked);
        assert!(!mended.live().set_aside().parked.contains_key(&book_stream(0)));
        are_as_expected(&mended).await;
    }
    stores.close().await;
}
