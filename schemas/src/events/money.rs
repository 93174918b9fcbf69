//! Money in stored events.

use domain::invalid::Invalid;
use domain::money::{Currency, Money};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoneyV1 {
    amount: u64,
    currency: String,
}

impl From<&Money> for MoneyV1 {
    fn from(money: &Money) -> Self {
        Self { amount: money.amount(), currency: money.currency().code().to_owned() }
    }
}

impl MoneyV1 {
    pub(crate) fn read(self) -> Result<Money, Invalid> {
        Money::new(self.amount, Currency::parse(&self.currency)?)
    }
}
