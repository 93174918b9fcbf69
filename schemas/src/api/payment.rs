//! The body that the payment provider sends.

use super::money::Money;
use domain::invalid::Invalid;
use domain::order::Command;
use domain::order::settlement::{self, PaymentId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How a payment went.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentCallback {
    /// The provider's own name of the payment, 1–128 printable ASCII characters.
    #[schema(example = "pay_2f8c", min_length = 1, max_length = 128)]
    pub payment_id: String,
    /// The order that it was made for.
    pub order_id: Uuid,
    /// How it went.
    pub outcome: Outcome,
    /// What the customer was charged; of a failed payment it says nothing and may be absent.
    #[serde(default)]
    pub amount: Option<Money>,
}

/// How a payment went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentOutcome)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The customer was charged.
    Succeeded,
    /// The customer was not charged.
    Failed,
}

impl TryFrom<PaymentCallback> for Command {
    type Error = Invalid;

    fn try_from(callback: PaymentCallback) -> Result<Self, Invalid> {
        let payment = PaymentId::parse(&callback.payment_id)?;
        let outcome = match callback.outcome {
            Outcome::Succeeded => settlement::Outcome::Succeeded(callback.amount.ok_or(Invalid::Amount)?.try_into()?),
            Outcome::Failed => settlement::Outcome::Failed,
        };
        Ok(Self::RecordPayment { payment, outcome })
    }
}

/// The callback was taken in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PaymentRecorded {}
