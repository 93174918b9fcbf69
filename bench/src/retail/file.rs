//! Reads the file: lines to invoices of products, each product in the place of its first sale.

use anyhow::{Context, bail, ensure};
use flate2::read::MultiGzDecoder;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

const COLUMNS: [&str; 8] =
    ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// The file.
pub(crate) struct Retail {
    /// In order of time.
    pub(crate) invoices: Vec<Invoice>,
    /// In the order in which they are first sold; lines name them by their place here.
    pub(crate) products: Vec<Product>,
}

/// What is sold under one code.
pub(crate) struct Product {
    /// The code.
    pub(crate) code: String,
    /// Copies that are sold in all.
    pub(crate) sold: u64,
    /// Minor units per copy at the first sale, at least one.
    pub(crate) price: u64,
}

/// The lines of one number.
#[derive(Clone)]
pub(crate) struct Invoice {
    /// Its number, as the file has it.
    pub(crate) number: String,
    /// Whose it is; none for a guest's.
    pub(crate) customer: Option<String>,
    /// Products and copies that were bought.
    pub(crate) sold: Vec<(usize, u64)>,
    /// Copies that came back.
    pub(crate) returned: Vec<Movement>,
    /// Copies that came or went without a sale.
    pub(crate) adjusted: Vec<Movement>,
}

/// A line that is no sale.
#[derive(Clone)]
pub(crate) struct Movement {
    /// The line's number in the file, from 2 on; the first names the columns.
    pub(crate) line: u64,
    /// The product, if it is ever sold.
    pub(crate) product: Option<usize>,
    /// Copies more (positive) or fewer (negative).
    pub(crate) copies: i64,
}

/// A line as it is in the file.
struct Line {
    number: u64,
    invoice: String,
    code: String,
    copies: i64,
    /// None if nothing is asked for it.
    price: Option<u64>,
    customer: Option<String>,
}

impl Line {
    fn comes_back(&self) -> bool {
        self.invoice.starts_with('C')
    }

    /// Copies sold, and the price of each.
    fn sale(&self) -> Option<(u64, u64)> {
        let copies = u64::try_from(self.copies).ok().filter(|copies| *copies > 0)?;
        self.price.filter(|_| !self.comes_back()).map(|price| (copies, price))
    }
}

/// Reads a file, or its first so many invoices.
pub(crate) fn read(path: &Path, invoices: Option<usize>) -> anyhow::Result<Retail> {
    let lines = lines(path, invoices.unwrap_or(usize::MAX)).with_context(|| path.display().to_string())?;
    let mut places = HashMap::new();
    let mut products: Vec<Product> = Vec::new();
    for line in &lines {
        let Some((copies, price)) = line.sale() else { continue };
        let place = *places.entry(line.code.clone()).or_insert_with(|| {
            products.push(Product { code: line.code.clone(), sold: 0, price });
            products.len() - 1
        });
        products[place].sold += copies;
    }

    // A second pass, since a product's first line may be a delivery and only its tenth a sale.
    let mut numbers = HashMap::new();
    let mut invoices: Vec<Invoice> = Vec::new();
    for line in lines {
        let place = *numbers.entry(line.invoice.clone()).or_insert_with(|| {
            let (number, customer) = (line.invoice.clone(), line.customer.clone());
            invoices.push(Invoice { number, customer, sold: vec![], returned: vec![], adjusted: vec![] });
            invoices.len() - 1
        });
        let invoice = &mut invoices[place];
        let product = places.get(&line.code).copied();
        match (line.sale(), product) {
            (Some((copies, _)), Some(product)) => invoice.sold.push((product, copies)),
            _ => {
                let movement = Movement { line: line.number, product, copies: line.copies };
                let movements = if line.comes_back() { &mut invoice.returned } else { &mut invoice.adjusted };
                movements.push(movement);
            }
        }
    }
    Ok(Retail { invoices, products })
}

/// The lines of the first so many invoices. Lines that move no copies are left out.
fn lines(path: &Path, invoices: usize) -> anyhow::Result<Vec<Line>> {
    let mut reader = csv::Reader::from_reader(MultiGzDecoder::new(File::open(path)?));
    ensure!(reader.headers()?.iter().eq(COLUMNS), "the columns are not {COLUMNS:?}");
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record?;
        let number = record.position().map_or(0, csv::Position::line);
        let line = line(number, &record).with_context(|| format!("line {number}"))?;
        if !seen.contains(&line.invoice) {
            if seen.len() == invoices {
                continue;
            }
            seen.insert(line.invoice.clone());
        }
        if line.copies != 0 {
            lines.push(line);
        }
    }
    Ok(lines)
}

fn line(number: u64, record: &csv::StringRecord) -> anyhow::Result<Line> {
    let field = |place: usize| record.get(place).with_context(|| format!("there is no {}", COLUMNS[place]));
    // Numbers of customers were written as decimals once.
    let customer = field(6)?.trim_end_matches(".0");
    Ok(Line {
        number,
        invoice: field(0)?.to_owned(),
        code: field(1)?.to_owned(),
        copies: field(3)?.parse().context("the quantity is no number")?,
        price: price(field(5)?)?,
        customer: Some(customer.to_owned()).filter(|customer| !customer.is_empty()),
    })
}

/// Minor units of a decimal, rounded half up but never to nothing; none if it is nothing or less.
fn price(text: &str) -> anyhow::Result<Option<u64>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole = whole.trim_start_matches('-');
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        bail!("the price is no decimal: {text:?}");
    }
    if negative || whole.bytes().chain(fraction.bytes()).all(|byte| byte == b'0') {
        return Ok(None);
    }
    // Ten times the minor units, the last digit to round by.
    let tenths: u64 = format!("{whole}{:0<3}", &fraction[..fraction.len().min(3)]).parse()?;
    Ok(Some(((tenths + 5) / 10).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_half_up_but_never_to_nothing() {
        for (text, minor) in [
            ("2.55", Some(255)),
            ("3", Some(300)),
            ("0.5", Some(50)),
            ("1.005", Some(101)),
            ("1.0049", Some(100)),
            ("0.001", Some(1)),
            ("16888.02", Some(1_688_802)),
            ("0.0", None),
            ("-1.5", None),
        ] {
            assert_eq!(price(text).unwrap(), minor, "{text}");
        }
        for text in ["", ".5", "1e3", "1,5", "free"] {
            assert!(price(text).is_err(), "{text}");
        }
    }
}
