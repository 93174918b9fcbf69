//! The sandbox payment provider: signs and sends callbacks as a real one would, and moves no money.

use crate::admin::client;
use crate::cli::{Global, SandboxCommand, say};
use crate::role::Embedded;
use crate::settings::Settings;
use anyhow::{Context, bail};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use command_side::commands::{Commands, Lane};
use domain::State;
use domain::order::OrderId;
use platform::data_directory::{DataDirectory, DataDirectoryError, Layout};
use platform::event_log::{EventId, Position, StreamId};
use platform::read_store::{Param, ReadStore, Select};
use platform::seam::Seam;
use platform::telemetry;
use platform::vault::effects::{Claim, Effect, EffectLedger};
use platform::webhook::{Secret, seconds};
use schemas::api::order::Status;
use schemas::api::payment::{Outcome, PaymentCallback};
use schemas::views::Row;
use schemas::views::order::OrderRow;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// How often the provider that pays by itself looks for orders.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Orders paid at one look.
const ORDERS_AT_ONCE: u32 = 100;

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// The provider.
#[derive(Clone)]
pub struct Sandbox {
    /// Where callbacks go: through the front door, like a real provider's.
    pub api: Router,
    /// Tells what an order costs.
    pub commands: Arc<dyn Commands>,
    /// What callbacks are signed with.
    pub webhook_secret: Arc<Secret>,
    /// For the time, and for the names of messages.
    pub seam: Seam,
}

impl Sandbox {
    /// Sends the callback of an order's payment. There is one payment per order, so that paying twice charges once.
    pub async fn pay(&self, order: Uuid, outcome: Outcome) -> anyhow::Result<()> {
        let id = OrderId::from(order);
        let stream = StreamId::new(&schemas::stream::order(id));
        let loaded = self.commands.peek(Lane::System, vec![stream]).await?.pop();
        let total = loaded.as_ref().and_then(|loaded| match loaded.state.as_ref() {
            State::Order(order) => Some(order.placed()?.placement.lines.total()),
            _ => None,
        });
        let total = total.with_context(|| format!("no order has the id {id}"))?;
        let callback = PaymentCallback {
            payment_id: format!("sandbox-{id}"),
            order_id: order,
            outcome,
            amount: Some((&total).into()),
        };
        let body = serde_json::to_vec(&callback)?;
        let (message, now) = (format!("msg_{}", self.seam.random_uuid().simple()), self.seam.clock.now());
        let request = Request::post("/v1/payments/callback")
            .header("content-type", "application/json")
            .header("webhook-id", &message)
            .header("webhook-timestamp", seconds(now))
            .header("webhook-signature", self.webhook_secret.sign(&message, now, &body))
            .body(Body::from(body))?;
        let response = self.api.clone().oneshot(request).await?;
        if response.status() != StatusCode::OK {
            let body = to_bytes(response.into_body(), ANSWER_BYTES).await?;
            bail!("the callback was refused: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    /// Pays every order that waits for it, until it is stopped. The ledger knows which payments were begun.
    pub async fn pay_all(self, store: Arc<ReadStore>, ledger: Arc<dyn EffectLedger>, stop: CancellationToken) {
        let waiting = Select { from: None, filter: "status = ?1", order: "placed_at", limit: ORDERS_AT_ONCE };
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let params = [Param::Text(Status::AwaitingPayment.name().to_owned())];
            let orders = match store.read::<OrderRow>(OrderRow::NAME, waiting, &params).await {
                Ok(read) => read.rows,
                Err(error) => {
                    tracing::warn!(%error, "the sandbox provider cannot see which orders wait for their payment");
                    continue;
                }
            };
            for order in &orders {
                if let Err(error) = self.pay_once(order, ledger.as_ref()).await {
                    tracing::warn!(order = %order.id, %error, "the sandbox provider could not pay order {}", order.id);
                }
            }
        }
    }

    /// Pays an order that waits for it, unless it came with a log from elsewhere.
    async fn pay_once(&self, order: &OrderRow, ledger: &dyn EffectLedger) -> anyhow::Result<()> {
        let id: Uuid = order.id.parse()?;
        // The order's first event has the order's id.
        let position = Position(order.placed_at.cast_unsigned());
        let effect = Effect { event: EventId(id), position, name: "sandbox_payment" };
        match ledger.claim(effect, self.seam.clock.now()).await? {
            // An order that waits although its payment was made has lost the callback, as after a restore: as any provider
            // does, this one sends it again, with the payment's id, which charges nothing twice.
            Claim::Granted | Claim::Claimed { .. } | Claim::Done => {}
            Claim::NotToBeTried => return Ok(()),
        }
        self.pay(id, Outcome::Succeeded).await?;
        Ok(ledger.done(effect).await?)
    }
}

/// Runs the command.
pub async fn run(global: &Global, command: SandboxCommand) -> anyhow::Result<()> {
    let SandboxCommand::Pay { order, fail } = command;
    let settings = Settings::load(global)?;
    telemetry::init(settings.logging.format.into(), "warn")?;
    let outcome = if fail { Outcome::Failed } else { Outcome::Succeeded };
    let directory = settings.data_directory();
    match DataDirectory::open(&directory) {
        Ok(_) if settings.postgres.url.is_some() => bail!(
            "no node runs on {}: name the data directory of one with the role `command`, which takes the callback in",
            directory.display()
        ),
        Ok(directory) => {
            let metrics = telemetry::install_metrics()?;
            let roles =
                Embedded::start(&settings, directory, metrics, Seam::system(), CancellationToken::new()).await?;
            let paid = roles.sandbox.pay(order, outcome).await;
            roles.stop().await?;
            paid?;
        }
        Err(DataDirectoryError::InUse { .. }) => {
            client::pay(&Layout::of(&directory).admin_socket(), order, outcome).await?;
        }
        Err(error) => return Err(error.into()),
    }
    let told = if fail { "failed" } else { "succeeded" };
    say(format_args!("the callback was taken in: the payment of order {order} {told}"))?;
    Ok(())
}
