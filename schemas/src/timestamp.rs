//! Moments as text: RFC 3339 in UTC, to the microsecond.

use domain::timestamp::Timestamp;

/// The text of a moment.
pub fn text(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.6}")
}

/// The moment of a text that [`text`] wrote, or another one in RFC 3339.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(|at: jiff::Timestamp| Timestamp(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_back() {
        let at = Timestamp(1_795_588_200_000_123);
        assert_eq!(text(at), "2026-11-25T06:30:00.000123Z");
        assert_eq!(parse(&text(at)), Some(at));
        assert_eq!(text(Timestamp(i64::MAX)), "9999-12-30T22:00:00.999999Z");
        assert_eq!(parse("yesterday"), None);
    }
}
