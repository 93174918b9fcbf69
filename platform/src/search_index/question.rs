//! What somebody typed, taken apart: any text is a question, and none is a mistake.

use super::analysis::{self, Character, Compound, Piece, Token, folded};

/// Characters of a question that are read; what comes behind them is not looked at.
pub const TEXT_CHARS: usize = 500;

/// Words of a question that have to be found; what comes behind them is not looked at.
const NEEDS: usize = 16;

/// Words that are found in so many texts that a text without them may be meant just as well.
const COMMON: [&str; 26] = [
    "a", "an", "and", "as", "at", "by", "de", "der", "for", "from", "in", "is", "la", "le", "of", "on", "or", "s",
    "the", "to", "und", "with", "的", "之", "与", "和",
];

/// What has to be found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Need {
    pub(super) what: What,
    /// As it was typed.
    pub(super) typed: String,
    /// Whether no white space stood before it.
    pub(super) glued: bool,
    /// Whether a text without it may be meant just as well.
    pub(super) optional: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// A word, or words joined to one.
    Word(Compound),
    /// A word of which the end may be missing: it may still be being typed.
    Beginning(Compound),
    /// Characters next to each other.
    Characters(Vec<char>),
    /// Words, or characters, in this order and next to each other.
    Phrase(Vec<Piece>),
}

/// What was typed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Question {
    pub(super) needs: Vec<Need>,
    /// Whether anything was typed at all.
    pub(super) asked: bool,
    /// All of it as one code, if it can be one: digits with hyphens or spaces in between.
    pub(super) code: Option<String>,
    /// Runs of several words, as they were typed.
    pub(super) runs: Vec<Vec<char>>,
}

impl Question {
    /// Takes a text apart.
    pub(super) fn read(text: &str) -> Self {
        let text: String = text.chars().take(TEXT_CHARS).collect();
        let mut question = Self { asked: !text.trim().is_empty(), code: code(&text), ..Self::default() };
        for (quoted, part) in quotes(&text) {
            question.take(part, quoted);
        }
        question.needs.truncate(NEEDS);
        let last_is_open = !text.trim_end().ends_with(['"', '”']);
        if let Some(Need { what, optional, .. }) = question.needs.last_mut()
            && let What::Word(compound) = what
            && last_is_open
        {
            (*what, *optional) = (What::Beginning(std::mem::take(compound)), false);
        }
        if question.needs.iter().all(|need| need.optional) {
            question.needs.iter_mut().for_each(|need| need.optional = false);
        }
        question
    }

    fn take(&mut self, text: &str, quoted: bool) {
        let pieces = analysis::pieces(text);
        if quoted {
            if !pieces.is_empty() {
                let typed = format!("\"{}\"", text.trim());
                self.needs.push(Need { what: What::Phrase(pieces), typed, glued: false, optional: false });
            }
            return;
        }
        let mut behind = 0;
        for piece in pieces {
            let range = piece.range();
            // One character can be the end of one piece and the beginning of the next.
            let between = text.get(behind..range.start).unwrap_or_default();
            let spaced = between.contains(char::is_whitespace) || behind == 0;
            behind = range.end;
            match piece {
                Piece::Compound(compound) => {
                    let optional =
                        matches!(compound.parts.as_slice(), [Token { text, .. }] if COMMON.contains(&text.as_str()));
                    let typed = text[range].to_owned();
                    self.needs.push(Need { what: What::Word(compound), typed, glued: !spaced, optional });
                }
                Piece::Run(run) => self.take_run(text, &run, !spaced),
            }
        }
    }

    fn take_run(&mut self, text: &str, run: &[Character], glued: bool) {
        let words = words_to_find(run);
        if words.len() > 1 {
            self.runs.push(folded(run));
        }
        for (place, word) in words.into_iter().enumerate() {
            let (Some(first), Some(last)) = (word.first(), word.last()) else { continue };
            let characters = folded(word);
            let optional = is_common(word);
            let typed = text[first.range.start..last.range.end].to_owned();
            self.needs.push(Need { what: What::Characters(characters), typed, glued: glued || place > 0, optional });
        }
    }

    /// The same, with the ends of all words perhaps missing.
    pub(super) fn open(mut self) -> Self {
        for need in &mut self.needs {
            if let What::Word(compound) = &mut need.what {
                need.what = What::Beginning(std::mem::take(compound));
            }
        }
        self
    }

    /// The question that some needs make, as somebody would type it.
    pub(super) fn text<'a>(needs: impl IntoIterator<Item = &'a Need>) -> String {
        let mut text = String::new();
        for need in needs {
            if !text.is_empty() && !need.glued {
                text.push(' ');
            }
            text += &need.typed;
        }
        text
    }
}

/// The words in a run. Characters that are no words of the dictionary, one after the other, are mostly a name: they are one
/// word.
fn words_to_find(run: &[Character]) -> Vec<&[Character]> {
    let mut found: Vec<&[Character]> = Vec::new();
    let (mut begin, mut end, mut single) = (0, 0, false);
    for word in analysis::words(run) {
        let joins = word.len() == 1 && !is_common(word);
        if !(joins && single) {
            found.extend((begin < end).then(|| &run[begin..end]));
            begin = end;
        }
        (end, single) = (end + word.len(), joins);
    }
    found.extend((begin < end).then(|| &run[begin..end]));
    found
}

fn is_common(word: &[Character]) -> bool {
    COMMON.contains(&folded::<String>(word).as_str())
}

/// The parts of a text in quotes, and those between them. A quote that is not closed is none.
fn quotes(text: &str) -> Vec<(bool, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '“']) {
        let behind = start + rest[start..].chars().next().map_or(1, char::len_utf8);
        let Some(length) = rest[behind..].find(['"', '”']) else { break };
        parts.push((false, &rest[..start]));
        parts.push((true, &rest[behind..behind + length]));
        let end = behind + length;
        rest = &rest[end + rest[end..].chars().next().map_or(1, char::len_utf8)..];
    }
    parts.push((false, rest));
    parts
}

/// Ten or thirteen digits with hyphens and spaces, of ten the last perhaps an X, are a code as a whole.
fn code(text: &str) -> Option<String> {
    let dashes = |character: &char| matches!(character, '-' | '‐' | '‑' | '–' | '—') || character.is_whitespace();
    let code: String =
        text.chars().filter(|character| !dashes(character)).map(|character| character.to_ascii_lowercase()).collect();
    let digits = code.strip_suffix('x').unwrap_or(&code);
    (matches!(code.len(), 10 | 13) && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |need: &Need| {
            let kind = match &need.what {
                What::Word(_) => "",
                What::Beginning(_) => "…",
                What::Characters(_) => "字",
                What::Phrase(_) => "=",
            };
            format!("{}{kind}{}", need.typed, if need.optional { "?" } else { "" })
        };
        Question::read(text).needs.iter().map(show).collect()
    }

    #[test]
    fn words_have_to_be_found_common_ones_need_not_be_and_the_last_may_lack_its_end() {
        assert_eq!(shown("the lord of the ring"), ["the?", "lord", "of?", "the?", "ring…"]);
        assert_eq!(shown("of the"), ["of?", "the…"]);
        assert_eq!(shown("It"), ["It…"]);
        assert_eq!(shown("三体 刘慈欣"), ["三体字", "刘慈欣字"]);
        assert_eq!(shown("美人的骨"), ["美人字", "的字?", "骨字"]);
        assert_eq!(shown("C语言程序设计"), ["C", "语言字", "程序设计字"]);
    }

    #[test]
    fn what_is_in_quotes_is_a_phrase_and_an_open_quote_is_none() {
        assert_eq!(shown("\"hunger games\" suzanne"), ["\"hunger games\"=", "suzanne…"]);
        assert_eq!(shown("“红楼 梦”"), ["\"红楼 梦\"="]);
        assert_eq!(shown("\"harry pot"), ["harry", "pot…"]);
        assert_eq!(shown("\"\" \"?\""), Vec::<String>::new());
    }

    #[test]
    fn any_text_is_a_question() {
        for text in ["", "  ", "AND", "title:", "*", "(a OR b", "\"", "\\", "a\0b", "^~[1 TO 2]", "🙂", "-x +y"] {
            Question::read(text);
        }
        assert!(!Question::read(" \t ").asked);
        assert!(Question::read("*").asked && Question::read("*").needs.is_empty());
        assert!(Question::read(&"word ".repeat(1_000)).needs.len() <= NEEDS);
        assert!(Question::read(&"书".repeat(5_000)).needs.len() <= NEEDS);
    }

    #[test]
    fn codes_are_told_however_they_are_printed() {
        for text in ["978-0-306-40615-7", "9780306406157", "978 0 306 40615 7", " 978–0306406157"] {
            assert_eq!(Question::read(text).code.as_deref(), Some("9780306406157"), "{text}");
        }
        assert_eq!(Question::read("0-8044-2957-X").code.as_deref(), Some("080442957x"));
        for text in ["1984", "1984 1985", "fahrenheit 451", "978x0306406157", "isbn 9780306406157"] {
            assert_eq!(Question::read(text).code, None, "{text}");
        }
    }

    #[test]
    fn needs_make_a_question_again() {
        for text in ["harry potter", "C语言程序设计", "三体 刘慈欣", "\"hunger games\" suzanne"] {
            assert_eq!(Question::text(&Question::read(text).needs), text);
        }
    }
}
