//! Tables as suppliers send them: separators, encodings, column names, repairs.

use super::*;
use domain::book::description::Format;
use encoding_rs::{BIG5, Encoding, GBK, WINDOWS_1252};

/// A table of a bookshop's usual Chinese names; `header` and the title are in one script.
fn chinese(header: &str, titles: [&str; 3]) -> String {
    let rows: String =
        titles.iter().zip(0..).map(|(title, n)| format!("{},{title},余華,25.00元,1998-5\n", isbn(n))).collect();
    format!("{header}\n{rows}")
}

fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, lossy) = encoding.encode(text);
    assert!(!lossy, "{text}");
    bytes.into_owned()
}

fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes_of).collect()
}

#[tokio::test]
async fn every_encoding_is_told_and_reads_the_same() {
    let simplified =
        chinese("书号,书名,作者,定价,出版日期", ["活着", "许三观卖血记", "在细雨中呼喊"]).replace('華', "华");
    let traditional = chinese("書號,書名,作者,定價,出版日期", ["活著", "許三觀賣血記", "在細雨中呼喊"]);
    let german = format!("ISBN;Titel;Autor;Preis;Währung\n{};Die Blechtrömmel;Günter Gräß;12,50;EUR\n", isbn(0));
    for (name, file, title) in [
        ("UTF-8", simplified.clone().into_bytes(), "活着"),
        ("UTF-8", format!("\u{feff}{simplified}").into_bytes(), "活着"),
        ("UTF-16LE", utf16(&simplified, u16::to_le_bytes), "活着"),
        ("UTF-16BE", utf16(&simplified, u16::to_be_bytes), "活着"),
        ("GBK", encoded(GBK, &simplified), "活着"),
        ("Big5", encoded(BIG5, &traditional), "活著"),
        ("windows-1252", encoded(WINDOWS_1252, &german), "Die Blechtrömmel"),
    ] {
        let shop = shop();
        let told = shop.import(books(), file).await;
        assert_eq!((told.read_as.encoding.as_str(), &told.stopped), (name, &None));
        assert!(told.accepted >= 1 && told.refused.is_empty(), "{name}: {told:?}");
        assert_eq!(shop.listing(&isbn(0)).await.description.title.as_str(), title, "{name}");
    }
}

#[tokio::test]
async fn an_encoding_is_told_without_column_names_in_it_and_else_asked_for() {
    let simplified =
        chinese("isbn,title,author,price,pubdate", ["活着", "许三观卖血记", "在细雨中呼喊"]).replace('華', "华");
    let traditional = chinese("isbn,title,author,price,pubdate", ["活著的人們", "許三觀賣血記", "在細雨中呼喊"]);
    for (name, file) in [("GBK", encoded(GBK, &simplified)), ("Big5", encoded(BIG5, &traditional))] {
        let told = shop().import(books(), file).await;
        assert_eq!((told.read_as.encoding.as_str(), told.counts()), (name, (3, 0, 0)));
    }
    let russian = format!("isbn,title,author\n{},Война и мир,Лев Толстой\n", isbn(0));
    let koi8 = Encoding::for_label(b"koi8-r").unwrap();
    let told = shop().import(books(), encoded(koi8, &russian)).await;
    assert!(told.stopped.clone().unwrap_or_default().contains("--encoding NAME"), "{told:?}");
    let shop = shop();
    let named = Task { encoding: Some("koi8-r".to_owned()), ..books() };
    assert_eq!(shop.import(named, encoded(koi8, &russian)).await.counts(), (1, 0, 0));
    assert_eq!(shop.listing(&isbn(0)).await.description.title.as_str(), "Война и мир");
    let unknown = Task { encoding: Some("utf-9".to_owned()), ..books() };
    let told = shop.import(unknown, russian).await;
    assert!(told.stopped.clone().unwrap_or_default().contains("no encoding is called \"utf-9\""), "{told:?}");
}

#[tokio::test]
async fn a_few_broken_bytes_refuse_their_own_rows() {
    let shop = shop();
    let mut file = b"isbn,title,author\n".to_vec();
    for n in 0..20 {
        let title: &[u8] = if n == 7 { b"Caf\xe9 \xc3\xa9t\xe9" } else { "Été à la mer".as_bytes() };
        file.extend([isbn(n).as_bytes(), b",", title, b",Ann\n"].concat());
    }
    let told = shop.import(books(), file).await;
    assert_eq!((told.read_as.encoding.as_str(), told.counts()), ("UTF-8", (19, 0, 1)));
    assert!(told.refused[0].0 == 9 && told.refused[0].1.starts_with("title "), "{:?}", told.refused);
    // Where nothing is read, nothing is broken.
    let mut file = "isbn,title,author,note\n".to_owned().into_bytes();
    file.extend([isbn(30).as_bytes(), "1,Été à la mer,Ann,ééééé\n".replacen('1', "", 1).as_bytes()].concat());
    file.extend([isbn(31).as_bytes(), b",T,Ann,\xff\n"].concat());
    assert_eq!(shop.import(books(), file).await.counts(), (2, 0, 0));
}

#[tokio::test]
async fn every_separator_and_many_names_are_known() {
    for (separator, header) in [
        (",", "ISBN-13,Book Title,Author(s),RRP,Currency"),
        (";", "EAN;Titel;Autor;Preis;Währung"),
        ("\t", "书号\t书名\t作者\t定价\t币种"),
        ("|", "isbn|titre|auteur|prix ttc|devise"),
        (";", "ISBN;Título;Autores;PVP;Moneda"),
        (";", "\"isbn\";\"Title, in full; or so\";\"title\";\"author\";\"price\";\"currency\""),
    ] {
        let shop = shop();
        let more = if header.contains("in full") { format!("x{separator}") } else { String::new() };
        let row = [&isbn(0), &format!("{more}A title"), "Ann Example", "\"12,50\"", "EUR"].join(separator);
        let told = shop.import(books(), format!("{header}\n{row}\n")).await;
        assert_eq!(
            (told.counts(), told.read_as.separator),
            ((1, 0, 0), separator.chars().next()),
            "{header}: {told:?}"
        );
        let listing = shop.listing(&isbn(0)).await;
        assert_eq!(listing.description.title.as_str(), "A title");
        assert_eq!(listing.price.map(|price| (price.amount(), price.currency().code())), Some((1_250, "EUR")));
    }
    let declared = format!("sep=;\r\nisbn;title;author\r\n{};A, B;Ann\r\n", isbn(0));
    let told = shop().import(books(), declared).await;
    assert_eq!((told.counts(), told.read_as.separator), ((1, 0, 0), Some(';')));
}

#[tokio::test]
async fn a_currency_in_the_name_of_the_prices_is_theirs() {
    for (name, amount, expected) in [
        ("Price (EUR)", "12,50", Some((1_250, "EUR"))),
        ("GBP RRP", "7.99", Some((799, "GBP"))),
        ("定价（元）", "58", Some((5_800, "CNY"))),
        ("Preis €", "9", Some((900, "EUR"))),
        ("Price incl. tax", "9", None),
    ] {
        let shop = shop();
        let told = shop.import(books(), format!("isbn;title;author;{name}\n{};T;Ann;{amount}\n", isbn(0))).await;
        assert_eq!(told.counts(), (1, 0, 0), "{name}: {told:?}");
        let price = shop.listing(&isbn(0)).await.price;
        assert_eq!(price.map(|price| (price.amount(), price.currency().code())), expected, "{name}");
    }
    assert!(columns::is_known("定价（元）") && columns::is_known("Preis €") && !columns::is_known("brutto €"));
    let told = shop().import(books(), format!("isbn;title;author;Price $;currency\n{};T;Ann;5;\n", isbn(0))).await;
    assert!(told.refused[0].1.contains("which dollar"), "{told:?}");
}

#[tokio::test]
async fn columns_are_as_it_was_said() {
    let shop = shop();
    let file = format!("Nr,Was,Wer,title\n{},Right,Ann,Wrong\n", isbn(0));
    let mapped = |columns: &[(Field, &str)]| {
        let columns = columns.iter().map(|(field, column)| (*field, (*column).to_owned())).collect();
        Task { content: Content::Books { format: None, columns }, ..books() }
    };
    let task = mapped(&[(Field::Isbn, "nr"), (Field::Title, "Was"), (Field::Authors, "Wer")]);
    let told = shop.import(task, file.clone()).await;
    assert_eq!(told.counts(), (1, 0, 0), "{told:?}");
    assert_eq!(shop.listing(&isbn(0)).await.description.title.as_str(), "Right");
    assert_eq!(told.read_as.columns[0], ("isbn".to_owned(), "Nr".to_owned()));
    assert_eq!(told.read_as.unused, ["title"]);
    let told = shop.import(mapped(&[(Field::Isbn, "Nummer")]), file).await;
    let stopped = told.stopped.unwrap_or_default();
    assert!(stopped.contains("no column \"Nummer\" for `isbn`; it has \"Nr\", \"Was\""), "{stopped}");
}

#[tokio::test]
async fn all_that_a_row_says_is_read() {
    let shop = shop();
    let header = "isbn,title,authors,language,price,currency,pubdate,subjects,binding,edition";
    let row = "ISBN 306-40615-2,活着,余华/莫言,chi,￥45.00,,2012年8月,thema:FBA|小说,精装,第2版";
    let told = shop.import(books(), format!("{header}\n{row}\n")).await;
    assert_eq!(told.counts(), (1, 0, 0), "{told:?}");
    let listing = shop.listing("0306406152").await;
    assert_eq!(listing.description.authors.names(), ["余华", "莫言"]);
    assert_eq!(listing.description.language.as_str(), "zh");
    assert_eq!(listing.price.map(|price| (price.amount(), price.currency().code())), Some((4_500, "CNY")));
    assert_eq!(listing.description.published_on.map(|date| date.to_string()).as_deref(), Some("2012-08"));
    assert_eq!(listing.description.format, Some(Format::Hardback));
    assert_eq!(listing.description.edition.as_ref().map(|edition| edition.as_str()), Some("第2版"));
    let subjects: Vec<_> = listing.description.subjects.as_slice().iter().map(|it| (it.scheme(), it.code())).collect();
    assert_eq!(subjects, [("thema", "FBA"), ("supplier", "小说")]);
    use Repair::{DateForm, IsbnLabel, IsbnZeros, LanguageCode, PriceForm};
    for repair in [IsbnLabel, IsbnZeros, LanguageCode, PriceForm, DateForm] {
        assert_eq!(told.count(Note::Repaired(repair)), 1, "{repair:?}");
    }
}

#[tokio::test]
async fn a_row_is_refused_with_field_value_and_rule_or_loses_what_it_may() {
    let shop = shop();
    let long = "x".repeat(300);
    let rows = [
        "9.78031E+12,T,Ann,,1,2001,".to_owned(),
        format!("{},,Ann,,1,2001,", isbn(1)),
        format!("{},T,,,1,2001,", isbn(2)),
        format!("{},T,Ann,Klingon,1,2001,", isbn(3)),
        format!("{},T,Ann,,$5,2001,", isbn(4)),
        format!("{},T,Ann,,free,2001,", isbn(5)),
        format!("{},{long},Ann,,1,2001,", isbn(6)),
        format!("{},\"T\u{0}\",Ann,,1,2001,", isbn(7)),
        format!("{},T,Ann,,1,10/01/2015,scroll", isbn(8)),
        format!("{},T,Ann,,1,2001,,", isbn(9)),
    ];
    let told =
        shop.import(books(), format!("isbn,title,author,language,price,pubdate,format\n{}\n", rows.join("\n"))).await;
    assert_eq!(told.accepted, 1);
    let parts = [
        "isbn \"9.78031E+12\": a spreadsheet has written",
        "title: a title has 1 to 200 characters and is not blank (title_length)",
        "authors: a book has 1 to 100 authors (author_count)",
        "language \"Klingon\": a language is",
        "price \"$5\": `$` alone",
        "price \"free\": there is no amount in it (amount)",
        "…: a title has 1 to 200 characters and is not blank (title_length)",
        "title \"T\\0\": text holds no control characters (control_character)",
        "the row has 8 fields, the header 7",
    ];
    assert_eq!(told.refused.len(), parts.len(), "{:?}", told.refused);
    for ((line, reason), (n, part)) in told.refused.iter().zip([0, 1, 2, 3, 4, 5, 6, 7, 9].into_iter().zip(parts)) {
        assert!(*line == n + 2 && reason.contains(part) && reason.len() < 400, "{line}: {reason}");
    }
    assert_eq!(told.count(Note::LeftOut(LeftOut::PublicationDate)), 1);
    assert_eq!(told.count(Note::LeftOut(LeftOut::Format)), 1);
}

#[tokio::test]
async fn of_two_columns_with_isbns_the_readable_one_counts_and_two_books_are_none() {
    let shop = shop();
    let file = format!(
        "isbn,isbn13,title,author\n306406152,9.78031E+12,A,Ann\n{},,B,Ann\n{},9780306406157,C,Ann\n,9.8E+12,D,Ann\n",
        isbn(1),
        isbn(2)
    );
    let told = shop.import(books(), file).await;
    assert_eq!(told.counts(), (2, 0, 2), "{told:?}");
    assert!(told.refused[0].1.contains("names another book"), "{:?}", told.refused);
    assert!(told.refused[1].1.contains("scientific"), "{:?}", told.refused);
}

#[tokio::test]
async fn a_table_without_isbns_is_read_and_every_row_refused() {
    let told = shop().import(books(), "title,author\nA,B\nC,D\n").await;
    assert_eq!((told.counts(), told.stopped), ((0, 0, 2), None));
    assert!(told.refused.iter().all(|(_, reason)| reason.contains("the row has no ISBN")));
}

#[tokio::test]
async fn a_row_about_a_registered_book_changes_nothing() {
    let shop = shop();
    shop.books(format!("{HEADER}{GOOD}")).await;
    let events = shop.events().await;
    let told = shop.import(books(), "isbn,title,author,price\n0306406152,Another,Bo,12\n").await;
    assert_eq!((told.counts(), shop.events().await), ((0, 1, 0), events));
}

#[tokio::test]
async fn the_format_is_told_from_the_beginning() {
    let onix = "<?xml version=\"1.0\"?><ONIXMessage><Product/></ONIXMessage>";
    for (format, file) in [
        ("goodbooks", format!("{HEADER}{GOOD}").into_bytes()),
        ("goodbooks", gzip(&format!("\u{feff}{HEADER}{GOOD}"))),
        ("csv", b"isbn,title,authors\n1,2,3\n".to_vec()),
        ("onix", onix.into()),
        ("onix", gzip(&format!("\u{feff}\n  {onix}"))),
        ("onix", utf16(onix, u16::to_be_bytes)),
    ] {
        assert_eq!(shop().import(books(), file).await.read_as.format, format);
    }
    let told = shop().import(books_as(BookFormat::Csv), format!("{HEADER}{GOOD}")).await;
    assert_eq!(told.read_as.format, "csv");
    let mut broken = format!("{HEADER}{GOOD}").into_bytes();
    broken.extend_from_slice(b"2,140328726,Andr\xe9,1999.0,T,eng\n");
    let told = shop().import(books(), broken).await;
    assert_eq!((told.counts(), told.read_as.encoding.as_str()), ((1, 0, 1), "UTF-8"), "the data set is UTF-8");
    let told = shop().import(books(), b"PK\x03\x04rest".to_vec()).await;
    assert!(told.stopped.unwrap_or_default().contains("spreadsheet"));
}

#[tokio::test]
async fn a_dry_run_judges_as_the_import_does_and_changes_nothing() {
    let shop = shop();
    shop.books(format!("{HEADER}{GOOD}")).await;
    let events = shop.events().await;
    let file = format!("isbn,title,author\n{0},T,Ann\n0306406152,T,Ann\n{0},T,Ann\nbad,T,Ann\n", isbn(5));
    let dry = shop.import(Task { effect: Effect::DryRun, ..books() }, file.clone()).await;
    assert_eq!((dry.counts(), shop.events().await), ((1, 2, 1), events));
    let real = shop.import(books(), file).await;
    assert_eq!((real.counts(), &real.refused), (dry.counts(), &dry.refused));
    assert_eq!(shop.events().await, events + 1);

    let file = "isbn,on_hand,price\n9780306406157,3,\n9780306406157,4,5.00\n9780306406157,4,5.00\n0439023483,1,\n";
    let events = shop.events().await;
    let dry = Task { content: Content::Stock, effect: Effect::DryRun, ..books() };
    let dry = shop.import(dry, file).await;
    assert_eq!((dry.counts(), shop.events().await), ((2, 1, 1), events));
    assert_eq!(shop.stock(file).await.counts(), dry.counts());
}

#[tokio::test]
async fn refused_rows_come_back_whole_and_go_in_once_they_are_mended() {
    let shop = shop();
    let good = "0306406152;\"A; \"\"title\"\"\";Ann\n";
    let file = format!(
        "isbn;title;author;refused_because\n{}bad;\"Two; 活着\";Bo;\"old reason\"\n",
        good.replace(";Ann", ";Ann;")
    );
    let told = shop.import(books(), encoded(GBK, &file.replace("title;author", "书名;作者"))).await;
    assert_eq!(told.counts(), (1, 0, 1), "{told:?}");
    assert_eq!(told.read_as.frame.opening, "isbn;书名;作者;refused_because");
    assert_eq!(told.rows, [(3, "bad;\"Two; 活着\";Bo".to_owned())]);
    let again = format!("{}\n{};\"a reason\"\n", told.read_as.frame.opening, told.rows[0].1.replace("bad", &isbn(7)));
    assert_eq!(shop.import(books(), again).await.counts(), (1, 0, 0));
    assert_eq!(shop.listing(&isbn(7)).await.description.title.as_str(), "Two; 活着");
    // A row of the wrong length stays one.
    let told = shop.import(books(), "isbn,title,author\n0140328726,T\n").await;
    let again = format!("{}\n{},reason\n", told.read_as.frame.opening, told.rows[0].1);
    assert_eq!(shop.import(books(), again).await.counts(), (0, 0, 1));
    let named = Task { refused_rows: RefusedRows::Named, ..books() };
    assert!(shop.import(named, "isbn,title\nbad,T\n").await.rows.is_empty());
}

#[tokio::test]
async fn lines_are_counted_as_an_editor_does() {
    let file = "isbn,title,author\nbad1,T,A\n\nbad2,\"T\nU\",A\nbad3,T,A\n\n\nbad4,T,A";
    for end in ["\n", "\r\n", "\r"] {
        let told = shop().import(books(), file.replace('\n', end)).await;
        let lines: Vec<_> = told.refused.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 6, 9], "{end:?}: {told:?}");
    }
    let many: String = (0..3_000).map(|n| format!("bad{n},T,A\r\n")).collect();
    let told = shop().import(books(), format!("sep=,\r\nisbn,title,author\r\n{many}")).await;
    let lines: Vec<_> = told.refused.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, (3..3_003).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_line_without_end_stops_the_file_and_not_what_came_before() {
    let shop = shop();
    let start = format!("isbn,title,author\n{},T,Ann\n", isbn(0));
    let endless = std::io::Cursor::new(start.into_bytes()).chain(std::io::repeat(b'x').take(100 << 20));
    let told = shop.import_from(books(), Box::new(endless)).await;
    assert_eq!(told.accepted, 1);
    let stopped = told.stopped.unwrap_or_default();
    assert!(stopped.contains("line 3") && stopped.contains("more than a mebibyte"), "{stopped}");
}
