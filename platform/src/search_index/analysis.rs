//! How text is cut into what can be found, for the index and for queries alike.
//!
//! Letters are folded one by one, so that folding a part of a text gives the part of the folded text: case, accents, width,
//! and traditional Chinese characters to simplified ones. Scripts that put spaces between words are cut into words;
//! Chinese, Japanese and Korean text is a run of characters, in which any part can be found.

use ferrous_opencc::OpenCC;
use ferrous_opencc::config::BuiltinConfig;
use frostem::{Algorithm, Stemmer};
use jieba_rs::Jieba;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Raised when a text would be cut in another way than before: an index that was built otherwise begins anew.
pub(super) const VERSION: u32 = 1;

/// Characters of a word that count; what is longer is a word by its beginning.
const WORD_CHARS: usize = 64;

/// Words that are run together by an apostrophe, hyphen or the like; further ones begin anew.
const PARTS: usize = 16;

/// A word, folded, and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Words without white space between them: mostly one.
    Compound(Compound),
    /// Characters of a script that needs no spaces.
    Run(Vec<Character>),
}

/// One word, or several that are joined: `O'Brien`, `Spider-Man`, `J.R.R.`, `C++`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compound {
    pub(super) parts: Vec<Token>,
    /// All of it as one word, where that is another word: `obrien`, `spiderman`, `jrr`, `c++`.
    pub(super) joined: Option<Token>,
}

/// A character, folded, and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Character {
    pub(super) folded: char,
    pub(super) range: Range<usize>,
}

impl Piece {
    /// Where it stands in the text.
    pub(super) fn range(&self) -> Range<usize> {
        let (first, last) = match self {
            Self::Compound(compound) => {
                let last = compound.joined.as_ref().or(compound.parts.last());
                (compound.parts.first().map(|part| &part.range), last.map(|part| &part.range))
            }
            Self::Run(run) => (run.first().map(|first| &first.range), run.last().map(|last| &last.range)),
        };
        first.map_or(0, |range| range.start)..last.map_or(0, |range| range.end)
    }
}

/// The pieces of a text, in their order.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut cutter = Cutter::default();
    for (start, character) in text.char_indices() {
        let range = start..start + character.len_utf8();
        let mut marks_only = true;
        fold(character, |folded| {
            marks_only = false;
            cutter.take(folded, range.clone());
        });
        if marks_only {
            cutter.extend(range.end);
        }
    }
    cutter.close();
    cutter.pieces
}

/// The characters of a run, as a text or one by one.
pub(super) fn folded<T: FromIterator<char>>(run: &[Character]) -> T {
    run.iter().map(|character| character.folded).collect()
}

/// The words in a run of characters, by the dictionary; what it does not know is a word each.
pub(super) fn words(run: &[Character]) -> Vec<&[Character]> {
    let text: String = folded(run);
    let mut rest = run;
    let mut words = Vec::new();
    for token in dictionary().cut(&text, false) {
        let (word, behind) = rest.split_at(token.word.chars().count());
        words.push(word);
        rest = behind;
    }
    words
}

/// The words in a run, and the shorter words in them, each with the place of the long word that it is part of.
pub(super) fn words_and_parts(run: &[Character]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (place, word) in words(run).into_iter().enumerate() {
        let text: String = folded(word);
        let parts = dictionary().cut_for_search(&text, false);
        found.extend(parts.into_iter().map(|part| (place, part.word.to_owned())));
    }
    found
}

/// The stem of an English word; of any other word, the word itself.
pub(super) fn stem(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        Stemmer::new(Algorithm::English).stem(word).into_owned()
    } else {
        word.to_owned()
    }
}

/// Reads the dictionary ahead of the first text that needs it.
pub(super) fn prepare() {
    dictionary();
    simplified();
}

fn dictionary() -> &'static Jieba {
    static DICTIONARY: OnceLock<Jieba> = OnceLock::new();
    DICTIONARY.get_or_init(Jieba::new)
}

/// Simplified characters by their traditional forms.
fn simplified() -> &'static HashMap<char, char> {
    static SIMPLIFIED: OnceLock<HashMap<char, char>> = OnceLock::new();
    SIMPLIFIED.get_or_init(|| {
        let converter = OpenCC::from_config(BuiltinConfig::T2s).expect("the dictionary is part of the program");
        // The blocks of Han characters: extension A, unified, compatibility, and the supplementary planes.
        let blocks = ('\u{3400}'..='\u{9fff}').chain('\u{f900}'..='\u{faff}').chain('\u{20000}'..='\u{323af}');
        let pairs = blocks.filter_map(|character| {
            let converted = converter.convert(character.encode_utf8(&mut [0; 4])).chars().next()?;
            (converted != character).then_some((character, converted))
        });
        pairs.collect()
    })
}

/// Hands on what a character is folded to: nothing for a mark on the letter before, mostly one character.
fn fold(character: char, mut take: impl FnMut(char)) {
    if character.is_ascii() {
        return take(character.to_ascii_lowercase());
    }
    // Compatibility forms first (full width, ligatures): Unicode Standard Annex 15.
    for character in character.nfkc() {
        if needs_no_spaces(character) {
            take(simplified().get(&character).copied().unwrap_or(character));
            continue;
        }
        let without_marks = character.nfd().filter(|part| !is_combining_mark(*part));
        for letter in without_marks.flat_map(char::to_lowercase) {
            match latin(letter) {
                Some(letters) => letters.chars().for_each(&mut take),
                None if is_combining_mark(letter) => {}
                None => take(letter),
            }
        }
    }
}

/// Latin letters that have no decomposition, as people without them on their keyboards write them.
fn latin(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        _ => return None,
    })
}

/// Whether a character is of a script that puts no spaces between words, or words of which people look for parts:
/// Han, Kana, Hangul.
pub(super) fn needs_no_spaces(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{11ff}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{318f}'
        | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{20000}'..='\u{323af}')
}

/// What may stand inside a word without ending it.
fn connects(character: char) -> bool {
    matches!(character, '\'' | '’' | '‘' | 'ʼ' | '`' | '-' | '‐' | '‑' | '.' | '_' | '&' | '/' | '+')
}

/// The dot between the parts of a foreign name in Chinese and Japanese; people leave it out as often as not.
fn divides_names(character: char) -> bool {
    matches!(character, '·' | '・' | '‧' | '•')
}

#[derive(Default)]
struct Cutter {
    pieces: Vec<Piece>,
    compound: Compound,
    run: Vec<Character>,
    /// What stands behind the compound so far, and may connect it with what comes, or end it.
    between: Option<char>,
    /// `+` and `#` behind the last word, and where they end: `C++`, `C#`.
    tail: String,
    tail_end: usize,
}

impl Cutter {
    fn take(&mut self, character: char, range: Range<usize>) {
        if needs_no_spaces(character) {
            self.close_compound();
            self.run.push(Character { folded: character, range });
        } else if character.is_alphanumeric() {
            self.close_run();
            self.letter(character, range);
        } else if !self.run.is_empty() && divides_names(character) {
            // The run goes on.
        } else if matches!(character, '+' | '#') && self.between.is_none() && !self.compound.parts.is_empty() {
            self.tail.push(character);
            self.tail_end = range.end;
        } else if connects(character) && self.between.is_none() && self.tail.is_empty() {
            self.close_run();
            self.between = Some(character);
        } else {
            self.close();
        }
    }

    fn letter(&mut self, letter: char, range: Range<usize>) {
        let connected = self.between.is_some() || self.tail == "+";
        if !connected && !self.tail.is_empty() || self.compound.parts.len() >= PARTS {
            self.close_compound();
        }
        self.tail.clear();
        match self.compound.parts.last_mut() {
            Some(part) if !connected => {
                if part.text.chars().count() < WORD_CHARS {
                    part.text.push(letter);
                }
                part.range.end = range.end;
            }
            _ => self.compound.parts.push(Token { text: letter.to_string(), range }),
        }
        self.between = None;
    }

    /// A mark belongs to the letter before it.
    fn extend(&mut self, end: usize) {
        if let (None, Some(part)) = (self.between, self.compound.parts.last_mut()) {
            part.range.end = end;
        }
    }

    fn close(&mut self) {
        self.close_compound();
        self.close_run();
    }

    fn close_compound(&mut self) {
        self.between = None;
        let tail = std::mem::take(&mut self.tail);
        let mut compound = std::mem::take(&mut self.compound);
        let (Some(first), Some(last)) = (compound.parts.first(), compound.parts.last()) else { return };
        if compound.parts.len() > 1 || !tail.is_empty() {
            let text: String = compound.parts.iter().map(|part| part.text.as_str()).chain([tail.as_str()]).collect();
            let text = text.chars().take(WORD_CHARS).collect();
            let end = if tail.is_empty() { last.range.end } else { self.tail_end };
            compound.joined = Some(Token { text, range: first.range.start..end });
        }
        self.pieces.push(Piece::Compound(compound));
    }

    fn close_run(&mut self) {
        if !self.run.is_empty() {
            self.pieces.push(Piece::Run(std::mem::take(&mut self.run)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let shown = |piece: Piece| match piece {
            Piece::Compound(Compound { parts, joined }) => {
                let parts: Vec<_> = parts.into_iter().map(|part| part.text).collect();
                parts.join(" ") + &joined.map(|joined| format!("={}", joined.text)).unwrap_or_default()
            }
            Piece::Run(run) => folded(&run),
        };
        pieces(text).into_iter().map(shown).collect()
    }

    #[test]
    fn words_are_folded_and_joined_ones_found_either_way() {
        assert_eq!(cut("The Hobbit, or There"), ["the", "hobbit", "or", "there"]);
        assert_eq!(cut("García Márquez: Ænima Straße"), ["garcia", "marquez", "aenima", "strasse"]);
        assert_eq!(cut("e\u{301}te\u{301} İstanbul ＡＢＣ１ ﬁn"), ["ete", "istanbul", "abc1", "fin"]);
        assert_eq!(
            cut("O'Brien Spider-Man J.R.R. AT&T"),
            ["o brien=obrien", "spider man=spiderman", "j r r=jrr", "at t=att"]
        );
        assert_eq!(cut("C++ and C# or a+b ++ #1"), ["c=c++", "and", "c=c#", "or", "a b=ab", "1"]);
        assert_eq!(cut("well -- done- - 'tis"), ["well", "done", "tis"]);
        assert_eq!(cut("Чайка Ἰλιάς"), ["чаика", "ιλιας"]);
        assert_eq!(cut(" *?!:\"\0 "), Vec::<String>::new());
    }

    #[test]
    fn both_scripts_fold_to_one_and_folding_a_part_gives_a_part() {
        assert_eq!(cut("紅樓夢"), cut("红楼梦"));
        assert_eq!(cut("乾隆皇帝與書頁之間"), ["干隆皇帝与书页之间"]);
        assert_eq!(cut("加西亚·马尔克斯"), ["加西亚马尔克斯"]);
        assert_eq!(cut("Python编程：从入门"), ["python", "编程", "从入门"]);
        assert_eq!(cut("ノルウェイの森 한국어"), ["ノルウェイの森", "한국어"]);
        assert_eq!(cut("㍿"), ["株式会社"]);
    }

    #[test]
    fn every_piece_knows_where_it_stands() {
        let text = "Café-Bar 书頁 C++! Ｃ＋＋ x㊎";
        let at: Vec<_> = pieces(text).iter().map(|piece| &text[piece.range()]).collect();
        assert_eq!(at, ["Café-Bar", "书頁", "C++", "Ｃ＋＋", "x", "㊎"]);
    }

    #[test]
    fn runs_are_cut_into_words_by_the_dictionary() {
        let Some(Piece::Run(run)) = pieces("人工智能入門").pop() else { panic!("one run") };
        let texts = |words: Vec<&[Character]>| -> Vec<String> { words.into_iter().map(folded).collect() };
        assert_eq!(texts(words(&run)), ["人工智能", "入门"]);
        let parts: Vec<_> = words_and_parts(&run);
        assert!(parts.contains(&(0, "人工".to_owned())) && parts.contains(&(1, "入门".to_owned())), "{parts:?}");
    }

    #[test]
    fn only_english_words_have_stems() {
        assert_eq!((stem("sorcerers").as_str(), stem("running").as_str()), ("sorcer", "run"));
        assert_eq!((stem("1984").as_str(), stem("чаика").as_str()), ("1984", "чаика"));
    }

    #[test]
    fn what_is_long_is_bounded() {
        let Some(Piece::Compound(word)) = pieces(&"a".repeat(5_000)).pop() else { panic!("one word") };
        assert_eq!((word.parts[0].text.len(), word.parts[0].range.clone()), (WORD_CHARS, 0..5_000));
        assert!(
            pieces(&"a-".repeat(2_500))
                .iter()
                .all(|piece| matches!(piece, Piece::Compound(word) if word.parts.len() <= PARTS))
        );
    }
}
