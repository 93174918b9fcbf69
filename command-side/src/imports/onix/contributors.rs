//! Who made a product.

use super::element::Element;
use super::title::number;
use crate::imports::reason;
use crate::imports::rows::whole;
use domain::book::description::Authors;

/// Reads the names of those who wrote it (roles A of code list 17), else of those who edited or translated it (B), in the
/// order that the message gives them.
pub(crate) fn read(detail: &Element) -> Result<Option<Authors>, String> {
    let mut contributors: Vec<_> = detail.all("Contributor").collect();
    contributors.sort_by_key(|contributor| number(contributor));
    let of_roles = |letter: char| {
        let mut names: Vec<String> = Vec::new();
        let has = |contributor: &&&Element| {
            contributor.all("ContributorRole").any(|role| role.plain_text().starts_with(letter))
        };
        // One person may be listed once for each role.
        for name in contributors.iter().filter(has).filter_map(|contributor| name(contributor)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    let names = Some(of_roles('A')).filter(|names| !names.is_empty()).unwrap_or_else(|| of_roles('B'));
    if names.is_empty() {
        return Ok(None);
    }
    let all = names.join("; ");
    whole("authors", &all)?;
    Authors::parse(&names).map(Some).map_err(|invalid| reason::invalid("authors", &all, invalid))
}

/// The name as it is read out, however the message gives it.
fn name(contributor: &Element) -> Option<String> {
    let of = |name: &str| contributor.text_of(name);
    let from_parts = || {
        let key = of("KeyNames")?;
        let parts = [of("NamesBeforeKey"), of("PrefixToKey"), Some(key), of("NamesAfterKey"), of("SuffixToKey")];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    let unnamed = || match of("UnnamedPersons").as_deref() {
        Some("02") => Some("Anonymous".to_owned()),
        Some("04") => Some("Various authors".to_owned()),
        _ => None,
    };
    of("PersonName")
        .or_else(from_parts)
        .or_else(|| of("PersonNameInverted").map(|name| turned_round(&name)))
        .or_else(|| of("CorporateName"))
        .or_else(|| of("CorporateNameInverted").map(|name| turned_round(&name)))
        .or_else(unnamed)
}

/// `Otsuka, Julie` as `Julie Otsuka`; with several commas nobody can say what belongs where.
fn turned_round(name: &str) -> String {
    match name.split_once(',') {
        Some((last, first)) if !first.contains(',') && !first.trim().is_empty() => {
            format!("{} {}", first.trim(), last.trim())
        }
        _ => name.to_owned(),
    }
}
