//! The documented list of rules: what `type` of a problem points at.

use std::fmt::Write;

/// A rule that a request can break. Its slug is a contract: clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each one means, to users too")]
pub enum Rule {
    Malformed,
    IdempotencyKeyRequired,
    Unauthenticated,
    WebhookSignature,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    IsbnTaken,
    BookRetired,
    NotEnoughStock,
    BelowReserved,
    TooManyCopies,
    OrderNotPaid,
    OrderShipped,
    OrderEnded,
    RefundTooLarge,
    ReturnTooLarge,
    PreconditionFailed,
    ContentTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    IsbnShape,
    IsbnChecksum,
    IsbnPrefix,
    IsbnBlank,
    TitleLength,
    AuthorCount,
    AuthorLength,
    ControlCharacter,
    Language,
    SubjectCount,
    SubjectLength,
    EditionLength,
    PublicationDate,
    Currency,
    Amount,
    Delta,
    Copies,
    ReasonLength,
    Location,
    LineCount,
    Quantity,
    UnknownBook,
    BookNotForSale,
    BookUnpriced,
    MixedCurrencies,
    CurrencyNeeded,
    PaymentId,
    RefundAmount,
    IdempotencyKeyReused,
    PreconditionRequired,
    HeadersTooLarge,
    Internal,
    Overloaded,
    NotYet,
    Unavailable,
}

/// Status, slug, title, meaning.
type Entry = (u16, &'static str, &'static str, &'static str);

impl Rule {
    /// Every rule, by status.
    pub const ALL: [Self; 57] = [
        Self::Malformed,
        Self::IdempotencyKeyRequired,
        Self::Unauthenticated,
        Self::WebhookSignature,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IsbnTaken,
        Self::BookRetired,
        Self::NotEnoughStock,
        Self::BelowReserved,
        Self::TooManyCopies,
        Self::OrderNotPaid,
        Self::OrderShipped,
        Self::OrderEnded,
        Self::RefundTooLarge,
        Self::ReturnTooLarge,
        Self::PreconditionFailed,
        Self::ContentTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::IsbnShape,
        Self::IsbnChecksum,
        Self::IsbnPrefix,
        Self::IsbnBlank,
        Self::TitleLength,
        Self::AuthorCount,
        Self::AuthorLength,
        Self::ControlCharacter,
        Self::Language,
        Self::SubjectCount,
        Self::SubjectLength,
        Self::EditionLength,
        Self::PublicationDate,
        Self::Currency,
        Self::Amount,
        Self::Delta,
        Self::Copies,
        Self::ReasonLength,
        Self::Location,
        Self::LineCount,
        Self::Quantity,
        Self::UnknownBook,
        Self::BookNotForSale,
        Self::BookUnpriced,
        Self::MixedCurrencies,
        Self::CurrencyNeeded,
        Self::PaymentId,
        Self::RefundAmount,
        Self::IdempotencyKeyReused,
        Self::PreconditionRequired,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::Overloaded,
        Self::NotYet,
        Self::Unavailable,
    ];

    fn entry(self) -> Entry {
        match self {
            Self::Malformed => (
                400,
                "malformed",
                "The request cannot be read",
                "A header, parameter or body does not have the form it should, or names a field that does not exist.",
            ),
            Self::IdempotencyKeyRequired => (
                400,
                "idempotency_key_required",
                "An idempotency key is needed",
                "This call needs `Idempotency-Key` with 1 to 255 visible characters, so that a repeat of it has no second effect.",
            ),
            Self::Unauthenticated => (
                401,
                "unauthenticated",
                "A valid token is needed",
                "No token came, or one that is not valid here: `Authorization: Bearer <token>`.",
            ),
            Self::WebhookSignature => (
                401,
                "webhook_signature",
                "The webhook is not signed as it should be",
                "`webhook-id`, `webhook-timestamp` and `webhook-signature` do not fit the body and the shared secret (Standard Webhooks), or the time is more than five minutes off.",
            ),
            Self::Forbidden => (
                403,
                "forbidden",
                "The token's roles do not allow this",
                "The token is valid, but none of its roles may do this.",
            ),
            Self::NotFound => (404, "not_found", "Nothing is here", "No such route, or no object with this id."),
            Self::MethodNotAllowed => (
                405,
                "method_not_allowed",
                "The method is not allowed here",
                "The route exists, for the methods that `Allow` lists.",
            ),
            Self::RequestTimeout => {
                (408, "request_timeout", "The request took too long to arrive", "The request did not arrive in time.")
            }
            Self::IsbnTaken => (
                409,
                "isbn_taken",
                "The ISBN is taken",
                "A book with this ISBN is registered already; revise that one.",
            ),
            Self::BookRetired => (409, "book_retired", "The book is retired", "A retired book stays as it is."),
            Self::NotEnoughStock => (
                409,
                "not_enough_stock",
                "Not enough copies are available",
                "No more copies can go than are on hand and not reserved.",
            ),
            Self::BelowReserved => (
                409,
                "below_reserved",
                "Orders hold more copies than that",
                "A count cannot take away copies that orders hold.",
            ),
            Self::TooManyCopies => (
                409,
                "too_many_copies",
                "That is more than a stock can hold",
                "A stock holds at most 1000000000 copies.",
            ),
            Self::OrderNotPaid => {
                (409, "order_not_paid", "The order is not paid", "Only a paid order is shipped, refunded or returned.")
            }
            Self::OrderShipped => (
                409,
                "order_shipped",
                "The order is shipped",
                "A shipped order can be returned and refunded, but neither cancelled nor shipped again.",
            ),
            Self::OrderEnded => (
                409,
                "order_ended",
                "The order has ended",
                "The order was rejected, cancelled or refunded, or its payment failed: it stays as it is.",
            ),
            Self::RefundTooLarge => (
                409,
                "refund_too_large",
                "That is more than is left of the payment",
                "Never more goes back than was paid.",
            ),
            Self::ReturnTooLarge => (
                409,
                "return_too_large",
                "That is more than was bought",
                "Never more copies come back than were bought.",
            ),
            Self::PreconditionFailed => (
                412,
                "precondition_failed",
                "The object has changed meanwhile",
                "`If-Match` names another revision than the current one; read again, then repeat the change.",
            ),
            Self::ContentTooLarge => {
                (413, "content_too_large", "The body is too large", "The body is larger than the server takes.")
            }
            Self::UriTooLong => (
                414,
                "uri_too_long",
                "The URI is too long",
                "Path and query together are longer than the server takes.",
            ),
            Self::UnsupportedMediaType => (
                415,
                "unsupported_media_type",
                "The body is not JSON",
                "A body is sent as `Content-Type: application/json`.",
            ),
            Self::IsbnShape => (
                422,
                "isbn_shape",
                "That is not an ISBN",
                "An ISBN has 10 digits (the last may be X) or 13 digits; hyphens and spaces are ignored.",
            ),
            Self::IsbnChecksum => (
                422,
                "isbn_checksum",
                "The ISBN's check digit is wrong",
                "The last digit of an ISBN follows from the others (ISO 2108); one of them is mistyped.",
            ),
            Self::IsbnPrefix => (
                422,
                "isbn_prefix",
                "That is not a book's number",
                "An ISBN-13 begins with 978 or 979; other 13-digit numbers are not books.",
            ),
            Self::IsbnBlank => (422, "isbn_blank", "The ISBN is blank", "An ISBN of zeros only names no book."),
            Self::TitleLength => (
                422,
                "title_length",
                "The title is empty or too long",
                "A title has 1 to 200 characters and is not blank.",
            ),
            Self::AuthorCount => (422, "author_count", "Too few or too many authors", "A book has 1 to 100 authors."),
            Self::AuthorLength => (
                422,
                "author_length",
                "An author's name is empty or too long",
                "An author's name has 1 to 200 characters and is not blank.",
            ),
            Self::ControlCharacter => (
                422,
                "control_character",
                "A text holds control characters",
                "Texts are one line of printable characters.",
            ),
            Self::Language => (
                422,
                "language",
                "That is not a language tag",
                "A language is a well-formed BCP 47 tag of at most 35 characters, such as `en`, `zh-Hant` or `und`.",
            ),
            Self::SubjectCount => (422, "subject_count", "Too many subjects", "A book has at most 100 subjects."),
            Self::SubjectLength => (
                422,
                "subject_length",
                "A part of a subject is empty or too long",
                "A subject's scheme, version and code have 1 to 100 characters each.",
            ),
            Self::EditionLength => {
                (422, "edition_length", "The edition is empty or too long", "An edition has 1 to 100 characters.")
            }
            Self::PublicationDate => (
                422,
                "publication_date",
                "That is not a date",
                "A publication date is `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, from year 1 on, and in the calendar.",
            ),
            Self::Currency => (
                422,
                "currency",
                "That is not a currency",
                "A currency is an ISO 4217 code in capitals, such as `CNY`.",
            ),
            Self::Amount => (
                422,
                "amount",
                "That is not an amount of money",
                "An amount is a whole number of minor units from 0 to 9007199254740991.",
            ),
            Self::Delta => (
                422,
                "delta",
                "That is no adjustment",
                "A delta is a whole number from -1000000000 to 1000000000, and not 0.",
            ),
            Self::Copies => (
                422,
                "copies",
                "That is no number of copies",
                "A number of copies is a whole number from 0 to 1000000000.",
            ),
            Self::ReasonLength => (
                422,
                "reason_length",
                "The reason is empty or too long",
                "A reason has 1 to 200 characters and is not blank.",
            ),
            Self::Location => {
                (422, "location", "That is not a location", "A location is 1 to 40 characters of a-z, 0-9 and _.")
            }
            Self::LineCount => (422, "line_count", "Too few or too many lines", "There are 1 to 1000 lines."),
            Self::Quantity => (
                422,
                "quantity",
                "That is no quantity",
                "A quantity is a whole number from 1 to 1000000; the same book on several lines is summed.",
            ),
            Self::UnknownBook => {
                (422, "unknown_book", "A book is not in the catalogue", "A line names a book that nobody registered.")
            }
            Self::BookNotForSale => {
                (422, "book_not_for_sale", "A book is not for sale any more", "A line names a book that is retired.")
            }
            Self::BookUnpriced => (
                422,
                "book_unpriced",
                "A book has no price",
                "A line names a book that has no price yet: it cannot be ordered.",
            ),
            Self::MixedCurrencies => (
                422,
                "mixed_currencies",
                "The books are priced in several currencies",
                "An order is paid by one payment: order books of different currencies separately.",
            ),
            Self::CurrencyNeeded => (
                422,
                "currency_needed",
                "Prices in several currencies cannot be compared",
                "The hits of a search have prices in several currencies, and it sorts or filters by price: name one of \
                 them by `currency`.",
            ),
            Self::PaymentId => (
                422,
                "payment_id",
                "That is not a payment's id",
                "A payment's id has 1 to 128 printable ASCII characters.",
            ),
            Self::RefundAmount => (
                422,
                "refund_amount",
                "That cannot be refunded",
                "A refund is of at least one minor unit, in the currency of the payment.",
            ),
            Self::IdempotencyKeyReused => (
                422,
                "idempotency_key_reused",
                "The idempotency key was used before",
                "The key came before with another body; send a new key with a new request.",
            ),
            Self::PreconditionRequired => (
                428,
                "precondition_required",
                "If-Match is needed",
                "This call needs `If-Match` with the entity tag that was read, so that no change of somebody else is lost.",
            ),
            Self::HeadersTooLarge => (
                431,
                "headers_too_large",
                "The headers are too large",
                "The header fields together are larger than the server takes.",
            ),
            Self::Internal => (
                500,
                "internal",
                "The server failed",
                "The server failed to handle the request; its log names the cause by the trace id.",
            ),
            Self::Overloaded => (
                503,
                "overloaded",
                "Too much at once",
                "The server has more to do than it takes on; try again after `Retry-After` seconds.",
            ),
            Self::NotYet => (
                503,
                "not_yet",
                "The position is not reached yet",
                "The view did not reach `Colophon-Min-Position` in time; try again after `Retry-After` seconds.",
            ),
            Self::Unavailable => (
                503,
                "unavailable",
                "A part of the server does not answer",
                "Try again after `Retry-After` seconds; a repeat with the same idempotency key has no second effect.",
            ),
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.entry().0
    }

    /// Its name in `type`.
    pub fn slug(self) -> &'static str {
        self.entry().1
    }

    /// The rule in a few words.
    pub fn title(self) -> &'static str {
        self.entry().2
    }

    /// What it demands, and the way out.
    pub fn meaning(self) -> &'static str {
        self.entry().3
    }

    /// Whether the rule is what its status says, and nothing more particular.
    pub(super) fn is_of_status(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::Unauthenticated
                | Self::Forbidden
                | Self::NotFound
                | Self::MethodNotAllowed
                | Self::RequestTimeout
                | Self::ContentTooLarge
                | Self::UriTooLong
                | Self::UnsupportedMediaType
                | Self::HeadersTooLarge
                | Self::Internal
                | Self::Unavailable
        )
    }

    /// The list as it is published at `/problems` and in `docs/problems.md`.
    pub fn document() -> String {
        let mut document = String::from(
            "# Problems\n\nEvery refusal is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail` \
             and `trace_id`.\nThe part of `type` behind `#` names the rule that was broken, as listed here.\n",
        );
        for rule in Self::ALL {
            write!(document, "\n## {}\n\n{}. {}\n\n{}\n", rule.slug(), rule.status(), rule.title(), rule.meaning())
                .expect("writing to a string cannot fail");
        }
        document
    }
}
