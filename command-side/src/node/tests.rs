//! Nodes over one log whose writer changes: nobody notices, and a writer that lost its lease unawares says nothing.

mod cluster;
mod load;

use super::*;
use crate::commands::Refusal;
use crate::dispatcher::tests::{adjust, name, request};
use crate::wire::v1;
use cluster::{Cluster, SECRET, SENDER, within};
use domain::stock::{self, Copies};
use domain::{Rejection, State};
use platform::event_log::{BodyHash, Position};
use std::time::Duration;
use tokio::net::TcpListener;

fn on_hand(loaded: &Loaded) -> u64 {
    let State::Stock(stock) = loaded.state.as_ref() else { panic!("not a stock") };
    stock.figures().on_hand
}

#[tokio::test]
async fn whatever_node_is_asked_the_answer_is_the_writers() {
    let cluster = Cluster::of(2).await;
    cluster.elect(0).await;
    let [writer, other] = [cluster.node(0), cluster.node(1)];
    assert_eq!((other.is_writer(), *writer.writing().borrow()), (false, Some(Epoch(1))));

    let accepted = other.send(adjust(1, 1, 10)).await.unwrap();
    let loaded = accepted.outcome.clone().unwrap();
    assert_eq!((on_hand(&loaded), loaded.revision, accepted.position), (10, Revision(1), Position(1)));
    assert_eq!(writer.send(adjust(1, 1, 10)).await.unwrap(), accepted, "a repeat, to the other node");

    let refused = other.send(adjust(2, 1, -11)).await.unwrap();
    let not_enough = stock::Rejection::NotEnoughStock { available: 10, requested: 11 };
    assert_eq!(refused.outcome, Err(Refusal::Rejected(Rejection::Stock(not_enough))));
    assert_eq!(refused.position, Position(1));

    let outdated = other.send(Request { if_match: Some(Revision(0)), ..adjust(3, 1, 1) }).await.unwrap();
    assert_eq!(outdated.outcome, Err(Refusal::Outdated(Revision(1))));
    let reused = other.send(Request { body_hash: BodyHash([1; 32]), ..adjust(1, 1, 10) }).await.unwrap();
    assert_eq!((reused.outcome, reused.position), (Err(Refusal::KeyReused), Position(1)));
    let misdirected = Request { stream: StreamId::new("book-00000000-0000-0000-0000-000000000001"), ..adjust(4, 1, 1) };
    assert_eq!(other.send(misdirected).await.unwrap().outcome, Err(Refusal::Rejected(Rejection::Misdirected)));

    let streams = || vec![name(2), name(1)];
    let found = other.peek(Lane::System, streams()).await.unwrap();
    assert_eq!(found, writer.peek(Lane::Customer, streams()).await.unwrap());
    assert_eq!(found.iter().map(|loaded| loaded.revision.0).collect::<Vec<_>>(), [0, 1]);

    let following = other.clone();
    let followed = tokio::spawn(async move { following.follow(name(1), Revision(1)).await });
    writer.send(adjust(5, 1, 5)).await.unwrap();
    let followed = within("the follower is told", followed).await.unwrap().unwrap();
    assert_eq!((on_hand(&followed.outcome.unwrap()), followed.position), (15, Position(2)));
    let traced =
        Request { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(), ..adjust(6, 1, 1) };
    other.send(traced.clone()).await.unwrap();
    assert_eq!(cluster.events().await.pop().unwrap().envelope.traceparent, traced.traceparent);
    cluster.stop().await;
}

#[tokio::test]
async fn a_success_whose_answer_was_lost_is_no_outdated_precondition() {
    let cluster = Cluster::of(2).await;
    cluster.elect(0).await;
    let first = Request { if_match: Some(Revision(0)), ..adjust(1, 1, 10) };
    let success = cluster.node(1).send(first.clone()).await.unwrap();
    cluster.node(1).send(adjust(2, 1, 1)).await.unwrap();
    assert_eq!(cluster.node(1).send(first.clone()).await.unwrap(), success, "by the same writer");
    cluster.elect(1).await;
    assert_eq!(cluster.node(0).send(first).await.unwrap(), success, "and by the next");
    let count = stock::Command::Count { on_hand: Copies::new(3).unwrap(), taken_at: 2 };
    let count = Request { if_match: Some(Revision(2)), ..request(3, 1, count) };
    let counted = cluster.node(0).send(count.clone()).await.unwrap();
    assert!(counted.outcome.is_ok());
    assert_eq!(cluster.node(0).send(count).await.unwrap(), counted);
    cluster.stop().await;
}

#[tokio::test]
async fn who_lost_the_lease_unawares_neither_appends_nor_answers() {
    let cluster = Cluster::of(2).await;
    cluster.elect(0).await;
    let old = cluster.node(0).under(Epoch(1));
    old.send(adjust(1, 1, 10)).await.unwrap().outcome.unwrap();
    cluster.depose_unawares(0, 1).await;
    let taken = cluster.node(1).send(adjust(2, 1, -10)).await.unwrap();
    assert_eq!(on_hand(&taken.outcome.unwrap()), 0);

    // It has ten copies in memory, and its dispatcher is alive.
    assert!(cluster.node(0).is_writer());
    assert_eq!(old.peek(Lane::Customer, vec![name(1)]).await, Err(Unavailable::NoWriter));
    assert_eq!(old.follow(name(1), Revision(0)).await, Err(Unavailable::NoWriter));
    let asked = cluster.node(0).clone();
    let patient = tokio::spawn(async move { asked.peek(Lane::Customer, vec![name(1)]).await });

    // A refusal that rests on what it believes: there are no eleven copies. The log says that its time is over.
    assert_eq!(old.send(adjust(3, 1, -11)).await, Err(Unavailable::Log));
    cluster.until("node 0 knows", || !cluster.node(0).is_writer()).await;
    assert_eq!(old.send(adjust(4, 1, -10)).await, Err(Unavailable::NoWriter));
    assert_eq!(cluster.events().await.len(), 2);
    assert!(!patient.is_finished(), "the new writer is not known yet");
    cluster.inform(0, 1).await;
    let found = within("the peek is answered by the new writer", patient).await.unwrap().unwrap();
    assert_eq!((on_hand(&found[0]), found[0].revision), (0, Revision(2)));
    cluster.stop().await;
}

#[tokio::test]
async fn an_append_of_a_writer_that_lost_the_lease_unawares_is_not_in_the_log() {
    let cluster = Cluster::of(2).await;
    cluster.elect(0).await;
    let old = cluster.node(0).under(Epoch(1));
    old.send(adjust(1, 1, 10)).await.unwrap().outcome.unwrap();
    cluster.depose_unawares(0, 1).await;
    assert_eq!(old.send(adjust(2, 1, -10)).await, Err(Unavailable::Log));
    assert_eq!(cluster.events().await.len(), 1);
    // Who asked the node, not its lost term, is answered by the new writer.
    let asked = cluster.node(0).clone();
    let sent = tokio::spawn(async move { asked.send(adjust(3, 1, -10)).await });
    cluster.inform(0, 1).await;
    let answer = within("the command is sent again", sent).await.unwrap().unwrap();
    assert_eq!(on_hand(&answer.outcome.unwrap()), 0);
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_sent_in_one_term_takes_no_effect_in_a_later_one() {
    let cluster = Cluster::of(2).await;
    cluster.elect(0).await;
    let first_term = cluster.node(0).under(Epoch(1));
    let Ok(delayed) = cluster.peers().at(cluster.address(0), Epoch(1)) else { panic!("it is an address") };
    first_term.send(adjust(1, 1, 10)).await.unwrap().outcome.unwrap();
    cluster.elect(1).await;
    cluster.elect(0).await;
    assert_eq!(first_term.send(adjust(2, 1, -1)).await, Err(Unavailable::NoWriter));
    assert_eq!(first_term.peek(Lane::System, vec![name(1)]).await, Err(Unavailable::NoWriter));
    assert_eq!(delayed.send(adjust(2, 1, -1)).await, Err(Unavailable::NoWriter));
    assert_eq!(delayed.peek(Lane::System, vec![name(1)]).await, Err(Unavailable::NoWriter));
    assert_eq!(delayed.follow(name(1), Revision(0)).await, Err(Unavailable::NoWriter));
    assert!(delayed.under(Epoch(3)).send(adjust(2, 1, -1)).await.unwrap().outcome.is_ok());
    cluster.stop().await;
}

#[tokio::test]
async fn an_attempt_that_was_given_up_takes_no_effect_after_the_next_one() {
    let cluster = Cluster::of(1).await;
    cluster.elect(0).await;
    let no_writer = Some(v1::answer::Outcome::Unavailable(v1::Unavailable::NoWriter.into()));
    // The second attempt overtakes the first one, and is refused: the first must not be accepted then.
    let second = cluster.attempt(0, Epoch(1), 1, adjust(1, 1, -1)).await;
    assert!(matches!(second.outcome, Some(v1::answer::Outcome::Rejection(_))), "{second:?}");
    assert!(cluster.node(0).send(adjust(2, 1, 1)).await.unwrap().outcome.is_ok());
    assert_eq!(cluster.attempt(0, Epoch(1), 0, adjust(1, 1, -1)).await.outcome, no_writer);
    assert_eq!(cluster.events().await.len(), 1);
    let third = cluster.attempt(0, Epoch(1), 1, adjust(1, 1, -1)).await;
    assert_eq!(third.outcome, Some(v1::answer::Outcome::Revision(2)));
    cluster.stop().await;
}

#[tokio::test]
async fn whoever_gives_up_an_attempt_begins_another_session() {
    let cluster = Cluster::of(1).await;
    cluster.elect(0).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let peers = cluster.peers();
    let (Ok(gone), Ok(there)) = (peers.at(&gone, Epoch(1)), peers.at(cluster.address(0), Epoch(1))) else {
        panic!("they are addresses")
    };
    assert_eq!(gone.send(adjust(1, 1, 1)).await, Err(Unavailable::NoWriter));
    assert_eq!(peers.session(), 1);
    assert!(there.send(adjust(1, 1, 1)).await.unwrap().outcome.is_ok());
    assert!(there.send(adjust(2, 1, -2)).await.unwrap().outcome.is_err());
    assert_eq!(peers.session(), 1, "an answer is no loss");
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_that_is_not_the_writer_hands_nothing_on() {
    let cluster = Cluster::of(3).await;
    cluster.elect(0).await;
    // Whoever believes in node 1, which knows better and could hand on.
    let Ok(wrong) = cluster.peers().at(cluster.address(1), Epoch(1)) else { panic!("it is an address") };
    assert_eq!(wrong.send(adjust(1, 1, 1)).await, Err(Unavailable::NoWriter));
    cluster.inform(2, 1).await;
    let asked = cluster.node(2).clone();
    let sent = tokio::spawn(async move { asked.send(adjust(1, 1, 1)).await });
    assert_eq!(cluster.events().await, []);
    cluster.inform(2, 0).await;
    within("it asks the writer", sent).await.unwrap().unwrap().outcome.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn who_knows_no_writer_waits_for_one_and_not_for_ever() {
    let cluster = Cluster::with(1, Duration::from_millis(300)).await;
    assert_eq!(cluster.node(0).send(adjust(1, 1, 1)).await, Err(Unavailable::NoWriter));
    assert_eq!(cluster.node(0).peek(Lane::System, vec![name(1)]).await, Err(Unavailable::NoWriter));
    assert_eq!(cluster.node(0).follow(name(1), Revision(0)).await, Err(Unavailable::NoWriter));
    let asked = cluster.node(0).clone();
    let sent = tokio::spawn(async move { asked.send(adjust(1, 1, 1)).await });
    cluster.elect(0).await;
    within("there is a writer", sent).await.unwrap().unwrap().outcome.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_writer_that_is_silent_is_not_waited_for_once_there_is_another() {
    let cluster = Cluster::of(1).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    cluster.tell(0, Standing::Theirs { address, epoch: Epoch(1) });
    let asked = cluster.node(0).clone();
    let sent = tokio::spawn(async move { asked.send(adjust(1, 1, 1)).await });
    let connection = within("it connects", silent.accept()).await.unwrap();
    assert!(!sent.is_finished());
    let begun = Instant::now();
    cluster.elect(0).await;
    within("it is decided here", sent).await.unwrap().unwrap().outcome.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "it waited until the connection was given up");
    drop(connection);
    cluster.stop().await;
}

#[tokio::test]
async fn only_nodes_are_served() {
    let cluster = Cluster::of(1).await;
    cluster.elect(0).await;
    let foreign = Peers::new(
        SENDER,
        cluster.log(),
        None,
        Secret::parse(&SECRET.replace('0', "1")).unwrap(),
        Duration::from_secs(10),
    );
    let Ok(foreign) = foreign.at(cluster.address(0), Epoch(1)) else { panic!("it is an address") };
    assert_eq!(foreign.send(adjust(1, 1, 1)).await, Err(Unavailable::NoWriter));
    assert_eq!(foreign.peek(Lane::System, vec![name(1)]).await, Err(Unavailable::NoWriter));
    assert_eq!(foreign.follow(name(1), Revision(0)).await, Err(Unavailable::NoWriter));
    assert_eq!(cluster.events().await, []);
    assert_eq!(cluster.unauthenticated().await, tonic::Code::Unauthenticated);
    let Ok(known) = cluster.peers().at(cluster.address(0), Epoch(1)) else { panic!("it is an address") };
    assert!(known.send(adjust(1, 1, 1)).await.unwrap().outcome.is_ok());
    cluster.stop().await;
}

#[tokio::test]
async fn a_stopping_writer_answers_what_it_has() {
    let cluster = Cluster::of(1).await;
    cluster.elect(0).await;
    let held = cluster.hold().await;
    let asked = cluster.node(0).clone();
    let sent = tokio::spawn(async move { asked.send(adjust(1, 1, 1)).await });
    cluster.until("it is with the log", || cluster.appends_begun() > 0).await;
    let node = cluster.node(0).clone();
    let stopping = tokio::spawn(cluster.stop());
    while node.is_writer() {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.send(adjust(2, 2, 1)).await, Err(Unavailable::Stopping));
    drop(held);
    within("it is answered", sent).await.unwrap().unwrap().outcome.unwrap();
    within("it stops", stopping).await.unwrap();
}
