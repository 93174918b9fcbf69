//! Why a document was found: its texts, with what was looked for marked in them.

use super::analysis::{self, Character, Compound, Piece, Token, folded};
use std::collections::HashSet;
use std::ops::Range;

/// What one need is found by.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) words: HashSet<String>,
    pub(super) stems: HashSet<String>,
    pub(super) beginnings: Vec<String>,
    /// Characters next to each other.
    pub(super) runs: Vec<Vec<char>>,
    /// Whether a text without it may be meant just as well.
    pub(super) optional: bool,
}

impl Wanted {
    pub(super) fn take_all(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Compound(compound) => self.words.extend(compound.parts.iter().map(|part| part.text.clone())),
                Piece::Run(run) => self.runs.push(folded(run)),
            }
        }
    }

    fn is(&self, Word { text, stem, .. }: &Word) -> bool {
        self.words.contains(text)
            || self.stems.contains(stem)
            || self.beginnings.iter().any(|beginning| text.starts_with(beginning.as_str()))
    }

    /// Where it is found in a part of a text.
    fn find(&self, seen: &Seen, found: &mut Vec<Range<usize>>) {
        match seen {
            Seen::Words(words) => {
                found.extend(words.iter().filter(|word| self.is(word)).map(|word| word.range.clone()))
            }
            Seen::Run(run) => {
                for wanted in self.runs.iter().filter(|wanted| !wanted.is_empty()) {
                    let same = |window: &&[Character]| window.iter().map(|at| at.folded).eq(wanted.iter().copied());
                    let windows = run.windows(wanted.len()).filter(same);
                    found.extend(windows.map(|at| at[0].range.start..at[at.len() - 1].range.end));
                }
            }
        }
    }
}

/// A part of a text in which something may be found.
enum Seen {
    Words(Vec<Word>),
    Run(Vec<Character>),
}

/// A word, with its stem, which every need is compared with.
struct Word {
    text: String,
    stem: String,
    range: Range<usize>,
}

fn seen(text: &str) -> Vec<Seen> {
    let word = |Token { text, range }: Token| Word { stem: analysis::stem(&text), text, range };
    let seen = |piece| match piece {
        Piece::Compound(Compound { parts, joined }) => Seen::Words(parts.into_iter().chain(joined).map(word).collect()),
        Piece::Run(run) => Seen::Run(run),
    };
    analysis::pieces(text).into_iter().map(seen).collect()
}

/// What a question is found by.
#[derive(Debug, Clone, Default)]
pub(super) struct Marker {
    pub(super) wanted: Vec<Wanted>,
}

impl Marker {
    /// Whether a text by itself has all that was asked for.
    pub(super) fn covers(&self, text: &str) -> bool {
        let text = seen(text);
        self.wanted.iter().filter(|wanted| !wanted.optional).all(|wanted| {
            let mut found = Vec::new();
            text.iter().for_each(|seen| wanted.find(seen, &mut found));
            !found.is_empty()
        })
    }

    /// The text as HTML with what was found between `<em>` and `</em>`; none if nothing was found in it.
    pub(super) fn mark(&self, text: &str) -> Option<String> {
        let mut found = Vec::new();
        for seen in seen(text) {
            self.wanted.iter().filter(|wanted| !wanted.optional).for_each(|wanted| wanted.find(&seen, &mut found));
        }
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|range| (range.start, range.end));
        let mut marked = String::with_capacity(text.len() + 16);
        let (mut behind, mut open_until) = (0, None);
        for range in found {
            match open_until {
                Some(end) if range.start <= end => {
                    escape(&text[behind..range.end.max(behind)], &mut marked);
                    behind = range.end.max(behind);
                }
                _ => {
                    if open_until.is_some() {
                        marked += "</em>";
                    }
                    escape(&text[behind..range.start], &mut marked);
                    marked += "<em>";
                    escape(&text[range.clone()], &mut marked);
                    behind = range.end;
                }
            }
            open_until = Some(behind);
        }
        marked += "</em>";
        escape(&text[behind..], &mut marked);
        Some(marked)
    }
}

/// Text as HTML shows it, in an element or an attribute.
pub(super) fn escape(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => *html += "&amp;",
            '<' => *html += "&lt;",
            '>' => *html += "&gt;",
            '"' => *html += "&quot;",
            '\'' => *html += "&#39;",
            character => html.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(words: &[&str], beginnings: &[&str], runs: &[&str]) -> Marker {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let wanted = Wanted {
            words: owned(words).into_iter().collect(),
            stems: owned(words).iter().map(|word| analysis::stem(word)).collect(),
            beginnings: owned(beginnings),
            runs: runs.iter().map(|run| run.chars().collect()).collect(),
            optional: false,
        };
        Marker { wanted: vec![wanted] }
    }

    #[test]
    fn what_was_found_is_marked_and_everything_is_escaped() {
        let words = marker(&["hobbit", "cafe"], &[], &[]);
        assert_eq!(words.mark("The Hobbit & <b>").as_deref(), Some("The <em>Hobbit</em> &amp; &lt;b&gt;"));
        assert_eq!(words.mark("Le Café d'\"Or\"").as_deref(), Some("Le <em>Café</em> d&#39;&quot;Or&quot;"));
        assert_eq!(words.mark("Hobbits' tales").as_deref(), Some("<em>Hobbits</em>&#39; tales"));
        assert_eq!(words.mark("<script>"), None);
        assert_eq!(marker(&[], &["hob"], &[]).mark("Hobbiton").as_deref(), Some("<em>Hobbiton</em>"));
    }

    #[test]
    fn joined_words_are_marked_as_one_and_overlapping_runs_too() {
        assert_eq!(marker(&["obrien"], &[], &[]).mark("Pat O'Brien").as_deref(), Some("Pat <em>O&#39;Brien</em>"));
        assert_eq!(marker(&["spiderman", "man"], &[], &[]).mark("Spider-Man").as_deref(), Some("<em>Spider-Man</em>"));
        assert_eq!(
            marker(&[], &[], &["人工", "工智能"]).mark("論人工智能史").as_deref(),
            Some("論<em>人工智能</em>史")
        );
        assert_eq!(marker(&[], &[], &["书"]).mark("書與書").as_deref(), Some("<em>書</em>與<em>書</em>"));
    }

    #[test]
    fn a_text_covers_a_question_if_it_has_all_of_it() {
        let (ann, lec) = (marker(&["ann"], &[], &[]), marker(&[], &["lec"], &[]));
        let both = Marker { wanted: [ann.wanted, lec.wanted].concat() };
        assert!(both.covers("Ann Leckie") && !both.covers("Ann Patchett"));
    }
}
