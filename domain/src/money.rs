//! Money in minor units of one currency, with checked arithmetic.

use crate::invalid::Invalid;
use iso_currency::Currency as Iso4217;

/// The largest amount: the largest integer that every JSON reader keeps exact (RFC 8259, section 6).
pub const MAX_AMOUNT: u64 = (1 << 53) - 1;

/// An ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(Iso4217);

impl Currency {
    /// Parses a code in capitals.
    pub fn parse(code: &str) -> Result<Self, Invalid> {
        Iso4217::from_code(code).filter(|iso| iso.code() == code).map(Self).ok_or(Invalid::Currency)
    }

    /// The three-letter code.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits the minor unit stands behind the point: 2 for CNY, 0 for JPY.
    pub fn decimals(&self) -> u32 {
        u32::from(self.0.exponent().unwrap_or(0))
    }
}

/// An amount of minor units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    amount: u64,
    currency: Currency,
}

impl Money {
    /// Fails above [`MAX_AMOUNT`].
    pub fn new(amount: u64, currency: Currency) -> Result<Self, Invalid> {
        if amount > MAX_AMOUNT { Err(Invalid::Amount) } else { Ok(Self { amount, currency }) }
    }

    /// Minor units.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Of which currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Reads a decimal such as `42.00` or `42`: digits, then at most as many decimals as the currency has.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, Invalid> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let decimals = currency.decimals() as usize;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals || text.ends_with('.') {
            return Err(Invalid::Amount);
        }
        let padded = format!("{whole}{fraction:0<decimals$}");
        Self::new(padded.parse().map_err(|_| Invalid::Amount)?, currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn an_amount_is_bounded() {
        assert_eq!(Money::new(MAX_AMOUNT, currency("CNY")).unwrap().amount(), 9_007_199_254_740_991);
        assert_eq!(Money::new(MAX_AMOUNT + 1, currency("CNY")), Err(Invalid::Amount));
    }

    #[test]
    fn a_currency_is_an_iso_4217_code_in_capitals() {
        for code in ["", "cny", "Cny", "RMB", "CN", "CNYY", "€"] {
            assert_eq!(Currency::parse(code), Err(Invalid::Currency), "{code}");
        }
        assert_eq!([currency("CNY").decimals(), currency("JPY").decimals(), currency("KWD").decimals()], [2, 0, 3]);
    }

    #[test]
    fn a_decimal_is_read_in_the_currency_s_own_units() {
        for (text, code, amount) in [
            ("42.00", "CNY", 4_200),
            ("42", "CNY", 4_200),
            ("0.5", "CNY", 50),
            ("007.10", "CNY", 710),
            ("42", "JPY", 42),
            ("1.005", "KWD", 1_005),
            ("90071992547409.91", "CNY", MAX_AMOUNT),
        ] {
            assert_eq!(Money::parse_decimal(text, currency(code)).map(|money| money.amount()), Ok(amount), "{text}");
        }
        for text in ["", ".", ".5", "42.", "42.001", "-1", "+1", "1,50", "1e3", " 1", "¥42", "90071992547409.92", "٤٢"]
        {
            assert_eq!(Money::parse_decimal(text, currency("CNY")), Err(Invalid::Amount), "{text}");
        }
        assert_eq!(Money::parse_decimal("1.0", currency("JPY")), Err(Invalid::Amount));
    }
}
