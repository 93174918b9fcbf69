//! The judged set: queries, and the books that each should find.

use super::Half;
use super::chance::Chance;
use super::drafts::{self, Draft};
use super::library::{Book, Library};
use super::pieces::Words;
use std::collections::HashSet;

const SEED: u64 = 20_261_125;
/// Draws from one book before the next one is taken.
const DRAWS: usize = 5;
/// As many works as an answer has places: more cannot all be found.
const WORKS_MAX: usize = 10;
const WORKS_MAX_OF_WHOLE_TITLE: usize = 50;

/// How a query is made; the functions of [`drafts`] say it in full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Words of the title.
    TitleWords,
    /// The author's last name and a word of the title.
    AuthorAndWord,
    /// Words of the title, one with a typo.
    OneTypo,
    /// Words of the title, the last one not finished.
    Prefix,
    /// The number, with hyphens.
    Isbn,
    /// A Chinese title.
    WholeTitle,
    /// A Chinese title in the other script.
    ScriptSwapped,
    /// A Chinese author's last name and a word of the title.
    ChineseAuthorAndWord,
    /// A word out of a Chinese title; half as many as of the other kinds.
    WordWithin,
    /// Any piece of a Chinese title; half as many as of the other kinds.
    PieceWithin,
    /// A Latin word and Chinese characters of one title.
    Mixed,
}

impl Kind {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::TitleWords, "title words"),
        (Self::AuthorAndWord, "author + word"),
        (Self::OneTypo, "one typo"),
        (Self::Prefix, "prefix"),
        (Self::Isbn, "isbn"),
        (Self::WholeTitle, "zh title"),
        (Self::ScriptSwapped, "zh script swapped"),
        (Self::ChineseAuthorAndWord, "zh author + word"),
        (Self::WordWithin, "zh sub-word: word"),
        (Self::PieceWithin, "zh sub-word: any"),
        (Self::Mixed, "mixed"),
    ];

    fn is_chinese(self) -> bool {
        !matches!(self, Self::TitleWords | Self::AuthorAndWord | Self::OneTypo | Self::Prefix | Self::Isbn)
    }

    fn share(self, queries: usize) -> usize {
        if matches!(self, Self::WordWithin | Self::PieceWithin) { queries / 2 } else { queries }
    }

    fn works_max(self) -> usize {
        if matches!(self, Self::WholeTitle | Self::ScriptSwapped) { WORKS_MAX_OF_WHOLE_TITLE } else { WORKS_MAX }
    }

    fn draft(self, book: &Book, library: &Library, words: &Words, chance: &mut Chance) -> Option<Draft> {
        match self {
            Self::TitleWords => drafts::title_words(book, chance),
            Self::AuthorAndWord => drafts::author_and_word(book, chance),
            Self::OneTypo => drafts::one_typo(book, library, chance),
            Self::Prefix => drafts::prefix(book, chance),
            Self::Isbn => drafts::isbn(book, chance),
            Self::WholeTitle => drafts::whole_title(book, library),
            Self::ScriptSwapped => drafts::script_swapped(book, library),
            Self::ChineseAuthorAndWord => drafts::chinese_author_and_word(book, library, words, chance),
            Self::WordWithin => drafts::word_within(book, library, words, chance),
            Self::PieceWithin => drafts::piece_within(book, library, chance),
            Self::Mixed => drafts::mixed(book, library, chance),
        }
    }
}

/// A query.
pub(crate) struct Query {
    /// How it was made.
    pub(crate) kind: Kind,
    /// What is typed.
    pub(crate) typed: String,
    /// The book that it was made from.
    pub(crate) book: usize,
    /// That one and all others of its work; of a number that one only.
    pub(crate) relevant: HashSet<usize>,
    half: Half,
}

/// All queries.
pub(crate) struct Judged(Vec<Query>);

impl Judged {
    /// Draws so many queries of each kind, or as many as there are.
    pub(crate) fn draw(library: &Library, queries: usize) -> Self {
        let words = Words::learn(library);
        let mut drawn = Vec::new();
        for (seed, (kind, _)) in (SEED..).zip(Kind::ALL) {
            // A seed of its own: another rule for one kind leaves the others as they are.
            let mut chance = Chance::new(seed);
            let mut books = library.first_of_each_work(kind.is_chinese());
            chance.shuffle(&mut books);
            let made = books.into_iter().filter_map(|book| {
                let typed = typed(kind, &library.books[book], library, &words, &mut chance)?;
                Some((book, typed))
            });
            for (place, (book, typed)) in made.take(kind.share(queries)).enumerate() {
                let half = if place % 2 == 0 { Half::Tune } else { Half::Report };
                // A number names one edition.
                let relevant = if kind == Kind::Isbn { HashSet::from([book]) } else { library.editions(book) };
                drawn.push(Query { kind, typed, book, relevant, half });
            }
        }
        Self(drawn)
    }

    /// One half of each kind.
    pub(crate) fn half(&self, half: Half) -> impl Iterator<Item = &Query> {
        self.0.iter().filter(move |query| query.half == half)
    }
}

/// The first draw that is not vague.
fn typed(kind: Kind, book: &Book, library: &Library, words: &Words, chance: &mut Chance) -> Option<String> {
    let mut drafts = (0..DRAWS).filter_map(|_| kind.draft(book, library, words, chance));
    let clear = drafts.find(|draft| draft.meant.is_empty() || library.works_with(&draft.meant) <= kind.works_max())?;
    Some(clear.typed)
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::library;
    use super::*;

    #[test]
    fn what_many_works_contain_is_too_vague() {
        let titles: Vec<_> = (0..=WORKS_MAX)
            .map(|number| (format!("978000000{number:04}"), format!("Green Hills {number:02}")))
            .collect();
        let mut books: Vec<_> =
            titles.iter().map(|(isbn, title)| (isbn.as_str(), title.as_str(), "Somebody")).collect();
        let typed = |library: &Library| {
            let judged = Judged::draw(library, 100);
            let queries = judged.0.into_iter().filter(|query| query.kind == Kind::TitleWords);
            queries.map(|query| query.typed).collect::<Vec<_>>()
        };
        let all = typed(&library(&books));
        assert!(!all.is_empty() && all.iter().all(|typed| typed != "green hills"), "{all:?}");
        assert_eq!(all, typed(&library(&books)));
        books.pop();
        assert!(typed(&library(&books)).contains(&"green hills".to_owned()));
    }
}
