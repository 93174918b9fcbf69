//! Cursors: where the next page of a listing begins, in a form that invites nobody to count in it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::problems::{Problem, Rule};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

pub(crate) const LIMIT_DEFAULT: u32 = 20;
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
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
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
        let limit = judged(limit, default)?;
        let after = given_cursor(cursor.as_deref(), decode)?.unwrap_or(0);
        Ok(Self { after, limit })
    }

    /// Cuts what was read, one row more than fits, to the page; with the cursor of the next one, if there is one.
    pub(crate) fn cut<R>(self, rows: &mut Vec<R>, place: impl Fn(&R) -> i64) -> Option<String> {
        let limit = usize::try_from(self.limit).expect("a limit that small fits");
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|last| cursor(place(last).to_be_bytes()))
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

fn decode(bytes: [u8; 8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes)).filter(|place| *place >= 0)
}

/// The most items on a page, or so many where no limit is asked for.
pub(crate) fn judged(limit: Option<u32>, default: u32) -> Result<u32, Problem> {
    match limit {
        None => Ok(default),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Problem::new(Rule::Malformed, "`limit` is a whole number from 1 to 100")),
    }
}

/// Where a page begins, if it is not the first one.
pub(crate) fn given_cursor<T, const N: usize>(
    cursor: Option<&str>,
    decode: impl Fn([u8; N]) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| bytes.try_into().ok());
    let place = bytes.and_then(decode);
    let malformed = || Problem::new(Rule::Malformed, "`cursor` is the `next_cursor` of the page before, as it came");
    place.map(Some).ok_or_else(malformed)
}

/// The cursor of a place.
pub(crate) fn cursor(place: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(place)
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
