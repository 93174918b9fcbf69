//! The books: which are of one work, and which contain given words.

use super::files::MADE_UP_PREFIX;
use super::words::{self, is_han, is_kana};
use ferrous_opencc::OpenCC;
use ferrous_opencc::config::BuiltinConfig;
use std::collections::{HashMap, HashSet};

/// A book as the server lists it.
#[derive(Clone)]
pub(crate) struct Book {
    /// 13 digits.
    pub(crate) isbn: String,
    /// The title.
    pub(crate) title: String,
    /// The names of its authors.
    pub(crate) authors: Vec<String>,
}

impl Book {
    /// Whether it is of the Chinese file.
    pub(crate) fn is_chinese(&self) -> bool {
        self.isbn.starts_with(MADE_UP_PREFIX)
    }

    /// The words of its first author's name.
    pub(crate) fn author(&self) -> Vec<String> {
        self.authors.first().map(|name| words::name_words(name)).unwrap_or_default()
    }
}

/// All books; they are named by their place.
pub(crate) struct Library {
    /// In the order of their ISBNs, so that nothing depends on the order of their import.
    pub(crate) books: Vec<Book>,
    /// How many works the books are of.
    pub(crate) works: usize,
    /// The work of each book.
    work_of: Vec<usize>,
    /// Title and authors of each book, simplified and folded, with a blank before each word.
    texts: Vec<String>,
    vocabulary: HashSet<String>,
    places: HashMap<String, usize>,
    to_simplified: OpenCC,
    to_traditional: OpenCC,
}

impl Library {
    /// Takes the books in any order.
    pub(crate) fn new(mut books: Vec<Book>) -> anyhow::Result<Self> {
        books.sort_by(|one, other| one.isbn.cmp(&other.isbn));
        let to_simplified = OpenCC::from_config(BuiltinConfig::T2s)?;
        let to_traditional = OpenCC::from_config(BuiltinConfig::S2t)?;
        let simplified = |text: &str| words::words(&to_simplified.convert(text));
        let mut keys = HashMap::new();
        let (mut work_of, mut texts, mut vocabulary) = (Vec::new(), Vec::new(), HashSet::new());
        for book in &books {
            let title = simplified(words::main_title(&book.title)).concat();
            let author = book.author().pop().map(|name| to_simplified.convert(&name));
            let next = keys.len();
            work_of.push(*keys.entry((title, author)).or_insert(next));
            let words = simplified(&format!("{} {}", book.title, book.authors.join(" ")));
            texts.push(words.iter().flat_map(|word| [" ", word]).collect());
            vocabulary.extend(words);
        }
        let places = books.iter().enumerate().map(|(place, book)| (book.isbn.clone(), place)).collect();
        Ok(Self { works: keys.len(), books, work_of, texts, vocabulary, places, to_simplified, to_traditional })
    }

    /// Where the book with an ISBN is.
    pub(crate) fn place(&self, isbn: &str) -> Option<usize> {
        self.places.get(isbn).copied()
    }

    /// The first book of each work of the Chinese file, or of the other one.
    pub(crate) fn first_of_each_work(&self, chinese: bool) -> Vec<usize> {
        let mut seen = HashSet::new();
        let places = 0..self.books.len();
        places.filter(|&place| self.books[place].is_chinese() == chinese && seen.insert(self.work_of[place])).collect()
    }

    /// All books of the work that a book is of.
    pub(crate) fn editions(&self, place: usize) -> HashSet<usize> {
        let work = self.work_of[place];
        (0..self.books.len()).filter(|other| self.work_of[*other] == work).collect()
    }

    /// How many works contain all the words, which are simplified and folded.
    pub(crate) fn works_with(&self, words: &[String]) -> usize {
        let patterns: Vec<_> = words.iter().map(|word| pattern(word)).collect();
        let matching = self
            .texts
            .iter()
            .zip(&self.work_of)
            .filter(|(text, _)| patterns.iter().all(|pattern| text.contains(pattern.as_str())));
        matching.map(|(_, work)| work).collect::<HashSet<_>>().len()
    }

    /// Whether a word stands in any book.
    pub(crate) fn knows(&self, word: &str) -> bool {
        self.vocabulary.contains(word)
    }

    /// Chinese in Simplified characters.
    pub(crate) fn simplified(&self, text: &str) -> String {
        self.to_simplified.convert(text)
    }

    /// Chinese in the script that it is not in; none if it is in both or in neither.
    pub(crate) fn in_other_script(&self, text: &str) -> Option<String> {
        let (simplified, traditional) = (self.to_simplified.convert(text), self.to_traditional.convert(text));
        match (simplified == text, traditional == text) {
            (true, false) => Some(traditional),
            (false, true) => Some(simplified),
            _ => None,
        }
    }
}

/// Latin words begin where a word begins, Chinese ones anywhere.
fn pattern(word: &str) -> String {
    let anywhere = word.starts_with(|first| is_han(first) || is_kana(first));
    if anywhere { word.to_owned() } else { format!(" {word}") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn library(books: &[(&str, &str, &str)]) -> Library {
        let books = books.iter().map(|(isbn, title, author)| {
            let (isbn, title) = ((*isbn).to_owned(), (*title).to_owned());
            Book { isbn, title, authors: vec![(*author).to_owned()] }
        });
        Library::new(books.collect()).unwrap()
    }

    #[test]
    fn editions_differ_in_script_series_and_first_names() {
        let library = library(&[
            ("9780000000001", "Twilight (Twilight, #1)", "Stephenie Meyer"),
            ("9780000000002", "TWILIGHT", "S. Meyer"),
            ("9780000000003", "Twilight", "Elie Wiesel"),
            ("9799000000004", "万历十五年", "[美] 黄仁宇"),
            ("9799000000005", "萬曆十五年（典藏版）", "黃仁宇"),
        ]);
        assert_eq!(library.works, 3);
        assert_eq!(library.editions(0), HashSet::from([0, 1]));
        assert_eq!(library.editions(3), HashSet::from([3, 4]));
        assert_eq!(library.first_of_each_work(true), [3]);
        assert_eq!(library.works_with(&["twi".to_owned()]), 2);
        assert_eq!(library.works_with(&["light".to_owned()]), 0);
        assert_eq!(library.works_with(&["历十".to_owned()]), 1);
        assert_eq!(library.in_other_script("万历十五年").as_deref(), Some("萬曆十五年"));
        assert_eq!(library.in_other_script("萬曆十五年").as_deref(), Some("万历十五年"));
        assert_eq!(library.in_other_script("十五"), None);
    }
}
