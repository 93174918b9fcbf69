//! The row of a purchase for which something is due, now or later.

use super::{Row, TableRow};
use crate::api::order::Status;
use domain::order;
use domain::order::holds::Stage;
use domain::purchase;
use domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// A purchase that goes on: by itself, or when its deadline passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PurchaseRow {
    /// Which order's it is.
    pub order_id: String,
    /// When to look at it, in microseconds since 1970: the past, if a step waits for its answer.
    pub due_at: i64,
    /// When the order has to be paid, in microseconds since 1970.
    pub pay_by: i64,
    /// The order's status, as in the API.
    pub status: String,
    /// How far its copies are: asked, held, ended.
    pub stage: String,
    /// How many books it is of.
    pub books: i64,
    /// Returns that the stocks have not answered.
    pub returns: i64,
    /// How many events the order has.
    pub revision: i64,
}

impl Row for PurchaseRow {
    const NAME: &'static str = "purchases";
    const KEY: &'static [&'static str] = &["order_id"];
}

impl TableRow for PurchaseRow {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("order_id", "TEXT"),
        ("due_at", "BIGINT"),
        ("pay_by", "BIGINT"),
        ("status", "TEXT"),
        ("stage", "TEXT"),
        ("books", "BIGINT"),
        ("returns", "BIGINT"),
        ("revision", "BIGINT"),
    ];
    const INDEXES: &'static [&'static [&'static str]] = &[&["due_at"]];
}

impl PurchaseRow {
    /// The row with when it is due now; none if nothing will ever be due without another event.
    pub fn settled(mut self, stage: Stage, status: order::Status, recorded_at: i64) -> Option<Self> {
        let stepping = purchase::due(stage, status).is_some() || self.returns > 0;
        self.due_at = match status {
            _ if stepping => recorded_at,
            order::Status::AwaitingPayment => self.pay_by,
            _ => return None,
        };
        Status::from(status).name().clone_into(&mut self.status);
        stage_name(stage).clone_into(&mut self.stage);
        Some(self)
    }

    /// How far the order's copies are; fails only on a row that this type did not write.
    pub fn stage(&self) -> Option<Stage> {
        [Stage::Asked, Stage::Held, Stage::Ended].into_iter().find(|stage| stage_name(*stage) == self.stage)
    }

    /// When it is due.
    pub fn due_at(&self) -> Timestamp {
        Timestamp(self.due_at)
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Asked => "asked",
        Stage::Held => "held",
        Stage::Ended => "ended",
    }
}
