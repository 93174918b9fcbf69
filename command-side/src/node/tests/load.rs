//! The writer changes again and again while many act: each command takes effect once, and nobody is told otherwise.

use super::*;
use domain::order::OrderId;
use platform::event_log::{CommandId, RecordedEvent};
use std::collections::HashMap;
use tokio::task::JoinSet;
use uuid::Uuid;

const CLIENTS: u128 = 64;

/// Has the lease go back and forth, now given back, now lost unawares, until all is done; returns how often.
async fn flip(cluster: &Cluster, acting: &mut JoinSet<()>) -> u32 {
    let mut flips = 0;
    let mut turn = tokio::time::interval(Duration::from_millis(100));
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    cluster.elect(0).await;
    loop {
        tokio::select! {
            acted = acting.join_next() => match acted {
                Some(acted) => acted.unwrap(),
                None => return flips,
            },
            _ = turn.tick() => {
                let (old, new) = ((flips % 2) as usize, ((flips + 1) % 2) as usize);
                if flips % 3 == 0 {
                    cluster.depose_unawares(old, new).await;
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    cluster.inform(old, new).await;
                } else {
                    cluster.grant(new).await;
                }
                flips += 1;
            }
        }
    }
}

/// Every event by its command; no command is there twice.
fn by_command(events: &[RecordedEvent]) -> HashMap<CommandId, &RecordedEvent> {
    let all: HashMap<_, _> = events.iter().map(|event| (event.envelope.command_id, event)).collect();
    assert_eq!(all.len(), events.len(), "a command took effect twice");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_adjustment_is_made_once_while_the_writer_changes() {
    const EACH: u128 = 20;
    let cluster = Cluster::of(2).await;
    let mut acting = JoinSet::new();
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for client in 0..CLIENTS {
        let nodes = [cluster.node(0).clone(), cluster.node(1).clone()];
        let told = told.clone();
        acting.spawn(async move {
            let own_stock = 100 + client;
            for n in 0..EACH {
                let id = 1 + client * 1_000 + n;
                // To the stock of all; then, where the revision matters, to a stock of the client's own.
                let shared = nodes[(client % 2) as usize].send(adjust(2 * id, 1, 1)).await.unwrap();
                let if_match = Some(Revision(n as u64));
                let own = Request { if_match, ..adjust(2 * id + 1, own_stock, 1) };
                let own = nodes[(n % 2) as usize].send(own).await.unwrap();
                let written = shared.outcome.as_ref().unwrap().revision;
                assert_eq!(own.outcome.as_ref().unwrap().revision.0, n as u64 + 1, "nobody else writes there");
                // What was answered binds whoever asks next, whichever node is asked.
                let seen = nodes[((client + n) % 2) as usize].peek(Lane::Customer, vec![name(1), name(own_stock)]);
                let seen = seen.await.unwrap();
                assert!(seen[0].revision >= written && seen[1].revision.0 == n as u64 + 1, "a peek is behind");
                told.send((2 * id, shared)).unwrap();
                told.send((2 * id + 1, own)).unwrap();
            }
        });
    }
    drop(told);
    let flips = flip(&cluster, &mut acting).await;
    let events = cluster.events().await;
    let mut by_command = by_command(&events);
    while let Some((id, Answer { outcome, position })) = answers.recv().await {
        let event = by_command.remove(&CommandId(Uuid::from_u128(id))).expect("what was acknowledged is in the log");
        let loaded = outcome.expect("there is nothing to refuse");
        assert_eq!((loaded.revision, position), (event.revision, event.position));
        assert_eq!(on_hand(&loaded), event.revision.0);
    }
    assert_eq!(by_command.len(), 0, "all was acknowledged");
    assert_eq!(events.len() as u128, 2 * CLIENTS * EACH);
    assert!(flips > 10, "the writer changed only {flips} times");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_copy_is_sold_twice_while_the_writer_changes() {
    const COPIES: usize = 50;
    const BOOKS: u128 = 20;
    let cluster = Cluster::of(2).await;
    let mut acting = JoinSet::new();
    let sold = Arc::new(std::sync::Mutex::new(Vec::new()));
    let opened = Arc::new(tokio::sync::Barrier::new(CLIENTS as usize));
    for buyer in 0..CLIENTS {
        let node = cluster.node((buyer % 2) as usize).clone();
        let (sold, opened) = (Arc::clone(&sold), Arc::clone(&opened));
        acting.spawn(async move {
            for book in 0..BOOKS {
                if buyer == 0 {
                    node.send(adjust(1 + book, book, COPIES as i64)).await.unwrap().outcome.unwrap();
                }
                opened.wait().await;
                let id = 1_000 + book * 1_000 + buyer;
                let order = OrderId::from(Uuid::from_u128(id));
                let reserve = stock::Command::Reserve { order, copies: Copies::new(1).unwrap() };
                match node.send(request(id, book, reserve)).await.unwrap().outcome {
                    Ok(_) => sold.lock().unwrap().push(id),
                    Err(Refusal::Rejected(Rejection::Stock(stock::Rejection::NotEnoughStock {
                        available: 0, ..
                    }))) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    let flips = flip(&cluster, &mut acting).await;
    let events = cluster.events().await;
    let by_command = by_command(&events);
    let sold = std::mem::take(&mut *sold.lock().unwrap());
    assert_eq!(sold.len(), COPIES * BOOKS as usize, "all copies are sold");
    assert_eq!(events.len(), (COPIES + 1) * BOOKS as usize, "and nothing more, whoever was told so");
    for id in &sold {
        assert!(by_command.contains_key(&CommandId(Uuid::from_u128(*id))), "what was acknowledged is in the log");
    }
    assert!(flips > 5, "the writer changed only {flips} times");
    cluster.stop().await;
}
