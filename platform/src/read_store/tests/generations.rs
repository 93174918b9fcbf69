//! Generations of a view, in each database alike.

use super::*;

#[tokio::test]
async fn a_generation_is_built_beside_the_live_one_and_switched_to_once_it_is_not_behind() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        let skipped = skipped();
        let skips = Change { skipped: vec![skipped.clone()], ..change(&store, 0, 3, &[counter("a", 1, 1)]).await };
        assert!(live(&store).write(&skips).await.unwrap());
        let of_view = store.generations("counters");
        let second = of_view.begin().await.unwrap();
        assert_eq!((second.number, second.stage), (2, Stage::Building));
        assert_eq!(second.store.set_aside().skipped["s"], [skipped], "what is left out stays so");
        assert_eq!(all(&store).await, rows_at(3, &[counter("a", 1, 1)]));

        let early = change_of(second.store.as_ref(), 0, 2, &[counter("b", 1, 9)]).await;
        assert!(second.store.write(&early).await.unwrap());
        reaches(&store, 3).await;
        assert_eq!(of_view.switch(2).await.unwrap(), Switch::Behind);
        assert_eq!(all(&store).await, rows_at(3, &[counter("a", 1, 1)]));
        assert!(second.store.write(&change_of(second.store.as_ref(), 0, 5, &[]).await).await.unwrap());
        of_view.mark(2, Stage::Built).await.unwrap();
        assert!(matches!(of_view.drop_generation(1).await, Err(StoreError::Live { number: 1, .. })));
        let first = live(&store);
        assert_eq!(of_view.switch(2).await.unwrap(), Switch::Done);
        let expected = Rows { position: Position(5), generation: 2, rows: vec![counter("b", 1, 9)] };
        assert_eq!(all(&store).await, expected);
        assert_eq!((store.position("counters"), store.generation("counters")), (Position(5), 2));
        assert!(second.store.is_live() && !first.is_live());

        // The other one goes on, unseen, and can be seen again once it has caught up.
        assert!(first.write(&change_of(first.as_ref(), 0, 4, &[counter("z", 1, 1)]).await).await.unwrap());
        assert_eq!((store.position("counters"), of_view.switch(1).await.unwrap()), (Position(5), Switch::Behind));
        drop(store);
        let store = opened(place, log(1), 10, 1).await;
        assert_eq!(stages(&store), [(1, Stage::Kept), (2, Stage::Live)]);
        assert_eq!(all(&store).await, expected);
        let of_view = store.generations("counters");
        of_view.drop_generation(1).await.unwrap();
        assert!(matches!(of_view.switch(1).await, Err(StoreError::NoGeneration { number: 1, .. })));
        assert_eq!(of_view.begin().await.unwrap().number, 3);
    }
}

#[tokio::test]
async fn whatever_was_read_before_a_switch_may_have_changed() {
    for place in &places().await {
        let store = opened(place, log(1), 0, 1).await;
        let of_view = store.generations("counters");
        let second = of_view.begin().await.unwrap();
        let fills = change_of(second.store.as_ref(), 0, 5, &[counter("a", 1, 1)]).await;
        assert!(second.store.write(&fills).await.unwrap());
        // The live one moves on, so that whatever came before is known.
        assert!(live(&store).write(&change(&store, 0, 1, &[]).await).await.unwrap());
        reaches(&store, 1).await;
        assert!(store.last_change("counters", "a") < Position(5), "readers do not see it");
        assert_eq!(of_view.switch(2).await.unwrap(), Switch::Done);
        assert_eq!(store.last_change("counters", "a"), Position(5));
    }
}

#[tokio::test]
async fn a_view_goes_on_where_it_was_or_begins_anew() {
    for place in &places().await {
        for (of, head, partitions, goes_on) in [
            (log(1), 3, 2, true),
            (log(1), 9, 2, true),
            (log(2), 9, 2, false),
            (log(1), 2, 2, false),
            (log(1), 9, 1, false),
        ] {
            let store = opened(place, log(1), 3, 2).await;
            for partition in 0..2 {
                let rows = [counter("a", i64::from(partition), 1)];
                let change = change(&store, usize::try_from(partition).unwrap(), 3, &rows).await;
                assert!(live(&store).write(&change).await.unwrap());
            }
            drop(store);
            let store = opened(place, of, head, partitions).await;
            let expected = if goes_on { (Position(3), 2) } else { (Position(0), 0) };
            let read = all(&store).await;
            assert_eq!((read.position, read.rows.len()), expected, "{of:?} {head} {partitions}");
        }
    }
}

#[tokio::test]
async fn another_shape_begins_anew() {
    for place in &places().await {
        let store = opened(place, log(1), 3, 1).await;
        live(&store).write(&change(&store, 0, 3, &[counter("a", 1, 1)]).await).await.unwrap();
        drop(store);
        let wider = Table { columns: &[("id", "TEXT"), ("place", "BIGINT"), ("count", "BIGINT")], ..TABLE };
        let store = open(place, wider, Source { log: log(1), head: Position(3), partitions: 1 }).await;
        assert_eq!(store.position("counters"), Position(0));
    }
}
