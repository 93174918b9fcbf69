//! What an index consists of: the fields of its documents, and how each of them is searched.

use super::analysis::{self, Piece};
use serde_json::Value;
use std::collections::HashMap;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, SchemaBuilder, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{PreTokenizedString, RAW_TOKENIZER_NAME, Token};
use tantivy::{TantivyDocument, Term};

/// What is put into an index.
#[derive(Debug)]
pub struct Layout {
    /// The view's name.
    pub name: &'static str,
    /// The row's field that tells it apart, a text.
    pub key: &'static str,
    /// What can be searched.
    pub fields: &'static [(&'static str, Kind)],
    /// What decides between documents that are equal otherwise: a number, the greater first; then another, unique, the
    /// smaller first.
    pub ties: [&'static str; 2],
    /// What a row is found by.
    pub describe: fn(&Value) -> Result<Described, serde_json::Error>,
}

/// How a field is searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// By its words, their beginnings and parts, with mistakes. A hit in it counts `weight`.
    Text {
        /// How much a hit counts, among the fields.
        weight: f32,
    },
    /// As a whole, in whatever case, ahead of everything else: letters and digits.
    Code,
    /// As a whole, as it is written; can be filtered by and counted.
    Keyword,
    /// Can be filtered by and ordered by.
    Number,
}

/// What a row is found by, and what is shown of it.
#[derive(Debug, Default)]
pub struct Described {
    /// Whether it is found at all.
    pub visible: bool,
    /// Values of texts, codes and keywords.
    pub texts: Vec<(&'static str, Vec<String>)>,
    /// Values of numbers.
    pub numbers: Vec<(&'static str, i64)>,
    /// What a hit shows.
    pub body: String,
}

/// The fields of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextFields {
    pub(super) name: &'static str,
    pub(super) weight: f32,
    /// Words as they are, with their places.
    pub(super) words: Field,
    /// Stems of words.
    pub(super) stems: Field,
    /// Characters of scripts without spaces, with their places.
    pub(super) characters: Field,
    /// The text, to be shown.
    pub(super) shown: Field,
}

/// The fields of an index.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) key: Field,
    pub(super) row: Field,
    pub(super) body: Field,
    /// Set on what is found at all.
    pub(super) visible: Field,
    pub(super) texts: Vec<TextFields>,
    pub(super) codes: Vec<Field>,
    by_name: HashMap<&'static str, Field>,
}

impl Layout {
    /// Changes with everything that makes an index another one.
    pub(super) fn shape(&self) -> String {
        format!("{} {} {:?} {:?}", analysis::VERSION, self.name, self.fields, self.ties)
    }

    pub(super) fn schema(&self) -> (Schema, Fields) {
        let mut schema = Schema::builder();
        let mut fields = Fields {
            key: schema.add_text_field("key", STRING),
            row: schema.add_text_field("row", STORED),
            body: schema.add_text_field("body", STORED),
            visible: schema.add_text_field("visible", STRING),
            texts: Vec::new(),
            codes: Vec::new(),
            by_name: HashMap::new(),
        };
        for (name, kind) in self.fields {
            match kind {
                Kind::Text { weight } => fields.texts.push(text(&mut schema, name, *weight)),
                Kind::Code => {
                    let field = schema.add_text_field(name, STRING);
                    fields.codes.push(field);
                    fields.by_name.insert(name, field);
                }
                Kind::Keyword => {
                    fields.by_name.insert(name, schema.add_text_field(name, STRING.set_fast(RAW_TOKENIZER_NAME)));
                }
                Kind::Number => {
                    fields.by_name.insert(name, schema.add_i64_field(name, FAST));
                }
            }
        }
        (schema.build(), fields)
    }

    /// The document of a row.
    pub(super) fn document(&self, fields: &Fields, row: &Value) -> Result<TantivyDocument, serde_json::Error> {
        let described = (self.describe)(row)?;
        let mut document = TantivyDocument::new();
        document.add_text(fields.key, self.key_of(row));
        document.add_text(fields.row, row.to_string());
        if !described.visible {
            return Ok(document);
        }
        document.add_text(fields.visible, VISIBLE);
        document.add_text(fields.body, &described.body);
        for (name, number) in described.numbers {
            document.add_i64(fields.named(name), number);
        }
        for (name, values) in described.texts {
            for value in &values {
                match fields.text(name) {
                    Some(text) => add_text(&mut document, text, value),
                    None if fields.codes.contains(&fields.named(name)) => {
                        document.add_text(fields.named(name), value.to_ascii_lowercase());
                    }
                    None => document.add_text(fields.named(name), value),
                }
            }
        }
        Ok(document)
    }

    pub(super) fn key_of<'a>(&self, row: &'a Value) -> &'a str {
        row[self.key].as_str().unwrap_or_default()
    }
}

const VISIBLE: &str = "1";

impl Fields {
    /// A keyword, code or number.
    pub(super) fn named(&self, name: &str) -> Field {
        *self.by_name.get(name).expect("the layout has every field that is asked for")
    }

    pub(super) fn text(&self, name: &str) -> Option<&TextFields> {
        self.texts.iter().find(|text| text.name == name)
    }

    pub(super) fn key_term(&self, key: &str) -> Term {
        Term::from_field_text(self.key, key)
    }

    pub(super) fn visible_term(&self) -> Term {
        Term::from_field_text(self.visible, VISIBLE)
    }
}

fn text(schema: &mut SchemaBuilder, name: &'static str, weight: f32) -> TextFields {
    let indexed =
        |option| TextOptions::default().set_indexing_options(TextFieldIndexing::default().set_index_option(option));
    let with_places = indexed(IndexRecordOption::WithFreqsAndPositions);
    TextFields {
        name,
        weight,
        words: schema.add_text_field(name, with_places.clone()),
        stems: schema.add_text_field(&format!("{name}_stems"), indexed(IndexRecordOption::WithFreqs)),
        characters: schema.add_text_field(&format!("{name}_characters"), with_places),
        shown: schema.add_text_field(&format!("{name}_shown"), STORED),
    }
}

/// Cuts a text for each of its fields. It is cut here and not by the index, so that each text is cut once.
fn add_text(document: &mut TantivyDocument, fields: &TextFields, text: &str) {
    let (mut words, mut stems, mut characters) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = 0;
    for piece in analysis::pieces(text) {
        match piece {
            Piece::Compound(compound) => {
                for part in &compound.parts {
                    words.push(token(place, part.text.clone()));
                    stems.push(token(place, analysis::stem(&part.text)));
                    place += 1;
                }
                if let Some(joined) = compound.joined {
                    stems.push(token(place - 1, analysis::stem(&joined.text)));
                    words.push(token(place - 1, joined.text));
                }
            }
            Piece::Run(run) => {
                let start = place;
                for (word, part) in analysis::words_and_parts(&run) {
                    words.push(token(start + word, part));
                }
                for character in run {
                    characters.push(token(place, character.folded.to_string()));
                    place += 1;
                }
            }
        }
        // What stands in another piece does not stand next to it.
        place += usize::from(characters.last().is_some_and(|last| last.position + 1 == place));
    }
    document.add_text(fields.shown, text);
    for (field, tokens) in [(fields.words, words), (fields.stems, stems), (fields.characters, characters)] {
        if !tokens.is_empty() {
            document.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
        }
    }
}

fn token(position: usize, text: String) -> Token {
    Token { position, text, ..Token::default() }
}
