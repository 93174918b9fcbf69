//! Cursors: where the next page of a listing begins, in a form that invites nobody to count in it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::problems::{Problem, Rule};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;

/// Which page of a listing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// The most items, 1–100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    #[serde(default, deserialize_with = "given")]
    limit: Option<u32>,
}

/// A number, or nothing where nothing stands behind the `=`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}

/// The same, judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageStart {
    /// The place of the last item before the page.
    pub(crate) after: i64,
    pub(crate) limit: u32,
}

impl TryFrom<PageQuery> for PageStart {
    type Error = Problem;

    fn try_from(query: PageQuery) -> Result<Self, Problem> {
        Self::with_default(query, LIMIT_DEFAULT)
    }
}

impl PageStart {
    /// The same, with so many items where no limit is asked for.
    pub(crate) fn with_default(PageQuery { cursor, limit }: PageQuery, default: u32) -> Result<Self, Problem> {
        if limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
            return Err(Problem::new(Rule::Malformed, "`limit` is a whole number from 1 to 100"));
        }
        let limit = limit.unwrap_or(default);
        let after = match cursor.as_deref() {
            None | Some("") => 0,
            Some(cursor) => decode(cursor).ok_or_else(|| {
                Problem::new(Rule::Malformed, "`cursor` is the `next_cursor` of the page before, as it came")
            })?,
        };
        Ok(Self { after, limit })
    }

    /// Cuts what was read, one row more than fits, to the page; with the cursor of the next one, if there is one.
    pub(crate) fn cut<R>(self, rows: &mut Vec<R>, place: impl Fn(&R) -> i64) -> Option<String> {
        let limit = usize::try_from(self.limit).expect("a limit that small fits");
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|last| URL_SAFE_NO_PAD.encode(place(last).to_be_bytes()))
    }

    /// The place of the last item before the page, of a listing that begins with the newest.
    pub(crate) fn before(self) -> i64 {
        if self.after == 0 { i64::MAX } else { self.after }
    }

    /// How many rows to read: one more than fits tells whether there is a next page.
    pub(crate) fn rows(self) -> u32 {
        self.limit + 1
    }
}

fn decode(cursor: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?)).filter(|place| *place >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(cursor: Option<&str>, limit: Option<u32>) -> Result<PageStart, Problem> {
        PageQuery { cursor: cursor.map(str::to_owned), limit }.try_into()
    }

    #[test]
    fn a_cursor_leads_behind_the_last_item_of_its_page() {
        let first = start(None, Some(2)).unwrap();
        assert_eq!((first.after, first.rows()), (0, 3));
        let mut rows = vec![3, 5, 8];
        let cursor = first.cut(&mut rows, |row| *row).unwrap();
        assert_eq!(rows, [3, 5]);
        let second = start(Some(&cursor), Some(2)).unwrap();
        assert_eq!(second.after, 5);
        assert_eq!(second.cut(&mut vec![8, 9], |row| *row), None);
    }

    #[test]
    fn what_is_no_cursor_or_limit_is_refused() {
        for cursor in ["x", "AAAAAAAAAAA=", "AAAAAAAAAA", "_________98", "////////////", "5", "书"] {
            assert!(start(Some(cursor), None).is_err(), "{cursor}");
        }
        for limit in [0, 101, u32::MAX] {
            assert!(start(None, Some(limit)).is_err(), "{limit}");
        }
        assert_eq!(start(Some(""), None).unwrap().limit, 20);
    }
}
