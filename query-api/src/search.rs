//! Read routes of the search.

use crate::cursor::{LIMIT_DEFAULT, cursor, given, given_cursor, judged};
use crate::routes::{QueryApi, page, unavailable};
use axum::extract::State;
use axum::response::Response;
use domain::money::Currency;
use platform::search_index::{Counts, Filter, Found, Order, Place, Request, SearchIndex, SearchIndexes, TEXT_CHARS};
use platform::view_store::StoreError;
use schemas::api::search::{Facet, Facets, Hit, SearchPage, Suggestion, Suggestions};
use schemas::http::{MinPosition, Params};
use schemas::problems::{Problem, Rule};
use schemas::views::search::field;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::IntoParams;

/// Suggestions at once.
const SUGGESTIONS: usize = 10;

/// What the facets of a page count, and, last, what tells whether prices can be compared.
const COUNTED: [&str; 3] = [field::LANGUAGE, field::SUBJECT, field::CURRENCY];

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Any text, of which the first 500 characters are read: words of title, authors and subjects, the last of which may
    /// still lack its end; words in double quotes, which have to stand next to each other; or an ISBN, with or without
    /// hyphens. Nothing finds every book.
    #[serde(default)]
    q: String,
    /// Only books of this language, as a facet names it.
    language: Option<String>,
    /// Only books with this subject's code, as a facet names it.
    subject: Option<String>,
    /// Only books that cost at least so much, in minor units.
    #[param(value_type = Option<u64>)]
    price_min: Option<String>,
    /// Only books that cost at most so much, in minor units.
    #[param(value_type = Option<u64>)]
    price_max: Option<String>,
    /// Only books with a price in this currency; needed to compare prices where the hits have several.
    currency: Option<String>,
    /// `relevance` (also if there is no `sort`), `price_asc`, `price_desc`, `newest` (publication), `popular` (copies
    /// sold). Books that lack what is sorted by come last; among equals, the better sold comes first.
    sort: Option<String>,
    /// The `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// The most hits, 1–100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    #[serde(default, deserialize_with = "given")]
    limit: Option<u32>,
}

/// Search for books.
///
/// Every word has to be found, except for common ones (`the`, `of`): in another case or number, with or without accents, in
/// either Chinese script. If that finds nothing, one letter may be wrong in words of four letters or more, two from eight on,
/// none in numbers. Retired books are not found.
#[utoipa::path(
    get, path = "/v1/search", tag = "search",
    params(SearchQuery, MinPosition),
    responses(
        (status = 200, body = SearchPage, description = "`Link` with `rel=\"next\"` leads to the next page"),
        (status = 422, body = schemas::problems::Body, description = "`currency_needed`: the hits have prices in several currencies"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn search(
    State(api): State<QueryApi>,
    Params(query): Params<SearchQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    let asked = Asked::read(&query)?;
    api.reach_search(min_position).await?;
    let found = {
        let (asked, text) = (asked.clone(), query.q.clone());
        on_index(&api.search, move |index| index.search(&asked.request(&text))).await?
    };
    if asked.compares_prices() && found.counts[2].len() > 1 {
        let currencies: Vec<_> = found.counts[2].iter().map(|(currency, _)| currency.as_str()).collect();
        let detail = format!("the hits have prices in {}: choose one of them by `currency`", currencies.join(", "));
        return Err(Problem { position: Some(found.position.0), ..Problem::new(Rule::CurrencyNeeded, detail) });
    }
    let position = found.position;
    let body = answer(found, !query.q.trim().is_empty()).map_err(|error| unavailable(error.into()))?;
    let next = body.next_cursor.as_deref().map(|cursor| asked.path(&query, cursor));
    Ok(page(body, next.as_deref(), position))
}

/// What was asked for, judged.
#[derive(Debug, Clone)]
struct Asked {
    filters: Vec<Filter>,
    order: Order,
    after: Option<Place>,
    limit: u32,
    with_currency: bool,
}

impl Asked {
    fn read(query: &SearchQuery) -> Result<Self, Problem> {
        let malformed = |detail: &str| Problem::new(Rule::Malformed, detail);
        let order = match query.sort.as_deref() {
            None | Some("" | "relevance") => Order::Relevance,
            Some("price_asc") => Order::Ascending(field::PRICE),
            Some("price_desc") => Order::Descending(field::PRICE),
            Some("newest") => Order::Descending(field::PUBLISHED_ON),
            Some("popular") => Order::Descending(field::SOLD),
            Some(_) => {
                return Err(malformed("`sort` is one of relevance, price_asc, price_desc, newest, popular"));
            }
        };
        let price = |text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(digits) => {
                let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
                let amount = digits.parse::<i64>().ok().filter(|_| all_digits);
                amount.map(Some).ok_or_else(|| {
                    malformed("`price_min` and `price_max` are whole numbers of minor units, such as 4200")
                })
            }
        };
        let (from, to) = (price(&query.price_min)?, price(&query.price_max)?);
        let currency = query.currency.as_deref().filter(|code| !code.is_empty());
        let currency = currency.map(Currency::parse).transpose()?;
        let mut filters = Vec::new();
        let keywords = [(field::LANGUAGE, &query.language), (field::SUBJECT, &query.subject)];
        for (name, value) in keywords {
            let value = value.as_ref().filter(|value| !value.is_empty());
            filters.extend(value.map(|value| Filter::Is(name, value.clone())));
        }
        filters.extend(currency.map(|currency| Filter::Is(field::CURRENCY, currency.code().to_owned())));
        if from.is_some() || to.is_some() {
            filters.push(Filter::Between(field::PRICE, from, to));
        }
        let after = given_cursor(query.cursor.as_deref(), Place::from_bytes)?;
        Ok(Self {
            filters,
            order,
            after,
            limit: judged(query.limit, LIMIT_DEFAULT)?,
            with_currency: currency.is_some(),
        })
    }

    fn request<'a>(&self, text: &'a str) -> Request<'a> {
        Request {
            text,
            filters: self.filters.clone(),
            order: self.order,
            counted: COUNTED.to_vec(),
            after: self.after,
            limit: self.limit as usize,
        }
    }

    /// Prices in several currencies cannot be.
    fn compares_prices(&self) -> bool {
        let by_price = matches!(self.order, Order::Ascending(field::PRICE) | Order::Descending(field::PRICE));
        let within = self.filters.iter().any(|filter| matches!(filter, Filter::Between(..)));
        !self.with_currency && (by_price || within)
    }

    /// The path of the page behind `cursor`.
    fn path(&self, query: &SearchQuery, cursor: &str) -> String {
        let text: String = query.q.chars().take(TEXT_CHARS).collect();
        let given = [
            ("q", Some(&text)),
            ("language", query.language.as_ref()),
            ("subject", query.subject.as_ref()),
            ("price_min", query.price_min.as_ref()),
            ("price_max", query.price_max.as_ref()),
            ("currency", query.currency.as_ref()),
            ("sort", query.sort.as_ref()),
        ];
        let mut path = form_urlencoded::Serializer::new("/v1/search?".to_owned());
        path.extend_pairs(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
        path.append_pair("cursor", cursor).append_pair("limit", &self.limit.to_string());
        path.finish()
    }
}

fn answer(found: Found, asked: bool) -> Result<SearchPage, serde_json::Error> {
    let mut counts = found.counts.into_iter().map(facet);
    let mut next_facet = || counts.next().unwrap_or_default();
    let facets = Facets { language: next_facet(), subject: next_facet() };
    let hits = found.hits.into_iter().map(|hit| {
        let highlights = hit.highlights.into_iter().collect();
        Ok(Hit { book: RawValue::from_string(hit.body)?, highlights, score: hit.score })
    });
    Ok(SearchPage {
        hits: hits.collect::<Result<_, serde_json::Error>>()?,
        facets,
        total: found.total,
        next_cursor: found.next.map(|place| cursor(place.to_bytes())),
        did_you_mean: (found.total == 0 && asked).then_some(found.alternatives),
    })
}

fn facet(counts: Counts) -> Vec<Facet> {
    counts.into_iter().map(|(value, count)| Facet { value, count }).collect()
}

/// What is being typed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SuggestionQuery {
    /// The text so far; of nothing, nothing can be suggested.
    #[serde(default)]
    q: String,
}

/// Suggest titles and authors.
///
/// Those that the text so far can become, the best sold first; if there are none, those that it nearly can.
#[utoipa::path(
    get, path = "/v1/suggestions", tag = "search",
    params(SuggestionQuery, MinPosition),
    responses(
        (status = 200, body = Suggestions, description = "At most ten"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn suggestions(
    State(api): State<QueryApi>,
    Params(SuggestionQuery { q }): Params<SuggestionQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    api.reach_search(min_position).await?;
    let offered = [(field::TITLE, field::WHOLE_TITLE), (field::AUTHORS, field::AUTHOR)];
    let (position, texts) = on_index(&api.search, move |index| index.suggest(&q, &offered, SUGGESTIONS)).await?;
    let items = texts.into_iter().map(|text| Suggestion { text }).collect();
    Ok(page(Suggestions { items }, None, position))
}

/// A search computes and reads files: not where other requests wait.
async fn on_index<T: Send + 'static>(
    indexes: &Arc<SearchIndexes>,
    search: impl Fn(&SearchIndex) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let indexes = Arc::clone(indexes);
    match tokio::task::spawn_blocking(move || indexes.read(search)).await {
        Ok(found) => found.map_err(unavailable),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
