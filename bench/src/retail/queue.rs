//! Which invoice is next: in order of time, but a customer's never before the one before it is done.

use super::file::Invoice;
use super::ledger::Purchase;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// The invoices that are not begun, and what customers bought so far.
pub(crate) struct Queue<'a> {
    invoices: &'a [Invoice],
    /// By an invoice's place: its customer's next.
    next: Vec<Option<usize>>,
    /// Places of those that wait for nothing.
    ready: BinaryHeap<Reverse<usize>>,
    /// By customer, while none of his invoices is under way.
    bought: HashMap<&'a str, Vec<Purchase>>,
    /// By guests, who never come again.
    bought_by_guests: Vec<Purchase>,
}

impl<'a> Queue<'a> {
    /// All invoices.
    pub(crate) fn new(invoices: &'a [Invoice]) -> Self {
        let mut next = vec![None; invoices.len()];
        let mut ready = BinaryHeap::new();
        let mut latest = HashMap::new();
        for (place, invoice) in invoices.iter().enumerate() {
            match invoice.customer.as_deref().and_then(|customer| latest.insert(customer, place)) {
                Some(before) => next[before] = Some(place),
                None => ready.push(Reverse(place)),
            }
        }
        Self { invoices, next, ready, bought: HashMap::new(), bought_by_guests: Vec::new() }
    }

    /// Begins the oldest invoice that waits for nothing: its place, and what its customer bought before.
    pub(crate) fn begin(&mut self) -> Option<(usize, Vec<Purchase>)> {
        let Reverse(place) = self.ready.pop()?;
        let customer = self.invoices[place].customer.as_deref();
        let bought = customer.and_then(|customer| self.bought.remove(customer)).unwrap_or_default();
        Some((place, bought))
    }

    /// Ends it; `bought` is what its customer has bought now.
    pub(crate) fn end(&mut self, place: usize, bought: Vec<Purchase>) {
        match &self.invoices[place].customer {
            Some(customer) => {
                self.bought.insert(customer, bought);
            }
            None => self.bought_by_guests.extend(bought),
        }
        self.ready.extend(self.next[place].map(Reverse));
    }

    /// Everything that anybody bought.
    pub(crate) fn into_purchases(self) -> Vec<Purchase> {
        self.bought.into_values().flatten().chain(self.bought_by_guests).collect()
    }
}
