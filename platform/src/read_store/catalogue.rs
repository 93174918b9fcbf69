//! Rows of the catalogue, as both databases keep them: what they mean.

use crate::bus::{Checkpoint, Tally};
use crate::event_log::{LogId, Position};
use crate::view_store::{Parked, SetAside, Skipped, Stage};

/// Partition, position, events, digest, how often amended.
pub(super) type CheckpointRow = (i64, i64, i64, i64, i64);

/// Stream, partition, revision, position, reason.
pub(super) type ParkedRow = (String, i64, i64, i64, String);

/// Stream, revision, position, reason.
pub(super) type SkippedRow = (String, i64, i64, String);

/// How far a table has come in a partition.
pub(super) fn checkpoint(log: LogId, table: &str, row: CheckpointRow) -> Checkpoint {
    let (partition, position, events, digest, amended) = row;
    Checkpoint {
        log,
        table: table.to_owned(),
        partition: number(partition),
        position: Position(position.cast_unsigned()),
        tally: Tally { events: events.cast_unsigned(), digest: digest.cast_unsigned() },
        amended: amended.cast_unsigned(),
    }
}

/// What a table has set aside.
pub(super) fn set_aside(parked: Vec<ParkedRow>, skipped: Vec<SkippedRow>) -> SetAside {
    let mut set_aside = SetAside::default();
    for (stream, partition, revision, position, reason) in parked {
        let (revision, position) = (revision.cast_unsigned(), position.cast_unsigned());
        let parked = Parked { stream: stream.clone(), partition: number(partition), revision, position, reason };
        set_aside.parked.insert(stream, parked);
    }
    for (stream, revision, position, reason) in skipped {
        let (revision, position) = (revision.cast_unsigned(), position.cast_unsigned());
        let event = Skipped { stream: stream.clone(), revision, position, reason };
        set_aside.skipped.entry(stream).or_default().push(event);
    }
    set_aside
}

/// The stage of this name.
pub(super) fn stage(name: &str) -> Option<Stage> {
    [Stage::Building, Stage::Built, Stage::Live, Stage::Kept].into_iter().find(|stage| stage.name() == name)
}

fn number(partition: i64) -> u16 {
    u16::try_from(partition).expect("partitions are numbered as u16")
}
