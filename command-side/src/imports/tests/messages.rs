//! ONIX messages: every shape they come in, what is none, what is too much, and what comes back of refused products.

use super::onix::{ISBN, message, record, supply};
use super::*;
use crate::imports::encoding::{Decoded, utf8};
use crate::imports::onix::Messages;
use std::fmt::Write as _;

#[tokio::test]
async fn every_shape_of_message_is_read() {
    let one = record(ISBN, "", "");
    let prefixed = one.replace("</", "</o:").replace('<', "<o:").replace("<o:/", "</").replace("</o:o:", "</o:");
    for text in [
        one.clone(),
        message(&one),
        format!(
            "<!DOCTYPE ONIXMessage SYSTEM \"http://127.0.0.1:9/onix.dtd\">{}",
            message(&one).replace("<?xml version=\"1.0\"?>", "")
        ),
        message(&one).replace(" release", " xmlns=\"http://www.editeur.org/onix/2007/reference\" release"),
        format!(
            "<o:ONIXMessage xmlns:o=\"http://ns.editeur.org/onix/3.0/reference\" release=\"3.0\">{prefixed}</o:ONIXMessage>"
        ),
        message(&format!("<!-- before --><?pi?>{one}")),
    ] {
        let told = shop().import(books(), text.clone()).await;
        assert_eq!((told.counts(), told.stopped), ((1, 0, 0), None), "{text}");
    }
    let latin =
        message(&record(ISBN, "", "")).replace("A title", "Été").replace("1.0\"?", "1.0\" encoding='ISO-8859-1'?");
    let shop = shop();
    let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(&latin);
    let told = shop.import(books(), bytes.into_owned()).await;
    assert_eq!((told.counts(), told.read_as.encoding.as_str()), ((1, 0, 0), "windows-1252"));
    assert_eq!(shop.listing(ISBN).await.description.title.as_str(), "Été");
    let mut broken = message(&format!("{}\n{}", record(ISBN, "", ""), record(&isbn(1), "", ""))).into_bytes();
    let place = broken.windows(7).position(|bytes| bytes == b"A title").unwrap();
    broken[place] = 0xff;
    let told = shop.import(books(), broken).await;
    assert!(told.counts() == (1, 0, 1) && told.refused[0].1.starts_with("title "), "{told:?}");
}

#[tokio::test]
async fn defaults_of_the_header_hold_where_a_product_says_nothing() {
    let header = "<Header><DefaultLanguageOfText>fre</DefaultLanguageOfText><DefaultPriceType>02</DefaultPriceType>\
                  <DefaultCurrencyCode>EUR</DefaultCurrencyCode></Header>";
    let shop = shop();
    let priced = supply("<Price><PriceAmount>5.00</PriceAmount></Price>");
    let told = shop.import(books(), message(&format!("{header}{}bad", record(ISBN, "", &priced)))).await;
    assert_eq!(told.counts(), (1, 0, 0));
    let listing = shop.listing(ISBN).await;
    assert_eq!(listing.price.map(|price| (price.amount(), price.currency().code())), Some((500, "EUR")));
    assert_eq!(listing.description.language.as_str(), "fr");
    assert!(told.read_as.frame.opening.contains(header) && told.read_as.frame.closing == "</ONIXMessage>");
}

#[tokio::test]
async fn what_is_no_message_is_told_so_and_takes_nothing_back() {
    let good = record(ISBN, "", "");
    let bomb = "<!DOCTYPE ONIXMessage [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>";
    let outside = "<!DOCTYPE ONIXMessage [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>";
    let parameter = "<!DOCTYPE ONIXMessage [<!ENTITY % a SYSTEM \"http://127.0.0.1:9/a\"> %a;]>";
    let whole = message(&good);
    let with = |doctype: &str| whole.replace("?>\n", &format!("?>{doctype}\n"));
    let deep = format!("<ONIXMessage>{good}<x>{}", "<y>".repeat(100_000));
    for (accepted, text, part) in [
        (0, with(bomb), "declares entities"),
        (0, with(outside), "declares entities"),
        (0, with(parameter), "declares entities"),
        (0, "<html><body/></html>".to_owned(), "its root is <html>"),
        (0, message(""), "the message holds no product"),
        (0, "<?xml version=\"1.0\"?>".to_owned(), "no element is in it"),
        (1, whole.replace("\n</ONIX", "\n<Product><IDValue></Product></ONIX"), "line 4: the XML is not well-formed"),
        (1, whole.replace("\n</ONIXMessage>\n", ""), "the file ends before the message does"),
        (1, whole.replace("\n</ONIXMessage>\n", "\n<Product><Not"), "line 4"),
        (1, whole.replace("\n</ONIXMessage>\n", "\n<Product><NotificationType>0"), "begins at line 4"),
        (1, deep, "more than 4096 elements"),
    ] {
        let told = shop().import(books(), text.clone()).await;
        let stopped = told.stopped.unwrap_or_default();
        assert!(
            told.accepted == accepted && stopped.contains(part),
            "{part}: {stopped:?} {} {text:.300}",
            told.accepted
        );
    }
}

#[tokio::test]
async fn a_product_that_is_too_much_is_refused_and_the_next_one_read() {
    let nested = format!("{}{}", "<x>".repeat(70), "</x>".repeat(70));
    let large = "<x>0123456789</x>".repeat(100_000);
    for (more, part) in [
        (nested, "more than 64 elements"),
        (large, "more than a mebibyte"),
        ("<x>&nosuch;</x>".to_owned(), "the entity &nosuch; is not known"),
        ("<x>&#0;</x>".to_owned(), "the entity &#0; is not known"),
    ] {
        let products = format!("{}\n{}", record(&isbn(1), &more, ""), record(&isbn(2), "", ""));
        let told = shop().import(books(), message(&products)).await;
        assert_eq!((told.counts(), &told.stopped), ((1, 0, 1), &None), "{part}: {:?}", told.refused);
        assert!(told.refused[0].1.contains(part), "{:?}", told.refused);
    }
    for endless in ["<x a=\"", "<!--", "<![CDATA[", "<x>text "] {
        let start = format!("<ONIXMessage>{}<Product>{endless}", record(ISBN, "", ""));
        let file = std::io::Cursor::new(start.into_bytes()).chain(std::io::repeat(b'x').take(100 << 20));
        let told = shop().import_from(books(), Box::new(file)).await;
        let stopped = told.stopped.unwrap_or_default();
        assert!(told.accepted == 1 && stopped.contains("more than a mebibyte"), "{endless}: {stopped}");
    }
}

#[tokio::test]
async fn refused_products_come_back_whole_and_go_in_once_they_are_mended() {
    let shop = shop();
    let bad = record("9780306406158", "", "").replace("A title", "Caf&eacute;");
    let told = shop.import(books(), message(&format!("<Header/>{}\n{bad}", record(&isbn(1), "", "")))).await;
    assert_eq!((told.counts(), &told.rows), ((1, 0, 1), &vec![(4, bad)]));
    let frame = &told.read_as.frame;
    let again =
        format!("{}\n<!-- why -->\n{}\n{}", frame.opening, told.rows[0].1.replace("06158", "06157"), frame.closing);
    let told = shop.import(books(), again).await;
    assert_eq!((told.counts(), told.stopped), ((1, 0, 0), None));
    assert_eq!(shop.listing(ISBN).await.description.title.as_str(), "Café");
}

/// A message of so many products of some ten kilobytes, made while it is read.
struct Generated {
    products: u64,
    next: u64,
    part: std::io::Cursor<Vec<u8>>,
}

impl Generated {
    fn new(products: u64) -> Self {
        Self { products, next: 0, part: std::io::Cursor::new(b"<ONIXMessage release=\"3.0\">".to_vec()) }
    }
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.part.read(buffer)?;
        if read > 0 || self.next > self.products {
            return Ok(read);
        }
        let mut part = String::new();
        if self.next == self.products {
            part.push_str("</ONIXMessage>");
        } else {
            let isbn = isbn(u32::try_from(self.next % 100).unwrap());
            writeln!(part, "{}", record(&isbn, &format!("<x>{}</x>", "text ".repeat(2_000)), "")).unwrap();
        }
        self.next += 1;
        self.part = std::io::Cursor::new(part.into_bytes());
        self.part.read(buffer)
    }
}

#[test]
fn a_large_message_is_read_in_bounded_memory() {
    let file = Decoded::new(Box::new(Generated::new(6_500)), &utf8(b"<"));
    let mut messages = Messages::open(file, "UTF-8", &books());
    let (mut products, mut most) = (0, 0);
    while let Some(entry) = messages.next_entry().unwrap() {
        assert!(entry.row.is_ok());
        products += 1;
        most = most.max(messages.held_bytes());
    }
    assert_eq!(products, 6_500);
    assert!(most < 64 * 1_024, "{most} bytes were held of products of ten kilobytes");
}
