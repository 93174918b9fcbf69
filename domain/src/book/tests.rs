//! What a book does, and what its parts accept.

use super::description::{
    Authors, Changes, Description, Edition, Format, Language, PublicationDate, Subject, Subjects, Title,
};
use super::*;
use crate::decider::fold;
use crate::given::given;
use crate::invalid::Invalid;
use crate::money::Currency;

fn listing() -> Listing {
    Listing {
        isbn: Isbn::parse("0-306-40615-2").unwrap(),
        description: Description {
            title: Title::parse("The Typesetter's Daughter").unwrap(),
            authors: Authors::parse(&["Ada Example"]).unwrap(),
            language: Language::parse("en").unwrap(),
            subjects: Subjects::default(),
            published_on: None,
            edition: None,
            format: Some(Format::Paperback),
        },
        price: Some(cny(4_200)),
    }
}

fn cny(amount: u64) -> Money {
    Money::new(amount, Currency::parse("CNY").unwrap()).unwrap()
}

#[test]
fn a_new_book_is_registered() {
    assert_eq!(given::<Book>(&[], Command::Register(listing())), Ok(vec![Event::Registered(listing())]));
}

#[test]
fn an_isbn_is_registered_once_even_after_retirement() {
    let mut events = vec![Event::Registered(listing())];
    assert_eq!(given::<Book>(&events, Command::Register(listing())), Err(Rejection::IsbnTaken));
    events.push(Event::Retired);
    assert_eq!(given::<Book>(&events, Command::Register(listing())), Err(Rejection::IsbnTaken));
}

#[test]
fn only_a_registered_book_is_revised_or_retired() {
    assert_eq!(given::<Book>(&[], Command::Revise(Changes::default())), Err(Rejection::NotRegistered));
    assert_eq!(given::<Book>(&[], Command::Retire), Err(Rejection::NotRegistered));
}

#[test]
fn a_revision_records_what_changed_and_nothing_else() {
    let events = [Event::Registered(listing())];
    let title = Title::parse("The Compositor").unwrap();
    let changes = Changes { title: Some(title.clone()), price: Some(Some(cny(3_900))), ..Changes::default() };
    let description = Description { title, ..listing().description };
    assert_eq!(
        given::<Book>(&events, Command::Revise(changes)),
        Ok(vec![Event::Revised(description), Event::Repriced(Some(cny(3_900)))])
    );
    let unpriced = Changes { price: Some(None), ..Changes::default() };
    assert_eq!(given::<Book>(&events, Command::Revise(unpriced)), Ok(vec![Event::Repriced(None)]));
    let without_format = Changes { format: Some(None), ..Changes::default() };
    let description = Description { format: None, ..listing().description };
    assert_eq!(given::<Book>(&events, Command::Revise(without_format)), Ok(vec![Event::Revised(description)]));
}

#[test]
fn a_revision_to_what_is_there_already_changes_nothing() {
    let events = [Event::Registered(listing())];
    let changes =
        Changes { title: Some(listing().description.title), price: Some(listing().price), ..Changes::default() };
    assert_eq!(given::<Book>(&events, Command::Revise(changes)), Ok(vec![]));
}

#[test]
fn a_retired_book_stays_as_it_is_and_can_be_read() {
    let events = [Event::Registered(listing()), Event::Retired];
    assert_eq!(given::<Book>(&events, Command::Revise(Changes::default())), Err(Rejection::Retired));
    assert_eq!(given::<Book>(&events, Command::Retire), Ok(vec![]));
    assert_eq!(fold::<Book>(&events).listing(), Some(&listing()));
}

#[test]
fn the_fold_shows_what_the_events_say() {
    let revised = Description { language: Language::parse("zh-Hant").unwrap(), ..listing().description };
    let events = [Event::Registered(listing()), Event::Revised(revised.clone()), Event::Repriced(None)];
    let expected = Listing { description: revised, price: None, ..listing() };
    assert_eq!(fold::<Book>(&events), Book::Listed(expected));
}

#[test]
fn one_isbn_is_one_id_however_it_is_written() {
    let ids = ["0306406152", "9780306406157", "978-0-306-40615-7", " 0-306-40615-2 "]
        .map(|isbn| BookId::of(&Isbn::parse(isbn).unwrap()));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(ids[0].to_string(), Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:isbn:9780306406157").to_string());
}

#[test]
fn an_isbn_is_judged_by_shape_checksum_and_prefix() {
    for (input, expected) in [
        ("080442957X", Ok("9780804429573")),
        ("080442957x", Ok("9780804429573")),
        ("979-10-90636-07-1", Ok("9791090636071")),
        ("9790306406156", Ok("9790306406156")),
        ("0306406153", Err(Invalid::IsbnChecksum)),
        ("9780306406158", Err(Invalid::IsbnChecksum)),
        ("9770306406158", Err(Invalid::IsbnPrefix)),
        ("1234567890128", Err(Invalid::IsbnPrefix)),
        ("0000000000", Err(Invalid::IsbnBlank)),
        ("0000000000000", Err(Invalid::IsbnPrefix)),
        ("", Err(Invalid::IsbnShape)),
        ("030640615", Err(Invalid::IsbnShape)),
        ("97803064061577", Err(Invalid::IsbnShape)),
        ("X306406152", Err(Invalid::IsbnShape)),
        ("978030640615X", Err(Invalid::IsbnShape)),
        ("03064O6152", Err(Invalid::IsbnShape)),
        ("٠٣٠٦٤٠٦١٥٢", Err(Invalid::IsbnShape)),
        ("ééééé", Err(Invalid::IsbnShape)),
    ] {
        let parsed = Isbn::parse(input);
        assert_eq!(parsed.as_ref().map(Isbn::as_str), expected.as_ref().map(|isbn| *isbn), "{input}");
    }
}

#[test]
fn texts_are_bounded_printable_and_trimmed() {
    assert_eq!(Title::parse("  T  ").unwrap().as_str(), "T");
    assert_eq!(Title::parse(&"書".repeat(200)).unwrap().as_str().chars().count(), 200);
    assert_eq!(Title::parse(&"書".repeat(201)), Err(Invalid::TitleLength));
    assert_eq!(Title::parse(" \u{3000} "), Err(Invalid::TitleLength));
    assert_eq!(Title::parse("a\u{0}b"), Err(Invalid::ControlCharacter));
    assert_eq!(Title::parse("a\nb"), Err(Invalid::ControlCharacter));
    assert_eq!(Authors::parse::<&str>(&[]), Err(Invalid::AuthorCount));
    assert_eq!(Authors::parse(&["A"; 101]), Err(Invalid::AuthorCount));
    assert_eq!(Authors::parse(&["A"; 100]).unwrap().names().len(), 100);
    assert_eq!(Authors::parse(&["A", " "]), Err(Invalid::AuthorLength));
    assert_eq!(Edition::parse(""), Err(Invalid::EditionLength));
    assert_eq!(Subject::parse("thema", Some(""), "FBA"), Err(Invalid::SubjectLength));
    let subject = Subject::parse("thema", None, "FBA").unwrap();
    assert_eq!(Subjects::parse(vec![subject; 101]), Err(Invalid::SubjectCount));
}

#[test]
fn a_language_is_a_well_formed_tag_kept_as_sent() {
    for tag in ["en", "EN-us", "zh-Hant-TW", "und", "x-private", "i-klingon"] {
        assert_eq!(Language::parse(tag).unwrap().as_str(), tag);
    }
    for tag in ["", "e", "en_US", "english language", "en--US", "zh-Hant-", &format!("en-{}", "a1b2c3d4-".repeat(5))] {
        assert_eq!(Language::parse(tag), Err(Invalid::Language), "{tag}");
    }
}

#[test]
fn a_publication_date_is_in_the_calendar_and_as_exact_as_it_was_given() {
    for date in ["2024", "0001", "2024-05", "2024-02-29", "2000-02-29", "1999-12-31"] {
        assert_eq!(PublicationDate::parse(date).unwrap().to_string(), date);
    }
    for date in ["", "0000", "24", "02024", "2024-00", "2024-13", "2024-5", "2023-02-29", "1900-02-29", "2024-04-31"] {
        assert_eq!(PublicationDate::parse(date), Err(Invalid::PublicationDate), "{date}");
    }
    for date in ["2024-05-00", "2024-05-01-01", "-500", "2024-", "2024/05", "2008.0", "２０２４", "+024"] {
        assert_eq!(PublicationDate::parse(date), Err(Invalid::PublicationDate), "{date}");
    }
}

proptest::proptest! {
    #[test]
    fn no_input_makes_a_parser_panic(input in ".{0,40}") {
        let _ = (Isbn::parse(&input), Language::parse(&input), PublicationDate::parse(&input), Title::parse(&input));
    }

    #[test]
    fn a_mistyped_digit_is_found(digits in proptest::array::uniform9(0..10_u8), place in 0..12_usize, by in 1..10_u8) {
        let nine: String = digits.iter().map(u8::to_string).collect();
        let sum: u32 = digits.iter().enumerate().map(|(i, d)| u32::from(*d) * (10 - i as u32)).sum();
        let check = (11 - sum % 11) % 11;
        let isbn_10 = format!("{nine}{}", if check == 10 { "X".to_owned() } else { check.to_string() });
        proptest::prop_assume!(isbn_10 != "0000000000");
        let isbn = Isbn::parse(&isbn_10).unwrap();
        proptest::prop_assert_eq!(&isbn.as_str()[..12], format!("978{nine}"));
        let mut mistyped = isbn.as_str().as_bytes().to_vec();
        mistyped[place] = b'0' + (mistyped[place] - b'0' + by) % 10;
        proptest::prop_assert!(Isbn::parse(std::str::from_utf8(&mistyped).unwrap()).is_err());
    }
}
