//! What is so in a file only.

use super::*;

#[tokio::test]
async fn a_complete_generation_survives_its_being_held_and_one_that_is_kept_no_longer_does_not() {
    let place = &Place::File(tempfile::tempdir().unwrap());
    let store = opened(place, log(1), 10, 1).await;
    let of_view = store.generations("counters");
    for number in [2, 3] {
        of_view.begin().await.unwrap();
        of_view.mark(number, Stage::Built).await.unwrap();
    }
    assert_eq!(of_view.switch(2).await.unwrap(), Switch::Done);
    of_view.hold(3).await.unwrap();
    assert_eq!(stages(&store), [(1, Stage::Kept), (2, Stage::Live), (3, Stage::Building)]);
    drop((of_view, store));
    let store = opened(place, log(1), 10, 1).await;
    assert_eq!(stages(&store), [(1, Stage::Kept), (2, Stage::Live), (3, Stage::Built)]);
    assert_eq!(store.generations("counters").switch(3).await.unwrap(), Switch::Done);
    assert_eq!(stages(&store), [(1, Stage::Building), (2, Stage::Kept), (3, Stage::Live)]);
    drop(store);
    let store = opened(place, log(1), 10, 1).await;
    assert_eq!(stages(&store), [(2, Stage::Kept), (3, Stage::Live)]);
}

#[tokio::test]
async fn a_damaged_file_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("views");
    std::fs::write(&path, "this is no database any more ".repeat(400)).unwrap();
    let store = opened(&Place::File(directory), log(1), 3, 1).await;
    assert_eq!(all(&store).await, rows_at(0, &[]));
}
