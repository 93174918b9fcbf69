//! One invoice from its first request to its last.

use super::client::{Answer, Client};
use super::file::{Invoice, Movement};
use super::ledger::{Book, Purchase};
use super::tally::Kind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Lines that one order may have.
const LINES_MAX: usize = 1_000;
/// How long the stock may take to be decided.
const DECISION_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// What became of an invoice.
#[derive(Default)]
pub(crate) struct Outcome {
    /// What the customer has bought now, oldest first.
    pub(crate) bought: Vec<Purchase>,
    /// Orders among them that this invoice placed.
    pub(crate) orders: u64,
    /// Accepted adjustments: the book's place, and copies more or fewer.
    pub(crate) adjusted: Vec<(usize, i64)>,
    /// Answers that nobody expects.
    pub(crate) complaints: Vec<String>,
    /// Lines that come back without a sale that they could come back from.
    pub(crate) unmatched: u64,
    /// Adjustments of products that are never sold.
    pub(crate) unmapped: u64,
    /// Adjustments that were refused, as there were too few copies.
    pub(crate) refused: u64,
}

/// The key of each order that an invoice makes, with its lines.
pub(crate) fn orders(invoice: &Invoice) -> impl Iterator<Item = (String, &[(usize, u64)])> {
    let several = invoice.sold.len() > LINES_MAX;
    invoice.sold.chunks(LINES_MAX).enumerate().map(move |(part, lines)| {
        let key = if several { format!("{}-{}", invoice.number, part + 1) } else { invoice.number.clone() };
        (key, lines)
    })
}

/// An invoice under way.
pub(crate) struct Errand {
    client: Arc<Client>,
    books: Arc<Vec<Book>>,
    token: String,
    outcome: Outcome,
}

impl Errand {
    /// Does everything that the invoice asks for. Fails when the server stays away.
    pub(crate) async fn run(
        client: Arc<Client>,
        books: Arc<Vec<Book>>,
        invoice: Invoice,
        bought: Vec<Purchase>,
    ) -> anyhow::Result<Outcome> {
        let token = client.customer(invoice.customer.as_deref().unwrap_or("guest"));
        let mut errand = Self { client, books, token, outcome: Outcome { bought, ..Outcome::default() } };
        for (key, lines) in orders(&invoice) {
            errand.buy(key, lines).await?;
        }
        for movement in &invoice.adjusted {
            errand.adjust(movement).await?;
        }
        for movement in &invoice.returned {
            errand.bring_back(movement).await?;
        }
        Ok(errand.outcome)
    }

    async fn buy(&mut self, key: String, lines: &[(usize, u64)]) -> anyhow::Result<()> {
        let line = |(book, copies): &(usize, u64)| json!({"book_id": self.books[*book].id, "quantity": copies});
        let body = json!({"lines": lines.iter().map(line).collect::<Vec<_>>()});
        let placed = self.client.order(&self.token, &key, &body).await?;
        let Some(id) = placed.text("id").filter(|_| placed.status == 201).map(str::to_owned) else {
            self.complain("the order", &key, &placed);
            return Ok(());
        };
        let decided = self.decided(&key, &id, placed).await?;
        let mut copies = BTreeMap::new();
        for (book, quantity) in lines {
            *copies.entry(*book).or_default() += quantity;
        }
        let status = decided.text("status").unwrap_or("unknown").to_owned();
        let mut purchase = Purchase { key, id, status, copies, charged: 0, returned: BTreeMap::new(), refunded: 0 };
        if purchase.status == "awaiting_payment" {
            self.pay_and_ship(&mut purchase, &decided.body["total"]).await?;
        }
        self.outcome.orders += 1;
        self.outcome.bought.push(purchase);
        Ok(())
    }

    /// The order once its stock is decided, or as it is when that takes too long.
    async fn decided(&mut self, key: &str, id: &str, placed: Answer) -> anyhow::Result<Answer> {
        let position = placed.position.unwrap_or_default();
        let deadline = Instant::now() + DECISION_TIMEOUT;
        let mut answer = placed;
        while answer.text("status") == Some("pending") && Instant::now() < deadline {
            sleep(POLL_PAUSE).await;
            answer = self.client.poll(&self.token, id, position).await?;
            if answer.status != 200 {
                self.complain("reading the order", key, &answer);
            }
        }
        Ok(answer)
    }

    async fn pay_and_ship(&mut self, purchase: &mut Purchase, total: &Value) -> anyhow::Result<()> {
        let Purchase { key, id, .. } = &*purchase;
        let payment = format!("retail-{key}");
        let body = json!({"payment_id": payment, "order_id": id, "outcome": "succeeded", "amount": total});
        let paid = self.client.callback(&payment, &body).await?;
        if paid.status != 200 {
            self.complain("the payment", key, &paid);
            return Ok(());
        }
        let (path, shipment) = (format!("/v1/orders/{id}/shipment"), format!("{key}-shipment"));
        let shipped = self.client.manage(Kind::Shipment, &path, &shipment, &json!({})).await?;
        let done = matches!(shipped.status, 200 | 201);
        if !done {
            self.complain("the shipment", key, &shipped);
        }
        purchase.charged = total["amount"].as_u64().unwrap_or_default();
        purchase.status = if done { shipped.text("status").unwrap_or("shipped") } else { "paid" }.to_owned();
        Ok(())
    }

    async fn adjust(&mut self, movement: &Movement) -> anyhow::Result<()> {
        let Some(book) = movement.product else {
            self.outcome.unmapped += 1;
            return Ok(());
        };
        let path = format!("/v1/stock/{}/adjustments", self.books[book].id);
        let key = format!("adjustment-{}", movement.line);
        let body = json!({"delta": movement.copies, "reason": format!("line {} of the file", movement.line)});
        let answer = self.client.manage(Kind::Adjustment, &path, &key, &body).await?;
        match answer.status {
            200 | 201 => self.outcome.adjusted.push((book, movement.copies)),
            409 => self.outcome.refused += 1,
            _ => self.complain("the adjustment", &key, &answer),
        }
        Ok(())
    }

    /// Brings copies back from the latest purchase that has so many of them left.
    async fn bring_back(&mut self, movement: &Movement) -> anyhow::Result<()> {
        let copies = movement.copies.unsigned_abs();
        let found = movement.product.filter(|_| movement.copies < 0).and_then(|book| {
            let place = self.outcome.bought.iter().rposition(|purchase| purchase.left(book) >= copies)?;
            Some((book, place))
        });
        let Some((book, place)) = found else {
            self.outcome.unmatched += 1;
            return Ok(());
        };
        let Book { id: book_id, price, .. } = &self.books[book];
        let amount = copies * price;
        let order = self.outcome.bought[place].id.clone();

        let (path, key) = (format!("/v1/orders/{order}/returns"), format!("return-{}", movement.line));
        let body = json!({"lines": [{"book_id": book_id, "quantity": copies, "restock": true}]});
        let returned = self.client.manage(Kind::Return, &path, &key, &body).await?;
        if !matches!(returned.status, 200 | 201) {
            self.complain("the return", &key, &returned);
            return Ok(());
        }
        *self.outcome.bought[place].returned.entry(book).or_default() += copies;

        let (path, key) = (format!("/v1/orders/{order}/refunds"), format!("refund-{}", movement.line));
        let body = json!({"amount": {"amount": amount, "currency": "CNY"}});
        let refunded = self.client.manage(Kind::Refund, &path, &key, &body).await?;
        if !matches!(refunded.status, 200 | 201) {
            self.complain("the refund", &key, &refunded);
            return Ok(());
        }
        self.outcome.bought[place].refunded += amount;
        Ok(())
    }

    fn complain(&mut self, what: &str, key: &str, answer: &Answer) {
        let Answer { status, body, .. } = answer;
        self.outcome.complaints.push(format!("{key}: {what} was answered with {status} {body}"));
    }
}
