//! Which column of a table is which: by the names that suppliers give them, or as it was said.

use super::fields::price;
use super::opening::Unreadable;
use serde::{Deserialize, Serialize};

/// The column that a file of refused rows has for their reasons. No import reads it.
pub const REASON_COLUMN: &str = "refused_because";

/// Something that a row may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Field {
    Isbn,
    Title,
    Authors,
    Language,
    Price,
    Currency,
    PublishedOn,
    Subjects,
    Format,
    Edition,
    OnHand,
}

/// Columns that a file of some kind has to have, by their one name, and those that it may have.
type Named = [(Field, &'static str, Need)];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// The columns of goodbooks-10k.
pub(crate) const GOODBOOKS: [(Field, &str, Need); 5] = [
    (Field::Isbn, "isbn", Need::Required),
    (Field::Authors, "authors", Need::Required),
    (Field::Title, "title", Need::Required),
    (Field::PublishedOn, "original_publication_year", Need::Optional),
    (Field::Language, "language_code", Need::Optional),
];

/// The columns of stock files.
pub(crate) const STOCK: [(Field, &str, Need); 3] = [
    (Field::Isbn, "isbn", Need::Required),
    (Field::OnHand, "on_hand", Need::Required),
    (Field::Price, "price", Need::Optional),
];

/// What suppliers call their columns, the surest names first: only letters and digits, in small letters.
const KNOWN: [(Field, &str); 10] = [
    (
        Field::Isbn,
        "isbn13 isbn ean13 ean gtin13 gtin isbn10 isbnean isbnnumber isbnno isbnnummer isbnnr numéroisbn numeroisbn \
         isbnnúmero códigoisbn codigoisbn 书号 書號 isbn号 isbn號 国际标准书号 國際標準書號 标准书号 標準書號 国际书号 國際書號",
    ),
    (
        Field::Title,
        "title booktitle fulltitle producttitle titlename 书名 書名 标题 標題 题名 題名 图书名称 圖書名稱 titel buchtitel titre \
         titreouvrage titredulivre título titulo títulodellibro titulodellibro",
    ),
    (
        Field::Authors,
        "authors author authorname authornames contributors contributor 作者 著者 著作者 作者名 主编 主編 autor autoren autorin \
         autorinnen verfasser auteur auteurs autores autora",
    ),
    (
        Field::Language,
        "language languagecode lang languages 语言 語言 语种 語種 文种 文種 sprache sprachcode langue codelangue idioma lengua",
    ),
    (
        Field::Price,
        "price rrp listprice retailprice unitprice pricetext msrp 定价 定價 价格 價格 售价 售價 单价 單價 preis ladenpreis \
         verkaufspreis vkpreis listenpreis prix prixttc prixpublic prixpublicttc prixdevente precio pvp preciodeventa",
    ),
    (
        Field::Currency,
        "currency currencycode pricecurrency 币种 幣種 货币 貨幣 币别 幣別 währung waehrung währungscode devise monnaie codedevise \
         moneda divisa",
    ),
    (
        Field::PublishedOn,
        "publishedon published publicationdate pubdate publisheddate publishdate dateofpublication datepublished \
         publicationyear pubyear publishedyear yearofpublication year 出版日期 出版时间 出版時間 出版年月 出版年份 出版年 出版日 \
         erscheinungsdatum erscheinungstermin erscheinungsjahr erschienen jahr datedeparution dateparution datedepublication \
         datepublication parution annéedeparution anneedeparution annéedepublication année annee fechadepublicación \
         fechadepublicacion fechapublicación fechapublicacion fecha añodepublicación año",
    ),
    (
        Field::Subjects,
        "subjects subject subjectcode subjectcodes category categories genre genres bisac thema bic tags keywordsubjects 分类 分類 \
         类别 類別 主题 主題 标签 標籤 图书分类 圖書分類 sachgebiet sachgebiete warengruppe kategorie kategorien thematik sujet \
         sujets catégorie categorie catégories rayon materia materias categoría categoria categorías",
    ),
    (
        Field::Format,
        "format binding productform bookformat cover 装帧 裝幀 装订 裝訂 装帧形式 版式 einband bindung einbandart bindeart \
         ausstattung reliure présentation encuadernación encuadernacion formato",
    ),
    (
        Field::Edition,
        "edition editionstatement editionnumber 版次 版本 版别 auflage ausgabe édition numérodédition edición edicion",
    ),
];

impl Field {
    /// Every field of a book.
    pub const OF_BOOKS: [Self; 10] = [
        Self::Isbn,
        Self::Title,
        Self::Authors,
        Self::Language,
        Self::Price,
        Self::Currency,
        Self::PublishedOn,
        Self::Subjects,
        Self::Format,
        Self::Edition,
    ];

    /// Its name, as everywhere in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isbn => "isbn",
            Self::Title => "title",
            Self::Authors => "authors",
            Self::Language => "language",
            Self::Price => "price",
            Self::Currency => "currency",
            Self::PublishedOn => "published_on",
            Self::Subjects => "subjects",
            Self::Format => "format",
            Self::Edition => "edition",
            Self::OnHand => "on_hand",
        }
    }
}

/// Which column says what.
pub(crate) struct Columns {
    /// Field and place. Several columns may hold an ISBN: the surest name comes first.
    places: Vec<(Field, usize)>,
    /// Of the prices, where the name of their column says it, as `Price (EUR)` does.
    currency: Option<String>,
}

impl Columns {
    /// Columns by the names that a kind of file gives them.
    pub(crate) fn named(header: &[String], wanted: &Named) -> Result<Self, Unreadable> {
        let mut places = Vec::new();
        for (field, name, need) in wanted {
            match header.iter().position(|column| column.trim().eq_ignore_ascii_case(name)) {
                Some(place) => places.push((*field, place)),
                None if *need == Need::Optional => {}
                None => {
                    let names: Vec<_> = wanted.iter().map(|(_, name, _)| format!("`{name}`")).collect();
                    return Err(Unreadable::from(format!(
                        "the file has no column `{name}`: its first line should name the columns {}",
                        names.join(", ")
                    )));
                }
            }
        }
        Ok(Self { places, currency: None })
    }

    /// Columns as it was said, and the others by their usual names.
    pub(crate) fn known(header: &[String], said: &[(Field, String)]) -> Result<Self, Unreadable> {
        let plain: Vec<_> = header.iter().map(|column| plain(column)).collect();
        let mut places = Vec::new();
        for (field, name) in said {
            let exact = header.iter().position(|column| column.trim() == name.trim());
            let found = exact.or_else(|| plain.iter().position(|column| *column == self::plain(name)));
            let place = found.ok_or_else(|| {
                Unreadable::from(format!(
                    "the file has no column {name:?} for `{}`; it has {}",
                    field.name(),
                    list(header)
                ))
            })?;
            places.push((*field, place));
        }
        let is_said = |field: Field| said.iter().any(|(said, _)| *said == field);
        for (field, names) in KNOWN.iter().filter(|(field, _)| !is_said(*field)) {
            let all =
                names.split_whitespace().flat_map(|name| plain.iter().enumerate().filter(move |(_, it)| *it == name));
            let free: Vec<_> =
                all.map(|(place, _)| place).filter(|place| !places.iter().any(|(_, it)| it == place)).collect();
            // Of two columns with prices nobody can say which is meant; of two with ISBNs, each can be checked.
            let most = if *field == Field::Isbn { free.len() } else { 1 };
            places.extend(free.into_iter().take(most).map(|place| (*field, place)));
        }
        let priced = places.iter().find(|(field, _)| *field == Field::Price).map(|(_, place)| *place);
        let named = header.iter().enumerate().filter_map(|(place, name)| Some((place, currency_of_price(name)?)));
        let (priced, currency) = match priced {
            None => named.into_iter().next().map_or((None, None), |(place, currency)| (Some(place), Some(currency))),
            Some(priced) => (None, named.into_iter().find(|(place, _)| *place == priced).map(|(_, currency)| currency)),
        };
        places.extend(priced.map(|place| (Field::Price, place)));
        if places.is_empty() {
            return Err(Unreadable::from(format!(
                "the file has no column `isbn`, nor any other that is known: its first line should name the columns, or \
                 `--map isbn=COLUMN` says which is which; it has {}",
                list(header)
            )));
        }
        Ok(Self { places, currency })
    }

    /// Where a field stands, the surest column first.
    pub(crate) fn places(&self, field: Field) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().filter(move |(it, _)| *it == field).map(|(_, place)| *place)
    }

    /// The currency that the column of prices has in its name; blank if it has none.
    pub(crate) fn currency_of_prices(&self) -> &str {
        self.currency.as_deref().unwrap_or_default()
    }

    /// Our names beside the file's, and the columns that are not read.
    pub(crate) fn told(&self, header: &[String]) -> (Vec<(String, String)>, Vec<String>) {
        let read = |(field, place): &(Field, usize)| (field.name().to_owned(), header[*place].trim().to_owned());
        let unread = header.iter().enumerate().filter(|(place, _)| !self.places.iter().any(|(_, it)| it == place));
        (self.places.iter().map(read).collect(), unread.map(|(_, name)| name.trim().to_owned()).collect())
    }
}

/// Whether a file has all that sets the columns of goodbooks-10k apart.
pub(crate) fn are_of_goodbooks(header: &[String]) -> bool {
    let has = |name: &str| header.iter().any(|column| column.trim().eq_ignore_ascii_case(name));
    ["isbn", "authors", "title", "original_publication_year"].into_iter().all(has)
}

/// Whether a column of this name is known.
pub(crate) fn is_known(name: &str) -> bool {
    let plain = plain(name);
    let known = KNOWN.iter().any(|(_, names)| names.split_whitespace().any(|known| known == plain));
    known || currency_of_price(name).is_some()
}

/// The currency in the name of a column of prices, such as `Price (EUR)`, `GBP RRP` or `定价（元）`.
fn currency_of_price(name: &str) -> Option<String> {
    let is_part = |character: char| character.is_alphanumeric() || "$€£¥￥".contains(character);
    let words: Vec<_> = name.split(|character| !is_part(character)).filter(|word| !word.is_empty()).collect();
    let (_, names) = KNOWN.iter().find(|(field, _)| *field == Field::Price)?;
    let is_price = |words: &[&str]| {
        let plain = plain(&words.concat());
        names.split_whitespace().any(|known| known == plain)
    };
    let behind = words.split_last().filter(|(_, rest)| is_price(rest)).map(|(currency, _)| *currency);
    let before = words.split_first().filter(|(_, rest)| is_price(rest)).map(|(currency, _)| *currency);
    behind.or(before).filter(|word| price::is_currency(word)).map(str::to_owned)
}

/// A name without all that is written now so, now so.
fn plain(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The beginning of a list of columns, for a message.
fn list(header: &[String]) -> String {
    let shortened = |column: &String| format!("{:?}", column.trim().chars().take(40).collect::<String>());
    let names: Vec<_> = header.iter().take(20).map(shortened).collect();
    let more = if header.len() > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
