//! Counts again, from what the server shows at the end: every order, copy and cent where the client expects it.
//!
//! Nothing here is the server's own code, nor a type of it: only what its answers say.

use super::ledger::{Ledger, Purchase};
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts at one read while the server is away or behind.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the stocks may take to do what the last orders ask of them: that happens after the answer.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What is counted, and against what.
pub(crate) struct Recount<'a> {
    http: reqwest::Client,
    url: &'a str,
    token: &'a str,
    ledger: &'a Ledger,
}

/// What one count found.
#[derive(Default)]
struct Count {
    differences: Vec<String>,
    statuses: BTreeMap<String, u64>,
    total: u64,
    charged: u64,
    refunded: u64,
    /// What shipped orders cost, less what was returned of them.
    owed: u64,
    /// By the book's place: copies that left with orders, and those that came back.
    gone: HashMap<usize, u64>,
    back: HashMap<usize, u64>,
    on_hand: i64,
}

impl<'a> Recount<'a> {
    /// Reads with a manager's token, at the position of the last write or later.
    pub(crate) fn new(url: &'a str, token: &'a str, ledger: &'a Ledger) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build()?;
        Ok(Self { http, url: url.trim_end_matches('/'), token, ledger })
    }

    /// Counts until nothing differs or the time for that is over; prints the sums and answers with the differences.
    pub(crate) async fn settle(&self) -> anyhow::Result<Vec<String>> {
        let begun = Instant::now();
        loop {
            let count = self.count().await?;
            if count.differences.is_empty() || begun.elapsed() > SETTLE_TIMEOUT {
                println!("\nrecount at position {}, {:.1} s", self.ledger.position, begun.elapsed().as_secs_f64());
                count.print(self.ledger);
                return Ok(count.differences);
            }
            sleep(PAUSE).await;
        }
    }

    async fn count(&self) -> anyhow::Result<Count> {
        let mut count = Count::default();
        let mut listed: HashMap<String, Value> = HashMap::new();
        for order in self.orders().await? {
            let id = order["id"].as_str().unwrap_or_default().to_owned();
            if listed.insert(id.clone(), order).is_some() {
                count.differences.push(format!("order {id} is listed twice"));
            }
        }
        count.keys(self.ledger);
        for purchase in &self.ledger.purchases {
            match listed.remove(&purchase.id) {
                Some(order) => count.order(self.ledger, purchase, &order),
                None => count.differences.push(format!("{}: order {} is not listed", purchase.key, purchase.id)),
            }
        }
        count.differences.extend(listed.keys().map(|id| format!("nobody placed order {id}")));
        for place in 0..self.ledger.books.len() {
            let id = &self.ledger.books[place].id;
            let stock = self.get(&format!("/v1/stock/{id}"), &[]).await?;
            count.stock(self.ledger, place, &stock);
        }
        if Some(count.owed) != count.charged.checked_sub(count.refunded) {
            let Count { charged, refunded, owed, .. } = count;
            count.differences.push(format!("{charged} charged, {refunded} refunded, but {owed} owed by customers"));
        }
        Ok(count)
    }

    async fn orders(&self) -> anyhow::Result<Vec<Value>> {
        let mut orders = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query: Vec<_> =
                cursor.iter().map(|cursor| ("cursor", cursor.as_str())).chain([("limit", "100")]).collect();
            let mut page = self.get("/v1/orders", &query).await?;
            let next = page["next_cursor"].as_str().map(str::to_owned);
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                orders.extend(items);
            }
            anyhow::ensure!(next.is_none() || next != cursor, "the list of orders does not end");
            cursor = next;
            if cursor.is_none() {
                return Ok(orders);
            }
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut attempts = 1;
        loop {
            match self.attempt(path, query).await {
                Ok(body) => return Ok(body),
                Err(error) => {
                    let refused = error.status().is_some_and(|status| status != StatusCode::SERVICE_UNAVAILABLE);
                    if refused || attempts == ATTEMPTS {
                        return Err(error.into());
                    }
                }
            }
            attempts += 1;
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, path: &str, query: &[(&str, &str)]) -> reqwest::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.url)).query(query).bearer_auth(self.token);
        let request = request.header("Colophon-Min-Position", self.ledger.position);
        request.send().await?.error_for_status()?.json().await
    }
}

impl Count {
    /// Every invoice has exactly one order, and no two share one.
    fn keys(&mut self, ledger: &Ledger) {
        let mut ids = HashSet::new();
        let mut keys: HashMap<&str, u64> = HashMap::new();
        for Purchase { key, id, .. } in &ledger.purchases {
            *keys.entry(key).or_default() += 1;
            if !ids.insert(id) {
                self.differences.push(format!("{key}: another invoice has order {id} too"));
            }
        }
        for key in &ledger.planned {
            let orders = keys.get(key.as_str()).copied().unwrap_or_default();
            if orders != 1 {
                self.differences.push(format!("{key}: {orders} orders"));
            }
        }
    }

    fn order(&mut self, ledger: &Ledger, purchase: &Purchase, order: &Value) {
        let cost = |copies: &BTreeMap<usize, u64>| -> u64 {
            copies.iter().map(|(book, quantity)| quantity * ledger.books[*book].price).sum()
        };
        let (total, returned) = (cost(&purchase.copies), cost(&purchase.returned));
        let shipped = purchase.status == "shipped";
        // Once all of its money went back, a shipped order has another name.
        let status = if shipped && returned == total { "refunded" } else { purchase.status.as_str() };
        let charged = if shipped { total } else { 0 };
        let lines: BTreeMap<_, _> = purchase
            .copies
            .iter()
            .map(|(book, quantity)| (ledger.books[*book].id.as_str(), (*quantity, Some(ledger.books[*book].price))))
            .collect();
        let terminal = matches!(status, "shipped" | "rejected" | "refunded");

        let told = order["status"].as_str().unwrap_or_default();
        let listed = order["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut shown: BTreeMap<&str, (u64, Option<u64>)> = BTreeMap::new();
        for line in listed {
            let of_book = shown.entry(line["book_id"].as_str().unwrap_or_default()).or_default();
            of_book.0 += line["quantity"].as_u64().unwrap_or_default();
            of_book.1 = cents(&line["unit_price"]);
        }

        let checks = [
            (terminal && told == status, format!("status {told}, not {status}")),
            (shown == lines, "other books, copies or prices than ordered".to_owned()),
            (cents(&order["total"]) == Some(total), format!("total {}, not {total}", order["total"])),
            (cents(&order["refunded"]) == Some(returned), format!("refunded {}, not {returned}", order["refunded"])),
            (purchase.refunded == returned, format!("{} refunded for copies of {returned}", purchase.refunded)),
            (purchase.charged == charged, format!("{} charged, not {charged}", purchase.charged)),
        ];
        let broken = checks.into_iter().filter(|(holds, _)| !holds);
        self.differences.extend(broken.map(|(_, what)| format!("{} (order {}): {what}", purchase.key, purchase.id)));

        *self.statuses.entry(told.to_owned()).or_default() += 1;
        self.total += cents(&order["total"]).unwrap_or_default();
        self.charged += purchase.charged;
        self.refunded += cents(&order["refunded"]).unwrap_or_default();
        if matches!(told, "shipped" | "refunded") {
            self.owed += total.saturating_sub(returned);
            add(&mut self.gone, &purchase.copies);
        }
        add(&mut self.back, &purchase.returned);
    }

    fn stock(&mut self, ledger: &Ledger, place: usize, stock: &Value) {
        let book = &ledger.books[place];
        let of = |copies: &HashMap<usize, u64>| copies.get(&place).copied().unwrap_or_default().cast_signed();
        let expected = book.initial + ledger.adjusted[place] - of(&self.gone) + of(&self.back);
        let figure = |name: &str| stock[name].as_i64();
        self.on_hand += figure("on_hand").unwrap_or_default();
        let shown = [figure("on_hand"), figure("reserved"), figure("available")];
        if shown != [Some(expected), Some(0), Some(expected)] {
            self.differences.push(format!(
                "{} (book {}): {expected} on hand and nothing reserved expected, the server shows {stock}",
                book.code, book.id
            ));
        }
    }

    fn print(&self, ledger: &Ledger) {
        let statuses: Vec<_> = self.statuses.iter().map(|(status, orders)| format!("{orders} {status}")).collect();
        println!("orders: {} for {} planned: {}", ledger.purchases.len(), ledger.planned.len(), statuses.join(", "));
        let initial: i64 = ledger.books.iter().map(|book| book.initial).sum();
        let adjusted: i64 = ledger.adjusted.iter().sum();
        let [gone, back] = [&self.gone, &self.back].map(|copies| copies.values().sum::<u64>());
        println!(
            "copies: {initial} imported, {adjusted:+} adjusted, -{gone} shipped, +{back} back; {} on hand",
            self.on_hand
        );
        let [total, charged, refunded, owed] = [self.total, self.charged, self.refunded, self.owed].map(decimal);
        println!("money: {total} ordered, {charged} charged, {refunded} refunded; {owed} owed for what was kept");
        if self.differences.is_empty() {
            println!("everything is where it should be");
        }
    }
}

fn add(sums: &mut HashMap<usize, u64>, copies: &BTreeMap<usize, u64>) {
    for (book, quantity) in copies {
        *sums.entry(*book).or_default() += quantity;
    }
}

/// Minor units, if they are of the currency that prices were imported in.
fn cents(money: &Value) -> Option<u64> {
    money["amount"].as_u64().filter(|_| money["currency"] == "CNY")
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02} CNY", cents / 100, cents % 100)
}
