//! Why a row is refused, in the words of a report: field, value, and the rule that was broken.

use crate::commands::Refusal;
use domain::invalid::Invalid;
use schemas::problems::Problem;

/// Characters of a value that a reason repeats.
const VALUE_CHARACTERS: usize = 80;

/// A value that breaks a rule, such as `isbn "1": an ISBN has … (isbn_shape)`.
pub(crate) fn invalid(field: &str, value: &str, invalid: Invalid) -> String {
    broken(field, value, &invalid.to_string(), invalid)
}

/// A value that breaks a rule, and what happened to it in other words than the rule's.
pub(crate) fn broken(field: &str, value: &str, what: &str, invalid: Invalid) -> String {
    format!("{} ({})", doubtful(field, value, what), Problem::from(invalid).rule.slug())
}

/// A value that cannot be used, though no rule of the domain says so.
pub(crate) fn doubtful(field: &str, value: &str, what: &str) -> String {
    if value.is_empty() { format!("{field}: {what}") } else { format!("{field} {}: {what}", quoted(value)) }
}

/// What the catalogue said to the command that a row came to.
pub(crate) fn refusal(isbn: &str, refusal: &Refusal) -> String {
    let what = refusal.to_string();
    match refusal {
        Refusal::Rejected(rejection) => {
            let slug = Problem::from(rejection.clone()).rule.slug();
            format!("{} ({slug})", doubtful("isbn", isbn, &what))
        }
        Refusal::Outdated(_) | Refusal::KeyReused => doubtful("isbn", isbn, &what),
    }
}

/// As much of a value as a line of a report bears, without line breaks or other control characters.
fn quoted(value: &str) -> String {
    let start: String = value.chars().take(VALUE_CHARACTERS).collect();
    if start.len() < value.len() { format!("{start:?}…") } else { format!("{start:?}") }
}
