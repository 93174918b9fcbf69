//! Words of titles and names, without what people leave out when they type.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// English words that nobody remembers a title by.
const INSIGNIFICANT: [&str; 48] = [
    "a", "about", "all", "an", "and", "are", "as", "at", "be", "book", "but", "by", "de", "for", "from", "he", "her",
    "his", "how", "i", "in", "into", "is", "it", "its", "la", "le", "me", "my", "no", "not", "of", "on", "or", "our",
    "she", "that", "the", "this", "to", "vol", "volume", "was", "what", "who", "with", "you", "your",
];
/// What follows a name without being part of it.
const NAME_SUFFIXES: [&str; 22] = [
    "jr", "sr", "ii", "iii", "iv", "phd", "md", "dr", "著", "编", "編", "编著", "編著", "主编", "主編", "绘", "繪",
    "图", "圖", "文", "译", "譯",
];
const BRACKETS: [(char, char); 10] = [
    ('(', ')'),
    ('[', ']'),
    ('（', '）'),
    ('［', '］'),
    ('【', '】'),
    ('〔', '〕'),
    ('《', '》'),
    ('〈', '〉'),
    ('「', '」'),
    ('『', '』'),
];

/// Whether a character is Chinese.
pub(crate) fn is_han(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}' | '々' | '〇')
}

/// Whether a character is one of the Japanese syllables.
pub(crate) fn is_kana(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{30ff}' if character != '・')
}

/// Lower case, without accents, and full-width letters as common ones.
pub(crate) fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|character| !is_combining_mark(*character));
    plain.flat_map(char::to_lowercase).map(|character| if character == '’' { '\'' } else { character }).collect()
}

/// The folded words of a text: runs of letters and digits, Chinese apart from others.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    for character in fold(text).chars() {
        let sort = (character.is_alphanumeric() || character == '\'').then(|| is_han(character) || is_kana(character));
        match (words.last_mut(), sort) {
            (Some(word), Some(_)) if sort == before => word.push(character),
            (_, Some(_)) => words.push(character.into()),
            (_, None) => {}
        }
        before = sort;
    }
    words.iter().map(|word| word.trim_matches('\'').to_owned()).filter(|word| !word.is_empty()).collect()
}

/// Those words by which a title is remembered.
pub(crate) fn significant(title: &str) -> Vec<String> {
    let remembered = |word: &String| word.chars().count() > 1 && !INSIGNIFICANT.contains(&word.as_str());
    words(title).into_iter().filter(remembered).collect()
}

/// A title without what is in parentheses at its end, unless it is nothing but that.
pub(crate) fn main_title(title: &str) -> &str {
    let mut title = title.trim();
    while title.ends_with([')', '）']) {
        match title.rfind(['(', '（']).map(|begin| title[..begin].trim_end()) {
            Some(shorter) if !shorter.is_empty() => title = shorter,
            _ => break,
        }
    }
    title
}

/// The words of a name, without notes in brackets such as a country or a role.
pub(crate) fn name_words(name: &str) -> Vec<String> {
    let mut open = None;
    let mut outside = String::new();
    for character in name.chars() {
        match open {
            Some(closing) if character == closing => open = None,
            Some(_) => {}
            None => match BRACKETS.iter().find(|(opening, _)| *opening == character) {
                Some((_, closing)) => open = Some(*closing),
                None => outside.push(character),
            },
        }
    }
    let mut parts = words(&outside);
    if parts.is_empty() {
        parts = words(name);
    }
    while parts.len() > 1 && parts.last().is_some_and(|part| NAME_SUFFIXES.contains(&part.as_str())) {
        parts.pop();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_told_apart_by_script() {
        for (text, expected) in [
            ("Les Misérables", vec!["les", "miserables"]),
            ("Sorcerer’s 'Stone'", vec!["sorcerer's", "stone"]),
            ("Python科学计算(第2版)", vec!["python", "科学计算", "第", "2", "版"]),
            ("ＡＢＣ谋杀案", vec!["abc", "谋杀案"]),
            ("—", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_eq!(significant("The Girl with the Dragon Tattoo"), ["girl", "dragon", "tattoo"]);
    }

    #[test]
    fn a_series_is_no_part_of_a_title() {
        for (title, expected) in [
            ("The Hunger Games (The Hunger Games, #1)", "The Hunger Games"),
            ("作文三书（全三册）(精装)", "作文三书"),
            ("(500) Days", "(500) Days"),
            ("(nothing else)", "(nothing else)"),
        ] {
            assert_eq!(main_title(title), expected);
        }
    }

    #[test]
    fn a_name_ends_in_a_last_name() {
        for (name, expected) in [
            ("J.K. Rowling", "rowling"),
            ("Kurt Vonnegut Jr.", "vonnegut"),
            ("[美] 黄仁宇", "黄仁宇"),
            ("(美)大卫·布林", "布林"),
            ("李德•哈特 (Basil H.Liddell Hart)", "哈特"),
            ("[战国] 荀子 著", "荀子"),
            ("[unknown]", "unknown"),
        ] {
            assert_eq!(name_words(name).last().map(String::as_str), Some(expected), "{name}");
        }
    }
}
