//! Facts about partitions: none overlaps another, and none leaves a gap.

use super::*;
use crate::event_log::{BodyHash, CommandId, Envelope, EventId, Revision, StreamId};
use crate::seam::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

const LOG: LogId = LogId(Uuid::from_u128(1));

fn event(stream: u8, position: u64) -> RecordedEvent {
    let command_id = CommandId(Uuid::from_u128(u128::from(position)));
    let envelope = Envelope {
        id: EventId::of(command_id, 0),
        command_id,
        body_hash: BodyHash([0; 32]),
        event_type: "Happened".to_owned(),
        version: 1,
        recorded_at: Timestamp(0),
        traceparent: String::new(),
    };
    RecordedEvent {
        stream: StreamId::new(&format!("stream-{stream}")),
        revision: Revision(1),
        position: Position(position),
        envelope,
        data: "{}".into(),
        previous_checksum: 0,
        checksum: position,
    }
}

proptest! {
    /// Whoever takes what fits, partition by partition, has taken every event once and in order, and stands at the end
    /// in each of them; also if a batch is cut in two, and if an earlier one, cut elsewhere, comes again in between.
    #[test]
    fn deliveries_of_partitions_add_up_to_the_log(
        streams in prop::collection::vec(0..20_u8, 0..60),
        beyond in 0..3_u64,
        cut in 0..63_u64,
        again in 0..63_u64,
        partitions in 1..8_u16,
    ) {
        let events: Vec<_> = (1..).zip(&streams).map(|(position, stream)| event(*stream, position)).collect();
        let to = events.len() as u64 + beyond;
        let (cut, again) = (cut.min(to), again.min(to));
        let batch = |after: u64, to: u64| {
            let within = |event: &&RecordedEvent| event.position.0 > after && event.position.0 <= to;
            let events = events.iter().filter(within).cloned().collect();
            Delivery::of_partitions(LOG, Position(after), Position(to), events, partitions)
        };
        let mut checkpoints: Vec<_> =
            (0..partitions).map(|partition| Checkpoint::start(LOG, "books".to_owned(), partition)).collect();
        let mut taken = vec![Vec::new(); usize::from(partitions)];
        for delivery in [batch(0, cut), batch(again.min(cut), again.max(cut)), batch(0, again), batch(cut, to)].concat() {
            let number = usize::from(delivery.partition);
            match checkpoints[number].fit(&delivery) {
                Fit::Next => {
                    checkpoints[number].position = delivery.position;
                    taken[number].extend(delivery.event);
                }
                Fit::Behind => {}
                Fit::Ahead => prop_assert!(false, "a gap before {delivery:?}"),
            }
        }
        for (number, taken) in (0..).zip(&taken) {
            prop_assert_eq!(checkpoints[usize::from(number)].position, Position(to));
            let mine = |event: &&RecordedEvent| partition::partition(event.stream.as_str(), partitions) == number;
            prop_assert!(events.iter().filter(mine).eq(taken));
        }
    }

    #[test]
    fn one_partition_is_the_whole_log(streams in prop::collection::vec(0..20_u8, 0..60)) {
        let events: Vec<_> = (8..).zip(&streams).map(|(position, stream)| event(*stream, position)).collect();
        let to = Position(7 + events.len() as u64);
        let deliveries = Delivery::of_partitions(LOG, Position(7), to, events.clone(), 1);
        prop_assert_eq!(deliveries, Delivery::of_whole_log(LOG, Position(7), events));
    }
}
