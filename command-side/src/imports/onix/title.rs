//! The title of a product.

use super::element::Element;
use crate::imports::notes::{LeftOut, Notes};
use crate::imports::reason;
use crate::imports::rows::whole;
use domain::book::description::Title;

/// Types of titles (code list 15), the best first: distinctive, undefined, of a distributor, abbreviated, expanded; others last.
const TYPES: [&str; 5] = ["01", "00", "10", "05", "13"];

/// Reads the title, with the subtitle where both fit.
pub(crate) fn read(detail: &Element, notes: &mut Notes) -> Result<Option<Title>, String> {
    let rank = |title: &Element| {
        let kind = title.text_of("TitleType").unwrap_or_default();
        TYPES.iter().position(|known| *known == kind).unwrap_or(TYPES.len())
    };
    let mut titles: Vec<_> = detail.all("TitleDetail").collect();
    titles.sort_by_key(|title| rank(title));
    let Some(title) = titles.iter().find_map(|title| text(title)) else { return Ok(None) };
    whole("title", &title.text)?;
    let alone = Title::parse(&title.text).map_err(|invalid| reason::invalid("title", &title.text, invalid))?;
    let Some(subtitle) = title.subtitle else { return Ok(Some(alone)) };
    whole("subtitle", &subtitle)?;
    let both = Title::parse(&format!("{}: {subtitle}", title.text));
    if both.is_err() {
        notes.left_out(LeftOut::Subtitle);
    }
    Ok(Some(both.unwrap_or(alone)))
}

struct Text {
    text: String,
    subtitle: Option<String>,
}

/// The title of the product itself (level 01), else as it is stated, else those of all levels one after the other, since the
/// number of a part alone is no title.
fn text(title: &Element) -> Option<Text> {
    let mut elements: Vec<_> = title.all("TitleElement").collect();
    elements.sort_by_key(|element| number(element));
    let own = elements.iter().find(|element| element.text_of("TitleElementLevel").as_deref() == Some("01"));
    if let Some(text) = own.and_then(|element| of_element(element)) {
        return Some(Text { text, subtitle: own.and_then(|element| element.text_of("Subtitle")) });
    }
    let joined = || {
        let parts = elements.iter().flat_map(|element| [of_element(element), element.text_of("PartNumber")]);
        let parts: Vec<_> = parts.flatten().collect();
        Some(parts.join(", ")).filter(|_| elements.iter().any(|element| of_element(element).is_some()))
    };
    let text = title.text_of("TitleStatement").or_else(joined)?;
    Some(Text { text, subtitle: None })
}

fn of_element(element: &Element) -> Option<String> {
    if let Some(text) = element.text_of("TitleText") {
        return Some(text);
    }
    let rest = element.text_of("TitleWithoutPrefix")?;
    Some(match element.text_of("TitlePrefix") {
        // As in L'Étranger.
        Some(prefix) if prefix.ends_with(['\'', '’', '-']) => format!("{prefix}{rest}"),
        Some(prefix) => format!("{prefix} {rest}"),
        None => rest,
    })
}

/// Its place; what has none comes last.
pub(crate) fn number(element: &Element) -> u32 {
    element.text_of("SequenceNumber").and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}
