//! What a copy costs, of all the prices that a message may give: which one follows from the message alone, not from today.

use super::Defaults;
use super::element::Element;
use crate::imports::fields::price;
use crate::imports::notes::Notes;
use std::cmp::Reverse;

/// `None` where nothing is said, `Some(None)` where it is said that there is no price.
pub(crate) type Said = Option<Option<domain::money::Money>>;

/// Types of prices that a customer pays (code list 58), the best first: with tax, then without; of each, those of the
/// publisher last. Suppliers' net prices, special sales and prices before publication are none of them.
const TYPES: [(&str, u8); 6] = [("02", 0), ("04", 0), ("42", 1), ("01", 2), ("03", 2), ("41", 3)];

/// Qualifiers of prices for whoever comes (code list 59): unqualified, consumer.
const QUALIFIERS: [&str; 2] = ["00", "05"];

/// Reads the price.
pub(crate) fn read(product: &Element, defaults: &Defaults, notes: &mut Notes) -> Result<Said, String> {
    let supplies = || product.all("ProductSupply").flat_map(|supply| supply.all("SupplyDetail"));
    let prices = supplies().flat_map(|supply| supply.all("Price"));
    let best = prices.filter_map(|price| Some((rank(price, defaults)?, price))).min_by_key(|(rank, _)| rank.clone());
    if let Some((_, best)) = best {
        let amount = best.text_of("PriceAmount").unwrap_or_default();
        let code = currency(best, defaults).unwrap_or_default();
        return price::read(&amount, &code, defaults.usual_currency, notes).map(Some);
    }
    let unpriced = supplies().any(|supply| {
        supply.first("UnpricedItemType").is_some()
            || supply.all("Price").any(|price| price.first("UnpricedItemType").is_some())
    });
    Ok(unpriced.then_some(None))
}

/// The catalogue's currency, the type, whether it lasts, the last day on which it begins: of equals, the message's order
/// decides.
type Rank = (bool, u8, bool, Reverse<String>);

/// How well a price serves; none if it is no price that a customer pays.
fn rank(price: &Element, defaults: &Defaults) -> Option<Rank> {
    price.text_of("PriceAmount")?;
    let kind = price.text_of("PriceType").or_else(|| defaults.price_type.clone())?;
    let kind = TYPES.iter().find(|(known, _)| *known == kind)?.1;
    let qualifier = price.text_of("PriceQualifier");
    if qualifier.is_some_and(|qualifier| !QUALIFIERS.contains(&qualifier.as_str())) {
        return None;
    }
    let foreign = currency(price, defaults).as_deref() != Some(defaults.usual_currency.code());
    let date = |role: &str| {
        let mut dates = price.all("PriceDate");
        let of_role = dates.find(|date| date.text_of("PriceDateRole").as_deref() == Some(role));
        of_role.and_then(|date| date.text_of("Date"))
    };
    let ends = date("15").is_some() || date("24").is_some();
    Some((foreign, kind, ends, Reverse(date("14").unwrap_or_default())))
}

fn currency(price: &Element, defaults: &Defaults) -> Option<String> {
    price.text_of("CurrencyCode").or_else(|| defaults.currency.clone())
}
