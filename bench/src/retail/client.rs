//! The shop's own side of HTTP: signed, timed, and repeated with the same key while the server is away.

use super::tally::{Kind, Tally};
use anyhow::{Context, anyhow};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::identity::Realm;
use platform::identity::signing_key::SigningKey;
use platform::seam::Seam;
use reqwest::RequestBuilder;
use serde_json::Value;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 20;
/// The first pause before a repeat; each is longer by as much.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the catalogue may take to be listed in full after its import.
const CATALOGUE_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks a server in the name of customers, of a manager and of the payment provider.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    key: SigningKey,
    realm: Realm,
    manager: String,
    webhook_secret: hmac::Key,
    seam: Seam,
    tally: Mutex<Tally>,
    position: AtomicU64,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    /// Status of HTTP.
    pub(crate) status: u16,
    /// What `Colophon-Position` says.
    pub(crate) position: Option<u64>,
    /// The body; a text if it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// A text of the body.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.body[field].as_str()
    }
}

impl Client {
    /// Takes the keys of the server at `url` from its data directory.
    pub(crate) fn new(url: &str, data: &Path) -> anyhow::Result<Self> {
        let keys = data.join("keys");
        let secret = std::fs::read_to_string(keys.join("webhook.secret")).context("there is no webhook secret")?;
        let secret = secret.trim().strip_prefix("whsec_").context("the webhook secret does not begin with whsec_")?;
        let secret = STANDARD.decode(secret).context("the webhook secret is not base64")?;
        let key = SigningKey::load(&keys.join("signing.pem"))?;
        let realm = Realm { issuer: "colophon".to_owned(), audience: "colophon".to_owned() };
        let seam = Seam::system();
        let manager = key.sign(&realm, "retail-manager", &["manager".to_owned()], TOKEN_LIFETIME, seam.clock.now());
        Ok(Self {
            http: reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build()?,
            url: url.trim_end_matches('/').to_owned(),
            key,
            realm,
            manager,
            webhook_secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            seam,
            tally: Mutex::default(),
            position: AtomicU64::new(0),
        })
    }

    /// A customer's token.
    pub(crate) fn customer(&self, subject: &str) -> String {
        self.key.sign(&self.realm, subject, &["user".to_owned()], TOKEN_LIFETIME, self.seam.clock.now())
    }

    /// The manager's token.
    pub(crate) fn manager(&self) -> &str {
        &self.manager
    }

    /// The largest position that a write was answered with.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// How long everything took so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().expect("nobody panics while adding up").clone()
    }

    /// Places an order and waits for the stock, up to a bound.
    pub(crate) async fn order(&self, token: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Kind::Order, || {
            let request = self.http.post(format!("{}/v1/orders", self.url)).bearer_auth(token);
            request.header("Idempotency-Key", key).header("Prefer", "wait=10").json(body)
        })
        .await
    }

    /// Reads an order as it is at a position or later.
    pub(crate) async fn poll(&self, token: &str, id: &str, position: u64) -> anyhow::Result<Answer> {
        self.send(Kind::Poll, || {
            let request = self.http.get(format!("{}/v1/orders/{id}", self.url)).bearer_auth(token);
            request.header("Colophon-Min-Position", position)
        })
        .await
    }

    /// Tells what the payment provider would tell, with its signature.
    pub(crate) async fn callback(&self, id: &str, body: &Value) -> anyhow::Result<Answer> {
        let body = body.to_string();
        self.send(Kind::Callback, || {
            // Each attempt is signed anew: a signature is believed for some minutes only.
            let timestamp_s = self.seam.clock.now().0.div_euclid(1_000_000);
            let signature = hmac::sign(&self.webhook_secret, format!("{id}.{timestamp_s}.{body}").as_bytes());
            let request = self.http.post(format!("{}/v1/payments/callback", self.url));
            request
                .header("webhook-id", id)
                .header("webhook-timestamp", timestamp_s)
                .header("webhook-signature", format!("v1,{}", STANDARD.encode(signature)))
                .header("Content-Type", "application/json")
                .body(body.clone())
        })
        .await
    }

    /// A manager's write.
    pub(crate) async fn manage(&self, kind: Kind, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(kind, || {
            let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.manager);
            request.header("Idempotency-Key", key).json(body)
        })
        .await
    }

    /// Ids and ISBNs of the first so many books, or of all if there are fewer after a while.
    pub(crate) async fn books(&self, wanted: usize) -> anyhow::Result<Vec<(String, String)>> {
        let begun = Instant::now();
        loop {
            let books = self.listed(wanted).await?;
            // The list may still be catching up with the import, but what it shows is in its place already.
            if books.len() == wanted || begun.elapsed() > CATALOGUE_TIMEOUT {
                return Ok(books);
            }
            sleep(PAUSE).await;
        }
    }

    async fn listed(&self, wanted: usize) -> anyhow::Result<Vec<(String, String)>> {
        let mut books = Vec::with_capacity(wanted);
        let mut cursor: Option<String> = None;
        while books.len() < wanted {
            let page = self
                .send(Kind::Catalogue, || {
                    let cursor = cursor.iter().map(|cursor| ("cursor", cursor.as_str()));
                    let query: Vec<_> = cursor.chain([("limit", "100")]).collect();
                    self.http.get(format!("{}/v1/books", self.url)).query(&query)
                })
                .await?;
            let items = page.body["items"].as_array().with_context(|| format!("no page of books: {}", page.body))?;
            for item in items.iter().take(wanted - books.len()) {
                let text =
                    |field: &str| item[field].as_str().with_context(|| format!("a book without {field}: {item}"));
                books.push((text("id")?.to_owned(), text("isbn")?.to_owned()));
            }
            cursor = page.text("next_cursor").map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(books)
    }

    /// Sends a request until it is answered with something else than 503. Fails when the server stays away.
    async fn send(&self, kind: Kind, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let mut retries = 0;
        loop {
            let failure = match attempt(request()).await {
                Ok(answer) if answer.status != 503 => {
                    self.note(kind, &answer, begun.elapsed(), retries);
                    return Ok(answer);
                }
                Ok(answer) => anyhow!("503: {}", answer.body),
                Err(error) => error.into(),
            };
            if retries == RETRIES {
                return Err(failure.context(format!("the server is away; {RETRIES} repeats were in vain")));
            }
            retries += 1;
            sleep((PAUSE * retries).min(PAUSE_MAX)).await;
        }
    }

    fn note(&self, kind: Kind, answer: &Answer, took: Duration, retries: u32) {
        if let Some(position) = answer.position.filter(|_| kind.writes()) {
            self.position.fetch_max(position, Ordering::Relaxed);
        }
        self.tally.lock().expect("nobody panics while adding up").add(kind, took, retries.into());
    }
}

async fn attempt(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let position =
        response.headers().get("colophon-position").and_then(|position| position.to_str().ok()?.parse().ok());
    let text = response.text().await?;
    Ok(Answer { status, position, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}
