//! Files as they come: good rows among bad ones, files that are none, and files that end too soon.

mod messages;
mod onix;
mod suppliers;

use super::*;
use crate::commands::Lane;
use crate::dispatcher::{Dispatcher, Settings};
use domain::State;
use domain::book::isbn::Isbn;
use domain::book::{Book, BookId};
use domain::money::{Currency, Money};
use flate2::Compression;
use flate2::write::GzEncoder;
use platform::event_log::memory::MemoryLog;
use platform::event_log::{EventLog, LogId, Position};
use platform::seam::Timestamp;
use std::io::Write;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct Shop {
    log: Arc<dyn EventLog>,
    commands: Arc<dyn Commands>,
    seam: Seam,
}

#[derive(Debug, Default, PartialEq)]
struct Told {
    accepted: usize,
    there_already: usize,
    refused: Vec<(u64, String)>,
    /// Each note, once for each row that was taken.
    notes: Vec<Note>,
    /// The refused rows, by line, and what surrounds them.
    rows: Vec<(u64, String)>,
    read_as: ReadAs,
    stopped: Option<String>,
}

impl Told {
    /// How many rows were accepted, there already and refused.
    fn counts(&self) -> (usize, usize, usize) {
        (self.accepted, self.there_already, self.refused.len())
    }

    fn count(&self, note: Note) -> usize {
        self.notes.iter().filter(|it| **it == note).count()
    }
}

/// An import of books by whatever the file is.
fn books() -> Task {
    let content = Content::Books { format: None, columns: Vec::new() };
    let currency = Currency::parse("CNY").unwrap();
    Task { content, currency, encoding: None, effect: Effect::Real, refused_rows: RefusedRows::Kept }
}

fn books_as(format: BookFormat) -> Task {
    Task { content: Content::Books { format: Some(format), columns: Vec::new() }, ..books() }
}

fn shop() -> Shop {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))));
    let seam = Seam::seeded(1, Timestamp(0)).0;
    let (dispatcher, _) =
        Dispatcher::start(Arc::clone(&log), seam.clone(), Settings::default(), CancellationToken::new());
    Shop { log, commands: Arc::new(dispatcher), seam }
}

impl Shop {
    async fn import(&self, task: Task, file: impl Into<Vec<u8>>) -> Told {
        self.import_from(task, Box::new(std::io::Cursor::new(file.into()))).await
    }

    async fn import_from(&self, task: Task, file: Box<dyn Read + Send>) -> Told {
        let mut progress = start(file, task, Arc::clone(&self.commands), self.seam.clone());
        let mut told = Told::default();
        let mut finished = false;
        while let Some(step) = progress.recv().await {
            assert!(!finished, "nothing comes after the end");
            match step {
                Progress::ReadAs(read_as) => told.read_as = read_as,
                Progress::Accepted { notes } => {
                    told.accepted += 1;
                    told.notes.extend(notes);
                }
                Progress::ThereAlready { notes } => {
                    told.there_already += 1;
                    told.notes.extend(notes);
                }
                Progress::Refused { line, reason, row } => {
                    told.refused.push((line, reason));
                    told.rows.extend(row.map(|row| (line, row)));
                }
                Progress::Finished => finished = true,
                Progress::Stopped { reason } => (told.stopped, finished) = (Some(reason), true),
            }
        }
        assert!(finished, "an import says how it ended");
        told.refused.sort();
        told.rows.sort();
        told
    }

    async fn books(&self, file: impl Into<Vec<u8>>) -> Told {
        self.import(books_as(BookFormat::Goodbooks), file).await
    }

    async fn stock(&self, file: impl Into<Vec<u8>>) -> Told {
        self.import(Task { content: Content::Stock, ..books() }, file).await
    }

    async fn listing(&self, isbn: &str) -> domain::book::Listing {
        let Book::Listed(listing) = self.book(isbn).await else { panic!("{isbn} is not listed") };
        listing
    }

    async fn events(&self) -> u64 {
        self.log.head().await.unwrap().0
    }

    async fn book(&self, isbn: &str) -> Book {
        let stream = crate::book::stream_of(BookId::of(&Isbn::parse(isbn).unwrap()));
        let loaded = self.commands.peek(Lane::Customer, vec![stream]).await.unwrap().remove(0);
        let State::Book(book) = loaded.state.as_ref() else { panic!("not a book") };
        book.clone()
    }

    async fn on_hand(&self, isbn: &str) -> u64 {
        let stream = crate::stock::stream_of(BookId::of(&Isbn::parse(isbn).unwrap()));
        let loaded = self.commands.peek(Lane::Customer, vec![stream]).await.unwrap().remove(0);
        let State::Stock(stock) = loaded.state.as_ref() else { panic!("not a stock") };
        stock.figures().on_hand
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const HEADER: &str = "id,isbn,authors,original_publication_year,title,language_code\n";
const GOOD: &str = "1,306406152,\"Ann Example, Bo Example\",2008.0,\"The, Title\",eng\n";

#[tokio::test]
async fn good_rows_go_in_and_bad_ones_say_why_not() {
    let shop = shop();
    let rows = [
        GOOD,
        "2,140328726,Cy Example,-750.0,Ancient,\n",
        "3,,No Number,1999.0,Unnumbered,eng\n",
        "4,306406153,Wrong Digit,1999.0,Mistyped,eng\n",
        "5,439023483,,1999.0,No author,eng\n",
        "6,9771491950358,A Journal,1999.0,Not a book,eng\n",
        "7,too,few\n",
        "8,1491950358,Dee Example,1999.0,A title,no language\n",
    ];
    let told = shop.books(format!("{HEADER}{}", rows.concat())).await;
    assert_eq!((told.accepted, told.there_already, &told.stopped), (2, 0, &None));
    let expected = [
        (4, "the row has no ISBN"),
        (5, "check digit"),
        (6, "author"),
        (7, "978 or 979"),
        (8, "the row has 3 fields, the header 6"),
        (9, "BCP 47"),
    ];
    assert_eq!(told.refused.len(), expected.len(), "{:?}", told.refused);
    for ((line, reason), (expected_line, part)) in told.refused.iter().zip(expected) {
        assert!(*line == expected_line && reason.contains(part), "{line}: {reason}");
    }
    let Book::Listed(listing) = shop.book("0306406152").await else { panic!("not listed") };
    assert_eq!(listing.description.authors.names(), ["Ann Example", "Bo Example"]);
    assert_eq!(listing.description.title.as_str(), "The, Title");
    assert_eq!(listing.description.published_on.map(|date| date.to_string()).as_deref(), Some("2008"));
    let Book::Listed(ancient) = shop.book("0140328726").await else { panic!("not listed") };
    assert_eq!((ancient.description.published_on, ancient.description.language.as_str()), (None, "und"));
}

#[tokio::test]
async fn an_import_again_changes_nothing() {
    let shop = shop();
    let file = format!("{HEADER}{GOOD}2,0140328726,Cy,1999.0,T,eng\n3,140328726,Cy again,1999.0,T,eng\n");
    let told = shop.books(file.clone()).await;
    assert_eq!((told.accepted, told.there_already, told.refused.len()), (2, 1, 0), "a book twice in a file is one");
    let events = shop.events().await;
    let told = shop.books(gzip(&file)).await;
    assert_eq!((told.accepted, told.there_already, told.refused.len()), (0, 3, 0));
    assert_eq!(shop.events().await, events);
    assert_eq!(shop.log.read_all(Position(0), 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_byte_order_mark_white_space_and_case_do_not_matter() {
    let shop = shop();
    let file = "\u{feff}ISBN , Authors,TITLE\r\n 0-306-40615-2 , Ann ,A title\r\n\r\n";
    let told = shop.books(file).await;
    assert_eq!((told.counts(), told.stopped), ((1, 0, 0), None));
}

#[tokio::test]
async fn a_file_that_is_none_is_told_so() {
    let shop = shop();
    let unclosed = format!("{HEADER}1,306406152,\"{}", "x".repeat(3 << 20));
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut truncated = gzip(&format!("{HEADER}{}", GOOD.repeat(5_000)));
    truncated.truncate(truncated.len() / 2);
    for (file, part) in [
        (Vec::new(), "the file is empty"),
        (b"\n\n\n".to_vec(), "the file is empty"),
        (b"title,authors\nA,B\n".to_vec(), "no column `isbn`"),
        (b"{\"isbn\": 1}".to_vec(), "no column `isbn`"),
        (binary, "no column `isbn`"),
        (gzip(""), "the file is empty"),
        (b"\x1f\x8bnot gzip at all".to_vec(), "cannot be read"),
        (unclosed.into_bytes(), "more than a mebibyte"),
        (truncated, "cannot be read"),
    ] {
        let told = shop.books(file).await;
        let reason = told.stopped.unwrap_or_default();
        assert!(reason.contains(part), "expected {part:?}: {reason:?}");
    }
}

#[tokio::test]
async fn what_came_before_the_break_is_in_and_the_whole_file_completes_it() {
    let shop = shop();
    let rows: String = (0..300).map(|n| format!("{n},{},Ann,2001.0,Title {n},eng\n", isbn(n))).collect();
    let whole = gzip(&format!("{HEADER}{rows}"));
    let told = shop.books(whole[..whole.len() * 2 / 3].to_vec()).await;
    assert!(told.stopped.is_some() && told.accepted > 0 && told.accepted < 300, "{told:?}");
    let completed = shop.books(whole).await;
    assert_eq!((completed.accepted, completed.there_already), (300 - told.accepted, told.accepted));
    assert_eq!(shop.events().await, 300);
}

/// The `n`-th valid ISBN-10 of some range.
fn isbn(n: u32) -> String {
    let digits = format!("{:09}", 306_400_000 + n);
    let sum: u32 = digits.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match (11 - sum % 11) % 11 {
        10 => format!("{digits}X"),
        check => format!("{digits}{check}"),
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused_row_by_row() {
    let shop = shop();
    let mut file = format!("{HEADER}{GOOD}").into_bytes();
    file.extend_from_slice(b"2,140328726,Andr\xe9,1999.0,T,eng\n");
    let told = shop.books(file).await;
    assert_eq!(told.accepted, 1);
    let (line, reason) = &told.refused[0];
    assert!(*line == 3 && reason.starts_with("authors ") && reason.contains("not in the file's encoding"), "{reason}");
}

#[tokio::test]
async fn stock_is_set_and_not_added() {
    let shop = shop();
    shop.books(format!("{HEADER}{GOOD}2,140328726,Cy,1999.0,T,eng\n")).await;
    let file = "isbn,on_hand,price\n9780306406157,12,42.00\n0140328726,3,\n0439023483,1,1.00\n0-306-40615-2,x,1\n\
                0140328726,,9.999\n9780306406157,-1,\n";
    let told = shop.stock(file).await;
    assert_eq!((told.accepted, told.there_already), (2, 0));
    let parts = ["no book with this ISBN is registered", "number of copies", "at most 2 decimals", "number of copies"];
    assert_eq!(told.refused.len(), parts.len(), "{:?}", told.refused);
    for ((_, reason), part) in told.refused.iter().zip(parts) {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!((shop.on_hand("9780306406157").await, shop.on_hand("0140328726").await), (12, 3));
    let Book::Listed(listing) = shop.book("9780306406157").await else { panic!("not listed") };
    assert_eq!(listing.price, Some(Money::new(4_200, Currency::parse("CNY").unwrap()).unwrap()));

    let events = shop.events().await;
    let told = shop.stock(file).await;
    assert_eq!((told.accepted, told.there_already), (0, 2));
    assert_eq!(shop.events().await, events);
    assert_eq!(shop.stock("isbn,on_hand\n9780306406157,5\n").await.accepted, 1);
    assert_eq!(shop.on_hand("9780306406157").await, 5);
}

#[tokio::test]
async fn rows_about_one_book_keep_their_order() {
    let shop = shop();
    shop.books(format!("{HEADER}{GOOD}")).await;
    let rows: String = (0..200).map(|n| format!("9780306406157,{n}\n")).collect();
    let told = shop.stock(format!("isbn,on_hand\n{rows}")).await;
    assert_eq!((told.accepted, told.there_already, told.refused.len()), (199, 1, 0));
    assert_eq!(shop.on_hand("9780306406157").await, 199);
}

#[tokio::test]
async fn an_import_that_nobody_listens_to_ends() {
    let shop = shop();
    let rows: String = (0..50_000).map(|n| format!("{n},{},Ann,2001.0,Title {n},eng\n", isbn(n))).collect();
    let file = Box::new(std::io::Cursor::new(format!("{HEADER}{rows}").into_bytes()));
    let mut progress = start(file, books_as(BookFormat::Goodbooks), Arc::clone(&shop.commands), shop.seam.clone());
    assert!(progress.recv().await.is_some());
    drop(progress);
    let mut before = u64::MAX;
    while before != shop.events().await {
        before = shop.events().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(before < 50_000, "it went on to the end");
}
