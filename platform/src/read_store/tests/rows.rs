//! Rows and checkpoints are written together, in each database alike.

use super::*;
use crate::bus::Tally;
use std::collections::BTreeMap;

#[tokio::test]
async fn rows_are_inserted_replaced_deleted_and_found() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        assert_eq!(all(&store).await, rows_at(0, &[]));
        let rows = [counter("b", 1, 1), counter("a", 2, 2), counter("a", 1, i64::MAX)];
        assert!(live(&store).write(&change(&store, 0, 3, &rows).await).await.unwrap());
        let [b, a2, a1] = rows;
        assert_eq!(all(&store).await, rows_at(3, &[a1.clone(), a2, b]));

        let mut second = change(&store, 0, 5, &[counter("b", 1, 7)]).await;
        second.deletes = vec![vec![json!("a"), json!(2)], vec![json!("absent"), json!(2)]];
        assert!(live(&store).write(&second).await.unwrap());
        assert_eq!(all(&store).await, rows_at(5, &[a1.clone(), counter("b", 1, 7)]));
        let keys = [vec![json!("a"), json!(1)], vec![json!("a"), json!("1 OR true")], vec![json!("b"), json!(3)]];
        assert_eq!(live(&store).load(&keys.iter().collect::<Vec<_>>()).await.unwrap(), [json!(a1)]);

        let select = Select { from: None, filter: "id >= ?1 AND count < ?2", order: "count DESC", limit: 1 };
        let found =
            store.read::<Counter>("counters", select, &[Param::Text("a".into()), Param::Integer(100)]).await.unwrap();
        assert_eq!(found.rows, [counter("b", 1, 7)]);
    }
}

#[tokio::test]
async fn a_checkpoint_moves_once_from_where_it_stands() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        let first = change(&store, 0, 3, &[counter("a", 1, 1)]).await;
        let zombie = change(&store, 0, 4, &[counter("a", 1, 9), counter("z", 1, 9)]).await;
        assert!(live(&store).write(&first).await.unwrap());
        assert!(!live(&store).write(&zombie).await.unwrap(), "the partition is not where the zombie read it");
        assert!(!live(&store).write(&first).await.unwrap(), "a redelivery");
        let mut of_another_log = change(&store, 0, 5, &[]).await;
        of_another_log.from.log = log(2);
        assert!(!live(&store).write(&of_another_log).await.unwrap());
        assert_eq!(all(&store).await, rows_at(3, &[counter("a", 1, 1)]));
    }
}

#[tokio::test]
async fn partitions_that_are_written_together_are_taken_each_by_itself() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 3).await;
        let of = async |partition: usize, to| {
            let name = format!("p{partition}");
            Change {
                deletes: vec![vec![json!(name), json!(2)]],
                ..change(&store, partition, to, &[counter(&name, 1, 1)]).await
            }
        };
        // In any order.
        let mut all_of = vec![of(2, 3).await, of(0, 3).await, of(1, 3).await];
        let next = [of(0, 4).await, of(1, 4).await];
        assert_eq!(live(&store).write_all(&all_of).await.unwrap(), [true; 3]);
        assert_eq!(live(&store).write_all(&next).await.unwrap(), [false; 2]);
        reaches(&store, 3).await;
        all_of = vec![of(0, 5).await, next[1].clone(), of(2, 5).await];
        all_of[2].parked = vec![Parked { partition: 2, ..parked(5) }];
        all_of[2].deletes = vec![vec![json!("p2"), json!(1)]];
        all_of[2].upserts = Vec::new();
        all_of[0].upserts = vec![json!(counter("p0", 1, 2))];
        assert_eq!(live(&store).write_all(&all_of).await.unwrap(), [true, false, true]);
        assert_eq!(all(&store).await, rows_at(3, &[counter("p0", 1, 2), counter("p1", 1, 1)]));
        let reached: Vec<_> = live(&store).checkpoints().await.unwrap().iter().map(|it| it.position.0).collect();
        assert_eq!(reached, [5, 3, 5]);
        assert_eq!(live(&store).set_aside().parked["s"].partition, 2);
        assert_eq!(
            live(&store).write_all(&[change(&store, 1, 9, &[]).await, change(&store, 0, 9, &[]).await]).await.unwrap(),
            [true; 2]
        );
        reaches(&store, 5).await;
    }
}

#[tokio::test]
async fn the_position_is_that_of_the_slowest_partition() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 3).await;
        for (partition, to, reached) in [(0, 5, 0), (2, 9, 0), (1, 4, 4), (1, 8, 5)] {
            assert!(live(&store).write(&change(&store, partition, to, &[]).await).await.unwrap());
            reaches(&store, reached).await;
            assert_eq!(all(&store).await.position, Position(reached));
        }
        assert_eq!(store.wait_for("counters", Position(5)).await, Position(5));
        let waiting = tokio::time::timeout(Duration::from_millis(10), store.wait_for("counters", Position(6)));
        assert!(waiting.await.is_err());
    }
}

#[tokio::test]
async fn a_change_is_known_before_it_is_visible() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        assert_eq!(store.last_change("counters", "a"), Position(10), "before anything is known, nothing is ruled out");
        live(&store).write(&change(&store, 0, 11, &[counter("a", 1, 1)]).await).await.unwrap();
        store.wait_for("counters", Position(11)).await;
        assert_eq!(store.last_change("counters", "a"), Position(11));
        let mut fails = change(&store, 0, 12, &[counter("a", 1, 1)]).await;
        fails.from.position = Position(1);
        assert!(!live(&store).write(&fails).await.unwrap());
        assert!(store.last_change("counters", "a") >= Position(11));
        // A stream that is taken up changes rows at a position at which they have been read.
        let taken_up = vec!["s".to_owned()];
        let takes_up = Change { taken_up, ..change(&store, 0, 11, &[counter("a", 1, 2)]).await };
        assert!(live(&store).write(&takes_up).await.unwrap());
        eventually("the change is known", || store.last_change("counters", "a") == Position(12)).await;
    }
}

#[tokio::test]
async fn what_is_set_aside_is_kept_and_taken_up_again() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        let sets_aside = Change { parked: vec![parked(2)], ..change(&store, 0, 3, &[]).await };
        assert_eq!(store.parked_at("counters", "s"), None);
        assert!(live(&store).write(&sets_aside).await.unwrap());
        eventually("it is set aside", || store.parked_at("counters", "s") == Some(Position(2))).await;
        drop(store);
        let store = opened(place, log(1), 10, 1).await;
        assert_eq!(live(&store).set_aside().parked, BTreeMap::from([("s".to_owned(), parked(2))]));
        assert_eq!(store.parked_at("counters", "s"), Some(Position(2)));

        let skipped = skipped();
        let before = change(&store, 0, 4, &[]).await;
        let takes_up = Change {
            taken_up: vec!["s".to_owned()],
            skipped: vec![skipped.clone()],
            ..change(&store, 0, 3, &[]).await
        };
        assert!(live(&store).write(&takes_up).await.unwrap());
        eventually("it is taken up", || store.parked_at("counters", "s").is_none()).await;
        assert!(
            !live(&store).write(&before).await.unwrap(),
            "what was folded while the stream was set aside is outdated"
        );
        let of_two =
            Change { parked: vec![Parked { stream: "t".to_owned(), ..parked(4) }], ..change(&store, 0, 4, &[]).await };
        assert!(live(&store).write(&of_two).await.unwrap());
        drop(store);
        let store = opened(place, log(1), 10, 1).await;
        let SetAside { parked, skipped: left_out } = live(&store).set_aside();
        assert_eq!(
            (parked.into_keys().collect::<Vec<_>>(), left_out),
            (vec!["t".to_owned()], BTreeMap::from([("s".to_owned(), vec![skipped])]))
        );
    }
}

#[tokio::test]
async fn frozen_rows_are_of_one_moment_and_in_the_order_of_their_keys() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        let rows =
            [counter("b", 10, 1), counter("b", 9, 1), counter("a", 2, 2), counter("é", 1, 1), counter("Z", 1, 1)];
        assert!(live(&store).write(&change(&store, 0, 3, &rows).await).await.unwrap());
        let mut frozen = store.generations("counters").freeze(1).await.unwrap();
        assert!(live(&store).write(&change(&store, 0, 4, &[counter("c", 1, 1)]).await).await.unwrap());
        assert_eq!(frozen.checkpoints()[0].position, Position(3));
        let mut read: Vec<(Key, Value)> = Vec::new();
        loop {
            let after = read.last().map(|(key, _)| key.clone());
            let page = frozen.rows(after.as_ref(), 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        let keys: Vec<_> = read.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(
            keys,
            [
                vec![json!("Z"), json!(1)],
                vec![json!("a"), json!(2)],
                vec![json!("b"), json!(9)],
                vec![json!("b"), json!(10)],
                vec![json!("é"), json!(1)]
            ]
        );
        assert!(keys.windows(2).all(|two| crate::view_store::compare_keys(&two[0], &two[1]).is_lt()));
        assert_eq!(read[1].1, json!(counter("a", 2, 2)));
    }
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_written() {
    for place in &places().await {
        let store = opened(place, log(1), 10, 1).await;
        let texts = ["", "plain", " \"quoted\" \\ and ' ", "{\"n\": 1}", "null", "\u{1}\u{7f}\n\t", "书📚é", "\\u0000"];
        let rows: Vec<_> = (0..)
            .zip(texts)
            .map(|(place, text)| Counter { note: Some(text.to_owned()), ..counter(text, place, i64::MIN + place) })
            .chain([counter("none", 0, 0)])
            .collect();
        let mut written = change(&store, 0, 3, &rows).await;
        written.tally = Tally { events: u64::MAX, digest: u64::MAX - 1 };
        assert!(live(&store).write(&written).await.unwrap());
        assert_eq!(live(&store).checkpoints().await.unwrap()[0].tally, written.tally);
        let keys: Vec<Key> = rows.iter().map(|row| vec![json!(row.id), json!(row.place)]).collect();
        let mut loaded = live(&store).load(&keys.iter().collect::<Vec<_>>()).await.unwrap();
        loaded.sort_by_key(|row| row["place"].as_i64().unwrap() + i64::from(row["note"].is_null()) * 100);
        assert_eq!(loaded, written.upserts);
        let mut read = all(&store).await.rows;
        read.sort_by_key(|row| row.place + i64::from(row.note.is_none()) * 100);
        assert_eq!(read, rows);
        let deletes = Change { deletes: keys, ..change(&store, 0, 4, &[]).await };
        assert!(live(&store).write(&deletes).await.unwrap());
        assert_eq!(all(&store).await, rows_at(4, &[]));
    }
}
