//! `colophon serve`: every role in one process, until it is asked to stop or can no longer be trusted.

use crate::cli::{Global, ServeOptions, say};
use crate::demo;
use crate::host::Host;
use crate::role::Embedded;
use crate::settings::Settings;
use gateway::policy::Role;
use platform::data_directory::Layout;
use platform::seam::Seam;
use schemas::views::Row;
use schemas::views::book::BookRow;
use schemas::views::stock::StockRow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the demo's tokens are valid.
const DEMO_TOKENS: Duration = Duration::from_secs(8 * 3_600);

/// Runs the command.
pub async fn run(global: &Global, options: ServeOptions) -> anyhow::Result<()> {
    let mut settings = Settings::load(global)?;
    settings.server.listen = options.listen.unwrap_or(settings.server.listen);
    if options.demo {
        settings.data_dir.get_or_insert_with(|| "colophon-demo".into());
    }
    let (host, directory) = Host::open(&settings).await?;
    let (layout, address, seam) = (host.layout.clone(), host.address, host.seam.clone());
    let (metrics, stopping) = (host.metrics.clone(), host.stopping.clone());
    let mut roles = Embedded::start(&settings, directory, metrics, seam.clone(), stopping).await?;
    let (served, mut asked) = host.serve(&settings, roles.api.clone(), roles.admin.clone());
    if options.demo {
        let filled = demo::fill(roles.command.commands.as_ref(), &seam).await?;
        roles.views.store.wait_for(BookRow::NAME, filled).await;
        roles.views.store.wait_for(StockRow::NAME, filled).await;
        roles.views.searched()?.wait_for(filled).await;
    }
    let mut told = announce(address, &layout);
    if options.demo {
        told = told.and_then(|()| suggest(address, &layout, &roles, &settings, &seam));
    }
    if let Err(error) = told {
        tracing::warn!(%error, "the server is ready, and cannot say so");
    }

    let failure = tokio::select! {
        () = asked.to_end() => None,
        error = roles.command.failure() => Some(error),
    };
    served.stop();
    if let Some(error) = failure {
        // Nothing that is not answered yet can be: whoever waits is better told by the end of the connection.
        tracing::error!(%error, "the server ends");
        return Err(
            error.context("the event log failed; start again once its cause is mended: what was acknowledged is there")
        );
    }
    served.drain().await?;
    roles.stop().await
}

fn announce(address: SocketAddr, layout: &Layout) -> io::Result<()> {
    say(format_args!("colophon is ready on http://{address} (data in {})", layout.path().display()))
}

/// What to try, for whoever starts the demo.
fn suggest(address: SocketAddr, layout: &Layout, roles: &Embedded, settings: &Settings, seam: &Seam) -> io::Result<()> {
    let token = |subject, role: Role| {
        let role = [role.name().to_owned()];
        roles.key.sign(&settings.realm(), subject, &role, DEMO_TOKENS, seam.clock.now())
    };
    let (manager, customer) = (token("demo-manager", Role::Manager), token("demo-customer", Role::User));
    let directory = layout.path().display();
    let book = demo::first_book();
    let url = format!("http://{address}");
    say(format_args!(
        "
Try, in another terminal:

  curl -i '{url}/v1/books?limit=3'
  curl -i {url}/v1/books/isbn/979-9-0000-0001-1
  curl -i '{url}/v1/search?q=typestter'
  curl -i {url}/openapi.json

Writes need a token; this one is a manager's, for eight hours:

  TOKEN={manager}

  curl -i {url}/v1/books -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{{\"isbn\":\"978-0-306-40615-7\",\"title\":\"My first book\",\"authors\":[\"Me\"],\"language\":\"en\"}}'

Orders are a customer's; `colophon sandbox pay ORDER --data-dir {directory}` then plays the payment provider:

  CUSTOMER={customer}

  curl -i {url}/v1/orders -H \"Authorization: Bearer $CUSTOMER\" -H 'Content-Type: application/json' \\
    -H 'Idempotency-Key: first' -H 'Prefer: wait=5' -d '{{\"lines\":[{{\"book_id\":\"{book}\",\"quantity\":1}}]}}'

Ctrl-C ends the demo; its data stay."
    ))
}
