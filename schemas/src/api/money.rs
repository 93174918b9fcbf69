//! Money in bodies.

use crate::http::object::Object;
use domain::invalid::Invalid;
use domain::money::{self, Currency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Object<Fields>")]
pub struct Money {
    /// Minor units of the currency (cents, fen), 0 … 2^53−1.
    #[schema(example = 4200, maximum = 9007199254740991_u64)]
    pub amount: u64,
    /// ISO 4217 code in capitals.
    #[schema(example = "CNY")]
    pub currency: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    amount: u64,
    currency: String,
}

impl From<Object<Fields>> for Money {
    fn from(Object(Fields { amount, currency }): Object<Fields>) -> Self {
        Self { amount, currency }
    }
}

impl From<&money::Money> for Money {
    fn from(money: &money::Money) -> Self {
        Self { amount: money.amount(), currency: money.currency().code().to_owned() }
    }
}

impl TryFrom<Money> for money::Money {
    type Error = Invalid;

    fn try_from(Money { amount, currency }: Money) -> Result<Self, Invalid> {
        Self::new(amount, Currency::parse(&currency)?)
    }
}
