//! `bench retail`: half a year of a real shop's invoices over HTTP against a fresh server, recounted to the cent.
//!
//! The file is a gift shop's (columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID,
//! Country; in order of time). It is read as a bookstore's:
//!
//! - The n-th `StockCode`, in the order in which codes are first sold, is the n-th book that `GET /v1/books` lists
//!   after the bench has imported a catalogue. Its price is the first positive `UnitPrice` of the code's sales, rounded
//!   half up to hundredths, but at least 0.01. Its stock at the beginning is `--stock-percent` of all copies sold.
//! - Lines with positive quantity and price make one order per invoice, in parts of 1,000 lines, of the customer
//!   `CustomerID` or of `guest`. What is not rejected is paid by a signed callback and shipped.
//! - Each line of an invoice whose number begins with `C` comes back from the customer's latest earlier shipped order
//!   that has so many copies left: a return with restocking, and a refund of what those copies cost.
//! - Every other line (damages, finds, samples) adjusts the stock of its book, if the code is ever sold.
//!
//! A customer's invoices are replayed one after another, a guest's whenever there is room.

mod client;
mod errand;
mod file;
mod ledger;
mod queue;
mod recount;
mod replay;
mod tally;

use crate::server::{self, Server};
use anyhow::{Context, anyhow, bail};
use client::Client;
use file::{Product, Retail};
use ledger::Book;
use recount::Recount;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What to replay, and how.
pub(crate) struct Options {
    /// Copies in stock at the beginning, in percent of those that the file sells, rounded down per book.
    pub(crate) stock_percent: u64,
    /// Invoices under way at once.
    pub(crate) clients: usize,
    /// Only so many invoices, the first ones; all without it.
    pub(crate) invoices: Option<usize>,
    /// A fresh server that runs already, such as `http://127.0.0.1:8080`; `directory` is its data directory then.
    pub(crate) url: Option<String>,
}

/// Replays the file and recounts what the server made of it. Fails if a single copy or cent is not where it should be.
pub(crate) async fn run(binary: &Path, directory: &Path, options: &Options) -> anyhow::Result<()> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if !shared.exists() {
        println!("skipped: no ../shared");
        return Ok(());
    }
    let catalogue = shared.join("data/catalogue/goodbooks10k_books.csv.gz");
    let retail = file::read(&shared.join("data/retail/online_retail_2010-12_to_2011-05.csv.gz"), options.invoices)?;
    println!(
        "{} invoices of {} products, {} at once, {} % of what is sold in stock",
        retail.invoices.len(),
        retail.products.len(),
        options.clients,
        options.stock_percent
    );

    // Another's data directory is left as it is.
    let fresh = if options.url.is_some() { tempfile::tempdir()? } else { tempfile::tempdir_in(directory)? };
    let shop = Shop {
        binary: binary.to_owned(),
        data: if options.url.is_some() { directory.to_owned() } else { fresh.path().join("data") },
        stock_file: fresh.path().join("stock.csv"),
    };
    server::import(binary, &shop.data, "books", &catalogue)?;
    let replayed = if let Some(url) = &options.url {
        shop.replay(url, &retail, options).await
    } else {
        let server = Server::start(binary, &shop.data, &directory.join("retail-server.log"))?;
        let replayed = shop.replay(server.url(), &retail, options).await;
        let stopped = server.stop();
        replayed.and_then(|differences| stopped.map(|()| differences))
    };
    let failure = match replayed {
        Ok(differences) if differences.is_empty() => return Ok(()),
        Ok(differences) => {
            println!("\n{} differences:", differences.len());
            differences.iter().take(20).for_each(|difference| println!("  {difference}"));
            anyhow!("the recount finds {} differences", differences.len())
        }
        Err(error) => error,
    };
    // What went wrong can only be looked into while the data is there.
    println!("the data is kept in {}", fresh.keep().display());
    Err(failure)
}

/// Where the replay takes place.
struct Shop {
    binary: PathBuf,
    data: PathBuf,
    stock_file: PathBuf,
}

impl Shop {
    /// Replays and recounts; the answer lists what does not fit.
    async fn replay(&self, url: &str, retail: &Retail, options: &Options) -> anyhow::Result<Vec<String>> {
        let client = Arc::new(Client::new(url, &self.data)?);
        let books = self.stock(&client, &retail.products, options.stock_percent).await?;
        let begun = Instant::now();
        let mut ledger = replay::run(&client, books, &retail.invoices, options.clients).await?;
        let lasted = begun.elapsed();
        client.tally().print(lasted);
        let orders = ledger.purchases.len();
        println!(
            "{orders} orders in {:.1} s: {:.1} orders/s",
            lasted.as_secs_f64(),
            orders as f64 / lasted.as_secs_f64()
        );
        println!(
            "{} returns without a sale; adjustments: {} of products never sold, {} refused for want of copies",
            ledger.unmatched, ledger.unmapped, ledger.refused
        );
        ledger.position = client.position();
        let counted = Recount::new(url, client.manager(), &ledger)?.settle().await?;
        Ok(ledger.complaints.into_iter().chain(counted).collect())
    }

    /// Gives every product its book, with price and copies.
    async fn stock(&self, client: &Client, products: &[Product], percent: u64) -> anyhow::Result<Vec<Book>> {
        let listed = client.books(products.len()).await?;
        if listed.len() < products.len() {
            bail!("{} books are not enough for {} products", listed.len(), products.len());
        }
        let mut books = Vec::with_capacity(products.len());
        let mut rows = "isbn,on_hand,price\n".to_owned();
        for (product, (id, isbn)) in products.iter().zip(listed) {
            let on_hand = product.sold * percent / 100;
            writeln!(rows, "{isbn},{on_hand},{}.{:02}", product.price / 100, product.price % 100)?;
            let initial = i64::try_from(on_hand).context("so many copies cannot be counted")?;
            books.push(Book { id, code: product.code.clone(), price: product.price, initial });
        }
        std::fs::write(&self.stock_file, rows)?;
        server::import(&self.binary, &self.data, "stock", &self.stock_file)?;
        Ok(books)
    }
}
