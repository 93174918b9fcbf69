//! An element of a message with what is needed of it: children by their reference names, and text.

/// Reference names and short tags of the elements that are read (ONIX for Books 3.0).
const READ: [(&str, &str); 75] = [
    ("ONIXMessage", "ONIXmessage"),
    ("Header", "header"),
    ("DefaultLanguageOfText", "m184"),
    ("DefaultPriceType", "m185"),
    ("DefaultPriceType", "x310"),
    ("DefaultCurrencyCode", "m186"),
    ("Product", "product"),
    ("NotificationType", "a002"),
    ("ProductIdentifier", "productidentifier"),
    ("ProductIDType", "b221"),
    ("IDValue", "b244"),
    ("DescriptiveDetail", "descriptivedetail"),
    ("ProductForm", "b012"),
    ("TitleDetail", "titledetail"),
    ("TitleType", "b202"),
    ("TitleStatement", "x478"),
    ("TitleElement", "titleelement"),
    ("TitleElementLevel", "x409"),
    ("SequenceNumber", "b034"),
    ("PartNumber", "x410"),
    ("TitleText", "b203"),
    ("TitlePrefix", "b030"),
    ("TitleWithoutPrefix", "b031"),
    ("Subtitle", "b029"),
    ("Collection", "collection"),
    ("Contributor", "contributor"),
    ("ContributorRole", "b035"),
    ("PersonName", "b036"),
    ("PersonNameInverted", "b037"),
    ("NamesBeforeKey", "b039"),
    ("PrefixToKey", "b247"),
    ("KeyNames", "b040"),
    ("NamesAfterKey", "b041"),
    ("SuffixToKey", "b248"),
    ("CorporateName", "b047"),
    ("CorporateNameInverted", "x443"),
    ("UnnamedPersons", "b249"),
    ("NoEdition", "n386"),
    ("EditionNumber", "b057"),
    ("EditionStatement", "b058"),
    ("Language", "language"),
    ("LanguageRole", "b253"),
    ("LanguageCode", "b252"),
    ("ScriptCode", "x420"),
    ("Subject", "subject"),
    ("MainSubject", "x425"),
    ("SubjectSchemeIdentifier", "b067"),
    ("SubjectSchemeName", "b171"),
    ("SubjectSchemeVersion", "b068"),
    ("SubjectCode", "b069"),
    ("SubjectHeadingText", "b070"),
    ("PublishingDetail", "publishingdetail"),
    ("PublishingDate", "publishingdate"),
    ("PublishingDateRole", "x448"),
    ("DateFormat", "j260"),
    ("Date", "b306"),
    ("ProductSupply", "productsupply"),
    ("SupplyDetail", "supplydetail"),
    ("UnpricedItemType", "j192"),
    ("Price", "price"),
    ("PriceType", "x462"),
    ("PriceQualifier", "j261"),
    ("PriceAmount", "j151"),
    ("CurrencyCode", "j152"),
    ("PriceDate", "pricedate"),
    ("PriceDateRole", "x476"),
    // Of ONIX 2, to say so.
    ("Title", "title"),
    ("DistinctiveTitle", "b028"),
    ("PublicationDate", "b003"),
    ("EpubType", "b211"),
    // The reading aids of ruby text are no part of it.
    ("rt", "rt"),
    ("rp", "rp"),
    // Long, and not read.
    ("CollateralDetail", "collateraldetail"),
    ("RelatedMaterial", "relatedmaterial"),
    ("BiographicalNote", "b044"),
];

/// Elements of which nothing is kept.
const PASSED_OVER: [&str; 5] = ["rt", "rp", "CollateralDetail", "RelatedMaterial", "BiographicalNote"];

/// The reference name behind a tag without its namespace prefix; empty if nothing is read from such an element.
pub(crate) fn reference_name(tag: &str) -> &'static str {
    READ.iter().find(|(reference, short)| *reference == tag || *short == tag).map_or("", |(reference, _)| *reference)
}

/// Whether nothing is kept of an element.
pub(crate) fn is_passed_over(name: &str) -> bool {
    PASSED_OVER.contains(&name)
}

/// An element, or what a message has in its place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its reference name, whichever tag it had.
    pub(crate) name: &'static str,
    /// The attribute `dateformat`, if it has it.
    pub(crate) date_format: Option<String>,
    /// Its text, and that of elements within it that are not read by themselves.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a Self> {
        self.all(name).next()
    }

    /// The text of the first such child, if it has any.
    pub(crate) fn text_of(&self, name: &str) -> Option<String> {
        self.first(name).map(Self::plain_text).filter(|text| !text.is_empty())
    }

    /// Its text with single spaces: how a message is broken into lines means nothing.
    pub(crate) fn plain_text(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
