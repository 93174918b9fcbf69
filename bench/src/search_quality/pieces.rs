//! Pieces of Chinese titles, and which of them are words.

use super::library::Library;
use super::words::{self, is_han};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// Characters of a piece.
pub(crate) const LENGTHS: RangeInclusive<usize> = 2..=4;

/// So many different neighbours on either side make a piece a word.
const VARIETY_MIN: usize = 3;
/// Characters that go with any word, and make no word with it.
const ADHESIVE: &str = "的了在是和与之也就都而及着或一不有这那我你他她它们";

type Neighbours = HashSet<Option<char>>;

/// Tells words by accessor variety (Feng, Chen, Deng and Zheng 2004): a piece that many different characters go before
/// and many follow is used by itself. The beginning and the end of a title's part count as one such character.
pub(crate) struct Words(HashMap<String, (Neighbours, Neighbours)>);

impl Words {
    /// Learns from the titles of the Chinese file.
    pub(crate) fn learn(library: &Library) -> Self {
        let mut pieces: HashMap<String, (Neighbours, Neighbours)> = HashMap::new();
        for book in library.books.iter().filter(|book| book.is_chinese()) {
            for run in runs(&library.simplified(&book.title)) {
                for (begin, end) in places(run.len()) {
                    let (before, after) = pieces.entry(run[begin..end].iter().collect()).or_default();
                    before.insert(begin.checked_sub(1).map(|place| run[place]));
                    after.insert(run.get(end).copied());
                }
            }
        }
        Self(pieces)
    }

    /// Whether a simplified piece is a word.
    pub(crate) fn contain(&self, piece: &str) -> bool {
        let adheres = |character: Option<char>| character.is_some_and(|character| ADHESIVE.contains(character));
        let varied = |(before, after): &(Neighbours, Neighbours)| before.len().min(after.len()) >= VARIETY_MIN;
        !adheres(piece.chars().next()) && !adheres(piece.chars().last()) && self.0.get(piece).is_some_and(varied)
    }
}

/// The parts of a title that consist of Chinese characters.
pub(crate) fn runs(title: &str) -> Vec<Vec<char>> {
    let words = words::words(title).into_iter().map(|word| word.chars().collect::<Vec<_>>());
    words.filter(|word| word.iter().all(|character| is_han(*character))).collect()
}

/// Where the pieces of a run begin and end that are shorter than it.
pub(crate) fn places(length: usize) -> impl Iterator<Item = (usize, usize)> {
    let lengths = LENGTHS.filter(move |piece| *piece < length);
    lengths.flat_map(move |piece| (0..=length - piece).map(move |begin| (begin, begin + piece)))
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::library;
    use super::*;

    #[test]
    fn a_word_has_many_neighbours() {
        let library = library(&[
            ("9799000000001", "近代中国史", "甲"),
            ("9799000000002", "乡土中国", "乙"),
            ("9799000000003", "中国人", "丙"),
            ("9799000000004", "说中國話", "丁"),
        ]);
        let words = Words::learn(&library);
        assert!(words.contain("中国"));
        assert!(!words.contain("代中"));
        assert!(!words.contain("中国的"));
    }

    #[test]
    fn pieces_are_shorter_than_their_run() {
        assert_eq!(places(3).collect::<Vec<_>>(), [(0, 2), (1, 3)]);
        assert_eq!(places(2).count(), 0);
        assert_eq!(runs("Python科学计算（第2版）ガン"), [vec!['科', '学', '计', '算'], vec!['第'], vec!['版']]);
    }
}
