//! Prices as suppliers write them: an amount in one of the world's notations, and a currency before or behind it.

use super::{plain_width, unwrapped};
use crate::imports::notes::{Notes, Repair};
use crate::imports::reason;
use domain::invalid::Invalid;
use domain::money::{Currency, Money};

/// Dollars that `$` may mean.
const DOLLARS: &[&str] =
    &["USD", "CAD", "AUD", "NZD", "HKD", "TWD", "SGD", "MXN", "ARS", "CLP", "COP", "BBD", "JMD", "TTD", "MOP"];

/// Signs and names, in capitals, and the currencies that they may mean. Codes mean themselves.
const SIGNS: [(&str, &[&str]); 62] = [
    ("$", DOLLARS),
    ("US$", &["USD"]),
    ("U$S", &["USD"]),
    ("CA$", &["CAD"]),
    ("C$", &["CAD"]),
    ("CAN$", &["CAD"]),
    ("AU$", &["AUD"]),
    ("A$", &["AUD"]),
    ("NZ$", &["NZD"]),
    ("HK$", &["HKD"]),
    ("HKD$", &["HKD"]),
    ("NT$", &["TWD"]),
    ("NTD", &["TWD"]),
    ("NTD$", &["TWD"]),
    ("NT", &["TWD"]),
    ("S$", &["SGD"]),
    ("R$", &["BRL"]),
    ("MOP$", &["MOP"]),
    ("€", &["EUR"]),
    ("EURO", &["EUR"]),
    ("£", &["GBP"]),
    ("¥", &["CNY", "JPY"]),
    ("元", &["CNY", "TWD", "HKD", "MOP"]),
    ("圆", &["CNY"]),
    ("圓", &["TWD", "HKD", "MOP"]),
    ("RMB", &["CNY"]),
    ("RMB¥", &["CNY"]),
    ("CN¥", &["CNY"]),
    ("人民币", &["CNY"]),
    ("港币", &["HKD"]),
    ("港幣", &["HKD"]),
    ("新台币", &["TWD"]),
    ("新臺幣", &["TWD"]),
    ("円", &["JPY"]),
    ("日元", &["JPY"]),
    ("日圆", &["JPY"]),
    ("日圓", &["JPY"]),
    ("JP¥", &["JPY"]),
    ("円(税込)", &["JPY"]),
    ("美元", &["USD"]),
    ("美金", &["USD"]),
    ("欧元", &["EUR"]),
    ("歐元", &["EUR"]),
    ("英镑", &["GBP"]),
    ("英鎊", &["GBP"]),
    ("港元", &["HKD"]),
    ("HK", &["HKD"]),
    ("HK $", &["HKD"]),
    ("HKD $", &["HKD"]),
    ("NT $", &["TWD"]),
    ("N.T", &["TWD"]),
    ("台币", &["TWD"]),
    ("台幣", &["TWD"]),
    ("新台幣", &["TWD"]),
    ("新臺币", &["TWD"]),
    ("元新台币", &["TWD"]),
    ("(元)", &["CNY", "TWD", "HKD", "MOP"]),
    ("원", &["KRW"]),
    ("₩", &["KRW"]),
    ("₹", &["INR"]),
    ("₽", &["RUB"]),
    ("ZŁ", &["PLN"]),
];

/// Reads a price; `said` is the currency that stands in a column of its own, `usual` that of the catalogue.
pub(crate) fn read(text: &str, said: &str, usual: Currency, notes: &mut Notes) -> Result<Option<Money>, String> {
    let price = unwrapped(text, notes);
    if price.is_empty() {
        return Ok(None);
    }
    let plain: String = price.chars().map(plain_width).collect();
    let unreadable = |what: &str| reason::broken("price", text, what, Invalid::Amount);
    let is_digit = |character: char| character.is_ascii_digit();
    let (Some(start), Some(end)) = (plain.find(is_digit), plain.rfind(is_digit)) else {
        return Err(unreadable("there is no amount in it"));
    };
    // A point behind letters ends a word, as in `Rs. 50`; any other one may be that of `.99`.
    if plain[..start].strip_suffix('.').is_some_and(|sign| !sign.ends_with(char::is_alphabetic)) {
        return Err(unreadable("the point before the amount can be read in two ways"));
    }
    let currency = currency([&plain[..start], &plain[end + 1..]], said, usual, text)?;
    let number = &plain[start..=end];
    let amount = decimal(number, currency.decimals() as usize).ok_or_else(|| {
        unreadable(&format!("the amount is no number of {} that can be read in one way only", currency.code()))
    })?;
    if Money::parse_decimal(price, currency).is_err() {
        notes.repaired(Repair::PriceForm);
    }
    Money::parse_decimal(&amount, currency).map(Some).map_err(|invalid| reason::invalid("price", text, invalid))
}

/// Whether a word or sign names one or more currencies.
pub(crate) fn is_currency(word: &str) -> bool {
    meanings(&sign(word)).is_some()
}

/// What the signs around an amount, the column of currencies and the catalogue agree on.
fn currency(signs: [&str; 2], said: &str, usual: Currency, text: &str) -> Result<Currency, String> {
    let doubtful = |what: &str| Err(reason::broken("price", text, what, Invalid::Currency));
    let mut possible: Option<Vec<&str>> = None;
    let mut dollar = false;
    for sign in signs.map(|sign| sign.trim().trim_matches([':', '.', ' ']).to_uppercase()) {
        if sign.is_empty() {
            continue;
        }
        dollar |= sign == "$";
        let Some(means) = meanings(&sign) else {
            return doubtful(&format!("{sign:?} is no currency that is known"));
        };
        possible = Some(match possible {
            Some(before) => before.into_iter().filter(|code| means.contains(code)).collect(),
            None => means,
        });
    }
    let said = sign(said);
    if !said.is_empty() {
        let Some(means) = meanings(&said) else {
            return Err(reason::invalid("currency", &said, Invalid::Currency));
        };
        let both = |code: &&str| possible.as_ref().is_none_or(|possible| possible.contains(code));
        dollar |= said == "$" && means.iter().filter(|code| both(code)).count() > 1;
        possible = Some(means.into_iter().filter(both).collect());
        if said != "$" {
            dollar = false;
        }
    }
    let Some(possible) = possible else { return Ok(usual) };
    match possible.as_slice() {
        [] => doubtful("the signs and the column of currencies contradict each other"),
        [code] => Ok(Currency::parse(code).expect("only codes that exist are possible")),
        _ if dollar => doubtful("`$` alone does not say which dollar: say it in a column `currency`, or write US$"),
        several if several.contains(&usual.code()) => Ok(usual),
        several => doubtful(&format!("the sign may mean {}: say it in a column `currency`", several.join(" or "))),
    }
}

/// A word or sign as it is known.
fn sign(word: &str) -> String {
    word.trim().chars().map(plain_width).collect::<String>().to_uppercase()
}

/// The currencies that a sign in capitals may mean.
fn meanings(sign: &str) -> Option<Vec<&'static str>> {
    if let Some((_, codes)) = SIGNS.iter().find(|(known, _)| *known == sign) {
        return Some(codes.to_vec());
    }
    Currency::parse(sign).ok().map(|currency| vec![currency.code()])
}

/// A number with a point before its decimals and nothing else, if it can be read in one way only.
fn decimal(number: &str, decimals: usize) -> Option<String> {
    let number: String = number.chars().map(|character| if is_space(character) { ' ' } else { character }).collect();
    let place = number.rfind(['.', ',']);
    let (whole, fraction) = match place {
        None => (number.as_str(), ""),
        Some(place) => {
            let (sign, before, behind) = (&number[place..=place], &number[..place], &number[place + 1..]);
            let again = before.contains(sign);
            let other = before.contains(['.', ',']) && !again;
            let grouped = before.contains([' ', '\'']);
            // One sign and three digits: thousands to some, decimals to others.
            let thousands = again || (behind.len() == 3 && decimals == 0);
            let doubtful = behind.len() == 3 && !again && !other && !grouped && (decimals != 3 || sign == ",");
            if doubtful && !thousands {
                return None;
            }
            if thousands { (number.as_str(), "") } else { (before, behind) }
        }
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = without_groups(whole)?;
    // Zeros beyond what the currency has say nothing.
    let kept = fraction.len().min(decimals);
    let (fraction, zeros) = (fraction.get(..kept)?, fraction.get(kept..)?);
    if !digits(fraction) || zeros.bytes().any(|byte| byte != b'0') {
        return None;
    }
    Some(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
}

/// A whole number without the signs that set its thousands apart: one kind of sign, and three digits behind each.
fn without_groups(whole: &str) -> Option<String> {
    let Some(sign) = whole.chars().find(|character| !character.is_ascii_digit()) else { return Some(whole.to_owned()) };
    let mut groups = whole.split(sign);
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    let rest: Vec<_> = groups.collect();
    let digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = matches!(sign, ' ' | '\'' | ',' | '.') && rest.iter().all(|group| group.len() == 3 && digits(group));
    (grouped && digits(&first)).then(|| format!("{first}{}", rest.concat()))
}

fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{2019}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str, said: &str, usual: &str) -> Result<Option<(u64, &'static str)>, String> {
        let usual = Currency::parse(usual).unwrap();
        let price = read(text, said, usual, &mut Notes::default())?;
        Ok(price.map(|price| (price.amount(), price.currency().code())))
    }

    #[test]
    fn a_price_with_one_meaning_is_read() {
        for (text, said, usual, amount, code) in [
            ("58.00", "", "CNY", 5_800, "CNY"),
            ("58", "", "EUR", 5_800, "EUR"),
            ("18.00元", "", "CNY", 1_800, "CNY"),
            ("59元", "", "CNY", 5_900, "CNY"),
            ("CNY 58.00", "", "EUR", 5_800, "CNY"),
            ("¥58", "", "CNY", 5_800, "CNY"),
            ("￥５８．００", "", "CNY", 5_800, "CNY"),
            ("¥580", "", "JPY", 580, "JPY"),
            ("EUR 12,50", "", "CNY", 1_250, "EUR"),
            ("12,50 €", "", "CNY", 1_250, "EUR"),
            ("12,5", "EUR", "CNY", 1_250, "EUR"),
            ("£7.99", "", "CNY", 799, "GBP"),
            ("US$12", "", "CNY", 1_200, "USD"),
            ("NT.280", "", "CNY", 28_000, "TWD"),
            ("$12", "USD", "CNY", 1_200, "USD"),
            ("NT$ 280 元", "", "CNY", 28_000, "TWD"),
            ("RMB 45.8", "", "EUR", 4_580, "CNY"),
            ("人民币58元", "", "EUR", 5_800, "CNY"),
            ("9.5美元", "", "CNY", 950, "USD"),
            ("1,575円（税込）", "", "CNY", 1_575, "JPY"),
            ("￡7.99", "", "CNY", 799, "GBP"),
            ("1,234.50", "", "CNY", 123_450, "CNY"),
            ("1.234,50", "", "EUR", 123_450, "EUR"),
            ("1 234,50", "", "EUR", 123_450, "EUR"),
            ("1'234.50", "CHF", "EUR", 123_450, "CHF"),
            ("1,234,567", "", "CNY", 123_456_700, "CNY"),
            ("1,200円", "", "CNY", 1_200, "JPY"),
            ("1200.00", "JPY", "CNY", 1_200, "JPY"),
            ("12.5000", "", "CNY", 1_250, "CNY"),
            ("1.250", "KWD", "CNY", 1_250, "KWD"),
            ("=\"58.00\"", "", "CNY", 5_800, "CNY"),
        ] {
            assert_eq!(price(text, said, usual), Ok(Some((amount, code))), "{text}");
        }
        assert_eq!(price(" ", "EUR", "CNY"), Ok(None));
    }

    #[test]
    fn a_price_in_doubt_is_refused() {
        for (text, said, usual, part) in [
            ("$12", "", "USD", "which dollar"),
            ("$12", "$", "USD", "which dollar"),
            ("¥58", "", "EUR", "CNY or JPY"),
            ("58元", "", "EUR", "may mean"),
            ("€12", "GBP", "CNY", "contradict"),
            ("12 kr", "", "CNY", "no currency that is known"),
            ("12", "XYZ", "CNY", "(currency)"),
            ("1,234", "", "CNY", "one way only (amount)"),
            ("1.234", "", "EUR", "one way only"),
            ("1,234", "KWD", "EUR", "one way only"),
            ("12.505", "", "CNY", "one way only"),
            ("12.5051", "", "CNY", "one way only"),
            ("1,23,456", "", "CNY", "one way only"),
            ("12-15", "", "CNY", "one way only"),
            ("12.50 15.00", "", "CNY", "one way only"),
            ("-5", "", "CNY", "no currency that is known"),
            (".99", "", "CNY", "the point before the amount"),
            ("US$.99", "", "CNY", "the point before the amount"),
            (",99", "", "CNY", "no currency that is known"),
            ("n/a", "", "CNY", "there is no amount"),
            ("99999999999999999999", "", "CNY", "(amount)"),
        ] {
            let reason = price(text, said, usual).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
