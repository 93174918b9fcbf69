//! ONIX records: what is read of each field, and what becomes of records, updates and deletions.

use super::*;
use domain::book::Listing;
use domain::book::description::Format;

/// Kilobytes of a real file, where the real data lie beside the project.
fn shared(name: &str) -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/onix/");
    let file = std::fs::read(format!("{path}{name}"));
    if file.is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: no ../shared");
    }
    file.ok()
}

pub(super) fn message(products: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<ONIXMessage release=\"3.0\">\n{products}\n</ONIXMessage>\n")
}

/// A product: its notification type, what stands in its descriptive detail, and what stands behind it.
fn product(isbn: &str, notification: &str, detail: &str, rest: &str) -> String {
    format!(
        "<Product><NotificationType>{notification}</NotificationType><ProductIdentifier><ProductIDType>15</ProductIDType>\
         <IDValue>{isbn}</IDValue></ProductIdentifier><DescriptiveDetail>{detail}</DescriptiveDetail>{rest}</Product>"
    )
}

const TITLE: &str = "<TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel>\
                     <TitleText>A title</TitleText></TitleElement></TitleDetail>";
const AUTHOR: &str =
    "<Contributor><ContributorRole>A01</ContributorRole><PersonName>Ann Example</PersonName></Contributor>";

pub(super) fn record(isbn: &str, more: &str, rest: &str) -> String {
    product(isbn, "03", &format!("{TITLE}{AUTHOR}{more}"), rest)
}

fn title(element: &str) -> String {
    format!(
        "<TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel>{element}\
         </TitleElement></TitleDetail>{AUTHOR}"
    )
}

fn price(kind: &str, amount: &str, currency: &str, more: &str) -> String {
    format!(
        "<Price><PriceType>{kind}</PriceType><PriceAmount>{amount}</PriceAmount>\
         <CurrencyCode>{currency}</CurrencyCode>{more}</Price>"
    )
}

pub(super) fn supply(prices: &str) -> String {
    format!("<ProductSupply><SupplyDetail>{prices}</SupplyDetail></ProductSupply>")
}

fn dated(role: &str, date: &str) -> String {
    format!(
        "<PublishingDetail><PublishingDate><PublishingDateRole>{role}</PublishingDateRole>{date}</PublishingDate></PublishingDetail>"
    )
}

/// What the catalogue has of the one product of a message.
async fn listed(product: &str) -> (Listing, Told) {
    let shop = shop();
    let told = shop.import(books(), message(product)).await;
    assert_eq!((told.counts(), &told.stopped), ((1, 0, 0), &None), "{product}: {told:?}");
    (shop.listing("9780306406157").await, told)
}

async fn refused(product: &str) -> String {
    let told = shop().import(books(), message(product)).await;
    assert_eq!((told.counts(), &told.stopped), ((0, 0, 1), &None), "{product}: {told:?}");
    assert_eq!(told.refused[0].0, 3);
    told.refused[0].1.clone()
}

pub(super) const ISBN: &str = "9780306406157";

#[tokio::test]
async fn a_real_record_is_read_the_same_by_either_set_of_tags() {
    for (file, subjects) in [
        (
            "full_sample.xml",
            vec![
                ("thema", Some("1.3"), "FFP"),
                ("bisac", Some("2017"), "FIC022000"),
                ("thema", Some("1.3"), "FYT"),
                ("onix27-94", Some("1.3"), "1DNS"),
                ("onix27-96", Some("1.3"), "3MPQS"),
            ],
        ),
        (
            "short.xml",
            vec![
                ("bic", Some("2.0"), "FF"),
                ("bisac", Some("2009"), "FIC022000"),
                ("bic", Some("2.0"), "FYT"),
                ("onix27-13", Some("2.0"), "1DNS"),
                ("onix27-15", Some("2.0"), "3JJPK"),
            ],
        ),
    ] {
        let Some(text) = shared(file) else { return };
        let shop = shop();
        assert_eq!(shop.import(books(), text).await.counts(), (1, 0, 0), "{file}");
        let listing = shop.listing("9780007232833").await;
        let description = &listing.description;
        assert_eq!(description.title.as_str(), "Roseanna");
        assert_eq!(description.authors.names(), ["Maj Sjöwall", "Per Wahlöö", "Henning Mankell"]);
        assert_eq!(description.language.as_str(), "en");
        assert_eq!(description.published_on.map(|date| date.to_string()).as_deref(), Some("2006-08-07"));
        assert_eq!((description.format, &description.edition), (Some(Format::Paperback), &None));
        let read: Vec<_> =
            description.subjects.as_slice().iter().map(|it| (it.scheme(), it.version(), it.code())).collect();
        assert_eq!(read, subjects, "{file}");
        assert_eq!(listing.price.map(|price| (price.amount(), price.currency().code())), Some((799, "GBP")));
    }
}

#[tokio::test]
async fn every_real_message_is_reported_truly() {
    for (file, counts, refusals) in [
        ("9782752906700.xml", (1, 0, 3), vec![(11, "no ISBN"), (87, "no ISBN"), (167, "no ISBN")]),
        ("audio1.xml", (0, 0, 1), vec![(19, "isbn_checksum")]),
        ("bad_content_date_format.xml", (1, 0, 0), vec![]),
        ("embargo-date.xml", (0, 0, 1), vec![(17, "isbn_checksum")]),
        ("full-sender.xml", (0, 0, 1), vec![(17, "isbn_checksum")]),
        ("full_sample.xml", (1, 0, 0), vec![]),
        ("onix2.xml", (0, 0, 1), vec![(8, "ONIX 2")]),
        ("price_to_be_announced.xml", (1, 0, 0), vec![]),
        ("reflowable.xml", (0, 0, 1), vec![(10, "no ISBN")]),
        ("short.xml", (1, 0, 0), vec![]),
        ("test_prices1.xml", (0, 0, 1), vec![(1, "isbn_shape")]),
        ("test_wiley_data.xml", (0, 0, 1), vec![(11, "ONIX 2.1")]),
    ] {
        let Some(text) = shared(file) else { return };
        let shop = shop();
        let told = shop.import(books(), text.clone()).await;
        assert_eq!((told.counts(), &told.stopped), (counts, &None), "{file}: {told:?}");
        for ((line, reason), (expected, part)) in told.refused.iter().zip(refusals) {
            assert!(*line == expected && reason.contains(part), "{file}: {line}: {reason}");
        }
        let again = shop.import(books(), text).await;
        assert_eq!(again.counts(), (0, counts.0, counts.2), "{file}: again");
    }
    let Some(text) = shared("test_collection.xml") else { return };
    let stopped = shop().import(books(), text).await.stopped.unwrap_or_default();
    assert!(stopped.contains("its root is <Collection>"), "{stopped}");
    let Some(text) = shared("9782752906700.xml") else { return };
    let shop = shop();
    shop.import(books(), text).await;
    let listing = shop.listing("9782752908643").await;
    assert_eq!(listing.price.map(|price| (price.amount(), price.currency().code())), Some((1_099, "EUR")));
    assert_eq!(listing.description.edition.map(|edition| edition.as_str().to_owned()).as_deref(), Some("1"));
    assert_eq!((listing.description.language.as_str(), listing.description.format), ("fr", Some(Format::Ebook)));
}

#[tokio::test]
async fn the_title_is_the_product_s_own() {
    let long = "x".repeat(195);
    for (detail, expected) in [
        (title("<TitlePrefix>The</TitlePrefix><TitleWithoutPrefix>Sea</TitleWithoutPrefix>"), "The Sea".to_owned()),
        (
            title("<TitlePrefix>L'</TitlePrefix><TitleWithoutPrefix>Étranger</TitleWithoutPrefix>"),
            "L'Étranger".to_owned(),
        ),
        (title("<TitleText>One\n   line</TitleText><Subtitle>and two</Subtitle>"), "One line: and two".to_owned()),
        (
            title("<TitleText>An <em>emphatic</em> <![CDATA[<title>]]> &amp; &eacute;&#x4e2d;</TitleText>"),
            "An emphatic <title> & é中".to_owned(),
        ),
        (title("<TitleText><ruby>漢<rt>かん</rt></ruby></TitleText>"), "漢".to_owned()),
        (title(&format!("<TitleText>{long}</TitleText><Subtitle>too long</Subtitle>")), long.clone()),
        (
            format!(
                "<TitleDetail><TitleType>05</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel><TitleText>Short</TitleText></TitleElement></TitleDetail>{}",
                title("<TitleText>Whole</TitleText>")
            ),
            "Whole".to_owned(),
        ),
        (
            format!(
                "<TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel><PartNumber>3\
                 </PartNumber></TitleElement><TitleElement><SequenceNumber>1</SequenceNumber><TitleElementLevel>02\
                 </TitleElementLevel><TitleText>Series</TitleText></TitleElement></TitleDetail>{AUTHOR}"
            ),
            "Series, 3".to_owned(),
        ),
        (
            format!(
                "<Collection>{TITLE}</Collection><ProductPart>{TITLE}</ProductPart>{}",
                title("<TitleText>Own</TitleText>")
            ),
            "Own".to_owned(),
        ),
    ] {
        let (listing, told) = listed(&product(ISBN, "03", &detail, "")).await;
        assert_eq!(listing.description.title.as_str(), expected);
        assert_eq!(told.count(Note::LeftOut(LeftOut::Subtitle)), usize::from(expected == long));
    }
    assert!(refused(&product(ISBN, "03", AUTHOR, "")).await.contains("(title_length)"));
    assert!(
        refused(&product(ISBN, "03", &title(&format!("<TitleText>{long}{long}</TitleText>")), ""))
            .await
            .contains("(title_length)")
    );
}

#[tokio::test]
async fn names_stand_in_their_order_however_they_are_given() {
    let contributor = |place: &str, role: &str, name: &str| {
        format!("<Contributor>{place}<ContributorRole>{role}</ContributorRole>{name}</Contributor>")
    };
    let detail = [
        TITLE.to_owned(),
        contributor(
            "<SequenceNumber>3</SequenceNumber>",
            "A01",
            "<PersonNameInverted>Otsuka, Julie</PersonNameInverted>",
        ),
        contributor("<SequenceNumber>10</SequenceNumber>", "A12", "<CorporateName>The Press</CorporateName>"),
        contributor(
            "<SequenceNumber>2</SequenceNumber>",
            "A01",
            "<NamesBeforeKey>Ludwig</NamesBeforeKey><PrefixToKey>van</PrefixToKey><KeyNames>Beethoven</KeyNames>",
        ),
        contributor("<SequenceNumber>1</SequenceNumber>", "B06", "<PersonName>A Translator</PersonName>"),
        contributor(
            "<SequenceNumber>4</SequenceNumber>",
            "A01",
            "<AlternativeName><PersonName>Not This</PersonName></AlternativeName><PersonName>Pen Name</PersonName>",
        ),
        contributor("<SequenceNumber>5</SequenceNumber>", "A14", "<PersonName>Pen Name</PersonName>"),
    ];
    let (listing, _) = listed(&product(ISBN, "03", &detail.concat(), "")).await;
    assert_eq!(listing.description.authors.names(), ["Ludwig van Beethoven", "Julie Otsuka", "Pen Name", "The Press"]);
    let edited = format!("{TITLE}{}", contributor("", "B01", "<PersonName>An Editor</PersonName>"));
    assert_eq!(listed(&product(ISBN, "03", &edited, "")).await.0.description.authors.names(), ["An Editor"]);
    assert!(refused(&product(ISBN, "03", TITLE, "")).await.contains("(author_count)"));
}

#[tokio::test]
async fn one_price_follows_from_the_message_alone() {
    let until = "<PriceDate><PriceDateRole>15</PriceDateRole><Date>20130427</Date></PriceDate>";
    let from = |date: &str| format!("<PriceDate><PriceDateRole>14</PriceDateRole><Date>{date}</Date></PriceDate>");
    for (prices, expected) in [
        (price("01", "8.00", "CNY", "") + &price("02", "9.00", "CNY", ""), Some((900, "CNY"))),
        (price("02", "9.00", "EUR", "") + &price("01", "8.00", "CNY", ""), Some((800, "CNY"))),
        (price("04", "30,80", "BRL", ""), Some((3_080, "BRL"))),
        (
            price("02", "1.00", "EUR", &format!("{}{until}", from("20130327"))) + &price("02", "3.00", "EUR", ""),
            Some((300, "EUR")),
        ),
        (price("05", "5.00", "CNY", "") + &price("42", "6.00", "CNY", ""), Some((600, "CNY"))),
        (price("02", "4.99", "EUR", until) + &price("02", "14.99", "EUR", &from("20130427")), Some((1_499, "EUR"))),
        (
            price("02", "1.00", "EUR", &from("20200101")) + &price("02", "2.00", "EUR", &from("20240101")),
            Some((200, "EUR")),
        ),
        (price("02", "4.99", "EUR", "<PriceQualifier>06</PriceQualifier>"), None),
        (price("05", "5.00", "CNY", ""), None),
        ("<UnpricedItemType>02</UnpricedItemType>".to_owned(), None),
        ("<Price><PriceType>02</PriceType><UnpricedItemType>04</UnpricedItemType></Price>".to_owned(), None),
        (String::new(), None),
    ] {
        let (listing, _) = listed(&record(ISBN, "", &supply(&prices))).await;
        assert_eq!(listing.price.map(|price| (price.amount(), price.currency().code())), expected, "{prices}");
    }
    assert!(refused(&record(ISBN, "", &supply(&price("02", "much", "CNY", "")))).await.contains("price \"much\""));
    assert!(refused(&record(ISBN, "", &supply(&price("02", "1.00", "XYZ", "")))).await.contains("(currency)"));
}

#[tokio::test]
async fn dates_languages_editions_and_forms_are_read() {
    for (date, expected) in [
        ("<Date>20060807</Date>", Some("2006-08-07")),
        ("<Date dateformat=\"01\">200608</Date>", Some("2006-08")),
        ("<DateFormat>05</DateFormat><Date>2006</Date>", Some("2006")),
        ("<DateFormat>14</DateFormat><Date>20140710T000000+0200</Date>", Some("2014-07-10")),
        ("<Date>2006</Date>", Some("2006")),
        ("<Date dateformat=\"00\">2006</Date>", None),
        ("<Date dateformat=\"03\">20063</Date>", None),
        ("<Date>20061399</Date>", None),
        ("<Date>soon</Date>", None),
    ] {
        let (listing, told) = listed(&record(ISBN, "", &dated("01", date))).await;
        assert_eq!(listing.description.published_on.map(|date| date.to_string()).as_deref(), expected, "{date}");
        assert_eq!(told.count(Note::LeftOut(LeftOut::PublicationDate)), usize::from(expected.is_none()), "{date}");
    }
    let first = dated("11", "<Date>1968</Date>");
    assert!(listed(&record(ISBN, "", &first)).await.0.description.published_on.is_some());
    assert!(listed(&record(ISBN, "", &dated("19", "<Date>1968</Date>"))).await.0.description.published_on.is_none());
    for (language, tag) in [
        ("<Language><LanguageRole>02</LanguageRole><LanguageCode>swe</LanguageCode></Language>", "und"),
        ("<Language><LanguageRole>01</LanguageRole><LanguageCode>chi</LanguageCode></Language>", "zh"),
        (
            "<Language><LanguageRole>01</LanguageRole><LanguageCode>chi</LanguageCode><ScriptCode>Hant</ScriptCode></Language>",
            "zh-Hant",
        ),
        ("<language><b253>01</b253><b252>grc</b252></language>", "grc"),
    ] {
        assert_eq!(listed(&record(ISBN, language, "")).await.0.description.language.as_str(), tag, "{language}");
    }
    for (form, format) in [
        ("BB", Some(Format::Hardback)),
        ("BC", Some(Format::Paperback)),
        ("ED", Some(Format::Ebook)),
        ("AJ", Some(Format::Audiobook)),
        ("PC", Some(Format::Other)),
        ("00", None),
    ] {
        let (listing, _) = listed(&record(ISBN, &format!("<ProductForm>{form}</ProductForm>"), "")).await;
        assert_eq!(listing.description.format, format, "{form}");
    }
    let numbered = "<EditionNumber>2</EditionNumber><EditionStatement>2nd, revised</EditionStatement>";
    let (listing, _) = listed(&record(ISBN, numbered, "")).await;
    assert_eq!(listing.description.edition.map(|edition| edition.as_str().to_owned()).as_deref(), Some("2nd, revised"));
}

#[tokio::test]
async fn identifiers_are_taken_in_their_order() {
    let identified = |identifiers: &[(&str, &str)]| {
        let each = identifiers.iter().map(|(kind, value)| {
            format!(
                "<ProductIdentifier><ProductIDType>{kind}</ProductIDType><IDValue>{value}</IDValue></ProductIdentifier>"
            )
        });
        format!("<Product>{}<DescriptiveDetail>{TITLE}{AUTHOR}</DescriptiveDetail></Product>", each.collect::<String>())
    };
    for identifiers in [
        &[("01", "X1"), ("03", "9780439023481"), ("15", ISBN)][..],
        &[("02", "0439023483"), ("03", ISBN)],
        &[("03", "3019002489208"), ("02", "0306406152")],
        &[("15", "978-0-306-40615-7")],
    ] {
        listed(&identified(identifiers)).await;
    }
    let reason = refused(&identified(&[("01", "X1"), ("03", "3019002489208")])).await;
    assert!(reason.contains("\"X1, 3019002489208\": the product has no ISBN"), "{reason}");
}

#[tokio::test]
async fn a_record_revises_what_differs_and_an_update_what_it_says() {
    let shop = shop();
    let import = async |product: String| shop.import(books(), message(&product)).await;
    let dated_2001 = dated("01", "<Date>2001</Date>");
    let first = record(
        ISBN,
        "<ProductForm>BC</ProductForm>",
        &format!("{dated_2001}{}", supply(&price("02", "9.00", "CNY", ""))),
    );
    assert_eq!(import(first.clone()).await.counts(), (1, 0, 0));
    assert_eq!(import(first.clone()).await.counts(), (0, 1, 0));

    // An update of the price leaves everything else.
    let repriced = product(ISBN, "04", "", &supply(&price("02", "10.00", "CNY", "")));
    assert_eq!(import(repriced.clone()).await.counts(), (1, 0, 0));
    assert_eq!(import(repriced).await.counts(), (0, 1, 0));
    let listing = shop.listing(ISBN).await;
    assert_eq!((listing.price.unwrap().amount(), listing.description.format), (1_000, Some(Format::Paperback)));
    assert!(listing.description.published_on.is_some());

    // A whole record takes back what it no longer says, but for the price, which may be the shop's.
    assert_eq!(import(record(ISBN, "", "")).await.counts(), (1, 0, 0));
    let listing = shop.listing(ISBN).await;
    assert_eq!((listing.description.format, listing.description.published_on), (None, None));
    assert_eq!(listing.price.unwrap().amount(), 1_000);
    let unpriced = record(ISBN, "", &supply("<UnpricedItemType>02</UnpricedItemType>"));
    assert_eq!(import(unpriced).await.counts(), (1, 0, 0));
    assert_eq!(shop.listing(ISBN).await.price, None);

    let unknown = import(product(&isbn(1), "04", "", "")).await;
    assert!(unknown.refused[0].1.contains("no book with this ISBN is registered"), "{unknown:?}");
}

#[tokio::test]
async fn a_deletion_retires() {
    let shop = shop();
    let import = async |product: String| shop.import(books(), message(&product)).await;
    let deleted = product(ISBN, "05", "", "");
    let unknown = import(deleted.clone()).await;
    assert!(unknown.counts() == (0, 0, 1) && unknown.refused[0].1.contains("no book with this ISBN"), "{unknown:?}");
    import(record(ISBN, "", "")).await;
    assert_eq!(import(deleted.clone()).await.counts(), (1, 0, 0));
    assert!(matches!(shop.book(ISBN).await, Book::Retired(_)));
    assert_eq!(import(deleted).await.counts(), (0, 1, 0));
    let revised = import(record(ISBN, "", "")).await;
    assert!(revised.refused[0].1.contains("(book_retired)"), "{revised:?}");
    for (kind, part) in [("88", "it is a test"), ("89", "it is a test"), ("12", "only 01, 02 and 03")] {
        assert!(refused(&product(ISBN, kind, TITLE, "")).await.contains(part), "{kind}");
    }
}

#[tokio::test]
async fn a_dry_run_of_a_message_judges_each_record_after_the_others() {
    let shop = shop();
    let products = [
        record(ISBN, "", ""),
        record(ISBN, "", ""),
        record(ISBN, "<ProductForm>BC</ProductForm>", ""),
        product(ISBN, "05", "", ""),
        product(ISBN, "05", "", ""),
        record(ISBN, "", ""),
    ];
    let file = message(&products.join("\n"));
    let dry = shop.import(Task { effect: Effect::DryRun, ..books() }, file.clone()).await;
    assert_eq!((dry.counts(), shop.events().await), ((3, 2, 1), 0));
    let real = shop.import(books(), file).await;
    assert_eq!((real.counts(), &real.refused), (dry.counts(), &dry.refused));
}
