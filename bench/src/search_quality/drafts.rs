//! What somebody types who has a book in mind: one function per kind of query, none where the book does not lend itself.

use super::chance::Chance;
use super::files;
use super::library::{Book, Library};
use super::pieces::{self, Words};
use super::words::{self, is_han};

/// What is typed, and the words that are meant by it, in Simplified characters; nothing can be said of numbers.
pub(crate) struct Draft {
    /// The query.
    pub(crate) typed: String,
    /// To tell whether it is vague.
    pub(crate) meant: Vec<String>,
}

impl Draft {
    fn plain(meant: Vec<String>) -> Self {
        Self { typed: meant.join(" "), meant }
    }

    fn chinese(typed: String, library: &Library) -> Self {
        let meant = words::words(&library.simplified(&typed));
        Self { typed, meant }
    }
}

/// 2–4 neighbours among the significant words of a Latin title.
pub(crate) fn title_words(book: &Book, chance: &mut Chance) -> Option<Draft> {
    let words = words::significant(words::main_title(&book.title));
    if words.len() < 2 || !words.iter().all(|word| word.is_ascii()) {
        return None;
    }
    let length = 2 + chance.below(words.len().min(4) - 1);
    let begin = chance.below(words.len() - length + 1);
    Some(Draft::plain(words[begin..begin + length].to_vec()))
}

/// The last name of the first author, and one significant word of the title, both of 3 letters or more.
pub(crate) fn author_and_word(book: &Book, chance: &mut Chance) -> Option<Draft> {
    let long = |word: &String| word.len() >= 3 && word.is_ascii();
    let name = book.author().pop().filter(long)?;
    let title = words::significant(words::main_title(&book.title));
    let title: Vec<_> = title.into_iter().filter(|word| long(word) && *word != name).collect();
    let word = chance.one_of(&title)?.clone();
    Some(Draft::plain(vec![name, word]))
}

/// Words of the title with one of 5 letters or more changed in one place: not the first, and not into another word.
pub(crate) fn one_typo(book: &Book, library: &Library, chance: &mut Chance) -> Option<Draft> {
    let Draft { meant, .. } = title_words(book, chance)?;
    let long: Vec<_> = (0..meant.len()).filter(|&place| meant[place].len() >= 5 && is_latin(&meant[place])).collect();
    let place = *chance.one_of(&long)?;
    let mut typed = meant.clone();
    typed[place] = mistyped(&meant[place], chance);
    let is_typo = typed[place] != meant[place] && !library.knows(&typed[place]);
    is_typo.then(|| Draft { typed: typed.join(" "), meant })
}

/// A word with one letter replaced, left out, put in or swapped with the next; now and then that changes nothing.
fn mistyped(word: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let letter = char::from(b'a' + chance.below(26) as u8);
    let place = 1 + chance.below(letters.len() - 1);
    match chance.below(4) {
        0 => letters[place] = letter,
        1 => drop(letters.remove(place)),
        2 => letters.insert(place, letter),
        _ => letters.swap(place, if place + 1 < word.len() { place + 1 } else { place - 1 }),
    }
    letters.into_iter().collect()
}

/// Words of the title, the last one cut to 3 letters or more, as while it is typed.
pub(crate) fn prefix(book: &Book, chance: &mut Chance) -> Option<Draft> {
    let Draft { mut meant, .. } = title_words(book, chance)?;
    let last = meant.last_mut().filter(|word| word.len() > 3 && is_latin(word))?;
    last.truncate(3 + chance.below(last.len() - 3));
    Some(Draft::plain(meant))
}

/// The number with hyphens, in turns of 13 and of 10 digits.
pub(crate) fn isbn(book: &Book, chance: &mut Chance) -> Option<Draft> {
    let (ten, thirteen) = files::hyphenated(&book.isbn).ok()?;
    Some(Draft { typed: if chance.below(2) == 0 { ten } else { thirteen }, meant: vec![] })
}

/// A Chinese title without what is in parentheses at its end: 3–20 characters, all of them Chinese.
pub(crate) fn whole_title(book: &Book, library: &Library) -> Option<Draft> {
    let title = words::main_title(&book.title);
    let fits = (3..=20).contains(&title.chars().count()) && title.chars().all(is_han);
    fits.then(|| Draft::chinese(title.to_owned(), library))
}

/// The same in the other script.
pub(crate) fn script_swapped(book: &Book, library: &Library) -> Option<Draft> {
    let Draft { typed, .. } = whole_title(book, library)?;
    library.in_other_script(&typed).map(|typed| Draft::chinese(typed, library))
}

/// The last name of the first Chinese author, and a word of the title.
pub(crate) fn chinese_author_and_word(
    book: &Book,
    library: &Library,
    known: &Words,
    chance: &mut Chance,
) -> Option<Draft> {
    let name = book.author().pop().filter(|name| name.chars().count() >= 2 && name.chars().all(is_han))?;
    let simplified = library.simplified(&name);
    let word = sub_word(book, library, chance, |piece| known.contain(piece) && !simplified.contains(piece))?;
    Some(Draft::chinese(format!("{name} {word}"), library))
}

/// A word out of a longer run of a Chinese title.
pub(crate) fn word_within(book: &Book, library: &Library, known: &Words, chance: &mut Chance) -> Option<Draft> {
    let word = sub_word(book, library, chance, |piece| known.contain(piece))?;
    Some(Draft::chinese(word, library))
}

/// 2–4 neighbouring characters out of a longer run of a Chinese title, wherever words begin and end.
pub(crate) fn piece_within(book: &Book, library: &Library, chance: &mut Chance) -> Option<Draft> {
    sub_word(book, library, chance, |_| true).map(|piece| Draft::chinese(piece, library))
}

/// One of the pieces that fit in Simplified characters, as it stands in the title.
fn sub_word(book: &Book, library: &Library, chance: &mut Chance, fits: impl Fn(&str) -> bool) -> Option<String> {
    let mut found = Vec::new();
    for run in pieces::runs(words::main_title(&book.title)) {
        let text: String = run.iter().collect();
        let simplified: Vec<char> = library.simplified(&text).chars().collect();
        for (begin, end) in pieces::places(run.len()) {
            // A phrase may become shorter or longer; then the pieces of both are not each other's.
            let piece = if simplified.len() == run.len() { &simplified } else { &run };
            if fits(&piece[begin..end].iter().collect::<String>()) {
                found.push(run[begin..end].iter().collect());
            }
        }
    }
    chance.one_of(&found).cloned()
}

/// A Latin word of a title and 2–4 Chinese characters beside it, in their order, with a blank between or without.
pub(crate) fn mixed(book: &Book, library: &Library, chance: &mut Chance) -> Option<Draft> {
    let title = words::words(words::main_title(&book.title));
    let chinese = |word: &String| word.chars().count() >= 2 && word.chars().all(is_han);
    let latin = |word: &String| word.len() >= 2 && is_latin(word) && words::significant(word).len() == 1;
    let neighbours = title
        .windows(2)
        .filter(|pair| (latin(&pair[0]) && chinese(&pair[1])) || (chinese(&pair[0]) && latin(&pair[1])));
    let neighbours: Vec<_> = neighbours.collect();
    let pair = chance.one_of(&neighbours)?;
    let length = 2 + chance.below(3);
    let begins_latin = latin(&pair[0]);
    let run: Vec<char> = pair[usize::from(begins_latin)].chars().collect();
    let blank = if chance.below(2) == 0 { " " } else { "" };
    let typed = if begins_latin {
        format!("{}{blank}{}", pair[0], run.iter().take(length).collect::<String>())
    } else {
        let begin = run.len().saturating_sub(length);
        format!("{}{blank}{}", run[begin..].iter().collect::<String>(), pair[1])
    };
    Some(Draft::chinese(typed, library))
}

fn is_latin(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::library;
    use super::*;

    /// All that a generator makes of a book in many draws.
    fn drawn(make: impl Fn(&mut Chance) -> Option<Draft>) -> Vec<String> {
        let mut chance = Chance::new(1);
        (0..300).filter_map(|_| make(&mut chance)).map(|draft| draft.typed).collect()
    }

    #[test]
    fn latin_queries_keep_to_their_rules() {
        let library = library(&[("9780439023481", "The Hunger Games (The Hunger Games, #1)", "Suzanne Collins")]);
        let book = &library.books[0];
        assert!(drawn(|chance| title_words(book, chance)).iter().all(|typed| typed == "hunger games"));
        let typed = drawn(|chance| author_and_word(book, chance));
        assert!(typed.contains(&"collins games".to_owned()) && typed.contains(&"collins hunger".to_owned()));
        let typed = drawn(|chance| prefix(book, chance));
        assert!(typed.contains(&"hunger gam".to_owned()) && typed.contains(&"hunger game".to_owned()));
        assert!(typed.iter().all(|typed| typed.len() < "hunger games".len()));
    }

    #[test]
    fn a_typo_is_one_edit_behind_the_first_letter() {
        let library = library(&[("9780439023481", "Hunger Games", "Suzanne Collins")]);
        let typed = drawn(|chance| one_typo(&library.books[0], &library, chance));
        assert!(typed.len() > 200);
        for typed in &typed {
            let words: Vec<_> = typed.split(' ').collect();
            let changed: Vec<_> =
                words.iter().zip(["hunger", "games"]).filter(|(typed, meant)| **typed != *meant).collect();
            let [(changed, meant)] = changed[..] else { panic!("{typed} has not one typo") };
            assert_eq!(changed.as_bytes()[0], meant.as_bytes()[0], "{typed}");
            assert!(changed.len().abs_diff(meant.len()) <= 1, "{typed}");
        }
        for kind in ["huger games", "hunger gaems", "hunger gamse"] {
            assert!(typed.iter().any(|typed| typed == kind), "{kind}");
        }
    }

    #[test]
    fn chinese_queries_keep_to_their_rules() {
        let library = library(&[
            ("9799000000001", "Python科学计算（第2版）", "张若愚"),
            ("9799000000002", "萬曆十五年（典藏版）", "[美] 黄仁宇"),
        ]);
        let [python, history] = [&library.books[0], &library.books[1]];
        assert!(whole_title(python, &library).is_none());
        assert_eq!(whole_title(history, &library).unwrap().typed, "萬曆十五年");
        assert_eq!(script_swapped(history, &library).unwrap().typed, "万历十五年");
        let typed = drawn(|chance| piece_within(history, &library, chance));
        assert!(typed.contains(&"曆十".to_owned()) && typed.contains(&"萬曆十五".to_owned()));
        assert!(!typed.contains(&"萬曆十五年".to_owned()));
        let typed = drawn(|chance| mixed(python, &library, chance));
        assert!(typed.contains(&"python科学".to_owned()) && typed.contains(&"python 科学计算".to_owned()));
    }
}
