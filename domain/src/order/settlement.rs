//! The money of an order: what came, which of it pays the order, and what went back.

use crate::invalid::Invalid;
use crate::money::{Currency, MAX_AMOUNT, Money};
use std::collections::{BTreeMap, BTreeSet};

/// The payment provider's own name of a payment: 1–128 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(String);

impl PaymentId {
    /// Fails on other characters and lengths.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let fits = (1..=128).contains(&input.len()) && input.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if fits { Ok(Self(input.to_owned())) } else { Err(Invalid::PaymentId) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a payment went, as the provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The customer was charged this.
    Succeeded(Money),
    /// The customer was not charged.
    Failed,
}

/// What came and what went back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settlement {
    payments: BTreeMap<PaymentId, Payment>,
    failed: BTreeSet<PaymentId>,
    /// The payment that pays the order.
    taken: Option<PaymentId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Payment {
    amount: Money,
    refunded: u64,
}

impl Settlement {
    /// Whether this payment was recorded with this outcome: a payment may fail first and succeed then.
    pub fn knows(&self, payment: &PaymentId, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Succeeded(_) => self.payments.contains_key(payment),
            Outcome::Failed => self.failed.contains(payment),
        }
    }

    /// The payment that pays the order, and what of it has not gone back.
    pub fn taken(&self) -> Option<(&PaymentId, Money)> {
        let id = self.taken.as_ref()?;
        let Payment { amount, refunded } = self.payments[id];
        let left = Money::new(amount.amount() - refunded, amount.currency()).expect("a part of an amount is an amount");
        Some((id, left))
    }

    /// All that went back in this currency, payments that were not taken included.
    pub fn refunded(&self, currency: Currency) -> Money {
        let own = self.payments.values().filter(|payment| payment.amount.currency() == currency);
        let sum = own.map(|payment| payment.refunded).fold(0, u64::saturating_add);
        Money::new(sum.min(MAX_AMOUNT), currency).expect("the amount is cut to its bound")
    }

    pub(super) fn record(&mut self, payment: &PaymentId, outcome: Outcome, taken: bool) {
        match outcome {
            Outcome::Failed => {
                self.failed.insert(payment.clone());
            }
            Outcome::Succeeded(amount) => {
                self.payments.insert(payment.clone(), Payment { amount, refunded: 0 });
                if taken {
                    self.taken = Some(payment.clone());
                }
            }
        }
    }

    pub(super) fn refund(&mut self, payment: &PaymentId, amount: Money) {
        if let Some(payment) = self.payments.get_mut(payment) {
            payment.refunded += amount.amount();
        }
    }
}
