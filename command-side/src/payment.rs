//! The payment provider's callback: signed instead of authenticated, and taken in once.

use crate::commands::{Lane, Refusal, Request};
use crate::idempotency::{body_hash, of_webhook};
use crate::order::{stream_of, unknown};
use crate::routes::CommandApi;
use axum::Json;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Extension, FromRequest, State};
use axum::http::{HeaderMap, HeaderValue, Request as HttpRequest};
use axum::response::{IntoResponse, Response};
use domain::order::OrderId;
use domain::{Command, Rejection, order};
use platform::trace::TraceContext;
use platform::webhook::Unbelievable;
use schemas::api::payment::{PaymentCallback, PaymentRecorded};
use schemas::http::{Body, POSITION};
use schemas::problems::{Problem, Rule};

/// Take in how a payment went.
///
/// Signed as Standard Webhooks has it, with the secret that the payment provider shares. The same message, or the same
/// payment again, has no second effect. A payment that the order cannot take is recorded and refunded at once.
#[utoipa::path(
    post, path = "/v1/payments/callback", tag = "orders", request_body = PaymentCallback,
    params(
        ("webhook-id" = String, Header, description = "The message's own name"),
        ("webhook-timestamp" = i64, Header, description = "When it was signed, in seconds since 1970; at most five minutes off"),
        ("webhook-signature" = String, Header, description = "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; several with a space between"),
    ),
    responses(
        (status = 200, body = PaymentRecorded, description = "It is recorded, now or before"),
        (status = 401, body = schemas::problems::Body, description = "`webhook_signature`"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`: no order has this id"),
        (status = 422, body = schemas::problems::Body, description = "`payment_id`, `amount` or `currency`"),
    )
)]
pub(crate) async fn callback(
    State(api): State<CommandApi>,
    context: Option<Extension<TraceContext>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let webhook_id = believed(&api, &headers, &bytes)?.to_owned();
    let mut request = HttpRequest::new(HttpBody::from(bytes));
    *request.headers_mut() = headers;
    let Body(body): Body<PaymentCallback> = Body::from_request(request, &()).await?;
    let id = OrderId::from(body.order_id);
    let request = Request {
        id: of_webhook(&webhook_id),
        body_hash: body_hash(&body),
        stream: stream_of(id),
        if_match: None,
        lane: Lane::System,
        traceparent: context.map(|Extension(context)| context.traceparent()).unwrap_or_default(),
        command: Command::Order(order::Command::try_from(body)?),
    };
    let answer = api.commands.send(request).await?;
    let position = answer.position.0;
    match answer.outcome {
        // The message came before: whatever it says now, it was taken in then.
        Ok(_) | Err(Refusal::KeyReused) => {}
        Err(Refusal::Rejected(Rejection::Order(order::Rejection::NotPlaced))) => return Err(unknown(id)),
        Err(_) => return Err(answer.accepted().err().unwrap_or_else(Problem::internal)),
    }
    let mut response = Json(PaymentRecorded {}).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    Ok(response)
}

/// The message's id, if one of its signatures fits.
fn believed<'a>(api: &CommandApi, headers: &'a HeaderMap, body: &[u8]) -> Result<&'a str, Problem> {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        value.filter(|_| values.next().is_none()).ok_or(Unbelievable::Headers)
    };
    let verified = || {
        let (id, timestamp, signatures) = (one("webhook-id")?, one("webhook-timestamp")?, one("webhook-signature")?);
        api.webhook_secret.verify(id, timestamp, signatures, body, api.seam.clock.now()).map(|()| id)
    };
    verified().map_err(|unbelievable| Problem::new(Rule::WebhookSignature, unbelievable.to_string()))
}
